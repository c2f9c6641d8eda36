"""Force constants of a differentiable potential, exact: no displacement, no step size.

A site energy depends on its own edges only, so the second and third derivatives of the total energy are sums of
small site tensors in edge space. Tangent vectors are the same unit edge component for all sites at once: 3M
Jacobian-vector products of the gradient give every site's Hessian, 3M(3M+1)/2 nested ones its third derivatives.
Those are kept where they fit; where sites are wide, the third order is differentiated anew along every direction.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

from ldmd.force_constants.directional import directional_third_order, site_gradient
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sites import Sites, selections, sites_of
from ldmd.force_constants.third import SiteGroup, SiteThirdOrder, ThirdOrder
from ldmd.potentials.base import (
    HessianPotential,
    Parameters,
    SiteEnergies,
    SiteHessians,
    SitePotential,
    edge_vectors,
)
from ldmd.structures import NeighbourGraph, SiteBlock

SITES_AT_ONCE = 64
"""Differentiated together: with more, intermediate arrays fall out of the cache, and it takes three times as long."""
TENSOR_MEMORY = 1e9
"""Bytes that the site tensors may take in all, by default; several times as much while they are made."""


def second_order(potential: SitePotential, positions: np.ndarray, graph: NeighbourGraph) -> SecondOrder:
    """Second-order force constants at positions (N, 3), Angstrom."""
    size = 3 * len(positions)
    matrix = sp.csr_array((size, size))
    for block, edges in zip(graph.blocks, edge_vectors(jnp.asarray(positions), graph), strict=True):
        sites = sites_of(potential, block, np.asarray(edges))
        hessians = _block_hessians(potential, sites)
        count, width, _ = hessians.shape
        pointers = np.arange(count + 1)
        diagonal = sp.bsr_array((hessians, pointers[:-1], pointers), shape=(count * width,) * 2)
        differences = _edge_differences(sites.block, size)
        matrix = matrix + differences.T @ diagonal @ differences
    matrix = sp.csr_array(0.5 * (matrix + matrix.T))
    matrix.eliminate_zeros()
    return SecondOrder(matrix)


def third_order(
    potential: SitePotential, positions: np.ndarray, graph: NeighbourGraph, tensor_memory: float = TENSOR_MEMORY
) -> ThirdOrder:
    """Third-order force constants at positions (N, 3), Angstrom, as an operator.

    On site tensors where these take at most ``tensor_memory`` bytes: contractions are then a few matrix products.
    Directional derivatives of site Hessians otherwise (see ``directional``).
    """
    if tensor_bytes(graph) > tensor_memory:
        return directional_third_order(potential, positions, graph)
    return site_third_order(potential, positions, graph)


def tensor_bytes(graph: NeighbourGraph) -> int:
    """Memory of all site tensors: (3M)^3 numbers per site in a block of width M."""
    return sum(8 * (3 * block.neighbours.shape[0]) ** 3 * len(block.centres) for block in graph.blocks)


def site_third_order(potential: SitePotential, positions: np.ndarray, graph: NeighbourGraph) -> SiteThirdOrder:
    """Third-order force constants at positions (N, 3), Angstrom, on site tensors whatever they take."""
    groups: list[SiteGroup] = []
    for block, edges in zip(graph.blocks, edge_vectors(jnp.asarray(positions), graph), strict=True):
        sites = sites_of(potential, block, np.asarray(edges))
        groups.extend(_group_sites(_site_tensors(potential, sites), sites.block))
    return SiteThirdOrder(3 * len(positions), tuple(groups))


def _block_hessians(potential: SitePotential, sites: Sites) -> np.ndarray:
    """(n, 3M, 3M), edge components ordered 3 m + a."""
    _, slots, count = sites.edges.shape
    if not isinstance(potential, HessianPotential):
        parameters = sites.parameters(potential, np.arange(count))
        found = _site_hessians(potential.site_energies, jnp.asarray(sites.edges), parameters)
        return np.asarray(found).transpose(2, 0, 1)
    hessians = np.empty((count, 3 * slots, 3 * slots))
    for which in selections(count, SITES_AT_ONCE) if count else ():
        some = jnp.asarray(sites.edges[:, :, which])
        hessians[which] = _given_hessians(potential.site_hessians, some, sites.parameters(potential, which))
    return hessians


@functools.partial(jax.jit, static_argnums=0)
def _given_hessians(function: SiteHessians, edges: jax.Array, parameters: Parameters) -> jax.Array:
    """(n, 3M, 3M) from the potential's own (n, 3, M, 3, M)."""
    width = 3 * edges.shape[1]
    return function(edges, parameters).transpose(0, 2, 1, 4, 3).reshape(-1, width, width)


@functools.partial(jax.jit, static_argnums=0)
def _site_hessians(function: SiteEnergies, edges: jax.Array, parameters: Parameters) -> jax.Array:
    """(3M, 3M, n), edge components ordered 3 m + a."""
    gradient = site_gradient(function, parameters)
    return jax.lax.map(lambda t: _flatten(jax.jvp(gradient, (edges,), (t,))[1]), _unit_edges(edges))


def _site_tensors(potential: SitePotential, sites: Sites) -> np.ndarray:
    """Third derivatives (n, 3M, 3M, 3M) of a block's sites, some sites at a time."""
    _, slots, count = sites.edges.shape
    tensors = np.empty((count, *(3 * slots,) * 3))
    for which in selections(count, SITES_AT_ONCE) if count else ():
        edges, parameters = jnp.asarray(sites.edges[:, :, which]), sites.parameters(potential, which)
        some = _site_third_derivatives(potential.site_energies, edges, parameters)
        tensors[which] = np.asarray(some).transpose(3, 0, 1, 2)
    return tensors


@functools.partial(jax.jit, static_argnums=0)
def _site_third_derivatives(function: SiteEnergies, edges: jax.Array, parameters: Parameters) -> jax.Array:
    """(3M, 3M, 3M, n), symmetric in its first two axes by construction and in the third to round-off."""
    gradient = site_gradient(function, parameters)
    tangents = _unit_edges(edges)
    first, second = np.triu_indices(len(tangents))

    def contracted(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        def inner(at: jax.Array) -> jax.Array:
            return jax.jvp(gradient, (at,), (tangents[pair[0]],))[1]

        return _flatten(jax.jvp(inner, (edges,), (tangents[pair[1]],))[1])

    columns = jax.lax.map(contracted, (jnp.asarray(first), jnp.asarray(second)))
    position = np.zeros((len(tangents),) * 2, dtype=int)
    position[first, second] = position[second, first] = np.arange(len(first))
    return columns[position]


def _unit_edges(edges: jax.Array) -> jax.Array:
    """(3M, 3, M, n): one unit edge component at a time, for all sites together."""
    slots = edges.shape[1]
    units = np.eye(3 * slots).reshape(3 * slots, slots, 3).transpose(0, 2, 1)
    return jnp.broadcast_to(units[..., None], (3 * slots, *edges.shape))


def _flatten(components: jax.Array) -> jax.Array:
    """(3, M, n) -> (3M, n) with components ordered 3 m + a."""
    return components.transpose(1, 0, 2).reshape(-1, components.shape[2])


def _edge_differences(block: SiteBlock, size: int) -> sp.csr_array:
    """Sparse map (3 M n, 3N) from atomic to edge displacements; rows ordered (3 m + a) within a site."""
    slots, count = block.neighbours.shape
    m, n = np.nonzero(block.present)
    rows = ((n * slots + m)[:, None] * 3 + np.arange(3)).ravel()
    ends = (3 * block.neighbours[m, n][:, None] + np.arange(3)).ravel()
    starts = (3 * block.centres[n][:, None] + np.arange(3)).ravel()
    data = np.concatenate([np.ones(len(rows)), -np.ones(len(rows))])
    return sp.csr_array((data, (np.tile(rows, 2), np.concatenate([ends, starts]))), shape=(3 * slots * count, size))


def _group_sites(tensors: np.ndarray, block: SiteBlock) -> list[SiteGroup]:
    """Sites of equal edge count together, padding left out: the edges of a site fill its first slots."""
    counts = block.present.sum(axis=0)
    groups = []
    for edges in np.unique(counts[counts > 0]):
        sites = np.flatnonzero(counts == edges)
        others = block.neighbours[:edges, sites].T
        width = 3 * edges
        kept = np.ascontiguousarray(tensors[sites, :width, :width, :width])
        groups.append(SiteGroup(block.centres[sites], others, kept))
    return groups
