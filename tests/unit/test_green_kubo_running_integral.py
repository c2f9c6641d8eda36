"""The running integral and the one-call estimate: closed forms, and both routes on one known process."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import signal

from ldmd.errors import InputError
from ldmd.green_kubo import FluxSeries, autocorrelation, conductivity_scale, green_kubo, running_integral
from ldmd.results import Check, Estimate

TIMESTEP, TAU = 0.005, 0.05


def series(flux: np.ndarray) -> FluxSeries:
    return FluxSeries(flux=flux, timestep=TIMESTEP, temperature=300.0, volume=2000.0)


def ornstein_uhlenbeck(steps: int, components: int, seed: int) -> np.ndarray:
    """Unit-variance flux with autocorrelation exp(-t/TAU), stationary from the first step."""
    decay = math.exp(-TIMESTEP / TAU)
    noise = np.random.default_rng(seed).normal(size=(steps, components))
    noise[1:] *= math.sqrt(1.0 - decay**2)
    return signal.lfilter([1.0], [1.0, -decay], noise, axis=0)[:, None, :]


def exact_conductivity(factor: float = 1.0) -> float:
    """Integral of exp(-t/TAU) as the trapezoidal rule has it, times the prefactor: TAU to 0.1 %."""
    decay = math.exp(-TIMESTEP / TAU)
    return factor * TIMESTEP * 0.5 * (1.0 + decay) / (1.0 - decay) * conductivity_scale(300.0, 2000.0)


@pytest.fixture(scope="module")
def known() -> FluxSeries:
    return series(ornstein_uhlenbeck(100000, 12, seed=3))


def test_autocorrelation_by_fourier_transform_equals_the_sum_over_pairs() -> None:
    flux = np.random.default_rng(1).normal(size=(70, 2, 3)) + 0.3
    result = autocorrelation(flux, 50)
    for lag in (0, 1, 17, 49):
        pairs = np.einsum("nac,nbc->ab", flux[: 70 - lag], flux[lag:]) / (3 * (70 - lag))
        np.testing.assert_allclose(result[..., lag], 0.5 * (pairs + pairs.T), atol=1e-13)
    with pytest.raises(InputError, match="lags"):
        autocorrelation(flux, 71)


def test_the_prefactor_is_the_continuous_one() -> None:
    assert exact_conductivity() == pytest.approx(TAU * conductivity_scale(300.0, 2000.0), rel=1e-3)


def test_both_routes_give_the_analytic_conductivity_of_an_ornstein_uhlenbeck_flux(known: FluxSeries) -> None:
    result = green_kubo(known, slowest_ps=TAU)
    assert result.slowest_given
    for estimate in (result.conductivity, result.running):
        assert estimate.standard_error < 0.06 * estimate.value  # so a factor of two would be 8 sigma
        assert abs(estimate.value - exact_conductivity()) < 3.0 * estimate.standard_error
        assert estimate.unit == "W/(m K)"
    assert result.conductivity.trusted, [c for c in result.conductivity.checks if not c.passed]
    assert result.running.trusted


def test_the_running_integral_rises_as_one_minus_the_exponential(known: FluxSeries) -> None:
    result = running_integral(known, longest_time=1.0)
    expected = exact_conductivity() * (1.0 - np.exp(-result.times / TAU))
    assert result.times[0] == result.conductivity[0] == result.standard_error[0] == 0.0
    late = result.times > 0.3 * TAU
    deviation = np.abs(result.conductivity - expected)[late] / result.standard_error[late]
    assert deviation.max() < 4.0
    np.testing.assert_allclose(result.correlation[:20], np.exp(-result.times[:20] / TAU), atol=0.03)
    assert result.samples == 60


def test_two_coupled_currents_reduce_to_the_part_that_is_the_energys_own() -> None:
    own, mass = ornstein_uhlenbeck(40000, 12, seed=4), ornstein_uhlenbeck(40000, 12, seed=5)
    data = series(np.concatenate([own + 2.0 * mass, mass], axis=1))
    reduced = running_integral(data, longest_time=1.0)
    alone = running_integral(series(own + 2.0 * mass), longest_time=1.0)
    assert abs(reduced.estimate.value - exact_conductivity()) < 3.0 * reduced.estimate.standard_error
    assert abs(alone.estimate.value - exact_conductivity(5.0)) < 3.0 * alone.estimate.standard_error
    assert np.isfinite(reduced.conductivity).all()


def test_a_mean_flux_adds_its_square_times_the_time_and_fails_the_check(known: FluxSeries) -> None:
    offset = 0.2
    shifted = dataclasses.replace(known, flux=known.flux + offset)
    plain, moved = running_integral(known, 1.0), running_integral(shifted, 1.0)
    # The cross term of the offset with the sample mean is known too.
    cross = 2.0 * offset * float(known.flux.mean())
    line = (offset**2 + cross) * moved.times * conductivity_scale(300.0, 2000.0)
    np.testing.assert_allclose(moved.conductivity - plain.conductivity, line, atol=2e-3 * line[-1])
    assert plain.estimate.checks[2].passed
    assert not moved.estimate.checks[2].passed


def test_lengths_out_of_range_are_refused(known: FluxSeries) -> None:
    for longest in (0.01, 150.0):
        with pytest.raises(InputError, match="longest_time"):
            running_integral(known, longest)
    with pytest.raises(InputError, match="zero at all times"):
        running_integral(series(np.zeros((2000, 1, 3))))


def test_a_drifting_integral_has_no_plateau(known: FluxSeries) -> None:
    drifting = dataclasses.replace(known, flux=known.flux + 1.0)
    estimate = running_integral(drifting, 1.0).estimate
    assert not estimate.checks[0].passed


def test_the_result_holds_only_what_a_generic_store_can_write(known: FluxSeries) -> None:
    result = green_kubo(known, cutoff_thz=20.0)
    sizes: dict[str, int] = {}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, np.ndarray):
            dims = field.metadata["dims"]
            assert len(dims) == value.ndim, field.name
            for dim, size in zip(dims, value.shape, strict=True):
                assert sizes.setdefault(dim, size) == size, (field.name, dim)
            assert field.metadata["unit"] and field.metadata["description"]
        else:
            assert isinstance(value, (bool, int, float, str, tuple, Estimate)), field.name
            assert not isinstance(value, np.generic), field.name
    assert all(isinstance(check, Check) for check in result.conductivity.checks)
    assert all(type(check.value) is float for check in result.conductivity.checks + result.running.checks)
    assert not result.cutoff_automatic
    assert result.cepstral.value == result.kappa[1]
    assert not result.slowest_given
    assert result.conductivity.value == result.run_alone.value
    kept = int(result.coefficients_kept[1])
    assert result.coefficient_kappa[kept - 1] == pytest.approx(result.kappa[1])
    assert result.axis_kappa.shape == (3,)


def test_axes_that_differ_fail_their_check_and_are_reported_one_by_one(known: FluxSeries) -> None:
    stretch = np.tile([1.0, 1.0, 2.0], 4)
    result = green_kubo(dataclasses.replace(known, flux=known.flux * stretch), slowest_ps=TAU)
    ratio = result.axis_kappa[2] / result.axis_kappa[0]
    assert ratio == pytest.approx(4.0, rel=0.4)
    assert [c.name for c in result.conductivity.checks if not c.passed] == ["axes equivalent"]


def test_fewer_replicas_than_currents_leave_the_axes_open() -> None:
    flux = np.concatenate([ornstein_uhlenbeck(20000, 3, 4), ornstein_uhlenbeck(20000, 3, 5)], axis=1)
    result = green_kubo(series(flux))
    assert np.isnan(result.axis_kappa).all()
    assert result.degrees_of_freedom == 2
    assert math.isfinite(result.conductivity.value)


def test_factors_must_be_given_and_positive(known: FluxSeries) -> None:
    with pytest.raises(InputError, match="factors"):
        green_kubo(known, factors=())
    with pytest.raises(InputError, match="factor"):
        green_kubo(known, factors=(0.0,))
    with pytest.raises(InputError, match="slowest_ps"):
        green_kubo(known, slowest_ps=0.0)
