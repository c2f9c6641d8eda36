"""Width convergence: linewidths and conductivity from a fixed kernel, over the width of the kernel.

A converged linewidth lies on a plateau: the kernel is wider than the spacing of the pairs of modes that it counts and
narrower than what changes their number. A mode that rests on a few accidental resonances has none, its linewidth falls
as 1/width; while the conductivity, a mean over all modes, may look converged from the narrowest kernel on. The
counterpart without a width is ``ldmd.lattice.self_consistent``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ldmd.checkpoint import Checkpoint
from ldmd.errors import InputError
from ldmd.force_constants.third import ThirdOrder
from ldmd.lattice.broadening import broadening_named
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import Engine, linewidths, pair_count
from ldmd.lattice.matrix_elements import Precision
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import statistics_named
from ldmd.lattice.triplets import MEMORY
from ldmd.results import quantity

WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
"""rad/ps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WidthConvergence:
    """Linewidths (HWHM) and QHGK conductivities for several widths of one kernel, ascending."""

    kernel: str
    widths: np.ndarray = quantity(("width",), "rad/ps", "width of the kernel")
    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    frequencies: np.ndarray = quantity(("mode",), "rad/ps", "angular frequency; 0 for modes that do not vibrate")
    gamma: np.ndarray = quantity(
        ("width", "temperature", "statistics", "mode"), "rad/ps", "linewidth, HWHM; 0 for translations"
    )
    conductivity: np.ndarray = quantity(
        ("width", "temperature", "statistics"), "W/(m K)", "quasi-harmonic Green-Kubo, trace/3"
    )

    @property
    def sensitivity(self) -> np.ndarray:
        """d ln(linewidth) / d ln(width), (width, temperature, statistics, mode), by differences.

        0 on a plateau, -1 for a single resonance, NaN for a linewidth of zero and where there is one width only.
        """
        if len(self.widths) < 2:
            return np.full(self.gamma.shape, np.nan)
        logarithm = np.log(np.where(self.gamma > 0.0, self.gamma, np.nan))
        return np.asarray(np.gradient(logarithm, np.log(self.widths), axis=0))

    @property
    def spread(self) -> np.ndarray:
        """Largest over smallest linewidth, (temperature, statistics, mode); NaN where one is zero."""
        positive = np.where(self.gamma > 0.0, self.gamma, np.nan)
        return np.asarray(positive.max(axis=0) / positive.min(axis=0))

    @property
    def overdamped(self) -> np.ndarray:
        """Number of modes whose linewidth exceeds their frequency, (width, temperature, statistics)."""
        return np.asarray(np.count_nonzero(self.gamma > self.frequencies, axis=3))


def width_convergence(
    third: ThirdOrder,
    modes: Modes,
    velocities: np.ndarray,
    volume: float,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    kernel: str = "gaussian",
    widths: Sequence[float] = WIDTHS,
    progress: Callable[[int, int], None] | None = None,
    *,
    threads: int | None = None,
    memory: float = MEMORY,
    precision: Precision = "float64",
    engine: Engine = "auto",
    checkpoint: Checkpoint | None = None,
) -> WidthConvergence:
    """Linewidths and conductivity for every one of ``widths`` (rad/ps, any order) of the named kernel.

    ``velocities`` (3, 3N, 3N) in Angstrom/ps, ``volume`` in Angstrom^3; ``progress`` is called with pairs of modes done
    and in all; a ``checkpoint`` holds the linewidths of the widths that are done; the rest is as for ``linewidths``.

    Raises
    ------
    InputError
        For no or repeated widths, a width that is not positive, or an unknown kernel.
    """
    ordered = sorted(float(width) for width in widths)
    if not ordered or len(set(ordered)) < len(ordered):
        raise InputError("lattice.widths", tuple(widths), "give different positive widths in rad/ps")
    kernels = [broadening_named(kernel, width) for width in ordered]
    costs = [pair_count(modes, broadening) for broadening in kernels]
    saved = None if checkpoint is None else checkpoint.load()
    found = [] if saved is None else list(saved["gamma"])
    for position in range(len(found), len(ordered)):
        one = linewidths(
            third,
            modes,
            temperatures,
            statistics,
            kernels[position],
            _shifted(progress, sum(costs[:position]), sum(costs)),
            threads=threads,
            memory=memory,
            precision=precision,
            engine=engine,
        )
        found.append(one.gamma)
        if checkpoint is not None:
            checkpoint.save({"gamma": np.array(found)})
    gamma = np.array(found)
    return WidthConvergence(
        kernel=kernel,
        widths=np.array(ordered),
        temperatures=np.asarray(temperatures, dtype=float),
        statistics=tuple(statistics),
        frequencies=np.where(modes.vibrating, modes.frequencies, 0.0),
        gamma=gamma,
        conductivity=_conductivities(modes, velocities, volume, temperatures, statistics, gamma),
    )


def _shifted(progress: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int, int], None] | None:
    """Progress of one width as that of all."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _conductivities(
    modes: Modes,
    velocities: np.ndarray,
    volume: float,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    gamma: np.ndarray,
) -> np.ndarray:
    """QHGK, trace/3, for linewidths (width, temperature, statistics, mode)."""
    result = np.empty(gamma.shape[:3])
    for width, t, s in np.ndindex(result.shape):
        kind = statistics_named(statistics[s])
        found = quasi_harmonic_green_kubo(modes, velocities, gamma[width, t, s], kind, float(temperatures[t]), volume)
        result[width, t, s] = np.trace(found.total) / 3.0
    return result
