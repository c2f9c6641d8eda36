"""Figures of the dynamics: spectrum of the heat flux, scan of cutoffs, running integral, conservation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from ldmd.green_kubo.zero_frequency import RUN_OVER_SLOWEST
from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, label_decades, to_svg
from ldmd.report.text import brief, count, number, sentence, with_error

if TYPE_CHECKING:
    from ldmd.dynamics.trajectory import Trajectory
    from ldmd.green_kubo.estimate import GreenKuboResult

UNIT = "W/(m K)"

FACTOR_LOOKS = (("--", style.PURPLE, "o"), ("-", style.DYNAMICS, "s"), ("-.", style.ORANGE, "^"))
"""Line, colour and marker of the cepstral factors in ascending order."""

POINTS = 300
"""Points shown of a long series: each is the mean of a block."""


def flux_spectrum(result: GreenKuboResult) -> Figure:
    """Spectrum of the heat flux: in full above, its lowest frequencies with the smooth spectrum below.

    Densities are drawn as the conductivity that they would mean at zero frequency: S/2 over V kB T^2.
    """
    scale = float(result.kappa[0] / result.fit[0, 0])
    description = (
        "Power spectrum of the heat flux, and the smooth spectrum whose value at zero frequency is the conductivity."
    )
    with canvas(4.9, 2) as (figure, (upper, lower)):
        upper.plot(result.raw_frequencies, scale * result.raw_density, color=style.GREY, lw=0.8)
        upper.set_xlim(0.0, float(result.raw_frequencies[-1]))
        _draw_smooth(lower, result, scale)
        for axes in (upper, lower):
            axes.set_yscale("log")
            axes.set_ylabel(f"spectrum ({UNIT})")
            label_decades(axes)
        lower.set_xlabel("frequency f (THz)")
        svg = to_svg(figure, "spectrum", description)
    columns = (
        column("frequency, full spectrum [THz]", result.raw_frequencies),
        column(f"full spectrum [{UNIT}]", scale * result.raw_density),
        column("frequency, means of bins [THz]", result.smooth_frequencies),
        column(f"spectrum, means of bins [{UNIT}]", scale * result.smooth_density),
        column(f"smooth spectrum [{UNIT}]", scale * result.smooth_fit),
        column("frequency, below the cepstral cutoff [THz]", result.frequencies),
        *(
            column(f"cepstral fit, factor {factor:g} [{UNIT}]", scale * fit)
            for factor, fit in zip(result.factors, result.fit, strict=True)
        ),
    )
    return Figure("spectrum", "Spectrum of the heat flux", _spectrum_caption(result), description, svg, columns)


def _mark(axes: Axes, frequency: float, text: str) -> None:
    """A dotted line at a frequency with its name beside it, on the side that has room."""
    axes.axvline(frequency, color=style.INK, lw=0.9, ls=":")
    place = axes.transAxes.inverted().transform(axes.transData.transform((frequency, axes.get_ylim()[1])))[0]
    left = place > 0.6
    axes.annotate(
        text,
        (frequency, 1.0),
        (-4 if left else 4, -3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=8.5,
    )


def _draw_smooth(axes: Axes, result: GreenKuboResult, scale: float) -> None:
    """Means of neighbouring bins, the smooth spectrum, and at the left its value at zero frequency with 95 %."""
    frequencies, density = result.smooth_frequencies, scale * result.smooth_density
    axes.scatter(frequencies, density, s=9, lw=0, color=style.GREY, alpha=0.8, rasterized=True, label="flux")
    axes.plot(frequencies, scale * result.smooth_fit, color=style.DYNAMICS, lw=1.7, label="smooth spectrum")
    inside = (result.frequencies > 0.0) & (result.frequencies <= frequencies[-1])
    dash, color, _ = FACTOR_LOOKS[0]
    label = f"cepstral, factor {result.factors[-1]:g}"
    axes.plot(result.frequencies[inside], scale * result.fit[-1][inside], color=color, ls=dash, lw=1.2, label=label)
    left = 0.45 * float(frequencies[0])
    bars = [(left, style.DYNAMICS, "s", result.conductivity.value, result.interval_95)]
    if result.slowest_given:
        alone = (result.run_alone.value, result.run_alone_interval_95)
        bars.append((0.7 * float(frequencies[0]), style.INK, "o", *alone))
    for place, color, marker, value, (low, high) in bars:
        axes.errorbar(place, value, [[value - low], [high - value]], color=color, marker=marker, ms=5, lw=1.4)
    axes.set_xscale("log")
    axes.set_xlim(0.35 * float(frequencies[0]), float(frequencies[-1]))
    decades = range(math.ceil(math.log10(frequencies[0])), math.floor(math.log10(frequencies[-1])) + 1)
    axes.set_xticks([10.0**k for k in decades], [f"{10.0**k:g}" for k in decades])
    axes.minorticks_off()
    low, high = float(np.quantile(density, 0.01)), float(np.quantile(density, 0.995))
    axes.set_ylim(
        0.25 * min(low, *(bar[4][0] for bar in bars)),
        2.5 * max(high, *(bar[4][1] for bar in bars)),
    )
    _mark(axes, result.corner, f"slowest time {number(result.slowest)} ps")
    axes.legend(loc="lower center", ncols=3, fontsize=8.5)


def _spectrum_caption(result: GreenKuboResult) -> str:
    low, high = result.interval_95
    cepstral = " and ".join(
        f"{with_error(float(value), float(error))} with factor {factor:g} ({count(int(kept), 'coefficient')})"
        for factor, value, error, kept in zip(
            result.factors, result.kappa, result.kappa_error, result.coefficients_kept, strict=True
        )
    )
    value = with_error(result.conductivity.value, result.conductivity.standard_error)
    return (
        "Periodogram of the heat flux, scaled so that its value at zero frequency is the conductivity: in full above, "
        f"its lowest frequencies below, as means of neighbouring bins with {result.degrees_of_freedom} equivalent "
        f"components. The smooth spectrum ends at {value} {UNIT} (square, with 95 % interval {number(low)} to "
        f"{number(high)}). {assumption(result)} Cepstral analysis of the same flux up to {number(result.cutoff)} THz "
        f"gives {cepstral} {UNIT}: its errors hold where nothing slower hides below the level of the spectrum."
    )


def assumption(result: GreenKuboResult) -> str:
    """What the interval of the conductivity rests on, and what it would be without, in words."""
    low, high = (number(bound) for bound in result.run_alone_interval_95)
    slowest = f"{number(result.slowest)} ps"
    if not result.slowest_given:
        return (
            "It rests on the run alone, and assumes that no part of the flux decays more slowly than with a time of "
            f"{slowest}, 1/{number(result.duration / result.slowest, 2)} of the run; that is why it is wide."
        )
    return (
        f"It assumes that no part of the flux that matters decays more slowly than with a time of {slowest} "
        "(green_kubo.slowest_ps of the case, or without it from lifetimes of lattice dynamics). From the run alone, "
        f"assuming only that this time is below {number(result.duration / RUN_OVER_SLOWEST)} ps, the interval is {low} "
        f"to {high} {UNIT} (circle); {count(result.replicas_alone, 'replica')} of this length would make it as narrow "
        "without the assumption."
    )


def cutoff_scan(result: GreenKuboResult) -> Figure:
    """Conductivity against the cutoff frequency, for every factor."""
    cutoffs = result.scan_cutoffs
    description = "Conductivity against the cutoff frequency of the cepstral analysis, with standard errors."
    columns = [column("cutoff [THz]", cutoffs)]
    with canvas(2.9) as (figure, (axes,)):
        for row, (dash, color, marker) in zip(range(len(result.factors)), FACTOR_LOOKS, strict=False):
            value, error, name = (
                result.scan_kappa[row],
                result.scan_kappa_error[row],
                f"factor {result.factors[row]:g}",
            )
            axes.fill_between(cutoffs, value - error, value + error, color=color, alpha=0.16, lw=0)
            axes.plot(cutoffs, value, color=color, ls=dash, marker=marker, ms=3.2, label=name)
            columns += [
                column(f"conductivity, {name} [{UNIT}]", value),
                column(f"standard error, {name} [{UNIT}]", error),
            ]
        axes.set_xscale("log")
        _mark(axes, result.cutoff, "f*")
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if cutoffs.min() <= tick <= cutoffs.max()]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(0.0, 1.25 * float(np.nanmax(result.scan_kappa + result.scan_kappa_error)))
        axes.set_xlabel("cutoff frequency (THz)")
        axes.set_ylabel(f"conductivity ({UNIT})")
        axes.legend(loc="lower right", ncols=2)
        svg = to_svg(figure, "cutoff", description)
    return Figure("cutoff", "Does the cutoff matter?", _scan_caption(result), description, svg, tuple(columns))


def _scan_caption(result: GreenKuboResult) -> str:
    near = (result.scan_cutoffs > result.cutoff / 2.01) & (result.scan_cutoffs < 2.01 * result.cutoff)
    ranges = [
        f"{number(float(values[near].min()))} to {number(float(values[near].max()))} {UNIT} with factor {factor:g}"
        for factor, values in zip(result.factors, result.scan_kappa, strict=True)
        if near.any()
    ]
    between = (
        f"Between half and twice the cutoff used, {number(result.cutoff)} THz: {' and '.join(ranges)}. "
        if ranges
        else ""
    )
    return (
        f"The same flux analysed with other cutoffs; bands are standard errors. {between}A curve that is "
        "flat within its band says that the choice of the cutoff does not decide the cepstral value; one that "
        "rises towards low cutoffs, that a narrow central peak is being missed. The result does not rest on it."
    )


def running(result: GreenKuboResult) -> Figure:
    """Running Green-Kubo integral with its error band and the result; the autocorrelation below."""
    shown = result.time > 0.0
    times, curve = result.time[shown], result.running_kappa[shown]
    error, correlation = result.running_kappa_error[shown], result.correlation[shown]
    description = (
        "Running integral of the autocorrelation of the heat flux with its error band; the autocorrelation below."
    )
    with canvas(4.1, 2, sharex=True, height_ratios=(1.6, 1.0)) as (figure, (upper, lower)):
        upper.axvspan(result.plateau_start, 2.0 * result.plateau_start, color=style.PALE, alpha=0.5, lw=0)
        upper.fill_between(times, curve - error, curve + error, color=style.CLASSICAL, alpha=0.2, lw=0)
        upper.plot(times, curve, color=style.CLASSICAL, lw=1.0, label="running integral ± standard error")
        value, name = result.conductivity.value, "smooth spectrum"
        upper.axhline(value, color=style.DYNAMICS, ls="--", lw=1.2, label=name)
        upper.set_ylim(*_window(curve, error, times, result))
        upper.set_ylabel(f"conductivity ({UNIT})")
        figure.legend(loc="outside upper left", ncols=2)
        lower.plot(times, correlation, color=style.INK, lw=1.0)
        lower.axhline(0.0, color=style.GREY, lw=0.6)
        lower.set_ylabel("autocorrelation (1)")
        lower.set_xscale("log")
        first, last = math.ceil(math.log10(times[0])), math.floor(math.log10(times[-1]))
        ticks = [10.0**k for k in range(first, last + 1)]
        lower.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        lower.minorticks_off()
        lower.set_xlim(times[0], times[-1])
        lower.set_xlabel("time (ps)")
        svg = to_svg(figure, "running", description)
    columns = (
        column("time [ps]", result.time),
        column(f"running integral [{UNIT}]", result.running_kappa),
        column(f"standard error [{UNIT}]", result.running_kappa_error),
        column("autocorrelation [1]", result.correlation),
    )
    return Figure("running", "The Green–Kubo integral itself", _running_caption(result), description, svg, columns)


def _window(curve: np.ndarray, error: np.ndarray, times: np.ndarray, result: GreenKuboResult) -> tuple[float, float]:
    """Limits that show the plateau: vibrations of the first picosecond may swing far beyond and are cut."""
    late = times >= min(result.plateau_start, 0.5 * float(times[-1]))
    low, high = float((curve - error)[late].min()), float((curve + error)[late].max())
    low, high = min(low, 0.0), max(high, 1.3 * result.conductivity.value)
    return low - 0.05 * (high - low), high + 0.25 * (high - low)


def _running_caption(result: GreenKuboResult) -> str:
    failed = [check for check in result.running.checks if not check.passed]
    notes = "".join(f" Not passed: {check.name}. {sentence(check.advice)}" for check in failed)
    return (
        "Integral of the autocorrelation of the heat flux up to a time, with the standard error from "
        f"blocks (jackknife). Read between {number(result.plateau_start, 2)} and "
        f"{number(2.0 * result.plateau_start, 2)} ps (shaded) it is "
        f"{with_error(result.running.value, result.running.standard_error)} {UNIT}, "
        f"{number(abs(result.agreement_sigma), 2)} standard errors from that of the smooth spectrum; both read the "
        "same data. Early swings beyond the frame are vibrations. Below: the autocorrelation over its "
        f"value at time zero.{notes}"
    )


def axes_values(result: GreenKuboResult) -> Figure | None:
    """The conductivity along each axis; None where axes were not analysed alone."""
    values, errors = result.axis_kappa, result.axis_kappa_error
    if np.isnan(values).any():
        return None
    names, rows = ("x", "y", "z")[: len(values)], np.arange(len(values))[::-1]
    bounds = values * np.exp(1.96 * np.array([[-1.0], [1.0]]) * errors / values)
    description = "Conductivity along x, y and z with 95 percent intervals, and that of all three together."
    with canvas(1.75) as (figure, (axes,)):
        axes.axvspan(*result.interval_95, color=style.DYNAMICS, alpha=0.14, lw=0)
        axes.axvline(result.conductivity.value, color=style.DYNAMICS, lw=1.2)
        axes.errorbar(values, rows, xerr=np.abs(bounds - values), fmt="o", color=style.INK, ms=5, lw=1.2)
        axes.set_yticks(rows, names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"conductivity ({UNIT})")
        svg = to_svg(figure, "axes", description)
    listed = ", ".join(f"{n} {with_error(float(v), float(e))}" for n, v, e in zip(names, values, errors, strict=True))
    caption = (
        f"Each Cartesian axis analysed alone, with the {count(result.replicas, 'replica')} as its "
        f"equivalent components: {listed} {UNIT}. Bars: 95 % intervals (log-normal); line and band: all "
        "axes together."
    )
    columns = (
        column("axis", names),
        column(f"conductivity [{UNIT}]", values),
        column(f"standard error [{UNIT}]", errors),
        column(f"lower end of 95 % [{UNIT}]", bounds[0]),
        column(f"upper end of 95 % [{UNIT}]", bounds[1]),
    )
    return Figure("axes", "The three directions", caption, description, svg, columns)


def block_means(series: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Means of at most so many equal consecutive blocks along the first axis; a rest is left out."""
    width = max(1, len(series) // points)
    blocks = len(series) // width
    return np.asarray(series[: blocks * width].reshape(blocks, width, *series.shape[1:]).mean(axis=1))


def conservation(trajectories: tuple[Trajectory, ...]) -> Figure:
    """Total energy and temperature of every replica against time."""
    energies = [means - means[0] for means in (block_means(run.energy) for run in trajectories)]
    largest = max(float(np.abs(energy).max()) for energy in energies)
    unit, scale = ("meV/atom", 1e3) if largest > 1e-4 else ("µeV/atom", 1e6)
    columns = []
    description = "Change of the total energy and the temperature of every replica against time."
    with canvas(3.4, 2, sharex=True) as (figure, (upper, lower)):
        for place, (run, energy) in enumerate(zip(trajectories, energies, strict=True)):
            length = run.sampling_interval * len(run.energy)
            time = (np.arange(len(energy)) + 0.5) * length / len(energy)
            kelvin = block_means(run.temperature)
            look: dict[str, Any] = {
                "color": style.SERIES[place % 6],
                "lw": 1.0,
                "ls": ("-", "--", "-.", ":")[(place // 6) % 4],
            }
            upper.plot(time, scale * energy, label=f"replica {place + 1}", **look)
            lower.plot(time[: len(kelvin)], kelvin[: len(time)], **look)
            columns += [
                column(f"time, replica {place + 1} [ps]", time),
                column(f"energy change, replica {place + 1} [eV/atom]", energy),
                column(f"temperature, replica {place + 1} [K]", kelvin),
            ]
        upper.set_ylabel(f"energy change ({unit})")
        upper.axhline(0.0, color=style.GREY, lw=0.6)
        if len(trajectories) > 1:
            upper.legend(loc="best", ncols=min(4, len(trajectories)), fontsize=8)
        lower.set_ylabel("temperature (K)")
        lower.set_xlabel("time (ps)")
        lower.set_xlim(0.0, None)
        svg = to_svg(figure, "conservation", description)
    caption = _conservation_caption(trajectories)
    return Figure("conservation", "Is energy conserved?", caption, description, svg, tuple(columns))


def _conservation_caption(trajectories: tuple[Trajectory, ...]) -> str:
    worst = max((run.energy_drift for run in trajectories), key=abs)
    kelvin = np.array([run.temperature.mean() for run in trajectories])
    spread = (
        f" (from {number(float(kelvin.min()), 4)} to {number(float(kelvin.max()), 4)} K)" if len(kelvin) > 1 else ""
    )
    first = trajectories[0]
    return (
        f"{count(len(trajectories), 'replica').capitalize()} of {brief(round(first.duration, 6))} ps "
        f"without thermostat, step {brief(round(1e3 * first.time_step, 6))} fs; block means. Largest drift "
        f"of the total energy: {number(worst, 2)} eV/atom per 100 ps (straight line). Mean temperature "
        f"{number(float(kelvin.mean()), 4)} K{spread}: this value, squared, enters the Green–Kubo formula."
    )
