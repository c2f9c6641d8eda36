"""Does the mean of a correlated time series change? Shapes of change held against stationary noise of unknown colour.

A series that remembers itself for a long time wanders, and a test that takes its samples for independent finds changes
everywhere. Here the noise may be any sum of a white part and one that decays exponentially, with a decay time of up to
0.6 of the run; a change is told from it by the likelihood that it gains (a generalised likelihood ratio, with both
parts of the noise refitted for each shape of change). The cosine transform of a series makes such noise
independent, very nearly, so that all of this is sums over some tens of coefficients (N. Ahmed, T. Natarajan, K. R.
Rao, IEEE Trans. Comput. C-23, 90 (1974)).
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from scipy import fft, signal, special

POINTS = 256
"""Averages in time that a series is reduced to."""

OVERLAP = 4
"""Length of an average in units of the distance between two."""

COEFFICIENTS = 64
"""Lowest cosine coefficients that are looked at: times down to a 64th of the run."""

SLOWEST = 1.0
"""Longest decay time of the noise as a share of the run. Noise that is slower cannot be told from a change."""

RATIOS = tuple(0.25 * 3.0**k for k in range(15))
"""Of the power at zero frequency of the decaying part of the noise to that of the white part."""

NOISE_PARAMETERS = 3
"""Scale, ratio and decay time."""

JUMPS = tuple(k / 32 for k in range(1, 32))
"""Times of a jump, shares of the run."""

DECAYS = (1.0 / 4.0, 1.0 / 16.0, 1.0 / 64.0, 1.0 / 512.0)
"""Decay times of a transient at the start, shares of the run."""


@dataclasses.dataclass(frozen=True, eq=False)
class Shape:
    """A way in which the mean of a series may change. Times are shares of the run."""

    name: str
    time: float
    values: np.ndarray  # (POINTS,)


@dataclasses.dataclass(frozen=True)
class Change:
    """The shape of change that is least likely to be noise."""

    probability: float
    """That noise gives as large a gain of likelihood with any of the shapes that were tried, at most."""
    shape: Shape
    member: tuple[int, int]
    """Group and place in it of the series that changes most."""


@functools.cache
def constant() -> tuple[Shape, ...]:
    """A mean that is not zero, and does not change."""
    return (Shape("mean", 0.0, np.ones(POINTS)),)


@functools.cache
def decays() -> tuple[Shape, ...]:
    """Exponential decays from the start of the run."""
    return tuple(Shape("decay", s, averages(np.exp(-_times() / s))) for s in DECAYS)


@functools.cache
def changes() -> tuple[Shape, ...]:
    """A trend, jumps from and to zero and between opposite values, and decays from the start."""
    time = _times()
    shapes = [("trend", 0.0, time - 0.5)]
    shapes += [("before", s, np.where(time < s, 1.0, 0.0)) for s in JUMPS]
    shapes += [("after", s, np.where(time >= s, 1.0, 0.0)) for s in JUMPS]
    shapes += [("jump", s, np.where(time >= s, s, s - 1.0)) for s in JUMPS]
    return (*(Shape(name, when, averages(values)) for name, when, values in shapes), *decays())


def _times() -> np.ndarray:
    """Times on a grid that is finer than that of the averages, shares of the run."""
    steps = 4 * (POINTS + OVERLAP - 1)
    return (np.arange(steps) + 0.5) / steps


def averages(series: np.ndarray) -> np.ndarray:
    """``POINTS`` averages in time of a series (steps, ...), with overlapping raised-cosine weights (Hann windows).

    Smooth weights leave nothing of fast vibrations; plain averages keep a little at both ends of the run, which looks
    like a transient there. A series with too few steps is repeated step by step first.
    """
    blocks = POINTS + OVERLAP - 1
    if len(series) < blocks:
        series = np.repeat(series, -(-blocks // len(series)), axis=0)
    length = len(series) // blocks
    parts = series[: blocks * length].reshape(blocks, length, -1)
    weights = signal.windows.hann(OVERLAP * length + 1)[1:].reshape(OVERLAP, length)
    pieces = np.einsum("wl,plc->wpc", weights / weights.sum(), parts)
    result = sum(pieces[shift, shift : shift + POINTS] for shift in range(OVERLAP))
    return np.asarray(result).reshape(POINTS, *series.shape[1:])


@functools.cache
def _noises() -> tuple[np.ndarray, np.ndarray]:
    """Variances of the cosine coefficients under each noise (noise, coefficient), and the means of their logarithms."""
    steps = 2 * (POINTS + OVERLAP - 1)
    basis = fft.dct(averages(np.eye(steps)), axis=0, norm="ortho")[:COEFFICIENTS]
    lags = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps))) / steps
    white = (basis**2).sum(axis=1)
    rows, time = [white], SLOWEST
    while time > 1.0 / COEFFICIENTS:
        slow = ((basis @ np.exp(-lags / time)) * basis).sum(axis=1) / (2.0 * steps * time)
        rows += [white + ratio * slow for ratio in RATIOS]
        time /= 1.5
    variances = np.array(rows)
    return variances, np.log(variances).mean(axis=1)


def find_change(groups: list[np.ndarray], shapes: tuple[Shape, ...]) -> Change:
    """The most significant change of mean among ``shapes``: of all series, of a group, or of one series alone.

    Parameters
    ----------
    groups
        Arrays (POINTS, members) of averages, as :func:`averages` gives them, all with as many members. The members of a
        group are independent series with the same noise. Groups may differ in their noise; where they do not, by
        Akaike's criterion, it is fitted to all of them at once, and what can be seen is smaller.
    shapes
        What to look for (one of the functions above gives them); each series has an amplitude of its own.
    """
    transforms = [fft.dct(group, axis=0, norm="ortho")[:COEFFICIENTS] for group in groups]
    apart = [_Fit.of(transform, shapes) for transform in transforms]
    together = _Fit.of(np.concatenate(transforms, axis=1), shapes)
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
    return Change(min(1.0, float(tails.min()) * tails.size), shapes[best], (group, place))


@dataclasses.dataclass(frozen=True)
class _Fit:
    """The most likely noise of a group without a change and with each shape of it; all in units of -2 ln likelihood."""

    changed: np.ndarray  # (shape,), -2 ln likelihood with the change
    gain: np.ndarray  # (shape,), by which it is less than without
    singles: np.ndarray  # (shape, member), the same where one series alone changes
    parts: np.ndarray  # (shape, member), squared amplitude in standard errors

    @classmethod
    def of(cls, transform: np.ndarray, shapes: tuple[Shape, ...]) -> _Fit:
        """Fit scale, ratio and decay time of the noise of cosine coefficients (coefficient, member)."""
        variances, logarithms = _noises()
        weighted, norms = _weights(shapes)
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


@functools.lru_cache(maxsize=4)
def _weights(shapes: tuple[Shape, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Patterns of the shapes over the variances of each noise (noise, shape, coefficient), and their norms."""
    patterns = np.array([fft.dct(shape.values, norm="ortho")[:COEFFICIENTS] for shape in shapes])
    weighted = patterns / _noises()[0][:, None, :]
    return weighted, (weighted * patterns).sum(axis=2)
