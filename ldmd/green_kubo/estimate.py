"""One call from a flux series to everything that a report shows of its Green-Kubo conductivity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from ldmd.errors import InputError
from ldmd.green_kubo.cepstral import CepstralEstimate, cepstral_conductivity
from ldmd.green_kubo.cutoff import choose_cutoff, default_cutoffs, scan_cutoff
from ldmd.green_kubo.running_integral import running_integral
from ldmd.green_kubo.sampling import sampling_check
from ldmd.green_kubo.series import FluxSeries
from ldmd.green_kubo.spectrum import conductivity_scale, display_spectrum, power_spectrum
from ldmd.green_kubo.stationarity import stationarity_checks
from ldmd.green_kubo.zero_frequency import ERROR_EXPONENT, zero_frequency
from ldmd.results import Check, Estimate, quantity

AXES_PROBABILITY = 1e-3
"""Probability of a scatter of the axes as large as seen, below which they are not equivalent."""

AGREEMENT_THRESHOLD = 2.0
"""Largest difference of the headline and the running integral, in combined standard errors."""


@dataclasses.dataclass(frozen=True)
class GreenKuboResult:
    """The Green-Kubo conductivity of one system, by every route and with all that shows how far to trust it.

    The headline is the value at zero frequency of a smooth spectrum (:mod:`ldmd.green_kubo.zero_frequency`). It rests
    on a slowest time with which the flux decays: the one that was given, if the run resolves it and longer ones give
    the same value, otherwise a share of the run. ``run_alone`` is the estimate that rests on nothing but the run; both
    are the same where no slowest time was given. Cepstral values, with Akaike's number of coefficients times each of
    ``factors``, are there to compare with published ones: their errors hold if nothing slow is hidden in the spectrum.

    Frequencies are ordinary (THz); densities are two-sided; spectra, fits and the scan belong to the energy flux net of
    the other currents if there are any (``raw_density`` is the energy flux as it is).
    """

    conductivity: Estimate  # W/(m K), the headline
    interval_95: tuple[float, float]  # W/(m K), of the headline
    slowest: float  # ps, the slowest time that the headline resolves
    slowest_given: bool  # whether that is the time that was given, and not a share of the run
    corner: float  # THz, below which the smooth spectrum of the headline is level
    run_alone: Estimate  # W/(m K)
    run_alone_interval_95: tuple[float, float]  # W/(m K)
    cepstral: Estimate  # W/(m K), with the last of the factors
    running: Estimate  # W/(m K), plateau of the running integral
    agreement_sigma: float  # headline less running integral, in combined standard errors
    temperature: float  # K
    volume: float  # Angstrom^3
    duration: float  # ps, of one replica
    timestep: float  # ps, of the series as given
    replicas: int
    currents: int
    degrees_of_freedom: int
    skip: int  # steps averaged into one
    cutoff: float  # THz
    cutoff_automatic: bool
    half_width: float  # THz, where the cepstral cutoff saw S first differ from S(0) by a factor of two; inf if nowhere
    plateau_start: float  # ps
    aic_minimum: int
    raw_frequencies: np.ndarray = quantity(("raw_frequency",), "THz", "frequency, full range, averaged for display")
    raw_density: np.ndarray = quantity(
        ("raw_frequency",), "(eV Angstrom/ps)^2 ps", "periodogram at full resolution, averaged for display"
    )
    smooth_frequencies: np.ndarray = quantity(("smooth",), "THz", "frequency, centres of merged bins")
    smooth_density: np.ndarray = quantity(("smooth",), "(eV Angstrom/ps)^2 ps", "periodogram, means of merged bins")
    smooth_fit: np.ndarray = quantity(("smooth",), "(eV Angstrom/ps)^2 ps", "smooth spectrum of the headline")
    frequencies: np.ndarray = quantity(("frequency",), "THz", "frequency below the cutoff")
    density: np.ndarray = quantity(("frequency",), "(eV Angstrom/ps)^2 ps", "spectrum that was analysed")
    factors: np.ndarray = quantity(("factor",), "1", "multiplier of Akaike's number of coefficients")
    fit: np.ndarray = quantity(("factor", "frequency"), "(eV Angstrom/ps)^2 ps", "cepstral fit of the spectrum")
    kappa: np.ndarray = quantity(("factor",), "W/(m K)", "cepstral conductivity")
    kappa_error: np.ndarray = quantity(("factor",), "W/(m K)", "its standard error")
    kappa_interval_95: np.ndarray = quantity(("factor", "bound"), "W/(m K)", "its 95 % interval, log-normal")
    coefficients_kept: np.ndarray = quantity(("factor",), "1", "number of cepstral coefficients kept")
    coefficient_count: np.ndarray = quantity(("coefficient",), "1", "number of coefficients, for the curve")
    coefficient_kappa: np.ndarray = quantity(("coefficient",), "W/(m K)", "conductivity with that many")
    coefficient_kappa_error: np.ndarray = quantity(("coefficient",), "W/(m K)", "its standard error")
    scan_cutoffs: np.ndarray = quantity(("scan",), "THz", "cutoffs of the scan")
    scan_kappa: np.ndarray = quantity(("factor", "scan"), "W/(m K)", "conductivity at each cutoff")
    scan_kappa_error: np.ndarray = quantity(("factor", "scan"), "W/(m K)", "its standard error")
    axis_kappa: np.ndarray = quantity(("axis",), "W/(m K)", "each axis alone; NaN if replicas are too few")
    axis_kappa_error: np.ndarray = quantity(("axis",), "W/(m K)", "its standard error")
    time: np.ndarray = quantity(("time",), "ps", "upper limit of the running integral")
    running_kappa: np.ndarray = quantity(("time",), "W/(m K)", "running integral of the autocorrelation")
    running_kappa_error: np.ndarray = quantity(("time",), "W/(m K)", "its standard error from blocks")
    correlation: np.ndarray = quantity(("time",), "1", "normalised autocorrelation of the energy flux")

    @property
    def replicas_alone(self) -> int:
        """Replicas of this length that would give the error of the headline without a slowest time given."""
        alone = self.run_alone.standard_error / self.run_alone.value
        headline = self.conductivity.standard_error / self.conductivity.value
        return math.ceil(self.replicas * max(1.0, (alone / headline) ** (1.0 / ERROR_EXPONENT)))


def green_kubo(
    series: FluxSeries,
    *,
    slowest_ps: float | None = None,
    cutoff_thz: float | None = None,
    factors: Sequence[float] = (1.0, 2.0),
    scan_cutoffs_thz: Sequence[float] | None = None,
    longest_time: float | None = None,
) -> GreenKuboResult:
    """Green-Kubo conductivity of a flux series.

    Parameters
    ----------
    series
        Extensive fluxes with their time step, temperature and volume.
    slowest_ps
        Slowest time with which a part of the flux decays, as exp(-t / slowest), ps. Of a phonon with the linewidth
        gamma (HWHM, angular) it is 1 / (2 gamma). None assumes only that it is shorter than an eleventh of the run.
    cutoff_thz
        Cepstral cutoff f*, THz; None chooses it from the data (:func:`ldmd.green_kubo.cutoff.choose_cutoff`).
    factors
        Multipliers of Akaike's number of cepstral coefficients; errors and scan are shown for each.
    scan_cutoffs_thz
        Cutoffs of the scan; None takes a geometric range around the cutoff.
    longest_time
        Of the running integral, ps; None takes a tenth of the run.

    Raises
    ------
    InputError
        If the series is too short, its mean was removed, or its currents are dependent; see the parts.
    """
    if not factors:
        raise InputError("factors", "empty", "give at least one")
    if slowest_ps is not None and not 0.0 < slowest_ps < math.inf:
        raise InputError("slowest_ps", slowest_ps, "give a positive time in ps, or leave it out")
    whole = power_spectrum(series)
    alone = zero_frequency(whole)
    smooth = alone if slowest_ps is None else zero_frequency(whole, slowest_ps)
    headline = smooth if smooth.slow_enough else alone
    scale = 0.5 * conductivity_scale(series.temperature, series.volume)
    axes, axes_error = _axes(series, None if headline is alone else slowest_ps, scale)
    running = running_integral(series, longest_time, slowest_ps if headline.slowest == slowest_ps else None)
    raw_frequencies, raw_density = display_spectrum(series)
    value, error = scale * headline.value, scale * headline.value * headline.relative_error
    agreement = (value - running.estimate.value) / math.hypot(error, running.estimate.standard_error)
    checks = (
        *smooth.checks(series.duration, slowest_ps),
        *_axes_check(axes, axes_error),
        *stationarity_checks(series, slowest_ps if headline.slowest == slowest_ps else None),
        sampling_check(series),
        _agreement_check(agreement),
    )
    return GreenKuboResult(
        conductivity=Estimate(value, error, "W/(m K)", headline.relative_error**-2, checks),
        interval_95=_scaled(headline.interval_95, scale),
        slowest=headline.slowest,
        slowest_given=headline.slowest == slowest_ps,
        corner=headline.corner,
        run_alone=Estimate(scale * alone.value, scale * alone.value * alone.relative_error, "W/(m K)"),
        run_alone_interval_95=_scaled(alone.interval_95, scale),
        running=running.estimate,
        agreement_sigma=agreement,
        temperature=series.temperature,
        volume=series.volume,
        duration=series.duration,
        timestep=series.timestep,
        replicas=series.replicas,
        currents=series.currents,
        degrees_of_freedom=whole.degrees_of_freedom,
        plateau_start=running.plateau_start,
        raw_frequencies=raw_frequencies,
        raw_density=raw_density,
        smooth_frequencies=headline.frequencies,
        smooth_density=headline.density,
        smooth_fit=headline.fit,
        axis_kappa=axes,
        axis_kappa_error=axes_error,
        time=running.times,
        running_kappa=running.conductivity,
        running_kappa_error=running.standard_error,
        correlation=running.correlation,
        **_cepstral_part(series, cutoff_thz, factors, scan_cutoffs_thz),
    )


def _cepstral_part(
    series: FluxSeries,
    cutoff_thz: float | None,
    factors: Sequence[float],
    scan_cutoffs_thz: Sequence[float] | None,
) -> dict[str, Any]:
    """What cepstral analysis says of the flux, as fields of ``GreenKuboResult``; the headline does not rest on it."""
    choice = choose_cutoff(series)
    spectrum = power_spectrum(series, choice.cutoff if cutoff_thz is None else cutoff_thz)
    estimates = [cepstral_conductivity(spectrum, series.temperature, series.volume, f) for f in factors]
    if scan_cutoffs_thz is None:
        scan_cutoffs_thz = default_cutoffs(series, spectrum.cutoff).tolist()
    scans = [scan_cutoff(series, scan_cutoffs_thz, factor) for factor in factors]
    main = estimates[-1]
    curve = min(len(main.cumulative), max(40, 2 * max(e.number_of_coefficients for e in estimates)))
    return {
        "cepstral": _cepstral(main, (*main.checks, choice.check, scans[-1].check(spectrum.cutoff))),
        "skip": spectrum.skip,
        "cutoff": spectrum.cutoff,
        "cutoff_automatic": cutoff_thz is None,
        "half_width": choice.half_width,
        "aic_minimum": main.aic_minimum,
        "frequencies": spectrum.frequencies,
        "density": spectrum.density,
        "factors": np.array(factors, dtype=float),
        "fit": np.array([estimate.fit for estimate in estimates]),
        "kappa": np.array([estimate.value for estimate in estimates]),
        "kappa_error": np.array([estimate.standard_error for estimate in estimates]),
        "kappa_interval_95": np.array([estimate.interval_95 for estimate in estimates]),
        "coefficients_kept": np.array([estimate.number_of_coefficients for estimate in estimates]),
        "coefficient_count": np.arange(1, curve + 1),
        "coefficient_kappa": main.cumulative[:curve],
        "coefficient_kappa_error": main.cumulative_error[:curve],
        "scan_cutoffs": scans[0].cutoffs,
        "scan_kappa": np.array([scan.conductivity for scan in scans]),
        "scan_kappa_error": np.array([scan.standard_error for scan in scans]),
    }


def _scaled(interval: tuple[float, float], scale: float) -> tuple[float, float]:
    return scale * interval[0], scale * interval[1]


def _cepstral(main: CepstralEstimate, checks: tuple[Check, ...]) -> Estimate:
    """The cepstral value with everything that was asked of it; none of it decides about the headline."""
    effective = (main.value / main.standard_error) ** 2
    return Estimate(main.value, main.standard_error, "W/(m K)", effective, checks)


def _axes(series: FluxSeries, slowest: float | None, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Conductivity of each axis and its error, (axis,); NaN if the reduction lacks replicas."""
    values = np.full(series.axes, math.nan)
    errors = values.copy()
    if series.replicas >= series.currents:
        for axis in range(series.axes):
            found = zero_frequency(power_spectrum(series.axis(axis)), slowest)
            values[axis], errors[axis] = scale * found.value, scale * found.value * found.relative_error
    return values, errors


def _axes_check(values: np.ndarray, errors: np.ndarray) -> tuple[Check, ...]:
    """Chi-square test that ln kappa is the same along all axes; none with one axis or without values."""
    if len(values) < 2 or np.isnan(values).any():
        return ()
    weights = (values / errors) ** 2
    logs = np.log(values)
    scatter = float((weights * (logs - np.average(logs, weights=weights)) ** 2).sum())
    return (
        Check(
            "axes equivalent",
            float(stats.chi2.sf(scatter, len(values) - 1)),
            ">=",
            AXES_PROBABILITY,
            "1",
            "The axes differ by more than their errors: read them one by one instead of their average.",
        ),
    )


def _agreement_check(agreement: float) -> Check:
    """Both routes read the same data, so they should differ by less than independent estimates would."""
    return Check(
        "agrees with the running integral",
        abs(agreement),
        "<=",
        AGREEMENT_THRESHOLD,
        "standard errors",
        "Compare the plateau of the running integral with the smooth spectrum: one of them misses slow modes.",
    )
