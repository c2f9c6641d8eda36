"""Figures of what carries a crystal's heat: its conductivity accumulated over frequency and over mean free path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from ldmd.crystal.mesh import least_linewidth
from ldmd.report import style
from ldmd.report.crystal_parts import (
    DASHES,
    PARTS,
    UNIT,
    accumulated,
    density,
    mesh_name,
    mode_shares,
    row_at,
    vibrating,
)
from ldmd.report.lattice_figures import statistics_color
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, number, power_of_ten, sentence, statistics_name
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.crystal.mesh import MeshConductivity

SMOOTHING = (0.02, 0.06)
"""Least and largest standard deviation of the Gaussian of a density, of the highest frequency."""
GRID_POINTS = 500


def accumulation(
    result: MeshConductivity,
    temperature: float,
    part: str = "total",
    commensurate: MeshConductivity | None = None,
) -> Figure:
    """Conductivity (trace/3 of a part) accumulated over frequency, and its density, at the nearest temperature (K).

    ``commensurate`` adds the lowest frequency of the supercell of the dynamics, and what its wave vectors accumulate.

    Raises
    ------
    InputError
        For a part that was not computed.
    """
    row, modes = row_at(result, temperature), vibrating(result)
    frequencies = result.frequencies[modes] / THZ
    grid = np.linspace(0.0, 1.03 * float(frequencies.max()), GRID_POINTS)
    width = smoothing(frequencies)
    description = "Conductivity of a crystal accumulated over frequency, and its density per unit of frequency."
    columns, halves = [column("frequency [THz]", grid)], []
    with canvas(4.3, 2, sharex=True) as (figure, (upper, lower)):
        for name in sorted(result.statistics):
            shares = mode_shares(result, row, result.statistics.index(name), part)[modes]
            curve, spectrum = accumulated(frequencies, shares, grid), density(frequencies, shares, grid, width)
            upper.plot(grid, curve, label=statistics_name(name), **_look(name))
            lower.plot(grid, spectrum, **_look(name))
            if name == "classical" or len(result.statistics) == 1:
                lower.fill_between(grid, spectrum, color=style.PALE, alpha=0.45, lw=0)
            columns += [
                column(f"accumulated, {name} [{UNIT}]", curve),
                column(f"density, {name} [W/(m K THz)]", spectrum),
            ]
            half = number(position_of(0.5, frequencies, shares))
            halves.append(f"{statistics_name(name)}: half of {number(float(shares.sum()))} {UNIT} below {half} THz")
        if commensurate is not None:
            columns += _of_supercell((upper, lower), commensurate, temperature, part, grid)
        _finish(upper, lower, grid)
        figure.legend(loc="outside upper left", ncols=2, columnspacing=1.4, handlelength=2.6)
        svg = to_svg(figure, "crystal-accumulation", description)
    caption = (
        f"Conductivity (trace/3; {PARTS.get(part, part)}) at {brief(float(result.temperatures[row]))} K on a mesh of "
        f"{mesh_name(result)}, accumulated over the modes up to a frequency (above), and its density, smoothed by a "
        f"Gaussian of {brief(width)} THz (below). {sentence('; '.join(halves))}{_supercell_sentence(commensurate)} "
        "This density is not the spectrum of the heat flux."
    )
    title = "Which vibrations of the crystal carry the heat"
    return Figure("crystal-accumulation", title, caption, description, svg, tuple(columns))


def smoothing(frequencies: np.ndarray) -> float:
    """Width (THz) of the Gaussian: half of the lowest frequency, beneath which the mesh knows no waves."""
    least, largest = (share * float(frequencies.max()) for share in SMOOTHING)
    return float(f"{np.clip(0.5 * float(frequencies.min()), least, largest):.1g}")


def position_of(share: float, positions: np.ndarray, values: np.ndarray) -> float:
    """Position up to which the accumulated values first reach a share of their sum."""
    order = np.argsort(positions)
    steps = np.cumsum(values[order])
    return float(positions[order][int(np.argmax(steps >= share * steps[-1] * (1.0 - 1e-12)))])


def _look(statistics: str) -> dict[str, Any]:
    return {"color": statistics_color(statistics), "ls": DASHES.get(statistics, ":"), "lw": 1.6}


def _finish(upper: Axes, lower: Axes, grid: np.ndarray) -> None:
    upper.set_ylabel(f"accumulated ({UNIT})")
    upper.set_ylim(min(0.0, 1.05 * min(float(np.min(line.get_ydata())) for line in upper.get_lines())), None)
    lower.set_ylabel("density (W/(m K THz))")
    lower.set_xlabel("frequency ν (THz)")
    lower.set_xlim(0.0, float(grid[-1]))
    if lower.get_ylim()[0] > -0.1 * lower.get_ylim()[1]:
        lower.set_ylim(0.0, None)


def _of_supercell(
    panels: tuple[Axes, Axes], result: MeshConductivity, temperature: float, part: str, grid: np.ndarray
) -> list[tuple[str, tuple[float | str, ...]]]:
    """Draw the accumulated conductivity of a commensurate mesh and its lowest frequency."""
    modes = vibrating(result)
    frequencies = result.frequencies[modes] / THZ
    name = "classical" if "classical" in result.statistics else result.statistics[0]
    columns = []
    if not part.startswith("direct") or result.direct is not None:
        shares = mode_shares(result, row_at(result, temperature), result.statistics.index(name), part)[modes]
        curve = accumulated(frequencies, shares, grid)
        label = f"supercell of the dynamics, {statistics_name(name)}"
        panels[0].plot(grid, curve, color=style.INK, ls=(0, (6, 1.6, 1.2, 1.6)), lw=1.1, label=label)
        columns = [column(f"accumulated, {name}, supercell of the dynamics [{UNIT}]", curve)]
    for axes in panels:
        line = axes.axvline(float(frequencies.min()), color=style.DYNAMICS, lw=1.1, ls=(0, (1, 1.2)))
        line.set_label("lowest wave of that supercell" if axes is panels[0] else "_")
    return columns


def _supercell_sentence(result: MeshConductivity | None) -> str:
    if result is None:
        return ""
    lowest = float(result.frequencies[vibrating(result)].min()) / THZ
    return (
        f" The supercell of the dynamics has {int(result.weights.sum())} wave vectors, the lowest frequency of which "
        f"is {number(lowest)} THz."
    )


def accumulation_over_mean_free_path(result: MeshConductivity, temperature: float) -> Figure:
    """Conductivity in relaxation times accumulated over the mean free path |v| / (2 gamma), both statistics."""
    row = row_at(result, temperature)
    description = "Conductivity of a crystal accumulated over the mean free path of its modes, logarithmic abscissa."
    columns, sentences, ends = [], [], []
    with canvas(3.2) as (figure, (axes,)):
        for name in sorted(result.statistics):
            paths, shares = mean_free_paths(result, row, result.statistics.index(name))
            order = np.argsort(paths)
            curve = np.cumsum(shares[order])
            # on beyond the ends, so that the curve begins at zero and ends level
            places = np.concatenate([[1e-3 * paths.min()], paths[order], [1e3 * paths.max()]])
            steps = np.concatenate([[0.0], curve, curve[-1:]])
            axes.step(places, steps, where="post", label=statistics_name(name), **_look(name))
            columns += [
                column(f"mean free path, {name} [nm]", paths[order]),
                column(f"accumulated, {name} [{UNIT}]", curve),
            ]
            tenth, half, most = (number(position_of(share, paths, shares)) for share in (0.1, 0.5, 0.9))
            sentences.append(
                f"{statistics_name(name)}: 10, 50 and 90 % of {number(float(curve[-1]))} {UNIT} below {tenth}, "
                f"{half} and {most} nm"
            )
            ends += [position_of(0.002, paths, shares), float(paths.max())]
        _length_axis(axes, 0.7 * min(ends), 1.6 * max(ends))
        axes.set_ylim(0.0, None)
        axes.set_ylabel(f"accumulated ({UNIT})")
        figure.legend(loc="outside upper left", ncols=2, columnspacing=1.6, handlelength=2.6)
        svg = to_svg(figure, "crystal-mean-free-paths", description)
    caption = (
        f"Conductivity (trace/3) in relaxation times at {brief(float(result.temperatures[row]))} K on a mesh of "
        f"{mesh_name(result)}, accumulated over the modes with mean free paths up to a length. "
        f"{sentence('; '.join(sentences))} The interband part has no mean free path and is left out."
    )
    title = "How far vibrations carry the heat"
    return Figure("crystal-mean-free-paths", title, caption, description, svg, tuple(columns))


def mean_free_paths(result: MeshConductivity, row: int, place: int) -> tuple[np.ndarray, np.ndarray]:
    """|v| / (2 gamma) in nm of all modes that carry heat in relaxation times, and what they contribute in W/(m K)."""
    gamma = result.gamma[row, place] + result.isotopes
    shares, speeds = result.per_mode[row, place], np.linalg.norm(result.velocities, axis=-1)
    scattered = gamma > least_linewidth(gamma[vibrating(result)])
    carrying = vibrating(result) & scattered & (speeds > 0.0) & (shares > 0.0)
    return 0.1 * speeds[carrying] / (2.0 * gamma[carrying]), shares[carrying]


def _length_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic abscissa with plain numbers at its decades."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    decades = range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    names = [f"{10.0**k:g}" if -4 < k < 5 else power_of_ten(k) for k in decades]
    axes.set_xticks([10.0**k for k in decades], names)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("mean free path Λ = |v|/2γ (nm)")
