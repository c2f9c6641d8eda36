"""Read all meters of some force constants: from an operator and what is known of its making to the evidence.

What is measured depends on what there is. A differentiable potential gives the exact third order, Hessians at finite
displacements along modes and the radii at which it may have kinks; without one, errors are read from the sum rules
and from the noise of the forces that differences were made of. Modes whose bonds stay clear of all kinks are not
scanned: two Hessians for each step would tell them nothing new.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from ldmd.crystal.mesh import DEGENERATE, shared_by_degenerate
from ldmd.diagnosis.directional import (
    FARTHEST,
    STEPS,
    contraction_by_difference,
    hessian_of,
    kink_share,
    largest_displacement,
    scan_steps,
    thermal_steps,
)
from ldmd.diagnosis.evidence import Evidence, unmeasured
from ldmd.diagnosis.low_modes import LowModes
from ldmd.diagnosis.meters import element_errors, restored_linewidths
from ldmd.diagnosis.noise_floor import ErrorPattern, NoiseFloor, noise_floor, single_atoms, stored_triples
from ldmd.diagnosis.thresholds import REMOVED, Thresholds
from ldmd.force_constants.finite_differences import EXPECTED_SCATTER
from ldmd.force_constants.sum_rules import sum_rules
from ldmd.force_constants.third import SparseThirdOrder, ThirdOrder
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.linewidths import Linewidths, linewidths
from ldmd.lattice.modes import Modes
from ldmd.lattice.self_consistent import self_consistent_linewidths
from ldmd.potentials.ends import radius_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from ldmd.force_constants.second import SecondOrder
    from ldmd.potentials.base import SitePotential

AUTODIFF = "autodiff"
LOW_THZ = 2.0
"""Modes below this frequency are diagnosed,"""
FEWEST, MOST = 12, 64
"""so many at least and at most."""
HIDDEN = 0.01
"""Errors that the sum rules show, over those that noise of forces leads to expect, below which they were restored."""
LINES_AT_MOST = 1000
"""Coordinates of a cell up to which self-consistent linewidths, which take those of all modes several times, are
computed for the diagnosis alone."""
LINES_WITHIN = 0.01
"""Relative change at which their iteration ends."""
STRETCHED = 1e-3
"""Share of a mode's bond stretch near kinks from which on it is scanned."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """Force constants to be diagnosed, and what is known of how they were made."""

    source: str
    """``AUTODIFF``, "finite differences" or the name of a file."""
    atoms: Atoms
    modes: Modes
    second: SecondOrder
    third: ThirdOrder
    potential: SitePotential | None = None
    """The differentiable potential that they are derivatives of, if there is one."""
    exact: ThirdOrder | None = None
    """Its exact third order, where that is not ``third`` itself."""
    sigma_force: float = math.nan
    """Noise of one component of a force, eV/Angstrom."""
    displacement: float = math.nan
    """Step of finite differences, Angstrom."""
    truncation: float = math.nan
    """Rms truncation of elements with a repeated atom by that step, eV/Angstrom^3; NaN if not known."""
    scatter: float = math.nan
    """Rms scatter of repeated measurements of one element, eV/Angstrom^3,"""
    expected_scatter: float = math.nan
    """and what noise and truncation explain of it."""


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Where linewidths are diagnosed."""

    temperature: float  # K
    statistics: str
    broadening: Broadening
    lowest: int
    """How many of the vibrating modes, from the lowest."""
    steps: tuple[float, ...] = STEPS
    """Angstrom, rms displacements along modes."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """The evidence, and the floor from which demands on accuracy follow."""

    evidence: Evidence
    floor: NoiseFloor
    rms_element: float
    """eV/Angstrom^3; NaN where elements cannot be listed."""
    diagonal_ratio: float
    """How many times larger sums over places with one atom are than others: 1 for independent errors."""


def low_mode_count(modes: Modes, limit_thz: float = LOW_THZ) -> int:
    """Vibrating modes below a frequency, within ``FEWEST`` and ``MOST``; with all that are degenerate with the last."""
    frequencies = modes.frequencies[modes.vibrating]
    below = int(np.count_nonzero(frequencies < 2.0 * np.pi * limit_thz))
    count = min(max(below, FEWEST), MOST, len(frequencies))
    while count < len(frequencies) and frequencies[count] - frequencies[count - 1] < DEGENERATE:
        count += 1
    return count


def collect(
    subject: Subject,
    conditions: Conditions,
    known: Linewidths | None = None,
    free: np.ndarray | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Findings:
    """Read every meter that there is.

    ``known`` are linewidths of the same force constants, if they were computed before, and ``free`` self-consistent
    ones (mode,), rad/ps. ``progress`` is called with the name of a meter and the share of all work done.
    """
    report = progress or (lambda name, share: None)
    modes, rows = subject.modes, np.flatnonzero(subject.modes.vibrating)[: conditions.lowest]
    ask = (subject.modes, (conditions.temperature,), (conditions.statistics,), conditions.broadening)
    report("linewidths", 0.0)
    own = linewidths(subject.third, *ask, lowest=conditions.lowest) if known is None else known
    frequencies = modes.frequencies[rows]

    def shared(values: np.ndarray) -> np.ndarray:
        """The mean of degenerate modes, which does not depend on how their eigenvectors were chosen."""
        return shared_by_degenerate(frequencies[None], values[None])[0]

    channels = own.channels
    assert channels is not None
    report("errors of elements", 0.2)
    errors = _errors(subject)
    report("noise floor", 0.35)
    floor = noise_floor(_pattern(subject), *ask, lowest=conditions.lowest)
    diagonal = np.zeros(len(rows))
    if errors.unbalanced > 0.0:
        of_atoms = noise_floor(single_atoms(len(subject.atoms)), *ask, lowest=conditions.lowest)
        diagonal = of_atoms.gamma(errors.unbalanced)[0, 0, rows]
    report("symmetries restored", 0.45)
    projected = _projected(subject, conditions, ask, errors.sigma)
    report("exact derivatives", 0.6)
    exact = _exact(subject, conditions, ask)
    report("steps along modes", 0.7)
    scan = _scan(subject, conditions, rows)
    report("thermal amplitudes", 0.85)
    amplitude = _at_amplitude(subject, conditions, rows)
    report("thermal amplitudes", 1.0)
    evidence = Evidence(
        temperature=conditions.temperature,
        statistics=conditions.statistics,
        source=subject.source,
        kernel=own.kernel,
        width=own.width,
        modes=rows,
        frequencies=frequencies,
        gamma=shared(gamma_of(own, conditions)[rows]),
        participation_ratio=modes.participation_ratio[rows],
        effective_channels=channels.effective[rows],
        top_two_share=channels.top_two_share[rows],
        width_sensitivity=channels.width_sensitivity[rows],
        gamma_self_consistent=shared(_self_consistent(subject, conditions, own, rows) if free is None else free[rows]),
        noise_floor=shared(floor.gamma(errors.sigma)[0, 0, rows]),
        diagonal_floor=shared(diagonal),
        scatter_floor=shared(_unexplained_scatter(subject, floor, rows)),
        truncation=np.full(len(rows), errors.truncation),
        gamma_exact=shared(exact[rows]),
        gamma_projected=shared(projected[rows]),
        gamma_reference=unmeasured(len(rows)),
        steps=np.asarray(conditions.steps) if scan is not None else np.empty(0),
        gamma_of_step=scan.gamma_of_step if scan is not None else np.empty((len(rows), 0)),
        slope=scan.slope if scan is not None else unmeasured(len(rows)),
        kink_share=scan.kink_share if scan is not None else unmeasured(len(rows)),
        gamma_at_amplitude=amplitude,
        residuals=_residuals(subject),
        sigma_force=subject.sigma_force,
        sigma_elements=errors.sigma,
        displacement=subject.displacement,
        scatter=subject.scatter / subject.expected_scatter,
        scatter_of_noise=subject.scatter / _noise_of_elements(subject),
        spacing=_spacing(modes),
        atoms=len(subject.atoms),
    )
    return Findings(evidence, floor, errors.rms, errors.diagonal_ratio)


def _spacing(modes: Modes) -> float:
    """Mean distance between neighbouring frequencies, rad/ps; NaN where there is one frequency only."""
    frequencies = modes.frequencies[modes.vibrating]
    span = float(np.ptp(frequencies))
    return span / (len(frequencies) - 1) if span > 0.0 else math.nan


def _unexplained_scatter(subject: Subject, floor: NoiseFloor, rows: np.ndarray) -> np.ndarray:
    """Excess linewidths (mode,) by errors as large as the scatter; zero where noise and truncation explain it."""
    if math.isnan(subject.scatter):
        return unmeasured(len(rows))
    explained = subject.scatter <= EXPECTED_SCATTER * subject.expected_scatter
    return np.zeros(len(rows)) if explained else np.asarray(floor.gamma(subject.scatter)[0, 0, rows])


def _self_consistent(subject: Subject, conditions: Conditions, own: Linewidths, rows: np.ndarray) -> np.ndarray:
    """Widths of lines that broaden each other (mode,), where some mode needs them and the cell is small enough."""
    limits, channels = Thresholds(), own.channels
    assert channels is not None
    few = (channels.effective[rows] < limits.effective_channels) | (channels.top_two_share[rows] > limits.top_two_share)
    damped = gamma_of(own, conditions)[rows] > limits.softness * subject.modes.frequencies[rows]
    if subject.third.size > LINES_AT_MOST or not np.any(few | damped):
        return unmeasured(len(rows))
    ask = (subject.third, subject.modes, (conditions.temperature,), (conditions.statistics,))
    found = self_consistent_linewidths(*ask, tolerance=LINES_WITHIN)
    return np.asarray(found.linewidths.gamma[0, 0, rows])


def gamma_of(found: Linewidths, conditions: Conditions) -> np.ndarray:
    """Linewidths (3N,) at the conditions, out of those at several."""
    row = int(np.argmin(np.abs(found.temperatures - conditions.temperature)))
    return np.asarray(found.gamma[row, found.statistics.index(conditions.statistics)])


@dataclasses.dataclass(frozen=True)
class _Errors:
    sigma: float
    rms: float
    truncation: float
    """Relative, of a linewidth."""
    diagonal_ratio: float
    unbalanced: float
    """eV/Angstrom^3, of elements with one atom only."""


def _noise_of_elements(subject: Subject) -> float:
    """Error of an element (eV/Angstrom^3) that is measured once, by the noise of single forces."""
    return subject.sigma_force / (2.0 * subject.displacement**2)


def _errors(subject: Subject) -> _Errors:
    """Independent errors of the elements: what the sum rules show.

    What the noise of a single force leads to expect is several times too much where forces repeat exactly, for much of
    it cancels in a difference; it counts only where the sum rules were restored and show nothing any more. Exact
    derivatives have the errors of rounding, a part of 2e-16 of the elements each.
    """
    third = subject.third
    if subject.source == AUTODIFF:
        rms = _rms_of_operator(third)
        return _Errors(float(np.finfo(float).eps) * rms, rms, 0.0, 1.0, 0.0)
    measured = element_errors(third)
    predicted = _noise_of_elements(subject) * math.sqrt(1.0 - REMOVED)
    sigma = predicted if measured.sigma < HIDDEN * predicted else measured.sigma
    return _Errors(sigma, measured.rms, _truncation(subject), measured.diagonal_ratio, measured.unbalanced)


def _truncation(subject: Subject) -> float:
    """Relative error of a linewidth, ~ |Phi3|^2, by elements that are all wrong by the same share."""
    if not subject.truncation > 0.0:
        return subject.truncation
    indices, values = subject.third.elements()
    atoms = indices // 3
    repeated = (atoms[0] == atoms[1]) | (atoms[1] == atoms[2]) | (atoms[0] == atoms[2])
    return float(2.0 * subject.truncation / np.sqrt(np.mean(values[repeated] ** 2)))


def _rms_of_operator(third: ThirdOrder, samples: int = 4) -> float:
    """Rms element (eV/Angstrom^3) over the stored triples, from contractions with random signs.

    Summed over all elements of a contraction, the mean of its squares is the sum of the squares of Phi3.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(third.size, samples))
    total = float(np.mean(np.sum(third.contract(signs) ** 2, axis=0)))
    pattern = stored_triples(third)
    atoms = np.ones((pattern.atoms, 1))
    count = 27.0 * float(np.sum(pattern.contract(atoms)[0].sum()))
    return math.sqrt(total / count)


def _pattern(subject: Subject) -> ErrorPattern:
    return stored_triples(subject.third)


def _projected(subject: Subject, conditions: Conditions, ask: tuple[object, ...], sigma: float) -> np.ndarray:
    """Linewidths (3N,) with symmetries restored; NaN where elements cannot be listed, or nothing needs restoring."""
    if subject.source == AUTODIFF or not isinstance(subject.third, SparseThirdOrder):
        return unmeasured(subject.third.size)
    found = restored_linewidths(subject.third, *ask, lowest=conditions.lowest, sigma=sigma or None)  # type: ignore[arg-type]
    return gamma_of(found.linewidths, conditions)


def _exact(subject: Subject, conditions: Conditions, ask: tuple[object, ...]) -> np.ndarray:
    if subject.exact is None:
        return unmeasured(subject.third.size)
    found = linewidths(subject.exact, *ask, lowest=conditions.lowest)  # type: ignore[arg-type]
    return gamma_of(found, conditions)


@dataclasses.dataclass(frozen=True)
class _Scan:
    gamma_of_step: np.ndarray
    slope: np.ndarray
    kink_share: np.ndarray


def _scan(subject: Subject, conditions: Conditions, rows: np.ndarray) -> _Scan | None:
    """Steps along the modes that stretch bonds near a kink; the others have the share and NaN."""
    potential, atoms = subject.potential, subject.atoms
    if potential is None:
        return None
    motions, largest = subject.modes.displacements[:, rows], max(conditions.steps)
    share = kink_share(atoms, potential.species, radius_table(potential), motions, largest)
    gamma, slope = np.full((len(rows), len(conditions.steps)), np.nan), unmeasured(len(rows))
    chosen = np.flatnonzero(share > STRETCHED)
    if len(chosen):
        low = LowModes(subject.modes, (conditions.temperature,), (conditions.statistics,), conditions.broadening)
        hessian = hessian_of(potential, atoms, largest_displacement(motions[:, chosen], largest))
        exact = subject.third if subject.source == AUTODIFF else subject.exact
        found = scan_steps(hessian, atoms.positions, rows[chosen].tolist(), low, conditions.steps, exact)
        gamma[chosen], slope[chosen] = found.gamma_of_step[:, :, 0, 0], found.slope
    return _Scan(gamma, slope, share)


def _at_amplitude(subject: Subject, conditions: Conditions, rows: np.ndarray) -> np.ndarray:
    """Linewidths (mode,) of the lowest modes from differences over the amplitude that each has at the temperature.

    Third derivatives at rest are what atoms feel as long as the potential does not bend more sharply than that.
    """
    potential, atoms = subject.potential, subject.atoms
    gamma, chosen = unmeasured(len(rows)), rows[:FEWEST]
    if potential is None or not len(chosen):
        return gamma
    motions = subject.modes.displacements[:, chosen]
    steps = thermal_steps(motions, subject.modes.frequencies[chosen], conditions.temperature)
    hessian = hessian_of(potential, atoms, FARTHEST)
    low = LowModes(subject.modes, (conditions.temperature,), (conditions.statistics,), conditions.broadening)
    for row, (mode, step) in enumerate(zip(chosen.tolist(), steps.tolist(), strict=True)):
        matrix = contraction_by_difference(hessian, atoms.positions, motions[:, row], step)
        gamma[row] = low.linewidth(mode, matrix).item()
    return gamma


def _residuals(subject: Subject) -> tuple[tuple[str, float], ...]:
    """Relative violations of the sum rules, rotations where they apply."""
    if not subject.third.listable or subject.source == AUTODIFF:
        return ()
    found = sum_rules(subject.second, subject.third, subject.atoms.positions, subject.atoms.cell.array)
    rows = [
        (f"third order, translation, leg {leg}", one.relative) for leg, one in enumerate(found.third_translation, 1)
    ]
    if found.third_permutation is not None:
        rows.append(("third order, permutation", found.third_permutation.relative))
    if found.third_rotation is not None and found.third_rotation_applies:
        rows.append(("third order, rotation", found.third_rotation.relative))
    return tuple(rows)
