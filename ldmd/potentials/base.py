"""The contract of a differentiable potential, and all that follows from it by differentiation.

The total energy is a sum of site energies, each a function of the edge vectors that leave its own atom:
E = sum_i U_i({r_ij}), r_ij = r_j - r_i. With g_ij = dU_i/dr_ij everything else is exact:

* forces          F_i = sum_j (g_ij - g_ji)
* virial          W^ab = -sum_ij r_ij^a g_ij^b   (eV; the pressure is (2 K + tr W) / 3V)
* heat flux       J = sum_i e_i v_i - sum_ij r_ij (g_ij . v_j),  e_i = U_i + m_i v_i^2 / 2
  (Fan et al., Phys. Rev. B 92, 094301 (2015); the virial per atom is not symmetric for many-body potentials).

Edges are stored component first and atom last, ``(3, M, N)``: every operation of a potential then runs over
contiguous atoms. Padded edges have a finite length just beyond the cutoff, so that no derivative is NaN.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

import ldmd.numerics  # noqa: F401  (switches float64 on)
from ldmd.structures import NeighbourGraph
from ldmd.units import FORCE_TO_ACCELERATION

Parameters = Any
SiteEnergies = Callable[[jax.Array, Parameters], jax.Array]


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
        """Pure function (edges (3, M, N), parameters) -> site energies (N,) in eV."""
        ...

    def parameters(self, graph: NeighbourGraph) -> Parameters:
        """Parameters gathered once for the edges and triplets of a neighbour graph."""
        ...

    def fingerprint(self) -> bytes:
        """Bytes that identify the numbers of the model, for digests."""
        ...


def edge_vectors(positions: jax.Array, graph: NeighbourGraph) -> jax.Array:
    """Edge vectors r_j - r_i of shape (3, M, N), Angstrom, for positions (N, 3); padded edges get a fixed vector."""
    columns = positions.T
    edges = columns[:, graph.neighbours] + graph.offsets - columns[:, None, :]
    return jnp.where(graph.present, edges, graph.padding)


def edge_gradients(function: SiteEnergies, edges: jax.Array, parameters: Parameters) -> tuple[jax.Array, jax.Array]:
    """Site energies (N,) and g_ij = dU_i/dr_ij of shape (3, M, N)."""
    energies, pullback = jax.vjp(lambda e: function(e, parameters), edges)
    (gradients,) = pullback(jnp.ones_like(energies))
    return energies, gradients


def assemble_forces(gradients: jax.Array, graph: NeighbourGraph) -> jax.Array:
    """Forces (N, 3) from edge gradients, by gathering each edge's reverse: no scatter."""
    flat = gradients.reshape(3, -1)
    reverse = jnp.where(graph.present, flat[:, graph.reverse], 0.0)
    return jnp.sum(gradients - reverse, axis=1).T


def heat_flux(
    energies: jax.Array, edges: jax.Array, gradients: jax.Array, velocities: jax.Array, masses: jax.Array, graph: NeighbourGraph
) -> tuple[jax.Array, jax.Array]:
    """Potential (virial) and kinetic (convective) parts of the heat flux, each (3,), eV Angstrom/ps."""
    columns = velocities.T
    power = jnp.sum(gradients * columns[:, graph.neighbours], axis=0)
    potential = -jnp.sum(edges * power, axis=(1, 2))
    kinetic_energy = 0.5 * masses * jnp.sum(columns**2, axis=0) / FORCE_TO_ACCELERATION
    return potential, jnp.sum(columns * (energies + kinetic_energy), axis=1)


@functools.partial(jax.jit, static_argnums=0)
def energies_forces_virial(
    function: SiteEnergies, positions: jax.Array, graph: NeighbourGraph, parameters: Parameters
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Site energies (N,) eV, forces (N, 3) eV/Angstrom, virial (3, 3) eV with W^ab = -sum r^a g^b."""
    edges = edge_vectors(positions, graph)
    energies, gradients = edge_gradients(function, edges, parameters)
    virial = -jnp.einsum("amn,bmn->ab", edges, gradients)
    return energies, assemble_forces(gradients, graph), virial
