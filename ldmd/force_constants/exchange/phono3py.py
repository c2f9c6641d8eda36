"""phono3py: fc2.hdf5, fc3.hdf5 (full and compact), and the structure in phono3py.yaml.

fc3.hdf5 holds the dense array Phi_ijk, (N, N, N, 3, 3, 3) or with P first atoms in the compact form, in eV/Angstrom^3.
The two orders may belong to supercells of different size, so there is one ``ForceConstants`` for each of them.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ldmd.errors import InputError
from ldmd.force_constants.exchange import phonopy
from ldmd.force_constants.exchange.constants import ForceConstants, from_blocks, third_blocks
from ldmd.force_constants.exchange.files import array_of, atoms_of_rows, believable, peer, require_file
from ldmd.force_constants.exchange.kinds import from_phonopy, to_phonopy
from ldmd.force_constants.exchange.supercell import Supercell, matched
from ldmd.foreign import foreign_parser, reading
from ldmd.safe_files import load_yaml, open_hdf5

BUILT = ("primitive_cell", "supercell")
"""Blocks of cells that follow from the unit cell and matrices."""
OWN_UNIT = "ev/angstrom^2"
"""Of the second order that goes with a third one in eV/Angstrom^3."""


def read(
    structure: Path, second: Path | None = None, third: Path | None = None
) -> tuple[ForceConstants | None, ForceConstants | None]:
    """Second- and third-order force constants of a phono3py.yaml, from the files that are named.

    Raises
    ------
    InputError
        Where files are missing or do not belong together.
    """
    of_second, of_third = read_structures(structure)
    unit = None if second is None or third is None else phonopy.unit_of(second)
    if unit is not None and unit.lower() != OWN_UNIT:
        fix = f"{second} has it, and {third} names none: convert both to eV/Angstrom^2 and eV/Angstrom^3"
        raise InputError("unit of force constants", unit, fix)
    return (
        None if second is None else phonopy.read_second(second, of_second),
        None if third is None else read_third(third, of_third),
    )


def read_structures(path: Path) -> tuple[Supercell, Supercell]:
    """The supercells of the second and of the third order; the same object where phono3py.yaml has one only.

    A file with a unit cell and matrices only is built by phono3py, as it does itself.

    Raises
    ------
    InputError
        Where blocks are missing, or the cells do not fit into each other.
    """
    if phonopy.has_block(path, "unit_cell") and not all(phonopy.has_block(path, name) for name in BUILT):
        return _built(path)
    third = phonopy.read_structure(path)
    if not phonopy.has_block(path, "phonon_supercell"):
        return third, third
    primitive = "phonon_primitive_cell" if phonopy.has_block(path, "phonon_primitive_cell") else "primitive_cell"
    second = phonopy.read_structure(path, "phonon_supercell", primitive)
    same = len(second.atoms) == len(third.atoms) and np.allclose(second.atoms.positions, third.atoms.positions)
    return (third if same else second), third


def _built(path: Path) -> tuple[Supercell, Supercell]:
    """From the unit cell of a file, its matrix of the supercell, and that of the primitive cell if it has one."""
    content = load_yaml(path)
    unit = phonopy.read_cell(path, "unit_cell")
    build = peer("phono3py", "phono3py").Phono3py
    with reading("structure", path, "phono3py cannot build its supercell ({reason})"):
        program = build(
            to_phonopy(unit),
            supercell_matrix=content.get("supercell_matrix"),
            primitive_matrix=content.get("primitive_matrix", "auto"),
            phonon_supercell_matrix=content.get("phonon_supercell_matrix"),
            log_level=0,
        )
    primitive = from_phonopy(program.primitive)
    third = matched(primitive, from_phonopy(program.supercell))
    if program.phonon_supercell_matrix is None:
        return third, third
    return matched(primitive, from_phonopy(program.phonon_supercell)), third


def read_second(path: Path, supercell: Supercell) -> ForceConstants:
    """fc2.hdf5, whose layout is that of phonopy's force_constants.hdf5."""
    return phonopy.read_second(path, supercell)


def read_third(path: Path, supercell: Supercell) -> ForceConstants:
    """fc3.hdf5 of a supercell, full or compact as the array's shape tells.

    Raises
    ------
    InputError
        Where the file is none, or is that of another supercell.
    """
    if not h5py.is_hdf5(require_file(path)):
        raise InputError("force constants", path, "is not an HDF5 file; give fc3.hdf5")
    count = len(supercell.atoms)
    with (
        open_hdf5(path, 1.1 * 216.0 * count**3 + 1e8) as file,
        foreign_parser("force constants", path, "give the file that phono3py wrote"),
    ):
        if "fc3" not in file:
            raise InputError("force constants", path, f"needs a dataset 'fc3'; it has {', '.join(file)}")
        blocks = believable(path, array_of(file, "fc3", path), 3)
        if blocks.ndim != 6 or blocks.shape[1:] != (count, count, 3, 3, 3) or not len(blocks):
            fix = f"{path} has {blocks.shape}, not (rows, {count}, {count}, 3, 3, 3)"
            raise InputError("force constants", f"a supercell of {count} atoms", fix)
        rows = atoms_of_rows(file, path, count) if "p2s_map" in file else np.sort(supercell.home)
    if len(blocks) == count:
        rows = np.arange(count)
    if len(rows) != len(blocks):
        raise InputError("p2s_map", rows[:20].tolist(), f"{path} has {len(blocks)} rows")
    return from_blocks(supercell, rows, third=blocks)


def write_second(constants: ForceConstants, path: Path, compact: bool = True) -> None:
    """fc2.hdf5."""
    if path.suffix != ".hdf5":
        raise InputError("force constants", path, "phono3py reads fc2.hdf5; let the name end in .hdf5")
    phonopy.write_second(constants, path, compact)


def write_third(constants: ForceConstants, path: Path, compact: bool = True) -> None:
    """fc3.hdf5, compact or full.

    Raises
    ------
    InputError
        Where the dense array of a large cell would not fit into memory.
    """
    blocks, home = third_blocks(constants, full=not compact), constants.supercell.home
    if compact:
        blocks = blocks[np.argsort(home)]
    with h5py.File(path, "w") as file:
        file.create_dataset("fc3", data=blocks, compression="gzip")
        file.create_dataset("p2s_map", data=np.sort(home))


def write_structure(path: Path, third: Supercell, second: Supercell | None = None) -> None:
    """A phono3py.yaml from which phono3py builds these supercells with their atoms in this order."""
    phonopy.write_structure(third, path, "phono3py", None if second is third else second)
