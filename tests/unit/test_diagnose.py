"""From a case to a verdict on each of its lowest modes and on itself, and into the next report.

The case is silicon of random masses, the cheapest disorder there is: at its minimum by symmetry, its potential of few
terms to compile.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from small_case import CASE_TOML, replace_in

from ldmd.commands import diagnose_case
from ldmd.report.diagnosis_figure import MARKS, linewidth_causes
from ldmd.report.tables import diagnosis_table
from ldmd.structures import write_structure

PARAMETERS = Path(__file__).resolve().parents[2] / "cases" / "silicon-glass" / "Si.sw"
LATTICE = 5.4310
"""Angstrom."""


def write_silicon(folder: Path) -> Path:
    """54 atoms, masses within a factor of three."""
    folder.mkdir()
    shutil.copy(PARAMETERS, folder)
    atoms = bulk("Si", "diamond", a=LATTICE).repeat(3)
    atoms.set_masses(np.random.default_rng(1).uniform(40.0, 120.0, len(atoms)))
    write_structure(atoms, folder / "structure.extxyz")
    text = CASE_TOML.replace('"tersoff"', '"stillinger-weber"').replace("SiO.tersoff", PARAMETERS.name)
    (folder / "case.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_silicon(tmp_path_factory.mktemp("diagnose") / "silicon")


@pytest.fixture(scope="module")
def exact(case: Path) -> tuple[list[str], dict, bool]:
    return diagnose_case(case, True, "ldmd diagnose")


def test_exact_force_constants_are_never_blamed(case: Path, exact: tuple[list[str], dict, bool]) -> None:
    lines, numbers, sound = exact
    assert sound and numbers["numerics_sound"]
    assert numbers["source"] == "autodiff" and len(numbers["modes"]) == 12
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    for mode in numbers["modes"]:
        assert mode["noise_floor"] < 1e-20 * mode["linewidth"]
        assert mode["cause"] in MARKS and mode["evidence"] and mode["advice"]
    assert len(lines) > len(numbers["modes"])
    again = diagnose_case(case, True, "ldmd diagnose")[1]
    assert again == numbers, "the second time it is read from the store"
    assert list((case / ".ldmd" / "diagnosis").glob("*.nc"))


def test_the_verdict_on_the_case_is_told_everywhere(case: Path, exact: tuple[list[str], dict, bool]) -> None:
    from ldmd.commands import _problem
    from ldmd.diagnosis_study import stored_diagnosis

    lines, numbers, _ = exact
    verdict = numbers["case"]
    assert len(verdict["sentences"]) == 4
    assert verdict["extrapolation_allowed"] is all(gate["passed"] for gate in verdict["gates"])
    assert verdict["dependence"]["conductivity"] > 0.0
    assert verdict["demand"]["accuracy"]["sigma_force"] > 0.0 and verdict["demand"]["training"] > 0.0
    for sentence in verdict["sentences"]:
        assert any(sentence in line for line in lines)
    found = stored_diagnosis(_problem(case, True), {})
    assert found is not None
    assert "eV/Å³" in diagnosis_table(found).caption


def test_the_figure_tells_causes_apart(case: Path, exact: tuple[list[str], dict, bool]) -> None:
    from ldmd.commands import _problem
    from ldmd.diagnosis_study import stored_diagnosis

    found = stored_diagnosis(_problem(case, True), {})
    assert found is not None
    evidence = found.evidence
    assert np.isnan(evidence.gamma_of_step).all(), "no kink is in reach"
    figure = linewidth_causes(evidence, found.causes, (evidence.frequencies, evidence.gamma))
    assert "HWHM" in figure.svg and figure.csv.count("\n") == len(evidence.modes) + 1
    assert "finite steps" not in figure.svg, "what was not scanned has no entry in the legend"
    assert len(set(MARKS.values())) == len(MARKS)


def test_noisy_differences_are_blamed_where_exact_ones_are_not(
    exact: tuple[list[str], dict, bool], tmp_path: Path
) -> None:
    """Steps of 1e-8 Angstrom: round-off of float64 over 2e-16 is far above the elements themselves."""
    noisy = write_silicon(tmp_path / "noisy")
    replace_in(
        noisy / "case.toml",
        "width = 0.6",
        'width = 0.6\nforce_constants = "finite-differences"\ndisplacement = 1e-8',
    )
    numbers = diagnose_case(noisy, True, "ldmd diagnose")[1]
    assert not numbers["numerics_sound"]
    assert numbers["causes"].get("round-off or noise", 0) >= 6
    excess = [n["linewidth"] / e["linewidth"] for n, e in zip(numbers["modes"], exact[1]["modes"], strict=True)]
    assert np.median(excess) > 3.0
    assert not numbers["case"]["extrapolation_allowed"]
