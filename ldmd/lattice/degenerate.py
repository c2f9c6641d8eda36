"""Degenerate modes: what one of them does depends on how their eigenvectors were chosen, the mean of all does not."""

from __future__ import annotations

import numpy as np

DEGENERATE = 1e-4
"""rad/ps: modes closer than this are degenerate. Symmetry that rounding has broken leaves less; modes of a glass, which
repel each other, are rarely as close."""


def degenerate_sets(frequencies: np.ndarray) -> np.ndarray:
    """(n,) number of the set that each mode belongs to, for frequencies (n,) in ascending order, rad/ps."""
    return np.cumsum(np.diff(frequencies, prepend=frequencies[:1]) > DEGENERATE)


def shared(frequencies: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (n, columns) of modes in ascending order (n,), rad/ps: each is the mean over its set."""
    sets = degenerate_sets(frequencies)
    counts = np.bincount(sets)
    if counts.max(initial=1) == 1:
        return values
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, sets, values)
    return np.asarray((sums / counts[:, None])[sets])


def whole_sets(frequencies: np.ndarray, lowest: int) -> int:
    """Number of modes, at least ``lowest``, that ends between two sets of degenerate ones."""
    if lowest >= len(frequencies):
        return lowest
    sets = degenerate_sets(frequencies)
    return int(np.searchsorted(sets, sets[lowest - 1], side="right"))
