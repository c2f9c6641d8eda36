"""The command line from end to end on a little case: verdicts, one-line refusals, exit codes, nothing half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from small_case import contents, little_silica, replace_in, start, write_case
from small_silica import cristobalite, rattled

from ldmd import cli, commands
from ldmd.stages import STAGES
from ldmd.structures import write_structure

VERDICTS = (0, 1, 3)
"""Exit codes of a comparison of a solid."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a command came back with."""

    code: int
    out: str
    err: str


@pytest.fixture
def ldmd(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """The command line in this process, which has JAX imported and its kernels compiled."""

    def run(*arguments: str | Path) -> Run:
        monkeypatch.setattr(sys, "argv", ["ldmd", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Run(ended.value.code, out, err)

    return run


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a case and, in ``reports``, its finished comparison."""
    folder = tmp_path_factory.mktemp("compared")
    write_case(folder / "glass")
    process = start("compare", "glass", folder=folder)
    out, err = process.communicate(timeout=500)
    assert process.returncode in VERDICTS, err
    assert "a little silica: " in out and "attice dynamics and molecular dynamics" in out
    return folder


@pytest.fixture
def finished(compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished comparison to spoil, as the working directory; returns the case folder."""
    shutil.copytree(compared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "glass"


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A case of which nothing is computed."""
    return write_case(tmp_path / "glass")


def refused(run: Run, field: str, value: str, fix: str, before: dict[str, bytes], folder: Path) -> None:
    """One line with field, value and fix; exit code 2; every file as it was."""
    assert run.code == 2
    assert run.out == ""
    assert run.err.count("\n") == 1 and run.err.endswith("\n")
    start_of_line, _, rest = run.err.partition(": ")
    assert start_of_line == "ldmd"
    assert rest.startswith(f"{field} = ")
    assert value in rest and fix in rest
    assert contents(folder) == before


# Commands that need nothing heavy.


def test_help_comes_at_once() -> None:
    times = []
    for _ in range(5):
        before = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", "from ldmd.cli import main; main()", "--help"], capture_output=True, text=True
        )
        times.append(time.perf_counter() - before)
        assert done.returncode == 0 and "compare" in done.stdout and "--debug" in done.stdout
    assert min(times) < 0.3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chek", "glass"], "No such command 'chek'"),
        (["check", "glass", "--qick"], "No such option"),
        (["check"], "Missing argument 'CASE'"),
        (["build", "glass", "--seed", "many"], "Invalid value for '--seed'"),
    ],
)
def test_a_mistake_on_the_command_line_is_2(ldmd: Callable[..., Run], arguments: list[str], words: str) -> None:
    run = ldmd(*arguments)
    assert run.code == 2
    assert words in run.err
    assert run.out == ""


def test_a_crash_of_ours_is_70_and_one_line(ldmd: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(folder: Path, quick: bool, potential: str | None) -> list[str]:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(commands, "explain_stages", crash)
    run = ldmd("why", "glass")
    assert run.code == 70
    assert run.err == "ldmd: RuntimeError: first line (a defect of ldmd; --debug shows where)\n"
    run = ldmd("--debug", "why", "glass")
    assert run.code == 70
    assert run.err.startswith("Traceback") and run.err.endswith("second line\n")


def test_debug_gives_the_traceback_of_a_refusal(ldmd: Callable[..., Run], tmp_path: Path) -> None:
    run = ldmd("check", tmp_path / "nowhere", "--debug")
    assert run.code == 2
    assert run.err.startswith("Traceback")
    assert "load_case" in run.err
    assert f"ldmd.errors.InputError: case = {tmp_path / 'nowhere'}: no such folder" in run.err.splitlines()[-1]


def test_a_new_case_is_a_template_and_never_overwrites(ldmd: Callable[..., Run], tmp_path: Path) -> None:
    assert ldmd("new", tmp_path / "glass", "--name", "a glass").code == 0
    before = contents(tmp_path)
    assert list(before) == ["glass/case.toml"]
    run = ldmd("new", tmp_path / "glass")
    refused(run, "case", "case.toml", "is there already", before, tmp_path)
    run = ldmd("check", tmp_path / "glass")
    refused(run, "material.structure", "structure.extxyz", "no such file", before, tmp_path)


# Bad input.


def test_a_missing_case(ldmd: Callable[..., Run], tmp_path: Path) -> None:
    run = ldmd("compare", tmp_path / "nowhere")
    refused(run, "case", str(tmp_path / "nowhere"), "no such folder", {}, tmp_path)
    run = ldmd("compare", tmp_path)
    refused(run, "case", "case.toml", "no such file", {}, tmp_path)


@pytest.mark.parametrize("missing", ["structure.extxyz", "SiO.tersoff"])
def test_a_missing_file(ldmd: Callable[..., Run], case: Path, missing: str) -> None:
    (case / missing).unlink()
    field = {"structure.extxyz": "material.structure", "SiO.tersoff": "potential.parameters"}[missing]
    refused(ldmd("compare", case), field, missing, "no such file", contents(case), case)


@pytest.mark.parametrize(
    ("old", "new", "field", "value", "fix"),
    [
        ("length_ps = 4", "length_ns = 4", "dynamics.length_ns", "4", "did you mean length_ps?"),
        ("length_ps = 4", 'length_ps = "4 ps"', "dynamics.length_ps", '"4 ps"', "a number in ps, without"),
        ("replicas = 1", "replicas = 1.5", "dynamics.replicas", "1.5", "a whole number"),
        ("width = 0.6", "width = -0.6", "lattice.width", "-0.6", "in rad/ps, at least 0.001"),
        ("[lattice]", "[lattise]", "lattise", "{temp", "did you mean lattice?"),
        ("width = 0.6", "width 0.6", "case.toml", "line ", "not TOML"),
    ],
)
def test_a_wrong_setting(
    ldmd: Callable[..., Run], case: Path, old: str, new: str, field: str, value: str, fix: str
) -> None:
    replace_in(case / "case.toml", old, new)
    run = ldmd("compare", case)
    refused(run, str(case / field) if field == "case.toml" else field, value, fix, contents(case), case)


def moved_onto_another() -> Atoms:
    """Two atoms 0.3 Angstrom apart."""
    atoms = little_silica()
    atoms.positions[5] = atoms.positions[9] + [0.3, 0.0, 0.0]
    return atoms


def too_small() -> Atoms:
    """A cell of 5.5 Angstrom, where 5.6 are needed."""
    atoms = cristobalite()
    atoms.set_cell([5.5, 7.2, 7.2], scale_atoms=True)
    return atoms


def of_germanium() -> Atoms:
    """A species that the potential lacks."""
    atoms = little_silica()
    atoms.symbols[3] = "Ge"
    return atoms


def not_a_number(value: float) -> Atoms:
    """One coordinate is not finite."""
    atoms = little_silica()
    atoms.positions[7, 1] = value
    return atoms


@pytest.mark.parametrize(
    ("make", "value", "fix"),
    [
        (of_germanium, "Ge", "the potential knows only Si, O"),
        (too_small, "cell height 5.50 Angstrom", "at least twice the cutoff (5.60 Angstrom)"),
        (moved_onto_another, "atoms 5 and 9 at 0.300 Angstrom", "atoms overlap"),
        (lambda: rattled(little_silica(), 0.02), "largest force", "run: ldmd relax "),
        (lambda: not_a_number(np.nan), "structure.extxyz", "atom 7 has a coordinate that is not a finite number"),
        (lambda: not_a_number(np.inf), "structure.extxyz", "atom 7 has a coordinate that is not a finite number"),
    ],
    ids=["species", "small cell", "overlap", "no minimum", "NaN", "infinite"],
)
def test_a_structure_that_will_not_do(
    ldmd: Callable[..., Run], case: Path, make: Callable[[], Atoms], value: str, fix: str
) -> None:
    write_structure(make(), case / "structure.extxyz")
    refused(ldmd("compare", case), "material.structure", value, fix, contents(case), case)


@pytest.mark.parametrize(
    ("spoil", "fix"),
    [
        (lambda text: "", "cannot be read"),
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: text.replace("Si", "Xx", 3), "cannot be read"),
        (lambda text: text.replace('pbc="T T T"', 'pbc="T F T"'), "periodic in all three directions"),
        (lambda text: text.replace('Lattice="', 'Lattice="7.0 '), "cannot be read"),
        (
            lambda text: text.replace('Lattice="6.984000000000', 'Lattice="nan'),
            "the cell holds something that is not a finite",
        ),
    ],
    ids=["empty", "truncated", "no element", "a slab", "cell of ten numbers", "cell of NaN"],
)
def test_a_structure_file_that_will_not_do(
    ldmd: Callable[..., Run], case: Path, spoil: Callable[[str], str], fix: str
) -> None:
    path = case / "structure.extxyz"
    path.write_text(spoil(path.read_text()))
    refused(ldmd("check", case), "material.structure", "structure.extxyz", fix, contents(case), case)


@pytest.mark.parametrize(
    ("spoil", "fix"),
    [
        (lambda text: "\n".join(text.splitlines()[:-1]), "add it"),
        (lambda text: text + " 1.0", "14 numbers"),
        (lambda text: "# nothing", "14 numbers"),
    ],
    ids=["a triplet too few", "a word too many", "empty"],
)
def test_a_parameter_file_that_will_not_do(
    ldmd: Callable[..., Run], case: Path, spoil: Callable[[str], str], fix: str
) -> None:
    path = case / "SiO.tersoff"
    path.write_text(spoil(path.read_text().rstrip()))
    refused(ldmd("check", case), "potential.parameters", "SiO.tersoff", fix, contents(case), case)


# The structure is fit for nothing: no error of the user's, but no comparison either.


def test_check_lists_pairs_in_a_switching_region(ldmd: Callable[..., Run], tmp_path: Path) -> None:
    # Every atom sits on a point of high symmetry, so the forces vanish; the Si-Si pairs are at 2.70 Angstrom, where
    # their cutoff (2.5 to 2.8 Angstrom) is at work.
    atoms = cristobalite()
    atoms.set_cell(atoms.cell.array * (2.7 / atoms.get_distance(0, 4, mic=True)), scale_atoms=True)
    case = write_case(tmp_path / "crystal", atoms)
    run = ldmd("check", case)
    assert run.code == 1
    assert "  pass  largest residual force" in run.out
    assert "  FAIL  pairs in a switching region = 16 pairs, should be <= 0: " in run.out
    pairs = [line for line in run.out.splitlines() if "2.7000 Angstrom, cutoff 2.80" in line]
    assert len(pairs) == 10 and all(line.split()[0].count("Si") == 2 for line in pairs)
    assert "A comparison stops here: force constants mean nothing." in run.out

    run = ldmd("compare", case, "--output", tmp_path / "report")
    assert run.code == 1
    assert "no comparison, the structure is not fit for force constants" in run.out
    assert sorted(contents(tmp_path / "report")) == ["report.html", "summary.json"]
    assert not (case / ".ldmd").exists()


# A comparison, from end to end.


def numbers(folder: Path) -> dict[str, object]:
    """The summary without what may differ between two runs that computed the same."""
    summary = json.loads((folder / "summary.json").read_text())
    del summary["provenance"]
    return summary


def test_a_comparison_is_reported(finished: Path) -> None:
    report = Path("reports/glass")
    assert sorted(contents(report)) == ["report.html", "summary.json"]
    page = (report / "report.html").read_text()
    assert "a little silica" in page and page.rstrip().endswith("</html>")
    assert {path.split("/")[0] for path in contents(finished / ".ldmd")} == set(STAGES)
    assert not [path for path in contents(finished) if "checkpoint" in path or "tmp" in path]


def test_a_second_run_computes_nothing(ldmd: Callable[..., Run], finished: Path) -> None:
    before, report = contents(finished), Path("reports/glass")
    first = numbers(report)
    run = ldmd("compare", "glass", "--json")
    printed = json.loads(run.out)
    assert contents(finished) == before
    assert numbers(report) == first
    assert printed == json.loads((report / "summary.json").read_text())
    assert run.code == printed["exit_code"]
    assert ldmd("why", "glass").out.count(" stored\n") == len(STAGES)


@pytest.mark.parametrize("lines", ["", "tolerance_sigma = 1e-6", "resolution = 10", "resolution = 1e-3"])
def test_the_exit_code_is_the_verdict(ldmd: Callable[..., Run], finished: Path, lines: str) -> None:
    with open(finished / "case.toml", "a") as file:
        file.write(f"\n[compare]\n{lines}\n")
    before = contents(finished)
    run = ldmd("compare", "glass")
    assert contents(finished) == before, "a verdict is never a reason to compute anything again"
    told = json.loads(Path("reports/glass/summary.json").read_text())["verdict"]
    failed = "\n  failed (" in run.out
    assert bool(told["failed_checks"]) == failed
    codes = {"agree": 1 if failed else 0, "disagree": 1, "no verdict": 1, "undecided": 3}
    assert run.code == codes[told["verdict"]]
    assert told["sentence"] in run.out
    apart = abs(told["sigmas"]["value"])
    if told["barred_by"]:
        assert told["verdict"] == "no verdict"
    elif "tolerance" in lines or apart > 2.0:
        assert told["verdict"] == "disagree"
    elif lines:
        assert told["verdict"] == ("agree" if lines == "resolution = 10" else "undecided")


def test_a_setting_of_the_lattice_leaves_the_dynamics_alone(ldmd: Callable[..., Run], finished: Path) -> None:
    before = contents(finished / ".ldmd")
    replace_in(finished / "case.toml", "width = 0.6", "width = 0.8")
    lines = ldmd("why", "glass").out.splitlines()
    assert lines == [
        "modes: stored",
        "residuals: stored",
        "linewidths: to be computed (changed: width)",
        "conductivity: to be computed (changed: width)",
        "dynamics: 1 of 1 replicas stored",
        "green-kubo: to be computed (changed: lifetimes.width)",
        "anharmonicity: stored",
        "minima: to be computed (changed: width)",
    ]
    assert contents(finished / ".ldmd") == before
    assert ldmd("compare", "glass").code in VERDICTS
    after = contents(finished / ".ldmd")
    new = sorted({path.split("/")[0] for path in after if path not in before})
    assert new == ["conductivity", "green-kubo", "linewidths", "minima"]
    touched = {path.split("/")[0] for path in before if after[path] != before[path]}
    assert touched == set(new)  # their manifests


def test_why_names_the_setting_of_the_dynamics(ldmd: Callable[..., Run], finished: Path) -> None:
    replace_in(finished / "case.toml", "length_ps = 4", "length_ps = 5")
    lines = ldmd("why", "glass").out.splitlines()
    assert "dynamics: 0 of 1 replicas stored (changed: samples)" in lines
    assert "green-kubo: to be computed (changed: dynamics)" in lines
    assert "modes: stored" in lines
    replace_in(finished / "case.toml", "length_ps = 5", "length_ps = 4")
    replace_in(finished / "case.toml", "checkpoint_seconds = 0.2", "checkpoint_seconds = 10")
    replace_in(finished / "case.toml", "replicas = 1", "replicas = 2")
    assert "dynamics: 1 of 2 replicas stored" in ldmd("why", "glass").out.splitlines()


def test_a_truncated_result_is_computed_again(
    ldmd: Callable[..., Run], finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(finished)
    first = numbers(Path("reports/glass"))
    (path,) = (finished / ".ldmd" / "linewidths").glob("*.nc")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert ldmd("compare", "glass").code in VERDICTS
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and str(path.name) in warnings[0] and "computing it again" in warnings[0]
    assert numbers(Path("reports/glass")) == first
    assert contents(finished).keys() == before.keys()


@contextlib.contextmanager
def full_disk(limit: int = 1000) -> Iterator[None]:
    """No file may grow beyond ``limit`` bytes: a write stops in the middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_results_and_report(ldmd: Callable[..., Run], finished: Path) -> None:
    replace_in(finished / "case.toml", "width = 0.6", "width = 0.7")
    before = contents(finished.parent)
    with full_disk():
        run = ldmd("compare", "glass")
    refused(
        run, "results", "glass/.ldmd/linewidths", "make room, earlier results are untouched", before, finished.parent
    )


def test_a_full_disk_leaves_the_report(ldmd: Callable[..., Run], finished: Path) -> None:
    before = contents(finished.parent)
    with full_disk():
        run = ldmd("compare", "glass")
    refused(run, "report", "report.html", "cannot be written", before, finished.parent)


def test_a_structure_is_relaxed_in_place(ldmd: Callable[..., Run], case: Path) -> None:
    write_structure(rattled(little_silica(), 0.02), case / "structure.extxyz")
    run = ldmd("relax", case)
    assert run.code == 0
    assert "largest force" in run.out
    relaxed, minimum = read(case / "structure.extxyz"), little_silica()
    np.testing.assert_allclose(relaxed.get_all_distances(mic=True), minimum.get_all_distances(mic=True), atol=1e-6)
    run = ldmd("why", case)
    assert run.code == 0
    assert "modes: to be computed (never was)" in run.out
