"""Why a structure is unusable: the jumps of its pairs at a cutoff, and the modes that stretch them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_case import CASE_TOML

from ldmd.commands import diagnose_case
from ldmd.potentials.kinks import curvature_jumps
from ldmd.structures import write_structure

SILICON = Path(__file__).resolve().parents[2] / "cases" / "silicon-glass" / "Si.tersoff"
COMPRESSED = 4.1
"""Angstrom: second neighbours of diamond are at 2.90, and Tersoff's silicon switches off from 2.7 to 3.0."""


@pytest.mark.parametrize("distance", [2.4999, 2.5, 2.47])
def test_a_known_jump(distance: float) -> None:
    """Pairs of energy 3 (r - 2.5)^2 / 2 inside 2.5 Angstrom, over a smooth background; across a face of the cell."""

    def ask(atoms: Atoms) -> tuple[float, np.ndarray]:
        energy, forces = 0.0, np.zeros((3, 3))
        for i, j in ((0, 1), (0, 2), (1, 2)):
            bond = atoms.get_distance(i, j, mic=True, vector=True)
            r = float(np.linalg.norm(bond))
            inside = r < 2.5
            energy += 4.0 / r + (1.5 * (r - 2.5) ** 2 if inside else 0.0)
            slope = -4.0 / r**2 + (3.0 * (r - 2.5) if inside else 0.0)
            forces[i] += slope * bond / r
            forces[j] -= slope * bond / r
        return energy, forces

    atoms = Atoms("Si3", positions=[[9.5, 1.0, 1.0], [9.5 + distance, 1.0, 1.0], [6.0, 4.0, 1.0]], cell=[10.0] * 3)
    atoms.pbc = True
    atoms.wrap()
    found = curvature_jumps(ask, atoms, np.array([[0, 1], [1, 0]]), np.array([2.5, 2.5]))
    np.testing.assert_allclose(found, 3.0, rtol=1e-4)
    assert curvature_jumps(ask, atoms, np.array([[0, 1]]), np.array([2.6]))[0] < 1e-4


def test_a_crystal_inside_the_switching_region(tmp_path: Path) -> None:
    """Compressed diamond: by symmetry at a minimum, with the same jump at each of its pairs."""
    case = tmp_path / "compressed"
    case.mkdir()
    shutil.copy(SILICON, case)
    (case / "case.toml").write_text(CASE_TOML.replace("SiO.tersoff", SILICON.name))
    write_structure(bulk("Si", "diamond", a=COMPRESSED).repeat(3), case / "structure.extxyz")
    lines, numbers, sound = diagnose_case(case, True, "ldmd diagnose")
    assert not sound and numbers["usable"] is False and numbers["why"][0] in lines[0]
    assert numbers["pairs_in_switching_regions"] == 54 * 12 / 2
    assert len(numbers["pairs"]) == 15
    jumps = [pair["curvature_jump"] for pair in numbers["pairs"]]
    np.testing.assert_allclose(jumps, jumps[0], rtol=1e-4)
    assert jumps[0] > 10.0
    for pair in numbers["pairs"]:
        assert pair["distance"] == pytest.approx(COMPRESSED / np.sqrt(2.0)) and pair["cutoff"] == 3.0
    assert len(numbers["modes"]) == 9 and all(0.0 <= mode["share"] <= 1.0 for mode in numbers["modes"])
    assert numbers["modes"][-1]["frequency"] == max(mode["frequency"] for mode in numbers["modes"])
    text = "\n".join(lines)
    assert "and 309 more" in text and "highest mode" in text and "where the curvature jumps by" in text
