"""Structures: refusing what does not fit a potential, and the graph of who is whose neighbour."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import jax
import numpy as np
from matscipy.neighbours import neighbour_list

from ldmd.cells import in_reduced_cell
from ldmd.errors import InputError
from ldmd.structure_files import read_structure as read_structure
from ldmd.structure_files import write_structure as write_structure

if TYPE_CHECKING:
    from ase import Atoms

OVERLAP = 0.6
"""Atoms closer than this (Angstrom) overlap: no bond is shorter than 0.74 Angstrom (hydrogen)."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SiteBlock:
    """Edges that leave the n atoms of one species, in a dense layout of M (padded) slots per atom."""

    centres: np.ndarray
    """(n,) the atoms at the centre of the sites."""
    kinds: np.ndarray
    """(n,) their species, as indices into the potential's own list."""
    neighbours: np.ndarray
    """(M, n) atom at the far end of each edge; the centre itself where padded."""
    neighbour_kinds: np.ndarray
    """(M, n) its species."""
    offsets: np.ndarray
    """(3, M, n) Angstrom, the lattice translation added to the far end."""
    present: np.ndarray
    """(M, n) whether the edge exists; those that do fill the first slots."""
    padding: np.ndarray
    """(3, 1, 1) Angstrom, the vector given to padded edges: just beyond the longest cutoff."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NeighbourGraph:
    """Who is whose neighbour: edges i -> j in blocks of one species, each no wider than that species needs."""

    blocks: tuple[SiteBlock, ...]
    incoming: np.ndarray
    """(K, N) for each atom the edges that end there, as flat indices (slot-major, block after block); their number
    where there is none."""
    order: np.ndarray
    """(N,) where each atom stands when the blocks' centres are strung together."""

    @property
    def slots(self) -> tuple[int, ...]:
        """Width M of every block."""
        return tuple(block.neighbours.shape[0] for block in self.blocks)


def require_fits(
    atoms: Atoms, species: tuple[str, ...], switching: np.ndarray, field: str = "material.structure"
) -> None:
    """Refuse atoms that the potential does not know, cells below twice the cutoff, and overlaps.

    What counts of a skewed cell is how far across its lattice is in the shortest vectors.
    ``field`` is the setting that makes the cell larger.

    Raises
    ------
    InputError
        Naming the offending species, length or pair.
    """
    require_known(atoms, species)
    heights = cell_heights(in_reduced_cell(atoms).cell.array)
    cutoff = float(switching.max())
    if heights.min() < 2.0 * cutoff:
        fix = f"the cell must be at least twice the cutoff ({2 * cutoff:.2f} Angstrom) across; repeat it"
        raise InputError(field, f"cell height {heights.min():.2f} Angstrom", fix)
    i, j, distance = neighbour_list("ijd", atoms, OVERLAP)
    if len(i):
        pair = f"atoms {i[0]} and {j[0]} at {distance[0]:.3f} Angstrom"
        raise InputError(
            "material.structure", pair, f"atoms overlap (closer than {OVERLAP} Angstrom); mend the structure"
        )


def require_known(atoms: Atoms, species: tuple[str, ...]) -> None:
    """Refuse atoms that the potential does not know.

    Raises
    ------
    InputError
        Naming them.
    """
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(species))
    if unknown:
        raise InputError("material.structure", ", ".join(unknown), f"the potential knows only {', '.join(species)}")


def cell_heights(cell: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of a cell (3, 3), Angstrom."""
    return 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def minimum_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Shortest periodic image of vectors (..., 3), Angstrom, in a cell of any shape."""
    if np.array_equal(cell, np.diag(np.diag(cell))):
        lengths = np.diag(cell)
        return np.asarray(vectors - lengths * np.round(vectors / lengths))
    from ase.geometry import find_mic

    shortest, _ = find_mic(np.asarray(vectors).reshape(-1, 3), cell, pbc=True)
    return np.asarray(shortest).reshape(np.shape(vectors))


def neighbour_graph(
    atoms: Atoms,
    species: tuple[str, ...],
    switching: np.ndarray,
    skin: float = 0.0,
    slots: tuple[int, ...] = (),
) -> NeighbourGraph:
    """Edges within each pair's own outer cutoff plus a skin (Angstrom); ``slots`` are least widths of the blocks."""
    kinds = species_indices(atoms, species)
    i, j, offsets = pairs_within(atoms, species, switching[..., 1] + skin)
    return build_graph(i, j, offsets, kinds, float(switching.max()) + skin, slots)


def species_indices(atoms: Atoms, species: tuple[str, ...]) -> np.ndarray:
    """Index (N,) of each atom's symbol in the potential's own list of species."""
    return np.array([species.index(symbol) for symbol in atoms.get_chemical_symbols()])


def pairs_within(
    atoms: Atoms, species: tuple[str, ...], radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All ordered pairs i -> j closer than their pair's radius (S, S): i, j and lattice offsets (n, 3), Angstrom."""
    here = sorted(set(atoms.get_chemical_symbols()))
    cutoffs = {(a, b): float(radii[species.index(a), species.index(b)]) for a in here for b in here}
    i, j, shifts = neighbour_list("ijS", atoms, cutoffs)
    return i, j, shifts @ atoms.cell.array


def build_graph(
    i: np.ndarray,
    j: np.ndarray,
    offsets: np.ndarray,
    kinds: np.ndarray,
    longest: float,
    slots: tuple[int, ...] = (),
) -> NeighbourGraph:
    """Ordered pairs (both directions of each) as a graph whose blocks have at least ``slots`` edges per atom."""
    count = len(kinds)
    order = np.lexsort((*offsets.T, kinds[j], j, i))
    i, j, offsets = i[order], j[order], offsets[order]
    rank = np.arange(len(i)) - np.searchsorted(i, i)
    padding = np.array([longest + 0.01, 0.0, 0.0]).reshape(3, 1, 1)
    blocks, flat, start = [], np.empty(len(i), dtype=int), 0
    for number, kind in enumerate(np.unique(kinds)):
        centres = np.flatnonzero(kinds == kind)
        mine = np.flatnonzero(kinds[i] == kind)
        column = np.searchsorted(centres, i[mine])
        width = max(1, int(rank[mine].max(initial=-1)) + 1, slots[number] if slots else 0)
        neighbours = np.tile(centres, (width, 1))
        present = np.zeros((width, len(centres)), dtype=bool)
        dense_offsets = np.zeros((3, width, len(centres)))
        neighbours[rank[mine], column], present[rank[mine], column] = j[mine], True
        dense_offsets[:, rank[mine], column] = offsets[mine].T
        flat[mine] = start + rank[mine] * len(centres) + column
        start += width * len(centres)
        blocks.append(
            SiteBlock(centres, kinds[centres], neighbours, kinds[neighbours], dense_offsets, present, padding)
        )
    place = np.empty(count, dtype=int)
    place[np.concatenate([block.centres for block in blocks])] = np.arange(count)
    least = max(block.neighbours.shape[0] for block in blocks)
    return NeighbourGraph(tuple(blocks), _incoming(j, flat, count, least, start), place)


def _incoming(j: np.ndarray, flat: np.ndarray, count: int, least: int, none: int) -> np.ndarray:
    """(K, N) flat indices of the edges that end at each atom, ``none`` where there are fewer than K."""
    order = np.argsort(j, kind="stable")
    rank = np.arange(len(j)) - np.searchsorted(j[order], j[order])
    table = np.full((max(least, int(rank.max(initial=0)) + 1), count), none)
    table[rank, j[order]] = flat[order]
    return table
