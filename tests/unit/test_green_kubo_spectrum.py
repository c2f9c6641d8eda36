"""Spectra and the cepstral estimate against closed forms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import constants, signal, special

from ldmd.errors import InputError
from ldmd.green_kubo import FluxSeries, Spectrum, cepstral_conductivity, conductivity_scale, power_spectrum
from ldmd.green_kubo.cepstral import akaike, cepstral_coefficients, log_bias
from ldmd.green_kubo.cutoff import choose_cutoff, default_cutoffs, scan_cutoff
from ldmd.green_kubo.spectrum import display_spectrum, periodogram, resample, skip_for_cutoff


def series(flux: np.ndarray, timestep: float = 0.005) -> FluxSeries:
    axes = 3 if flux.shape[2] % 3 == 0 else 1
    return FluxSeries(flux=flux, timestep=timestep, temperature=300.0, volume=1000.0, axes=axes)


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def flat_spectrum(density: float, bins: int = 501, nu: int = 3) -> Spectrum:
    """A spectrum whose logarithm is exactly its expectation: no noise at all."""
    return Spectrum(
        frequencies=np.linspace(0.0, 50.0, bins),
        density=density * np.exp(log_bias(bins, nu)),
        degrees_of_freedom=nu,
        series_length=2 * (bins - 1),
        timestep=0.01,
        cutoff=50.0,
        skip=1,
    )


def test_the_prefactor_in_si_units() -> None:
    temperature, volume = 300.0, 2000.0
    flux_unit = constants.e * 1e-10 / 1e-12  # eV Angstrom/ps in J m/s
    expected = flux_unit**2 * 1e-12 / (volume * 1e-30 * constants.k * temperature**2)
    assert conductivity_scale(temperature, volume) == pytest.approx(expected, rel=1e-12)


def test_periodogram_of_a_cosine_is_its_power_in_one_bin() -> None:
    steps, timestep, amplitude = 200, 0.01, 3.0
    flux = amplitude * np.cos(2.0 * np.pi * 20 * np.arange(steps) / steps)
    density = periodogram(flux, timestep)
    expected = np.zeros(101)
    expected[20] = steps * timestep * amplitude**2 / 4.0  # half of the mean square; the rest is at -f
    np.testing.assert_allclose(density, expected, atol=1e-12)


def test_resampling_is_the_boxcar_filter_kept_at_every_step() -> None:
    flux = noise(1003, 1, 3)
    skip = 7
    filtered = signal.lfilter(np.ones(skip) / skip, 1.0, flux, axis=0)[skip - 1 :][::skip]
    sampled = resample(series(flux), skip)
    assert sampled.steps == 142  # 143 whole windows, cut to even
    assert sampled.timestep == pytest.approx(0.035)
    np.testing.assert_allclose(sampled.flux, filtered[:142], atol=1e-14)


def test_cutoffs_become_the_nearest_integer_skip_and_are_reported_as_they_are() -> None:
    assert skip_for_cutoff(0.001, 28.0) == 18
    assert skip_for_cutoff(0.001, 1e6) == 1
    spectrum = power_spectrum(series(noise(5000, 1, 3), 0.001), 28.0)
    assert (spectrum.skip, spectrum.series_length) == (18, 276)
    assert spectrum.cutoff == pytest.approx(500.0 / 18)
    assert spectrum.frequencies[-1] == pytest.approx(spectrum.cutoff)
    assert len(spectrum.density) == 139
    with pytest.raises(InputError, match="raise it"):
        power_spectrum(series(noise(5000, 1, 3), 0.001), 1.0)
    with pytest.raises(InputError, match="cutoff"):
        power_spectrum(series(noise(5000, 1, 3), 0.001), -1.0)


def test_log_bias_of_one_component_is_eulers_constant() -> None:
    bias = log_bias(5, 1)
    np.testing.assert_allclose(bias[1:-1], -np.euler_gamma)
    np.testing.assert_allclose(bias[[0, -1]], -np.euler_gamma - math.log(2.0))


def test_a_noiseless_flat_spectrum_gives_half_its_density_times_the_scale() -> None:
    estimate = cepstral_conductivity(flat_spectrum(7.0), 300.0, 2000.0)
    assert estimate.value == pytest.approx(0.5 * 7.0 * conductivity_scale(300.0, 2000.0), rel=1e-12)
    assert estimate.number_of_coefficients == 1
    # P = 1: var L0 = psi'(3) (4 - 2)/1000
    sigma = math.sqrt(2.0 * special.polygamma(1, 3) / 1000.0)
    assert estimate.standard_error == pytest.approx(estimate.value * sigma, rel=1e-12)
    low, high = estimate.interval_95
    assert math.sqrt(low * high) == pytest.approx(estimate.value)
    assert math.log(high / low) == pytest.approx(2 * 1.96 * sigma)
    assert not estimate.checks[0].passed  # fewer than three coefficients: flat


def test_a_cosine_in_the_log_spectrum_is_one_coefficient_and_the_fit_follows_it() -> None:
    flat = flat_spectrum(7.0)
    k = np.arange(501)
    log_shape = 1.2 * np.cos(np.pi * 6 * k / 500)
    spectrum = dataclasses.replace(flat, density=flat.density * np.exp(log_shape))
    coefficients, variances = cepstral_coefficients(spectrum)
    expected = np.zeros(501)
    expected[[0, 6]] = math.log(7.0), 0.6
    np.testing.assert_allclose(coefficients, expected, atol=1e-13)
    assert variances[1] == pytest.approx(special.polygamma(1, 3) / 1000)
    assert variances[0] == pytest.approx(2 * variances[1])
    estimate = cepstral_conductivity(spectrum, 300.0, 2000.0)
    assert (estimate.aic_minimum, estimate.number_of_coefficients) == (6, 7)
    np.testing.assert_allclose(estimate.fit, 7.0 * np.exp(log_shape), rtol=1e-12)
    scale = 0.5 * conductivity_scale(300.0, 2000.0)
    assert estimate.value == pytest.approx(7.0 * math.exp(1.2) * scale, rel=1e-12)
    np.testing.assert_allclose(estimate.cumulative[:6], 7.0 * scale, rtol=1e-12)
    np.testing.assert_allclose(estimate.cumulative[6:12], estimate.value, rtol=1e-12)
    double = cepstral_conductivity(spectrum, 300.0, 2000.0, factor=2.0)
    assert double.number_of_coefficients == 13
    assert double.standard_error == pytest.approx(double.value * math.sqrt(variances[1] * 50), rel=1e-12)


def test_akaikes_criterion_weighs_dropped_misfit_against_kept_coefficients() -> None:
    criterion = akaike(np.array([5.0, 3.0, 0.1, 0.1]), np.ones(4))
    np.testing.assert_allclose(criterion, [9.02 + 2.0, 0.02 + 4.0, 0.01 + 6.0, 0.0 + 8.0], atol=1e-12)


@pytest.mark.parametrize("skip", [1, 4, 7])
def test_a_flux_whose_mean_was_subtracted_is_refused_or_flagged(skip: int) -> None:
    flux = noise(8000, 1, 3)
    flux -= flux.mean(axis=0)
    spectrum = power_spectrum(series(flux), 100.0 / skip)
    if 8000 % (2 * skip):  # windows do not tile the series: a trace of the mean is left, and the check sees it
        estimate = cepstral_conductivity(spectrum, 300.0, 1000.0)
        check = {check.name: check for check in estimate.checks}["mean flux compatible with equilibrium"]
        assert not check.passed
    else:
        with pytest.raises(InputError, match="flux mean = removed"):
            cepstral_conductivity(spectrum, 300.0, 1000.0)


def test_a_large_mean_fails_its_check_and_hardly_moves_the_value() -> None:
    flux = noise(8000, 1, 3)
    plain = cepstral_conductivity(power_spectrum(series(flux)), 300.0, 1000.0)
    shifted = cepstral_conductivity(power_spectrum(series(flux + 0.5)), 300.0, 1000.0)
    assert plain.checks[2].passed
    assert not shifted.checks[2].passed
    assert shifted.number_of_coefficients < 10
    assert shifted.value == pytest.approx(plain.value, abs=plain.standard_error)


def test_dependent_absent_and_superfluous_currents_are_refused() -> None:
    heat, mass = noise(400, 1, 6), noise(400, 1, 6, seed=2)
    with pytest.raises(InputError, match="they depend linearly"):
        power_spectrum(series(np.concatenate([heat, mass, -2.0 * mass], axis=1)))
    with pytest.raises(InputError, match="they depend linearly"):
        rounded = np.round(-2.0 * mass, 4)
        power_spectrum(series(np.concatenate([heat, mass, rounded], axis=1)))
    with pytest.raises(InputError, match="it is a combination of them"):
        power_spectrum(series(np.concatenate([3.0 * mass, mass], axis=1)))
    with pytest.raises(InputError, match="current 1 vanishes"):
        power_spectrum(series(np.concatenate([heat, 0.0 * mass], axis=1)))
    with pytest.raises(InputError, match="need as many components"):
        power_spectrum(series(noise(400, 4, 3)))
    with pytest.raises(InputError, match="constant in time"):
        power_spectrum(series(np.ones((400, 1, 3))))


def test_eliminating_a_current_removes_what_it_explains() -> None:
    own, mass = noise(2000, 1, 12), 50.0 * noise(2000, 1, 12, seed=2)
    mixed = power_spectrum(series(np.concatenate([own + 3.0 * mass, mass], axis=1)))
    clean = power_spectrum(series(own))
    assert mixed.degrees_of_freedom == 11
    assert mixed.density.mean() == pytest.approx(clean.density.mean(), rel=0.05)


def test_the_displayed_spectrum_keeps_the_power_and_ends_after_the_band() -> None:
    transform = np.fft.rfft(noise(20000, 1, 3), axis=0)
    transform[np.fft.rfftfreq(20000, 0.005) > 20.0] = 0.0  # THz
    shape = np.fft.irfft(transform, axis=0)
    frequencies, density = display_spectrum(series(shape), points=300)
    assert len(frequencies) == len(density) <= 300
    assert frequencies[-1] == pytest.approx(1.25 * 20.0, rel=0.01)
    spacing = frequencies[1] - frequencies[0]
    assert 2.0 * density.sum() * spacing == pytest.approx((shape**2).mean(), rel=0.01)


def test_the_automatic_cutoff_follows_the_width_of_a_central_peak() -> None:
    tau, timestep = 0.2, 0.005
    decay = math.exp(-timestep / tau)
    flux = signal.lfilter([1.0], [1.0, -decay], noise(200000, 1, 6), axis=0)
    choice = choose_cutoff(series(flux, timestep))
    assert choice.half_width == pytest.approx(1.0 / (2.0 * math.pi * tau), rel=0.4)
    assert choice.cutoff == pytest.approx(min(8.0 * choice.half_width, choice.band_edge))
    assert choice.check.passed
    short = choose_cutoff(series(flux[:2000], timestep))  # ten correlation times
    assert not short.check.passed


def test_the_automatic_cutoff_of_white_noise_is_the_band() -> None:
    choice = choose_cutoff(series(noise(20000, 1, 3)))
    assert choice.half_width == math.inf
    assert choice.cutoff == choice.band_edge == pytest.approx(95.0, rel=0.02)


def test_the_scan_merges_equal_cutoffs_and_a_trend_is_flagged() -> None:
    data = series(noise(20000, 1, 3))
    scan = scan_cutoff(data, [100.0, 99.0, 50.0, 25.0, 12.5], 1.0)
    np.testing.assert_allclose(scan.cutoffs, [12.5, 25.0, 50.0, 100.0])
    single = cepstral_conductivity(power_spectrum(data, 25.0), 300.0, 1000.0)
    assert scan.conductivity[1] == pytest.approx(single.value)
    assert scan.check(25.0).passed
    trend = dataclasses.replace(
        scan, conductivity=np.array([4.0, 2.0, 1.0, 0.5]), standard_error=np.array([0.8, 0.4, 0.2, 0.1])
    )
    # ln 2 over 0.2 sqrt(2); the point at 100 THz lies outside the factor of four around 25 THz
    assert trend.deviation(25.0) == pytest.approx(math.log(2.0) / math.hypot(0.2, 0.2))
    assert not trend.check(25.0).passed


def test_default_cutoffs_stay_within_what_the_data_allow() -> None:
    data = series(noise(20000, 1, 3))
    cutoffs = default_cutoffs(data, 10.0)
    assert cutoffs[0] == pytest.approx(1.25)
    assert cutoffs[-1] == pytest.approx(50.0)
    assert {5.0, 10.0, 20.0} <= set(cutoffs.tolist())
    assert default_cutoffs(series(noise(200, 1, 3)), 90.0).min() >= 64.0
