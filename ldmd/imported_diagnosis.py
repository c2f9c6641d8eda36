"""The diagnosis of force constants that another program made: what can be told without the potential.

Sum rules, the noise that broken sum rules show, its floor, participation ratios, channels and kernel widths need the
force constants only. Exact derivatives, steps along modes and kinks need the potential; unless a case brings it, those
are not measured, and the verdicts say where that leaves them undecided.

* Noise: force constants whose sum rules were restored show none any more, whatever they had. Their floor is unknown
  unless the noise of the forces and the step are told.
* A black box has no derivatives, but forces along the modes in doubt (``ldmd.diagnosis.remeasurement``).
* Truncation: rotations tie the third order to the second one, and what a step left out breaks that. In Stillinger-Weber
  silicon (216 atoms, steps of 0.01 and 0.03 Angstrom) the lowest twelve linewidths are wrong by 20 times the relative
  violation in the median and by 61 times at most, both ~ step^2. So a small violation acquits of truncation; a large
  one, which has other causes too, or a cell too small for the rule, proves nothing.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldmd.diagnosis_study import STATISTICS, Diagnosis, diagnosis_of, increments, measured_again
from ldmd.errors import InputError
from ldmd.options import COLDEST, NARROWEST
from ldmd.progress import progress
from ldmd.settings import LARGEST_STEP, SMALLEST_STEP, Lattice
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.diagnosis.collect import Conditions, Findings, Subject
    from ldmd.diagnosis.evidence import Evidence
    from ldmd.diagnosis.record import Record
    from ldmd.force_constants.exchange.any_format import Imported
    from ldmd.lattice.modes import Modes
    from ldmd.problem import Problem

RESTORED = 1e-9
"""Errors that the sum rules show, over the rms element, below which the sum rules were restored (or are exact)."""
PER_VIOLATION = 100.0
"""Relative error of a linewidth by truncation, at most, over the relative violation of rotations."""
ACQUITTED = 0.1
"""Bound of that error below which it counts as known, and small."""
UNSTABLE = 0.01
"""Of the highest frequency: imaginary ones below it are put down to the rounding of files."""


@dataclasses.dataclass(frozen=True)
class Files:
    """Where the force constants are, and what is known of their making."""

    third: Path
    second: Path | None = None
    structure: Path | None = None
    force_noise: float = math.nan
    """eV/Angstrom, of one component of a force that they were made of."""
    displacement: float = math.nan
    """Angstrom, of their finite differences."""


LARGEST = 5000.0
"""Of temperatures (K) and widths (rad/ps)."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where linewidths are diagnosed; the defaults are those of a case."""

    temperature: float = 300.0
    """K."""
    width: float = Lattice().width
    """rad/ps, standard deviation of the Gaussian that stands for energy conservation."""


def diagnose_files(files: Files, settings: Settings, problem: Problem | None = None) -> Diagnosis:
    """Read all meters that there are: without a ``problem`` those that need no potential.

    A potential that is a black box measures the linewidths in doubt again.

    Raises
    ------
    InputError
        Where files are missing, of no known format, do not belong together or to the structure of the problem, or the
        crystal is not stable.
    """
    from ldmd.diagnosis.collect import collect

    subject = subject_of(files) if problem is None else _subject_with_potential(files, problem)
    with progress("diagnosis", 1.0) as advance:
        conditions = _conditions(settings, subject.modes)
        found = collect(subject, conditions, progress=increments(advance))
    record = _record(subject, found)
    if problem is not None and subject.exact is None:
        evidence = measured_again(problem, subject.modes, subject.atoms, conditions, record.evidence)
        record = dataclasses.replace(record, evidence=evidence)
    return diagnosis_of(record)


def settings_of(problem: Problem) -> Settings:
    """The temperature of a case, and the width of its kernel."""
    return Settings(problem.settings.dynamics.temperature, problem.settings.lattice.width)


def subject_of(files: Files) -> Subject:
    """The force constants of some files with the modes of their cell at Gamma."""
    from ldmd.force_constants.exchange.any_format import read_any

    return _subject(files, read_any(files.third, files.second, files.structure))


def _subject_with_potential(files: Files, problem: Problem) -> Subject:
    """The same with the potential of a case, and its exact third order; atoms in the order of the case."""
    from ldmd.force_constants.exchange.any_format import Imported, read_any, structure_beside
    from ldmd.force_constants.exchange.constants import of_supercell
    from ldmd.force_constants.exchange.supercell import glass

    structure = files.structure
    if structure is None and not files.third.is_dir() and not structure_beside(files.third):
        structure = problem.case.structure
    found = read_any(files.third, files.second, structure)
    try:
        ordered = of_supercell(glass(found.atoms), found.second, found.third).in_order_of(glass(problem.atoms))
    except InputError as error:
        fix = f"is not the structure of the case ({error})"
        raise InputError("--fc3", f"a cell of {len(found.atoms)} atoms", fix) from error
    mine = Imported(found.program, problem.atoms, ordered.second_order(), ordered.third_order())
    return dataclasses.replace(_subject(files, mine), potential=problem.differentiable, exact=problem.exact_third)


def _subject(files: Files, imported: Imported) -> Subject:
    from ldmd.diagnosis.collect import Subject
    from ldmd.force_constants.range import require_sensible
    from ldmd.lattice.modes import normal_modes

    _require_positive("--force-noise", files.force_noise)
    if not math.isnan(files.displacement):
        _require_within("--displacement", files.displacement, SMALLEST_STEP, LARGEST_STEP, "Angstrom")
    require_sensible(imported.second, imported.third, str(files.third))
    modes = normal_modes(imported.second, imported.atoms.get_masses())
    _require_stable(modes, files.third)
    return Subject(
        f"{files.third.name} of {imported.program}",
        imported.atoms,
        modes,
        imported.second,
        imported.third.trimmed(),
        sigma_force=files.force_noise,
        displacement=files.displacement,
    )


def _conditions(settings: Settings, modes: Modes) -> Conditions:
    from ldmd.diagnosis.collect import Conditions, low_mode_count
    from ldmd.lattice.broadening import broadening_named

    _require_within("--temperature", settings.temperature, COLDEST, LARGEST, "K")
    _require_within("--width", settings.width, NARROWEST, LARGEST, "rad/ps")
    broadening = broadening_named(Lattice().fixed_broadening, settings.width)
    return Conditions(settings.temperature, STATISTICS, broadening, low_mode_count(modes))


def _record(subject: Subject, found: Findings) -> Record:
    """With the noise unknown where the sum rules have nothing to show and nothing else is known."""
    from ldmd.diagnosis.demand import element_facts
    from ldmd.diagnosis.record import Record

    evidence, modes = _acquitted(found.evidence), subject.modes
    facts = element_facts(subject.third, modes, evidence.temperature, found.rms_element)
    if evidence.sigma_elements < RESTORED * found.rms_element:
        unknown = np.full(len(evidence.modes), math.nan)
        evidence = dataclasses.replace(evidence, noise_floor=unknown, gamma_projected=unknown, sigma_elements=math.nan)
    return Record(evidence, facts, int(np.count_nonzero(modes.vibrating)))


def _acquitted(evidence: Evidence) -> Evidence:
    """With an upper bound of the truncation where rotations give one that is small."""
    bound = PER_VIOLATION * dict(evidence.residuals).get("third order, rotation", math.inf)
    if not bound < ACQUITTED:
        return evidence
    return dataclasses.replace(evidence, truncation=np.full(len(evidence.modes), bound))


def _require_stable(modes: Modes, path: Path) -> None:
    """Refuse force constants of no minimum: their modes are no vibrations."""
    lowest = float(modes.frequencies.min())
    if len(modes.imaginary) and lowest < -UNSTABLE * float(modes.frequencies.max()):
        fix = f"down to {-lowest / THZ:.2f}i THz: these force constants are of no minimum, or of another structure"
        raise InputError("--fc3", f"{path} with {len(modes.imaginary)} imaginary modes", fix)


def _require_within(option: str, value: float, least: float, most: float, unit: str) -> None:
    """Refuse what a case would refuse."""
    if not least <= value <= most:
        raise InputError(option, value, f"give a number in {unit}, at least {least:g} and at most {most:g}")


def _require_positive(option: str, value: float) -> None:
    if not (math.isnan(value) or (math.isfinite(value) and value > 0.0)):
        raise InputError(option, value, "give a positive number")
