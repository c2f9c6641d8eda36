"""Structures: reading them, refusing the impossible ones, and the graph of who is whose neighbour."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from matscipy.neighbours import neighbour_list

from ldmd.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

OVERLAP = 0.6
"""Atoms closer than this (Angstrom) overlap: no bond is shorter than 0.74 Angstrom (hydrogen)."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NeighbourGraph:
    """Edges i -> j in a dense layout: column n holds the M (padded) edges that leave atom n."""

    neighbours: np.ndarray
    """(M, N) index j of the neighbour; the atom itself where padded."""
    offsets: np.ndarray
    """(3, M, N) Angstrom, the lattice translation added to r_j."""
    present: np.ndarray
    """(M, N) whether the edge exists."""
    reverse: np.ndarray
    """(M, N) flat index (m N + n) of the edge j -> i."""
    padding: np.ndarray
    """(3, 1, 1) Angstrom, the vector given to padded edges: just beyond the longest cutoff."""
    kinds: np.ndarray
    """(N,) species index of each atom in the potential's own order."""


def read_structure(path: Path) -> Atoms:
    """Read one structure (extended XYZ or any format ASE knows).

    Raises
    ------
    InputError
        Where the file is missing or unreadable, coordinates are not finite, or the cell is not periodic.
    """
    import ase.io

    if not path.is_file():
        raise InputError("material.structure", path, "no such file; give a path relative to the case folder")
    try:
        atoms = ase.io.read(path)
    except (ValueError, KeyError, IndexError, OSError, ase.io.formats.UnknownFileTypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("material.structure", path, f"cannot be read ({reason}); give an extended XYZ file") from error
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        bad = int(np.argmax(~np.isfinite(atoms.positions).all(axis=1)))
        raise InputError("material.structure", path, f"atom {bad} has a coordinate that is not a finite number; mend the file")
    if len(atoms) < 2 or not atoms.pbc.all() or abs(atoms.cell.volume) < 1e-6:
        raise InputError("material.structure", path, "needs at least two atoms in a cell periodic in all three directions")
    return atoms


def require_fits(atoms: Atoms, species: tuple[str, ...], switching: np.ndarray) -> None:
    """Refuse atoms that the potential does not know, cells below twice the cutoff, and overlaps.

    Raises
    ------
    InputError
        Naming the offending species, length or pair.
    """
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(species))
    if unknown:
        raise InputError("material.structure", ", ".join(unknown), f"the potential knows only {', '.join(species)}")
    heights = cell_heights(atoms.cell.array)
    cutoff = float(switching.max())
    if heights.min() < 2.0 * cutoff:
        fix = f"the cell must be at least twice the cutoff ({2 * cutoff:.2f} Angstrom) across; repeat it"
        raise InputError("material.structure", f"cell height {heights.min():.2f} Angstrom", fix)
    i, j, distance = neighbour_list("ijd", atoms, OVERLAP)
    if len(i):
        pair = f"atoms {i[0]} and {j[0]} at {distance[0]:.3f} Angstrom"
        raise InputError("material.structure", pair, f"atoms overlap (closer than {OVERLAP} Angstrom); mend the structure")


def cell_heights(cell: np.ndarray) -> np.ndarray:
    """Distances between opposite faces of a cell (3, 3), Angstrom."""
    return 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def minimum_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Shortest periodic image of vectors (..., 3), Angstrom, in a cell that need not be orthogonal."""
    fractional = vectors @ np.linalg.inv(cell)
    wrapped = (fractional - np.round(fractional)) @ cell
    if np.allclose(cell, np.diag(np.diag(cell))):
        return wrapped
    images = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]) @ cell
    candidates = wrapped[..., None, :] + images
    best = np.argmin(np.sum(candidates**2, axis=-1), axis=-1)
    return np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]


def neighbour_graph(
    atoms: Atoms, species: tuple[str, ...], switching: np.ndarray, skin: float = 0.0, slots: int = 0
) -> NeighbourGraph:
    """Edges within each pair's own outer cutoff plus a skin (Angstrom), padded to at least ``slots`` per atom."""
    kinds = species_indices(atoms, species)
    i, j, offsets = pairs_within(atoms, species, switching[..., 1] + skin)
    return dense_graph(i, j, offsets, kinds, float(switching.max()) + skin, slots)


def species_indices(atoms: Atoms, species: tuple[str, ...]) -> np.ndarray:
    """Index (N,) of each atom's symbol in the potential's own list of species."""
    return np.array([species.index(symbol) for symbol in atoms.get_chemical_symbols()])


def pairs_within(atoms: Atoms, species: tuple[str, ...], radii: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All ordered pairs i -> j closer than their pair's radius (S, S): i, j and lattice offsets (n, 3), Angstrom."""
    here = sorted(set(atoms.get_chemical_symbols()))
    cutoffs = {(a, b): float(radii[species.index(a), species.index(b)]) for a in here for b in here}
    i, j, shifts = neighbour_list("ijS", atoms, cutoffs)
    return i, j, shifts @ atoms.cell.array


def dense_graph(
    i: np.ndarray, j: np.ndarray, offsets: np.ndarray, kinds: np.ndarray, longest: float, slots: int = 0
) -> NeighbourGraph:
    """Ordered pairs (both directions of each) laid out densely, padded to at least ``slots`` edges per atom."""
    count = len(kinds)
    order = np.lexsort((*offsets.T, kinds[j], j, i))
    i, j, offsets = i[order], j[order], offsets[order]
    rank = np.arange(len(i)) - np.searchsorted(i, i)
    width = max(slots, int(rank.max(initial=0)) + 1)
    neighbours = np.tile(np.arange(count), (width, 1))
    present = np.zeros((width, count), dtype=bool)
    dense_offsets = np.zeros((3, width, count))
    neighbours[rank, i], present[rank, i] = j, True
    dense_offsets[:, rank, i] = offsets.T
    reverse = np.arange(width * count).reshape(width, count)
    reverse[rank, i] = _reverse_edges(i, j, offsets, rank, count)
    padding = np.array([longest + 0.01, 0.0, 0.0]).reshape(3, 1, 1)
    return NeighbourGraph(neighbours, dense_offsets, present, reverse, padding, kinds)


def _reverse_edges(i: np.ndarray, j: np.ndarray, offsets: np.ndarray, rank: np.ndarray, count: int) -> np.ndarray:
    """Flat index of the edge j -> i for each edge i -> j: sort both directions by the same key and pair them."""
    rounded = np.round(offsets, 6) + 0.0
    forward = np.lexsort((*rounded.T, j, i))
    backward = np.lexsort((*(-rounded + 0.0).T, i, j))
    partner = np.empty(len(i), dtype=int)
    partner[backward] = forward
    return rank[partner] * count + i[partner]
