"""The symmetry of a cell: operations, and which atoms and pairs of atoms they make equivalent.

An operation g turns vectors by an orthogonal R and sends atom k to g(k). Force constants do not change:
Phi_{g(i) a, g(j) b, g(k) c} = sum R_aa' R_bb' R_cc' Phi_{i a', j b', k c'}. A pair is unordered; an operation may
swap its atoms. In a glass there is only the identity, and every pair stands for itself.
"""

from __future__ import annotations

import dataclasses
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from ldmd.visible import kinds_of

if TYPE_CHECKING:
    from ase import Atoms

logger = logging.getLogger(__name__)

SYMMETRY_PRECISION = 1e-5
"""Angstrom: how far an atom may be from the image of another."""
FIRST_TRIED = 8
"""Atoms that a translation is tried on before all others are."""
AT_ONCE = 2_000_000
"""Images of atoms compared at a time."""


@dataclasses.dataclass(frozen=True)
class Operations:
    """Symmetry operations of a cell of N atoms; the first is the identity."""

    rotations: np.ndarray
    """(G, 3, 3) orthogonal, Cartesian: vectors turn as R v."""
    images: np.ndarray
    """(G, N): the atom that each atom is sent to."""

    def __len__(self) -> int:
        return len(self.rotations)


@dataclasses.dataclass(frozen=True)
class Orbit:
    """Equivalent atoms or pairs: a representative, and how each member comes from it."""

    atoms: tuple[int, ...]
    """The representative: one atom, or two in ascending order (twice the same for an atom with itself)."""
    members: np.ndarray
    """(M, order) atoms of each member, images of those of the representative in their order."""
    operations: np.ndarray
    """(M,) an operation that makes the member."""
    stabiliser: np.ndarray
    """(S,) operations that leave the representative in place,"""
    swaps: np.ndarray
    """(S,) and whether they swap its two atoms."""


def identity(atoms: int) -> Operations:
    """No symmetry."""
    return Operations(np.eye(3)[None], np.arange(atoms)[None])


def operations_of(atoms: Atoms, precision: float = SYMMETRY_PRECISION, by_mass: bool = False) -> Operations:
    """All symmetry operations of a periodic cell, translations within it included, found by spglib.

    Atoms of one element that a calculator can tell apart, by their magnetic moments for example, are different.
    Without spglib, or where it finds none, the identity alone. Forces do not depend on masses; vibrations do, and
    with ``by_mass`` an operation sends atoms to atoms of the same mass.
    """
    try:
        import spglib
    except ImportError:
        logger.info("spglib is not installed: symmetry is not used")
        return identity(len(atoms))
    fractions, kinds = atoms.get_scaled_positions(wrap=True), kinds_of(atoms, masses=by_mass)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib's, of how it reports errors
        listed = (atoms.cell.array.tolist(), fractions.tolist(), kinds.tolist())
        dataset = spglib.get_symmetry_dataset(listed, symprec=precision)
    if dataset is None or len(dataset.rotations) <= 1:
        return identity(len(atoms))
    images = _images(fractions, kinds, atoms.cell.array, dataset.rotations, dataset.translations, 10.0 * precision)
    sound = np.array([len(set(row)) == len(row) and row.min() >= 0 for row in images])
    basis = atoms.cell.array.T
    turned = basis @ dataset.rotations[sound] @ np.linalg.inv(basis)
    left, _, right = np.linalg.svd(turned)
    return Operations(left @ right, images[sound])


def _images(
    fractions: np.ndarray,
    kinds: np.ndarray,
    cell: np.ndarray,
    rotations: np.ndarray,
    translations: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """(G, N): the atom of the same kind at the image of each atom, -1 where there is none."""
    tree = cKDTree(fractions % 1.0 % 1.0, boxsize=1.0)  # once is not enough: -1e-17 % 1.0 is 1.0
    count = len(kinds)
    images = np.empty((len(rotations), count), dtype=np.int64)
    chunk = max(1, AT_ONCE // count)
    for start in range(0, len(rotations), chunk):
        part = slice(start, start + chunk)
        moved = np.einsum("gab,nb->gna", rotations[part], fractions) + translations[part, None]
        nearest = tree.query(moved.reshape(-1, 3) % 1.0 % 1.0)[1].reshape(moved.shape[:2])
        gap = moved - fractions[nearest]
        distance = np.linalg.norm((gap - np.round(gap)) @ cell, axis=2)
        wrong = (distance > tolerance) | (kinds[nearest] != kinds)
        images[part] = np.where(wrong, -1, nearest)
    return images


def copies_in(atoms: Atoms, precision: float = 1e-3) -> int:
    """How many translations of a periodic cell send every atom to one of its kind, within ``precision`` (Angstrom).

    One, that by nothing, where the cell is primitive; it repeats so many primitive cells.
    """
    fractions, kinds = atoms.get_scaled_positions(wrap=True), kinds_of(atoms, masses=True)
    members = np.flatnonzero(kinds == np.argmin(np.bincount(kinds)))
    shifts = fractions[members] - fractions[members[0]]
    some = np.unique(np.linspace(0, len(atoms) - 1, FIRST_TRIED).astype(int))
    tree = cKDTree(fractions % 1.0 % 1.0, boxsize=1.0)
    moved = fractions[some] + shifts[:, None]
    gap = moved - fractions[tree.query(moved.reshape(-1, 3) % 1.0 % 1.0)[1]].reshape(moved.shape)
    fits = np.all(np.linalg.norm((gap - np.round(gap)) @ atoms.cell.array, axis=2) <= precision, axis=1)
    left = shifts[fits]
    rotations = np.tile(np.eye(3), (len(left), 1, 1))
    images = _images(fractions, kinds, atoms.cell.array, rotations, left, precision)
    return int(np.sum(np.all(images >= 0, axis=1)))


def orbits_of_atoms(operations: Operations) -> list[Orbit]:
    """Every atom in exactly one orbit."""
    count = operations.images.shape[1]
    everything = np.arange(count)
    return _orbits(operations, everything, everything)


def orbits_of_pairs(operations: Operations, first: np.ndarray, second: np.ndarray) -> list[Orbit]:
    """Every pair of a list, first <= second, in exactly one orbit; its equivalents need not be listed but are there."""
    return _orbits(operations, first, second, pairs=True)


def _orbits(operations: Operations, first: np.ndarray, second: np.ndarray, pairs: bool = False) -> list[Orbit]:
    images, count = operations.images, operations.images.shape[1]
    seen = np.zeros(count * count if pairs else count, dtype=bool)
    found = []
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        own = i * count + j if pairs else i
        if seen[own]:
            continue
        one, other = images[:, i], images[:, j]
        keys = np.minimum(one, other) * count + np.maximum(one, other) if pairs else one
        unique, makers = np.unique(keys, return_index=True)
        seen[unique] = True
        keep = np.flatnonzero(keys == own)
        swaps = one[keep] != i
        if pairs and i == j:
            keep, swaps = np.repeat(keep, 2), np.tile([False, True], len(keep))
        members = np.stack([one, other], axis=1)[makers] if pairs else one[makers][:, None]
        found.append(Orbit((i, j) if pairs else (i,), members, makers, keep, swaps))
    return found
