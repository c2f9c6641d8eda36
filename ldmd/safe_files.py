"""YAML and HDF5 files of strangers, opened so that nothing in them runs and nothing outside them is read.

A YAML file may name a program in a tag (``!!python/object/apply``), and an HDF5 file may name other files in external
links, external storage and virtual datasets. Neither is followed here: tags, aliases and links are refused before any
value is used. What a file may take of memory is bounded before it is read, and a damaged HDF5 file on which the HDF5
library never comes back, or dies, is found in a process of its own (``ldmd/hdf5_walk.py``).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.errors import InputError

if TYPE_CHECKING:
    import h5py

LARGEST_YAML = 1e8
"""Bytes of a YAML file; the reader takes some 30 times as much memory."""
LARGEST_HDF5 = 8e9
"""Bytes of all arrays of an HDF5 file together, unpacked."""
PATIENCE = 300.0
"""Seconds that the look into an HDF5 file may take on a busy machine; the processor's seconds are bounded tighter."""
WALK = Path(__file__).with_name("hdf5_walk.py")


def load_yaml(path: Path, most_bytes: float = LARGEST_YAML) -> Any:
    """What a YAML file holds, as plain dictionaries, lists, texts, numbers and dates.

    Raises
    ------
    InputError
        Where there is no such file, it is larger than ``most_bytes``, it is not YAML, or it holds a tag that is not
        plain, an alias, or more than one document.
    """
    return read_yaml(path, most_bytes)[1]


def read_yaml(path: Path, most_bytes: float = LARGEST_YAML) -> tuple[str, Any]:
    """The text of a YAML file, in which no tag is left that another reader could run, and what it holds.

    What is returned is shared by all who read the file: it is not to be altered.

    Raises
    ------
    InputError
        As ``load_yaml``.
    """
    if not path.is_file():
        raise InputError("YAML", path, "no such file")
    facts = path.stat()
    return _parsed(path, facts.st_mtime_ns, facts.st_size, most_bytes)


@functools.lru_cache(maxsize=4)
def _parsed(path: Path, changed: int, size: int, most_bytes: float) -> tuple[str, Any]:
    """Once for a file that did not change; nobody alters what it holds."""
    yaml = importlib.import_module("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    data = _bytes_of(path, most_bytes)
    try:
        text = data.decode("utf-8-sig")
        if "*" in text:
            _refuse_aliases(yaml, loader, path, text)
        return text, yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise InputError("YAML", path, _reason(yaml, error)) from error
    except UnicodeDecodeError as error:
        raise InputError("YAML", path, f"is not UTF-8 text (byte {error.start})") from error
    except RecursionError as error:
        raise InputError("YAML", path, "is nested too deeply; no program writes such a file") from error
    except (ValueError, TypeError, OverflowError) as error:  # a date of no calendar, a number of 10 000 digits
        raise InputError("YAML", path, f"holds a value that cannot be read ({_first_line(error)})") from error


@contextlib.contextmanager
def open_hdf5(path: Path, most_bytes: float = LARGEST_HDF5) -> Iterator[h5py.File]:
    """An HDF5 file, open for reading, that holds all of its data itself, ``most_bytes`` of it unpacked at most.

    Raises
    ------
    InputError
        Where there is no such file, it is damaged, or it holds links, data in other files, or too much.
    """
    h5py = importlib.import_module("h5py")
    if not path.is_file():
        raise InputError("HDF5 file", path, "no such file")
    facts = path.stat()
    _require_sound(str(path.resolve()), facts.st_mtime_ns, facts.st_size, most_bytes)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError("HDF5 file", path, f"is damaged ({_first_line(error)})") from error
    with file:
        yield file


def text_in(file: h5py.File, name: str) -> str:
    """A text, alone or the first of a list.

    Raises
    ------
    InputError
        Where there is no such dataset, or it holds something else.
    """
    dataset = file.get(name)
    if not hasattr(dataset, "dtype"):
        raise InputError("HDF5 file", file.filename, f"needs a dataset {name!r}")
    values = np.asarray(dataset[()]).ravel()
    first = values[0] if values.size else None
    if isinstance(first, bytes):
        return first.decode("utf-8", errors="replace")
    if not isinstance(first, str):
        raise InputError("HDF5 file", file.filename, f"has no text in {name!r}")
    return first


@functools.lru_cache(maxsize=64)
def _require_sound(path: str, changed: int, size: int, most_bytes: float) -> None:
    """Look through an HDF5 file in a process of its own; once for a file that did not change."""
    command = [sys.executable, "-P", str(WALK), path, str(most_bytes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError("HDF5 file", path, f"is damaged (reading it took over {PATIENCE:g} s)") from error
    if done.returncode < 0:
        raise InputError("HDF5 file", path, f"is damaged (the HDF5 library was stopped by signal {-done.returncode})")
    if done.returncode > 0:
        lines = (done.stdout if done.stdout.strip() else done.stderr).strip().splitlines()
        raise InputError("HDF5 file", path, lines[-1][:300] if lines else "is damaged")


def _bytes_of(path: Path, most_bytes: float) -> bytes:
    """The contents of a file that is not too large; what grows while it is read is cut off."""
    try:
        with path.open("rb") as file:
            data = file.read(int(most_bytes) + 1)
    except OSError as error:
        raise InputError("YAML", path, f"cannot be read ({error.strerror})") from error
    if len(data) > most_bytes:
        raise InputError("YAML", path, f"is larger than {1e-6 * most_bytes:g} MB, the most that is read")
    return data


def _refuse_aliases(yaml: Any, loader: Any, path: Path, text: str) -> None:
    """A few aliases of aliases stand for more elements than memory holds; no program of lattice dynamics writes any."""
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise InputError("YAML", path, f"line {line} holds the alias *{event.anchor}; write its value out")


def _reason(yaml: Any, error: Exception) -> str:
    """One line that says what is wrong and where."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f"line {mark.line + 1}" if mark is not None else "somewhere"
    problem = _first_line(getattr(error, "problem", None) or error)
    if isinstance(error, yaml.constructor.ConstructorError) and "tag" in problem:
        return f"{line} holds a tag that is not plain ({problem}); tags can run programs, write plain values"
    return f"is not plain YAML: {line}, {problem}"


def _first_line(error: object) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
