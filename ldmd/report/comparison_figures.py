"""Figures of the verdict: the two values on one axis, the ledger as a waterfall, the anharmonicity score."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, decimals, fixed, signed, whole, with_error

if TYPE_CHECKING:
    from ldmd.anharmonicity import Anharmonicity
    from ldmd.comparison import Comparison, LedgerEntry

UNIT = "W/(m K)"
COMPARED = ("agree", "disagree", "undecided")
"""Verdicts that the two values were held against each other for."""
FEW_STEPS = 3
"""Of a ledger, whose names fit side by side under their bars."""
LEDGER_ROUNDING = 1e-6
"""Part of the conductivity that the ledger may miss before the figure shows a bar for it."""


def verdict_strip(comparison: Comparison) -> Figure:
    """Both conductivities on one axis, the dynamics with its 95 % interval."""
    low, high = comparison.dynamics_interval_95
    places = decimals(comparison.dynamics.standard_error)
    classical, quantum = comparison.lattice_classical, comparison.lattice_quantum
    description = (
        f"Lattice dynamics {with_error(classical.value, classical.standard_error)} {UNIT} against molecular "
        f"dynamics {with_error(comparison.dynamics.value, comparison.dynamics.standard_error)} {UNIT}."
    )
    with canvas(1.2) as (figure, (axes,)):
        axes.axvspan(low, high, color=style.DYNAMICS, alpha=0.14, lw=0)
        axes.errorbar(
            comparison.dynamics.value,
            1.0,
            xerr=[[comparison.dynamics.value - low], [high - comparison.dynamics.value]],
            fmt="s",
            color=style.DYNAMICS,
            ms=6,
            lw=1.6,
        )
        _lattice_point(axes, classical.value, classical.standard_error, style.CLASSICAL, "D", filled=True)
        _lattice_point(axes, quantum.value, quantum.standard_error, style.QUANTUM, "o", filled=False)
        axes.set_yticks([1.0, 0.0], ["molecular dynamics", "lattice dynamics"])
        axes.set_ylim(-0.75, 1.6)
        axes.margins(x=0.12)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"thermal conductivity at {brief(comparison.temperature)} K ({UNIT})")
        svg = to_svg(figure, "verdict", description)
    caption = (
        "Square: molecular dynamics with its 95 % interval (band). Filled diamond: lattice dynamics with "
        f"the classical statistics of the dynamics, {fixed(classical.value, places)} {UNIT}; "
        f"{'only these two are compared' if comparison.verdict in COMPARED else 'these are not compared'}. "
        "Open circle: lattice dynamics with Bose–Einstein statistics, "
        f"{fixed(quantum.value, places)} {UNIT}, the one to hold against experiment."
    )
    columns = (
        column(
            "quantity",
            ("lattice classical", "lattice bose-einstein", "dynamics", "dynamics lower", "dynamics upper"),
        ),
        column(f"conductivity [{UNIT}]", (classical.value, quantum.value, comparison.dynamics.value, low, high)),
    )
    return Figure("verdict", "The two values", caption, description, svg, columns)


def _lattice_point(axes: Axes, value: float, error: float, color: str, marker: str, filled: bool) -> None:
    axes.errorbar(
        value,
        0.0,
        xerr=1.96 * error if math.isfinite(error) and error > 0.0 else None,
        fmt=marker,
        color=color,
        mfc=color if filled else "white",
        mew=1.4,
        ms=6.5,
    )


def complete_ledger(comparison: Comparison) -> tuple[LedgerEntry, ...]:
    """The ledger's entries, and one more if they do not sum to the gap between the two ends."""
    gap = comparison.dynamics.value - comparison.start.value
    missing = gap - sum(entry.value for entry in comparison.ledger)
    if abs(missing) <= LEDGER_ROUNDING * max(abs(comparison.dynamics.value), 1e-30):
        return comparison.ledger
    from ldmd.comparison import LedgerEntry

    return (
        *comparison.ledger,
        LedgerEntry("not itemised", missing, math.nan, "What the entries above leave out."),
    )


def waterfall(comparison: Comparison) -> Figure:
    """The ledger from the lattice value that it starts at to the value of the dynamics."""
    entries = complete_ledger(comparison)
    start, end = comparison.start, comparison.dynamics
    levels = start.value + np.concatenate([[0.0], np.cumsum([entry.value for entry in entries])])
    description = f"Waterfall from {comparison.start_name} to the molecular-dynamics value."
    crowded = len(entries) > FEW_STEPS
    with canvas(3.7 if crowded else 3.1) as (figure, (axes,)):
        names, ticks = _draw_waterfall(axes, comparison, entries, levels)
        if crowded:
            wrapped = [textwrap.fill(name, 18) for name in names]
            axes.set_xticks(ticks, wrapped, rotation=40, ha="right", rotation_mode="anchor", linespacing=0.95)
        else:
            axes.set_xticks(ticks, [textwrap.fill(name, 15) for name in names])
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(f"thermal conductivity ({UNIT})")
        totals = (start, end, comparison.lattice_quantum, comparison.lattice_classical)
        top = max(float(levels.max()), *(total.value + np.nan_to_num(total.standard_error) for total in totals))
        axes.set_ylim(min(0.0, 1.1 * float(levels.min())), 1.12 * top)
        svg = to_svg(figure, "waterfall", description)
    places = decimals(end.standard_error)
    steps = "; ".join(f"{entry.name} {signed(entry.value, places)}" for entry in entries)
    caption = (
        f"How {fixed(start.value, places)} becomes {fixed(end.value, places)} {UNIT} at "
        f"{brief(comparison.temperature)} K: {steps}. The steps sum to the gap; bars on them are standard "
        "errors."
    )
    columns = (
        column("entry", (comparison.start_name, *(entry.name for entry in entries), "molecular dynamics")),
        column(f"value [{UNIT}]", (start.value, *(entry.value for entry in entries), end.value)),
        column(
            f"standard error [{UNIT}]",
            (start.standard_error, *(entry.standard_error for entry in entries), end.standard_error),
        ),
        column(f"level after it [{UNIT}]", (start.value, *levels[1:].tolist(), end.value)),
    )
    return Figure("waterfall", "From lattice to dynamics, step by step", caption, description, svg, columns)


def _draw_waterfall(
    axes: Axes, comparison: Comparison, entries: tuple[LedgerEntry, ...], levels: np.ndarray
) -> tuple[list[str], list[float]]:
    """Draw the bars from left to right; returns their names and places."""
    stops = (
        ("lattice, Bose–Einstein", comparison.lattice_quantum, style.QUANTUM),
        ("lattice, classical", comparison.lattice_classical, style.CLASSICAL),
    )
    places = decimals(comparison.dynamics.standard_error)
    names, ticks, place = [comparison.start_name], [0.0], 0.0
    _total(axes, place, float(levels[0]), comparison.start.standard_error, style.QUANTUM, places)
    for entry, before, after in zip(entries, levels[:-1], levels[1:], strict=True):
        axes.plot([place + 0.31, place + 1.31], [before, before], color=style.GREY, lw=0.7)
        place += 1.0
        _step(axes, place, float(before), float(after), entry, places)
        names.append(entry.name)
        ticks.append(place)
        for name, value, color in stops:
            reached = abs(after - value.value) <= LEDGER_ROUNDING * abs(value.value)
            if reached and entry is not entries[-1] and name not in names:
                axes.plot([place + 0.31, place + 1.31], [after, after], color=style.GREY, lw=0.7)
                place += 1.0
                _total(axes, place, value.value, value.standard_error, color, places)
                names.append(name)
                ticks.append(place)
    axes.plot([place + 0.31, place + 1.31], [levels[-1]] * 2, color=style.GREY, lw=0.7)
    end = comparison.dynamics
    _total(axes, place + 1.0, end.value, end.standard_error, style.DYNAMICS, places)
    return [*names, "molecular dynamics"], [*ticks, place + 1.0]


def _total(axes: Axes, place: float, value: float, error: float, color: str, places: int) -> None:
    axes.bar(place, value, width=0.62, color=color, lw=0)
    top = value + (error if math.isfinite(error) else 0.0)
    if math.isfinite(error) and error > 0.0:
        axes.errorbar(place, value, yerr=error, color=style.INK, lw=1.0)
    axes.annotate(
        fixed(value, places), (place, top), (0, 4), textcoords="offset points", ha="center", fontweight="bold"
    )


def _step(axes: Axes, place: float, before: float, after: float, entry: LedgerEntry, places: int) -> None:
    axes.bar(place, after - before, bottom=before, width=0.62, color=style.PALE, edgecolor=style.GREY, lw=0.7)
    top = max(before, after)
    if math.isfinite(entry.standard_error) and entry.standard_error > 0.0:
        axes.errorbar(place, after, yerr=entry.standard_error, color=style.INK, lw=1.0)
        top = max(top, after + entry.standard_error)
    axes.annotate(signed(entry.value, places), (place, top), (0, 4), textcoords="offset points", ha="center")


def anharmonicity_bars(result: Anharmonicity) -> Figure:
    """sigma^A by group of atoms and way of sampling, with standard errors."""
    description = "Bars of the anharmonicity score by group of atoms and way of sampling."
    width = 0.8 / len(result.samplings)
    with canvas(2.6) as (figure, (axes,)):
        for row, name in enumerate(result.samplings):
            places = np.arange(len(result.groups)) + (row - 0.5 * (len(result.samplings) - 1)) * width
            axes.bar(
                places,
                result.sigma[row],
                width=0.92 * width,
                color=(style.DYNAMICS, style.CLASSICAL, style.QUANTUM, *style.SERIES[3:])[row % 6],
                hatch=("", "///", "...", "xxx", "", "")[row % 6],
                edgecolor="white",
                lw=0,
                label=name,
            )
            axes.errorbar(
                places,
                result.sigma[row],
                yerr=result.standard_error[row],
                fmt="none",
                color=style.INK,
                lw=1.0,
            )
        axes.set_xticks(np.arange(len(result.groups)), ["all atoms" if g == "all" else g for g in result.groups])
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel("anharmonicity score σᴬ (1)")
        axes.set_ylim(0.0, 1.05 * float(np.nanmax(result.sigma + result.standard_error)))
        figure.legend(loc="outside upper left", ncols=min(3, len(result.samplings)), columnspacing=1.4)
        svg = to_svg(figure, "anharmonicity", description)
    columns = (
        column("sampling", [name for name in result.samplings for _ in result.groups]),
        column("group", [group for _ in result.samplings for group in result.groups]),
        column("sigma^A [1]", result.sigma.ravel()),
        column("standard error [1]", result.standard_error.ravel()),
    )
    title = "How much of the force the harmonic model misses"
    return Figure("anharmonicity", title, _anharmonicity_caption(result), description, svg, columns)


def _anharmonicity_caption(result: Anharmonicity) -> str:
    whole_cell = result.groups.index("all") if "all" in result.groups else 0
    sentences = [
        f"{name}: σᴬ = {with_error(float(value), float(error))} ({whole(float(frames))} configurations)"
        for name, value, error, frames in zip(
            result.samplings,
            result.sigma[:, whole_cell],
            result.standard_error[:, whole_cell],
            result.configurations,
            strict=True,
        )
    ]
    return (
        f"σᴬ = √(Σ|F − F₂|² / Σ|F|²) at {brief(result.temperature)} K, pooled over configurations, atoms "
        "and directions, with F₂ the force of the second-order model; 0 is a harmonic solid. Over all "
        f"atoms: {'; '.join(sentences)}. Bars: standard errors (jackknife over blocks)."
    )
