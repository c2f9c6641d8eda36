"""Force constants of a crystal: the rows of its primitive cell, in a supercell, of second and third order.

From a differentiable potential they are exact. The energy of one primitive cell, E_0 = sum of its site energies, is a
function of a cluster of atoms; the crystal's energy is the sum of its translated copies, so that

Phi_{i0, jL} = sum_L' d2 E_0 / du_{i,-L'} du_{j,L-L'},

every derivative of E_0 moved to where its first atom is in the home cell; the third order likewise. What reaches
farther than half the supercell is folded into it, as a calculation in that supercell would have it. From a black box
they come by finite differences: of our own (``by_differences``), or with phono3py's displacements
(``by_phono3py_displacements``); or they are imported.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import spglib
from ase import Atoms
from ase.build import make_supercell
from matscipy.neighbours import neighbour_list

from ldmd.crystal.electrostatics import Electrostatics
from ldmd.errors import InputError
from ldmd.force_constants import autodiff, finite_differences
from ldmd.force_constants.exchange.constants import Elements, ForceConstants, from_blocks, of_supercell
from ldmd.force_constants.exchange.files import peer
from ldmd.force_constants.exchange.kinds import from_phonopy, to_phonopy, told_apart
from ldmd.force_constants.exchange.supercell import Supercell, matched, repeated
from ldmd.force_constants.finite_differences import Accuracy
from ldmd.force_constants.images import shortest_translation
from ldmd.foreign import quiet
from ldmd.potentials.base import SitePotential
from ldmd.potentials.evaluations import Evaluations
from ldmd.results import Check
from ldmd.structures import NeighbourGraph, build_graph, cell_heights, require_known, species_indices
from ldmd.visible import kinds_of

NOTICEABLE = 1e-3
"""Relative to the largest element: what counts for the reach of force constants."""
LONGEST_BOX = 30
"""Primitive cells along a vector of a supercell that is chosen, at most."""
MARGIN = 0.2
"""Angstrom: atoms that see each other from two sides of a supercell equally are one too near."""
LARGEST_BOX = 4e8
"""Bytes of the dense third order in a supercell that is chosen; one that holds the reach may be larger."""
NEGLIGIBLE = 1e-12
"""Relative to the largest element: what is left of elements that cancel when they are folded."""

Matrix = Sequence[int] | Sequence[Sequence[int]] | np.ndarray
"""Repetitions along the primitive vectors, or supercell vectors in primitive ones (rows)."""


@dataclasses.dataclass(frozen=True)
class CrystalForceConstants:
    """Second and third order of one crystal, each in a supercell of the same primitive cell."""

    second: ForceConstants
    third: ForceConstants
    accuracy: tuple[Accuracy, ...] = ()
    """Of finite differences, by order."""
    reach: tuple[float, float] | None = None
    """Angstrom, the longest distance between atoms of a noticeable element of each order, where it is known: of a
    potential."""
    electrostatics: Electrostatics | None = None
    """Born charges that came with force constants of files."""
    found_on_import: tuple[Check, ...] = ()
    """What was seen, and mended, when force constants were read from files."""

    def __post_init__(self) -> None:
        """Refuse orders that are missing or of two crystals."""
        if self.second.second is None or self.third.third is None:
            raise InputError("force constants", "one order is missing", "give the second and the third order")
        first, other = self.second.supercell.primitive, self.third.supercell.primitive
        if len(first) != len(other) or not np.allclose(first.positions, other.positions, atol=1e-6):
            raise InputError("force constants", "of two crystals", "give both orders with the same primitive cell")

    @property
    def primitive(self) -> Atoms:
        """The primitive cell."""
        return self.third.supercell.primitive

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether the supercells hold what they should: the reach of the elements, and the sums of their rows."""
        found = []
        for order, length in zip((2, 3), self.reach or (), strict=False):
            cell = (self.second if order == 2 else self.third).supercell.atoms.cell.array
            advice = "force constants reach around the supercell and are folded into it: take a larger one"
            half = 0.5 * (shortest_translation(cell) - MARGIN)
            found.append(Check(f"reach of order {order}", length, "<=", half, "Angstrom", advice))
        advice = "a rigid translation costs energy: import complete force constants, or let them obey the sum rule"
        found.append(Check("sum rule of order 2", self.translation, "<=", 1e-3, "1", advice))
        charges = () if self.electrostatics is None else self.electrostatics.checks
        return (*found, *self.found_on_import, *charges)

    @property
    def accuracy_checks(self) -> tuple[Check, ...]:
        """Of finite differences: is the black box repeatable, and is the scatter explained."""
        return tuple(check for accuracy in self.accuracy for check in accuracy.checks)

    @functools.cached_property
    def translation(self) -> float:
        """Largest row sum of the second order, relative to its largest element."""
        assert self.second.second is not None
        sums = np.abs(self.second.second.toarray().reshape(-1, len(self.second.supercell.atoms), 3).sum(axis=1))
        return float(sums.max() / np.abs(self.second.second.data).max())


def primitive_of(unit: Atoms, tolerance: float = 1e-4) -> Atoms:
    """The primitive cell of a unit cell, in its orientation and with its masses; the unit cell itself if it is one.

    Atoms of one element but of different mass are different, and so are those that a calculator can tell apart, by
    their magnetic moments for example; the primitive cell keeps these. ``tolerance`` in Angstrom.

    Raises
    ------
    InputError
        Where no crystal is found.
    """
    names = kinds_of(unit, masses=True)
    cell = (unit.cell.array.tolist(), unit.get_scaled_positions().tolist(), names.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # spglib's, of how it reports errors
        found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=tolerance)
    if found is None:
        raise InputError("material.structure", f"{len(unit)} atoms", "is no crystal that spglib recognises")
    if len(found[2]) == len(unit):
        return unit
    lattice, scaled, kept = found
    first = [int(np.flatnonzero(names == name)[0]) for name in kept]
    primitive = unit[first]  # with everything else that is known of the atoms
    primitive.set_cell(lattice)
    primitive.set_scaled_positions(scaled)
    matched(primitive, unit)
    return primitive


def supercell_of(primitive: Atoms, matrix: Matrix) -> Supercell:
    """A supercell of any shape; boxes of copies in phonopy's order.

    Raises
    ------
    InputError
        Where the matrix is none.
    """
    whole = np.asarray(matrix, dtype=int)
    if whole.shape == (3,) and whole.min() > 0:
        return repeated(primitive, (int(whole[0]), int(whole[1]), int(whole[2])), "sites")
    if whole.shape != (3, 3) or round(np.linalg.det(whole)) < 1:
        raise InputError("supercell", np.asarray(matrix).tolist(), "give three positive integers or a 3 x 3 matrix")
    atoms = make_supercell(primitive, whole)
    atoms.info = dict(primitive.info)  # which ASE leaves behind
    return matched(primitive, atoms)


def box_for(primitive: Atoms, reach: float) -> tuple[int, int, int]:
    """Repetitions of the primitive cell, about as long in all directions, whose shortest translation is twice the reach
    (Angstrom) or more; or the last before the third order in it takes more memory than ``LARGEST_BOX``."""
    heights = cell_heights(primitive.cell.array)
    best = (1, 1, 1)
    for length in np.sort(np.outer(np.arange(1, LONGEST_BOX), heights).ravel()):
        first, second, third = (max(1, math.ceil(float(n) - 1e-6)) for n in length / heights)
        atoms = len(primitive) * first * second * third
        if 8.0 * 27.0 * len(primitive) * atoms**2 > LARGEST_BOX:
            return best
        best = first, second, third
        if shortest_translation(primitive.cell.array * np.array(best)[:, None]) > 2.0 * reach + MARGIN:
            return best
    return best


def exact(
    potential: SitePotential, primitive: Atoms, third: Matrix | None = None, second: Matrix | None = None
) -> CrystalForceConstants:
    """Exact force constants of a differentiable potential, at the positions of the primitive cell.

    ``third`` and ``second`` are the supercells of the two orders: the second is that of the third where it is not
    given, and both are boxes that their reach fits into where none is. The cost is that of the primitive cell's sites,
    whatever the supercell.
    """
    cluster, graph, sites, cells = _cluster(potential, primitive)
    matrix = autodiff.second_order(potential, cluster, graph).matrix.tocoo()
    pairs = np.stack(matrix.coords)
    triplets, values = [], []
    for part in _parts(graph):
        indices, some = autodiff.site_third_order(potential, cluster, part).elements()
        triplets.append(indices)
        values.append(some)
    listed, found = np.concatenate(triplets, axis=1), np.concatenate(values)
    reach = _reach(cluster, pairs, matrix.data), _reach(cluster, listed, found)
    of_third = supercell_of(primitive, box_for(primitive, reach[1]) if third is None else third)
    of_second = of_third
    if second is not None or third is None:
        of_second = supercell_of(primitive, box_for(primitive, reach[0]) if second is None else second)
    two, two_values = _home(of_second, pairs, matrix.data, sites, cells)
    three, three_values = _home(of_third, listed, found, sites, cells)
    size = (3 * len(primitive), 3 * len(of_second.atoms))
    return CrystalForceConstants(
        ForceConstants(of_second, second=sp.csr_array((two_values, tuple(two)), shape=size)),
        ForceConstants(of_third, third=Elements(three, three_values)),
        reach=reach,
    )


def by_differences(
    evaluations: Evaluations,
    primitive: Atoms,
    third: Matrix,
    second: Matrix | None = None,
    cutoff: float | None = None,
    step: float | None = None,
) -> CrystalForceConstants:
    """By our own central differences of a black box in the supercells, with their accuracy measured.

    ``cutoff`` (Angstrom) is that of the pairs displaced, ``step`` (Angstrom) is chosen where it is not given.

    Raises
    ------
    InputError
        Where the black box fails.
    """
    of_third = supercell_of(primitive, third)
    of_second = of_third if second is None else supercell_of(primitive, second)
    two = finite_differences.second_order(of_second.atoms, evaluations, step)
    three = finite_differences.third_order(of_third.atoms, evaluations, cutoff, step)
    return CrystalForceConstants(
        of_supercell(of_second, second=two.second),
        of_supercell(of_third, third=three.third),
        (two.accuracy, three.accuracy),
    )


def by_phono3py_displacements(
    forces: Callable[[list[Atoms]], Sequence[np.ndarray]],
    primitive: Atoms,
    third: Matrix,
    displacement: float = 0.03,
    cutoff: float | None = None,
) -> CrystalForceConstants:
    """From phono3py's displacements (Angstrom) of the supercell, its own solver and its own symmetrisation.

    ``forces`` gives the forces (N, 3), eV/Angstrom, in each of the displaced supercells. Pairs beyond ``cutoff``
    (Angstrom) are not displaced. phono3py reduces displacements by symmetry and takes no account of noise.

    Raises
    ------
    InputError
        Where phono3py is not installed.
    """
    program = phono3py_of(primitive, supercell_of(primitive, third))
    program.generate_displacements(distance=displacement, cutoff_pair_distance=cutoff)
    sites = matched(primitive, from_phonopy(program.supercell)).sites
    displaced = [None if cell is None else from_phonopy(cell) for cell in program.supercells_with_displacements]
    cells = [None if cell is None else _with_all_of(primitive[sites], cell) for cell in displaced]
    found = iter(forces([cell for cell in cells if cell is not None]))
    count = len(program.supercell)
    program.forces = np.array([np.zeros((count, 3)) if cell is None else next(found) for cell in cells])
    with quiet():
        program.produce_fc3()
        program.symmetrize_fc3()
        program.symmetrize_fc2()
    return from_phono3py(program)


def _with_all_of(copies: Atoms, cell: Atoms) -> Atoms:
    """Atoms of primitive cells, with all that a calculator may look at, at the positions of a supercell."""
    copies.set_cell(cell.cell)
    copies.positions = cell.positions
    return copies


def from_phono3py(program: Any) -> CrystalForceConstants:
    """Force constants that a ``Phono3py`` object holds, compact or full."""
    primitive = from_phonopy(program.primitive)
    of_third = matched(primitive, from_phonopy(program.supercell))
    of_second = of_third
    if program.phonon_supercell_matrix is not None:
        of_second = matched(primitive, from_phonopy(program.phonon_supercell))
    orders = []
    for name, supercell, rows, blocks in (
        ("second", of_second, program.phonon_primitive.p2s_map, program.fc2),
        ("third", of_third, program.primitive.p2s_map, program.fc3),
    ):
        if blocks is None:
            raise InputError("force constants", f"no {name} order", "let phono3py produce it first")
        chosen = np.arange(len(blocks)) if len(blocks) == len(supercell.atoms) else np.asarray(rows)
        orders.append(from_blocks(supercell, chosen, **{name: np.asarray(blocks)}))
    return CrystalForceConstants(orders[0], orders[1])


def phono3py_of(
    primitive: Atoms,
    third: Supercell,
    second: Supercell | None = None,
    symmetry: bool = True,
    by_mass: bool = False,
) -> Any:
    """A ``Phono3py`` object of these supercells, without force constants; its atoms may be in another order.

    Its symmetry does not know masses, as forces do not. For vibrations, ``by_mass`` names atoms of one element and
    different mass as different elements (``told_apart``).
    """
    with quiet():
        return peer("phono3py", "phono3py").Phono3py(
            to_phonopy(told_apart(primitive) if by_mass else primitive),
            supercell_matrix=third.matrix.T,
            primitive_matrix=np.eye(3),
            phonon_supercell_matrix=None if second is None else second.matrix.T,
            is_symmetry=symmetry,
            is_mesh_symmetry=symmetry,
            log_level=0,
        )


def dense_bytes(constants: CrystalForceConstants) -> float:
    """Memory of the compact dense arrays that phono3py takes."""
    sites = len(constants.primitive)
    atoms = (len(constants.second.supercell.atoms), len(constants.third.supercell.atoms))
    return 8.0 * sites * (9.0 * atoms[0] + 27.0 * atoms[1] ** 2)


def _cluster(potential: SitePotential, primitive: Atoms) -> tuple[np.ndarray, NeighbourGraph, np.ndarray, np.ndarray]:
    """All atoms that the sites of one cell depend on: positions, edges of those sites only, sites, and cells."""
    species = potential.species
    require_known(primitive, species)
    kinds, radii = species_indices(primitive, species), potential.switching[..., 1]
    here = sorted(set(primitive.get_chemical_symbols()))
    cutoffs = {(a, b): float(radii[species.index(a), species.index(b)]) for a in here for b in here}
    i, j, shifts = neighbour_list("ijS", primitive, cutoffs)
    count = len(primitive)
    home = np.concatenate([np.arange(count)[:, None], np.zeros((count, 3), dtype=int)], axis=1)
    ends = np.concatenate([j[:, None], shifts], axis=1)
    images = np.unique(ends[np.any(shifts != 0, axis=1)], axis=0)
    atoms = np.concatenate([home, images]) if len(images) else home
    place = {tuple(atom): number for number, atom in enumerate(atoms.tolist())}
    far = np.array([place[tuple(end)] for end in ends.tolist()], dtype=int)
    positions = primitive.positions[atoms[:, 0]] + atoms[:, 1:] @ primitive.cell.array
    graph = build_graph(i, far, np.zeros((len(i), 3)), kinds[atoms[:, 0]], float(radii.max()))
    blocks = tuple(_of_home(block, count) for block in graph.blocks)
    return positions, dataclasses.replace(graph, blocks=blocks), atoms[:, 0], atoms[:, 1:]


def _of_home(block: Any, count: int) -> Any:
    """The part of a block whose sites are in the home cell; images have no edges of their own."""
    return _some_sites(block, np.flatnonzero(block.centres < count))


def _parts(graph: NeighbourGraph) -> list[NeighbourGraph]:
    """All sites at once where their tensors fit into memory, otherwise one at a time."""
    if autodiff.tensor_bytes(graph) <= autodiff.TENSOR_MEMORY:
        return [graph]
    return [
        dataclasses.replace(graph, blocks=(_some_sites(block, np.array([site])),))
        for block in graph.blocks
        for site in range(len(block.centres))
    ]


def _some_sites(block: Any, sites: np.ndarray) -> Any:
    return dataclasses.replace(
        block,
        centres=block.centres[sites],
        kinds=block.kinds[sites],
        neighbours=block.neighbours[:, sites],
        neighbour_kinds=block.neighbour_kinds[:, sites],
        offsets=block.offsets[:, :, sites],
        present=block.present[:, sites],
    )


def _home(
    supercell: Supercell, indices: np.ndarray, values: np.ndarray, sites: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives between atoms of the cluster, moved to where the first is at home and folded: coordinates, values."""
    legs = indices // 3
    rows, origin = sites[legs[0]], cells[legs[0]] - supercell.cells[supercell.home[sites[legs[0]]]]
    folded = [3 * rows + indices[0] % 3]
    for leg, component in zip(legs[1:], indices[1:] % 3, strict=True):
        folded.append(3 * supercell.find(sites[leg], cells[leg] - origin) + component)
    shape = (3 * len(supercell.primitive), *(3 * len(supercell.atoms),) * (len(indices) - 1))
    keys, place = np.unique(np.ravel_multi_index(tuple(folded), shape), return_inverse=True)
    summed = np.bincount(place, values, len(keys))
    kept = np.abs(summed) > NEGLIGIBLE * np.abs(summed).max(initial=0.0)
    return np.stack(np.unravel_index(keys[kept], shape)), summed[kept]


def _reach(positions: np.ndarray, indices: np.ndarray, values: np.ndarray) -> float:
    """Longest distance between two atoms of one noticeable element, Angstrom."""
    noticed = np.abs(values) > NOTICEABLE * np.abs(values).max(initial=0.0)
    atoms = np.unique(indices[:, noticed] // 3, axis=1)
    pairs = [positions[atoms[a]] - positions[atoms[b]] for a, b in itertools.combinations(range(len(atoms)), 2)]
    return max((float(np.linalg.norm(pair, axis=1).max(initial=0.0)) for pair in pairs), default=0.0)
