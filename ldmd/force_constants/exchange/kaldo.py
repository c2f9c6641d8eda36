"""kALDo: its ForceConstants object in memory, and the files of its folders "numpy", "lammps" and "eskm".

Atoms are ordered copy after copy of the unit cell (``repeated(primitive, repeats, "cells")``). The object and the
folder "numpy" (second.npy, third.npz) have eV/Angstrom^n for the atoms of the first copy. "lammps" and "eskm" have the
mass-weighted Dyn.form and the list THIRD, both in units of 10 J/mol, and differ in the structure file.

The sign of kALDo's third order depends on where it comes from, which linewidths do not notice: finite differences of
its own and THIRD of LAMMPS are derivatives of the forces, and files of ShengBTE and hiPhive those of the energy. The
sign is therefore found by the rotational sum rule, or has to be given; what is written here are derivatives of the
energy. From a folder kALDo takes symbols and no masses, and it divides the columns, not the rows, of the supercell's
vectors by the repetitions: other masses and unequal repetitions of oblique vectors would be misread and are not
written.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Literal

import ase.io
import numpy as np
import scipy.sparse as sp
from ase import Atoms, units
from ase.data import atomic_masses

from ldmd.errors import InputError
from ldmd.force_constants.exchange.arrays import load_npy, load_npz, sparse_elements, sparse_shape
from ldmd.force_constants.exchange.constants import Elements, ForceConstants, second_blocks, third_sign
from ldmd.force_constants.exchange.files import believable, peer, require_file, rows_of, sound
from ldmd.force_constants.exchange.lammps import third_lines
from ldmd.force_constants.exchange.supercell import Supercell, glass, matched, repeated
from ldmd.force_constants.sum_rules import coordinate_keys
from ldmd.foreign import foreign_parser
from ldmd.store import write_atomically
from ldmd.text_file import read_text

TEN_JOULE_PER_MOLE = 10.0 * units.J / units.mol
"""eV, of the constants that kALDo converts with: 8e-9 off today's."""
MASS_TOLERANCE = 1e-3
"""Relative, between an atom's mass and the standard one that kALDo takes."""

REPLICATED = ("replicated_atoms.xyz", "replicated_atoms_third.xyz")
"""Structure files of its folders, but for "eskm"."""

Format = Literal["numpy", "lammps", "eskm"]
Sign = Literal[1, -1]


def to_kaldo(second: ForceConstants, third: ForceConstants | None = None, folder: str = "memory") -> Any:
    """A kaldo.forceconstants.ForceConstants; the third order may come from another supercell.

    ``folder`` is a name only: nothing is written until kALDo is told to store something.

    Raises
    ------
    InputError
        Where kALDo is not installed, or a supercell is no box of copies.
    """
    forceconstants = peer("kaldo.forceconstants", "kaldo")
    orders = (peer("kaldo.observables.secondorder", "kaldo"), peer("kaldo.observables.thirdorder", "kaldo"))
    sparse = peer("sparse", "sparse")
    two = _in_copies(second)
    three = two if third is None else _in_copies(third)
    if two.second is None:
        raise InputError("force constants", "without a second order", "kALDo needs one")
    own = orders[0].SecondOrder(value=_second_value(two), **_settings(two.supercell, folder))
    theirs = None
    if three.third is not None:
        size = 3 * len(three.supercell.atoms)
        shape = (3 * len(three.supercell.primitive), size, size)
        value = sparse.COO(three.third.indices, three.third.values, shape=shape)
        theirs = orders[1].ThirdOrder(value=value, **_settings(three.supercell, folder))
    return forceconstants.ForceConstants(
        atoms=two.supercell.primitive.copy(),
        supercell=two.supercell.repeats,
        third_supercell=three.supercell.repeats,
        folder=folder,
        second_order=own,
        third_order=theirs,
    )


def from_kaldo(constants: Any, sign: Sign | None = None) -> tuple[ForceConstants, ForceConstants | None]:
    """Second and third order of a kaldo.forceconstants.ForceConstants whose values are there already.

    ``sign`` is 1 where the third order holds derivatives of the energy and -1 where they are of the forces; without
    it, it is found by rotations (``third_sign``).

    Raises
    ------
    InputError
        Where the sign cannot be found.
    """
    second = constants.second
    supercell = _supercell_of(second)
    value = np.asarray(second.value, dtype=float).reshape(len(supercell.primitive), 3, -1, len(supercell.primitive), 3)
    where = np.nonzero(value)
    columns = supercell.find(where[3], np.asarray(second.translation_support.translations)[where[2]])
    shape = (3 * len(supercell.primitive), 3 * len(supercell.atoms))
    matrix = sp.coo_array((value[where], (3 * where[0] + where[1], 3 * columns + where[4])), shape=shape)
    two = ForceConstants(supercell, second=sp.csr_array(matrix))
    third = constants.third
    if third.value is None:
        return two, None
    supercell = _supercell_of(third)
    count, shifts = len(supercell.primitive), np.asarray(third.translation_support.translations)
    flat = third.value.reshape((3 * count, 3 * count * len(shifts), 3 * count * len(shifts)))
    if hasattr(flat, "coords"):
        indices, values = np.asarray(flat.coords), np.asarray(flat.data, dtype=float)
    else:
        indices = np.array(np.nonzero(flat))
        values = np.asarray(flat)[tuple(indices)]
    elements = _elements(supercell, indices, values, shifts)
    if sign is None and len(supercell.atoms) != len(two.supercell.atoms):
        fix = "give it, for the two orders have supercells of their own"
        raise InputError("sign of the third order", "unknown", fix)
    return two, ForceConstants(supercell, third=_of_the_energy(two, elements, sign))


def write_folder(constants: ForceConstants, folder: Path, kind: Format = "numpy") -> None:
    """What ``ForceConstants.from_folder(folder, supercell=repeats, format=kind)`` of kALDo reads; existing orders only.

    The third order is that of the energy.

    Raises
    ------
    InputError
        Where masses are not standard, the supercell is no box of copies, or kALDo would take it for another one.
    """
    found = _in_copies(constants)
    primitive = found.supercell.primitive
    standard = atomic_masses[primitive.numbers]
    _require_standard_masses(primitive, standard)
    if not np.allclose(found.supercell.atoms.cell.array / found.supercell.repeats, primitive.cell.array, atol=1e-6):
        fix = "kALDo would misread its primitive cell; use equal repetitions, or to_kaldo"
        raise InputError("supercell", f"{found.supercell.repeats} copies of an oblique cell", fix)
    if kind == "eskm":
        raise InputError("format", kind, "is read but not written; write 'lammps', which has the same numbers")
    folder.mkdir(parents=True, exist_ok=True)
    for name in REPLICATED:
        write_atomically(folder / name, _extended_xyz(found.supercell.atoms).encode(), "structure")
    count, copies = len(primitive), found.supercell.copies
    if found.second is not None and kind == "numpy":
        np.save(folder / "second.npy", _second_value(found))
    if found.second is not None and kind == "lammps":
        roots = np.repeat(np.sqrt(standard), 3)
        weighted = found.second.toarray() / roots[:, None] / np.tile(roots, copies) / TEN_JOULE_PER_MOLE
        text = "\n".join(" ".join(f"{value:.16e}" for value in row) for row in weighted)
        write_atomically(folder / "Dyn.form", (text + "\n").encode(), "force constants")
    if found.third is not None and kind == "numpy":
        size = 3 * count * copies
        rows = found.third.indices[0] * size + found.third.indices[1]
        matrix = sp.coo_array((found.third.values, (rows, found.third.indices[2])), shape=(3 * count * size, size))
        sp.save_npz(folder / "third.npz", matrix)
    if found.third is not None and kind == "lammps":
        write_atomically(folder / "THIRD", _third_text(found.third).encode(), "force constants")


def read_folder(
    folder: Path,
    repeats: tuple[int, int, int] = (1, 1, 1),
    kind: Format = "numpy",
    sign: Sign | None = None,
) -> ForceConstants:
    """Force constants of one of kALDo's folders, of whichever orders it has.

    ``sign`` is 1 where the third order holds derivatives of the energy, and -1 where kALDo or LAMMPS took differences
    of forces; without it, it is found by rotations (``third_sign``), which needs a cell larger than twice the reach
    of the third order, and the second order as well.

    Raises
    ------
    InputError
        Where files are missing or of other shapes, or the sign of the third order cannot be found.
    """
    atoms = read_structure(folder, kind)
    supercell = _divided(atoms, repeats)
    count, size = len(supercell.primitive), 3 * len(atoms)
    names = {"numpy": ("second.npy", "third.npz"), "lammps": ("Dyn.form", "THIRD"), "eskm": ("Dyn.form", "THIRD")}[kind]
    paths = [folder / name for name in names]
    if not any(path.is_file() for path in paths):
        raise InputError("force constants", folder, f"holds neither {names[0]} nor {names[1]}")
    second = None
    if paths[0].is_file():
        values = load_npy(paths[0]) if kind == "numpy" else _dynamical_matrix(paths[0], supercell.primitive, size)
        if values.size not in (3 * count * size, size * size):
            raise InputError("force constants", paths[0], f"has {values.size} numbers, not {3 * count} x {size}")
        believable(paths[0], values, 2)
        second = sp.csr_array(values.reshape(-1, size)[: 3 * count])
    third = None
    if paths[1].is_file():
        third = _third_npz(paths[1], 3 * count, size) if kind == "numpy" else _third_list(paths[1], count, len(atoms))
        believable(paths[1], third.values, 3)
    found = ForceConstants(supercell, second)
    return found if third is None else ForceConstants(supercell, second, _of_the_energy(found, third, sign))


def _of_the_energy(second: ForceConstants, third: Elements, sign: Sign | None) -> Elements:
    """Third-order force constants with the sign of derivatives of the energy."""
    if sign is None and second.second is None:
        raise InputError("sign of the third order", "unknown", "give it, for without a second order it cannot be told")
    factor = third_sign(ForceConstants(second.supercell, second.second, third)) if sign is None else sign
    return Elements(third.indices, factor * third.values)


def _in_copies(constants: ForceConstants) -> ForceConstants:
    supercell = constants.supercell
    return constants.in_order_of(repeated(supercell.primitive, supercell.repeats, "cells"))


def _settings(supercell: Supercell, folder: str) -> dict[str, Any]:
    return {
        "atoms": supercell.primitive.copy(),
        "replicated_positions": supercell.atoms.positions.copy(),
        "supercell": supercell.repeats,
        "folder": folder,
    }


def _second_value(constants: ForceConstants) -> np.ndarray:
    """(1, P, 3, copies, P, 3)."""
    count = len(constants.supercell.primitive)
    blocks = second_blocks(constants, full=False).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks).reshape(1, count, 3, -1, count, 3)


def _supercell_of(order: Any) -> Supercell:
    """The physical supercell of one of kALDo's observables."""
    primitive = order.atoms.copy()
    count = len(primitive)
    cells = np.asarray(order.replica_translations)
    positions = np.asarray(order.replicated_positions).reshape(-1, 3)
    matrix = np.asarray(order.supercell_grid.matrix)
    atoms = Atoms(
        np.tile(primitive.numbers, len(cells)),
        positions=positions,
        cell=matrix @ primitive.cell.array,
        masses=np.tile(primitive.get_masses(), len(cells)),
        pbc=True,
    )
    return Supercell(primitive, atoms, np.tile(np.arange(count), len(cells)), np.repeat(cells, count, axis=0))


def _elements(supercell: Supercell, indices: np.ndarray, values: np.ndarray, shifts: np.ndarray) -> Elements:
    """A list whose atoms are copy * P + site, with copies at the given lattice vectors, folded into the supercell."""
    count = len(supercell.primitive)
    legs = [indices[0]]
    for leg in indices[1:]:
        atom = leg // 3
        legs.append(3 * supercell.find(atom % count, shifts[atom // count]) + leg % 3)
    size = 3 * len(supercell.atoms)
    keys, place = np.unique(coordinate_keys(np.stack(legs), size), return_inverse=True)
    return Elements(
        np.stack([keys // size**2, keys // size % size, keys % size]), np.bincount(place, values, len(keys))
    )


def _require_standard_masses(primitive: Atoms, standard: np.ndarray) -> None:
    wrong = np.abs(primitive.get_masses() / standard - 1.0)
    worst = int(np.argmax(wrong))
    if wrong[worst] > MASS_TOLERANCE:
        mass = f"{primitive.get_masses()[worst]:.4f} amu of {primitive.symbols[worst]}"
        raise InputError("masses", mass, "kALDo's folders know standard masses only; use to_kaldo, or another format")


def _extended_xyz(atoms: Atoms) -> str:
    """Not wrapped, for kALDo recognises copies by their positions."""
    lattice = " ".join(f"{value:.12f}" for value in atoms.cell.array.ravel())
    lines = [str(len(atoms)), f'Lattice="{lattice}" Properties=species:S:1:pos:R:3:masses:R:1 pbc="T T T"']
    for symbol, position, mass in zip(atoms.get_chemical_symbols(), atoms.positions, atoms.get_masses(), strict=True):
        lines.append(f"{symbol:2s} " + " ".join(f"{value:18.12f}" for value in position) + f" {mass:.10f}")
    return "\n".join(lines) + "\n"


def _third_text(third: Elements) -> str:
    """Lines "i a j b k" and the values of the three directions of k."""
    rows = np.stack([*third.indices[:2], third.indices[2] // 3])
    lines, place = np.unique(rows, axis=1, return_inverse=True)
    values = np.bincount(3 * place + third.indices[2] % 3, third.values, 3 * lines.shape[1]) / TEN_JOULE_PER_MOLE
    i, j, k = lines
    numbered = np.stack([i // 3, i % 3, j // 3, j % 3, k], axis=1) + 1
    return "".join(
        f"{five[0]} {five[1]} {five[2]} {five[3]} {five[4]} {three[0]:.16e} {three[1]:.16e} {three[2]:.16e}\n"
        for five, three in zip(numbered.tolist(), values.reshape(-1, 3).tolist(), strict=True)
    )


def read_structure(folder: Path, kind: Format) -> Atoms:
    """The atoms of the supercell in one of kALDo's folders.

    Raises
    ------
    InputError
        Where the file is missing, is none, or holds no crystal.
    """
    names = ("CONFIG",) if kind == "eskm" else REPLICATED
    path = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
    text = read_text(path, "structure")
    if kind != "eskm":
        _require_one_frame(path, text)
    with foreign_parser("structure", path, "give the file that kALDo wrote"):
        found = ase.io.read(io.StringIO(text), format="dlp4" if kind == "eskm" else "extxyz")
    if not isinstance(found, Atoms):
        raise InputError("structure", path, "holds several structures; give one")
    found.pbc = True
    return sound(path, found)


def rows_of_folder(folder: Path, kind: Format, count: int) -> int:
    """Atoms that have rows of third-order force constants of their own, of ``count`` in the supercell.

    Raises
    ------
    InputError
        Where the third order is missing or none.
    """
    if kind == "numpy":
        path = require_file(folder / "third.npz")
        shape = sparse_shape(path, load_npz(path))
        return shape[0] * shape[1] // (3 * count) ** 2 // 3
    indices, _ = third_lines(folder / "THIRD", count, count)
    return int(indices[0].max(initial=0)) // 3 + 1


def _divided(atoms: Atoms, repeats: tuple[int, int, int]) -> Supercell:
    """The first atoms and a part of the cell are the primitive cell."""
    copies = int(np.prod(repeats))
    if min(repeats) < 1 or len(atoms) % copies:
        raise InputError("repeats", repeats, f"the structure has {len(atoms)} atoms")
    primitive = atoms[: len(atoms) // copies]
    primitive.set_cell(atoms.cell.array / np.array(repeats)[:, None])
    return glass(atoms) if copies == 1 else matched(primitive, atoms)


def _dynamical_matrix(path: Path, primitive: Atoms, size: int) -> np.ndarray:
    """Force constants of a Dyn.form, eV/Angstrom^2, in rows of the length of the supercell."""
    values = rows_of(path, size)[1] * TEN_JOULE_PER_MOLE
    roots = np.repeat(np.sqrt(atomic_masses[primitive.numbers]), 3)
    copies = size // len(roots)
    return np.asarray(values * np.resize(roots, len(values))[:, None] * np.tile(roots, copies))


def _third_npz(path: Path, rows: int, size: int) -> Elements:
    arrays = load_npz(path)
    shape = sparse_shape(path, arrays)
    if shape[0] * shape[1] != rows * size * size:
        raise InputError("force constants", path, f"has shape {shape}, not ({rows * size}, {size})")
    first, second, values = sparse_elements(path, arrays)
    flat = first * shape[1] + second
    return Elements(np.stack([flat // size**2, flat // size % size, flat % size]), values)


def _third_list(path: Path, rows: int, count: int) -> Elements:
    """A list THIRD; as kALDo does, only what belongs to the first copy."""
    indices, values = third_lines(path, rows, count)
    return Elements(indices, TEN_JOULE_PER_MOLE * values)


def _require_one_frame(path: Path, text: str) -> None:
    """Refuse an extended XYZ file whose counts are not those of its lines, before memory is taken for them."""
    lines = text.rstrip().split("\n")
    count = lines[0].strip()
    if not (count.isascii() and count.isdigit()) or len(count) > 9 or int(count) != len(lines) - 2:
        fix = f"its first line is {count[:40]!r}; it should be the number of atoms, {len(lines) - 2} by its lines"
        raise InputError("structure", path, fix)
    columns = [int(number) for number in re.findall(r":[SRILsril]:([0-9]{1,20})", lines[1][:100_000])]
    words = {len(line.split()) for line in lines[2:]}
    if columns and words != {sum(columns)}:
        fix = f"its Properties have {sum(columns)} columns, its lines {sorted(words)[:5]}; mend it"
        raise InputError("structure", path, fix)
