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
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import scipy.sparse as sp

from ldmd.force_constants.third import ThirdOrder

Precision = Literal["float64", "float32"]

PARTNERS_PER_PANEL = 32
"""Modes n per product: more are faster per flop, but the window of l that they span together is wider."""
WIDTHS = 4
"""Groups of atoms with about the same number of columns: padding all to the widest would cost a third more."""


@dataclasses.dataclass(frozen=True)
class _Batch:
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
    """

    def __init__(self, third: ThirdOrder, displacements: np.ndarray, precision: Precision = "float64") -> None:
        self._third = third
        self._batches = _batches(third.pattern)
        self._directions = np.ascontiguousarray(displacements)
        padded = np.vstack([displacements, np.zeros((1, displacements.shape[1]))]).astype(precision)
        self._ordered = padded[np.concatenate([batch.rows.ravel() for batch in self._batches])]
        edges = range(0, padded.shape[1], PARTNERS_PER_PANEL)
        self._panels = [np.ascontiguousarray(padded[:, start : start + PARTNERS_PER_PANEL]) for start in edges]

    @property
    def bytes_per_mode(self) -> int:
        """Memory that ``halves`` takes for each mode m of a block."""
        blocks = sum(batch.sources.size for batch in self._batches) + PARTNERS_PER_PANEL * len(self._ordered)
        return self._ordered.itemsize * blocks + 2 * 8 * self._third.pattern.nnz

    def halves(self, modes: range, partners: Callable[[int], range]) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Phi3 contracted with modes m and n, for every m of a block and all panels that hold partners of it.

        Yields m, the panel's modes n and the contraction (3N, n) with rows in the order that ``phi`` expects. A panel
        may begin before the first partner and end after the last.
        """
        wanted = {m: found for m in modes if (found := partners(m))}
        if not wanted:
            return
        lowest, highest = min(wanted), max(wanted)
        blocks = self._blocks(lowest, highest + 1)
        first = min(found.start for found in wanted.values()) // PARTNERS_PER_PANEL
        last = max(found.stop - 1 for found in wanted.values()) // PARTNERS_PER_PANEL
        for panel in range(first, last + 1):
            n = slice(panel * PARTNERS_PER_PANEL, panel * PARTNERS_PER_PANEL + self._panels[panel].shape[1])
            products = self._products(blocks, self._panels[panel])
            for m, found in wanted.items():
                if found.start < n.stop and found.stop > n.start:
                    yield m, n, np.concatenate([p[:, :, m - lowest].reshape(-1, p.shape[3]) for p in products])

    def phi(self, half: np.ndarray, window: slice) -> np.ndarray:
        """phi_mnl (n, window) of the modes l in a window, for a contraction from ``halves``."""
        return half.T @ self._ordered[:, window]

    def _blocks(self, start: int, stop: int) -> list[np.ndarray]:
        """Contractions with modes m as dense blocks (A, 3, K, m) of every batch."""
        data = self._third.contract(self._directions[:, start:stop])
        padded = np.vstack([data, np.zeros((1, stop - start))]).astype(self._ordered.dtype, copy=False)
        return [np.take(padded, batch.sources, axis=0) for batch in self._batches]

    def _products(self, blocks: list[np.ndarray], panel: np.ndarray) -> list[np.ndarray]:
        """Blocks (A, 3, K, m) times what they touch of a panel (3N + 1, n): (A, 3, m, n) of every batch."""
        touched = [np.take(panel, batch.columns, axis=0) for batch in self._batches]
        return [block.swapaxes(2, 3) @ part[:, None] for block, part in zip(blocks, touched, strict=True)]


def _batches(pattern: sp.csr_array) -> list[_Batch]:
    """The atoms of a pattern (3N, 3N) in groups of about the same number of columns."""
    rows = np.arange(pattern.shape[0]).reshape(-1, 3)
    columns = [np.unique(pattern.indices[pattern.indptr[atom[0]] : pattern.indptr[atom[2] + 1]]) for atom in rows]
    order = np.argsort([len(touched) for touched in columns], kind="stable")
    return [_batch(pattern, rows[group], [columns[i] for i in group]) for group in np.array_split(order, WIDTHS)]


def _batch(pattern: sp.csr_array, rows: np.ndarray, columns: list[np.ndarray]) -> _Batch:
    width = max((len(touched) for touched in columns), default=0)
    padded = np.full((len(rows), width), pattern.shape[0])
    sources = np.full((*rows.shape, width), pattern.nnz)
    for slot, (atom, touched) in enumerate(zip(rows, columns, strict=True)):
        padded[slot, : len(touched)] = touched
        for axis, row in enumerate(atom):
            data = np.arange(pattern.indptr[row], pattern.indptr[row + 1])
            sources[slot, axis, np.searchsorted(touched, pattern.indices[data])] = data
    return _Batch(rows, padded, sources)
