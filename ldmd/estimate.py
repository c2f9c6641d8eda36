"""What a comparison will cost, measured on this machine: a little of the real work, scaled up.

Of a crystal that is a coarse mesh of wave vectors. On a mesh with N of them, n irreducible, scattering takes about n N
triplets, and the direct solution at each temperature the eigenvectors of a matrix with 3 n rows per band. An estimate,
good to a factor of two or three.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING

import numpy as np

from ldmd.problem import Problem
from ldmd.subject import MESHES

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.crystal.mesh import MeshSettings

STEP_EVALUATIONS = 100
"""Evaluations of a black box that noise and steps take, about."""
PROBES = 32
"""Modes whose triplets are summed to learn the speed."""
TIMED = 20
"""Samples of the dynamics that are timed together,"""
TIMED_RUNS = 4
"""and how often: the fastest counts."""
COMPILED = 3.0
"""Times the making of force constants: the portrait and the score of anharmonicity compile as much each."""
FINEST = len(MESHES) - 1
"""Place of the finest mesh among all that are computed; those that are timed are coarser."""
COARSE = (3, 5, 7, 9)
"""Longest sides of the meshes that are timed, until one takes long enough."""
COARSE_KALDO = (2, 3)
"""The same for kALDo, which uses no symmetry."""
KALDO_GROWS = 1.5
"""Power of the number of wave vectors: some of its time goes into each mode, some into each triplet."""
LONG_ENOUGH = 1.0
"""s, beyond what every mesh takes."""
ROWS = 600
"""Of the matrix whose eigenvectors are timed."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Expected wall times of both sides, and peak memory; nothing stored is taken into account."""

    lattice_seconds: float
    dynamics_seconds: float
    memory_gb: float


def estimate_cost(problem: Problem) -> Cost:
    """Time a little of both sides (some ten seconds, most of it compiling).

    Of the lattice of a glass that is the scattering of a few modes, of a crystal a coarse mesh. Where force constants
    are finite differences of a crystal or a black box, the evaluations of forces are counted. A black box has no
    dynamics, whose time is 0.
    """
    lattice = _lattice_seconds(problem)
    dynamics = 0.0 if problem.differentiable is None else _dynamics_seconds(problem)
    return Cost(lattice, dynamics, _memory(problem))


def _lattice_seconds(problem: Problem) -> float:
    if problem.by_differences and (problem.unit is not None or problem.differentiable is None):
        return _differences_seconds(problem)
    return _gamma_seconds(problem) if problem.unit is None else _crystal_seconds(problem)


def _differences_seconds(problem: Problem) -> float:
    """Force constants by finite differences; what follows from them is quick beside those of a slow black box."""
    from ldmd.force_constants.finite_differences import evaluations_needed
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.reading import as_black_box

    potential, atoms = problem.potential, _displaced(problem)
    if not isinstance(potential, AsePotential):
        potential = as_black_box(problem.settings.potential, problem.case.folder, atoms.get_chemical_symbols())
    needed = sum(evaluations_needed(atoms, problem.pair_cutoff)) + STEP_EVALUATIONS
    potential.forces(atoms)  # makes the calculator
    atoms.positions[0, 0] += 1e-4  # calculators remember their last answer
    started = time.perf_counter()
    potential.forces(atoms)
    return (time.perf_counter() - started) * needed / (os.cpu_count() or 1)


def _displaced(problem: Problem) -> Atoms:
    """What atoms are displaced in: of a crystal, the supercell of the force constants."""
    from ldmd.crystal.force_constants import supercell_of

    if problem.unit is None or problem.force_constant_supercell is None:
        return problem.atoms.copy()
    return supercell_of(problem.primitive, problem.force_constant_supercell).atoms.copy()


def _gamma_seconds(problem: Problem) -> float:
    from ldmd.lattice.broadening import broadening_named
    from ldmd.lattice.linewidths import pair_count, probe
    from ldmd.lattice.modes import normal_modes

    settings = problem.settings.lattice
    modes = normal_modes(problem.second, problem.atoms.get_masses())
    broadening = broadening_named(settings.fixed_broadening, settings.width)
    conditions = (problem.settings.lattice_temperatures, settings.statistics, broadening)
    work = probe(problem.third, modes, *conditions, PROBES)
    started = time.perf_counter()
    pairs = work()
    speed = pairs / (time.perf_counter() - started)
    return pair_count(modes, broadening) / speed / (os.cpu_count() or 1)


def _crystal_seconds(problem: Problem) -> float:
    """Force constants and what else compiles, and all meshes."""
    from ldmd.crystal_study import mesh_plans

    plans = mesh_plans(problem)  # first: what is wrong with them is known without force constants
    started = time.perf_counter()
    assert problem.crystal.third is not None
    making = time.perf_counter() - started
    sizes = [_size(problem, plan) for plan in plans]
    start, speed = _mesh_speed(problem, plans[FINEST])
    pairs = list(zip(plans, sizes, strict=True))
    seconds = sum(_runs(plan) * (start + triplets / speed) for plan, (triplets, _) in pairs)
    solved = sum(_solutions(problem, plan) * rows**3 for plan, (_, rows) in pairs) / ROWS**3
    compiling = making if problem.imported else COMPILED * making
    return compiling + seconds + (solved * _eigenvector_seconds() if solved else 0.0)


def _mesh_speed(problem: Problem, plan: MeshSettings) -> tuple[float, float]:
    """Seconds that every mesh takes, and triplets per second beyond, from meshes coarser than a plan."""
    from ldmd.crystal_study import solver
    from ldmd.force_constants.exchange.files import peer

    solve, shape = solver(problem), np.diag(plan.matrix)
    if _by_kaldo(problem):
        peer("kaldo.phonons", "kaldo")  # imported beforehand, for that takes longer than a coarse mesh
    times: list[tuple[float, float]] = []
    for longest in COARSE_KALDO if _by_kaldo(problem) else COARSE:
        first, second, third = (max(1, round(longest * side / shape.max())) for side in shape.tolist())
        direct = plan.direct and not _by_kaldo(problem)  # whose solution may not exist on so few wave vectors
        coarse = dataclasses.replace(plan, grid=(first, second, third), direct=direct)
        started = time.perf_counter()
        solve(coarse)
        times.append((_size(problem, coarse)[0], time.perf_counter() - started))
        if times[-1][1] - times[0][1] > LONG_ENOUGH or longest >= shape.max():
            break
    (few, base), (many, last) = times[0], times[-1]
    speed = (many - few) / max(last - base, 1e-3) if len(times) > 1 else few / base
    return max(0.0, base - few / speed), speed


def _size(problem: Problem, plan: MeshSettings) -> tuple[float, float]:
    """Triplets that are computed, about, and rows of the matrix of the direct solution."""
    from ldmd.crystal.force_constants import phono3py_of, supercell_of
    from ldmd.force_constants.exchange.files import peer

    bands, count = 3 * len(problem.primitive), abs(round(np.linalg.det(plan.matrix)))
    if _by_kaldo(problem):
        return count**KALDO_GROWS, bands * count
    if not plan.symmetry:
        return count**2, 3 * bands * count
    program = phono3py_of(problem.primitive, supercell_of(problem.primitive, (1, 1, 1)))
    program.mesh_numbers = np.diag(plan.matrix) if np.ndim(plan.grid) == 1 else plan.matrix.T
    irreducible = len(peer("phonopy.phonon.grid", "phonopy").get_ir_grid_points(program.grid)[0])
    return irreducible * count, 3 * bands * irreducible


def _by_kaldo(problem: Problem) -> bool:
    return problem.settings.crystal is not None and problem.settings.crystal.engine == "kaldo"


def _runs(plan: MeshSettings) -> float:
    """How often the collisions are computed, against twice: with isotopes at every temperature once more."""
    return 0.5 * (1 + len(plan.temperatures)) if plan.isotopes and plan.direct else 1.0


def _solutions(problem: Problem, plan: MeshSettings) -> int:
    """Matrices of the direct solution: all classical ones follow from one, but for kALDo or isotopes."""
    count, kinds = len(plan.temperatures), len(plan.statistics)
    every = plan.isotopes or _by_kaldo(problem)
    return 0 if not plan.direct else count * kinds if every else count * (kinds - 1) + 1


def _eigenvector_seconds() -> float:
    """Of a symmetric matrix with ``ROWS`` rows."""
    matrix = np.random.default_rng(0).normal(size=(ROWS, ROWS))
    started = time.perf_counter()
    np.linalg.eigh(matrix + matrix.T)
    return time.perf_counter() - started


def _dynamics_seconds(problem: Problem) -> float:
    from ldmd.dynamics.integrate import Engine, maxwell_velocities

    settings = problem.settings.dynamics
    engine = Engine(problem.atoms, problem.site_potential, settings.time_step, settings.flux_stride)
    generator = np.random.default_rng(0)
    velocities = maxwell_velocities(problem.atoms.get_masses(), settings.temperature, generator)
    phase = engine.phase(problem.atoms.positions, velocities)
    times = []
    for start in range(0, TIMED * TIMED_RUNS, TIMED):  # the first compiles, and any may: where neighbours come in
        started = time.perf_counter()
        phase, samples = engine.advance(phase, TIMED, start)
        samples.virial.block_until_ready()
        times.append(time.perf_counter() - started)
    per_sample = min(times) / TIMED
    rounds = -(-settings.replicas // (os.cpu_count() or 1))
    return rounds * per_sample * (settings.samples + settings.equilibration_steps / settings.flux_stride)


def _memory(problem: Problem) -> float:
    """GB: a dozen dense matrices of the modes, the fluxes, and what the libraries take themselves.

    Of a crystal also the dense third order and the matrices of the direct solution, where force constants are there.
    """
    size, settings = 3 * len(problem.atoms), problem.settings.dynamics
    matrices = 12 * 8.0 * size**2
    fluxes = settings.replicas * settings.samples * 8 * 8.0
    return (matrices + 3.0 * fluxes + _mesh_bytes(problem)) / 1e9 + 0.7


def _mesh_bytes(problem: Problem) -> float:
    from ldmd.crystal.force_constants import dense_bytes
    from ldmd.crystal.phono3py_engine import COPIES
    from ldmd.crystal_study import mesh_plans

    if problem.unit is None or problem.by_differences:
        return 0.0
    matrices = [
        8.0 * (1 + len(plan.temperatures)) * _size(problem, plan)[1] ** 2 for plan in mesh_plans(problem) if plan.direct
    ]
    return COPIES * dense_bytes(problem.crystal) + max(matrices, default=0.0)
