"""Structures from files as people have them: read rightly, or refused in one line.

Only formats that are plain text and describe nothing but a structure are read, from text in memory whose size is
bounded, so that no reader opens another file, runs a program or takes gigabytes. What a structure brings along that a
computation has no use for (constraints, velocities, results of another one) is left behind, and a remark says so.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import io
import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from ase.data import chemical_symbols
from ase.geometry import minkowski_reduce

from ldmd.bounded import read_text
from ldmd.errors import InputError
from ldmd.extended_xyz import ATOMS, FIELD, element_of, fortran_numbers, read_extended_xyz, to_extended_xyz
from ldmd.foreign import foreign_parser
from ldmd.lammps_data import read_lammps_data
from ldmd.visible import STANDARD, standard_masses, unusual_masses

if TYPE_CHECKING:
    from ase import Atoms

NAMES = {
    "extxyz": ("*.extxyz", "*.xyz", "*.exyz"),
    "vasp": ("*poscar*", "*contcar*", "*.vasp"),
    "lammps-data": ("*.data", "data.*", "*.lmp", "*.lammps", "*.lammpsdata", "*.lammps-data"),
    "cif": ("*.cif",),
    "xsf": ("*.xsf",),
    "gen": ("*.gen",),
}
"""Formats that are read, and names of their files (in small letters, without the ending of a compressed file)."""
KNOWN = "extended XYZ, POSCAR, CIF, LAMMPS data, XSF and gen are"
FIX = "give an extended XYZ file"
BOOKKEEPING = {
    "info": ("comment", "spacegroup", "unit_cell", "occupancy"),
    "arrays": (
        "id",
        "type",
        "mol-id",
        "mmcharges",
        "bonds",
        "angles",
        "dihedrals",
        "spacegroup_kinds",
        "castep_labels",
    ),
}
"""What ASE's readers note about a file; it is no property of the atoms."""
VELOCITIES = ("momenta", "vel", "velo", "velocities")
HEAVIEST, LIGHTEST = 1e5, 1e-2
"""amu."""
FARTHEST = 1e6
"""Angstrom from the origin; beyond, rounding moves atoms by more than 1e-10 Angstrom."""
LONGEST = 1e4
"""Angstrom, of a cell vector."""
LINES = ATOMS + 1000
"""Of a file of one of the formats that ASE reads here."""
SITES = 300
"""Of a CIF with symmetry: ASE takes seconds to find their copies, and minutes for a few thousand."""
EMPTIEST = 5000.0
"""Angstrom^3 per atom: a solid has some 10 to 100, with vacuum around it some 1000."""
THINNEST = 0.5
"""Angstrom between opposite faces of a cell, in its shortest vectors."""
FLATTEST = 1e-6
"""Of the product of the lengths of three vectors: their volume, however skewed they are."""


@dataclasses.dataclass(frozen=True)
class StructureFile:
    """A structure, and what of its file was left behind or is out of the ordinary."""

    atoms: Atoms
    remarks: tuple[str, ...] = ()


def read_structure(path: Path) -> Atoms:
    """Read one structure; see ``read_structure_file``."""
    return read_structure_file(path).atoms


def read_structure_file(path: Path) -> StructureFile:
    """Read one structure, periodic in three directions, with the masses, moments and charges of its file.

    Raises
    ------
    InputError
        Where the file is missing, unreadable, too large, of another format or holds several structures; where a
        species is no element, a number is not finite, a mass is none, or the cell cannot be one.
    """
    text = read_text(path, FIELD)
    if not text.strip():
        raise InputError(FIELD, path, f"cannot be read (it is empty); {FIX}")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        atoms = _parsed(text, path, _format_of(path.name, text, path))
    _require_elements(atoms, path)
    _require_periodic(atoms, path)
    _require_masses(atoms, path)
    words = dict.fromkeys(f"ASE says of the file: {' '.join(str(each.message).split())[:160]}" for each in said)
    return StructureFile(atoms, (*words, *_left_behind(atoms), *_masses(atoms)))


def write_structure(atoms: Atoms, path: Path) -> None:
    """Write extended XYZ with everything that a potential or the dynamics can see of the atoms, atomically.

    Raises
    ------
    InputError
        Where it cannot be written.
    """
    from ldmd.store import write_atomically

    write_atomically(path, to_extended_xyz(atoms).encode(), FIELD)


def _format_of(name: str, text: str, path: Path) -> str:
    """By the name of a file, else by what is in it."""
    plain = re.sub(r"\.(gz|bz2)$", "", name.lower())
    for kind, patterns in NAMES.items():
        if any(fnmatch.fnmatchcase(plain, pattern) for pattern in patterns):
            return kind
    head = text[:4000]
    if re.search(r"(?m)^\s*\d+\s+atoms\b", head) and re.search(r"\bxlo\s+xhi\b|\bavec\b", head):
        return "lammps-data"
    if re.match(r"\s*\d+\s*\n.*(?i:lattice|properties)\s*=", head):
        return "extxyz"
    fix = f"cannot be read (its format is none of those known here; {KNOWN}); convert it: ase convert OLD NEW.extxyz"
    raise InputError(FIELD, path, fix)


def _parsed(text: str, path: Path, kind: str) -> Atoms:
    import ase.io
    from ase.spacegroup.spacegroup import SpacegroupError

    if kind == "extxyz":
        return read_extended_xyz(text, path)
    text = fortran_numbers(text)
    if kind == "lammps-data":
        return read_lammps_data(text, path)
    masses = np.array(math.nan)
    if text.count("\n") > LINES:
        raise InputError(FIELD, path, f"has more than {LINES} lines; {FIX}")
    if kind == "vasp":
        text, masses = _poscar(text, path)
    own = (SpacegroupError, ase.io.ParseError, ase.io.formats.UnknownFileTypeError)
    with foreign_parser(FIELD, path, FIX, also=own):
        found = _of_cif(text, path) if kind == "cif" else ase.io.read(io.StringIO(text), format=kind, index=":")
    if len(found) != 1:
        raise InputError(FIELD, path, f"holds {len(found)} structures; give one")
    atoms = cast("Atoms", found[0])
    if not np.isnan(masses).all():
        atoms.set_masses(np.where(np.isnan(masses), atoms.get_masses(), masses))
    return atoms


def _of_cif(text: str, path: Path) -> list[Atoms]:
    """The structures of a CIF without partly occupied sites.

    What has no symmetry is taken as it is, since ASE compares each site with every other.
    """
    from ase.io.cif import parse_cif

    found = []
    for block in parse_cif(io.StringIO(text)):
        if not block.has_structure():
            continue
        shares = block.get("_atom_site_occupancy") or []
        partly = [share for share in shares if not isinstance(share, int | float) or abs(share - 1.0) > 1e-3]
        if partly:
            found_there = f"has {len(partly)} sites that are partly occupied ({str(partly[0])[:10]})"
            fix = "give a structure with whole atoms, or write 1 where a site is meant to be full"
            raise InputError(FIELD, path, f"{found_there}; {fix}")
        atoms = block.get_unsymmetrized_structure()
        if block.get_spacegroup(True).no == 1:
            atoms.set_pbc(True)
        elif len(atoms) > SITES:
            fix = f"has {len(atoms)} sites besides symmetry, more than {SITES}; write all atoms out, in space group P 1"
            raise InputError(FIELD, path, fix)
        else:
            atoms = block.get_atoms(fractional_occupancies=False)
        found.append(atoms)
    return found


def _poscar(text: str, path: Path) -> tuple[str, np.ndarray]:
    """A POSCAR whose symbols ASE knows and whose atoms are there; masses (N,) of isotopes, NaN for other atoms."""
    lines = text.split("\n")
    words = [line.split() for line in lines[:7]] + [[]] * 7
    if words[5] and words[5][0].isdigit():  # VASP 4: the title may hold the elements
        if len(words[0]) != len(words[5]):
            raise InputError(FIELD, path, "names no elements; add a line of their symbols above that of their numbers")
        lines.insert(5, lines[0])
        words = [line.split() for line in lines[:7]]
    symbols = [re.split("[/_]", word)[0] for word in words[5]]
    counts = [int(word) if re.fullmatch("[0-9]{1,11}", word) else 0 for word in words[6][: len(symbols)]]
    if not symbols or len(counts) < len(symbols) or min(counts) < 1 or sum(counts) > min(ATOMS, len(lines)):
        announced = " ".join(words[6])[:40]
        raise InputError(FIELD, path, f"cannot be read (numbers of atoms: {announced!r}, {len(lines)} lines); {FIX}")
    known = [element_of(symbol, "line 6", path) for symbol in symbols]
    lines[5] = " ".join(symbol for symbol, _ in known)
    masses = [math.nan if mass is None else mass for _, mass in known]
    return "\n".join(lines), np.repeat(masses, counts)


def _require_elements(atoms: Atoms, path: Path) -> None:
    if not 1 <= len(atoms) <= ATOMS:
        raise InputError(FIELD, path, f"holds {len(atoms)} atoms; 1 to {ATOMS} can be computed here")
    strange = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols)))
    if len(strange):
        fix = f"atom {strange[0]} has the atomic number {atoms.numbers[strange[0]]}, which is no element; mend it"
        raise InputError(FIELD, path, fix)


def _require_periodic(atoms: Atoms, path: Path) -> None:
    cell = atoms.cell.array
    if not np.isfinite(cell).all():
        raise InputError(FIELD, path, "the cell holds something that is not a finite number; mend it")
    bad = np.flatnonzero(~(np.abs(atoms.positions) < FARTHEST).all(axis=1))
    if len(bad):
        fix = f"atom {bad[0]} has a coordinate that is not a finite number below {FARTHEST:g} Angstrom; mend the file"
        raise InputError(FIELD, path, fix)
    if not atoms.pbc.all() or not cell.any(axis=1).all():
        raise InputError(FIELD, path, "needs a cell periodic in all three directions; add its vectors")
    lengths = np.abs(cell).max(axis=1)
    if lengths.max() > LONGEST:
        raise InputError(FIELD, path, f"a cell vector is {lengths.max():.3g} Angstrom long; at most {LONGEST:g} can be")
    volume = abs(float(np.linalg.det(cell)))
    if not volume > FLATTEST * float(np.prod(np.linalg.norm(cell, axis=1))):
        fix = f"the cell has a volume of {volume:.3g} Angstrom^3: its vectors are (nearly) in one plane; mend them"
        raise InputError(FIELD, path, fix)
    with foreign_parser(FIELD, path, "give its lattice by shorter vectors"):
        height = 1.0 / np.linalg.norm(np.linalg.inv(minkowski_reduce(cell)[0]), axis=0).max()
    if height < THINNEST:
        fix = f"the cell is {height:.3g} Angstrom across; no atom is so thin: mend its vectors"
        raise InputError(FIELD, path, fix)
    if volume > EMPTIEST * len(atoms):
        fix = f"the cell has {volume / len(atoms):.3g} Angstrom^3 per atom; a solid has less than {EMPTIEST:g}: mend it"
        raise InputError(FIELD, path, fix)


def _require_masses(atoms: Atoms, path: Path) -> None:
    masses = atoms.get_masses()
    bad = np.flatnonzero(~((masses >= LIGHTEST) & (masses <= HEAVIEST)))
    if len(bad):
        allowed = f"give {LIGHTEST:g} to {HEAVIEST:g}, or no masses at all"
        fix = f"atom {bad[0]} has a mass of {masses[bad[0]]:g} amu; {allowed}"
        raise InputError(FIELD, path, fix)
    standard = standard_masses(atoms.numbers)
    near = np.abs(masses - standard) <= STANDARD * standard
    if near.all():
        atoms.arrays.pop("masses", None)
    else:
        atoms.set_masses(np.where(near, standard, masses))


def _left_behind(atoms: Atoms) -> list[str]:
    """Strip atoms of what no computation uses, and say what of it matters."""
    remarks = []
    if atoms.constraints:
        atoms.set_constraint()
        remarks.append("constraints are left out: every atom moves, in force constants and in dynamics")
    if any(atoms.arrays.pop(name, None) is not None for name in VELOCITIES):
        remarks.append("velocities are left out: the dynamics draws its own")
    results = {} if atoms.calc is None else atoms.calc.results
    atoms.calc = None
    for name in ("magmoms", "charges"):
        if name in results:
            fix = f"call the column initial_{name} if the calculator is to see them"
            remarks.append(f"{name} are left out as results of another computation: {fix}")
    for name in BOOKKEEPING["arrays"]:
        atoms.arrays.pop(name, None)
    for name in BOOKKEEPING["info"]:
        atoms.info.pop(name, None)
    for name, column in list(atoms.arrays.items()):
        if column.dtype.hasobject:
            atoms.arrays[name] = column.astype(str)
    atoms.set_celldisp(np.zeros(3))
    return remarks


def _masses(atoms: Atoms) -> list[str]:
    """Say which masses are not the standard ones."""
    found = []
    unusual = unusual_masses(atoms)
    for symbol in dict.fromkeys(np.array(atoms.get_chemical_symbols())[unusual].tolist()):
        chosen = unusual & (np.array(atoms.get_chemical_symbols()) == symbol)
        masses, counts = np.unique(np.round(atoms.get_masses()[chosen], 4), return_counts=True)
        listed = ", ".join(f"{mass:g} ({count})" for mass, count in list(zip(masses, counts, strict=True))[:4])
        more = f" and {len(masses) - 4} more" if len(masses) > 4 else ""
        standard = standard_masses(atoms.numbers[chosen][:1])[0]
        found.append(f"masses of {symbol} in amu (atoms), standard {standard:g}: {listed}{more}")
    return found
