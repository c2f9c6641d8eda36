"""Fortran namelists: the assignments of a file, and the arrays that they fill.

Understood is what Fortran 2008 (10.11) allows for numbers and text: capital and small letters, several groups, any
order and any line breaks, comments behind ``!``, repeat counts (``3*0.5``), values left out between commas, subscripts
and sections (``a(2,1)``, ``a(:,1)``, ``a(1:3)``), exponents with D. An element without the rest of its array
(``a(2)=5 6 7``) fills what follows, as gfortran has it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from pathlib import Path

import numpy as np

from ldmd.errors import InputError
from ldmd.foreign import reason_of
from ldmd.text_file import read_text

MOST_BYTES = 20_000_000
MOST_VALUES = 3_000_000
"""Of one assignment, with its repeat counts written out."""
_TOKEN = re.compile(
    r"""\s++
    | ![^\n]*+
    | (?P<text>'(?:[^']|'')*+'|"(?:[^"]|"")*+")
    | (?P<group>[&$]\w*+)
    | (?P<end>/)
    | (?P<name>[A-Za-z_]\w*+\s*+(?:\([^()]*+\)\s*+)?=)
    | (?P<comma>,)
    | (?P<repeat>\d++)\*
    | (?P<word>[^\s,/!'"=&$*]++)""",
    re.VERBOSE | re.ASCII,
)
_GROUP = re.compile(r"![^\n]*+|(?P<group>(?<!\S)[&$](?!end)\w++)", re.ASCII | re.IGNORECASE)
_SUBSCRIPT = re.compile(r"([+-]?\d{1,9})?(:)?([+-]?\d{1,9})?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class _Assignment:
    subscripts: str
    """Between the brackets; empty where the whole array is meant."""
    values: list[str | None]
    """None where a value is left out."""


@dataclasses.dataclass(frozen=True)
class Namelist:
    """All assignments of a file, by the names of the variables in small letters."""

    path: Path
    assignments: dict[str, list[_Assignment]]

    def __contains__(self, name: str) -> bool:
        return name in self.assignments

    def count(self, name: str) -> int:
        """How many values are assigned to a variable."""
        return sum(len(assignment.values) for assignment in self.assignments.get(name, []))

    def words(self, name: str, shape: tuple[int, ...]) -> list[str]:
        """The elements of an array as text, in Fortran's order: the first subscript runs fastest.

        Raises
        ------
        InputError
            Where an element is not assigned, or a value has no element.
        """
        size = math.prod(shape)
        if self.count(name) < size:
            raise self._wrong(f"gives {self.count(name)} values for {name}, which needs {size}; is it complete?")
        found: list[str | None] = [None] * size
        for assignment in self.assignments[name]:
            places = self._places(name, assignment.subscripts, shape)
            if len(assignment.values) > len(places):
                fix = f"gives {len(assignment.values)} values where {name} has {len(places)} elements"
                raise self._wrong(fix)
            for place, value in zip(places, assignment.values, strict=False):
                found[place] = found[place] if value is None else value
        if None in found:
            raise self._wrong(f"does not give element {found.index(None) + 1} of {name}")
        return [word for word in found if word is not None]

    def numbers(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The elements of an array as finite numbers, with the axes of ``shape``."""
        words = self.words(name, shape)
        try:
            found = np.array([float(re.sub("[dDqQ]", "e", word)) for word in words])
        except ValueError as error:
            raise self._wrong(f"gives {name} a word that is no number ({reason_of(error)})") from error
        if not np.isfinite(found).all():
            raise self._wrong(f"gives {name} = {words[int(np.argmin(np.isfinite(found)))]}, which is no finite number")
        return found.reshape(shape, order="F")

    def whole(self, name: str, shape: tuple[int, ...], least: int, most: int) -> np.ndarray:
        """The elements of an array as integers between two limits."""
        found = self.numbers(name, shape)
        wrong = found[(found != np.rint(found)) | (found < least) | (found > most)]
        if wrong.size:
            raise self._wrong(f"gives {name} = {wrong[0]:.15g}; write whole numbers from {least} to {most}")
        return found.astype(int)

    def _places(self, name: str, subscripts: str, shape: tuple[int, ...]) -> list[int] | range:
        """Where the values of an assignment go, in the array without axes."""
        size = math.prod(shape)
        if not subscripts.strip():
            return range(size)
        parts = ["".join(part.split()) for part in subscripts.split(",")]
        matches = [_SUBSCRIPT.fullmatch(part) for part in parts]
        if len(parts) != len(shape) or not all(parts) or None in matches:
            raise self._wrong(f"writes {name}({subscripts[:40]}); it has {len(shape)} subscripts")
        axes = []
        for match, length in zip(matches, shape, strict=True):
            assert match is not None
            first = int(match[1] or 1)
            last = int(match[3] or length) if match[2] else first
            if first < 1 or last > length or first > last:
                raise self._wrong(f"writes {name}({subscripts[:40]}), beyond its size of {' x '.join(map(str, shape))}")
            axes.append(range(first - 1, last))
        strides = [math.prod(shape[:axis]) for axis in range(len(shape))]
        if ":" not in subscripts:
            return range(sum(stride * axis[0] for stride, axis in zip(strides, axes, strict=True)), size)
        # The first subscript runs fastest.
        return [
            sum(stride * index for stride, index in zip(reversed(strides), indices, strict=True))
            for indices in itertools.product(*reversed(axes))
        ]

    def _wrong(self, fix: str) -> InputError:
        return InputError("structure", self.path, fix)


def read(path: Path) -> Namelist:
    """The namelist groups of a file; text outside of groups is passed over, as Fortran does.

    Raises
    ------
    InputError
        Where the file is missing, is too large, or holds something that is no assignment.
    """
    text = read_text(path, "structure", MOST_BYTES)
    return Namelist(path, _assignments(path, text))


def _assignments(path: Path, text: str) -> dict[str, list[_Assignment]]:
    found: dict[str, list[_Assignment]] = {}
    place = 0
    while opening := _GROUP.search(text, place):
        place = _read_group(path, text, opening.end(), found) if opening["group"] else opening.end()
    return found


def _read_group(path: Path, text: str, place: int, found: dict[str, list[_Assignment]]) -> int:
    """Add the assignments of the group that begins at a place in the text; return where it ends."""
    values: list[str | None] | None = None
    given = False  # a value since the last comma
    while place < len(text):
        match = _TOKEN.match(text, place)
        kind = match.lastgroup if match else "nothing"
        if match is None or (kind in ("comma", "repeat", "word", "text") and values is None):
            line = text.count("\n", 0, place) + 1
            shown = text[place : place + 20].split("\n")[0]
            raise InputError("structure", path, f"is no Fortran namelist: line {line} has {shown!r}; mend it")
        place = match.end()
        if kind in ("end", "group"):
            return place
        if kind == "name":
            name, _, subscripts = match["name"].rstrip("= \t\n").partition("(")
            values, given = [], False
            found.setdefault(name.strip().lower(), []).append(_Assignment(subscripts.rstrip(" )"), values))
        elif kind == "comma" and values is not None:
            values += [] if given else [None]
            given = False
        elif kind is not None and values is not None:
            copies, value, place = _value(path, text, match)
            if len(values) + copies > MOST_VALUES:
                raise InputError("structure", path, f"repeats a value {copies} times; at most {MOST_VALUES} are read")
            values += [value] * copies
            given = True
    return place


def _value(path: Path, text: str, match: re.Match[str]) -> tuple[int, str | None, int]:
    """How often a value stands there, the value (None where it is left out), and where it ends."""
    copies = 1
    if match.lastgroup == "repeat":
        digits, behind = match["repeat"], _TOKEN.match(text, match.end())
        if len(digits) > 12:
            raise InputError("structure", path, f"repeats a value {digits[:12]}... times; mend it")
        copies = int(digits)
        if behind is None or behind.lastgroup not in ("text", "word"):
            return copies, None, match.end()
        match = behind
    if match.lastgroup == "text":
        quote = match["text"][0]
        return copies, match["text"][1:-1].replace(2 * quote, quote), match.end()
    return copies, match["word"], match.end()
