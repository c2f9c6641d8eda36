"""The figure of the structure: distances of all pairs against the cutoffs of the potential."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matscipy.neighbours import neighbour_list

from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, direct_label, to_svg
from ldmd.report.text import count, whole

if TYPE_CHECKING:
    from ldmd.inspection import Inspection

REACH = 3.6
"""Angstrom: longest distance shown, enough for the first shells; more where a cutoff is longer."""

BIN = 0.02
"""Angstrom."""


def pair_distances(inspection: Inspection) -> Figure:
    """Histogram of pair distances by kind of pair, against the region where the potential switches off."""
    reach = max(REACH, 1.1 * float(inspection.switching.max(initial=0.0)))
    first, second, distances = neighbour_list(
        "ijd", positions=inspection.positions, cell=inspection.cell, pbc=np.ones(3, dtype=bool), cutoff=reach
    )
    once = first < second
    symbols = np.array(inspection.symbols)
    kinds = _kinds(symbols[first[once]], symbols[second[once]], inspection.species)
    bad = _kinds(
        symbols[inspection.switching_pairs[:, 0]],
        symbols[inspection.switching_pairs[:, 1]],
        inspection.species,
    )
    names = list(dict.fromkeys([*sorted(set(kinds)), *sorted(set(bad))]))
    edges = np.arange(0.8 * float(distances.min(initial=reach)), reach + BIN, BIN)
    centres = 0.5 * (edges[:-1] + edges[1:])
    columns = [column("distance [Angstrom]", centres)]
    description = "Histograms of pair distances by kind of pair, with pairs in a switching region marked."
    with canvas(0.75 + 0.95 * max(1, len(names)), max(1, len(names)), sharex=True) as (figure, axes):
        for panel, name in zip(axes, names, strict=False):
            everything = np.histogram(distances[once][kinds == name], edges)[0]
            inside = np.histogram(inspection.switching_distances[bad == name], edges)[0]
            _panel(panel, edges, everything, inside, _region(inspection, name), name)
            columns += [
                column(f"pairs {name}", everything.astype(float)),
                column(f"of them switching, {name}", inside.astype(float)),
            ]
        axes[-1].set_xlabel("distance (Å)")
        axes[len(names) // 2].set_ylabel(f"pairs per {BIN} Å")
        axes[-1].set_xlim(float(edges[0]), reach)
        svg = to_svg(figure, "distances", description)
    return Figure("distances", "Distances between atoms", _caption(inspection), description, svg, tuple(columns))


def _kinds(left: np.ndarray, right: np.ndarray, species: tuple[str, ...]) -> np.ndarray:
    """Names such as Si–O, the species in the potential's order."""
    rank = {name: place for place, name in enumerate(species)}
    pairs = (
        sorted(pair, key=lambda name: rank.get(name, len(rank)))
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    )
    return np.array(["–".join(pair) for pair in pairs], dtype=object)


def _region(inspection: Inspection, name: str) -> np.ndarray:
    """Inner and outer radius (Angstrom) of the switching region of a kind of pair."""
    first, second = (inspection.species.index(symbol) for symbol in name.split("–"))
    return np.asarray(inspection.switching[first, second])


def _panel(
    axes: Axes, edges: np.ndarray, everything: np.ndarray, inside: np.ndarray, region: np.ndarray, name: str
) -> None:
    axes.stairs(everything, edges, fill=True, color=style.PALE, lw=0)
    axes.stairs(everything, edges, color=style.GREY, lw=0.7)
    axes.stairs(inside, edges, fill=True, color=style.DYNAMICS, lw=0)
    axes.set_yscale("log")
    axes.set_ylim(0.6, 4.0 * max(2.0, float(everything.max(initial=0))))
    axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.set_ylim(0.6, 4.0 * max(2.0, float(everything.max(initial=0))))
    axes.minorticks_off()
    axes.text(0.01, 0.95, name, transform=axes.transAxes, va="top", fontweight="bold")
    axes.axvspan(region[0], region[1], facecolor="none", edgecolor=style.DYNAMICS, lw=0, hatch="////", alpha=0.35)
    axes.axvline(region[1], color=style.DYNAMICS, lw=1.1, ls="--")
    if inside.sum():
        height = float(everything.max(initial=1))
        label = f"cutoff {region[1]:g} Å, {count(int(inside.sum()), 'pair')} before it"
        direct_label(axes, region[1] + 0.02, 1.6 * max(2.0, height), label, style.DYNAMICS, va="center")


def _caption(inspection: Inspection) -> str:
    pairs = len(inspection.switching_distances)
    atoms = whole(len(inspection.symbols))
    what = f"Distances of all pairs of the {atoms} atoms at the minimum, on a logarithmic axis."
    if not inspection.switching.any():
        return what  # no cutoff is known, of a black box or without a potential
    text = f"{what} Hatched: where the potential switches a pair off, up to its cutoff (dashed). "
    if not pairs:
        return text + "No pair lies there, so the force constants are smooth."
    nearest = float(np.min(np.abs(inspection.outer_cutoffs - inspection.switching_distances)))
    return (
        f"{text}{count(pairs, 'pair lies', 'pairs lie').capitalize()} there (filled); "
        f"the nearest is {nearest:.4f} Å from its cutoff. There the force has a kink, and second "
        "and third derivatives depend on which side of it the atoms happen to stand."
    )
