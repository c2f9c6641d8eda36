"""Are the time step and the interval between samples of the flux short enough for the fastest vibration?

The heat flux is of second order in the vibrations, so its spectrum reaches twice their highest frequency. Half the
sampling rate (the Nyquist frequency) must be at least that, or some of its power is folded onto lower frequencies.
"""

from __future__ import annotations

import math

from ldmd.results import Check

FEWEST_STEPS = 15.0
"""Time steps in a period. The Verlet algorithm makes a vibration of n steps per period too fast by (2 pi / n)^2 / 24,
0.7 %, and its kinetic temperature too low by (2 pi / n)^2 / 4, 4 %; of all vibrations that is a percent or so."""

MARGIN = 1.1
"""Of the interval that is advised: frequencies at a temperature may be higher than those at the minimum."""

RESOLUTION_CHECKS = ("time steps in the shortest period", "flux sampled for its highest frequency")


def resolution_checks(highest: float, time_step: float, interval: float) -> tuple[Check, Check]:
    """``RESOLUTION_CHECKS``: steps in the shortest period, and the Nyquist frequency against the reach of the flux.

    Parameters
    ----------
    highest
        Highest vibrational frequency, rad/ps (angular).
    time_step, interval
        Of the integration and between samples of the flux, ps.
    """
    frequency = highest / (2.0 * math.pi)
    longest_step = 1000.0 / (FEWEST_STEPS * frequency)
    stride = max(1, math.floor(0.5 / (2.0 * MARGIN * frequency) / time_step * (1.0 + 1e-9)))
    steps, sampled = RESOLUTION_CHECKS
    return (
        Check(
            steps,
            1.0 / (frequency * time_step),
            ">=",
            FEWEST_STEPS,
            "steps",
            f"The highest frequency is {frequency:.4g} THz: set dynamics.time_step_fs to {_rounded(longest_step):g} or "
            "less.",
        ),
        Check(
            sampled,
            0.5 / interval,
            ">=",
            2.0 * frequency,
            "THz",
            f"The spectrum of the flux reaches {2.0 * frequency:.4g} THz, twice the highest frequency; what is above "
            "half the sampling rate is folded onto lower frequencies: set dynamics.flux_interval_fs to "
            f"{1000.0 * stride * time_step:.4g} or less.",
        ),
    )


def _rounded(femtoseconds: float) -> float:
    """Downwards to one significant digit and a half: 0.1, 0.15, 0.2, ... 0.95, 1, 1.5, ..."""
    unit = 0.5 * 10.0 ** math.floor(math.log10(femtoseconds))
    return math.floor(femtoseconds / unit * (1.0 + 1e-9)) * unit
