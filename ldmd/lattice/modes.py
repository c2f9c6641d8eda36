"""Vibrational modes at Gamma: frequencies, eigenvectors, participation ratios, density of states, velocities."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.results import quantity


@dataclasses.dataclass(frozen=True)
class Modes:
    """Normal modes of a cell at Gamma, in ascending order of frequency."""

    frequencies: np.ndarray = quantity(("mode",), "rad/ps", "angular frequency, negative where imaginary")
    eigenvectors: np.ndarray = quantity(("coordinate", "mode"), "1", "orthonormal columns, mass-weighted, 3 atom + xyz")
    participation_ratio: np.ndarray = quantity(("mode",), "1", "1 for a uniform mode, 1/N for a single atom")
    translations: np.ndarray = quantity(("translation",), "1", "indices of the three rigid translations")
    masses: np.ndarray = quantity(("atom",), "amu", "atomic masses")
