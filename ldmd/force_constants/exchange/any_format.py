"""Force constants of both orders from the files of another program, whichever that was: what a cell at Gamma needs.

The format of the third order is told by its content:

    phono3py   fc3.hdf5 (full or compact), or FORCES_FC3, of which phono3py itself makes force constants
    ShengBTE   FORCE_CONSTANTS_3RD
    kALDo      a folder with third.npz or THIRD

The second order and the structure stand beside it under the usual names, or are named. A second order of a larger
supercell is folded into that of the third one: at Gamma of the smaller cell both are the same.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse as sp
from ase import Atoms

from ldmd.errors import InputError
from ldmd.force_constants.exchange import kaldo, phono3py, phonopy, shengbte
from ldmd.force_constants.exchange.constants import ForceConstants
from ldmd.force_constants.exchange.files import array_of, require_file
from ldmd.force_constants.exchange.supercell import MOST_ATOMS, TOLERANCE, Supercell, glass, matched, repeated
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.safe_files import open_hdf5
from ldmd.structures import cell_heights, read_structure
from ldmd.text_file import Bounded, first_line, read_text

SECOND = {
    "phono3py": ("fc2.hdf5", "force_constants.hdf5"),
    "ShengBTE": ("FORCE_CONSTANTS_2ND", "FORCE_CONSTANTS", "fc2.hdf5"),
}
"""Usual names of the second order."""
STRUCTURE = {
    "phono3py": ("phono3py.yaml", "phono3py_disp.yaml"),
    "ShengBTE": ("CONTROL", "phonopy.yaml", "phonopy_disp.yaml", "POSCAR"),
}
"""Usual names of the structure."""
KNOWN = "known are phono3py's fc3.hdf5 and FORCES_FC3, FORCE_CONSTANTS_3RD of ShengBTE, and folders of kALDo"


@dataclasses.dataclass(frozen=True)
class Imported:
    """Force constants between all atoms of one cell."""

    program: str
    atoms: Atoms
    second: SecondOrder
    third: SparseThirdOrder


def read_any(third: Path, second: Path | None = None, structure: Path | None = None) -> Imported:
    """Read the third order and what belongs to it.

    ``structure`` is a phonopy.yaml or phono3py.yaml, a CONTROL, or the atoms in any format that ASE reads: those of
    the whole cell where the force constants list all of its atoms, else of the primitive cell.

    Raises
    ------
    InputError
        Where a file is missing, damaged, of no known format, or does not belong to the others.
    """
    if third.is_dir():
        return _of_kaldo(third, second, structure)
    program = _program_of(third)
    named = _beside(third, "--fc2", second, SECOND[program])
    place = _beside(third, "--structure", structure, STRUCTURE[program])
    if h5py.is_hdf5(third):
        of_second, of_third = _cells_of_phono3py(place)
        return together(program, phono3py.read_second(named, of_second), phono3py.read_third(third, of_third))
    if program == "phono3py":
        return _of_forces(third, second, place)
    two = _second_of_shengbte(named, place)
    return together(program, two, shengbte.read_third(third, two.supercell))


def structure_beside(third: Path) -> bool:
    """Whether the structure stands beside a file of the third order, under one of its usual names.

    Raises
    ------
    InputError
        Where the third order is of no known format.
    """
    return any((third.parent / name).is_file() for name in STRUCTURE[_program_of(third)])


def together(program: str, second: ForceConstants, third: ForceConstants) -> Imported:
    """Both orders in the supercell of the third one.

    Raises
    ------
    InputError
        Where the second order belongs to a smaller supercell, to one that is no multiple, or to another crystal.
    """
    mine, cell = len(second.supercell.atoms), third.supercell
    if mine == len(cell.atoms):
        two = second.in_order_of(cell)
    elif mine < len(cell.atoms):
        fix = f"the third order has {len(cell.atoms)}; give the second order of the same supercell, or of a larger one"
        raise InputError("--fc2", f"a supercell of {mine} atoms", fix)
    else:
        two = folded(second, cell)
    return Imported(program, cell.atoms, two.second_order(), third.third_order())


def folded(constants: ForceConstants, target: Supercell) -> ForceConstants:
    """Second-order force constants of a supercell summed over the images of a smaller one.

    Raises
    ------
    InputError
        Where the one is no multiple of the other.
    """
    large = constants.supercell
    ratio = large.atoms.cell.array @ np.linalg.inv(target.atoms.cell.array)
    if np.abs((ratio - np.rint(ratio)) @ target.atoms.cell.array).max() > TOLERANCE:
        fix = f"is no multiple of that of the third order ({len(target.atoms)} atoms)"
        raise InputError("--fc2", f"a supercell of {len(large.atoms)} atoms", fix)
    if constants.second is None:
        raise InputError("force constants", "without a second order", "read the second order, too")
    found = matched(target.primitive, large.atoms)
    matrix, rows = constants.second.tocoo(), large.home
    first, other = matrix.coords[0] // 3, matrix.coords[1] // 3
    site = found.sites[rows[first]]
    cells = found.cells[other] - found.cells[rows[first]] + target.cells[target.home[site]]
    columns = target.find(found.sites[other], cells)
    places = (3 * site + matrix.coords[0] % 3, 3 * columns + matrix.coords[1] % 3)
    size = (3 * len(target.primitive), 3 * len(target.atoms))
    return ForceConstants(target, second=sp.csr_array(sp.coo_array((matrix.data, places), shape=size)))


def _program_of(third: Path) -> str:
    if h5py.is_hdf5(require_file(third)):
        return "phono3py"
    with Bounded(third, "--fc3") as file:
        if file.line().startswith(b"# File:"):
            return "phono3py"
    if re.fullmatch("[0-9]+", first_line(third, "--fc3")):
        return "ShengBTE"
    raise InputError("--fc3", third, f"is of no known format; {KNOWN}")


def _beside(third: Path, option: str, given: Path | None, names: Sequence[str]) -> Path:
    """The file that is named, or that stands beside the third order under one of its usual names."""
    if given is not None:
        if not given.exists():
            raise InputError(option, given, "no such file")
        return given
    found = [third.parent / name for name in names if (third.parent / name).is_file()]
    if not found and option == "--fc2" and not h5py.is_hdf5(third) and _program_of(third) == "phono3py":
        return third  # forces of the third order have the second one in them
    if not found:
        raise InputError(option, "not given", f"name the file; there is no {' or '.join(names)} beside {third}")
    return found[0]


def _cells_of_phono3py(path: Path) -> tuple[Supercell, Supercell]:
    if path.suffix in (".yaml", ".yml"):
        return phono3py.read_structures(path)
    whole = glass(_atoms(path))
    return whole, whole


def _of_forces(third: Path, second: Path | None, structure: Path) -> Imported:
    from ldmd.crystal.phono3py_files import read_forces, require_finite

    found = read_forces(structure, third, second)
    require_finite(found, third)
    return together("phono3py", found.second, found.third)


def _second_of_shengbte(second: Path, structure: Path) -> ForceConstants:
    """The second order, in a supercell told by CONTROL, a phonopy.yaml, or the only one that its rows fit."""
    if structure.suffix in (".yaml", ".yml"):
        return phonopy.read_second(second, phonopy.read_structure(structure))
    if structure.name == "CONTROL" or re.search(r"[&$]crystal\b", read_text(structure, "--structure").lower()):
        return phonopy.read_second(second, shengbte.read_control(structure))
    primitive, count = _atoms(structure), _atoms_of_second(second)
    fitting = _in_boxes(second, primitive, count)
    if len(fitting) != 1:
        found = ", ".join(" x ".join(map(str, each.supercell.repeats)) for each in fitting) or "none"
        fix = f"{second} has {count} and fits {found}: name CONTROL or phonopy.yaml, which tell the copies"
        raise InputError("--structure", f"a cell of {len(primitive)} atoms", fix)
    return fitting[0]


def _in_boxes(second: Path, primitive: Atoms, count: int) -> list[ForceConstants]:
    """The second order in every box of copies in which all copies of an atom have the same rows."""
    copies, rest = divmod(count, len(primitive))
    if rest or count > MOST_ATOMS:
        return []
    divisors = [number for number in range(1, copies + 1) if copies % number == 0]
    fitting = []
    for a, b in itertools.product(divisors, repeat=2):
        if copies % (a * b):
            continue
        try:
            fitting.append(phonopy.read_second(second, repeated(primitive, (a, b, copies // (a * b)), "sites")))
        except InputError as error:
            if error.value == second:  # damaged, whatever the box
                raise
    return fitting


def _atoms_of_second(path: Path) -> int:
    if h5py.is_hdf5(require_file(path)):
        with open_hdf5(path) as file:
            arrays = [array_of(file, name, path) for name in ("force_constants", "fc2") if name in file]
        sizes = [array.shape[1] for array in arrays if array.ndim == 4]
    else:
        sizes = [int(word) for word in first_line(path, "--fc2").split()[-1:] if re.fullmatch("[0-9]{1,9}", word)]
    if not sizes:
        raise InputError("--fc2", path, "is of no known format; known are FORCE_CONSTANTS and force_constants.hdf5")
    return sizes[0]


def _of_kaldo(folder: Path, second: Path | None, structure: Path | None) -> Imported:
    for option, given in (("--fc2", second), ("--structure", structure)):
        if given is not None:
            raise InputError(option, given, "a folder of kALDo has its own; leave it out")
    if (folder / "third.npz").is_file():
        kind: kaldo.Format = "numpy"
    elif (folder / "THIRD").is_file():
        kind = _kind_of_lists(folder)
    else:
        raise InputError("--fc3", folder, f"holds neither third.npz nor THIRD; {KNOWN}")
    found = _with_any_sign(folder, _repeats_of(folder, kind), kind)
    return together("kALDo", found, found)


def _kind_of_lists(folder: Path) -> kaldo.Format:
    """Which program made Dyn.form and THIRD, told by the file of the structure."""
    regular = [name for name in kaldo.REPLICATED if (folder / name).is_file()]
    if not (folder / "CONFIG").is_file():
        return "lammps"
    if regular:
        fix = f"holds CONFIG of eskm and {regular[0]} of kALDo; take away the one that THIRD does not belong to"
        raise InputError("--fc3", folder, fix)
    return "eskm"


def _with_any_sign(folder: Path, repeats: tuple[int, int, int], kind: kaldo.Format) -> ForceConstants:
    """With the sign that rotations tell, or as it stands where they cannot: linewidths do not notice."""
    try:
        return kaldo.read_folder(folder, repeats, kind)
    except InputError as error:
        if error.field != "sign of the third order":
            raise
        return kaldo.read_folder(folder, repeats, kind, sign=1)


def _repeats_of(folder: Path, kind: kaldo.Format) -> tuple[int, int, int]:
    """Copies of the primitive cell that have force constants of their own: as many as the first order of rows says."""
    atoms = kaldo.read_structure(folder, kind)
    rows = kaldo.rows_of_folder(folder, kind, len(atoms))
    if rows == len(atoms):
        return 1, 1, 1
    if not rows or len(atoms) % rows:
        fix = f"has rows of {rows} atoms, which are no primitive cell of the {len(atoms)} of the structure"
        raise InputError("--fc3", folder, fix)
    return _box(atoms, rows, folder)


def _box(atoms: Atoms, count: int, folder: Path) -> tuple[int, int, int]:
    """The copies along each vector that map the first atoms on all others."""
    cell = atoms.cell.array
    fractional = (atoms.positions[::count] - atoms.positions[0]) @ np.linalg.inv(cell)
    near = 2.0 * TOLERANCE / cell_heights(cell)
    # Copies of the first atom have as many places along each vector as there are cells.
    places = np.sort((fractional + near) % 1.0, axis=0)
    a, b, c = (1 + (np.diff(places, axis=0) > near).sum(axis=0)).tolist()
    if a * b * c != len(atoms) // count:
        raise InputError("--fc3", folder, f"its {len(atoms)} atoms are no box of copies of the first {count}")
    primitive = atoms[:count]
    primitive.set_cell(cell / np.array([a, b, c])[:, None])
    matched(primitive, atoms)
    return a, b, c


def _atoms(path: Path) -> Atoms:
    try:
        return read_structure(path)
    except InputError as error:
        raise InputError("--structure", error.value, error.fix) from error
