"""Every result of the package, whatever it is called, comes back from its file as it was."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ldmd
from ldmd.store import load, save


def results() -> Iterator[type]:
    """All dataclasses of the package with a declared array, and the comparison, which has none."""
    for module in pkgutil.walk_packages(ldmd.__path__, "ldmd."):
        for value in vars(importlib.import_module(module.name)).values():
            if not (isinstance(value, type) and dataclasses.is_dataclass(value)):
                continue
            declared = any("dims" in field.metadata for field in dataclasses.fields(value))
            if value.__module__ == module.name and (declared or value.__name__ == "Comparison"):
                yield value


def instance(kind: type) -> object:
    """A made-up object of a class; arrays are as long along each dimension as its name."""
    hints = typing.get_type_hints(kind)
    values = {}
    for number, field in enumerate(dataclasses.fields(kind)):
        if "dims" in field.metadata:
            # A series of fluxes refuses fewer than 64 steps.
            shape = [64 if dim == "step" else len(dim) for dim in field.metadata["dims"]]
            values[field.name] = 0.1 if hints[field.name] is float else np.full(shape, number / 7)
        else:
            values[field.name] = value_of(hints[field.name])
    return kind(**values)


def value_of(hint: object) -> object:
    """A value of an annotated type."""
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        return tuple(value_of(each) for each in ((inner[0], inner[0]) if inner[-1] is Ellipsis else inner))
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)[0]
    if isinstance(hint, types.UnionType):
        return value_of(typing.get_args(hint)[0])
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return instance(hint)
    return {
        float: 0.1,
        int: 3,
        bool: True,
        str: "text",
    }[typing.cast(type, hint)]


def alike(one: object, other: object) -> bool:
    """Equal throughout, arrays to the last bit."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(alike(a, b) for a, b in zip(one, other, strict=True))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(alike(getattr(one, n), getattr(other, n)) for n in names)
    return one == other and type(one) is type(other)


@pytest.mark.parametrize("kind", sorted(set(results()), key=lambda kind: kind.__qualname__))
def test_a_result_comes_back(kind: type, tmp_path: Path) -> None:
    original = instance(kind)
    save(original, tmp_path / "result.nc", {})
    assert alike(load(kind, tmp_path / "result.nc"), original)
