"""The figure of a crystal's conductivity against temperature, by method and statistics.

Statistics are panels beside each other on one ordinate, methods differ in dash and mark: everything can be told apart
without colours. Lines are the converged mesh, open marks the wave vectors of the supercell of the dynamics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ldmd.errors import InputError
from ldmd.report import style
from ldmd.report.crystal_parts import UNIT, mesh_name
from ldmd.report.lattice_figures import isotropic, statistics_color
from ldmd.report.style import Figure, column, label_decades, to_svg
from ldmd.report.text import brief, interval, number, statistics_name

if TYPE_CHECKING:
    from ldmd.comparison import Comparison
    from ldmd.crystal.mesh import MeshConductivity

HEIGHT = 3.5
DYNAMICS_ASIDE = 1.07
"""Factor of the temperature at which the dynamics is drawn: beside what it is held against."""
DECADE = 8.0
"""Ratio of the largest to the smallest conductivity from which both axes are logarithmic."""
KELVIN = (1, 2, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000)


@dataclasses.dataclass(frozen=True)
class Method:
    """One way from linewidths to a conductivity, and how it is drawn."""

    part: str
    """As :meth:`ldmd.crystal.mesh.MeshConductivity.tensor` has it."""
    name: str
    dash: Any
    weight: float
    marker: str
    aside: float
    """Factor of the temperature at which open marks are drawn, so that they do not hide each other."""


METHODS = (
    Method("relaxation time", "RTA", (0, (4, 1.6)), 1.2, "v", 0.97),
    Method("total", "QHGK", "-", 1.8, "o", 1.0),
    Method("direct total", "direct solution", (0, (6, 1.6, 1.2, 1.6)), 1.5, "D", 1.03),
)


@dataclasses.dataclass(frozen=True)
class DynamicsPoint:
    """A conductivity of molecular dynamics with its 95 % interval, W/(m K)."""

    temperature: float
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, comparison: Comparison) -> DynamicsPoint:
        """That of a comparison."""
        return cls(comparison.temperature, comparison.dynamics.value, *comparison.dynamics_interval_95)


def methods_of(*results: MeshConductivity | None) -> tuple[Method, ...]:
    """The methods that any of the results has."""
    solved = any(result is not None and result.direct is not None for result in results)
    return METHODS if solved else METHODS[:2]


def against_temperature(
    converged: MeshConductivity | None = None,
    commensurate: MeshConductivity | None = None,
    dynamics: Sequence[DynamicsPoint] = (),
) -> Figure:
    """Trace/3 by method and statistics: the converged mesh, that of the dynamics' supercell, and the dynamics.

    Raises
    ------
    InputError
        Where neither mesh is given.
    """
    names = statistics_of(converged, commensurate)
    methods = methods_of(converged, commensurate)
    description = "Thermal conductivity against temperature by method, a panel per kind of statistics."
    columns: list[tuple[str, tuple[float | str, ...]]] = []
    with panels(len(names)) as (figure, axes):
        for axis, name in zip(axes, names, strict=True):
            for method in methods:
                columns += _converged_curve(axis, converged, method, name)
                columns += _commensurate_points(axis, commensurate, method, name)
            if name == "classical" or len(names) == 1:
                columns += _dynamics(axis, dynamics)
        again = _other_panel(axes[0], converged) if len(names) > 1 else ""
        finish(axes, names)
        _legend(figure, methods, (converged, commensurate), bool(dynamics), again)
        svg = to_svg(figure, "crystal-kappa-temperature", description)
    caption = _caption(converged, commensurate, dynamics, methods)
    title = "Conductivity of the crystal against temperature"
    return Figure("crystal-kappa-temperature", title, caption, description, svg, tuple(columns))


@contextmanager
def panels(count: int, height: float = HEIGHT, **subplots: Any) -> Iterator[tuple[Canvas, list[Axes]]]:
    """Panels beside each other on one ordinate, drawn under the page's style."""
    with mpl.rc_context(style.STYLE):
        figure = Canvas(figsize=(style.WIDTH, height))
        axes = figure.subplots(1, count, squeeze=False, sharey=True, **subplots)
        yield figure, list(axes[0])


def statistics_of(*results: MeshConductivity | None) -> list[str]:
    """Kinds of statistics of all results, Bose-Einstein first."""
    known = [name for result in results if result is not None for name in result.statistics]
    if not known:
        raise InputError("conductivity", "none", "give that of a converged mesh, of a commensurate one, or both")
    return sorted(set(known))


def _curve(result: MeshConductivity | None, part: str, statistics: str) -> np.ndarray | None:
    """Trace/3 (temperature,), where the result has that part and statistics."""
    if result is None or statistics not in result.statistics:
        return None
    if part.startswith("direct") and result.direct is None:
        return None
    return isotropic(result.tensor(part))[:, result.statistics.index(statistics)]


Columns = list[tuple[str, tuple[float | str, ...]]]


def _converged_curve(axes: Axes, result: MeshConductivity | None, method: Method, statistics: str) -> Columns:
    values = _curve(result, method.part, statistics)
    if values is None or result is None:
        return []
    color, kelvin = statistics_color(statistics), result.temperatures
    alone = len(kelvin) == 1
    axes.plot(kelvin, values, color=color, ls=method.dash, lw=method.weight, marker=method.marker if alone else "")
    return [
        column(f"temperature of {method.name}, {statistics} [K]", kelvin),
        column(f"{method.name}, {statistics} [{UNIT}]", values),
    ]


def _commensurate_points(axes: Axes, result: MeshConductivity | None, method: Method, statistics: str) -> Columns:
    values = _curve(result, method.part, statistics)
    if values is None or result is None:
        return []
    axes.plot(
        method.aside * result.temperatures, values, ls="", marker=method.marker, ms=4.8, mfc="white", mew=1.1,
        color=statistics_color(statistics), zorder=4,
    )  # fmt: skip
    return [
        column(f"temperature of {method.name}, {statistics}, commensurate [K]", result.temperatures),
        column(f"{method.name}, {statistics}, commensurate [{UNIT}]", values),
    ]


def _other_panel(axes: Axes, result: MeshConductivity | None) -> str:
    """The best classical curve once more, thin and grey, in the panel of the other statistics; its name."""
    method = methods_of(result)[-1]
    values = _curve(result, method.part, "classical")
    if values is None or result is None:
        return ""
    axes.plot(result.temperatures, values, color=style.GREY, lw=0.8, zorder=1)
    return f"{method.name.split()[0]}, classical"


def _dynamics(axes: Axes, points: Sequence[DynamicsPoint]) -> Columns:
    if not points:
        return []
    kelvin, value, low, high = np.array([dataclasses.astuple(point) for point in points]).T
    axes.errorbar(
        DYNAMICS_ASIDE * kelvin, value, yerr=[value - low, high - value], fmt="s", ms=5.0, color=style.DYNAMICS, lw=1.4,
        zorder=5,
    )  # fmt: skip
    return [
        column("temperature of the dynamics [K]", kelvin),
        column(f"dynamics [{UNIT}]", value),
        column(f"dynamics, lower end of 95 % [{UNIT}]", low),
        column(f"dynamics, upper end of 95 % [{UNIT}]", high),
    ]


def finish(axes: list[Axes], names: list[str], what: str = "thermal conductivity") -> None:
    """Scales, ticks and labels; logarithmic where conductivities span much."""
    lines = [line for axis in axes for line in axis.get_lines()]
    kelvin = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in lines])
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in lines])
    wide = bool(values.min() > 0.0 and values.max() > DECADE * values.min() and kelvin.max() > kelvin.min())
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(statistics_name(name), color=statistics_color(name), loc="left", fontweight="bold")
        if wide:
            axis.set_xscale("log")
            axis.set_yscale("log")
            low, high = 0.9 * float(kelvin.min()), 1.1 * float(kelvin.max())
            ticks = [tick for tick in KELVIN if low <= tick <= high]
            axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_xlim(low, high)
        else:
            axis.set_xlim(0.0, 1.06 * float(kelvin.max()))
        axis.grid(axis="y", color=style.PALE, lw=0.5)
        axis.set_axisbelow(True)
        axis.set_xlabel("temperature (K)")
    if wide:
        label_decades(axes[0])
    else:
        axes[0].set_ylim(min(0.0, 1.1 * float(values.min())), 1.06 * float(values.max()))
    axes[0].set_ylabel(f"{what} ({UNIT})")


def _legend(
    figure: Canvas,
    methods: Sequence[Method],
    meshes: tuple[MeshConductivity | None, MeshConductivity | None],
    dynamics: bool,
    again: str,
) -> None:
    """Lines by method, marks of the supercell, the dynamics; in ink where colours are the panels'."""
    converged, commensurate = meshes
    ink, handles, labels = style.INK, list[Any](), list[str]()
    known = methods_of(commensurate)
    for method in methods:
        line = Line2D([], [], color=ink, ls=method.dash, lw=method.weight)
        mark = Line2D([], [], color=ink, ls="", marker=method.marker, ms=4.8, mfc="white", mew=1.0)
        drawn = ((line, converged is not None), (mark, method in known and commensurate is not None))
        handles.append(tuple(artist for artist, there in drawn if there))
        labels.append(method.name.split()[0])
    if commensurate is not None:
        handles.append(tuple(Line2D([], [], color=ink, ls="", marker=m.marker, ms=4.8, mfc="white") for m in known))
        labels.append("supercell of the dynamics")
    if again:
        handles.append(Line2D([], [], color=style.GREY, lw=0.8))
        labels.append(again)
    if dynamics:
        handles.append(Line2D([], [], color=style.DYNAMICS, marker="s", ms=5.5, ls=""))
        labels.append("molecular dynamics")
    figure.legend(
        handles, labels, loc="outside upper left", ncols=3, columnspacing=1.0,
        handlelength=2.8 if commensurate is None else 4.0,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.6)},
    )  # fmt: skip


def _caption(
    converged: MeshConductivity | None,
    commensurate: MeshConductivity | None,
    dynamics: Sequence[DynamicsPoint],
    methods: Sequence[Method],
) -> str:
    sentences = [
        "One third of the trace. RTA: relaxation-time approximation; QHGK: RTA and the heat carried between bands"
        + ("; direct: the Boltzmann equation solved directly, and the same between bands." if len(methods) > 2 else ".")
    ]
    main = converged if converged is not None else commensurate
    assert main is not None
    at = dynamics[0].temperature if dynamics else 300.0
    kelvin = float(main.temperatures[np.argmin(np.abs(main.temperatures - at))])
    for result, text in (
        (converged, "Lines: mesh of"),
        (commensurate, "Open marks, beside each other to be seen: the supercell of the dynamics,"),
    ):
        if result is not None:
            sentences.append(f"{text} {mesh_name(result)}{_values(result, kelvin, methods)}.")
    if dynamics:
        each = "; ".join(
            f"{number(point.value)} ({interval((point.low, point.high), 0.25 * (point.high - point.low))}) "
            f"at {brief(point.temperature)} K"
            for point in dynamics
        )
        sentences.append(f"Squares: molecular dynamics with its 95 % interval, {each}.")
    return " ".join(sentences)


def _values(result: MeshConductivity, kelvin: float, methods: Sequence[Method]) -> str:
    """Numbers at the temperature, by statistics."""
    rows = np.flatnonzero(result.temperatures == kelvin)
    if not len(rows):
        return ""
    parts = []
    for name in sorted(result.statistics):
        curves = ((method.name.split()[0], _curve(result, method.part, name)) for method in methods)
        values = ", ".join(f"{title} {number(float(curve[rows[0]]))}" for title, curve in curves if curve is not None)
        parts.append(f"{statistics_name(name)} {values}")
    return f"; at {brief(kelvin)} K in {UNIT}: {'; '.join(parts)}"
