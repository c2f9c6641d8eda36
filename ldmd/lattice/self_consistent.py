"""Self-consistent linewidths at Gamma: the widths of the lines themselves stand for the delta function.

A finite glass has a discrete spectrum, and the golden rule needs a width to smear it; single modes then follow that
width instead of the material. Here gamma = F(gamma): the lines broaden each other (``ldmd.lattice.mutual_broadening``),
and no width is left to choose. For self-consistent widths in crystals see Castellano et al., arXiv:2502.03362.

Iterates are logarithms of widths, which span decades and stay positive. The next one is extrapolated from the last few
residuals (Anderson, J. ACM 12, 547 (1965)): where few modes meet, F falls with growing width, and plain iteration
swings from side to side.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np

from ldmd.checkpoint import Checkpoint
from ldmd.errors import InputError
from ldmd.force_constants.third import ThirdOrder
from ldmd.lattice.degenerate import shared
from ldmd.lattice.linewidths import Linewidths
from ldmd.lattice.matrix_elements import MatrixElements, Precision
from ldmd.lattice.modes import Modes
from ldmd.lattice.mutual_broadening import MutualBroadening, lines
from ldmd.lattice.triplets import MEMORY
from ldmd.results import Check, quantity

logger = logging.getLogger(__name__)

KERNEL = "self-consistent"
DEPTH = 2
"""Earlier iterates that the extrapolation looks back on. In amorphous silicon 6 iterations do for 7 at 300 K, 9 for 17
at 5 K, 7 for 21 at 3000 K; looking back further saves nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfConsistentLinewidths:
    """The fixed point (``kernel`` "self-consistent", ``width`` NaN: there is none) and how it was reached."""

    linewidths: Linewidths
    changes: np.ndarray = quantity(
        ("iteration", "temperature", "statistics"), "1", "largest relative change of a width; NaN when done before"
    )
    tolerance: float
    unresolved: np.ndarray = quantity(
        ("temperature", "statistics"), "1", "modes whose own width is below the least width of an internal line"
    )

    @property
    def converged(self) -> np.ndarray:
        """Which (temperature, statistics) arrived within the tolerance."""
        return np.asarray(np.nanmin(self.changes, axis=0) < self.tolerance)

    @property
    def iterations(self) -> np.ndarray:
        """Iterations that each (temperature, statistics) took."""
        return np.asarray(np.isfinite(self.changes).sum(axis=0))

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether all arrived, and whether the lines are wide enough to overlap at all."""
        last = max(float(column[np.isfinite(column)][-1]) for column in self.changes.reshape(len(self.changes), -1).T)
        advice = "allow more iterations; a width that keeps changing has too few modes to scatter with"
        sparse = "the lines do not overlap: use a larger cell or a higher temperature"
        return (
            Check("self-consistent widths: last change", last, "<=", self.tolerance, "1", advice),
            Check("self-consistent widths: unresolved modes", float(self.unresolved.max()), "<=", 0.0, "modes", sparse),
        )


def self_consistent_linewidths(
    third: ThirdOrder,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    *,
    start: float | np.ndarray = 1.0,
    tolerance: float = 1e-4,
    max_iterations: int = 30,
    progress: Callable[[int, int], None] | None = None,
    threads: int | None = None,
    memory: float = MEMORY,
    precision: Precision = "float64",
    checkpoint: Checkpoint | None = None,
) -> SelfConsistentLinewidths:
    """Iterate until no width of a (temperature, statistics) changes by more than ``tolerance``, relatively.

    ``start`` is the half width (rad/ps) to begin with: a number, or an array that broadcasts to (temperature,
    statistics, mode), such as the widths of a fixed kernel; the result does not depend on it. Temperatures and
    statistics that have arrived are not computed again. After ``max_iterations`` the widths found so far are returned,
    a warning is logged, and ``converged`` and ``checks`` of the result say so.

    ``progress`` is called with the pairs of modes done and a forecast of all. Squared matrix elements are computed in
    every iteration, except those that fit into ``memory`` (bytes), which are kept. Sums are in double precision and in
    fixed order: neither ``threads`` nor an interruption that a ``checkpoint`` outlives changes the result; its key
    stands for everything else. ``precision`` is that of the matrix elements.

    Raises
    ------
    InputError
        For a ``start`` or a ``tolerance`` that is not positive, or ``max_iterations`` below 1.
    """
    _refuse(start, tolerance, max_iterations)
    of_modes = lines(modes, temperatures, statistics)
    broadening = MutualBroadening(third, of_modes, threads, memory, precision)
    shape = (len(temperatures), len(statistics), len(modes.frequencies))
    first = np.broadcast_to(np.asarray(start, dtype=float), shape).reshape(-1, shape[2])[:, modes.vibrating]
    found = _iterate(broadening, first, tolerance, max_iterations, progress, checkpoint)
    gamma = np.zeros((shape[0] * shape[1], shape[2]))
    gamma[:, modes.vibrating] = shared(modes.frequencies[modes.vibrating], found.widths.T).T
    result = SelfConsistentLinewidths(
        linewidths=Linewidths(
            temperatures=np.asarray(temperatures, dtype=float),
            statistics=tuple(statistics),
            gamma=gamma.reshape(shape),
            kernel=KERNEL,
            width=np.nan,
            precision=precision,
            precision_error=0.0 if precision == "float64" else _precision_error(third, broadening, found),
        ),
        changes=found.changes.reshape(-1, *shape[:2]),
        tolerance=tolerance,
        unresolved=np.count_nonzero(found.widths < of_modes.resolution, axis=1).astype(float).reshape(shape[:2]),
    )
    for check in result.checks:
        if not check.passed:
            logger.warning("%s: %.3g %s, %s", check.name, check.value, check.unit, check.advice)
    return result


def _refuse(start: float | np.ndarray, tolerance: float, max_iterations: int) -> None:
    if not np.all(np.asarray(start) >= 0.0) or not np.any(np.asarray(start) > 0.0):
        raise InputError("start", start, "give a positive width in rad/ps")
    if not tolerance > 0.0:
        raise InputError("tolerance", tolerance, "give a positive relative change, such as 1e-4")
    if max_iterations < 1:
        raise InputError("max_iterations", max_iterations, "allow at least one iteration")


def _precision_error(third: ThirdOrder, broadening: MutualBroadening, found: _Course) -> float:
    """Largest relative difference of what three blocks add to a width, to that in double precision."""
    exact, worst = MatrixElements(third, broadening.lines.displacements), 0.0
    internal = np.exp(found.inputs[-1])
    for task in broadening.tasks[:: max(1, len(broadening.tasks) // 3)]:
        here, there = (broadening.visit(internal, range(len(internal)), task, kind)["gamma"] for kind in (None, exact))
        counted = there > 1e-3 * there.max()
        worst = max(worst, float(np.max(np.abs(here - there)[counted] / there[counted], initial=0.0)))
    return worst


@dataclasses.dataclass
class _Course:
    """Iterates so far: logarithms of widths that went in, and widths that came out (NaN for rows done before)."""

    floor: float
    inputs: list[np.ndarray]
    outputs: list[np.ndarray] = dataclasses.field(default_factory=list)

    @property
    def residuals(self) -> np.ndarray:
        """ln(width out / width in), (iteration, row, mode)."""
        shape = (0, *self.inputs[0].shape)
        found = np.log(np.maximum(np.array(self.outputs), self.floor)) if self.outputs else np.empty(shape)
        return found - np.array(self.inputs[: len(found)]).reshape(found.shape)

    @property
    def changes(self) -> np.ndarray:
        """Largest relative change of a width, (iteration, row)."""
        return np.asarray(np.abs(np.expm1(self.residuals)).max(axis=2))

    @property
    def widths(self) -> np.ndarray:
        """The last that came out of every row."""
        result = self.outputs[0].copy()
        for found in self.outputs[1:]:
            result = np.where(np.isnan(found), result, found)
        return result

    def open_rows(self, tolerance: float) -> list[int]:
        """Rows that have not arrived."""
        arrived = np.any(self.changes < tolerance, axis=0)
        return [int(row) for row in np.flatnonzero(~arrived)]

    def extrapolate(self, rows: Sequence[int]) -> None:
        """Append what goes in next."""
        following, residuals = self.inputs[-1].copy(), self.residuals[-DEPTH - 1 :]
        positions = np.array(self.inputs[-DEPTH - 1 :])
        for row in rows:
            following[row] = np.maximum(_extrapolated(positions[:, row], residuals[:, row]), np.log(self.floor))
        self.inputs.append(following)


def _iterate(
    broadening: MutualBroadening,
    first: np.ndarray,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int, int], None] | None,
    checkpoint: Checkpoint | None,
) -> _Course:
    """To the fixed point, or as far as allowed; a checkpoint holds all iterates, from which all else follows."""
    course = _Course(broadening.lines.resolution, [np.log(np.maximum(first, broadening.lines.resolution))])
    saved = None if checkpoint is None else checkpoint.load()
    if saved is not None and saved["inputs"].shape[1:] == first.shape:
        course.inputs, course.outputs = list(saved["inputs"]), list(saved["outputs"])
    while (rows := course.open_rows(tolerance)) and len(course.outputs) < max_iterations:
        if course.outputs:
            course.extrapolate(rows)
        report = _forecast(progress, sum(broadening.costs), course.changes, tolerance)
        part = _part(checkpoint, len(course.outputs))
        found = np.full_like(first, np.nan)
        found[rows] = broadening.widths(np.exp(course.inputs[-1][rows]), rows, report, part)
        course.outputs.append(found)
        if checkpoint is not None and part is not None:
            checkpoint.save({"inputs": np.array(course.inputs), "outputs": np.array(course.outputs)})
            part.remove()
    if progress is not None:
        progress(len(course.outputs) * sum(broadening.costs), len(course.outputs) * sum(broadening.costs))
    return course


def _extrapolated(positions: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    """The next iterate (mode,) after some (iteration, mode): least squares over their differences.

    The plain iterate where the residual grew, and never further from it than a factor e.
    """
    plain = positions[-1] + residuals[-1]
    if len(positions) == 1 or np.abs(residuals[-1]).max() > np.abs(residuals[-2]).max():
        return np.asarray(plain)
    steps, bends = np.diff(positions, axis=0), np.diff(residuals, axis=0)
    weights = np.linalg.lstsq(bends.T, residuals[-1], rcond=1e-8)[0]
    return np.asarray(plain - np.clip(weights @ (steps + bends), -1.0, 1.0))


def _forecast(
    progress: Callable[[int, int], None] | None, cost: int, changes: np.ndarray, tolerance: float
) -> Callable[[int, int], None] | None:
    """Progress of the current pass as that of all, if the change goes on to fall by a factor of six each time."""
    if progress is None:
        return None
    worst = max(float(np.nanmax(changes[-1])), tolerance) if len(changes) else 1.0
    left = 1 + int(np.log(worst / tolerance) / np.log(6.0))
    return lambda done, _: progress(len(changes) * cost + done, (len(changes) + left) * cost)


def _part(checkpoint: Checkpoint | None, iteration: int) -> Checkpoint | None:
    """The checkpoint of one pass over the triplets, beside that of the iteration."""
    if checkpoint is None:
        return None
    path = checkpoint.path.with_name(f"{checkpoint.path.name}.pass")
    return dataclasses.replace(checkpoint, path=path, key=f"{checkpoint.key}, iteration {iteration}")
