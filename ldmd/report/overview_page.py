"""The page of an overview: the potentials of a case side by side, with links to the report of each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from ldmd.report import overview_figures
from ldmd.report.overview import LATTICE_ONLY, LOW_SHARE, Member, Overview, low_damping
from ldmd.report.page import HEADLINES, Headline, Page, Section, error_or_digits, finding, render_page
from ldmd.report.tables import Cell, Table, figure, table, words
from ldmd.report.text import brief, count, fixed, number, sentence, signed, whole, with_error
from ldmd.results import Estimate
from ldmd.store import write_atomically


def write_overview(overview: Overview, path: Path) -> None:
    """Write the overview as one HTML file, replacing an earlier one at once or not at all.

    Raises
    ------
    InputError
        If the file cannot be written; an earlier one is untouched then.
    """
    write_atomically(path, render_overview(overview).encode("utf-8"), "report")


def render_overview(overview: Overview) -> str:
    """The overview as HTML."""
    return render_page(
        Page(
            title=overview.heading,
            eyebrow=f"{count(len(overview.members), 'potential')} side by side",
            case_name=overview.case_name,
            temperature=overview.temperature,
            headline=overview_headline(overview),
            strip=overview_figures.verdict_rows(overview) if overview.compared else None,
            sections=tuple(overview_sections(overview)),
            settings=overview.settings,
            provenance=overview.provenance,
            citations=overview.citations,
        )
    )


def overview_headline(overview: Overview) -> Headline:
    """For how many potentials the methods agree, what the choice of one matters, and what is missing."""
    agreed, compared, total = overview.agreed, len(overview.compared), len(overview.members) - len(overview.alone)
    failed = any(member.exit_code for member in overview.members if member not in overview.alone)
    if not compared:
        text, tone, mark = "No potential could be compared.", "disagree", "✗"
    elif compared == total == 1:
        said, tone, mark = HEADLINES[overview.comparisons[0].verdict]
        known = overview.comparisons[0].verdict in ("agree", "disagree")
        text = f"{said} for {overview.compared[0].name}." if known else f"{said} ({overview.compared[0].name})."
        tone, mark = ("caution", "≈") if agreed and failed else (tone, mark)
    elif agreed == total:
        text = f"The two methods agree for {'both' if total == 2 else f'all {total}'} potentials."
        tone, mark = ("caution", "≈") if failed else ("agree", "✓")
    else:
        text = f"The two methods agree for {agreed} of {count(total, 'potential')}{_others(overview)}."
        against = overview.counted("disagree") + overview.counted("does not apply")
        tone, mark = ("disagree", "≠") if against else ("caution", "…")
    return Headline(text, tone, mark, tuple(_lines(overview)), tuple(_numbers(overview)), tuple(_problems(overview)))


def _others(overview: Overview) -> str:
    """How many of the other verdicts there are."""
    said = {
        "disagree": "disagree for {}",
        "undecided": "{} undecided",
        "does not apply": "lattice dynamics does not apply to {}",
        "no verdict": "no verdict for {}",
    }
    parts = [text.format(number) for verdict, text in said.items() if (number := overview.counted(verdict))]
    return f"; {', '.join(parts)}" if parts else ""


def _lines(overview: Overview) -> Iterator[str]:
    comparisons = overview.comparisons
    if len(comparisons) > 1:
        lattice = sorted(comparison.lattice_classical.value for comparison in comparisons)
        dynamics = sorted(comparison.dynamics.value for comparison in comparisons)
        farthest = max(abs(comparison.sigmas) for comparison in comparisons)
        ends = [f"{number(values[0])} to {number(values[-1])}" for values in (lattice, dynamics)]
        yield (
            f"At {brief(overview.temperature)} K the conductivity is {ends[0]} W/(m K) by the potential in classical "
            f"lattice dynamics, and {ends[1]} W/(m K) in molecular dynamics; for one and the same potential the "
            f"methods are at most {number(farthest, 2)} standard errors apart."
        )
    for member in overview.alone:
        assert member.contents is not None
        yield sentence(f"{member.contents.why_no_dynamics} ({member.name}); its lattice dynamics stands alone")
    missing = [member.name for member in overview.members if member.contents is None]
    if missing:
        yield f"Not computed: {', '.join(missing)}; what is missing is said below, all else is complete."


def _numbers(overview: Overview) -> Iterator[tuple[str, str, str]]:
    for member in overview.compared:
        comparison = member.comparison
        assert comparison is not None
        error = comparison.dynamics.standard_error
        classical = error_or_digits(comparison.lattice_classical)
        yield (
            member.name,
            with_error(comparison.dynamics.value, error),
            f"W/(m K) by molecular dynamics; lattice dynamics {classical}, {number(abs(comparison.sigmas), 2)} σ away",
        )
    for member in overview.alone:
        assert member.contents is not None
        known = dict(member.contents.lattice_values)
        value = known.get("classical", Estimate(math.nan, 0.0, "W/(m K)"))
        yield (member.name, error_or_digits(value), "W/(m K) by lattice dynamics, classical")


def _problems(overview: Overview) -> Iterator[tuple[str, str, str]]:
    for member in overview.members:
        if member.contents is None:
            yield member.name, member.failure.rstrip("."), sentence(member.remedy)
            continue
        for _, check in member.contents.failed_checks:
            yield member.name, f"{check.name}, {finding(check)}", sentence(check.advice)


def overview_sections(overview: Overview) -> Iterator[Section]:
    """The table, then the figures that there is something to draw for."""
    contents = [member.contents for member in overview.members if member.contents is not None]
    yield Section(
        "models",
        "The potentials",
        "The same atoms under different models of the forces between them; each name leads to a report of its own.",
        (models_table(overview),),
    )
    drawn = []
    if any(each.modes is not None or each.crystal is not None for each in contents):
        drawn.append(overview_figures.densities_of_states(overview))
    if any(each.linewidths is not None or each.crystal is not None for each in contents):
        drawn.append(overview_figures.linewidths_together(overview))
    if drawn:
        yield Section(
            "vibrations",
            "Vibrations",
            "Which vibrations each potential gives the solid, and how quickly they hand their energy on.",
            tuple(drawn),
        )
    if any(member.curve is not None for member in overview.members):
        yield Section(
            "conductivity",
            "Conductivity",
            "How well the solid conducts heat by each potential, method and kind of statistics.",
            (overview_figures.conductivities_together(overview),),
        )


def models_table(overview: Overview) -> Table:
    """A row per potential: the state at its minimum, both conductivities, the verdict, and its worst vibrations."""
    heads = (
        ("Potential", False),
        ("Density, g/cm³", True),
        ("Energy, eV/atom", True),
        ("κ LD, classical", True),
        ("κ LD, Bose–Einstein", True),
        ("κ MD", True),
        ("LD − MD, σ", True),
        ("Verdict", False),
        ("Modes γ > ω", True),
        ("γ/ω, lowest", True),
    )
    how = (
        "LD; on the infinite mesh, but classical beside dynamics on the wave vectors that fit into their box"
        if overview.of_crystals
        else "LD, QHGK"
    )
    caption = (
        f"Conductivities κ in W/(m K) at {brief(overview.temperature)} K: lattice dynamics ({how}) and molecular "
        "dynamics (MD, ± standard error); the difference is that of classical lattice dynamics in standard errors σ. "
        "Last columns: modes whose linewidth γ exceeds their frequency ω, and the largest γ/ω among the lowest "
        f"{brief(100 * LOW_SHARE)} % of the modes, both classical. Every potential stands at its own minimum."
    )
    return table("models", caption, heads, [_row(member, overview.temperature) for member in overview.members])


def _row(member: Member, temperature: float) -> tuple[Cell, ...]:
    contents, comparison, flags = member.contents, member.comparison, member.flags(temperature)
    none = figure(math.nan, text="–")
    if contents is None:
        return (words(member.name), *[none] * 6, words(member.verdict, "failed"), none, none)
    inspection = contents.inspection
    overdamped = 0.0 if flags is None else float(flags.overdamped.sum())
    calm = member.verdict == LATTICE_ONLY if comparison is None else comparison.verdict in ("agree", "undecided")
    look = "passed" if not member.exit_code else "" if calm else "failed"
    return (
        Cell(member.name, member.name, "", member.page),
        figure(inspection.density, text=fixed(inspection.density, 3)),
        figure(inspection.energy_per_atom, text=fixed(inspection.energy_per_atom, 4)),
        figure(member.lattice(temperature, "classical")),
        figure(member.lattice(temperature, "bose-einstein")),
        none if comparison is None else _estimate(comparison.dynamics),
        none if comparison is None else figure(comparison.sigmas, text=signed(comparison.sigmas, 1)),
        words(member.verdict, look),
        none if flags is None else figure(overdamped, text=whole(overdamped)),
        none if flags is None else figure(low_damping(flags), 2),
    )


def _estimate(estimate: Estimate) -> Cell:
    return figure(estimate.value, text=with_error(estimate.value, estimate.standard_error))
