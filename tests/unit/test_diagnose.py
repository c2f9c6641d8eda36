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

from ldmd.commands import diagnose_case, diagnose_imported
from ldmd.diagnosis import remeasurement
from ldmd.errors import InputError
from ldmd.force_constants.exchange import phono3py
from ldmd.force_constants.exchange.constants import of_supercell
from ldmd.force_constants.exchange.supercell import glass
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.report.diagnosis_figure import MARKS, linewidth_causes
from ldmd.report.tables import diagnosis_table
from ldmd.structures import write_structure

PARAMETERS = Path(__file__).resolve().parents[2] / "cases" / "silicon-glass" / "Si.sw"
BLACK_BOX = f"""kind = "ase"
calculator = "ldmd.potentials.reading:calculator"
arguments = {{ kind = "stillinger-weber", parameters = "{PARAMETERS.name}" }}"""
LATTICE = 5.4310
"""Angstrom."""


def write_silicon(folder: Path, constant: float = LATTICE) -> Path:
    """54 atoms, masses within a factor of three."""
    folder.mkdir()
    shutil.copy(PARAMETERS, folder)
    atoms = bulk("Si", "diamond", a=constant).repeat(3)
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
    assert numbers["case"]["thermal_amplitudes"]["asked"] == 12
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
    assert len(verdict["sentences"]) == 5
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


def written_by_another_program(case: Path, folder: Path, noise: float) -> Path:
    """The exact force constants of the case as phono3py keeps them, atoms in another order, with errors of elements."""
    from ldmd.commands import _problem

    problem = _problem(case, True)
    indices, values = problem.third.elements()
    _, place = np.unique(np.sort(indices, axis=0), axis=1, return_inverse=True)
    generator = np.random.default_rng(2)
    errors = noise * np.std(values) * generator.normal(size=place.max() + 1)[place]
    third = SparseThirdOrder(problem.third.size, indices, values + errors)
    atoms = problem.atoms[generator.permutation(len(problem.atoms))]
    constants = of_supercell(glass(problem.atoms), problem.second, third).in_order_of(glass(atoms))
    folder.mkdir()
    phono3py.write_second(constants, folder / "fc2.hdf5")
    phono3py.write_third(constants, folder / "fc3.hdf5")
    phono3py.write_structure(folder / "phono3py.yaml", constants.supercell)
    return folder / "fc3.hdf5"


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_files_are_held_against_the_potential_of_a_case(
    noise: float, case: Path, exact: tuple[list[str], dict, bool], tmp_path: Path
) -> None:
    third = written_by_another_program(case, tmp_path / "files", noise)
    numbers = diagnose_imported(third, None, None, 0.0, 0.0, (None, None), case)[1]
    assert numbers["source"] == "fc3.hdf5 of phono3py"
    assert not {"gamma_exact", "kink_share"} & set(numbers["not_measured"])
    own = np.array([mode["linewidth"] for mode in numbers["modes"]])
    expected = np.array([mode["linewidth"] for mode in exact[1]["modes"]])
    assert numbers["numerics_sound"] is (noise == 0.0)
    if noise == 0.0:
        np.testing.assert_allclose(own, expected, rtol=1e-6)
    else:
        assert np.median(own / expected) > 1.5
        assert numbers["causes"].get("round-off or noise", 0) >= 6


def test_a_black_box_measures_again_what_is_in_doubt(
    case: Path, exact: tuple[list[str], dict, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise in a file, and nothing but forces to tell: the linewidths of exact derivatives come out."""
    monkeypatch.setattr(remeasurement, "MOST", 3)
    third = written_by_another_program(case, tmp_path / "files", 0.5)
    boxed = tmp_path / "boxed"
    shutil.copytree(case, boxed, ignore=shutil.ignore_patterns(".ldmd"))
    replace_in(boxed / "case.toml", f'kind = "stillinger-weber"\nparameters = "{PARAMETERS.name}"', BLACK_BOX)
    lines, numbers, sound = diagnose_imported(third, None, None, 0.0, 0.0, (None, None), boxed)
    again = np.array([mode["remeasured_linewidth"] for mode in numbers["modes"]], dtype=float)
    expected = np.array([mode["linewidth"] for mode in exact[1]["modes"]])
    known = np.isfinite(again)
    assert not sound and list(np.flatnonzero(known)) == [0, 1, 2]
    np.testing.assert_allclose(again[known], expected[known], rtol=0.02)
    assert any("measured again by forces along modes" in line and "3 of them to 15%" in line for line in lines)


def test_files_of_another_structure_are_refused(case: Path, tmp_path: Path) -> None:
    third = written_by_another_program(case, tmp_path / "files", 0.0)
    other = write_silicon(tmp_path / "other", 5.5)
    with pytest.raises(InputError, match="is not the structure of the case"):
        diagnose_imported(third, None, None, 0.0, 0.0, (None, None), other)
