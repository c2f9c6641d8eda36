"""What a case may name as its calculator: only things that are made to give an ASE calculator are ever called.

These are classes that derive from ASE's, and functions written in Python whose annotation says that they return one:

    def calculator(model: str) -> Calculator: ...

Importing a module runs it, and so does the calculator later: a case of ``kind = "ase"`` is a program, and as much to be
trusted as one. The rule keeps a name that means something else, such as ``os:system``, from being called by mistake.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

from ase.calculators.calculator import BaseCalculator

ANNOTATE = "only a class derived from an ASE calculator, or a function annotated to return one, is called"


def why_not_called(found: object) -> str | None:
    """None if what a name stands for may be called; else what is wrong with it, for an error in one line."""
    if inspect.isclass(found):
        if issubclass(found, BaseCalculator):
            return None
        return f"is a class, but not of an ASE calculator: {ANNOTATE}"
    if inspect.isfunction(found) or inspect.ismethod(found):
        if _returns_calculator(found):
            return None
        name = found.__name__
        return f"is a function that does not say what it returns (def {name}(...) -> Calculator): {ANNOTATE}"
    return f"is a {type(found).__name__}: {ANNOTATE}"


def _returns_calculator(function: Any) -> bool:
    """By its annotation: a calculator, or several of them to choose from; of a class method also its own class."""
    plain = inspect.unwrap(function.__func__ if inspect.ismethod(function) else function)
    annotation = getattr(plain, "__annotations__", {}).get("return")
    own = function.__self__ if inspect.ismethod(function) and inspect.isclass(function.__self__) else None
    holder = types.SimpleNamespace(__annotations__={"return": annotation})
    try:
        meant = typing.get_type_hints(holder, globalns=getattr(plain, "__globals__", {}), localns={}).get("return")
    except (NameError, AttributeError, TypeError, SyntaxError):  # imported for type checkers only
        return isinstance(annotation, str) and annotation.rpartition(".")[2].strip().endswith("Calculator")
    return _is_calculator(meant, own)


def _is_calculator(meant: Any, own: type | None) -> bool:
    if typing.get_origin(meant) in (typing.Union, types.UnionType):
        return all(_is_calculator(part, own) for part in typing.get_args(meant))
    if meant is typing.Self:
        meant = own
    return inspect.isclass(meant) and issubclass(meant, BaseCalculator)
