"""Three-phonon linewidths at Gamma: each scattering triplet once, for all temperatures and both statistics."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.results import quantity


@dataclasses.dataclass(frozen=True)
class Linewidths:
    """Linewidths (HWHM) of all modes, at every temperature and for every statistics asked for."""

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    gamma: np.ndarray = quantity(("temperature", "statistics", "mode"), "rad/ps", "linewidth, HWHM; 0 for translations")
    kernel: str
    width: float
