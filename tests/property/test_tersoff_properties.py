"""What no rotation, translation or relabelling of the atoms may change."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from small_silica import silica_potential

from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.structures import neighbour_graph

ATOMS = 9
SLOTS = (9, 9)
"""Wide enough for any of these clusters: all share one compilation."""
EDGE = 40.0

seeds = st.integers(min_value=0, max_value=2**32 - 1)


def cluster(seed: int) -> Atoms:
    """Three Si and six O in a ball, no two closer than 1.3 Angstrom; pairs lie on both sides of every cutoff."""
    generator = np.random.default_rng(seed)
    positions = np.empty((0, 3))
    while len(positions) < ATOMS:
        trial = generator.uniform(-2.6, 2.6, size=3)
        if np.all(np.linalg.norm(positions - trial, axis=1) > 1.3):
            positions = np.vstack([positions, trial])
    return Atoms("Si3O6", positions=positions + EDGE / 2, cell=[EDGE] * 3, pbc=True)


def evaluate(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    potential = silica_potential()
    graph = neighbour_graph(atoms, potential.species, potential.switching, slots=SLOTS)
    found = energies_forces_virial(potential.site_energies, atoms.positions, graph, graph_parameters(potential, graph))
    return tuple(np.asarray(part) for part in found)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-10 * max(1.0, np.abs(expected).max()))


@settings(max_examples=30)
@given(seeds, seeds)
def test_rotation_turns_forces_and_virial(seed: int, turn: int) -> None:
    atoms = cluster(seed)
    rotation = Rotation.random(random_state=np.random.RandomState(turn)).as_matrix()
    centre = np.full(3, EDGE / 2)
    turned = atoms.copy()
    turned.positions = (atoms.positions - centre) @ rotation.T + centre
    energies, forces, virial = evaluate(atoms)
    rotated_energies, rotated_forces, rotated_virial = evaluate(turned)
    close(rotated_energies, energies)
    close(rotated_forces, forces @ rotation.T)
    close(rotated_virial, rotation @ virial @ rotation.T)


@settings(max_examples=30)
@given(seeds, st.tuples(*[st.floats(-100.0, 100.0)] * 3))
def test_translation_across_the_boundary_changes_nothing(seed: int, shift: tuple[float, float, float]) -> None:
    atoms = cluster(seed)
    moved = atoms.copy()
    moved.positions += shift
    moved.wrap()
    for found, expected in zip(evaluate(moved), evaluate(atoms), strict=True):
        close(found, expected)


@settings(max_examples=30)
@given(seeds, st.permutations(range(ATOMS)))
def test_relabelling_permutes_the_results(seed: int, order: list[int]) -> None:
    atoms = cluster(seed)
    energies, forces, virial = evaluate(atoms)
    relabelled = evaluate(atoms[order])
    close(relabelled[0], energies[order])
    close(relabelled[1], forces[order])
    close(relabelled[2], virial)


@settings(max_examples=30)
@given(seeds)
def test_no_net_force_and_no_torque(seed: int) -> None:
    """And the virial is symmetric in total, though not per atom."""
    atoms = cluster(seed)
    _, forces, virial = evaluate(atoms)
    scale = max(1.0, np.abs(forces).max())
    assert np.abs(forces.sum(axis=0)).max() <= 1e-10 * scale
    assert np.abs(np.cross(atoms.positions, forces).sum(axis=0)).max() <= 1e-8 * scale
    close(virial, virial.T)


@settings(max_examples=20)
@given(seeds)
def test_forces_are_the_slope_of_the_energy(seed: int) -> None:
    """Central difference along a random direction, extrapolated; a kink in reach spoils it to first order only."""
    atoms = cluster(seed)
    direction = np.random.default_rng(seed).normal(size=(ATOMS, 3))
    _, forces, _ = evaluate(atoms)

    def energy(step: float) -> float:
        moved = atoms.copy()
        moved.positions += step * direction
        return float(evaluate(moved)[0].sum())

    slope = (energy(1e-5) - energy(-1e-5)) / 2e-5
    power = -float(np.sum(forces * direction))
    assert slope == pytest.approx(power, rel=1e-4, abs=1e-4 * np.abs(forces).max())


def test_the_virial_is_the_slope_of_the_energy_under_strain() -> None:
    """W_ab = -dE/d(strain_ab), for all nine components."""
    atoms = cluster(11)
    _, _, virial = evaluate(atoms)
    centre = np.full(3, EDGE / 2)
    for a, b in np.ndindex(3, 3):
        ends = []
        for step in (1e-6, -1e-6):
            strain = np.eye(3)
            strain[a, b] += step
            moved = atoms.copy()
            moved.positions = (atoms.positions - centre) @ strain.T + centre
            ends.append(float(evaluate(moved)[0].sum()))
        assert -(ends[0] - ends[1]) / 2e-6 == pytest.approx(virial[a, b], rel=1e-6, abs=1e-6 * np.abs(virial).max())


def test_an_atom_without_neighbours_feels_nothing() -> None:
    atoms = Atoms("SiO", positions=[[1.0, 1.0, 1.0], [15.0, 15.0, 15.0]], cell=[EDGE] * 3, pbc=True)
    for part in evaluate(atoms):
        assert np.all(part == 0.0)
