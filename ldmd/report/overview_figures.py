"""Figures of the overview: what the potentials of a case have in common, and what not, on the same axes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.contents import ReportContents
from ldmd.report.crystal_conductivity_figure import finish
from ldmd.report.crystal_parts import PARTS, vibrating
from ldmd.report.lattice_figures import DENSITY_WIDTH, GRID_POINTS, moving, smoothed
from ldmd.report.linewidth_figure import FlaggedModes, linewidth_axes
from ldmd.report.overview import LOW_SHARE, Member, Overview, low_damping
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, count, number, with_error
from ldmd.units import THZ

UNIT = "W/(m K)"
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)), (0, (5, 1.2, 1, 1.2)), (0, (2, 1)), (0, (8, 2, 2, 2)), (0, (1, 1)))
"""Beside the colours, so that a print without any still tells the potentials apart."""
MEDIAN_MODES = 31
"""Neighbours in frequency over which the running median of the linewidths goes."""


@dataclasses.dataclass(frozen=True)
class Look:
    """How a potential is drawn, the same in every figure."""

    color: str
    marker: str
    dash: Any


def looks(overview: Overview) -> dict[str, Look]:
    """The look of every potential by its place in the case; after six of them colours come again with other marks."""
    found = {}
    for place, member in enumerate(overview.members):
        mark = (place + place // len(style.SERIES)) % len(MARKERS)
        found[member.name] = Look(style.SERIES[place % len(style.SERIES)], MARKERS[mark], DASHES[mark])
    return found


def verdict_rows(overview: Overview) -> Figure:
    """Both conductivities of every potential in a row, the dynamics with its 95 % interval."""
    drawn = overview.compared
    kelvin = f"{brief(overview.temperature)} K"
    description = f"Conductivity by lattice and molecular dynamics at {kelvin}, a row per potential."
    rows: list[tuple[str, float, float, float, float, float]] = []
    with canvas(0.75 + 0.5 * len(drawn)) as (figure, (axes,)):
        for row, member in enumerate(drawn):
            comparison, height = member.comparison, float(len(drawn) - 1 - row)
            assert comparison is not None
            low, high = comparison.dynamics_interval_95
            value, classical = comparison.dynamics.value, comparison.lattice_classical.value
            quantum = comparison.lattice_quantum.value
            axes.plot([low, high], [height + 0.14] * 2, color=style.DYNAMICS, lw=6, alpha=0.2, solid_capstyle="butt")
            axes.plot(value, height + 0.14, "s", ms=6, color=style.DYNAMICS)
            axes.plot(classical, height - 0.14, "D", ms=6, color=style.CLASSICAL)
            axes.plot(quantum, height - 0.14, "o", ms=6, mfc="white", mew=1.4, color=style.QUANTUM)
            rows.append((member.name, classical, quantum, value, low, high))
        axes.set_yticks([float(k) for k in range(len(drawn))][::-1], [member.name for member in drawn])
        axes.set_ylim(-0.55, len(drawn) - 0.45)
        axes.margins(x=0.08)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"thermal conductivity at {kelvin} ({UNIT})")
        svg = to_svg(figure, "overview-verdict", description)
    names = ("potential", "lattice classical", "lattice bose-einstein", "dynamics", "dynamics lower", "dynamics upper")
    columns = tuple(
        column(name if not k else f"{name} [{UNIT}]", [row[k] for row in rows]) for k, name in enumerate(names)
    )
    caption = (
        "Squares: molecular dynamics with its 95 % interval. Filled diamonds: lattice dynamics with the classical "
        "statistics of the dynamics. Open circles: lattice dynamics with Bose–Einstein statistics."
    )
    return Figure("overview-verdict", "The values", caption, description, svg, columns)


def densities_of_states(overview: Overview) -> Figure:
    """Vibrational density of states of every potential, each normalised to one."""
    known = {member.name: member.contents for member in overview.members if member.contents is not None}
    ends = {name: span for name, contents in known.items() if (span := _spectrum(contents)) is not None}
    lowest, highest = (limit(span[place] for span in ends.values()) for place, limit in ((0, min), (1, max)))
    grid = np.linspace(min(0.0, lowest), highest + 3.0 * DENSITY_WIDTH, GRID_POINTS)
    description = "Vibrational density of states against frequency, a curve per potential."
    columns = [column("frequency [THz]", grid)]
    look = looks(overview)
    with canvas(3.3) as (figure, (axes,)):
        for name in ends:
            curve = _density(known[name], grid)
            axes.plot(grid, curve, color=look[name].color, ls=look[name].dash, lw=1.7, label=name)
            columns.append(column(f"{name} [1/THz]", curve))
        axes.set_xlim(float(grid[0]), float(grid[-1]))
        axes.set_ylim(0.0, None)
        axes.set_xlabel("frequency ν (THz)")
        axes.set_ylabel("density of states (1/THz)")
        figure.legend(loc="outside upper left", ncols=3, columnspacing=1.6, handlelength=3.0)
        svg = to_svg(figure, "overview-vdos", description)
    how = (
        "on a fine mesh of wave vectors. Modes of the mesh of the linewidths"
        if overview.of_crystals
        else f"each mode smoothed by a Gaussian of standard deviation {DENSITY_WIDTH} THz. Modes"
    )
    each = "; ".join(f"{name} from {number(span[0])} to {number(span[1])} THz" for name, span in ends.items())
    caption = f"Density of states of each potential at its own minimum, normalised to one, {how}: {each}."
    return Figure("overview-vdos", "Vibrations", caption, description, svg, tuple(columns))


def _spectrum(contents: ReportContents) -> tuple[float, float] | None:
    """Lowest and highest frequency in THz, of the modes or on the finest mesh of a crystal."""
    if contents.crystal is not None:
        values = contents.crystal.finest.frequencies[vibrating(contents.crystal.finest)] / THZ
    elif contents.modes is not None:
        values = contents.modes.frequencies[moving(contents.modes)] / THZ
    else:
        return None
    return float(values.min()), float(values.max())


def _density(contents: ReportContents, grid: np.ndarray) -> np.ndarray:
    """Density of states (1/THz) on a grid (THz)."""
    if contents.crystal is not None:
        bands = contents.crystal.portrait.density
        return np.interp(grid, bands.frequencies / THZ, THZ * bands.total, left=0.0, right=0.0)
    assert contents.modes is not None
    values = contents.modes.frequencies[moving(contents.modes)] / THZ
    return smoothed(values, np.full(len(values), 1.0 / len(values)), grid)


def linewidths_together(overview: Overview) -> Figure:
    """Linewidths (HWHM) of every potential against frequency, with the line gamma = omega."""
    flags = {member.name: flags for member in overview.members if (flags := member.flags(overview.temperature))}
    description = (
        "Linewidth, half width at half maximum, against frequency on logarithmic axes, a colour and a mark per "
        "potential, with running medians and the line gamma = omega."
    )
    look = looks(overview)
    columns = []
    with canvas(4.2) as (figure, (axes,)):
        for name, found in flags.items():
            gamma, order = found.gamma[found.reference], np.argsort(found.frequency)
            shown = order[(found.frequency[order] > 0.0) & (gamma[order] > 0.0)]
            axes.scatter(
                found.frequency[shown], gamma[shown], s=9, lw=0, alpha=0.5, color=look[name].color,
                marker=look[name].marker, rasterized=True,
            )  # fmt: skip
            columns += [
                column(f"frequency, {name} [THz]", found.frequency[order]),
                column(f"linewidth HWHM, {name} [rad/ps]", gamma[order]),
            ]
        for name, found in flags.items():
            _median_curve(axes, found, look[name])
        linewidth_axes(axes, np.concatenate([found.frequency for found in flags.values()]))
        handles = [_handle(name, look[name], look[name].dash) for name in flags]
        figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.6, handlelength=3.0)
        svg = to_svg(figure, "overview-linewidths", description)
    caption = _linewidths_caption(flags, overview.temperature)
    return Figure("overview-linewidths", "How fast vibrations die out", caption, description, svg, tuple(columns))


def _handle(name: str, look: Look, dash: Any) -> Line2D:
    """The entry of a potential in a legend."""
    return Line2D([], [], color=look.color, ls=dash, lw=1.8, marker=look.marker, ms=4.5, label=name)


def _median_curve(axes: Axes, flags: FlaggedModes, look: Look) -> None:
    """Running median over neighbours in frequency, on a white ground that keeps it apart from the marks."""
    order = np.argsort(flags.frequency)
    order = order[flags.frequency[order] > 0.0]
    if len(order) < 2 * MEDIAN_MODES:
        return
    windows = np.lib.stride_tricks.sliding_window_view(order, MEDIAN_MODES)
    frequency = np.median(flags.frequency[windows], axis=1)
    gamma = np.median(flags.gamma[flags.reference][windows], axis=1)
    axes.plot(frequency, gamma, color="white", lw=3.6)
    axes.plot(frequency, gamma, color=look.color, ls=look.dash, lw=1.8)


def _linewidths_caption(flags: dict[str, FlaggedModes], temperature: float) -> str:
    each = "; ".join(
        f"{name}: {count(int(found.overdamped.sum()), 'mode')} with γ > ω, largest γ/ω of the lowest "
        f"{brief(100 * LOW_SHARE)} % of the modes {number(low_damping(found), 2)}"
        for name, found in flags.items()
    )
    return (
        f"Classical three-phonon linewidths (half width at half maximum) at {brief(temperature)} K; curves are medians "
        f"over {MEDIAN_MODES} neighbouring modes. Above the dashed line γ = ω a vibration dies within a period, and "
        f"the perturbation theory behind its linewidth does not hold. {each}."
    )


def conductivities_together(overview: Overview) -> Figure:
    """Conductivity against temperature, classical and Bose-Einstein, with the values of the dynamics."""
    drawn = [member for member in overview.members if member.curve is not None]
    look = looks(overview)
    description = (
        "Thermal conductivity against temperature: classical and Bose-Einstein lattice dynamics, a colour and a mark "
        "per potential, with the values of molecular dynamics."
    )
    columns, longest = [], 0.0
    with canvas(3.8) as (figure, (axes,)):
        for member in drawn:
            curve = member.curve
            assert curve is not None
            kelvin, values = curve.temperatures, curve.kappa
            longest = max(longest, float(kelvin.max()))
            columns.append(column(f"temperature, {member.name} [K]", kelvin))
            for place, statistics in enumerate(curve.statistics):
                classical = statistics == "classical"
                axes.plot(
                    kelvin, values[:, place], color=look[member.name].color, ls="-" if classical else "--", lw=1.6,
                    marker=look[member.name].marker, ms=4.0, mfc=look[member.name].color if classical else "white",
                )  # fmt: skip
                columns.append(column(f"{_method(member)}, {statistics}, {member.name} [{UNIT}]", values[:, place]))
        columns += _dynamics_points(axes, overview, 0.018 * longest)
        axes.set_xlabel("temperature (K)")
        axes.set_ylabel(f"thermal conductivity ({UNIT})")
        if overview.of_crystals:
            finish([axes], [""])
        else:
            axes.set_xlim(0.0, 1.04 * longest)
            axes.set_ylim(0.0, None)
        figure.legend(handles=_conductivity_handles(drawn, look), loc="outside upper left", ncols=3, columnspacing=1.6)
        svg = to_svg(figure, "overview-conductivity", description)
    return Figure(
        "overview-conductivity",
        "Conductivity against temperature",
        _conductivity_caption(overview),
        description,
        svg,
        tuple(columns),
    )


def _dynamics_points(axes: Axes, overview: Overview, step: float) -> list[tuple[str, tuple[float | str, ...]]]:
    """The dynamics with its 95 % interval, the potentials beside each other by ``step`` (K) so that all are seen."""
    look, drawn, columns = looks(overview), overview.compared, []
    for place, member in enumerate(drawn):
        comparison = member.comparison
        assert comparison is not None
        value, (low, high) = comparison.dynamics.value, comparison.dynamics_interval_95
        beside = comparison.temperature + step * (place - 0.5 * (len(drawn) - 1))
        axes.errorbar(
            beside, value, yerr=[[value - low], [high - value]], fmt="*", ms=11, mec="white", mew=0.7,
            color=look[member.name].color, lw=1.6, zorder=5,
        )  # fmt: skip
        columns += [
            column(f"dynamics, {member.name} [{UNIT}]", (value,)),
            column(f"dynamics, 95 %, {member.name} [{UNIT}]", (low, high)),
        ]
    return columns


def _conductivity_handles(drawn: list[Member], look: dict[str, Look]) -> list[Line2D]:
    ink, grey = style.INK, style.GREY
    return [
        *(_handle(member.name, look[member.name], "-") for member in drawn),
        Line2D([], [], color=grey, marker="o", ms=4.0, lw=1.4, ls="-", label="lattice, classical"),
        Line2D([], [], color=grey, marker="o", ms=4.0, lw=1.4, ls="--", mfc="white", label="lattice, Bose–Einstein"),
        Line2D([], [], color=ink, marker="*", ms=9.0, ls="", label="molecular dynamics"),
    ]


def _method(member: Member) -> str:
    """What the curve of a potential is."""
    crystal = None if member.contents is None else member.contents.crystal
    return "QHGK" if crystal is None else PARTS[crystal.part]


def _conductivity_caption(overview: Overview) -> str:
    methods = " and ".join(dict.fromkeys(_method(member) for member in overview.members if member.curve is not None))
    where = f"{methods[0].upper()}{methods[1:]} on the finest mesh" if overview.of_crystals else methods
    text = (
        f"{where}: one third of the trace; filled marks and full lines with classical statistics, open marks and "
        "dashed lines with Bose–Einstein statistics."
    )
    if not overview.compared:
        return text
    each = "; ".join(
        f"{m.name} {with_error(m.comparison.dynamics.value, m.comparison.dynamics.standard_error)}"
        for m in overview.compared
        if m.comparison is not None
    )
    return (
        f"{text} Stars: molecular dynamics with its 95 % interval, all at {brief(overview.temperature)} K and drawn "
        f"beside each other to be seen: {each} {UNIT} (standard errors)."
    )
