"""The contract of a differentiable potential, and all that follows from it by differentiation.

The total energy is a sum of site energies, each a function of the edge vectors that leave its own atom:
E = sum_i U_i({r_ij}), r_ij = r_j - r_i. With g_ij = dU_i/dr_ij everything else is exact:

* forces          F_i = sum_j (g_ij - g_ji)
* virial          W^ab = -sum_ij r_ij^a g_ij^b   (eV; the pressure is (2 K + tr W) / 3V)
* heat flux       J = sum_i e_i v_i - sum_ij r_ij (g_ij . v_j),  e_i = U_i + m_i v_i^2 / 2
  (Fan et al., Phys. Rev. B 92, 094301 (2015); the virial per atom is not symmetric for many-body potentials).

Edges are stored in blocks of one species, component first and atom last, ``(3, M, n)``: every operation of a
potential then runs over contiguous atoms, and an atom with two neighbours does not pay for one with eight. Padded
edges have a finite length just beyond the cutoff, so that no derivative is NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

import ldmd.numerics  # noqa: F401  (switches float64 on)
from ldmd.structures import NeighbourGraph, SiteBlock
from ldmd.units import FORCE_TO_ACCELERATION

Parameters = Any
SiteEnergies = Callable[[jax.Array, Parameters], jax.Array]
SiteHessians = Callable[[jax.Array, Parameters], jax.Array]


class SitePotential(Protocol):
    """A potential that JAX can differentiate: edges in, site energies out."""

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols the potential knows."""
        ...

    @property
    def switching(self) -> np.ndarray:
        """Inner and outer radius of every pair's cutoff function, shape (S, S, 2), Angstrom."""
        ...

    @property
    def site_energies(self) -> SiteEnergies:
        """Pure function (edges (3, M, n), parameters) -> site energies (n,) in eV."""
        ...

    def parameters(self, block: SiteBlock) -> Parameters:
        """Parameters gathered once for the edges and triplets of one block of a neighbour graph."""
        ...

    def fingerprint(self) -> bytes:
        """Bytes that identify the numbers of the model, for digests."""
        ...


@runtime_checkable
class HessianPotential(Protocol):
    """A potential that writes the Hessians of its site energies itself, in fewer operations than JAX would need."""

    @property
    def site_hessians(self) -> SiteHessians:
        """Pure function (edges (3, M, n), parameters) -> second derivatives (n, 3, M, 3, M), eV/Angstrom^2.

        Zero for edges beyond the cutoff, and differentiable by the edges once more.
        """
        ...


@runtime_checkable
class LayeredPotential(Protocol):
    """A potential with a part of shorter range, usually the costly one, that sees edges in the first slots only."""

    @property
    def core(self) -> np.ndarray:
        """(S, S) Angstrom, range of that part for every pair of species."""
        ...

    def parameters(self, block: SiteBlock, core: int | None = None) -> Parameters:
        """Parameters of a block whose edges within ``core`` are among its first so many slots."""
        ...


Blocks = tuple[jax.Array, ...]


def graph_parameters(potential: SitePotential, graph: NeighbourGraph) -> tuple[Parameters, ...]:
    """Parameters of every block."""
    return tuple(potential.parameters(block) for block in graph.blocks)


def edge_vectors(positions: jax.Array, graph: NeighbourGraph) -> Blocks:
    """Edge vectors r_j - r_i, one (3, M, n) per block, Angstrom, for positions (N, 3); padded edges: a fixed vector."""
    columns = positions.T

    def block_edges(block: SiteBlock) -> jax.Array:
        edges = columns[:, block.neighbours] + block.offsets - columns[:, None, block.centres]
        return jnp.where(block.present, edges, block.padding)

    return tuple(block_edges(block) for block in graph.blocks)


def edge_gradients(function: SiteEnergies, edges: Blocks, parameters: tuple[Parameters, ...]) -> tuple[Blocks, Blocks]:
    """Site energies (n,) and g_ij = dU_i/dr_ij of shape (3, M, n), for every block."""
    energies, pullback = jax.vjp(lambda blocks: tuple(map(function, blocks, parameters)), edges)
    (gradients,) = pullback(tuple(jnp.ones_like(block) for block in energies))
    return energies, gradients


def assemble_forces(gradients: Blocks, graph: NeighbourGraph) -> jax.Array:
    """Forces (N, 3) from edge gradients, by gathering the edges that end at each atom: no scatter."""
    outgoing = jnp.concatenate([jnp.sum(block, axis=1) for block in gradients], axis=1)[:, graph.order]
    nothing = jnp.zeros((3, 1))
    flat = jnp.concatenate([*(block.reshape(3, -1) for block in gradients), nothing], axis=1)
    return (outgoing - jnp.sum(flat[:, graph.incoming], axis=1)).T


def heat_flux(
    energies: Blocks,
    edges: Blocks,
    gradients: Blocks,
    velocities: jax.Array,
    masses: jax.Array,
    graph: NeighbourGraph,
) -> tuple[jax.Array, jax.Array]:
    """Potential (virial) and kinetic (convective) parts of the heat flux, each (3,), eV Angstrom/ps."""
    columns = velocities.T
    potential = jnp.zeros(3)
    for block, vectors, slopes in zip(graph.blocks, edges, gradients, strict=True):
        power = jnp.sum(slopes * columns[:, block.neighbours], axis=0)
        potential = potential - jnp.sum(vectors * power, axis=(1, 2))
    site = jnp.concatenate(energies)[graph.order]
    kinetic_energy = 0.5 * masses * jnp.sum(columns**2, axis=0) / FORCE_TO_ACCELERATION
    return potential, jnp.sum(columns * (site + kinetic_energy), axis=1)


@functools.partial(jax.jit, static_argnums=0)
def energies_forces_virial(
    function: SiteEnergies, positions: jax.Array, graph: NeighbourGraph, parameters: tuple[Parameters, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Site energies (N,) eV, forces (N, 3) eV/Angstrom, virial (3, 3) eV with W^ab = -sum r^a g^b."""
    edges = edge_vectors(positions, graph)
    energies, gradients = edge_gradients(function, edges, parameters)
    virial = jnp.zeros((3, 3))
    for vectors, slopes in zip(edges, gradients, strict=True):
        virial = virial - jnp.einsum("amn,bmn->ab", vectors, slopes)
    return jnp.concatenate(energies)[graph.order], assemble_forces(gradients, graph), virial
