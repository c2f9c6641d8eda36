"""Thermal conductivity of harmonic modes with finite linewidths: QHGK, its intraband part, Allen-Feldman.

kappa_ab = (1/V) sum_mn c_mn v^a_mn v^b_mn tau_mn,  tau_mn = (g_m + g_n) / [(g_m + g_n)^2 + (w_m - w_n)^2]
(quasi-harmonic Green-Kubo, Isaeva et al., Nat. Commun. 10, 3853 (2019); resonant part). g is the linewidth, HWHM.
The terms m = n are the relaxation-time approximation. With one small g for all modes it is the theory of Allen and
Feldman (Phys. Rev. B 48, 12581 (1993)): a Lorentzian of half width 2 g stands for the delta function.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.lattice.linewidths import Linewidths, scattered
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import Statistics, statistics_named
from ldmd.results import quantity
from ldmd.units import CONDUCTIVITY

AXES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conductivity:
    """Conductivity tensors and the per-mode contributions to the isotropic average (trace/3)."""

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    qhgk: np.ndarray = quantity(
        ("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "quasi-harmonic Green-Kubo tensor"
    )
    intraband: np.ndarray = quantity(
        ("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "its intraband (RTA) part"
    )
    allen_feldman: np.ndarray = quantity(
        ("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "Allen-Feldman tensor"
    )
    allen_feldman_broadening: float
    per_mode: np.ndarray = quantity(
        ("temperature", "statistics", "mode"), "W/(m K)", "QHGK contribution of each mode, trace/3"
    )
    diffusivity: np.ndarray = quantity(("mode",), "Angstrom^2/ps", "Allen-Feldman mode diffusivity")

    def isotropic(self, temperature: float, statistics: str) -> float:
        """QHGK trace/3 at one of the temperatures, W/(m K)."""
        row = int(np.flatnonzero(self.temperatures == temperature)[0])
        return float(np.trace(self.qhgk[row, self.statistics.index(statistics)]) / 3.0)


@dataclasses.dataclass(frozen=True)
class ModeConductivity:
    """One temperature, one statistics: tensors (3, 3) and contributions of each mode (3N,), W/(m K)."""

    total: np.ndarray
    intraband: np.ndarray
    per_mode: np.ndarray


def quasi_harmonic_green_kubo(
    modes: Modes,
    velocities: np.ndarray,
    gamma: np.ndarray,
    statistics: Statistics,
    temperature: float,
    volume: float,
) -> ModeConductivity:
    """QHGK for velocity matrices (3, 3N, 3N) in Angstrom/ps, linewidths (3N,) HWHM in rad/ps, volume in Angstrom^3.

    A pair of modes neither of which finds a channel (``ldmd.lattice.linewidths.scattered``) is left out: its lifetime
    is not known, and a linewidth that is rounding would make it years.
    """
    index = np.flatnonzero(modes.vibrating)
    has_channel = np.zeros(len(gamma), dtype=bool)
    has_channel[index] = scattered(gamma[index], modes.frequencies[index])
    total, intraband, per_mode = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros(len(modes.frequencies))
    for rows in np.array_split(index, max(1, len(index) // 256)):
        weight = _pair_weights(modes, gamma, statistics, temperature, rows, index)
        weight *= has_channel[rows, None] | has_channel[None, index]
        weight *= CONDUCTIVITY / volume
        here = velocities[:, _span(rows)][:, :, _span(index)]
        weighted = [weight * here[a] for a in range(3)]
        for a, b in AXES:
            share = np.einsum("mn,mn->m", weighted[a], here[b])
            total[a, b] += share.sum()
            if a == b:
                per_mode[rows] += share / 3.0
        own = weight[np.arange(len(rows)), np.searchsorted(index, rows)]
        diagonal = velocities[:, rows, rows]
        intraband += np.einsum("m,am,bm->ab", own, diagonal, diagonal)
    total = np.triu(total) + np.triu(total, 1).T
    return ModeConductivity(total, intraband, per_mode)


def _span(index: np.ndarray) -> np.ndarray | slice:
    """A slice where the indices have no gap: a view instead of a copy."""
    whole = len(index) and index[-1] - index[0] == len(index) - 1
    return slice(int(index[0]), int(index[-1]) + 1) if whole else index


def _pair_weights(
    modes: Modes,
    gamma: np.ndarray,
    statistics: Statistics,
    temperature: float,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """c_mn tau_mn in eV ps/K for blocks of modes."""
    first, second = modes.frequencies[rows, None], modes.frequencies[None, columns]
    width = gamma[rows, None] + gamma[None, columns]
    lorentzian = np.divide(width, width**2 + (first - second) ** 2, out=np.zeros_like(width), where=width > 0.0)
    return statistics.heat_capacity(first, second, temperature) * lorentzian


def mode_diffusivity(modes: Modes, velocities: np.ndarray, broadening: float) -> np.ndarray:
    """Allen-Feldman diffusivity D_m (3N,) in Angstrom^2/ps; ``broadening`` is every mode's linewidth (HWHM, rad/ps)."""
    index = np.flatnonzero(modes.vibrating)
    result = np.zeros(len(modes.frequencies))
    for rows in np.array_split(index, max(1, len(index) // 256)):
        detuning = modes.frequencies[rows, None] - modes.frequencies[None, index]
        lorentzian = 2.0 * broadening / (4.0 * broadening**2 + detuning**2)
        result[rows] = np.sum(np.sum(velocities[:, rows][:, :, index] ** 2, axis=0) * lorentzian, axis=1) / 3.0
    return result


def conductivity(
    modes: Modes, velocities: np.ndarray, widths: Linewidths, volume: float, allen_feldman_broadening: float
) -> Conductivity:
    """All temperatures and statistics of the linewidths; ``allen_feldman_broadening`` is each mode's HWHM in rad/ps."""
    shape = widths.gamma.shape[:2]
    qhgk, intraband, allen_feldman = (np.empty((*shape, 3, 3)) for _ in range(3))
    per_mode = np.empty(widths.gamma.shape)
    constant = np.full(len(modes.frequencies), allen_feldman_broadening)
    for t, temperature in enumerate(widths.temperatures):
        for s, name in enumerate(widths.statistics):
            kind = statistics_named(name)
            settings = (kind, float(temperature), volume)
            result = quasi_harmonic_green_kubo(modes, velocities, widths.gamma[t, s], *settings)
            qhgk[t, s], intraband[t, s], per_mode[t, s] = result.total, result.intraband, result.per_mode
            allen_feldman[t, s] = quasi_harmonic_green_kubo(modes, velocities, constant, *settings).total
    return Conductivity(
        temperatures=widths.temperatures,
        statistics=widths.statistics,
        qhgk=qhgk,
        intraband=intraband,
        allen_feldman=allen_feldman,
        allen_feldman_broadening=allen_feldman_broadening,
        per_mode=per_mode,
        diffusivity=mode_diffusivity(modes, velocities, allen_feldman_broadening),
    )
