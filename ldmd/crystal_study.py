"""The lattice dynamics of a crystal, stage by stage: meshes of wave vectors, that of the dynamics, and a portrait."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.problem import Problem
from ldmd.progress import progress
from ldmd.settings import Settings
from ldmd.subject import MESHES, Crystal, meshes
from ldmd.units import THZ
from ldmd.workflow import Results, Runner, dynamics_side, imaginary_check, resolution_of

if TYPE_CHECKING:
    from ldmd.anharmonicity import AnharmonicityByTemperature
    from ldmd.comparison import Comparison
    from ldmd.crystal.convergence import MeshConvergence
    from ldmd.crystal.description import Divisions
    from ldmd.crystal.electrostatics import Electrostatics
    from ldmd.crystal.force_constants import CrystalForceConstants
    from ldmd.crystal.harmonic import Polarity
    from ldmd.crystal.mesh import Grid, MeshConductivity, MeshSettings
    from ldmd.crystal.portrait import Portrait
    from ldmd.diffusion import Diffusion
    from ldmd.dynamics.trajectory import Trajectory
    from ldmd.green_kubo import GreenKuboResult
    from ldmd.lattice.modes import Modes
    from ldmd.results import Check

ONE_SHOT = 20
"""Configurations at every temperature of the anharmonicity score."""


@dataclasses.dataclass(frozen=True)
class CrystalStudy:
    """What lattice dynamics says of a crystal."""

    meshes: tuple[MeshConductivity, ...]
    """Ascending."""
    commensurate: MeshConductivity
    """On the wave vectors of the box of the dynamics."""
    otherwise: MeshConductivity
    """The same with energy conserved otherwise: a Gaussian in place of tetrahedra, or the reverse."""
    convergence: tuple[MeshConvergence, ...]
    """Of relaxation times, with the heat between bands, and of the direct solution with it where there is one."""
    portrait: Portrait
    with_isotopes: MeshConductivity | None = None
    """On the finest mesh."""
    anharmonicity: AnharmonicityByTemperature | None = None
    constants_checks: tuple[Check, ...] = ()

    @property
    def finest(self) -> MeshConductivity:
        """The result on the finest mesh."""
        return self.meshes[-1]

    @property
    def part(self) -> str:
        """The best conductivity that was computed."""
        return "total" if self.finest.direct is None else "direct total"

    def smearing_error(self, temperature: float) -> float:
        """W/(m K): half of what another way to conserve energy changes, classically, on the mesh of the dynamics.

        Zero where the other way leaves modes without scattering, and tells nothing; ``checks`` say so.
        """
        if not self.otherwise_sound:
            return 0.0
        values = (each.isotropic(temperature, "classical", self.part) for each in (self.commensurate, self.otherwise))
        first, second = values
        return 0.5 * abs(first - second)

    @property
    def otherwise_sound(self) -> bool:
        """Whether the other way to conserve energy gives a conductivity to compare with."""
        return all(check.passed for check in self.otherwise.checks if check not in self.constants_checks)

    def slowest_time(self, temperature: float) -> float | None:
        """Slowest time of the heat flux of the dynamics, ps: classical, at a temperature (K), on its wave vectors.

        Where the Boltzmann equation was solved, longer by what normal processes give back to the flux.
        """
        from ldmd.lattice.lifetimes import slowest_time

        box = self.commensurate
        row, column = int(np.flatnonzero(box.temperatures == temperature)[0]), box.statistics.index("classical")
        slowest = slowest_time((box.gamma + box.isotopes)[row, column], box.per_mode[row, column])
        if slowest is None or box.direct is None:
            return slowest
        direct, single = (box.isotropic(temperature, "classical", part) for part in ("direct", "relaxation time"))
        return slowest * max(1.0, direct / single)

    @property
    def checks(self) -> tuple[Check, ...]:
        """Of the force constants, of the finest mesh and that of the dynamics, and of the portrait."""
        from ldmd.results import Check

        own = [check for check in self.finest.checks if check not in self.constants_checks]
        box = [
            dataclasses.replace(check, name=f"{check.name}, box of the dynamics")
            for check in self.commensurate.checks
            if check not in self.constants_checks
        ]
        lost = sum(not check.passed for check in self.otherwise.checks if check not in self.constants_checks)
        second = Check(
            "failed checks with energy conserved otherwise, box of the dynamics",
            float(lost),
            "<=",
            0.0,
            "checks",
            "The error of how energy is conserved is not known: give a wider lattice.width or crystal.smearing.",
        )
        return (*self.constants_checks, *own, *box, second, *self.portrait.checks)

    def convergence_checks(self, temperature: float) -> tuple[Check, ...]:
        """Whether the infinite mesh is known well enough at one temperature."""
        wanted = f"{temperature:g} K"
        best = self.convergence[-1]
        return tuple(check for check in best.checks if check.name.endswith(f" {wanted}"))


def mesh_plans(problem: Problem) -> tuple[MeshSettings, ...]:
    """What is computed: the meshes, ascending; that of the dynamics in two ways; the finest with isotopes, if asked.

    A box of less symmetry than the crystal is taken as it is, and its wave vectors without symmetry.

    Raises
    ------
    InputError
        For a mesh that breaks the symmetry of the crystal, or one that the engine does not know.
    """
    from ldmd.crystal.convergence import commensurate_grid
    from ldmd.crystal.description import keeps_symmetry
    from ldmd.crystal.mesh import MeshSettings

    settings, crystal = problem.settings, _crystal(problem.settings)
    common: dict[str, Any] = {
        "temperatures": settings.lattice_temperatures,
        "statistics": settings.lattice.statistics,
        "direct": crystal.direct,
    }
    primitive, box = problem.primitive, commensurate_grid(problem.primitive, problem.atoms.cell.array)
    finest = problem.along_primitive("mesh", crystal.mesh)
    _require_known(problem, crystal, finest, box)
    symmetry = keeps_symmetry(primitive, problem.atoms.cell.array)
    other = settings.lattice.width if crystal.smearing is None else None
    plans = [MeshSettings(grid=grid, smearing=crystal.smearing, **common) for grid in meshes(finest)]
    plans += [
        MeshSettings(grid=box, smearing=width, symmetry=symmetry, **common) for width in (crystal.smearing, other)
    ]
    if crystal.isotopes:
        plans.append(dataclasses.replace(plans[len(MESHES) - 1], isotopes=True))
    return tuple(plans)


def _require_known(problem: Problem, crystal: Crystal, finest: Divisions, box: Grid) -> None:
    from ldmd.crystal.description import keeps_symmetry

    for mesh in meshes(finest):
        if not keeps_symmetry(problem.primitive, np.diag(mesh) @ problem.primitive.cell.array):
            share = "" if mesh == finest else f" of {list(finest)}"
            fix = "breaks the symmetry of the crystal: equivalent vectors of the primitive cell need equal divisions"
            raise InputError("crystal.mesh", f"{list(mesh)}{share}", fix)
    if crystal.engine == "kaldo" and np.ndim(box) != 1:
        fix = "knows no wave vectors of a box that does not repeat the primitive cell; give that as the structure"
        raise InputError("crystal.engine", '"kaldo"', fix)


def mesh_parts(runner: Runner) -> list[dict[str, Any]]:
    """Everything that the result on each of the meshes depends on."""
    return [{**runner.parts("mesh"), "mesh": dataclasses.asdict(plan)} for plan in mesh_plans(runner.problem)]


def crystal_study(runner: Runner) -> CrystalStudy:
    """Everything that lattice dynamics says of the crystal of a problem; what is stored is not computed again.

    Raises
    ------
    InputError
        Where an engine is missing, a mesh breaks the symmetry, or memory does not suffice.
    """
    from ldmd.crystal.convergence import mesh_convergence
    from ldmd.crystal.vacuum import vacuum_checks

    problem = runner.problem
    results = _on_meshes(runner)
    count = len(MESHES)
    series, (commensurate, otherwise), rest = results[:count], results[count : count + 2], results[count + 2 :]
    parts = ("relaxation time", "total", *(("direct total",) if series[0].direct is not None else ()))
    return CrystalStudy(
        meshes=tuple(series),
        commensurate=commensurate,
        otherwise=otherwise,
        convergence=tuple(mesh_convergence(series, part) for part in parts),
        portrait=_portrait(runner),
        with_isotopes=rest[0] if rest else None,
        constants_checks=(*problem.crystal.checks, *vacuum_checks(problem.primitive)),
    )


def with_anharmonicity(study: CrystalStudy, runner: Runner, modes: Modes) -> CrystalStudy:
    """The same with the anharmonicity score against temperature and mode by mode, from harmonic configurations."""
    from ldmd.anharmonicity import AnharmonicityByTemperature, against_temperature, potential_forces

    problem = runner.problem
    potential, settings = problem.differentiable, problem.settings
    if potential is None:
        return study

    def compute() -> AnharmonicityByTemperature:
        return against_temperature(
            potential_forces(problem.atoms, potential),
            problem.second,
            modes,
            problem.atoms.get_chemical_symbols(),
            settings.lattice_temperatures,
            min(ONE_SHOT, settings.anharmonicity.configurations),
            settings.dynamics.seed,
        )

    found = runner.stage("anharmonicity-by-temperature", AnharmonicityByTemperature, compute)
    return dataclasses.replace(study, anharmonicity=found)


def _on_meshes(runner: Runner) -> list[MeshConductivity]:
    """Results on all meshes, each stored as soon as it is there."""
    from ldmd.crystal.mesh import MeshConductivity

    problem = runner.problem
    parts, plans = mesh_parts(runner), mesh_plans(problem)
    known = [runner.store.get(MeshConductivity, "mesh", digest(each)) for each in parts]
    missing = sum(_cost(plan) for plan, result in zip(plans, known, strict=True) if result is None)
    if not missing:
        return [result for result in known if result is not None]
    solve = solver(problem)
    with progress("scattering on meshes of wave vectors", missing) as advance:
        results = []
        for plan, result, each in zip(plans, known, parts, strict=True):
            if result is None:
                results.append(runner.kept(solve(plan), "mesh", each))
                advance(_cost(plan))
            else:
                results.append(result)
    return results


def _cost(plan: MeshSettings) -> float:
    """Triplets, about: every wave vector meets every other."""
    return float(abs(np.linalg.det(plan.matrix))) ** 2


def solver(problem: Problem) -> Callable[[MeshSettings], MeshConductivity]:
    """What computes the conductivity on a mesh, with the force constants of the problem.

    Raises
    ------
    InputError
        Where force constants or charges cannot be had.
    """
    from ldmd.crystal import phono3py_engine

    crystal = _crystal(problem.settings)
    if crystal.engine == "kaldo":
        return lambda plan: _by_kaldo(problem.crystal, plan)
    electrostatics = _electrostatics(problem)
    return lambda plan: phono3py_engine.conductivity(problem.crystal, plan, electrostatics)


def _by_kaldo(constants: CrystalForceConstants, plan: MeshSettings) -> MeshConductivity:
    from ldmd.crystal import kaldo_engine

    try:
        return kaldo_engine.conductivity(constants, plan)
    except np.linalg.LinAlgError as error:
        fix = (
            f"its collisions on the mesh {np.diag(plan.matrix).tolist()} have no inverse, for some modes find nothing "
            "to scatter with; give a wider smearing (lattice.width where it has none), or direct = false"
        )
        raise InputError("crystal.engine", '"kaldo"', fix) from error


def _electrostatics(problem: Problem) -> Electrostatics | None:
    """Those of the BORN file that the case names, else those that came with the force constants."""
    from ldmd.crystal.electrostatics import read_born

    born = _crystal(problem.settings).born
    if born is None:
        return problem.crystal.electrostatics
    return read_born(problem.case.folder / born, problem.crystal.primitive)


def _portrait(runner: Runner) -> Portrait:
    from ldmd.crystal.harmonic import Polarity
    from ldmd.crystal.portrait import Portrait, portrait

    problem = runner.problem

    def compute() -> Portrait:
        found = _electrostatics(problem)
        polarity = None if found is None else Polarity(found.born, found.dielectric, found.method)
        # What is no minimum has no sound; bands show why.
        potential = problem.differentiable if _is_minimum(problem.crystal, polarity) else None
        with progress("bands and elasticity", 1.0) as advance:
            return portrait(problem.crystal, problem.settings.lattice_temperatures, potential, polarity, advance)

    return runner.stage("portrait", Portrait, compute)


def _is_minimum(constants: CrystalForceConstants, polarity: Polarity | None) -> bool:
    """Whether no mode of a coarse mesh is imaginary."""
    from ldmd.crystal.harmonic import phonopy_of
    from ldmd.crystal.mesh import AT_REST
    from ldmd.crystal.portrait import GRUENEISEN_POINTS, even_mesh

    crystal = phonopy_of(constants.second, polarity)
    crystal.run_mesh(even_mesh(constants, GRUENEISEN_POINTS // (3 * len(constants.primitive))), is_gamma_center=True)
    return bool(THZ * crystal.mesh.frequencies.min() >= -AT_REST)


def _crystal(settings: Settings) -> Crystal:
    assert settings.crystal is not None, "only a crystal has meshes; callers look first"
    return settings.crystal


def compare_crystal(runner: Runner) -> Results:
    """Run every stage that is missing; without dynamics for a potential that cannot be differentiated."""
    from ldmd.diffusion import diffusion

    problem = runner.problem
    study = crystal_study(runner)
    if problem.differentiable is None:
        return Results(problem.inspection, crystal=study, force_constant_checks=problem.crystal.accuracy_checks)
    modes = runner.modes()
    trajectories = runner.dynamics()
    green_kubo = runner.green_kubo(trajectories, study.slowest_time(problem.settings.dynamics.temperature))
    anharmonicity = runner.anharmonicity(modes, trajectories)
    study = with_anharmonicity(study, runner, modes)
    motion = diffusion(problem.atoms, trajectories)
    comparison = _compare(problem, study, modes, trajectories, green_kubo, motion)
    return Results(
        problem.inspection,
        modes=modes,
        trajectories=trajectories,
        green_kubo=green_kubo,
        anharmonicity=anharmonicity,
        diffusion=motion,
        crystal=study,
        comparison=comparison,
    )


def _compare(
    problem: Problem,
    study: CrystalStudy,
    modes: Modes,
    trajectories: tuple[Trajectory, ...],
    green_kubo: GreenKuboResult,
    motion: Diffusion | None,
) -> Comparison:
    """On the wave vectors of the box; the ledger has the way there."""
    from ldmd.comparison import compare
    from ldmd.crystal.ledger import START, lattice_steps

    temperature = problem.settings.dynamics.temperature
    found = lattice_steps(study.meshes, study.commensurate, temperature)
    return compare(
        temperature,
        found.classical,
        found.quantum,
        green_kubo.conductivity,
        green_kubo.interval_95,
        problem.settings.compare.tolerance_sigma,
        study.smearing_error(temperature),
        (
            imaginary_check(modes),
            *resolution_of(problem.settings, float(modes.frequencies.max())),
            *study.checks,
            *study.convergence_checks(temperature),
        ),
        found.steps,
        (START, found.relaxation_times),
        "on the wave vectors of the box",
        **dynamics_side(problem, trajectories, green_kubo, motion, study.slowest_time(temperature)),
    )
