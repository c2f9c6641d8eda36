"""Cases of crystals: from the case file to the verdict, what is stored, what is refused, and cells at rest."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_case import contents as files_of
from small_case import replace_in

from ldmd.case import load_case
from ldmd.commands import check_case, compare_case, explain_stages, relax_case, verdict_lines
from ldmd.crystal import kaldo_engine, portrait
from ldmd.crystal.description import keeps_symmetry
from ldmd.crystal.elasticity import elastic_constants
from ldmd.crystal_study import CrystalStudy, crystal_study, mesh_plans, solver
from ldmd.errors import InputError
from ldmd.problem import Problem, load_problem
from ldmd.report import ReportContents
from ldmd.stages import CRYSTAL_STAGES, OF_PRIMITIVE, stages_of
from ldmd.structures import read_structure, write_structure
from ldmd.workflow import Runner

SILICON = Path(__file__).resolve().parents[2] / "cases" / "silicon"
AT_REST = 5.430949778405
"""Angstrom, the lattice constant of Stillinger-Weber silicon: its pairs are at their minimum, 2^(1/6) sigma."""
CASE_TOML = """
[material]
name = "a little silicon"

[potential]
kind = "stillinger-weber"
parameters = "Si.sw"

[crystal]
supercell = [2, 2, 2]
mesh = [5, 5, 5]

[lattice]
temperatures = [300]

[dynamics]
temperature = 300
length_ps = 1
replicas = 1
equilibration_ps = 0.1
frame_interval_ps = 0.25

[anharmonicity]
configurations = 2
"""
STEPS = ("scattering solution", "interband", "quantum statistics", "finite size", "rest, unexplained")


def write_crystal(folder: Path, atoms: Atoms | None = None, **replaced: str) -> Path:
    """A case folder around a unit cell, by default cubic silicon at rest, with other settings ``key="value"``."""
    folder.mkdir()
    shutil.copy(SILICON / "Si.sw", folder)
    (folder / "case.toml").write_text(CASE_TOML)
    for key, value in replaced.items():
        (line,) = (line for line in CASE_TOML.splitlines() if line.startswith(f"{key} = "))
        replace_in(folder / "case.toml", line, f"{key} = {value}")
    write_structure(bulk("Si", a=AT_REST, cubic=True) if atoms is None else atoms, folder / "structure.extxyz")
    return folder


def problem_of(folder: Path) -> Problem:
    """The case of a folder, loaded."""
    case = load_case(folder)
    return load_problem(case, case.settings)


def study_of(folder: Path) -> CrystalStudy:
    """Its lattice dynamics."""
    problem = problem_of(folder)
    return crystal_study(Runner(problem, problem.store, {}))


@dataclasses.dataclass(frozen=True)
class Finished:
    """A case that was compared, and its report."""

    folder: Path
    contents: ReportContents
    page: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Silicon, 64 atoms and 32 wave vectors in the box of the dynamics."""
    folder = write_crystal(tmp_path_factory.mktemp("cases") / "silicon")
    return Finished(folder, *compare_case(folder, False, folder.parent / "report", "ldmd compare silicon"))


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    """The same case, with all that is stored, to be changed."""
    return Path(shutil.copytree(finished.folder, tmp_path / "silicon"))


def test_the_steps_of_the_ledger_lead_from_relaxation_times_to_the_dynamics(finished: Finished) -> None:
    comparison, study = finished.contents.comparison, finished.contents.crystal
    assert comparison is not None and study is not None
    assert tuple(entry.name for entry in comparison.ledger) == STEPS
    total = sum(entry.value for entry in comparison.ledger)
    assert total == pytest.approx(comparison.dynamics.value - comparison.start.value, rel=1e-10)
    assert comparison.start_name == "relaxation times, infinite mesh"
    classical = study.commensurate.isotropic(300.0, "classical", "direct total")
    assert comparison.lattice_classical.value == pytest.approx(classical)
    assert comparison.lattice_classical.standard_error == pytest.approx(study.smearing_error(300.0))
    assert comparison.difference.value == pytest.approx(classical - comparison.dynamics.value)
    lines = list(verdict_lines(finished.contents))
    assert "on the wave vectors of the box" in lines[0]
    assert [line.split("  ")[1] for line in lines[1:6]] == list(STEPS)


def test_the_mesh_of_the_dynamics_has_a_wave_vector_for_every_primitive_cell(finished: Finished) -> None:
    study = finished.contents.crystal
    assert study is not None
    assert [int(mesh.weights.sum()) for mesh in study.meshes] == [27, 64, 125]
    assert int(study.commensurate.weights.sum()) == 32 == 64 // 2
    assert study.commensurate.smearing is None and study.otherwise.smearing == 0.6
    modes = finished.contents.modes
    assert modes is not None
    on_mesh = np.repeat(study.commensurate.frequencies, study.commensurate.weights, axis=0).ravel()
    np.testing.assert_allclose(np.sort(modes.frequencies)[3:], np.sort(on_mesh)[3:], rtol=1e-6)


def test_the_report_of_a_crystal(finished: Finished) -> None:
    summary = json.loads((finished.page.parent / "summary.json").read_text())
    assert summary["verdict"]["verdict"] in ("agree", "disagree", "undecided", "no verdict")
    assert summary["dynamics"]["motion"]["Si"]["motion"] == "vibrates"
    assert "a little silicon" in finished.page.read_text()


def test_a_second_run_recomputes_nothing(finished: Finished, copy: Path, tmp_path: Path) -> None:
    before = files_of(copy / ".ldmd")
    again, _ = compare_case(copy, False, tmp_path / "report", "ldmd compare silicon")
    assert files_of(copy / ".ldmd") == before
    assert again.comparison == finished.contents.comparison


def test_why_names_the_stages_and_how_many_meshes(finished: Finished, tmp_path: Path) -> None:
    assert explain_stages(finished.folder, quick=False) == [
        "mesh: 5 of 5 meshes stored",
        "portrait: stored",
        "modes: stored",
        "dynamics: 1 of 1 replicas stored",
        "green-kubo: stored",
        "anharmonicity: stored",
        "anharmonicity-by-temperature: stored",
    ]
    new = explain_stages(write_crystal(tmp_path / "new"), quick=False)
    assert [line.split(": ")[0] for line in new] == list(CRYSTAL_STAGES)
    assert new[0] == "mesh: 0 of 5 meshes stored"
    assert stages_of(problem_of(finished.folder)) == CRYSTAL_STAGES


def test_another_mesh_recomputes_meshes_alone(copy: Path) -> None:
    before = files_of(copy / ".ldmd")
    replace_in(copy / "case.toml", "mesh = [5, 5, 5]", "mesh = [6, 6, 6]")
    lines = explain_stages(copy, quick=False)
    assert lines[0] == "mesh: 4 of 5 meshes stored", "4 x 4 x 4, 5 x 5 x 5, and twice that of the dynamics"
    assert all(line.endswith("stored") for line in lines)
    study = study_of(copy)
    assert [int(mesh.weights.sum()) for mesh in study.meshes] == [64, 125, 216]
    after = files_of(copy / ".ldmd")
    changed = {Path(name) for name in after if after[name] != before.get(name)}
    assert {path.parent.name for path in changed} == {"mesh"} and len([p for p in changed if p.suffix == ".nc"]) == 1


def test_a_box_of_another_size_recomputes_what_the_box_is_in(copy: Path) -> None:
    replace_in(copy / "case.toml", "supercell = [2, 2, 2]", "supercell = [3, 2, 2]")
    lines = explain_stages(copy, quick=False)
    assert lines[:2] == ["mesh: 3 of 5 meshes stored", "portrait: stored"]
    assert all("to be computed (changed: " in line and "system" in line for line in (lines[2], lines[6]))


def test_the_wave_vectors_of_a_box_less_symmetric_than_the_crystal(copy: Path) -> None:
    replace_in(copy / "case.toml", "supercell = [2, 2, 2]", "supercell = [3, 2, 2]")
    problem = problem_of(copy)
    plans = mesh_plans(problem)
    assert [plan.symmetry for plan in plans] == [True, True, True, False, False]
    found = solver(problem)(dataclasses.replace(plans[3], statistics=("classical",)))
    assert int(found.weights.sum()) == 48 and found.direct is not None
    tensor = found.tensor("direct total")[0, 0]
    assert tensor[0, 0] != pytest.approx(tensor[1, 1], rel=0.02)
    assert tensor[1, 1] == pytest.approx(tensor[2, 2], rel=5e-3), "tetrahedra prefer one of two diagonals"
    cubic, primitive = bulk("Si", a=AT_REST, cubic=True).cell.array, problem.primitive
    assert keeps_symmetry(primitive, 3 * cubic) and keeps_symmetry(primitive, primitive.cell.array)
    assert not keeps_symmetry(primitive, np.diag([1, 1, 2]) @ cubic)


@pytest.fixture
def coarse_portrait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Densities of states that nothing is computed from need few points."""
    for name in ("DENSITY_POINTS", "DISPLACEMENT_POINTS", "GRUENEISEN_POINTS"):
        monkeypatch.setattr(portrait, name, 500)


@pytest.mark.usefixtures("coarse_portrait")
def test_a_black_box_gives_lattice_dynamics_and_says_so(tmp_path: Path) -> None:
    folder = write_crystal(tmp_path / "copper", bulk("Cu", a=3.59, cubic=True), mesh="[5, 5, 5]\ndirect = false")
    old = 'kind = "stillinger-weber"\nparameters = "Si.sw"'
    replace_in(folder / "case.toml", old, 'kind = "ase"\ncalculator = "ase.calculators.emt:EMT"')
    assert stages_of(problem_of(folder)) == OF_PRIMITIVE
    lines, _ = check_case(folder, quick=False)
    assert any("lattice dynamics about" in line for line in lines)
    assert not any("molecular dynamics about" in line for line in lines)
    contents, page = compare_case(folder, False, tmp_path / "report", "ldmd compare copper")
    assert contents.comparison is None and contents.crystal is not None and contents.trajectories is None
    said = list(verdict_lines(contents))
    assert "on the infinite mesh (total), classical" in said[1] and "black box" in said[2]
    assert "Lattice dynamics only." in page.read_text()
    assert {check.name for _, check in contents.checks} >= {"scatter of order 3", "repetition of forces"}
    record = (folder / ".ldmd" / "forces.record").stat().st_size
    assert study_of(folder).finest.isotropic(300.0, "classical") == contents.crystal.finest.isotropic(
        300.0, "classical"
    )
    assert (folder / ".ldmd" / "forces.record").stat().st_size == record > 0
    replace_in(folder / "case.toml", "supercell = [2, 2, 2]", "supercell = [3, 3, 3]")
    lines = explain_stages(folder, quick=False)
    assert lines[0].startswith("mesh: 0 of 5 meshes stored") and "supercell" in lines[0], "that of force constants"


def test_kaldo_agrees_with_phono3py_on_the_same_mesh(tmp_path: Path) -> None:
    pytest.importorskip("kaldo")
    kappa = []
    for engine in ("phono3py", "kaldo"):
        mesh = f'[5, 5, 5]\nengine = "{engine}"\nsmearing = 2.0\ndirect = false'
        folder = write_crystal(tmp_path / engine, bulk("Si", a=AT_REST), mesh=mesh, supercell="[3, 3, 3]")
        problem = problem_of(folder)
        plan = dataclasses.replace(mesh_plans(problem)[0], statistics=("classical",))
        kappa.append(solver(problem)(plan).isotropic(300.0, "classical", "relaxation time"))
    assert kappa[1] == pytest.approx(kappa[0], rel=0.02)


def test_kaldo_needs_a_box_of_primitive_cells(tmp_path: Path) -> None:
    folder = write_crystal(tmp_path / "silicon", mesh='[5, 5, 5]\nengine = "kaldo"')
    with pytest.raises(InputError, match='^crystal.engine = "kaldo": knows no wave vectors of a box that .*$'):
        explain_stages(folder, quick=False)


def test_collisions_that_kaldo_cannot_invert_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def singular(*_: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    mesh = '[5, 5, 5]\nengine = "kaldo"'
    problem = problem_of(write_crystal(tmp_path / "silicon", bulk("Si", a=AT_REST), mesh=mesh, supercell="[3, 3, 3]"))
    monkeypatch.setattr(kaldo_engine, "conductivity", singular)
    with pytest.raises(InputError, match=r"on the mesh \[3, 3, 3\] have no inverse.*; give a wider smearing .*$"):
        solver(problem)(mesh_plans(problem)[0])


def test_a_structure_that_is_at_no_minimum_is_refused(tmp_path: Path) -> None:
    atoms = bulk("Si", a=AT_REST, cubic=True)
    atoms.positions[0, 0] += 0.05
    with pytest.raises(InputError, match="^material.structure = largest force .* run: ldmd relax .*$"):
        problem_of(write_crystal(tmp_path / "silicon", atoms))


@pytest.mark.parametrize("command", [explain_stages, check_case])
def test_a_mesh_that_breaks_the_symmetry_is_refused(command: object, tmp_path: Path) -> None:
    folder = write_crystal(tmp_path / "silicon", mesh="[5, 5, 4]")
    with pytest.raises(InputError) as caught:
        command(folder, False)  # type: ignore[operator]
    assert str(caught.value).startswith("crystal.mesh = [5, 5, 4]: breaks the symmetry of the crystal")
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_of_born_charges_is_refused(tmp_path: Path) -> None:
    folder = write_crystal(tmp_path / "silicon", mesh='[5, 5, 5]\nborn = "BORN"')
    with pytest.raises(InputError, match=r"^.*BORN.*: no such file.*$"):
        explain_stages(folder, quick=False)


@pytest.mark.usefixtures("coarse_portrait")
def test_modes_that_are_imaginary_are_a_failed_check_with_advice(tmp_path: Path) -> None:
    close_packed = bulk("Si", "fcc", a=3.9, cubic=True)  # by symmetry no force, but no minimum
    mesh = "[5, 5, 5]\ndirect = false\nforce_constants = [3, 3, 3]"
    folder = write_crystal(tmp_path / "silicon", close_packed, mesh=mesh)
    study = study_of(folder)
    failed = {check.name: check for check in study.checks if not check.passed}
    check = failed["imaginary modes on the mesh"]
    assert study.portrait.elastic is None and study.portrait.debye is None, "what is no minimum has no sound"
    assert check.value > 0 and "relax the crystal" in check.advice


def test_relaxing_the_cell_of_a_strained_crystal_finds_its_lattice_constant(tmp_path: Path) -> None:
    atoms = bulk("Si", a=5.5, cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + [[0.0, 0.01, 0.0], [0.01, 0.0, 0.0], [0.0, 0.0, -0.01]]), True)
    folder = write_crystal(tmp_path / "silicon", atoms)
    (line,) = relax_case(folder, volume=True)
    relaxed = read_structure(folder / "structure.extxyz")
    np.testing.assert_allclose(relaxed.cell.lengths(), AT_REST, rtol=1e-8)
    np.testing.assert_allclose(relaxed.cell.angles(), 90.0, rtol=1e-8)
    assert "pressure" in line and load_problem(load_case(folder), load_case(folder).settings).inspection.usable


def test_relaxing_a_hexagonal_cell_leaves_no_stress(tmp_path: Path) -> None:
    """Lonsdaleite: its height and the place of its atoms along the axis are free."""
    atoms = bulk("SiSi", "wurtzite", a=3.9, c=6.2, u=0.38)
    folder = write_crystal(tmp_path / "lonsdaleite", atoms, supercell="[3, 3, 2]")
    relax_case(folder, volume=True)
    potential = problem_of(folder).differentiable
    assert potential is not None
    relaxed = read_structure(folder / "structure.extxyz")
    assert np.abs(elastic_constants(relaxed, potential).stress).max() < 1e-6
    lengths, angles = relaxed.cell.lengths(), relaxed.cell.angles()
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-8)
    np.testing.assert_allclose(angles, [90.0, 90.0, 120.0], rtol=1e-8)
    assert np.cbrt(relaxed.get_volume() / 4 * 8) == pytest.approx(AT_REST, rel=1e-6), "bonds as in the cubic crystal"


def test_check_shows_the_crystal_and_what_it_costs(finished: Finished) -> None:
    lines, fine = check_case(finished.folder, quick=False)
    assert fine
    assert "  crystal.mesh = [5, 5, 5]" in lines and "  crystal.engine = phono3py" in lines
    assert any(line.startswith("  lattice dynamics about") for line in lines)
    assert any(line.startswith("  molecular dynamics about") for line in lines)
