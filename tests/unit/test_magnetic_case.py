"""A black box that looks at magnetic moments: what is stored belongs to the moments that it was computed with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldmd.case import load_case
from ldmd.commands import check_case, explain_stages, relax_case
from ldmd.crystal.description import standard_primitive
from ldmd.crystal.force_constants import phono3py_of, primitive_of, supercell_of
from ldmd.force_constants.crystal_symmetry import operations_of
from ldmd.force_constants.finite_differences import second_order
from ldmd.potentials.black_box import AsePotential
from ldmd.potentials.black_box_relaxation import relax_black_box
from ldmd.potentials.evaluations import evaluations
from ldmd.problem import load_problem
from ldmd.structure_files import read_structure, write_structure
from ldmd.workflow import Runner

CASE = """[material]
name = "spins"
[potential]
kind = "ase"
calculator = "foreign_calculators:Magnetic"
[lattice]
temperatures = [300]
displacement = 0.005
pair_cutoff = 3.0
"""
SPACING = 2.55 * np.sqrt(2.0)
MAGNETIC = AsePotential("foreign_calculators:Magnetic")


def copper(moments: str = "parallel") -> Atoms:
    """Eight atoms; antiparallel: layers along z in turn up and down."""
    atoms = bulk("Cu", a=SPACING, cubic=True).repeat((2, 1, 1))
    layers = np.rint(2.0 * atoms.positions[:, 2] / SPACING)
    if moments != "none":
        atoms.set_initial_magnetic_moments(np.ones(8) if moments == "parallel" else 1.0 - 2.0 * (layers % 2))
    return atoms


@pytest.fixture(scope="module")
def disordered() -> Atoms:
    """Seven atoms around a vacancy, at rest with all moments parallel, and so with any equal ones or none."""
    atoms = copper()
    del atoms[3]
    atoms.rattle(0.02, seed=1)
    return relax_black_box(atoms, MAGNETIC, fmax=1e-8)


@pytest.fixture
def folder(tmp_path: Path, disordered: Atoms) -> Path:
    (tmp_path / "case.toml").write_text(CASE)
    write_structure(disordered, tmp_path / "structure.extxyz")
    return tmp_path


def with_moments(atoms: Atoms, moment: float) -> Atoms:
    other = atoms.copy()
    other.set_initial_magnetic_moments(np.full(len(atoms), moment) if moment else None)
    return other


def highest(folder: Path) -> float:
    case = load_case(folder)
    problem = load_problem(case, case.settings)
    return float(Runner(problem, problem.store, {}).modes().frequencies[-1])


def test_other_moments_give_other_results_of_a_case_that_has_some(folder: Path, disordered: Atoms) -> None:
    """All springs are 1.4 times as stiff where all moments are 1 as where there are none, 1.1 times where they are 1/2.

    The modes of a minimum have frequencies as large as the square root of that.
    """
    parallel = highest(folder)
    assert explain_stages(folder, False)[0] == "modes: stored"
    for moment, stiffness in ((0.0, 1.0), (0.5, 1.1)):
        write_structure(with_moments(disordered, moment), folder / "structure.extxyz")
        assert explain_stages(folder, False)[0] == "modes: to be computed (changed: system.magnetic moments)"
        assert highest(folder) == pytest.approx(parallel * np.sqrt(stiffness / 1.4), rel=1e-7)
    write_structure(disordered, folder / "structure.extxyz")
    assert explain_stages(folder, False)[0] == "modes: stored"


def test_other_masses_give_other_results_of_a_case_that_has_some(folder: Path, disordered: Atoms) -> None:
    before = highest(folder)
    atoms = disordered.copy()
    atoms.set_masses(4.0 * atoms.get_masses())
    write_structure(atoms, folder / "structure.extxyz")
    assert explain_stages(folder, False)[0] == "modes: to be computed (changed: system.masses)"
    assert highest(folder) == pytest.approx(before / 2.0, rel=1e-9)
    assert any(
        "masses of Cu in amu (atoms), standard 63.546: 254.184 (7)" in line for line in check_case(folder, False)[0]
    )


def test_relaxation_keeps_moments_charges_and_masses(folder: Path, disordered: Atoms) -> None:
    atoms = disordered.copy()
    atoms.set_initial_charges(np.linspace(-1.0, 1.0, 7))
    atoms.set_masses([62.9296, *atoms.get_masses()[1:]])
    atoms.info["spin"] = 3
    atoms.positions[0] += 0.05
    write_structure(atoms, folder / "structure.extxyz")
    relax_case(folder)
    back = read_structure(folder / "structure.extxyz")
    assert not np.allclose(back.get_positions(wrap=True), atoms.get_positions(wrap=True), atol=1e-3)
    for name in ("initial_magmoms", "initial_charges", "masses"):
        np.testing.assert_array_equal(back.arrays[name], atoms.arrays[name])
    assert back.info == {"spin": 3}


def test_symmetry_knows_moments() -> None:
    """Antiparallel layers are tetragonal: differences with that symmetry are those without any."""
    atoms = copper("antiparallel")
    assert len(operations_of(copper())) == len(operations_of(copper("none")))
    assert 1 < len(operations_of(atoms)) < len(operations_of(copper()))
    with evaluations(MAGNETIC, workers=1) as asked:
        with_symmetry = second_order(atoms, asked, 0.01).second.matrix
        without = second_order(atoms, asked, 0.01, symmetry=False).second.matrix
    assert abs(with_symmetry - without).max() < 1e-6 * abs(without).max()


def test_a_primitive_cell_knows_moments() -> None:
    """One atom where all moments are parallel, two of them where layers alternate."""
    assert len(primitive_of(copper())) == len(primitive_of(copper("none"))) == 1
    antiparallel = primitive_of(copper("antiparallel"))
    assert sorted(antiparallel.get_initial_magnetic_moments()) == [-1.0, 1.0]
    np.testing.assert_array_equal(primitive_of(copper()).get_initial_magnetic_moments(), [1.0])
    found = standard_primitive(copper("antiparallel"))
    assert sorted(found.get_initial_magnetic_moments()) == [-1.0, 1.0]
    cubic, tetragonal = operations_of(primitive_of(copper()), by_mass=True), operations_of(found, by_mass=True)
    assert (len(cubic), len(tetragonal)) == (48, 16)


@pytest.mark.parametrize("matrix", [(2, 1, 3), [[1, 1, 0], [0, 2, 0], [0, 0, 1]]])
def test_a_supercell_keeps_what_a_calculator_may_look_at(matrix: list) -> None:
    unit = copper("antiparallel")
    unit.info["spin"] = 3
    primitive = primitive_of(unit)
    found = supercell_of(primitive, matrix)
    assert found.atoms.info == {"spin": 3}
    expected = primitive.get_initial_magnetic_moments()[found.sites]
    np.testing.assert_array_equal(found.atoms.get_initial_magnetic_moments(), expected)


def test_the_symmetry_of_phono3py_knows_moments() -> None:
    """Tetragonal where layers alternate: 16 rotations and not the 48 of copper."""
    rotations = []
    for moments in ("parallel", "antiparallel"):
        primitive = standard_primitive(copper(moments))
        program = phono3py_of(primitive, supercell_of(primitive, (1, 1, 1)), by_mass=True)
        rotations.append(len(program.primitive_symmetry.pointgroup_operations))
    assert rotations == [48, 16]


def test_evaluations_on_record_know_what_the_calculator_saw() -> None:
    with evaluations(MAGNETIC, workers=1) as asked:
        still = [((0, (0.1, 0.0, 0.0)),)]
        first = asked.forces(copper(), still)[0]
        second = asked.forces(copper("none"), still)[0]
    np.testing.assert_allclose(second, first / 1.4, rtol=1e-9, atol=1e-12)


def test_a_calculator_is_asked_again_where_only_info_differs() -> None:
    """ASE's calculators keep their last answer, and look at positions, moments and charges to know whose it is."""
    atoms = copper("none")
    atoms.info["scale"] = 1.0
    potential = AsePotential("foreign_calculators:Scaled")
    first = potential.energy(atoms)
    assert potential.energy(atoms) == first != 0.0
    atoms.info["scale"] = 2.0
    assert potential.energy(atoms) == pytest.approx(2.0 * first)
