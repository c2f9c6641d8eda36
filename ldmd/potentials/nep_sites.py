"""The neuroevolution potential (NEP): a small neural network of descriptors of each site.

With x = r/r_c, w = 1 - x (0 beyond the cutoff) and T_k the Chebyshev polynomials, for an edge of vector r = r u:

    f_c = (1 + cos(pi x)) / 2 = sin^2(pi w / 2),   f_k = f_c (T_k(2 w^2 - 1) + 1) / 2,   g_n = sum_k c_nk f_k
    q_n  = sum_j g_n(r_ij)                                   radial, k < K_R, cutoff r_R
    A_nlm = sum_j g_n(r_ij) Y_lm(u_ij)                       angular, other c_nk, cutoff r_A < r_R
    q_nl = sum_m A_nlm^2 = (2l + 1)/4pi sum_jk g_n g_n P_l(u_ij . u_ik)
    q_n(222)  = -(15/4pi)^(3/2) sqrt(27/70) det Q,  Q = sum_j g_n (u u - 1/3)
    q_n(1111) = 7/15 q_n1^2
    U = w1 . tanh(W0 q - b0) - b1,   q scaled by a number for each descriptor,

the coefficients c depending on both species, the network on the centre's. Y_lm are real and normalised to the q_nl
above. Half of a pair's ZBL repulsion is added to each of its atoms:
K Z Z'/r sum_i a_i exp(-b_i r/a) f_c((r - r_in)/(r_out - r_in)).

Sources: Z. Fan et al., Phys. Rev. B 104, 104309 (2021); J. Phys.: Condens. Matter 34, 125902 (2022); J. Chem. Phys.
157, 114801 (2022). f_c, and with it the energy, is only C1 at the cutoff: its curvature jumps there.

Everything is a function of w^2, so no square root or sine is left beyond the distance. The sums over neighbours are
products of small matrices, site by site; sites are taken a few at a time so that their arrays stay in the cache, and
their energies and gradients come from the same pass.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from numpy.polynomial import Polynomial, legendre

SINE_SERIES = tuple((-1) ** k * (0.5 * math.pi) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(12))
QUADRUPOLE = -math.sqrt(27.0 / 70.0)
"""q(222) over the determinant of sum_j g sqrt(15/4pi) (u u - 1/3)."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RepulsionParameters:
    """ZBL of one species with each of the S; a screening function of four exponentials."""

    strength: jax.Array
    """(S,) K Z Z', eV Angstrom"""
    inner: jax.Array
    """(S,) Angstrom"""
    inverse_width: jax.Array
    """(S,) 1/Angstrom"""
    amplitudes: jax.Array
    """(4, S)"""
    decays: jax.Array
    """(4, S) 1/Angstrom"""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NepParameters:
    """What the sites of one species need: the model's numbers, and who is whose neighbour."""

    weights: jax.Array
    """(c, S, size, M) in c chunks of sites: 1 where an edge exists and its far end is of the species."""
    inverse_cutoffs: jax.Array
    """(2, S), or (2, 1) if the same for all; radial and angular, 1/Angstrom"""
    radial: jax.Array
    """(S, N, K) coefficients of T_k f_c"""
    angular: jax.Array
    """(S, N, K)"""
    input_weights: jax.Array
    """(D, H), scale of the descriptors included"""
    input_biases: jax.Array
    """(H,)"""
    output_weights: jax.Array
    """(H,)"""
    output_bias: jax.Array
    """()"""
    repulsion: RepulsionParameters | None
    highest_l: int = dataclasses.field(metadata={"static": True})
    four_body: bool = dataclasses.field(metadata={"static": True})
    five_body: bool = dataclasses.field(metadata={"static": True})
    core: int = dataclasses.field(metadata={"static": True})
    """How many of the M slots may hold edges within the angular cutoff."""


def nep_site_energies(edges: jax.Array, p: NepParameters) -> jax.Array:
    """Site energies (n,) in eV of edges (3, M, n) in Angstrom."""
    return _energies(edges, p)


@jax.custom_jvp
def _energies(edges: jax.Array, p: NepParameters) -> jax.Array:
    return _energies_and_gradients(edges, p)[0]


@_energies.defjvp
def _energies_slope(
    primals: tuple[jax.Array, NepParameters], tangents: tuple[jax.Array, NepParameters]
) -> tuple[jax.Array, jax.Array]:
    """Along the edges only. The gradient is computed with the energy, chunk by chunk, and nothing else is kept."""
    energies, gradients = _energies_and_gradients(*primals)
    return energies, jnp.sum(gradients * tangents[0], axis=(0, 1))


def _energies_and_gradients(edges: jax.Array, p: NepParameters) -> tuple[jax.Array, jax.Array]:
    """Site energies (n,) and their gradients (3, M, n)."""
    _, slots, count = edges.shape
    chunks, _, size, _ = p.weights.shape
    filled = jnp.pad(edges, ((0, 0), (0, 0), (0, chunks * size - count)), mode="edge")
    parts = filled.reshape(3, slots, chunks, size).transpose(2, 0, 3, 1)

    def one(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        energies, pullback = jax.vjp(lambda vectors: _chunk_energies(vectors, part[1], p), part[0])
        return energies, pullback(jnp.ones_like(energies))[0]

    if chunks == 1:
        energies, gradients = jax.tree.map(lambda values: values[None], one((parts[0], p.weights[0])))
    else:
        energies, gradients = jax.lax.map(one, (parts, p.weights))
    return energies.reshape(-1)[:count], gradients.transpose(1, 3, 0, 2).reshape(3, slots, -1)[:, :, :count]


def _chunk_energies(edges: jax.Array, weights: jax.Array, p: NepParameters) -> jax.Array:
    """(size,) eV of edges (3, size, M) and weights (S, size, M)."""
    distance = jnp.sqrt(jnp.sum(edges**2, axis=0))
    near, near_distance, near_weights = edges[..., : p.core], distance[..., : p.core], weights[..., : p.core]
    descriptors = [_radial_descriptors(distance, weights, p)]
    if p.highest_l:
        moments = _moments(near / near_distance, near_distance, near_weights, p)
        descriptors.extend(angular_descriptors(moments, p))
    hidden = jnp.tanh(jnp.concatenate(descriptors, axis=1) @ p.input_weights - p.input_biases)
    energies = hidden @ p.output_weights - p.output_bias
    if p.repulsion is not None:
        energies = energies + jnp.sum(repulsion(near_distance, near_weights, p.repulsion), axis=1)
    return energies


def _radial_descriptors(distance: jax.Array, weights: jax.Array, p: NepParameters) -> jax.Array:
    """(size, N) sums of g_n: first over the neighbours of each species, then over the polynomials."""
    square = inwardness(distance, weights, p.inverse_cutoffs[0])
    polynomials = jnp.stack(chebyshev(2.0 * square - 1.0, p.radial.shape[2]), axis=1)
    sums = jnp.einsum("nkm,snm->nks", polynomials, switch(square) * weights)
    return jnp.einsum("nks,sck->nc", sums, p.radial)


def _moments(unit: jax.Array, distance: jax.Array, weights: jax.Array, p: NepParameters) -> jax.Array:
    """A_nlm as (size, N, (L + 1)^2 - 1)."""
    square = inwardness(distance, weights, p.inverse_cutoffs[1])
    polynomials = jnp.stack(chebyshev(2.0 * square - 1.0, p.angular.shape[2]))
    by_species = jnp.einsum("sck,knm->scnm", p.angular, polynomials)
    functions = jnp.sum(by_species * weights[:, None], axis=0)
    cut = switch(square)
    angles = jnp.stack([cut * harmonic for harmonic in harmonics(unit, p.highest_l)], axis=1)
    return jnp.einsum("cnm,nlm->ncl", functions, angles)


def angular_descriptors(moments: jax.Array, p: NepParameters) -> list[jax.Array]:
    """q_nl for every l, then q_n(222) and q_n(1111), each (size, N)."""
    orders = jnp.split(moments, [(degree + 1) ** 2 - 1 for degree in range(1, p.highest_l)], axis=2)
    descriptors = [jnp.sum(order**2, axis=2) for order in orders]
    if p.four_body:
        descriptors.append(determinant(orders[1]))
    if p.five_body:
        descriptors.append(7.0 / 15.0 * descriptors[0] ** 2)
    return descriptors


def determinant(order: jax.Array) -> jax.Array:
    """q_n(222) of the l = 2 moments (size, N, 5)."""
    a, xz, yz, d, xy = (order[..., m] for m in range(5))
    zz = 2.0 / math.sqrt(3.0) * a
    xx, yy = d - 0.5 * zz, -d - 0.5 * zz
    return QUADRUPOLE * (zz * (xx * yy - xy**2) - xx * yz**2 - yy * xz**2 + 2.0 * xy * xz * yz)


def inwardness(distance: jax.Array, weights: jax.Array, inverse_cutoffs: jax.Array) -> jax.Array:
    """w^2 = (1 - r/r_c)^2, 0 beyond the cutoff."""
    return jnp.maximum(1.0 - distance * inverse_cutoff(weights, inverse_cutoffs), 0.0) ** 2


def inverse_cutoff(weights: jax.Array, inverse_cutoffs: jax.Array) -> jax.Array:
    """1/r_c of every edge: one number where all have the same, 1/Angstrom."""
    if len(inverse_cutoffs) == 1:
        return inverse_cutoffs[0]
    return jnp.sum(weights * inverse_cutoffs[:, None, None], axis=0)


def switch(square: jax.Array) -> jax.Array:
    """f_c = sin^2(pi w / 2) from w^2 <= 1, by the Taylor series of the sine: unlike the library call it vectorises."""
    total = jnp.full_like(square, SINE_SERIES[-1])
    for coefficient in SINE_SERIES[-2::-1]:
        total = total * square + coefficient
    return square * total**2


def chebyshev(t: jax.Array, count: int) -> list[jax.Array]:
    """T_0 ... T_(count - 1)."""
    values = [jnp.ones_like(t), t]
    for _ in range(count - 2):
        values.append(2.0 * t * values[-1] - values[-2])
    return values[:count]


def harmonics(unit: jax.Array, highest: int) -> list[jax.Array]:
    """Y_lm for l = 1 ... highest, in each l the one of m = 0, then the real and the imaginary one of m = 1 ... l.

    Y_lm ~ (d/dz)^m P_l(z) times real or imaginary part of (x + i y)^m, normalised so that the squares of one l add
    up to (2l + 1)/4pi.
    """
    x, y, z = unit
    real, imaginary = [jnp.ones_like(x), x], [jnp.zeros_like(x), y]
    for _ in range(highest - 1):
        a, b = real[-1], imaginary[-1]
        real.append(a * x - b * y)
        imaginary.append(a * y + b * x)
    result: list[jax.Array] = []
    for degree in range(1, highest + 1):
        for m in range(degree + 1):
            polar = _horner(polar_coefficients(degree, m), z)
            result.extend([polar] if m == 0 else [polar * real[m], polar * imaginary[m]])
    return result


@functools.cache
def polar_coefficients(degree: int, m: int) -> tuple[float, ...]:
    """Normalised (d/dz)^m P_l, coefficients from the constant on."""
    ratio = math.factorial(degree - m) / math.factorial(degree + m)
    norm = math.sqrt((2 * degree + 1) / (4.0 * math.pi) * ratio * (1 if m == 0 else 2))
    polynomial = Polynomial(legendre.leg2poly([0.0] * degree + [1.0])).deriv(m)
    return tuple(norm * float(coefficient) for coefficient in polynomial.coef)


def _horner(coefficients: tuple[float, ...], z: jax.Array) -> jax.Array:
    """A polynomial that is even or odd, in z^2."""
    odd = (len(coefficients) - 1) % 2
    kept = coefficients[odd::2]
    total = jnp.full_like(z, kept[-1])
    for coefficient in kept[-2::-1]:
        total = total * (z * z) + coefficient
    return total * z if odd else total


def repulsion(distance: jax.Array, weights: jax.Array, p: RepulsionParameters) -> jax.Array:
    """Half the ZBL energy of every edge, (size, M) eV."""

    def of_edge(values: jax.Array) -> jax.Array:
        return jnp.sum(weights * values[:, None, None], axis=0)

    screening = sum(of_edge(a) * jnp.exp(-of_edge(b) * distance) for a, b in zip(p.amplitudes, p.decays, strict=True))
    within = jnp.clip(1.0 - (distance - of_edge(p.inner)) * of_edge(p.inverse_width), 0.0, 1.0)
    return 0.5 * of_edge(p.strength) / distance * screening * switch(within**2)
