"""Three-phonon linewidths at Gamma: each scattering triplet once, for all temperatures and both statistics.

gamma_m = (pi hbar / 16) sum_nl |phi_mnl|^2 / (w_m w_n w_l)
          { (1 + n_n + n_l) delta(w_m - w_n - w_l) + 2 (n_n - n_l) delta(w_m + w_n - w_l) },
the half width at half maximum in rad/ps, with phi the mass-weighted third derivatives along three modes (Fabian and
Allen, Phys. Rev. Lett. 77, 3839 (1996); classically the 1 is dropped and n = k_B T / hbar w).

|phi|^2 is symmetric, so a pair of modes m <= n and a mode l with w_l ~ w_m + w_n describe three events at once: l
decays into m and n, m absorbs n, n absorbs m (``ldmd.lattice.visit``).

Temperatures enter through occupations only: small matrix products of P with a table of all of them. The same visit
counts the scattering channels of each mode (``ldmd.lattice.channels``).

A triplet is visited at its lowest mode, so that the linewidths of the few lowest modes need the first blocks only.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from ldmd.checkpoint import Checkpoint
from ldmd.errors import InputError
from ldmd.force_constants.third import ThirdOrder
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.channels import Channels, channels, count_channels, merge_channels, no_channels
from ldmd.lattice.degenerate import shared, whole_sets
from ldmd.lattice.matrix_elements import MatrixElements, Precision
from ldmd.lattice.modes import Modes
from ldmd.lattice.triplets import MEMORY, MODES_PER_BLOCK, Sums, blocks, sum_over_blocks
from ldmd.lattice.visit import Table, multiplicity, share_out, table_of
from ldmd.results import quantity
from ldmd.units import FORCE_TO_ACCELERATION, HBAR

Engine = Literal["auto", "numpy", "jax"]

NO_CHANNEL = 1e-6
"""Of the largest linewidth: what is narrower finds nothing to scatter with here, and what is left is rounding."""
ENDLESS = 1e-10
"""Of the highest frequency: a linewidth below it is rounding even where all modes have such ones."""

PREFACTOR = 2.0 * np.pi * HBAR / 16.0 * FORCE_TO_ACCELERATION**3
"""Of the sums over pairs m <= n: the 2 is that of the three contributions of a visit."""


class Elements(Protocol):
    """Matrix elements phi_mnl with 1/(w_m w_n w_l) in their squares: see ``ldmd.lattice.matrix_elements``."""

    @property
    def bytes_per_mode(self) -> int:
        """Memory that ``halves`` takes for each mode m of a block."""
        ...

    def halves(self, modes: range, partners: range) -> Iterator[tuple[slice, np.ndarray]]:
        """Panels of modes n and what ``phi`` makes matrix elements of, for a block of modes m."""
        ...

    def phi(self, half: np.ndarray, window: slice) -> np.ndarray:
        """phi_mnl (m, n, window)."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linewidths:
    """Linewidths (HWHM) of all modes, at every temperature and for every statistics asked for.

    NaN, as their channels, for vibrating modes that were not asked for.
    """

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    gamma: np.ndarray = quantity(("temperature", "statistics", "mode"), "rad/ps", "linewidth, HWHM; 0 for translations")
    kernel: str
    width: float
    channels: Channels | None = None
    precision: str = "float64"
    precision_error: float = 0.0
    """With float32 products: largest relative difference to float64 in a sample of the triplets."""

    def share_without_channel(self, modes: Modes) -> float:
        """Share of the vibrating modes that find no channel at any temperature, with any statistics."""
        gamma = self.gamma.reshape(-1, self.gamma.shape[-1])[:, modes.vibrating]
        found = np.any([scattered(row, modes.frequencies[modes.vibrating]) for row in gamma], axis=0)
        return float(1.0 - np.mean(found)) if found.size else 0.0


def scattered(gamma: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Mask of the linewidths (mode,) of one condition, rad/ps, that are more than rounding: modes with a channel."""
    known = gamma[np.isfinite(gamma)]
    least = max(NO_CHANNEL * float(known.max(initial=0.0)), ENDLESS * float(frequencies.max(initial=0.0)))
    return np.asarray(gamma > least)


def linewidths(
    third: ThirdOrder,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    broadening: Broadening,
    progress: Callable[[int, int], None] | None = None,
    *,
    threads: int | None = None,
    memory: float = MEMORY,
    precision: Precision = "float64",
    engine: Engine = "auto",
    checkpoint: Checkpoint | None = None,
    lowest: int | None = None,
) -> Linewidths:
    """Linewidths of every vibrating mode; imaginary modes and rigid translations scatter nobody and get zero.

    Degenerate modes share the mean of their linewidths. With ``lowest`` only so many of the vibrating modes (and those
    degenerate with them) get theirs, to the last bit as without, and the others NaN.
    Of K modes among 3N this takes about the part 2K/3N of the work (K rounded up to a whole block).

    ``progress`` is called with pairs of modes done and in all. ``memory`` (bytes) bounds what is held beyond a few
    matrices of the modes. With ``precision`` "float32" matrix elements are computed in single precision, and what
    that costs in accuracy is measured on a sample of the triplets; sums are always in double precision. The products
    run through NumPy or, where JAX has an accelerator or ``engine`` says so, through JAX. The result depends neither
    on the number of threads nor on interruptions that a ``checkpoint`` outlives.

    Raises
    ------
    InputError
        For a ``lowest`` below 1.
    """
    if lowest is not None and lowest < 1:
        raise InputError("lowest", lowest, "ask for the linewidth of one mode at least")
    table = table_of(modes, temperatures, statistics, broadening)
    lowest = None if lowest is None else whole_sets(table.frequencies, lowest)
    elements = MatrixElements(third, table.displacements, precision)
    visit = _visitor(elements, table, engine)
    tasks = _tasks(elements, table, memory, lowest)
    sums = _sums(visit, elements, table, tasks, progress, threads, memory, checkpoint)
    wanted = _wanted(modes, lowest)
    gamma = np.zeros((len(modes.frequencies), len(temperatures) * len(statistics)))
    gamma[modes.vibrating] = shared(table.frequencies, PREFACTOR * sums["gamma"][:, :-1])
    gamma[modes.vibrating & ~wanted] = np.nan
    return Linewidths(
        temperatures=np.asarray(temperatures, dtype=float),
        statistics=tuple(statistics),
        gamma=np.ascontiguousarray(gamma.T).reshape(len(temperatures), len(statistics), -1),
        kernel=broadening.name,
        width=broadening.width,
        channels=channels(sums, np.where(wanted[modes.vibrating], sums["gamma"][:, -1], np.nan), modes.vibrating),
        precision=precision,
        precision_error=0.0 if precision == "float64" else _precision_error(third, visit, table, tasks),
    )


def excess_linewidths(
    elements: Elements,
    table: Table,
    *,
    lowest: int | None = None,
    threads: int | None = None,
    memory: float = MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Linewidths (HWHM, rad/ps) of the vibrating modes with other matrix elements: (mode, column of the table).

    NaN above the ``lowest``. For errors of matrix elements: what they add to a linewidth on average is the linewidth
    with their variance in place of phi^2.
    """
    tasks = _tasks(elements, table, memory, lowest)
    sums = _sums(functools.partial(_visit, elements, table), elements, table, tasks, progress, threads, memory, None)
    gamma = PREFACTOR * sums["gamma"]
    if lowest is not None:
        gamma[lowest:] = np.nan
    return np.asarray(gamma)


def _tasks(elements: Elements, table: Table, memory: float, lowest: int | None) -> list[range]:
    """Blocks of modes m whose triplets reach any of the ``lowest`` modes.

    Those above them do so only where the kernel is wide: with l among the lowest and m <= n, w_l >= 2 w_m - reach.
    """
    tasks = blocks(table.lowest, elements.bytes_per_mode, memory)
    if lowest is None:
        return tasks
    limit = 0.5 * (table.frequencies[:lowest][-1] + table.broadening.reach)
    needed = max(lowest, int(np.searchsorted(table.frequencies, limit, side="right")))
    return [task for task in tasks if task.start < needed]


def _sums(
    visit: Callable[[range], Sums],
    elements: Elements,
    table: Table,
    tasks: list[range],
    progress: Callable[[int, int], None] | None,
    threads: int | None,
    memory: float,
    checkpoint: Checkpoint | None,
) -> Sums:
    """Of all blocks."""
    costs = [sum(len(table.partners(m)) for m in task) for task in tasks]
    threads = min(threads or os.cpu_count() or 1, max(1, int(memory // (MODES_PER_BLOCK * elements.bytes_per_mode))))
    return sum_over_blocks(visit, tasks, costs, merge=_merge, threads=threads, progress=progress, checkpoint=checkpoint)


def _wanted(modes: Modes, lowest: int | None) -> np.ndarray:
    """Mask (3N,) of the ``lowest`` vibrating modes, or of all."""
    wanted = modes.vibrating.copy()
    if lowest is not None:
        wanted[np.flatnonzero(wanted)[lowest:]] = False
    return wanted


def pair_count(modes: Modes, broadening: Broadening) -> int:
    """Number of pairs m <= n that have any mode l near w_m + w_n: what the triplet sum costs is proportional to it."""
    table = table_of(modes, (), (), broadening)
    return sum(len(table.partners(m)) for m in range(table.lowest))


def probe(
    third: ThirdOrder,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    broadening: Broadening,
    count: int,
) -> Callable[[], int]:
    """Work to be timed: the triplets of ``count`` modes spread over the spectrum; it returns the pairs visited."""
    table = table_of(modes, temperatures, statistics, broadening)
    elements = MatrixElements(third, table.displacements)
    starts = np.linspace(0, 0.4 * len(table.frequencies), max(1, count // MODES_PER_BLOCK)).astype(int)
    chosen = [range(start, min(start + MODES_PER_BLOCK, table.lowest)) for start in starts]

    def work() -> int:
        with threadpool_limits(limits=1):
            for task in chosen:
                _visit(elements, table, task)
        return sum(len(table.partners(m)) for task in chosen for m in task)

    return work


def _visitor(elements: MatrixElements, table: Table, engine: Engine) -> Callable[[range], Sums]:
    """What sums all triplets whose lowest mode is in a block."""
    if engine == "numpy" or (engine == "auto" and not has_accelerator()):
        return lambda task: _visit(elements, table, task)
    from ldmd.lattice.accelerator import Accelerator

    return Accelerator(elements, table).visit


@functools.cache
def has_accelerator() -> bool:
    """Whether JAX is there and computes on something else than the processor."""
    import jax

    return bool(jax.default_backend() != "cpu")


def _visit(elements: Elements, table: Table, modes: range) -> Sums:
    """Sums of all triplets whose lowest mode is among ``modes``."""
    sums = {"gamma": np.zeros_like(table.occupations), **no_channels(len(table.frequencies))}
    partners = table.partners(modes.start) if modes else range(0)
    for panel, half in elements.halves(modes, partners):
        _pairs(slice(modes.start, modes.stop), panel, half, elements, table, sums)
    return sums


def _pairs(m: slice, n: slice, half: np.ndarray, elements: Elements, table: Table, sums: Sums) -> None:
    """Add all triplets of modes m with modes n >= m of a panel; ``half`` (3N, m, n) is Phi3 . u_m . u_n."""
    window = table.window(m, n)
    if window.start == window.stop:
        return
    frequencies, occupations = table.frequencies, table.occupations
    detuning = (frequencies[m, None] + frequencies[n])[:, :, None] - frequencies[window]
    squared = np.square(elements.phi(half, window), dtype=float)
    if n.start < m.stop:
        squared *= multiplicity(np.arange(m.start, m.stop), np.arange(n.start, n.stop))[:, :, None]
    weight = table.broadening(detuning)
    slope = squared * table.broadening.slope(detuning, weight)
    weight *= squared
    given = share_out(weight, occupations[m], occupations[n], occupations[window], table.vacuum)
    for modes, gain in zip((m, n, window), given, strict=True):
        sums["gamma"][modes] += gain
    count_channels(m, n, window, weight, slope, occupations[:, -1], sums)


def _merge(first: Sums, second: Sums) -> Sums:
    return {"gamma": first["gamma"] + second["gamma"], **merge_channels(first, second)}


def _precision_error(third: ThirdOrder, visit: Callable[[range], Sums], table: Table, tasks: list[range]) -> float:
    """Largest relative difference of what three blocks add to a linewidth, to that in double precision."""
    exact, worst = MatrixElements(third, table.displacements), 0.0
    for task in tasks[:: max(1, len(tasks) // 3)]:
        here, there = visit(task)["gamma"], _visit(exact, table, task)["gamma"]
        counted = np.abs(there) > 1e-3 * np.abs(there).max()
        worst = max(worst, float(np.max(np.abs(here - there)[counted] / np.abs(there)[counted], initial=0.0)))
    return worst
