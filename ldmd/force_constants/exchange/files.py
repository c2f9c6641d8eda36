"""What all readers ask of a file before they believe it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from ldmd.errors import InputError


def require_file(path: Path) -> Path:
    """The path, if there is a file; ``InputError`` otherwise."""
    if not path.is_file():
        raise InputError("force constants", path, "no such file")
    return path


def numbers(path: Path, text: str, columns: int) -> np.ndarray:
    """Text of numbers as rows of equal length (n, columns), wherever its lines break.

    Raises
    ------
    InputError
        Where something is not a number, or the last row is not complete.
    """
    try:
        found = np.array(text.split(), dtype=float)
    except ValueError as error:
        raise InputError("force constants", path, f"is not of this format ({error})") from error
    if found.size % columns:
        raise InputError("force constants", path, f"{found.size} numbers are no multiple of {columns}; is it complete?")
    return found.reshape(-1, columns)


def table(path: Path, columns: int) -> np.ndarray:
    """A text file of a fixed number of columns, (n, columns)."""
    try:
        found = np.loadtxt(require_file(path), ndmin=2)
    except ValueError as error:
        raise InputError("force constants", path, f"is not a table of numbers ({error})") from error
    if found.shape[1] != columns:
        raise InputError("force constants", path, f"has {found.shape[1]} columns; this format has {columns}")
    return np.asarray(found)


def peer(module: str, package: str) -> Any:
    """A module of another program, which is not needed to run this one.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError("installed packages", f"no {package}", f"install it: pip install {package}") from error
