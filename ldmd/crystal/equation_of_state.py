"""Murnaghan's equation of state: energy against volume, the bulk modulus B and its derivative B' with pressure.

E(V) = E0 + (B V / B') [(V0 / V)^B' / (B' - 1) + 1] - B V0 / (B' - 1)

F. D. Murnaghan, Proc. Natl. Acad. Sci. 30, 244 (1944): B is linear in the pressure. Fitted by least squares; the
standard errors are those of the fit, from how far the energies lie from the curve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from scipy.optimize import least_squares

from ldmd.errors import InputError
from ldmd.results import Check, Estimate, quantity
from ldmd.units import GPA

if TYPE_CHECKING:
    from ldmd.crystal.elasticity import ElasticConstants
    from ldmd.potentials.base import SitePotential

AGREEMENT = 0.02
"""Between bulk moduli from the equation of state and from elastic constants."""


@dataclasses.dataclass(frozen=True)
class EquationOfState:
    """The fit, and what was fitted."""

    volume: Estimate
    """At rest, Angstrom^3."""
    energy: Estimate
    """At rest, eV."""
    bulk_modulus: Estimate
    """GPa."""
    pressure_derivative: Estimate
    """dB/dp, a pure number."""
    volumes: np.ndarray = quantity(("volume_point",), "Angstrom^3", "volumes of the scan")
    energies: np.ndarray = quantity(("volume_point",), "eV", "energies at these volumes, positions relaxed")
    residuals: np.ndarray = quantity(("volume_point",), "eV", "energy less the fit")


def murnaghan(
    volumes: np.ndarray, energy: float, volume: float, bulk_modulus: float, pressure_derivative: float
) -> np.ndarray:
    """Energies (eV) at volumes (Angstrom^3), for a bulk modulus in eV/Angstrom^3."""
    ratio, slope = volume / np.asarray(volumes), pressure_derivative
    compressed = bulk_modulus * np.asarray(volumes) / slope * (ratio**slope / (slope - 1.0) + 1.0)
    return np.asarray(energy + compressed - bulk_modulus * volume / (slope - 1.0))


def fit(volumes: np.ndarray, energies: np.ndarray) -> EquationOfState:
    """Fit energies (eV) at volumes (Angstrom^3); all must belong to the same number of atoms.

    Raises
    ------
    InputError
        For fewer than five volumes, or energies without a minimum.
    """
    volumes, energies = np.asarray(volumes, dtype=float), np.asarray(energies, dtype=float)
    if len(volumes) < 5:
        raise InputError("volumes", len(volumes), "four numbers are fitted; give at least five volumes")
    curvature, slope, _ = np.polyfit(volumes, energies, 2)
    if curvature <= 0.0:
        raise InputError("energies", "no minimum", "the crystal is not stable at these volumes")
    volume = -slope / (2.0 * curvature)
    parameters, errors = _least_squares(volumes, energies, volume, 2.0 * curvature * volume)
    inside = Check(
        name="minimum within the scan",
        value=float(abs(parameters[1] - 0.5 * (volumes.max() + volumes.min())) / np.ptp(volumes)),
        relation="<=",
        threshold=0.5,
        unit="1",
        advice="The volume at rest lies outside the scan: start from a relaxed crystal.",
    )
    found = [float(value) for value in parameters]
    return EquationOfState(
        volume=Estimate(found[1], float(errors[1]), "Angstrom^3", checks=(inside,)),
        energy=Estimate(found[0], float(errors[0]), "eV"),
        bulk_modulus=Estimate(found[2] * GPA, float(errors[2]) * GPA, "GPa"),
        pressure_derivative=Estimate(found[3], float(errors[3]), "1"),
        volumes=volumes,
        energies=energies,
        residuals=energies - murnaghan(volumes, *found),
    )


def _least_squares(
    volumes: np.ndarray, energies: np.ndarray, volume: float, modulus: float
) -> tuple[np.ndarray, np.ndarray]:
    """The four parameters of ``murnaghan`` and their standard errors, from a parabola's volume and modulus."""
    origin, scale = float(energies.min()), modulus * float(np.ptp(volumes)) ** 2 / volume

    def parameters(x: np.ndarray) -> np.ndarray:
        return np.array([origin + scale * x[0], volume * (1.0 + x[1]), modulus * (1.0 + x[2]), 4.0 * (1.0 + x[3])])

    def misfit(x: np.ndarray) -> np.ndarray:
        return (murnaghan(volumes, *parameters(x)) - energies) / scale

    found = least_squares(misfit, np.zeros(4), jac="3-point", x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    lengths = np.linalg.norm(found.jac, axis=0)
    spread = np.sqrt(2.0 * found.cost / max(1, len(volumes) - 4))
    inverse = np.linalg.inv((found.jac / lengths).T @ (found.jac / lengths))
    errors = spread * np.sqrt(np.diag(inverse)) / lengths
    return parameters(found.x), errors * np.array([scale, volume, modulus, 4.0])


def scan(atoms: Atoms, energy: Callable[[Atoms], float], strain: float = 0.02, points: int = 9) -> EquationOfState:
    """Fit the energies of a crystal dilated by up to +- ``strain`` of its length, the shape of its cell kept.

    ``energy`` gives eV with the positions relaxed in a given cell: ``relaxed_energy``, or any program's.
    """
    volumes, energies = [], []
    for stretch in np.linspace(-strain, strain, points):
        dilated = atoms.copy()
        dilated.set_cell(atoms.cell.array * (1.0 + stretch), scale_atoms=True)
        volumes.append(dilated.get_volume())
        energies.append(energy(dilated))
    return fit(np.array(volumes), np.array(energies))


def relaxed_energy(potential: SitePotential) -> Callable[[Atoms], float]:
    """Energy (eV) in a fixed cell with the positions relaxed, by a differentiable potential."""
    from ldmd.relaxation import evaluate, relax

    def energy(atoms: Atoms) -> float:
        return evaluate(relax(atoms, potential), potential).energy

    return energy


def bulk_modulus_check(state: EquationOfState, elastic: ElasticConstants) -> Check:
    """Whether the equation of state and the elastic constants (Reuss: the cell free to change shape) agree.

    A scan that keeps the shape of the cell is an upper bound, which cubic crystals attain.
    """
    expected = elastic.averages.bulk_reuss
    return Check(
        name="bulk modulus by two routes",
        value=abs(state.bulk_modulus.value / expected - 1.0),
        relation="<=",
        threshold=AGREEMENT,
        unit="1",
        advice=(
            "Equation of state and elastic constants differ: scan fewer or closer volumes, relax more tightly, or, "
            "where the crystal is not cubic, mind that the scan keeps the shape of the cell."
        ),
    )
