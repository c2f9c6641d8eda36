"""The least change of a crystal's force constants that makes them symmetric and blind to rigid translations.

As ``ldmd.force_constants.projection`` for a cell without copies, but with the rows of one atom of every site only: the
blocks Phi_ij (3 x 3) and Phi_ijk (3 x 3 x 3), i a home atom and j, k atoms of the supercell. Let S average over all
permutations of the atoms of a block, which moves a block whose first atom is no home atom back by a lattice vector, and
C sum over the last atom. The change of least norm, among blocks that are stored or that are a permutation of a stored
one, is

x = S x0 - S C^T lambda,    (C S C^T) lambda = C S x0,

found by conjugate gradients with the diagonal of C S C^T in front. Since the nearest point is unique, it has all
symmetries that the force constants had.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import Elements, ForceConstants
from ldmd.force_constants.exchange.supercell import Supercell

TOLERANCE = 1e-14
"""Of the sums that are left, in units of the norm of the elements."""
ITERATIONS = 2000


@dataclasses.dataclass(frozen=True)
class Restoration:
    """What one order of force constants looked like, and what it took to restore its symmetries."""

    order: int
    translation: float
    """Largest sum over the last atom before, relative to the largest element."""
    permutation: float
    """Largest change by averaging over permutations, relative to the largest element."""
    change: float
    """Norm of the whole change over the norm of the elements."""


@dataclasses.dataclass(frozen=True)
class _Blocks:
    """Distinct blocks of force constants, closed under permutations."""

    atoms: np.ndarray
    """(order, n) site of the first atom, then atoms of the supercell."""
    values: np.ndarray
    """(n, 3, 3) or (n, 3, 3, 3)."""
    partners: tuple[tuple[tuple[int, ...], np.ndarray], ...]
    """For every permutation p: (n,) the block whose axes, permuted by p, are to equal this one."""
    rows: np.ndarray
    """(n,) the sum over the last atom that each block is part of."""
    sums: int
    """How many such sums there are."""

    def averaged(self, values: np.ndarray) -> np.ndarray:
        """S: the mean over all permutations."""
        total = np.zeros_like(values)
        for permutation, partner in self.partners:
            total += values[partner].transpose(0, *(1 + axis for axis in permutation))
        return total / len(self.partners)

    def summed(self, values: np.ndarray) -> np.ndarray:
        """C: (sums, ...) over the last atom."""
        flat = values.reshape(len(values), -1)
        ones = sp.csr_array((np.ones(len(flat)), (self.rows, np.arange(len(flat)))), shape=(self.sums, len(flat)))
        return np.asarray((ones @ flat).reshape(self.sums, *values.shape[1:]))


def restored(constants: ForceConstants) -> tuple[ForceConstants, tuple[Restoration, ...]]:
    """Each order that there is, with permutations and translations restored, and what that took.

    Raises
    ------
    InputError
        Where the solver misses its tolerance.
    """
    supercell, found, second, third = constants.supercell, [], constants.second, constants.third
    if second is not None:
        listed = second.tocoo()
        indices, values, facts = _order(supercell, np.stack(listed.coords), listed.data)
        second = sp.csr_array((values, tuple(indices)), shape=second.shape)
        found.append(facts)
    if third is not None and third.values.size:
        indices, values, facts = _order(supercell, third.indices, third.values)
        third = Elements(indices, values)
        found.append(facts)
    return ForceConstants(supercell, second, third), tuple(found)


def _order(supercell: Supercell, indices: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, Restoration]:
    order = len(indices)
    blocks = _blocks(supercell, indices, values)
    largest, norm = float(np.abs(blocks.values).max(initial=0.0)), float(np.linalg.norm(blocks.values))
    if not (largest > 0.0 and math.isfinite(norm)):
        raise InputError("force constants", f"order {order}", "are all zero or not finite; nothing follows from them")
    symmetric = blocks.averaged(blocks.values)
    result = _blind(blocks, symmetric, TOLERANCE * norm)
    facts = Restoration(
        order=order,
        translation=float(np.abs(blocks.summed(blocks.values)).max()) / largest,
        permutation=float(np.abs(symmetric - blocks.values).max()) / largest,
        change=float(np.linalg.norm(result - blocks.values)) / norm,
    )
    axes = np.indices((3,) * order).reshape(order, 1, -1)
    coordinates = (3 * blocks.atoms[:, :, None] + axes).reshape(order, -1)
    flat = result.ravel()
    kept = flat != 0.0
    return coordinates[:, kept], flat[kept], facts


def _blind(blocks: _Blocks, symmetric: np.ndarray, tolerance: float) -> np.ndarray:
    """Symmetric blocks whose sums over any atom vanish, nearest to those given."""
    result = symmetric
    shape = (blocks.sums, *symmetric.shape[1:])
    size = math.prod(shape)

    def spread(multipliers: np.ndarray) -> np.ndarray:
        return blocks.averaged(multipliers.reshape(shape)[blocks.rows])

    def normal(multipliers: np.ndarray) -> np.ndarray:
        return blocks.summed(spread(multipliers)).ravel()

    counts = np.bincount(blocks.rows, minlength=blocks.sums).astype(float)
    weights = np.repeat(1.0 / counts, size // blocks.sums)
    before = LinearOperator((size, size), matvec=lambda vector: weights * vector.ravel(), dtype=float)
    operator = LinearOperator((size, size), matvec=normal, dtype=float)
    for _ in range(3):
        left = blocks.summed(result).ravel()
        if np.linalg.norm(left) <= tolerance:
            return result
        multipliers, _ = cg(operator, left, rtol=1e-10, atol=0.1 * tolerance, maxiter=ITERATIONS, M=before)
        result = result - spread(multipliers)
    remains = float(np.linalg.norm(blocks.summed(result)))
    if remains > 1e3 * tolerance:
        fix = f"the sums over rigid translations cannot be made to vanish ({remains:.1e} are left); check the files"
        raise InputError("force constants", f"order {symmetric.ndim - 1}", fix)
    return result


def _blocks(supercell: Supercell, indices: np.ndarray, values: np.ndarray) -> _Blocks:
    """The blocks of listed elements, completed by all permutations."""
    order, count = len(indices), len(supercell.atoms)
    listed, place = np.unique(_keys(indices // 3, count), return_inverse=True)
    atoms = _atoms(listed, order, count)
    permutations = list(itertools.permutations(range(order)))
    keys = np.unique(np.concatenate([_keys(_permuted(supercell, atoms, each), count) for each in permutations]))
    every = _atoms(keys, order, count)
    dense = np.zeros((len(keys), 3**order))
    np.add.at(dense, (np.searchsorted(keys, listed)[place], _component(indices)), values)
    partners = []
    for each in permutations:
        partner = np.searchsorted(keys, _keys(_permuted(supercell, every, each), count))
        partners.append((tuple(int(axis) for axis in np.argsort(each)), partner))
    rows, row = np.unique(_keys(every[:-1], count), return_inverse=True)
    return _Blocks(every, dense.reshape(-1, *(3,) * order), tuple(partners), row, len(rows))


def _permuted(supercell: Supercell, atoms: np.ndarray, permutation: tuple[int, ...]) -> np.ndarray:
    """(order, n) the block of the same atoms in another order, moved so that its first atom is a home atom."""
    whole = np.concatenate([supercell.home[atoms[:1]], atoms[1:]])[list(permutation)]
    site = supercell.sites[whole[0]]
    shift = supercell.cells[supercell.home[site]] - supercell.cells[whole[0]]
    moved = [supercell.find(supercell.sites[leg], supercell.cells[leg] + shift) for leg in whole[1:]]
    return np.stack([site, *moved])


def _component(indices: np.ndarray) -> np.ndarray:
    return np.ravel_multi_index(tuple(indices % 3), (3,) * len(indices))


def _keys(atoms: np.ndarray, count: int) -> np.ndarray:
    """One integer for each block."""
    keys = np.zeros(atoms.shape[1], dtype=np.int64)
    for leg in atoms:
        keys = keys * count + leg
    return keys


def _atoms(keys: np.ndarray, order: int, count: int) -> np.ndarray:
    """(order, n) the atoms of each block."""
    legs = []
    for _ in range(order):
        keys, leg = np.divmod(keys, count)
        legs.append(leg)
    return np.stack(legs[::-1])
