"""Quantum and classical statistics of harmonic modes: occupations and heat capacities.

The classical members are formulas of their own, not a small hbar: k_B T / (hbar w) and k_B are exact also where two
modes are degenerate.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Protocol

import numpy as np

from ldmd.errors import InputError
from ldmd.units import BOLTZMANN, HBAR


class Statistics(Protocol):
    """How modes are occupied."""

    name: ClassVar[str]
    vacuum: ClassVar[float]
    """The 1 in 1 + n + n' of a decay: zero-point motion, absent classically."""

    def occupation(self, frequencies: np.ndarray, temperature: float) -> np.ndarray:
        """Mean number of quanta for positive angular frequencies (rad/ps) at a temperature (K)."""
        ...

    def heat_capacity(self, first: np.ndarray, second: np.ndarray, temperature: float) -> np.ndarray:
        """Two-mode heat capacity c_mn in eV/K (broadcast); the heat capacity of a mode where both are equal."""
        ...


@dataclasses.dataclass(frozen=True)
class BoseEinstein:
    """Quantum statistics."""

    name: ClassVar[str] = "bose-einstein"
    vacuum: ClassVar[float] = 1.0

    def occupation(self, frequencies: np.ndarray, temperature: float) -> np.ndarray:
        """1 / (exp(x) - 1), x = hbar w / k_B T."""
        x = HBAR * np.asarray(frequencies) / (BOLTZMANN * temperature)
        return np.exp(-x) / -np.expm1(-x)

    def heat_capacity(self, first: np.ndarray, second: np.ndarray, temperature: float) -> np.ndarray:
        """c_mn = (hbar w_m w_n / T) (n_m - n_n) / (w_n - w_m) (Isaeva et al. 2019, Eq. 8), without cancellation.

        With d = |x_m - x_n| it equals k_B x_m x_n exp(-min x) [(1 - exp(-d)) / d] / [(1 - exp(-x_m)) (1 - exp(-x_n))].
        """
        x = HBAR * np.asarray(first) / (BOLTZMANN * temperature)
        y = HBAR * np.asarray(second) / (BOLTZMANN * temperature)
        distance = np.abs(x - y)
        safe = np.where(distance > 1e-12, distance, 1.0)
        slope = np.where(distance > 1e-12, -np.expm1(-safe) / safe, 1.0)
        return BOLTZMANN * x * y * np.exp(-np.minimum(x, y)) * slope / (np.expm1(-x) * np.expm1(-y))


@dataclasses.dataclass(frozen=True)
class Classical:
    """Equipartition, the statistics of molecular dynamics."""

    name: ClassVar[str] = "classical"
    vacuum: ClassVar[float] = 0.0

    def occupation(self, frequencies: np.ndarray, temperature: float) -> np.ndarray:
        """k_B T / (hbar w)."""
        return BOLTZMANN * temperature / (HBAR * np.asarray(frequencies))

    def heat_capacity(self, first: np.ndarray, second: np.ndarray, temperature: float) -> np.ndarray:
        """k_B, for every pair."""
        return np.full(np.broadcast(first, second).shape, BOLTZMANN)


STATISTICS: dict[str, Statistics] = {kind.name: kind for kind in (BoseEinstein(), Classical())}


def statistics_named(name: str) -> Statistics:
    """The statistics of a name in a case file.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if name not in STATISTICS:
        raise InputError("lattice.statistics", name, f"choose from {', '.join(STATISTICS)}")
    return STATISTICS[name]
