"""Three-phonon matrix elements phi_mnl = sum_abc Phi_abc u_am u_bn u_cl, as dense products of small blocks.

Contracting Phi3 with one mode m leaves a sparse (3N, 3N) matrix. Times a panel of modes n, a general sparse product
runs at a fifth of the speed of the processor; but the three rows of an atom see the same few columns, so what they
touch of the panel is gathered once and multiplied densely, for a block of modes m together:

    (m, columns of the atom) x (columns of the atom, n),   one such product for each of the 3N rows.

Products are ordered so that what is read again is still in the cache: a block of modes m, and for it one panel of
modes n after the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
import scipy.sparse as sp

from ldmd.force_constants.third import ThirdOrder

Precision = Literal["float64", "float32"]

PARTNERS_PER_PANEL = 32
"""Modes n per product: more are faster per flop, but the window of l that they span together is wider."""
WIDTHS = 8
"""Groups of atoms with about the same number of columns: padding all to the widest would cost a third more."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Atoms that touch about the same number of columns, padded to K of them; 3N stands for padding."""

    rows: np.ndarray
    """(A, 3) coordinates of the atoms."""
    columns: np.ndarray
    """(A, K) coordinates."""
    sources: np.ndarray
    """(A, 3, K) positions in a contraction's data, one past its end where there is none."""


class MatrixElements:
    """phi_mnl of one operator and one set of modes.

    ``displacements`` (3N, modes) are the motions of the atoms in each mode; divided by the square root of the
    frequency, phi^2 already holds the 1/(w_m w_n w_l) of the golden rule. Any number of threads may use it.

    ``ordered`` are the displacements with rows in the order of the batches, ``panels`` the same with rows as they
    were and one of zeros at the end, cut into panels of modes.
    """

    def __init__(self, third: ThirdOrder, displacements: np.ndarray, precision: Precision = "float64") -> None:
        self._third = third
        self.batches = _batches(third.pattern)
        self._directions = np.ascontiguousarray(displacements)
        padded = np.vstack([displacements, np.zeros((1, displacements.shape[1]))]).astype(precision)
        self.ordered = padded[np.concatenate([batch.rows.ravel() for batch in self.batches])]
        edges = range(0, padded.shape[1], PARTNERS_PER_PANEL)
        self.panels = [np.ascontiguousarray(padded[:, start : start + PARTNERS_PER_PANEL]) for start in edges]

    @property
    def bytes_per_mode(self) -> int:
        """Memory that ``halves`` takes for each mode m of a block."""
        blocks = sum(batch.sources.size for batch in self.batches) + PARTNERS_PER_PANEL * len(self.ordered)
        return self.ordered.itemsize * blocks + 2 * 8 * self._third.pattern.nnz

    def halves(self, modes: range, partners: range) -> Iterator[tuple[slice, np.ndarray]]:
        """Phi3 contracted with a block of modes m, and then with one panel after the other that holds partners n.

        Yields the panel's modes n and the contraction (3N, m, n) with rows in the order that ``phi`` expects; the
        array is used again for the next panel. The first panel may begin before the first partner, the last may end
        after the last.
        """
        if not modes or not partners:
            return
        blocks = self.contracted(modes)
        buffer = np.empty((len(self.ordered), len(modes), PARTNERS_PER_PANEL), dtype=self.ordered.dtype)
        for panel in range(partners.start // PARTNERS_PER_PANEL, -(-partners.stop // PARTNERS_PER_PANEL)):
            source, start = self.panels[panel], panel * PARTNERS_PER_PANEL
            whole = source.shape[1] == PARTNERS_PER_PANEL
            half = buffer if whole else np.empty((*buffer.shape[:2], source.shape[1]), dtype=buffer.dtype)
            self._multiply(blocks, source, half)
            yield slice(start, start + source.shape[1]), half

    def phi(self, half: np.ndarray, window: slice) -> np.ndarray:
        """phi_mnl (m, n, window) of the modes l in a window, for a contraction from ``halves``."""
        pairs = half.reshape(len(half), -1)
        return (pairs.T @ self.ordered[:, window]).reshape(*half.shape[1:], -1)

    def contracted(self, modes: range) -> list[np.ndarray]:
        """Phi3 contracted with modes m as dense blocks (A, 3, K, m) of every batch of atoms."""
        data = self._third.contract(self._directions[:, modes.start : modes.stop])
        padded = np.vstack([data, np.zeros((1, len(modes)))]).astype(self.ordered.dtype, copy=False)
        return [np.take(padded, batch.sources, axis=0) for batch in self.batches]

    def _multiply(self, blocks: list[np.ndarray], panel: np.ndarray, out: np.ndarray) -> None:
        """Blocks (A, 3, K, m) of every batch times what they touch of a panel (3N + 1, n), into (3N, m, n)."""
        start = 0
        for batch, block in zip(self.batches, blocks, strict=True):
            stop = start + batch.rows.size
            touched = np.take(panel, batch.columns, axis=0)[:, None]
            np.matmul(block.swapaxes(2, 3), touched, out=out[start:stop].reshape(*batch.rows.shape, *out.shape[1:]))
            start = stop


def _batches(pattern: sp.csr_array) -> list[Batch]:
    """The atoms of a pattern (3N, 3N) in groups of about the same number of columns."""
    size = pattern.shape[0]
    row = np.repeat(np.arange(size), np.diff(pattern.indptr))
    keys, slots = np.unique(row // 3 * size + pattern.indices, return_inverse=True)  # what an atom touches, once
    starts = np.searchsorted(keys, np.arange(size // 3 + 1) * size)
    counts = np.diff(starts)
    slots -= starts[row // 3]
    batches = []
    for atoms in np.array_split(np.argsort(counts, kind="stable"), WIDTHS):
        width = int(counts[atoms].max(initial=0))
        place = np.full(size // 3, -1)
        place[atoms] = np.arange(len(atoms))
        columns = np.full((len(atoms), width), size)
        mine = place[keys // size] >= 0
        columns[place[keys[mine] // size], np.flatnonzero(mine) - starts[keys[mine] // size]] = keys[mine] % size
        sources = np.full((len(atoms), 3, width), pattern.nnz)
        data = np.flatnonzero(place[row // 3] >= 0)
        sources[place[row[data] // 3], row[data] % 3, slots[data]] = data
        batches.append(Batch(3 * atoms[:, None] + np.arange(3), columns, sources))
    return batches
