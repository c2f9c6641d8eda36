"""A unit cell at rest: its positions by Newton steps, its cell by steps of strain with the exact elastic constants.

Under a stress s the strain -C^-1 s leads to rest where the crystal is linear; repeated, it converges quadratically and
keeps the symmetry, for C and s have it.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ldmd.crystal.elasticity import VOIGT, elastic_constants
from ldmd.errors import InputError
from ldmd.potentials.base import SitePotential
from ldmd.relaxation import relax

ATTEMPTS = 20
LARGEST_STRAIN = 0.03
"""Of one step: farther away the crystal is not linear."""
AT_REST = 1e-8
"""GPa."""


def relax_cell(unit: Atoms, potential: SitePotential, tolerance: float = 1e-10) -> Atoms:
    """Positions and all six components of the cell at rest; ``tolerance`` of the forces in eV/Angstrom.

    Raises
    ------
    InputError
        Where the crystal is unstable against a strain, or comes to no rest.
    """
    atoms = relax(unit, potential, tolerance)
    for _ in range(ATTEMPTS):
        elastic = elastic_constants(atoms, potential)
        stress = np.array([elastic.stress[a, b] for a, b in VOIGT])
        if np.abs(stress).max() < AT_REST:
            return atoms
        if np.linalg.eigvalsh(elastic.constants).min() <= 0.0:
            raise InputError("material.structure", len(unit), "gives way to a strain: no crystal of this potential")
        strain = -np.linalg.solve(elastic.constants, stress)
        strain *= min(1.0, LARGEST_STRAIN / np.abs(strain).max())
        tensor = np.empty((3, 3))
        for value, (a, b) in zip(strain, VOIGT, strict=True):
            tensor[a, b] = tensor[b, a] = value if a == b else 0.5 * value
        atoms = atoms.copy()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + tensor), scale_atoms=True)
        atoms = relax(atoms, potential, tolerance)
    left = f"{np.abs(stress).max():.2g} GPa"
    raise InputError("material.structure", left, "is left of the stress: no crystal at rest")
