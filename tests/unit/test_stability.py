"""Dynamics that blow up are stopped early, by temperature, energy or distance, and what was sampled is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from small_case import little_silica
from small_silica import silica_potential

from ldmd.checkpoint import Checkpoint
from ldmd.dynamics import replica, stability
from ldmd.dynamics.replica import ReplicaSettings, run_replica
from ldmd.dynamics.stability import CLOSEST, Limits, Unstable, require_apart
from ldmd.units import BOLTZMANN

SETTINGS = ReplicaSettings(
    temperature=300.0, time_step=0.001, stride=2, equilibration=25, samples=200, samples_per_frame=25, seed=1
)


def test_limits_of_temperature_energy_and_distance() -> None:
    limits = Limits(300.0)
    limits.require_cool(np.array([310.0, 2400.0]), 1.0)
    limits.require_cool(np.zeros(0), 1.0)
    for temperature in (2600.0, np.nan, np.inf):
        with pytest.raises(Unstable, match="near 1.5 ps, the target is 300 K: stopped, samples before that are kept"):
            limits.require_cool(np.array([310.0, temperature]), 1.5)
    thermal = 3.0 * BOLTZMANN * 300.0
    limits.require_constant(np.array([-1.0, -1.0 + 0.2 * thermal]), -1.0, 2.0)
    for energy in (-1.0 + 0.3 * thermal, -1.0 - 0.3 * thermal, np.nan):
        with pytest.raises(Unstable, match="eV per atom up to 2 ps"):
            limits.require_constant(np.array([-1.0, energy]), -1.0, 2.0)
    require_apart(CLOSEST, 1.0)
    for distance in (0.3, np.nan):
        with pytest.raises(Unstable, match="of each other at 1 ps"):
            require_apart(distance, 1.0)


def test_a_run_that_heats_up_is_stopped_and_its_samples_are_kept(tmp_path: Path) -> None:
    """A time step of 12 fs, half of the shortest period of silica, heats it without end."""
    path = tmp_path / "checkpoint.npz"
    hot = dataclasses.replace(SETTINGS, time_step=0.012, samples=100_000)
    done: list[int] = []
    for _ in range(2):  # going on from the checkpoint ends in the same way, at once
        with pytest.raises(Unstable, match="shorten the time step") as caught:
            run_replica(little_silica(), silica_potential(), hot, Checkpoint(path, "key"), done.append)
        assert isinstance(caught.value, FloatingPointError)
        kept = Checkpoint(path, "key").load()
        assert kept is not None
        assert int(kept["done"]) == max(done, default=0) < 2000
        assert np.isfinite(kept["positions"]).all() and len(kept["records"]) == max(0, int(kept["done"]) - 25)


@pytest.mark.parametrize("what", ["energy", "distance"])
def test_a_run_is_stopped_by_energy_or_distance(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits that a sound run exceeds: the samples up to the chunk before are on the checkpoint."""
    path = tmp_path / "checkpoint.npz"
    if what == "energy":
        monkeypatch.setattr(stability, "GAINED", 1e-7)
        words, kept = "the energy changed by", 25
    else:
        monkeypatch.setattr(stability, "CLOSEST", 1.9)
        words, kept = "two atoms came within 1", 0
    with pytest.raises(Unstable, match=words):
        run_replica(little_silica(), silica_potential(), SETTINGS, Checkpoint(path, "key"))
    arrays = Checkpoint(path, "key").load()
    assert arrays is not None and int(arrays["done"]) == kept


def test_a_sound_run_is_not_stopped(tmp_path: Path) -> None:
    found = run_replica(little_silica(), silica_potential(), SETTINGS, Checkpoint(tmp_path / "none", "key"))
    assert len(found.energy) == SETTINGS.samples
    assert replica.Limits is Limits
