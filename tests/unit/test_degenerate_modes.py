"""Degenerate modes, modes without a channel, and perfect crystals that were given as if they were glasses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from random_crystal import random_modes, random_third
from small_case import replace_in

from ldmd.case import load_case
from ldmd.commands import check_case, compare_case
from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.force_constants.crystal_symmetry import copies_in
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.degenerate import DEGENERATE, degenerate_sets, shared, whole_sets
from ldmd.lattice.linewidths import linewidths, scattered
from ldmd.lattice.modes import Modes, normal_modes, velocity_matrices
from ldmd.lattice.statistics import Classical
from ldmd.potentials.stillinger_weber import read_stillinger_weber
from ldmd.problem import load_problem
from ldmd.structures import neighbour_graph, write_structure

CASES = Path(__file__).resolve().parents[2] / "cases"
AT_REST = 5.430949778405


def with_pairs(modes: Modes) -> Modes:
    """The same with the vibrating modes in degenerate pairs."""
    frequencies = modes.frequencies.copy()
    rows = np.flatnonzero(modes.vibrating)
    rows = rows[: len(rows) // 2 * 2].reshape(-1, 2)
    frequencies[rows] = frequencies[rows].mean(axis=1, keepdims=True) + [0.0, 1e-9]
    return dataclasses.replace(modes, frequencies=frequencies)


def turned(modes: Modes, generator: np.random.Generator) -> Modes:
    """The same with other eigenvectors of every pair."""
    vectors = modes.eigenvectors.copy()
    rows = np.flatnonzero(modes.vibrating)
    for first, second in rows[: len(rows) // 2 * 2].reshape(-1, 2):
        angle = generator.uniform(0.0, 2.0 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        vectors[:, [first, second]] = vectors[:, [first, second]] @ turn
    return dataclasses.replace(modes, eigenvectors=vectors)


def test_sets_of_degenerate_modes() -> None:
    frequencies = np.array([1.0, 2.0, 2.0 + 0.5 * DEGENERATE, 3.0, 3.0, 3.0, 4.0])
    np.testing.assert_array_equal(degenerate_sets(frequencies), [0, 1, 1, 2, 2, 2, 3])
    values = np.array([[1.0], [2.0], [4.0], [3.0], [6.0], [0.0], [7.0]])
    np.testing.assert_allclose(shared(frequencies, values).ravel(), [1.0, 3.0, 3.0, 3.0, 3.0, 3.0, 7.0])
    assert [whole_sets(frequencies, lowest) for lowest in range(1, 8)] == [1, 3, 3, 6, 6, 6, 7]


def test_linewidths_do_not_depend_on_the_eigenvectors_of_degenerate_modes() -> None:
    generator = np.random.default_rng(5)
    modes = with_pairs(random_modes(5, generator))
    third, _ = random_third(5, generator)
    conditions = ((300.0,), ("classical", "bose-einstein"), Gaussian(20.0))
    expected, found = (linewidths(third, each, *conditions) for each in (modes, turned(modes, generator)))
    np.testing.assert_allclose(found.gamma, expected.gamma, rtol=1e-7)
    few = linewidths(third, modes, *conditions, lowest=3).gamma[0, 0][modes.vibrating]
    np.testing.assert_array_equal(few[:4], expected.gamma[0, 0][modes.vibrating][:4])
    assert np.isnan(few[4:]).all()


def test_pairs_without_a_channel_carry_no_heat() -> None:
    """Their linewidths are rounding, and so is the distance of the two: one over it would be anything."""
    generator = np.random.default_rng(6)
    modes = with_pairs(random_modes(5, generator))
    velocities = generator.normal(size=(3, 15, 15))
    velocities = velocities - velocities.transpose(0, 2, 1)
    gamma = generator.uniform(0.1, 1.0, size=15)
    rows = np.flatnonzero(modes.vibrating)[:2]
    gamma[rows] = [1e-13, 3e-13]
    has_channel = scattered(gamma[modes.vibrating], modes.frequencies[modes.vibrating])
    assert not has_channel[:2].any() and has_channel[2:].all()
    found = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), 300.0, 500.0)
    without = velocities.copy()
    without[:, rows[0], rows[1]] = without[:, rows[1], rows[0]] = 0.0
    expected = quasi_harmonic_green_kubo(modes, without, gamma, Classical(), 300.0, 500.0)
    np.testing.assert_allclose(found.total, expected.total, rtol=1e-12)
    assert np.abs(found.total).max() < 1e4


@pytest.fixture(scope="module")
def crystal() -> Atoms:
    return bulk("Si", a=AT_REST, cubic=True).repeat(2)


def test_a_perfect_crystal_in_a_small_cell_has_modes_without_a_channel_and_no_infinite_value(crystal: Atoms) -> None:
    potential = read_stillinger_weber(CASES / "silicon" / "Si.sw")
    graph = neighbour_graph(crystal, potential.species, potential.switching)
    second, third = (make(potential, crystal.positions, graph) for make in (second_order, third_order))
    modes = normal_modes(second, crystal.get_masses())
    widths = linewidths(third, modes, (300.0,), ("classical",), Gaussian(0.1))
    assert widths.share_without_channel(modes) > 0.01
    velocities = velocity_matrices(second, modes, crystal.positions, crystal.cell.array)
    gamma, volume = widths.gamma[0, 0], crystal.get_volume()
    kappa = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), 300.0, volume).total
    assert np.abs(kappa).max() < 1e5
    np.testing.assert_allclose(kappa, np.eye(3) * kappa[0, 0], atol=1e-4 * kappa[0, 0] + 1e-9)


def test_copies_of_a_cell_are_counted(crystal: Atoms) -> None:
    assert copies_in(crystal) == 32
    assert copies_in(bulk("Si", a=AT_REST)) == 1
    heavy = crystal.copy()
    masses = heavy.get_masses()
    masses[0] = 30.0
    heavy.set_masses(masses)
    assert copies_in(heavy) == 1, "another isotope is another atom"
    shaken = crystal.copy()
    shaken.rattle(0.01, seed=1)
    assert copies_in(shaken) == 1
    assert copies_in(shaken.repeat((2, 1, 1))) == 2


def test_a_perfect_crystal_without_a_section_for_it_is_refused(crystal: Atoms, tmp_path: Path) -> None:
    text = '[material]\nname = "x"\n[potential]\nkind = "stillinger-weber"\nparameters = "Si.sw"\n'
    (tmp_path / "case.toml").write_text(text)
    (tmp_path / "Si.sw").write_bytes((CASES / "silicon" / "Si.sw").read_bytes())
    write_structure(crystal, tmp_path / "structure.extxyz")
    for command in (check_case, compare_case):
        with pytest.raises(InputError) as caught:
            command(tmp_path, False, *((None, "ldmd compare") if command is compare_case else ()))
    assert str(caught.value).startswith("material.structure = 32 copies of a cell of 2 atoms: a perfect crystal: give")
    assert "add a [crystal] section" in str(caught.value)
    write_structure(bulk("Si", a=AT_REST), tmp_path / "structure.extxyz")
    replace_in(tmp_path / "case.toml", "[potential]", "[crystal]\nsupercell = [4, 4, 4]\n[potential]")
    case = load_case(tmp_path)
    assert len(load_problem(case, case.settings).primitive) == 2
