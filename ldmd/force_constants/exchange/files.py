"""What all readers ask of a file before they believe it."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.errors import InputError
from ldmd.force_constants.range import LARGEST_SECOND, LARGEST_THIRD
from ldmd.text_file import read_numbers

if TYPE_CHECKING:
    import h5py
    from ase import Atoms

LONGEST = 1e4
"""Angstrom, of a lattice vector."""
FARTHEST = 1e6
"""Angstrom, from the origin to an atom: positions may be unwrapped."""
SMALLEST_VOLUME = 1.0
"""Angstrom^3 per atom."""
LIGHTEST, HEAVIEST = 0.1, 1e3
"""amu; the lightest atom is muonium, the heaviest element has 294."""
MOST_BYTES = 8_000_000_000
"""Of an array that is read."""


def require_file(path: Path) -> Path:
    """The path, if there is a file; ``InputError`` otherwise."""
    if not path.is_file():
        raise InputError("force constants", path, "no such file")
    return path


def rows_of(path: Path, columns: int, header: bool = False) -> tuple[str, np.ndarray]:
    """The numbers of a text file in rows of equal length (n, columns), wherever its lines break.

    With ``header``, the first line that is neither blank nor a comment is returned as text before them.

    Raises
    ------
    InputError
        Where something is not a finite number, or the last row is not complete.
    """
    first, found = read_numbers(path, "force constants", header)
    if found.size % columns:
        raise InputError("force constants", path, f"{found.size} numbers are no multiple of {columns}; is it complete?")
    return first, found.reshape(-1, columns)


def whole(path: Path, values: np.ndarray, what: str, least: int, most: int) -> np.ndarray:
    """Numbers of a file as integers.

    Raises
    ------
    InputError
        Where one of them is no whole number, or is outside of ``least`` to ``most``.
    """
    wrong = ~((values == np.rint(values)) & (values >= least) & (values <= most))
    if wrong.any():
        highest = float(np.asarray(values)[wrong].flat[np.argmax(np.abs(np.asarray(values)[wrong]))])
        fix = f"has {what} {highest:.15g}; they go from {least} to {most}: give the structure it was made for"
        raise InputError("force constants", path, fix)
    return np.asarray(values).astype(int)


def believable(path: Path, values: np.ndarray, order: int) -> np.ndarray:
    """Force constants of the second or third ``order`` as they are, before anything is computed from them.

    Raises
    ------
    InputError
        Where one of them is not finite, or is too large for any material.
    """
    largest, name = (LARGEST_SECOND, "second") if order == 2 else (LARGEST_THIRD, "third")
    wrong = ~(np.abs(values) <= largest)
    if wrong.any():
        place = tuple(int(index) for index in np.argwhere(wrong)[0])
        unit = f"eV/Angstrom^{order}"
        fix = f"no force constant of {name} order is larger than {largest:g} {unit}: mend the file or its units"
        raise InputError("force constants", path, f"has {values[place]:g} {unit} {_place(place, values.shape)}; {fix}")
    return values


def _place(place: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Words for an element of an array: of atoms and directions where it has axes of both, else its number."""
    half = len(place) // 2
    if shape[half:] != (3,) * half or len(place) != 2 * half:
        return f"as its element {', '.join(map(str, place))}"
    pairs = [f"atom {atom} {'xyz'[axis]}" for atom, axis in zip(place[:half], place[half:], strict=True)]
    return f"of {', '.join(pairs)}"


def sound(path: Path, atoms: Atoms) -> Atoms:
    """Atoms of a periodic crystal as they are.

    Raises
    ------
    InputError
        Where there are none, or a number among cell, positions and masses makes no sense.
    """
    cell, masses = atoms.cell.array, atoms.get_masses()
    fix = None
    if not len(atoms):
        fix = "holds no atoms"
    elif not (np.abs(cell) < LONGEST).all():
        fix = f"has a lattice vector that is not finite or longer than {LONGEST:g} Angstrom"
    elif not abs(np.linalg.det(cell)) > SMALLEST_VOLUME * len(atoms):
        fix = f"has {abs(np.linalg.det(cell)) / len(atoms):.3g} Angstrom^3 per atom, which is no crystal"
    elif not (np.abs(atoms.positions) < FARTHEST).all():
        fix = f"has an atom at a position that is not finite or farther away than {FARTHEST:g} Angstrom"
    elif not ((masses > LIGHTEST) & (masses < HEAVIEST)).all():
        fix = f"has the mass {masses[~((masses > LIGHTEST) & (masses < HEAVIEST))][0]:g} amu"
    if fix is not None:
        raise InputError("structure", path, f"{fix}; mend it")
    return atoms


def array_of(file: h5py.File, name: str, path: Path) -> np.ndarray:
    """A dataset of real numbers as float64.

    Raises
    ------
    InputError
        Where it is none, or is beyond all bounds.
    """
    import h5py

    data = file[name]
    if not isinstance(data, h5py.Dataset) or data.shape is None or data.dtype.kind not in "iuf":
        raise InputError("force constants", path, f"its {name!r} is no array of real numbers")
    if 8 * math.prod(data.shape) > MOST_BYTES:
        fix = f"its {name!r} has {8e-9 * math.prod(data.shape):.3g} GB; at most {1e-9 * MOST_BYTES:g} GB are read"
        raise InputError("force constants", path, fix)
    return np.asarray(data[()], dtype=float)


def peer(module: str, package: str) -> Any:
    """A module of another program, which is not needed to run this one.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError("installed packages", f"no {package}", f"install it: pip install {package}") from error


def atoms_of_rows(file: h5py.File, path: Path, count: int) -> np.ndarray:
    """The dataset ``p2s_map``: the atom (of ``count``) of each row of compact force constants.

    Raises
    ------
    InputError
        Where it is no list of atoms.
    """
    rows = array_of(file, "p2s_map", path)
    if rows.ndim != 1 or not len(rows):
        raise InputError("p2s_map", rows.tolist(), f"{path} needs a list of atoms there")
    return whole(path, rows, "an atom in p2s_map", 0, count - 1)
