"""Lattice vectors: every lattice has many bases; here are its shortest right-handed ones.

The same crystal may be described by skewed vectors, by left-handed ones, or in another order. Programs that count wave
vectors or copies along the vectors then give other numbers. In three dimensions the bases of a lattice with the
shortest vectors are whole combinations of each other with coefficients -1, 0 and 1 only (Nguyen and Stehle, ACM Trans.
Algorithms 5, 46 (2009), for the reduction itself, which ASE has), so that one can be picked by a rule that does not ask
how the lattice was given. Cartesian axes stay as they are: vectors are exchanged for others, nothing is rotated.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np
from ase.geometry import minkowski_reduce

if TYPE_CHECKING:
    from ase import Atoms

TIE = 1e-4
"""Squared lengths and scalar products of vectors are equal if they differ by less, in units of volume^(2/3)."""


def is_reduced(cell: np.ndarray) -> bool:
    """Whether the vectors of a cell (3, 3), by rows, are right-handed and as short as any basis of their lattice."""
    lengths = np.sort(np.sum(cell**2, axis=1))
    shortest = np.sort(np.sum(minkowski_reduce(cell)[0] ** 2, axis=1))
    return bool(np.linalg.det(cell) > 0.0 and np.all(lengths <= shortest + TIE * _scale(cell)))


def standard_bases(cell: np.ndarray) -> np.ndarray:
    """The standard bases of the lattice of a cell (3, 3): (n, 3, 3) integers, rows in vectors of the cell.

    They are right-handed and have the shortest vectors, in ascending order of length; their angles are all acute, or
    none is, acute where the lattice leaves a choice, and nearest to 90 degrees between the longer ones. There are
    several where the lattice has rotations: one for each of them.
    """
    reduced, operation = minkowski_reduce(cell)
    start = np.rint(operation).astype(int)
    start = start if np.linalg.det(reduced) > 0.0 else -start
    bases = _unimodular() @ start
    vectors = bases @ cell
    products = vectors @ vectors.transpose(0, 2, 1) / _scale(cell)
    angles = np.stack([products[:, 1, 2], products[:, 0, 2], products[:, 0, 1]])
    acute, obtuse = np.all(angles > TIE, axis=0), np.all(angles <= TIE, axis=0)
    kind = np.where(acute, 0.0, np.where(obtuse, 1.0, 2.0))
    left = least(np.stack([*np.diagonal(products, axis1=1, axis2=2).T, kind, *np.abs(angles)]), TIE)
    return np.asarray(bases[left])


def least(keys: np.ndarray, tie: float) -> np.ndarray:
    """Columns of keys (m, n) that are least in the first row, among these least in the second, and so on.

    Values that differ by less than ``tie`` are equal, wherever they lie; rounding would cut some of them apart.
    """
    left = np.arange(keys.shape[1])
    for key in keys:
        left = left[key[left] <= key[left].min() + tie]
    return left


def in_reduced_cell(atoms: Atoms) -> Atoms:
    """The same periodic structure in right-handed vectors that are as short as can be, each atom in this cell.

    A cell that is so already is returned as it stands.
    """
    cell = atoms.cell.array
    if is_reduced(cell):
        return atoms
    bases = standard_bases(cell)
    return redescribed(atoms, bases[_largest(bases)] @ cell)


def redescribed(atoms: Atoms, cell: np.ndarray) -> Atoms:
    """The same periodic structure in other vectors (3, 3) of its lattice, each atom in the new cell."""
    other = atoms.copy()
    other.set_cell(cell, scale_atoms=False)
    other.wrap(eps=1e-9)
    return other


def opposite(atoms: Atoms) -> Atoms:
    """The same periodic structure with every lattice vector turned round: right-handed where it was left-handed."""
    other = atoms.copy()
    other.set_cell(-atoms.cell.array, scale_atoms=False)
    return other


def standard_supercell(matrix: np.ndarray, primitive: np.ndarray) -> np.ndarray:
    """One (3, 3) integer matrix for all supercells with the same lattice, rows in vectors of the primitive cell (3, 3).

    Diagonal where the lattice is that of a box of primitive cells; else a standard basis of it.
    """
    whole = np.asarray(matrix, dtype=int)
    sides = np.gcd.reduce(whole, axis=0)
    if np.prod(sides) == abs(round(np.linalg.det(whole))):
        return np.diag(sides)
    candidates = standard_bases(whole @ primitive) @ whole
    return np.asarray(candidates[_largest(candidates)])


def _largest(bases: np.ndarray) -> int:
    """The one of bases (n, 3, 3) whose integers are largest, read row by row."""
    return int(np.lexsort(bases.reshape(len(bases), -1).T[::-1])[-1])


def _scale(cell: np.ndarray) -> float:
    return float(abs(np.linalg.det(cell)) ** (2.0 / 3.0))


@functools.cache
def _unimodular() -> np.ndarray:
    """(n, 3, 3): all matrices of -1, 0 and 1 with determinant 1."""
    every = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return np.asarray(every[np.rint(np.linalg.det(every)).astype(int) == 1])
