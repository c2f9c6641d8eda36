"""Where to cut the spectrum off before the cepstral analysis, and how much the answer depends on it.

The cutoff f* keeps the cepstrum short: below it the log spectrum should hold the structure at zero frequency
and little else. Too high, and the vibrational peaks use up the coefficients that Akaike's criterion grants,
so that narrow structure at zero frequency is smoothed away; too low, and few bins are left to average.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ldmd.green_kubo.cepstral import CepstralEstimate, cepstral_conductivity
from ldmd.green_kubo.series import FEWEST_STEPS, FluxSeries
from ldmd.green_kubo.spectrum import power_spectrum, skip_for_cutoff
from ldmd.results import Check, quantity

HALF_WIDTHS = 8.0
"""Automatic cutoff in units of the half-width of the structure at zero frequency. Chosen on Gaussian
processes of known spectrum (a liquid, a glass with a central peak, one with a central dip; 100 ps x 3
components, 1200 runs each): with 8 half-widths and factor 2 the bias is below 1 % and the 95 % interval holds
the truth in 94.5, 96.2 and 95.0 % of the runs; with factor 1 the value is 2.5-4.5 % low and the interval
holds it in 83, 83 and 92 %. From 5 to 12 half-widths the results are alike."""

BAND_SHARE = 0.95
"""The automatic cutoff stays below the frequency under which this share of the mean square lies: the empty
range above the vibrations spans decades of the log spectrum and would cost most of the coefficients."""

BLOCK_FREEDOM = 60
"""Bins are averaged until this many degrees of freedom (components times bins): 13 % noise."""

FLATNESS_THRESHOLD = 1.5
"""Largest deviation of kappa(f*), in combined log errors, over a factor of four in f*."""


@dataclasses.dataclass(frozen=True)
class CutoffChoice:
    """The automatic cutoff and what it rests on; frequencies in THz (ordinary)."""

    cutoff: float
    half_width: float  # where the spectrum first differs from S(0) by a factor of two; inf if nowhere
    resolution: float  # width of the blocks of bins by which that was seen
    band_edge: float  # 95 % of the mean square lies below

    @property
    def check(self) -> Check:
        """Whether the structure at zero frequency is wider than what the length of the run can resolve."""
        return Check(
            "zero-frequency width over resolution",
            min(self.half_width, self.band_edge) / self.resolution,
            ">=",
            2.0,
            "1",
            "The structure at zero frequency is as narrow as the resolution: lengthen the run, add replicas.",
        )


def choose_cutoff(series: FluxSeries, half_widths: float = HALF_WIDTHS) -> CutoffChoice:
    """Cutoff from the data: ``half_widths`` times the half-width at zero frequency, at most the band edge.

    The periodogram is averaged over blocks of neighbouring bins (60 degrees of freedom at least, growing to a
    quarter of their frequency). The half-width is the centre of the first of two consecutive blocks that both
    differ from the lowest block by more than a factor of two in either direction: a central peak falls, the
    spectrum of a glass without one rises towards the vibrations.
    """
    spectrum = power_spectrum(series)
    density, spacing = spectrum.density, 1.0 / (spectrum.series_length * spectrum.timestep)
    shortest = max(4, math.ceil(BLOCK_FREEDOM / spectrum.degrees_of_freedom))
    edges = [0, min(shortest, len(density))]
    while (end := edges[-1] + max(shortest, edges[-1] // 4)) <= len(density):
        edges.append(end)
    blocks = np.add.reduceat(density[: edges[-1]], edges[:-1]) / np.diff(edges)
    centres = 0.5 * (np.array(edges[:-1]) + np.array(edges[1:]) - 1) * spacing
    departed = np.abs(np.log(blocks / blocks[0])) > math.log(2.0)
    departed[:-1] &= departed[1:]
    half_width = float(centres[np.argmax(departed)]) if departed.any() else math.inf
    share = np.cumsum(density) / density.sum()
    band_edge = float(spectrum.frequencies[np.searchsorted(share, BAND_SHARE)])
    lowest = FEWEST_STEPS / series.duration
    cutoff = max(min(half_widths * half_width, band_edge), lowest)
    return CutoffChoice(min(cutoff, series.nyquist), half_width, edges[1] * spacing, band_edge)


@dataclasses.dataclass(frozen=True)
class CutoffScan:
    """Conductivity against the cutoff; the cutoffs are the actual ones (Nyquist over an integer)."""

    factor: float
    cutoffs: np.ndarray = quantity(("cutoff",), "THz", "cutoff f*")
    conductivity: np.ndarray = quantity(("cutoff",), "W/(m K)", "cepstral conductivity")
    standard_error: np.ndarray = quantity(("cutoff",), "W/(m K)", "its standard error")
    coefficients: np.ndarray = quantity(("cutoff",), "1", "number of cepstral coefficients kept")

    def deviation(self, cutoff: float, span: float = 4.0) -> float:
        """How far kappa(f*) strays from its value at ``cutoff``, over a factor ``span`` around it.

        The largest |ln kappa(f) - ln kappa(f*)| / sqrt(sigma(f)^2 + sigma(f*)^2) for f*/sqrt(span) <= f <= f*
        sqrt(span), sigma being errors of ln kappa. All points share one data set, so on a flat curve this is
        far smaller than the maximum of as many independent normal deviates would be.
        """
        near = int(np.argmin(np.abs(np.log(self.cutoffs / cutoff))))
        width = 1.001 * math.sqrt(span)
        inside = (self.cutoffs <= cutoff * width) & (self.cutoffs >= cutoff / width)
        relative = self.standard_error / self.conductivity
        distance = np.abs(np.log(self.conductivity / self.conductivity[near]))
        return float(np.max((distance / np.hypot(relative, relative[near]))[inside], initial=0.0))

    def check(self, cutoff: float) -> Check:
        """Whether kappa(f*) is flat within errors over a factor of four around ``cutoff``."""
        return Check(
            "conductivity flat against the cutoff",
            self.deviation(cutoff),
            "<=",
            FLATNESS_THRESHOLD,
            "standard errors",
            "Look at the scan: if it rises towards low cutoffs a narrow central peak is being missed.",
        )


def default_cutoffs(series: FluxSeries, cutoff: float, points: int = 24) -> np.ndarray:
    """Cutoffs for a scan, THz: geometric from an eighth of ``cutoff`` to 2.5 times it, 50 THz at least."""
    lowest = max(cutoff / 8.0, FEWEST_STEPS / series.duration)
    highest = min(max(2.5 * cutoff, 50.0), series.nyquist)
    around = [f for f in (cutoff / 2.0, cutoff, 2.0 * cutoff) if lowest <= f <= highest]
    return np.sort(np.concatenate([np.geomspace(lowest, max(lowest, highest), points), around]))


def scan_cutoff(series: FluxSeries, cutoffs: Sequence[float] | np.ndarray, factor: float) -> CutoffScan:
    """Cepstral conductivity at several cutoffs (THz); those that come to the same integer are taken once.

    Raises
    ------
    InputError
        As :func:`ldmd.green_kubo.spectrum.power_spectrum` does.
    """
    skips = sorted({skip_for_cutoff(series.timestep, float(cutoff)) for cutoff in cutoffs}, reverse=True)
    actual = [series.nyquist / skip for skip in skips]
    estimates = [conductivity_at(series, cutoff, factor) for cutoff in actual]
    return CutoffScan(
        factor=factor,
        cutoffs=np.array(actual),
        conductivity=np.array([estimate.value for estimate in estimates]),
        standard_error=np.array([estimate.standard_error for estimate in estimates]),
        coefficients=np.array([estimate.number_of_coefficients for estimate in estimates]),
    )


def conductivity_at(series: FluxSeries, cutoff: float, factor: float) -> CepstralEstimate:
    """Cepstral conductivity of a series at one cutoff (THz)."""
    return cepstral_conductivity(power_spectrum(series, cutoff), series.temperature, series.volume, factor)
