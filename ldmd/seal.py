"""A checksum behind the contents of a file, by which damage is noticed before anybody reads what is damaged."""

from __future__ import annotations

import hashlib

MARK = b"\nsha256 "
LENGTH = len(MARK) + 64
"""Bytes of the seal."""


def sealed(contents: bytes) -> bytes:
    """The same bytes with their SHA-256 behind them; readers of ZIP and HDF5 do not look there."""
    return contents + MARK + hashlib.sha256(contents).hexdigest().encode("ascii")


def unsealed(data: bytes) -> bytes | None:
    """What was sealed; None where a single bit of it, or of the seal, is not as it was."""
    contents = data[:-LENGTH]
    return contents if data == sealed(contents) else None
