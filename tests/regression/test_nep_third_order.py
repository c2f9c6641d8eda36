"""Third-order force constants of every published NEP are the slopes of exact Hessians, and the curvature of forces.

The second derivative of a NEP jumps at its cutoffs (f_c is only C1 there), so a difference taken across one has an
error that no step makes small. The cells here are crystals whose shells of neighbours keep clear of both cutoffs, by
more than atoms are displaced: every pair stays on its side, and differences must converge to the exact derivative.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from matscipy.neighbours import neighbour_list

from ldmd.force_constants.autodiff import second_order
from ldmd.force_constants.directional import directional_third_order
from ldmd.force_constants.sites import part_of
from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.potentials.nep import NepPotential, read_nep
from ldmd.structures import NeighbourGraph, neighbour_graph

STEP = 0.003
"""Angstrom, the longest displacement of any atom along any axis."""


def silicon() -> Atoms:
    return bulk("Si", cubic=True)


def magnesium_antimonide_bismuthide() -> Atoms:
    """The trigonal Mg3Sb2 with half of its Sb replaced, stretched until no shell is at 4 or at 6 Angstrom."""
    places = [(0.0, 0.0, 0.0), (1 / 3, 2 / 3, 0.63), (1 / 3, 2 / 3, 0.235)]
    atoms = crystal(["Mg", "Mg", "Sb"], places, spacegroup=164, cellpar=[4.753, 4.753, 7.533, 90, 90, 120])
    atoms.symbols[-1] = "Bi"
    return atoms


def lithium_thiophosphate() -> Atoms:
    """PS4 tetrahedra and Li in the arrangement of sulvanite: the smallest cell of Li3PS4 with sensible bonds."""
    edge = 6.3
    x = 2.05 / (np.sqrt(3.0) * edge)
    tetrahedron = [(x, x, x), (x, -x, -x), (-x, x, -x), (-x, -x, x)]
    places = [(0, 0, 0), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), *tetrahedron]
    return Atoms("PLi3S4", scaled_positions=places, cell=[edge] * 3, pbc=True)


CASES: dict[str, Callable[[], Atoms]] = {
    "nep/Si_2022_NEP4_3body.txt": silicon,
    "nep/Si_2022_NEP4_5body.txt": silicon,
    "nep/MgSbBi_nep4.txt": magnesium_antimonide_bismuthide,
    "li3ps4/nepA.txt": lithium_thiophosphate,
}


@dataclasses.dataclass(frozen=True)
class Displaced:
    """A cell whose atoms move along one direction (N, 3), the longest component being 1."""

    potential: NepPotential
    positions: np.ndarray
    direction: np.ndarray
    graph: NeighbourGraph
    """With a block for every site, all of the same width: what is compiled for one serves for others."""

    def hessian(self, step: float) -> np.ndarray:
        """Second-order force constants there, (3N, 3N)."""
        return second_order(self.potential, self.positions + step * self.direction, self.graph).matrix.toarray()


def displaced(atoms: Atoms, potential: NepPotential) -> Displaced:
    """No symmetry is left, and no pair comes to its cutoff within two steps."""
    numbers = np.random.default_rng(5)
    atoms.positions += 0.005 * numbers.uniform(-1.0, 1.0, size=atoms.positions.shape)
    lengths = neighbour_list("d", atoms, potential.model.pair_cutoffs.max() + 1.0)
    for cutoff in np.unique(potential.model.pair_cutoffs):
        assert np.abs(lengths - cutoff).min() > 4.0 * np.sqrt(3.0) * STEP, "a shell of neighbours is at a cutoff"
    direction = numbers.uniform(-1.0, 1.0, size=atoms.positions.shape)
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    graph = neighbour_graph(atoms, potential.species, potential.switching, slots=(max(graph.slots),) * len(graph.slots))
    single = [part_of(block, np.array([n])) for block in graph.blocks for n in range(len(block.centres))]
    graph = dataclasses.replace(graph, blocks=tuple(single))
    return Displaced(potential, atoms.positions, direction / np.abs(direction).max(), graph)


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture(autouse=True)
def wide_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores of all sites have the same width, so that one compiled function serves all of them."""
    monkeypatch.setattr("ldmd.force_constants.sites.STEP", 20)


@pytest.mark.parametrize("name", CASES)
def test_contractions_are_what_differences_of_hessians_converge_to(shared_data: Path, name: str) -> None:
    """The error falls with the step squared; what is left after extrapolation is a thousand times smaller."""
    cell = displaced(CASES[name](), read_nep(shared_data / name))
    third = directional_third_order(cell.potential, cell.positions, cell.graph)
    exact = third.along(cell.direction.ravel()).toarray()
    coarse, fine = ((cell.hessian(h) - cell.hessian(-h)) / (2.0 * h) for h in (STEP, 0.5 * STEP))
    assert difference(coarse, exact) < 1e-4
    assert difference(coarse, exact) / difference(fine, exact) == pytest.approx(4.0, rel=0.01)
    assert difference((4.0 * fine - coarse) / 3.0, exact) < 3e-8


def test_contractions_are_what_curvatures_of_forces_converge_to(shared_data: Path) -> None:
    """-F'' = Phi3 u u, from forces alone, which another program confirms."""
    potential = read_nep(shared_data / "nep" / "Si_2022_NEP4_5body.txt")
    cell = displaced(silicon(), potential)
    third = directional_third_order(potential, cell.positions, cell.graph)
    exact = third.along(cell.direction.ravel()) @ cell.direction.ravel()
    graph = neighbour_graph(silicon(), potential.species, potential.switching)
    parameters = graph_parameters(potential, graph)

    def forces(step: float) -> np.ndarray:
        at = cell.positions + step * cell.direction
        return np.asarray(energies_forces_virial(potential.site_energies, at, graph, parameters)[1]).ravel()

    coarse, fine = ((2.0 * forces(0.0) - forces(h) - forces(-h)) / h**2 for h in (2.0 * STEP, STEP))
    assert difference(fine, exact) < 1e-3
    assert difference((4.0 * fine - coarse) / 3.0, exact) < 3e-7
