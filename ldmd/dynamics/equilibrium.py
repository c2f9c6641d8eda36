"""Does a run at constant energy keep its temperature and its energy from start to end, and do replicas share them?

The flux is that of one equilibrium only if they do. A transition to another minimum, an unfinished equilibration or a
jump of the energy (a pair that crosses a kink of the potential, a restart that went wrong) shows here first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ldmd.results import Check
from ldmd.units import BOLTZMANN

if TYPE_CHECKING:
    from ldmd.dynamics.trajectory import Trajectory

PARTS = 32
"""Of a run, whose means are held against each other."""

SHORTEST_PART = 1.0
"""ps, in which kinetic and potential energy have exchanged what they fluctuate by many times."""

FEWEST_PARTS = 8
"""With fewer of such parts their scatter is not known, and the temperature is not tested."""

LARGEST_CHANGE = 0.03
"""Of the temperature between two parts of a run: it changes the power of the flux by 6 %, the conductivity by half that
or less."""

STANDARD_ERRORS = 5.0
"""That are granted to chance: means of some ten parts are further off less than once in a thousand runs."""

LARGEST_ENERGY_CHANGE = 0.02
"""Between two parts, as a share of the thermal energy 3 k_B T per atom: a change of temperature by 2 %."""

LARGEST_SPREAD = 0.1
"""Between the temperatures of replicas. Each keeps the mean energy of its own equilibration, which differs by a few
percent in cells of some hundred atoms; 10 % moves the conductivity of either by 5 % in opposite directions."""

TEMPERATURE_STEADY = "temperature steady"
ENERGY_STEADY = "total energy steady"
ONE_TEMPERATURE = "replicas at one temperature"
EQUILIBRIUM_CHECKS = (TEMPERATURE_STEADY, ENERGY_STEADY, ONE_TEMPERATURE)
"""If one of these fails, the flux is not that of one equilibrium."""


def equilibrium_checks(trajectories: tuple[Trajectory, ...]) -> tuple[Check, ...]:
    """``EQUILIBRIUM_CHECKS`` of all replicas, the worst one counted.

    The first is left out of runs shorter than 8 ps, the last where there is one replica.
    """
    parts = min(PARTS, int(min(trajectory.duration for trajectory in trajectories) / SHORTEST_PART))
    checks: tuple[Check, ...] = (_energy(trajectories),)
    if parts >= FEWEST_PARTS:
        checks = (_temperature(trajectories, parts), *checks)
    if len(trajectories) == 1:
        return checks
    means = np.array([trajectory.temperature.mean() for trajectory in trajectories])
    spread = float((means.max() - means.min()) / means.mean())
    each = ", ".join(f"{mean:.4g}" for mean in means)
    advice = f"The replicas are at {each} K. Equilibrate longer: each keeps the energy that it had then."
    return (*checks, Check(ONE_TEMPERATURE, spread, "<=", LARGEST_SPREAD, "relative", advice))


def _temperature(trajectories: tuple[Trajectory, ...], parts: int) -> Check:
    """Mean temperature after each time against that before, less what chance explains."""
    worst, advice = 0.0, "Equilibrate longer, or look whether the structure leaves its minimum."
    for number, trajectory in enumerate(trajectories, start=1):
        means = _part_means(trajectory.temperature, parts)
        scatter = float(np.median(np.abs(np.diff(means)))) / (0.6745 * np.sqrt(2.0))
        for split in range(1, len(means)):
            before, after = means[:split].mean(), means[split:].mean()
            error = scatter * np.sqrt(1.0 / split + 1.0 / (len(means) - split))
            change = (abs(after - before) - STANDARD_ERRORS * error) / means.mean()
            if change > max(worst, LARGEST_CHANGE):
                when = split / len(means) * trajectory.duration
                advice = (
                    f"Replica {number} is at {before:.4g} K before {when:.3g} ps and at {after:.4g} K after. "
                    "Equilibrate longer, or look whether the structure leaves its minimum."
                )
            worst = max(worst, float(change))
    return Check(TEMPERATURE_STEADY, worst, "<=", LARGEST_CHANGE, "relative change, at least", advice)


def _energy(trajectories: tuple[Trajectory, ...]) -> Check:
    """Largest difference of the energy between parts, as a share of the thermal energy. Energy does not fluctuate."""
    worst, advice = 0.0, "Shorten the time step, or look for pairs at the cutoff."
    for number, trajectory in enumerate(trajectories, start=1):
        means = _part_means(trajectory.energy, min(PARTS, len(trajectory.energy)))
        change = float(np.ptp(means) / (3.0 * BOLTZMANN * trajectory.temperature.mean()))
        if change > max(worst, LARGEST_ENERGY_CHANGE):
            when = (int(np.argmax(np.abs(np.diff(means)))) + 1) / len(means) * trajectory.duration
            advice = (
                f"The energy of replica {number} changes by {np.ptp(means):.3g} eV/atom, most of all at {when:.3g} ps. "
                "Shorten the time step, or look for pairs at the cutoff."
            )
        worst = max(worst, change)
    return Check(ENERGY_STEADY, worst, "<=", LARGEST_ENERGY_CHANGE, "of the thermal energy", advice)


def _part_means(values: np.ndarray, parts: int) -> np.ndarray:
    """Means over equal parts."""
    length = len(values) // parts
    return np.asarray(values[: parts * length].reshape(parts, length).mean(axis=1))
