"""One visit of a scattering triplet, m <= n and l near w_m + w_n: what it gives to each of its three modes.

With a weight P = |phi|^2 delta / (w_m w_n w_l), halved for m = n, occupations o and the vacuum term v (1 quantum, 0
classical), the visit adds

    P (v + o_m + o_n) to l,    P (o_n - o_l) to m,    P (o_m - o_l) to n.

Everything here is written for NumPy and JAX arrays alike: the processor and an accelerator run the same lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ldmd.lattice.broadening import Broadening
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import Classical, statistics_named


@dataclasses.dataclass(frozen=True)
class Table:
    """The vibrating modes in ascending order, and the occupations of all temperatures and statistics (columns)."""

    frequencies: np.ndarray
    displacements: np.ndarray
    """(3N, modes), divided by the square root of the frequency."""
    occupations: np.ndarray
    """The last column is the classical limit at some temperature: for the channels."""
    vacuum: np.ndarray
    broadening: Broadening

    def partners(self, m: int) -> range:
        """Modes n >= m for which some mode l has about the frequency w_m + w_n."""
        limit = self.frequencies[-1] + self.broadening.reach - self.frequencies[m]
        return range(m, int(np.searchsorted(self.frequencies, limit, side="right")))

    def window(self, m: slice, n: slice) -> slice:
        """Modes l within reach of w_m + w_n for any of the modes m and n."""
        reach = self.broadening.reach
        ends = (self.frequencies[m][0] + self.frequencies[n][0], self.frequencies[m][-1] + self.frequencies[n][-1])
        low, high = np.searchsorted(self.frequencies, (ends[0] - reach, ends[1] + reach))
        return slice(int(low), int(high))

    @property
    def lowest(self) -> int:
        """Number of modes m that have any partner."""
        highest = 0.5 * (self.frequencies[-1] + self.broadening.reach)
        return int(np.searchsorted(self.frequencies, highest, side="right"))


def table_of(modes: Modes, temperatures: Sequence[float], statistics: Sequence[str], broadening: Broadening) -> Table:
    """The table of a set of modes."""
    mask = modes.vibrating
    frequencies = modes.frequencies[mask]
    kinds = [statistics_named(name) for name in statistics]
    columns = [kind.occupation(frequencies, temperature) for temperature in temperatures for kind in kinds]
    vacuum = [kind.vacuum for _ in temperatures for kind in kinds]
    columns.append(1.0 / frequencies)
    vacuum.append(Classical.vacuum)
    displacements = modes.displacements[:, mask] / np.sqrt(frequencies)
    return Table(frequencies, displacements, np.array(columns).T.copy(), np.array(vacuum), broadening)


def multiplicity(m: Any, n: Any) -> Any:
    """How often the pair (m, n) counts (m, n): once for n > m, half for n = m, not at all below."""
    order = n - m[:, None]
    return 0.5 * (order >= 0) + 0.5 * (order > 0)


def share_out(weight: Any, of_m: Any, of_n: Any, of_l: Any, vacuum: Any) -> tuple[Any, Any, Any]:
    """What triplets of given weights (m, n, l) add to their modes: (m, columns), (n, columns) and (l, columns).

    ``of_m`` and so on are the occupations of the modes, (m, columns) and so on.
    """
    rows, lost = weight.sum(axis=2)[:, :, None], weight @ of_l
    pairs = (vacuum + of_m[:, None] + of_n).reshape(-1, of_l.shape[1])
    to_m, to_n = (rows * of_n - lost).sum(axis=1), (rows * of_m[:, None] - lost).sum(axis=0)
    return to_m, to_n, weight.reshape(len(pairs), -1).T @ pairs


def share_out_squares(weight: Any, of_m: Any, of_n: Any, of_l: Any, same: Any) -> tuple[Any, Any, Any]:
    """The same for the squares of all contributions at one condition: (m,), (n,) and (l,); no vacuum term.

    ``same`` (m, n) is where n is m: the pair {m, l} is one channel of m then, not two halves of one.
    """
    squared, of_m = weight * weight, of_m[:, None]
    rows, lost, twice = (squared @ of_l**power for power in range(3))
    to_m = (~same * (rows * of_n**2 - 2.0 * lost * of_n + twice)).sum(axis=1)
    to_n = ((1.0 + 3.0 * same) * (rows * of_m**2 - 2.0 * lost * of_m + twice)).sum(axis=0)
    return to_m, to_n, ((of_m + of_n) ** 2).reshape(-1) @ squared.reshape(rows.size, -1)
