"""What is kept of a molecular dynamics run: streamed samples and a few frames, never the whole trajectory."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.dynamics.equilibrium import equilibrium_checks
from ldmd.results import Check, quantity
from ldmd.units import BOLTZMANN

DRIFT_LIMIT = 2e-4
"""eV/atom per 100 ps: 0.8 % of the thermal energy 3 k_B T at 300 K."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One replica of microcanonical dynamics."""

    sampling_interval: float  # ps between samples of flux, temperature and energy
    time_step: float  # ps
    volume: float  # Angstrom^3
    seed: int
    potential_flux: np.ndarray = quantity(("sample", "xyz"), "eV Angstrom/ps", "heat flux, virial part, extensive")
    kinetic_flux: np.ndarray = quantity(("sample", "xyz"), "eV Angstrom/ps", "heat flux, convective part, extensive")
    temperature: np.ndarray = quantity(("sample",), "K", "kinetic temperature, 3N - 3 degrees of freedom")
    energy: np.ndarray = quantity(("sample",), "eV/atom", "total energy per atom")
    frame_interval: float  # ps
    frame_positions: np.ndarray = quantity(("frame", "atom", "xyz"), "Angstrom", "unwrapped positions")
    frame_forces: np.ndarray = quantity(("frame", "atom", "xyz"), "eV/Angstrom", "forces")
    largest_momentum: float  # amu Angstrom/ps, norm of the total momentum at the end; 0 but for round-off

    @property
    def flux(self) -> np.ndarray:
        """Total heat flux (sample, xyz), eV Angstrom/ps."""
        return self.potential_flux + self.kinetic_flux

    @property
    def energy_drift(self) -> float:
        """Slope of the total energy by least squares, eV/atom per 100 ps."""
        time = self.sampling_interval * np.arange(len(self.energy))
        return 100.0 * float(np.polyfit(time - time.mean(), self.energy - self.energy.mean(), 1)[0])

    @property
    def duration(self) -> float:
        """ps"""
        return self.sampling_interval * len(self.energy)


def dynamics_checks(trajectories: tuple[Trajectory, ...], target: float) -> tuple[Check, ...]:
    """Energy, its effect on kappa, momentum and temperature of all replicas, worst one counted.

    A drift d over a run of length t changes the temperature by d t / 3 k_B (equipartition) from end to end. The
    prefactor 1/T^2 takes the mean temperature of the run, so the error of kappa is of second order; the first-order
    number 2 dT/T over half the run is stated as its bound.
    """
    drift = max(abs(t.energy_drift) for t in trajectories)
    mean = float(np.mean([t.temperature.mean() for t in trajectories]))
    heating = max(abs(t.energy_drift) * t.duration / 100.0 for t in trajectories) / (3.0 * BOLTZMANN)
    momentum = max(t.largest_momentum for t in trajectories)
    return (
        Check(
            "energy drift",
            drift,
            "<=",
            DRIFT_LIMIT,
            "eV/atom per 100 ps",
            "shorten the time step, or look for pairs at the cutoff",
        ),
        Check(
            "bound on the error of kappa from the drift",
            heating / mean,
            "<=",
            0.02,
            "relative",
            "shorten the time step",
        ),
        Check("mean temperature off target", abs(mean - target), "<=", 0.03 * target, "K", "equilibrate longer"),
        Check(
            "total momentum",
            momentum,
            "<=",
            1e-6,
            "amu Angstrom/ps",
            "round-off only: report this as a defect",
        ),
        *equilibrium_checks(trajectories),
    )
