"""Pickles of dictionaries, tuples, text, numbers and NumPy arrays, and of nothing else.

Pickle is a small machine that may be told to call any function. Here it knows only the instructions that plain data
need, and the few functions of NumPy that stand in pickled arrays are replaced by ones that take numbers of a known
kind from bytes that are there: nothing of what the file names is imported, called, or allocated by its word.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np

KINDS = {"f8", "<f8", "f4", "<f4", "i8", "<i8", "i4", "<i4"}
_PLAIN = (
    "PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 SHORT_BINSTRING BINSTRING "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
    "BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD "
    "INT FLOAT LONG UNICODE TUPLE LIST DICT PUT GET"
).split()


class _Array:
    """An array before its state is known."""

    found: np.ndarray | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Kind, bool, bytes]) -> None:
        _, shape, kind, fortran, data = state
        self.found = _numbers(data, kind, shape, "F" if fortran else "C")


class _Kind:
    """What an array holds."""

    def __init__(self, code: str, *flags: object) -> None:
        if code not in KINDS:
            raise pickle.UnpicklingError(f"it holds an array of {str(code)[:20]!r}")
        self.code = "<" + code.lstrip("<")

    def __setstate__(self, state: tuple[int, str, object]) -> None:
        if state[1] not in ("<", "|", "="):
            raise pickle.UnpicklingError("it holds an array of another byte order")


def _numbers(data: bytes | str, kind: _Kind, shape: tuple[int, ...], order: str) -> np.ndarray:
    raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)
    array = np.frombuffer(raw, dtype=kind.code)
    if math.prod(shape) != array.size or len(shape) > 8:
        raise pickle.UnpicklingError(f"it promises an array of {str(shape)[:40]} and holds {array.size} numbers")
    return array.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(*arguments: object) -> _Array:
    return _Array()


def _encoded(text: str, name: str) -> bytes:
    if name not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes text as {str(name)[:20]!r}")
    return text.encode("latin-1")


def _scalar(kind: _Kind, data: bytes | str) -> Any:
    return _numbers(data, kind, (1,), "C")[0]


_KNOWN: dict[str, Any] = {
    "numpy.ndarray": None,  # only named, as an argument of _reconstruct
    "numpy.dtype": _Kind,
    "_codecs.encode": _encoded,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _numbers,
    "numpy._core.numeric._frombuffer": _numbers,
}


class _Unpickler(pickle._Unpickler):
    """Plain data only; the one written in Python, whose memory a file cannot blow up by a number."""

    dispatch = {
        code: action
        for code, action in pickle._Unpickler.dispatch.items()
        if code in {getattr(pickle, name)[0] for name in _PLAIN}
    }
    # For bytes that are there, not room for any number of them.
    dispatch[pickle.BYTEARRAY8[0]] = pickle._Unpickler.dispatch[pickle.BINBYTES8[0]]

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:80])
        return _KNOWN[f"{module}.{name}"]


def numbers_of_pickle(data: bytes) -> dict[str, Any]:
    """The dictionary that a pickle holds, with arrays in place of what stands for them.

    Raises
    ------
    pickle.UnpicklingError
        Where it holds anything but plain data. Damaged ones raise other errors as well.
    """
    found = _Unpickler(io.BytesIO(data)).load()
    if not isinstance(found, dict):
        raise pickle.UnpicklingError(f"it holds a {type(found).__name__}")
    return {
        str(name): {key: item.found if isinstance(item, _Array) else item for key, item in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in found.items()
    }
