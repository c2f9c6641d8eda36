"""The spectrum at zero frequency: scaling laws, limits, and what the slowest time does."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from ldmd.green_kubo import FluxSeries, power_spectrum
from ldmd.green_kubo.spectrum import Spectrum
from ldmd.green_kubo.zero_frequency import ERROR_EXPONENT, RUN_OVER_SLOWEST, zero_frequency
from ldmd.lattice.lifetimes import slowest_time


@pytest.fixture(scope="module")
def white() -> Spectrum:
    """White noise of 20 ps x 6, S = 0.005 (eV Angstrom/ps)^2 ps."""
    flux = np.random.default_rng(1).normal(size=(4000, 1, 6))
    return power_spectrum(FluxSeries(flux=flux, timestep=0.005, temperature=300.0, volume=1000.0))


def exact(density: np.ndarray, duration: float = 500.0, timestep: float = 0.005) -> Spectrum:
    """A periodogram without noise."""
    return Spectrum(
        frequencies=np.arange(len(density)) / duration,
        density=density,
        degrees_of_freedom=6,
        series_length=round(duration / timestep),
        timestep=timestep,
        cutoff=100.0,
        skip=1,
    )


def test_the_value_scales_with_the_spectrum_and_its_relative_error_does_not(white: Spectrum) -> None:
    plain = zero_frequency(white, 0.5)
    larger = zero_frequency(dataclasses.replace(white, density=7.0 * white.density), 0.5)
    assert larger.value == pytest.approx(7.0 * plain.value, rel=1e-9)
    assert larger.relative_error == pytest.approx(plain.relative_error, rel=1e-9)
    np.testing.assert_allclose(larger.fit, 7.0 * plain.fit, rtol=1e-9)


def test_it_knows_no_unit_of_time(white: Spectrum) -> None:
    """The same bins in slower time with a slower slowest time."""
    stretched = dataclasses.replace(white, frequencies=white.frequencies / 3.0, timestep=3.0 * white.timestep)
    one, other = zero_frequency(white, 0.4), zero_frequency(stretched, 1.2)
    assert other.value == pytest.approx(one.value, rel=1e-9)
    assert other.interval_95 == pytest.approx(one.interval_95, rel=1e-9)
    assert other.corner == pytest.approx(one.corner / 3.0)


def test_the_bin_at_zero_frequency_is_not_used(white: Spectrum) -> None:
    """It holds the mean of the flux."""
    density = white.density.copy()
    density[0] *= 1e6
    assert zero_frequency(dataclasses.replace(white, density=density), 0.5).value == zero_frequency(white, 0.5).value


@pytest.mark.parametrize("time", [0.2, 1.0, 5.0])
def test_a_lorentzian_without_noise_is_met_whatever_its_width(time: float) -> None:
    frequencies = np.arange(20000) / 500.0
    found = zero_frequency(exact(3.0 / (1.0 + (2.0 * np.pi * frequencies * time) ** 2)), time)
    assert found.value == pytest.approx(3.0, rel=0.02)
    assert found.slow_enough
    assert found.interval_95[0] < 3.0 < found.interval_95[1]


def test_four_times_the_data_narrow_the_interval_as_theory_says_of_smooth_functions() -> None:
    """The error of a function with a square-integrable second derivative falls as the 3/8 power of the data: 1.68."""
    flat = np.ones(20000)
    short, long = zero_frequency(exact(flat), 2.0), zero_frequency(exact(flat, duration=2000.0), 2.0)
    more = zero_frequency(dataclasses.replace(exact(flat), degrees_of_freedom=24), 2.0)
    for narrower in (long, more):
        assert short.relative_error / narrower.relative_error == pytest.approx(4.0**ERROR_EXPONENT, rel=0.05)


def test_without_a_slowest_time_the_length_of_the_run_does_not_narrow_the_interval() -> None:
    """It moves the time that is assumed instead."""
    short, long = zero_frequency(exact(np.ones(5000))), zero_frequency(exact(np.ones(20000), duration=2000.0))
    assert long.relative_error == pytest.approx(short.relative_error, rel=1e-6)
    assert (short.slowest, long.slowest) == pytest.approx((500.0 / RUN_OVER_SLOWEST, 2000.0 / RUN_OVER_SLOWEST))


def test_a_time_that_the_run_does_not_resolve_fails_its_check_and_widens_nothing() -> None:
    spectrum = exact(np.ones(5000))
    found = zero_frequency(spectrum, 200.0)
    assert found.value == zero_frequency(spectrum).value
    failed = [check.name for check in found.checks(500.0, 200.0) if not check.passed]
    assert failed == ["length of the run over the slowest time"]


def test_a_flux_that_decays_as_slowly_as_the_run_is_long_fails() -> None:
    frequencies = np.arange(5000) / 500.0
    steep = zero_frequency(exact(1.0 / (1.0 + (2.0 * np.pi * frequencies * 60.0) ** 2)))
    assert [c.name for c in steep.checks(500.0, None) if not c.passed] == [
        "fall of the spectrum over its 4 lowest frequencies"
    ]


def test_the_slowest_time_is_that_of_the_modes_which_carry_the_slowest_heat() -> None:
    widths = np.array([0.0, 0.05, 0.5, 1.0, np.nan])
    heat = np.array([3.0, 0.01, 1.0, 1.0, 5.0])
    assert slowest_time(widths, heat) == pytest.approx(1.0 / (2.0 * 0.5))
    assert slowest_time(widths, heat, share=0.001) == pytest.approx(1.0 / (2.0 * 0.05))
    assert slowest_time(widths, np.zeros(5)) is None
    assert slowest_time(np.zeros(2), np.ones(2)) is None
    assert math.isfinite(slowest_time(widths.reshape(1, 5), heat.reshape(1, 5)) or math.nan)
