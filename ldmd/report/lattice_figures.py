"""Figures of the lattice part: density of states, linewidths, conductivity against temperature and frequency."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, direct_label, to_svg
from ldmd.report.text import brief, count, number, power_of_ten, statistics_name, whole
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.comparison import Comparison
    from ldmd.lattice.conductivity import Conductivity
    from ldmd.lattice.linewidths import Linewidths
    from ldmd.lattice.modes import Modes

DENSITY_WIDTH = 0.35
"""Standard deviation (THz) of the Gaussian that smooths densities: some ten modes of a cell of a few hundred atoms."""

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
    """Vibrational density of states, total and by species, and the participation ratio of every mode below it."""
    keep = moving(modes)
    frequencies, ratio = modes.frequencies[keep] / THZ, modes.participation_ratio[keep]
    grid, total = frequency_grid(frequencies), np.full(keep.sum(), 1.0 / keep.sum())
    atoms = (modes.eigenvectors.reshape(len(symbols), 3, -1) ** 2).sum(axis=1)[:, keep]
    named = np.array(symbols)
    shares = {name: atoms[named == name].sum(axis=0) for name in dict.fromkeys(symbols)}
    curves = {name: smoothed(frequencies, total * share, grid) for name, share in shares.items()}
    description = "Vibrational density of states in total and by species; below it participation ratio against frequency."
    with canvas(4.3, 2, sharex=True, height_ratios=(1.5, 1.0)) as (figure, (upper, lower)):
        whole_curve = smoothed(frequencies, total, grid)
        upper.fill_between(grid, whole_curve, color=style.PALE, alpha=0.55, lw=0)
        upper.plot(grid, whole_curve, color=style.INK, lw=1.3, label="all atoms")
        for (name, curve), color, dash in zip(curves.items(), style.SERIES * 3, ("-", "--", "-.", ":") * 5, strict=False):
            upper.plot(grid, curve, color=color, ls=dash, label=name)
        upper.set_ylim(0.0, None)
        upper.set_ylabel("density of states (1/THz)")
        figure.legend(loc="outside upper left", ncols=5, columnspacing=1.6)
        lower.scatter(frequencies, ratio, s=5, lw=0, color=style.INK, alpha=0.45, rasterized=True)
        lower.axhline(LOCALISED, color=style.DYNAMICS, lw=1.0, ls="--")
        direct_label(lower, float(grid[-1]), LOCALISED, f"localised below {LOCALISED}", style.DYNAMICS, ha="right", va="top")
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
    soft = "None is imaginary" if not imaginary else f"{count(imaginary, 'mode').capitalize()} imaginary, drawn as negative"
    return (
        f"{whole(len(frequencies))} modes of {whole(atoms)} atoms at Γ, from {number(float(frequencies.min()))} to "
        f"{number(float(frequencies.max()))} THz. {soft}. Above: density of states, normalised to one, each mode smoothed "
        f"by a Gaussian of standard deviation {DENSITY_WIDTH} THz; a species' share of a mode is the sum of its squared "
        f"mass-weighted displacements. Below: participation ratio, 1 for a uniform motion and 1/{whole(atoms)} for a single "
        f"atom; {whole(localised)} modes ({number(100.0 * localised / len(ratio), 2)} %) are below {LOCALISED}."
    )


@dataclasses.dataclass(frozen=True)
class FlaggedModes:
    """Linewidths at one temperature with their flags; arrays run over the modes that are not translations."""

    index: np.ndarray  # place among all modes, from 0
    frequency: np.ndarray  # THz
    gamma: dict[str, np.ndarray]  # HWHM, rad/ps, by statistics
    participation_ratio: np.ndarray
    overdamped: np.ndarray  # gamma > omega for the reference statistics
    localised: np.ndarray
    temperature: float
    reference: str

    @property
    def damping(self) -> np.ndarray:
        """gamma / omega for the reference statistics."""
        return self.gamma[self.reference] / np.maximum(np.abs(self.frequency) * THZ, 1e-12)


def flagged_modes(modes: Modes, linewidths: Linewidths, temperature: float) -> FlaggedModes:
    """Flag modes at the temperature (K) of the linewidths nearest to the one asked for; classical ones if there are."""
    keep = moving(modes)
    row = int(np.argmin(np.abs(linewidths.temperatures - temperature)))
    gamma = {name: linewidths.gamma[row, place][keep] for place, name in enumerate(linewidths.statistics)}
    reference = "classical" if "classical" in gamma else linewidths.statistics[0]
    return FlaggedModes(
        index=np.flatnonzero(keep),
        frequency=modes.frequencies[keep] / THZ,
        gamma=gamma,
        participation_ratio=modes.participation_ratio[keep],
        overdamped=gamma[reference] > modes.frequencies[keep],
        localised=modes.participation_ratio[keep] < LOCALISED,
        temperature=float(linewidths.temperatures[row]),
        reference=reference,
    )


def linewidth_scatter(flags: FlaggedModes, kernel: str, width: float) -> Figure:
    """Linewidth (HWHM) of every mode against its frequency, with the line gamma = omega and flagged modes marked."""
    shown = flags.frequency > 0.0
    description = "Linewidth, half width at half maximum, against frequency on logarithmic axes, with the line gamma = omega."
    with canvas(3.7) as (figure, (axes,)):
        for name, gamma in flags.gamma.items():
            visible = shown & (gamma > 0.0)
            axes.scatter(
                flags.frequency[visible],
                gamma[visible],
                s=5,
                lw=0,
                alpha=0.5,
                color=statistics_color(name),
                rasterized=True,
            )
        _draw_flags(axes, flags)
        _linewidth_frame(axes, flags)
        svg = to_svg(figure, "linewidths", description)
    names = [*flags.gamma]
    columns = (
        column("mode", flags.index.astype(float)),
        column("frequency [THz]", flags.frequency),
        *(column(f"linewidth HWHM, {name} [rad/ps]", flags.gamma[name]) for name in names),
        column("participation ratio [1]", flags.participation_ratio),
        column("overdamped", ["yes" if flag else "no" for flag in flags.overdamped]),
        column("localised", ["yes" if flag else "no" for flag in flags.localised]),
    )
    caption = _linewidth_caption(flags, kernel, width)
    return Figure("linewidths", "How fast each vibration dies out", caption, description, svg, columns)


def _draw_flags(axes: Axes, flags: FlaggedModes) -> None:
    """Rings around localised modes, triangles on overdamped ones, in the reference statistics."""
    gamma = flags.gamma[flags.reference]
    visible = (flags.frequency > 0.0) & (gamma > 0.0)
    ring, triangle = visible & flags.localised, visible & flags.overdamped
    axes.scatter(
        flags.frequency[ring], gamma[ring], s=17, facecolors="none", edgecolors=style.ORANGE, lw=0.8, rasterized=True
    )
    axes.scatter(
        flags.frequency[triangle], gamma[triangle], s=34, marker="^", facecolors="none", edgecolors=style.DYNAMICS, lw=1.3
    )


def _linewidth_frame(axes: Axes, flags: FlaggedModes) -> None:
    ends = np.array([0.8 * float(flags.frequency[flags.frequency > 0.0].min()), 1.25 * float(flags.frequency.max())])
    axes.plot(ends, ends * THZ, color=style.GREY, lw=1.0, ls="--")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    place = float(np.exp(0.62 * np.log(ends[0]) + 0.38 * np.log(ends[1])))
    axes.annotate(
        "γ = ω", (place, place * THZ), (-4, 5), textcoords="offset points", color=style.GREY, ha="right", fontsize=8.5
    )
    axes.set_xlabel("frequency ν = ω/2π (THz)")
    axes.set_ylabel("linewidth γ, HWHM (rad/ps)")
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if ends[0] <= tick <= ends[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    low, high = (round(np.log10(edge)) for edge in axes.get_ylim())
    decades = range(low - 1, high + 2)
    bottom, top = axes.get_ylim()
    axes.set_yticks([10.0**k for k in decades], [f"{10.0**k:g}" if -3 < k < 4 else power_of_ten(k) for k in decades])
    axes.set_ylim(bottom, top)
    handles = [
        Line2D([], [], ls="", marker="o", ms=4, color=statistics_color(name), label=statistics_name(name))
        for name in flags.gamma
    ]
    handles += [
        Line2D([], [], ls="", marker="o", ms=5, mfc="none", color=style.ORANGE, label=f"participation ratio < {LOCALISED}"),
        Line2D([], [], ls="", marker="^", ms=6, mfc="none", color=style.DYNAMICS, label="overdamped, γ > ω"),
    ]
    axes.legend(handles=handles, loc="lower right", handletextpad=0.2)


def _linewidth_caption(flags: FlaggedModes, kernel: str, width: float) -> str:
    overdamped, localised = int(flags.overdamped.sum()), int(flags.localised.sum())
    gamma = flags.gamma[flags.reference]
    worst = int(np.argmax(flags.damping))
    verdict = (
        f"{count(overdamped, 'mode lies', 'modes lie').capitalize()} above the line: there a vibration dies within a "
        "period and the perturbation theory behind its linewidth does not hold."
        if overdamped
        else "No mode lies above the line γ = ω, where a vibration would die within a period."
    )
    return (
        f"Three-phonon linewidths (half width at half maximum) at {brief(flags.temperature)} K; median "
        f"{number(float(np.median(gamma)))} rad/ps with {statistics_name(flags.reference)} statistics. {verdict} The largest "
        f"γ/ω is {number(float(flags.damping[worst]), 2)}, at {number(float(flags.frequency[worst]))} THz; {whole(localised)} "
        f"modes are localised. Energy conservation is a normalised {kernel} kernel of width {brief(width)} rad/ps."
    )


def isotropic(tensor: np.ndarray) -> np.ndarray:
    """Trace/3 of tensors (..., 3, 3)."""
    return np.asarray(np.trace(tensor, axis1=-2, axis2=-1) / 3.0)


METHODS = (("qhgk", "QHGK", "-", 1.8), ("intraband", "intraband (RTA) part", "--", 1.3), ("allen_feldman", "Allen–Feldman", ":", 1.6))


def conductivity_against_temperature(conductivity: Conductivity, comparison: Comparison | None) -> Figure:
    """QHGK, its intraband part and Allen-Feldman for all statistics, with the value of the dynamics."""
    kelvin = conductivity.temperatures
    columns = [column("temperature [K]", kelvin)]
    description = "Thermal conductivity against temperature by method and statistics, with the molecular-dynamics value."
    with canvas(3.6) as (figure, (axes,)):
        for field, name, dash, weight in METHODS:
            values = isotropic(getattr(conductivity, field))
            for place, statistics in enumerate(conductivity.statistics):
                curve = values[:, place]
                marker = "o" if field == "qhgk" else ""
                axes.plot(kelvin, curve, color=statistics_color(statistics), ls=dash, lw=weight, marker=marker, ms=3.2)
                columns.append(column(f"{name}, {statistics} [W/(m K)]", curve))
        handles = [
            Line2D([], [], color=statistics_color(name), lw=3, label=statistics_name(name)) for name in conductivity.statistics
        ]
        handles += [Line2D([], [], color=style.INK, ls=dash, lw=weight, label=name) for _, name, dash, weight in METHODS]
        if comparison is not None:
            handles.append(_dynamics_point(axes, comparison))
            columns += _dynamics_columns(comparison)
        axes.set_xlabel("temperature (K)")
        axes.set_ylabel("thermal conductivity (W/(m K))")
        axes.set_xlim(0.0, 1.04 * float(kelvin.max()))
        axes.set_ylim(0.0, None)
        figure.legend(handles=handles, loc="outside upper left", ncols=3, columnspacing=1.6)
        svg = to_svg(figure, "kappa-temperature", description)
    caption = _temperature_caption(conductivity)
    return Figure("kappa-temperature", "Conductivity against temperature", caption, description, svg, tuple(columns))


def _dynamics_point(axes: Axes, comparison: Comparison) -> Line2D:
    value, (low, high) = comparison.dynamics.value, comparison.dynamics_interval_95
    axes.errorbar(
        comparison.temperature, value, yerr=[[value - low], [high - value]], fmt="s", ms=5.5, color=style.DYNAMICS, zorder=5
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


def _temperature_caption(conductivity: Conductivity) -> str:
    text = (
        "One third of the trace of each tensor. QHGK: quasi-harmonic Green–Kubo with the linewidths above; intraband: the "
        f"part in which a mode exchanges heat with none but itself; Allen–Feldman: harmonic modes broadened by "
        f"{brief(conductivity.allen_feldman_broadening)} rad/ps (HWHM). Square: molecular dynamics with its 95 % interval."
    )
    names = [name.lower() for name in conductivity.statistics]
    if "classical" not in names or "bose-einstein" not in names:
        return text
    values = isotropic(conductivity.qhgk)
    ratio = values[:, names.index("bose-einstein")] / values[:, names.index("classical")]
    ends = [int(np.argmin(conductivity.temperatures)), int(np.argmax(conductivity.temperatures))]
    low, high = (f"{number(float(ratio[k]), 2)} at {brief(float(conductivity.temperatures[k]))} K" for k in ends)
    return f"{text} Bose–Einstein over classical QHGK: {low}, {high}."


def accumulation(conductivity: Conductivity, modes: Modes, temperature: float) -> Figure:
    """Conductivity accumulated over frequency and its density, at the temperature nearest to the one asked for."""
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
            columns += [column(f"accumulated, {name} [W/(m K)]", curve), column(f"density, {name} [W/(m K THz)]", density)]
            halves.append((name, float(frequencies[order][np.searchsorted(steps[1:], 0.5 * steps[-1])]), float(steps[-1])))
        upper.legend(loc="lower right")
        upper.set_ylabel("accumulated (W/(m K))")
        upper.set_ylim(0.0, None)
        lower.set_ylabel("density (W/(m K THz))")
        lower.set_xlabel("frequency ν (THz)")
        lower.set_xlim(float(grid[0]), float(grid[-1]))
        svg = to_svg(figure, "accumulation", description)
    sentences = "; ".join(
        f"{statistics_name(name)}: half of {number(value)} W/(m K) below {number(half)} THz" for name, half, value in halves
    )
    caption = (
        f"QHGK conductivity at {brief(float(conductivity.temperatures[row]))} K accumulated over the modes up to a "
        f"frequency (above) and its density, smoothed by a Gaussian of {DENSITY_WIDTH} THz (below). {sentences}. This "
        "density is not the spectrum of the heat flux."
    )
    return Figure("accumulation", "Which vibrations carry the heat", caption, description, svg, tuple(columns))
