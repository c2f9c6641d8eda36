"""What a comparison will cost, measured on this machine: a little of the real work, scaled up."""

from __future__ import annotations

import dataclasses
import os
import time

import numpy as np

from ldmd.problem import Problem

STEP_EVALUATIONS = 100
"""Evaluations of a black box that noise and steps take, about."""
PROBES = 32
"""Modes whose triplets are summed to learn the speed."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """Expected wall times of both sides, and peak memory; nothing stored is taken into account."""

    lattice_seconds: float
    dynamics_seconds: float
    memory_gb: float


def estimate_cost(problem: Problem) -> Cost:
    """Time a few modes of the triplet sum and a few steps of dynamics (some ten seconds, most of it compiling).

    Of a black box the evaluations of its forces are counted; without dynamics their time is 0.
    """
    if problem.differentiable is None:
        return Cost(_black_box_seconds(problem), 0.0, _memory(problem))
    return Cost(_lattice_seconds(problem), _dynamics_seconds(problem), _memory(problem))


def _black_box_seconds(problem: Problem) -> float:
    """Force constants by finite differences; what follows from them is quick beside."""
    from ldmd.force_constants.finite_differences import evaluations_needed
    from ldmd.potentials.black_box import AsePotential

    potential, atoms = problem.potential, problem.atoms.copy()
    assert isinstance(potential, AsePotential)
    potential.forces(atoms)  # makes the calculator
    atoms.positions[0, 0] += 1e-4  # calculators remember their last answer
    started = time.perf_counter()
    potential.forces(atoms)
    elapsed = time.perf_counter() - started
    needed = sum(evaluations_needed(problem.atoms, problem.pair_cutoff)) + STEP_EVALUATIONS
    return elapsed * needed / (os.cpu_count() or 1)


def _lattice_seconds(problem: Problem) -> float:
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


def _dynamics_seconds(problem: Problem) -> float:
    from ldmd.dynamics.integrate import Engine, maxwell_velocities

    settings = problem.settings.dynamics
    engine = Engine(problem.atoms, problem.site_potential, settings.time_step, settings.flux_stride)
    generator = np.random.default_rng(0)
    velocities = maxwell_velocities(problem.atoms.get_masses(), settings.temperature, generator)
    phase = engine.phase(problem.atoms.positions, velocities)
    phase, _ = engine.advance(phase, 20, 0)
    started = time.perf_counter()
    engine.advance(phase, 20, 20)[1].virial.block_until_ready()
    per_sample = (time.perf_counter() - started) / 20
    rounds = -(-settings.replicas // (os.cpu_count() or 1))
    return rounds * per_sample * (settings.samples + settings.equilibration_steps / settings.flux_stride)


def _memory(problem: Problem) -> float:
    """GB: a dozen dense matrices of the modes, the fluxes, and what the libraries take themselves."""
    size, settings = 3 * len(problem.atoms), problem.settings.dynamics
    matrices = 12 * 8.0 * size**2
    fluxes = settings.replicas * settings.samples * 8 * 8.0
    return (matrices + 3.0 * fluxes) / 1e9 + 0.7
