"""What is wrong with a setting, in one line: from pydantic's findings to the field, the value and the fix."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ldmd.errors import InputError

Location = tuple[int | str, ...]


def shown(value: object, limit: int = 60) -> str:
    """A value as TOML writes it, on one line; cut after ``limit`` characters unless that is 0."""
    try:
        text = _toml(value)
    except RecursionError:
        text = "lists in lists in lists"
    return text if not limit or len(text) <= limit else text[: limit - 3] + "..."


def _toml(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return str(value)


def explain(error: ValidationError, model: type[BaseModel]) -> InputError:
    """The first finding as an ``InputError``; an unknown key comes first: it often explains a missing one."""
    findings = sorted(error.errors(), key=lambda finding: finding["type"] != "extra_forbidden")
    first, more = findings[0], len(findings) - 1
    location, context = first["loc"], first.get("ctx", {})
    field = context.get("field") or _dotted(location)
    value = context["value"] if context.get("field") else first["input"]
    text = "missing" if first["type"] == "missing" or value is None else shown(value)
    fix = _fix(first["type"], location, context, model)
    return InputError(field, text, f"{fix} (and {more} more)" if more else fix)


def _dotted(location: Location) -> str:
    """``dynamics.length_ps``, ``lattice.temperatures[2]``; counted from 0 as in TOML paths."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".").encode("unicode_escape").decode("ascii")


def _fix(kind: str, location: Location, context: dict[str, Any], model: type[BaseModel]) -> str:
    if kind == "rule":
        return str(context["fix"])
    if kind == "extra_forbidden":
        return _unknown_key(location, model)
    if kind in ("model_type", "model_attributes_type"):
        return f"make it a section that starts with [{_dotted(location)}]"
    field = _field(location, model)
    section = section_kind(field)
    if section is not None:
        required = [key for key, option in section.model_fields.items() if option.is_required()]
        return f"add the section [{_dotted(location)}] with {' and '.join(required)}"
    length = _length(field)
    if length and (kind == "too_long" or (kind == "missing" and isinstance(location[-1], int))):
        return f"give a list of {length} numbers in square brackets"
    item = _element(field) if len(location) > 2 or kind != "tuple_type" else None
    return _wanted(item or field, field, kind)


def _wanted(item: FieldInfo, field: FieldInfo, kind: str) -> str:
    """What the field takes, from its own declaration."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit = f" in {extra['unit']}" if extra.get("unit") else ""
    types = {_bare(part) for part in get_args(item.annotation)} or {item.annotation}
    if get_origin(item.annotation) is Literal:
        choices = [shown(choice) for choice in get_args(item.annotation)]
        many = len(choices) > 1
        return f"choose one of {', '.join(choices)}" if many else f"the only one known is {choices[0]}"
    if kind == "tuple_type":
        numbers = extra.get("unit") or "int" in str(get_args(field.annotation)[:1])
        return f"give a list of {'numbers' + unit if numbers else 'names'} in square brackets"
    if types == {bool}:
        return "give true or false, without quotes"
    if str in types:
        return f"{'add it' if kind == 'missing' else 'give a text in quotes'}: {field.description}"
    noun = "a whole number" if int in types else "a number"
    if kind in ("float_type", "int_type"):
        return f"give {noun}{unit}, without quotes or unit{_range(item)}"
    return f"give {noun}{unit}{_range(item)}"


def _bare(annotation: Any) -> Any:
    """A type without what is annotated on it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _range(field: FieldInfo) -> str:
    bounds = list(_bounds(field))
    return f", {' and '.join(bounds)}" if bounds else ""


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        if isinstance(bound, Gt):
            yield f"greater than {bound.gt:.15g}"
        if isinstance(bound, Ge):
            yield f"at least {bound.ge:.15g}"
        if isinstance(bound, Le):
            yield f"at most {bound.le:.15g}"


def section_kind(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a section (that may be left out), or None for any other field."""
    parts = [part for part in get_args(field.annotation) if part is not type(None)]
    annotation: Any = parts[0] if len(parts) == 1 else field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _field(location: Location, model: type[BaseModel]) -> FieldInfo:
    """The declaration of the field at a location; positions inside a list are passed over."""
    field = model.model_fields[str(location[0])]
    section = section_kind(field)
    return section.model_fields[str(location[1])] if section is not None and len(location) > 1 else field


def _element(field: FieldInfo) -> FieldInfo | None:
    """The declaration of the elements of a tuple field, or None for a field that is not a tuple."""
    parts = _tuple_parts(field)
    return FieldInfo.from_annotation(parts[0]) if parts else None


def _length(field: FieldInfo) -> int:
    """How many elements a tuple field has; 0 where it may have any number, or is none."""
    parts = _tuple_parts(field)
    return 0 if Ellipsis in parts else len(parts)


def _tuple_parts(field: FieldInfo) -> tuple[Any, ...]:
    """The kinds of the elements of a tuple field, which may be one that can be left out; empty for any other."""
    choices = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    kinds = (_bare(choice) for choice in choices)
    return next((get_args(kind) for kind in kinds if get_origin(kind) is tuple), ())


def _unknown_key(location: Location, model: type[BaseModel]) -> str:
    sections = {name: section_kind(field) for name, field in model.model_fields.items()}
    *outer, key = (str(part) for part in location)
    owner = (sections[outer[0]] if outer else None) or model
    elsewhere = [
        name
        for name, section in sections.items()
        if section is not None and section is not owner and key in section.model_fields
    ]
    noun = "key" if outer else "section"
    nearest = difflib.get_close_matches(key.lower(), owner.model_fields, n=1, cutoff=0.8 if elsewhere else 0.5)
    if nearest:
        alternative = f", or {key} in [{elsewhere[0]}]" if elsewhere else ""
        return f"no such {noun}; did you mean {nearest[0]}{alternative}?"
    if elsewhere:
        return f"no such {noun} here; it belongs in [{elsewhere[0]}]"
    return f"no such {noun}; known are {', '.join(owner.model_fields)}"
