"""What is known about each low-frequency linewidth: the input of a verdict, as measured numbers and nothing else.

Every array holds one value for each diagnosed mode: the lowest vibrating ones, in ascending order of frequency. NaN
says that something was not measured, or cannot be for these force constants; it must not be read as innocence.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ldmd.results import quantity

METERS = {
    "noise_floor": "noise floor",
    "gamma_projected": "restored symmetries",
    "truncation": "truncation of finite differences",
    "gamma_exact": "exact derivatives",
    "kink_share": "bonds at kinks",
    "slope": "steps along modes",
    "gamma_self_consistent": "self-consistent linewidths (ldmd widths)",
    "gamma_reference": "a reference model",
}
"""Fields of the evidence that may be missing, in words."""


def _where_measured(description: str) -> Any:
    """A column in rad/ps, one value for each mode, that may be left out."""
    metadata = {"dims": ("mode",), "unit": "rad/ps", "description": description}
    return dataclasses.field(default_factory=lambda: np.empty(0), metadata=metadata)


LATER = ("diagonal_floor", "scatter_floor", "gamma_remeasured", "floor_remeasured", "gamma_at_amplitude")
"""Fields that are NaN where they are not given."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """Meters of the lowest modes at one temperature, with one statistics."""

    temperature: float  # K
    statistics: str
    source: str
    """Of the third-order force constants: "autodiff", "finite differences" or the name of a file."""
    kernel: str
    width: float  # rad/ps
    modes: np.ndarray = quantity(("mode",), "1", "index of the mode among all 3N, ascending frequency")
    frequencies: np.ndarray = quantity(("mode",), "rad/ps", "angular frequency")
    gamma: np.ndarray = quantity(("mode",), "rad/ps", "linewidth with the force constants in use, HWHM")
    participation_ratio: np.ndarray = quantity(("mode",), "1", "1 for a uniform mode, 1/N for a single atom")
    effective_channels: np.ndarray = quantity(("mode",), "1", "effective number of scattering channels")
    top_two_share: np.ndarray = quantity(("mode",), "1", "share of the two strongest channels")
    width_sensitivity: np.ndarray = quantity(("mode",), "1", "d ln(linewidth) / d ln(width of the kernel)")
    gamma_self_consistent: np.ndarray = quantity(
        ("mode",), "rad/ps", "linewidth of lines that broaden each other, HWHM"
    )
    noise_floor: np.ndarray = quantity(
        ("mode",), "rad/ps", "excess linewidth expected from independent errors of the elements of Phi3, HWHM"
    )
    truncation: np.ndarray = quantity(
        ("mode",), "1", "relative error of the linewidth by the step of the finite differences in use"
    )
    gamma_exact: np.ndarray = quantity(
        ("mode",), "rad/ps", "linewidth by automatic differentiation of the same potential, HWHM"
    )
    gamma_projected: np.ndarray = quantity(
        ("mode",), "rad/ps", "linewidth after translation and permutation symmetry were restored, HWHM"
    )
    gamma_reference: np.ndarray = quantity(
        ("mode",), "rad/ps", "linewidth under the reference model in the subspace of the same mode, HWHM"
    )
    steps: np.ndarray = quantity(
        ("step",), "Angstrom", "rms displacement of the atoms in the scan along modes, ascending"
    )
    gamma_of_step: np.ndarray = quantity(
        ("mode", "step"), "rad/ps", "linewidth from central differences of Hessians along the mode, HWHM"
    )
    slope: np.ndarray = quantity(
        ("mode",), "1", "d ln|change of phi| / d ln(step): -2 round-off, -1 kink, 0 converged, 2 truncation"
    )
    kink_share: np.ndarray = quantity(
        ("mode",), "1", "share of the squared bond stretch of the mode in pairs within reach of a kink"
    )
    diagonal_floor: np.ndarray = _where_measured(
        "excess linewidth expected from errors of the elements with one atom only, HWHM"
    )
    scatter_floor: np.ndarray = _where_measured(
        "excess linewidth expected from scatter of measurements that nothing explains, HWHM"
    )
    gamma_remeasured: np.ndarray = _where_measured(
        "linewidth from forces with all atoms displaced along two modes, HWHM"
    )
    floor_remeasured: np.ndarray = _where_measured(
        "excess linewidth that errors of that measurement would add, as measured, HWHM"
    )
    gamma_at_amplitude: np.ndarray = _where_measured(
        "linewidth from Hessians with the atoms at the thermal amplitude of the mode, HWHM"
    )
    """These five where they are not given: not measured."""
    residuals: tuple[tuple[str, float], ...] = ()
    """Relative violations of the sum rules of the force constants in use, by name."""
    sigma_force: float = math.nan
    """Measured noise of one component of a force, eV/Angstrom."""
    sigma_elements: float = math.nan
    """Standard deviation of independent errors of the elements of Phi3 in use, eV/Angstrom^3."""
    displacement: float = math.nan
    """Step of the finite differences in use, Angstrom."""
    step_remeasured: float = math.nan
    """How far atoms moved along each of two modes, Angstrom."""
    scatter: float = math.nan
    """Of repeated measurements of an element by finite differences, over what noise and truncation explain,"""
    scatter_of_noise: float = math.nan
    """and over what the noise of the forces explains alone."""
    spacing: float = math.nan
    """Mean distance between neighbouring frequencies of the cell, rad/ps."""
    atoms: int = 0
    """In the cell; 0 where not known."""

    def __post_init__(self) -> None:
        for name in LATER:
            if not getattr(self, name).size:
                object.__setattr__(self, name, unmeasured(len(self.modes)))


def unmeasured(count: int) -> np.ndarray:
    """One NaN for each mode."""
    return np.full(count, np.nan)
