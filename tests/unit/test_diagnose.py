"""From a case to a verdict on each of its lowest modes, and into the next report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_case import replace_in, write_case

from ldmd.commands import diagnose_case
from ldmd.report.diagnosis_figure import MARKS, linewidth_causes


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_case(tmp_path_factory.mktemp("diagnose") / "silica")


def test_exact_force_constants_are_never_blamed(case: Path) -> None:
    lines, numbers, sound = diagnose_case(case, True, "ldmd diagnose")
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


def test_the_figure_tells_causes_apart(case: Path) -> None:
    from ldmd.commands import _problem
    from ldmd.diagnosis_study import stored_diagnosis

    diagnose_case(case, True, "ldmd diagnose")
    found = stored_diagnosis(_problem(case, True), {})
    assert found is not None
    evidence = found.evidence
    figure = linewidth_causes(evidence, found.causes, (evidence.frequencies, evidence.gamma))
    assert "HWHM" in figure.svg and figure.csv.count("\n") == len(evidence.modes) + 1
    assert len(set(MARKS.values())) == len(MARKS)


def test_noisy_differences_are_blamed_where_exact_ones_are_not(case: Path, tmp_path: Path) -> None:
    """Steps of 1e-6 Angstrom: round-off of float64 over 2e-12 is as large as the elements' own accuracy is not."""
    noisy = write_case(tmp_path / "noisy")
    replace_in(
        noisy / "case.toml",
        "width = 0.6",
        'width = 0.6\nforce_constants = "finite-differences"\ndisplacement = 1e-8',
    )
    numbers = diagnose_case(noisy, True, "ldmd diagnose")[1]
    assert not numbers["numerics_sound"]
    assert numbers["causes"].get("round-off or noise", 0) >= 6
    exact = diagnose_case(case, True, "ldmd diagnose")[1]
    excess = [n["linewidth"] / e["linewidth"] for n, e in zip(numbers["modes"], exact["modes"], strict=True)]
    assert np.median(excess) > 3.0
