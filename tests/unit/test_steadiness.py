"""What the checks of stationarity say of a flux: which component, which replica, when, and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from ldmd.green_kubo import FluxSeries, green_kubo
from ldmd.green_kubo.sampling import LARGEST_SHARE, SAMPLING, sampling_check
from ldmd.green_kubo.stationarity import (
    MEAN_STEADY,
    NET_FLUX,
    POWER_STEADY,
    REPLICAS_ALIKE,
    STATIONARITY_CHECKS,
    stationarity_checks,
)
from ldmd.results import Check
from ldmd.steadiness import averages, changes, constant, find_change, finest_averages

STEPS, TIMESTEP = 20_000, 0.005


def white(components: int = 6, steps: int = STEPS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, components))


def series(flux: np.ndarray, axes: int = 3) -> FluxSeries:
    return FluxSeries(flux=flux[:, None, :], timestep=TIMESTEP, temperature=300.0, volume=1000.0, axes=axes)


def checks(flux: np.ndarray, axes: int = 3) -> dict[str, Check]:
    return {check.name: check for check in stationarity_checks(series(flux, axes))}


def test_a_steady_flux_passes_and_every_check_is_there() -> None:
    found = checks(white())
    assert tuple(found) == STATIONARITY_CHECKS
    assert all(check.passed for check in found.values())
    assert tuple(checks(white(3))) == STATIONARITY_CHECKS[:-1], "one replica has no other to differ from"


def test_checks_do_not_depend_on_the_unit_of_the_flux() -> None:
    values = [[check.value for check in checks(scale * white()).values()] for scale in (1.0, 1e-8, 1e8)]
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    assert values[2] == pytest.approx(values[0], rel=1e-6)


def test_a_jump_is_named_with_its_component_and_time() -> None:
    flux = white()
    flux[12_000:, 4] += 0.2  # replica 2, y, after 60 ps
    check = checks(flux)[MEAN_STEADY]
    assert not check.passed
    assert "the flux along y of replica 2" in check.advice
    when = float(check.advice.split(" ps:")[0].split()[-1])
    assert when == pytest.approx(60.0, abs=100.0 / 64)


def test_a_transient_is_named_with_its_duration() -> None:
    flux = white()
    flux[:, :] += 2.0 * np.exp(-TIMESTEP * np.arange(STEPS) / 1.6)[:, None]
    check = checks(flux)[MEAN_STEADY]
    assert not check.passed
    assert "decays from the start within about 1.56 ps" in check.advice
    assert "leave out the first 7.81 ps" in check.advice


def test_a_net_flux_is_named_with_its_component() -> None:
    flux = white()
    flux[:, 2] += 0.15
    check = checks(flux)[NET_FLUX]
    assert not check.passed
    assert check.advice.startswith("The mean of the flux along z of replica 1 is not zero.")


def test_a_hot_part_is_named_with_its_time_and_ratio() -> None:
    flux = white()
    flux[STEPS // 4 :] *= np.sqrt(1.5)
    check = checks(flux)[POWER_STEADY]
    assert not check.passed
    assert check.advice.startswith("After 25 ps the power of the flux is 1.5")


def test_a_replica_unlike_the_others_is_named() -> None:
    flux = white(9)
    flux[:, 3:6] *= np.sqrt(1.5)
    check = checks(flux)[REPLICAS_ALIKE]
    assert not check.passed
    assert check.advice.startswith("The power of the flux of replica 2 is 1.5")


def test_axes_of_a_crystal_may_differ() -> None:
    """A hundred times as much flux in the plane as across, and none across a layer."""
    scaled = white() * np.tile([10.0, 10.0, 1.0], 2)
    layer = white() * np.tile([1.0, 1.0, 0.0], 2)
    assert all(check.passed for check in checks(scaled).values())
    assert all(check.passed for check in checks(layer).values())


def test_differences_of_power_that_do_not_matter_pass_however_sure() -> None:
    flux = white(3, 100_000)
    flux[50_000:] *= np.sqrt(1.07)
    assert checks(flux)[POWER_STEADY].passed
    flux[50_000:] *= np.sqrt(1.07)
    assert not checks(flux)[POWER_STEADY].passed


@pytest.mark.parametrize("steps", [64, 65, 300, 1000])
def test_short_series_are_looked_at_too(steps: int) -> None:
    for axes, components in ((3, 3), (1, 1), (3, 6)):
        found = checks(white(components, steps), axes)
        assert all(np.isfinite(check.value) for check in found.values())
        assert all(check.passed for check in found.values())


def test_averages_keep_the_mean_and_drop_vibrations() -> None:
    time = TIMESTEP * np.arange(STEPS)
    values = averages(np.stack([np.ones(STEPS), np.sin(2.0 * np.pi * 8.0 * time)], axis=1), 256)
    assert values.shape == (256, 2)
    assert values[:, 0] == pytest.approx(1.0)
    assert np.abs(values[:, 1]).max() < 1e-3


def test_vibrations_make_averages_coarser_rather_than_transients() -> None:
    """A line at 4 THz in 10 ps, and no transient: with the finest averages it would spill over at the ends."""
    rng, time = np.random.default_rng(1), TIMESTEP * np.arange(2000)
    phases = 2.0 * np.pi * rng.random((1, 6))
    flux = rng.normal(size=(2000, 6)) + 100.0 * np.sin(2.0 * np.pi * 4.0 * time[:, None] + phases)
    assert len(finest_averages(flux)) < 256
    assert all(check.passed for check in checks(flux).values())


def test_slow_noise_is_not_taken_for_a_change_and_a_change_is() -> None:
    """An Ornstein-Uhlenbeck process with a tenth of the run, and the same with a jump of four standard deviations."""
    rng = np.random.default_rng(2)
    slow = np.zeros((5120, 6))
    for step in range(1, len(slow)):
        slow[step] = slow[step - 1] * (1.0 - 1.0 / 512.0) + np.sqrt(2.0 / 512.0) * rng.normal(size=6)
    groups = [averages(slow, 256)]
    assert find_change(groups, changes(256)).probability > 1e-3
    assert find_change(groups, constant(256)).probability > 1e-3
    jumped = slow.copy()
    jumped[3000:, 1] += 8.0
    change = find_change([averages(jumped, 256)], changes(256))
    assert change.probability < 1e-4
    assert change.member == (0, 1)
    assert change.shape.time == pytest.approx(3000 / 5120, rel=0.03)


def test_the_conductivity_carries_the_checks() -> None:
    names = {check.name for check in green_kubo(series(white(steps=4000))).conductivity.checks}
    assert {*STATIONARITY_CHECKS, SAMPLING} <= names


def vibrating(every: int) -> FluxSeries:
    """A central peak of unit height and vibrations up to 16 THz that are 30 times as strong, sampled sparsely."""
    rng, steps = np.random.default_rng(3), 50_000
    frequencies = np.fft.rfftfreq(steps, 0.005)
    density = 1.0 / (1.0 + frequencies**2)
    for centre in (4.0, 8.0, 12.0, 15.5):
        density += 30.0 * np.exp(-0.5 * (frequencies - centre) ** 2)
    noise = np.fft.rfft(rng.normal(size=(steps, 6)), axis=0)
    flux = np.fft.irfft(noise * np.sqrt(density / 0.005)[:, None], steps, axis=0)[::every]
    return FluxSeries(flux=flux[:, None, :], timestep=0.005 * every, temperature=300.0, volume=1000.0)


def test_a_flux_that_is_sampled_too_rarely_fails_its_check() -> None:
    """Every 65 fs vibrations near 15.4 THz come back at zero frequency; every 5 fs nothing does."""
    often, seldom = sampling_check(vibrating(1)), sampling_check(vibrating(13))
    assert often.passed and often.value < 0.001
    assert not seldom.passed and seldom.threshold == LARGEST_SHARE
    assert "A flux every 65 fs holds frequencies to 7.692 THz" in seldom.advice
    kappas = [green_kubo(vibrating(every)).conductivity.value for every in (1, 13)]
    assert kappas[1] > 10.0 * kappas[0]
