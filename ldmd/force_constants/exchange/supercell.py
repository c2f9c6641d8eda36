"""A periodic cell of N atoms seen as copies of a primitive cell of P atoms: which atom is which copy of which site.

A crystal has many copies; a glass has one, and its cell is the primitive cell. With lattice vectors as rows, the
supercell is C_super = M C_primitive with an integer matrix M, and atom i sits at r_site(i) + L_i C_primitive, with an
integer vector L_i that counts only modulo M.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal

import numpy as np
from ase import Atoms

from ldmd.errors import InputError

TOLERANCE = 1e-2
"""Angstrom, between an atom and the site it belongs to."""
MOST_ATOMS = 1_000_000
"""Of a supercell: its second order alone would be a matrix of 3 million columns."""

Order = Literal["cells", "sites"]


@dataclasses.dataclass(frozen=True)
class Supercell:
    """Atoms of a periodic cell with their places in a primitive cell."""

    primitive: Atoms
    """P atoms; positions of the sites, masses."""
    atoms: Atoms
    """N atoms."""
    sites: np.ndarray
    """(N,) site of each atom."""
    cells: np.ndarray
    """(N, 3) integer lattice vector of the primitive cell that each atom is in."""

    def __post_init__(self) -> None:
        """Refuse a mapping in which a copy is missing or appears twice."""
        expected = len(self.primitive) * self.copies
        if len(self.atoms) != expected or self.sites.shape != (expected,) or self.cells.shape != (expected, 3):
            fix = f"{self.copies} copies of a primitive cell of {len(self.primitive)} atoms have {expected}"
            raise InputError("supercell", f"{len(self.atoms)} atoms", fix)
        if len(np.unique(self._keys(self.sites, self.cells))) != expected:
            raise InputError(
                "supercell", f"{len(self.atoms)} atoms", "two of them are on the same site; give each once"
            )

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """(3, 3) integer M, supercell vectors in primitive ones, by rows."""
        exact = self.atoms.cell.array @ np.linalg.inv(self.primitive.cell.array)
        if not (np.abs(exact) < MOST_ATOMS).all():
            raise InputError("supercell", "lattice vectors", "they are no sums of those of the primitive cell")
        matrix = np.rint(exact).astype(int)
        if np.abs((exact - matrix) @ self.primitive.cell.array).max() > TOLERANCE or not round(np.linalg.det(matrix)):
            fix = "its lattice vectors must be sums of those of the primitive cell"
            raise InputError("supercell", np.array2string(exact, precision=4).replace("\n", ""), fix)
        return matrix

    @functools.cached_property
    def copies(self) -> int:
        """Primitive cells in the supercell."""
        return abs(round(np.linalg.det(self.matrix)))

    @functools.cached_property
    def home(self) -> np.ndarray:
        """(P,) the first atom of every site: the one that has a row in compact force constants."""
        return np.unique(self.sites, return_index=True)[1]

    @property
    def repeats(self) -> tuple[int, int, int]:
        """Copies along each primitive vector.

        Raises
        ------
        InputError
            Where the supercell is no such box of copies.
        """
        sizes = np.diag(self.matrix)
        if np.any(self.matrix != np.diag(sizes)) or np.any(sizes < 1):
            fix = (
                "this format knows repetitions along the primitive vectors only; choose the primitive cell accordingly"
            )
            raise InputError("supercell matrix", self.matrix.tolist(), fix)
        return int(sizes[0]), int(sizes[1]), int(sizes[2])

    def find(self, sites: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """(n,) the atom on each site (n,) of each primitive cell (n, 3), whichever periodic image that is."""
        keys, order = self._table
        return np.asarray(order[np.searchsorted(keys, self._keys(sites, cells))])

    def moved(self, shift: np.ndarray) -> np.ndarray:
        """(N,) where each atom goes under a translation by a primitive lattice vector (3,)."""
        return self.find(self.sites, self.cells + shift)

    @functools.cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        keys = self._keys(self.sites, self.cells)
        order = np.argsort(keys)
        return keys[order], order

    def _keys(self, sites: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """An integer for every site in every copy: exact, from the adjugate of M."""
        adjugate = np.rint(np.linalg.inv(self.matrix) * np.linalg.det(self.matrix)).astype(np.int64)
        classes = np.asarray(cells, dtype=np.int64) @ adjugate % self.copies
        number = (classes[..., 0] * self.copies + classes[..., 1]) * self.copies + classes[..., 2]
        return np.asarray(number * len(self.primitive) + sites)


def glass(atoms: Atoms) -> Supercell:
    """A cell that repeats nothing: its own primitive cell."""
    return Supercell(atoms, atoms, np.arange(len(atoms)), np.zeros((len(atoms), 3), dtype=int))


def repeated(primitive: Atoms, repeats: tuple[int, int, int], order: Order) -> Supercell:
    """Copies of a primitive cell along its vectors, in one of two orders.

    "cells": copy after copy, the last index fastest (ASE, kALDo, hiPhive's usual cells). "sites": all copies of the
    first site, then of the next, the first index fastest (phonopy, phono3py, ShengBTE).

    Raises
    ------
    InputError
        Where the supercell would be larger than any for which force constants can be kept.
    """
    if len(primitive) * math.prod(repeats) > MOST_ATOMS:
        fix = f"at most {MOST_ATOMS} atoms make a supercell"
        raise InputError("supercell", f"{repeats} copies of {len(primitive)} atoms", fix)
    grid = np.indices(repeats if order == "cells" else repeats[::-1]).reshape(3, -1).T
    count, copies = len(primitive), len(grid)
    if order == "cells":
        sites, cells = np.tile(np.arange(count), copies), np.repeat(grid, count, axis=0)
    else:
        sites, cells = np.repeat(np.arange(count), copies), np.tile(grid[:, ::-1], (count, 1))
    atoms = primitive[sites]
    atoms.positions += cells @ primitive.cell.array
    atoms.set_cell(np.diag(repeats) @ primitive.cell.array)
    return Supercell(primitive, atoms, sites, cells)


def matched(primitive: Atoms, atoms: Atoms, tolerance: float = TOLERANCE) -> Supercell:
    """Find every atom's site by its position, in any order, within a tolerance (Angstrom).

    Raises
    ------
    InputError
        Where an atom is on no site of its kind, or the cells do not fit into each other.
    """
    cell = primitive.cell.array
    inverse = np.linalg.inv(cell)
    nearest = np.full(len(atoms), np.inf)
    sites, cells = np.zeros(len(atoms), dtype=int), np.zeros((len(atoms), 3), dtype=int)
    for site in range(len(primitive)):
        fractional = (atoms.positions - primitive.positions[site]) @ inverse
        steps = np.rint(fractional)
        distance = np.linalg.norm((fractional - steps) @ cell, axis=1)
        closer = (distance < nearest) & (atoms.numbers == primitive.numbers[site])
        nearest[closer], sites[closer], cells[closer] = distance[closer], site, steps[closer].astype(int)
    worst = int(np.argmax(nearest))
    if nearest[worst] > tolerance:
        fix = (
            f"{atoms.symbols[worst]} {nearest[worst]:.3f} Angstrom off the nearest site of its kind; give its own cell"
        )
        raise InputError("supercell", f"atom {worst}", fix)
    return Supercell(primitive, atoms, sites, cells)
