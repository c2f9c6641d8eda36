"""How accurate forces must be for the lowest linewidths to be known: the demand of the first shell.

The first shell are the standing waves of the longest wavelength in the cell: three directions, sine and cosine, two
transverse polarisations, 12 modes. Independent errors of the elements of Phi3 are expected to change a linewidth gamma
with N effective channels by its floor f, and by the scatter about that (``ldmd.diagnosis.noise_floor``),

    change = sqrt(f^2 + 4 gamma f / N),    a third of gamma where  f = gamma [sqrt(4/N^2 + 1/9) - 2/N],

and a linewidth is known where that is at most 1/``SIGNAL_TO_NOISE`` of it. The floor goes as the square of the standard
deviation s of the errors: the allowed s is the least of those of the shell. It asks for

* finite differences with a step h: forces with a noise below sigma_F = 2 h^2 s (``required_accuracy``), as if each
  element were measured once;
* automatic differentiation: elements right to the part s / rms(Phi3), which is a matter of the precision of numbers;
* training: independent errors s of the n elements that a force depends on make an error of the part of a force that is
  of second order in displacements, u rms each way, of

      dF = s u^2 sqrt(n / 2)

  (F_a = -(1/2) sum_bc Phi_abc u_b u_c; b and c exchanged are one error). Forces of displaced configurations that are
  trained on, and fitted, to dF decide the first shell. Errors of a model with exact derivatives obey translations and
  do less harm to low modes than independent ones: dF is the safe side.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.noise_floor import Accuracy, required_accuracy, scatter, stored_triples
from ldmd.diagnosis.reading import better_linewidths
from ldmd.diagnosis.thresholds import SIGNAL_TO_NOISE
from ldmd.force_constants.third import SparseThirdOrder, ThirdOrder
from ldmd.lattice.modes import Modes
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, THZ

FIRST_SHELL = 12
"""Modes."""
STEP = 0.01
"""Angstrom, of finite differences where none is in use: near the best one for forces in single precision."""
SINGLE_PRECISION = float(np.finfo(np.float32).eps)
ENOUGH = 10.0
"""Times the precision of a number that a third derivative loses at most, roughly."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ElementFacts:
    """What is known of the elements of Phi3 besides their errors."""

    rms: float  # eV/Angstrom^3
    """NaN where they cannot be listed."""
    per_coordinate: float
    """Elements that the second-order part of one component of a force depends on."""
    thermal: float  # Angstrom
    """Rms displacement of a coordinate at the temperature of the evidence, harmonic and classical."""
    bending: float = math.nan  # eV/Angstrom^5
    """K of the truncation of finite differences (``ldmd.force_constants.steps``), where it was measured."""


@dataclasses.dataclass(frozen=True)
class Demand:
    """What the first shell asks for."""

    modes: int
    lowest: float
    """Angular frequency of the first of its modes, rad/ps,"""
    highest: float
    """and of the last one."""
    accuracy: Accuracy
    """Of elements, and of the forces that finite differences are made of."""
    temperature: float
    thermal: float
    """Angstrom, rms displacement of a coordinate at that temperature (K)."""
    training: float
    """eV/Angstrom, error of the second-order part of forces at such displacements."""
    at_most: bool
    """The linewidths themselves are noise: what they would be without it is not known, and less may be allowed."""

    @property
    def sentence(self) -> str:
        """Advice on forces and on training, with units."""
        accuracy, bound = self.accuracy, "at most " if self.at_most else ""
        share = "" if math.isnan(accuracy.relative) else f" ({accuracy.relative:.1e} of their rms)"
        parts = [f"finite differences take {self._forces}"]
        if not math.isnan(accuracy.relative):
            single = accuracy.relative > ENOUGH * SINGLE_PRECISION
            parts.append(f"automatic differentiation takes {'single' if single else 'double'} precision")
        if not math.isnan(self.training):
            parts.append(
                f"a trained model takes anharmonic forces right to {self.training:.1e} eV/A in configurations "
                f"displaced by {self.thermal:.2g} A rms in each direction, as at {self.temperature:g} K"
            )
        return (
            f"the first shell ({self.modes} modes, {self.lowest / THZ:.2f} to {self.highest / THZ:.2f} THz) is "
            f"trustworthy where elements of Phi3 are right to {bound}{accuracy.sigma_elements:.1e} eV/A^3{share}: "
            + "; ".join(parts)
        )

    @property
    def _forces(self) -> str:
        accuracy = self.accuracy
        found = f"forces with a noise below {accuracy.sigma_force:.1e} eV/A at a step of {accuracy.displacement:g} A"
        if accuracy.sigma_force == 0.0:
            found = f"a smaller step than {accuracy.displacement:g} A, whose truncation alone is too much"
        if accuracy.best_sigma_force > 0.0:
            found += f" ({accuracy.best_sigma_force:.1e} eV/A at {accuracy.best_displacement:.2g} A, the best step)"
        return found


def demand(evidence: Evidence, facts: ElementFacts) -> Demand | None:
    """From the floor and the best known linewidths of the first shell; None where no floor is known."""
    shell = slice(0, min(FIRST_SHELL, len(evidence.modes)))
    floor, gamma = evidence.noise_floor[shell], evidence.gamma[shell]
    usable = (floor > 0.0) & (gamma > 0.0)
    if not usable.any() or not evidence.sigma_elements > 0.0:
        return None
    signal = _best_known(evidence)[shell]
    share = _allowed_share(evidence.effective_channels[shell])
    allowed = evidence.sigma_elements * np.sqrt(signal[usable] * share[usable] / floor[usable])
    place = int(np.argmin(allowed))
    known = np.isfinite(better_linewidths(evidence)[shell]) | (signal_to_noise(evidence)[shell] >= SIGNAL_TO_NOISE)
    sigma, step = float(allowed[place]), evidence.displacement
    bending = None if math.isnan(facts.bending) else facts.bending
    return Demand(
        modes=int(np.count_nonzero(usable)),
        lowest=float(evidence.frequencies[shell][0]),
        highest=float(evidence.frequencies[shell][-1]),
        accuracy=required_accuracy(sigma, facts.rms, step if step > 0.0 else STEP, bending),
        temperature=evidence.temperature,
        thermal=facts.thermal,
        training=sigma * facts.thermal**2 * math.sqrt(0.5 * facts.per_coordinate),
        at_most=not bool(known[usable][place]),
    )


def signal_to_noise(evidence: Evidence, scale: float = 1.0) -> np.ndarray:
    """Linewidths over what errors with ``scale`` times the floor are expected to change them by: (mode,), inf if 0."""
    floor, channels = scale * evidence.noise_floor, _channels(evidence.effective_channels)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(evidence.gamma / np.hypot(floor, scatter(evidence.gamma, floor, channels)))


def element_facts(
    third: ThirdOrder, modes: Modes, temperature: float, rms: float, bending: float = math.nan
) -> ElementFacts:
    """For a temperature (K), the ``rms`` element (eV/Angstrom^3) and, if known, the ``bending`` (eV/Angstrom^5)."""
    return ElementFacts(
        rms=rms,
        per_coordinate=_elements_of(third) / third.size,
        thermal=thermal_displacement(modes, temperature),
        bending=bending,
    )


def thermal_displacement(modes: Modes, temperature: float) -> float:
    """Rms displacement of a coordinate, Angstrom, of classical harmonic modes at a temperature (K)."""
    frequencies, motions = modes.frequencies[modes.vibrating], modes.displacements[:, modes.vibrating]
    squares = FORCE_TO_ACCELERATION * BOLTZMANN * temperature / frequencies**2 * np.mean(motions**2, axis=0)
    return float(np.sqrt(np.sum(squares)))


def _allowed_share(effective_channels: np.ndarray) -> np.ndarray:
    """Floor over linewidth at which the expected change is the part 1/``SIGNAL_TO_NOISE`` of it."""
    half = 2.0 / _channels(effective_channels)
    return np.asarray(np.sqrt(half**2 + SIGNAL_TO_NOISE**-2) - half)


def _channels(effective: np.ndarray) -> np.ndarray:
    """At least one; where they are not known, so many that nothing scatters."""
    return np.where(np.isnan(effective), np.inf, np.maximum(effective, 1.0))


def _elements_of(third: ThirdOrder) -> float:
    """How many elements can be different from zero."""
    if isinstance(third, SparseThirdOrder):
        return float(third.values.size)
    pattern = stored_triples(third)
    return 27.0 * float(np.sum(pattern.contract(np.ones((pattern.atoms, 1)))[0].sum()))


def _best_known(evidence: Evidence) -> np.ndarray:
    """Linewidths (mode,) freest of errors: exact ones, else the smaller of what is there with symmetries restored."""
    restored, known = np.fmin(evidence.gamma, evidence.gamma_projected), better_linewidths(evidence)
    return np.where(np.isfinite(known), known, restored)
