"""The value of a spectrum at zero frequency, with an error that says which times it resolves.

A part of the flux that decays with a time tau has a spectrum that falls over frequencies near 1/(2 pi tau). What is
slower than a share of the run lies below its lowest bins and cannot be seen; what is faster is seen, and only if the
estimate does not smooth it away. So an estimate needs the slowest time that it is to resolve, and its error depends
on it: about nu T / tau degrees of freedom lie below that corner (nu equivalent components of length T).

ln S is a smooth even function g of x = asinh(f / f_c): linear in f below the corner f_c, logarithmic above, so that a
Lorentzian of any width above f_c has a curvature g'' of order one or less. The bins of the periodogram are independent
and exponential about S (chi-square for nu components), which gives Whittle's likelihood

    ln L = - sum_k nu (g_k + I_k exp(-g_k)),

and the smoothness has the prior exp(- lambda/2 integral g''^2 dx). The posterior of g(0) is taken in Laplace's
approximation for each lambda, and averaged over lambda with the marginal likelihood. Far above the corner, where
vibrations have lines as sharp as they like, the prior gives way, so that they do not decide how smooth S is near zero.

The bin at zero frequency is left out: it holds the mean of the flux, which has its own check.

Sources: P. Whittle, J. R. Stat. Soc. B 15, 125 (1953); for penalised Whittle likelihoods Y. Pawitan and F. O'Sullivan,
J. Am. Stat. Assoc. 89, 600 (1994).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import special, stats
from scipy.interpolate import BSpline

from ldmd.green_kubo.spectrum import Spectrum
from ldmd.results import Check

CORNER_SHARE = 0.7
"""Corner frequency times 2 pi tau, tau the slowest time. With 1 the value is up to 10 % low where half of S(0) is of
that time; with 0.7 up to 7 %, and the 95 % interval holds the truth in 94 to 99 % of runs over glasses, crystals,
relaxations and oscillators (500 ps x 6)."""

LOWEST_CORNER = 1.25
"""Corner in bins (1 / length of the run) where no slowest time is known: the lowest on which the bins still bear. With
6 bins the interval is half as wide, but it holds the truth in one run of five where half of S(0) decays with a time of
a twelfth of the run."""

RUN_OVER_SLOWEST = 2.0 * math.pi * LOWEST_CORNER / CORNER_SHARE
"""Length of a run over the slowest time that it resolves: 11."""

RANGE_IN_CORNERS = 20.0
FEWEST_BINS = 240
"""Bins up to 20 corners are used, and at least 240: what lies above tells of vibrations."""

MERGED = 0.05
"""Neighbouring bins are averaged over this share of their number: S is smooth on that scale."""

SMOOTHNESS = np.exp(np.linspace(-1.5, 2.0, 6))
"""Values of lambda, equally likely beforehand: they make curvatures of order one plausible. Larger ones would take a
spectrum for flat because nothing else is seen in it, and that is the assumption that this estimate does not make."""

UNIFORM_TO = 3.0
"""Up to this x the prior is uniform; from there lambda falls as exp(-2 x)."""

KNOT_DISTANCE = 0.25
"""In x."""

Z_95 = 1.959964
RESOLVED_BINS = 4
"""Structure at zero frequency is resolved if S falls by less than a factor of two over this many bins."""

ERROR_EXPONENT = 3.0 / 8.0
"""The error falls with this power of the length and the number of replicas, for a given slowest time. That is slower
than for a mean, because with more data finer structure is allowed for (C. J. Stone, Ann. Stat. 10, 1040 (1982))."""

LONGER = (4.0, 16.0, 64.0)
"""A slowest time is held against times so many times longer, as far as the run resolves them."""

EXCESS = 1.75
"""Largest excess of ln S(0) with a longer time, in standard errors of the difference. Where the time given is right
about one run of a hundred exceeds it (500 ps x 6; the errors are on the safe side); where half of S(0) decays ten times
more slowly, nine of ten do; where a third does, one of three."""


@dataclasses.dataclass(frozen=True)
class ZeroFrequency:
    """S(0) with its error, and the smooth spectrum that it was read from.

    ``value`` is the posterior median of S(0); ``relative_error`` the standard deviation of ln S(0); ``interval_95``
    its central 95 % interval, all densities in the unit of the spectrum.
    """

    value: float
    relative_error: float
    interval_95: tuple[float, float]
    corner: float  # THz, f_c
    slowest: float  # ps, the slowest time that is resolved under the assumption made: CORNER_SHARE/(2 pi f_c)
    frequencies: np.ndarray  # (bin,) THz, centres of the merged bins
    density: np.ndarray  # (bin,) merged periodogram
    fit: np.ndarray  # (bin,) smooth spectrum
    fall: float  # ln S(0) - ln S(four bins)
    excess: float = 0.0  # of ln S(0) with longer times, in standard errors of the difference

    @property
    def slow_enough(self) -> bool:
        """Whether longer times than the slowest one leave S(0) where it is."""
        return self.excess <= EXCESS

    def checks(self, duration: float, slowest: float | None) -> tuple[Check, ...]:
        """Whether a run (ps) resolves what lies at zero frequency, and whether longer times change the result.

        ``slowest`` is the time that was asked for, ps, or None.
        """
        long_enough = (
            Check(
                "length of the run over the slowest time",
                duration / slowest,
                ">=",
                RUN_OVER_SLOWEST,
                "1",
                f"A time of {slowest:.3g} ps asks for a run of {1.01 * RUN_OVER_SLOWEST * slowest:.3g} ps or longer.",
            )
            if slowest is not None
            else None
        )
        return (
            *((long_enough,) if long_enough is not None else ()),
            Check(
                f"fall of the spectrum over its {RESOLVED_BINS} lowest frequencies",
                math.exp(self.fall),
                "<=",
                2.0,
                "times",
                "The flux decays as slowly as the run is long: lengthen the run until its spectrum is level at the "
                "lowest frequencies.",
            ),
            Check(
                "result unchanged by a longer slowest time",
                self.excess,
                "<=",
                EXCESS,
                "standard errors",
                "The flux has a slower part than was assumed, so the result rests on the run alone: give a larger "
                "green_kubo.slowest_ps, or lengthen the run.",
            ),
        )


def zero_frequency(spectrum: Spectrum, slowest: float | None = None) -> ZeroFrequency:
    """S(0) of a spectrum at full resolution.

    Parameters
    ----------
    spectrum
        Two-sided density; :func:`ldmd.green_kubo.spectrum.power_spectrum` without a cutoff.
    slowest
        Slowest time with which a part of the flux decays, ps: exp(-t / slowest). None, or a time that the run does not
        resolve, assumes only that nothing decays more slowly than an eleventh of the run, and gives an error of about
        30 % for 6 components whatever the length of the run.
    """
    duration = spectrum.series_length * spectrum.timestep
    alone = duration / RUN_OVER_SLOWEST
    if slowest is None or slowest >= alone:
        return _at(spectrum, alone)
    found = _at(spectrum, slowest)
    longer = [_at(spectrum, time) for time in {min(factor * slowest, alone) for factor in LONGER}]
    return dataclasses.replace(found, excess=max(_excess(found, other) for other in longer))


def _excess(found: ZeroFrequency, other: ZeroFrequency) -> float:
    """By how much ln S(0) of another estimate of the same spectrum is larger, in standard errors of the difference.

    An estimate that smooths more is the more precise one where it is right, and the variance of the difference is then
    the difference of the variances (J. A. Hausman, Econometrica 46, 1251 (1978)). Zero where they are hardly different.
    """
    variance = other.relative_error**2 - found.relative_error**2
    if variance < 0.5 * found.relative_error**2:
        return 0.0
    return math.log(other.value / found.value) / math.sqrt(variance)


def _at(spectrum: Spectrum, slowest: float) -> ZeroFrequency:
    """S(0) with the corner of a slowest time (ps)."""
    spacing = 1.0 / (spectrum.series_length * spectrum.timestep)
    corner = CORNER_SHARE / (2.0 * math.pi * slowest * spacing)
    bins = min(len(spectrum.density) - 2, max(FEWEST_BINS, math.ceil(RANGE_IN_CORNERS * corner)))
    centres, counts, density = _merged(spectrum.density[1 : bins + 1])
    model = _Model(np.arcsinh(centres / corner), spectrum.degrees_of_freedom * counts, density)
    posterior = model.posterior(np.arcsinh(np.array([0.0, RESOLVED_BINS]) / corner))
    low, median, high = posterior.quantiles
    return ZeroFrequency(
        value=math.exp(median),
        relative_error=posterior.standard_deviation,
        interval_95=(math.exp(low), math.exp(high)),
        corner=corner * spacing,
        slowest=slowest,
        frequencies=centres * spacing,
        density=density,
        fit=np.exp(posterior.fit),
        fall=posterior.fall,
    )


def _merged(density: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (in bins, the first is 1), numbers and means of groups of neighbouring bins, growing geometrically."""
    edges = [1]
    while edges[-1] <= len(density):
        edges.append(edges[-1] + max(1, int(MERGED * edges[-1])))
    edges[-1] = len(density) + 1
    if len(edges) > 2 and edges[-1] == edges[-2]:
        edges.pop()
    starts = np.array(edges[:-1]) - 1
    counts = np.diff(edges)
    return 0.5 * (starts + 1 + starts + counts), counts, np.add.reduceat(density, starts) / counts


@dataclasses.dataclass(frozen=True)
class _Posterior:
    quantiles: tuple[float, float, float]  # 2.5, 50 and 97.5 % of g(0)
    standard_deviation: float  # of g(0)
    fall: float  # mean of g(0) - g(second point)
    fit: np.ndarray  # mean of g at the bins


@dataclasses.dataclass(frozen=True)
class _Model:
    """Smooth even g(x) with Whittle's likelihood of merged bins."""

    x: np.ndarray
    weight: np.ndarray  # degrees of freedom over two: nu times the number of bins
    density: np.ndarray

    def posterior(self, points: np.ndarray) -> _Posterior:
        """Averaged over lambda with its marginal likelihood; ``points`` starts with zero."""
        number = math.ceil(1.0001 * self.x[-1] / KNOT_DISTANCE)
        distance = 1.0001 * self.x[-1] / number
        basis, ends = _even_splines(self.x, number, distance), _even_splines(points, number, distance)
        roughness = _roughness(number, distance)
        penalty = roughness.T @ roughness
        means, errors, evidence, fits, falls = [], [], [], [], []
        start = None
        for smoothness in SMOOTHNESS[::-1]:
            start = self._mode(basis, smoothness * penalty, start)
            curvature = basis.T @ (self.weight[:, None] * basis) + smoothness * penalty
            factor = np.linalg.cholesky(curvature)
            at_zero = np.linalg.solve(factor, ends[0])
            log_likelihood = -float(self.weight @ self._misfit(basis @ start))
            # The constant is the only function that is not penalised, for a straight line is not even.
            rank = len(start) - 1
            evidence.append(
                log_likelihood
                - 0.5 * smoothness * float(start @ penalty @ start)
                + 0.5 * rank * math.log(smoothness)
                - float(np.log(np.diag(factor)).sum())
            )
            values = ends @ start
            means.append(float(values[0]))
            falls.append(float(values[0] - values[1]))
            errors.append(float(np.linalg.norm(at_zero)))
            fits.append(basis @ start)
        share = np.exp(np.array(evidence) - special.logsumexp(evidence))
        mean, error = np.array(means), np.array(errors)
        centre = float(share @ mean)
        return _Posterior(
            quantiles=_mixture_quantiles(share, mean, error),
            standard_deviation=math.sqrt(float(share @ (error**2 + (mean - centre) ** 2))),
            fall=float(share @ np.array(falls)),
            fit=share @ np.array(fits),
        )

    def _misfit(self, g: np.ndarray) -> np.ndarray:
        return np.asarray(g + self.density * np.exp(-g))

    def _mode(self, basis: np.ndarray, penalty: np.ndarray, start: np.ndarray | None) -> np.ndarray:
        """Most likely coefficients: Newton steps with the expected curvature, shortened where they go far.

        The negative logarithm of the posterior is convex, so there is one minimum and every start leads there.
        """
        if start is None:
            normal = basis.T @ (self.weight[:, None] * basis) + penalty
            start = np.linalg.solve(normal, basis.T @ (self.weight * np.log(self.density)))
        for _ in range(100):
            ratio = self.density * np.exp(-(basis @ start))
            gradient = basis.T @ (self.weight * (ratio - 1.0)) - penalty @ start
            curvature = basis.T @ ((self.weight * np.maximum(ratio, 0.5))[:, None] * basis) + penalty
            step = np.linalg.solve(curvature, gradient)
            largest = float(np.abs(basis @ step).max())
            start = start + min(1.0, 2.0 / max(largest, 1e-300)) * step
            if largest < 1e-8:
                break
        return start


def _even_splines(x: np.ndarray, number: int, distance: float) -> np.ndarray:
    """Cubic B-splines about 0, d, 2 d ... (number + 1) d at x >= 0, mirrored at zero: (x, spline)."""
    knots = distance * np.arange(-3, number + 4)
    full = BSpline.design_matrix(np.asarray(x, dtype=float), knots, 3).toarray()
    full[:, 2] += full[:, 0]
    return np.asarray(full[:, 1:])


def _roughness(number: int, distance: float) -> np.ndarray:
    """R with |R b|^2 the integral of g''^2, less of it beyond ``UNIFORM_TO``; second differences of coefficients b."""
    count = number + 2
    mirrored = np.vstack([np.eye(count)[1], np.eye(count)])
    second = np.diff(mirrored, 2, axis=0) / distance**1.5
    beyond = np.maximum(0.0, distance * np.arange(len(second)) - UNIFORM_TO)
    return np.asarray(np.exp(-beyond)[:, None] * second)


def _mixture_quantiles(share: np.ndarray, mean: np.ndarray, error: np.ndarray) -> tuple[float, float, float]:
    """2.5, 50 and 97.5 % of a mixture of normal distributions."""
    grid = np.linspace((mean - 6.0 * error).min(), (mean + 6.0 * error).max(), 2001)
    below = stats.norm.cdf((grid[:, None] - mean) / error) @ share
    low, median, high = np.interp([0.025, 0.5, 0.975], below, grid)
    return float(low), float(median), float(high)
