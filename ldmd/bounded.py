"""Reading a file of unknown size and origin: no more is taken than a bound allows, whatever it unpacks to."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from pathlib import Path

from ldmd.errors import InputError

LARGEST = 32 * 2**20
"""Bytes of text: an extended XYZ file of a quarter of a million atoms."""
LONGEST_LINE = 100_000
"""Characters."""
MEGABYTE = 2**20
GZIP, BZIP2 = b"\x1f\x8b", b"BZh"
"""The first bytes of compressed files."""


def read_text(path: Path, field: str, largest: int = LARGEST) -> str:
    """The text of a file, unpacked if it is compressed (gzip, bzip2), with line feeds only and no byte-order mark.

    UTF-8, or Latin-1 where it is not UTF-8.

    Raises
    ------
    InputError
        Naming ``field``, where there is no such file, it cannot be read, holds or unpacks to more than ``largest``
        bytes, is damaged, is no text, or has a line longer than ``LONGEST_LINE``.
    """
    data = _read(path, field, largest)
    if data.startswith((GZIP, BZIP2)):
        data = _unpacked(data, path, field, largest)
    if b"\0" in data:
        raise InputError(field, path, "cannot be read (a binary file); give a text file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if any(len(line) > LONGEST_LINE for line in text.split("\n")):
        raise InputError(field, path, f"cannot be read (a line has more than {LONGEST_LINE} characters); break it")
    return text


def _read(path: Path, field: str, largest: int) -> bytes:
    try:
        if not path.is_file():
            raise InputError(field, path, "no such file; give a path relative to the case folder")
        if path.stat().st_size > largest:
            raise _too_large(path, field, largest, "is larger")
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(field, path, f"cannot be read ({reason}); mend its name or its permissions") from error
    if len(data) > largest:
        raise _too_large(path, field, largest, "is larger")
    return data


def _unpacked(data: bytes, path: Path, field: str, largest: int) -> bytes:
    """What is in compressed data: a file object of the standard library unpacks no more than it is asked for."""
    packed = io.BytesIO(data)
    try:
        with gzip.GzipFile(fileobj=packed) if data.startswith(GZIP) else bz2.BZ2File(packed) as file:
            text = file.read(largest + 1)
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise InputError(field, path, f"cannot be read (damaged archive: {error}); pack it again") from error
    if len(text) > largest:
        raise _too_large(path, field, largest, "unpacks to more")
    return text


def _too_large(path: Path, field: str, largest: int, how: str) -> InputError:
    fix = f"cannot be read ({how} than {largest / MEGABYTE:.0f} MiB); give a file with nothing in it but what is needed"
    return InputError(field, path, fix)
