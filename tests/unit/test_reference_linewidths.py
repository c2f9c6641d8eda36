"""Linewidths under another potential: in the subspace of a mode, and of a case with several."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from small_case import CASE_TOML
from spring_crystal import small_glass, springs

from ldmd.commands import diagnose_case
from ldmd.diagnosis.reference import reference_linewidths
from ldmd.errors import InputError
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.structures import write_structure

SILICON = Path(__file__).resolve().parents[2] / "cases" / "silicon-glass" / "Si.sw"


@pytest.fixture(scope="module")
def modes() -> Modes:
    atoms = small_glass()
    return normal_modes(springs(atoms, 3.2)[0], atoms.get_masses())


def turned(modes: Modes, first: int, second: int, angle: float) -> Modes:
    """With two modes mixed."""
    vectors = modes.eigenvectors.copy()
    c, s = math.cos(angle), math.sin(angle)
    vectors[:, [first, second]] = vectors[:, [first, second]] @ np.array([[c, -s], [s, c]])
    return dataclasses.replace(modes, eigenvectors=vectors)


def test_the_same_modes_have_their_own_linewidths(modes: Modes) -> None:
    chosen, gamma = np.flatnonzero(modes.vibrating)[:6], np.linspace(0.1, 3.0, len(modes.frequencies))
    np.testing.assert_allclose(reference_linewidths(modes, chosen, modes, gamma), gamma[chosen], rtol=1e-10)


def test_modes_that_mix_have_the_mean(modes: Modes) -> None:
    rows, gamma = np.flatnonzero(modes.vibrating), np.linspace(0.1, 3.0, len(modes.frequencies))
    first, second = rows[4], rows[5]
    close = modes.frequencies.copy()
    close[second] = 1.001 * close[first]
    other = dataclasses.replace(turned(modes, first, second, 0.4), frequencies=close)
    found = reference_linewidths(modes, np.array([first, second]), other, gamma)
    share = math.cos(0.4) ** 2
    expected = [
        share * gamma[first] + (1.0 - share) * gamma[second],
        share * gamma[second] + (1.0 - share) * gamma[first],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_mode_spread_over_the_spectrum_has_no_counterpart(modes: Modes) -> None:
    random = np.linalg.qr(np.random.default_rng(0).normal(size=modes.eigenvectors.shape))[0]
    other = dataclasses.replace(modes, eigenvectors=random)
    chosen, gamma = np.flatnonzero(modes.vibrating)[:6], np.ones(len(modes.frequencies))
    assert np.isnan(reference_linewidths(modes, chosen, other, gamma)).all()
    with pytest.raises(InputError, match="same atoms in the same order"):
        reference_linewidths(modes, chosen, dataclasses.replace(modes, masses=2.0 * modes.masses), gamma)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Silicon of random masses under Stillinger-Weber potentials: twice the same, and one with stiffer angles."""
    folder = tmp_path_factory.mktemp("reference") / "silicon"
    folder.mkdir()
    text = SILICON.read_text()
    assert text.count(" 21.0 ") == 1
    for name in ("one", "same"):
        shutil.copy(SILICON, folder / f"{name}.sw")
    (folder / "stiff.sw").write_text(text.replace(" 21.0 ", " 35.0 "))
    atoms = bulk("Si", "diamond", a=5.431).repeat(3)
    atoms.set_masses(np.random.default_rng(1).uniform(40.0, 120.0, len(atoms)))
    write_structure(atoms, folder / "structure.extxyz")
    write_structure(bulk("Si", "diamond", a=5.431).repeat((3, 3, 4)), folder / "longer.extxyz")
    tables = [
        f'[[potential]]\nname = "{name}"\nkind = "stillinger-weber"\nparameters = "{name}.sw"\n'
        for name in ("one", "same", "stiff")
    ]
    tables.append(tables[0].replace('"one"', '"longer"') + 'structure = "longer.extxyz"\n')
    old = '[potential]\nkind = "tersoff"\nparameters = "SiO.tersoff"\n'
    assert old in CASE_TOML
    (folder / "case.toml").write_text(CASE_TOML.replace(old, "\n".join(tables)))
    return folder


def test_the_first_potential_at_the_same_structure_is_the_reference(case: Path) -> None:
    lines, numbers, _ = diagnose_case(case, True, "ldmd diagnose", "same")
    assert numbers["reference"] == "one" and "gamma_reference" not in numbers["not_measured"]
    for mode in numbers["modes"]:
        assert mode["reference_linewidth"] == pytest.approx(mode["linewidth"], rel=1e-8)
        assert "model" not in mode["cause"]
    assert any("reference: linewidths under one" in line for line in lines)
    first = diagnose_case(case, True, "ldmd diagnose", "one")[1]
    assert first["reference"] is None and first["modes"][0]["reference_linewidth"] is None
    named = diagnose_case(case, True, "ldmd diagnose", "one", "same")[1]
    assert named["reference"] == "same"


def test_another_model_is_blamed(case: Path) -> None:
    numbers = diagnose_case(case, True, "ldmd diagnose", "stiff")[1]
    assert numbers["reference"] == "one"
    assert numbers["causes"].get("model differs from reference", 0) >= 6
    assert numbers["numerics_sound"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("one", "is the potential itself"), ("nobody", "no such potential"), ("longer", "has 72 atoms")],
)
def test_references_that_are_none(case: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        diagnose_case(case, True, "ldmd diagnose", "one", name)
