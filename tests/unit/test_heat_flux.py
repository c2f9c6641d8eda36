"""The heat flux against the motion of the energy barycentre, and what must not change it."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from small_silica import glass, graph_of, silica_potential

from ldmd.dynamics.integrate import maxwell_velocities
from ldmd.potentials.base import (
    SiteEnergies,
    assemble_forces,
    edge_gradients,
    edge_vectors,
    graph_parameters,
    heat_flux,
)
from ldmd.structures import NeighbourGraph, neighbour_graph
from ldmd.units import FORCE_TO_ACCELERATION

Fluxes = tuple[np.ndarray, np.ndarray]


@functools.partial(jax.jit, static_argnums=0)
def evaluate(
    function: SiteEnergies,
    positions: jax.Array,
    velocities: jax.Array,
    graph: NeighbourGraph,
    parameters: tuple,
    masses: jax.Array,
) -> tuple:
    """Forces, site energies with their kinetic part, both fluxes, edges and edge gradients."""
    edges = edge_vectors(positions, graph)
    energies, gradients = edge_gradients(function, edges, parameters)
    flux = heat_flux(energies, edges, gradients, velocities, masses, graph)
    kinetic = 0.5 * masses * jnp.sum(velocities**2, axis=1) / FORCE_TO_ACCELERATION
    return assemble_forces(gradients, graph), jnp.concatenate(energies)[graph.order] + kinetic, flux, edges, gradients


@dataclasses.dataclass(frozen=True)
class System:
    """Atoms on one fixed graph."""

    graph: NeighbourGraph
    masses: np.ndarray

    @functools.cached_property
    def _parameters(self) -> tuple:
        return graph_parameters(silica_potential(), self.graph)

    def _evaluate(self, positions: np.ndarray, velocities: np.ndarray) -> tuple:
        energies = silica_potential().site_energies
        return evaluate(energies, positions, velocities, self.graph, self._parameters, self.masses)

    def forces(self, positions: np.ndarray) -> np.ndarray:
        return np.asarray(self._evaluate(positions, np.zeros_like(positions))[0])

    def energies(self, positions: np.ndarray, velocities: np.ndarray) -> np.ndarray:
        """Site energies, kinetic part included, (N,) eV."""
        return np.asarray(self._evaluate(positions, velocities)[1])

    def fluxes(self, positions: np.ndarray, velocities: np.ndarray) -> Fluxes:
        """Potential and kinetic part, eV Angstrom/ps."""
        potential, kinetic = self._evaluate(positions, velocities)[2]
        return np.asarray(potential), np.asarray(kinetic)

    def transposed_potential_flux(self, positions: np.ndarray, velocities: np.ndarray) -> np.ndarray:
        """What comes out when the virial of an atom is taken for its transpose: -sum_ij g_ij (r_ij . v_j)."""
        *_, edges, gradients = self._evaluate(positions, velocities)
        total = np.zeros(3)
        for block, vectors, slopes in zip(self.graph.blocks, edges, gradients, strict=True):
            moved = np.sum(np.asarray(vectors) * velocities.T[:, block.neighbours], axis=0)
            total -= np.sum(np.asarray(slopes) * moved, axis=(1, 2))
        return total

    def verlet(self, positions: np.ndarray, velocities: np.ndarray, step: float) -> Fluxes:
        """One velocity-Verlet step, forwards or backwards in time."""
        kick = 0.5 * step * FORCE_TO_ACCELERATION / self.masses[:, None]
        halfway = velocities + kick * self.forces(positions)
        moved = positions + step * halfway
        return moved, halfway + kick * self.forces(moved)


@dataclasses.dataclass(frozen=True)
class Point:
    """A phase point of a cluster in vacuum, and the graph around it."""

    system: System
    positions: np.ndarray
    velocities: np.ndarray

    @property
    def fluxes(self) -> Fluxes:
        return self.system.fluxes(self.positions, self.velocities)

    @property
    def transposed(self) -> np.ndarray:
        return self.system.transposed_potential_flux(self.positions, self.velocities)

    def barycentre_velocity(self, step: float) -> np.ndarray:
        """Central difference of sum_i r_i e_i along the motion, eV Angstrom/ps."""
        ends = []
        for sign in (1.0, -1.0):
            moved = self.system.verlet(self.positions, self.velocities, sign * step)
            ends.append(self.system.energies(*moved) @ moved[0])
        return (ends[0] - ends[1]) / (2.0 * step)


def relative_rms(flux: np.ndarray, points: list[Point], step: float) -> float:
    """Of (points, 3) fluxes against the barycentre's velocity."""
    moving = np.array([point.barycentre_velocity(step) for point in points])
    return float(np.sqrt(np.sum((flux - moving) ** 2) / np.sum(moving**2)))


def around(atoms: Atoms, skin: float, slots: tuple[int, ...]) -> System:
    potential = silica_potential()
    graph = neighbour_graph(atoms, potential.species, potential.switching, skin, slots)
    return System(graph, atoms.get_masses())


@pytest.fixture(scope="module")
def cluster() -> list[Point]:
    """A ball of SiO4 units cut out of the glass: quenched until its surface has healed, then 0.2 ps at some 300 K."""
    atoms = glass()
    silicon, oxygen = atoms.positions[:216], atoms.positions[216:]
    inside = silicon[np.linalg.norm(silicon - silicon.mean(axis=0), axis=1) < 6.5]
    bonded = np.linalg.norm(oxygen[:, None] - inside, axis=2).min(axis=1) < 1.9
    ball = Atoms(f"Si{len(inside)}O{bonded.sum()}", np.vstack([inside, oxygen[bonded]]), cell=[60.0] * 3, pbc=True)
    ball.center()
    for _ in range(60):
        system, velocities = around(ball, 1.0, (14, 13)), np.zeros((len(ball), 3))
        for _ in range(10):
            ball.positions, velocities = system.verlet(ball.positions, velocities, 0.002)
    velocities, points = maxwell_velocities(ball.get_masses(), 600.0, np.random.default_rng(3)), []
    for _ in range(15):
        system, start = around(ball, 1.0, (14, 13)), ball.positions.copy()
        for _ in range(20):
            ball.positions, velocities = system.verlet(ball.positions, velocities, 0.001)
        assert np.linalg.norm(ball.positions - start, axis=1).max() < 0.5, "half the skin"
        points.append(Point(system, ball.positions.copy(), velocities))
    return points[5:]


def test_flux_is_the_velocity_of_the_energy_barycentre(cluster: list[Point]) -> None:
    """At 0.02 and 0.01 fs, and four times better at half the step: what is left is the difference, not the flux."""
    flux = np.array([sum(point.fluxes) for point in cluster])
    coarse, fine = (relative_rms(flux, cluster, step) for step in (2e-5, 1e-5))
    assert fine <= 1e-4
    assert coarse / fine == pytest.approx(4.0, rel=0.05)


def test_virial_of_an_atom_is_not_symmetric(cluster: list[Point]) -> None:
    """Its transpose, or its symmetric part as in six-component outputs, is another flux by far."""
    potential, kinetic = (np.array([point.fluxes[part] for point in cluster]) for part in (0, 1))
    transposed = np.array([point.transposed for point in cluster])
    symmetrised = 0.5 * (potential + transposed)
    for wrong in (kinetic + transposed, kinetic + symmetrised, potential, kinetic):
        assert relative_rms(wrong, cluster, 1e-5) > 0.1


def glass_point(atoms: Atoms) -> np.ndarray:
    return maxwell_velocities(atoms.get_masses(), 300.0, np.random.default_rng(5))


def test_flux_does_not_know_where_the_cell_was_cut() -> None:
    atoms = glass()
    atoms.positions += np.random.default_rng(4).normal(scale=0.05, size=atoms.positions.shape)
    velocities = glass_point(atoms)
    expected = System(graph_of(atoms), atoms.get_masses()).fluxes(atoms.positions, velocities)
    shifted = atoms.copy()
    shifted.positions += [3.3, -8.1, 14.9]
    wrapped = shifted.copy()
    wrapped.wrap()
    assert np.abs(wrapped.positions - shifted.positions).max() > 10.0
    unwrapped = atoms.copy()
    unwrapped.positions[::7] += unwrapped.cell.array[1]
    for other in (shifted, wrapped, unwrapped):
        found = System(graph_of(other), other.get_masses()).fluxes(other.positions, velocities)
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0.0, atol=1e-10 * np.abs(expected).max())


def test_flux_of_a_rigid_motion_is_the_convected_enthalpy() -> None:
    """All atoms at one velocity u: J = E u + W u, with the virial of the whole cell."""
    atoms = glass()
    atoms.positions += np.random.default_rng(4).normal(scale=0.05, size=atoms.positions.shape)
    system = System(graph_of(atoms), atoms.get_masses())
    u = np.array([1.0, -2.0, 0.5])
    velocities = np.tile(u, (len(atoms), 1))
    potential, kinetic = system.fluxes(atoms.positions, velocities)
    _, site, _, edges, gradients = system._evaluate(atoms.positions, velocities)
    virial = -sum(np.einsum("amn,bmn->ab", e, g) for e, g in zip(edges, gradients, strict=True))
    np.testing.assert_allclose(potential, virial @ u, rtol=1e-10)
    np.testing.assert_allclose(kinetic, float(site.sum()) * u, rtol=1e-10)


def test_flux_of_atoms_at_rest_is_zero() -> None:
    atoms = glass()
    for part in System(graph_of(atoms), atoms.get_masses()).fluxes(atoms.positions, np.zeros((len(atoms), 3))):
        assert np.all(part == 0.0)
