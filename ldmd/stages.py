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
OF_FORCE_CONSTANTS = (
    *OF_PRIMITIVE, "modes", "residuals", "linewidths", "conductivity", *WIDTH_STAGES, DIAGNOSIS,
    "anharmonicity", "anharmonicity-by-temperature",
)  # fmt: skip
"""What the force constants in use go into, or modes made of them. Those of the minima visited are always exact."""
WITHOUT_DYNAMICS = tuple(stage for stage in OF_FORCE_CONSTANTS if not stage.startswith("anharmonicity"))
"""What is known without a heat flux."""
VERSIONS = {
    "modes": 2,  # 2: masses that are not the standard ones count; results of 1 may be of other masses
    "residuals": 1,
    "linewidths": 3,  # 3: degenerate modes share the mean of their linewidths
    "conductivity": 2,  # 2: pairs of modes without a channel carry no heat
    "dynamics": 2,  # 2: as for the modes, and energies in the flux count from the mean of each species at rest
    "green-kubo": 2,  # 2: value at zero frequency of a smooth spectrum, with the slowest time of lattice dynamics
    "anharmonicity": 2,  # 2: how force constants are made counts; results of 1 may be of others
    "minima": 2,  # 2: as for the linewidths
    "width-convergence": 2,  # 2: as for the linewidths
    "self-consistent": 2,  # 2: as for the linewidths
    "diagnosis": 6,  # 6: degenerate modes share the mean of their linewidths; every end of a potential may be a kink
    "mesh": 3,  # 3: one description of every crystal, symmetry by mass, charges and sum rules of files
    "portrait": 3,  # 3: as for the mesh, and layers
    "anharmonicity-by-temperature": 2,  # 2: as for the anharmonicity
}
BUILDS_ON: dict[str, tuple[str, ...]] = {
    "modes": (),
    "residuals": (),
    "linewidths": ("modes",),
    "conductivity": ("modes", "linewidths"),
    "dynamics": (),
    "green-kubo": ("dynamics", "modes", "linewidths", "conductivity", "mesh"),
    "anharmonicity": ("modes", "dynamics"),
    "minima": ("modes", "linewidths", "conductivity", "dynamics"),
    "width-convergence": ("modes", "linewidths", "conductivity"),
    "self-consistent": ("modes",),
    "diagnosis": ("modes", "linewidths", "conductivity"),
    "mesh": (),
    "portrait": (),
    "anharmonicity-by-temperature": ("modes",),
}
"""Stages whose code a stage's numbers depend on; their versions are part of its digest."""


def stages_of(problem: Problem) -> tuple[str, ...]:
    """Those of a comparison of one problem, in their order: without dynamics where there is no heat flux."""
    if problem.differentiable is not None:
        return STAGES if problem.unit is None else CRYSTAL_STAGES
    return tuple(stage for stage in STAGES if stage in WITHOUT_DYNAMICS) if problem.unit is None else OF_PRIMITIVE


def stage_parts(problem: Problem, stage: str) -> dict[str, Any]:
    """Everything the result of a stage depends on; its digest names the result."""
    system = problem.described(problem.primitive if stage in OF_PRIMITIVE else problem.atoms)
    versions = {name: VERSIONS[name] for name in (stage, *BUILDS_ON[stage])}
    constants = _force_constants(problem, stage) if stage in OF_FORCE_CONSTANTS else {}
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
            return {"temperature": dynamics.temperature, **kernel, **_precision(settings)}
        case "green-kubo":
            own = {"settings": settings.green_kubo.model_dump(mode="json")}
            return {**_trajectories(problem), **own, **_slowest_time(problem)}
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
    return {**parts, **_precision(settings)}


def _precision(settings: Settings) -> dict[str, Any]:
    """Of the matrix elements, where it is not the usual one."""
    precision = settings.lattice.precision
    return {} if precision == "float64" else {"precision": precision}


def _trajectories(problem: Problem) -> dict[str, Any]:
    return {"dynamics": [digest(parts) for parts in replica_parts(problem)]}


def _slowest_time(problem: Problem) -> dict[str, Any]:
    """What the lifetimes depend on that the slowest time of the flux comes from, where the case gives none."""
    if problem.settings.green_kubo.slowest_ps is not None:
        return {}
    lattice, crystal = problem.settings.lattice, problem.settings.crystal
    parts: dict[str, Any] = {"temperature": problem.settings.dynamics.temperature}
    if crystal is None:
        parts |= {"broadening": lattice.broadening, "width": lattice.width, **_precision(problem.settings)}
    else:
        parts |= {"smearing": crystal.smearing, "direct": crystal.direct, "isotopes": crystal.isotopes}
    return {"lifetimes": {**parts, **_force_constants(problem, "linewidths" if crystal is None else "mesh")}}


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
