"""The figure of a crystal's conductivity by direction: components of the tensor against temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.crystal_conductivity_figure import METHODS, finish, panels, statistics_of
from ldmd.report.crystal_parts import UNIT, Component, distinct_components, mesh_name
from ldmd.report.style import Figure, column, to_svg
from ldmd.report.text import brief, number, statistics_name

if TYPE_CHECKING:
    from ldmd.crystal.mesh import MeshConductivity

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.6, 1.2, 1.6)), (0, (8, 2)), ":")
MARKERS = ("s", "o", "^", "D", "v", "P")


def components_against_temperature(
    converged: MeshConductivity, commensurate: MeshConductivity | None = None, part: str = "total"
) -> Figure:
    """Components of the tensor that differ, for one part of the conductivity; see ``distinct_components``."""
    if commensurate is not None and part.startswith("direct") and commensurate.direct is None:
        commensurate = None
    names = statistics_of(converged, commensurate)
    found = distinct_components(*(each.tensor(part) for each in (converged, commensurate) if each is not None))
    method = next((each.name for each in METHODS if each.part == part), part)
    description = "Components of the conductivity tensor against temperature, a panel per kind of statistics."
    columns: list[tuple[str, tuple[float | str, ...]]] = []
    with panels(len(names)) as (figure, axes):
        for axis, name in zip(axes, names, strict=True):
            for result, text in ((converged, ""), (commensurate, ", supercell of the dynamics")):
                if result is None or name not in result.statistics:
                    continue
                tensor = result.tensor(part)[:, result.statistics.index(name)]
                columns.append(column(f"temperature, {name}{text} [K]", result.temperatures))
                for place, component in enumerate(found):
                    values, look = component.of(tensor), _look(place, line=result is converged)
                    axis.plot(result.temperatures, values, **look)
                    columns.append(column(f"{component.name}, {method}, {name}{text} [{UNIT}]", values))
        finish(axes, names, f"conductivity, {method}")
        handles = [Line2D([], [], label=each.name, **_look(k, line=True)) for k, each in enumerate(found)]
        if commensurate is not None:
            label = "supercell of the dynamics"
            handles.append(Line2D([], [], label=label, **(_look(1, line=False) | {"color": style.INK})))
        figure.legend(handles=handles, loc="outside upper left", ncols=4, columnspacing=1.6, handlelength=2.8)
        svg = to_svg(figure, "crystal-kappa-tensor", description)
    caption = _caption(converged, found, part, method, commensurate is not None)
    return Figure("crystal-kappa-tensor", "Conductivity by direction", caption, description, svg, tuple(columns))


def _look(place: int, line: bool) -> dict[str, Any]:
    """A component's colour, dash and mark; open and larger without a line."""
    look: dict[str, Any] = {"color": style.SERIES[place % len(style.SERIES)], "marker": MARKERS[place % len(MARKERS)]}
    drawn = {"ls": DASHES[place % len(DASHES)], "lw": 1.6, "ms": 3.4}
    return look | (drawn if line else {"ls": "", "ms": 6.5, "mfc": "none", "mew": 1.2})


def _caption(
    converged: MeshConductivity,
    found: Sequence[Component],
    part: str,
    method: str,
    marked: bool,
) -> str:
    row = int(np.argmin(np.abs(converged.temperatures - 300.0)))
    each = "; ".join(
        f"{statistics_name(name)} "
        + ", ".join(f"{component.name} {number(float(component.of(tensor)))}" for component in found)
        for name, tensor in zip(converged.statistics, converged.tensor(part)[row], strict=True)
    )
    marks = " Open marks: the wave vectors of the supercell of the dynamics." if marked else ""
    return (
        f"Components of the conductivity tensor ({method}) in the axes of the crystal as given, those that agree "
        f"within 1 % of a third of the trace as one. Lines: mesh of {mesh_name(converged)}; at "
        f"{brief(float(converged.temperatures[row]))} K in {UNIT}: {each}.{marks}"
    )
