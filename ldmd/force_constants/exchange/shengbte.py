"""ShengBTE: FORCE_CONSTANTS_2ND, FORCE_CONSTANTS_3RD and the structure in CONTROL.

FORCE_CONSTANTS_2ND is phonopy's text for all atoms of a box of copies in phonopy's order. FORCE_CONSTANTS_3RD lists
blocks Phi_ijk, eV/Angstrom^3: a number, the Cartesian lattice vectors (Angstrom) of the cells of atoms j and k as seen
from the cell of i, the atoms i, j, k of the primitive cell counted from 1, and 27 lines "a b c value". Here j and k
are the images nearest to i; where several tie, each gets its share in a block of its own. Reading adds up the blocks
of equal copies.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ldmd.errors import InputError
from ldmd.force_constants.exchange import namelist, phonopy
from ldmd.force_constants.exchange.constants import Elements, ForceConstants
from ldmd.force_constants.exchange.files import believable, rows_of, sound, whole
from ldmd.force_constants.exchange.supercell import MOST_ATOMS, Supercell, repeated
from ldmd.force_constants.images import nearest_images
from ldmd.force_constants.sum_rules import coordinate_keys
from ldmd.foreign import foreign_parser
from ldmd.store import write_atomically

_BLOCK = 118
"""Numbers in one block: 1 + 3 + 3 + 3 + 27 x 4."""
_TRIPLES = np.indices((3, 3, 3)).reshape(3, -1).T + 1
_DIRECTIONS = [f"{a:2d}{b:2d}{c:2d}" for a, b, c in _TRIPLES.tolist()]
OFF_LATTICE = 1e-3
"""Primitive vectors, by which a lattice vector in a file may miss the lattice."""
FARTHEST = 1000
"""Primitive vectors, to another atom."""


def read_second(path: Path, primitive: Atoms, repeats: tuple[int, int, int]) -> ForceConstants:
    """FORCE_CONSTANTS_2ND (or phonopy's FORCE_CONSTANTS) for copies of a primitive cell along its vectors."""
    return phonopy.read_second(path, repeated(primitive, repeats, "sites"))


def write_second(constants: ForceConstants, path: Path) -> None:
    """FORCE_CONSTANTS_2ND; ``InputError`` where the supercell is no box of copies."""
    supercell = constants.supercell
    usual = repeated(supercell.primitive, supercell.repeats, "sites")
    phonopy.write_second(ForceConstants(supercell, constants.second).in_order_of(usual), path)


def read_third(path: Path, supercell: Supercell) -> ForceConstants:
    """FORCE_CONSTANTS_3RD, with its lattice vectors folded into a supercell.

    Raises
    ------
    InputError
        Where the file is none, or its atoms and lattice vectors are not those of the primitive cell.
    """
    header, blocks = rows_of(path, _BLOCK, header=True)
    if header != str(len(blocks)) or not len(blocks):
        raise InputError("force constants", path, f"has {len(blocks)} blocks, its first line says {header[:40]!r}")
    values = blocks[:, 10:].reshape(-1, 27, 4)
    if np.any(values[:, :, :3] != _TRIPLES):
        raise InputError("force constants", path, "the directions of a block are not 1 1 1 to 3 3 3 in order")
    exact = blocks[:, 1:7].reshape(-1, 2, 3) @ np.linalg.inv(supercell.primitive.cell.array)
    if not (np.abs(exact - np.rint(exact)) <= OFF_LATTICE).all() or np.abs(exact).max() > FARTHEST:
        raise InputError("force constants", path, "its lattice vectors are not those of this primitive cell")
    cells = np.rint(exact).astype(int)
    atoms = whole(path, blocks[:, 7:10], "an atom", 1, len(supercell.primitive)) - 1
    if len(np.unique(np.hstack([atoms, cells.reshape(-1, 6)]), axis=0)) < len(blocks):
        raise InputError("force constants", path, "has a block of the same atoms twice; leave one of them out")
    from_home = supercell.cells[supercell.home[atoms[:, 0]]]
    others = [supercell.find(atoms[:, leg], from_home + cells[:, leg - 1]) for leg in (1, 2)]
    corner = 3 * np.stack([atoms[:, 0], *others])
    indices = (corner[:, :, None] + (_TRIPLES.T - 1)[:, None, :]).reshape(3, -1)
    listed = believable(path, values[:, :, 3], 3).ravel()
    return ForceConstants(supercell, third=_added_up(indices, listed, 3 * len(supercell.atoms)))


def write_third(constants: ForceConstants, path: Path) -> None:
    """FORCE_CONSTANTS_3RD, every stored block at the nearest images of its atoms.

    Raises
    ------
    InputError
        Where there is no third order.
    """
    if constants.third is None:
        raise InputError("force constants", "without a third order", "nothing to write")
    supercell, count = constants.supercell, len(constants.supercell.atoms)
    triplets, blocks = _blocks(constants.third, count)
    images = _images(supercell)
    lines, number = [], 0
    for (site, j, k), block in zip(triplets.tolist(), blocks, strict=True):
        atoms = f"{site + 1:6d}{supercell.sites[j] + 1:6d}{supercell.sites[k] + 1:6d}"
        for second, its_share in images[site * count + j]:
            for third, share in images[site * count + k]:
                number += 1
                values = its_share * share * block
                elements = (f"{abc} {value:24.16e}" for abc, value in zip(_DIRECTIONS, values.tolist(), strict=True))
                lines += ["", str(number), second, third, atoms, *elements]
    write_atomically(path, "\n".join([str(number), *lines, ""]).encode(), "force constants")


def read_control(path: Path) -> Supercell:
    """Structure and supercell of a CONTROL file, in the order of FORCE_CONSTANTS_2ND.

    Masses are those of the file, or standard ones. Charges and dielectric constants are not read.

    Raises
    ------
    InputError
        Where the namelist lacks something, or what it says is no crystal.
    """
    fields = namelist.read(path)
    needed = ("lattvec", "elements", "types", "positions", "scell")
    missing = [name for name in needed if name not in fields]
    if missing:
        raise InputError("structure", path, f"is no complete CONTROL file: it lacks {', '.join(missing)}")
    count = fields.count("types")
    if "natoms" in fields:
        count = int(fields.whole("natoms", (1,), 1, max(1, fields.count("positions") // 3))[0])
    kinds = fields.count("elements")
    elements = fields.words("elements", (kinds,))
    unknown = [element for element in elements if element.strip() not in atomic_numbers or element.strip() == "X"]
    if unknown:
        raise InputError("structure", path, f"has the element {unknown[0][:20]!r}; use chemical symbols")
    types = fields.whole("types", (count,), 1, kinds) - 1
    factor = 10.0 * (float(fields.numbers("lfactor", (1,))[0]) if "lfactor" in fields else 1.0)
    scaled, vectors = fields.numbers("positions", (3, count)).T, factor * fields.numbers("lattvec", (3, 3)).T
    with foreign_parser("structure", path, "give a cell with a volume"):
        atoms = Atoms([elements[kind].strip() for kind in types], scaled_positions=scaled, cell=vectors, pbc=True)
    if "masses" in fields:
        atoms.set_masses(fields.numbers("masses", (kinds,))[types])
    sizes = fields.whole("scell", (3,), 1, MOST_ATOMS).tolist()
    return repeated(sound(path, atoms), (sizes[0], sizes[1], sizes[2]), "sites")


def write_control(supercell: Supercell, path: Path, mesh: tuple[int, int, int], temperature: float) -> None:
    """A CONTROL file for these force constants: a mesh of wave vectors, one temperature (K), everything else default.

    Masses are given, so that natural isotopes are left out (autoisotopes=.FALSE.); atoms of one element share theirs.
    """
    primitive = supercell.primitive
    symbols = list(dict.fromkeys(primitive.get_chemical_symbols()))
    masses = [primitive.get_masses()[primitive.get_chemical_symbols().index(symbol)] for symbol in symbols]
    words = {
        "elements": " ".join(f'"{symbol}"' for symbol in symbols),
        "types": " ".join(str(symbols.index(symbol) + 1) for symbol in primitive.get_chemical_symbols()),
        "masses": " ".join(f"{mass:.10f}" for mass in masses),
    }
    vectors = [f"  lattvec(:,{n})={_words(vector)}," for n, vector in enumerate(primitive.cell.array, start=1)]
    scaled = primitive.get_scaled_positions(wrap=False)
    places = [f"  positions(:,{n})={_words(place)}," for n, place in enumerate(scaled, start=1)]
    lines = [
        "&allocations",
        f"  nelements={len(symbols)}, natoms={len(primitive)}, ngrid(:)={' '.join(map(str, mesh))}, norientations=0",
        "&end",
        "&crystal",
        "  lfactor=0.1,",
        *vectors,
        f"  elements={words['elements']},",
        f"  types={words['types']},",
        *places,
        f"  masses(:)={words['masses']},",
        f"  scell(:)={' '.join(map(str, supercell.repeats))}",
        "&end",
        "&parameters",
        f"  T={temperature:g}",
        "&end",
        "&flags",
        "  nonanalytic=.FALSE., autoisotopes=.FALSE.",
        "&end",
    ]
    write_atomically(path, ("\n".join(lines) + "\n").encode(), "structure")


def _blocks(third: Elements, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(t, 3) home site and two atoms, and (t, 27) values of every triplet of atoms that has any."""
    site, j, k = third.indices // 3
    codes, place = np.unique((site * count + j) * count + k, return_inverse=True)
    a, b, c = third.indices % 3
    values = np.bincount(27 * place + (a * 3 + b) * 3 + c, third.values, 27 * len(codes))
    return np.stack([codes // count**2, codes // count % count, codes % count], axis=1), values.reshape(-1, 27)


def _images(supercell: Supercell) -> list[list[tuple[str, float]]]:
    """For site and atom (site * N + atom): lattice vectors of the nearest images as text, and their shares."""
    home, count = supercell.home, len(supercell.atoms)
    positions = supercell.atoms.positions
    vectors = positions[None] - positions[home][:, None]
    images = nearest_images(vectors.reshape(-1, 3), supercell.atoms.cell.array)
    atom, site = images.vector % count, images.vector // count
    cells = supercell.cells[atom] - supercell.cells[home[site]] + images.shifts @ supercell.matrix
    found: list[list[tuple[str, float]]] = [[] for _ in range(len(home) * count)]
    for vector, place, weight in zip(
        images.vector, cells @ supercell.primitive.cell.array, images.weights, strict=True
    ):
        found[vector].append((_words(place), float(weight)))
    return found


def _added_up(indices: np.ndarray, values: np.ndarray, size: int) -> Elements:
    """Elements that are not zero, each once."""
    keys, place = np.unique(coordinate_keys(indices, size), return_inverse=True)
    sums = np.bincount(place, values, len(keys))
    kept = sums != 0.0
    keys = keys[kept]
    return Elements(np.stack([keys // size**2, keys // size % size, keys % size]), sums[kept])


def _words(vector: np.ndarray) -> str:
    return " ".join(f"{value:20.14f}" for value in vector)
