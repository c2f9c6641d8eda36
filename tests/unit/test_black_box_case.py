"""Cases whose potential is a black box, or treated as one: from the case file to the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_case import replace_in, write_case
from small_silica import CASE

from ldmd.case import load_case
from ldmd.commands import check_case, compare_case, study_widths, verdict_lines
from ldmd.errors import InputError
from ldmd.problem import load_problem

BLACK_BOX = """kind = "ase"
calculator = "ldmd.potentials.reading:calculator"
arguments = { kind = "tersoff", parameters = "SiO.tersoff" }"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The little silica, its Tersoff potential known as an ASE calculator only."""
    case = write_case(tmp_path / "glass")
    replace_in(case / "case.toml", 'kind = "tersoff"\nparameters = "SiO.tersoff"', BLACK_BOX)
    return case


def test_a_black_box_gives_lattice_dynamics_and_says_why_no_more(folder: Path, tmp_path: Path) -> None:
    lines, _ = check_case(folder, quick=False)
    assert any("lattice dynamics about" in line for line in lines)
    assert not any("molecular dynamics about" in line for line in lines)
    contents, page = compare_case(folder, False, tmp_path / "report", "ldmd compare glass")
    assert contents.comparison is None and contents.conductivity is not None
    assert {check.name for _, check in contents.checks} >= {"scatter of order 3", "repetition of forces"}
    assert "black box" in list(verdict_lines(contents))[2]
    text = page.read_text()
    assert "Lattice dynamics only." in text and "a potential that is a black box gives no heat flux" in text
    assert json.loads((page.parent / "summary.json").read_text())["verdict"]["agree"] is None
    exact = write_case(tmp_path / "exact")
    case = load_case(exact)
    problem, boxed = load_problem(case, case.settings), load_problem(load_case(folder), load_case(folder).settings)
    u = np.random.default_rng(1).normal(size=72)
    expected, found = problem.third.along(u).toarray(), boxed.third.along(u).toarray()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_second_run_asks_the_black_box_nothing(folder: Path) -> None:
    case = load_case(folder)
    first = load_problem(case, case.settings).differences
    record = folder / ".ldmd" / "forces.record"
    before = record.stat().st_size
    again = load_problem(case, case.settings).differences
    assert record.stat().st_size == before > 0
    np.testing.assert_array_equal(again.third.elements()[1], first.third.elements()[1])


def test_autodiff_is_refused_to_a_black_box(folder: Path) -> None:
    replace_in(folder / "case.toml", "width = 0.6", 'width = 0.6\nforce_constants = "autodiff"')
    with pytest.raises(InputError, match="a black box has no derivatives"):
        case = load_case(folder)
        load_problem(case, case.settings)


def test_differences_of_a_potential_that_could_be_differentiated(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "glass")
    replace_in(folder / "case.toml", "width = 0.6", 'width = 0.6\nforce_constants = "finite-differences"')
    case = load_case(folder)
    problem = load_problem(case, case.settings)
    assert problem.by_differences and problem.differentiable is not None
    assert problem.pair_cutoff == pytest.approx(np.sqrt(3.0) * problem.site_potential.switching.max())
    assert all(check.passed for check in problem.differences.checks)


def test_the_width_of_the_kernel_as_a_table_and_in_the_next_report(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "glass")
    lines = study_widths(folder, False, "ldmd widths glass")
    assert [line.split()[0] for line in lines[3:10]] == ["0.1", "0.2", "0.5", "1", "2", "3", "self-consistent"]
    kappa = [float(line.split()[1]) for line in lines[3:10]]
    assert 0.5 < kappa[0] < kappa[-1] * 1.1 < 3.0
    contents, page = compare_case(folder, False, tmp_path / "report", "ldmd compare glass")
    assert contents.width_study is not None and "The width of the kernel" in page.read_text()


def test_lines_that_broaden_each_other(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "glass")
    replace_in(folder / "case.toml", "width = 0.6", 'broadening = "self-consistent"')
    replace_in(folder / "case.toml", "length_ps = 4", "length_ps = 1")
    contents, page = compare_case(folder, False, tmp_path / "report", "ldmd compare glass")
    assert contents.linewidths is not None and contents.linewidths.kernel == "self-consistent"
    assert "no width of a kernel was chosen" in page.read_text()


def test_case_files_name_what_there_is(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "glass")
    replace_in(folder / "case.toml", '"SiO.tersoff"', '"fetch:no-such-thing"')
    with pytest.raises(InputError, match="no-such-thing"):
        case = load_case(folder)
        load_problem(case, case.settings)
    assert (CASE / "SiO.tersoff").is_file()
