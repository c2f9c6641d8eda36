"""hiPhive: its ForceConstants object in memory, and its .fcs files.

Both hold blocks by clusters of supercell atoms: {(i, j): (3, 3), (i, j, k): (3, 3, 3)} in eV/Angstrom^n, only sorted
clusters where the blocks are symmetric under permutations ("SortedForceConstants"), all of them where they are not
("RawForceConstants"). A .fcs file is a tar of a pickle of that dictionary and of the supercell as ASE's JSON. Neither
knows a primitive cell. Files are read and written here without hiPhive; a pickle that holds anything but numbers,
arrays, dictionaries, tuples and text is refused, for it could run code.
"""

from __future__ import annotations

import io
import itertools
import json
import pickle
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import scipy.sparse as sp
from ase import Atoms
from ase.data import chemical_symbols

from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import ForceConstants, of_supercell
from ldmd.force_constants.exchange.files import believable, peer, sound
from ldmd.force_constants.exchange.numeric_pickle import numbers_of_pickle
from ldmd.force_constants.exchange.supercell import glass, matched
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sum_rules import coordinate_keys, permutation_differences
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.foreign import foreign_parser
from ldmd.text_file import Bounded

SYMMETRIC = 1e-12
"""Relative to the largest element: blocks that differ by less are permutations of each other."""
MOST_BYTES = 500_000_000
"""Of a .fcs file."""

NO_FCS = "give a .fcs file of hiPhive"

Blocks = dict[tuple[int, ...], np.ndarray]


def to_hiphive(constants: ForceConstants) -> Any:
    """A hiphive.ForceConstants of all atoms of the supercell; ``InputError`` where hiPhive is not installed."""
    hiphive = peer("hiphive.force_constants", "hiphive")
    blocks, is_sorted = _blocks(constants)
    kind = hiphive.SortedForceConstants if is_sorted else hiphive.RawForceConstants
    return kind(blocks, _periodic(constants.supercell.atoms))


def from_hiphive(forceconstants: Any, primitive: Atoms | None = None) -> ForceConstants:
    """Second and third order of a hiphive.ForceConstants, as far as it has them; without ``primitive``, of a glass."""
    is_sorted = type(forceconstants).__name__ == "SortedForceConstants"
    return _constants(forceconstants.get_fc_dict(), is_sorted, forceconstants.supercell, primitive)


def write(constants: ForceConstants, path: Path) -> None:
    """A .fcs file."""
    blocks, is_sorted = _blocks(constants)
    name = "SortedForceConstants" if is_sorted else "RawForceConstants"
    content = pickle.dumps({"fc_dict": blocks, "fcs_type": name})
    with tempfile.TemporaryDirectory() as folder:
        structure = Path(folder) / "supercell.json"
        ase.io.write(structure, _periodic(constants.supercell.atoms), format="json")
        with tarfile.open(path, "w") as archive:
            for member, data in (("fc_dict", content), ("supercell", structure.read_bytes())):
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


def read(path: Path, primitive: Atoms | None = None) -> ForceConstants:
    """A .fcs file; without ``primitive``, of a glass.

    Raises
    ------
    InputError
        Where the file is none, holds code, or does not fit the primitive cell.
    """
    with Bounded(path, "force constants", MOST_BYTES) as file, foreign_parser("force constants", path, NO_FCS):
        content = io.BytesIO(b"".join(iter(file.block, b"")))
        # Plain, for what it is packed with is undone within bounds already.
        with tarfile.open(fileobj=content, mode="r:") as archive:
            members = [archive.extractfile(name) for name in ("fc_dict", "supercell")]
            pickled, structure = (member.read() if member else b"" for member in members)
        items = numbers_of_pickle(pickled)
        blocks, is_sorted = items["fc_dict"], items["fcs_type"] == "SortedForceConstants"
        atoms = _supercell_of(structure)
    _require_blocks(path, blocks, len(sound(path, atoms)))
    return _constants(blocks, is_sorted, atoms, primitive)


def _supercell_of(structure: bytes) -> Atoms:
    """The one structure in a database of ASE as JSON; ASE itself would open it through files and locks."""
    content = json.loads(structure)
    (row,) = (content[key] for key in content if key.isdecimal())
    cell, positions, numbers = (_of_json(row[name]) for name in ("cell", "positions", "numbers"))
    kinds = numbers.astype(int)
    if not (kinds == numbers).all() or kinds.min() < 1 or kinds.max() >= len(chemical_symbols):
        raise ValueError("an atomic number that is none")
    masses = _of_json(row["masses"]) if "masses" in row else None
    return Atoms(kinds, positions=positions, cell=cell, masses=masses, pbc=True)


def _of_json(value: Any) -> np.ndarray:
    """An array in one of the ways in which ASE writes it."""
    while isinstance(value, dict) and "array" in value:
        value = value["array"]
    if isinstance(value, dict):
        shape, _, flat = value["__ndarray__"]
        return np.array(flat, dtype=float).reshape(shape)
    return np.array(value, dtype=float)


def _require_blocks(path: Path, blocks: Any, count: int) -> None:
    """Refuse anything but blocks of finite numbers by clusters of atoms that there are."""
    if not isinstance(blocks, dict):
        raise InputError("force constants", path, f"{NO_FCS} (no dictionary of clusters)")
    for cluster, block in blocks.items():
        numbered = isinstance(cluster, tuple) and all(isinstance(atom, int | np.integer) for atom in cluster)
        if not numbered or not all(0 <= atom < count for atom in cluster):
            raise InputError("force constants", path, f"has the cluster {str(cluster)[:40]} of its {count} atoms")
        if not isinstance(block, np.ndarray) or block.shape != (3,) * len(cluster):
            raise InputError("force constants", path, f"cluster {cluster} has no block of 3 x ... x 3 numbers")
        believable(path, block, len(cluster))


def _periodic(atoms: Atoms) -> Atoms:
    """Without the calculator that ASE would store as well."""
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, masses=atoms.get_masses(), pbc=True)


def _constants(blocks: Blocks, is_sorted: bool, atoms: Atoms, primitive: Atoms | None) -> ForceConstants:
    found = {order: _listed(blocks, order, is_sorted) for order in (2, 3)}
    size = 3 * len(atoms)
    second, third = None, None
    if found[2] is not None:
        (rows, columns), values = found[2]
        second = SecondOrder(sp.csr_array((values, (rows, columns)), shape=(size, size)))
    if found[3] is not None:
        indices, values = found[3]
        kept = values != 0.0
        third = SparseThirdOrder(size, indices[:, kept], values[kept])
    if second is None and third is None:
        raise InputError("force constants", "neither of second nor of third order", "there is nothing to read")
    return of_supercell(glass(atoms) if primitive is None else matched(primitive, atoms), second, third)


def _listed(blocks: Blocks, order: int, is_sorted: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Coordinates (order, n) and values of the blocks of one order, in every permutation."""
    clusters = [cluster for cluster in blocks if len(cluster) == order]
    if not clusters:
        return None
    atoms = np.array(clusters, dtype=int)
    values = np.array([blocks[cluster] for cluster in clusters], dtype=float)
    coordinates = 3 * atoms.T.reshape(order, -1, *(1,) * order) + np.indices((3,) * order)[:, None]
    indices, flat = coordinates.reshape(order, -1), values.ravel()
    if not is_sorted:
        return indices, flat
    permuted = np.concatenate([indices[list(legs)] for legs in itertools.permutations(range(order))], axis=1)
    # Atoms that occur twice in a cluster give the same element more than once.
    _, first = np.unique(coordinate_keys(permuted, int(indices.max()) + 1), return_index=True)
    return permuted[:, first], flat[first % len(flat)]


def _blocks(constants: ForceConstants) -> tuple[Blocks, bool]:
    """Blocks by clusters, and whether they are symmetric, so that sorted clusters suffice."""
    whole = constants.in_order_of(glass(constants.supercell.atoms))
    count = len(constants.supercell.atoms)
    lists = []
    if whole.second is not None:
        coo = whole.second.tocoo()
        lists.append((np.stack(coo.coords), coo.data))
    if whole.third is not None:
        lists.append((whole.third.indices, whole.third.values))
    blocks: Blocks = {}
    is_sorted = True
    for indices, values in lists:
        blocks |= _clusters(indices, values, count)
        differences = permutation_differences(indices, values, 3 * count)
        is_sorted &= bool(np.abs(differences).max(initial=0.0) <= SYMMETRIC * np.abs(values).max(initial=0.0))
    if not blocks:
        raise InputError("force constants", "of no order", "nothing to write")
    if is_sorted:
        blocks = {cluster: block for cluster, block in blocks.items() if tuple(sorted(cluster)) == cluster}
    return blocks, is_sorted


def _clusters(indices: np.ndarray, values: np.ndarray, count: int) -> Blocks:
    order = len(indices)
    codes = np.ravel_multi_index(tuple(indices // 3), (count,) * order)
    unique, place = np.unique(codes, return_inverse=True)
    components = np.ravel_multi_index(tuple(indices % 3), (3,) * order)
    dense = np.bincount(3**order * place + components, values, 3**order * len(unique))
    clusters = np.stack(np.unravel_index(unique, (count,) * order), axis=1)
    arrays = dense.reshape(-1, *(3,) * order)
    return {tuple(cluster): block for cluster, block in zip(clusters.tolist(), arrays, strict=True)}
