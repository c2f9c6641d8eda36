"""LAMMPS: what its commands ``dynamical_matrix`` and ``third_order`` write, read only.

``dynamical_matrix`` writes Phi_ij / sqrt(m_i m_j), three numbers a line; ``third_order`` writes lines "i a j b k" and
minus the derivatives of the energy for the three directions of k, for the second differences it takes are those of
forces. In the style "regular" of units metal the unit is eV/Angstrom^n (over amu); "eskm" multiplies by 9648.5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp
from ase import Atoms

from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import Elements, ForceConstants
from ldmd.force_constants.exchange.files import believable, rows_of, sound, whole
from ldmd.force_constants.exchange.supercell import glass
from ldmd.text_file import first_line

FACTORS = {"regular": 1.0, "eskm": 9648.5}
"""What LAMMPS multiplies eV with: 10 J/mol in eV as it has it, 3e-6 off today's value."""

Style = Literal["regular", "eskm"]


def read_second(path: Path, atoms: Atoms, style: Style = "regular") -> ForceConstants:
    """A dynamical matrix of all atoms, with the masses of ``atoms``.

    Raises
    ------
    InputError
        Where the file is missing or of another size.
    """
    size = 3 * len(sound(path, atoms))
    weighted = rows_of(path, size)[1] / FACTORS[style]
    if len(weighted) != size:
        raise InputError("force constants", path, f"has {len(weighted)} rows of {size}; give the atoms it was made for")
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    return ForceConstants(glass(atoms), second=sp.csr_array(believable(path, weighted * roots[:, None] * roots, 2)))


def read_third(path: Path, atoms: Atoms, style: Style = "regular") -> ForceConstants:
    """Third derivatives of the energy: minus what the file has.

    Raises
    ------
    InputError
        Where the file is missing or has other atoms.
    """
    indices, values = third_lines(path, len(atoms), len(atoms))
    signed = believable(path, -values / FACTORS[style], 3)
    return ForceConstants(glass(atoms), third=Elements(indices, signed))


def third_lines(path: Path, rows: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A list "i a j b k" with three values a line: coordinates (3, n), and the values (n,) that are not zero.

    Only lines whose atom i is among the first ``rows`` of ``count`` are kept.

    Raises
    ------
    InputError
        Where the file is missing, is no such list, or names atoms or directions that there are not.
    """
    columns = len(first_line(path, "force constants").split())
    if columns != 8:
        raise InputError("force constants", path, f"has {columns} columns; this format has 8")
    _, lines = rows_of(path, 8)
    atoms = whole(path, lines[:, [0, 2, 4]], "an atom", 1, count) - 1
    directions = whole(path, lines[:, [1, 3]], "a direction", 1, 3) - 1
    mine = atoms[:, 0] < rows
    atoms, directions, values = atoms[mine], directions[mine], lines[mine, 5:].ravel()
    first, second = (np.repeat(3 * atoms[:, leg] + directions[:, leg], 3) for leg in (0, 1))
    third = (3 * atoms[:, 2, None] + np.arange(3)).ravel()
    kept = values != 0.0
    indices = np.stack([first, second, third])[:, kept]
    keys = np.sort((indices[0] * 3 * count + indices[1]) * 3 * count + indices[2])
    if np.any(keys[1:] == keys[:-1]):
        raise InputError("force constants", path, "gives an element twice; leave one of them out")
    return indices, values[kept]
