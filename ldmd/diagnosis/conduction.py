"""What rests on the linewidths of the lowest modes: their share of the conductivity, and what other widths would make.

The quasi-harmonic Green-Kubo conductivity (``ldmd.lattice.conductivity``) is a sum over pairs of modes,

    kappa = (X/V) sum_mn c_mn tau_mn V_mn,   V_mn = (1/3) sum_a |v^a_mn|^2,
    tau_mn = (g_m + g_n) / [(g_m + g_n)^2 + (w_m - w_n)^2],

X the unit W/(m K) of eV Angstrom^-1 K^-1 ps^-1. Other linewidths of a few modes change the pairs that these are in and
no others: with V_mn of their rows the new conductivity takes no more than those rows.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import statistics_named
from ldmd.results import quantity
from ldmd.units import CONDUCTIVITY


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conduction:
    """A conductivity, and the pairs of modes in which some modes enter it; at one temperature, with one statistics."""

    temperature: float  # K
    statistics: str
    volume: float  # Angstrom^3
    conductivity: float  # W/(m K)
    modes: np.ndarray = quantity(("mode",), "1", "the modes in question, as indices among all 3N")
    frequencies: np.ndarray = quantity(("other",), "rad/ps", "angular frequencies of all 3N modes")
    gamma: np.ndarray = quantity(("other",), "rad/ps", "their linewidths, HWHM, that the conductivity was made with")
    couplings: np.ndarray = quantity(
        ("mode", "other"),
        "Angstrom^2/ps^2",
        "V_mn, squared velocity matrix elements over three; 0 if one is rigid",
    )

    def without(self, chosen: np.ndarray) -> float:
        """The conductivity, W/(m K), without every pair that a mode of the mask ``chosen`` (mode,) is in."""
        left_out = np.where(chosen, 0.0, 1.0)
        pairs = self._pairs(self.gamma[self.modes])
        return self.conductivity - self._total(pairs * (1.0 - left_out[:, None] * self._of_all(left_out)))

    def with_linewidths(self, gamma: np.ndarray) -> float:
        """The same with other linewidths (mode,) HWHM in rad/ps of the modes in question."""
        return self.conductivity + self._total(self._pairs(gamma) - self._pairs(self.gamma[self.modes]))

    def _pairs(self, gamma: np.ndarray) -> np.ndarray:
        """Contributions of all ordered pairs (m, n), W/(m K), where the modes m in question have these linewidths."""
        first, second = self.frequencies[self.modes, None], self.frequencies[None]
        width = gamma[:, None] + self._of_all(gamma, self.gamma)
        lifetime = np.divide(width, width**2 + (first - second) ** 2, out=np.zeros_like(width), where=width > 0.0)
        capacity = np.zeros_like(width)
        used = self.couplings > 0.0
        with np.errstate(all="ignore"):  # translations, which have no coupling
            known = statistics_named(self.statistics).heat_capacity(first, second, self.temperature)
        capacity[used] = known[used]
        return np.asarray(CONDUCTIVITY / self.volume * capacity * lifetime * self.couplings)

    def _of_all(self, values: np.ndarray, others: np.ndarray | float = 1.0) -> np.ndarray:
        """Values of the modes in question among those of all others."""
        result = np.broadcast_to(np.asarray(others, dtype=float), self.frequencies.shape).copy()
        result[self.modes] = values
        return result

    def _total(self, pairs: np.ndarray) -> float:
        """Sum over ordered pairs of all modes; those with one mode in question stand in its row only."""
        twice = self._of_all(np.ones(len(self.modes)), 2.0)
        return float(np.sum(pairs * twice))


def conduction(
    modes: Modes,
    velocities: np.ndarray,
    gamma: np.ndarray,
    chosen: np.ndarray,
    *,
    conductivity: float,
    temperature: float,
    statistics: str,
    volume: float,
) -> Conduction:
    """For the modes ``chosen`` (indices among all), from velocity matrices (3, 3N, 3N) in Angstrom/ps.

    ``gamma`` (3N,) rad/ps HWHM are the linewidths that made the ``conductivity`` (W/(m K), a third of the trace).
    """
    couplings = np.sum(velocities[:, chosen] ** 2, axis=0) / 3.0
    couplings[:, ~modes.vibrating] = 0.0
    return Conduction(
        temperature=temperature,
        statistics=statistics,
        volume=volume,
        conductivity=conductivity,
        modes=np.asarray(chosen),
        frequencies=np.where(modes.vibrating, modes.frequencies, 0.0),
        gamma=np.asarray(gamma),
        couplings=couplings,
    )
