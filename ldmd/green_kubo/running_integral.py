"""Conductivity as the running integral of the flux autocorrelation, with errors from blocks.

kappa(t) = 1/(V kB T^2) integral_0^t <J(t') J(0)> dt' per Cartesian component (M. S. Green, J. Chem. Phys. 22,
398 (1954); R. Kubo, J. Phys. Soc. Jpn. 12, 570 (1957)). Of several currents the matrix of integrals
Lambda_ab(t) is reduced as kappa = Lambda_00 - Lambda_0j (Lambda_jj')^-1 Lambda_j'0. No mean is subtracted:
that would bias the correlation by -S(0)/T at all times; a flux with a true mean shows as a straight line and
as a failed check.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import fft, integrate, stats

from ldmd.errors import InputError
from ldmd.green_kubo.cepstral import MEAN_PROBABILITY
from ldmd.green_kubo.series import FluxSeries
from ldmd.green_kubo.spectrum import conductivity_scale
from ldmd.results import Check, Estimate, quantity

LONGEST_SHARE = 0.1
"""Longest correlation time as a share of the run."""

BLOCKS_IN_TIME = 5
"""Blocks of a fifth of the run: twice the longest correlation time."""

FEWEST_SAMPLES = 8
"""With fewer blocks times components an error from their scatter is itself uncertain by over a quarter."""

PLATEAU_SPAN = 4.0
"""A plateau must hold from its start to this many times its start."""

SETTLED = 3.0
"""A plateau starts no earlier than this many times the slowest time: exp(-3) = 5 % of the slowest part is missing."""

PLATEAU_THRESHOLD = 2.5
"""Largest deviation within a plateau, in standard errors of the difference. On Gaussian processes with the
spectra of liquids and glasses of known slowest time (100 ps x 3 components, 400 ps x 6) a plateau is then found in at
least 95 % of the runs, its value is at most 2 % low, and one (two) standard errors hold the truth in 58-72 % (90-95 %)
of them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningIntegral:
    """kappa(t) on a thinned grid of times, and the value read from its plateau.

    ``standard_error`` is the jackknife over ``samples`` blocks (pieces of a fifth of the run, times
    components). The pieces hold fewer pairs at long times than the whole does, so it is somewhat too large
    there.
    """

    times: np.ndarray = quantity(("time",), "ps", "upper limit of the integral")
    conductivity: np.ndarray = quantity(("time",), "W/(m K)", "running integral")
    standard_error: np.ndarray = quantity(("time",), "W/(m K)", "standard error from blocks")
    correlation: np.ndarray = quantity(("time",), "1", "autocorrelation of the energy flux over its mean square")
    samples: int
    plateau_start: float  # ps
    estimate: Estimate  # W/(m K)


def autocorrelation(flux: np.ndarray, lags: int) -> np.ndarray:
    """Unbiased correlation C_ab(k) = sum_n J_a(n) J_b(n+k) / (N - k), mean over components and a <-> b.

    Parameters
    ----------
    flux
        (steps, currents, components).
    lags
        Number of lags k = 0..lags - 1, at most the number of steps.

    Returns
    -------
    Array (currents, currents, lags) in the square of the flux unit.
    """
    steps, currents, components = flux.shape
    if not 0 < lags <= steps:
        raise InputError("lags", lags, f"choose between 1 and the number of steps, {steps}")
    padded = fft.next_fast_len(steps + lags, real=True)
    transform = fft.rfft(flux, padded, axis=0)
    result = np.empty((currents, currents, lags))
    for a in range(currents):
        for b in range(a + 1):
            # The real part of the cross spectrum is that of the correlation symmetrised in time.
            cross = (transform[:, a].conj() * transform[:, b]).real.sum(axis=1)
            result[a, b] = result[b, a] = fft.irfft(cross, padded)[:lags]
    return np.asarray(result / (components * np.arange(steps, steps - lags, -1)))


def running_integral(
    series: FluxSeries, longest_time: float | None = None, slowest: float | None = None, points: int = 800
) -> RunningIntegral:
    """Running integral of the flux autocorrelation, its error, and its plateau.

    Parameters
    ----------
    series
        The flux.
    longest_time
        Longest correlation time, ps; a tenth of the run if None, at most a fifth.
    slowest
        Slowest time with which a part of the flux decays, ps; None if it is not known.
    points
        Number of times kept, geometric, so that the first vibrations stay resolved.

    The plateau is read from window means m(t) = mean of kappa over [t, 2t], which average the vibrational
    ripple. It starts at the smallest t, at least three times the slowest time, for which every m(t') with
    t < t' <= 4t agrees with m(t) within 2.5 standard errors of the difference (jackknife, so correlations count);
    its value is the mean of these m(t') on a geometric grid, its error the jackknife of that mean. If there is none,
    the t with the smallest deviation is taken and the check fails.

    An integral may look level long before a slow part of small weight has added its share, and no test of its level
    tells. So where the slowest time is not known, or is too long for a plateau after it, the latest window means are
    taken, t from a fortieth to a twentieth of the run, with their large error.

    Raises
    ------
    InputError
        If the longest time is not between 16 steps and a fifth of the run.
    """
    wanted = LONGEST_SHARE * series.duration if longest_time is None else longest_time
    lags = round(wanted / series.timestep) + 1
    if not 16 < lags <= series.steps // BLOCKS_IN_TIME:
        fix = f"choose between {16 * series.timestep:.4g} and {series.duration / BLOCKS_IN_TIME:.4g} ps"
        raise InputError("longest_time", f"{wanted:.4g} ps", fix)
    grid = np.unique(np.concatenate([[0], np.geomspace(1, lags - 1, points).round().astype(int)]))
    starts = np.unique(np.geomspace(2, (lags - 1) // 2, 8 * max(1, int(math.log2(lags)))).astype(int))
    correlation = autocorrelation(series.flux, lags)
    scale = conductivity_scale(series.temperature, series.volume)
    if not correlation[0, 0, 0] > 0.0:
        raise InputError("flux", "zero at all times", "record a fluctuating flux")
    curve, windows = _curves(correlation[None], series.timestep, grid, starts, scale)
    length = series.steps // BLOCKS_IN_TIME
    pieces = [
        autocorrelation(series.flux[b * length : (b + 1) * length, :, c : c + 1], lags)
        for b in range(BLOCKS_IN_TIME)
        for c in range(series.components)
    ]
    curves, window_samples = _left_out(pieces, series.timestep, grid, starts, scale)
    earliest = math.inf if slowest is None else SETTLED * slowest / series.timestep
    plateau, deviation = _plateau(windows[0], window_samples, starts, earliest)
    value = float(windows[0, plateau].mean())
    error = float(_jackknife(window_samples[:, plateau].mean(axis=1)))
    checks = _checks(series, value, scale, deviation, len(pieces))
    if slowest is not None:
        checks = (*checks, _long_enough(float(starts[-1]), earliest))
    return RunningIntegral(
        times=grid * series.timestep,
        conductivity=curve[0],
        standard_error=_jackknife(curves),
        correlation=correlation[0, 0, grid] / correlation[0, 0, 0],
        samples=len(pieces),
        plateau_start=float(starts[plateau][0] * series.timestep),
        estimate=Estimate(value, error, "W/(m K)", float(len(pieces)), checks),
    )


def _curves(
    correlation: np.ndarray, timestep: float, grid: np.ndarray, starts: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Running integral at the lags ``grid``, and its mean over [t, 2t] at the lags ``starts``."""
    integral, windows = _integrals(correlation, timestep, grid, starts)
    return _reduce(integral) * scale, _reduce(windows) * scale


def _integrals(
    correlation: np.ndarray, timestep: float, grid: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Trapezoidal integral and window means of every pair of currents, before the reduction."""
    integral = integrate.cumulative_trapezoid(correlation, dx=timestep, initial=0.0)
    twice = integrate.cumulative_trapezoid(integral, dx=timestep, initial=0.0)
    return integral[..., grid], (twice[..., 2 * starts] - twice[..., starts]) / (starts * timestep)


def _left_out(
    pieces: list[np.ndarray], timestep: float, grid: np.ndarray, starts: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The curves and window means of all pieces but one, for each one: (piece, ...)."""
    thinned = [_integrals(piece, timestep, grid, starts) for piece in pieces]
    reduced = []
    for values in (
        np.array([integral for integral, _ in thinned]),
        np.array([window for _, window in thinned]),
    ):
        others = (values.sum(axis=0) - values) / (len(values) - 1)
        reduced.append(_reduce(others) * scale)
    return reduced[0], reduced[1]


def _reduce(transport: np.ndarray) -> np.ndarray:
    """Schur complement of (..., currents, currents, times) on current 0; zero where all entries are."""
    total = transport[..., 0, 0, :]
    if transport.shape[-2] == 1:
        return total
    matrices = np.moveaxis(transport, -1, -3)
    nonzero = np.any(matrices != 0.0, axis=(-1, -2), keepdims=True)
    rest = np.where(nonzero, matrices[..., 1:, 1:], np.eye(matrices.shape[-1] - 1))
    column = matrices[..., 1:, :1]
    return np.asarray(total - (column.swapaxes(-1, -2) @ np.linalg.solve(rest, column))[..., 0, 0])


def _jackknife(left_out: np.ndarray) -> np.ndarray:
    """Standard error from leave-one-out values along the first axis (of a mean: the usual one)."""
    count = len(left_out)
    return np.asarray(math.sqrt((count - 1.0) / count) * np.sqrt(((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)))


def _plateau(windows: np.ndarray, samples: np.ndarray, starts: np.ndarray, earliest: float) -> tuple[np.ndarray, float]:
    """Which windows make up the plateau (a mask), and the largest deviation among them in standard errors.

    ``earliest`` is the first step at which a plateau may start.
    """
    possible = np.flatnonzero((starts >= earliest) & (starts * PLATEAU_SPAN <= starts[-1]))
    if not len(possible):
        inside = 2 * starts >= starts[-1]
        return inside, _deviation(windows, samples, inside)
    best, smallest = np.zeros(len(starts), dtype=bool), math.inf
    for index in possible:
        inside = (starts >= starts[index]) & (starts <= PLATEAU_SPAN * starts[index])
        deviation = _deviation(windows, samples, inside)
        if deviation < smallest:
            best, smallest = inside, deviation
        if deviation <= PLATEAU_THRESHOLD:
            return inside, deviation
    return best, smallest


def _deviation(windows: np.ndarray, samples: np.ndarray, inside: np.ndarray) -> float:
    """Largest difference of a window mean to the first one of a range, in standard errors of the difference."""
    first, *later = np.flatnonzero(inside)
    errors = _jackknife(samples[:, later] - samples[:, first, None])
    return float(np.max(np.abs(windows[later] - windows[first]) / errors, initial=0.0))


def _long_enough(latest: float, earliest: float) -> Check:
    """Whether the integral reaches times at which the slowest part has decayed."""
    return Check(
        "running integral reaches beyond three times the slowest time",
        latest / earliest,
        ">=",
        1.0,
        "1",
        "The integral ends before the slowest part of the flux has decayed: lengthen the run.",
    )


def _checks(series: FluxSeries, value: float, scale: float, deviation: float, samples: int) -> tuple[Check, ...]:
    """Is there a plateau, are there blocks enough, is the mean flux what equilibrium allows?"""
    mean_square = float((series.flux[:, 0, :].mean(axis=0) ** 2).sum())
    density = 2.0 * max(value, 0.0) / scale
    probability = float(stats.chi2.sf(series.duration * mean_square / density, series.components)) if density else 0.0
    return (
        Check(
            "running integral has a plateau",
            deviation,
            "<=",
            PLATEAU_THRESHOLD,
            "standard errors",
            "The integral never stays level over a factor of four in time: lengthen the run.",
        ),
        Check(
            "blocks for the running integral",
            float(samples),
            ">=",
            float(FEWEST_SAMPLES),
            "blocks",
            "Add replicas: the error of the running integral rests on too few blocks.",
        ),
        Check(
            "running integral free of a mean flux",
            probability,
            ">=",
            MEAN_PROBABILITY,
            "1",
            "A mean flux adds a straight line to the integral: remove the total momentum at the start.",
        ),
    )
