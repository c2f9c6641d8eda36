"""The verdict on a case: which linewidths to trust, whether to extrapolate them, what rests on them, what to do.

Trusted are modes whose verdict is "physical"; the spectrum is trusted from the lowest such mode on above which (itself
included) nine tenths of the diagnosed modes are. Modes above the diagnosed ones are counted as trusted: what breaks
sum rules, and what makes few channels, falls on low modes first.

Hydrodynamic extrapolation continues the linewidths of sound waves, gamma ~ w^2, below the lowest mode of the cell
(Fiorentino, Pegolo and Baroni, npj Comput. Mater. 9 (2023), doi 10.1038/s41524-023-01116-2). It has three gates, all
to be passed:

* the exponent of the diagnosed modes is at least ``SOUND``, and the lower end of its 95 % interval at least ``RISING``;
* every linewidth of the first shell is ``SIGNAL_TO_NOISE`` times what noise is expected to change it by;
* at most a fourth of the first shell is blamed on anything, or undecided (the exponent, a median, does not notice a
  fourth).

Whether the conductivity depends on the doubtful modes is asked three times: without them, with the value that the
evidence knows to be better (exact, symmetries restored, self-consistent), and with the linewidths of sound,
A w^2, A the median of gamma/w^2 over trusted modes. A conductivity that does not move says nothing for the linewidths.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ldmd.diagnosis.conduction import Conduction
from ldmd.diagnosis.demand import FIRST_SHELL, Demand, ElementFacts, demand, signal_to_noise
from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.exponent import FEWEST, SOUND, Exponent, exponent
from ldmd.diagnosis.reading import better_linewidths, difference, readings
from ldmd.diagnosis.thresholds import SIGNAL_TO_NOISE, Thresholds
from ldmd.diagnosis.verdict import Cause, Verdict, noise_scale
from ldmd.errors import InputError
from ldmd.results import Check
from ldmd.units import THZ

TRUSTED_SHARE = 0.9
"""Of the diagnosed modes from the trusted frequency on."""
RISING = 0.5
"""Lower end of the interval of an exponent that surely is that of something that rises."""
DOUBTFUL_SHARE = 0.25
"""Of the first shell, up to which an extrapolation may go on."""
MATTERS = 0.05
"""Relative change of the conductivity from which on it depends on some modes."""
SPAN = 1.2
"""Ratio of the highest and the lowest frequency that an exponent takes."""
NEIGHBOURS = 32
"""Modes above the diagnosed ones that stand for sound where fewer than five diagnosed ones are trusted."""


@dataclasses.dataclass(frozen=True)
class Trust:
    """Which modes have a linewidth to rely on."""

    diagnosed: int
    physical: int
    blamed: int
    undecided: int
    begins: float
    """rad/ps: angular frequency from which on linewidths are trusted; NaN where no diagnosed mode is such."""
    share: float
    """Of all vibrating modes, from there on or, where that is NaN, above the diagnosed ones."""
    highest: float
    """rad/ps, of the last diagnosed mode."""

    @property
    def sentence(self) -> str:
        """In words."""
        counts = f"{self.physical} of the {self.diagnosed} diagnosed modes are physical"
        counts += f", {self.blamed} blamed on something" if self.blamed else ""
        counts += f", {self.undecided} undecided" if self.undecided else ""
        if math.isnan(self.begins):
            return (
                f"no linewidth up to {self.highest / THZ:.2f} THz can be relied on: {counts}; the {self.share:.0%} of "
                "all modes above were not looked at"
            )
        return (
            f"linewidths can be trusted from {self.begins / THZ:.2f} THz up, {self.share:.1%} of all modes, those "
            f"above {self.highest / THZ:.2f} THz taken on trust: {counts}"
        )


@dataclasses.dataclass(frozen=True)
class Dependence:
    """What the conductivity is with other linewidths of the doubtful modes, W/(m K)."""

    doubtful: int
    """Modes that are not "physical"."""
    temperature: float
    statistics: str
    conductivity: float
    without: float
    corrected: float
    """With linewidths that the evidence knows to be better; NaN where it knows none."""
    sound: float
    """With linewidths A w^2; NaN where there is nothing to take A from."""

    @property
    def change(self) -> float:
        """Largest relative change by any of the three."""
        values = np.array([self.without, self.corrected, self.sound])
        return float(np.nanmax(np.abs(values / self.conductivity - 1.0)))

    @property
    def matters(self) -> bool:
        """Whether the conductivity depends on the doubtful modes."""
        return self.change > MATTERS

    @property
    def sentence(self) -> str:
        """In words."""
        start = f"the conductivity of {self.conductivity:.3f} W/(m K) ({self.statistics}, {self.temperature:g} K)"
        if not self.doubtful:
            return f"{start} rests on no doubtful mode"
        verb = "depends" if self.matters else "does not depend"
        found = [f"{self.without:.3f} without them"]
        found += [] if math.isnan(self.corrected) else [f"{self.corrected:.3f} with their better linewidths"]
        found += [] if math.isnan(self.sound) else [f"{self.sound:.3f} with those of sound waves, ~ w^2"]
        closing = "" if self.matters else "; nor is it evidence for their linewidths"
        return f"{start} {verb} on the {self.doubtful} doubtful modes: {', '.join(found)}{closing}"


@dataclasses.dataclass(frozen=True)
class Bends:
    """Linewidths from derivatives at rest against those over the thermal amplitude of each mode."""

    asked: int
    """Modes of which both are known."""
    changed: int
    """Those of them whose linewidths differ."""
    lowest: float
    highest: float
    """Of these, the linewidth at the amplitude over that at rest."""

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.changed:
            return f"the {self.asked} lowest modes are as wide at their thermal amplitude as at rest"
        return (
            f"{self.changed} of the {self.asked} lowest modes are {self.lowest:.2g} to {self.highest:.2g} times as "
            "wide at their thermal amplitude as at rest: the potential bends within thermal motion, and third "
            "derivatives at rest are not what the atoms feel"
        )


@dataclasses.dataclass(frozen=True)
class CaseVerdict:
    """What the verdicts on the modes mean for the case."""

    trust: Trust
    gates: tuple[Check, ...]
    """All passed where hydrodynamic extrapolation is allowed."""
    exponent: Exponent | None
    """None where there are too few linewidths for one."""
    dependence: Dependence | None
    """None where no conductivity is known."""
    demand: Demand | None
    """None where no noise floor is known."""
    bends: Bends | None = None
    """None where the potential cannot be differentiated."""

    @property
    def extrapolation_allowed(self) -> bool:
        """Whether all gates are open."""
        return all(gate.passed for gate in self.gates)

    @property
    def extrapolation(self) -> str:
        """Whether, and if not, why not, in words."""
        if self.extrapolation_allowed:
            return f"hydrodynamic extrapolation is allowed: {self._exponent}, well above their noise"
        reasons = "; ".join(gate.advice for gate in self.gates if not gate.passed)
        return f"hydrodynamic extrapolation is refused: {reasons}"

    def sentences(self) -> Iterator[str]:
        """The verdict in words, one sentence for each question, without a full stop."""
        yield self.trust.sentence
        if self.bends is not None:
            yield self.bends.sentence
        yield self.extrapolation
        if self.dependence is not None:
            yield self.dependence.sentence
        if self.demand is not None:
            yield self.demand.sentence

    @property
    def _exponent(self) -> str:
        assert self.exponent is not None
        return _in_words(self.exponent)


def case_verdict(
    evidence: Evidence,
    verdicts: Sequence[Verdict],
    vibrating: int,
    facts: ElementFacts | None = None,
    conduction: Conduction | None = None,
) -> CaseVerdict:
    """From the verdicts on the lowest of so many ``vibrating`` modes, and what is known besides."""
    physical = np.array([verdict.cause is Cause.PHYSICAL for verdict in verdicts])
    found = _exponent_of(evidence)
    return CaseVerdict(
        trust=_trust(evidence, verdicts, physical, vibrating),
        gates=(*_exponent_gates(found), _noise_gate(evidence), _blame_gate(physical)),
        exponent=found,
        dependence=None if conduction is None else dependence(evidence, physical, conduction),
        demand=None if facts is None else demand(evidence, facts),
        bends=bends(evidence),
    )


def bends(evidence: Evidence, limits: Thresholds | None = None) -> Bends | None:
    """How far linewidths at rest are those of moving atoms."""
    limits = limits or Thresholds()
    pairs = [(one.exact, one.gamma_at_amplitude) for one in readings(evidence, limits)]
    known = [(rest, moving) for rest, moving in pairs if math.isfinite(rest) and math.isfinite(moving)]
    if not known:
        return None
    ratios = [moving / rest for rest, moving in known if difference(rest, moving) > limits.relative_change]
    return Bends(len(known), len(ratios), min(ratios, default=1.0), max(ratios, default=1.0))


def dependence(evidence: Evidence, physical: np.ndarray, conduction: Conduction) -> Dependence:
    """How far the conductivity follows the linewidths of the modes outside the mask ``physical`` (mode,)."""
    doubtful, own = ~physical, conduction.gamma[conduction.modes]
    better = _better(evidence)
    # Self-consistent linewidths have another kernel than those diagnosed: what is better is so by a factor.
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(doubtful & np.isfinite(better) & (evidence.gamma > 0.0), better / evidence.gamma, 1.0)
    sound = _sound_constant(evidence, physical, conduction)
    return Dependence(
        doubtful=int(np.count_nonzero(doubtful)),
        temperature=conduction.temperature,
        statistics=conduction.statistics,
        conductivity=conduction.conductivity,
        without=conduction.without(doubtful),
        corrected=conduction.with_linewidths(factor * own) if np.any(factor != 1.0) else math.nan,
        sound=math.nan
        if math.isnan(sound)
        else conduction.with_linewidths(np.where(doubtful, sound * evidence.frequencies**2, own)),
    )


def _trust(evidence: Evidence, verdicts: Sequence[Verdict], physical: np.ndarray, vibrating: int) -> Trust:
    count = len(physical)
    from_here = np.cumsum(physical[::-1])[::-1] / np.arange(count, 0, -1)
    enough = np.flatnonzero(physical & (from_here >= TRUSTED_SHARE))
    first = int(enough[0]) if len(enough) else count
    undecided = sum(verdict.cause is Cause.UNDECIDED for verdict in verdicts)
    return Trust(
        diagnosed=count,
        physical=int(np.count_nonzero(physical)),
        blamed=count - int(np.count_nonzero(physical)) - undecided,
        undecided=undecided,
        begins=float(evidence.frequencies[first]) if first < count else math.nan,
        share=(vibrating - first) / vibrating,
        highest=float(evidence.frequencies[-1]),
    )


def _exponent_of(evidence: Evidence) -> Exponent | None:
    """None for too few linewidths, and for those of one shell of a crystal, which have one frequency."""
    known = evidence.frequencies[evidence.gamma > 0.0]
    if not len(known) or known.max() < SPAN * known.min():
        return None
    try:
        return exponent(evidence.frequencies, evidence.gamma)
    except InputError:
        return None


def _exponent_gates(found: Exponent | None) -> tuple[Check, ...]:
    if found is None:
        reason = f"there are not {FEWEST} linewidths at different frequencies to read an exponent from"
        return (Check("exponent of linewidths", math.nan, ">=", SOUND, "1", reason),)
    reason = f"{_in_words(found)}, not as those of sound waves, w^2: take a larger cell, or linewidths that are sounder"
    unsure = f"{_in_words(found)}, too uncertain: diagnose more modes of a larger cell"
    value = Check("exponent of linewidths", found.value, ">=", SOUND, "1", reason)
    if not value.passed:
        return (value,)
    return (value, Check("lower end of its 95 % interval", found.low, ">=", RISING, "1", unsure))


def _in_words(found: Exponent) -> str:
    return (
        f"linewidths go as w^{found.value:.1f} ({found.low:.1f} to {found.high:.1f} with {found.confidence:.0%} "
        f"confidence, {found.modes} modes)"
    )


def _noise_gate(evidence: Evidence) -> Check:
    """The smallest signal to noise in the first shell; infinite without noise, NaN where not known."""
    shell = slice(0, FIRST_SHELL)
    ratios = signal_to_noise(evidence, noise_scale(evidence))[shell]
    worst = float(np.min(ratios)) if len(ratios) else math.nan
    if math.isnan(worst):
        reason = "the noise of the first shell is not known"
    else:
        low = int(np.argmin(ratios))
        reason = (
            f"the linewidth of mode {int(evidence.modes[low])} at {evidence.frequencies[low] / THZ:.2f} THz is only "
            f"{worst:.2g} times what noise changes it by, {SIGNAL_TO_NOISE:g} are needed"
        )
    return Check("signal to noise in the first shell", worst, ">=", SIGNAL_TO_NOISE, "1", reason)


def _blame_gate(physical: np.ndarray) -> Check:
    shell = physical[:FIRST_SHELL]
    doubtful = int(np.count_nonzero(~shell))
    reason = f"{doubtful} of the {len(shell)} modes of the first shell are blamed on something or undecided"
    return Check("doubtful share of the first shell", doubtful / len(shell), "<=", DOUBTFUL_SHARE, "1", reason)


def _better(evidence: Evidence) -> np.ndarray:
    """Linewidths (mode,) that are nearer to the truth than those in use, as far as known; NaN elsewhere."""
    known = better_linewidths(evidence)
    better = np.where(np.isfinite(known), known, evidence.gamma_projected)
    free = evidence.gamma_self_consistent
    return np.where(np.isfinite(free) & ~np.isfinite(known), free, better)


def _sound_constant(evidence: Evidence, physical: np.ndarray, conduction: Conduction) -> float:
    """A of gamma = A w^2 in ps/rad, from trusted modes, or from the lowest above the diagnosed ones; NaN without."""
    if np.count_nonzero(physical) >= FEWEST:
        chosen = conduction.modes[physical]
    else:
        above = np.flatnonzero(conduction.gamma > 0.0)
        chosen = above[above > conduction.modes[-1]][:NEIGHBOURS]
    if len(chosen) < FEWEST:
        return math.nan
    return float(np.median(conduction.gamma[chosen] / conduction.frequencies[chosen] ** 2))
