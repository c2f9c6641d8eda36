"""The figure of a crystal's meshes: conductivity against their fineness, and the limit it is extrapolated to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.crystal_parts import DASHES, MARKERS, PARTS, UNIT, row_at
from ldmd.report.lattice_figures import statistics_color
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, statistics_name, whole, with_error

if TYPE_CHECKING:
    from ldmd.crystal.convergence import MeshConvergence
    from ldmd.crystal.mesh import MeshConductivity
CROWDED = 0.08
"""Share of the axis within which two names of meshes would touch."""
SHORT = {"relaxation time": "RTA", "total": "QHGK", "direct total": "direct"}


def mesh_convergence(
    found: MeshConvergence, temperature: float, commensurate: MeshConductivity | None = None
) -> Figure:
    """Conductivity against the fineness of the mesh, the line extrapolated to the infinite one, and its error."""
    row = row_at(found, temperature)
    widest = float(found.wave_vectors[0]) ** (-1.0 / 3.0)
    description = "Conductivity on several meshes against the inverse cube root of the number of wave vectors."
    columns, limits = [column("wave vectors of the mesh", found.wave_vectors.astype(float))], []
    with canvas(3.4) as (figure, (axes,)):
        handles = []
        for order, name in enumerate(sorted(found.statistics)):
            place = found.statistics.index(name)
            handles.append(_extrapolation(axes, found, row, place, name, -0.008 * order * widest))
            limit, error = float(found.limit[row, place]), float(found.error[row, place])
            limits.append(f"{statistics_name(name)} {with_error(limit, error)} {UNIT}")
            columns += [
                column(f"conductivity, {name} [{UNIT}]", found.kappa[:, row, place]),
                column(f"limit and its error, {name} [{UNIT}]", (limit, error)),
            ]
        counts = found.wave_vectors.tolist()
        if commensurate is not None and (marked := _commensurate_point(axes, found, commensurate, temperature)):
            handles.append(marked)
            counts.append(int(commensurate.weights.sum()))
        _mesh_ticks(axes, counts)
        axes.set_ylabel(f"{SHORT.get(found.part, found.part)} conductivity ({UNIT})")
        figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.4, handlelength=2.6)
        svg = to_svg(figure, "crystal-mesh-convergence", description)
    used = "all meshes" if len(found.wave_vectors) == 3 else "all meshes but the coarsest"
    law = "1/∛N" if found.power == 1.0 else f"x^{brief(found.power)}, x = 1/∛N,"
    caption = (
        f"Conductivity ({PARTS.get(found.part, found.part)}, trace/3) at {brief(float(found.temperatures[row]))} K "
        f"against the number N of wave vectors, and the line in {law} through {used}: what a mesh lacks are the waves "
        f"longer than it knows. Infinite mesh: {'; '.join(limits)}. The error (bars and bands) is the largest change "
        "with other meshes or another power."
    )
    title = "The limit of fine meshes"
    return Figure("crystal-mesh-convergence", title, caption, description, svg, tuple(columns))


def _fitted(found: MeshConvergence, row: int, place: int) -> tuple[float, int]:
    """Slope of the least-squares line through the limit, and how many of the coarsest meshes it leaves out."""
    skipped = max(0, min(1, len(found.wave_vectors) - 3))
    powers = found.wave_vectors[skipped:] ** (-found.power / 3.0)
    rise = found.kappa[skipped:, row, place] - found.limit[row, place]
    return float(powers @ rise / (powers @ powers)), skipped


def _extrapolation(axes: Axes, found: MeshConvergence, row: int, place: int, name: str, aside: float) -> Line2D:
    """Points, line, limit and the wedge of its error; returns the entry of the legend."""
    x = found.wave_vectors ** (-1.0 / 3.0)
    limit, error = float(found.limit[row, place]), float(found.error[row, place])
    slope, skipped = _fitted(found, row, place)
    color, dash, full = statistics_color(name), DASHES.get(name, ":"), name == "classical"
    look: dict[str, Any] = {"color": color, "marker": MARKERS.get(name, "D"), "mfc": color if full else "white"}
    line = np.linspace(0.0, float(x[skipped]), 100)
    axes.plot(line, limit + slope * line**found.power, color=color, ls=dash, lw=1.3)
    near = np.linspace(0.0, float(x.min()), 50)
    middle, half = limit + slope * near**found.power, error * (1.0 - near / x.min())
    axes.fill_between(near, middle - half, middle + half, color=color, alpha=0.16, lw=0)
    axes.plot(x, found.kappa[:, row, place], ls="", ms=5.0, **look)
    axes.errorbar([aside], [limit], yerr=[error], lw=1.2, ms=5.0, clip_on=False, zorder=5, **look)
    return Line2D([], [], ls=dash, lw=1.3, ms=5.0, label=statistics_name(name), **look)


def _commensurate_point(
    axes: Axes, found: MeshConvergence, result: MeshConductivity, temperature: float
) -> Line2D | None:
    """The supercell of the dynamics among the meshes, where it has the same part and the temperature."""
    lacks_direct = found.part.startswith("direct") and result.direct is None
    if lacks_direct or "classical" not in result.statistics:
        return None
    row = row_at(result, temperature)
    if not np.isclose(result.temperatures[row], found.temperatures[row_at(found, temperature)]):
        return None
    tensor = result.tensor(found.part, found.kernel)
    value = np.trace(tensor[row, result.statistics.index("classical")]) / 3.0
    look: dict[str, Any] = {"marker": "*", "ms": 11, "color": style.DYNAMICS, "mec": "white", "mew": 0.7, "ls": ""}
    axes.plot([float(result.weights.sum()) ** (-1.0 / 3.0)], [value], zorder=6, **look)
    return Line2D([], [], label="supercell of the dynamics, classical", **look)


def _mesh_ticks(axes: Axes, counts: list[int]) -> None:
    """Ticks at the meshes, named by their wave vectors; a name that would touch another is left out."""
    places = {float(n) ** (-1.0 / 3.0): whole(n) for n in sorted(set(counts), reverse=True)}
    end, named, names = 1.06 * max(places), 0.0, ["∞"]
    for place, name in places.items():
        free = place - named > CROWDED * end
        names.append(name if free else "")
        named = place if free else named
    axes.set_xticks([0.0, *places], names)
    axes.set_xlim(-0.02 * end, end)
    axes.set_xlabel("wave vectors N of the mesh, on a scale of 1/∛N")
