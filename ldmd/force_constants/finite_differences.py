"""Force constants of a black box by central differences of its forces (formulas in ``displacements``).

The step follows from the measured noise of the forces (``noise``) and the measured bending of the potential
(``steps``); what error to expect, and by how much the result breaks the rules that it should obey, is part of it.

Of the third order every element is measured whose two displaced atoms are within the cutoff, the third atom being any
in the cell. By permutation this gives all elements with at least two of their three atoms within the cutoff, many of
them up to three times: their mean is taken, their scatter is the error as seen.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from matscipy.neighbours import neighbour_list

from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.force_constants.crystal_symmetry import Operations, identity, operations_of
from ldmd.force_constants.displacements import plan_second, plan_third
from ldmd.force_constants.noise import ForceNoise, force_noise
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.steps import NEAREST, Step, choose_step
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.potentials.black_box import require_knows
from ldmd.potentials.evaluations import Evaluations
from ldmd.results import Check
from ldmd.visible import seen_by_calculators

if TYPE_CHECKING:
    from ase import Atoms

EXPECTED_SCATTER = 3.0
"""Times the predicted error that measurements of one element may scatter: beyond, the prediction is wrong."""
SIX = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How far force constants by finite differences are to be trusted."""

    step: Step
    """Its size, and the predicted errors of every element."""
    noise: ForceNoise
    configurations: int
    """Evaluations of the forces that the differences took, the search for the step not counted."""
    translation: float
    """Rms sum over the atoms that the forces are taken of, as measured, eV/Angstrom^order: zero if forces add up to
    zero, whatever their noise."""
    permutation: float
    """Rms scatter of measurements of one element, displaced atoms and forces exchanged, eV/Angstrom^order."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Is the calculator repeatable, and is the scatter what the noise and the truncation explain?"""
        advice = (
            "measurements of the same force constant differ by more than noise and truncation explain: a kink of the "
            "potential (a cutoff) within the step of an atom, or forces that are no gradient of an energy"
        )
        limit = EXPECTED_SCATTER * self.step.error
        unit = f"eV/Angstrom^{self.step.order}"
        return (
            self.noise.check,
            Check(f"scatter of order {self.step.order}", self.permutation, "<=", limit, unit, advice),
        )


@dataclasses.dataclass(frozen=True)
class SecondOrderDifferences:
    """Second-order force constants, symmetric under permutation, and how accurate they are."""

    second: SecondOrder
    accuracy: Accuracy


@dataclasses.dataclass(frozen=True)
class ThirdOrderDifferences:
    """Third-order force constants, symmetric under permutations, and how accurate they are."""

    third: SparseThirdOrder
    accuracy: Accuracy
    cutoff: float
    """Angstrom; infinite where all pairs were displaced."""


def second_order(
    atoms: Atoms, evaluations: Evaluations, step: float | None = None, symmetry: bool = True
) -> SecondOrderDifferences:
    """Second-order force constants at the positions of the atoms.

    ``step`` in Angstrom is chosen where it is not given. Elements within the error of independent noise are left out.

    Raises
    ------
    InputError
        Where the black box fails; all evaluations so far are on record.
    """
    plan = plan_second(_operations(atoms, symmetry))
    noise = measured_noise(atoms, evaluations)
    chosen = choose_step(atoms, plan, evaluations, noise.sigma, step)
    forces = evaluations.forces(atoms, plan.displacements(chosen.size), "second-order force constants")
    count = len(atoms)
    matrix, sums = np.zeros((count, 3, count, 3)), 0.0
    for measured, tensor in plan.representatives(forces.__getitem__, chosen.size):
        sums += len(measured.orbit.members) * float(np.mean(tensor.sum(axis=1) ** 2))
        for (atom,), block in plan.expanded(measured, tensor):
            matrix[atom] = block
    flat = matrix.reshape(3 * count, 3 * count)
    scatter = _rms((flat - flat.T)[np.triu_indices(3 * count, 1)]) / math.sqrt(2.0)
    flat = 0.5 * (flat + flat.T)
    flat[np.abs(flat) < chosen.error_from(noise.independent)] = 0.0
    accuracy = Accuracy(chosen, noise, len(plan.configurations), math.sqrt(sums / count), scatter)
    return SecondOrderDifferences(SecondOrder(sp.csr_array(flat)), accuracy)


def third_order(
    atoms: Atoms,
    evaluations: Evaluations,
    cutoff: float | None = None,
    step: float | None = None,
    symmetry: bool = True,
) -> ThirdOrderDifferences:
    """Third-order force constants at the positions of the atoms.

    Pairs of atoms farther apart than ``cutoff`` (Angstrom) are not displaced; without one, all are. For site energies
    with a reach r, sqrt(3) r misses nothing: of three atoms within r of one centre two are closer than that. ``step``
    in Angstrom is chosen where it is not given. Elements within the error of independent noise are left out.

    Raises
    ------
    InputError
        Where the black box fails; all evaluations so far are on record.
    """
    plan = plan_third(_operations(atoms, symmetry), *pairs_within_cutoff(atoms, cutoff))
    noise = measured_noise(atoms, evaluations)
    chosen = choose_step(atoms, plan, evaluations, noise.sigma, step)
    forces = evaluations.forces(atoms, plan.displacements(chosen.size), "third-order force constants")
    keys, values, sums, total = [], [], 0.0, 0
    size, within = 3 * len(atoms), np.zeros((len(atoms),) * 2, dtype=bool)
    for measured, tensor in plan.representatives(forces.__getitem__, chosen.size):
        total += len(measured.orbit.members)
        sums += len(measured.orbit.members) * float(np.mean(tensor.sum(axis=2) ** 2))
        for pair, block in plan.expanded(measured, tensor):
            within[pair] = within[pair[::-1]] = True
            found = _listed(pair, block, chosen.error_from(noise.independent), size)
            keys.append(found[0])
            values.append(found[1])
    third, scatter = _symmetric(np.concatenate(keys, axis=1), np.concatenate(values), within)
    accuracy = Accuracy(chosen, noise, len(plan.configurations), math.sqrt(sums / total), scatter)
    return ThirdOrderDifferences(third, accuracy, math.inf if cutoff is None else cutoff)


def measured_noise(atoms: Atoms, evaluations: Evaluations) -> ForceNoise:
    """Noise of the forces, measured once and then on record.

    Raises
    ------
    InputError
        Where the black box fails, naming the elements that it does not know.
    """

    def measure() -> np.ndarray:
        require_knows(atoms, evaluations.potential)
        return np.array(dataclasses.astuple(force_noise(evaluations.potential, atoms)))

    parts: list[object] = [atoms.numbers, atoms.positions, atoms.cell.array]
    beyond = seen_by_calculators(atoms)
    parts += [beyond] if beyond else []
    return ForceNoise(*evaluations.remembered("noise of forces", digest(*parts), measure).tolist())


def measured_step(atoms: Atoms, evaluations: Evaluations) -> Step:
    """The best step of the third order and its errors, by a hundred evaluations: where none are to be made.

    Raises
    ------
    InputError
        Where the black box fails.
    """
    distances = atoms.get_all_distances(mic=True)
    nearest = float(distances[distances > 0.0].min())
    plan = plan_third(identity(len(atoms)), *pairs_within_cutoff(atoms, NEAREST * nearest))
    return choose_step(atoms, plan, evaluations, measured_noise(atoms, evaluations).sigma)


def evaluations_needed(atoms: Atoms, cutoff: float | None = None, symmetry: bool = True) -> tuple[int, int]:
    """Configurations for the second and the third order; noise and steps take some 100 more."""
    operations = _operations(atoms, symmetry)
    third = plan_third(operations, *pairs_within_cutoff(atoms, cutoff))
    return len(plan_second(operations).configurations), len(third.configurations)


def pairs_within_cutoff(atoms: Atoms, cutoff: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs first <= second whose nearest images are within the cutoff, every atom with itself among them.

    Raises
    ------
    InputError
        For a cutoff that is not positive.
    """
    if cutoff is None:
        first, second = np.triu_indices(len(atoms))
        return first, second
    if not cutoff > 0.0:
        raise InputError("lattice.pair_cutoff", cutoff, "give a positive number of Angstrom, or none")
    i, j = neighbour_list("ij", atoms, cutoff)
    own = np.arange(len(atoms))
    keys = np.unique(np.concatenate([i[i < j] * len(atoms) + j[i < j], own * len(atoms) + own]))
    return keys // len(atoms), keys % len(atoms)


def _operations(atoms: Atoms, symmetry: bool) -> Operations:
    return operations_of(atoms) if symmetry else identity(len(atoms))


def _listed(pair: tuple[int, ...], block: np.ndarray, threshold: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Elements (3, 3, N, 3) of a pair above a threshold: coordinates (3, n), the last that of the force, and values."""
    keep = np.abs(block) >= threshold
    if pair[0] == pair[1]:
        keep[[1, 2, 2], [0, 0, 1]] = False  # once for both orders of the two coordinates
    a, b, k, c = np.nonzero(keep)
    return np.stack([3 * pair[0] + a, 3 * pair[1] + b, 3 * k + c]), block[keep]


def _symmetric(raw: np.ndarray, values: np.ndarray, within: np.ndarray) -> tuple[SparseThirdOrder, float]:
    """The mean over all measurements of each element, in every permutation, and their rms scatter.

    ``raw`` (3, n) are the displaced coordinates and that of the force; ``within`` (N, N) tells which pairs of atoms
    were displaced. A measurement below the threshold is not listed and counts as zero. An element with two equal
    coordinates is measured in two ways, one of which stands for two permutations.
    """
    size = 3 * len(within)
    weights = 1.0 + (raw[0] == raw[2]) + (raw[1] == raw[2])
    ordered = np.sort(raw, axis=0).astype(np.int64)
    keys, where = np.unique((ordered[0] * size + ordered[1]) * size + ordered[2], return_inverse=True)
    triples = np.stack([keys // size**2, keys // size % size, keys % size])
    i, j, k = triples // 3
    measurements = within[i, j].astype(float) + within[i, k] + within[j, k]
    means = np.bincount(where, weights * values) / measurements
    distinct = (triples[0] != triples[1]) & (triples[1] != triples[2]) & (measurements > 1.0)
    listed = np.bincount(where, minlength=len(keys))
    squares = np.bincount(where, (values - means[where]) ** 2) + (measurements - listed) * means**2
    freedom = float(np.sum(measurements[distinct] - 1.0))
    scatter = math.sqrt(max(0.0, float(squares[distinct].sum())) / freedom) if freedom else 0.0
    permuted = np.concatenate([triples[list(order)] for order in SIX], axis=1)
    unique, first = np.unique((permuted[0] * size + permuted[1]) * size + permuted[2], return_index=True)
    indices = np.stack([unique // size**2, unique // size % size, unique % size])
    return SparseThirdOrder(size, indices, np.tile(means, len(SIX))[first]), scatter


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
