"""Text files of other programs as people have them, read within bounds.

A file may be packed (gzip, bzip2, xz, told by its first bytes), begin with a byte-order mark, end its lines with
CR LF, hold Latin-1 in its comments, and write numbers as Fortran does (``0.1D+02``, ``0.1-100``). What it may take is
bounded before it is read: by its size on disk, and by what it unpacks to.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ldmd.errors import InputError
from ldmd.foreign import foreign_parser

MOST_BYTES = 8_000_000_000
"""Of an unpacked file: text of numbers takes about as much memory as space on the disk."""
MOST_UNPACKED = 1_000_000_000
"""Of what a packed file holds: a few kilobytes can hold any amount."""
MOST_TEXT = 100_000_000
"""Of a file that is read as one string."""
_CHUNK = 1 << 20
_LONGEST = 1 << 16
"""Characters of a first line, or of a word."""
_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_LETTER = re.compile(rb"(?<=[\d.])[dDqQ](?=[+-]?\d)")
_NO_LETTER = re.compile(rb"(?<=\.)(\d+)(?=[+-]\d\d\d(?!\S))")
_NUMBER = re.compile(rb"[+-]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?+\d++)?+")
"""Nothing in it is tried twice, so that its time grows with the length of a word and not with its square."""


class Bounded:
    """The bytes of a file, unpacked where it is packed, up to a limit; used with ``with``.

    Raises
    ------
    InputError
        From any method, where the file is missing, cannot be unpacked, or is beyond the limit.
    """

    def __init__(self, path: Path, field: str, most: int = MOST_BYTES) -> None:
        if not path.is_file():
            raise InputError(field, path, "no such file")
        size = path.stat().st_size
        if size > most:
            raise InputError(field, path, f"has {size / 1e9:.1f} GB; at most {most / 1e9:g} GB are read")
        self._path, self._field = path, field
        with self._boundary():
            self._plain = path.open("rb")
            head = self._plain.peek(8)[:8]
        opener = next((opener for magic, opener in _PACKED.items() if head.startswith(magic)), None)
        self._file = self._plain if opener is None else cast(BinaryIO, opener(self._plain, "rb"))
        self._most = self._left = most if opener is None else min(most, MOST_UNPACKED)

    def __enter__(self) -> Bounded:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._plain.close()

    def line(self) -> bytes:
        """The next line with its end; empty at the end of the file."""
        with self._boundary():
            found = self._file.readline(_LONGEST)
        if len(found) == _LONGEST:
            raise InputError(self._field, self._path, f"begins with a line of more than {_LONGEST} characters")
        return self._counted(found)

    def block(self) -> bytes:
        """The next bytes, a megabyte at most; empty at the end of the file."""
        with self._boundary():
            found = self._file.read(_CHUNK)
        return self._counted(found)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            fix = f"unpacks to more than {self._most / 1e9:g} GB; unpack it, if that is what it should hold"
            raise InputError(self._field, self._path, fix)
        return data

    def _boundary(self) -> AbstractContextManager[None]:
        return foreign_parser(self._field, self._path, "give a sound file")


def read_text(path: Path, field: str, most: int = MOST_TEXT) -> str:
    """The whole of a file as text: UTF-8, else Latin-1, without a byte-order mark, its lines ended by one LF.

    Raises
    ------
    InputError
        Where the file is missing, cannot be unpacked, or has more than ``most`` bytes.
    """
    data = bytearray()
    with Bounded(path, field, most) as file:
        while block := file.block():
            data += block
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def first_line(path: Path, field: str) -> str:
    """The first line that is neither blank nor a comment (``#`` or ``!``); empty where there is none.

    Raises
    ------
    InputError
        Where the file is missing or cannot be unpacked.
    """
    with Bounded(path, field) as file:
        return _header(file)[0]


def read_numbers(path: Path, field: str, header: bool = False) -> tuple[str, np.ndarray]:
    """All numbers of a file (n,), wherever its lines break, and the line before them where it has a ``header``.

    What stands behind ``#`` is a comment.

    Raises
    ------
    InputError
        Where the file is missing or too large, or where a word is no finite number: with its line, and its place
        among the words of that line.
    """
    parts = [np.empty(0)]
    with Bounded(path, field) as file:
        first, line = _header(file) if header else ("", 1)
        for text, start, words in _chunks(file, line):
            found = _values(text)
            if found is None:
                raise _not_a_number(path, field, text, start, words)
            parts.append(found)
    return first, np.concatenate(parts)


def _header(file: Bounded) -> tuple[str, int]:
    """The first line of content, and the number of the line behind it."""
    number = 1
    while data := file.line():
        text = data.removeprefix(codecs.BOM_UTF8).decode("latin-1").strip()
        number += 1
        if text and text[0] not in "#!":
            return text, number
    return "", number


def _chunks(file: Bounded, line: int) -> Iterator[tuple[bytes, int, int]]:
    """Text that ends between two words, the number of its first line, and how many words of that were there before."""
    rest, words = b"", 0
    while block := file.block():
        if b"#" in block:
            # A comment may go on in the next block: let it end first.
            block += b"" if block.endswith(b"\n") else file.line()
            block = re.sub(rb"#[^\n]*", b"", block)
        rest += block
        cut = max(rest.rfind(space) for space in (b"\n", b" ", b"\t")) + 1
        text, rest = rest[:cut], rest[cut:]
        if len(rest) > _LONGEST:
            text, rest = text + rest, b""  # no number is as long: it will be refused where it stands
        text = text.removeprefix(codecs.BOM_UTF8)
        yield text, line, words
        ends = text.count(b"\n")
        words = len(text[text.rfind(b"\n") + 1 :].split()) + (0 if ends else words)
        line += ends
    yield rest, line, words


def _values(text: bytes) -> np.ndarray | None:
    """The numbers of a text; None where one of its words is no finite number."""
    for written in (bytes, _without_fortran):
        if b"_" in text:  # Python takes 1_000 for a number
            return None
        try:
            found = np.fromiter(map(float, written(text).split()), float)
        except ValueError:
            continue
        return found if np.isfinite(found).all() else None
    return None


def _without_fortran(text: bytes) -> bytes:
    return _NO_LETTER.sub(rb"\1e", _LETTER.sub(b"e", text))


def _not_a_number(path: Path, field: str, text: bytes, line: int, words: int) -> InputError:
    """The first word that is no finite number, by its line and its place in it, both counted from 1."""
    for number, content in enumerate(_without_fortran(text).split(b"\n"), start=line):
        for place, word in enumerate(content.split(), start=1 + (words if number == line else 0)):
            if not _NUMBER.fullmatch(word) or not np.isfinite(float(word)):
                shown = word[:40].decode("latin-1")
                fix = f"line {number}, column {place} holds {shown!r} where a finite number should stand; mend the file"
                return InputError(field, path, fix)
    return InputError(field, path, "holds something that is not a number; mend the file")
