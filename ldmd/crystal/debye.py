"""The Debye temperature of a crystal, from its sound and from its density of states.

* sound: Theta = (hbar/k_B) (6 pi^2 n)^(1/3) v_m, n atoms per volume, with the mean speed v_m of Anderson (J. Phys.
  Chem. Solids 24, 909 (1963)) from averaged moduli, or of all waves of the crystal by Christoffel's equation;
* lowest frequencies: g(w) = 3 w^2 / w_D^3 as w -> 0, Theta = hbar w_D / k_B. Fitted to the number of modes below w,
  N(w) / w^3 = 1 / w_D^3 + b w^2, over the lowest few percent of as many modes as are acoustic;
* second moment: Theta = (hbar/k_B) sqrt(5 <w^2> / 3), what the heat capacity sees at high temperature.

The first two are one number by independent routes. The third is another number, which only Debye's own spectrum has
in common with them; how far it lies off tells how little that spectrum describes the crystal.

Tetrahedra make the lowest frequencies too sparse on a mesh of n^3 wave vectors: the second route is too high by an
amount that falls as 1/n^2 (silicon of two atoms: 7 % for n = 16, 2 % for n = 32).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.integrate import trapezoid

from ldmd.crystal.dispersion import DensityOfStates
from ldmd.crystal.elasticity import ElasticConstants
from ldmd.errors import InputError
from ldmd.results import Check
from ldmd.units import BOLTZMANN, HBAR

AGREEMENT = 0.15
"""Largest relative difference between two routes."""
LOWEST, HIGHEST = 0.003, 0.03
"""Share of the acoustic modes below the ends of the fitted range."""


@dataclasses.dataclass(frozen=True)
class DebyeTemperature:
    """Debye temperatures in K."""

    anderson: float
    """Sound, from Hill's moduli."""
    christoffel: float
    """Sound, all directions."""
    low_frequency: float
    """Density of states, lowest frequencies."""
    second_moment: float
    """Density of states, second moment."""
    checks: tuple[Check, ...]


def debye_temperature(elastic: ElasticConstants, density: DensityOfStates) -> DebyeTemperature:
    """All routes and whether they agree, for one crystal at one volume."""
    anderson, christoffel = from_sound(elastic)
    low, moment = from_lowest_frequencies(density), from_second_moment(density)
    checks = (
        Check(
            "Debye temperature, sound against lowest frequencies",
            abs(low / anderson - 1.0),
            "<=",
            AGREEMENT,
            "1",
            "Two routes to one number disagree: the supercell of the force constants is too small for sound, their "
            "sum rules are broken, or the mesh is too coarse for the lowest frequencies.",
        ),
        Check(
            "Debye temperature, sound against second moment",
            abs(moment / anderson - 1.0),
            "<=",
            AGREEMENT,
            "1",
            "The spectrum is not Debye's: use the value from sound at low and that of the second moment at high "
            "temperature.",
        ),
    )
    return DebyeTemperature(anderson, christoffel, low, moment, checks)


def from_sound(elastic: ElasticConstants) -> tuple[float, float]:
    """Debye temperatures (K) with Anderson's mean speed, and with the mean over all waves of the crystal."""
    wave_number = (6.0 * np.pi**2 * elastic.atoms_per_volume) ** (1.0 / 3.0)
    anderson, exact = (
        float(HBAR / BOLTZMANN * wave_number * speed) for speed in (elastic.mean_speed_anderson(), elastic.mean_speed())
    )
    return anderson, exact


def from_second_moment(density: DensityOfStates) -> float:
    """Debye temperature (K) whose spectrum has the same mean square frequency."""
    frequencies = np.maximum(density.frequencies, 0.0)
    norm = trapezoid(density.total, density.frequencies)
    mean_square = trapezoid(density.total * frequencies**2, density.frequencies) / norm
    return float(HBAR / BOLTZMANN * np.sqrt(5.0 * mean_square / 3.0))


def from_lowest_frequencies(density: DensityOfStates) -> float:
    """Debye temperature (K) of the limit g(w) = 3 w^2 / w_D^3.

    Raises
    ------
    InputError
        Where the density of states has too few points, or states below zero, at the lowest frequencies.
    """
    steps = np.diff(density.frequencies) * 0.5 * (density.total[1:] + density.total[:-1])
    acoustic = np.concatenate([[0.0], np.cumsum(steps)]) * len(density.symbols)
    chosen = (acoustic > LOWEST) & (acoustic < HIGHEST) & (density.frequencies > 0.0)
    unstable = float(np.interp(0.0, density.frequencies, acoustic))
    if chosen.sum() < 5 or unstable > LOWEST:
        fix = "take more points of frequency, or a stable crystal"
        raise InputError("density of states", f"{int(chosen.sum())} points at the lowest frequencies", fix)
    w = density.frequencies[chosen]
    below = acoustic[chosen] / len(density.symbols)
    limit, _ = np.linalg.lstsq(np.stack([w**3, w**5], axis=1) / w[:, None] ** 3, below / w**3, rcond=None)[0]
    if limit <= 0.0:
        fix = "the fit found no Debye limit; take a finer mesh"
        raise InputError("density of states", f"{limit:.2e} ps^3/rad^3", fix)
    return float(HBAR / BOLTZMANN * limit ** (-1.0 / 3.0))
