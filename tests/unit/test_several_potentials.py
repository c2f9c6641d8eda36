"""A case with a list of potentials: read one by one, computed one by one, told apart on disk and in words."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from ase import Atoms
from small_case import little_silica, write_case

from ldmd import commands, relaxation
from ldmd.case import load_case, parse_members, parse_settings, potentials_of, to_toml
from ldmd.case_report import reports_of
from ldmd.commands import check_case, citations_of, relax_case
from ldmd.errors import InputError
from ldmd.potentials.target import target_of
from ldmd.potentials.tersoff import read_tersoff
from ldmd.problem import Problem, load_problem
from ldmd.store import Store
from ldmd.structures import read_structure
from ldmd.workflow import Runner

SEVERAL = """
[material]
name = "glass"
[[potential]]
name = "munetoh"
kind = "tersoff"
parameters = "SiO.tersoff"
[[potential]]
name = "stiffer"
kind = "tersoff"
parameters = "stiffer.tersoff"
structure = "stiffer.extxyz"
"""


@dataclasses.dataclass(frozen=True)
class Little:
    """A result with nothing much in it."""

    number: float


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A little silica with two potentials; the second one has no structure yet."""
    case = write_case(tmp_path / "glass")
    sections = (case / "case.toml").read_text().split("[lattice]")[1]
    (case / "case.toml").write_text(f"{SEVERAL}\n[lattice]{sections}")
    text = (case / "SiO.tersoff").read_text()
    (case / "stiffer.tersoff").write_text(text.replace("1830.8", "1850.0"))
    return case


@pytest.mark.parametrize(
    ("old", "new", "field", "value", "fix"),
    [
        ('name = "stiffer"', "", "potential[1].name", "missing", "needs a name of its own"),
        ('name = "stiffer"', 'name = "munetoh"', "potential[1].name", '"munetoh"', "is the name of potential[0]"),
        ('name = "stiffer"', 'name = "My Potential"', "potential[1].name", '"My Potential"', 'as in "my-potential"'),
        ('name = "stiffer"', "name = 2", "potential[1].name", "2", "give a text in quotes"),
        ('"stiffer.tersoff"', '"/a.tersoff"', "potential[1].parameters", '"/a.tersoff"', "relative to the case folder"),
        ('parameters = "stiffer', 'parameter = "stiffer', "potential[1].parameter", '"st', "did you mean parameters?"),
        ('parameters = "stiffer.tersoff"', "", "potential[1].parameters", "missing", "name its parameter file"),
        ('"stiffer.extxyz"', '""', "potential[1].structure", '""', "relative to the case folder"),
        ('structure = "stiffer', 'structur = "stiffer', "potential[1].structur", '"st', "did you mean structure"),
        ('[[potential]]\nname = "munetoh"', '[[potentials]]\nname = "munetoh"', "potentials", "[", "mean potential?"),
        ('name = "glass"', "name = 3", "material.name", "3", "give a text in quotes"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_list_is_named_in_one_line(old: str, new: str, field: str, value: str, fix: str) -> None:
    assert SEVERAL.count(old) == 1
    with pytest.raises(InputError) as caught:
        parse_settings(SEVERAL.replace(old, new))
    assert caught.value.field == field
    assert str(caught.value.value).startswith(value)
    assert fix in caught.value.fix and "\n" not in str(caught.value)


def test_an_empty_list_is_no_potential() -> None:
    with pytest.raises(InputError, match=r"^potential = \[\]: make it a section"):
        parse_settings('potential = []\n[material]\nname = "glass"')


def test_each_potential_has_the_settings_of_the_case_and_its_own_structure() -> None:
    first, second = parse_members(SEVERAL)
    assert parse_settings(SEVERAL) == first
    assert parse_settings(SEVERAL, potential="stiffer") == second
    assert (first.structure, second.structure) == ("structure.extxyz", "stiffer.extxyz")
    assert first.model_copy(update={"potential": second.potential}) == second


@pytest.mark.parametrize("comments", [True, False])
def test_each_potential_survives_the_file(comments: bool) -> None:
    for settings in parse_members(SEVERAL):
        assert parse_members(to_toml(settings, comments)) == (settings,)


@pytest.mark.parametrize(
    ("name", "fix"),
    [("stifer", "did you mean stiffer?"), ("MUNETOH", "did you mean munetoh?"), ("x", "known are munetoh, stiffer")],
)
def test_an_unknown_potential_is_refused(folder: Path, name: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        load_case(folder, name)
    assert (caught.value.field, caught.value.value) == ("--potential", name)
    assert fix in caught.value.fix


def test_a_case_with_one_potential_needs_no_name(tmp_path: Path) -> None:
    case = write_case(tmp_path / "glass")
    assert potentials_of(case) == ()
    assert load_case(case).on_command_line == str(case)
    with pytest.raises(InputError, match=r"^--potential = tersoff: the case has one potential, without a name"):
        load_case(case, "tersoff")
    with pytest.raises(InputError, match="no case with a list of potentials"):
        target_of(str(case / "SiO.tersoff"), None, "tersoff")


def test_a_missing_structure_says_how_to_make_it(folder: Path) -> None:
    assert potentials_of(folder) == ("munetoh", "stiffer")
    assert load_case(folder).potential == "munetoh"
    with pytest.raises(InputError) as caught:
        load_case(folder, "stiffer")
    assert caught.value.field == "potential.structure"
    assert caught.value.fix.endswith(f"make it: ldmd relax {folder} --potential stiffer --volume")


def test_reports_of_several_potentials_lie_in_folders_of_their_names(folder: Path) -> None:
    case = load_case(folder)
    assert reports_of(case, quick=False) == Path("reports/glass/munetoh")
    assert reports_of(case, quick=True) == Path("reports/glass-quick/munetoh")
    assert reports_of(dataclasses.replace(case, potential=""), quick=False) == Path("reports/glass")


def test_relax_makes_the_structure_of_a_potential(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def relaxed(atoms: Atoms, potential: object, isotropic: bool) -> Atoms:
        asked.append(isotropic)
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array * (1.01 if isotropic else 1.0), scale_atoms=True)
        return moved

    monkeypatch.setattr(relaxation, "relax", relaxed)
    before = (folder / "structure.extxyz").read_bytes()
    (line,) = relax_case(folder, "stiffer", volume=True)
    assert f"stiffer.extxyz from {folder / 'structure.extxyz'}: largest force" in line
    assert (folder / "structure.extxyz").read_bytes() == before
    larger = read_structure(folder / "stiffer.extxyz").get_volume()
    assert larger == pytest.approx(1.01**3 * little_silica().get_volume())
    (line,) = relax_case(folder, "stiffer")
    assert " from " not in line and asked == [True, False]
    assert read_structure(folder / "stiffer.extxyz").get_volume() == pytest.approx(larger)
    with pytest.raises(InputError, match=rf"run: ldmd relax {folder} --potential stiffer$"):
        load_problem(load_case(folder, "stiffer"), load_case(folder, "stiffer").settings)


def test_the_volume_of_a_black_box_is_left_alone(folder: Path) -> None:
    text = (folder / "case.toml").read_text()
    box = 'kind = "ase"\ncalculator = "ase.calculators.lj:LennardJones"'
    (folder / "case.toml").write_text(text.replace('kind = "tersoff"\nparameters = "stiffer.tersoff"', box))
    with pytest.raises(InputError, match="the volume of a black box is not relaxed"):
        relax_case(folder, "stiffer", volume=True)


def test_one_store_keeps_potentials_apart(folder: Path) -> None:
    shutil.copy(folder / "structure.extxyz", folder / "stiffer.extxyz")
    cases = [load_case(folder, name) for name in ("munetoh", "stiffer")]
    potentials = [read_tersoff(folder / name) for name in ("SiO.tersoff", "stiffer.tersoff")]
    pairs = zip(cases, potentials, strict=True)
    problems = [Problem(case, case.settings, little_silica(), potential) for case, potential in pairs]
    runners = [Runner(problem, problem.store, {}) for problem in problems]
    assert problems[0].system != problems[1].system
    assert [(runner.store.folder, runner.store.label) for runner in runners] == [
        (folder / ".ldmd", "munetoh"),
        (folder / ".ldmd", "stiffer"),
    ]
    runners[0].store.put(Little(1.0), "linewidths", runners[0].parts("linewidths"), {})
    assert [runner.explain("linewidths") for runner in runners] == [
        "linewidths: stored",
        "linewidths: to be computed (never was)",
    ]
    runners[1].store.put(Little(1.0), "linewidths", runners[1].parts("linewidths"), {})
    assert len(list((folder / ".ldmd" / "linewidths").glob("*.nc"))) == 2
    for problem in problems:
        lattice = problem.settings.lattice.model_copy(update={"width": 0.8})
        wider = dataclasses.replace(problem, settings=problem.settings.model_copy(update={"lattice": lattice}))
        line = Runner(wider, wider.store, {}).explain("linewidths")
        assert line == "linewidths: to be computed (changed: width)"


def test_a_manifest_for_every_label(tmp_path: Path) -> None:
    one, other = Store(tmp_path, "one"), Store(tmp_path, "other")
    one.put(Little(1.0), "stage", {"a": 1}, {})
    assert other.changed("stage", {"a": 2}) is None
    other.put(Little(1.0), "stage", {"a": 2}, {})
    assert one.changed("stage", {"a": 1}) == ()
    assert other.changed("stage", {"a": 1}) == ("a",)
    assert not (tmp_path / "stage" / "manifest.json").exists()


def test_check_names_the_potential(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_cost", lambda problem: iter(()))
    lines, _ = check_case(folder, quick=True)
    assert "potential munetoh of munetoh, stiffer" in lines
    assert "  potential.parameters = SiO.tersoff" in lines


def test_the_works_of_all_potentials_are_cited(folder: Path) -> None:
    text = (folder / "case.toml").read_text()
    (folder / "case.toml").write_text(
        text.replace('kind = "tersoff"\nparameters = "stiffer', 'kind = "stillinger-weber"\nparameters = "stiffer')
    )
    shutil.copy(folder / "structure.extxyz", folder / "stiffer.extxyz")
    cited = citations_of(folder)
    assert cited.count("tersoff1988") == cited.count("stillinger1985") == cited.count("isaeva2019") == 1
