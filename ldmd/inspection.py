"""What must be true of a structure before its force constants mean anything."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.results import Check, quantity


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Geometry and mechanics of a structure under a potential."""

    symbols: tuple[str, ...]
    positions: np.ndarray = quantity(("atom", "xyz"), "Angstrom", "positions")
    cell: np.ndarray = quantity(("vector", "xyz"), "Angstrom", "cell vectors in rows")
    energy_per_atom: float  # eV
    pressure: float  # GPa
    density: float  # g/cm^3
    largest_force: float  # eV/Angstrom
    species: tuple[str, ...]
    coordination: np.ndarray = quantity(("species", "neighbours"), "1", "number of atoms of a species with 0, 1, 2... neighbours")
    switching_pairs: np.ndarray = quantity(("pair", "atom_of_pair"), "1", "pairs inside a switching region of the cutoff")
    switching_distances: np.ndarray = quantity(("pair",), "Angstrom", "their distances")
    outer_cutoffs: np.ndarray = quantity(("pair",), "Angstrom", "the outer cutoff of each such pair")
    checks: tuple[Check, ...] = ()
