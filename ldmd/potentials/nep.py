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
import hashlib
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ase.data import atomic_numbers
from numpy.polynomial import Polynomial, legendre

from ldmd.potentials.base import SiteEnergies
from ldmd.potentials.nep_file import NepModel, read_nep_file
from ldmd.structures import SiteBlock

SITES_AT_ONCE = 16
SINE_SERIES = tuple((-1) ** k * (0.5 * math.pi) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(12))
COULOMB = 14.399645
"""e^2 / 4 pi epsilon_0, eV Angstrom, to the digits in use for this potential."""
SCREENING_LENGTH = 1.0 / 2.134563
"""Angstrom, over Z^0.23 + Z'^0.23: the screening length of a pair."""
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


@dataclasses.dataclass(frozen=True)
class NepPotential:
    """A neuroevolution potential for the species of its file."""

    model: NepModel

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the file."""
        return self.model.species

    @property
    def site_energies(self) -> SiteEnergies:
        """The pure function of edges and parameters. It cannot be differentiated by the parameters."""
        return nep_site_energies

    @property
    def switching(self) -> np.ndarray:
        """0 and the radial cutoff of each pair, (S, S, 2) Angstrom: f_c has no inner radius."""
        outer = self.model.pair_cutoffs[..., 0]
        return np.stack([np.zeros_like(outer), outer], axis=-1)

    @property
    def core(self) -> np.ndarray:
        """(S, S) Angstrom, the angular cutoff of each pair: beyond it an edge costs little."""
        return self.model.pair_cutoffs[..., 1]

    def fingerprint(self) -> bytes:
        """SHA-256 of all numbers of the model."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self.model):
            digest.update(field.name.encode() + _bytes(getattr(self.model, field.name)))
        return digest.digest()

    def among(self, species: tuple[str, ...]) -> NepPotential:
        """The same model for some of its species only, in the file's order: a structure of few pays for no more."""
        model = self.model
        keep = np.array([number for number, symbol in enumerate(model.species) if symbol in species])
        pairs = np.ix_(keep, keep)
        repulsion = model.repulsion and dataclasses.replace(
            model.repulsion,
            **{f.name: getattr(model.repulsion, f.name)[pairs] for f in dataclasses.fields(model.repulsion)},
        )
        rows = ("cutoffs", "input_weights", "input_biases", "output_weights", "output_biases")
        return NepPotential(
            dataclasses.replace(
                model,
                species=tuple(model.species[number] for number in keep),
                radial=model.radial[:, :, keep][..., keep],
                angular=model.angular[:, :, keep][..., keep],
                repulsion=repulsion,
                **{name: getattr(model, name)[keep] for name in rows},
            )
        )

    def parameters(self, block: SiteBlock, core: int | None = None) -> NepParameters:
        """Parameters for the sites of a block; edges within the angular cutoff are among the first ``core`` slots."""
        model, kind = self.model, int(np.asarray(block.kinds)[0])
        inverse_cutoffs = 1.0 / model.pair_cutoffs[kind].T
        if (model.cutoffs == model.cutoffs[0]).all():
            inverse_cutoffs = inverse_cutoffs[:, :1]
        return NepParameters(
            weights=jnp.asarray(_weights(block, len(model.species))),
            inverse_cutoffs=jnp.asarray(inverse_cutoffs),
            radial=jnp.asarray(_chebyshev_coefficients(model.radial[:, :, kind])),
            angular=jnp.asarray(_chebyshev_coefficients(model.angular[:, :, kind])),
            input_weights=jnp.asarray((model.input_weights[kind] * model.scale).T),
            input_biases=jnp.asarray(model.input_biases[kind]),
            output_weights=jnp.asarray(model.output_weights[kind]),
            output_bias=jnp.asarray(model.output_biases[kind]),
            repulsion=self._repulsion_parameters(kind),
            highest_l=model.highest_l,
            four_body=model.four_body,
            five_body=model.five_body,
            core=block.neighbours.shape[0] if core is None else core,
        )

    def _repulsion_parameters(self, kind: int) -> RepulsionParameters | None:
        table = self.model.repulsion
        if table is None:
            return None
        charges = np.array([float(atomic_numbers[symbol]) for symbol in self.species])
        inverse_length = (charges[kind] ** 0.23 + charges**0.23) / SCREENING_LENGTH
        return RepulsionParameters(
            strength=jnp.asarray(COULOMB * charges[kind] * charges),
            inner=jnp.asarray(table.inner[kind]),
            inverse_width=jnp.asarray(1.0 / (table.outer - table.inner)[kind]),
            amplitudes=jnp.asarray(table.screening[kind, :, 0::2].T),
            decays=jnp.asarray(table.screening[kind, :, 1::2].T * inverse_length),
        )


def read_nep(path: Path) -> NepPotential:
    """The potential of a ``nep.txt``.

    Raises
    ------
    InputError
        See ``read_nep_file``.
    """
    return NepPotential(read_nep_file(path))


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
        descriptors.extend(_angular_descriptors(moments, p))
    hidden = jnp.tanh(jnp.concatenate(descriptors, axis=1) @ p.input_weights - p.input_biases)
    energies = hidden @ p.output_weights - p.output_bias
    return energies if p.repulsion is None else energies + _repulsion(near_distance, near_weights, p.repulsion)


def _radial_descriptors(distance: jax.Array, weights: jax.Array, p: NepParameters) -> jax.Array:
    """(size, N) sums of g_n: first over the neighbours of each species, then over the polynomials."""
    square = _inwardness(distance, weights, p.inverse_cutoffs[0])
    polynomials = jnp.stack(_chebyshev(2.0 * square - 1.0, p.radial.shape[2]), axis=1)
    sums = jnp.einsum("nkm,snm->nks", polynomials, _switch(square) * weights)
    return jnp.einsum("nks,sck->nc", sums, p.radial)


def _moments(unit: jax.Array, distance: jax.Array, weights: jax.Array, p: NepParameters) -> jax.Array:
    """A_nlm as (size, N, (L + 1)^2 - 1)."""
    square = _inwardness(distance, weights, p.inverse_cutoffs[1])
    polynomials = jnp.stack(_chebyshev(2.0 * square - 1.0, p.angular.shape[2]))
    by_species = jnp.einsum("sck,knm->scnm", p.angular, polynomials)
    functions = jnp.sum(by_species * weights[:, None], axis=0)
    switch = _switch(square)
    harmonics = jnp.stack([switch * harmonic for harmonic in _harmonics(unit, p.highest_l)], axis=1)
    return jnp.einsum("cnm,nlm->ncl", functions, harmonics)


def _angular_descriptors(moments: jax.Array, p: NepParameters) -> list[jax.Array]:
    """q_nl for every l, then q_n(222) and q_n(1111), each (size, N)."""
    orders = jnp.split(moments, [(degree + 1) ** 2 - 1 for degree in range(1, p.highest_l)], axis=2)
    descriptors = [jnp.sum(order**2, axis=2) for order in orders]
    if p.four_body:
        descriptors.append(_determinant(orders[1]))
    if p.five_body:
        descriptors.append(7.0 / 15.0 * descriptors[0] ** 2)
    return descriptors


def _determinant(order: jax.Array) -> jax.Array:
    """q_n(222) of the l = 2 moments (size, N, 5)."""
    a, xz, yz, d, xy = (order[..., m] for m in range(5))
    zz = 2.0 / math.sqrt(3.0) * a
    xx, yy = d - 0.5 * zz, -d - 0.5 * zz
    return QUADRUPOLE * (zz * (xx * yy - xy**2) - xx * yz**2 - yy * xz**2 + 2.0 * xy * xz * yz)


def _inwardness(distance: jax.Array, weights: jax.Array, inverse_cutoffs: jax.Array) -> jax.Array:
    """w^2 = (1 - r/r_c)^2, 0 beyond the cutoff."""
    if len(inverse_cutoffs) == 1:
        inverse = inverse_cutoffs[0]
    else:
        inverse = jnp.sum(weights * inverse_cutoffs[:, None, None], axis=0)
    return jnp.maximum(1.0 - distance * inverse, 0.0) ** 2


def _switch(square: jax.Array) -> jax.Array:
    """f_c = sin^2(pi w / 2) from w^2 <= 1, by the Taylor series of the sine: unlike the library call it vectorises."""
    total = jnp.full_like(square, SINE_SERIES[-1])
    for coefficient in SINE_SERIES[-2::-1]:
        total = total * square + coefficient
    return square * total**2


def _chebyshev(t: jax.Array, count: int) -> list[jax.Array]:
    """T_0 ... T_(count - 1)."""
    values = [jnp.ones_like(t), t]
    for _ in range(count - 2):
        values.append(2.0 * t * values[-1] - values[-2])
    return values[:count]


def _chebyshev_coefficients(expansion: np.ndarray) -> np.ndarray:
    """(S, N, K) coefficients of T_k f_c from those (N, K, S) of f_k = f_c (T_k + 1)/2, f_0 = f_c."""
    plain = 0.5 * expansion
    plain[:, 0] += 0.5 * np.sum(expansion, axis=1)
    return plain.transpose(2, 0, 1)


def _harmonics(unit: jax.Array, highest: int) -> list[jax.Array]:
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
            polar = _horner(_polar_coefficients(degree, m), z)
            result.extend([polar] if m == 0 else [polar * real[m], polar * imaginary[m]])
    return result


@functools.cache
def _polar_coefficients(degree: int, m: int) -> tuple[float, ...]:
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


def _repulsion(distance: jax.Array, weights: jax.Array, p: RepulsionParameters) -> jax.Array:
    """Half the ZBL energy of every edge, summed for each site."""

    def of_edge(values: jax.Array) -> jax.Array:
        return jnp.sum(weights * values[:, None, None], axis=0)

    screening = sum(of_edge(a) * jnp.exp(-of_edge(b) * distance) for a, b in zip(p.amplitudes, p.decays, strict=True))
    inwardness = jnp.clip(1.0 - (distance - of_edge(p.inner)) * of_edge(p.inverse_width), 0.0, 1.0)
    return jnp.sum(0.5 * of_edge(p.strength) / distance * screening * _switch(inwardness**2), axis=1)


def _weights(block: SiteBlock, species: int) -> np.ndarray:
    """See ``NepParameters.weights``; sites that fill up the last chunk have no edges."""
    kinds, present = np.asarray(block.neighbour_kinds).T, np.asarray(block.present).T
    count, slots = kinds.shape
    chunks = math.ceil(count / SITES_AT_ONCE)
    size = math.ceil(count / chunks)
    weights = np.zeros((chunks * size, species, slots))
    weights[:count] = (kinds[:, None, :] == np.arange(species)[:, None]) & present[:, None, :]
    return weights.reshape(chunks, size, species, slots).transpose(0, 2, 1, 3).copy()


def _bytes(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return repr(value.shape).encode() + np.ascontiguousarray(value).tobytes()
    if dataclasses.is_dataclass(value):
        return b"".join(_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return repr(value).encode()
