"""Harmonic sampling: displacements drawn from the thermal distribution of normal modes, without dynamics."""

from __future__ import annotations

import numpy as np

from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import Statistics
from ldmd.units import FORCE_TO_ACCELERATION, HBAR


def mode_variances(modes: Modes, statistics: Statistics, temperature: float) -> np.ndarray:
    """Variance of each normal coordinate, (3N,) in amu Angstrom^2: hbar (n + 1/2) / w, classically k_B T / w^2.

    Zero for rigid translations and imaginary modes.
    """
    mask = modes.vibrating
    frequencies = modes.frequencies[mask]
    quanta = statistics.occupation(frequencies, temperature) + 0.5 * statistics.vacuum
    result = np.zeros(len(modes.frequencies))
    result[mask] = HBAR * FORCE_TO_ACCELERATION * quanta / frequencies
    return result


def harmonic_displacements(
    modes: Modes, statistics: Statistics, temperature: float, count: int, generator: np.random.Generator
) -> np.ndarray:
    """``count`` independent displacements (count, N, 3) in Angstrom (West and Estreicher, PRL 96, 115504 (2006))."""
    amplitudes = np.sqrt(mode_variances(modes, statistics, temperature))
    normal = generator.normal(size=(count, len(amplitudes))) * amplitudes
    return (normal @ modes.displacements.T).reshape(count, -1, 3)
