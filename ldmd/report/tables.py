"""Tables of the page: cells that know how they sort."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ldmd.report.lattice_figures import isotropic
from ldmd.report.linewidth_figure import FlaggedModes
from ldmd.report.text import (
    brief,
    decimals,
    fixed,
    interval,
    number,
    power_of_ten,
    rounded,
    sentence,
    signed,
    statistics_name,
    unit_text,
    whole,
    with_error,
)
from ldmd.results import Check
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.comparison import Comparison, LedgerEntry
    from ldmd.diagnosis_study import Diagnosis
    from ldmd.inspection import Inspection
    from ldmd.lattice.conductivity import Conductivity
    from ldmd.minima import Minima

FLAGGED_ROWS = 15
"""Modes listed, those with the largest gamma/omega."""

PAIR_ROWS = 40
"""Offending pairs listed; the figure's numbers hold them all."""


RAISED = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")
"""Exponents in text."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """Text, and the key by which its column sorts; ``look`` is a class of the style sheet, ``link`` where it leads."""

    text: str
    sort: str
    look: str = ""
    link: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """Names of columns and rows of cells; ``numeric`` columns align to the right."""

    key: str
    caption: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = True
    small: bool = False


def words(text: str, look: str = "") -> Cell:
    """A cell that sorts by its text."""
    return Cell(text, text.lower(), look)


def figure(value: float, digits: int = 3, text: str | None = None) -> Cell:
    """A cell that sorts by its number."""
    return Cell(number(value, digits) if text is None else text, repr(float(value)), "number")


def table(
    key: str,
    caption: str,
    columns: Iterable[tuple[str, bool]],
    rows: Iterable[tuple[Cell, ...]],
    **kwargs: Any,
) -> Table:
    """A table from (name, whether numeric) pairs and rows."""
    heads = tuple(columns)
    return Table(
        key,
        caption,
        tuple(name for name, _ in heads),
        tuple(flag for _, flag in heads),
        tuple(rows),
        **kwargs,
    )


def checks_table(checks: Iterable[tuple[str, Check]]) -> Table:
    """Every check with its value, threshold, outcome in words, and what to do about a failure."""
    rows = []
    for stage, check in checks:
        relation = {"<=": "≤", ">=": "≥"}.get(check.relation, check.relation)
        outcome = Cell("✓ passed", "1", "passed") if check.passed else Cell("✗ failed", "0", "failed")
        rows.append(
            (
                outcome,
                words(check.name, "prose"),
                words(stage),
                figure(check.value, text=rounded(check.value)),
                figure(check.threshold, text=f"{relation} {brief(check.threshold)}{unit_text(check.unit)}"),
                words("–" if check.passed else sentence(check.advice), "" if check.passed else "prose"),
            )
        )
    heads = (
        ("Outcome", False),
        ("Check", False),
        ("Stage", False),
        ("Value", True),
        ("Required", True),
        ("What to do", False),
    )
    return table(
        "checks",
        "Every check, failed ones first. A check is a measured value against a threshold.",
        heads,
        rows,
    )


def ledger_table(comparison: Comparison, entries: Iterable[LedgerEntry]) -> Table:
    """The ledger with its explanations."""
    unit = "W/(m K)"
    start, end = comparison.start, comparison.dynamics
    places = decimals(end.standard_error)
    first = LedgerLine(comparison.start_name, start.value, start.standard_error, "Where the ledger starts.")
    last = LedgerLine("molecular dynamics", end.value, end.standard_error, "Where it ends.")
    rows = [_ledger_row(first, fixed(first.value, places), "strong")]
    rows += [_ledger_row(entry, signed(entry.value, places), "") for entry in entries]
    rows.append(_ledger_row(last, fixed(last.value, places), "strong"))
    heads = (("Entry", False), (f"Value, {unit}", True), ("Standard error", True), ("What it is", False))
    return table(
        "ledger",
        "The ledger. Entries between the first and the last row sum to their difference.",
        heads,
        rows,
        sortable=False,
    )


class LedgerLine(NamedTuple):
    """An end of the ledger, shaped like its entries."""

    name: str
    value: float
    standard_error: float
    explanation: str


def _ledger_row(entry: LedgerEntry | LedgerLine, value: str, look: str) -> tuple[Cell, ...]:
    error = number(entry.standard_error, 2) if entry.standard_error > 0.0 else "–"
    return (
        words(entry.name, look),
        figure(entry.value, text=value),
        figure(entry.standard_error, text=error),
        words(sentence(entry.explanation), "prose"),
    )


def flagged_table(flags: FlaggedModes) -> Table:
    """The modes with the largest linewidth over frequency, and their flags."""
    order = np.argsort(-flags.damping)[:FLAGGED_ROWS]
    names = [*flags.gamma]
    rows = []
    for k in order:
        marks = [
            text for text, flag in (("overdamped", flags.overdamped[k]), ("localised", flags.localised[k])) if flag
        ]
        gamma = [figure(float(flags.gamma[name][k])) for name in names]
        rows.append(
            (
                figure(float(flags.index[k]), text=whole(float(flags.index[k]))),
                figure(float(flags.frequency[k])),
                *gamma,
                figure(float(flags.damping[k])),
                figure(float(flags.participation_ratio[k]), 2),
                words(", ".join(marks) or "–"),
            )
        )
    heads = [("Mode", True), ("ν, THz", True)]
    heads += [(f"γ HWHM, {statistics_name(name)}, rad/ps", True) for name in names]
    heads += [("γ/ω", True), ("Participation ratio", True), ("Flags", False)]
    caption = (
        f"The {len(rows)} modes with the largest γ/ω ({statistics_name(flags.reference)}) at "
        f"{brief(flags.temperature)} K. Overdamped: γ > ω. Localised: participation ratio below 0.2."
    )
    return table("flagged", caption, heads, rows)


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """Every diagnosed mode with its cause, the evidence and what to do."""
    evidence = diagnosis.evidence
    rows = [
        (
            figure(float(verdict.mode), text=whole(verdict.mode)),
            figure(float(evidence.frequencies[row] / THZ)),
            figure(float(evidence.gamma[row])),
            words(str(verdict.cause)),
            words(sentence(_typeset(verdict.evidence)), "prose"),
            words(sentence(verdict.advice), "prose"),
        )
        for row, verdict in enumerate(diagnosis.verdicts)
    ]
    heads = (
        ("Mode", True),
        ("Frequency, THz", True),
        ("Linewidth HWHM, rad/ps", True),
        ("Cause", False),
        ("Evidence", False),
        ("What to do", False),
    )
    case = " ".join(sentence(_typeset(text)) for text in diagnosis.case.sentences())
    return table("causes", f"{case} Below, why each of the lowest modes is as wide as it is.", heads, rows)


def _typeset(text: str) -> str:
    """Units and powers of a sentence made for a terminal, as print shows them."""
    text = text.replace("eV/A^3", "eV/Å³").replace("Phi3", "Φ⁽³⁾").replace("W/(m K)", "W/(m\u00a0K)")
    text = re.sub(r"(?<=[\d/]) ?A\b", lambda found: found[0].replace("A", "Å"), text)
    text = re.sub(r"\b(\d\.\d+)e([-+]\d+)\b", lambda found: f"{found[1]} × {power_of_ten(int(found[2]))}", text)
    text = re.sub(r"\bw\^(-?\d+(?:\.\d+)?)", lambda found: f"ω{found[1].translate(RAISED)}", text)
    text = re.sub(r"\bwidth\^(-?\d+(?:\.\d+)?)", lambda found: f"width{found[1].translate(RAISED)}", text)
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def conductivity_table(conductivity: Conductivity) -> Table:
    """Isotropic conductivities: temperatures in rows, methods and statistics in columns."""
    methods = (("qhgk", "QHGK"), ("intraband", "Intraband"), ("allen_feldman", "Allen–Feldman"))
    means = [isotropic(getattr(conductivity, field)) for field, _ in methods]
    rows = [
        (
            figure(float(kelvin), text=brief(float(kelvin))),
            *(figure(float(mean[t, s])) for mean in means for s in range(len(conductivity.statistics))),
        )
        for t, kelvin in enumerate(conductivity.temperatures)
    ]
    heads = [("T, K", True)]
    heads += [(f"{title}, {statistics_name(name)}", True) for _, title in methods for name in conductivity.statistics]
    return table("conductivities", "Conductivities of the lattice in W/(m K): one third of the trace.", heads, rows)


def structure_table(inspection: Inspection) -> Table:
    """How many atoms of each species have how many neighbours."""
    most = int(np.max(np.flatnonzero(inspection.coordination.sum(axis=0)), initial=0))
    counts = range(most + 1)
    rows = []
    for place, name in enumerate(inspection.species):
        cells = [
            figure(float(inspection.coordination[place, n]), text=whole(float(inspection.coordination[place, n])))
            for n in counts
        ]
        rows.append((words(name), *cells))
    heads = [("Species", False), *((f"{n}", True) for n in counts)]
    caption = "Number of atoms by species (rows) and number of neighbours (columns)."
    return table("coordination", caption, heads, rows, small=True)


def state_table(inspection: Inspection) -> Table:
    """Size, density, energy, pressure and the largest force at the minimum."""
    rows = [
        (words(name), figure(value, text=text), words(unit))
        for name, value, text, unit in (
            ("atoms", float(len(inspection.symbols)), whole(len(inspection.symbols)), "–"),
            ("density", inspection.density, fixed(inspection.density, 3), "g/cm³"),
            ("potential energy", inspection.energy_per_atom, fixed(inspection.energy_per_atom, 4), "eV/atom"),
            ("pressure", inspection.pressure, number(inspection.pressure, 2), "GPa"),
            ("largest force", inspection.largest_force, number(inspection.largest_force, 2), "eV/Å"),
        )
        if not math.isnan(value)
    ]
    heads = (("Quantity", False), ("Value", True), ("Unit", False))
    return table("state", "The structure as it enters both methods.", heads, rows, sortable=False, small=True)


def pairs_table(inspection: Inspection) -> Table:
    """Pairs inside a switching region, nearest to their cutoff first."""
    gaps = inspection.outer_cutoffs - inspection.switching_distances
    order = np.argsort(gaps)[:PAIR_ROWS]
    rows = []
    for k in order:
        i, j = (int(atom) for atom in inspection.switching_pairs[k])
        rows.append(
            (
                words(f"{inspection.symbols[i]} {i} – {inspection.symbols[j]} {j}"),
                figure(float(inspection.switching_distances[k]), text=f"{inspection.switching_distances[k]:.4f}"),
                figure(float(inspection.outer_cutoffs[k]), text=f"{inspection.outer_cutoffs[k]:.4f}"),
                figure(float(gaps[k]), text=f"{gaps[k]:.4f}"),
            )
        )
    total = len(gaps)
    listed = "All" if len(rows) == total else f"The {len(rows)} of {whole(total)}"
    caption = f"{listed} pairs in a switching region, nearest to the cutoff first. Atoms are numbered from 0."
    heads = (
        ("Pair", False),
        ("Distance, Å", True),
        ("Outer cutoff, Å", True),
        ("Distance to the cutoff, Å", True),
    )
    return table("pairs", caption, heads, rows)


def residuals_table(residuals: Mapping[str, float]) -> Table:
    """Residuals of the sum rules of the force constants."""
    rows = [(words(name), figure(float(value), 2)) for name, value in residuals.items()]
    caption = "Sum rules of the force constants: residual over the largest element. Rounding alone leaves about 10⁻¹³."
    return table("residuals", caption, (("Sum rule", False), ("Relative residual", True)), rows, small=True)


def minima_table(minima: Minima, reference: float) -> Table:
    """Minima of frames of the dynamics, with lattice dynamics in each; ``reference`` is the case's own value."""
    rows = [(words("structure of the case"), figure(0.0), figure(0.0), figure(reference), words("–"))]
    rows += [
        (
            words(f"frame {place + 1}"),
            figure(float(minima.energy[place]), text=fixed(float(minima.energy[place]), 3)),
            figure(float(minima.moved[place]), 2),
            figure(float(minima.conductivity[place])),
            figure(float(minima.sigma[place])),
        )
        for place in range(len(minima.energy))
    ]
    caption = (
        "Frames of the dynamics relaxed to the minimum they belong to, and classical lattice dynamics in each: energy "
        "of the whole cell above the structure of the case, share of atoms that moved more than 0.2 Å, QHGK "
        f"conductivity at {brief(minima.temperature)} K, and σᴬ of the frame with respect to its own minimum. The "
        f"standard deviation of the conductivity over the minima, {number(minima.spread, 2)} W/(m K), is the error of "
        "the lattice value."
    )
    heads = (
        ("Minimum", False),
        ("Energy, eV", True),
        ("Moved", True),
        ("QHGK, W/(m K)", True),
        ("σᴬ", True),
    )
    return table("minima", caption, heads, rows)


def values_table(comparison: Comparison) -> Table:
    """The numbers of the verdict, with errors and intervals."""
    rows = []
    for name, estimate in (
        ("lattice dynamics, classical", comparison.lattice_classical),
        ("lattice dynamics, Bose–Einstein", comparison.lattice_quantum),
        ("molecular dynamics", comparison.dynamics),
        ("lattice (classical) − dynamics", comparison.difference),
    ):
        bounds = (
            comparison.dynamics_interval_95
            if estimate is comparison.dynamics
            else comparison.difference_interval_95
            if estimate is comparison.difference
            else _normal(estimate.value, estimate.standard_error)
        )
        rows.append(
            (
                words(name),
                figure(estimate.value, 4, with_error(estimate.value, estimate.standard_error)),
                words(
                    interval(bounds, estimate.standard_error) if estimate.standard_error > 0.0 else "–",
                    "number",
                ),
                words(estimate.unit),
            )
        )
    heads = (("Quantity", False), ("Value ± standard error", True), ("95 % interval", True), ("Unit", False))
    return table("values", f"The compared values at {brief(comparison.temperature)} K.", heads, rows, sortable=False)


def _normal(value: float, error: float) -> tuple[float, float]:
    return value - 1.96 * error, value + 1.96 * error


def flat_rows(nested: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, text) pairs in their own order."""
    rows: list[tuple[str, str]] = []
    for name, value in nested.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{full}.")
        else:
            rows.append((full, plain(value)))
    return rows


def plain(value: Any) -> str:
    """A setting as text: lists joined by commas, numbers short, nothing for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(plain(item) for item in value)
    return str(value)
