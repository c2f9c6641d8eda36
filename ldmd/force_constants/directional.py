"""Third-order force constants of potentials with many neighbours per site, without a single third-order tensor.

The derivatives of a site energy U with respect to its M edge vectors r_e (3M components) fill a tensor of (3M)^3
numbers, 47 MB per site for M = 60. Its contraction with a direction u is a matrix of (3M)^2: the slope of the site's
Hessian H along the steps s_e = u_j - u_i of its edges e = i -> j,

    A_ef = d/dt H_ef(r + t s) at t = 0,   sum_c Phi_abc u_c = sum over sites of E^T A E,   E = d(edges)/d(atoms).

A is the linearised map t -> d/dt' (D^2 U(r + t' s) t), applied to 3M unit tangents: a unit tangent is the same edge
component for all sites of a chunk at once; a potential that gives its Hessians itself (``HessianPotential``) has them
differentiated along the steps instead. The linearisation is shared by the tangents; sharing it between directions
as well would save less than a sixth of the work and multiply the memory, so directions follow one another.

E holds only 1 and -1, so E^T A E is A itself between the far ends of the edges, with minus its sums over edges as the
rows and columns of the centre. What is left is to add blocks of 3 x 3 numbers, one per pair of atoms of a site, to
the blocks of the pattern: a sparse map of ones over pairs of atoms, 36 times smaller than one over the four signs and
nine components.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp

from ldmd.errors import InputError
from ldmd.force_constants.sites import Sites, part_of, selections, sites_of
from ldmd.force_constants.third import ThirdOrder
from ldmd.potentials.base import (
    HessianPotential,
    Parameters,
    SiteEnergies,
    SiteHessians,
    SitePotential,
    edge_vectors,
)
from ldmd.structures import NeighbourGraph, SiteBlock

SITES_AT_ONCE = 16
"""Most sites per chunk: few enough that the temporary arrays of one tangent stay in the cache (60 neighbours)."""
MEMORY = 0.5e9
"""Bytes that the temporary arrays of a chunk may take, by default."""


@dataclasses.dataclass(frozen=True)
class SiteChunk:
    """Some sites of one species, all that is needed to differentiate them and to add their blocks to the pattern."""

    centres: np.ndarray
    """(n,) atom at the centre of each site; the last one is repeated where the species has no more."""
    others: np.ndarray
    """(M, n) atom at the far end of each edge, the centre itself where there is no edge."""
    edges: jax.Array
    """(3, M, n) Angstrom."""
    present: jax.Array
    """(M, n) whether the edge exists."""
    parameters: Parameters
    """The potential's own, for these sites."""
    slopes: Callable[..., jax.Array]
    """(edges, steps, present, parameters) -> local blocks, compiled: see ``_local_slopes``."""
    touched: np.ndarray
    """(t,) blocks of the pattern to which these sites contribute, ascending."""
    additions: sp.csr_array
    """(t, n (M + 1)^2) ones: which local blocks add up to each of them."""


@dataclasses.dataclass(frozen=True)
class BlockPattern:
    """Where contractions can be non-zero: pairs of atoms that meet in some site, and how their blocks are stored."""

    keys: np.ndarray
    """(B,) pairs i N + j, ascending; each a block of 3 x 3 numbers."""
    matrix: sp.csr_array
    """(3N, 3N) ones."""
    order: np.ndarray
    """(9B,) for each element of the matrix its place among the numbers of all blocks."""


@dataclasses.dataclass(frozen=True)
class DirectionalThirdOrder(ThirdOrder):
    """Phi3 as directional derivatives of site Hessians, exact by automatic differentiation; made for wide sites.

    Nothing changes after construction: threads may contract at the same time, each with temporary arrays of its own.
    A rigid translation moves no edge, so its contraction is exactly zero. Memory that stays: per site (M + 1)^2 times
    12 bytes, and 16 bytes per element of the pattern.
    """

    blocks: BlockPattern
    chunks: tuple[SiteChunk, ...]
    listable: ClassVar[bool] = False

    @property
    def pattern(self) -> sp.csr_array:
        """See ``ThirdOrder``."""
        return self.blocks.matrix

    def contract(self, directions: np.ndarray) -> np.ndarray:
        """Differentiate every site's Hessian along its own edge steps, then assemble (see ``ThirdOrder``)."""
        directions = np.asarray(directions)
        data = np.empty((len(self.blocks.order), directions.shape[1]))
        for column, direction in enumerate(directions.T):
            data[:, column] = self._sums(direction.reshape(-1, 3).T).ravel()[self.blocks.order]
        return data

    def _sums(self, steps: np.ndarray) -> np.ndarray:
        """Blocks (B, 9) of the contraction when the atoms move by ``steps`` (3, N)."""
        total = np.zeros((len(self.blocks.keys), 9))
        for chunk in self.chunks:
            difference = steps[:, chunk.others] - steps[:, None, chunk.centres]
            local = np.asarray(chunk.slopes(chunk.edges, difference, chunk.present, chunk.parameters))
            total[chunk.touched] += chunk.additions @ local.reshape(-1, 9)
        return total


def directional_third_order(
    potential: SitePotential, positions: np.ndarray, graph: NeighbourGraph, memory: float = MEMORY
) -> DirectionalThirdOrder:
    """Third-order force constants at positions (N, 3), Angstrom, as directional derivatives.

    ``memory`` bounds the temporary arrays of a chunk (bytes, as XLA plans them, per calling thread): chunks hold fewer
    sites where a potential needs more for each. The result, and two arrays as large as it is for one direction, come
    on top. One function is compiled per species, and another where the limit asks for smaller chunks.

    Raises
    ------
    InputError
        Where not even one site fits.
    """
    count = len(positions)
    blocks = _block_pattern(graph, count)
    chunks: list[SiteChunk] = []
    for block, edges in zip(graph.blocks, edge_vectors(jnp.asarray(positions), graph), strict=True):
        if block.present.any():
            sites = sites_of(potential, block, np.asarray(edges))
            chunks.extend(_chunks(potential, sites, blocks, memory))
    return DirectionalThirdOrder(3 * count, blocks, tuple(chunks))


def site_gradient(function: SiteEnergies, parameters: Parameters) -> Callable[[jax.Array], jax.Array]:
    """Edges (3, M, n) -> derivatives of the site energies with respect to their own edges, (3, M, n), eV/Angstrom."""
    return jax.grad(lambda edges: jnp.sum(function(edges, parameters)))


@functools.partial(jax.jit, static_argnums=0)
def _local_slopes(
    function: SiteEnergies, edges: jax.Array, steps: jax.Array, present: jax.Array, parameters: Parameters
) -> jax.Array:
    """Slopes of the site Hessians along edge steps, between atoms: (n, M + 1, M + 1, 9) with the centre last."""
    slots, count = present.shape
    gradient = site_gradient(function, parameters)
    _, slope = jax.linearize(lambda at: jax.jvp(gradient, (at,), (steps,))[1], edges)

    def row(unit: jax.Array) -> jax.Array:
        return jnp.where(present, slope(jnp.where(present, unit[:, :, None], 0.0)), 0.0)

    units = jnp.eye(3 * slots).reshape(slots, 3, slots, 3).transpose(0, 1, 3, 2)
    rows = jax.lax.map(row, units.reshape(-1, 3, slots)).reshape(slots, 3, 3, slots, count)
    return _between_atoms(rows.transpose(4, 0, 3, 1, 2).reshape(count, slots, slots, 9))


@functools.partial(jax.jit, static_argnums=0)
def _slopes_of_hessians(
    function: SiteHessians, edges: jax.Array, steps: jax.Array, present: jax.Array, parameters: Parameters
) -> jax.Array:
    """The same where the potential gives the Hessians: their derivative along the steps."""
    slots, count = present.shape
    along = jnp.where(present, steps, 0.0)
    _, slope = jax.jvp(lambda at: function(at, parameters), (edges,), (along,))
    return _between_atoms(slope.transpose(0, 2, 4, 1, 3).reshape(count, slots, slots, 9))


def _between_atoms(local: jax.Array) -> jax.Array:
    """Blocks (n, M, M, 9) between edges -> (n, M + 1, M + 1, 9) between atoms, the centre last."""
    local = jnp.concatenate([local, -jnp.sum(local, axis=1, keepdims=True)], axis=1)
    return jnp.concatenate([local, -jnp.sum(local, axis=2, keepdims=True)], axis=2)


def _chunks(potential: SitePotential, sites: Sites, pattern: BlockPattern, memory: float) -> list[SiteChunk]:
    """The sites of a block in chunks of equal shape that keep the limit."""
    most = SITES_AT_ONCE
    while True:
        parts = selections(len(sites.block.centres), most)
        size = len(parts[0])
        slopes = _compiled(potential, sites, parts[0])
        needed = _temporary_bytes(slopes)
        if needed <= memory:
            return [_chunk(potential, sites, part, slopes, pattern) for part in parts]
        if size == 1:
            fix = f"one site of {sites.edges.shape[1]} neighbours needs {needed:.3g} bytes; allow at least as much"
            raise InputError("memory of third-order force constants", f"{memory:.3g} bytes", fix)
        most = min(size - 1, max(1, int(size * memory / needed)))


def _compiled(potential: SitePotential, sites: Sites, which: np.ndarray) -> jax.stages.Compiled:
    """``_local_slopes`` for chunks of this shape; JAX keeps it, so that the same shapes compile once per process."""
    some, present = jnp.asarray(sites.edges[:, :, which]), jnp.asarray(sites.block.present[:, which])
    parameters = sites.parameters(potential, which)
    if isinstance(potential, HessianPotential):
        return _slopes_of_hessians.lower(potential.site_hessians, some, some, present, parameters).compile()
    return _local_slopes.lower(potential.site_energies, some, some, present, parameters).compile()


def _temporary_bytes(compiled: jax.stages.Compiled) -> int:
    """What a call takes: XLA's own arrays, the local blocks, and the sums of the latter (never more than they)."""
    plan = compiled.memory_analysis()
    if plan is None:  # a device whose compiler does not say cannot be held to a limit
        return 0
    return int(plan.temp_size_in_bytes + 2 * plan.output_size_in_bytes)


def _chunk(
    potential: SitePotential, sites: Sites, which: np.ndarray, slopes: jax.stages.Compiled, pattern: BlockPattern
) -> SiteChunk:
    part = part_of(sites.block, which)
    touched, additions = _additions(part, which, pattern)
    return SiteChunk(
        centres=part.centres,
        others=part.neighbours,
        edges=jnp.asarray(sites.edges[:, :, which]),
        present=jnp.asarray(part.present),
        parameters=sites.parameters(potential, which),
        slopes=slopes,
        touched=touched,
        additions=additions,
    )


def _block_pattern(graph: NeighbourGraph, count: int) -> BlockPattern:
    """Pairs of atoms of which both belong to one site, as centre or as far end of an edge."""
    rows, columns = [], []
    for block in graph.blocks:
        m, n = np.nonzero(block.present)
        centres = block.centres[block.present.any(axis=0)]
        rows.extend([block.centres[n], centres])
        columns.extend([block.neighbours[m, n], centres])
    where = (np.concatenate(rows), np.concatenate(columns))
    members = sp.csr_array((np.ones(len(where[0]), dtype=np.int32), where), shape=(count, count))
    pairs = sp.csr_array(members.T @ members)
    pairs.sort_indices()
    first = np.repeat(np.arange(count), np.diff(pairs.indptr))
    places = np.arange(9 * pairs.nnz, dtype=np.int32).reshape(-1, 3, 3)
    stored = sp.bsr_array((places, pairs.indices, pairs.indptr), shape=(3 * count, 3 * count)).tocsr()
    stored.sort_indices()
    matrix = sp.csr_array((np.ones(stored.nnz), stored.indices, stored.indptr), shape=stored.shape)
    return BlockPattern(first * count + pairs.indices, matrix, stored.data)


def _additions(part: SiteBlock, sites: np.ndarray, pattern: BlockPattern) -> tuple[np.ndarray, sp.csr_array]:
    """Blocks of the pattern that a chunk touches, and the sparse map of ones from its local blocks to them."""
    count = pattern.matrix.shape[0] // 3
    atoms = np.concatenate([part.neighbours, part.centres[None]]).T
    new = np.diff(sites, prepend=-1)[:, None] > 0  # all but what fills up the last chunk
    belongs = np.concatenate([part.present, np.any(part.present, axis=0, keepdims=True)]).T & new
    sources = np.flatnonzero(belongs[:, :, None] & belongs[:, None, :])
    keys = (atoms[:, :, None] * count + atoms[:, None, :]).ravel()[sources]
    touched, rows = np.unique(np.searchsorted(pattern.keys, keys).astype(np.int32), return_inverse=True)
    shape = (len(touched), belongs.size * belongs.shape[1])
    return touched, sp.csr_array((np.ones(len(rows)), (rows.astype(np.int32), sources.astype(np.int32))), shape=shape)
