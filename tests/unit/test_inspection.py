"""Which numbers of neighbours are unusual."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_silica import glass, silica_potential

from ldmd.inspection import COORDINATION_CHECK, inspect_structure, neighbour_counts, unusual_share


def share(atoms: Atoms, reach: float) -> float:
    species = tuple(dict.fromkeys(atoms.get_chemical_symbols()))
    narrow = np.broadcast_to([0.99 * reach, 1.01 * reach], (len(species), len(species), 2))
    return unusual_share(atoms, neighbour_counts(atoms, species, narrow))


def mixed(copies: int, moved: float = 0.0) -> Atoms:
    """A crystal of eight hydrogen atoms of which one has three neighbours, three have two or one, and four none."""
    cell = Atoms("H8", cell=[12.0, 6.0, 6.0], pbc=True)
    cell.positions = [[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2], [7, 4, 4], [9, 1, 4], [9, 4, 1], [11, 4, 4]]
    atoms = cell.repeat((1, 1, copies))
    atoms.positions += moved * np.random.default_rng(1).normal(size=atoms.positions.shape)
    return atoms


def test_sites_of_a_crystal_may_have_different_numbers_of_neighbours() -> None:
    """One in eight atoms with three neighbours is no defect where every cell has one, at rest or nearly so."""
    assert share(mixed(4), 1.3) == 0.0
    assert share(mixed(4, moved=0.01), 1.3) == 0.0
    alone = mixed(1, moved=0.01)
    assert share(alone, 1.3) == pytest.approx(1 / 8)


def test_a_defect_of_a_crystal_is_unusual() -> None:
    """Around a vacancy in diamond four atoms have three neighbours, although the symmetry makes them equivalent."""
    atoms = bulk("Si", cubic=True).repeat(3)
    assert share(atoms, 2.6) == 0.0
    del atoms[100]
    assert share(atoms, 2.6) == pytest.approx(4 / 215)


def test_a_glass_may_have_two_kinds_of_sites_but_not_a_few_odd_ones() -> None:
    """A quarter of the atoms with three neighbours in place of four are a kind; two in a hundred are defects."""
    atoms = glass()
    species = ("Si", "O")
    counts = np.where(atoms.numbers == 14, 4, 2)
    silicon = np.flatnonzero(atoms.numbers == 14)
    few, many = counts.copy(), counts.copy()
    few[silicon[:20]], many[silicon[:54]] = 5, 3
    assert len(species) == 2 and unusual_share(atoms, counts) == 0.0
    assert unusual_share(atoms, few) == pytest.approx(20 / 648)
    assert unusual_share(atoms, many) == 0.0


def test_silica_passes_as_before() -> None:
    found = inspect_structure(glass(), silica_potential())
    assert next(check for check in found.checks if check.name == COORDINATION_CHECK).value == 0.0
