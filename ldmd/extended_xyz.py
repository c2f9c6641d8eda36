"""Extended XYZ: the forms in which people have it, brought into the one that ASE reads, and writing it without loss.

Read besides what ASE takes: a ``mass`` column (GPUMD) for ``masses``, D and T for hydrogen with their mass, element
symbols and the three keys in small letters, Fortran's D exponents, a byte-order mark, leading blank or ``#`` lines. A
file with other than one structure, or whose columns are not those that ``Properties`` names, is refused.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from ase.data import chemical_symbols

from ldmd.errors import InputError
from ldmd.foreign import foreign_parser

if TYPE_CHECKING:
    from ase import Atoms

FIELD = "material.structure"
ATOMS = 50_000
"""Atoms of one structure: each matrix of its modes would take 180 GB."""
ISOTOPES = {"D": ("H", 2.01410177812), "T": ("H", 3.01604928199)}
"""Names of isotopes, their element and their mass in amu (Wang et al., Chin. Phys. C 45, 030003 (2021))."""
FIX = "give an extended XYZ file with one structure"
ONE_OF_SEVERAL = (
    "holds several structures; write the one that is meant into a file of its own: ase convert -n=-1 OLD NEW"
)
PLAIN = "species:S:1:pos:R:3"
FORTRAN = re.compile(r"(?<![\w.])([+-]?+(?:\d++(?:\.\d*+)?+|\.\d++))[dD]([+-]?+\d++)(?![\w.])", re.ASCII)
"""A number with a D exponent."""
KEYS = re.compile(r"(?i)(?<![^\s])(lattice|properties|pbc)(?=\s*=)")
PER_ATOM = {"mass": "masses", "element": "species", "symbol": "species", "symbols": "species"}
"""Names of columns that others use for what ASE calls otherwise."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column, or several side by side, as ``Properties`` names them."""

    name: str
    kind: str
    """R, I, S or L: real, integer, text or logical."""
    width: int

    def __str__(self) -> str:
        return f"{self.name}:{self.kind}:{self.width}"


def fortran_numbers(text: str) -> str:
    """The same text with E in the place of D in numbers such as 0.5D+00."""
    return FORTRAN.sub(r"\1E\2", text)


def element_of(symbol: str, where: str, path: Path) -> tuple[str, float | None]:
    """The element of a symbol, and its mass where the symbol names an isotope.

    Raises
    ------
    InputError
        For anything but an element, D or T, with a hint at what a label such as Si0 may mean.
    """
    if symbol in ISOTOPES:
        return ISOTOPES[symbol]
    known = symbol.capitalize() if symbol.islower() else symbol
    if known in chemical_symbols[1:]:
        return known, None
    letters = re.match("[A-Za-z]*", symbol)
    likely = letters[0].capitalize() if letters else ""
    likely = likely if likely in chemical_symbols[1:] else likely[:1]
    hint = f"; is it {likely}? then write {likely}" if likely in chemical_symbols[1:] else "; name the element"
    raise InputError(FIELD, path, f"cannot be read: {where} is of species {symbol[:20]!r}, which is no element{hint}")


def read_extended_xyz(text: str, path: Path) -> Atoms:
    """The one structure of the text of an extended XYZ file; ``path`` is for errors.

    Raises
    ------
    InputError
        Where it is none, holds several structures, or its lines do not match what it announces.
    """
    import ase.io

    lines = text.split("\n")
    start = next((n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    count = _count(lines, start, path)
    header, columns = _header(lines[start + 1], path)
    masses: dict[int, float] = {}
    rows = list(_rows(lines[start + 2 : start + 2 + count], columns, masses, path, start + 3))
    normal = "\n".join([str(count), header, *rows]) + "\n"
    with foreign_parser(FIELD, path, FIX):
        atoms = cast("Atoms", ase.io.read(io.StringIO(normal), format="extxyz", index=0))
        if masses and "masses" not in atoms.arrays:
            own = atoms.get_masses()
            own[list(masses)] = list(masses.values())
            atoms.set_masses(own)
    return atoms


def _count(lines: list[str], start: int, path: Path) -> int:
    """The number of atoms that is announced, if it is that of the lines that follow."""
    text = lines[start].strip() if start < len(lines) else ""
    if not re.fullmatch(r"\d{1,18}", text):
        found = f"begins with {text[:30]!r}" if text else "is empty"
        raise InputError(FIELD, path, f"cannot be read (it {found}, not with a number of atoms); {FIX}")
    count, there = int(text), sum(1 for line in lines[start + 2 :] if line.strip())
    if count < 1 or count > ATOMS:
        raise InputError(FIELD, path, f"announces {count} atoms; 1 to {ATOMS} can be computed here")
    if there < count:
        raise InputError(
            FIELD, path, f"cannot be read (it announces {count} atoms and has {there} lines of them); {FIX}"
        )
    rest = [line.strip() for line in lines[start + 2 + count :] if line.strip()]
    if rest and rest[0].isdigit():
        fix = "holds several structures; write the one that is meant into a file of its own: ase convert -n -1 OLD NEW"
        raise InputError(FIELD, path, fix)
    if rest:
        raise InputError(
            FIELD, path, f"cannot be read (it announces {count} atoms and has {there} lines of them); {FIX}"
        )
    return count


def _header(line: str, path: Path) -> tuple[str, tuple[Column, ...]]:
    """The comment line as ASE takes it, and the columns that it names."""
    from ase.io.extxyz import key_val_str_to_dict

    line = KEYS.sub(lambda found: "pbc" if found[1].lower() == "pbc" else found[1].capitalize(), line.strip())
    given = re.search(r"(?<![^\s])Lattice\s*=\s*([\"'{\[])(.*?)[\"'}\]]", line)
    if given and len(fortran_numbers(given[2]).replace(",", " ").split()) != 9:
        fix = "cannot be read: a Lattice has nine numbers, the three cell vectors one after the other; write these"
        raise InputError(FIELD, path, fix)
    if given:
        line = line[: given.start(2)] + fortran_numbers(given[2]) + line[given.end(2) :]
    with foreign_parser(FIELD, path, FIX):
        info = key_val_str_to_dict(line) if line else {}
    named = info.get("Properties", PLAIN)
    columns = _columns(str(named), path)
    listed = "Properties=" + ":".join(map(str, columns))
    place = re.search(r"(?<![^\s])Properties\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s]+)", line)
    header = line[: place.start()] + listed + line[place.end() :] if place else f"{line} {listed}".strip()
    return header, columns


def _columns(text: str, path: Path) -> tuple[Column, ...]:
    """What ``Properties`` names; a name that others use for a column of ASE becomes that."""
    words = text.split(":")
    triples = list(zip(words[::3], words[1::3], words[2::3], strict=False))
    sound = len(words) % 3 == 0 and all(
        name and kind in tuple("RISL") and re.fullmatch(r"[1-9]\d?", width) for name, kind, width in triples
    )
    if not sound:
        fix = f"cannot be read (Properties={text[:60]} is not NAME:TYPE:COLUMNS:...); write for example {PLAIN}"
        raise InputError(FIELD, path, fix)
    columns = tuple(Column(PER_ATOM.get(name.lower(), name), kind, int(width)) for name, kind, width in triples)
    names = [column.name for column in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(FIELD, path, f"has two columns for {twice}; give one")
    shapes = {column.name: (column.kind, column.width) for column in columns}
    if shapes.get("pos") != ("R", 3) or (shapes.get("species") != ("S", 1) and shapes.get("Z") != ("I", 1)):
        raise InputError(FIELD, path, f"cannot be read (no species or no pos among Properties); write {PLAIN}")
    if "masses" in shapes and shapes["masses"] != ("R", 1):
        raise InputError(FIELD, path, "its masses are no column of real numbers; write masses:R:1")
    return columns


def _rows(
    lines: list[str], columns: tuple[Column, ...], masses: dict[int, float], path: Path, first: int
) -> Iterator[str]:
    """Lines of atoms as ASE takes them; ``masses`` collects those of isotopes, ``first`` is the number of a line."""
    kinds = [(column.name, column.kind) for column in columns for _ in range(column.width)]
    for number, line in enumerate(lines):
        words = line.split()
        where = f"line {first + number}"
        if len(words) != len(kinds):
            found = f"{where} has {len(words)} columns where {len(kinds)} are named"
            raise InputError(FIELD, path, f"cannot be read ({found}); name each in Properties")
        for place, (name, kind) in enumerate(kinds):
            if name == "species":
                words[place], mass = element_of(words[place], where, path)
                if mass is not None:
                    masses[number] = mass
            elif kind in "RI":
                words[place] = _number(words[place], kind, f"{where}, column {place + 1}", path)
            elif kind == "L" and words[place] not in ("T", "F", "True", "False"):
                fix = f"cannot be read ({where}, column {place + 1} is {words[place][:20]!r}); write T or F"
                raise InputError(FIELD, path, fix)
        yield " ".join(words)


def _number(word: str, kind: str, where: str, path: Path) -> str:
    text = fortran_numbers(word)
    try:
        float(text) if kind == "R" else int(text)
    except ValueError as error:
        fix = f"cannot be read ({where} is {word[:20]!r}, not a number); mend the file"
        raise InputError(FIELD, path, fix) from error
    return text


def to_extended_xyz(atoms: Atoms) -> str:
    """The text of an extended XYZ file with everything that a calculator can see of atoms.

    Positions and cell have 12 decimals: the usual 8 leave forces of 1e-7 eV/Angstrom at a minimum. Further columns,
    masses among them, and ``info`` are written as exactly as they are. Constraints and results are not.

    Raises
    ------
    InputError
        Where an entry of ``info`` has several lines.
    """
    from ase.io.extxyz import key_val_dict_to_str

    info = f" {key_val_dict_to_str(atoms.info)}" if atoms.info else ""
    if "\n" in info:
        raise InputError(FIELD, "info", "an entry has several lines, which extended XYZ cannot hold; remove it")
    lattice = " ".join(f"{value:.12f}" for value in atoms.cell.array.ravel())
    more = {name: array for name, array in atoms.arrays.items() if name not in ("numbers", "positions")}
    columns = [_column(name, array) for name, array in more.items()]
    named = ":".join([PLAIN, *map(str, columns)])
    lines = [str(len(atoms)), f'Lattice="{lattice}" Properties={named} pbc="T T T"{info}']
    for number, (symbol, position) in enumerate(
        zip(atoms.get_chemical_symbols(), atoms.get_positions(wrap=True), strict=True)
    ):
        words = [f"{value:18.12f}" for value in position]
        for column, array in zip(columns, more.values(), strict=True):
            words += [_word(value, column.kind) for value in np.ravel(array[number])]
        lines.append(f"{symbol:2s} " + " ".join(words))
    return "\n".join(lines) + "\n"


def _column(name: str, array: np.ndarray) -> Column:
    kind = {"f": "R", "i": "I", "u": "I", "b": "L"}.get(array.dtype.kind, "S")
    return Column(name, kind, int(np.prod(array.shape[1:], dtype=int)))


def _word(value: object, kind: str) -> str:
    return {"R": lambda: repr(float(str(value))), "L": lambda: "T" if value else "F"}.get(kind, lambda: str(value))()
