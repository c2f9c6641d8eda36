"""The figure of the linewidths, and the flags of modes that a linewidth cannot be trusted for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.lattice_figures import LOCALISED, moving, statistics_color
from ldmd.report.style import Figure, canvas, column, label_decades, to_svg
from ldmd.report.text import brief, count, number, statistics_name, whole
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.lattice.linewidths import Linewidths
    from ldmd.lattice.modes import Modes


@dataclasses.dataclass(frozen=True)
class FlaggedModes:
    """Linewidths at one temperature with their flags; arrays run over the modes that are not translations."""

    index: np.ndarray  # place among all modes, from 0
    frequency: np.ndarray  # THz
    gamma: dict[str, np.ndarray]  # HWHM, rad/ps, by statistics
    participation_ratio: np.ndarray
    overdamped: np.ndarray  # gamma > omega for the reference statistics
    localised: np.ndarray
    temperature: float
    reference: str

    @property
    def damping(self) -> np.ndarray:
        """gamma / omega for the reference statistics."""
        return self.gamma[self.reference] / np.maximum(np.abs(self.frequency) * THZ, 1e-12)


def flagged_modes(modes: Modes, linewidths: Linewidths, temperature: float) -> FlaggedModes:
    """Flag modes at the nearest temperature (K) there is, by the classical linewidths if there are any."""
    keep = moving(modes)
    row = int(np.argmin(np.abs(linewidths.temperatures - temperature)))
    gamma = {name: linewidths.gamma[row, place][keep] for place, name in enumerate(linewidths.statistics)}
    reference = "classical" if "classical" in gamma else linewidths.statistics[0]
    return FlaggedModes(
        index=np.flatnonzero(keep),
        frequency=modes.frequencies[keep] / THZ,
        gamma=gamma,
        participation_ratio=modes.participation_ratio[keep],
        overdamped=gamma[reference] > modes.frequencies[keep],
        localised=modes.participation_ratio[keep] < LOCALISED,
        temperature=float(linewidths.temperatures[row]),
        reference=reference,
    )


def linewidth_scatter(flags: FlaggedModes, kernel: str, width: float) -> Figure:
    """Linewidth (HWHM) of every mode against its frequency, the line gamma = omega, flagged modes marked."""
    shown = flags.frequency > 0.0
    description = (
        "Linewidth, half width at half maximum, against frequency on logarithmic axes, with the line gamma = omega."
    )
    with canvas(3.7) as (figure, (axes,)):
        for name, gamma in flags.gamma.items():
            visible = shown & (gamma > 0.0)
            axes.scatter(
                flags.frequency[visible],
                gamma[visible],
                s=5,
                lw=0,
                alpha=0.5,
                color=statistics_color(name),
                rasterized=True,
            )
        _draw_flags(axes, flags)
        linewidth_axes(axes, flags.frequency)
        figure.legend(
            handles=_linewidth_handles(flags),
            loc="outside upper left",
            ncols=4,
            handletextpad=0.1,
            columnspacing=1.0,
        )
        svg = to_svg(figure, "linewidths", description)
    names = [*flags.gamma]
    columns = (
        column("mode", flags.index.astype(float)),
        column("frequency [THz]", flags.frequency),
        *(column(f"linewidth HWHM, {name} [rad/ps]", flags.gamma[name]) for name in names),
        column("participation ratio [1]", flags.participation_ratio),
        column("overdamped", ["yes" if flag else "no" for flag in flags.overdamped]),
        column("localised", ["yes" if flag else "no" for flag in flags.localised]),
    )
    caption = _linewidth_caption(flags, kernel, width)
    return Figure("linewidths", "How fast each vibration dies out", caption, description, svg, columns)


def _draw_flags(axes: Axes, flags: FlaggedModes) -> None:
    """Rings around localised modes, triangles on overdamped ones, in the reference statistics."""
    gamma = flags.gamma[flags.reference]
    visible = (flags.frequency > 0.0) & (gamma > 0.0)
    ring, triangle = visible & flags.localised, visible & flags.overdamped
    axes.scatter(
        flags.frequency[ring],
        gamma[ring],
        s=17,
        facecolors="none",
        edgecolors=style.ORANGE,
        lw=0.8,
        rasterized=True,
    )
    axes.scatter(
        flags.frequency[triangle],
        gamma[triangle],
        s=34,
        marker="^",
        facecolors="none",
        edgecolors=style.DYNAMICS,
        lw=1.3,
    )


def linewidth_axes(axes: Axes, frequencies: np.ndarray) -> None:
    """Axes, ticks and the line gamma = omega for linewidths at frequencies (THz)."""
    ends = np.array([0.8 * float(frequencies[frequencies > 0.0].min()), 1.25 * float(frequencies.max())])
    axes.plot(ends, ends * THZ, color=style.GREY, lw=1.0, ls="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    place = float(np.exp(0.62 * np.log(ends[0]) + 0.38 * np.log(ends[1])))
    axes.annotate(
        "γ = ω",
        (place, place * THZ),
        (-4, 5),
        textcoords="offset points",
        color=style.GREY,
        ha="right",
        fontsize=8.5,
    )
    axes.set_xlabel("frequency ν = ω/2π (THz)")
    axes.set_ylabel("linewidth γ, HWHM (rad/ps)")
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if ends[0] <= tick <= ends[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    label_decades(axes)


def _linewidth_handles(flags: FlaggedModes) -> list[Line2D]:
    """Entries of the legend."""
    handles = [
        Line2D([], [], ls="", marker="o", ms=4, color=statistics_color(name), label=statistics_name(name))
        for name in flags.gamma
    ]
    handles += [
        Line2D(
            [],
            [],
            ls="",
            marker="o",
            ms=5,
            mfc="none",
            color=style.ORANGE,
            label=f"localised (< {LOCALISED})",
        ),
        Line2D([], [], ls="", marker="^", ms=6, mfc="none", color=style.DYNAMICS, label="overdamped (γ > ω)"),
    ]
    return handles


def _linewidth_caption(flags: FlaggedModes, kernel: str, width: float) -> str:
    overdamped, localised = int(flags.overdamped.sum()), int(flags.localised.sum())
    gamma = flags.gamma[flags.reference]
    worst = int(np.argmax(flags.damping))
    verdict = (
        f"{count(overdamped, 'mode lies', 'modes lie').capitalize()} above the line: there a vibration dies "
        "within a period and the perturbation theory behind its linewidth does not hold."
        if overdamped
        else "No mode lies above the line γ = ω, where a vibration would die within a period."
    )
    return (
        f"Three-phonon linewidths (half width at half maximum) at {brief(flags.temperature)} K; median "
        f"{number(float(np.median(gamma)))} rad/ps with {statistics_name(flags.reference)} statistics. "
        f"{verdict} The largest γ/ω is {number(float(flags.damping[worst]), 2)}, at "
        f"{number(float(flags.frequency[worst]))} THz; {whole(localised)} modes are localised "
        f"(participation ratio below {LOCALISED}). {_kernel(kernel, width)}"
    )


def _kernel(kernel: str, width: float) -> str:
    if np.isnan(width):
        return "The lines broaden each other (self-consistent): no width of a kernel was chosen."
    return f"Energy conservation is a normalised {kernel} kernel of width {brief(width)} rad/ps."
