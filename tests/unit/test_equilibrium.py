"""Temperature and energy over a run, replicas against each other, time step and flux interval against frequencies."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.sparse as sp

from ldmd.dynamics.equilibrium import (
    ENERGY_STEADY,
    EQUILIBRIUM_CHECKS,
    ONE_TEMPERATURE,
    TEMPERATURE_STEADY,
    equilibrium_checks,
)
from ldmd.dynamics.resolution import RESOLUTION_CHECKS, resolution_checks
from ldmd.dynamics.trajectory import Trajectory, dynamics_checks
from ldmd.force_constants.second import SecondOrder
from ldmd.lattice.modes import highest_frequency, normal_modes
from ldmd.results import Check
from ldmd.units import BOLTZMANN

SAMPLES = 12_000


def trajectory(temperature: float = 300.0, seed: int = 0) -> Trajectory:
    """60 ps at constant energy whose temperature oscillates and fluctuates by 5 %, with a memory of 0.1 ps."""
    rng, time = np.random.default_rng(seed), 0.005 * np.arange(SAMPLES)
    noise = np.convolve(rng.normal(size=SAMPLES + 400), np.exp(-np.arange(400) / 20.0), "valid")[:SAMPLES]
    fluctuation = 0.05 * noise / noise.std() + 0.02 * np.sin(2.0 * np.pi * 1.3 * time)
    nothing = np.zeros((SAMPLES, 3))
    return Trajectory(
        sampling_interval=0.005,
        time_step=0.001,
        volume=1000.0,
        seed=seed,
        potential_flux=nothing,
        kinetic_flux=nothing,
        temperature=temperature * (1.0 + fluctuation),
        energy=np.full(SAMPLES, -4.3) + 1e-6 * rng.normal(size=SAMPLES),
        frame_interval=1.0,
        frame_positions=np.zeros((1, 2, 3)),
        frame_forces=np.zeros((1, 2, 3)),
        largest_momentum=0.0,
    )


def named(*trajectories: Trajectory) -> dict[str, Check]:
    return {check.name: check for check in equilibrium_checks(trajectories)}


def test_steady_runs_pass_and_the_checks_are_among_those_of_the_dynamics() -> None:
    steady = [trajectory(seed=seed) for seed in range(20)]
    found = named(*steady)
    assert set(found) == set(EQUILIBRIUM_CHECKS)
    assert all(check.passed for check in found.values())
    assert found[TEMPERATURE_STEADY].value < 0.01
    assert set(EQUILIBRIUM_CHECKS[:2]) <= {check.name for check in dynamics_checks((steady[0],), 300.0)}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_jump_of_the_temperature_at_constant_energy_is_named(share: float) -> None:
    """As where the structure falls into a deeper minimum: by 8 %."""
    run = trajectory()
    factor = np.where(np.arange(SAMPLES) < share * SAMPLES, 1.0, 1.08)
    check = named(trajectory(seed=1), dataclasses.replace(run, temperature=run.temperature * factor))[
        TEMPERATURE_STEADY
    ]
    assert not check.passed
    when = float(check.advice.split(" K before ")[1].split()[0])
    assert when == pytest.approx(60.0 * share, abs=2.0)
    assert check.advice.startswith("Replica 2 is at")


def test_a_slow_drift_of_the_temperature_is_found_and_a_small_one_passes() -> None:
    run, ramp = trajectory(), np.arange(SAMPLES) / SAMPLES
    drifts = [dataclasses.replace(run, temperature=run.temperature * (1.0 + size * ramp)) for size in (0.02, 0.2)]
    small, large = (named(drift)[TEMPERATURE_STEADY] for drift in drifts)
    assert small.passed
    assert not large.passed


def test_a_jump_of_the_energy_is_named_with_its_time_and_size() -> None:
    """By 10 K in temperature: 3.3 %, of which a line through all energies would see a part only."""
    run, jump = trajectory(), 3.0 * BOLTZMANN * 10.0
    late = np.arange(SAMPLES) >= 0.75 * SAMPLES
    check = named(dataclasses.replace(run, energy=run.energy + jump * late))[ENERGY_STEADY]
    assert check.value == pytest.approx(10.0 / 300.0, rel=0.01)
    assert not check.passed
    assert f"changes by {jump:.3g} eV/atom, most of all at 45 ps" in check.advice


def test_replicas_at_different_temperatures_are_named() -> None:
    check = named(trajectory(300.0), trajectory(345.0, seed=1))[ONE_TEMPERATURE]
    assert check.value == pytest.approx(45.0 / 322.5, abs=0.013)  # 3 standard errors: 0.3 % for each mean
    assert not check.passed
    assert ONE_TEMPERATURE not in named(trajectory())


def test_a_run_too_short_for_its_temperature_to_be_tested_keeps_the_other_checks() -> None:
    run = trajectory()
    short = dataclasses.replace(run, temperature=run.temperature[:1000], energy=run.energy[:1000])
    assert set(named(short)) == {ENERGY_STEADY}


def test_the_flux_must_be_sampled_for_twice_the_highest_frequency() -> None:
    """Silicon: 15.5 THz, so the flux reaches 31 THz and 16 fs are just enough; 50 fs are not."""
    highest = 2.0 * math.pi * 15.5
    for interval, passed in ((0.005, True), (0.016, True), (0.017, False), (0.05, False)):
        steps, sampled = resolution_checks(highest, 0.001, interval)
        assert (steps.name, sampled.name) == RESOLUTION_CHECKS
        assert steps.passed and sampled.passed == passed
        assert sampled.value == pytest.approx(0.5 / interval)
        assert sampled.threshold == pytest.approx(31.0)
    assert "set dynamics.flux_interval_fs to 14 or less" in sampled.advice


def test_the_time_step_must_resolve_the_shortest_period() -> None:
    """A stretching O-H bond, 110 THz: 9 fs, of which 1 fs is too much and 0.5 fs is not."""
    highest = 2.0 * math.pi * 110.0
    coarse, fine = (resolution_checks(highest, step, 0.002)[0] for step in (0.001, 0.0005))
    assert coarse.value == pytest.approx(9.09, rel=1e-3)
    assert not coarse.passed
    assert "set dynamics.time_step_fs to 0.6 or less" in coarse.advice
    assert fine.passed


def test_the_highest_frequency_is_that_of_all_modes() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(30, 30))
    second, masses = SecondOrder(sp.csr_array(matrix @ matrix.T)), rng.uniform(1.0, 100.0, 10)
    assert highest_frequency(second, masses) == pytest.approx(normal_modes(second, masses).frequencies.max(), rel=1e-5)
