"""Parameter files of LAMMPS with an entry for each ordered triplet of species: ``.tersoff`` and ``.sw``.

An entry is three names and a fixed number of numbers, on one line or several. A file may hold entries of many species
of which a structure has a few only: those of the few must be complete, the others need not be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from ldmd.errors import InputError
from ldmd.potentials.parameter_file import FIELD, Line, is_name, number_at, read_lines, shortened, words_of

LARGEST = 4_000_000
"""Bytes of a file: the longest that LAMMPS carries has 0.1 million."""
LARGEST_NUMBER = 1e15
"""No parameter is larger: powers and products of a few stay finite."""

MANY = 12
"""Species that an error names."""
OTHERS = {17: "pair_style tersoff/mod", 18: "pair_style tersoff/zbl"}
"""Relatives of pair_style tersoff, which has 14 numbers in an entry, by theirs."""
USE_LAMMPS = 'kind = "ase" with ldmd.potentials.lammps:lammps_calculator runs it'

Triplet = tuple[str, str, str]
Word = tuple[str, Line, int]
"""With its line and its index in that."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """The numbers of one triplet, and the line on which it begins."""

    values: np.ndarray
    line: int


@dataclasses.dataclass(frozen=True)
class TripletTable:
    """The entries of some species: all that a potential of them needs."""

    species: tuple[str, ...]
    """In the order of the file."""
    values: np.ndarray
    """(S, S, S, columns)"""
    lines: np.ndarray
    """(S, S, S) on which each entry begins."""

    def name(self, *atoms: int) -> str:
        """An entry for people: its species and its line."""
        i, j, k = atoms
        return f"line {self.lines[i, j, k]}, entry {_shown(self.species[atom] for atom in atoms)}"


def read_triplets(path: Path, columns: int, expected: str, needed: Collection[str] | None) -> TripletTable:
    """Read the entries of the species that are ``needed``, or of all that the file names.

    Raises
    ------
    InputError
        Where the file is missing, too large or no such file, a number is none, two entries of one triplet differ, an
        entry is incomplete, or a needed species or triplet is absent.
    """
    lines = read_lines(path, LARGEST, expected)
    entries = _entries(path, lines, columns)
    known = tuple(dict.fromkeys(key[0] for key in entries))
    absent = sorted(set(needed or ()) - set(known))
    if absent:
        raise InputError("material.structure", ", ".join(absent), f"the potential knows only {_shown(known, ', ')}")
    species = tuple(name for name in known if needed is None or name in needed)
    shape = (len(species),) * 3
    values, places = np.empty((*shape, columns)), np.empty(shape, dtype=int)
    for index in np.ndindex(*shape):
        key = (species[index[0]], species[index[1]], species[index[2]])
        if key not in entries:
            fix = f"no entry for the triplet {_shown(key)}; add it"
            more = ", or give a structure of fewer species: only its own entries are needed" if needed is None else ""
            raise InputError(FIELD, path, fix + (more if len(known) > 1 else ""))
        values[index], places[index] = entries[key].values, entries[key].line
    return TripletTable(species, values, places)


def _shown(names: Iterable[str], between: str = " ") -> str:
    """Names of species in an error: as many as fit."""
    shown = [shortened(name) for name in names]
    return between.join([*shown[:MANY], *(["..."] if len(shown) > MANY else [])])


def _entries(path: Path, lines: list[Line], columns: int) -> dict[Triplet, Entry]:
    words = list(words_of(lines))
    if not words:
        raise InputError(FIELD, path, f"holds no entry; each has 3 symbols and {columns} numbers")
    entries: dict[Triplet, Entry] = {}
    start, size = 0, 3 + columns
    while start < len(words):
        names = [word for word, _, _ in words[start : start + 3]]
        end = next((k for k in range(start + 3, len(words)) if is_name(words[k][0])), len(words))
        if len(names) < 3 or not all(map(is_name, names)) or end != start + size:
            raise InputError(FIELD, path, _miscounted(words[start:], end - start - 3, columns))
        values = np.array([number_at(word, line, place, path) for word, line, place in words[start + 3 : end]])
        key, entry = (names[0], names[1], names[2]), Entry(values, words[start][1].number)
        _require_sound(path, key, entry, entries.get(key))
        entries.setdefault(key, entry)
        start = end
    return entries


def _miscounted(words: list[Word], found: int, columns: int) -> str:
    """What is wrong with an entry that begins with these words and has so many numbers."""
    for word, line, place in words[:3]:
        if not is_name(word):
            return f"line {line.number}, column {line.column(place)} holds {shortened(word)} where a symbol is meant"
    entry = f"line {words[0][1].number}, entry {_shown(word for word, _, _ in words[:3])}"
    if len(words) < 3:
        return f"{entry} ends before its third symbol; copy the whole file again"
    end = "the end of the file"
    if len(words) > 3 + found:
        word, line, place = words[3 + found]
        end = f"{shortened(word)} (line {line.number}, column {line.column(place)})"
    fix = f"{entry} has {found} numbers before {end}; each entry has 3 symbols, then {columns} numbers"
    return f"{fix} ({OTHERS[found]} has {found}: {USE_LAMMPS})" if columns == 14 and found in OTHERS else fix


def _require_sound(path: Path, key: Triplet, entry: Entry, earlier: Entry | None) -> None:
    """Refuse numbers out of all bounds, and a second entry that says something else than the first."""
    name = f"line {entry.line}, entry {_shown(key)}"
    if np.abs(entry.values).max() > LARGEST_NUMBER:
        raise InputError(FIELD, path, f"{name}: a number is larger than {LARGEST_NUMBER:g}; mend it")
    if earlier is not None and not np.array_equal(earlier.values, entry.values):
        fix = f"{name}: differs from the entry of the same triplet on line {earlier.line}; keep one of them"
        raise InputError(FIELD, path, fix)
