"""Mutual broadening: the linewidths that lines of given widths give each other, in one pass over all triplets.

Two internal lines b, c conserve energy within h = gamma_b + gamma_c, the half width of their convolution:

gamma_a = (pi hbar / 8) sum_{b<c} |phi_abc|^2 / (w_a w_b w_c)
          { (1 + n_b + n_c) [L(w_a - s) - L(w_a + s)] + (n_b - n_c) [L(w_a - d) - L(w_a + d)] },
L(x) = (h / pi) / (x^2 + h^2),  s = w_b + w_c,  d = w_c - w_b >= 0,

half of it for b = c (HWHM, rad/ps; classically the 1 is dropped and n = k_B T / hbar w). The second term of each
bracket makes the spectral function of the self-energy odd in w_a, as it must be: what is far from resonance cancels,
and no tail is cut. For h -> 0 this is the golden rule of ``ldmd.lattice.linewidths``.

In x = w_a^2 the brackets are rational, L(w_a - s) - L(w_a + s) = (4 h / pi) w_a s / D(x; s) with

    D(x; s) = (x - s^2 - h^2)^2 + 4 h^2 x = x^2 - 2 (s^2 - h^2) x + (s^2 + h^2)^2,

so that a pair {b, c} acts on all modes a as one quadratic over one quartic polynomial: two thin matrix products with
powers of x and one division for each mode a of each triplet.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ldmd.checkpoint import Checkpoint
from ldmd.force_constants.third import ThirdOrder
from ldmd.lattice.matrix_elements import PARTNERS_PER_PANEL, MatrixElements, Precision
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import statistics_named
from ldmd.lattice.triplets import MODES_PER_BLOCK, Sums, blocks, sum_over_blocks
from ldmd.units import FORCE_TO_ACCELERATION, HBAR

MODES_PER_TILE = 512
"""Modes of a window at a time: what is computed for a panel and a tile stays in the cache."""
RESOLUTION = 1e-6
"""Least half width of an internal line, in highest frequencies: what double precision resolves in D(x; s)."""
NUMERATOR, DENOMINATOR = 3, 5
"""Coefficients of the two polynomials in x."""

Panels = Iterator[tuple[slice, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Lines:
    """The vibrating modes, ascending, and every (temperature, statistics) as a row."""

    frequencies: np.ndarray
    displacements: np.ndarray
    """Divided by the square root of the frequency."""
    powers: np.ndarray
    """(mode, 5): 1, x, ..., x^4 of x = w^2."""
    occupations: np.ndarray
    vacuum: np.ndarray

    @property
    def resolution(self) -> float:
        """Least half width of an internal line, rad/ps."""
        return RESOLUTION * float(self.frequencies[-1])


def lines(modes: Modes, temperatures: Sequence[float], statistics: Sequence[str]) -> Lines:
    """The lines of a set of modes; rows are ordered as (temperature, statistics)."""
    frequencies = modes.frequencies[modes.vibrating]
    kinds = [(statistics_named(name), temperature) for temperature in temperatures for name in statistics]
    return Lines(
        frequencies,
        modes.displacements[:, modes.vibrating] / np.sqrt(frequencies),
        np.vander(frequencies**2, DENOMINATOR, increasing=True),
        np.array([kind.occupation(frequencies, temperature) for kind, temperature in kinds]),
        np.array([kind.vacuum for kind, _ in kinds]),
    )


class MutualBroadening:
    """Every unordered triplet once: widths in, widths out.

    Squared matrix elements depend neither on temperature nor on widths; those that fit into memory are kept.
    """

    def __init__(
        self, third: ThirdOrder, lines: Lines, threads: int | None, memory: float, precision: Precision
    ) -> None:
        self.lines = lines
        self._elements = MatrixElements(third, lines.displacements, precision)
        count, itemsize = len(lines.frequencies), np.dtype(precision).itemsize
        work = PARTNERS_PER_PANEL * itemsize + len(lines.vacuum) * (NUMERATOR + DENOMINATOR) * 8
        self.bytes_per_mode = self._elements.bytes_per_mode + count * work
        whole = MODES_PER_BLOCK * self.bytes_per_mode
        self._threads = min(threads or os.cpu_count() or 1, max(1, int(memory // whole)))
        self.tasks = blocks(count, self.bytes_per_mode, memory)
        self.costs = [len(task) * (count - task.start) for task in self.tasks]
        squares = [len(task) * (count - task.start + PARTNERS_PER_PANEL) ** 2 / 2 for task in self.tasks]
        room = memory - self._threads * whole
        self._keep = {
            task.start for task, size in zip(self.tasks, itemsize * np.cumsum(squares), strict=True) if size < room
        }
        self._kept: dict[int, list[tuple[slice, np.ndarray]]] = {}

    def widths(
        self,
        internal: np.ndarray,
        rows: Sequence[int],
        progress: Callable[[int, int], None] | None,
        checkpoint: Checkpoint | None,
    ) -> np.ndarray:
        """Widths (row, mode) that some rows of the lines get from internal lines of given widths (row, mode), rad/ps.

        ``progress`` and ``checkpoint`` are those of ``sum_over_blocks``.
        """
        sums = sum_over_blocks(
            lambda block: self.visit(internal, rows, block),
            self.tasks,
            self.costs,
            threads=self._threads,
            progress=progress,
            checkpoint=checkpoint,
        )
        factor = 0.5 * HBAR * FORCE_TO_ACCELERATION**3
        return np.asarray(factor * self.lines.frequencies * sums["gamma"])

    def visit(
        self, internal: np.ndarray, rows: Sequence[int], block: range, elements: MatrixElements | None = None
    ) -> Sums:
        """What the triplets whose lowest mode is in a block add to all modes; ``elements`` if not the usual ones."""
        count = len(self.lines.frequencies)
        total = np.zeros((len(rows), count))
        modes = slice(block.start, block.stop)
        outer = [_pairs(self.lines, row, internal[i], modes, slice(0, count)) for i, row in enumerate(rows)]
        for n, squared in self._squares(block) if elements is None else self._computed(elements, block):
            for start in range(n.start, count, MODES_PER_TILE):
                window = slice(start, min(start + MODES_PER_TILE, count))
                tile = squared[:, :, start - n.start : window.stop - n.start].astype(float, copy=False)
                for position, row in enumerate(rows):
                    inner = _pairs(self.lines, row, internal[position], n, window)
                    _deposit(self.lines.powers, modes, n, window, tile, outer[position], inner, total[position])
        return {"gamma": total}

    def _squares(self, block: range) -> Panels:
        """Panels of modes n and phi^2 (m, n, l) of all l from the panel's first, weighted to count triplets once."""
        if block.start not in self._keep:
            return self._computed(self._elements, block)
        if block.start not in self._kept:
            self._kept[block.start] = list(self._computed(self._elements, block))
        return iter(self._kept[block.start])

    def _computed(self, elements: MatrixElements, block: range) -> Panels:
        """The same, computed."""
        count = len(self.lines.frequencies)
        for n, half in elements.halves(block, range(block.start, count)):
            phi = elements.phi(half, slice(n.start, count))
            squared = np.square(phi, out=phi)
            _count_once(squared, block, n)
            yield n, squared


def _count_once(squared: np.ndarray, block: range, n: slice) -> None:
    """Weigh (m, n, l) so that an unordered triplet, visited from all of its modes as {m, n, l}, counts once.

    Where two modes are equal each of the three visits gets half (the golden rule's half for b = c; the mode that is
    there twice is visited twice), where all are equal a sixth.
    """
    size = n.stop - n.start
    squared[:, :, :size] *= np.triu(np.ones((size, size)), 1) + 0.5 * np.eye(size)
    for i, m in enumerate(block):
        position = m - n.start
        if position >= 0:
            squared[i, :position] = 0.0
        if 0 <= position < size:
            squared[i, position] *= 0.5
            squared[i, position, position] *= 2.0 / 3.0


def _pairs(lines: Lines, row: int, widths: np.ndarray, first: slice, second: slice) -> np.ndarray:
    """Coefficients (b, 8, c) of the two polynomials in x for internal pairs {b, c}: of h (A D(x; d) + B D(x; s)), D D.

    A = (1 + n_b + n_c) s, B = (n_b - n_c) d.
    """
    b, c = lines.frequencies[first, None], lines.frequencies[second]
    n_b, n_c = lines.occupations[row, first, None], lines.occupations[row, second]
    h = widths[first, None] + widths[second]
    s, d, squared = b + c, c - b, h * h
    up, down = h * s * (lines.vacuum[row] + n_b + n_c), h * d * (n_b - n_c)
    s *= s
    d *= d
    p, q = s - squared, d - squared
    s += squared
    d += squared
    s *= s
    d *= d
    result = np.empty((h.shape[0], NUMERATOR + DENOMINATOR, h.shape[1]))
    result[:, 0] = up * d + down * s
    result[:, 1] = -2.0 * (up * q + down * p)
    result[:, 2] = up + down
    result[:, 3] = s * d
    result[:, 4] = -2.0 * (p * d + q * s)
    result[:, 5] = s + d + 4.0 * p * q
    result[:, 6] = -2.0 * (p + q)
    result[:, 7] = 1.0
    return result


def _deposit(
    powers: np.ndarray,
    m: slice,
    n: slice,
    window: slice,
    squared: np.ndarray,
    outer: np.ndarray,
    inner: np.ndarray,
    total: np.ndarray,
) -> None:
    """Add triplets (m, n, l) to all three modes; ``outer`` and ``inner`` are the pairs {m, any} and {n, l}."""
    for pairs, strength in zip(outer, squared, strict=True):
        total[n] += np.einsum("nl,nl->n", _ratio(powers[n], pairs[:, window]), strength)
        total[window] += np.einsum("nl,nl->l", _ratio(powers[window], pairs[:, n], transposed=True), strength)
    for position, pairs in enumerate(inner):
        total[m] += np.einsum("ml,ml->m", _ratio(powers[m], pairs), squared[:, position])


def _ratio(powers: np.ndarray, pairs: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Quotient of the polynomials of pairs (8, p) at modes a with ``powers`` (a, 5): (a, p), or (p, a)."""
    factors = ((powers[:, :NUMERATOR], pairs[:NUMERATOR]), (powers, pairs[NUMERATOR:]))
    top, bottom = ((y.T @ x.T) if transposed else (x @ y) for x, y in factors)
    return np.divide(top, bottom, out=top)
