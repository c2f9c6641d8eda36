"""The Tersoff potential and its force constants against LAMMPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lammps_peer import energy_forces_virial, session, wheel_potential
from small_silica import CASE, disordered, glass, graph_of, oblique, rattled, silica_potential

from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.inspection import switching_pairs
from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.potentials.tersoff import Tersoff, read_tersoff

pytestmark = pytest.mark.peers


def assert_same(atoms: Atoms, path: Path, potential: Tersoff | None = None) -> None:
    """Energy within 1e-9 eV/atom, forces 1e-9 eV/Angstrom, virial 1e-9 of its largest component."""
    potential = potential or read_tersoff(path)
    graph = graph_of(atoms, potential)
    energies, forces, virial = energies_forces_virial(
        potential.site_energies, atoms.positions, graph, graph_parameters(potential, graph)
    )
    energy, their_forces, their_virial = energy_forces_virial(atoms, path, potential.species)
    assert abs(float(energies.sum()) - energy) <= 1e-9 * len(atoms)
    np.testing.assert_allclose(forces, their_forces, rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(virial, their_virial, rtol=0.0, atol=1e-9 * np.abs(their_virial).max())


def test_the_glass_of_the_case() -> None:
    assert_same(glass(), CASE / "SiO.tersoff")


def test_the_parameters_of_the_case_are_those_of_lammps() -> None:
    """Same numbers, other file: entries that a model does not use may differ between the two."""
    ours, theirs = silica_potential(), read_tersoff(wheel_potential("SiO.tersoff"))
    atoms = rattled(glass(), 0.1)
    for potential in (ours, theirs):
        assert set(potential.species) == {"Si", "O"}
    assert_same(atoms, wheel_potential("SiO.tersoff"))
    assert_same(atoms, CASE / "SiO.tersoff")


def test_every_switching_region_and_kind_of_pair() -> None:
    atoms = rattled(glass(), 0.3)
    pairs, _, _ = switching_pairs(atoms, silica_potential())
    symbols = np.array(atoms.get_chemical_symbols())
    kinds = {"-".join(sorted(symbols[pair])) for pair in pairs}
    assert kinds == {"O-O", "O-Si", "Si-Si"}
    assert_same(atoms, CASE / "SiO.tersoff")


def test_a_file_of_elements_that_know_nothing_of_each_other(tmp_path: Path) -> None:
    """LAMMPS reads what the atoms need; so do we."""
    path = tmp_path / "SiGe.tersoff"
    path.write_text("".join(wheel_potential(f"{symbol}.tersoff").read_text() for symbol in ("Si", "Ge")))
    atoms = bulk("Si", "diamond", a=5.431, cubic=True).repeat(2)
    atoms.rattle(0.1, seed=3)
    assert_same(atoms, path, read_tersoff(path, {"Si"}))


def test_an_oblique_cell() -> None:
    assert_same(oblique(), CASE / "SiO.tersoff")


def test_one_element_with_the_radial_factor_cubed() -> None:
    """Si of 1988: lambda3 = 1.3258/Angstrom with m = 3."""
    assert_same(rattled(bulk("Si", cubic=True).repeat(2), 0.15), wheel_potential("Si.tersoff"))


def test_the_radial_factor_to_the_first_power() -> None:
    """GaN: lambda3 = 1.846/Angstrom with m = 1 around Ga, gamma other than 1, both Ga-Ga and N-N within reach."""
    atoms = bulk("GaN", "zincblende", a=4.5, cubic=True).repeat(2)
    shuffled = atoms.numbers.copy()
    np.random.default_rng(2).shuffle(shuffled)
    atoms.numbers = shuffled
    assert_same(rattled(atoms, 0.15), wheel_potential("GaN.tersoff"))


def test_second_order_force_constants(tmp_path: Path) -> None:
    """LAMMPS takes central differences, here at 1e-4 Angstrom: good to some 1e-8 of the largest element."""
    atoms = disordered()
    mine = second_order(silica_potential(), atoms.positions, graph_of(atoms)).mass_weighted(atoms.get_masses())
    with session(atoms, CASE / "SiO.tersoff", ("Si", "O")) as lammps:
        lammps.command(f"dynamical_matrix all regular 1.0e-4 file {tmp_path / 'second'}")
    theirs = np.loadtxt(tmp_path / "second").reshape(mine.shape)
    np.testing.assert_allclose(theirs, mine, rtol=0.0, atol=1e-7 * np.abs(mine).max())


def test_third_order_force_constants(tmp_path: Path) -> None:
    """LAMMPS writes second differences of forces, so minus the derivatives; at 2e-4 Angstrom good to some 1e-6."""
    atoms = oblique()
    size = 3 * len(atoms)
    indices, values = third_order(silica_potential(), atoms.positions, graph_of(atoms)).elements()
    mine = np.zeros((size,) * 3)
    mine[tuple(indices)] = values
    with session(atoms, CASE / "SiO.tersoff", ("Si", "O")) as lammps:
        lammps.command(f"third_order all regular 2.0e-4 file {tmp_path / 'third'}")
    rows = np.loadtxt(tmp_path / "third")
    i, a, j, b, k = rows[:, :5].astype(int).T - 1
    theirs = np.zeros_like(mine).reshape(size, size, len(atoms), 3)
    theirs[3 * i + a, 3 * j + b, k] = -rows[:, 5:]
    difference = theirs.reshape(mine.shape) - mine
    assert np.abs(difference).max() <= 5e-6 * np.abs(mine).max()
