"""The page: sections in the order of a reader's questions, in one HTML file that needs no network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ldmd.report import (
    comparison_figures,
    crystal_section,
    diagnosis_figure,
    diffusion_figure,
    dynamics_figures,
    lattice_figures,
    linewidth_figure,
    structure_figures,
    tables,
    width_figure,
)
from ldmd.report.citations import bibtex, cited
from ldmd.report.contents import ReportContents
from ldmd.report.crystal_parts import PARTS
from ldmd.report.style import Figure, data_uri
from ldmd.report.tables import Table
from ldmd.report.text import (
    brief,
    count,
    decimals,
    fixed,
    interval,
    number,
    rounded,
    sentence,
    slug,
    statistics_name,
    unit_text,
    whole,
    with_error,
)
from ldmd.results import Check, Estimate
from ldmd.store import write_atomically

TEMPLATES = Path(__file__).parent / "templates"


HEADLINES = {
    "agree": ("The two methods agree", "agree", "✓"),
    "disagree": ("The two methods disagree", "disagree", "≠"),
    "undecided": ("Undecided: the error bar is too wide to tell", "caution", "?"),
    "does not apply": ("Lattice dynamics does not apply: atoms diffuse", "disagree", "✗"),
    "no verdict": ("No verdict: the two values cannot be compared", "caution", "…"),
}
"""What the page says of each verdict, its tone and its sign."""


@dataclasses.dataclass(frozen=True)
class Headline:
    """The verdict in one short sentence; ``tone`` is agree, caution or disagree, ``mark`` its sign."""

    text: str
    tone: str
    mark: str
    lines: tuple[str, ...]
    numbers: tuple[tuple[str, str, str], ...]  # name, value, what it is
    problems: tuple[tuple[str, str, str], ...]  # check, finding, advice


@dataclasses.dataclass(frozen=True)
class Section:
    """One section: a sentence for readers who do not know phonons, then figures and tables."""

    key: str
    title: str
    lead: str
    blocks: tuple[Figure | Table, ...]


@dataclasses.dataclass(frozen=True)
class Page:
    """Everything that stands on a page."""

    title: str
    eyebrow: str
    case_name: str
    temperature: float | None  # K
    headline: Headline
    strip: Figure | None
    sections: tuple[Section, ...]
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    citations: tuple[str, ...]
    parent: str = ""
    """Where a link to all potentials leads."""


def write_report(contents: ReportContents, path: Path) -> None:
    """Write the report of a case as one HTML file, replacing an earlier one at once or not at all.

    Raises
    ------
    InputError
        If the file cannot be written; an earlier report is untouched then.
    """
    write_atomically(path, render(contents).encode("utf-8"), "report")


def render(contents: ReportContents) -> str:
    """The report as HTML."""
    comparison = contents.comparison
    page = Page(
        title=contents.heading,
        eyebrow="Lattice dynamics and molecular dynamics compared",
        case_name=contents.case_name,
        temperature=None if comparison is None else comparison.temperature,
        headline=headline(contents),
        strip=None if comparison is None else comparison_figures.verdict_strip(comparison),
        sections=tuple(sections_of(contents)),
        settings=contents.settings,
        provenance=contents.provenance,
        citations=contents.citations,
        parent=contents.overview,
    )
    return render_page(page)


def render_page(page: Page) -> str:
    """A page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = [block.key for section in page.sections for block in section.blocks if isinstance(block, Figure)]
    return environment.get_template("report.html.j2").render(
        page=page,
        numbers={key: place for place, key in enumerate(figures, start=1)},
        settings=tables.flat_rows(page.settings),
        provenance=tables.flat_rows(page.provenance),
        works=cited(page.citations),
        bibtex=bibtex(page.citations),
        bibtex_uri=data_uri(bibtex(page.citations), "application/x-bibtex"),
        slug=slug(page.case_name),
        svg=lambda figure: Markup(figure.svg),
        is_figure=lambda block: isinstance(block, Figure),
    )


def headline(contents: ReportContents) -> Headline:
    """What the reader should know after one second."""
    comparison, failed = contents.comparison, contents.failed_checks
    problems = tuple((check.name, finding(check), sentence(check.advice)) for _, check in failed)
    if comparison is None:
        wrong = not contents.inspection.usable
        text = "This structure cannot be trusted yet." if wrong else "There is nothing to compare yet."
        if contents.lattice_values:
            line = sentence(f"{contents.why_no_dynamics}; lattice dynamics stands alone")
            return Headline("Lattice dynamics only.", "caution", "…", (line,), _lattice_numbers(contents), problems)
        if not wrong:
            line = "The structure passed its checks; the stages that lead to a comparison have not run."
            return Headline(text, "caution", "…", (line,), (), problems)
        line = (
            "Lattice dynamics expands the energy around a smooth minimum, and this structure fails the "
            "checks for one; the methods were not compared."
        )
        return Headline(text, "disagree", "✗", (line, coordination_sentence(contents)), (), problems)
    text, tone, mark = HEADLINES[comparison.verdict]
    if comparison.agree and failed:
        tone, mark = "caution", "≈"
    link = ", but" if comparison.agree else ";"
    shown = f"{text}{link} {count(len(failed), 'check')} failed." if failed else f"{text}."
    return Headline(shown, tone, mark, (sentence(comparison.sentence),), _numbers(contents), problems)


def finding(check: Check) -> str:
    """The value of a check and what it should have been."""
    relation = "at most" if check.relation == "<=" else "at least"
    return f"{rounded(check.value)}, should be {relation} {brief(check.threshold)}{unit_text(check.unit)}"


def coordination_sentence(contents: ReportContents) -> str:
    """How many neighbours the atoms of each species have, the most frequent number first."""
    parts = []
    for name, row in zip(contents.inspection.species, contents.inspection.coordination, strict=True):
        order = [int(n) for n in (-row).argsort(kind="stable") if row[n]]
        kinds = " and ".join(f"{whole(float(row[n]))} with {n}" for n in order)
        parts.append(f"{whole(float(row.sum()))} {name}: {kinds} neighbours")
    return f"{'; '.join(parts)}."


def _assumption(contents: ReportContents) -> str:
    """What the interval of the dynamics rests on, and the one without, behind a comma."""
    found = contents.green_kubo
    if found is None:
        return ""
    if not found.slowest_given:
        return f", from the run alone: nothing slower than {number(found.slowest, 2)} ps is seen"
    alone = interval(found.run_alone_interval_95, found.run_alone.standard_error)
    return f", if no heat flux decays more slowly than with {number(found.slowest, 2)} ps; {alone} from the run alone"


def _numbers(contents: ReportContents) -> tuple[tuple[str, str, str], ...]:
    comparison = contents.comparison
    assert comparison is not None
    classical, quantum, dynamics = (
        comparison.lattice_classical,
        comparison.lattice_quantum,
        comparison.dynamics,
    )
    places = decimals(dynamics.standard_error)
    bounds = interval(comparison.dynamics_interval_95, dynamics.standard_error)
    both = (
        (
            "lattice dynamics",
            with_error(classical.value, classical.standard_error)
            if classical.standard_error > 0.0
            else fixed(classical.value, places),
            f"W/(m K), classical; {fixed(quantum.value, places)} with quantum statistics"
            if contents.crystal is None
            else "W/(m K), classical, on the waves of the box; infinite mesh with quantum statistics: "
            f"{with_error(quantum.value, quantum.standard_error)}",
        ),
        (
            "molecular dynamics",
            with_error(dynamics.value, dynamics.standard_error),
            f"W/(m K), 95 % interval {bounds}{_assumption(contents)}",
        ),
    )
    if comparison.verdict not in comparison_figures.COMPARED:
        return both
    return (
        *both,
        (
            "difference",
            f"{number(abs(comparison.sigmas), 2)} σ",
            f"{with_error(comparison.difference.value, comparison.difference.standard_error)} W/(m K), "
            "lattice minus "
            f"dynamics; tolerance {brief(comparison.tolerance_sigma)} σ; 95 % interval ± "
            f"{number(100.0 * comparison.resolved, 2)} % of the dynamics, to be resolved "
            f"{brief(100.0 * comparison.resolution)} %",
        ),
    )


def error_or_digits(estimate: Estimate) -> str:
    """A value with its error, or with three digits where none is known."""
    known = estimate.standard_error > 0.0
    return with_error(estimate.value, estimate.standard_error) if known else number(estimate.value, 3)


def _lattice_numbers(contents: ReportContents) -> tuple[tuple[str, str, str], ...]:
    """Conductivities of the lattice at the temperature of the report, without a comparison."""
    how = "QHGK" if contents.crystal is None else f"infinite mesh, {PARTS[contents.crystal.part]}"
    unit = f"W/(m K) at {brief(contents.temperature)} K, {how}"
    return tuple((statistics_name(name), error_or_digits(value), unit) for name, value in contents.lattice_values)


def sections_of(contents: ReportContents) -> Iterator[Section]:
    """The sections that the contents allow."""
    if contents.comparison is not None:
        entries = comparison_figures.complete_ledger(contents.comparison)
        yield Section(
            "ledger",
            "The ledger",
            "Two independent calculations of how well the same atoms conduct heat; the ledger lists what "
            "separates them.",
            (
                comparison_figures.waterfall(contents.comparison),
                tables.ledger_table(contents.comparison, entries),
                tables.values_table(contents.comparison),
            ),
        )
    if contents.comparison is None:
        yield _structure(contents)
    yield Section(
        "checks",
        "Checks",
        "A number is worth as much as the assumptions under it; every row tests one of them.",
        (tables.checks_table(contents.checks),),
    )
    if contents.comparison is not None:
        yield _structure(contents)
    if contents.crystal is not None:
        blocks = crystal_section.lattice_blocks(contents.crystal, contents.temperature, contents.comparison)
        yield Section("lattice", "Lattice dynamics", crystal_section.LEAD, tuple(blocks))
    elif contents.modes is not None:
        yield _lattice(contents)
    if contents.green_kubo is not None or contents.trajectories:
        yield _dynamics(contents)
    if contents.anharmonicity is not None:
        yield Section(
            "anharmonicity",
            "Anharmonicity",
            "How far the bonds are from ideal springs at this temperature: 0 means ideal springs; at 1 the error made "
            "by assuming springs is as large as the forces themselves.",
            (
                comparison_figures.anharmonicity_bars(contents.anharmonicity),
                *_minima(contents),
                *crystal_section.anharmonicity_blocks(contents.crystal, contents.temperature),
            ),
        )


def _minima(contents: ReportContents) -> Iterator[Table]:
    """The table of visited minima, if any was looked at."""
    if contents.minima is not None and contents.comparison is not None and len(contents.minima.energy):
        yield tables.minima_table(contents.minima, contents.comparison.lattice_classical.value)


def _structure(contents: ReportContents) -> Section:
    inspection = contents.inspection
    blocks: list[Figure | Table] = [structure_figures.pair_distances(inspection)]
    if len(inspection.switching_distances):
        blocks.append(tables.pairs_table(inspection))
    blocks += [tables.structure_table(inspection), tables.state_table(inspection)]
    if contents.force_constant_residuals:
        blocks.append(tables.residuals_table(contents.force_constant_residuals))
    return Section(
        "structure",
        "The structure",
        "Both methods start from this arrangement of atoms; where it is flawed, nothing computed from it means much.",
        tuple(blocks),
    )


def _lattice(contents: ReportContents) -> Section:
    modes, linewidths, conductivity = contents.modes, contents.linewidths, contents.conductivity
    assert modes is not None
    blocks: list[Figure | Table] = [lattice_figures.density_of_states(modes, contents.inspection.symbols)]
    if linewidths is not None:
        flags = linewidth_figure.flagged_modes(modes, linewidths, contents.temperature)
        blocks += [
            linewidth_figure.linewidth_scatter(flags, linewidths.kernel, linewidths.width),
            tables.flagged_table(flags),
        ]
    if contents.diagnosis is not None and linewidths is not None:
        found = contents.diagnosis
        gamma = diagnosis_figure.gamma_at(linewidths, found.evidence.temperature, found.evidence.statistics)
        blocks += [
            diagnosis_figure.linewidth_causes(found.evidence, found.causes, (modes.frequencies, gamma)),
            tables.diagnosis_table(found),
        ]
    study = contents.width_study
    if study is not None:
        blocks.append(width_figure.width_curves(study.curve, study.free, study.free_conductivity))
    if conductivity is not None:
        blocks += [
            lattice_figures.conductivity_against_temperature(conductivity, contents.comparison),
            tables.conductivity_table(conductivity),
            lattice_figures.accumulation(conductivity, modes, contents.temperature),
        ]
    return Section(
        "lattice",
        "Lattice dynamics",
        "The solid as a set of vibrations that hand heat to each other: which there are, how long they "
        "live, how much each "
        "carries.",
        tuple(blocks),
    )


def _dynamics(contents: ReportContents) -> Section:
    blocks: list[Figure | Table] = []
    result = contents.green_kubo
    if result is not None:
        blocks += [
            dynamics_figures.flux_spectrum(result),
            dynamics_figures.cutoff_scan(result),
            dynamics_figures.running(result),
        ]
        directions = dynamics_figures.axes_values(result)
        blocks += [] if directions is None else [directions]
    if contents.trajectories:
        blocks.append(dynamics_figures.conservation(contents.trajectories))
    if contents.diffusion is not None:
        blocks += diffusion_figure.blocks(contents.diffusion)
    return Section(
        "dynamics",
        "Molecular dynamics",
        "The atoms simply move, and the conductivity is read from how quickly the random flow of heat "
        "among them forgets "
        "itself (Green–Kubo).",
        tuple(blocks),
    )
