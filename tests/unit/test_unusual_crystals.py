"""Layers in empty space, crystals of one atom, and skewed cells: they are computed, and what has no meaning is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldmd.case import load_case
from ldmd.commands import check_case
from ldmd.crystal.elasticity import elastic_constants
from ldmd.crystal.vacuum import vacuum_checks, widest_gap
from ldmd.crystal_study import mesh_plans
from ldmd.potentials.tersoff import Tersoff, read_tersoff
from ldmd.problem import Problem, load_problem
from ldmd.structures import require_fits, write_structure

SILICON = Path(__file__).resolve().parents[2] / "cases" / "silicon"
CARBON = "C C C 3 1 0 38049 4.3484 -0.57058 0.72751 1.5724e-7 2.2119 346.74 1.95 0.15 3.4879 1393.6\n"
"""Tersoff, Phys. Rev. B 39, 5566 (1989)."""
AT_REST = 2.5296784691311136
"""Angstrom, the lattice constant of graphene with this potential."""


def graphene(height: float = 15.0) -> Atoms:
    cell = [[AT_REST, 0.0, 0.0], [-0.5 * AT_REST, 0.5 * np.sqrt(3.0) * AT_REST, 0.0], [0.0, 0.0, height]]
    return Atoms("C2", cell=cell, scaled_positions=[[1 / 3, 2 / 3, 0.99], [2 / 3, 1 / 3, 0.99]], pbc=True)


def written(folder: Path, atoms: Atoms, **settings: str) -> Path:
    """A case of a crystal of silicon with these settings of its section."""
    shutil.copy(SILICON / "Si.sw", folder)
    lines = [f"{key} = {value}" for key, value in settings.items()]
    text = '[material]\nname = "x"\n[potential]\nkind = "stillinger-weber"\nparameters = "Si.sw"\n[crystal]\n'
    (folder / "case.toml").write_text(text + "\n".join(lines) + "\n")
    write_structure(atoms, folder / "structure.extxyz")
    return folder


def loaded(folder: Path) -> Problem:
    case = load_case(folder)
    return load_problem(case, case.settings)


@pytest.fixture
def carbon(tmp_path: Path) -> Tersoff:
    (tmp_path / "C.tersoff").write_text(CARBON)
    return read_tersoff(tmp_path / "C.tersoff")


def test_a_layer_has_no_stiffness_across_and_its_own_along(carbon: Tersoff) -> None:
    """The stiffness of the layer, C times the height of the cell, does not know how much space is around it."""
    thin, thick = (elastic_constants(graphene(height), carbon) for height in (12.0, 24.0))
    for found in (thin, thick):
        assert found.floppy == 3, "stretched across, and two shears"
        assert np.isnan(found.mean_speed()) and np.isnan(found.mean_speed_anderson())
        assert found.averages.bulk_reuss == 0.0 == found.averages.shear_reuss < found.averages.bulk_voigt
        assert [check.passed for check in found.checks] == [False]
        assert "no stiffness across" in found.checks[0].advice
    np.testing.assert_allclose(12.0 * thin.constants, 24.0 * thick.constants, atol=1e-6)
    assert thin.constants[0, 0] - thin.constants[0, 1] == pytest.approx(2.0 * thin.constants[5, 5]), (
        "isotropic in plane"
    )


def test_empty_space_is_seen_and_the_volume_is_named() -> None:
    assert widest_gap(graphene(15.0)) == pytest.approx((15.0, 15.0))
    (check,) = vacuum_checks(graphene(15.0))
    assert not check.passed and "83.1 Angstrom^3" in check.advice and "15.000 Angstrom / d" in check.advice
    stack = graphene(3.35)
    assert vacuum_checks(stack) == () == vacuum_checks(bulk("Si"))
    slab = bulk("Si", cubic=True)
    slab.set_cell(slab.cell.array + np.diag([0.0, 0.0, 9.0]))
    assert vacuum_checks(slab)[0].value == pytest.approx(9.0 + 5.43 / 4)


def test_a_crystal_of_one_atom_is_a_case(tmp_path: Path) -> None:
    """Close-packed silicon: by symmetry no force on it."""
    close_packed = bulk("Si", "fcc", a=3.9)
    problem = loaded(written(tmp_path, close_packed, supercell="[4, 4, 4]", mesh="[5, 5, 5]"))
    assert len(problem.primitive) == 1 and len(problem.atoms) == 64
    assert [plan.grid for plan in mesh_plans(problem)[:4]] == [(3, 3, 3), (4, 4, 4), (5, 5, 5), (4, 4, 4)]
    potential = problem.differentiable
    assert potential is not None
    found = elastic_constants(problem.primitive, potential).constants
    assert found[0, 0] == pytest.approx(found[2, 2]) and found[3, 3] == pytest.approx(found[5, 5])


def test_check_says_in_what_a_skewed_crystal_is_computed(tmp_path: Path) -> None:
    """The box of the dynamics is no longer too thin for the potential, and nobody has to repeat it."""
    atoms = bulk("Si", a=5.430949778405)
    atoms.set_cell(np.array([[1, 0, 0], [3, 1, 0], [2, -1, -1]]) @ atoms.cell.array)
    folder = written(tmp_path, atoms, supercell="[3, 3, 3]", mesh="[5, 5, 5]")
    problem = loaded(folder)
    np.testing.assert_allclose(problem.atoms.cell.lengths(), 3 * 5.430949778405 / np.sqrt(2.0), rtol=1e-9)
    assert np.linalg.det(problem.atoms.cell.array) > 0.0 and np.linalg.det(atoms.cell.array) < 0.0
    lines, _ = check_case(folder, quick=False)
    assert any("primitive cell of 2 atoms" in line and "in place of the given vectors" in line for line in lines)
    assert any("box of the dynamics: 54 atoms" in line and "shorter or right-handed" in line for line in lines)
    assert any(line.strip() == "finest mesh [5, 5, 5] along its reciprocal vectors" for line in lines)


def test_a_skewed_cell_is_as_wide_as_its_lattice(carbon: Tersoff) -> None:
    wide = graphene().repeat((3, 3, 1))
    skewed = wide.copy()
    skewed.set_cell(np.array([[1, 0, 0], [4, 1, 0], [0, 0, 1]]) @ wide.cell.array)
    require_fits(skewed, carbon.species, carbon.switching)
