"""One call from a flux series to everything that a report shows of its Green-Kubo conductivity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from ldmd.errors import InputError
from ldmd.green_kubo.cepstral import cepstral_conductivity
from ldmd.green_kubo.cutoff import axis_conductivities, choose_cutoff, default_cutoffs, scan_cutoff
from ldmd.green_kubo.running_integral import running_integral
from ldmd.green_kubo.series import FluxSeries
from ldmd.green_kubo.spectrum import display_spectrum, power_spectrum
from ldmd.results import Check, Estimate, quantity

AXES_PROBABILITY = 1e-3
"""Probability of a scatter of the axes as large as seen, below which they are not equivalent."""

AGREEMENT_THRESHOLD = 2.0
"""Largest difference of the cepstral value and the running integral, in combined standard errors."""


@dataclasses.dataclass(frozen=True)
class GreenKuboResult:
    """The Green-Kubo conductivity of one system, by every route and with all that shows how far to trust it.

    The headline is the cepstral value with the last of ``factors``. Frequencies are ordinary (THz); densities
    are two-sided; spectra, fits and the scan belong to the energy flux net of the other currents if there are
    any (``raw_density`` is the energy flux as it is).
    """

    conductivity: Estimate  # W/(m K), the headline
    interval_95: tuple[float, float]  # W/(m K), of the headline, log-normal
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
    half_width: float  # THz, of the structure at zero frequency; inf if there is none
    plateau_start: float  # ps
    aic_minimum: int
    raw_frequencies: np.ndarray = quantity(("raw_frequency",), "THz", "frequency, full range, averaged for display")
    raw_density: np.ndarray = quantity(
        ("raw_frequency",), "(eV Angstrom/ps)^2 ps", "periodogram at full resolution, averaged for display"
    )
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
    axis_kappa: np.ndarray = quantity(("factor", "axis"), "W/(m K)", "each axis alone; NaN if replicas are too few")
    axis_kappa_error: np.ndarray = quantity(("factor", "axis"), "W/(m K)", "its standard error")
    time: np.ndarray = quantity(("time",), "ps", "upper limit of the running integral")
    running_kappa: np.ndarray = quantity(("time",), "W/(m K)", "running integral of the autocorrelation")
    running_kappa_error: np.ndarray = quantity(("time",), "W/(m K)", "its standard error from blocks")
    correlation: np.ndarray = quantity(("time",), "1", "normalised autocorrelation of the energy flux")


def green_kubo(
    series: FluxSeries,
    *,
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
    cutoff_thz
        Cutoff f*, THz; None chooses it from the data (:func:`ldmd.green_kubo.cutoff.choose_cutoff`).
    factors
        Multipliers of Akaike's number of coefficients; the last one is the headline.
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
    choice = choose_cutoff(series)
    cutoff = choice.cutoff if cutoff_thz is None else cutoff_thz
    spectrum = power_spectrum(series, cutoff)
    estimates = [cepstral_conductivity(spectrum, series.temperature, series.volume, f) for f in factors]
    if scan_cutoffs_thz is None:
        scan_cutoffs_thz = default_cutoffs(series, spectrum.cutoff).tolist()
    scans = [scan_cutoff(series, scan_cutoffs_thz, factor) for factor in factors]
    axes, axes_error = _axes(series, cutoff, factors)
    running = running_integral(series, longest_time)
    raw_frequencies, raw_density = display_spectrum(series)
    main = estimates[-1]
    spread = math.hypot(main.standard_error, running.estimate.standard_error)
    agreement = (main.value - running.estimate.value) / spread
    checks = (
        *main.checks,
        choice.check,
        scans[-1].check(spectrum.cutoff),
        *_axes_check(axes[-1], axes_error[-1]),
        _agreement_check(agreement),
    )
    effective = (main.value / main.standard_error) ** 2
    headline = Estimate(main.value, main.standard_error, "W/(m K)", effective, checks)
    curve = min(len(main.cumulative), max(40, 2 * max(e.number_of_coefficients for e in estimates)))
    return GreenKuboResult(
        conductivity=headline,
        interval_95=main.interval_95,
        running=running.estimate,
        agreement_sigma=agreement,
        temperature=series.temperature,
        volume=series.volume,
        duration=series.duration,
        timestep=series.timestep,
        replicas=series.replicas,
        currents=series.currents,
        degrees_of_freedom=spectrum.degrees_of_freedom,
        skip=spectrum.skip,
        cutoff=spectrum.cutoff,
        cutoff_automatic=cutoff_thz is None,
        half_width=choice.half_width,
        plateau_start=running.plateau_start,
        aic_minimum=main.aic_minimum,
        raw_frequencies=raw_frequencies,
        raw_density=raw_density,
        frequencies=spectrum.frequencies,
        density=spectrum.density,
        factors=np.array(factors, dtype=float),
        fit=np.array([estimate.fit for estimate in estimates]),
        kappa=np.array([estimate.value for estimate in estimates]),
        kappa_error=np.array([estimate.standard_error for estimate in estimates]),
        kappa_interval_95=np.array([estimate.interval_95 for estimate in estimates]),
        coefficients_kept=np.array([estimate.number_of_coefficients for estimate in estimates]),
        coefficient_count=np.arange(1, curve + 1),
        coefficient_kappa=main.cumulative[:curve],
        coefficient_kappa_error=main.cumulative_error[:curve],
        scan_cutoffs=scans[0].cutoffs,
        scan_kappa=np.array([scan.conductivity for scan in scans]),
        scan_kappa_error=np.array([scan.standard_error for scan in scans]),
        axis_kappa=axes,
        axis_kappa_error=axes_error,
        time=running.times,
        running_kappa=running.conductivity,
        running_kappa_error=running.standard_error,
        correlation=running.correlation,
    )


def _axes(series: FluxSeries, cutoff: float, factors: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Conductivity of each axis and its error, (factor, axis); NaN if the reduction lacks replicas."""
    values = np.full((len(factors), series.axes), math.nan)
    errors = values.copy()
    if series.replicas >= series.currents:
        for row, factor in enumerate(factors):
            estimates = axis_conductivities(series, cutoff, factor)
            values[row] = [estimate.value for estimate in estimates]
            errors[row] = [estimate.standard_error for estimate in estimates]
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
        "cepstral value agrees with the running integral",
        abs(agreement),
        "<=",
        AGREEMENT_THRESHOLD,
        "standard errors",
        "Compare the plateau of the running integral with the scan of cutoffs: one misses slow modes.",
    )
