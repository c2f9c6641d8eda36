"""The diagnosis of a case: why its low-frequency linewidths are what they are. Computed when asked for.

What was measured is kept (``Record``); verdicts are made of it each time, for they cost nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.diagnosis.evidence import METERS
from ldmd.errors import InputError
from ldmd.problem import Problem
from ldmd.progress import progress
from ldmd.units import THZ
from ldmd.workflow import DIAGNOSIS, Runner

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.diagnosis.case_verdict import CaseVerdict
    from ldmd.diagnosis.collect import Conditions, Findings, Subject
    from ldmd.diagnosis.conduction import Conduction
    from ldmd.diagnosis.evidence import Evidence
    from ldmd.diagnosis.record import Record
    from ldmd.diagnosis.verdict import Verdict
    from ldmd.force_constants.steps import Step
    from ldmd.lattice.modes import Modes
    from ldmd.reference_potential import Reference
    from ldmd.workflow import Lattice

logger = logging.getLogger(__name__)

STATISTICS = "classical"
"""Of the linewidths that are diagnosed: those that the dynamics has."""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Evidence and verdict for each of the lowest modes, and what follows for the case."""

    evidence: Evidence
    verdicts: tuple[Verdict, ...]
    case: CaseVerdict
    reference: str = ""
    """Name of the potential whose linewidths are the reference, where there is one."""

    @property
    def causes(self) -> tuple[str, ...]:
        """Of every mode, in its order."""
        return tuple(str(verdict.cause) for verdict in self.verdicts)

    @property
    def counts(self) -> dict[str, int]:
        """How many modes have each cause that occurs."""
        return {cause: self.causes.count(cause) for cause in dict.fromkeys(self.causes)}

    @property
    def sound(self) -> bool:
        """Whether no linewidth is blamed on anything, and none is left undecided."""
        return set(self.causes) <= {"physical"}

    @property
    def numerics_sound(self) -> bool:
        """Whether no linewidth is blamed on how the force constants were made."""
        return not any(verdict.cause.numerical for verdict in self.verdicts)


def diagnose(runner: Runner, reference: str | None = None) -> Diagnosis:
    """Read all meters of the force constants of a case, at the temperature of its dynamics.

    ``reference`` names another potential of the case to hold the linewidths against.

    Raises
    ------
    InputError
        Where there is no such potential, or its structure is another one.
    """
    from ldmd.diagnosis.collect import collect, low_mode_count
    from ldmd.diagnosis.record import Record
    from ldmd.reference_potential import reference_of

    problem = runner.problem
    known_reference = reference_of(problem, reference, runner.provenance)
    lattice = runner.lattice()
    conditions = _conditions(problem, low_mode_count(lattice.modes))
    known = None if problem.settings.lattice.broadening == "self-consistent" else lattice.linewidths

    def compute() -> Record:
        with progress("diagnosis", 1.0) as advance:
            subject = _subject(problem, lattice.modes)
            found = collect(subject, conditions, known, progress=increments(advance))
        evidence = found.evidence
        if problem.by_differences and problem.exact_third is None:
            step = problem.differences.accuracy[1].step
            evidence = measured_again(problem, lattice.modes, problem.atoms, conditions, evidence, step)
        return _record(problem, lattice, subject, dataclasses.replace(found, evidence=evidence))

    found = _with_free_lines(runner.stage(DIAGNOSIS, Record, compute), runner)
    return diagnosis_of(_with_reference(found, lattice.modes, known_reference))


def stored_diagnosis(problem: Problem, provenance: Mapping[str, Any]) -> Diagnosis | None:
    """The diagnosis of an earlier run for the present settings, if there is one."""
    from ldmd.diagnosis.record import Record
    from ldmd.lattice.modes import Modes
    from ldmd.reference_potential import reference_of

    if not problem.inspection.usable:
        return None
    runner = Runner(problem, problem.store, provenance)
    found, modes = runner.stored(DIAGNOSIS, Record), runner.stored("modes", Modes)
    if found is None or modes is None:
        return None
    try:
        reference = reference_of(problem, None, provenance)
    except InputError as error:
        logger.warning("no reference for the diagnosis: %s", error)
        reference = None
    return diagnosis_of(_with_reference(_with_free_lines(found, runner), modes, reference))


def diagnosis_of(record: Record) -> Diagnosis:
    """The verdicts on what was measured."""
    from ldmd.diagnosis.case_verdict import case_verdict
    from ldmd.diagnosis.verdict import verdicts

    each = verdicts(record.evidence)
    case = case_verdict(record.evidence, each, record.vibrating, record.facts, record.conduction)
    return Diagnosis(record.evidence, each, case, record.reference)


def _with_free_lines(record: Record, runner: Runner) -> Record:
    """With the self-consistent linewidths of ``ldmd widths``, where cells are too large to compute them in passing."""
    from ldmd.lattice.self_consistent import SelfConsistentLinewidths

    evidence = record.evidence
    if np.isfinite(evidence.gamma_self_consistent).any():
        return record
    found = runner.stored("self-consistent", SelfConsistentLinewidths)
    if found is None or evidence.statistics not in found.linewidths.statistics:
        return record
    free = found.linewidths.gamma[0, found.linewidths.statistics.index(evidence.statistics)][evidence.modes]
    return dataclasses.replace(record, evidence=dataclasses.replace(evidence, gamma_self_consistent=free))


def _with_reference(record: Record, modes: Modes, reference: Reference | None) -> Record:
    if reference is None:
        return record
    gamma = reference.linewidths(modes, record.evidence)
    evidence = dataclasses.replace(record.evidence, gamma_reference=gamma)
    return dataclasses.replace(record, evidence=evidence, reference=reference.name)


def increments(advance: Callable[[float], None]) -> Callable[[str, float], None]:
    """Turn (name, share done) reports into increments of a share."""
    done = 0.0

    def report(_: str, share: float) -> None:
        nonlocal done
        advance(share - done)
        done = share

    return report


def table(diagnosis: Diagnosis) -> Iterator[str]:
    """The verdicts as lines for a terminal."""
    evidence = diagnosis.evidence
    yield f"{len(evidence.modes)} lowest modes at {evidence.temperature:g} K, {evidence.statistics} statistics, " + (
        f"force constants by {evidence.source}"
    )
    yield ""
    yield f"{'mode':>5} {'THz':>7} {'HWHM rad/ps':>12} {'HWHM/w':>7}  {'cause':<28} evidence"
    for row, verdict in enumerate(diagnosis.verdicts):
        frequency, gamma = evidence.frequencies[row], evidence.gamma[row]
        yield (
            f"{verdict.mode:>5} {frequency / THZ:>7.3f} {gamma:>12.4g} {gamma / frequency:>7.3f}  "
            f"{verdict.cause:<28} {verdict.evidence}"
        )
    yield ""
    yield from _summary(diagnosis)
    yield ""
    if diagnosis.reference:
        yield f"reference: linewidths under {diagnosis.reference}, in the subspace of each mode"
    yield from _force_constants(evidence)
    yield ""
    yield "for the case:"
    for line in diagnosis.case.sentences():
        yield f"  {line}"


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The same for programs; numbers that were not measured are null."""
    evidence = diagnosis.evidence
    return {
        "temperature_K": evidence.temperature,
        "statistics": evidence.statistics,
        "source": evidence.source,
        "reference": diagnosis.reference or None,
        "sum_rules": dict(evidence.residuals),
        "error_of_elements": _number(evidence.sigma_elements),
        "not_measured": [name for name in METERS if not np.isfinite(getattr(evidence, name)).any()],
        "convention": "linewidths are HWHM in rad/ps, frequencies angular in rad/ps",
        "numerics_sound": diagnosis.numerics_sound,
        "causes": diagnosis.counts,
        "case": _case_as_json(diagnosis.case),
        "modes": [
            {
                "mode": verdict.mode,
                "frequency": float(evidence.frequencies[row]),
                "linewidth": float(evidence.gamma[row]),
                "noise_floor": _number(evidence.noise_floor[row]),
                "linewidth_at_thermal_amplitude": _number(evidence.gamma_at_amplitude[row]),
                "remeasured_linewidth": _number(evidence.gamma_remeasured[row]),
                "remeasured_noise_floor": _number(evidence.floor_remeasured[row]),
                "reference_linewidth": _number(evidence.gamma_reference[row]),
                "participation_ratio": _number(evidence.participation_ratio[row]),
                "effective_channels": _number(evidence.effective_channels[row]),
                "cause": str(verdict.cause),
                "evidence": verdict.evidence,
                "advice": verdict.advice,
                "missing": list(verdict.missing),
            }
            for row, verdict in enumerate(diagnosis.verdicts)
        ],
    }


def _force_constants(evidence: Evidence) -> Iterator[str]:
    """Errors of the force constants, as far as known, and what was not measured."""
    yield from _measured_twice(evidence)
    if evidence.residuals:
        yield "sum rules, relative violations: " + ", ".join(f"{name} {size:.1e}" for name, size in evidence.residuals)
    if math.isnan(evidence.sigma_elements):
        reason = "the sum rules have nothing to show; --force-noise with --displacement tells it"
        yield f"independent errors of the elements of Phi3: not known, for {reason}"
    else:
        yield f"independent errors of the elements of Phi3: {evidence.sigma_elements:.1e} eV/A^3"
    missing = [text for name, text in METERS.items() if not np.isfinite(getattr(evidence, name)).any()]
    if evidence.source == "autodiff":
        missing.remove(METERS["gamma_exact"])  # they are in use
    if missing:
        yield f"not measured: {', '.join(missing)}"


def _measured_twice(evidence: Evidence) -> Iterator[str]:
    """How many linewidths were measured again, how many of them well enough, and what came out."""
    from ldmd.diagnosis.reading import ACCURATE, better_linewidths

    again = np.isfinite(evidence.gamma_remeasured)
    if not again.any():
        return
    better = better_linewidths(evidence)
    known = again & np.isfinite(better)
    text = (
        f"{np.count_nonzero(again)} linewidths in doubt, measured again by forces along modes with atoms moved by "
        f"{evidence.step_remeasured:.2g} A: {np.count_nonzero(known)} of them to {ACCURATE:.0%}"
    )
    if known.any():
        ratio = float(np.median(evidence.gamma[known] / better[known]))
        text += f"; those in use are {ratio:.3g} times as large in the median"
    yield text


def _case_as_json(case: CaseVerdict) -> dict[str, Any]:
    """Numbers of the verdict on the case; frequencies angular in rad/ps, W/(m K), eV/Angstrom^n."""
    return {
        "sentences": list(case.sentences()),
        "trust": _numbers(case.trust),
        "extrapolation_allowed": case.extrapolation_allowed,
        "gates": [{**_numbers(gate), "passed": gate.passed} for gate in case.gates],
        "exponent": None if case.exponent is None else _numbers(case.exponent),
        "dependence": None
        if case.dependence is None
        else {**_numbers(case.dependence), "matters": case.dependence.matters},
        "demand": None if case.demand is None else _numbers(case.demand),
        "thermal_amplitudes": None if case.bends is None else _numbers(case.bends),
    }


def _numbers(item: Any) -> Any:
    """A dataclass as JSON types; what is not finite is null."""
    if isinstance(item, float):
        return _number(item)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {field.name: _numbers(getattr(item, field.name)) for field in dataclasses.fields(item)}
    return item


def _record(problem: Problem, lattice: Lattice, subject: Subject, found: Findings) -> Record:
    from ldmd.diagnosis.demand import element_facts
    from ldmd.diagnosis.record import Record

    evidence, modes = found.evidence, lattice.modes
    bending = problem.differences.accuracy[1].step.bending if problem.by_differences else math.nan
    facts = element_facts(subject.third, modes, evidence.temperature, found.rms_element, bending)
    return Record(evidence, facts, int(np.count_nonzero(modes.vibrating)), _conduction(problem, lattice, evidence))


def _conduction(problem: Problem, lattice: Lattice, evidence: Evidence) -> Conduction:
    from ldmd.diagnosis.conduction import conduction
    from ldmd.lattice.modes import velocity_matrices

    atoms, temperature, widths = problem.atoms, evidence.temperature, lattice.linewidths
    row = int(np.argmin(np.abs(widths.temperatures - temperature)))
    return conduction(
        lattice.modes,
        velocity_matrices(problem.second, lattice.modes, atoms.positions, atoms.cell.array),
        widths.gamma[row, widths.statistics.index(STATISTICS)],
        evidence.modes,
        conductivity=lattice.conductivity.isotropic(temperature, STATISTICS),
        temperature=temperature,
        statistics=STATISTICS,
        volume=atoms.get_volume(),
    )


def _summary(diagnosis: Diagnosis) -> Iterator[str]:
    for cause, amount in diagnosis.counts.items():
        advice = next(verdict.advice for verdict in diagnosis.verdicts if verdict.cause == cause)
        yield f"{amount:>4} {cause}" + ("" if cause == "physical" else f": {advice}")


def _conditions(problem: Problem, lowest: int) -> Conditions:
    from ldmd.diagnosis.collect import Conditions
    from ldmd.lattice.broadening import broadening_named

    settings = problem.settings
    broadening = broadening_named(settings.lattice.fixed_broadening, settings.lattice.width)
    return Conditions(settings.dynamics.temperature, STATISTICS, broadening, lowest)


def _subject(problem: Problem, modes: Modes) -> Subject:
    """The force constants in use; those of finite differences beside the exact ones, if there are any."""
    from ldmd.diagnosis.collect import AUTODIFF, Subject

    common = (problem.atoms, modes, problem.second, problem.third)
    if not problem.by_differences:
        return Subject(AUTODIFF, *common, potential=problem.differentiable)
    accuracy = problem.differences.accuracy[1]
    return Subject(
        "finite differences",
        *common,
        potential=problem.differentiable,
        exact=problem.exact_third,
        sigma_force=accuracy.noise.independent,
        displacement=accuracy.step.size,
        truncation=accuracy.step.truncation_error,
        scatter=accuracy.permutation,
        expected_scatter=accuracy.step.error,
    )


def measured_again(
    problem: Problem, modes: Modes, atoms: Atoms, conditions: Conditions, evidence: Evidence, step: Step | None = None
) -> Evidence:
    """With linewidths in doubt from forces of a black box along modes; ``atoms`` are those of the modes.

    The best step follows from that of third-order differences, which is measured where there are none.
    """
    from ldmd.diagnosis.remeasurement import collective_step, remeasured
    from ldmd.force_constants.finite_differences import measured_step

    with problem.evaluations() as asked:
        size = collective_step(step or measured_step(atoms, asked), len(atoms))
        return remeasured(evidence, modes, atoms, conditions.broadening, asked, size)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
