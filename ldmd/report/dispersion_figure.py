"""The figure of a crystal's bands: frequencies along the path, and at its side the density of states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from ldmd.report import style
from ldmd.report.style import Figure, column, to_svg
from ldmd.report.text import count, number, whole
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.crystal.dispersion import Bands, DensityOfStates

HEIGHT = 3.4
CROWDED = 0.042
"""Share of the path below which the names of two neighbouring points would touch."""


def dispersion(bands: Bands, density: DensityOfStates | None = None) -> Figure:
    """Bands in THz along the path and, if given, the density of states beside them on the same frequencies."""
    description = "Phonon frequencies along lines between points of high symmetry" + (
        "." if density is None else ", with the density of states beside them on the same axis of frequencies."
    )
    with mpl.rc_context(style.STYLE):
        figure = Canvas(figsize=(style.WIDTH, HEIGHT))
        if density is None:
            left = figure.subplots()
        else:
            left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3.4, 1.0))
            _draw_density(right, density)
            if len(density.species) > 1:
                figure.legend(loc="outside upper right", ncols=6, columnspacing=1.4)
        _draw_bands(left, bands)
        svg = to_svg(figure, "dispersion", description)
    caption = _caption(bands, density)
    return Figure("dispersion", "Phonon bands", caption, description, svg, _columns(bands, density))


def _draw_bands(axes: Axes, bands: Bands) -> None:
    """Every branch, segment by segment: nothing is drawn across a jump of the path."""
    frequencies = bands.frequencies / THZ
    for number_ in range(len(bands.segments)):
        here = bands.segment == number_
        axes.plot(bands.distances[here], frequencies[here], color=style.CLASSICAL, lw=1.2, solid_joinstyle="round")
    for place, _ in bands.ticks:
        axes.axvline(place, color=style.PALE, lw=0.7, zorder=0)
    if frequencies.min() < -0.05:
        axes.axhline(0.0, color=style.GREY, lw=0.7)
    span = float(bands.ends[-1, 1])
    axes.set_xticks([place for place, _ in bands.ticks], _names(bands.ticks, CROWDED * span))
    axes.tick_params(axis="x", length=0, pad=4)
    axes.set_xlim(0.0, span)
    top = 1.04 * float(frequencies.max())
    axes.set_ylim(min(0.0, 1.04 * float(frequencies.min())) if frequencies.min() < -0.05 else 0.0, top)
    axes.set_xlabel("wave vector q")
    axes.set_ylabel("frequency ν (THz)")


def _names(ticks: tuple[tuple[float, str], ...], room: float) -> list[str]:
    """Names of the ticks; one that would touch the name before it goes down a line."""
    names: list[str] = []
    lowered, end = False, -np.inf
    for place, name in ticks:
        half = 0.5 * room * (0.55 + 0.35 * len(name))
        lowered = not lowered and place - half < end
        names.append(f"\n{name}" if lowered else name)
        end = place + half
    return names


def _draw_density(axes: Axes, density: DensityOfStates) -> None:
    """Total as an area, species as lines that differ in colour and dash."""
    frequencies, total = density.frequencies / THZ, density.total * THZ
    axes.fill_betweenx(frequencies, 0.0, total, color=style.PALE, alpha=0.55, lw=0)
    axes.plot(total, frequencies, color=style.INK, lw=1.0, label="all atoms")
    if len(density.species) > 1:
        dashes = ("-", "--", "-.", ":") * 2
        for name, share, color, dash in zip(
            density.species, density.by_species * THZ, style.SERIES, dashes, strict=False
        ):
            axes.plot(share, frequencies, color=color, ls=dash, lw=1.2, label=name)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.set_xlim(0.0, 1.08 * float(total.max()))
    axes.set_xlabel("density (1/THz)")
    axes.locator_params(axis="x", nbins=3)


def _caption(bands: Bands, density: DensityOfStates | None) -> str:
    frequencies = bands.frequencies / THZ
    soft = int((frequencies.min(axis=0) < -0.05).sum())
    branches = frequencies.shape[1]
    sentences = [
        f"{whole(branches)} branches along the path between points of high symmetry, up to "
        f"{number(float(frequencies.max()))} THz.",
        "No branch is imaginary along it."
        if not soft
        else f"{count(soft, 'branch', 'branches').capitalize()} imaginary somewhere along it, drawn as negative.",
    ]
    if density is not None:
        mesh = " × ".join(str(size) for size in density.mesh)
        sentences.append(
            f"Right: density of states by tetrahedra on a mesh of {mesh} wave vectors, normalised to one"
            + (
                "; a species' share weights each mode by its squared eigenvector on it."
                if len(density.species) > 1
                else "."
            )
        )
    return " ".join(sentences)


def _columns(bands: Bands, density: DensityOfStates | None) -> tuple[tuple[str, tuple[float | str, ...]], ...]:
    names = [f"{bands.segments[k][0]}–{bands.segments[k][1]}" for k in bands.segment.astype(int)]
    columns = [
        column("segment", names),
        column("distance [1/Angstrom]", bands.distances),
        *(column(f"branch {k + 1} [THz]", values / THZ) for k, values in enumerate(bands.frequencies.T)),
    ]
    if density is not None:
        columns += [
            column("frequency of the density [THz]", density.frequencies / THZ),
            column("density of states [1/THz]", density.total * THZ),
        ]
        if len(density.species) > 1:
            columns += [
                column(f"density of states of {name} [1/THz]", share * THZ)
                for name, share in zip(density.species, density.by_species, strict=True)
            ]
    return tuple(columns)
