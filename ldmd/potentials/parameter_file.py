"""Text files of parameters: their size bounded before they are read, and every word known by line and column.

Numbers are written as in C or in Fortran (``1.5E-3``, ``1.5D-03``). What stands behind a ``#`` is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ldmd.errors import InputError

FIELD = "potential.parameters"
LONGEST_CUTOFF = 30.0
"""Angstrom; no potential reaches farther than a third of it, and lists of neighbours would fill the memory."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
SHOWN = 24
"""Characters of a wrong word that an error shows."""


class Line(NamedTuple):
    """The words of one line that holds any."""

    number: int
    """From 1."""
    text: str
    """Without its comment."""

    @property
    def words(self) -> list[str]:
        """What is between blanks."""
        return self.text.split()

    def column(self, word: int) -> int:
        """Where the word of this index begins, from 1."""
        return [match.start() for match in re.finditer(r"\S+", self.text)][word] + 1


def read_lines(path: Path, largest: int, expected: str) -> list[Line]:
    """The lines of a file that hold anything, without comments; a byte-order mark and CRLF are taken off.

    Raises
    ------
    InputError
        Where there is no such file (``expected`` says which was), it cannot be opened, or is longer than ``largest``
        bytes.
    """
    try:
        if not path.is_file():
            raise InputError(FIELD, path, f"no such file; give {expected}")
        size = path.stat().st_size
        if size > largest:
            fix = f"has {size / 1e6:.0f} MB, more than the {largest / 1e6:.0f} of a file of parameters; give {expected}"
            raise InputError(FIELD, path, fix)
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(FIELD, path, f"cannot be read ({reason}); give {expected}") from error
    numbered = enumerate((line.partition("#")[0] for line in text.splitlines()), start=1)
    return [Line(number, line) for number, line in numbered if line.strip()]


def numbers_of(lines: Iterable[Line], path: Path) -> np.ndarray:
    """All words of some lines as numbers.

    Raises
    ------
    InputError
        Naming the line and column of the first word that is no finite number.
    """
    lines = list(lines)
    try:
        values = np.array([float(word) for line in lines for word in line.words])
    except ValueError:
        values = np.array([np.nan])
    if not (np.isfinite(values).all() and all("_" not in line.text and line.text.isascii() for line in lines)):
        words = ((word, line, place) for line in lines for place, word in enumerate(line.words))
        values = np.array([number_at(word, line, place, path) for word, line, place in words])
    return values


def number_at(word: str, line: Line, place: int, path: Path) -> float:
    """One word as a finite number; ``place`` is its index in its line.

    Raises
    ------
    InputError
        Naming its line and column.
    """
    where = f"line {line.number}, column {line.column(place)}"
    shown = shortened(word)
    if set(word) <= set("*+-.") and "*" in word:
        raise InputError(FIELD, path, f"{where} holds {shown}: a number too wide for its column; write the file again")
    if not NUMBER.fullmatch(word):
        kind = "not a finite number" if word.lower().strip("+-") in ("nan", "inf", "infinity") else "not a number"
        raise InputError(FIELD, path, f"{where} holds {shown}, which is {kind}; mend it")
    value = float(word.lower().replace("d", "e"))
    if not np.isfinite(value):
        raise InputError(FIELD, path, f"{where} holds {shown}, which is too large; mend it")
    return value


def is_name(word: str) -> bool:
    """Whether a word may be the symbol of a species: it begins with a letter and is not one of those for no number."""
    return word[0].isalpha() and word.lower() not in ("nan", "inf", "infinity")


def shortened(word: str) -> str:
    """A word as an error shows it: on one line, in ASCII, and not long."""
    shown = ascii(word)[1:-1]
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."


def words_of(lines: Sequence[Line]) -> Iterator[tuple[str, Line, int]]:
    """Every word with its line and its index in that."""
    for line in lines:
        for place, word in enumerate(line.words):
            yield word, line, place
