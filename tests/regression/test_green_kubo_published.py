"""Published numbers on published fluxes, found through the environment variable LDMD_DATA."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import constants

from ldmd.errors import InputError
from ldmd.green_kubo import (
    FluxSeries,
    cepstral_conductivity,
    green_kubo,
    power_spectrum,
    read_table,
    running_integral,
)
from ldmd.green_kubo.sampling import sampling_check
from ldmd.green_kubo.stationarity import stationarity_checks


def data(name: str) -> Path:
    folder = os.environ.get("LDMD_DATA")
    path = Path(folder or ".") / "fluxes" / name
    if folder is None or not path.exists():
        pytest.skip(f"LDMD_DATA does not lead to fluxes/{name}")
    return path


@pytest.fixture(scope="module")
def silica() -> FluxSeries:
    """BKS vitreous silica, 216 atoms, NVE, 100 ps, metal units."""
    path = data("silica_bks_216.dat")
    return read_table(path, ["c_flux1"], timestep=0.001, temperature=983.172635, volume=3130.431110818)


@pytest.fixture(scope="module")
def argon() -> FluxSeries:
    """Lennard-Jones argon, 70 K, 256 atoms, x component, extensive, LAMMPS real units (4186 J/kcal)."""
    unit = 4186.0 / constants.N_A / constants.e * 1000.0
    return read_table(
        data("argon_70K_flux.csv.bz2"),
        [["flux"]],
        timestep=0.004,
        temperature=70.0,
        volume=9943.92,
        unit=unit,
        delimiter=",",
    )


def test_cepstral_conductivity_of_bks_silica(silica: FluxSeries) -> None:
    spectrum = power_spectrum(silica, 28.0)
    assert spectrum.skip == 18
    estimate = cepstral_conductivity(spectrum, silica.temperature, silica.volume, factor=1.0)
    assert estimate.aic_minimum == 33
    assert estimate.value == pytest.approx(2.2051, rel=1e-4)
    assert estimate.standard_error == pytest.approx(0.2152, rel=1e-3)
    # The reference is given to six digits with the constants of 2006, which differ by 1e-6.
    assert estimate.value == pytest.approx(2.205099, rel=2e-6)
    assert estimate.standard_error == pytest.approx(0.215248, rel=4e-6)


def test_every_route_agrees_on_bks_silica_with_no_choice_by_hand(silica: FluxSeries) -> None:
    """Silica's heat-carrying modes live for less than half a picosecond at 1000 K; the published error is cepstral."""
    result = green_kubo(silica, slowest_ps=0.5)
    assert 20.0 < result.cutoff < 45.0
    assert abs(result.conductivity.value - 2.205099) < result.conductivity.standard_error
    assert abs(result.running.value - 2.205099) < 3.0 * result.running.standard_error
    assert result.conductivity.standard_error < 1.6 * 0.215248
    assert result.kappa_error[1] > result.kappa_error[0]
    assert result.conductivity.trusted, [c for c in result.conductivity.checks if not c.passed]


def test_a_hundred_picoseconds_of_silica_alone_say_less_than_the_published_error(silica: FluxSeries) -> None:
    """Without a slowest time the interval is that of a run of 100 ps and three components, and holds the value."""
    result = green_kubo(silica)
    low, high = result.interval_95
    assert low < 2.205099 < high
    assert result.conductivity.standard_error > 2.0 * 0.215248


def test_the_running_integral_of_argon_is_that_of_lammps(argon: FluxSeries) -> None:
    """LAMMPS printed 0.31068514 for this very run (fix ave/correlate, trapezoid over 2000 lags of 4 fs)."""
    result = running_integral(argon, longest_time=10.0)
    value = np.interp(1999 * 0.004, result.times, result.conductivity)
    assert value == pytest.approx(0.31068514, rel=3e-3)


def test_a_running_integral_read_at_one_late_time_is_a_pitfall_on_argon(argon: FluxSeries) -> None:
    """The number at 8 ps is half as large again as at 2 ps: noise, and a mean of the flux."""
    result = running_integral(argon, longest_time=10.0)
    early, late = np.interp([2.0, 8.0], result.times, result.conductivity)
    assert late > 1.3 * early
    factor_one, factor_two = green_kubo(argon).kappa
    assert factor_one < factor_two < early
    # The same mean, taken out, would leave nothing at zero frequency to estimate: that is refused.
    flux = argon.flux[:100000] - argon.flux[:100000].mean(axis=0)
    without = FluxSeries(flux=flux, timestep=0.004, temperature=70.0, volume=9943.92, axes=1)
    with pytest.raises(InputError, match="flux mean = removed"):
        green_kubo(without, cutoff_thz=12.5)


@pytest.mark.parametrize(("every", "sound"), [(1, True), (5, True), (20, False), (50, False)])
def test_silica_sampled_too_rarely_fails_its_check(silica: FluxSeries, every: int, sound: bool) -> None:
    """Every 20 fs the conductivity is too large by half or more, every 50 fs a hundred times; every 5 fs is enough."""
    rare = dataclasses.replace(silica, flux=silica.flux[::every], timestep=every * silica.timestep)
    assert sampling_check(rare).passed == sound
    excess = green_kubo(rare).conductivity.value / green_kubo(silica).conductivity.value
    assert (excess > 1.5) != sound
    assert sound == (abs(excess - 1.0) < 0.1)


def test_published_silica_is_stationary(silica: FluxSeries) -> None:
    assert all(check.passed for check in stationarity_checks(silica))
