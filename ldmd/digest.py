"""SHA-256 over the meaning of things: the same settings, bytes and arrays, the same digest on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def digest(*parts: object) -> str:
    """SHA-256 (64 hexadecimal digits) over the canonical JSON of ``parts``, in order.

    Takes None, booleans, integers, finite floats (by ``repr``), text, bytes, arrays (by type, shape and
    bytes), sequences, mappings with text keys, and pydantic settings. 1, 1.0, True and "1" all differ.

    Raises
    ------
    TypeError
        For anything else; for paths above all: a folder's name says nothing about what is in it.
    ValueError
        For a float that is not finite.
    """
    return hashlib.sha256(_json(parts).encode("ascii")).hexdigest()


def summary(part: object) -> Any:
    """What a manifest shows of a part: plain values as they are, bytes and arrays by their digest."""
    return json.loads(_json(part))


def _json(part: object) -> str:
    return json.dumps(_canonical(part), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(part: object) -> object:
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, np.generic):
        return part.item()
    if isinstance(part, bytes):
        return {"$bytes": hashlib.sha256(part).hexdigest()}
    if isinstance(part, np.ndarray):
        return {"$array": _array_digest(part)}
    if isinstance(part, Mapping):
        if not all(isinstance(key, str) and not key.startswith("$") for key in part):
            raise TypeError("a mapping in a digest needs text keys that do not start with $")
        return {key: _canonical(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_canonical(item) for item in part]
    if hasattr(part, "model_dump"):
        return _canonical(part.model_dump(mode="json"))
    raise TypeError(f"no digest of a {type(part).__name__}")


def _array_digest(array: np.ndarray) -> str:
    """SHA-256 over type, shape and little-endian bytes in C order."""
    if array.dtype.hasobject:
        raise TypeError("no digest of an array of Python objects")
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = f"{plain.dtype.str}{array.shape}"
    return hashlib.sha256(header.encode("ascii") + plain.tobytes()).hexdigest()
