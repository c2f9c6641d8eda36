"""Every setting and every input, changed one by one: the stages that read it get another digest, and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldmd.case import Case
from ldmd.crystal_study import mesh_parts
from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.force_constants.sum_rules import Residuals
from ldmd.potentials.black_box import AsePotential
from ldmd.potentials.stillinger_weber import read_stillinger_weber
from ldmd.problem import Problem
from ldmd.settings import Settings
from ldmd.stages import CRYSTAL_STAGES, DIAGNOSIS, STAGES, WIDTH_STAGES, replica_parts, stage_parts
from ldmd.workflow import Runner

SILICON = """Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333
7.049556277 0.6022245584 4.0 0.0 0.0
"""
BASE: dict[str, Any] = {
    "material": {"name": "silicon"},
    "potential": {"kind": "stillinger-weber", "parameters": "Si.sw"},
    "lattice": {"temperatures": [300.0], "width": 0.6},
}
GLASS = (*STAGES, *WIDTH_STAGES, DIAGNOSIS)
MODES = {"modes", "residuals", "linewidths", "conductivity", *WIDTH_STAGES, DIAGNOSIS}
SCATTERING = {"linewidths", "conductivity"}
TRAJECTORIES = {"dynamics", "green-kubo", "anharmonicity", "minima"}
CONSTANTS = {*MODES, "anharmonicity"}
NONE: set[str] = set()

OF_GLASS: dict[str, tuple[Any, set[str]]] = {
    "material.name": ("another name", NONE),
    "material.structure": ("other.extxyz", NONE),
    "potential.name": ("sw", NONE),
    "lattice.temperatures": ([150.0, 300.0], SCATTERING),
    "lattice.statistics": (["classical"], {*SCATTERING, *WIDTH_STAGES}),
    "lattice.force_constants": ("finite-differences", {*CONSTANTS, "green-kubo"}),
    "lattice.broadening": ("lorentzian", {*SCATTERING, "width-convergence", DIAGNOSIS, "minima", "green-kubo"}),
    "lattice.width": (0.7, {*SCATTERING, DIAGNOSIS, "minima", "green-kubo"}),
    "lattice.precision": ("float32", {*SCATTERING, DIAGNOSIS, "green-kubo"}),
    "lattice.engine": ("numpy", NONE),
    "lattice.memory_gb": (1.0, NONE),
    "lattice.allen_feldman_broadening": (0.7, {"conductivity"}),
    "dynamics.temperature": (310.0, {*SCATTERING, *WIDTH_STAGES, DIAGNOSIS, *TRAJECTORIES}),
    "dynamics.time_step_fs": (0.5, TRAJECTORIES),
    "dynamics.length_ps": (400.0, TRAJECTORIES),
    "dynamics.replicas": (3, TRAJECTORIES),
    "dynamics.equilibration_ps": (10.0, TRAJECTORIES),
    "dynamics.flux_interval_fs": (10.0, TRAJECTORIES),
    "dynamics.frame_interval_ps": (5.0, TRAJECTORIES),
    "dynamics.checkpoint_seconds": (1.0, NONE),
    "dynamics.seed": (2, TRAJECTORIES),
    "green_kubo.slowest_ps": (5.0, {"green-kubo"}),
    "green_kubo.cutoff_thz": (15.0, {"green-kubo"}),
    "green_kubo.aic_factor": (1.0, {"green-kubo"}),
    "anharmonicity.configurations": (50, {"anharmonicity"}),
    "anharmonicity.minima": (2, {"minima"}),
    "compare.tolerance_sigma": (1.0, NONE),
    "compare.resolution": (0.2, NONE),
}
OF_DIFFERENCES: dict[str, tuple[Any, set[str]]] = {
    "lattice.displacement": (0.02, {*CONSTANTS, "green-kubo"}),
    "lattice.pair_cutoff": (3.0, {*CONSTANTS, "green-kubo"}),
}
OF_FILES = {"parameters", "third", "second", "calculator", "arguments", "structure", "kind"}
"""Of a potential: what they name has a digest of its own, that of the model or the atoms that are read."""
MESH, ON_MESHES = {"mesh"}, {"mesh", "portrait"}
BY_TEMPERATURE = {"anharmonicity-by-temperature"}
BOX = {"modes", "dynamics", "green-kubo", "anharmonicity", *BY_TEMPERATURE}
OF_CRYSTAL: dict[str, tuple[Any, set[str]]] = {
    "crystal.supercell": ([2, 2, 3], {*BOX, "mesh"}),
    "crystal.mesh": ([12, 12, 12], MESH),
    "crystal.force_constants": ([3, 3, 3], {*ON_MESHES, "green-kubo"}),
    "crystal.engine": ("kaldo", {*MESH, "green-kubo"}),
    "crystal.smearing": (0.5, {*MESH, "green-kubo"}),
    "crystal.direct": (False, {*MESH, "green-kubo"}),
    "crystal.isotopes": (True, {*MESH, "green-kubo"}),
    "crystal.born": ("BORN", {*ON_MESHES, "green-kubo"}),
    "lattice.temperatures": ([150.0, 300.0], {*ON_MESHES, *BY_TEMPERATURE}),
    "lattice.statistics": (["classical"], MESH),
    "lattice.force_constants": (
        "finite-differences",
        {*ON_MESHES, "modes", "anharmonicity", "green-kubo", *BY_TEMPERATURE},
    ),
    "lattice.width": (0.7, MESH),
    "dynamics.temperature": (310.0, {*ON_MESHES, "dynamics", "green-kubo", "anharmonicity", *BY_TEMPERATURE}),
    "dynamics.seed": (2, {"dynamics", "green-kubo", "anharmonicity", *BY_TEMPERATURE}),
    "anharmonicity.configurations": (15, {"anharmonicity", *BY_TEMPERATURE}),
}
CRYSTAL = {"supercell": [2, 2, 2], "mesh": [10, 10, 10]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Si.sw").write_text(SILICON)
    (tmp_path / "BORN").write_text("default value\n")
    return tmp_path


def changed(base: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    section, key = name.split(".")
    return {**base, section: {**base.get(section, {}), key: value}}


def problem(folder: Path, table: dict[str, Any], atoms: Atoms | None = None, potential: Any = None) -> Problem:
    settings = Settings.model_validate(table)
    unit = bulk("Si", a=5.43, cubic=True) if atoms is None else atoms
    case = Case(folder, "case", settings, folder / "structure.extxyz")
    crystal = settings.crystal
    model = read_stillinger_weber(folder / "Si.sw") if potential is None else potential
    box = unit.repeat(2 if crystal is None else crystal.supercell)
    return Problem(case, settings, box, model, None if crystal is None else unit)


def digests(found: Problem, stages: tuple[str, ...]) -> dict[str, str]:
    def parts(stage: str) -> object:
        if stage == "dynamics":
            return replica_parts(found)
        return mesh_parts(Runner(found, found.store, {})) if stage == "mesh" else stage_parts(found, stage)

    return {stage: digest(parts(stage)) for stage in stages}


def different(first: Problem, second: Problem, stages: tuple[str, ...]) -> set[str]:
    before, after = digests(first, stages), digests(second, stages)
    return {stage for stage in stages if before[stage] != after[stage]}


def why_not_stored(before: Problem, after: Problem) -> str:
    """What a stage says that has a result for ``before``, asked for ``after``."""
    before.store.put(Residuals(0.0, 0.0, 0.0, 0.0), "residuals", stage_parts(before, "residuals"), {})
    assert Runner(before, before.store, {}).explain("residuals") == "residuals: stored"
    return Runner(after, after.store, {}).explain("residuals")


def test_every_setting_is_in_a_table() -> None:
    listed = {*OF_GLASS, *OF_DIFFERENCES, *OF_CRYSTAL, *(f"potential.{key}" for key in OF_FILES)}
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    from ldmd.explain import section_kind

    known = {
        f"{name}.{key}"
        for name, field in Settings.model_fields.items()
        for key in (section_kind(field) or sections[name]).model_fields
    }
    assert known == listed


@pytest.mark.parametrize("name", OF_GLASS)
def test_a_setting_changes_the_stages_of_a_glass_that_read_it(folder: Path, name: str) -> None:
    value, expected = OF_GLASS[name]
    assert different(problem(folder, BASE), problem(folder, changed(BASE, name, value)), GLASS) == expected


@pytest.mark.parametrize("name", OF_DIFFERENCES)
def test_how_differences_are_made_counts_wherever_force_constants_go(folder: Path, name: str) -> None:
    value, expected = OF_DIFFERENCES[name]
    base = changed(BASE, "lattice.force_constants", "finite-differences")
    assert different(problem(folder, base), problem(folder, changed(base, name, value)), GLASS) == expected
    assert different(problem(folder, BASE), problem(folder, changed(BASE, name, value)), GLASS) == NONE
    crystal = {**base, "crystal": CRYSTAL}
    of_crystal = {"modes", "mesh", "portrait", "green-kubo", "anharmonicity", "anharmonicity-by-temperature"}
    again = problem(folder, changed(crystal, name, value))
    assert different(problem(folder, crystal), again, CRYSTAL_STAGES) == of_crystal


@pytest.mark.parametrize("name", OF_CRYSTAL)
def test_a_setting_changes_the_stages_of_a_crystal_that_read_it(folder: Path, name: str) -> None:
    value, expected = OF_CRYSTAL[name]
    base, unit = {**BASE, "crystal": CRYSTAL}, bulk("Si", a=5.43)
    other = problem(folder, changed(base, name, value), unit)
    assert different(problem(folder, base, unit), other, CRYSTAL_STAGES) == expected


def test_the_box_counts_where_differences_are_made_in_it(folder: Path) -> None:
    base = {**changed(BASE, "lattice.force_constants", "finite-differences"), "crystal": CRYSTAL}
    larger = problem(folder, changed(base, "crystal.supercell", [2, 2, 3]))
    assert "portrait" in different(problem(folder, base), larger, CRYSTAL_STAGES)


def test_the_contents_of_a_born_file_count(folder: Path) -> None:
    base = {**BASE, "crystal": {**CRYSTAL, "born": "BORN"}}
    before = digests(problem(folder, base), CRYSTAL_STAGES)
    (folder / "BORN").write_text("default value\n1 0 0 0 1 0 0 0 1\n")
    after = digests(problem(folder, base), CRYSTAL_STAGES)
    assert {stage for stage in CRYSTAL_STAGES if before[stage] != after[stage]} == {*ON_MESHES, "green-kubo"}


def moved(atoms: Atoms) -> None:
    atoms.positions[0, 0] += 0.01


def strained(atoms: Atoms) -> None:
    atoms.set_cell(atoms.cell.array + np.diag([0.0, 0.0, 0.01]))


def replaced(atoms: Atoms) -> None:
    atoms.numbers[0] = 32


def heavier(atoms: Atoms) -> None:
    atoms.set_masses([29.974, *atoms.get_masses()[1:]])


ATOMS = {"positions": moved, "cell": strained, "species": replaced, "masses": heavier}


@pytest.mark.parametrize("name", ATOMS)
def test_what_the_atoms_are_counts_everywhere_and_is_named(folder: Path, name: str) -> None:
    change: Callable[[Atoms], None] = ATOMS[name]
    changed_atoms = bulk("Si", a=5.43, cubic=True)
    change(changed_atoms)
    why = why_not_stored(problem(folder, BASE), problem(folder, BASE, changed_atoms))
    moved_along = ", system.positions" if name == "cell" else ""  # of the atoms of further unit cells in the box
    assert why == f"residuals: to be computed (changed: system.{name}{moved_along})"
    for table, stages in ((BASE, GLASS), ({**BASE, "crystal": CRYSTAL}, CRYSTAL_STAGES)):
        atoms = bulk("Si", a=5.43, cubic=True)
        change(atoms)
        assert different(problem(folder, table), problem(folder, table, atoms), stages) == set(stages)


def test_the_numbers_of_the_potential_count_everywhere(folder: Path) -> None:
    first = problem(folder, BASE)
    (folder / "Si.sw").write_text(SILICON.replace("2.1683", "2.1684"))
    second = problem(folder, BASE)
    assert different(first, second, GLASS) == set(GLASS)
    assert why_not_stored(first, second) == "residuals: to be computed (changed: system.potential)"


def magnetic(atoms: Atoms) -> None:
    atoms.set_initial_magnetic_moments([1.0] + [0.0] * (len(atoms) - 1))


def charged(atoms: Atoms) -> None:
    atoms.set_initial_charges([0.5] + [0.0] * (len(atoms) - 1))


def tagged(atoms: Atoms) -> None:
    atoms.set_tags([1] + [0] * (len(atoms) - 1))


def with_column(atoms: Atoms) -> None:
    atoms.new_array("layer", atoms.numbers * 0 + 3)


def with_info(atoms: Atoms) -> None:
    atoms.info["spin"] = 3


SEEN = {
    "magnetic moments": magnetic, "charges": charged, "tags": tagged, "column layer": with_column,
    "info.spin": with_info, "masses": heavier,
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_what_a_calculator_can_look_at_counts_and_is_named(folder: Path, name: str) -> None:
    """A differentiable potential sees masses only, through the dynamics."""
    emt = AsePotential("ase.calculators.emt:EMT")
    table = {**BASE, "potential": {"kind": "ase", "calculator": "ase.calculators.emt:EMT"}}
    atoms = bulk("Cu", cubic=True)
    SEEN[name](atoms)
    before, after = problem(folder, table, bulk("Cu", cubic=True), emt), problem(folder, table, atoms, emt)
    stages = tuple(MODES)
    assert different(before, after, stages) == MODES
    assert why_not_stored(before, after) == f"residuals: to be computed (changed: system.{name})"
    plain = bulk("Si", a=5.43, cubic=True)
    SEEN[name](plain)
    expected = set(GLASS) if name == "masses" else NONE
    assert different(problem(folder, BASE), problem(folder, BASE, plain), GLASS) == expected


def test_what_cannot_be_compared_is_refused_by_name(folder: Path) -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.info["model"] = object()
    table = {**BASE, "potential": {"kind": "ase", "calculator": "ase.calculators.emt:EMT"}}
    found = problem(folder, table, atoms, AsePotential("ase.calculators.emt:EMT"))
    with pytest.raises(InputError, match=r"entry model.*remove it"):
        stage_parts(found, "modes")
