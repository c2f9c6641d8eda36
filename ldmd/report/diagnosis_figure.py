"""The figure of the diagnosis: linewidths against frequency, each low mode with its cause, above the noise floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ldmd.diagnosis.reading import better_linewidths
from ldmd.diagnosis.thresholds import SIGNAL_TO_NOISE
from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, label_decades, to_svg
from ldmd.report.text import brief, count, number, statistics_name
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.diagnosis.evidence import Evidence
    from ldmd.lattice.linewidths import Linewidths

BEYOND = 4.0
"""Times the frequency of the highest diagnosed mode: how far up others are shown. The lattice has a figure of all."""
MARKS = {
    "physical": (style.INK, "o"),
    "round-off or noise": (style.DYNAMICS, "v"),
    "truncation": (style.PURPLE, "<"),
    "cutoff kink": (style.ORANGE, "X"),
    "broken sum rule": (style.DYNAMICS, "P"),
    "soft localised mode": (style.CLASSICAL, "s"),
    "accidental resonance": (style.SKY, "D"),
    "model differs from reference": (style.QUANTUM, "^"),
    "undecided": (style.GREY, "h"),
}
"""Colour and marker of every cause; no two share both, so that print without colour tells them apart."""


def linewidth_causes(evidence: Evidence, causes: Sequence[str], others: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Low modes by cause; ``others`` are frequencies (rad/ps) and linewidths of all modes, near ones shown faintly."""
    description = (
        "Linewidth, half width at half maximum, against frequency on logarithmic axes: low modes marked by the cause "
        "of their width, the noise floor as a band, and the line gamma = omega."
    )
    nu = evidence.frequencies / THZ
    with canvas(4.0) as (figure, (axes,)):
        shown = (others[0] > 0.0) & (others[1] > 0.0) & (others[0] <= BEYOND * evidence.frequencies.max())
        axes.scatter(others[0][shown] / THZ, others[1][shown], s=4, lw=0, color=style.PALE, rasterized=True, zorder=0)
        _scale(axes, np.concatenate([nu, others[0][shown] / THZ]), [*_linewidths(evidence), others[1][shown]])
        handles = [*_lines(axes, nu), *_floor(axes, nu, evidence.noise_floor), *_alternatives(axes, nu, evidence)]
        for cause in (name for name in MARKS if name in causes):
            here = np.array([name == cause for name in causes])
            color, marker = MARKS[cause]
            axes.scatter(nu[here], evidence.gamma[here], s=24, color=color, marker=marker, lw=0.4, ec="white", zorder=4)
            handles.append(Line2D([], [], ls="", marker=marker, ms=5.5, color=color, label=cause))
        axes.set_xlabel("frequency ν = ω/2π (THz)")
        axes.set_ylabel("linewidth γ, HWHM (rad/ps)")
        figure.legend(handles=handles, loc="outside upper left", ncols=3, handletextpad=0.4, columnspacing=1.2)
        svg = to_svg(figure, "diagnosis", description)
    columns = (
        column("mode", evidence.modes.astype(float)),
        column("frequency [THz]", nu),
        column("linewidth HWHM [rad/ps]", evidence.gamma),
        column("noise floor [rad/ps]", evidence.noise_floor),
        column("linewidth by automatic differentiation [rad/ps]", evidence.gamma_exact),
        column("linewidth by forces along modes [rad/ps]", evidence.gamma_remeasured),
        column("linewidth at the thermal amplitude [rad/ps]", evidence.gamma_at_amplitude),
        column("participation ratio [1]", evidence.participation_ratio),
        column("effective channels [1]", evidence.effective_channels),
        column("cause", list(causes)),
    )
    return Figure(
        "diagnosis", "Why each low mode is as wide as it is", _caption(evidence, causes), description, svg, columns
    )


def gamma_at(linewidths: Linewidths, temperature: float, statistics: str) -> np.ndarray:
    """Linewidths (3N,) rad/ps at the nearest temperature (K) there is."""
    row = int(np.argmin(np.abs(linewidths.temperatures - temperature)))
    return np.asarray(linewidths.gamma[row, linewidths.statistics.index(statistics)])


def _linewidths(evidence: Evidence) -> tuple[np.ndarray, ...]:
    """All that are drawn of the diagnosed modes."""
    exact = () if evidence.source == "autodiff" else (evidence.gamma_exact,)
    others = (evidence.gamma_of_step.ravel(), evidence.gamma_reference, evidence.gamma_at_amplitude)
    return (evidence.gamma, better_linewidths(evidence), *others, *exact)


def _scale(axes: Axes, nu: np.ndarray, linewidths: Sequence[np.ndarray]) -> None:
    gamma = np.concatenate(linewidths)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.8 * float(nu.min()), 1.25 * float(nu.max()))
    positive = gamma[gamma > 0.0]
    axes.set_ylim(0.4 * float(positive.min()), 2.5 * float(positive.max()))
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    ticks = [tick for tick in steps if 0.8 * nu.min() <= tick <= 1.25 * nu.max()]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    label_decades(axes)


def _lines(axes: Axes, nu: np.ndarray) -> list[Line2D]:
    """gamma = omega, and omega/pi, where a vibration dies within one period."""
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends * THZ, color=style.GREY, lw=1.0, ls="--", zorder=1)
    axes.plot(ends, ends * THZ / np.pi, color=style.GREY, lw=0.8, ls=":", zorder=1)
    axes.set_xlim(*ends)
    return [
        Line2D([], [], color=style.GREY, lw=1.0, ls="--", label="γ = ω"),
        Line2D([], [], color=style.GREY, lw=0.8, ls=":", label="γ = ω/π (Ioffe–Regel)"),
    ]


def _floor(axes: Axes, nu: np.ndarray, floor: np.ndarray) -> list[Patch]:
    """Below the noise floor nothing is known, and below three times it little; nothing is drawn where it is far off."""
    bottom = axes.get_ylim()[0]
    level = SIGNAL_TO_NOISE * floor
    if not np.any(np.nan_to_num(level) > bottom):
        return []
    order = np.argsort(nu)
    low, high = np.maximum(floor[order], bottom), np.maximum(level[order], bottom)
    axes.fill_between(nu[order], bottom, low, color=style.DYNAMICS, alpha=0.28, lw=0, zorder=0)
    axes.fill_between(
        nu[order], low, high, facecolor="none", edgecolor=style.DYNAMICS, alpha=0.6, hatch="////", lw=0, zorder=0
    )
    return [
        Patch(facecolor=style.DYNAMICS, alpha=0.28, label="noise floor"),
        Patch(facecolor="none", edgecolor=style.DYNAMICS, alpha=0.6, hatch="////", lw=0, label="to three times it"),
    ]


def _alternatives(axes: Axes, nu: np.ndarray, evidence: Evidence) -> list[Line2D]:
    """The same modes by automatic differentiation, and the span of finite differences over all steps of the scan."""
    handles = []
    exact = np.isfinite(evidence.gamma_exact)
    scanned = (
        np.isfinite(evidence.gamma_of_step).all(axis=1) if evidence.gamma_of_step.size else np.zeros(0, dtype=bool)
    )
    if scanned.any():
        gamma = evidence.gamma_of_step[scanned]
        axes.vlines(nu[scanned], gamma.min(axis=1), gamma.max(axis=1), color=style.GREY, lw=0.9, zorder=2)
        steps = f"{brief(float(evidence.steps.min()))} to {brief(float(evidence.steps.max()))} Å"
        handles.append(Line2D([], [], color=style.GREY, marker="|", ls="", ms=8, label=f"finite steps, {steps}"))
    if exact.any() and evidence.source != "autodiff":
        axes.scatter(nu[exact], evidence.gamma_exact[exact], s=36, fc="none", ec=style.INK, lw=0.8, zorder=3)
        handles.append(
            Line2D([], [], ls="", marker="o", mfc="none", color=style.INK, label="automatic differentiation")
        )
    again = np.isfinite(evidence.gamma_remeasured) & np.isfinite(better_linewidths(evidence))
    if again.any():
        axes.scatter(nu[again], evidence.gamma_remeasured[again], s=30, marker="D", fc="none", ec=style.INK, lw=0.8)
        label = "forces along modes"
        handles.append(Line2D([], [], ls="", marker="D", ms=5, mfc="none", color=style.INK, label=label))
    moving = evidence.gamma_at_amplitude > 0.0
    if moving.any():
        ends = (evidence.gamma_at_amplitude[moving], np.where(exact, evidence.gamma_exact, evidence.gamma)[moving])
        axes.vlines(nu[moving], *ends, color=style.GREY, lw=0.6, ls=":", zorder=2)
        axes.scatter(nu[moving], ends[0], s=22, marker="_", color=style.GREY, lw=1.2, zorder=2)
        handles.append(Line2D([], [], color=style.GREY, marker="_", ls=":", lw=0.6, label="at thermal amplitude"))
    reference = np.isfinite(evidence.gamma_reference)
    if reference.any():
        axes.scatter(
            nu[reference], evidence.gamma_reference[reference], s=16, marker="_", color=style.QUANTUM, zorder=3
        )
        handles.append(Line2D([], [], ls="", marker="_", color=style.QUANTUM, label="under the reference model"))
    return handles


def _caption(evidence: Evidence, causes: Sequence[str]) -> str:
    named = [(name, list(causes).count(name)) for name in MARKS if name in causes]
    parts = "; ".join(f"{count(amount, 'mode')}: {name}" for name, amount in named)
    floor = np.nanmedian(evidence.noise_floor) if np.isfinite(evidence.noise_floor).any() else np.nan
    noise = " The noise of these force constants is not known."
    if evidence.source == "autodiff":
        noise = " Exact derivatives have no noise but rounding."
    elif np.isfinite(floor):
        noise = f" The median noise floor is {number(float(floor), 2)} rad/ps."
    again = int(np.count_nonzero(np.isfinite(evidence.gamma_remeasured)))
    if again:
        doubt = f"{count(again, 'linewidth')} in doubt"
        noise += f" {doubt} measured again, by forces with all atoms moved along two modes."
    return (
        f"Linewidths (half width at half maximum) of the {count(len(causes), 'lowest mode')} at "
        f"{brief(evidence.temperature)} K with {statistics_name(evidence.statistics)} statistics, force constants by "
        f"{evidence.source}, with the modes above them (pale). {parts}.{noise}"
    )
