"""What must hold of any flux: Plancherel, scaling, permutation of axes, gauge invariance of the reduction."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmd.green_kubo import (
    FluxSeries,
    autocorrelation,
    cepstral_conductivity,
    power_spectrum,
    running_integral,
)
from ldmd.green_kubo.spectrum import periodogram

seeds = st.integers(0, 2**32 - 1)


def make(seed: int, steps: int = 600, currents: int = 1, components: int = 6) -> FluxSeries:
    """A coloured random flux with a mean; currents are correlated."""
    rng = np.random.default_rng(seed)
    white = rng.normal(size=(steps + 20, currents, components))
    flux = np.stack([white[i : i + steps] * 0.8**i for i in range(20)]).sum(axis=0) + 0.1 * rng.normal()
    flux = np.einsum("ab,nbc->nac", np.eye(currents) + 0.4 * rng.normal(size=(currents, currents)), flux)
    return FluxSeries(flux=flux, timestep=0.004, temperature=300.0, volume=1500.0)


def cepstral(series: FluxSeries, cutoff: float | None = None) -> float:
    spectrum = power_spectrum(series, cutoff)
    return cepstral_conductivity(spectrum, series.temperature, series.volume, 2.0).value


@settings(deadline=None, max_examples=40)
@given(seed=seeds, steps=st.integers(32, 200), timestep=st.floats(1e-4, 1.0))
def test_plancherel(seed: int, steps: int, timestep: float) -> None:
    flux = np.random.default_rng(seed).normal(size=(2 * steps, 3)) + 0.5
    density = periodogram(flux, timestep)
    both_sides = density[0] + density[-1] + 2.0 * density[1:-1].sum(axis=0)
    spacing = 1.0 / (2 * steps * timestep)
    np.testing.assert_allclose(both_sides * spacing, (flux**2).mean(axis=0), rtol=1e-11)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, steps=st.integers(64, 300))
def test_the_periodogram_is_the_transform_of_the_correlation_over_all_pairs(seed: int, steps: int) -> None:
    """Wiener-Khinchin for a finite record: lags weighted by their share of pairs, both signs."""
    steps *= 2
    flux = np.random.default_rng(seed).normal(size=(steps, 1, 2))
    weighted = autocorrelation(flux, steps)[0, 0] * (1.0 - np.arange(steps) / steps)
    k = 3
    phase = np.cos(2.0 * np.pi * k * np.arange(steps) / steps)
    expected = 0.1 * (weighted[0] + 2.0 * (weighted * phase)[1:].sum())
    assert periodogram(flux[:, 0], 0.1)[k].mean() == pytest.approx(expected, rel=1e-8, abs=1e-10)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, factor=st.floats(1e-3, 1e3), sign=st.sampled_from([-1.0, 1.0]))
def test_conductivity_scales_with_the_square_of_the_flux(seed: int, factor: float, sign: float) -> None:
    series = make(seed)
    scaled = dataclasses.replace(series, flux=sign * factor * series.flux)
    assert cepstral(scaled, 30.0) == pytest.approx(factor**2 * cepstral(series, 30.0), rel=1e-9)
    plain, large = running_integral(series), running_integral(scaled)
    np.testing.assert_allclose(large.conductivity, factor**2 * plain.conductivity, rtol=1e-8, atol=1e-12 * factor**2)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, temperature=st.floats(10.0, 3000.0), volume=st.floats(100.0, 1e6))
def test_conductivity_goes_as_one_over_volume_and_temperature_squared(
    seed: int, temperature: float, volume: float
) -> None:
    series = make(seed)
    other = dataclasses.replace(series, temperature=temperature, volume=volume)
    expected = cepstral(series) * (300.0 / temperature) ** 2 * 1500.0 / volume
    assert cepstral(other) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, order=st.permutations(range(6)), currents=st.integers(1, 3))
def test_the_order_of_the_components_does_not_matter(seed: int, order: list[int], currents: int) -> None:
    series = make(seed, currents=currents)
    shuffled = dataclasses.replace(series, flux=series.flux[:, :, order])
    density = power_spectrum(series, 40.0).density
    np.testing.assert_allclose(power_spectrum(shuffled, 40.0).density, density, rtol=1e-10)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, gauge=st.floats(-1000.0, 1000.0))
def test_the_reduction_does_not_see_a_multiple_of_the_mass_flux(seed: int, gauge: float) -> None:
    """A constant added to the energies of one species adds a multiple of its mass flux to the energy flux."""
    series = make(seed, currents=2)
    flux = series.flux.copy()
    flux[:, 0] += gauge * flux[:, 1]
    changed = dataclasses.replace(series, flux=flux)
    assert cepstral(changed) == pytest.approx(cepstral(series), rel=1e-10)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, scales=st.tuples(st.floats(1e-8, 1e8), st.floats(1e-8, 1e8)))
def test_the_reduction_does_not_see_the_units_of_the_other_currents(seed: int, scales: tuple[float, float]) -> None:
    series = make(seed, currents=3)
    flux = series.flux * np.array([1.0, *scales])[:, None]
    assert cepstral(dataclasses.replace(series, flux=flux)) == pytest.approx(cepstral(series), rel=1e-10)


@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_the_reduction_never_adds_power(seed: int) -> None:
    """The energy flux at fixed other currents is at most the whole, summed over the components."""
    series = make(seed, currents=2)
    alone = dataclasses.replace(series, flux=series.flux[:, :1])
    reduced, whole = power_spectrum(series), power_spectrum(alone)
    assert (5.0 * reduced.density <= 6.0 * whole.density * (1.0 + 1e-12)).all()


@settings(deadline=None, max_examples=15)
@given(seed=seeds)
def test_time_reversal_leaves_both_routes_unchanged(seed: int) -> None:
    series = make(seed, currents=2)
    reversed_flux = dataclasses.replace(series, flux=series.flux[::-1])
    assert cepstral(reversed_flux) == pytest.approx(cepstral(series), rel=1e-9)
    lags = autocorrelation(series.flux, 100)
    np.testing.assert_allclose(autocorrelation(reversed_flux.flux, 100), lags, atol=1e-10)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, currents=st.integers(2, 4))
def test_the_reduction_is_one_over_the_corner_of_the_inverse_matrix(seed: int, currents: int) -> None:
    """The textbook form, on well-conditioned spectra: S = 1/(C^-1)_00 over the degrees of freedom."""
    flux = np.random.default_rng(seed).normal(size=(200, currents, 9))
    series = FluxSeries(flux=flux, timestep=0.004, temperature=300.0, volume=1500.0)
    transform = np.fft.rfft(flux, axis=0)
    matrix = 0.004 / 200 * np.einsum("kia,kja->kij", transform, transform.conj())
    expected = 1.0 / np.linalg.inv(matrix)[:, 0, 0].real / (9 - currents + 1)
    np.testing.assert_allclose(power_spectrum(series).density, expected, rtol=1e-9)
