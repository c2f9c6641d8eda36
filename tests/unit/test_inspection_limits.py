"""What a structure is held against: limits that follow the noise of the forces, and every end of the potential."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from foreign_calculators import Single
from nep_models import write_nep

from ldmd.inspection import (
    FORCE_CHECK,
    LARGEST_FORCE,
    PRESSURE_CHECK,
    SWITCHING_CHECK,
    inspect_structure,
    switching_pairs,
)
from ldmd.potentials.black_box import AsePotential
from ldmd.potentials.contract import examine
from ldmd.potentials.nep import NepPotential, read_nep
from ldmd.potentials.subjects import force_subject
from ldmd.results import Check

COPPER = bulk("Cu", "fcc", a=3.59, cubic=True).repeat(2)
SINGLE = AsePotential("foreign_calculators:Single")


def check_named(checks: tuple[Check, ...], name: str) -> Check:
    (found,) = (check for check in checks if check.name == name)
    return found


def test_a_symmetric_crystal_is_at_rest_in_single_precision() -> None:
    """Its forces vanish by symmetry; what is left of them, 1e-5 eV/Angstrom, is the noise of the calculator."""
    found = inspect_structure(COPPER, SINGLE, crystal=True)
    check = check_named(found.checks, FORCE_CHECK)
    assert LARGEST_FORCE < check.value < 3e-5
    assert 3e-5 < check.threshold < 2e-4
    assert found.usable


def test_a_force_above_the_noise_is_one() -> None:
    moved = COPPER.copy()
    moved.positions[0, 0] += 1e-3
    found = inspect_structure(moved, SINGLE, crystal=True)
    check = check_named(found.checks, FORCE_CHECK)
    assert check.value > 3e-3 > check.threshold and not found.usable


def test_in_double_precision_the_limit_stays() -> None:
    moved = COPPER.copy()
    moved.positions[0, 0] += 1e-6
    check = check_named(inspect_structure(moved, AsePotential("ase.calculators.emt:EMT")).checks, FORCE_CHECK)
    assert check.threshold == LARGEST_FORCE < check.value


def test_without_a_stress_there_is_no_check_of_the_pressure() -> None:
    names = {check.name for check in inspect_structure(COPPER, AsePotential("foreign_calculators:Springs")).checks}
    assert PRESSURE_CHECK not in names and FORCE_CHECK in names
    names = {check.name for check in inspect_structure(COPPER, AsePotential("foreign_calculators:Promising")).checks}
    assert PRESSURE_CHECK not in names


def test_single_precision_passes_the_contract() -> None:
    assert Single.implemented_properties  # announced; what is lacking is not looked at
    examination = examine(force_subject(SINGLE), COPPER)
    assert examination.passed, [check for check in examination.checks if not check.passed]
    assert any("noise" in note for note in examination.notes)


@pytest.fixture
def potential(tmp_path: Path) -> NepPotential:
    return read_nep(write_nep(tmp_path / "nep.txt", cutoff="5 4 50 40", l_max="2 0 0", polynomials=(3, 2)))


@pytest.mark.parametrize(("gap", "found"), [(0.0, True), (5e-6, True), (-5e-6, True), (1e-3, False), (-1e-3, False)])
def test_pairs_that_stand_at_the_angular_cutoff_have_no_derivatives(
    potential: NepPotential, gap: float, found: bool
) -> None:
    """The second shell of diamond, a / sqrt(2), brought to 4 Angstrom."""
    atoms = bulk("Si", "diamond", a=np.sqrt(2.0) * (4.0 + gap), cubic=True).repeat(2)
    pairs, distances, radii = switching_pairs(atoms, potential)
    assert len(pairs) == (6 * len(atoms) if found else 0)
    np.testing.assert_allclose(distances, 4.0 + gap)
    np.testing.assert_array_equal(radii, 4.0)


def test_such_a_structure_is_not_usable(potential: NepPotential) -> None:
    atoms = bulk("Si", "diamond", a=np.sqrt(2.0) * 5.0, cubic=True).repeat(2)
    found = inspect_structure(atoms, potential)
    assert check_named(found.checks, SWITCHING_CHECK).value == 6 * len(atoms)
    assert not found.usable
