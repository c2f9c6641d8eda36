"""The step of a finite difference: where the noise of the forces and the bending of the potential meet.

With n = 1 displaced coordinates for the second order and n = 2 for the third, a central difference has

* noise       sigma_F / (sqrt(2) h) for n = 1, sigma_F / (2 h^2) for n = 2,
* truncation  K h^2 / 6, K the rms of Phi4_iiij for n = 1, of Phi5_iiijk + Phi5_ijjjk for n = 2.

Their sum of squares is least at h* = (3 sigma_F / K)^(1/(n+2)), where for n = 2 both are equal. K is measured:
differences D with the steps h and 2h of some coordinates give K = 2 rms[D(2h) - D(h)] / h^2 each, of which the median
is taken, so that a kink of the potential near one of them, which D(h) - D(2h) shows as large as J/h, does not decide.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import TYPE_CHECKING

import numpy as np

from ldmd.errors import InputError
from ldmd.force_constants.displacements import Measured, Plan
from ldmd.potentials.evaluations import Evaluations
from ldmd.structures import minimum_image

if TYPE_CHECKING:
    from ase import Atoms

logger = logging.getLogger(__name__)

LARGEST_STEP = 0.05
"""Angstrom, for forces that are very noisy or hardly bend: beyond it the truncation is more than its first term."""
TYPICAL_BENDING = 100.0
"""eV/Angstrom^4 or ^5: where the search for K begins, near the K of silicon and silica."""
PROBES = 8
"""Coordinates, or pairs of them, whose differences are taken with two steps."""
CLEAR = 2.0
"""Times its noise that a change between two steps must be, to be taken for bending."""
NEAREST = 1.2
"""Pairs within this times the shortest distance count as nearest neighbours."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A step with the errors that it will make in each element, as it is measured once.

    They are those of typical elements. Where a pair of atoms is in the switching region of a cutoff the potential bends
    far more, and at its ends it has a kink: there the truncation can be larger by orders of magnitude.
    """

    order: int
    """2 or 3, of the force constants."""
    size: float
    """Angstrom."""
    sigma: float
    """Noise of one component of a force, eV/Angstrom."""
    bending: float
    """K on the displaced atoms themselves, where it is largest, eV/Angstrom^(order + 2)."""

    def error_from(self, sigma: float) -> float:
        """Standard deviation of an element due to noise of forces (eV/Angstrom), eV/Angstrom^order."""
        return sigma / (math.sqrt(2.0) * self.size if self.order == 2 else 2.0 * self.size**2)

    @property
    def noise_error(self) -> float:
        """That due to the whole noise, eV/Angstrom^order."""
        return self.error_from(self.sigma)

    @property
    def truncation_error(self) -> float:
        """Rms truncation of the elements on the displaced atoms, the largest ones, eV/Angstrom^order."""
        return self.bending * self.size**2 / 6.0

    @property
    def error(self) -> float:
        """Both together, eV/Angstrom^order."""
        return math.hypot(self.noise_error, self.truncation_error)


def best_size(order: int, sigma: float, bending: float) -> float:
    """h* = (3 sigma_F / K)^(1/(order + 1)), Angstrom, at most ``LARGEST_STEP``."""
    if 3.0 * sigma >= bending * LARGEST_STEP ** (order + 1):
        return LARGEST_STEP
    return float((3.0 * sigma / bending) ** (1.0 / (order + 1)))


def choose_step(
    atoms: Atoms, plan: Plan, evaluations: Evaluations, sigma: float, size: float | None = None, seed: int = 0
) -> Step:
    """The best step for forces with noise ``sigma``, or the errors of a given ``size`` (Angstrom).

    Raises
    ------
    InputError
        For a size that is not positive or that moves atoms into each other.
    """
    if size is not None and not 0.0 < size <= 10.0 * LARGEST_STEP:
        fix = f"give a positive number up to {10.0 * LARGEST_STEP:g} Angstrom, or none to have it measured"
        raise InputError("lattice.displacement", size, fix)
    probes = _probes(atoms, plan, np.random.default_rng(seed))
    bending = _bending(atoms, probes, evaluations, sigma)
    chosen = Step(plan.order, best_size(plan.order, sigma, bending) if size is None else size, sigma, bending)
    logger.info(
        "order %d: step %.2g Angstrom, predicted error %.1e eV/Angstrom^%d (noise of forces %.1e eV/Angstrom)",
        *(plan.order, chosen.size, chosen.error, plan.order, sigma),
    )
    return chosen


def _bending(atoms: Atoms, probes: Plan, evaluations: Evaluations, sigma: float) -> float:
    """K from the smallest steps between which the differences change clearly; an upper bound if none do."""
    size = min(best_size(probes.order, sigma, TYPICAL_BENDING), 0.5 * LARGEST_STEP)
    near = _differences(atoms, probes, evaluations, size)
    while True:
        far = _differences(atoms, probes, evaluations, 2.0 * size)
        noise = Step(probes.order, size, sigma, 0.0).noise_error
        change = float(np.median(np.sqrt(np.mean((far - near) ** 2, axis=1))))
        if change >= CLEAR * noise or 4.0 * size > LARGEST_STEP:
            return 2.0 * max(change, CLEAR * noise) / size**2
        size, near = 2.0 * size, far


def _differences(atoms: Atoms, probes: Plan, evaluations: Evaluations, size: float) -> np.ndarray:
    """Differences of the forces on the displaced atoms themselves, a row for each probe, eV/Angstrom^order."""
    forces = evaluations.forces(atoms, probes.displacements(size), "size of the step")
    found = [
        slope[list(measured.orbit.atoms)].ravel()
        for measured in probes.measured
        for slope in probes.slopes(measured, forces.__getitem__, size)
    ]
    return np.array(found)


def _probes(atoms: Atoms, plan: Plan, generator: np.random.Generator) -> Plan:
    """A few differences of a plan: atoms with themselves, and nearest neighbours, each in one direction."""
    alone = [m for m in plan.measured if len(set(m.orbit.atoms)) == 1]
    pairs = [m for m in plan.measured if len(set(m.orbit.atoms)) == 2]
    if pairs:
        ends = np.array([m.orbit.atoms for m in pairs])
        separations = minimum_image(atoms.positions[ends[:, 1]] - atoms.positions[ends[:, 0]], atoms.cell.array)
        distances = np.linalg.norm(separations, axis=1)
        near = np.flatnonzero(distances <= NEAREST * distances.min())
        pairs = [pairs[n] for n in near]
    chosen: list[Measured] = []
    for group in (alone, pairs):
        choices = [(m, d) for m in group for d in range(len(m.directions))]
        share = PROBES // 2 if pairs else PROBES
        for n in generator.permutation(len(choices))[:share].tolist():
            measured, d = choices[n]
            chosen.append(Measured(measured.orbit, (measured.directions[d],), (measured.differences[d],)))
    return plan.part(chosen)
