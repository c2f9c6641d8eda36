"""Plants of the laboratory of known causes: linewidths spoilt in a known way, and what a diagnosis is told of them.

Every specimen is a cell (``laboratory_cells``) at 300 K with classical statistics in which something was planted, read
by ``ldmd.diagnosis.collect`` as ``ldmd diagnose`` reads a case. The truth never comes from a verdict or from a meter:

* where force constants were spoilt, a mode is planted if that changed its linewidth by more than ``TOLERANCE``, held
  against the exact derivatives of the same cell; otherwise it is clean, and "physical" is right;
* a mode is soft and localised if it moves less than ``FEW`` atoms and the force along it, at its thermal amplitude, is
  off the linear law by more than ``SOFT``; below half of that it is clean, and not counted in between;
* a mode is in an accidental resonance if under a kernel that is too narrow, after a line was moved to where it meets
  the sum of two others, its linewidth is ``RESONANT`` times that of a wide kernel; where they agree it is clean.

Clean modes must be on a plateau of the kernel's width, and not spared by errors by chance: the same errors with other
signs must leave them alone too. All others are left out, and counted.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse as sp
from laboratory_cells import HASTY, WIDE, Box, Cell, Kinked, at_minimum, by_differences, cell, distances, silicon

from ldmd.diagnosis.collect import AUTODIFF, Conditions, Subject, collect, low_mode_count
from ldmd.diagnosis.evidence import Evidence, unmeasured
from ldmd.diagnosis.remeasurement import collective_step, remeasured
from ldmd.diagnosis.verdict import Cause, difference
from ldmd.force_constants.finite_differences import ThirdOrderDifferences
from ldmd.force_constants.projection import project_third
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SiteThirdOrder, SparseThirdOrder, ThirdOrder
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.potentials.base import SitePotential
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, THZ

TEMPERATURE = 300.0
WIDTH, NARROW = 0.6, 0.02
"""rad/ps, standard deviation of the Gaussian: on the plateau of these cells, and far below it."""
HIGHEST = 2.0 * THZ
"""rad/ps; modes above are not counted."""
TOLERANCE = 0.3
RESONANT = 2.0
"""How many times its plateau a linewidth is in an accidental resonance."""
DRAWS = 6
"""Of errors as large as those planted, to tell modes that they did not change by chance from those they could not."""
SOFT, FEW = 1.0, 20.0
STEPS = (1e-4, 1e-3, 1e-2)
"""Angstrom, of the differences of forces in single precision."""
DIFFERENCES = "finite differences"
CLEAN = Cause.PHYSICAL

Truth = tuple[Cause | None, ...]


@dataclasses.dataclass(frozen=True)
class Specimen:
    """Evidence on the lowest modes of a cell, and for each of them the verdict that is right; None: not counted."""

    plant: str
    evidence: Evidence
    truth: Truth


Plant = Callable[[int, np.random.Generator], Specimen]


def realise(plant: str, seed: int) -> Specimen:
    """A specimen of a plant, the same for the same seed."""
    number = list(PLANTS).index(plant)
    return PLANTS[plant](seed, np.random.default_rng((seed, number)))


# --- what is measured of a specimen


def evidence_of(subject: Subject, width: float = WIDTH) -> Evidence:
    """As ``ldmd diagnose`` reads it."""
    broadening = Gaussian(width)
    return collect(subject, Conditions(TEMPERATURE, "classical", broadening, low_mode_count(subject.modes))).evidence


def widths(third: ThirdOrder, modes: Modes, width: float = WIDTH) -> np.ndarray:
    """Linewidths of the modes that are diagnosed, rad/ps."""
    count = low_mode_count(modes)
    found = linewidths(third, modes, [TEMPERATURE], ["classical"], Gaussian(width), lowest=count, threads=1)
    return found.gamma[0, 0, np.flatnonzero(modes.vibrating)[:count]]


@functools.lru_cache(maxsize=2)
def steady(seed: int) -> np.ndarray:
    """Mask of modes whose linewidths are on a plateau of the kernel's width: others are nothing to compare with."""
    subject = cell(seed)
    return on_plateau(subject.third, subject.modes)


def on_plateau(third: ThirdOrder, modes: Modes) -> np.ndarray:
    """From half the width to twice it."""
    found = [widths(third, modes, factor * WIDTH) for factor in (0.5, 1.0, 2.0)]
    return np.asarray(np.max(found, axis=0) <= (1.0 + TOLERANCE) * np.min(found, axis=0))


def differ(spoilt: np.ndarray, clean: np.ndarray, cause: Cause, doubtful: np.ndarray) -> Truth:
    """The cause where a linewidth changed; where it did not, None for doubtful modes."""
    changed = np.array([difference(float(a), float(b)) > TOLERANCE for a, b in zip(spoilt, clean, strict=True)])
    return tuple(cause if c else None if doubt else CLEAN for c, doubt in zip(changed, doubtful, strict=True))


@dataclasses.dataclass(frozen=True)
class FullThirdOrder(ThirdOrder):
    """All elements, zero or not: small cells are faster without a list."""

    values: np.ndarray
    """(3N, 3N, 3N)."""

    @classmethod
    def of(cls, third: ThirdOrder) -> FullThirdOrder:
        """The same elements."""
        indices, values = third.elements()
        full = np.zeros((third.size,) * 3)
        full[tuple(indices)] = values
        return cls(third.size, full)

    @property
    def pattern(self) -> sp.csr_array:
        """See ``ThirdOrder``."""
        return sp.csr_array(np.ones((self.size, self.size)))

    def contract(self, directions: np.ndarray) -> np.ndarray:
        """See ``ThirdOrder``."""
        return (self.values @ directions).reshape(self.size**2, -1)


def unknown(third: ThirdOrder, subject: Cell, generator: np.random.Generator | None) -> np.ndarray:
    """Mask of modes whose linewidths errors of this size change by more than ``TOLERANCE`` in the root mean square.

    Independent errors of elements with random signs for every atom, s_i s_j s_k, are as large and as independent as
    they were, and have nothing to do with the true elements. Without a generator they are taken with either sign.
    """
    exact, clean = FullThirdOrder.of(subject.third), widths(subject.third, subject.modes)
    error, squares = FullThirdOrder.of(third).values - exact.values, []
    for draw in range(2 if generator is None else DRAWS):
        drawn = error if draw else -error
        if generator is not None:
            signs = np.repeat(generator.choice([-1.0, 1.0], third.size // 3), 3)
            drawn = error * signs[:, None, None] * signs[:, None] * signs
        spoilt_too = dataclasses.replace(exact, values=exact.values + drawn)
        squares.append((widths(spoilt_too, subject.modes) / clean - 1.0) ** 2)
    return np.asarray(np.sqrt(np.mean(squares, axis=0)) > TOLERANCE)


@dataclasses.dataclass(frozen=True)
class Made:
    """Finite differences, and the black box whose forces they are made of."""

    differences: ThirdOrderDifferences
    box: Box

    @classmethod
    def of(
        cls,
        subject: Cell,
        step: float,
        precision: type = np.float64,
        sigma: float = 0.0,
        generator: np.random.Generator | None = None,
        potential: SitePotential | None = None,
    ) -> Made:
        """With a step (Angstrom), in some precision, with noise (eV/Angstrom)."""
        site = potential or subject.potential
        kind = (precision, sigma, generator)
        return cls(by_differences(Box(subject.atoms, site, *kind), step), Box(subject.atoms, site, *kind, margin=WIDE))


@functools.lru_cache(maxsize=2)
def seen(seed: int) -> Evidence:
    """What a potential that can be differentiated tells of a cell, whatever its force constants were made by."""
    subject = cell(seed)
    parts = (subject.atoms, subject.modes, subject.second, subject.third)
    return evidence_of(Subject(AUTODIFF, *parts, potential=subject.potential))


def spoilt(
    name: str,
    subject: Cell,
    known: Evidence,
    third: SparseThirdOrder,
    made: Made | None,
    truth: Callable[[np.ndarray], Truth],
) -> Specimen:
    """Listed force constants beside what is ``seen`` of the same cell; ``truth`` from the linewidths.

    Where their making is known, the forces that they were made of are asked once more, along doubtful modes.
    """
    facts = {}
    if made is not None:
        accuracy = made.differences.accuracy
        facts = {"sigma_force": accuracy.noise.independent, "truncation": accuracy.step.truncation_error}
        facts["displacement"] = accuracy.step.size
        facts |= {"scatter": accuracy.permutation, "expected_scatter": accuracy.step.error}
    source = "a file" if made is None else DIFFERENCES
    evidence = evidence_of(Subject(source, subject.atoms, subject.modes, subject.second, third, **facts))
    if made is not None:
        step = collective_step(made.differences.accuracy.step, len(subject.atoms))
        evidence = remeasured(evidence, subject.modes, subject.atoms, Gaussian(WIDTH), made.box, step)
    names = ("slope", "kink_share", "steps", "gamma_of_step")
    scan = {name: getattr(known, name) for name in names} | {"gamma_exact": known.gamma}
    return Specimen(name, dataclasses.replace(evidence, **scan), truth(evidence.gamma))


def blinded(specimen: Specimen) -> Specimen:
    """The same of a black box: what takes a potential that can be differentiated was not measured."""
    nothing = unmeasured(len(specimen.evidence.modes))
    known = {name: nothing for name in ("gamma_exact", "slope", "kink_share")}
    steps = {"steps": np.empty(0), "gamma_of_step": np.empty((len(nothing), 0))}
    return dataclasses.replace(specimen, evidence=dataclasses.replace(specimen.evidence, **known, **steps))


def of_file(specimen: Specimen) -> Specimen:
    """The same where there are no more forces either."""
    blind = blinded(specimen)
    nothing = unmeasured(len(blind.evidence.modes))
    evidence = dataclasses.replace(blind.evidence, gamma_remeasured=nothing, floor_remeasured=nothing)
    return dataclasses.replace(blind, evidence=evidence)


def nonlinearity(subject: Cell, modes: Iterable[int]) -> np.ndarray:
    """Rms deviation of the force along each mode from the linear law, over its rms, at the thermal amplitude."""
    box = Box(subject.atoms, subject.potential, margin=WIDE)
    points, weights = np.polynomial.hermite_e.hermegauss(9)
    found = []
    for mode in modes:
        frequency, motion = subject.modes.frequencies[mode], subject.modes.displacements[:, mode].reshape(-1, 3)
        amplitudes = points * math.sqrt(BOLTZMANN * TEMPERATURE * FORCE_TO_ACCELERATION) / frequency
        forces = box.of_positions(subject.atoms.positions + amplitudes[:, None, None] * motion)
        linear = -(frequency**2) * amplitudes / FORCE_TO_ACCELERATION
        rest = np.einsum("cia,ia->c", forces, motion) - linear
        found.append(math.sqrt(float(weights @ rest**2 / (weights @ linear**2))))
    return np.array(found)


# --- plants


def nothing(seed: int, _: np.random.Generator) -> Specimen:
    """Exact force constants as they are; modes that are soft by themselves are not counted."""
    evidence = seen(seed)
    truth = tuple(cause if cause is CLEAN else None for cause in soft_or_clean(cell(seed), evidence))
    return Specimen("nothing", evidence, truth)


@functools.lru_cache(maxsize=2)
def sound_differences(seed: int) -> Made:
    """In double precision with a good step."""
    return Made.of(cell(seed), 1e-3)


def noisy(
    name: str,
    seed: int,
    third: SparseThirdOrder,
    made: Made | None,
    generator: np.random.Generator | None,
    cause: Cause = Cause.NOISE,
) -> Specimen:
    """Errors that may spare a mode by chance; drawn again with a generator, otherwise of either sign."""
    subject, known = cell(seed), seen(seed)
    doubtful = unknown(third, subject, generator) | ~steady(seed)
    return spoilt(name, subject, known, third, made, lambda gamma: differ(gamma, known.gamma, cause, doubtful))


def good_differences(seed: int, _: np.random.Generator) -> Specimen:
    """Finite differences in double precision: innocent."""
    made, known = sound_differences(seed), seen(seed)
    return spoilt(
        "good differences",
        cell(seed),
        known,
        made.differences.third,
        made,
        lambda gamma: differ(gamma, known.gamma, Cause.TRUNCATION, ~steady(seed)),
    )


def single_precision(step: float, seed: int, generator: np.random.Generator) -> Specimen:
    """Forces in single precision."""
    made = Made.of(cell(seed), step, np.float32)
    return noisy(f"float32, {step:g} Angstrom", seed, made.differences.third, made, generator)


def white_force_noise(seed: int, generator: np.random.Generator) -> Specimen:
    """Forces that are never twice the same, by 3e-6 to 1e-4 eV/Angstrom, at a step of 0.01 Angstrom."""
    made = Made.of(cell(seed), 0.01, sigma=10.0 ** generator.uniform(-5.5, -4.0), generator=generator)
    return noisy("noise of forces", seed, made.differences.third, made, generator)


def with_errors(seed: int, sigma: float, generator: np.random.Generator, symmetric: bool = False) -> SparseThirdOrder:
    """Every listed element with an error of its own, eV/Angstrom^3, or those equal by permutation with the same."""
    third = sound_differences(seed).differences.third
    if symmetric:
        ordered = np.sort(third.indices, axis=0).astype(np.int64)
        _, place = np.unique((ordered[0] * third.size + ordered[1]) * third.size + ordered[2], return_inverse=True)
        return dataclasses.replace(third, values=third.values + sigma * generator.normal(size=place.max() + 1)[place])
    return dataclasses.replace(third, values=third.values + sigma * generator.normal(size=third.values.size))


def white_element_noise(seed: int, generator: np.random.Generator) -> Specimen:
    """Independent errors of all elements that a file lists, 0.01 to 1 eV/Angstrom^3."""
    sigma = 10.0 ** generator.uniform(-2.0, 0.0)
    return noisy("noise of elements", seed, with_errors(seed, sigma, generator), None, generator)


def projected_noise(seed: int, generator: np.random.Generator) -> Specimen:
    """Noise of forces, 1e-5 to 3e-4 eV/Angstrom, that was made to obey the sum rules afterwards."""
    sigma_force, step, sound = 10.0 ** generator.uniform(-5.0, -3.5), 0.01, sound_differences(seed)
    made = sound.differences
    third = project_third(with_errors(seed, sigma_force / (2.0 * step**2), generator, True))[0]
    noise = dataclasses.replace(made.accuracy.noise, repetition=sigma_force)
    accuracy = dataclasses.replace(
        made.accuracy,
        noise=noise,
        permutation=0.0,
        step=dataclasses.replace(made.accuracy.step, size=step, sigma=sigma_force),
    )
    box = dataclasses.replace(sound.box, sigma=sigma_force, generator=generator)
    told = Made(dataclasses.replace(made, accuracy=accuracy), box)
    return noisy("noise, sum rules restored", seed, third, told, None)


def wrong_model(seed: int, generator: np.random.Generator) -> Specimen:
    """Wrong third derivatives of all site energies: exact derivatives of something else, which obey every rule."""
    subject, size = cell(seed), 10.0 ** generator.uniform(-1.5, 0.0)
    groups = []
    for group in subject.third.groups:  # type: ignore[attr-defined]
        noise = generator.normal(size=group.tensors.shape) * np.sqrt(np.mean(group.tensors**2))
        orders = ((0, 1, 2, 3), (0, 1, 3, 2), (0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1))
        turned = np.mean([noise.transpose(order) for order in orders], axis=0)
        groups.append(dataclasses.replace(group, tensors=group.tensors + size * turned))
    third = SiteThirdOrder(subject.third.size, tuple(groups))
    evidence = evidence_of(Subject(AUTODIFF, subject.atoms, subject.modes, subject.second, third))
    clean = seen(seed).gamma
    known = dataclasses.replace(evidence, gamma_reference=clean)
    return Specimen("wrong model", known, differ(evidence.gamma, clean, Cause.MODEL, ~steady(seed)))


def wrong_diagonal(seed: int, generator: np.random.Generator) -> Specimen:
    """Errors of the elements Phi_iii of some or all atoms, symmetric, by 1 to 30 eV/Angstrom^3."""
    made = sound_differences(seed)
    third = made.differences.third
    size, part = 10.0 ** generator.uniform(0.0, 1.5), generator.uniform(0.1, 1.0)
    atoms = third.indices // 3
    same = np.all(atoms == atoms[0], axis=0) & (generator.random(third.size // 3) < part)[atoms[0]]
    ordered = np.sort(third.indices[:, same], axis=0)
    _, place = np.unique(ordered, axis=1, return_inverse=True)
    errors = np.zeros(third.values.size)
    errors[same] = size * generator.normal(size=place.max() + 1)[place.ravel()]
    wrong = SparseThirdOrder(third.size, third.indices, third.values + errors)
    return noisy("wrong diagonal", seed, wrong, made, generator, Cause.SUM_RULE)


def cutoff_kink(seed: int, generator: np.random.Generator) -> Specimen:
    """A C1 cutoff between the shells of neighbours, with pairs within a step of it: at rest it changes nothing."""
    subject = cell(seed)
    step, strength = generator.choice([0.001, 0.003, 0.01]), 10.0 ** generator.uniform(-1.5, 0.0)
    beyond = next(r for r in distances(subject.atoms, 4.0) if r > 2.9)
    outer = beyond - step * generator.uniform(0.0, 1.0)
    potential = Kinked(silicon(), strength, outer - 0.2, outer)
    kinked = at_minimum(subject.atoms, potential)
    made = Made.of(subject, step, potential=potential)
    parts = (kinked.atoms, kinked.modes, kinked.second, kinked.third)
    known = evidence_of(Subject(AUTODIFF, *parts, potential=potential))
    doubtful = ~on_plateau(kinked.third, kinked.modes)
    truth = functools.partial(differ, clean=known.gamma, cause=Cause.KINK, doubtful=doubtful)
    return spoilt("kink at a cutoff", kinked, known, made.differences.third, made, truth)


def soft_modes(seed: int, _: np.random.Generator) -> Specimen:
    """Exact force constants of a poorly annealed network."""
    subject = cell(seed, HASTY)
    evidence = evidence_of(Subject(AUTODIFF, subject.atoms, subject.modes, subject.second, subject.third))
    return Specimen("soft modes", evidence, soft_or_clean(subject, evidence))


def soft_or_clean(subject: Cell, evidence: Evidence) -> Truth:
    """By the force along each mode and the atoms that it moves; None in between."""
    truth: list[Cause | None] = []
    rows = (
        nonlinearity(subject, evidence.modes),
        evidence.participation_ratio,
        on_plateau(subject.third, subject.modes),
    )
    for deviation, part, plain in zip(*rows, strict=True):
        soft = deviation > SOFT and part * len(subject.atoms) < FEW
        truth.append(Cause.LOCALISED if soft else CLEAN if deviation < 0.5 * SOFT and plain else None)
    return tuple(truth)


def resonance(seed: int, _: np.random.Generator) -> Specimen:
    """A mode l moved to w_m + w_n with its eigenvector as it is, under a kernel that is too narrow."""
    subject = cell(seed)
    modes = subject.modes
    m, n, partner = _strongest_channel(subject)
    target = modes.frequencies[m] + modes.frequencies[n]
    vector = modes.eigenvectors[:, partner] * np.sqrt(np.repeat(modes.masses, 3))
    shift = (target**2 - modes.frequencies[partner] ** 2) / FORCE_TO_ACCELERATION
    second = SecondOrder(sp.csr_array(subject.second.matrix.toarray() + shift * np.outer(vector, vector)))
    moved = normal_modes(second, modes.masses)
    evidence = evidence_of(Subject(AUTODIFF, subject.atoms, moved, second, subject.third), NARROW)
    truth: list[Cause | None] = []
    for now, wide, plain in zip(
        evidence.gamma, widths(subject.third, moved), on_plateau(subject.third, moved), strict=True
    ):
        clean = CLEAN if difference(now, wide) <= TOLERANCE else None
        truth.append((Cause.RESONANCE if now > RESONANT * wide else clean) if plain else None)
    return Specimen("accidental resonance", evidence, tuple(truth))


def _strongest_channel(subject: Cell) -> tuple[int, int, int]:
    """A mode m to be diagnosed with n and l that scatter it most if l is moved to w_m + w_n, from less than 1 THz away.

    Most over its linewidth; n and l are above all modes that are diagnosed.
    """
    modes, clean = subject.modes, widths(subject.third, subject.modes)
    w, motion = modes.frequencies, modes.displacements
    free, best = np.arange(len(w)) >= 30, (0.0, 0, 0, 0)
    for m, gamma in zip(np.flatnonzero(modes.vibrating), clean, strict=False):
        phi = motion.T @ (subject.third.along(motion[:, m]) @ motion)
        detuning = w[m] + w[:, None] - w[None, :]
        allowed = free[:, None] & free & (np.abs(detuning) < THZ) & (w[None, :] > w[:, None])
        strength = np.divide(phi**2, (w[:, None] * (w[m] + w[:, None])) ** 2, out=np.zeros_like(phi), where=allowed)
        n, partner = np.unravel_index(int(strength.argmax()), strength.shape)
        best = max(best, (float(strength[n, partner] / gamma), int(m), int(n), int(partner)))
    return best[1:]


PLANTS: dict[str, Plant] = {
    "nothing": nothing,
    "good differences": good_differences,
    **{f"float32, {step:g} Angstrom": functools.partial(single_precision, step) for step in STEPS},
    "noise of forces": white_force_noise,
    "noise of elements": white_element_noise,
    "noise, sum rules restored": projected_noise,
    "wrong model": wrong_model,
    "wrong diagonal": wrong_diagonal,
    "kink at a cutoff": cutoff_kink,
    "soft modes": soft_modes,
    "accidental resonance": resonance,
}
IMPORTED = frozenset(PLANTS) - {"nothing", "wrong model", "soft modes", "accidental resonance"}
"""Force constants that may come from a file;"""
FROM_FORCES = IMPORTED - {"noise of elements"}
"""those that were made of forces, of which more can be had."""
