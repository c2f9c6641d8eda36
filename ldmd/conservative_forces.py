"""Are the forces of a black box the negative gradient of its energy, and does it repeat them?

Force constants and dynamics of forces that fail in this mean nothing, whatever is done with them, so it is asked before
anything else: with the structure rattled, the slope of the energy along two random directions is held against the
forces (Richardson's extrapolation of central differences, (4 D(h/2) - D(h)) / 3), and the forces against those of the
structure moved as a whole, which only round-off may change. ``ldmd potential check`` asks much more. The forces of a
potential that is differentiated here are derivatives of its energy by construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ldmd.errors import InputError
from ldmd.results import Check

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.potentials.black_box import ForcePotential
    from ldmd.problem import Problem

RATTLE = 0.05
"""Angstrom, standard deviation of the displacements: some 300 K in a solid."""
STEP = 0.02
"""Angstrom by which the atoms move along a direction, root mean square."""
DIRECTIONS = 2
MOVES = 2
"""Rigid translations."""
GRADIENT = 0.02
"""Of the root mean square force: third-order lattice dynamics is seldom better than a few percent."""
NOISE = 0.01
"""The same: over a step of 0.03 Angstrom, third-order constants of forces with more noise are noise."""
ADVICE = "nothing computed from such forces means anything; see ldmd potential check"


def soundness_checks(problem: Problem) -> tuple[Check, ...]:
    """Whether the forces of a black box are sound: none for other potentials. It is asked once per case folder.

    Raises
    ------
    InputError
        Where the black box fails.
    """
    from ldmd.potentials.black_box import AsePotential

    potential = problem.potential
    if not isinstance(potential, AsePotential):
        return ()
    atoms = problem.atoms
    parts = (atoms.numbers, atoms.positions, atoms.cell.array)
    with problem.evaluations() as asked:
        found = asked.remembered("conservative forces", parts, lambda: measured(potential, atoms))
    return checks_of(*(float(value) for value in found.ravel()[:3]))


def require_conservative(problem: Problem) -> None:
    """Refuse a black box whose forces are not those of its energy, or are not repeated.

    Raises
    ------
    InputError
        For such a black box, and where it fails.
    """
    for check in soundness_checks(problem):
        if not check.passed:
            fix = f"{check.unit} (at most {check.threshold:.2g}); {check.advice}"
            raise InputError("potential", f"{check.name} {check.value:.2g}", fix)


def measured(potential: ForcePotential, atoms: Atoms, seed: int = 1) -> np.ndarray:
    """Largest error of a slope and rms noise of the forces, both as shares of the rms force; rms force, eV/Angstrom.

    Returns an array (3,).
    """
    generator = np.random.default_rng(seed)
    rattled = atoms.copy()
    rattled.set_constraint()
    rattled.positions += RATTLE * generator.normal(size=rattled.positions.shape)
    forces = potential.forces(rattled)
    scale = max(float(np.sqrt(np.mean(forces**2))), 1e-12)
    slopes = [_slope_error(potential, rattled, forces, generator) for _ in range(DIRECTIONS)]
    moved = []
    for _ in range(MOVES):
        shifted = rattled.copy()
        shifted.positions += generator.uniform(-1.0, 1.0, size=3)
        moved.append(potential.forces(shifted) - forces)
    return np.array([max(slopes) / scale, float(np.sqrt(np.mean(np.square(moved)))) / scale, scale])


def _slope_error(potential: ForcePotential, atoms: Atoms, forces: np.ndarray, generator: np.random.Generator) -> float:
    """eV/Angstrom: difference of the slope of the energy and of the forces along a random direction."""
    direction = generator.normal(size=forces.shape)
    direction /= np.sqrt(np.mean(direction**2))

    def energy(step: float) -> float:
        moved = atoms.copy()
        moved.positions += step * direction
        return potential.energy(moved)

    wide, narrow = ((energy(h) - energy(-h)) / (2.0 * h) for h in (STEP, 0.5 * STEP))
    slope = (4.0 * narrow - wide) / 3.0
    return float(abs(slope + np.sum(forces * direction)) / np.linalg.norm(direction))


def checks_of(slope: float, noise: float, scale: float) -> tuple[Check, ...]:
    """The checks of what was measured."""
    force = f"of the rms force, {scale:.2g} eV/Angstrom"
    return (
        Check("forces against slope of energy", slope, "<=", GRADIENT, force, ADVICE),
        Check("noise of the forces", noise, "<=", NOISE, force, ADVICE),
    )
