"""A record of arrays by key, in one append-only file: what was computed at a cost and must not be lost.

An entry is its key (32 bytes), its shape, its numbers and a checksum. When the file is opened again, what a kill left
unfinished at the end is cut off; entries that were damaged since are left out, the others are kept, and the damaged
file is set aside.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import logging
import math
import mmap
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from ldmd.errors import InputError

logger = logging.getLogger(__name__)

HEADER = b"ldmd arrays 1\n"
KEY = 32
"""Bytes of a key."""
DIMENSIONS = 8
"""Axes of an array, at most."""
SCANNED = 2**20
"""Bytes looked through at once for the next sound entry."""
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
        if path.is_symlink():
            raise InputError("results", path, "is a link to somewhere else; remove it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(path)
        except OSError as error:
            fix = f"cannot be opened ({error.strerror}); mend its permissions or make room"
            raise InputError("results", path, fix) from error
        self._synced = time.monotonic()
        try:
            self._read()
        except OSError as error:
            self._file.close()
            fix = f"cannot be read or written ({error.strerror}); make room or mend its permissions"
            raise InputError("results", path, fix) from error
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Bring everything to disk and let others open the file."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            logger.warning("%s may not last through a power cut (%s)", self.path, error.strerror)
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __getitem__(self, key: bytes) -> np.ndarray:
        start, shape = self._places[key]
        count = math.prod(shape)
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

    def _read(self) -> None:
        """Find all sound entries, and mend the file where there is anything else in it."""
        begin = os.pread(self._file.fileno(), len(HEADER), 0)
        if HEADER.startswith(begin) and begin != HEADER:
            self._file.truncate(0)
            if self._file.write(HEADER) != len(HEADER):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = _entries(data)
            size, end = len(data), found[-1].end if found else len(HEADER)
            kept = sum(entry.end - entry.start for entry in found)
            if begin != HEADER and not found:
                raise InputError("results", self.path, "not a record of evaluations; delete it or move it away")
            if begin == HEADER and kept + len(HEADER) == end and _unfinished(data, end):
                if end < size:
                    logger.warning("%s: the last %d bytes are not sound and are left out", self.path, size - end)
                    self._file.truncate(end)
            else:
                self._set_aside(data, found)
                return
        self._places = {entry.key: (entry.numbers, entry.shape) for entry in found}

    def _set_aside(self, data: mmap.mmap, found: list[_Entry]) -> None:
        """Go on with a new file of the sound entries; the damaged one gets another name."""
        lost = len(data) - len(HEADER) - sum(entry.end - entry.start for entry in found)
        aside = self.path.with_name(f"{self.path.name}.damaged")
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        fix = "%s: damaged, %d bytes of it are lost; %d sound entries are kept, the file as it was is %s"
        logger.warning(fix, self.path, max(lost, 0), len(found), aside.name)
        try:
            with open(temporary, "wb") as file:
                file.write(HEADER)
                for entry in found:
                    file.write(data[entry.start : entry.end])
                file.flush()
                os.fsync(file.fileno())
            mended = _opened(temporary)  # locked before anybody else can find it
            aside.unlink(missing_ok=True)
            os.link(self.path, aside)
            os.replace(temporary, self.path)
        finally:
            temporary.unlink(missing_ok=True)
        self._file.close()
        self._file, place = mended, len(HEADER)
        for entry in found:
            self._places[entry.key] = (place + entry.numbers - entry.start, entry.shape)
            place += entry.end - entry.start


@dataclasses.dataclass(frozen=True)
class _Entry:
    """Where a sound entry is in the file."""

    key: bytes
    start: int
    numbers: int
    end: int
    shape: tuple[int, ...]


def _opened(path: Path) -> io.FileIO:
    """The file of this name, which no other process has; one that is replaced meanwhile is opened anew.

    Raises
    ------
    InputError
        Where another process has it.
    """
    import fcntl

    while True:
        file = io.FileIO(path, "a+")
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise InputError("results", path, "another run is writing it; wait for that to end") from error
        except OSError as error:
            logger.warning("%s cannot be locked (%s): see that no other run writes it", path, error.strerror)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


def _entries(data: mmap.mmap) -> list[_Entry]:
    """All sound entries in the order of the file; damaged ones between them are passed over."""
    found: list[_Entry] = []
    place = len(HEADER)
    while place < len(data):
        entry = _entry(data, place)
        if entry is None:
            entry = next((e for n in _candidates(data, place + 1) if (e := _entry(data, n)) is not None), None)
            if entry is None:
                break
        found.append(entry)
        place = entry.end
    return found


def _candidates(data: mmap.mmap, start: int) -> Iterator[int]:
    """Places from ``start`` on where the number of dimensions of an entry could be."""
    first = start + KEY
    while first + 4 <= len(data):
        block = np.frombuffer(data[first : first + SCANNED + 3], dtype=np.uint8)
        low, zeros = block[:-3] <= DIMENSIONS, (block[1:-2] | block[2:-1] | block[3:]) == 0
        yield from (np.flatnonzero(low & zeros) + (first - KEY)).tolist()
        first += SCANNED


def _unfinished(data: mmap.mmap, place: int) -> bool:
    """Whether what begins at a place may be an entry that a kill cut short: it is shorter than it says."""
    if len(data) < place + KEY + 4:
        return True
    dimensions, shape = _shape(data, place + KEY)
    return dimensions <= DIMENSIONS and len(data) < place + KEY + 4 + 4 * dimensions + 8 * math.prod(shape) + 4


def _shape(data: mmap.mmap, place: int) -> tuple[int, tuple[int, ...]]:
    """The number of dimensions written at a place, and as many of them as the file still holds."""
    dimensions = int.from_bytes(data[place : place + 4], "little")
    if dimensions > DIMENSIONS:
        return dimensions, ()
    words = data[place + 4 : place + 4 + 4 * dimensions]
    return dimensions, tuple(int.from_bytes(words[n : n + 4], "little") for n in range(0, len(words), 4))


def _entry(data: mmap.mmap, place: int) -> _Entry | None:
    """The entry at a place; None if there is no sound one."""
    dimensions, shape = _shape(data, place + KEY)
    if dimensions > DIMENSIONS or len(shape) < dimensions:
        return None
    numbers = place + KEY + 4 + 4 * dimensions
    end = numbers + 8 * math.prod(shape)
    if len(data) < end + 4 or zlib.crc32(data[place:end]) != int.from_bytes(data[end : end + 4], "little"):
        return None
    return _Entry(data[place : place + KEY], place, numbers, end + 4, shape)
