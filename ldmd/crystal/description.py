"""One description of a crystal, however it was given: its standard primitive cell, and meshes and supercells in it.

The same crystal can be written with other lattice vectors, another origin, its atoms in another order or several times
over. All of these come to one primitive cell here. Of the standard bases of its lattice (``ldmd.cells``) those are left
that differ by a rotation of the lattice; the crystal may have less symmetry, so the one is taken for which the
structure factors |sum_i w_i exp(2 pi i h . x_i)|^2 of small h are least, one after the other. Bases that this does not
tell apart are turned into each other by the crystal's own symmetry, and give the same numbers.

What a case file says of meshes and supercells is along the vectors of the cell that was given, if that is primitive,
and else along those of the standard primitive cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from ldmd.cells import is_reduced, least, redescribed, standard_bases, standard_supercell
from ldmd.crystal.force_constants import primitive_of
from ldmd.crystal.vacuum import vacuum_checks
from ldmd.errors import InputError
from ldmd.force_constants.crystal_symmetry import operations_of

if TYPE_CHECKING:
    from ldmd.problem import Problem

WHOLE = 1e-2
"""How far vectors of a supercell that symmetry turns into each other are from whole multiples, at most."""
LARGEST_INDEX = 3
"""Of the wave vectors h whose structure factors tell bases apart."""
SAME = 1e-6
"""Difference of structure factors, relative to the largest possible one, that rounding makes."""

Divisions = tuple[int, int, int]


def standard_primitive(unit: Atoms) -> Atoms:
    """The primitive cell of a crystal in the standard description; Cartesian axes are those of ``unit``.

    Raises
    ------
    InputError
        Where no crystal is found.
    """
    primitive = primitive_of(unit)
    cells = standard_bases(primitive.cell.array) @ primitive.cell.array
    factors = np.stack([_structure_factors(primitive, cell) for cell in cells], axis=1)
    alike = cells[least(factors, SAME)]
    return redescribed(primitive, alike[np.argmax(alike.sum(axis=(1, 2)))])  # which of these is a matter of looks


def standard_divisions(unit: Atoms, primitive: Atoms, given: Divisions, field: str) -> Divisions:
    """Divisions of the reciprocal vectors of the standard primitive cell (or cells along its vectors).

    ``given`` are along the vectors of the unit cell, if that is primitive, else along those of ``primitive``. A skewed
    or left-handed unit cell may lack the symmetry of its crystal, and what is given along its vectors does, too; then
    about as many divisions in all are made as even as can be. ``field`` is the setting that they are from.

    Raises
    ------
    InputError
        Where divisions along vectors that are fit lack the symmetry of the crystal.
    """
    own = unit.cell.array if len(unit) == len(primitive) else primitive.cell.array
    whole = np.rint(np.diag(given) @ own @ np.linalg.inv(primitive.cell.array)).astype(int)
    matrix = standard_supercell(whole, primitive.cell.array)
    if np.array_equal(matrix, np.diag(np.diag(matrix))) and keeps_symmetry(primitive, matrix @ primitive.cell.array):
        return int(matrix[0, 0]), int(matrix[1, 1]), int(matrix[2, 2])
    if len(unit) == len(primitive) and not is_reduced(unit.cell.array):
        return even_divisions(primitive, int(np.prod(given)))
    vectors = "; ".join(" ".join(f"{value:.4f}" for value in row) for row in own)
    fix = (
        "breaks the symmetry of the crystal: equivalent vectors of the primitive cell need equal divisions; "
        f"they are {vectors} Angstrom"
    )
    raise InputError(field, list(given), fix)


def even_divisions(primitive: Atoms, points: int, least_side: int = 1) -> Divisions:
    """About ``points`` wave vectors, as dense along all reciprocal vectors, without breaking the crystal's symmetry.

    At least ``least_side`` along each; the same along all where another choice would break the symmetry.
    """
    lengths = np.linalg.norm(np.linalg.inv(primitive.cell.array), axis=0)
    sides = [max(least_side, round(float(n))) for n in lengths * (points / np.prod(lengths)) ** (1.0 / 3.0)]
    if not keeps_symmetry(primitive, np.diag(sides) @ primitive.cell.array):
        sides = [max(least_side, round(points ** (1.0 / 3.0)))] * 3
    return sides[0], sides[1], sides[2]


def keeps_symmetry(primitive: Atoms, cell: np.ndarray) -> bool:
    """Whether the lattice of a supercell (3, 3), Angstrom, and with it its wave vectors, is as symmetric as a crystal.

    It is if every rotation turns each of its vectors into a sum of whole ones.
    """
    turned = cell @ operations_of(primitive, by_mass=True).rotations.transpose(0, 2, 1) @ np.linalg.inv(cell)
    return bool(np.abs(turned - np.rint(turned)).max() < WHOLE)


def _structure_factors(primitive: Atoms, cell: np.ndarray) -> np.ndarray:
    """(m,) of the wave vectors of small indices, between 0 and 1; they know neither the origin nor the order of atoms.

    The weight of an atom follows from its element and its mass.
    """
    indices = np.array(list(itertools.product(range(-LARGEST_INDEX, LARGEST_INDEX + 1), repeat=3)))
    weights = primitive.numbers + np.sqrt(2.0) * primitive.get_masses()
    phases = 2.0 * np.pi * primitive.positions @ np.linalg.inv(cell) @ indices.T
    return np.asarray(np.abs(weights @ np.exp(1j * phases)) ** 2 / weights.sum() ** 2)


def description_lines(problem: Problem) -> Iterator[str]:
    """What a crystal is computed in, as a terminal shows it: its primitive cell, its finest mesh, and its box."""
    assert problem.unit is not None and problem.settings.crystal is not None, "a crystal's; callers look first"
    given, primitive, settings = problem.unit, problem.primitive, problem.settings.crystal
    vectors = "; ".join(" ".join(f"{value:.4f}" for value in row + 0.0) for row in primitive.cell.array)
    other = "" if len(given) == len(primitive) and is_reduced(given.cell.array) else ", in place of the given vectors"
    atoms = "1 atom" if len(primitive) == 1 else f"{len(primitive)} atoms"
    yield f"primitive cell of {atoms}: {vectors} Angstrom{other}"
    mesh = problem.along_primitive("mesh", settings.mesh)
    same = "" if mesh == tuple(settings.mesh) else f", in place of {list(settings.mesh)}"
    yield f"finest mesh {list(mesh)} along its reciprocal vectors{same}"
    whole = given.cell.array * np.array(settings.supercell)[:, None]
    shorter = "" if is_reduced(whole) else ", with shorter or right-handed vectors of the same lattice"
    lengths = " x ".join(f"{length:.2f}" for length in problem.atoms.cell.lengths())
    yield f"box of the dynamics: {len(problem.atoms)} atoms, {lengths} Angstrom{shorter}"
    yield from (f"{check.name} = {check.value:.2f} {check.unit}: {check.advice}" for check in vacuum_checks(primitive))
