"""The minima that the dynamics visits, and what lattice dynamics says in each of them.

Lattice dynamics stands on one minimum of the potential energy; a glass has many, and dynamics may wander among
neighbouring ones (Stillinger and Weber, Phys. Rev. A 25, 978 (1982)). Frames are relaxed to the minimum they belong
to. Where these differ from the structure of the case, the classical QHGK conductivity is computed in each: its spread
is the uncertainty that comes from having chosen one of them, and the anharmonicity score with respect to a frame's
own minimum tells real anharmonicity from mere migration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from ase import Atoms

from ldmd.anharmonicity import displacements_from
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import normal_modes, velocity_matrices
from ldmd.lattice.statistics import Classical
from ldmd.potentials.base import SitePotential
from ldmd.relaxation import evaluate, relax
from ldmd.results import quantity
from ldmd.structures import neighbour_graph

ROUNDING = 1e-6
"""Relative difference of conductivities in one and the same minimum, found twice."""
MOVED = 0.2
"""Angstrom: an atom that moved farther from one minimum to another belongs to what rearranged."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Minima:
    """Minima of some frames of the dynamics."""

    temperature: float  # K
    energy: np.ndarray = quantity(("minimum",), "eV", "energy above the structure of the case, whole cell")
    moved: np.ndarray = quantity(
        ("minimum",), "1", "share of atoms more than 0.2 Angstrom from the structure of the case"
    )
    conductivity: np.ndarray = quantity(("minimum",), "W/(m K)", "classical QHGK, trace/3")
    sigma: np.ndarray = quantity(("minimum",), "1", "sigma^A of the frame with respect to its own minimum")

    @property
    def spread(self) -> float:
        """Standard deviation of the conductivity over the minima, W/(m K); 0 with fewer than two, or all the same."""
        if len(self.conductivity) < 2 or np.ptp(self.conductivity) <= ROUNDING * np.abs(self.conductivity).max():
            return 0.0
        return float(np.std(self.conductivity, ddof=1))


def visited_minima(
    reference: Atoms,
    potential: SitePotential,
    frames: list[tuple[np.ndarray, np.ndarray]],
    temperature: float,
    broadening: Broadening,
    progress: Callable[[float], None],
) -> Minima:
    """Relax frames (positions and forces, (N, 3) each) and do classical lattice dynamics in their minima."""
    energy = evaluate(reference, potential).energy
    rows = []
    for positions, forces in frames:
        atoms = reference.copy()
        atoms.positions = positions
        minimum = relax(atoms, potential)
        shift = displacements_from(reference.positions, minimum.positions, reference.cell.array, reference.get_masses())
        sigma, kappa = _in_minimum(minimum, potential, positions, forces, temperature, broadening)
        moved = float(np.mean(np.linalg.norm(shift, axis=1) > MOVED))
        rows.append((evaluate(minimum, potential).energy - energy, moved, kappa, sigma))
        progress(1.0)
    columns = np.array(rows).reshape(-1, 4).T
    return Minima(
        temperature=temperature, energy=columns[0], moved=columns[1], conductivity=columns[2], sigma=columns[3]
    )


def _in_minimum(
    minimum: Atoms,
    potential: SitePotential,
    positions: np.ndarray,
    forces: np.ndarray,
    temperature: float,
    broadening: Broadening,
) -> tuple[float, float]:
    """sigma^A of one frame, and the classical QHGK conductivity (W/(m K)), both of one minimum."""
    graph = neighbour_graph(minimum, potential.species, potential.switching)
    second = second_order(potential, minimum.positions, graph)
    third = third_order(potential, minimum.positions, graph)
    masses, cell = minimum.get_masses(), minimum.cell.array
    displacements = displacements_from(minimum.positions, positions, cell, masses)
    sigma = np.sqrt(np.sum((forces - second.forces(displacements)) ** 2) / np.sum(forces**2))
    modes = normal_modes(second, masses)
    gamma = linewidths(third, modes, (temperature,), ("classical",), broadening).gamma[0, 0]
    velocities = velocity_matrices(second, modes, minimum.positions, cell)
    result = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), temperature, minimum.get_volume())
    return float(sigma), float(np.trace(result.total) / 3.0)
