"""Three-phonon linewidths at Gamma: each scattering triplet once, for all temperatures and both statistics.

gamma_m = (pi hbar / 16) sum_nl |phi_mnl|^2 / (w_m w_n w_l)
          { (1 + n_n + n_l) delta(w_m - w_n - w_l) + 2 (n_n - n_l) delta(w_m + w_n - w_l) },
the half width at half maximum in rad/ps, with phi the mass-weighted third derivatives along three modes (Fabian and
Allen, Phys. Rev. Lett. 77, 3839 (1996); classically the 1 is dropped and n = k_B T / hbar w).

|phi|^2 is symmetric, so a pair of modes m <= n and a mode l with w_l ~ w_m + w_n describe three events at once: l
decays into m and n, m absorbs n, n absorbs m. With P = |phi|^2 delta / (w_m w_n w_l), halved for m = n, the visit adds

    2 P (1 + n_m + n_n) to l,    2 P (n_n - n_l) to m,    2 P (n_m - n_l) to n.

Temperatures enter through occupations only: small matrix products of P with a table of all of them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from ldmd.force_constants.third import ThirdOrder
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import statistics_named
from ldmd.results import quantity
from ldmd.units import FORCE_TO_ACCELERATION, HBAR

MODES_PER_TASK = 16
"""Lowest modes m per task: small enough to balance threads, and the unit in which partial sums are added."""
PARTNERS_PER_BLOCK = 32
"""Modes n per matrix product: wider blocks are faster per flop but waste more of their window of l."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linewidths:
    """Linewidths (HWHM) of all modes, at every temperature and for every statistics asked for."""

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    gamma: np.ndarray = quantity(("temperature", "statistics", "mode"), "rad/ps", "linewidth, HWHM; 0 for translations")
    kernel: str
    width: float


@dataclasses.dataclass(frozen=True)
class _Table:
    """The vibrating modes in ascending order, and the occupations of all temperatures and statistics (columns)."""

    frequencies: np.ndarray
    displacements: np.ndarray
    panels: tuple[np.ndarray, ...]
    """The displacements in contiguous panels of ``PARTNERS_PER_BLOCK`` modes: one panel stays in the cache."""
    occupations: np.ndarray
    vacuum: np.ndarray
    broadening: Broadening


def linewidths(
    third: ThirdOrder,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    broadening: Broadening,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
) -> Linewidths:
    """Linewidths of every vibrating mode; imaginary modes and rigid translations scatter nobody and get zero.

    ``progress`` is called with pairs of modes done and in all. The sums are added in a fixed order: the result does
    not depend on the number of threads.
    """
    table = _table(modes, temperatures, statistics, broadening)
    sums = _all_triplets(third, table, progress, threads or os.cpu_count() or 1)
    gamma = np.zeros((len(modes.frequencies), sums.shape[1]))
    gamma[modes.vibrating] = np.pi * HBAR / 16.0 * FORCE_TO_ACCELERATION**3 * sums
    shape = (len(temperatures), len(statistics), len(modes.frequencies))
    values = np.ascontiguousarray(gamma.T).reshape(shape)
    return Linewidths(
        temperatures=np.asarray(temperatures, dtype=float),
        statistics=tuple(statistics),
        gamma=values,
        kernel=broadening.name,
        width=broadening.width,
    )


def pair_count(modes: Modes, broadening: Broadening) -> int:
    """Number of pairs m <= n that have any mode l near w_m + w_n: what the triplet sum costs is proportional to it."""
    table = _table(modes, (300.0,), ("classical",), broadening)
    return sum(len(_partners(table, m)) for m in range(len(table.frequencies)))


def probe(
    third: ThirdOrder,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    broadening: Broadening,
    count: int,
) -> int:
    """Do the work of ``count`` modes spread over the spectrum, for a timing; returns the number of pairs visited."""
    table = _table(modes, temperatures, statistics, broadening)
    chosen = np.linspace(0, 0.4 * len(table.frequencies), count).astype(int)
    with threadpool_limits(limits=1):
        for m in chosen:
            _task(third, table, range(m, m + 1))
    return sum(len(_partners(table, m)) for m in chosen)


def _table(modes: Modes, temperatures: Sequence[float], statistics: Sequence[str], broadening: Broadening) -> _Table:
    mask = modes.vibrating
    frequencies = modes.frequencies[mask]
    kinds = [statistics_named(name) for name in statistics]
    columns = [kind.occupation(frequencies, temperature) for temperature in temperatures for kind in kinds]
    vacuum = np.array([kind.vacuum for _ in temperatures for kind in kinds])
    displacements = np.ascontiguousarray(modes.displacements[:, mask])
    edges = range(0, len(frequencies), PARTNERS_PER_BLOCK)
    panels = tuple(np.ascontiguousarray(displacements[:, start : start + PARTNERS_PER_BLOCK]) for start in edges)
    return _Table(frequencies, displacements, panels, np.array(columns).T.copy(), vacuum, broadening)


def _all_triplets(
    third: ThirdOrder, table: _Table, progress: Callable[[int, int], None] | None, threads: int
) -> np.ndarray:
    """Sum over tasks of consecutive lowest modes, run side by side and added in order."""
    highest = 0.5 * (table.frequencies[-1] + table.broadening.reach)
    count = int(np.searchsorted(table.frequencies, highest, side="right"))
    tasks = [range(start, min(start + MODES_PER_TASK, count)) for start in range(0, count, MODES_PER_TASK)]
    pairs = [sum(len(_partners(table, m)) for m in task) for task in tasks]
    total, done = np.zeros_like(table.occupations), 0
    third.along(table.displacements[:, 0])  # fills the operator's cache before threads share it
    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        for partial, size in zip(pool.map(lambda task: _task(third, table, task), tasks), pairs, strict=True):
            total += partial
            done += size
            if progress is not None:
                progress(done, sum(pairs))
    return total


def _partners(table: _Table, m: int) -> range:
    """Modes n >= m for which some mode l has about the frequency w_m + w_n."""
    limit = table.frequencies[-1] + table.broadening.reach - table.frequencies[m]
    return range(m, int(np.searchsorted(table.frequencies, limit, side="right")))


def _task(third: ThirdOrder, table: _Table, modes: range) -> np.ndarray:
    """Sums of all triplets whose lowest mode is among ``modes``."""
    sums = np.zeros_like(table.occupations)
    for m in modes:
        partners = _partners(table, m)
        if not partners:
            continue
        matrix = third.along(table.displacements[:, m])
        for panel in range(partners.start // PARTNERS_PER_BLOCK, -(-partners.stop // PARTNERS_PER_BLOCK)):
            _pairs_with(m, panel, matrix @ table.panels[panel], table, sums)
    return sums


def _pairs_with(m: int, panel: int, contracted: np.ndarray, table: _Table, sums: np.ndarray) -> None:
    """Add all triplets of mode m with the modes n >= m of a panel; ``contracted`` is Phi3 . u_m . u_n, (3N, n)."""
    frequencies, occupations, reach = table.frequencies, table.occupations, table.broadening.reach
    n = slice(panel * PARTNERS_PER_BLOCK, panel * PARTNERS_PER_BLOCK + contracted.shape[1])
    pair = frequencies[m] + frequencies[n]
    low, high = np.searchsorted(frequencies, (pair[0] - reach, pair[-1] + reach))
    if low == high:
        return
    window = slice(int(low), int(high))
    phi = contracted.T @ table.displacements[:, window]
    weight = phi**2 * table.broadening(pair[:, None] - frequencies[window])
    weight *= 2.0 / (frequencies[m] * frequencies[n, None] * frequencies[window])
    if n.start <= m:
        weight[: m - n.start] = 0.0
        if m < n.stop:
            weight[m - n.start] *= 0.5
    rows, columns = weight.sum(axis=1), weight.sum(axis=0)
    sums[m] += rows @ occupations[n] - columns @ occupations[window]
    sums[n] += rows[:, None] * occupations[m] - weight @ occupations[window]
    sums[window] += columns[:, None] * (table.vacuum + occupations[m]) + weight.T @ occupations[n]
