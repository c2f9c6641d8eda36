"""Constants and conversions, nothing else; every number derives from ``scipy.constants``.

Internal units: eV, Angstrom, amu, ps, K. Angular frequency is in rad/ps, thermal conductivity in W/(m K),
a linewidth is the half width at half maximum (HWHM) in rad/ps. Fluxes are extensive, in eV Angstrom/ps.
"""

from __future__ import annotations

import math

from scipy import constants

BOLTZMANN: float = constants.k / constants.e
"""Boltzmann constant, eV/K."""

HBAR: float = constants.hbar / constants.e * 1e12
"""Reduced Planck constant, eV ps."""

FORCE_TO_ACCELERATION: float = constants.e / constants.atomic_mass * 1e-4
"""Acceleration in Angstrom/ps^2 of 1 amu under 1 eV/Angstrom; also ps^-2 per eV/(amu Angstrom^2)."""

THZ: float = 2.0 * math.pi
"""Angular frequency of 1 THz, rad/ps."""

CONDUCTIVITY: float = constants.e * 1e22
"""W/(m K) per eV/(Angstrom ps K)."""

GPA: float = constants.e * 1e21
"""GPa per eV/Angstrom^3."""

GRAM_PER_CUBIC_CENTIMETRE: float = constants.atomic_mass * 1e27
"""g/cm^3 per amu/Angstrom^3."""
