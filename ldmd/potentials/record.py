"""A record of arrays by key, in one append-only file: what was computed at a cost and must not be lost.

An entry is its key (32 bytes), its shape, its numbers and a checksum; what a kill left unfinished at the end is cut off
when the file is opened again.
"""

from __future__ import annotations

import contextlib
import io
import logging
import mmap
import os
import time
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from ldmd.errors import InputError

logger = logging.getLogger(__name__)

HEADER = b"ldmd arrays 1\n"
KEY = 32
"""Bytes of a key."""
SECONDS_TO_DISK = 5.0
"""How long an entry may stay in the machine's memory, where a power cut, but no kill, can reach it."""


class Record(Protocol):
    """Arrays of float64 by key, each written once."""

    def __contains__(self, key: bytes) -> bool:
        """Whether there is an array of this key."""
        ...

    def __getitem__(self, key: bytes) -> np.ndarray:
        """The array of a key."""
        ...

    def __setitem__(self, key: bytes, array: np.ndarray) -> None:
        """Keep an array."""
        ...


class FileRecord:
    """A record in a file, which one process may have open at a time."""

    def __init__(self, path: Path) -> None:
        """Open or begin a record.

        Raises
        ------
        InputError
            Where another process has it open, it is no such record, or it cannot be written.
        """
        self.path = path
        self._places: dict[bytes, tuple[int, tuple[int, ...]]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(path, "a+")
        except OSError as error:
            fix = f"cannot be opened ({error.strerror}); mend its permissions or make room"
            raise InputError("results", path, fix) from error
        self._synced = time.monotonic()
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Bring everything to disk and let others open the file."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __getitem__(self, key: bytes) -> np.ndarray:
        start, shape = self._places[key]
        count = int(np.prod(shape, dtype=int))
        return np.frombuffer(os.pread(self._file.fileno(), 8 * count, start), dtype="<f8").reshape(shape)

    def __setitem__(self, key: bytes, array: np.ndarray) -> None:
        """Append one entry.

        Raises
        ------
        InputError
            Where the disk is full; earlier entries are untouched.
        """
        head = key + np.array([array.ndim, *array.shape], dtype="<u4").tobytes()
        body = head + np.ascontiguousarray(array, dtype="<f8").tobytes()
        entry = body + zlib.crc32(body).to_bytes(4, "little")
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(entry)
            if written != len(entry):
                raise OSError(0, "no room left")
            if time.monotonic() - self._synced > SECONDS_TO_DISK:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            fix = f"cannot be written ({error.strerror}); make room, earlier evaluations are kept"
            raise InputError("results", self.path, fix) from error
        self._places[key] = (end + len(head), array.shape)

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError("results", self.path, "another run is writing it; wait for that to end") from error
        except OSError as error:
            logger.warning("%s cannot be locked (%s): see that no other run writes it", self.path, error.strerror)

    def _read(self) -> None:
        """Find all sound entries and cut off what follows the last of them."""
        begin = os.pread(self._file.fileno(), len(HEADER), 0)
        if HEADER.startswith(begin) and begin != HEADER:
            self._file.truncate(0)
            self._file.write(HEADER)
            return
        if begin != HEADER:
            raise InputError("results", self.path, "not a record of evaluations; delete it or move it away")
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            place, size = len(HEADER), len(data)
            while (entry := _entry(data, place)) is not None:
                key, start, shape, place = entry
                self._places[key] = (start, shape)
        if place < size:
            logger.warning("%s: the last %d bytes are not sound and are left out", self.path, size - place)
            self._file.truncate(place)


def _entry(data: mmap.mmap, place: int) -> tuple[bytes, int, tuple[int, ...], int] | None:
    """Key, start of the numbers, shape and end of the entry at a place; None if there is no sound one."""
    start = place + KEY + 4
    if len(data) < start:
        return None
    dimensions = int.from_bytes(data[start - 4 : start], "little")
    if dimensions > 8 or len(data) < start + 4 * dimensions:
        return None
    shape = tuple(int(n) for n in np.frombuffer(data[start : start + 4 * dimensions], "<u4"))
    numbers = start + 4 * dimensions
    end = numbers + 8 * int(np.prod(shape, dtype=int))
    if len(data) < end + 4 or zlib.crc32(data[place:end]) != int.from_bytes(data[end : end + 4], "little"):
        return None
    return data[place : place + KEY], numbers, shape, end + 4
