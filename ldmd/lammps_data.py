"""LAMMPS data files: ASE reads them, once it is known which element each atom type is.

A type is an element by its label (a section ``Atom Type Labels``, or a comment behind its mass, as in ``28.085 # Si``),
else by its mass, where that is the standard one of exactly one element. A file that tells neither is refused, since ASE
would take type 1 for hydrogen and type 2 for helium.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from ldmd.errors import InputError
from ldmd.extended_xyz import ATOMS, FIELD, element_of
from ldmd.foreign import foreign_parser

if TYPE_CHECKING:
    from ase import Atoms

SAME_MASS = 0.06
"""amu between the mass of a type and the standard one of its element: values rounded or superseded, as 28.06 for Si."""
UNSTABLE = {43, 61, *range(84, 90), *range(93, 119)}
"""Elements without a standard atomic weight; they are meant only where a label says so."""
METRES = ("metal", "real")
"""Styles of units that have Angstrom and g/mol."""
LONGEST_LINE = 10_000
"""Characters."""
FIX = "give a LAMMPS data file with masses, or an extended XYZ file"
LABELS = 'add them: a section "Atom Type Labels", or a comment behind each mass, as in "1 28.085 # Si"'


def read_lammps_data(text: str, path: Path) -> Atoms:
    """The structure of the text of a LAMMPS data file in units metal or real, in the order of the atoms' numbers.

    The masses are those of the file; velocities, charges, and what belongs to molecules come along as ASE has them.

    Raises
    ------
    InputError
        Where it cannot be read, is in other units, or does not tell which element a type is.
    """
    import ase.io

    lines = text.split("\n")
    if max(map(len, lines)) > LONGEST_LINE:  # for ASE's expressions take the square of its length
        raise InputError(FIELD, path, f"cannot be read (a line has more than {LONGEST_LINE} characters); break it")
    _require_units(lines[0], path)
    _require_count(lines, path)
    elements = _elements(lines, path)
    with foreign_parser(
        FIELD, path, f'{FIX}; the style of the atoms stands behind the section, as in "Atoms # atomic"'
    ):
        found = ase.io.read(
            io.StringIO(text), format="lammps-data", index=0, Z_of_type=elements, units="metal", sort_by_id=True
        )
    atoms = cast("Atoms", found)
    ids = atoms.arrays["id"]
    if len(set(ids.tolist())) < len(ids):
        raise InputError(FIELD, path, "has two atoms of one number; mend it")
    return atoms


def _require_units(title: str, path: Path) -> None:
    found = re.search(r"units\s*=\s*(\w+)", title)
    if found and found[1] not in METRES:
        raise InputError(FIELD, path, f"is in units {found[1]}; write it in units metal, or as extended XYZ")


def _require_count(lines: list[str], path: Path) -> None:
    """Refuse an announced number of atoms that the file cannot hold: memory is set aside for it."""
    found = next((re.match(r"\s*(\d+)\s+atoms\b", line) for line in lines if re.match(r"\s*\d+\s+atoms\b", line)), None)
    count = int(found[1]) if found and len(found[1]) < 19 else 0
    if not 1 <= count <= min(ATOMS, len(lines)):
        announced = found[0].strip()[:40] if found else "no number of atoms"
        raise InputError(FIELD, path, f"cannot be read (it announces {announced} and has {len(lines)} lines); {FIX}")


def _elements(lines: list[str], path: Path) -> dict[int, int]:
    """Atomic number of each type."""
    labels = {number: words[0] for number, words, _ in _section(lines, "Atom Type Labels", path)}
    masses: dict[int, float] = {}
    for number, words, comment in _section(lines, "Masses", path):
        with foreign_parser(FIELD, path, FIX):
            masses[number] = float(words[0])
        if number not in labels and comment:
            labels[number] = comment.split()[0]
    if not masses and not labels:
        raise InputError(FIELD, path, f"has neither masses nor labels, so that its types are no elements; {LABELS}")
    return {number: _element(number, labels.get(number), masses.get(number), path) for number in {*labels, *masses}}


def _section(lines: list[str], title: str, path: Path) -> list[tuple[int, list[str], str]]:
    """Lines of a section: the number in front, the other words, and the comment."""
    start = next((n for n, line in enumerate(lines) if line.split("#")[0].split() == title.split()), None)
    found: list[tuple[int, list[str], str]] = []
    for line in [] if start is None else lines[start + 1 :]:
        text, _, comment = line.partition("#")
        words = text.split()
        if words and not (words[0].isascii() and words[0].isdigit()):
            break
        if len(words) == 1:
            raise InputError(FIELD, path, f"cannot be read (a line of {title} holds {text.strip()[:30]!r}); {FIX}")
        if words:
            found.append((int(words[0]), words[1:], comment.strip()))
    return found


def _element(number: int, label: str | None, mass: float | None, path: Path) -> int:
    """Atomic number of one type.

    A comment behind a mass that names no element says nothing; a label that contradicts the mass is refused.
    """
    by_mass = [] if mass is None else _elements_of(mass)
    if label is not None and (label in chemical_symbols[1:] or not by_mass):
        symbol, isotope = element_of(label, f"atom type {number}", path)
        if isotope is not None and mass is None:
            raise InputError(FIELD, path, f"has atom type {number} labelled {label} without a mass; add {isotope:g}")
        if by_mass and symbol not in by_mass and abs(mass / atomic_masses[atomic_numbers[symbol]] - 1.0) > 0.3:
            raise InputError(FIELD, path, f"atom type {number} is labelled {label} and has the mass of {by_mass[0]}")
        return int(atomic_numbers[symbol])
    if len(by_mass) == 1:
        return int(atomic_numbers[by_mass[0]])
    several = f"is that of {' or '.join(by_mass)}" if by_mass else "is that of no element"
    raise InputError(FIELD, path, f"the mass {mass} of atom type {number} {several}, and there is no label; {LABELS}")


def _elements_of(mass: float) -> list[str]:
    """Elements whose standard mass it is, but for rounding."""
    near = np.flatnonzero(np.abs(atomic_masses - mass) <= SAME_MASS)
    return [chemical_symbols[n] for n in near if n > 0 and n not in UNSTABLE]
