"""What settings are made of: fields with a default, its reason, a unit and a range, and rules in our own words."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

COLDEST = 0.01
"""K. Below, nothing is excited in a cell that fits into a computer: its lowest mode has some 0.1 rad/ps, which is 1 K.
"""
NARROWEST = 1e-3
"""rad/ps. The levels of a cell are farther apart, so that a narrower kernel finds nothing, nor does one on a mesh of
wave vectors."""
Temperature = Annotated[float, Field(ge=COLDEST, le=5000)]
Division = Annotated[int, Field(ge=1, le=100)]
Item = TypeVar("Item")


def option(default: Any, reason: str, unit: str = "", example: float | str = 0.0, **bounds: Any) -> Any:
    """A field: default (``...`` if it must be given), the reason for it, unit and allowed range.

    ``example`` stands in the template where there is no default to show.
    """
    return Field(default, description=reason, json_schema_extra={"unit": unit, "example": example}, **bounds)


def refuse(fix: str, field: str = "", value: object = None) -> PydanticCustomError:
    """A broken rule in our own words; ``field`` and ``value`` where it is about more than its own field."""
    return PydanticCustomError("rule", "{fix}", {"fix": fix, "field": field, "value": value})


def some_and_distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Refuse an empty list, and one with a value twice."""
    if not items:
        raise refuse("the list is empty; give at least one value")
    if len(set(items)) < len(items):
        raise refuse("a value stands there twice; list each one once")
    return items


def ascending(items: tuple[float, ...]) -> tuple[float, ...]:
    """Refuse values in any other order."""
    if list(items) != sorted(items):
        raise refuse("list the values in ascending order")
    return items


def with_classical(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Refuse statistics that nothing can be compared with."""
    if "classical" not in items:
        raise refuse('add "classical": molecular dynamics can be compared with nothing else')
    return items


def _relative(path: str) -> str:
    if not path.strip() or Path(path).is_absolute() or not path.isprintable():
        raise refuse("give a path relative to the case folder, so that the case can be moved and shared")
    if Path(os.path.normpath(path)).parts[:1] == ("..",):
        raise refuse("leads out of the case folder; put a copy of the file there, so that the case can be shared")
    return path


def divides(part: float, total: float) -> bool:
    """Whether ``total`` is a positive multiple of ``part``, but for the rounding of decimal fractions."""
    ratio = total / part
    return round(ratio) >= 1 and math.isclose(ratio, round(ratio), rel_tol=1e-9)


def _slug(name: str) -> str:
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name):
        likely = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "tersoff-1989"
        raise refuse(f'it names a folder of reports: small letters, digits and hyphens, as in "{likely}"')
    return name


RelativePath = Annotated[str, AfterValidator(_relative)]
Divisions = Annotated[tuple[Division, Division, Division], Field(strict=False)]
Slug = Annotated[str, AfterValidator(_slug)]


class Section(BaseModel):
    """Settings that cannot change, take no unknown key and convert no type."""

    # Defaults are validated too: one that suits no longer when another value changes must be given.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
