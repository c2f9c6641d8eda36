"""The glasses that ship with the project are what their README files say; the committed report belongs to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_silica import glass, silica_potential

from ldmd.case import load_case
from ldmd.force_constants.autodiff import second_order
from ldmd.inspection import inspect_structure
from ldmd.lattice.modes import normal_modes
from ldmd.problem import load_problem
from ldmd.structures import neighbour_graph, read_structure
from ldmd.units import THZ


def test_the_network_glass_has_no_defect_and_is_a_smooth_minimum() -> None:
    atoms, potential = glass(), silica_potential()
    found = inspect_structure(atoms, potential)
    assert found.usable and all(check.passed for check in found.checks)
    assert found.largest_force <= 1e-8
    np.testing.assert_array_equal(found.coordination, [[0, 0, 0, 0, 216], [0, 0, 432, 0, 0]])
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    modes = normal_modes(second_order(potential, atoms.positions, graph), atoms.get_masses())
    assert len(modes.imaginary) == 0
    assert np.abs(modes.frequencies[modes.translations]).max() < 1e-4 * THZ
    assert modes.frequencies[-1] < 42.0 * THZ


def test_the_quenched_glass_is_refused_for_the_right_reason(repository: Path) -> None:
    atoms = read_structure(repository / "cases" / "silica-quenched" / "structure.extxyz")
    found = inspect_structure(atoms, silica_potential())
    assert not found.usable
    oxygen = [{found.symbols[int(i)] for i in pair} == {"O"} for pair in found.switching_pairs]
    assert sum(oxygen) >= 20
    assert np.abs(found.switching_distances[np.array(oxygen)] - 2.0).max() < 0.002


def test_the_committed_report_is_of_the_committed_case(repository: Path) -> None:
    case = load_case(repository / "cases" / "silica")
    summary = json.loads((repository / "reports" / "silica" / "summary.json").read_text())
    assert summary["provenance"]["structure_and_potential"] == load_problem(case, case.settings).system
    assert summary["verdict"]["verdict"] in ("agree", "undecided") and not summary["verdict"]["failed_checks"]
    assert abs(summary["verdict"]["sigmas"]["value"]) < 1.0
    parts = sum(entry["value"] for entry in summary["ledger"])
    gap = summary["verdict"]["dynamics"]["value"] - summary["verdict"]["lattice_quantum"]["value"]
    assert parts == pytest.approx(gap, abs=1e-9)
