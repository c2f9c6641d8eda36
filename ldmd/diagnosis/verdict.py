"""A verdict: for each low-frequency mode the cause of its linewidth, with the numbers that say so and what to do.

Numerical causes are asked for first, for where the force constants are wrong nothing physical can be read from them:

1. cutoff kink: derivative and finite steps along the mode disagree, the change falls as 1/step, and the mode
   stretches pairs that sit at a kink of the potential (the derivative itself is sound if the thermal amplitude of
   the mode, which crosses the kink, confirms it); of a black box, repeated measurements of the same elements
   differ by more than their noise and truncation, and no second measurement confirms the linewidth;
2. round-off or noise, truncation, a diagonal that does not balance the rest: whichever is expected to change the
   linewidth most (``ldmd.diagnosis.reading``), if that is enough;
3. broken sum rule: restoring the symmetries changes the linewidth, by more than independent noise would;
4. model: the reference disagrees although the own derivatives are sound;
5. accidental resonance, soft localised mode: the sum over channels is no smooth function of the spectrum, or
   perturbation theory is used beyond its reach;
6. physical: nothing of this, and enough was measured to say so; undecided otherwise.

Agreement with the exact derivative of the same potential acquits of 2 and 3 at once; where there is none, so does that
with an accurate second measurement (``ldmd.diagnosis.remeasurement``). A meter that was not read (NaN)
acquits of nothing: where it would have decided, the verdict is "undecided" and names it. Two linewidths a and b
differ by the share max(a, b) / min(a, b) - 1. All of this is a pure function of the evidence
(``ldmd.diagnosis.evidence``).
"""

from __future__ import annotations

import dataclasses
import enum
import math

from ldmd.diagnosis.evidence import METERS, Evidence
from ldmd.diagnosis.reading import Reading, difference, noise_scale, readings
from ldmd.diagnosis.thresholds import Thresholds
from ldmd.units import THZ

__all__ = ["ADVICE", "Cause", "Thresholds", "Verdict", "difference", "noise_scale", "verdicts"]


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


NOTICED = 1e-4
"""Share of noise below which a linewidth has none."""


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
    return tuple(_verdict(reading, limits) for reading in readings(evidence, limits))


def _verdict(meters: Reading, limits: Thresholds) -> Verdict:
    """The first cause that the evidence supports."""
    if not meters.gamma > 0.0:
        return _undecided(meters, f"the linewidth is {meters.gamma:g} rad/ps: no channel is in reach", ("gamma",))
    causes = (_kink, _errors, _sum_rule, _unexplained, _model, _few_channels_or_soft)
    for cause in causes:
        found = cause(meters, limits)
        if found is not None:
            return found
    return _physical(meters, limits)


def _kink(meters: Reading, limits: Thresholds) -> Verdict | None:
    """Finite steps see what the derivative does not, and the mode stretches pairs at a kink.

    A mode whose own steps did not reach the kink is spoilt by it where its force constants were made across it.
    """
    disagree = meters.scatter_ratio > limits.disagreement
    confirmed = difference(meters.gamma, meters.exact) <= limits.relative_change
    black_box = math.isnan(meters.gamma_exact) and meters.source != "autodiff"
    if black_box and disagree and not confirmed:
        sentence = (
            f"measurements of the same elements differ {meters.scatter_ratio:.3g} times as much as noise and "
            f"truncation explain, and nobody knows which are right: none of {meters.gamma:.3g} rad/ps can be trusted"
        )
        return _blamed(meters, Cause.KINK, sentence + _comparison(meters))
    if not meters.kink_anywhere or not meters.kink_share >= limits.kink_share:
        return None
    if meters.source == "autodiff" and difference(meters.gamma, meters.gamma_at_amplitude) <= limits.relative_change:
        return None  # moving atoms cross the kink, and feel no more than the derivative says
    base = meters.gamma if math.isnan(meters.exact) else meters.exact
    # Linewidths in use that agree with the derivative are sound, whatever other steps would see.
    values = meters.gamma_of_step if meters.source == "autodiff" and meters.kink_here else (meters.gamma,)
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


def _errors(meters: Reading, limits: Thresholds) -> Verdict | None:
    """Whichever expected error is largest, if it is large enough; none where the derivative agrees."""
    excess = abs(meters.gamma - meters.exact)
    if difference(meters.gamma, meters.exact) <= limits.relative_change:
        return None
    part = meters.gamma / limits.signal_to_noise
    errors = {
        Cause.NOISE: (meters.noise, part),
        Cause.SUM_RULE: (meters.diagonal, part),
        Cause.TRUNCATION: (meters.truncated, limits.relative_change * meters.gamma),
    }
    to_blame = {
        cause: error
        for cause, (error, enough) in errors.items()
        if error >= enough or error >= limits.explained_share * excess
    }
    if not to_blame:
        return None
    cause = max(to_blame, key=lambda which: to_blame[which])
    share = f"{to_blame[cause] / meters.gamma:.0%} of the linewidth of {meters.gamma:.3g} rad/ps"
    sentence = f"{_CHANGES[cause]} {to_blame[cause]:.3g} rad/ps, {share}"
    return _blamed(meters, cause, sentence + _comparison(meters))


_CHANGES = {
    Cause.NOISE: "independent errors of the force constants are expected to change it by",
    Cause.SUM_RULE: "elements with one atom only, which do not balance the others, are expected to change it by",
    Cause.TRUNCATION: "the step of the finite differences is expected to change it by",
}


def _sum_rule(meters: Reading, limits: Thresholds) -> Verdict | None:
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
    if meters.noise >= limits.explained_share * change:
        return None
    sentence += f", while independent errors would by {meters.noise:.2g} rad/ps"
    return _blamed(meters, Cause.SUM_RULE, sentence + _comparison(meters))


def _unexplained(meters: Reading, limits: Thresholds) -> Verdict | None:
    """The derivative disagrees, and no meter says why."""
    if not difference(meters.gamma, meters.exact) > limits.relative_change:
        return None
    missing = meters.absent("noise_floor", "truncation", "gamma_projected", "kink_share", "slope")
    sentence = (
        f"the linewidth is {meters.gamma:.3g} rad/ps and that of {meters.better_by} {meters.exact:.3g}; no meter that "
        "was read explains it"
    )
    return _undecided(meters, sentence, missing)


def _model(meters: Reading, limits: Thresholds) -> Verdict | None:
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


def _few_channels_or_soft(meters: Reading, limits: Thresholds) -> Verdict | None:
    """Perturbation theory with a fixed kernel does not hold: a few channels decide, or the mode does not oscillate."""
    few = meters.effective_channels < limits.effective_channels or meters.top_two_share > limits.top_two_share
    free = meters.gamma_self_consistent
    # A kernel that resolves single levels hits or misses them. Of a wider one the slope tells whether it decides, and
    # lines that broaden each other whether that makes a difference.
    resolved = meters.kernel_in_levels < 1.0
    falls = meters.width_sensitivity < limits.width_sensitivity
    if math.isnan(free):
        accidental = few and falls
    elif resolved:
        accidental = few and meters.gamma > limits.resolved_ratio * free
    else:
        accidental = few and falls and meters.gamma > limits.self_consistent_ratio * free
    overdamped = meters.gamma > limits.ioffe_regel * meters.frequency
    few_atoms = meters.participation_ratio < max(
        limits.participation_ratio, limits.few_atoms / meters.atoms if meters.atoms else 0.0
    )
    soft = few_atoms and meters.gamma > limits.softness * meters.frequency
    if soft and accidental and not math.isnan(free):
        # Where the channels are as wide as their own lines, only what is truly soft stays overdamped.
        soft = free > limits.softness * meters.frequency
        accidental = not soft
    if soft and not accidental:
        return _blamed(meters, Cause.LOCALISED, _state(meters) + _at_amplitude(meters, limits))
    if accidental and not soft:
        return _blamed(meters, Cause.RESONANCE, _state(meters))
    if not overdamped:
        return None
    missing = meters.absent(
        "participation_ratio", "effective_channels", "top_two_share", "width_sensitivity", "gamma_self_consistent"
    )
    return _undecided(meters, f"{_state(meters)}: no oscillation that perturbation theory could answer for", missing)


def _physical(meters: Reading, limits: Thresholds) -> Verdict:
    """Quiet in every respect, if every respect that matters was looked at."""
    missing = _unproven(meters)
    if math.isnan(meters.effective_channels) and math.isnan(meters.width_sensitivity):
        missing += ("effective_channels", "width_sensitivity")
    missing += meters.absent("participation_ratio")
    if missing:
        sentence = f"nothing speaks against {meters.gamma:.3g} rad/ps, but too little was measured"
        return _undecided(meters, sentence, missing)
    sentence = f"{meters.gamma:.3g} rad/ps is quiet in all that was measured"
    sentence += _comparison(meters)
    if meters.noise_floor >= 0.0:
        share = meters.noise_floor / meters.gamma
        sentence += f", {f'{share:.1g}' if share >= NOTICED else 'none'} of it noise"
    sentence += f", {meters.effective_channels:.0f} channels, participation ratio {meters.participation_ratio:.2f}"
    sentence += _at_amplitude(meters, limits)
    worst = max((step for step in meters.gamma_of_step if step > meters.gamma), default=math.nan)
    if meters.kink_here and difference(meters.gamma, worst) > limits.relative_change:
        sentence += f"; finite steps that meet kinks give up to {worst:.3g} rad/ps"
    rest = meters.absent("kink_share", "gamma_self_consistent", "gamma_reference")
    return Verdict(meters.mode, Cause.PHYSICAL, sentence, ADVICE[Cause.PHYSICAL], rest)


def _unproven(meters: Reading) -> tuple[str, ...]:
    """Meters without which nobody knows whether the force constants are right; the exact derivative is enough."""
    if not math.isnan(meters.exact):
        return ()
    return meters.absent("noise_floor", "gamma_projected", *(["truncation"] if meters.source != "autodiff" else []))


def _state(meters: Reading) -> str:
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


def _at_amplitude(meters: Reading, limits: Thresholds) -> str:
    """What becomes of the linewidth where the mode moves, if that is something else."""
    moving = meters.gamma_at_amplitude
    if not difference(meters.exact, moving) > limits.relative_change:
        return ""
    return f", {moving:.3g} rad/ps at its thermal amplitude"


def _comparison(meters: Reading) -> str:
    """The better linewidth, where one is known and not in use itself."""
    return "" if math.isnan(meters.better) else f" ({meters.better:.3g} by {meters.better_by})"


def _blamed(meters: Reading, cause: Cause, sentence: str) -> Verdict:
    return Verdict(meters.mode, cause, sentence, ADVICE[cause])


def _undecided(meters: Reading, sentence: str, missing: tuple[str, ...]) -> Verdict:
    lacking = ", ".join(METERS.get(name, name.replace("_", " ")) for name in missing)
    advice = f"would be decided by: {lacking}" if missing else "take the linewidth from molecular dynamics"
    return Verdict(meters.mode, Cause.UNDECIDED, sentence, advice, missing)
