"""Whether force constants from files have the symmetry of the crystal that they are said to be of.

The engines leave out wave vectors that symmetry makes equal, and find symmetry by positions, elements and masses only.
Atoms that differ otherwise (in their moments, or in a structure that was not what the force constants were computed
for) would go unseen, and with them the wrong mean over wave vectors.
"""

from __future__ import annotations

import numpy as np

from ldmd.crystal.harmonic import phonopy_of
from ldmd.force_constants.crystal_symmetry import operations_of
from ldmd.force_constants.exchange.constants import ForceConstants
from ldmd.force_constants.exchange.kinds import told_apart
from ldmd.foreign import quiet
from ldmd.results import Check

WAVES = np.array([[0.137, 0.211, 0.393], [-0.271, 0.083, 0.457]])
"""Wave vectors without symmetry, in reciprocal vectors of the primitive cell."""
EQUAL = 1e-3
"""Of the highest frequency."""


def symmetry_check(second: ForceConstants) -> Check:
    """How far apart the frequencies of waves are that the symmetry of the crystal turns into each other.

    Raises
    ------
    InputError
        Where phonopy is not installed.
    """
    primitive = second.supercell.primitive
    cell, rotations = primitive.cell.array, operations_of(told_apart(primitive)).rotations
    turned = np.einsum("rab,qb->qra", rotations, WAVES @ np.linalg.inv(cell).T) @ cell.T
    with quiet():
        crystal = phonopy_of(second)
        crystal.run_qpoints(turned.reshape(-1, 3))
    frequencies = np.asarray(crystal.qpoints.frequencies).reshape(len(WAVES), len(rotations), -1)
    spread = float(np.ptp(frequencies, axis=1).max() / np.abs(frequencies).max())
    advice = "the force constants have not the symmetry of the structure: look whether both belong together"
    return Check("frequencies of equivalent waves, of the highest", spread, "<=", EQUAL, "1", advice)
