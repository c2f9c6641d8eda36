"""Potentials as the contract sees them, answers to questions about atoms; and the structures that it asks about."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from matscipy.neighbours import neighbour_list

from ldmd.potentials.ends import Radii
from ldmd.potentials.kinks import EnergyAndForces

if TYPE_CHECKING:
    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import ForcePotential


CLUSTER = 24
"""Atoms of the isolated cluster whose torque is looked at."""
VACUUM = 2.0
"""Angstrom of it between periodic images, beyond the cutoff."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A potential as the contract sees it."""

    energy_and_forces: EnergyAndForces
    energies: Callable[[Atoms], np.ndarray] | None = None
    """Energies of the atoms (N,), eV."""
    virial: Callable[[Atoms], np.ndarray] | None = None
    """Virial (3, 3), eV."""
    virials: Callable[[Atoms], np.ndarray] | None = None
    """Virials of the atoms (N, 3, 3), eV."""
    radii: Radii | None = None
    """Where its parts begin and end to act; where that is not known, its outer cutoff is looked for with dimers."""


def site_subject(potential: SitePotential) -> Subject:
    """A differentiable potential; its energy is the sum of its atoms' energies by construction."""
    from ldmd.potentials.base import energies_forces_virial, graph_parameters
    from ldmd.potentials.ends import radii_of
    from ldmd.structures import neighbour_graph

    widths: dict[tuple[int, ...], tuple[int, ...]] = {}

    def answer(atoms: Atoms) -> tuple[float, np.ndarray, np.ndarray]:
        key = tuple(atoms.numbers)
        start = widths.get(key, ())
        graph = neighbour_graph(atoms, potential.species, potential.switching, slots=start)
        if key not in widths:  # some to spare: displaced atoms find the code compiled
            widths[key] = tuple(slots + 2 for slots in graph.slots)
            graph = neighbour_graph(atoms, potential.species, potential.switching, slots=widths[key])
        energies, forces, virial = energies_forces_virial(
            potential.site_energies, atoms.positions, graph, graph_parameters(potential, graph)
        )
        return float(np.sum(np.asarray(energies))), np.asarray(forces), np.asarray(virial)

    return Subject(lambda atoms: answer(atoms)[:2], virial=lambda atoms: answer(atoms)[2], radii=radii_of(potential))


def force_subject(potential: ForcePotential) -> Subject:
    """A black box, with what it offers."""
    offers = potential.offers()
    return Subject(
        lambda atoms: (potential.energy(atoms), potential.forces(atoms)),
        energies=potential.energies if "energies" in offers else None,
        virial=(lambda atoms: -atoms.get_volume() * potential.stress(atoms)) if "stress" in offers else None,
        virials=potential.virials if "virials" in offers else None,
    )


def isolated_cluster(atoms: Atoms, cutoff: float, size: int = CLUSTER) -> Atoms:
    """The atoms nearest to the first one, periodic images included, in a box with vacuum beyond the cutoff."""
    reach, ends, vectors = 4.0, np.empty(0, dtype=int), np.empty((0, 3))
    while len(ends) < size - 1:
        i, j, arms = neighbour_list("ijD", atoms, reach)
        ends, vectors = j[i == 0], arms[i == 0]
        reach *= 1.3
    near = np.argsort(np.sum(vectors**2, axis=1), kind="stable")[: size - 1]
    positions = np.vstack([np.zeros(3), vectors[near]])
    edges = np.ptp(positions, axis=0) + cutoff + VACUUM
    positions += 0.5 * edges - 0.5 * (positions.min(axis=0) + positions.max(axis=0))
    cluster = atoms[np.append(0, ends[near])]  # with all that a calculator may look at
    cluster.set_cell(edges)
    cluster.set_positions(positions, apply_constraint=False)
    return cluster


def trial_lattice(species: tuple[str, ...], cutoff: float, seed: int = 1) -> Atoms:
    """A simple cubic lattice with the species at random sites, where no structure is at hand.

    Neighbours are 1.1 times as far apart as the largest atoms bond; the cell is at least twice the cutoff across.
    """
    spacing = 2.2 * max(covalent_radii[atomic_numbers[symbol]] for symbol in species)
    cells = max(3, math.ceil(2.0 * cutoff / spacing))
    sites = np.indices((cells,) * 3).reshape(3, -1).T
    kinds = np.resize(np.array(species), len(sites))
    shuffled = np.random.default_rng(seed).permutation(kinds)
    positions = (sites + 0.5) * spacing
    return Atoms(list(shuffled), positions=positions, cell=[cells * spacing] * 3, pbc=True)
