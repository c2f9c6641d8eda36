"""Random small systems with all symmetries of force constants, for tests that need no potential."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.sparse as sp

from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice.modes import Modes, normal_modes


def projector(atoms: int) -> np.ndarray:
    """Onto displacements without a rigid translation, (3N, 3N)."""
    shifts = np.tile(np.eye(3), (atoms, 1)) / np.sqrt(atoms)
    return np.eye(3 * atoms) - shifts @ shifts.T


def random_second(atoms: int, generator: np.random.Generator) -> SecondOrder:
    """Positive, symmetric and translation invariant, eV/Angstrom^2."""
    matrix = generator.normal(size=(3 * atoms, 3 * atoms))
    projected = projector(atoms) @ (matrix @ matrix.T + 3.0 * np.eye(3 * atoms)) @ projector(atoms)
    return SecondOrder(sp.csr_array(0.5 * (projected + projected.T)))


def random_third(atoms: int, generator: np.random.Generator) -> tuple[SparseThirdOrder, np.ndarray]:
    """Symmetric under all permutations and translation invariant, as a list and as a dense array, eV/Angstrom^3."""
    tensor = generator.normal(size=(3 * atoms,) * 3)
    symmetric = sum(tensor.transpose(order) for order in itertools.permutations(range(3)))
    dense = np.einsum("abc,ai,bj,ck->ijk", symmetric, *[projector(atoms)] * 3, optimize=True)
    indices = np.array(np.nonzero(dense))
    return SparseThirdOrder(3 * atoms, indices, dense[tuple(indices)]), dense


def random_modes(atoms: int, generator: np.random.Generator) -> Modes:
    """Modes of a random system with unequal masses."""
    return normal_modes(random_second(atoms, generator), generator.uniform(5.0, 40.0, size=atoms))
