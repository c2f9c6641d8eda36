"""Empty space in a cell: a layer, a wire or a molecule in a box, whose conductivity needs a thickness.

A conductivity is per volume, and all of them here are per volume of the cell that was given, empty space included. Of
a layer of thickness d in a cell of height h, what others quote is h/d times as large.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ldmd.results import Check
from ldmd.structures import cell_heights

WIDEST_GAP = 7.0
"""Angstrom between neighbouring planes of atoms: layers held by van der Waals forces are some 3.5 apart."""


def widest_gap(atoms: Atoms) -> tuple[float, float]:
    """Angstrom: the widest slab without atoms between two faces of the cell, and the height of the cell across it."""
    fractions = np.sort(atoms.get_scaled_positions(wrap=True) % 1.0, axis=0)
    gaps = np.diff(fractions, axis=0, append=fractions[:1] + 1.0).max(axis=0)
    heights = cell_heights(atoms.cell.array)
    axis = int(np.argmax(gaps * heights))
    return float(gaps[axis] * heights[axis]), float(heights[axis])


def vacuum_checks(atoms: Atoms) -> tuple[Check, ...]:
    """A check that fails where the cell holds empty space, and says which volume conductivities are of; else none."""
    gap, height = widest_gap(atoms)
    if gap <= WIDEST_GAP:
        return ()
    advice = (
        f"a layer, a wire or a molecule in a box: conductivities are per volume of the cell, {atoms.get_volume():.1f} "
        f"Angstrom^3, empty space included, and means over three axes; for a layer of thickness d read the tensor "
        f"along the layer and multiply it by {height:.3f} Angstrom / d"
    )
    return (Check("empty space between planes of atoms", gap, "<=", WIDEST_GAP, "Angstrom", advice),)
