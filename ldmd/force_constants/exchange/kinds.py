"""Atoms as phonopy and phono3py have them, and atoms of one element that differ, which those programs take for equal.

Both look at elements only when they search for symmetry. Atoms of one element with different masses, magnetic moments
or charges, or with different tags (the numbers behind their names in a yaml file, as Si1 and Si2), are other atoms: a
superlattice of isotopes has not the symmetry of the crystal. ``told_apart`` lends them the names of elements that the
crystal does not have; masses stay what they are.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from ase import Atoms

from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import peer
from ldmd.visible import kinds_of

LAST_ELEMENT = 102
"""The last one that phonopy knows the name of, too, and its mass."""


def to_phonopy(atoms: Atoms) -> Any:
    """A ``PhonopyAtoms`` object with the masses of the atoms."""
    return peer("phonopy.structure.atoms", "phonopy").PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        positions=atoms.positions,
        cell=atoms.cell.array,
        masses=atoms.get_masses(),
    )


def from_phonopy(cell: Any) -> Atoms:
    """Atoms of a ``PhonopyAtoms`` object; a number behind a name becomes the tag of the atom."""
    symbols, tags = split_names(cell.symbols)
    return Atoms(symbols, positions=cell.positions, cell=cell.cell, masses=cell.masses, tags=tags, pbc=True)


def split_names(names: list[str]) -> tuple[list[str], list[int]]:
    """Symbols of elements, and the numbers behind them (0 where there is none).

    Raises
    ------
    InputError
        For a name that is no symbol with a number.
    """
    found = [re.fullmatch(r"([A-Z][a-z]?)(\d{0,6})", str(name)) for name in names]
    for name, match in zip(names, found, strict=True):
        if match is None:
            raise InputError("structure", name, "is no symbol of an element, with a number behind it or without")
    return [str(match[1]) for match in found if match], [int(match[2] or 0) for match in found if match]


def told_apart(atoms: Atoms) -> Atoms:
    """The same atoms, those that differ from the first kind of their element under the name of an absent one.

    Raises
    ------
    InputError
        Where there are more kinds than elements.
    """
    found = atoms.copy()
    masses = atoms.get_masses()
    kinds = list(zip(atoms.numbers.tolist(), kinds_of(atoms, masses=True).tolist(), strict=True))
    free = [number for number in range(LAST_ELEMENT, 0, -1) if number not in set(atoms.numbers.tolist())]
    names: dict[tuple[int, int], int] = {}
    for kind in kinds:
        if kind not in names and kind[0] in names.values() and not free:
            fix = f"symmetry is found for at most {LAST_ELEMENT} kinds of atoms; give fewer different masses"
            raise InputError("material.structure", f"{len(set(kinds))} kinds of atoms", fix)
        if kind not in names:
            names[kind] = kind[0] if kind[0] not in names.values() else free.pop(0)
    found.numbers = [names[kind] for kind in kinds]
    found.set_masses(masses)
    return found


def under_own_names(supercell: Atoms, primitive: Atoms) -> Atoms:
    """Copies of the atoms of ``told_apart(primitive)`` with their own elements again."""
    own = dict(zip(told_apart(primitive).numbers.tolist(), primitive.numbers.tolist(), strict=True))
    found = supercell.copy()
    masses = supercell.get_masses()
    found.numbers = np.array([own[number] for number in supercell.numbers.tolist()])
    found.set_masses(masses)
    return found
