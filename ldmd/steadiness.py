"""Does the mean of a correlated time series change? Shapes of change held against stationary noise of unknown colour.

A series that remembers itself for a long time wanders, and a test that takes its samples for independent finds changes
everywhere. Here the noise may be any sum of a white part and one that decays exponentially, with a decay time of up to
the length of the run; a change is told from it by the likelihood that it gains (a generalised likelihood ratio, with
both parts of the noise refitted for each shape of change). The cosine transform of a series makes such noise
independent, very nearly, so that all of this is sums over some tens of coefficients (N. Ahmed, T. Natarajan, K. R. Rao,
IEEE Trans. Comput. C-23, 90 (1974)).
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from scipy import fft, signal, special

POINTS = (256, 128, 64, 32, 16)
"""Averages in time that a series is reduced to: as many as vibrations permit."""

OVERLAP = 4
"""Length of an average in units of the distance between two."""

FEWEST_IN_BLOCK = 32
"""Steps between two averages."""

BAND = 4
"""Of so many cosine coefficients one, the lowest ones, are looked at: times down to a 64th of the run with 256."""

LEAKAGE = 0.6
"""Power above the band, over that of as many coefficients as there are averages at its upper end, from which on it
would show at the ends of the run; white noise has 0.13."""

DECAY_TIMES = tuple(1.6**-k for k in range(9))
"""Of the noise, as shares of the run. Noise that is slower than the run cannot be told from a change."""

MARGIN = 3.0
"""Noise may decay by so much more slowly than the slowest time that is expected."""

RATIOS = tuple(0.25 * 3.0**k for k in range(15))
"""Of the power at zero frequency of the decaying part of the noise to that of the white part."""

NOISE_PARAMETERS = 3
"""Scale, ratio and decay time."""

JUMPS = tuple(k / 64 for k in range(1, 64))
"""Times of a jump, shares of the run: as far apart as the shortest time that is looked at."""

ALIKE = 2
"""So many neighbouring times are nearly the same, and count as one."""

DECAYS = (1.0 / 4.0, 1.0 / 16.0, 1.0 / 64.0, 1.0 / 512.0)
"""Decay times of a transient at the start, shares of the run."""


Noises = tuple[int, tuple[float, ...]]
"""Number of averages, and the decay times of the noises to try."""


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """A way in which the mean of a series may change. Times are shares of the run."""

    name: str
    time: float
    values: np.ndarray  # (points,)


@dataclasses.dataclass(frozen=True)
class Change:
    """The shape of change that is least likely to be noise."""

    probability: float
    """That noise gives as large a gain of likelihood with any of the shapes that were tried, at most."""
    shape: Shape
    member: tuple[int, int]
    """Group and place in it of the series that changes most."""


@functools.cache
def constant(points: int) -> tuple[Shape, ...]:
    """A mean that is not zero, and does not change."""
    return (Shape("mean", 0.0, np.ones(points)),)


@functools.cache
def decays(points: int) -> tuple[Shape, ...]:
    """Exponential decays from the start of the run."""
    return tuple(Shape("decay", s, averages(np.exp(-_times(points) / s), points)) for s in DECAYS)


@functools.cache
def changes(points: int) -> tuple[Shape, ...]:
    """A trend, jumps from and to zero and between opposite values, and decays from the start."""
    time = _times(points)
    shapes = [("trend", 0.0, time - 0.5)]
    shapes += [("before", s, np.where(time < s, 1.0, 0.0)) for s in JUMPS]
    shapes += [("after", s, np.where(time >= s, 1.0, 0.0)) for s in JUMPS]
    shapes += [("jump", s, np.where(time >= s, s, s - 1.0)) for s in JUMPS]
    return (*(Shape(name, when, averages(values, points)) for name, when, values in shapes), *decays(points))


def _times(points: int) -> np.ndarray:
    """Times on a grid that is finer than that of the averages, shares of the run."""
    steps = FEWEST_IN_BLOCK * (points + OVERLAP - 1)
    return (np.arange(steps) + 0.5) / steps


def averages(series: np.ndarray, points: int, fewest: int = FEWEST_IN_BLOCK) -> np.ndarray:
    """``points`` averages in time of a series (steps, ...), with overlapping raised-cosine weights (Hann windows).

    Smooth weights leave little of fast vibrations; plain averages keep more of them at both ends of the run, which
    looks like a transient there. What does not fill a block at the end is left out; a short series is repeated step by
    step first, so that this is at most 3 % of it.
    """
    blocks = points + OVERLAP - 1
    if len(series) < fewest * blocks:
        series = np.repeat(series, -(-fewest * blocks // len(series)), axis=0)
    length = len(series) // blocks
    parts = series[: blocks * length].reshape(blocks, length, -1)
    weights = signal.windows.hann(OVERLAP * length + 1)[1:].reshape(OVERLAP, length)
    pieces = np.einsum("wl,plc->wpc", weights / weights.sum(), parts)
    result = sum(pieces[shift, shift : shift + points] for shift in range(OVERLAP))
    return np.asarray(result).reshape(points, *series.shape[1:])


def finest_averages(series: np.ndarray) -> np.ndarray:
    """As many averages as vibrations permit: they must be faster than the averaging.

    What is left of vibrations between the band that is looked at and the rate of the averages spills over into all
    coefficients, and looks like a transient at both ends of the run.
    """
    finer = averages(series, POINTS[0])
    for points in POINTS[1:]:
        coarser = averages(series, points)
        if max(_leakage(finer), _leakage(coarser)) <= LEAKAGE:
            return finer
        finer = coarser
    return finer


def _leakage(values: np.ndarray) -> float:
    """Power above the band as ``LEAKAGE`` counts it."""
    power = (fft.dct(values, axis=0, norm="ortho") ** 2).reshape(len(values), -1).sum(axis=1)
    band = len(values) // BAND
    return float(power[band:].sum() / (len(values) * power[band // 2 : band].mean()))


@functools.cache
def _noises(points: int, decay_times: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Variances of the cosine coefficients under each noise (noise, coefficient), and the means of their logarithms."""
    steps = 2 * (points + OVERLAP - 1)
    basis = _transform(averages(np.eye(steps), points, 2))
    lags = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps))) / steps
    white = (basis**2).sum(axis=1)
    rows = [white]
    for time in decay_times:
        slow = ((basis @ np.exp(-lags / time)) * basis).sum(axis=1) / (2.0 * steps * time)
        rows += [white + ratio * slow for ratio in RATIOS]
    variances = np.array(rows)
    return variances, np.log(variances).mean(axis=1)


def _transform(values: np.ndarray) -> np.ndarray:
    """The lowest cosine coefficients along the first axis."""
    return np.asarray(fft.dct(values, axis=0, norm="ortho")[: len(values) // BAND])


def find_change(groups: list[np.ndarray], shapes: tuple[Shape, ...], slowest: float = 1.0) -> Change:
    """The most significant change of mean among ``shapes``: of all series, of a group, or of one series alone.

    Parameters
    ----------
    groups
        Arrays (points, members) of averages, as :func:`averages` gives them, all of one shape. The members of a
        group are independent series with the same noise. Groups may differ in their noise; where they do not, by
        Akaike's criterion, it is fitted to all of them at once, and what can be seen is smaller.
    shapes
        What to look for (one of the functions above gives them); each series has an amplitude of its own.
    slowest
        Longest decay time that is expected of the noise, as a share of the run.
    """
    transforms = [_transform(group) for group in groups]
    points = len(groups[0])
    noises = points, tuple(t for t in DECAY_TIMES if BAND / points < t <= max(MARGIN * slowest, 2.0 * BAND / points))
    apart = [_Fit.of(transform, shapes, noises) for transform in transforms]
    together = _Fit.of(np.concatenate(transforms, axis=1), shapes, noises)
    alike = together.changed - sum(fit.changed for fit in apart) < 2.0 * NOISE_PARAMETERS * (len(groups) - 1)
    members = transforms[0].shape[1]
    candidates = [(sum(fit.gain for fit in apart), members * len(groups))]
    candidates += [(fit.gain, members) for fit in apart]
    candidates += [(fit.singles[:, k], 1) for fit in apart for k in range(members)]
    if len(groups) > 1:
        candidates.append((np.where(alike, together.gain, 0.0), members * len(groups)))
        candidates += [(np.where(alike, gain, 0.0), 1) for gain in together.singles.T]
    tails = np.array([special.chdtrc(freedom, np.maximum(gain, 0.0)) for gain, freedom in candidates])
    _, best = np.unravel_index(int(np.argmin(tails)), tails.shape)
    group, place = divmod(int(np.argmax(np.concatenate([fit.parts[best] for fit in apart]))), members)
    tried = len(candidates) * max(1, len(shapes) // ALIKE)
    return Change(min(1.0, float(tails.min()) * tried), shapes[best], (group, place))


@dataclasses.dataclass(frozen=True)
class _Fit:
    """The most likely noise of a group without a change and with each shape of it; all in units of -2 ln likelihood."""

    changed: np.ndarray  # (shape,), -2 ln likelihood with the change
    gain: np.ndarray  # (shape,), by which it is less than without
    singles: np.ndarray  # (shape, member), the same where one series alone changes
    parts: np.ndarray  # (shape, member), squared amplitude in standard errors

    @classmethod
    def of(cls, transform: np.ndarray, shapes: tuple[Shape, ...], noises: Noises) -> _Fit:
        """Fit scale, ratio and decay time of the noise of cosine coefficients (coefficient, member)."""
        variances, logarithms = _noises(*noises)
        weighted, norms = _weights(shapes, noises)
        squares = (transform**2).sum(axis=1) @ (1.0 / variances).T
        parts = (weighted @ transform) ** 2 / norms[:, :, None]
        least = 1e-12 * squares[:, None]
        size = transform.size
        changed = size * (np.log(np.maximum(squares[:, None] - parts.sum(axis=2), least)) + logarithms[:, None])
        alone = np.log(np.maximum(squares[:, None, None] - parts, least[:, None])) + logarithms[:, None, None]
        steady = size * float((np.log(squares) + logarithms).min())
        chosen = changed.argmin(axis=0)
        scale = (squares[:, None] - parts.sum(axis=2))[chosen, np.arange(len(shapes))] / size
        lowest = changed.min(axis=0) - size * math.log(size)
        return cls(
            changed=lowest,
            gain=steady - changed.min(axis=0),
            singles=steady - size * alone.min(axis=0),
            parts=parts[chosen, np.arange(len(shapes))] / scale[:, None],
        )


@functools.lru_cache(maxsize=16)
def _weights(shapes: tuple[Shape, ...], noises: Noises) -> tuple[np.ndarray, np.ndarray]:
    """Patterns of the shapes over the variances of each noise (noise, shape, coefficient), and their norms."""
    patterns = np.array([_transform(shape.values) for shape in shapes])
    weighted = patterns / _noises(*noises)[0][:, None, :]
    return weighted, (weighted * patterns).sum(axis=2)
