"""How linewidths rise with frequency where vibrations are sound waves, and which modes are no oscillations.

gamma ~ w^p. Translational invariance makes p = 2 in the limit of low frequencies (matrix elements ~ w); errors that
break it leave a plateau that falls with frequency (``ldmd.diagnosis.noise_floor``), p <= 0. The exponent is a hint and
no proof, for cells of few hundred atoms hold hardly any sound: the exact 216 atoms of amorphous silicon give
p = -1.0 (-1.8 to -0.5) over their lowest 60 modes, by quasi-localised modes and resonances at the low end. Only a
comparison of linewidths with their floor tells which it is.

The slope of ln gamma over ln w is the median of those of all pairs of modes (Theil, Proc. K. Ned. Akad. Wet. 53, 386
(1950); Sen, J. Am. Stat. Assoc. 63, 1379 (1968)), which a fourth of outliers does not move much; its interval is that
of the same for modes drawn anew with replacement.

A mode whose linewidth (HWHM) is above its frequency is overdamped: perturbation theory has no answer for it. Above
w/pi it crosses less than one wavelength in its lifetime (Ioffe and Regel).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ldmd.errors import InputError
from ldmd.results import Check

SOUND = 1.5
"""Exponent from which on linewidths rise as those of sound waves should."""
FEWEST = 5
"""Modes that an exponent takes."""
DRAWS = 500
"""Sets of modes drawn for the interval."""


@dataclasses.dataclass(frozen=True)
class Exponent:
    """p of gamma ~ w^p, with the interval that contains it with the given confidence."""

    value: float
    low: float
    high: float
    confidence: float
    modes: int
    """That were fitted."""

    @property
    def falls(self) -> bool:
        """Whether linewidths surely do not rise with frequency, as under noise, but also under soft modes."""
        return self.high <= 0.0

    @property
    def check(self) -> Check:
        """Whether linewidths rise as those of sound waves should."""
        advice = (
            f"p = {self.value:.2f} ({self.low:.2f} to {self.high:.2f}) over {self.modes} modes; compare the "
            "linewidths with their noise floor; if they are well above it, the cell is too small for sound waves, or "
            "its softest modes are quasi-localised"
        )
        return Check("exponent of linewidths at low frequency", self.value, ">=", SOUND, "1", advice)


def exponent(frequencies: np.ndarray, gamma: np.ndarray, confidence: float = 0.95, seed: int = 0) -> Exponent:
    """From frequencies (modes,) in rad/ps and linewidths in any unit; modes without a positive linewidth are left out.

    Which modes are low enough is the choice of the caller.

    Raises
    ------
    InputError
        For less than five modes, or if all have one frequency.
    """
    kept = np.isfinite(gamma) & (gamma > 0.0) & (frequencies > 0.0)
    x, y = np.log(frequencies[kept]), np.log(gamma[kept])
    if len(x) < FEWEST or not np.ptp(x) > 0.0:
        raise InputError("modes", len(x), f"an exponent takes {FEWEST} linewidths at different frequencies at least")
    chosen = np.random.default_rng(seed).integers(len(x), size=(DRAWS, len(x)))
    tail = 0.5 * (1.0 - confidence)
    low, high = np.nanquantile(_slopes(x, y, chosen), (tail, 1.0 - tail))
    value = _slopes(x, y, np.arange(len(x))[None])[0]
    return Exponent(float(value), float(low), float(high), confidence, len(x))


def overdamped(frequencies: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Indices of the modes whose linewidth (HWHM) is above their angular frequency, both in rad/ps."""
    return np.flatnonzero(gamma > frequencies)


def beyond_ioffe_regel(frequencies: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Indices of the modes whose linewidth (HWHM) is above their angular frequency over pi."""
    return np.flatnonzero(gamma > frequencies / math.pi)


def _slopes(x: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Median slope over all pairs with different x, for every set (sets, n) of points; NaN where there is no pair."""
    distance = x[:, None] - x
    pairs = np.divide(y[:, None] - y, distance, out=np.full(distance.shape, np.nan), where=distance != 0.0)
    first, second = np.triu_indices(chosen.shape[1], 1)
    of_sets = np.sort(pairs[chosen[:, first], chosen[:, second]], axis=1)  # NaN last
    count = np.count_nonzero(np.isfinite(of_sets), axis=1)
    row, middle = np.arange(len(of_sets)), np.maximum(count - 1, 0) // 2
    return np.asarray(0.5 * (of_sets[row, middle] + of_sets[row, count // 2]))
