"""What the width of the kernel does to linewidths and conductivity, against lines that broaden each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ldmd.report import style
from ldmd.report.style import Figure, canvas, column, to_svg
from ldmd.report.text import brief, number
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.lattice.self_consistent import SelfConsistentLinewidths
    from ldmd.lattice.width_convergence import WidthConvergence

RUNAWAYS = 3
"""Modes shown one by one: those that depend on the width most."""


def width_curves(curve: WidthConvergence, free: SelfConsistentLinewidths, free_conductivity: float) -> Figure:
    """Classical conductivity, median linewidth and the most sensitive modes against the width of the kernel.

    ``free`` holds the self-consistent linewidths at the same temperature, and ``free_conductivity`` (W/(m K)) the
    conductivity with them.
    """
    place, own = curve.statistics.index("classical"), free.linewidths.statistics.index("classical")
    gamma, target = curve.gamma[:, 0, place], free.linewidths.gamma[0, own]
    moving = np.flatnonzero(curve.frequencies > 0.0)
    sensitive = moving[np.argsort(-curve.spread[0, place][moving])][:RUNAWAYS]
    description = "Conductivity and linewidths against the width of the kernel, with their self-consistent values."
    columns = [
        column("width [rad/ps]", curve.widths),
        column("conductivity [W/(m K)]", curve.conductivity[:, 0, place]),
        column("self-consistent conductivity [W/(m K)]", np.full(len(curve.widths), free_conductivity)),
        column("median linewidth [rad/ps]", np.median(gamma[:, moving], axis=1)),
    ]
    with canvas(4.6, 2, sharex=True) as (figure, (upper, lower)):
        upper.plot(curve.widths, curve.conductivity[:, 0, place], "o-", color=style.CLASSICAL, ms=3.5)
        upper.axhline(free_conductivity, color=style.CLASSICAL, ls="--", lw=1.1)
        upper.set_ylim(0.0, 1.25 * max(float(curve.conductivity[:, 0, place].max()), free_conductivity))
        upper.set_ylabel("conductivity (W/(m K))")
        lower.plot(curve.widths, np.median(gamma[:, moving], axis=1), "o-", color=style.INK, ms=3.5, label="median")
        lower.axhline(float(np.median(target[moving])), color=style.INK, ls="--", lw=1.1)
        for mode, color in zip(sensitive, (style.DYNAMICS, style.PURPLE, style.SKY), strict=False):
            name = f"{number(curve.frequencies[mode] / THZ, 3)} THz"
            lower.plot(curve.widths, gamma[:, mode], "s-", color=color, ms=3.0, label=name)
            lower.axhline(float(target[mode]), color=color, ls="--", lw=1.1)
            columns.append(column(f"linewidth of mode {mode} [rad/ps]", gamma[:, mode]))
            columns.append(column(f"self-consistent, mode {mode} [rad/ps]", np.full(len(curve.widths), target[mode])))
        lower.set_xscale("log")
        lower.set_yscale("log")
        lower.set_xticks(curve.widths, [brief(float(width)) for width in curve.widths])
        lower.minorticks_off()
        lower.set_xlabel(f"width of the {curve.kernel} kernel (rad/ps)")
        lower.set_ylabel("linewidth, HWHM (rad/ps)")
        figure.legend(loc="outside upper left", ncols=4)
        svg = to_svg(figure, "width-convergence", description)
    caption = (
        f"Classical QHGK conductivity at {brief(float(curve.temperatures[0]))} K (above) and linewidths (below) "
        f"against the width of the {curve.kernel} kernel: the median over all modes and the {len(sensitive)} modes "
        "that follow the width most. Dashed: self-consistent values, where the lines broaden each other and no width "
        f"is chosen, after {int(free.iterations.max())} iterations. A linewidth that keeps falling as the kernel "
        "widens rests on a few accidental resonances."
    )
    return Figure("width-convergence", "The width of the kernel", caption, description, svg, tuple(columns))
