"""One crystal in many descriptions: its tensors must not depend on how it was written down.

A description has other lattice vectors (skewed, left-handed, permuted), another origin, its atoms in another order, may
hold several primitive cells, and is rotated in space. As a command, for N descriptions of each of five crystals:

    python tests/descriptions.py 200

prints the largest difference of every kind of tensor, relative to the largest element.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from scipy.spatial.transform import Rotation

from ldmd.case import load_case
from ldmd.cells import in_reduced_cell
from ldmd.crystal.elasticity import elastic_constants
from ldmd.crystal.relaxation import relax_cell
from ldmd.crystal_study import mesh_plans, solver
from ldmd.potentials.base import SitePotential
from ldmd.potentials.stillinger_weber import read_stillinger_weber
from ldmd.potentials.tersoff import read_tersoff
from ldmd.problem import Problem
from ldmd.relaxation import relax
from ldmd.subject import MESHES

CASES = Path(__file__).resolve().parents[1] / "cases"
STATISTICS = ("bose-einstein", "classical")
TEMPERATURE = 300.0
LARGEST = 300
"""Atoms times wave vectors of the mesh that is taken, at most."""
CASE_TOML = """
[material]
name = "a crystal in many descriptions"
[potential]
kind = "stillinger-weber"
parameters = "Si.sw"
[crystal]
supercell = [1, 1, 1]
mesh = [4, 4, 4]
force_constants = [2, 2, 2]
[dynamics]
temperature = 300
"""
AT_REST = 5.430949778405
"""Angstrom, the lattice constant of Stillinger-Weber silicon."""


STRAINS = {
    "monoclinic": [[0.03, 0.0, 0.02], [0.0, -0.02, 0.0], [0.02, 0.0, 0.0]],
    "triclinic": [[0.03, 0.01, 0.02], [0.01, -0.02, 0.015], [0.02, 0.015, 0.0]],
}
SUBJECTS = ("diamond", "wurtzite", "quartz", *STRAINS)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A crystal at rest under a potential."""

    atoms: Atoms
    potential: SitePotential


@functools.cache
def subject(name: str) -> Subject:
    """One of five crystals: cubic, hexagonal and polar, trigonal and chiral, monoclinic, triclinic."""
    if name == "quartz":
        silica = read_tersoff(CASES / "silica" / "SiO.tersoff")
        return Subject(relax_cell(_quartz(), silica), silica)
    silicon = read_stillinger_weber(CASES / "silicon" / "Si.sw")
    if name == "diamond":
        return Subject(bulk("Si", a=AT_REST), silicon)
    if name == "wurtzite":
        wurtzite = relax_cell(bulk("SiSi", "wurtzite", a=3.84, c=6.27, u=0.375), silicon)
        wurtzite.set_masses(np.where(_sublattice(wurtzite), 28.0, 40.0))
        return Subject(wurtzite, silicon)
    return Subject(_strained(STRAINS[name], silicon), silicon)


def _sublattice(wurtzite: Atoms) -> np.ndarray:
    """The atoms bound upwards along the axis to the others."""
    heights = wurtzite.get_scaled_positions()[:, 2]
    return np.array([np.any(np.abs((heights - height) % 1.0 - 0.375) < 0.05) for height in heights])


def _quartz() -> Atoms:
    """Alpha quartz, P3_2 2 1."""
    u, x, y, z = 0.4697, 0.4135, 0.2669, 0.1191
    silicon = [(u, 0.0, 2 / 3), (0.0, u, 1 / 3), (-u, -u, 0.0)]
    first = [(x, y, z + 2 / 3), (-y, x - y, z + 1 / 3), (y - x, -x, z)]
    second = [(y, x, -z + 1 / 3), (-x, y - x, -z), (x - y, -y, -z + 2 / 3)]
    cell = [[4.916, 0.0, 0.0], [-2.458, 2.458 * np.sqrt(3.0), 0.0], [0.0, 0.0, 5.405]]
    return Atoms("Si3O6", scaled_positions=[*silicon, *first, *second], cell=cell, pbc=True)


def _strained(strain: list[list[float]], potential: SitePotential) -> Atoms:
    """Silicon in a strained cell, its atoms at rest in it."""
    atoms = bulk("Si", a=AT_REST)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.positions[1] += [0.03, -0.02, 0.01]
    return relax(atoms, potential)


def described(atoms: Atoms, generator: np.random.Generator, cells: int = 1) -> tuple[Atoms, np.ndarray]:
    """Another description of a crystal, with ``cells`` times as many atoms, and the rotation (3, 3), v -> R v."""
    matrix = np.eye(3, dtype=int)
    matrix[2, 2] = cells
    for _ in range(6):
        row, other = generator.choice(3, size=2, replace=False)
        matrix[row] += int(generator.integers(-2, 3)) * matrix[other]
    matrix = matrix[generator.permutation(3)] * generator.choice([-1, 1], size=3)[:, None]
    sound = matrix if np.linalg.det(matrix) > 0 else -matrix
    other = make_supercell(atoms, sound)
    other.set_cell(matrix @ atoms.cell.array, scale_atoms=False)
    masses = other.get_masses()
    turn = Rotation.random(random_state=generator).as_matrix()
    other.set_cell(other.cell.array @ turn.T, scale_atoms=False)
    other.positions = other.positions @ turn.T + generator.uniform(-9.0, 9.0, 3)
    other.wrap()
    order = generator.permutation(len(other))
    result = other[order]
    result.set_masses(masses[order])
    return result, turn


def tensors(problem: Problem) -> dict[str, np.ndarray]:
    """What must not depend on the description, in the axes of the problem."""
    plans = mesh_plans(problem)[: len(MESHES)]
    chosen = next(plan for plan in reversed(plans) if np.prod(plan.grid) * len(problem.primitive) <= LARGEST)
    plan = dataclasses.replace(chosen, statistics=STATISTICS, temperatures=(TEMPERATURE,))
    found = solver(problem)(plan)
    potential = problem.differentiable
    assert potential is not None
    return {
        "relaxation times": found.tensor("relaxation time")[0],
        "direct solution": found.tensor("direct")[0],
        "QHGK": found.tensor("total")[0],
        "elastic constants": elastic_constants(problem.primitive, potential).tensor,
    }


def in_axes(tensor: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """A tensor of rotated axes in those before: its last axes, 2 or 4, turned by R^T."""
    if tensor.ndim == 4:
        return np.asarray(np.einsum("ai,bj,ck,dl,abcd->ijkl", *[turn] * 4, tensor, optimize=True))
    return np.asarray(np.einsum("ai,bj,sab->sij", turn, turn, tensor))


def problem_of(unit: Atoms, potential: SitePotential, folder: Path) -> Problem:
    """The crystal as if a case had given it; the case itself is silicon's."""
    (folder / "case.toml").write_text(CASE_TOML)
    (folder / "Si.sw").write_bytes((CASES / "silicon" / "Si.sw").read_bytes())
    (folder / "structure.extxyz").write_bytes((CASES / "silicon" / "structure.extxyz").read_bytes())
    case = load_case(folder)
    return Problem(case, case.settings, in_reduced_cell(unit), potential, unit)


def differences(name: str, count: int, seed: int, folder: Path) -> dict[str, float]:
    """Largest differences between descriptions of a crystal and the first one, relative to the largest element."""
    crystal, generator = subject(name), np.random.default_rng(seed)
    expected = tensors(problem_of(crystal.atoms, crystal.potential, folder))
    worst = dict.fromkeys(expected, 0.0)
    for number in range(count):
        unit, turn = described(crystal.atoms, generator, cells=(1, 1, 2, 3)[number % 4])
        found = tensors(problem_of(unit, crystal.potential, folder))
        for key, tensor in found.items():
            back = in_axes(tensor, turn)
            worst[key] = max(worst[key], float(np.abs(back - expected[key]).max() / np.abs(expected[key]).max()))
    return worst


def main(count: int, names: list[str]) -> None:
    """Print the largest differences of each crystal."""
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(names or SUBJECTS):
            started = time.perf_counter()
            worst = differences(name, count, seed, Path(folder))
            listed = ", ".join(f"{key} {value:.1e}" for key, value in worst.items())
            sys.stdout.write(f"{name}, {count} descriptions, {time.perf_counter() - started:.0f} s: {listed}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4, sys.argv[2:])
