"""Conductivities that no crystal has fail a check, and what finds no channel is told relative to other modes."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from polar_crystal import force_constants, zincblende

from ldmd.crystal import kaldo_engine
from ldmd.crystal.convergence import MeshConvergence
from ldmd.crystal.electrostatics import Electrostatics
from ldmd.crystal.force_constants import CrystalForceConstants
from ldmd.crystal.mesh import (
    Bands,
    DirectSolution,
    MeshConductivity,
    MeshLinewidths,
    mesh_checks,
    translations_among,
    transport,
)
from ldmd.errors import InputError

NEGATIVE, ABSURD = "least eigenvalue of the conductivity, of the largest", "largest eigenvalue of the conductivity"
COUNT = 6


@pytest.fixture(scope="module")
def bands() -> Bands:
    """One wave vector whose bands have speeds of their own along x, y and z in turn."""
    speeds = 30.0 * np.eye(3)[np.arange(COUNT) % 3]
    strengths = np.zeros((1, COUNT, COUNT, 6))
    for band, speed in enumerate(speeds):
        strengths[0, band, band, :3] = speed**2
    return Bands(
        grid=np.eye(3, dtype=int),
        q_points=np.array([[0.1, 0.2, 0.3]]),
        weights=np.array([1]),
        frequencies=np.linspace(10.0, 60.0, COUNT)[None],
        velocities=speeds[None],
        squares=np.einsum("qmmv->qmv", strengths).copy(),
        strengths=strengths,
        volume=40.0,
    )


def result(bands: Bands, gamma: np.ndarray, direct: np.ndarray | None = None) -> MeshConductivity:
    widths = MeshLinewidths(
        temperatures=np.array([300.0]),
        statistics=("classical",),
        gamma=gamma.reshape(1, 1, 1, COUNT),
        isotopes=np.zeros((1, COUNT)),
    )
    solved = None if direct is None else DirectSolution(kappa=direct[None, None], per_mode=np.ones((1, 1, 1, COUNT)))
    return transport(bands, widths, "none", direct=solved, checks=mesh_checks(bands, widths))


def failed(found: MeshConductivity) -> set[str]:
    return {check.name for check in found.checks if not check.passed}


def test_a_crystal_that_hardly_scatters_is_no_crystal_without_channels(bands: Bands) -> None:
    gamma = np.linspace(0.5, 1.0, COUNT)
    usual, weak = result(bands, gamma), result(bands, 1e-13 * gamma)
    np.testing.assert_allclose(1e-13 * weak.relaxation_time, usual.relaxation_time, rtol=1e-10)
    assert not failed(usual) and failed(weak) == {ABSURD}


def test_one_mode_without_a_channel_is_left_out_and_counted(bands: Bands) -> None:
    gamma = np.linspace(0.5, 1.0, COUNT)
    for rest in (0.0, 1e-11):
        lost = result(bands, np.append(rest, gamma[1:]))
        assert failed(lost) == {"modes without scattering"}
        without = result(bands, np.append(1e30, gamma[1:]))
        np.testing.assert_allclose(lost.relaxation_time, without.relaxation_time, rtol=1e-10)
    assert failed(result(bands, np.append(1e-6, gamma[1:]))) == {ABSURD}


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        (np.diag([5.0, 4.0, 3.0]), set()),
        (np.diag([5.0, 4.0, -1e-9]), set()),
        (np.diag([5.0, 4.0, -3.0]), {NEGATIVE}),
        (-97.5 * np.eye(3), {NEGATIVE}),
        (np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), {NEGATIVE}),
        (-5.8e12 * np.eye(3), {NEGATIVE, ABSURD}),
        (np.diag([5.0, np.nan, 3.0]), {NEGATIVE, ABSURD}),
        (np.diag([5.0, np.inf, 3.0]), {NEGATIVE, ABSURD}),
    ],
)
def test_conductivities_that_no_crystal_has_fail(bands: Bands, tensor: np.ndarray, names: set[str]) -> None:
    assert failed(result(bands, np.linspace(0.5, 1.0, COUNT), tensor)) == names


@pytest.mark.parametrize(("limit", "passes"), [(7.2, True), (-7.2, False), (0.0, False), (np.nan, False)])
def test_an_infinite_mesh_below_zero_is_not_known(limit: float, passes: bool) -> None:
    found = MeshConvergence(
        part="total",
        kernel="qhgk",
        power=1.0,
        wave_vectors=np.array([27, 64, 125]),
        temperatures=np.array([300.0]),
        statistics=("classical",),
        kappa=np.full((3, 1, 1), 5.0),
        limit=np.array([[limit]]),
        error=np.array([[0.01]]),
    )
    assert [check.passed for check in found.checks] == [passes]


def test_translations_are_what_moves_all_atoms_alike() -> None:
    """Whatever their place among the modes, their phase, and how they are mixed with each other."""
    generator, masses = np.random.default_rng(1), np.array([3.0, 40.0, 7.0])
    uniform = (
        np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3)) @ np.linalg.qr(generator.normal(size=(3, 3)))[0]
    )
    others = np.linalg.qr(np.hstack([uniform, generator.normal(size=(9, 6))]))[0][:, 3:]
    vectors = np.hstack([others[:, :2], uniform, others[:, 2:]]) * np.exp(1j * np.arange(9))
    np.testing.assert_array_equal(translations_among(vectors, masses), [2, 3, 4])
    system = np.concatenate([np.zeros((1, 9)), vectors])[None]
    phonons = SimpleNamespace(_eigensystem=system, _reciprocal_grid=SimpleNamespace(fractional_points=np.zeros((1, 3))))
    with pytest.raises(InputError, match="take phono3py"):
        kaldo_engine._require_translations(phonons, masses)


def test_charges_that_kaldo_leaves_out_fail_a_check() -> None:
    constants = force_constants(zincblende())
    plain = CrystalForceConstants(constants, constants)
    charges = Electrostatics(np.array([np.eye(3), -np.eye(3)]), 3.0 * np.eye(3))
    assert kaldo_engine._left_out(plain) == []
    (check,) = kaldo_engine._left_out(dataclasses.replace(plain, electrostatics=charges))
    assert not check.passed and check.value == 2.0
