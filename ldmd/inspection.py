"""What must be true of a structure before its force constants mean anything."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import spglib
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from ldmd.potentials.base import SitePotential
from ldmd.potentials.black_box import AsePotential
from ldmd.potentials.black_box_relaxation import evaluate_black_box
from ldmd.potentials.contract import SHIFT
from ldmd.potentials.ends import radius_table
from ldmd.relaxation import State, evaluate
from ldmd.results import Check, quantity
from ldmd.structures import pairs_within, species_indices
from ldmd.units import GRAM_PER_CUBIC_CENTIMETRE

LARGEST_FORCE = 1e-6
"""eV/Angstrom. A residual force F shifts a coordinate by F/k: 1e-6 on a soft 0.1 eV/A^2 mode is 1e-5 Angstrom."""
AT_AN_END = 1e-5
"""Angstrom: a pair this near to a radius where the potential bends sharply has no derivatives to speak of. It is how
far a residual force of ``LARGEST_FORCE`` leaves a soft coordinate from its minimum."""
ABOVE_NOISE = 10.0
"""Times the noise of a force component: the largest force that noise alone leaves on any of many atoms at rest."""
BONDED = 1.25
"""Of the sum of covalent radii: between the first and the second shell of most solids."""
MIXED = 0.2
"""Share of the atoms of a species: a number of neighbours that so many have is no defect but a second kind of site."""
SAME_SITE = 0.1
"""Angstrom by which copies of a site may differ: atoms of a crystal at rest do less, those around a defect more."""
TRANSLATIONS = 3
LARGEST_PRESSURE = 0.1
"""GPa. Within 0.3 % of the volume of a glass with a bulk modulus of some 40 GPa."""

Potential = SitePotential | AsePotential


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """Geometry and mechanics of a structure under a potential."""

    symbols: tuple[str, ...]
    positions: np.ndarray = quantity(("atom", "xyz"), "Angstrom", "positions")
    cell: np.ndarray = quantity(("vector", "xyz"), "Angstrom", "cell vectors in rows")
    energy_per_atom: float  # eV; this, pressure and force NaN without a potential
    pressure: float  # GPa
    density: float  # g/cm^3
    largest_force: float  # eV/Angstrom
    species: tuple[str, ...]
    coordination: np.ndarray = quantity(
        ("species", "neighbours"), "1", "number of atoms of a species with 0, 1, 2... neighbours"
    )
    switching: np.ndarray = quantity(
        ("species", "other_species", "bound"), "Angstrom", "where the cutoff of each pair begins and ends to act"
    )
    switching_pairs: np.ndarray = quantity(
        ("pair", "atom_of_pair"), "1", "pairs inside a switching region, or at an end of a part, of the potential"
    )
    switching_distances: np.ndarray = quantity(("pair",), "Angstrom", "their distances")
    outer_cutoffs: np.ndarray = quantity(("pair",), "Angstrom", "the outer cutoff of each such pair")
    checks: tuple[Check, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether force constants of this structure mean anything: a smooth minimum, no pair at a kink."""
        return all(check.passed for check in self.checks if check.name in (FORCE_CHECK, SWITCHING_CHECK))


FORCE_CHECK = "largest residual force"
SWITCHING_CHECK = "pairs in a switching region"
PRESSURE_CHECK = "pressure"
COORDINATION_CHECK = "atoms with an unusual number of neighbours"


def inspect_structure(atoms: Atoms, potential: Potential | None, crystal: bool = False) -> Inspection:
    """Look at a structure that has passed ``structures.require_fits``.

    The atoms of a ``crystal`` may have as many kinds of neighbourhoods as it has sites. Without a potential (where
    force constants are all that is known) energy, force and pressure are NaN, and nothing asks for them.
    """
    state = State(math.nan, np.full((1, 3), math.nan), math.nan) if potential is None else state_of(atoms, potential)
    species = tuple(dict.fromkeys(atoms.get_chemical_symbols()))
    switching = switching_of(potential, species)
    pairs, distances, outer = _switching_pairs(atoms, species, switching, rough_ends_of(potential, species))
    neighbours = neighbour_counts(atoms, species, switching)
    coordination = coordination_table(atoms, species, neighbours)
    limit = LARGEST_FORCE
    if isinstance(potential, AsePotential) and not state.largest_force <= limit:
        limit = max(limit, ABOVE_NOISE * force_noise(atoms, potential, state.forces))
    density = float(atoms.get_masses().sum()) / atoms.get_volume() * GRAM_PER_CUBIC_CENTIMETRE
    checks: tuple[Check, ...] = (
        Check(FORCE_CHECK, state.largest_force, "<=", limit, "eV/Angstrom",
              "relax the structure; if it cannot be relaxed further, it stands on a kink of the potential"),
        Check(SWITCHING_CHECK, float(len(pairs)), "<=", 0.0, "pairs",
              "the curvature of the potential jumps there: choose a structure (or a potential) without such pairs"),
        Check(COORDINATION_CHECK, unusual_share(atoms, neighbours), "<=", 0.01, "share of atoms",
              "coordination defects: anneal longer, or build a continuous random network"),
        Check(PRESSURE_CHECK, abs(state.pressure), "<=", LARGEST_PRESSURE, "GPa",
              "relax the volume too (ldmd relax --volume), unless this pressure is meant"),
    )  # fmt: skip
    if math.isnan(state.pressure):  # the potential knows no stress
        checks = tuple(check for check in checks if check.name != PRESSURE_CHECK)
    if crystal:
        checks = tuple(check for check in checks if check.name != COORDINATION_CHECK)
    if potential is None:
        checks = tuple(check for check in checks if check.name == COORDINATION_CHECK)
    return Inspection(
        symbols=tuple(atoms.get_chemical_symbols()),
        positions=atoms.positions.copy(),
        cell=atoms.cell.array.copy(),
        energy_per_atom=state.energy / len(atoms),
        pressure=state.pressure,
        density=density,
        largest_force=state.largest_force,
        species=species,
        coordination=coordination,
        switching=switching,
        switching_pairs=pairs,
        switching_distances=distances,
        outer_cutoffs=outer,
        checks=checks,
    )


def force_noise(atoms: Atoms, potential: AsePotential, forces: np.ndarray) -> float:
    """Root mean square change (eV/Angstrom) of the components of the ``forces`` (N, 3) under small rigid translations.

    Nothing but round-off changes them: by 1e-14 in double precision, 1e-6 to 1e-4 in single.
    """
    generator, changes = np.random.default_rng(1), []
    for _ in range(TRANSLATIONS):
        moved = atoms.copy()
        moved.positions += generator.uniform(-SHIFT, SHIFT, size=3)
        moved.wrap()
        changes.append(potential.forces(moved) - forces)
    return float(np.sqrt(np.mean(np.square(changes))))


def state_of(atoms: Atoms, potential: Potential) -> State:
    """Energy, forces and static pressure, whatever kind the potential is of."""
    return evaluate_black_box(atoms, potential) if isinstance(potential, AsePotential) else evaluate(atoms, potential)


def switching_of(potential: Potential | None, species: tuple[str, ...]) -> np.ndarray:
    """Where the cutoff of each pair of species begins and ends to act (S, S, 2), Angstrom; zeros where not known."""
    if potential is None or isinstance(potential, AsePotential):
        return np.zeros((len(species), len(species), 2))
    return potential.switching[np.ix_(*[[potential.species.index(name) for name in species]] * 2)]


def rough_ends_of(potential: Potential | None, species: tuple[str, ...]) -> np.ndarray:
    """Every radius (S, S, k) where a part of the potential may bend sharply, Angstrom; zeros where not known."""
    if potential is None or isinstance(potential, AsePotential):
        return np.zeros((len(species), len(species), 1))
    return radius_table(potential, rough=True)[np.ix_(*[[potential.species.index(name) for name in species]] * 2)]


def switching_pairs(atoms: Atoms, potential: SitePotential) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (n, 2) where the potential bends sharply, their distances and the radii that they are near, Angstrom.

    These are pairs between the inner and outer radius of their cutoff, where it has a narrow switching region (its
    outer radius is given then); and pairs that stand, to within ``AT_AN_END``, at any radius where a part of the
    potential begins or ends to act. A cutoff function that acts from distance 0 on has no narrow region.
    """
    return _switching_pairs(atoms, potential.species, potential.switching, rough_ends_of(potential, potential.species))


def _switching_pairs(
    atoms: Atoms, species: tuple[str, ...], switching: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    narrow = np.where(switching[..., :1] > 0.0, switching, 0.0)
    narrow = np.where(switching[..., :1] < switching[..., 1:], narrow, 0.0)
    reach = np.maximum(narrow[..., 1] * (1.0 + 1e-6), np.where(ends > 0.0, ends + AT_AN_END, 0.0).max(axis=-1))
    i, j, offsets = pairs_within(atoms, species, reach)
    kinds = species_indices(atoms, species)
    distances = np.linalg.norm(atoms.positions[j] + offsets - atoms.positions[i], axis=1)
    inner, outer = (narrow[kinds[i], kinds[j], side] for side in (0, 1))
    within = (distances >= inner) & (distances <= outer * (1.0 + 1e-6))
    gaps = np.abs(ends[kinds[i], kinds[j]] - distances[:, None])
    nearest = np.take_along_axis(ends[kinds[i], kinds[j]], gaps.argmin(axis=1)[:, None], axis=1)[:, 0]
    chosen = (within | (gaps.min(axis=1) <= AT_AN_END)) & (i < j)
    radius = np.where(within, outer, nearest)
    order = np.argsort((radius - distances)[chosen])
    return np.stack([i, j], axis=1)[chosen][order], distances[chosen][order], radius[chosen][order]


def neighbour_counts(atoms: Atoms, species: tuple[str, ...], switching: np.ndarray) -> np.ndarray:
    """How many neighbours each atom has (N,).

    Neighbours are nearer than the middle of their switching region where that is narrow, else than ``BONDED`` times
    the sum of their covalent radii.
    """
    radii = np.array([covalent_radii[atomic_numbers[name]] for name in species])
    inner, outer = switching[..., 0], switching[..., 1]
    narrow = (inner > 0.0) & (inner < outer)
    reach = np.where(narrow, 0.5 * (inner + outer), BONDED * (radii[:, None] + radii))
    i, _, _ = pairs_within(atoms, species, reach)
    return np.bincount(i, minlength=len(atoms))


def coordination_table(atoms: Atoms, species: tuple[str, ...], neighbours: np.ndarray) -> np.ndarray:
    """How many atoms of each species have 0, 1, 2... of the neighbours (N,)."""
    symbols = np.array(atoms.get_chemical_symbols())
    width = int(neighbours.max()) + 1
    return np.array([np.bincount(neighbours[symbols == name], minlength=width) for name in species])


def unusual_share(atoms: Atoms, neighbours: np.ndarray) -> float:
    """Share of atoms with another number of neighbours (N,) than is usual where they are.

    Usual is what most atoms of the species have, and every number that at least ``MIXED`` of them have. Where that does
    not explain all atoms of a crystal that the cell repeats, it is what most copies of the same site of its primitive
    cell have.
    """
    share = _rare(atoms.numbers, neighbours, MIXED)
    sites = _sites(atoms) if share > 0.0 else None
    return share if sites is None else _rare(sites, neighbours, 1.0)


def _rare(groups: np.ndarray, neighbours: np.ndarray, enough: float) -> float:
    """Share of atoms whose number of neighbours is not the commonest of their group, nor that of ``enough`` of it."""
    usual = np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        counts = np.bincount(neighbours[members])
        common = (counts == counts.max()) | (counts >= enough * len(members))
        usual[members] = common[neighbours[members]]
    return float(1.0 - usual.mean())


def _sites(atoms: Atoms) -> np.ndarray | None:
    """The site of a primitive cell that each atom is a copy of (N,); None where the cell repeats none."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib's, of how it reports errors
        found = spglib.get_symmetry_dataset(cell, symprec=SAME_SITE)
    if found is None:
        return None
    sites = np.asarray(found.mapping_to_primitive)
    return sites if sites.max() + 1 < len(sites) else None
