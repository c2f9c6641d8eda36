"""The figure of a crystal's linewidths: every mode of a mesh against its frequency, and the line of overdamping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ldmd.crystal.mesh import least_linewidth
from ldmd.report import style
from ldmd.report.crystal_parts import MARKERS, mesh_name, row_at, vibrating
from ldmd.report.lattice_figures import statistics_color
from ldmd.report.linewidth_figure import linewidth_axes
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, count, number, statistics_name, whole
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.crystal.mesh import MeshConductivity

ACOUSTIC = 3
"""Bands of the lowest frequencies at each wave vector that are called acoustic."""


def linewidths(
    result: MeshConductivity, temperature: float, by: Literal["statistics", "bands"] = "statistics"
) -> Figure:
    """Linewidths (HWHM) of the mesh's modes against frequency with the line gamma = omega, by statistics or bands.

    By bands it is those of classical statistics if there are any.
    """
    row, modes = row_at(result, temperature), vibrating(result)
    frequencies = result.frequencies[modes] / THZ
    gamma = {name: (result.gamma[row, place] + result.isotopes)[modes] for place, name in enumerate(result.statistics)}
    reference = "classical" if "classical" in gamma else result.statistics[0]
    lowest = np.broadcast_to(np.arange(modes.shape[1]) < ACOUSTIC, modes.shape)[modes]
    description = "Linewidth, half width at half maximum, of the modes of a crystal against frequency, logarithmic."
    with canvas(3.9) as (figure, (axes,)):
        if by == "bands":
            handles = _by_bands(axes, frequencies, gamma[reference], lowest)
        else:
            handles = [_scatter(axes, frequencies, values, name) for name, values in sorted(gamma.items())]
        _overdamped(axes, frequencies, gamma[reference], handles)
        linewidth_axes(axes, frequencies)
        figure.legend(handles=handles, loc="outside upper left", ncols=4, handletextpad=0.1, columnspacing=1.2)
        svg = to_svg(figure, f"crystal-linewidths-{by}", description)
    weights = np.broadcast_to(result.weights[:, None], modes.shape)[modes]
    columns = (
        column("frequency [THz]", frequencies),
        column("wave vectors that it stands for", weights.astype(float)),
        column("band", np.broadcast_to(np.arange(modes.shape[1], dtype=float), modes.shape)[modes]),
        *(column(f"linewidth HWHM, {name} [rad/ps]", values) for name, values in gamma.items()),
    )
    caption = _linewidth_caption(result, row, frequencies, gamma, weights)
    title = "How fast each vibration of the crystal dies out"
    return Figure(f"crystal-linewidths-{by}", title, caption, description, svg, columns)


def _scatter(axes: Axes, frequencies: np.ndarray, gamma: np.ndarray, statistics: str) -> Line2D:
    """Classical marks are full, those of other statistics open: they differ in print without colours, too."""
    seen, color, full = gamma > least_linewidth(gamma), statistics_color(statistics), statistics == "classical"
    look: dict[str, Any] = {"marker": MARKERS.get(statistics, "D"), "color": color, "ls": ""}
    look |= {"mfc": color if full else "none", "mew": 0.0 if full else 0.7}
    axes.plot(frequencies[seen], gamma[seen], ms=2.8, alpha=0.55 if full else 0.8, rasterized=True, **look)
    return Line2D([], [], ms=5, label=statistics_name(statistics), **look)


def _by_bands(axes: Axes, frequencies: np.ndarray, gamma: np.ndarray, acoustic: np.ndarray) -> list[Line2D]:
    handles = []
    kinds = (("acoustic (the lowest three bands)", acoustic, style.CLASSICAL), ("optical", ~acoustic, style.ORANGE))
    for name, chosen, color in kinds:
        seen, full = chosen & (gamma > least_linewidth(gamma)), chosen is acoustic
        look: dict[str, Any] = {"marker": "o" if full else "^", "color": color, "ls": ""}
        look |= {"mfc": color if full else "none", "mew": 0.0 if full else 0.8}
        axes.plot(frequencies[seen], gamma[seen], ms=3.2, alpha=0.7, rasterized=True, **look)
        if np.any(seen):
            handles.append(Line2D([], [], ms=5, label=name, **look))
    return handles


def _overdamped(axes: Axes, frequencies: np.ndarray, gamma: np.ndarray, handles: list[Line2D]) -> None:
    beyond = gamma > frequencies * THZ
    if np.any(beyond):
        look: dict[str, Any] = {"marker": "^", "mfc": "none", "color": style.DYNAMICS, "mew": 1.3, "ls": ""}
        axes.plot(frequencies[beyond], gamma[beyond], ms=7, **look)
        handles.append(Line2D([], [], ms=6, label="overdamped (γ > ω)", **look))


def _linewidth_caption(
    result: MeshConductivity, row: int, frequencies: np.ndarray, gamma: dict[str, np.ndarray], weights: np.ndarray
) -> str:
    medians, beyond, lost = [], 0, 0
    for name, values in gamma.items():
        middle = _median(values, weights)
        medians.append(f"{number(middle)} rad/ps (lifetime 1/2γ {number(0.5 / middle)} ps) {statistics_name(name)}")
        beyond = max(beyond, int(weights[values > frequencies * THZ].sum()))
        lost = max(lost, int(weights[values <= least_linewidth(values)].sum()))
    worst = max(float((values / (frequencies * THZ)).max()) for values in gamma.values())
    verdict = (
        f"{count(beyond, 'mode lies', 'modes lie').capitalize()} above the line, where a vibration dies within a "
        "period and the perturbation theory behind its linewidth does not hold."
        if beyond
        else f"No mode lies above the line γ = ω, where a vibration would die within a period; the largest γ/ω is "
        f"{number(worst, 2)}."
    )
    left = f" {count(lost, 'mode finds', 'modes find').capitalize()} no channel on this mesh." if lost else ""
    isotopes = " and of isotopes" if np.any(result.isotopes > 0.0) else ""
    return (
        f"Linewidths (half width at half maximum) of three-phonon scattering{isotopes} at "
        f"{brief(float(result.temperatures[row]))} K on a mesh of {mesh_name(result)}, {whole(result.modes)} modes; "
        f"{_energy(result)}. Medians: {'; '.join(medians)}. {verdict}{left}"
    )


def _energy(result: MeshConductivity) -> str:
    if result.smearing is None:
        return f"energy conservation by {'tetrahedra' if 'phono3py' in result.engine else 'the engine’s own widths'}"
    return f"energy conservation by a Gaussian of {brief(result.smearing)} rad/ps"


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, 0.5 * below[-1])])
