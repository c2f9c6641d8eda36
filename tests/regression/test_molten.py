"""From a case to its verdict where values cannot be compared: silicon that melts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from small_case import replace_in

from ldmd.commands import compare_one
from ldmd.structures import write_structure

SILICON = Path(__file__).resolve().parents[2] / "cases" / "silicon"
CASE_TOML = """
[material]
name = "silicon"

[potential]
kind = "stillinger-weber"
parameters = "Si.sw"

[lattice]
temperatures = [300]

[dynamics]
temperature = 5000
length_ps = 2
replicas = 1
equilibration_ps = 0.5
frame_interval_ps = 0.1

[anharmonicity]
configurations = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 atoms of silicon of different masses at rest, which is no crystal for vibrations, far above melting."""
    folder = tmp_path_factory.mktemp("cases") / "silicon"
    folder.mkdir()
    (folder / "Si.sw").write_bytes((SILICON / "Si.sw").read_bytes())
    (folder / "case.toml").write_text(CASE_TOML)
    atoms = bulk("Si", a=5.430949778405, cubic=True).repeat(2)
    atoms.set_masses(np.random.default_rng(1).uniform(20.0, 60.0, len(atoms)))
    write_structure(atoms, folder / "structure.extxyz")
    return folder


def compared(folder: Path, output: Path) -> tuple[int, str, dict[str, Any]]:
    """Exit code, first line and summary of a comparison."""
    outcome = compare_one(folder, False, output, "ldmd compare silicon", None)
    return outcome.exit_code, outcome.lines[0], json.loads((output / "summary.json").read_text())


def test_molten_silicon_is_recognised_before_anything_is_compared(folder: Path, tmp_path: Path) -> None:
    code, line, summary = compared(folder, tmp_path)
    assert code == 4 and summary["exit_code"] == 4
    assert "Lattice dynamics does not apply at 5000 K: atoms diffuse: Si (" in line
    assert summary["verdict"]["verdict"] == "does not apply" and summary["verdict"]["agree"] is None
    motion = summary["dynamics"]["motion"]["Si"]
    assert motion["motion"] == "diffuses" and motion["moved"]["value"] > 0.9
    assert motion["growth"]["value"] > 20.0 * motion["neighbour_distance"]["value"] ** 2 * 0.25
    assert "growth of the displacement of atoms" in summary["verdict"]["failed_checks"]
    assert summary["minima"] is None, "a liquid has too many minima to say anything with a few"
    page = (tmp_path / "report.html").read_text()
    assert "Lattice dynamics does not apply: atoms diffuse" in page and 'id="figure-diffusion"' in page


def test_a_hot_solid_vibrates(folder: Path, tmp_path: Path) -> None:
    replace_in(folder / "case.toml", "temperature = 5000", "temperature = 1000")
    replace_in(folder / "case.toml", "configurations = 2", "configurations = 2\nminima = 0")
    code, _, summary = compared(folder, tmp_path)
    assert summary["dynamics"]["motion"]["Si"]["motion"] == "vibrates"
    assert summary["verdict"]["verdict"] != "does not apply" and code != 4
