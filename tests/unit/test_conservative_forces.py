"""A black box whose forces are not those of its energy, or are not repeated, is refused before anything is computed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from small_case import little_silica, replace_in, write_case
from small_silica import silica_potential

from ldmd import cli
from ldmd.conservative_forces import GRADIENT, NOISE, checks_of, measured
from ldmd.potentials.black_box import AsePotential
from ldmd.potentials.reading import calculator

TERSOFF = 'kind = "tersoff"\nparameters = "SiO.tersoff"'


class Spoilt(Calculator):
    """The Tersoff potential of the silica case with forces that are scaled, noisy or rounded to single precision."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, parameters: str, scale: float = 1.0, noise: float = 0.0, single: bool = False) -> None:
        super().__init__()
        self.sound = calculator("tersoff", parameters)
        self.scale, self.noise, self.single = scale, noise, single
        self.generator = np.random.default_rng(1)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        bare = self.atoms.copy()
        bare.calc = self.sound
        energy, forces = bare.get_potential_energy(), bare.get_forces()
        forces = self.scale * forces + self.noise * self.generator.normal(size=forces.shape)
        if self.single:
            energy, forces = float(np.float32(energy)), forces.astype(np.float32).astype(float)
        self.results = {"energy": energy, "forces": forces}


def black_box(**arguments: object) -> AsePotential:
    return AsePotential(f"{__name__}:Spoilt", {"parameters": str(PARAMETERS), **arguments})


PARAMETERS = Path(__file__).resolve().parents[2] / "cases" / "silica" / "SiO.tersoff"


@pytest.mark.parametrize(
    ("arguments", "failed"),
    [
        ({}, []),
        ({"single": True}, []),
        ({"scale": 1.05}, ["forces against slope of energy"]),
        ({"noise": 18.0}, ["forces against slope of energy", "noise of the forces"]),
    ],
)
def test_what_is_wrong_with_the_forces_is_named(arguments: dict[str, object], failed: list[str]) -> None:
    slope, noise, scale = measured(black_box(**arguments), little_silica())
    checks = checks_of(slope, noise, scale)
    assert [check.name for check in checks if not check.passed] == failed
    if not arguments:
        assert slope < 1e-4 and noise < 1e-8 and 0.5 < scale < 10.0
    if arguments.get("single"):
        assert slope < 0.1 * GRADIENT and noise < 0.01 * NOISE
    if "scale" in arguments:
        # Along a random direction the projection of the forces is about as large as one of their components.
        assert 0.1 * 0.05 < slope < 5.0 * 0.05


@pytest.fixture
def ldmd(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    def run(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["ldmd", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code, *capfd.readouterr())

    return run


@pytest.mark.parametrize("arguments", ["scale = 1.5", "noise = 18.0"])
def test_compare_ends_with_one_line_and_check_with_a_failed_one(
    arguments: str, ldmd: Callable[..., tuple[Any, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = write_case(tmp_path / "glass")
    box = f'kind = "ase"\ncalculator = "{__name__}:Spoilt"\narguments = {{ parameters = "SiO.tersoff", {arguments} }}'
    replace_in(case / "case.toml", TERSOFF, box)
    monkeypatch.chdir(tmp_path)
    code, out, err = ldmd("compare", "glass")
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "ldmd: potential = " in err and "rms force" in err and "see ldmd potential check" in err
    assert not (tmp_path / "reports").exists()
    if "scale" in arguments:  # with noise the structure is at no minimum, and check ends in the same way
        code, out, err = ldmd("check", "glass")
        assert code == 1 and "FAIL  forces against slope of energy" in out
        assert "A comparison stops here" in out and "lattice dynamics about" not in out
    else:
        assert ldmd("check", "glass")[0] == 2


def test_a_potential_that_is_differentiated_is_not_asked(tmp_path: Path) -> None:
    from ldmd.case import load_case
    from ldmd.conservative_forces import soundness_checks
    from ldmd.problem import load_problem

    case = load_case(write_case(tmp_path / "glass"))
    assert soundness_checks(load_problem(case, case.settings)) == ()
    assert silica_potential().species == ("Si", "O")
