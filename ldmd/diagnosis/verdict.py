"""A verdict: for each low-frequency mode the cause of its linewidth, with the numbers that say so and what to do.

Numerical causes are asked for first, for where the force constants are wrong nothing physical can be read from them:

1. cutoff kink: derivative and finite steps along the mode disagree, the change falls as 1/step, and the mode
   stretches pairs that sit at a kink of the potential;
2. round-off or noise, truncation: whichever explains more of the linewidth, if it explains enough;
3. broken sum rule: restoring the symmetries changes the linewidth, by more than independent noise would;
4. model: the reference disagrees although the own derivatives are sound;
5. accidental resonance, soft localised mode: the sum over channels is no smooth function of the spectrum, or
   perturbation theory is used beyond its reach;
6. physical: nothing of this, and enough was measured to say so; undecided otherwise.

Agreement with the exact derivative of the same potential acquits of 2 and 3 at once. A meter that was not read (NaN)
acquits of nothing: where it would have decided, the verdict is "undecided" and names it. Two linewidths a and b
differ by the share max(a, b) / min(a, b) - 1. All of this is a pure function of the evidence
(``ldmd.diagnosis.evidence``).
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ldmd.diagnosis.evidence import Evidence
from ldmd.units import THZ


class Cause(enum.StrEnum):
    """Why a linewidth is what it is."""

    NOISE = "round-off or noise"
    TRUNCATION = "truncation"
    KINK = "cutoff kink"
    SUM_RULE = "broken sum rule"
    LOCALISED = "soft localised mode"
    RESONANCE = "accidental resonance"
    MODEL = "model differs from reference"
    PHYSICAL = "physical"
    UNDECIDED = "undecided"

    @property
    def numerical(self) -> bool:
        """Whether the force constants are at fault and better ones of the same potential would cure it."""
        return self in (Cause.NOISE, Cause.TRUNCATION, Cause.KINK, Cause.SUM_RULE)


ADVICE = {
    Cause.NOISE: "differentiate automatically; otherwise take a larger step, evaluate forces in double precision, and "
    "restore permutation and translation symmetry",
    Cause.TRUNCATION: "take a smaller step of the finite differences, or differentiate automatically",
    Cause.KINK: "move the cutoff away from the bonds or make the potential smoother there; a smaller step does not "
    "help while pairs stay within its reach",
    Cause.SUM_RULE: "restore permutation and translation symmetry, and find out what broke them: elements left out, "
    "or diagonal blocks that do not balance the others",
    Cause.LOCALISED: "anneal the structure better; the linewidth of this mode is beyond perturbation theory, take it "
    "from molecular dynamics",
    Cause.RESONANCE: "use self-consistent linewidths or a wider kernel, and a larger cell",
    Cause.MODEL: "numerics are not at fault: train the model on what the reference knows of third derivatives, or use "
    "the reference",
    Cause.PHYSICAL: "none needed",
}


REMOVED = 2.0 / 3.0
"""Share of the linewidth from independent errors that restoring the symmetries takes away, or somewhat less."""
UNCHANGED = 1e-3
"""Relative: linewidths that restoring the symmetries changes by less obeyed them before."""


def _limit(default: float, unit: str, why: str) -> Any:
    return dataclasses.field(default=default, metadata={"unit": unit, "description": why})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What counts as how much; each is explained where the verdicts are reported (``explained``)."""

    signal_to_noise: float = _limit(
        3.0, "1", "noise is to blame where the linewidth is below so many times its noise floor"
    )
    relative_change: float = _limit(
        0.3, "1", "two linewidths differ where the larger is above the smaller by more than this share"
    )
    explained_share: float = _limit(
        0.25, "1", "a cause explains a difference of linewidths if it accounts for at least this share of it"
    )
    kink_share: float = _limit(
        0.02, "1", "a mode feels a kink where pairs near one carry at least this share of its squared bond stretch"
    )
    kink_slope_lowest: float = _limit(-1.5, "1", "a steeper fall of the change with the step is round-off, not a kink")
    kink_slope_highest: float = _limit(-0.4, "1", "a flatter one is convergence or truncation, not a kink")
    participation_ratio: float = _limit(0.2, "1", "a mode is localised below this participation ratio")
    effective_channels: float = _limit(10.0, "1", "below so many effective channels a linewidth rests on a few")
    top_two_share: float = _limit(0.5, "1", "so do those of which the two strongest channels make more than this")
    width_sensitivity: float = _limit(
        -0.5, "1", "d ln(linewidth) / d ln(width of the kernel) below which the kernel decides: -1 for one resonance"
    )
    ioffe_regel: float = _limit(
        1.0 / math.pi, "1", "linewidth (HWHM) over angular frequency above which a mode is no oscillation"
    )
    self_consistent_ratio: float = _limit(
        2.0, "1", "a resonance is accidental where lines that broaden each other are narrower by this factor"
    )

    def explained(self) -> Iterator[tuple[str, float, str, str]]:
        """Name, value, unit and meaning of every threshold, for the report."""
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name), field.metadata["unit"], field.metadata["description"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Of one mode."""

    mode: int
    """Index among all 3N, ascending frequency."""
    cause: Cause
    evidence: str
    """One sentence with the numbers and units that decided."""
    advice: str
    missing: tuple[str, ...] = ()
    """Fields of the evidence that were not measured and would have decided, or tell more."""


def verdicts(evidence: Evidence, thresholds: Thresholds | None = None) -> tuple[Verdict, ...]:
    """One verdict for each mode of the evidence, in its order."""
    limits = thresholds or Thresholds()
    scale, kinked = noise_scale(evidence), _falls_as_kinks_do(evidence, limits)
    return tuple(_verdict(_Meters.of(evidence, row, scale, kinked), limits) for row in range(len(evidence.modes)))


def noise_scale(evidence: Evidence) -> float:
    """How much of its floor noise can be, at most 1: what restoring the symmetries took away, over what it should.

    Rounding and truncation break the sum rules too, but add less to the linewidths than independent errors that break
    them as much would; and restoring the symmetries takes most of what independent errors add. The median over the
    modes counts, for one of them may change by little by chance. 1 where nothing was restored, or nothing was left to
    restore: noise that was projected is still noise.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(evidence.gamma - evidence.gamma_projected)
        removed = change / (REMOVED * evidence.noise_floor)
    known = removed[np.isfinite(removed)]
    if not known.size or not np.any(change > UNCHANGED * evidence.gamma):
        return 1.0
    return min(1.0, float(np.median(known)))


def _falls_as_kinks_do(evidence: Evidence, limits: Thresholds) -> np.ndarray:
    """Mask (mode,): finite steps along the mode show a kink, of which pairs that it stretches are in reach."""
    slope = (evidence.slope >= limits.kink_slope_lowest) & (evidence.slope <= limits.kink_slope_highest)
    return np.asarray(slope & (evidence.kink_share >= limits.kink_share))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Meters:
    """The evidence on one mode: the fields of ``Evidence`` as numbers, NaN where not measured."""

    mode: int
    source: str
    frequency: float
    gamma: float
    participation_ratio: float
    effective_channels: float
    top_two_share: float
    width_sensitivity: float
    gamma_self_consistent: float
    noise_floor: float
    truncation: float
    gamma_exact: float
    gamma_projected: float
    gamma_reference: float
    slope: float
    kink_share: float
    gamma_of_step: tuple[float, ...]
    kink_here: bool
    """Finite steps along this mode show a kink,"""
    kink_anywhere: bool
    """or those along another mode: the force constants then were made across it as well."""

    @classmethod
    def of(cls, evidence: Evidence, row: int, noise_scale: float, kinked: np.ndarray) -> _Meters:
        """The meters of one row; the noise floor scaled."""
        names = [field.name for field in dataclasses.fields(cls) if field.type == "float" and field.name != "frequency"]
        values = {name: float(getattr(evidence, name)[row]) for name in names}
        values["noise_floor"] *= noise_scale
        return cls(
            mode=int(evidence.modes[row]),
            source=evidence.source,
            frequency=float(evidence.frequencies[row]),
            gamma_of_step=tuple(float(value) for value in evidence.gamma_of_step[row]),
            kink_here=bool(kinked[row]),
            kink_anywhere=bool(kinked.any()),
            **values,
        )

    @property
    def exact(self) -> float:
        """The linewidth of the exact derivative, rad/ps: force constants of that source are it."""
        return self.gamma if self.source == "autodiff" and math.isnan(self.gamma_exact) else self.gamma_exact

    def absent(self, *names: str) -> tuple[str, ...]:
        """Those of some meters that were not read."""
        return tuple(name for name in names if math.isnan(getattr(self, name)))


def _verdict(meters: _Meters, limits: Thresholds) -> Verdict:
    """The first cause that the evidence supports."""
    if not meters.gamma > 0.0:
        return _undecided(meters, f"the linewidth is {meters.gamma:g} rad/ps: no channel is in reach", ("gamma",))
    causes = (_kink, _noise_or_truncation, _sum_rule, _unexplained, _model, _few_channels_or_soft)
    for cause in causes:
        found = cause(meters, limits)
        if found is not None:
            return found
    return _physical(meters, limits)


def _kink(meters: _Meters, limits: Thresholds) -> Verdict | None:
    """Finite steps see what the derivative does not, and the mode stretches pairs at a kink.

    A mode whose own steps did not reach the kink is spoilt by it where its force constants were made across it.
    """
    if not meters.kink_anywhere or not meters.kink_share >= limits.kink_share:
        return None
    base = meters.gamma if math.isnan(meters.exact) else meters.exact
    values = (meters.gamma, *(meters.gamma_of_step if meters.kink_here else ()))
    seen = [value for value in values if difference(value, base) > limits.relative_change]
    if not seen:
        return None
    worst = max(seen, key=lambda value: difference(value, base))
    falls = f"the change goes as step^{meters.slope:.1f}" if meters.kink_here else "steps along other modes show a kink"
    sentence = (
        f"finite steps give up to {worst:.3g} rad/ps where the derivative gives {base:.3g}, {falls}, and pairs at a "
        f"kink carry {meters.kink_share:.0%} of the squared stretch"
    )
    return _blamed(meters, Cause.KINK, sentence)


def _noise_or_truncation(meters: _Meters, limits: Thresholds) -> Verdict | None:
    """Whichever of the two predicted errors is larger, if it is large enough; none where the derivative agrees."""
    excess = abs(meters.gamma - meters.exact)
    if difference(meters.gamma, meters.exact) <= limits.relative_change:
        return None
    enough = {
        Cause.NOISE: meters.gamma / limits.signal_to_noise,
        Cause.TRUNCATION: limits.relative_change * meters.gamma,
    }
    errors = {Cause.NOISE: meters.noise_floor, Cause.TRUNCATION: abs(meters.truncation) * meters.gamma}
    to_blame = {
        cause: error
        for cause, error in errors.items()
        if error >= enough[cause] or error >= limits.explained_share * excess
    }
    if not to_blame:
        return None
    cause = max(to_blame, key=lambda which: to_blame[which])
    share = f"{to_blame[cause] / meters.gamma:.0%} of the linewidth of {meters.gamma:.3g} rad/ps"
    if cause is Cause.NOISE:
        sentence = f"independent errors of the force constants make {to_blame[cause]:.3g} rad/ps, {share}"
    else:
        sentence = f"the step of the finite differences changes it by {to_blame[cause]:.3g} rad/ps, {share}"
    return _blamed(meters, cause, sentence + _comparison(meters.exact, "automatic differentiation"))


def _sum_rule(meters: _Meters, limits: Thresholds) -> Verdict | None:
    """The symmetries change the linewidth, and noise does not explain by how much."""
    change = abs(meters.gamma - meters.gamma_projected)
    sound = difference(meters.gamma, meters.exact) <= limits.relative_change
    if sound or not difference(meters.gamma, meters.gamma_projected) > limits.relative_change:
        return None
    sentence = (
        f"restoring translation and permutation symmetry changes the linewidth from {meters.gamma:.3g} to "
        f"{meters.gamma_projected:.3g} rad/ps"
    )
    if missing := meters.absent("noise_floor"):
        return _undecided(meters, f"{sentence}, and whether noise explains that is not known", missing)
    if meters.noise_floor >= limits.explained_share * change:
        return None
    sentence += f", while independent errors would by {meters.noise_floor:.2g} rad/ps"
    return _blamed(meters, Cause.SUM_RULE, sentence + _comparison(meters.exact, "automatic differentiation"))


def _unexplained(meters: _Meters, limits: Thresholds) -> Verdict | None:
    """The derivative disagrees, and no meter says why."""
    if not difference(meters.gamma, meters.exact) > limits.relative_change:
        return None
    missing = meters.absent("noise_floor", "truncation", "gamma_projected", "kink_share", "slope")
    sentence = (
        f"the linewidth is {meters.gamma:.3g} rad/ps and that of automatic differentiation {meters.exact:.3g}; no "
        "meter that was read explains it"
    )
    return _undecided(meters, sentence, missing)


def _model(meters: _Meters, limits: Thresholds) -> Verdict | None:
    """The reference disagrees, although the numerics are sound."""
    own = meters.gamma if math.isnan(meters.exact) else meters.exact
    if not difference(own, meters.gamma_reference) > limits.relative_change:
        return None
    sentence = (
        f"the model gives {own:.3g} rad/ps, the reference {meters.gamma_reference:.3g} in the subspace of the mode"
    )
    if missing := _unproven(meters):
        return _undecided(meters, f"{sentence}; whether the numerics are sound is not known", missing)
    return _blamed(meters, Cause.MODEL, sentence)


def _few_channels_or_soft(meters: _Meters, limits: Thresholds) -> Verdict | None:
    """Perturbation theory with a fixed kernel does not hold: a few channels decide, or the mode does not oscillate."""
    few = meters.effective_channels < limits.effective_channels or meters.top_two_share > limits.top_two_share
    free = meters.gamma_self_consistent
    # Lines that broaden each other know better than the slope at one width; that decides where they are not known.
    kernel = meters.width_sensitivity < limits.width_sensitivity
    accidental = few and (kernel if math.isnan(free) else meters.gamma > limits.self_consistent_ratio * free)
    overdamped = meters.gamma > limits.ioffe_regel * meters.frequency
    soft = overdamped and meters.participation_ratio < limits.participation_ratio
    if soft and accidental and not math.isnan(free):
        # Where the channels are as wide as their own lines, only what is truly soft stays overdamped.
        soft = free > limits.ioffe_regel * meters.frequency
        accidental = not soft
    if soft and not accidental:
        return _blamed(meters, Cause.LOCALISED, _state(meters))
    if accidental and not soft:
        return _blamed(meters, Cause.RESONANCE, _state(meters))
    if not overdamped:
        return None
    missing = meters.absent(
        "participation_ratio", "effective_channels", "top_two_share", "width_sensitivity", "gamma_self_consistent"
    )
    return _undecided(meters, f"{_state(meters)}: no oscillation that perturbation theory could answer for", missing)


def _physical(meters: _Meters, limits: Thresholds) -> Verdict:
    """Quiet in every respect, if every respect that matters was looked at."""
    missing = _unproven(meters)
    if math.isnan(meters.effective_channels) and math.isnan(meters.width_sensitivity):
        missing += ("effective_channels", "width_sensitivity")
    missing += meters.absent("participation_ratio")
    if missing:
        sentence = f"nothing speaks against {meters.gamma:.3g} rad/ps, but too little was measured"
        return _undecided(meters, sentence, missing)
    sentence = f"{meters.gamma:.3g} rad/ps is quiet in all that was measured"
    sentence += _comparison(meters.exact, "automatic differentiation")
    if meters.noise_floor >= 0.0:
        sentence += f", {meters.noise_floor / meters.gamma:.1g} of it noise"
    sentence += f", {meters.effective_channels:.0f} channels, participation ratio {meters.participation_ratio:.2f}"
    rest = meters.absent("kink_share", "gamma_self_consistent", "gamma_reference")
    return Verdict(meters.mode, Cause.PHYSICAL, sentence, ADVICE[Cause.PHYSICAL], rest)


def _unproven(meters: _Meters) -> tuple[str, ...]:
    """Meters without which nobody knows whether the force constants are right; the exact derivative is enough."""
    if not math.isnan(meters.exact):
        return ()
    return meters.absent("noise_floor", "gamma_projected", *(["truncation"] if meters.source != "autodiff" else []))


def _state(meters: _Meters) -> str:
    """What is known of the mode itself."""
    parts = [
        f"{meters.gamma:.3g} rad/ps at {meters.frequency / THZ:.2f} THz, {meters.gamma / meters.frequency:.2f} of the "
        "angular frequency"
    ]
    if meters.effective_channels >= 0.0:
        parts.append(f"{meters.effective_channels:.1f} effective channels, {meters.top_two_share:.0%} in two")
    if not math.isnan(meters.width_sensitivity):
        parts.append(f"goes as kernel width^{meters.width_sensitivity:.1f}")
    if meters.participation_ratio >= 0.0:
        parts.append(f"participation ratio {meters.participation_ratio:.2f}")
    if meters.gamma_self_consistent >= 0.0:
        parts.append(f"self-consistently {meters.gamma_self_consistent:.3g} rad/ps")
    return ", ".join(parts)


def _comparison(other: float, name: str) -> str:
    return "" if math.isnan(other) else f" ({other:.3g} by {name})"


def _blamed(meters: _Meters, cause: Cause, sentence: str) -> Verdict:
    return Verdict(meters.mode, cause, sentence, ADVICE[cause])


def _undecided(meters: _Meters, sentence: str, missing: tuple[str, ...]) -> Verdict:
    advice = f"measure {', '.join(missing)}" if missing else "take the linewidth from molecular dynamics"
    return Verdict(meters.mode, Cause.UNDECIDED, sentence, advice, missing)


def difference(first: float, second: float) -> float:
    """By what share the larger of two linewidths exceeds the smaller; NaN where one is not known."""
    low, high = min(first, second), max(first, second)
    if math.isnan(first) or math.isnan(second):
        return math.nan
    return float(np.divide(high, low)) - 1.0 if low > 0.0 else (0.0 if high == low else math.inf)
