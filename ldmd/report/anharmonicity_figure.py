"""Figures of the anharmonicity score: against temperature by species, and mode by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.lattice_figures import statistics_color
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, number, sentence, statistics_name, whole, with_error
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.anharmonicity import AnharmonicityByTemperature

DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")


def _group_name(group: str) -> str:
    return "all atoms" if group == "all" else group


def _group_color(place: int) -> str:
    return style.INK if place == 0 else style.SERIES[(place - 1) % len(style.SERIES)]


def against_temperature(result: AnharmonicityByTemperature) -> Figure:
    """sigma^A against temperature: a colour and a marker per group of atoms, a dash per kind of statistics."""
    description = "Anharmonicity score against temperature by group of atoms and kind of statistics."
    # of one species, "all" says everything
    groups = [place for place in range(len(result.groups)) if len(result.groups) > 2 or place == 0]
    columns = [column("temperature [K]", result.temperatures)]
    with canvas(3.1) as (figure, (axes,)):
        for place in groups:
            color = _group_color(place)
            for row, name in enumerate(result.statistics):
                values, errors = result.sigma[row, :, place], result.standard_error[row, :, place]
                axes.fill_between(result.temperatures, values - errors, values + errors, color=color, alpha=0.16, lw=0)
                axes.plot(
                    result.temperatures,
                    values,
                    color=color,
                    ls=DASHES[row % len(DASHES)],
                    marker=MARKERS[place % len(MARKERS)],
                    ms=4,
                    mfc=color if row == 0 else "white",
                )
                group = result.groups[place]
                columns += [
                    column(f"sigma^A of {group}, {name} [1]", values),
                    column(f"standard error of {group}, {name} [1]", errors),
                ]
        handles = [
            Line2D([], [], color=_group_color(k), marker=MARKERS[k % len(MARKERS)], ms=4, lw=1.5) for k in groups
        ]
        labels = [_group_name(result.groups[k]) for k in groups]
        for row, name in enumerate(result.statistics):
            handles.append(Line2D([], [], color=style.GREY, ls=DASHES[row % len(DASHES)], lw=1.5))
            labels.append(statistics_name(name))
        figure.legend(handles, labels, loc="outside upper left", ncols=5, columnspacing=1.4)
        axes.set_xlabel("temperature (K)")
        axes.set_ylabel("anharmonicity score σᴬ (1)")
        axes.set_ylim(0.0, None)
        axes.set_xlim(0.0, 1.03 * float(result.temperatures.max()))
        svg = to_svg(figure, "anharmonicity-temperature", description)
    title = "How anharmonicity grows with temperature"
    return Figure("anharmonicity-temperature", title, _temperature_caption(result), description, svg, tuple(columns))


def _temperature_caption(result: AnharmonicityByTemperature) -> str:
    ends = [int(np.argmin(result.temperatures)), int(np.argmax(result.temperatures))]
    numbers = "; ".join(
        f"{statistics_name(name)}: "
        + ", ".join(
            f"{with_error(float(result.sigma[row, k, 0]), float(result.standard_error[row, k, 0]))} at "
            f"{brief(float(result.temperatures[k]))} K"
            for k in ends
        )
        for row, name in enumerate(result.statistics)
    )
    return (
        f"σᴬ = √(Σ|F − F₂|² / Σ|F|²) of {whole(result.configurations)} one-shot configurations at every "
        "temperature: independent normal coordinates with the variances of the harmonic model, drawn with the same "
        f"random numbers throughout. Over all atoms, {numbers}. Bands: standard errors (jackknife over blocks)."
    )


def by_mode(result: AnharmonicityByTemperature, temperature: float) -> Figure:
    """sigma^A of every mode against its frequency, at the nearest temperature (K) there is."""
    at = int(np.argmin(np.abs(result.temperatures - temperature)))
    frequencies = result.frequencies / THZ
    moving = np.isfinite(result.sigma_of_modes).all(axis=(0, 1))
    description = "Anharmonicity score of every mode against its frequency, by kind of statistics."
    columns, sentences = [column("frequency [THz]", frequencies[moving])], []
    with canvas(3.0) as (figure, (axes,)):
        for row, name in enumerate(result.statistics):
            values, color, filled = result.sigma_of_modes[row, at, moving], statistics_color(name), row == 0
            axes.scatter(
                frequencies[moving],
                values,
                s=13,
                marker=MARKERS[row % len(MARKERS)],
                lw=0.0 if filled else 0.7,
                color=color if filled else "none",
                edgecolors="none" if filled else color,
                alpha=0.75,
                label=statistics_name(name),
                rasterized=True,
            )
            total = float(result.sigma[row, at, 0])
            axes.axhline(total, color=color, lw=1.0, ls=DASHES[row % len(DASHES)])
            columns.append(column(f"sigma^A, {name} [1]", values))
            lowest, middle, highest = np.quantile(values, (0.0, 0.5, 1.0))
            sentences.append(
                f"with {statistics_name(name)} sampling {number(lowest, 2)} to {number(highest, 2)}, "
                f"median {number(middle, 2)}"
            )
        figure.legend(loc="outside upper left", ncols=4, columnspacing=1.4)
        axes.set_xlabel("frequency ν (THz)")
        axes.set_ylabel("σᴬ of the mode (1)")
        axes.set_ylim(0.0, None)
        axes.set_xlim(min(0.0, float(frequencies[moving].min())), None)
        svg = to_svg(figure, "anharmonicity-modes", description)
    caption = (
        f"σᴬ of the forces projected on each of {whole(int(moving.sum()))} modes at "
        f"{brief(float(result.temperatures[at]))} K, from {whole(result.configurations)} one-shot configurations; "
        f"modes of equal frequency share one, rigid translations have none. {sentence('; '.join(sentences))} "
        "Lines: the score of all atoms."
    )
    title = "Which modes are anharmonic"
    return Figure("anharmonicity-modes", title, caption, description, svg, tuple(columns))
