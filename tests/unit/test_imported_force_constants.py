"""A crystal whose force constants stand in files: published numbers, no dynamics, and refusals in one line."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import report_fixture
from spring_crystal import primitive_cell, springs

from ldmd import commands
from ldmd.case import load_case, parse_settings
from ldmd.crystal.phono3py_files import read_forces
from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.force_constants.exchange import phono3py
from ldmd.force_constants.exchange.constants import ForceConstants, of_supercell
from ldmd.force_constants.exchange.supercell import repeated
from ldmd.problem import Problem, load_problem
from ldmd.report import ReportContents, summary
from ldmd.report.overview import LATTICE_ONLY, Member, Overview
from ldmd.report.overview_page import models_table, overview_headline, render_overview
from ldmd.stages import stage_parts
from ldmd.subject import NO_DYNAMICS

CASE_TOML = """
[material]
name = "silicon"
[potential]
kind = "force-constants"
parameters = "phono3py.yaml"
third = "fc3.hdf5"
second = "fc2.hdf5"
[crystal]
supercell = [2, 1, 1]
mesh = [9, 9, 9]
direct = false
[lattice]
temperatures = [300.0]
[dynamics]
temperature = 300.0
"""
PUBLISHED = {"bose-einstein": 107.8, "classical": 95.1}
"""W/(m K), relaxation times on 9 x 9 x 9 wave vectors at 300 K: PBEsol silicon as phono3py's authors publish it."""
CUTOFF = 3.0
"""Angstrom, below half of the shortest vector of the supercell."""


def write_case(folder: Path, text: str = CASE_TOML) -> Path:
    folder.mkdir()
    (folder / "case.toml").write_text(text)
    return folder


def without(key: str) -> str:
    """The case without the lines that begin with a key."""
    return "\n".join(line for line in CASE_TOML.splitlines() if not line.startswith(key))


@pytest.fixture(scope="module")
def constants() -> ForceConstants:
    """A triclinic crystal of springs."""
    supercell = repeated(primitive_cell(), (3, 2, 2), "sites")
    return of_supercell(supercell, *springs(supercell.atoms, CUTOFF))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, constants: ForceConstants) -> Path:
    """A case with finished force constants."""
    folder = write_case(tmp_path_factory.mktemp("cases") / "springs")
    phono3py.write_structure(folder / "phono3py.yaml", constants.supercell)
    phono3py.write_second(constants, folder / "fc2.hdf5")
    phono3py.write_third(constants, folder / "fc3.hdf5")
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "springs"))


def problem_of(folder: Path) -> Problem:
    case = load_case(folder)
    return load_problem(case, case.settings)


# Published numbers, all the way through a case


@pytest.fixture(scope="module")
def pbesol(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportContents, Path]:
    pytest.importorskip("phono3py")
    names = ("phono3py_si_pbesol.yaml", "FORCES_FC3_si_pbesol")
    if not all((shared_data / "phono3py" / name).is_file() for name in names):
        pytest.skip(f"LDMD_DATA has no phono3py/{' and '.join(names)}")
    text = without("second").replace("phono3py.yaml", "fetch:silicon-pbesol-phono3py")
    text = text.replace("fc3.hdf5", "fetch:silicon-pbesol-forces").replace("[2, 1, 1]", "[1, 1, 1]")
    folder = write_case(tmp_path_factory.mktemp("cases") / "silicon", text)
    contents, page = commands.compare_case(folder, False, folder / "report", "ldmd compare silicon")
    return contents, page


def test_published_relaxation_times_come_out_of_a_case(pbesol: tuple[ReportContents, Path]) -> None:
    contents, page = pbesol
    assert contents.crystal is not None and contents.temperature == 300.0
    for statistics, value in PUBLISHED.items():
        found = contents.crystal.finest.isotropic(300.0, statistics, "relaxation time")
        assert found == pytest.approx(value, rel=1e-3)
    assert contents.crystal.portrait.elastic is None and contents.crystal.portrait.equation is None
    assert all(check.passed for check in contents.crystal.constants_checks)
    assert {check.name for check in contents.crystal.constants_checks} == {
        "sum rule of order 2",
        "change that restored the sum rules of order 2",
        "change that restored the sum rules of order 3",
        "order 2 half a supercell away, of its largest",
        "order 3 half a supercell away, of its largest",
        "frequencies of equivalent waves, of the highest",
    }
    rows = summary(contents)["crystal"]["conductivity"]
    assert {row["mesh"] for row in rows} >= {"5 × 5 × 5", "7 × 7 × 7", "9 × 9 × 9"}
    assert "</html>" in page.read_text(encoding="utf-8")


def test_lattice_dynamics_stands_alone(pbesol: tuple[ReportContents, Path]) -> None:
    contents, page = pbesol
    assert contents.comparison is None and contents.trajectories is None and contents.exit_code == 1
    lines = list(commands.verdict_lines(contents))
    assert lines[2] == "No dynamics: force constants without a potential."
    assert "silicon: " in lines[0] and "on the infinite mesh (total), bose-einstein" in lines[0]
    text = page.read_text(encoding="utf-8")
    assert "No dynamics: force constants without a potential; lattice dynamics stands alone." in text
    assert "black box" not in text.split("<body>")[1].split("Settings")[0]
    structure = summary(contents)["structure"]
    assert structure["largest_force"]["value"] is None is structure["energy"]["value"]


def test_other_files_in_the_working_folder_are_not_read(
    pbesol: tuple[ReportContents, Path], shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """phono3py takes an fc3.hdf5 that lies there before the forces that are named."""
    for name in ("fc2.hdf5", "fc3.hdf5", "FORCES_FC2"):
        (tmp_path / name).write_text("not what was asked for")
    monkeypatch.chdir(tmp_path)
    files = (shared_data / "phono3py" / name for name in ("phono3py_si_pbesol.yaml", "FORCES_FC3_si_pbesol"))
    assert read_forces(*files).translation < 1e-10
    assert Path.cwd() == tmp_path


# Finished force constants


def test_finished_force_constants_are_those_of_the_files(folder: Path, constants: ForceConstants) -> None:
    problem = problem_of(folder)
    assert problem.differentiable is None and not problem.by_differences
    assert len(problem.atoms) == 6 and problem.inspection.usable
    found = problem.crystal
    assert found.second.second is not None and constants.second is not None
    assert found.third.third is not None and constants.third is not None
    np.testing.assert_allclose(found.second.second.toarray(), constants.second.toarray(), atol=1e-12)
    assert np.linalg.norm(found.third.third.values) == pytest.approx(np.linalg.norm(constants.third.values))
    np.testing.assert_allclose(problem.primitive.positions, found.primitive.positions, atol=1e-10)


def test_contents_count_and_names_do_not(folder: Path, written: Path) -> None:
    first = digest(stage_parts(problem_of(written), "mesh"))
    (folder / "fc3.hdf5").rename(folder / "third.hdf5")
    toml = folder / "case.toml"
    toml.write_text(toml.read_text().replace("fc3.hdf5", "third.hdf5"))
    assert digest(stage_parts(problem_of(folder), "mesh")) == first
    with (folder / "third.hdf5").open("ab") as file:
        file.write(b"\0")
    assert digest(stage_parts(problem_of(folder), "mesh")) != first


def test_check_and_why_know_of_no_dynamics(folder: Path) -> None:
    lines, _ = commands.check_case(folder, quick=False)
    assert f"  {NO_DYNAMICS}" in lines and "  pass  sum rule of order 2" in lines
    assert not any("nan" in line or "molecular dynamics" in line for line in lines)
    assert [line.split(":")[0] for line in commands.explain_stages(folder, quick=False)] == ["mesh", "portrait"]
    assert "togo2015" in commands.citations_of(folder)


def test_a_first_look_keeps_every_temperature() -> None:
    settings = parse_settings(CASE_TOML.replace("[300.0]", "[100.0, 200.0, 300.0, 400.0]"))
    assert settings.quick().lattice_temperatures == (100.0, 200.0, 300.0, 400.0)


# Refusals


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        (without("[crystal]").replace("supercell = [2, 1, 1]\nmesh = [9, 9, 9]\ndirect = false\n", ""), "crystal",
         "are those of a crystal"),
        (without("parameters"), "potential.parameters", "name its parameter file"),
        (CASE_TOML.replace("[crystal]", 'structure = "a.extxyz"\n[crystal]'), "potential.structure", "leave it out"),
        (CASE_TOML.replace('"force-constants"', '"tersoff"'), "potential.third", "not tersoff"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(text: str, field: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_settings(text)
    assert caught.value.field == field and fix in caught.value.fix and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "field", "fix"),
    [
        ('"fc3.hdf5"', '"nowhere.hdf5"', "potential.third", "no such file"),
        ('"fc3.hdf5"', '"case.toml"', "potential.third", "phono3py cannot read it"),
        ('"fc3.hdf5"', '"fc2.hdf5"', "force constants", "needs a dataset 'fc3'"),
        ('third = "fc3.hdf5"\nsecond = "fc2.hdf5"', "", "potential.third", "name fc3.hdf5 or FORCES_FC3"),
        ('second = "fc2.hdf5"', "", "potential.second", "name fc2.hdf5, too"),
        ('"phono3py.yaml"', '"fc2.hdf5"', "structure", "is not UTF-8"),
        ('"phono3py.yaml"', '"notes.yaml"', "structure", "has no block"),
        ("[lattice]", '[lattice]\nforce_constants = "autodiff"', "lattice.force_constants", "leave it out"),
    ],
)
def test_wrong_files_are_named_in_one_line(folder: Path, old: str, new: str, field: str, fix: str) -> None:
    pytest.importorskip("phono3py")
    toml = folder / "case.toml"
    assert toml.read_text().count(old) == 1
    toml.write_text(toml.read_text().replace(old, new))
    (folder / "notes.yaml").write_text("a: 1\n")
    with pytest.raises(InputError) as caught:
        assert problem_of(folder).crystal.primitive
    assert caught.value.field == field and fix in caught.value.fix and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "command",
    [
        lambda folder: commands.relax_case(folder),
        lambda folder: commands.build_case(folder, "network", 1, 8, 1, True),
        lambda folder: commands.study_widths(folder, False, "ldmd widths"),
        lambda folder: commands.diagnose_case(folder, False, "ldmd diagnose"),
        lambda folder: commands.check_potential(str(folder), None, 0.03, []),
    ],
    ids=["relax", "build", "widths", "diagnose", "potential check"],
)
def test_what_needs_an_energy_is_refused(folder: Path, command: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match=r"^potential.kind = force-constants: .*needs a potential") as caught:
        command(folder)
    assert "\n" not in str(caught.value)


# Beside a potential


def test_a_member_without_dynamics_is_no_disagreement() -> None:
    full = report_fixture.full()
    bare = dataclasses.replace(full, comparison=None, trajectories=None, green_kubo=None, anharmonicity=None)
    alone = dataclasses.replace(bare, settings={"potential": {"kind": "force-constants"}})
    members = (
        Member("tersoff", "tersoff", "tersoff/report.html", full),
        Member("pbesol", "force-constants", "pbesol/report.html", alone),
    )
    overview = Overview("glass", "glass", 300.0, {}, {"command": "ldmd compare glass"}, members)
    assert members[1].verdict == LATTICE_ONLY and overview.alone == members[1:]
    found = overview_headline(overview)
    assert full.comparison is not None
    assert "tersoff" in found.text and "pbesol" not in found.text
    assert any("without a potential (pbesol)" in line for line in found.lines)
    assert [name for name, _, _ in found.numbers] == ["tersoff", "pbesol"]
    row = models_table(overview).rows[1]
    assert row[7].text == LATTICE_ONLY and row[7].look == ""
    assert "</html>" in render_overview(overview)
