"""How far the atoms go: mean square displacement against time, and what each species does."""

from __future__ import annotations

import numpy as np

from ldmd.diffusion import HALF, Diffusion
from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.tables import Cell, Table, figure, table, words
from ldmd.report.text import brief, number, whole, with_error

UNIT = "Angstrom^2"
MARKERS = ("o", "s", "^", "D", "v", "P")


def blocks(found: Diffusion) -> tuple[Figure | Table, ...]:
    """The figure, if there is more than one lag to draw, and the table."""
    drawn = len(found.lags) > 1 and bool(np.isfinite(found.mean_square_displacement).all())
    return (*((displacements(found),) if drawn else ()), motions(found))


def displacements(found: Diffusion) -> Figure:
    """Mean square displacement of each species against the time between two frames."""
    description = "Mean square displacement of the atoms against time, a curve per species."
    columns = [column("time [ps]", found.lags)]
    with canvas(2.6) as (drawing, (axes,)):
        for place, name in enumerate(found.species):
            color, marker = style.SERIES[place % len(style.SERIES)], MARKERS[place % len(MARKERS)]
            values = found.mean_square_displacement[place]
            axes.plot(found.lags, values, color=color, marker=marker, ms=3, lw=1.4, label=name)
            limit = (HALF * found.neighbour_distance[place]) ** 2
            axes.axhline(limit, color=color, lw=0.9, ls=(0, (2, 2)))
            columns.append(column(f"mean square displacement, {name} [{UNIT}]", values))
        axes.set_xlim(0.0, float(found.lags[-1]))
        axes.set_ylim(0.0, None)
        axes.set_xlabel("time between two frames (ps)")
        axes.set_ylabel("mean square displacement (Å²)")
        drawing.legend(loc="outside upper left", ncols=6, columnspacing=1.6)
        svg = to_svg(drawing, "diffusion", description)
    caption = (
        "Mean over atoms, replicas and starting times, relative to the centre of mass. Vibrations are level; a curve "
        f"that goes on growing is diffusion. Dashed: the square of half a neighbour distance of each species ({UNIT})."
    ).replace(UNIT, "Å²")
    return Figure("diffusion", "How far the atoms go", caption, description, svg, tuple(columns))


def motions(found: Diffusion) -> Table:
    """What each species does, in numbers."""
    heads = (
        ("Species", False),
        ("Atoms", True),
        ("Motion", False),
        ("Growth, Å²", True),
        ("In neighbour distances", True),
        ("Ever away", True),
        ("Away at the end", True),
        ("Farthest, Å", True),
    )
    rows = [
        (
            words(name),
            figure(float(found.counts[k]), text=whole(float(found.counts[k]))),
            words(found.motions[k], "failed" if found.diffusing[k] else ""),
            figure(float(found.growth[k]), text=with_error(float(found.growth[k]), float(found.growth_error[k]))),
            figure(float(found.steps[k]), 2),
            _share(float(found.moved[k])),
            _share(float(found.moved_at_end[k])),
            figure(float(found.farthest[k]), 3),
        )
        for k, name in enumerate(found.species)
    ]
    diffusing = [
        f"{name} {number(float(found.coefficients[k]), 2)} cm²/s"
        for k, name in enumerate(found.species)
        if found.diffusing[k]
    ]
    caption = (
        f"What the atoms do in {brief(found.duration)} ps. Growth: of the mean square displacement over a run, 6Dt for "
        "diffusion and nothing for vibrations. Away: share of atoms farther than half a neighbour distance from the "
        "structure. A species diffuses where the root of the growth is more than half a neighbour distance; atoms that "
        "were away without that hop."
    ) + (f" Diffusion coefficients: {'; '.join(diffusing)}." if diffusing else "")
    return table("diffusion", caption, heads, rows, sortable=False)


def _share(value: float) -> Cell:
    return figure(value, text=f"{whole(100.0 * value)} %")
