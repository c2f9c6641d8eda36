"""Functions of one NEP edge with their derivatives: radial functions g_n, and harmonics as tables over monomials.

With w = 1 - r/r_c, g_n(r) = sum_k c_nk f_c(w) T_k(2 w^2 - 1) is differentiated by w explicitly: f_c is a half turn
of sine and cosine, and derivatives of Chebyshev polynomials are sums of Chebyshev polynomials again.

Y_lm(r/|r|) = P(r)/|r|^l with P homogeneous of degree l; P and its derivatives at the unit vector u are tables applied
to the monomials of u, and dY/dr = (dP/dr - l u P)/|r|.

Each array ends in a product with a table: what is elementwise in between XLA would evaluate again for each of its
uses, and compile as often.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import chebyshev as series

from ldmd.potentials.nep_sites import SINE_SERIES, chebyshev, polar_coefficients

COSINE_SERIES = tuple((-1) ** k * (0.5 * math.pi) ** (2 * k) / math.factorial(2 * k) for k in range(13))
EdgeFunctions = tuple[jax.Array, jax.Array, jax.Array]
"""g_n of the distance and two derivatives by it, each (N, n, M)."""


@dataclasses.dataclass(frozen=True)
class Angles:
    """The L = l (l + 2) harmonics up to some degree l, by the order of ``nep_sites.harmonics``."""

    values: jax.Array
    """(L, n, M) Y"""
    slopes: jax.Array
    """(3, L, n, M) dY/dr times the distance"""
    curvatures: jax.Array
    """(3, 3, L, n, M) second derivatives of P at the unit vector"""


@dataclasses.dataclass(frozen=True)
class _Tables:
    """Monomials x^i y^j z^k up to some degree, Q of them, and homogeneous polynomials in them."""

    exponents: np.ndarray
    """(3, Q)"""
    values: np.ndarray
    """(L, Q)"""
    slopes: np.ndarray
    """(3, L, Q)"""
    curvatures: np.ndarray
    """(3, 3, L, Q)"""
    degrees: np.ndarray
    """(L,)"""


@jax.custom_jvp
def edge_functions(
    distance: jax.Array, inverse_cutoffs: jax.Array, weights: jax.Array, coefficients: jax.Array
) -> EdgeFunctions:
    """g_n of edges at distances (n, M), for the species in weights (S, n, M) and coefficients (S, N, K).

    The cutoff is one number or (n, M). Differentiable by the distance only, once.
    """
    zeroth, first, second, _ = _orders(distance, inverse_cutoffs, weights, coefficients)
    return zeroth, first, second


@edge_functions.defjvp
def _edge_function_slopes(
    primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[EdgeFunctions, EdgeFunctions]:
    zeroth, first, second, third = _orders(*primals)
    step = tangents[0]
    return (zeroth, first, second), (first * step, second * step, third * step)


def _orders(distance: jax.Array, inverse: jax.Array, weights: jax.Array, coefficients: jax.Array) -> list[jax.Array]:
    """g_n and three derivatives."""
    w = jnp.maximum(1.0 - distance * inverse, 0.0)
    basis = _basis(w, coefficients.shape[2])
    inside = jnp.where(w > 0.0, weights, 0.0)  # the second derivative is not zero when the first ones get there
    return [
        functools.reduce(
            jnp.add,
            (
                jnp.einsum("ck,knm->cnm", coefficients[kind], order * ((-inverse) ** power * inside[kind]))
                for kind in range(len(weights))
            ),
        )
        for power, order in enumerate(basis)
    ]


def _basis(w: jax.Array, count: int) -> list[jax.Array]:
    """f_c T_k(2 w^2 - 1) and three derivatives by w, each (K, n, M)."""
    sine, cosine = _half_turn(w)
    full, plain = math.pi * sine * cosine, cosine**2 - sine**2
    cut = (sine**2, full, 0.5 * math.pi**2 * plain, -(math.pi**2) * full)
    polynomials = jnp.stack(chebyshev(2.0 * w**2 - 1.0, count))
    first, second, third = (jnp.einsum("jk,knm->jnm", table, polynomials) for table in _chebyshev_derivatives(count))
    by_w = (
        polynomials,
        4.0 * w * first,
        16.0 * w**2 * second + 4.0 * first,
        64.0 * w**3 * third + 48.0 * w * second,
    )
    return [functools.reduce(jnp.add, (math.comb(n, k) * cut[n - k] * by_w[k] for k in range(n + 1))) for n in range(4)]


def _half_turn(w: jax.Array) -> tuple[jax.Array, jax.Array]:
    """sin(pi w/2) and cos(pi w/2) for 0 <= w <= 1, by their Taylor series."""
    square = w * w
    sine, cosine = (jnp.full_like(w, terms[-1]) for terms in (SINE_SERIES, COSINE_SERIES))
    for term in SINE_SERIES[-2::-1]:
        sine = sine * square + term
    for term in COSINE_SERIES[-2::-1]:
        cosine = cosine * square + term
    return sine * w, cosine


@functools.cache
def _chebyshev_derivatives(count: int) -> np.ndarray:
    """(3, K, K): the first three derivatives of T_k, row k, as sums of T_j."""
    tables = np.zeros((3, count, count))
    for order, table in enumerate(tables, start=1):
        for k in range(order, count):
            derivative = series.chebder(np.eye(count)[k], order)
            table[k, : len(derivative)] = derivative
    return tables


def angles(unit: jax.Array, highest: int) -> Angles:
    """Harmonics of unit vectors (3, n, M) up to degree ``highest``, at least 1."""
    tables = _tables(highest)
    powers = jnp.stack([unit**k for k in range(highest + 1)])
    monomials = jnp.ones(())
    for axis, exponents in enumerate(tables.exponents):
        monomials = monomials * jnp.einsum("qk,knm->qnm", np.eye(highest + 1)[exponents], powers[:, axis])
    values = jnp.einsum("lq,qnm->lnm", tables.values, monomials)
    slopes = jnp.einsum("alq,qnm->alnm", tables.slopes, monomials)
    curvatures = jnp.einsum("ablq,qnm->ablnm", tables.curvatures, monomials)
    return Angles(values, slopes - tables.degrees[:, None, None] * values * unit[:, None], curvatures)


@functools.cache
def _tables(highest: int) -> _Tables:
    """Polynomials are cubes of coefficients by the powers of x, y and z until their monomials are picked."""
    cubes: list[np.ndarray] = []
    degrees: list[int] = []
    for degree in range(1, highest + 1):
        for m in range(degree + 1):
            parts = _turns(m, highest)[: 1 + (m > 0)]
            cubes.extend(_polar(degree, m, part) for part in parts)
            degrees.extend([degree] * len(parts))
    exponents = np.array([e for e in np.ndindex(*[highest + 1] * 3) if sum(e) <= highest]).T
    slopes = [[_derivative(cube, a) for cube in cubes] for a in range(3)]
    curvatures = [[[_derivative(cube, b) for cube in row] for b in range(3)] for row in slopes]
    values, first, second = (np.array(array)[..., *exponents] for array in (cubes, slopes, curvatures))
    return _Tables(exponents, values, first, second, np.array(degrees, dtype=float))


def _turns(m: int, highest: int) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary part of (x + i y)^m."""
    real = np.zeros((highest + 1,) * 3)
    real[0, 0, 0] = 1.0
    imaginary = 0.0 * real
    for _ in range(m):
        real, imaginary = (
            _times(real, 0) - _times(imaginary, 1),
            _times(real, 1) + _times(imaginary, 0),
        )
    return real, imaginary


def _polar(degree: int, m: int, turn: np.ndarray) -> np.ndarray:
    """``turn`` times the polynomial of z in Y_lm, made homogeneous: z^k r^(l - m - k)."""
    total = 0.0 * turn
    for k, coefficient in enumerate(polar_coefficients(degree, m)):
        if (degree - m - k) % 2 == 0:
            term = coefficient * turn
            for _ in range(k):
                term = _times(term, 2)
            for _ in range((degree - m - k) // 2):
                term = np.sum([_times(_times(term, axis), axis) for axis in range(3)], axis=0)
            total = total + term
    return total


def _times(cube: np.ndarray, axis: int) -> np.ndarray:
    """The polynomial times x, y or z; its degree leaves room for that."""
    return np.roll(cube, 1, axis)


def _derivative(cube: np.ndarray, axis: int) -> np.ndarray:
    powers = np.arange(cube.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
    return np.roll(powers * cube, -1, axis)
