"""The noise of forces, measured: what a finite difference divides by its step.

Four meters, each of which sees what the others may not:

* translation: forces after a random rigid translation, an exact invariance. Sees every rounding, that of the
  positions included;
* relabelling: forces after a random change of the order of the atoms, another exact invariance. Sees the rounding of
  sums whose order changes;
* smoothness: half of the atoms move along one line, the other half along another, in a grid of 4 x 4 points too close
  for the forces to bend. Of a smooth function nothing is left in differences of order k = 3 along both, of rounded
  positions nothing either, and of independent errors sigma^2 times [(2k)!/(k!)^2]^2 (as in More and Wild, SIAM J.
  Sci. Comput. 33, 1292 (2011), who use one line). Sees the cancellation inside a model, and forces that are rounded
  when they are given out;
* repetition: the same configuration again, after others. Not zero for a calculator with random numbers or a memory.

All are taken with the atoms displaced at random: at a minimum forces vanish, and their rounding with them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from ldmd.potentials.black_box import ForcePotential
from ldmd.results import Check

if TYPE_CHECKING:
    from ase import Atoms

AMPLITUDE = 0.02
"""Angstrom, of the random displacements: those that finite differences make, or somewhat more."""
SPACING = 1e-4
"""Angstrom between points of the grid. A seventh derivative of 1e8 eV/Angstrom^7 leaves 1e-16 eV/Angstrom of its
differences, below the noise of float64, while forces still change by far more than the last digit of a float32."""
POINTS = 4
REPEATABLE = 0.5
"""Up to this share of the noise the same configuration may give other forces: sums in another order on a GPU do."""


@dataclasses.dataclass(frozen=True)
class ForceNoise:
    """Standard deviation of one component of a force by each meter, eV/Angstrom."""

    translation: float
    relabelling: float
    smoothness: float
    repetition: float
    resolution: float
    """What float64 resolves of the forces themselves: no noise is smaller."""

    @property
    def sigma(self) -> float:
        """The noise by the most sensitive meter, eV/Angstrom."""
        return max(self.translation, self.independent)

    @property
    def independent(self) -> float:
        """The same without the rounding of positions, eV/Angstrom.

        That is large only on the neighbours of a displaced atom, and cancels where two coordinates are displaced.
        """
        return max(self.relabelling, self.smoothness, self.repetition, self.resolution)

    @property
    def check(self) -> Check:
        """Whether the calculator gives the same forces for the same configuration."""
        advice = (
            f"forces of one configuration differ by {self.repetition:.1e} eV/Angstrom when asked for again: switch "
            "off what is random or remembered in the calculator; the predicted errors hold as they are"
        )
        share = self.repetition / self.sigma
        return Check("repetition of forces", share, "<=", REPEATABLE, "of the noise", advice)


def force_noise(potential: ForcePotential, atoms: Atoms, repeats: int = 4, seed: int = 0) -> ForceNoise:
    """Measure the noise of forces with 2 ``repeats`` + 17 evaluations in this process, one after another.

    Raises
    ------
    InputError
        Where the black box fails.
    """
    generator = np.random.default_rng(seed)
    rattled = _moved(atoms, AMPLITUDE * generator.normal(size=atoms.positions.shape))
    lines = generator.normal(size=atoms.positions.shape)
    half = generator.permutation(len(atoms)) < len(atoms) // 2
    steps = SPACING * np.arange(POINTS)
    grid = np.array(
        [[potential.forces(_moved(rattled, np.where(half[:, None], s, t) * lines)) for t in steps] for s in steps]
    )
    first = grid[0, 0]
    shifts = generator.random((repeats, 3)) @ atoms.cell.array
    shifted = [potential.forces(_moved(rattled, shift)) for shift in shifts]
    shuffled = [_forces_in_order(potential, rattled, generator.permutation(len(atoms))) for _ in range(repeats)]
    again = potential.forces(rattled)
    return ForceNoise(
        translation=_spread([first, *shifted]),
        relabelling=_spread([first, *shuffled]),
        smoothness=difference_noise(grid),
        repetition=_rms(again - first) / math.sqrt(2.0),
        resolution=float(np.finfo(float).eps) * max(_rms(first), 1e-3),
    )


def difference_noise(grid: np.ndarray) -> float:
    """Standard deviation of independent errors of smooth values on a grid, its lines along the first two axes.

    With K + 1 points along each, sigma = (K!)^2/(2K)! rms(Delta_1^K Delta_2^K f).
    """
    differences, scale = grid, 1.0
    for axis in (0, 1):
        order = grid.shape[axis] - 1
        differences = np.diff(differences, n=order, axis=axis)
        scale *= math.factorial(order) / math.sqrt(math.factorial(2 * order))
    return scale * _rms(differences)


def _forces_in_order(potential: ForcePotential, atoms: Atoms, order: np.ndarray) -> np.ndarray:
    """Forces asked for with the atoms in another order, given back in their own."""
    forces = np.empty((len(atoms), 3))
    forces[order] = potential.forces(atoms[order])
    return forces


def _moved(atoms: Atoms, displacements: np.ndarray) -> Atoms:
    moved = atoms.copy()
    moved.positions += displacements
    return moved


def _spread(forces: list[np.ndarray]) -> float:
    """Standard deviation over equivalent configurations, pooled over all components."""
    return float(np.sqrt(np.mean(np.var(forces, axis=0, ddof=1))))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
