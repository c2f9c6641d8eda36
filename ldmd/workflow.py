"""A comparison, stage by stage: where each result is kept, and in what order the stages run.

A stage runs only if the store holds no result for the digest of everything that it depends on (``ldmd.stages``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ldmd.checkpoint import Checkpoint
from ldmd.conservative_forces import require_conservative
from ldmd.digest import digest
from ldmd.problem import Problem, require_disorder
from ldmd.progress import progress, replica_progress
from ldmd.settings import Settings
from ldmd.stages import DIAGNOSIS, WIDTH_STAGES, replica_parts, replica_settings, stage_parts
from ldmd.store import Store

if TYPE_CHECKING:
    from ldmd.anharmonicity import Anharmonicity
    from ldmd.comparison import Comparison
    from ldmd.crystal_study import CrystalStudy
    from ldmd.diffusion import Diffusion
    from ldmd.dynamics.trajectory import Trajectory
    from ldmd.force_constants.sum_rules import Residuals
    from ldmd.green_kubo import GreenKuboResult
    from ldmd.inspection import Inspection
    from ldmd.lattice.conductivity import Conductivity
    from ldmd.lattice.linewidths import Linewidths
    from ldmd.lattice.modes import Modes
    from ldmd.minima import Minima
    from ldmd.results import Check

__all__ = [
    "DIAGNOSIS", "WIDTH_STAGES",
    "Lattice", "Results", "Runner", "absolute", "dynamics_side", "imaginary_check", "run_comparison",
]  # fmt: skip

logger = logging.getLogger(__name__)
T = TypeVar("T")
SHORTEST_OF_LATTICE = 0.5
"""A slowest time of the case over that of lattice dynamics: linewidths of third order were found up to half of those of
the dynamics."""
FEW_MODES = 0.01
"""Share of the modes whose heat may be missing."""


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything a comparison computed; all but the inspection is None where the structure is unusable."""

    inspection: Inspection
    residuals: Residuals | None = None
    modes: Modes | None = None
    linewidths: Linewidths | None = None
    conductivity: Conductivity | None = None
    trajectories: tuple[Trajectory, ...] | None = None
    green_kubo: GreenKuboResult | None = None
    anharmonicity: Anharmonicity | None = None
    minima: Minima | None = None
    diffusion: Diffusion | None = None
    crystal: CrystalStudy | None = None
    comparison: Comparison | None = None
    force_constant_checks: tuple[Check, ...] = ()


def run_comparison(problem: Problem, provenance: Mapping[str, Any]) -> Results:
    """Run every stage that is missing.

    A perfect crystal without its section is refused. A structure without usable force constants ends after its
    inspection, and a potential that cannot be differentiated after lattice dynamics: its heat flux is not known.

    Raises
    ------
    InputError
        For a black box whose forces are not those of its energy, dynamics that blow up, and what stages refuse.
    """
    from ldmd.diffusion import diffusion

    require_disorder(problem)
    for remark in problem.remarks:
        logger.info("%s: %s", problem.settings.structure, remark)
    if not problem.inspection.usable:
        return Results(problem.inspection)
    require_conservative(problem)
    runner = Runner(problem, problem.store, provenance)
    runner.store.tidy()
    if problem.unit is not None:
        from ldmd.crystal_study import compare_crystal

        return compare_crystal(runner)
    lattice = runner.lattice()
    if problem.differentiable is None:
        return Results(
            problem.inspection, lattice.residuals, lattice.modes, lattice.linewidths, lattice.conductivity,
            force_constant_checks=problem.differences.checks,
        )  # fmt: skip
    trajectories = runner.dynamics()
    green_kubo = runner.green_kubo(trajectories, lattice.slowest_time(problem.settings.dynamics.temperature))
    motion = diffusion(problem.atoms, trajectories)
    anharmonicity = runner.anharmonicity(lattice.modes, trajectories)
    # Of atoms that diffuse every frame has a minimum of its own, which says nothing of the one of the lattice.
    minima = None if motion is not None and motion.found else runner.minima(trajectories)
    comparison = _compare(problem, lattice, trajectories, green_kubo, minima, motion)
    return Results(
        problem.inspection, lattice.residuals, lattice.modes, lattice.linewidths, lattice.conductivity,
        trajectories, green_kubo, anharmonicity, minima, motion, comparison=comparison,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Lattice:
    """Results of the lattice side."""

    residuals: Residuals
    modes: Modes
    linewidths: Linewidths
    conductivity: Conductivity

    def slowest_time(self, temperature: float) -> float | None:
        """Slowest time of the heat flux of the dynamics, ps, from classical linewidths at a temperature (K)."""
        from ldmd.lattice.lifetimes import slowest_time

        row = int(np.flatnonzero(self.linewidths.temperatures == temperature)[0])
        column = self.linewidths.statistics.index("classical")
        return slowest_time(self.linewidths.gamma[row, column], self.conductivity.per_mode[row, column])


@dataclasses.dataclass(frozen=True)
class Runner:
    """Runs stages of one problem against its store."""

    problem: Problem
    store: Store
    provenance: Mapping[str, Any]

    def parts(self, stage: str) -> dict[str, Any]:
        """Everything the result of a stage depends on; its digest names the result."""
        return stage_parts(self.problem, stage)

    @functools.cached_property
    def replica_parts(self) -> list[dict[str, Any]]:
        """The same for every replica of the dynamics."""
        return replica_parts(self.problem)

    def explain(self, stage: str) -> str:
        """One line: is the result there, and if not, what changed since the last one."""
        if stage == "dynamics":
            return self._explain_several(stage, "replicas", self.replica_parts)
        if stage == "mesh":
            from ldmd.crystal_study import mesh_parts

            return self._explain_several(stage, "meshes", mesh_parts(self))
        parts = self.parts(stage)
        if self.store.path(stage, digest(parts)).is_file():
            return f"{stage}: stored"
        changed = self.store.changed(stage, parts)
        return f"{stage}: to be computed ({'never was' if changed is None else 'changed: ' + ', '.join(changed)})"

    def _explain_several(self, stage: str, noun: str, each: list[dict[str, Any]]) -> str:
        """Results of one stage differ among each other: what changed is what in all of them differs from the latest."""
        there = sum(self.store.path(stage, digest(parts)).is_file() for parts in each)
        line = f"{stage}: {there} of {len(each)} {noun} stored"
        differences = [set(self.store.changed(stage, parts) or ()) for parts in each]
        changed = sorted(set.intersection(*differences))
        return f"{line} (changed: {', '.join(changed)})" if changed and not there else line

    def stage(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """The stored result of a stage, or a new one that is then stored."""
        known = self.stored(name, kind)
        return self.kept(compute(), name, self.parts(name)) if known is None else known

    def stored(self, name: str, kind: type[T]) -> T | None:
        """The stored result of a stage, if there is one for the present settings."""
        return self.store.get(kind, name, digest(self.parts(name)))

    def kept(self, result: T, name: str, parts: Mapping[str, Any]) -> T:
        """Store a result and read it back.

        An array that was just computed may lie in another order in memory than one from a file, and sums over it
        then differ in their last digits: an interrupted comparison must give the numbers of an uninterrupted one.
        """
        key = self.store.put(result, name, parts, self.provenance)
        stored = self.store.get(type(result), name, key)
        return result if stored is None else stored

    def checkpoint(self, stage: str, key: str) -> Checkpoint:
        """Where the unfinished work of a stage with a digest is kept."""
        path = self.store.folder / stage / f"{key[:16]}.checkpoint.npz"
        return Checkpoint(path, key, self.problem.settings.dynamics.checkpoint_seconds)

    def modes(self) -> Modes:
        """Normal modes of the cell; of a crystal, of the box of the dynamics."""
        from ldmd.lattice.modes import Modes, normal_modes

        problem = self.problem
        return self.stage("modes", Modes, lambda: normal_modes(problem.second, problem.atoms.get_masses()))

    def lattice(self) -> Lattice:
        """Force constants, modes, linewidths and conductivity."""
        from ldmd.force_constants.sum_rules import Residuals, residuals
        from ldmd.lattice.broadening import broadening_named
        from ldmd.lattice.conductivity import Conductivity, conductivity
        from ldmd.lattice.linewidths import Linewidths, linewidths
        from ldmd.lattice.modes import velocity_matrices
        from ldmd.lattice.self_consistent import self_consistent_linewidths

        problem, settings = self.problem, self.problem.settings.lattice
        atoms, temperatures = problem.atoms, problem.settings.lattice_temperatures
        checkpoint = self.checkpoint("linewidths", digest(self.parts("linewidths")))

        def compute_linewidths() -> Linewidths:
            with progress("linewidths", 1.0) as advance:
                if settings.broadening == "self-consistent":
                    return self_consistent_linewidths(
                        problem.third,
                        modes,
                        temperatures,
                        settings.statistics,
                        progress=absolute(advance),
                        memory=1e9 * settings.memory_gb,
                        precision=settings.precision,
                        checkpoint=checkpoint,
                    ).linewidths
                return linewidths(
                    problem.third,
                    modes,
                    temperatures,
                    settings.statistics,
                    broadening_named(settings.broadening, settings.width),
                    absolute(advance),
                    memory=1e9 * settings.memory_gb,
                    precision=settings.precision,
                    engine=settings.engine,
                    checkpoint=checkpoint,
                )

        def compute_conductivity() -> Conductivity:
            velocities = velocity_matrices(problem.second, modes, atoms.positions, atoms.cell.array)
            return conductivity(modes, velocities, widths, atoms.get_volume(), settings.allen_feldman_broadening)

        modes = self.modes()
        rules = self.stage("residuals", Residuals, lambda: residuals(problem.second, problem.third))
        widths = self.stage("linewidths", Linewidths, compute_linewidths)
        checkpoint.remove()
        kappa = self.stage("conductivity", Conductivity, compute_conductivity)
        return Lattice(rules, modes, widths, kappa)

    def dynamics(self) -> tuple[Trajectory, ...]:
        """All replicas; those that are missing run side by side and resume from their checkpoints."""
        from ldmd.dynamics.replicas import run_replicas
        from ldmd.dynamics.trajectory import Trajectory

        problem = self.problem
        keys = [digest(parts) for parts in self.replica_parts]
        found = {index: self.store.get(Trajectory, "dynamics", key) for index, key in enumerate(keys)}
        missing = [index for index, trajectory in found.items() if trajectory is None]
        plans = [replica_settings(problem.settings, index) for index in missing]
        checkpoints = [self.checkpoint("dynamics", keys[index]) for index in missing]

        def keep(position: int, trajectory: Trajectory) -> None:
            index = missing[position]
            found[index] = self.kept(trajectory, "dynamics", self.replica_parts[index])
            checkpoints[position].remove()

        if missing:
            total = float(plans[0].equilibration + plans[0].samples)
            with _stable(problem.settings), replica_progress("molecular dynamics", total, len(missing)) as report:
                run_replicas(problem.atoms, problem.site_potential, plans, checkpoints, report, keep)
        return tuple(trajectory for trajectory in found.values() if trajectory is not None)

    def green_kubo(self, trajectories: tuple[Trajectory, ...], slowest: float | None) -> GreenKuboResult:
        """Green-Kubo analysis of the fluxes of all replicas together, at their measured temperature.

        ``slowest`` is the slowest time of the flux, ps, where the case gives none.
        """
        from ldmd.green_kubo import GreenKuboResult, from_replicas, green_kubo

        settings = self.problem.settings.green_kubo
        temperature = float(np.mean([t.temperature.mean() for t in trajectories]))
        first = trajectories[0]
        series = from_replicas([t.flux for t in trajectories], first.sampling_interval, temperature, first.volume)
        factors = tuple(sorted({1.0, settings.aic_factor}))
        return self.stage(
            "green-kubo",
            GreenKuboResult,
            lambda: green_kubo(
                series,
                slowest_ps=slowest if settings.slowest_ps is None else settings.slowest_ps,
                cutoff_thz=settings.cutoff_thz,
                factors=factors,
            ),
        )

    def anharmonicity(self, modes: Modes, trajectories: tuple[Trajectory, ...]) -> Anharmonicity:
        """sigma^A from the frames of the dynamics and from harmonic samples of both statistics."""
        from ldmd.anharmonicity import Anharmonicity

        return self.stage("anharmonicity", Anharmonicity, lambda: _anharmonicity(self.problem, modes, trajectories))

    def minima(self, trajectories: tuple[Trajectory, ...]) -> Minima:
        """Minima of frames spread evenly over all replicas."""
        from ldmd.lattice.broadening import broadening_named
        from ldmd.minima import Minima, visited_minima

        problem, settings = self.problem, self.problem.settings
        frames = [frame for t in trajectories for frame in zip(t.frame_positions, t.frame_forces, strict=True)]
        count = settings.anharmonicity.minima
        chosen = [frames[(2 * k + 1) * len(frames) // (2 * count)] for k in range(count)]
        broadening = broadening_named(settings.lattice.fixed_broadening, settings.lattice.width)

        def compute() -> Minima:
            with progress("minima visited", float(count)) as advance:
                return visited_minima(
                    problem.atoms, problem.site_potential, chosen, settings.dynamics.temperature, broadening, advance
                )

        return self.stage("minima", Minima, compute)


@contextlib.contextmanager
def _stable(settings: Settings) -> Iterator[None]:
    """Dynamics that blow up are a matter of the time step, which is the user's to mend."""
    from ldmd.errors import InputError

    try:
        yield
    except FloatingPointError as error:
        raise InputError("dynamics.time_step_fs", f"{settings.dynamics.time_step_fs:g}", str(error)) from error


def absolute(advance: Callable[[float], None]) -> Callable[[int, int], None]:
    """Turn (done, total) reports into increments of a share."""
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        advance(done / total - last)
        last = done / total

    return report


def _anharmonicity(problem: Problem, modes: Modes, trajectories: tuple[Trajectory, ...]) -> Anharmonicity:
    from ldmd.anharmonicity import Anharmonicity, displacements_from, potential_forces, score
    from ldmd.dynamics.sampling import harmonic_displacements
    from ldmd.lattice.statistics import BoseEinstein, Classical

    atoms, symbols = problem.atoms, problem.atoms.get_chemical_symbols()
    temperature, count = problem.settings.dynamics.temperature, problem.settings.anharmonicity.configurations
    positions = np.concatenate([t.frame_positions for t in trajectories])
    forces = np.concatenate([t.frame_forces for t in trajectories])
    samples = {
        "molecular dynamics": (
            displacements_from(atoms.positions, positions, atoms.cell.array, modes.masses),
            forces,
        )
    }
    generator = np.random.default_rng(problem.settings.dynamics.seed)
    with progress("anharmonicity", 2.0 * count) as advance:
        forces_of = potential_forces(atoms, problem.site_potential, advance)
        for name, kind in (("harmonic, classical", Classical()), ("harmonic, quantum", BoseEinstein())):
            displacements = harmonic_displacements(modes, kind, temperature, count, generator)
            samples[name] = (displacements, forces_of(displacements))
    scores = {name: score(*pair, problem.second, symbols) for name, pair in samples.items()}
    return Anharmonicity(
        samplings=tuple(scores),
        groups=next(iter(scores.values()))[0],
        temperature=temperature,
        sigma=np.array([value[1] for value in scores.values()]),
        standard_error=np.array([value[2] for value in scores.values()]),
        configurations=np.array([len(pair[0]) for pair in samples.values()]),
    )


def _compare(
    problem: Problem,
    lattice: Lattice,
    trajectories: tuple[Trajectory, ...],
    green_kubo: GreenKuboResult,
    minima: Minima | None,
    motion: Diffusion | None,
) -> Comparison:
    from ldmd.comparison import compare

    temperature = problem.settings.dynamics.temperature
    quantum = "bose-einstein" if "bose-einstein" in lattice.conductivity.statistics else "classical"
    return compare(
        temperature,
        lattice.conductivity.isotropic(temperature, "classical"),
        lattice.conductivity.isotropic(temperature, quantum),
        green_kubo.conductivity,
        green_kubo.interval_95,
        problem.settings.compare.tolerance_sigma,
        0.0 if minima is None else minima.spread,
        _lattice_checks(problem, lattice),
        **dynamics_side(problem, trajectories, green_kubo, motion, lattice.slowest_time(temperature)),
    )


def dynamics_side(
    problem: Problem,
    trajectories: tuple[Trajectory, ...],
    green_kubo: GreenKuboResult,
    motion: Diffusion | None,
    slowest: float | None,
) -> dict[str, Any]:
    """What a comparison must know of the dynamics besides its value: keyword arguments of ``compare``."""
    from ldmd.comparison import RunLength
    from ldmd.dynamics.trajectory import dynamics_checks

    settings = problem.settings
    given = settings.green_kubo.slowest_ps
    return {
        "dynamics_checks": (
            *(() if given is None or slowest is None else (_slow_enough(given, slowest),)),
            *dynamics_checks(trajectories, settings.dynamics.temperature),
            *green_kubo.running.checks,
        ),
        "resolution": settings.compare.resolution,
        "run": RunLength(trajectories[0].duration, len(trajectories)),
        "diffusion": motion,
        "quick": problem.quick,
    }


def _slow_enough(given: float, slowest: float) -> Check:
    """Whether a slowest time of the case (ps) is not far below that of lattice dynamics."""
    from ldmd.results import Check

    return Check(
        "slowest time given over that of lattice dynamics",
        given / slowest,
        ">=",
        SHORTEST_OF_LATTICE,
        "1",
        f"In lattice dynamics modes that carry heat live for {slowest:.3g} ps: leave green_kubo.slowest_ps out, or "
        "give a time of that order.",
    )


def imaginary_check(modes: Modes) -> Check:
    """Whether the structure is a minimum."""
    from ldmd.results import Check

    return Check("imaginary modes", float(len(modes.imaginary)), "<=", 0.0, "modes", "not a minimum: relax further")


def resolution_of(settings: Settings, highest: float) -> tuple[Check, ...]:
    """Whether time step and interval of the flux suffice for the highest frequency, rad/ps."""
    from ldmd.dynamics.resolution import resolution_checks

    return resolution_checks(highest, settings.dynamics.time_step, settings.dynamics.flux_interval_fs / 1000.0)


def _lattice_checks(problem: Problem, lattice: Lattice) -> tuple[Check, ...]:
    from ldmd.results import Check

    rules = dataclasses.asdict(lattice.residuals)
    limits = problem.residual_limits
    no_channel = (
        "these modes find nothing to scatter with in this cell, and their heat is left out: take a larger cell, a "
        "wider kernel (lattice.width), or for a crystal a [crystal] section"
    )
    lost = lattice.linewidths.share_without_channel(lattice.modes)
    return (
        imaginary_check(lattice.modes),
        Check("modes without a scattering channel", lost, "<=", FEW_MODES, "share of modes", no_channel),
        *resolution_of(problem.settings, float(lattice.modes.frequencies.max())),
        *(
            Check(
                f"{name.replace('_', '-order ')} residual",
                value,
                "<=",
                limits[name.split("_")[0]],
                "relative",
                "wrong force constants",
            )
            for name, value in rules.items()
        ),
    )
