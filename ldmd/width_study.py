"""Linewidths without a width of the kernel, and what every width would have given: computed when asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.digest import digest
from ldmd.problem import Problem
from ldmd.progress import progress
from ldmd.workflow import WIDTH_STAGES, Runner, absolute

if TYPE_CHECKING:
    from ldmd.lattice.modes import Modes
    from ldmd.lattice.self_consistent import SelfConsistentLinewidths
    from ldmd.lattice.width_convergence import WidthConvergence


@dataclasses.dataclass(frozen=True)
class WidthStudy:
    """What the width of the kernel does, and what comes out without one."""

    modes: Modes
    curve: WidthConvergence
    free: SelfConsistentLinewidths
    free_conductivity: float
    """W/(m K): classical QHGK, trace/3, with the self-consistent linewidths."""

    def rows(self) -> Iterator[tuple[str, float, float, int]]:
        """Width, conductivity (W/(m K)), median linewidth (rad/ps) and overdamped modes; without a width at last."""
        place, own = self.curve.statistics.index("classical"), self.free.linewidths.statistics.index("classical")
        moving = self.modes.vibrating
        for k, width in enumerate(self.curve.widths):
            median = float(np.median(self.curve.gamma[k, 0, place, moving]))
            overdamped = int(self.curve.overdamped[k, 0, place])
            yield f"{width:g}", float(self.curve.conductivity[k, 0, place]), median, overdamped
        gamma = self.free.linewidths.gamma[0, own]
        overdamped = int(np.sum((gamma > self.modes.frequencies)[moving]))
        yield "self-consistent", self.free_conductivity, float(np.median(gamma[moving])), overdamped


def width_study(runner: Runner) -> WidthStudy:
    """Linewidths for several widths of the kernel and without any, at the temperature of the dynamics."""
    from ldmd.lattice.modes import velocity_matrices
    from ldmd.lattice.self_consistent import SelfConsistentLinewidths, self_consistent_linewidths
    from ldmd.lattice.width_convergence import WidthConvergence, width_convergence

    problem, settings = runner.problem, runner.problem.settings.lattice
    atoms, temperature = problem.atoms, problem.settings.dynamics.temperature
    modes = runner.modes()
    velocities = velocity_matrices(problem.second, modes, atoms.positions, atoms.cell.array)
    volume, memory = atoms.get_volume(), 1e9 * settings.memory_gb
    saved = {stage: runner.checkpoint(stage, digest(runner.parts(stage))) for stage in WIDTH_STAGES}

    def several() -> WidthConvergence:
        with progress("widths of the kernel", 1.0) as advance:
            return width_convergence(
                problem.third, modes, velocities, volume, (temperature,), settings.statistics,
                settings.fixed_broadening, progress=absolute(advance), memory=memory,
                checkpoint=saved["width-convergence"],
            )  # fmt: skip

    def without() -> SelfConsistentLinewidths:
        with progress("self-consistent linewidths", 1.0) as advance:
            return self_consistent_linewidths(
                problem.third, modes, (temperature,), settings.statistics, progress=absolute(advance),
                memory=memory, checkpoint=saved["self-consistent"],
            )  # fmt: skip

    curve = runner.stage("width-convergence", WidthConvergence, several)
    free = runner.stage("self-consistent", SelfConsistentLinewidths, without)
    for checkpoint in saved.values():
        checkpoint.remove()
    return _study(runner.problem, modes, velocities, curve, free)


def stored_width_study(problem: Problem, provenance: Mapping[str, Any]) -> WidthStudy | None:
    """The study of an earlier run for the present settings, if there is one; nothing is computed for it."""
    from ldmd.lattice.modes import Modes, velocity_matrices
    from ldmd.lattice.self_consistent import SelfConsistentLinewidths
    from ldmd.lattice.width_convergence import WidthConvergence

    if not problem.inspection.usable:
        return None
    runner = Runner(problem, problem.store, provenance)
    modes, curve, free = (
        runner.stored("modes", Modes),
        runner.stored("width-convergence", WidthConvergence),
        runner.stored("self-consistent", SelfConsistentLinewidths),
    )
    if modes is None or curve is None or free is None:
        return None
    velocities = velocity_matrices(problem.second, modes, problem.atoms.positions, problem.atoms.cell.array)
    return _study(problem, modes, velocities, curve, free)


def _study(
    problem: Problem, modes: Modes, velocities: np.ndarray, curve: WidthConvergence, free: SelfConsistentLinewidths
) -> WidthStudy:
    from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
    from ldmd.lattice.statistics import Classical

    temperature, volume = problem.settings.dynamics.temperature, problem.atoms.get_volume()
    gamma = free.linewidths.gamma[0, free.linewidths.statistics.index("classical")]
    kappa = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), temperature, volume)
    return WidthStudy(modes, curve, free, float(np.trace(kappa.total) / 3.0))
