"""Hessians of NEP site energies as products of small matrices: exact, and in a form that is worth differentiating.

A site energy is U = F(a), a smooth function of a few hundred sums a = sum_j phi(r_j) over its edges. With J = da/dr,

    d^2 U / dr dr' = J^T F''(a) J + sum_j F'(a) . phi''(r_j)        (the last for each edge alone).

Here F is a network of descriptors q, low polynomials of the sums (see ``nep_sites``), which splits F'' once more:

    J^T F'' J = A^T K A + G^T diag(w1 tanh''(z)) G,   z = W0 q - b0,   G = dz/dr,   K = sum_q dU/dq d^2 q/dA dA,

A = dA_nlm/dr. K couples no different n. A slope along some direction, which is what third-order force constants are
made of, needs few products more: with primes for d/dt, d/dt (A^T K A) = A^T (K A' + K' A/2) plus its transpose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ldmd.potentials.nep_edges import Angles, EdgeFunctions, angles, edge_functions
from ldmd.potentials.nep_sites import NepParameters, RepulsionParameters, angular_descriptors, inverse_cutoff, repulsion


@dataclasses.dataclass(frozen=True)
class _Shell:
    """Edges that a part of the potential sees."""

    unit: jax.Array
    """(3, n, M)"""
    distance: jax.Array
    """(n, M) Angstrom"""
    weights: jax.Array
    """(S, n, M), see ``NepParameters``."""

    def functions(self, inverse_cutoffs: jax.Array, coefficients: jax.Array) -> EdgeFunctions:
        """g_n and its derivatives."""
        inverse = inverse_cutoff(self.weights, inverse_cutoffs)
        return edge_functions(self.distance, inverse, self.weights, coefficients)


@dataclasses.dataclass(frozen=True)
class _Angular:
    """The angular sums of every site and how they depend on its edges."""

    functions: EdgeFunctions
    angles: Angles
    sums: jax.Array
    """(n, N, L) A_nlm"""
    slopes: jax.Array
    """(n, N, L, 3M) dA_nlm/dr, 1/Angstrom"""
    degrees: jax.Array


def nep_site_hessians(edges: jax.Array, p: NepParameters) -> jax.Array:
    """Second derivatives (n, 3, M, 3, M) of the site energies by their own edges (3, M, n), eV/Angstrom^2."""
    _, slots, count = edges.shape
    wide, near = _shells(edges, p)
    radial = wide.functions(p.inverse_cutoffs[0], p.radial)
    angular = _angular(near, p) if p.highest_l else None
    descriptors = jnp.sum(radial[0], axis=2).T
    width = descriptors.shape[1]
    if angular is not None:
        descriptors = jnp.concatenate([descriptors, _flat_invariants(angular.sums, p)], axis=1)
    slopes, curvatures = _network(descriptors, p)

    firsts, seconds = (jnp.einsum("nr,rnm->nm", slopes[:, :width], order) for order in radial[1:])
    own = _isotropic(firsts, seconds, wide)
    along = jnp.einsum("rh,rnm->nhm", p.input_weights[:width], radial[1])
    steepness = along[:, :, None] * wide.unit.swapaxes(0, 1)[:, None]
    if p.repulsion is not None:
        own = own + _widened(_repulsion_blocks(near, p.repulsion), slots)
    if angular is None:
        return _square(_diagonal_form(steepness.reshape(count, -1, 3 * slots), curvatures), own)
    by_invariant = slopes[:, width:].reshape(count, -1, angular.sums.shape[1]).swapaxes(1, 2)
    own = own + _widened(_angular_blocks(near, angular, by_invariant, p), slots)
    steepness = steepness + _widened(_angular_steepness(angular, p, width), slots)
    whole = _square(_diagonal_form(steepness.reshape(count, -1, 3 * slots), curvatures), own)
    inner = _block_form(angular.slopes, _couplings(angular.sums, by_invariant, p))
    inner = _widened(inner.reshape(count, 3, p.core, 3, p.core), slots)
    return whole + _widened(inner.swapaxes(2, 4), slots).swapaxes(2, 4)


def _shells(edges: jax.Array, p: NepParameters) -> tuple[_Shell, _Shell]:
    """All edges, and those in the slots of the core."""
    _, slots, count = edges.shape
    weights = p.weights.transpose(1, 0, 2, 3).reshape(p.weights.shape[1], -1, slots)[:, :count]
    vectors = edges.swapaxes(1, 2)
    distance = jnp.sqrt(jnp.sum(vectors**2, axis=0))
    arrays = (vectors / distance, distance, weights)
    return _Shell(*arrays), _Shell(*(array[..., : p.core] for array in arrays))


def _angular(near: _Shell, p: NepParameters) -> _Angular:
    functions = near.functions(p.inverse_cutoffs[1], p.angular)
    around = angles(near.unit, p.highest_l)
    values, slopes = (order.swapaxes(0, 1)[:, :, None, None] for order in functions[:2])
    turning = (around.slopes / near.distance).transpose(2, 1, 0, 3)[:, None]
    stretching = (around.values * near.unit[:, None]).transpose(2, 1, 0, 3)[:, None]
    jacobian = values * turning + slopes * stretching
    sums = jnp.einsum("cnm,lnm->ncl", functions[0], around.values)
    degrees = jnp.concatenate([jnp.full(2 * degree + 1, float(degree)) for degree in range(1, p.highest_l + 1)])
    return _Angular(functions, around, sums, jacobian.reshape(*sums.shape, -1), degrees)


def _network(descriptors: jax.Array, p: NepParameters) -> tuple[jax.Array, jax.Array]:
    """dU/dq (n, D), and w1 tanh'' (n, H)."""
    hidden = jnp.tanh(descriptors @ p.input_weights - p.input_biases)
    slopes = (1.0 - hidden**2) * p.output_weights
    return slopes @ p.input_weights.T, -2.0 * hidden * slopes


def _invariants(sums: jax.Array, p: NepParameters) -> jax.Array:
    """(n, N, I) from (n, N, L)."""
    return jnp.stack(angular_descriptors(sums, p), axis=2)


def _flat_invariants(sums: jax.Array, p: NepParameters) -> jax.Array:
    """(n, I N) in the network's order."""
    return _invariants(sums, p).swapaxes(1, 2).reshape(len(sums), -1)


def _pulled(sums: jax.Array, by_invariant: jax.Array, p: NepParameters) -> jax.Array:
    """dU/dA_nlm (n, N, L) for fixed dU/dq (n, N, I)."""
    return jax.vjp(lambda at: _invariants(at, p), sums)[1](by_invariant)[0]


def _couplings(sums: jax.Array, by_invariant: jax.Array, p: NepParameters) -> jax.Array:
    """K (n, N, L, L)."""
    return _jacobian(lambda at: _pulled(at, by_invariant, p), sums)


def _jacobian(function: Callable[[jax.Array], jax.Array], at: jax.Array) -> jax.Array:
    """Derivatives, as a new last axis, of functions of the last axis alone."""

    def column(unit: jax.Array) -> jax.Array:
        return jax.jvp(function, (at,), (jnp.broadcast_to(unit, at.shape),))[1]

    return jax.vmap(column, out_axes=-1)(jnp.eye(at.shape[-1]))


def _angular_steepness(angular: _Angular, p: NepParameters, width: int) -> jax.Array:
    """dz/dr (n, H, 3, core) by way of the angular sums."""
    inner = _jacobian(lambda at: _invariants(at, p), angular.sums) @ angular.slopes
    count, functions, invariants, _ = inner.shape
    weights = p.input_weights[width:].reshape(invariants, functions, -1)
    weights = weights.swapaxes(0, 1).reshape(functions * invariants, -1)
    steepness = jnp.einsum("qh,nqx->nhx", weights, inner.reshape(count, functions * invariants, -1))
    return steepness.reshape(count, -1, 3, p.core)


def _isotropic(firsts: jax.Array, seconds: jax.Array, shell: _Shell) -> jax.Array:
    """Hessians (3, 3, n, M) of functions of the distance with these derivatives (n, M)."""
    across = firsts / shell.distance
    return (seconds - across) * _outer(shell.unit, shell.unit) + across * _identity()


def _repulsion_blocks(near: _Shell, p: RepulsionParameters) -> jax.Array:
    """Hessians (3, 3, n, core) of every edge's repulsion."""

    def slope(distance: jax.Array) -> jax.Array:
        return jax.grad(lambda at: jnp.sum(repulsion(at, near.weights, p)))(distance)

    firsts, seconds = jax.jvp(slope, (near.distance,), (jnp.ones_like(near.distance),))
    return _isotropic(firsts, seconds, near)


def _angular_blocks(near: _Shell, angular: _Angular, by_invariant: jax.Array, p: NepParameters) -> jax.Array:
    """Hessians (3, 3, n, core) of sum_lm b_lm(r) Y_lm for every edge, b_lm = sum_n dU/dA_nlm g_n.

    Of Y_lm = P(r)/|r|^l at unit distance: d_a d_b Y = P_ab - l (u_a d_b Y + u_b d_a Y) + l (2 - l) u_a u_b Y - l Y 1.
    """
    slopes = _pulled(angular.sums, by_invariant, p)
    zeroth, first, second = (jnp.einsum("ncl,cnm->lnm", slopes, order) for order in angular.functions)
    around, degrees, distance = angular.angles, angular.degrees[:, None, None], near.distance
    zeroth = zeroth / distance**2
    bent = zeroth * degrees
    cross = jnp.sum((first / distance - bent) * around.slopes, axis=1)
    stretched = jnp.sum((second + (2.0 - degrees) * bent) * around.values, axis=0)
    across = jnp.sum(first * around.values, axis=0) / distance
    turned = jnp.sum(bent * around.values, axis=0)
    return (
        jnp.sum(zeroth * around.curvatures, axis=2)
        + _outer(near.unit, cross)
        + _outer(cross, near.unit)
        + (stretched - across) * _outer(near.unit, near.unit)
        + (across - turned) * _identity()
    )


def _outer(a: jax.Array, b: jax.Array) -> jax.Array:
    """(3, 3, n, M) of vectors (3, n, M)."""
    return a[:, None] * b[None, :]


def _identity() -> jax.Array:
    return jnp.eye(3)[:, :, None, None]


def _widened(values: jax.Array, slots: int) -> jax.Array:
    """With zeros for the slots that are missing from the last axis."""
    missing = slots - values.shape[-1]
    return jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)]) if missing else values


def _square(form: jax.Array, own: jax.Array) -> jax.Array:
    """Forms (n, 3M, 3M) and blocks (3, 3, n, M) of each edge together, (n, 3, M, 3, M)."""
    slots = own.shape[3]
    blocks = own.transpose(2, 0, 1, 3)[:, :, None] * jnp.eye(slots)[:, None, :]
    return form.reshape(-1, 3, slots, 3, slots) + blocks


@jax.custom_jvp
def _block_form(vectors: jax.Array, matrices: jax.Array) -> jax.Array:
    """sum_n V^T K V, (n, X, X), of V (n, N, L, X) and symmetric K (n, N, L, L)."""
    return _product(vectors, matrices @ vectors)


@_block_form.defjvp
def _block_form_slope(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (vectors, matrices), (vector_slopes, matrix_slopes) = primals, tangents
    half = _product(vectors, matrices @ vector_slopes + 0.5 * (matrix_slopes @ vectors))
    return _block_form(vectors, matrices), half + half.swapaxes(1, 2)


@jax.custom_jvp
def _diagonal_form(vectors: jax.Array, factors: jax.Array) -> jax.Array:
    """V^T diag(k) V, (n, X, X), of V (n, H, X) and k (n, H)."""
    return _product(vectors, factors[:, :, None] * vectors)


@_diagonal_form.defjvp
def _diagonal_form_slope(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (vectors, factors), (vector_slopes, factor_slopes) = primals, tangents
    half = _product(vectors, factors[:, :, None] * vector_slopes + 0.5 * factor_slopes[:, :, None] * vectors)
    return _diagonal_form(vectors, factors), half + half.swapaxes(1, 2)


def _product(left: jax.Array, right: jax.Array) -> jax.Array:
    """(n, X, X): the sum over all between the first and the last axis."""
    count, width = left.shape[0], left.shape[-1]
    return jnp.einsum("nax,nay->nxy", left.reshape(count, -1, width), right.reshape(count, -1, width))
