"""What a potential or the equations of motion can see of atoms besides their species, positions and cell.

Masses decide how atoms move. A black box may look at anything that ASE keeps with atoms: initial magnetic moments and
charges, tags, further columns, and the entries of ``info`` (a total charge or a spin, for example). A result depends
on all of it, and so does the symmetry: two atoms of one element with different moments are not equivalent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import atomic_masses

from ldmd.digest import digest
from ldmd.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

STANDARD = 1e-6
"""Relative difference to the standard mass of an element that is rounding in a file."""
SAME_MASS = 1e-6
"""amu: masses that differ by less are equal."""
NAMES = {"initial_magmoms": "magnetic moments", "initial_charges": "charges", "tags": "tags"}
"""Columns that ASE takes to be zero where they are missing."""
ELSEWHERE = ("numbers", "positions", "masses")
"""Columns that are part of a digest under a name of their own."""


def standard_masses(numbers: np.ndarray) -> np.ndarray:
    """Masses (N,) of the elements, amu: the standard atomic weights that ASE knows."""
    return np.asarray(atomic_masses[numbers])


def unusual_masses(atoms: Atoms) -> np.ndarray:
    """Which atoms (N,) have another mass than the standard one of their element."""
    standard = standard_masses(atoms.numbers)
    return np.abs(atoms.get_masses() - standard) > STANDARD * standard


def seen_by_dynamics(atoms: Atoms) -> dict[str, Any]:
    """The masses (N,), amu, where they are not the standard ones; else nothing."""
    return {"masses": atoms.get_masses()} if unusual_masses(atoms).any() else {}


def seen_by_calculators(atoms: Atoms) -> dict[str, Any]:
    """Everything that an ASE calculator can look at besides species, positions and cell, each under its own name.

    What ASE takes to be zero where it is missing is left out where it is zero.

    Raises
    ------
    InputError
        For a column or an entry that is made of other things than numbers, texts and lists of them.
    """
    found = seen_by_dynamics(atoms)
    for name, column in atoms.arrays.items():
        if name in ELSEWHERE or (name in NAMES and not np.any(column)):
            continue
        _require_digestible(column, f"column {name}")
        found[NAMES.get(name, f"column {name}")] = column
    for name, value in atoms.info.items():
        _require_digestible({name: value}, f"entry {name}")
    return {**found, "info": dict(atoms.info)} if atoms.info else found


def _require_digestible(value: object, name: str) -> None:
    try:
        digest(value)
    except (TypeError, ValueError) as error:
        fix = f"a calculator may read it, but it cannot be compared with an earlier one ({error}); remove it"
        raise InputError("material.structure", name, fix) from error


def kinds_of(atoms: Atoms, masses: bool = False) -> np.ndarray:
    """Integers (N,) that are equal for atoms that no calculator can tell apart but by where they are.

    With ``masses`` the masses count, too: for vibrations, not for force constants. A column of vectors that are not
    all zero makes every atom a kind of its own, since a rotation would have to turn them along.
    """
    columns = [np.asarray(atoms.numbers, dtype=float)]
    if masses:
        columns.append(np.rint(atoms.get_masses() / SAME_MASS))
    for name, column in atoms.arrays.items():
        if name in ELSEWHERE or not np.any(column != column.flat[0]):
            continue
        if column.ndim > 1:
            return np.arange(len(atoms))
        columns.append(np.unique(column, return_inverse=True)[1].astype(float))
    return np.ravel(np.unique(np.stack(columns), axis=1, return_inverse=True)[1])
