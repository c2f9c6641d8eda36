"""Nearest periodic images of a vector, all of those that tie.

An element of the force constants of a periodic cell belongs to the nearest image of a pair of atoms; where several
images are equally near (atoms on the face of the Wigner-Seitz cell) it is shared by them in equal parts.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from ase.geometry import minkowski_reduce

TIE = 1e-4
"""Angstrom: images whose lengths differ by less are equally near."""
VECTORS_AT_ONCE = 50_000
"""Whose 27 candidates are held in memory together."""


@dataclasses.dataclass(frozen=True)
class Images:
    """The m nearest images of n vectors, m >= n, in the order of the vectors."""

    vector: np.ndarray
    """(m,) which vector this is an image of."""
    shifts: np.ndarray
    """(m, 3) lattice translation added to it, in cell vectors."""
    images: np.ndarray
    """(m, 3) Angstrom."""
    weights: np.ndarray
    """(m,) one over the number of images that tie."""

    def mean(self) -> np.ndarray:
        """(n, 3) Angstrom, the mean of the images that tie."""
        count = int(self.vector[-1]) + 1 if len(self.vector) else 0
        parts = [np.bincount(self.vector, self.weights * column, count) for column in self.images.T]
        return np.stack(parts, axis=1)

    def lengths(self) -> np.ndarray:
        """(n,) Angstrom."""
        first = np.searchsorted(self.vector, np.unique(self.vector))
        return np.asarray(np.linalg.norm(self.images[first], axis=1))


def nearest_images(vectors: np.ndarray, cell: np.ndarray, tie: float = TIE) -> Images:
    """All nearest images of vectors (n, 3), Angstrom, in a cell (3, 3) of any shape.

    In a Minkowski-reduced cell the nearest image of a vector wrapped into it lies within one cell.
    """
    reduced, operation = minkowski_reduce(cell)
    candidates = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    parts = [
        _nearest(vectors[start : start + VECTORS_AT_ONCE], start, reduced, candidates, tie)
        for start in range(0, len(vectors), VECTORS_AT_ONCE)
    ]
    if not parts:
        return Images(np.empty(0, int), np.empty((0, 3), int), np.empty((0, 3)), np.empty(0))
    vector, shifts, images, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Images(vector, shifts @ np.rint(operation).astype(int), images, weights)


def shortest_translation(cell: np.ndarray) -> float:
    """Length of the shortest lattice vector of a cell (3, 3), Angstrom."""
    return float(np.linalg.norm(minkowski_reduce(cell)[0], axis=1).min())


def _nearest(
    vectors: np.ndarray, start: int, cell: np.ndarray, candidates: np.ndarray, tie: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of a few vectors: which, shifts in vectors of the reduced cell, images, weights."""
    wrap = -np.rint(vectors @ np.linalg.inv(cell)).astype(int)
    shifts = wrap[:, None, :] + candidates
    images = vectors[:, None, :] + shifts @ cell
    lengths = np.linalg.norm(images, axis=2)
    nearest = lengths <= lengths.min(axis=1, keepdims=True) + tie
    which, candidate = np.nonzero(nearest)
    weights = 1.0 / nearest.sum(axis=1)
    return which + start, shifts[which, candidate], images[which, candidate], weights[which]
