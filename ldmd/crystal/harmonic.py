"""The harmonic crystal: second-order force constants handed to phonopy, which knows bands, meshes and polar crystals.

phonopy builds its own supercell and counts its atoms its own way; they are matched by position here, so any order of
atoms and any supercell matrix will do. Wave vectors are fractions of the reciprocal vectors of the primitive cell.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from ase import Atoms
from scipy import constants as physical

from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import ForceConstants, from_blocks, second_blocks
from ldmd.force_constants.exchange.kinds import from_phonopy, to_phonopy, told_apart, under_own_names
from ldmd.force_constants.exchange.supercell import matched, repeated
from ldmd.foreign import quiet

COULOMB = physical.e / (4.0 * np.pi * physical.epsilon_0) * 1e10
"""e^2 / (4 pi epsilon_0), 14.4 eV Angstrom."""

Mesh = tuple[int, int, int]
"""Wave vectors along each reciprocal vector of the primitive cell."""


@dataclasses.dataclass(frozen=True)
class Polarity:
    """What splits longitudinal from transverse optical modes at Gamma in a polar crystal."""

    born_charges: np.ndarray
    """(P, 3, 3) in e, of the atoms of the primitive cell; first index the field, second the displacement."""
    dielectric: np.ndarray
    """(3, 3) static dielectric tensor of the electrons, relative to vacuum."""
    method: str = "gonze"
    """How phonopy interpolates between wave vectors: "gonze" or "wang"."""


def force_constants_of(
    primitive: Atoms, supercell_matrix: np.ndarray, blocks: np.ndarray, supercell: Atoms | None = None
) -> ForceConstants:
    """Force constants from dense blocks (rows, N, 3, 3) in eV/Angstrom^2, rows as in ``from_blocks``.

    ``supercell_matrix`` (3, 3) or (3,) has the supercell vectors in primitive ones, by rows. Without ``supercell``
    the atoms are in phonopy's order (all copies of one site, then of the next; the first vector fastest), which is
    defined for a box of copies only.

    Raises
    ------
    InputError
        Where the blocks do not fit the supercell, or the supercell is needed and was not given.
    """
    matrix = np.asarray(supercell_matrix)
    matrix = np.diag(matrix) if matrix.ndim == 1 else matrix
    if supercell is not None:
        cell = matched(primitive, supercell)
    elif np.array_equal(matrix, np.diag(np.diag(matrix))):
        first, second, third = (int(length) for length in np.diag(matrix))
        cell = repeated(primitive, (first, second, third), "sites")
    else:
        raise InputError("supercell matrix", matrix.tolist(), "give the supercell's atoms with their order, too")
    if not np.array_equal(cell.matrix, matrix):
        raise InputError("supercell matrix", matrix.tolist(), f"the supercell's atoms say {cell.matrix.tolist()}")
    rows = np.arange(len(cell.atoms)) if len(blocks) == len(cell.atoms) else cell.home
    return from_blocks(cell, rows, second=blocks)


def phonopy_of(constants: ForceConstants, polarity: Polarity | None = None) -> Any:
    """The crystal as a ``phonopy.Phonopy``, with frequencies in THz as everywhere in phonopy.

    Raises
    ------
    InputError
        Where phonopy is not installed, or Born charges do not fit the primitive cell.
    """
    try:
        from phonopy import Phonopy
    except ImportError as error:
        fix = "is not installed; run: python -m pip install phonopy"
        raise InputError("phonopy", error.name, fix) from error
    supercell, primitive = constants.supercell, constants.supercell.primitive
    cell = to_phonopy(told_apart(primitive))
    # phonopy's matrices are made of columns; the cell given is its own primitive cell
    with quiet():
        crystal = Phonopy(cell, supercell_matrix=supercell.matrix.T, primitive_matrix=np.eye(3))
    atoms = under_own_names(from_phonopy(crystal.supercell), primitive)
    ordered = constants.in_order_of(matched(primitive, atoms))
    crystal.force_constants = second_blocks(ordered, full=True)
    if polarity is not None:
        expected = (len(primitive), 3, 3)
        if polarity.born_charges.shape != expected:
            raise InputError("Born charges", polarity.born_charges.shape, f"the primitive cell needs {expected}")
        born, dielectric = np.asarray(polarity.born_charges), np.asarray(polarity.dielectric)
        charges: Any = {"born": born, "dielectric": dielectric, "factor": COULOMB, "method": polarity.method}
        crystal.nac_params = charges
    return crystal


def mesh_modes(crystal: Any, mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wave vectors (q, 3), frequencies (q, 3P) in THz and eigenvectors (q, 3P, 3P) in columns, on a full mesh with
    Gamma and without use of symmetry."""
    crystal.run_mesh(mesh, is_gamma_center=True, is_mesh_symmetry=False, is_time_reversal=False, with_eigenvectors=True)
    found = crystal.mesh
    return np.asarray(found.qpoints), np.asarray(found.frequencies), np.asarray(found.eigenvectors)
