"""Molecular dynamics on a differentiable potential: velocity Verlet, with the exact heat flux streamed."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.results import quantity


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """One replica of microcanonical dynamics: streamed samples and a few frames, never the whole trajectory."""

    sampling_interval: float  # ps between samples of flux, temperature and energy
    time_step: float  # ps
    volume: float  # Angstrom^3
    seed: int
    potential_flux: np.ndarray = quantity(("sample", "xyz"), "eV Angstrom/ps", "heat flux, virial part, extensive")
    kinetic_flux: np.ndarray = quantity(("sample", "xyz"), "eV Angstrom/ps", "heat flux, convective part, extensive")
    temperature: np.ndarray = quantity(("sample",), "K", "kinetic temperature, 3N - 3 degrees of freedom")
    energy: np.ndarray = quantity(("sample",), "eV/atom", "total energy per atom")
    frame_interval: float
    frame_positions: np.ndarray = quantity(("frame", "atom", "xyz"), "Angstrom", "unwrapped positions")
    frame_forces: np.ndarray = quantity(("frame", "atom", "xyz"), "eV/Angstrom", "forces")
