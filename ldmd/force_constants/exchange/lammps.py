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
from ldmd.force_constants.exchange.files import numbers, require_file, table
from ldmd.force_constants.exchange.supercell import glass

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
    size = 3 * len(atoms)
    weighted = numbers(path, require_file(path).read_text(), size) / FACTORS[style]
    if len(weighted) != size:
        raise InputError("force constants", path, f"has {len(weighted)} rows of {size}; give the atoms it was made for")
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    return ForceConstants(glass(atoms), second=sp.csr_array(weighted * roots[:, None] * roots))


def read_third(path: Path, atoms: Atoms, style: Style = "regular") -> ForceConstants:
    """Third derivatives of the energy: minus what the file has.

    Raises
    ------
    InputError
        Where the file is missing or has other atoms.
    """
    lines = table(path, 8)
    i, a, j, b, k = lines[:, :5].astype(int).T - 1
    if min(i.min(), j.min(), k.min()) < 0 or max(i.max(), j.max(), k.max()) >= len(atoms):
        highest = max(i.max(), j.max(), k.max()) + 1
        raise InputError("force constants", path, f"has atoms up to {highest}, the structure has {len(atoms)}")
    first, second = np.repeat(3 * i + a, 3), np.repeat(3 * j + b, 3)
    third = (3 * k[:, None] + np.arange(3)).ravel()
    values = -lines[:, 5:].ravel() / FACTORS[style]
    kept = values != 0.0
    return ForceConstants(glass(atoms), third=Elements(np.stack([first, second, third])[:, kept], values[kept]))
