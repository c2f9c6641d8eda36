"""Thermal conductivity of harmonic modes with finite linewidths: QHGK, its intraband part, Allen-Feldman."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.results import quantity


@dataclasses.dataclass(frozen=True)
class Conductivity:
    """Conductivity tensors and the per-mode contributions to the isotropic average (trace/3)."""

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    qhgk: np.ndarray = quantity(("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "quasi-harmonic Green-Kubo tensor")
    intraband: np.ndarray = quantity(("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "its intraband (RTA) part")
    allen_feldman: np.ndarray = quantity(("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "Allen-Feldman tensor")
    allen_feldman_broadening: float
    per_mode: np.ndarray = quantity(("temperature", "statistics", "mode"), "W/(m K)", "QHGK contribution of each mode, trace/3")
    diffusivity: np.ndarray = quantity(("mode",), "Angstrom^2/ps", "Allen-Feldman mode diffusivity")
