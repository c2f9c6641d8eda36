"""The stages of a comparison: which there are, whose code each builds on, and what else its result depends on.

The digest of everything that a result depends on is its name in the store. Bump a version when the numbers of a stage
change for the same inputs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.digest import digest
from ldmd.problem import Problem
from ldmd.settings import Settings

if TYPE_CHECKING:
    from ldmd.dynamics.replica import ReplicaSettings

STAGES = ("modes", "residuals", "linewidths", "conductivity", "dynamics", "green-kubo", "anharmonicity", "minima")
"""Of a comparison of a glass; ``WIDTH_STAGES`` and ``DIAGNOSIS`` run when asked for."""
CRYSTAL_STAGES = (
    "mesh", "portrait", "modes", "dynamics", "green-kubo", "anharmonicity", "anharmonicity-by-temperature",
)  # fmt: skip
"""Of a comparison of a crystal."""
WIDTH_STAGES = ("width-convergence", "self-consistent")
DIAGNOSIS = "diagnosis"
OF_PRIMITIVE = ("mesh", "portrait")
"""Stages that know the primitive cell only, not the box of the dynamics."""
LATTICE_STAGES = (*OF_PRIMITIVE, "modes", "residuals", "linewidths", "conductivity", *WIDTH_STAGES, DIAGNOSIS)
"""What force constants go into."""
VERSIONS = {
    "modes": 1,
    "residuals": 1,
    "linewidths": 3,  # 3: degenerate modes share the mean of their linewidths
    "conductivity": 2,  # 2: pairs of modes without a channel carry no heat
    "dynamics": 1,
    "green-kubo": 1,
    "anharmonicity": 1,
    "minima": 2,  # 2: as for the linewidths
    "width-convergence": 2,  # 2: as for the linewidths
    "self-consistent": 2,  # 2: as for the linewidths
    "diagnosis": 5,  # 5: as for the linewidths
    "mesh": 2,  # 2: one description of every crystal, symmetry by mass, velocities averaged on zone faces
    "portrait": 2,  # 2: as for the mesh, and layers
    "anharmonicity-by-temperature": 1,
}
BUILDS_ON: dict[str, tuple[str, ...]] = {
    "modes": (),
    "residuals": (),
    "linewidths": ("modes",),
    "conductivity": ("modes", "linewidths"),
    "dynamics": (),
    "green-kubo": ("dynamics",),
    "anharmonicity": ("modes", "dynamics"),
    "minima": ("modes", "linewidths", "conductivity", "dynamics"),
    "width-convergence": ("modes", "linewidths", "conductivity"),
    "self-consistent": ("modes",),
    "diagnosis": ("modes", "linewidths"),
    "mesh": (),
    "portrait": (),
    "anharmonicity-by-temperature": ("modes",),
}
"""Stages whose code a stage's numbers depend on; their versions are part of its digest."""


def stages_of(problem: Problem) -> tuple[str, ...]:
    """Those of a comparison of one problem, in their order: without dynamics where there is no heat flux."""
    if problem.differentiable is not None:
        return STAGES if problem.unit is None else CRYSTAL_STAGES
    return tuple(stage for stage in STAGES if stage in LATTICE_STAGES) if problem.unit is None else OF_PRIMITIVE


def stage_parts(problem: Problem, stage: str) -> dict[str, Any]:
    """Everything the result of a stage depends on; its digest names the result."""
    system = problem.primitive_system if stage in OF_PRIMITIVE else problem.system
    versions = {name: VERSIONS[name] for name in (stage, *BUILDS_ON[stage])}
    constants = _force_constants(problem, stage) if stage in LATTICE_STAGES else {}
    return {"versions": versions, "system": system, **_inputs(problem, stage), **constants}


def replica_parts(problem: Problem) -> list[dict[str, Any]]:
    """The same for every replica of the dynamics."""
    plans = [replica_settings(problem.settings, i) for i in range(problem.settings.dynamics.replicas)]
    return [{**stage_parts(problem, "dynamics"), **dataclasses.asdict(plan)} for plan in plans]


def replica_settings(settings: Settings, index: int) -> ReplicaSettings:
    """What one replica of the dynamics does; its seed follows from that of the case."""
    from ldmd.dynamics.replica import ReplicaSettings

    dynamics = settings.dynamics
    return ReplicaSettings(
        temperature=dynamics.temperature,
        time_step=dynamics.time_step,
        stride=dynamics.flux_stride,
        equilibration=round(dynamics.equilibration_steps / dynamics.flux_stride),
        samples=dynamics.samples,
        samples_per_frame=dynamics.frame_stride,
        seed=int(np.random.SeedSequence([dynamics.seed, index]).generate_state(1)[0] >> 1),
    )


def _inputs(problem: Problem, stage: str) -> dict[str, Any]:
    """The settings of a stage and the results that go into it."""
    settings = problem.settings
    lattice, dynamics, anharmonicity = settings.lattice, settings.dynamics, settings.anharmonicity
    kernel = {"broadening": lattice.broadening, "width": lattice.width}
    at_one = {"temperature": dynamics.temperature, "statistics": lattice.statistics}
    samples = {"configurations": anharmonicity.configurations, "seed": dynamics.seed}
    temperatures = {"temperatures": settings.lattice_temperatures}
    match stage:
        case "linewidths":
            return _scattering(settings)
        case "conductivity":
            return {**_scattering(settings), "allen_feldman_broadening": lattice.allen_feldman_broadening}
        case "width-convergence":
            return {**at_one, "broadening": lattice.fixed_broadening}
        case "self-consistent":
            return at_one
        case "diagnosis":
            return {"temperature": dynamics.temperature, **kernel}
        case "green-kubo":
            return {**_trajectories(problem), "settings": settings.green_kubo.model_dump(mode="json")}
        case "anharmonicity":
            return {**_trajectories(problem), **samples}
        case "minima":
            fixed = {"broadening": lattice.fixed_broadening, "width": lattice.width}
            return {**_trajectories(problem), "count": anharmonicity.minima, **fixed}
        case "anharmonicity-by-temperature":
            return {**temperatures, **samples}
        case "portrait":
            return temperatures
        case _:
            return {}


def _scattering(settings: Settings) -> dict[str, Any]:
    lattice = settings.lattice
    parts = {
        "temperatures": settings.lattice_temperatures,
        "statistics": lattice.statistics,
        "broadening": lattice.broadening,
        "width": lattice.width,
    }
    return parts if lattice.precision == "float64" else {**parts, "precision": lattice.precision}


def _trajectories(problem: Problem) -> dict[str, Any]:
    return {"dynamics": [digest(parts) for parts in replica_parts(problem)]}


def _force_constants(problem: Problem, stage: str) -> dict[str, Any]:
    """How force constants are made, and of a crystal on meshes in which supercell, with which charges."""
    lattice, crystal = problem.settings.lattice, problem.settings.crystal
    parts: dict[str, Any] = {}
    if problem.by_differences:
        parts["differences"] = {"displacement": lattice.displacement, "pair_cutoff": problem.pair_cutoff}
    if stage in OF_PRIMITIVE and crystal is not None:
        parts |= {"force_constants": problem.force_constant_supercell, **problem.born_charges}
        if problem.by_differences and crystal.force_constants is None:
            parts["supercell"] = problem.box
        if stage == "mesh":
            parts["engine"] = crystal.engine
    return parts
