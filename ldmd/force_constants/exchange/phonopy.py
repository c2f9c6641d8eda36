"""phonopy: FORCE_CONSTANTS (text), force_constants.hdf5, and the structure in phonopy.yaml.

Both files hold Phi_ij in eV/Angstrom^2 (or the units of the program the forces came from, named in the HDF5 file) for
all pairs of supercell atoms, or for one atom of every site in the compact form; atoms are counted from 1 in the text
and from 0 in ``p2s_map``. The order of the supercell's atoms is phonopy's own: all copies of the first atom of the
unit cell, then of the next. ``write_structure`` writes a phonopy.yaml from which phonopy builds the very supercell of
the force constants: where its order is not phonopy's, the supercell itself serves as the unit cell.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from scipy import constants as physical

from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import ForceConstants, from_blocks, second_blocks
from ldmd.force_constants.exchange.files import array_of, atoms_of_rows, believable, require_file, rows_of, sound, whole
from ldmd.force_constants.exchange.kinds import split_names
from ldmd.force_constants.exchange.supercell import Supercell, matched, repeated
from ldmd.foreign import foreign_parser
from ldmd.safe_files import load_yaml, open_hdf5, text_in
from ldmd.store import write_atomically

_BOHR = physical.physical_constants["Bohr radius"][0] * 1e10
_RYDBERG = physical.physical_constants["Rydberg constant times hc in eV"][0]

UNITS = {
    "ev/angstrom^2": 1.0,
    "ev/angstrom.au": 1.0 / _BOHR,
    "ry/au^2": _RYDBERG / _BOHR**2,
    "mry/au^2": 1e-3 * _RYDBERG / _BOHR**2,
    "hartree/au^2": 2.0 * _RYDBERG / _BOHR**2,
    "hartree/angstrom.au": 2.0 * _RYDBERG / _BOHR,
}
"""eV/Angstrom^2 per unit, by phonopy's names in small letters."""
LENGTHS = {"angstrom": 1.0, "au": _BOHR}
OVERLAP = 0.65
"""Of the sum of two covalent radii: atoms that are nearer are in another unit."""


def read(structure: Path, force_constants: Path | None = None) -> ForceConstants:
    """Second-order force constants from a phonopy.yaml and, unless it has them itself, a file of force constants.

    Raises
    ------
    InputError
        Where files are missing or do not belong together, or neither holds force constants.
    """
    supercell = read_structure(structure)
    if force_constants is not None:
        return read_second(force_constants, supercell)
    content = _yaml(structure)
    if "force_constants" not in content:
        fix = "holds no force constants; name their file, FORCE_CONSTANTS or force_constants.hdf5"
        raise InputError("force constants", structure, fix)
    with foreign_parser("force constants", structure, "give the phonopy_params.yaml that phonopy wrote"):
        block, unit = content["force_constants"], _unit(content, "force_constants", "eV/angstrom^2")
        shape = tuple(int(length) for length in block["shape"])
        blocks = np.array(block["elements"], dtype=float)
    if len(shape) != 2 or blocks.size != 9 * shape[0] * shape[1]:
        raise InputError("force constants", structure, f"its elements are not {' x '.join(map(str, shape))} blocks")
    return _constants(structure, supercell, blocks.reshape(*shape, 3, 3) * _factor(structure, unit), None)


def read_second(path: Path, supercell: Supercell, unit: str | None = None) -> ForceConstants:
    """Text or HDF5, told apart by content. ``unit`` is the unit of a file that does not name its own."""
    if h5py.is_hdf5(require_file(path)):
        blocks, rows, named = _hdf5(path, len(supercell.atoms))
    else:
        blocks, rows, named = *_text(path), None
    return _constants(path, supercell, blocks * _factor(path, named or unit or "eV/angstrom^2"), rows)


def unit_of(path: Path) -> str | None:
    """The unit that a file of the second order names, if it names one."""
    if not h5py.is_hdf5(require_file(path)):
        return None
    with open_hdf5(path) as file, foreign_parser("force constants", path, "give the file that phonopy wrote"):
        return _unit_in(file)


def write_second(constants: ForceConstants, path: Path, compact: bool = False) -> None:
    """Text, or HDF5 where the name ends in .hdf5; full, or compact with one atom of every site."""
    supercell = constants.supercell
    rows = np.sort(supercell.home) if compact else np.arange(len(supercell.atoms))
    blocks = second_blocks(constants, full=not compact)
    if compact:
        blocks = blocks[np.argsort(supercell.home)]
    if path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file.create_dataset("force_constants", data=blocks, compression="gzip")
            file.create_dataset("p2s_map", data=np.sort(supercell.home))
            file.create_dataset("physical_unit", data=[b"eV/angstrom^2"])
        return
    lines = [f"{blocks.shape[0]:4d} {blocks.shape[1]:4d}"]
    for row, atom in enumerate(rows):
        for other in range(blocks.shape[1]):
            lines.append(f"{atom + 1} {other + 1}")
            lines.extend("".join(f"{value:22.15f}" for value in values) for values in blocks[row, other])
    write_atomically(path, ("\n".join(lines) + "\n").encode(), "force constants")


def read_structure(path: Path, name: str = "supercell", primitive: str = "primitive_cell") -> Supercell:
    """The supercell of a phonopy.yaml or phono3py.yaml with its primitive cell, by the names of its blocks.

    Raises
    ------
    InputError
        Where a block is missing or the cells do not fit.
    """
    cell = read_cell(path, primitive)
    return matched(cell, read_cell(path, name))


def read_cell(path: Path, name: str) -> Atoms:
    """One of the blocks of a phonopy.yaml or phono3py.yaml.

    Raises
    ------
    InputError
        Where the block is missing or no crystal, or its unit is not what it says.
    """
    content = _yaml(path)
    with foreign_parser("structure", path, "give the yaml file that phonopy wrote"):
        unit = _unit(content, "length", "angstrom")
    if unit not in LENGTHS:
        raise InputError("unit of length", unit, f"{path} must use one of {', '.join(LENGTHS)}")
    atoms = _atoms(path, content, name, LENGTHS[unit])
    if unit != "angstrom":
        _require_apart(path, unit, atoms)
    return atoms


def _unit(content: dict[str, Any], name: str, default: str) -> str:
    units = content.get("physical_unit")
    return str(units.get(name, default)) if isinstance(units, dict) else default


def _require_apart(path: Path, unit: str, atoms: Atoms) -> None:
    """Refuse a unit of length in which atoms lie inside each other.

    phono3py writes the unit of the program that made the forces, and after reading it has its own cells in Angstrom.
    """
    radii = covalent_radii[atoms.numbers]
    first, other, lengths = neighbor_list("ijd", atoms, 2.0 * OVERLAP * float(radii.max()))
    overlap = lengths < OVERLAP * (radii[first] + radii[other])
    if np.any(overlap):
        fix = (
            f"{path} has atoms {lengths.min():.2f} Angstrom apart in this unit; write angstrom if its cells are in that"
        )
        raise InputError("unit of length", unit, fix)


def has_block(path: Path, name: str) -> bool:
    """Whether a yaml file has a top-level block of this name."""
    return name in _yaml(path)


def write_structure(
    supercell: Supercell, path: Path, program: str = "phonopy", second_supercell: Supercell | None = None
) -> None:
    """A yaml file from which phonopy (or phono3py) builds this supercell with its atoms in this order.

    ``second_supercell`` is phono3py's own supercell of the second order, where it differs; then both must be boxes
    of copies in phonopy's order.

    Raises
    ------
    InputError
        Where two supercells are not in phonopy's order.
    """
    unit, matrix = supercell.primitive, supercell.matrix
    in_order = _in_phonopy_order(supercell)
    if second_supercell is not None and not (in_order and _in_phonopy_order(second_supercell)):
        fix = "two supercells must be repeated(primitive, repeats, 'sites'); see ForceConstants.in_order_of"
        raise InputError("supercell", "in another order than phonopy's", fix)
    primitive_matrix = np.eye(3)
    if not in_order:
        unit, matrix = supercell.atoms, np.eye(3, dtype=int)
        primitive_matrix = np.linalg.inv(supercell.matrix)
    lines = [f"{program}:", '  version: "ldmd"', "physical_unit:", '  atomic_mass: "AMU"', '  length: "angstrom"']
    # phonopy's matrices act from the right on column vectors.
    lines += ["primitive_matrix:", *_matrix(primitive_matrix.T, "22.18f"), "supercell_matrix:", *_matrix(matrix.T, "d")]
    if second_supercell is not None:
        lines += ["phonon_supercell_matrix:", *_matrix(second_supercell.matrix.T, "d")]
        lines += _cell("phonon_primitive_cell", second_supercell.primitive)
        lines += _cell("phonon_supercell", second_supercell.atoms)
    lines += _cell("primitive_cell", supercell.primitive) + _cell("unit_cell", unit)
    lines += _cell("supercell", supercell.atoms)
    write_atomically(path, ("\n".join(lines) + "\n").encode(), "structure")


def _in_phonopy_order(supercell: Supercell) -> bool:
    sizes = np.diag(supercell.matrix)
    if np.any(supercell.matrix != np.diag(sizes)) or np.any(sizes < 1):
        return False
    usual = repeated(supercell.primitive, supercell.repeats, "sites")
    return np.array_equal(supercell.find(usual.sites, usual.cells), np.arange(len(usual.atoms)))


def _constants(path: Path, supercell: Supercell, blocks: np.ndarray, rows: np.ndarray | None) -> ForceConstants:
    count = len(supercell.atoms)
    if blocks.ndim != 4 or blocks.shape[1:] != (count, 3, 3):
        fix = f"{path} has {blocks.shape}, not (rows, {count}, 3, 3)"
        raise InputError("force constants", f"a supercell of {count} atoms", fix)
    if len(blocks) == count and (rows is None or len(rows) < count):
        rows = np.arange(count)
    elif rows is None:
        rows = np.sort(supercell.home)
    rows = whole(path, rows, "an atom in p2s_map", 0, count - 1)
    if len(rows) != len(blocks) or not len(rows):
        raise InputError("p2s_map", rows[:20].tolist(), f"{path} has {len(blocks)} rows and {count} atoms")
    return from_blocks(supercell, rows, second=believable(path, blocks, 2))


def _text(path: Path) -> tuple[np.ndarray, np.ndarray]:
    header, entries = rows_of(path, 11, header=True)
    if not re.fullmatch(r"[0-9]{1,9}(\s+[0-9]{1,9})?", header):
        raise InputError("force constants", path, "does not begin with the number of atoms; is it FORCE_CONSTANTS?")
    shape = [int(word) for word in header.split()]
    if len(entries) != shape[0] * shape[-1] or not len(entries):
        raise InputError("force constants", path, f"has {len(entries)} blocks, its first line promises {header}")
    entries = entries.reshape(shape[0], shape[-1], 11)
    rows = whole(path, entries[:, 0, 0], "an atom", 1, shape[-1]) - 1
    if np.any(entries[:, :, 1] != np.arange(1, shape[-1] + 1)) or np.any(entries[:, :, 0] != rows[:, None] + 1):
        raise InputError("force constants", path, "its blocks are not in the order of the atoms; sort them")
    return entries[:, :, 2:].reshape(shape[0], shape[-1], 3, 3), rows


def _hdf5(path: Path, count: int) -> tuple[np.ndarray, np.ndarray | None, str | None]:
    with (
        open_hdf5(path, 4.0 * 72.0 * count**2 + 1e8) as file,
        foreign_parser("force constants", path, "give the file that phonopy wrote"),
    ):
        names = [name for name in ("force_constants", "fc2") if name in file]
        if len(names) != 1:
            fix = f"needs one dataset 'force_constants' or 'fc2'; it has {', '.join(file)}"
            raise InputError("force constants", path, fix)
        rows = atoms_of_rows(file, path, count) if "p2s_map" in file else None
        return array_of(file, names[0], path), rows, _unit_in(file)


def _unit_in(file: h5py.File) -> str | None:
    return text_in(file, "physical_unit") if "physical_unit" in file else None


def _factor(path: Path, unit: str) -> float:
    if unit.lower() not in UNITS:
        raise InputError("unit of force constants", unit[:40], f"{path} must use one of {', '.join(UNITS)}")
    return UNITS[unit.lower()]


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = load_yaml(path)
    except InputError as error:
        raise InputError("structure", error.value, error.fix) from error
    if not isinstance(content, dict):
        raise InputError("structure", path, "is not a phonopy.yaml")
    return content


def _atoms(path: Path, content: dict[str, Any], name: str, length: float) -> Atoms:
    if name not in content:
        raise InputError("structure", path, f"has no block {name!r}; give the phonopy.yaml of a finished run")
    with foreign_parser("structure", path, f"mend its block {name!r}"):
        points = content[name]["points"]
        # A number behind the symbol tells apart atoms of one element.
        symbols, tags = split_names([point["symbol"] for point in points])
        atoms = Atoms(
            symbols,
            tags=tags,
            cell=length * np.array(content[name]["lattice"], dtype=float),
            scaled_positions=np.array([point["coordinates"] for point in points], dtype=float),
            pbc=True,
        )
        if all(point.get("mass") is not None for point in points):
            atoms.set_masses(np.array([point["mass"] for point in points], dtype=float))
    return sound(path, atoms)


def _matrix(matrix: np.ndarray, form: str) -> list[str]:
    return ["- [ " + ", ".join(format(value, form) for value in row) + " ]" for row in matrix.tolist()]


def _cell(name: str, atoms: Atoms) -> list[str]:
    lines = [f"{name}:", "  lattice:", *(f"  {row}" for row in _matrix(atoms.cell.array, "23.17f")), "  points:"]
    scaled = atoms.get_scaled_positions(wrap=False)
    for symbol, position, mass in zip(atoms.get_chemical_symbols(), scaled, atoms.get_masses(), strict=True):
        coordinates = ", ".join(f"{value:.18f}" for value in position)
        lines += [f"  - symbol: {symbol}", f"    coordinates: [ {coordinates} ]", f"    mass: {mass:.10f}"]
    return lines
