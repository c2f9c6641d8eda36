"""Arrays in NumPy's own files (.npy, .npz), held against the size of the file before memory is taken.

A header of a hundred characters can promise any number of elements, and a packed member can hold a thousand times its
size on the disk. Pickled objects are never read: they can run code.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import MOST_BYTES
from ldmd.foreign import foreign_parser
from ldmd.text_file import MOST_UNPACKED

MOST_PACKING = 30.0
"""Unpacked over packed size of a file of more than ``MOST_UNPACKED`` bytes: real numbers pack to a half or a tenth."""
FIX = "give the file as its program wrote it"


def load_npy(path: Path) -> np.ndarray:
    """The one array of real numbers in a .npy file.

    Raises
    ------
    InputError
        Where the file is none, is cut off, or holds anything but real numbers.
    """
    with foreign_parser("force constants", path, FIX), path.open("rb") as file:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(
                "force constants", path, f"has {1e-9 * size:.1f} GB; at most {1e-9 * MOST_BYTES:g} are read"
            )
        _require_honest(path, file, size, "iuf")
        file.seek(0)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False), dtype=float)


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers and of text in a .npz file, by their names.

    Raises
    ------
    InputError
        As ``load_npy``, or where the file unpacks to more than is believable.
    """
    found = {}
    with foreign_parser("force constants", path, FIX), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > MOST_BYTES or size > max(MOST_UNPACKED, MOST_PACKING * path.stat().st_size):
            raise InputError("force constants", path, f"unpacks to {1e-9 * size:.3g} GB, more than is read")
        for member in members:
            with archive.open(member) as file:
                _require_honest(path, file, member.file_size, "biufSU")
            with archive.open(member) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            found[member.filename.removesuffix(".npy")] = np.asarray(array)
    return found


def sparse_shape(path: Path, arrays: dict[str, np.ndarray]) -> tuple[int, int]:
    """Rows and columns of a sparse matrix that scipy stored."""
    with foreign_parser("force constants", path, FIX):
        rows, columns = (int(length) for length in arrays["shape"])
    if not (0 < rows < 2**62 and 0 < columns < 2**31):
        raise InputError("force constants", path, f"has a matrix of {rows} x {columns}; {FIX}")
    return rows, columns


def sparse_elements(path: Path, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values (n,) of a sparse matrix that scipy stored as a list, or by rows.

    Raises
    ------
    InputError
        Where it is stored otherwise, or its indices are beyond its shape.
    """
    shape = sparse_shape(path, arrays)
    with foreign_parser("force constants", path, FIX):
        values = arrays["data"].astype(float)
        if "row" in arrays:
            rows, columns = arrays["row"], arrays["col"]
        else:
            pointers, columns = arrays["indptr"].astype(np.int64), arrays["indices"]
            if len(pointers) != shape[0] + 1 or pointers[0] != 0 or pointers[-1] != len(columns):
                raise InputError("force constants", path, f"its rows do not hold its elements; {FIX}")
            rows = np.repeat(np.arange(shape[0]), np.diff(pointers))
        if not (rows.shape == columns.shape == values.shape == (len(values),)):
            raise InputError("force constants", path, f"has not as many indices as values; {FIX}")
    for indices, length in ((rows, shape[0]), (columns, shape[1])):
        if indices.dtype.kind not in "iu" or (len(indices) and not 0 <= indices.min() <= indices.max() < length):
            raise InputError("force constants", path, f"has elements beyond its {shape[0]} x {shape[1]}; {FIX}")
    return rows.astype(np.int64), columns.astype(np.int64), values


def _require_honest(path: Path, file: IO[bytes], size: int, kinds: str) -> None:
    """Refuse an array whose header promises anything but what the file has room for."""
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = reader(file)
    if kind.kind not in kinds:
        raise InputError("force constants", path, f"holds {kind}, not numbers; {FIX}")
    promised, there = math.prod(shape) * kind.itemsize, size - file.tell()
    if promised != there:
        raise InputError("force constants", path, f"promises {promised} bytes of numbers and has {there}; {FIX}")
