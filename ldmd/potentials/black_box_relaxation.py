"""Energy, forces and minima of a black box: what ``ldmd.relaxation`` does with exact Hessians, without them."""

from __future__ import annotations

import logging
import math

import numpy as np
from ase import Atoms
from ase.optimize import FIRE, LBFGS
from ase.optimize.optimize import Optimizer

from ldmd.errors import MissingProperty
from ldmd.potentials.black_box import ForcePotential
from ldmd.potentials.calculator import BlackBoxCalculator
from ldmd.relaxation import State
from ldmd.units import GPA

logger = logging.getLogger(__name__)


def evaluate_black_box(atoms: Atoms, potential: ForcePotential) -> State:
    """Energy, forces and static pressure of atoms at rest; the pressure is NaN where the box knows no stress."""
    forces, energy = potential.forces(atoms), potential.energy(atoms)
    return State(energy, forces, _pressure(atoms, potential))


def _pressure(atoms: Atoms, potential: ForcePotential) -> float:
    """GPa; NaN where the box says before or after it was asked that it knows no stress."""
    if "stress" not in potential.offers():
        return math.nan
    try:
        return -float(np.trace(potential.stress(atoms))) / 3.0 * GPA
    except MissingProperty:
        return math.nan


def relax_black_box(atoms: Atoms, potential: ForcePotential, fmax: float = 1e-4, steps: int = 2000) -> Atoms:
    """Relax positions at fixed cell until no force exceeds ``fmax`` (eV/Angstrom).

    L-BFGS first, and FIRE from the best structure if that does not converge within ``steps``. Returns the best
    structure found; where forces are noisier than ``fmax`` it is not converged, which the log says and the caller
    sees from ``evaluate_black_box``.
    """
    best, largest = _descend(LBFGS, atoms, potential, fmax, steps)
    if largest > fmax:
        other, other_largest = _descend(FIRE, best, potential, fmax, steps)
        best, largest = (other, other_largest) if other_largest < largest else (best, largest)
    if largest > fmax:
        logger.warning("not relaxed: largest force %.3g eV/Angstrom, %.3g was asked for", largest, fmax)
    return best


def _descend(
    optimiser: type[Optimizer], atoms: Atoms, potential: ForcePotential, fmax: float, steps: int
) -> tuple[Atoms, float]:
    """The structure with the smallest largest force on the way, and that force."""
    moving = atoms.copy()
    moving.set_constraint()
    moving.calc = BlackBoxCalculator(potential)
    best, smallest = moving.copy(), math.inf
    for _ in optimiser(moving, logfile=None).irun(fmax=fmax, steps=steps):
        largest = float(np.linalg.norm(moving.get_forces(), axis=1).max())
        if largest < smallest:
            best, smallest = moving.copy(), largest
    return best, smallest
