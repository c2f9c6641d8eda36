"""Is the flux that of one equilibrium from start to end, in every replica?

Green-Kubo theory needs a stationary flux of zero mean. A transient at the start, a part of the run at another
temperature or a net flux changes the conductivity many times over without leaving a trace in the spectrum that would
tell it from physics; in time it does. Two things are held against what a stationary Gaussian flux of the same colour
does: the mean of the flux (:func:`ldmd.steadiness.find_change`), and its power, at all frequencies and at low ones,
before and after each time and in each replica (ratios of mean squares, F-distributed with as many degrees of freedom
as the correlation leaves).

Components along one axis of all replicas are samples of the same process; the axes may differ.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import fft, special

from ldmd.green_kubo.series import FluxSeries
from ldmd.results import Check
from ldmd.steadiness import POINTS, Change, averages, changes, constant, decays, find_change, finest_averages

FALSE_ALARM = 5e-4
"""Probability that a check fails by chance. Of Gaussian fluxes of 24 spectra (one or two relaxation times of 0.02 to 20
ps, vibrations, crystals of lifetimes to 30 ps; 60 to 500 ps in two replicas) about one run in a hundred or fewer fails
any check. Where the flux decays as slowly as a sixth of the run it is one in a hundred; of most spectra none of 200."""

SMALLEST_RATIO = 1.1
"""Of the power of two parts of a run; a smaller one changes the conductivity by 5 % at most, and passes."""

TIMES = (1 / 64, 1 / 32, *(k / 16 for k in range(1, 16)))
"""Where the power before is held against that after, shares of the run."""

INDEPENDENT = 1 / 3
"""Such tests at different times, of all replicas and of each, count as so many independent ones: twice the
smallest one-sided probability of 51 tests on noise is below p in 15 p to 20 p of the runs."""

SEGMENTS = 64
"""Parts of the run whose scatter shows how much the power fluctuates, should the flux not be Gaussian."""

START = 8
"""The first part of the run that is looked at by itself, as a share: transients too short to be seen in the whole."""

UNIT = "times the largest ratio that chance explains"

NET_FLUX = "no net flux"
MEAN_STEADY = "mean flux steady"
POWER_STEADY = "power of the flux steady"
SLOW_POWER_STEADY = "low-frequency power of the flux steady"
REPLICAS_ALIKE = "replicas alike in power"
STATIONARITY_CHECKS = (NET_FLUX, MEAN_STEADY, POWER_STEADY, SLOW_POWER_STEADY, REPLICAS_ALIKE)
"""If one of these fails, the conductivity of the run means nothing."""

NET_FLUX_ADVICE = "Remove the total momentum at the start, and look for a thermostat or a field that drives heat."
POWER_ADVICE = "Equilibrate longer, look for drift of temperature or energy, or analyse the part that is steady."


def stationarity_checks(
    series: FluxSeries, slowest: float | None = None, false_alarm: float = FALSE_ALARM
) -> tuple[Check, ...]:
    """Checks that the energy flux is stationary: one each of ``STATIONARITY_CHECKS``, the last with replicas only.

    Parameters
    ----------
    series
        The flux; of several currents the first, the energy flux, is tested.
    slowest
        The longest time (ps) with which the flux is expected to decay; the length of the run if None. With it smaller
        changes of the mean are seen.
    false_alarm
        Probability that a check fails for a stationary Gaussian flux.

    Noise that decays with more than three times ``slowest``, or with more than the length of the run, is taken for a
    change of the mean. Powers that differ by less than a factor ``SMALLEST_RATIO`` pass however surely they differ.
    Components without any flux (a layer has none across) are left out.
    """
    flux = series.flux[:, 0, :].reshape(series.steps, series.replicas, series.axes)
    kept = np.flatnonzero((flux**2).sum(axis=(0, 1)) > 0.0)
    flux = flux[:, :, kept]
    names = _Names(series, kept)
    slow, longest = finest_averages(flux), 1.0 if slowest is None else slowest / series.duration
    every, low = _Power.of(flux), _Power.of(averages(flux, POINTS[0]))
    checks = (
        _net_flux(slow, longest, names, false_alarm),
        _mean_steady(flux, slow, longest, names, false_alarm),
        _steady(POWER_STEADY, every, names, false_alarm),
        _steady(SLOW_POWER_STEADY, low, names, false_alarm),
    )
    return checks if series.replicas == 1 else (*checks, _alike(every, low, false_alarm))


@dataclasses.dataclass(frozen=True)
class _Names:
    """How the parts of a series are called in sentences."""

    series: FluxSeries
    kept: np.ndarray

    def component(self, axis: int, replica: int) -> str:
        """The name of a component."""
        along = f" along {'xyz'[self.kept[axis]]}" if self.series.axes == 3 else ""
        return f"the flux{along} of replica {replica + 1}" if self.series.replicas > 1 else f"the flux{along}"

    def time(self, share: float) -> str:
        """A time of the run."""
        return f"{share * self.series.duration:.3g} ps"


def _net_flux(slow: np.ndarray, longest: float, names: _Names, false_alarm: float) -> Check:
    found = find_change(_by_axis(slow), constant(len(slow)), longest)
    passed = found.probability >= false_alarm
    finding = "" if passed else f"The mean of {names.component(*found.member)} is not zero. "
    return Check(NET_FLUX, found.probability, ">=", false_alarm, "probability", finding + NET_FLUX_ADVICE)


def _mean_steady(flux: np.ndarray, slow: np.ndarray, longest: float, names: _Names, false_alarm: float) -> Check:
    """A change in the whole run, or a transient in its first part alone."""
    whole, scale = find_change(_by_axis(slow), changes(len(slow)), longest), 1.0
    early = finest_averages(flux[: len(flux) // START])
    if START * len(early) > len(slow):
        start = find_change(_by_axis(early), decays(len(early)), START * longest)
        if start.probability < whole.probability:
            whole, scale = start, 1.0 / START
    probability = min(1.0, 2.0 * whole.probability)
    sentence = _sentence(whole, scale, names) if probability < false_alarm else "The mean of the flux is steady."
    return Check(MEAN_STEADY, probability, ">=", false_alarm, "probability", sentence)


def _sentence(change: Change, scale: float, names: _Names) -> str:
    """What changes, when, and what to do."""
    what, when = names.component(*change.member), change.shape.time * scale
    match change.shape.name:
        case "decay":
            cure = f"leave out the first {names.time(5.0 * when)} or equilibrate longer"
            return f"A transient: {what} decays from the start within about {names.time(when)}; {cure}."
        case "trend":
            return f"A trend: the mean of {what} changes all through the run; equilibrate longer."
        case "before":
            return f"The mean of {what} is not zero until {names.time(when)}: leave that out or equilibrate longer."
        case _:
            return f"The mean of {what} jumps at {names.time(when)}: look for what happened there (a restart, a field)."


def _by_axis(slow: np.ndarray) -> list[np.ndarray]:
    return [slow[:, :, axis] for axis in range(slow.shape[2])]


@dataclasses.dataclass(frozen=True)
class _Power:
    """The square of a flux, over its mean along each axis, averaged over the axes.

    Its mean over a time W has the relative variance of Gaussian noise, (2/W) sum over |k| < W of (1 - |k|/W) rho_k^2
    with the autocorrelation rho, or what neighbouring segments show where that is more.
    """

    total: np.ndarray  # (steps + 1, replica), running sum of the power
    correlation: np.ndarray  # (lags,), running sum of rho_k^2, both signs of k, averaged over the axes
    moment: np.ndarray  # (lags,), the same of |k| rho_k^2
    segment: float  # variance of a segment of one replica, from differences of neighbours

    @classmethod
    def of(cls, flux: np.ndarray) -> _Power:
        """From a flux (steps, replica, axis)."""
        steps, replicas, axes = flux.shape
        squares = flux**2
        power = (squares / squares.mean(axis=(0, 1))).mean(axis=2)
        total = np.concatenate([np.zeros((1, replicas)), np.cumsum(power, axis=0)])
        transform = fft.rfft(flux, axis=0)
        density = (transform.real**2 + transform.imag**2).mean(axis=1)
        lags = max(2, steps // 4)
        rho = fft.irfft(density, steps, axis=0)[:lags]
        rho2 = ((rho / rho[0]) ** 2).mean(axis=1) / axes
        rho2[1:] *= 2.0
        length = max(1, steps // SEGMENTS)
        parts = np.diff(total[: len(total) // length * length : length], axis=0) / length
        segment = float(0.5 * np.mean(np.diff(parts, axis=0) ** 2)) * length
        return cls(total, np.cumsum(rho2), np.cumsum(np.arange(lags) * rho2), segment)

    @property
    def steps(self) -> int:
        """Samples in time."""
        return len(self.total) - 1

    def freedom(self, length: int, replicas: int) -> float:
        """Degrees of freedom of the mean power over ``length`` steps of so many replicas."""
        last = min(length, len(self.correlation)) - 1
        gaussian = 2.0 * (self.correlation[last] - self.moment[last] / length)
        return 2.0 * length * replicas / max(gaussian, self.segment)


def _steady(name: str, power: _Power, names: _Names, false_alarm: float) -> Check:
    """Power before and after some times, in all replicas together and in each."""
    replicas = power.total.shape[1]
    splits = sorted({round(share * power.steps) for share in TIMES} - {0})
    members = [slice(None)] if replicas == 1 else [slice(None), *(slice(k, k + 1) for k in range(replicas))]
    level = 0.5 * false_alarm / (INDEPENDENT * len(splits) * len(members))
    found = (1.0, 0, 0, 1.0)
    for index, member in enumerate(members):
        total = power.total[:, member].mean(axis=1)
        count = power.total[:, member].shape[1]
        for split in splits:
            before, after = total[split] / split, (total[-1] - total[split]) / (power.steps - split)
            freedoms = power.freedom(split, count), power.freedom(power.steps - split, count)
            found = max(found, (_excess(before, after, *freedoms, level), index, split, after / before))
    excess, index, split, ratio = found
    which = f" of replica {index}" if index else ""
    when = names.time(split / power.steps)
    sentence = f"After {when} the power of the flux{which} is {ratio:.3g} times that before. "
    advice = sentence + POWER_ADVICE if excess > 1.0 else POWER_ADVICE
    return Check(name, excess, "<=", 1.0, UNIT, advice)


def _alike(every: _Power, low: _Power, false_alarm: float) -> Check:
    """Power of each replica against that of the others, at all frequencies and at low ones."""
    replicas = every.total.shape[1]
    level = 0.25 * false_alarm / replicas
    found = (1.0, 0, 1.0)
    for power in (every, low):
        sums = power.total[-1]
        for index in range(replicas):
            one, others = sums[index], (sums.sum() - sums[index]) / (replicas - 1)
            freedoms = power.freedom(power.steps, 1), power.freedom(power.steps, replicas - 1)
            found = max(found, (_excess(one, others, *freedoms, level), index, one / others))
    excess, index, ratio = found
    advice = "Replicas must be at the same temperature, in the same minimum: look at each by itself."
    if excess > 1.0:
        advice = f"The power of the flux of replica {index + 1} is {ratio:.3g} times that of the others. {advice}"
    return Check(REPLICAS_ALIKE, excess, "<=", 1.0, UNIT, advice)


def _excess(one: float, other: float, freedom: float, other_freedom: float, level: float) -> float:
    """The ratio of two powers, the larger over the smaller, over what chance explains at a level (one-sided).

    1 where the ratio is too small to matter.
    """
    if one < other:
        one, other, freedom, other_freedom = other, one, other_freedom, freedom
    ratio = one / max(other, 1e-300)
    chance = float(special.fdtri(freedom, other_freedom, 1.0 - level))
    return max(1.0, ratio / chance) if ratio > SMALLEST_RATIO else 1.0
