"""Figures of the lattice: density of states, conductivity against temperature and frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, count, number, statistics_name, whole
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.comparison import Comparison
    from ldmd.lattice.conductivity import Conductivity
    from ldmd.lattice.modes import Modes

DENSITY_WIDTH = 0.35
"""Standard deviation (THz) of the Gaussian that smooths densities: tens of modes of some hundred atoms."""

LOCALISED = 0.2
"""Participation ratio below which a mode counts as localised."""

GRID_POINTS = 400


def statistics_color(name: str) -> str:
    """The same colour for the same statistics throughout the page."""
    return {"classical": style.CLASSICAL, "bose-einstein": style.QUANTUM}.get(name.lower(), style.PURPLE)


def moving(modes: Modes) -> np.ndarray:
    """Which modes are not rigid translations (mode,)."""
    keep = np.ones(len(modes.frequencies), dtype=bool)
    keep[np.asarray(modes.translations, dtype=int)] = False
    return keep


def smoothed(frequencies: np.ndarray, weights: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Sum of weighted Gaussians of :data:`DENSITY_WIDTH` on a grid (THz): weight per THz."""
    distance = (grid[:, None] - frequencies[None, :]) / DENSITY_WIDTH
    return np.asarray(np.exp(-0.5 * distance**2) @ weights / (np.sqrt(2.0 * np.pi) * DENSITY_WIDTH))


def frequency_grid(frequencies: np.ndarray) -> np.ndarray:
    """From below the lowest mode (or zero) to above the highest, THz."""
    lowest = min(0.0, float(frequencies.min()) - 3.0 * DENSITY_WIDTH)
    return np.linspace(lowest, float(frequencies.max()) + 3.0 * DENSITY_WIDTH, GRID_POINTS)


def density_of_states(modes: Modes, symbols: tuple[str, ...]) -> Figure:
    """Density of states, total and by species, and below it the participation ratio of every mode."""
    keep = moving(modes)
    frequencies, ratio = modes.frequencies[keep] / THZ, modes.participation_ratio[keep]
    grid, total = frequency_grid(frequencies), np.full(keep.sum(), 1.0 / keep.sum())
    atoms = (modes.eigenvectors.reshape(len(symbols), 3, -1) ** 2).sum(axis=1)[:, keep]
    named = np.array(symbols)
    shares = {name: atoms[named == name].sum(axis=0) for name in dict.fromkeys(symbols)}
    curves = {name: smoothed(frequencies, total * share, grid) for name, share in shares.items()}
    description = (
        "Vibrational density of states in total and by species; below it participation ratio against frequency."
    )
    with canvas(4.3, 2, sharex=True, height_ratios=(1.5, 1.0)) as (figure, (upper, lower)):
        whole_curve = smoothed(frequencies, total, grid)
        upper.fill_between(grid, whole_curve, color=style.PALE, alpha=0.55, lw=0)
        upper.plot(grid, whole_curve, color=style.INK, lw=1.3, label="all atoms")
        for (name, curve), color, dash in zip(
            curves.items(), style.SERIES * 3, ("-", "--", "-.", ":") * 5, strict=False
        ):
            upper.plot(grid, curve, color=color, ls=dash, label=name)
        upper.set_ylim(0.0, None)
        upper.set_ylabel("density of states (1/THz)")
        figure.legend(loc="outside upper left", ncols=5, columnspacing=1.6)
        lower.scatter(frequencies, ratio, s=5, lw=0, color=style.INK, alpha=0.45, rasterized=True)
        lower.axhline(LOCALISED, color=style.DYNAMICS, lw=1.0, ls="--")
        note = f"dashed: below {LOCALISED} localised"
        lower.text(0.995, 0.97, note, transform=lower.transAxes, color=style.DYNAMICS, ha="right", va="top")
        lower.set_ylim(0.0, 1.0)
        lower.set_xlim(float(grid[0]), float(grid[-1]))
        lower.set_xlabel("frequency ν (THz)")
        lower.set_ylabel("participation ratio (1)")
        svg = to_svg(figure, "vdos", description)
    columns = (
        column("frequency of the curves [THz]", grid),
        column("density of states [1/THz]", whole_curve),
        *(column(f"density of states of {name} [1/THz]", curve) for name, curve in curves.items()),
        column("frequency of the mode [THz]", frequencies),
        column("participation ratio [1]", ratio),
    )
    caption = _density_caption(frequencies, ratio, len(symbols))
    return Figure("vdos", "Vibrations and how far they reach", caption, description, svg, columns)


def _density_caption(frequencies: np.ndarray, ratio: np.ndarray, atoms: int) -> str:
    imaginary = int((frequencies < 0.0).sum())
    localised = int((ratio < LOCALISED).sum())
    soft = (
        "None is imaginary"
        if not imaginary
        else f"{count(imaginary, 'mode').capitalize()} imaginary, drawn as negative"
    )
    return (
        f"{whole(len(frequencies))} modes of {whole(atoms)} atoms at Γ, from "
        f"{number(float(frequencies.min()))} to {number(float(frequencies.max()))} THz. {soft}. Above: "
        "density of states, normalised to one, each mode smoothed by a Gaussian of standard deviation "
        f"{DENSITY_WIDTH} THz; a species' share of a mode is the sum of its squared mass-weighted "
        f"displacements. Below: participation ratio, 1 for a uniform motion and 1/{whole(atoms)} for a "
        f"single atom; {whole(localised)} modes ({number(100.0 * localised / len(ratio), 2)} %) are below "
        f"{LOCALISED}."
    )


def isotropic(tensor: np.ndarray) -> np.ndarray:
    """Trace/3 of tensors (..., 3, 3)."""
    return np.asarray(np.trace(tensor, axis1=-2, axis2=-1) / 3.0)


METHODS = (
    ("qhgk", "QHGK", "-", 1.8),
    ("intraband", "intraband (RTA) part", "--", 1.3),
    ("allen_feldman", "Allen–Feldman", ":", 1.6),
)


def conductivity_against_temperature(conductivity: Conductivity, comparison: Comparison | None) -> Figure:
    """QHGK, its intraband part and Allen-Feldman for all statistics, with the value of the dynamics."""
    kelvin = conductivity.temperatures
    columns = [column("temperature [K]", kelvin)]
    description = (
        "Thermal conductivity against temperature by method and statistics, with the molecular-dynamics value."
    )
    with canvas(3.6) as (figure, (axes,)):
        for field, name, dash, weight in METHODS:
            values = isotropic(getattr(conductivity, field))
            for place, statistics in enumerate(conductivity.statistics):
                curve = values[:, place]
                marker = "o" if field == "qhgk" else ""
                axes.plot(
                    kelvin,
                    curve,
                    color=statistics_color(statistics),
                    ls=dash,
                    lw=weight,
                    marker=marker,
                    ms=3.2,
                )
                columns.append(column(f"{name}, {statistics} [W/(m K)]", curve))
        handles = [
            Line2D([], [], color=statistics_color(name), lw=3, label=statistics_name(name))
            for name in conductivity.statistics
        ]
        handles += [
            Line2D([], [], color=style.INK, ls=dash, lw=weight, label=name) for _, name, dash, weight in METHODS
        ]
        if comparison is not None:
            handles.append(_dynamics_point(axes, comparison))
            columns += _dynamics_columns(comparison)
        axes.set_xlabel("temperature (K)")
        axes.set_ylabel("thermal conductivity (W/(m K))")
        axes.set_xlim(0.0, 1.04 * float(kelvin.max()))
        axes.set_ylim(0.0, None)
        figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.6)
        svg = to_svg(figure, "kappa-temperature", description)
    caption = _temperature_caption(conductivity, comparison is not None)
    return Figure("kappa-temperature", "Conductivity against temperature", caption, description, svg, tuple(columns))


def _dynamics_point(axes: Axes, comparison: Comparison) -> Line2D:
    value, (low, high) = comparison.dynamics.value, comparison.dynamics_interval_95
    axes.errorbar(
        comparison.temperature,
        value,
        yerr=[[value - low], [high - value]],
        fmt="s",
        ms=5.5,
        color=style.DYNAMICS,
        zorder=5,
    )
    return Line2D([], [], ls="", marker="s", ms=5.5, color=style.DYNAMICS, label="molecular dynamics")


def _dynamics_columns(comparison: Comparison) -> list[tuple[str, tuple[float | str, ...]]]:
    low, high = comparison.dynamics_interval_95
    return [
        column("temperature of the dynamics [K]", (comparison.temperature,)),
        column("dynamics [W/(m K)]", (comparison.dynamics.value,)),
        column("dynamics, lower end of 95 % [W/(m K)]", (low,)),
        column("dynamics, upper end of 95 % [W/(m K)]", (high,)),
    ]


def _temperature_caption(conductivity: Conductivity, compared: bool) -> str:
    text = (
        "One third of the trace of each tensor. QHGK: quasi-harmonic Green–Kubo with the linewidths above; "
        "intraband: the part in which a mode exchanges heat with none but itself, zero for the standing waves "
        "of a single wave vector; Allen–Feldman: harmonic "
        f"modes broadened by {brief(conductivity.allen_feldman_broadening)} rad/ps (HWHM)."
    )
    if compared:
        text += " Square: molecular dynamics with its 95 % interval."
    names = [name.lower() for name in conductivity.statistics]
    if "classical" not in names or "bose-einstein" not in names:
        return text
    values = isotropic(conductivity.qhgk)
    ratio = values[:, names.index("bose-einstein")] / values[:, names.index("classical")]
    ends = [int(np.argmin(conductivity.temperatures)), int(np.argmax(conductivity.temperatures))]
    low, high = (f"{number(float(ratio[k]), 2)} at {brief(float(conductivity.temperatures[k]))} K" for k in ends)
    return f"{text} Bose–Einstein over classical QHGK: {low}, {high}."


def accumulation(conductivity: Conductivity, modes: Modes, temperature: float) -> Figure:
    """Conductivity accumulated over frequency, and its density, at the nearest temperature (K) there is."""
    keep = moving(modes)
    frequencies = modes.frequencies[keep] / THZ
    row = int(np.argmin(np.abs(conductivity.temperatures - temperature)))
    grid = frequency_grid(frequencies)
    description = "Conductivity accumulated over frequency, and its density per unit of frequency."
    columns = [column("frequency [THz]", grid)]
    halves = []
    with canvas(4.1, 2, sharex=True) as (figure, (upper, lower)):
        for place, name in enumerate(conductivity.statistics):
            shares = conductivity.per_mode[row, place][keep]
            order = np.argsort(frequencies)
            steps = np.concatenate([[0.0], np.cumsum(shares[order])])
            curve = steps[np.searchsorted(frequencies[order], grid, side="right")]
            density = smoothed(frequencies, shares, grid)
            color, dash = statistics_color(name), "-" if name == "classical" else "--"
            upper.plot(grid, curve, color=color, ls=dash, label=statistics_name(name))
            lower.plot(grid, density, color=color, ls=dash)
            columns += [
                column(f"accumulated, {name} [W/(m K)]", curve),
                column(f"density, {name} [W/(m K THz)]", density),
            ]
            halves.append(
                (
                    name,
                    float(frequencies[order][np.searchsorted(steps[1:], 0.5 * steps[-1])]),
                    float(steps[-1]),
                )
            )
        upper.legend(loc="lower right")
        upper.set_ylabel("accumulated (W/(m K))")
        upper.set_ylim(0.0, None)
        lower.set_ylabel("density (W/(m K THz))")
        lower.set_xlabel("frequency ν (THz)")
        lower.set_xlim(float(grid[0]), float(grid[-1]))
        svg = to_svg(figure, "accumulation", description)
    sentences = "; ".join(
        f"{statistics_name(name)}: half of {number(value)} W/(m K) below {number(half)} THz"
        for name, half, value in halves
    )
    caption = (
        f"QHGK conductivity at {brief(float(conductivity.temperatures[row]))} K accumulated over the modes "
        f"up to a frequency (above) and its density, smoothed by a Gaussian of {DENSITY_WIDTH} THz (below). "
        f"{sentences}. This density is not the spectrum of the heat flux."
    )
    return Figure("accumulation", "Which vibrations carry the heat", caption, description, svg, tuple(columns))
