"""A case: a folder with ``case.toml``, a structure and the parameters of a potential.

Importing this module imports pydantic and nothing heavier.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ldmd.errors import InputError
from ldmd.explain import explain, shown
from ldmd.settings import Material, Potential, Settings

CASE_FILE = "case.toml"
FETCH = "fetch:"
"""In front of the name of a published parameter file."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A folder whose settings are sound and whose files exist."""

    folder: Path
    name: str
    settings: Settings
    structure: Path


def load_case(folder: Path, structure_needed: bool = True) -> Case:
    """Read a case folder; ``structure_needed`` is False for a command that makes the structure.

    Raises
    ------
    InputError
        Where the folder, ``case.toml`` or a file that it names is missing, or a setting is wrong. The atoms
        themselves are looked at when the structure is read.
    """
    if not folder.is_dir():
        raise InputError("case", folder, "no such folder; give one that holds a case.toml")
    settings = parse_settings(_read(folder / CASE_FILE), str(folder / CASE_FILE))
    structure = folder / settings.material.structure
    needed = {"material.structure": structure} if structure_needed else {}
    parameters = settings.potential.parameters
    if parameters is not None and not parameters.startswith(FETCH):
        needed["potential.parameters"] = folder / parameters
    for field, path in needed.items():
        if not path.is_file():
            raise InputError(field, path, "no such file; give a path relative to the case folder")
    return Case(folder, folder.resolve().name, settings, structure)


def _read(path: Path) -> str:
    if not path.is_file():
        raise InputError("case", path, "no such file; a case folder holds one of this name")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("case", path, f"not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise InputError("case", path, f"cannot be read ({error.strerror}); mend its permissions") from error


def parse_settings(text: str, source: str = CASE_FILE) -> Settings:
    """Settings from the text of a ``case.toml``; ``source`` names the file in a syntax error.

    Raises
    ------
    InputError
        For the first thing that is wrong; the line says how many more there are.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, source) from error
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise explain(error, Settings) from error


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, source: str) -> InputError:
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    reason = str(error)[: where.start()] if where else str(error)
    line = where[1] if where and where[1] else str(text.count("\n") + 1)
    return InputError(source, f"line {line}", f"not TOML ({reason[:1].lower()}{reason[1:]}); mend that line")


def resolved(settings: Settings) -> dict[str, dict[str, Any]]:
    """All settings with their defaults filled in, as plain JSON types."""
    return settings.model_dump(mode="json")


def to_toml(settings: Settings, comments: bool = True) -> str:
    """The text of a ``case.toml`` that reads back to exactly these settings."""
    return "\n".join(_lines(settings, comments)).lstrip("\n") + "\n"


def _lines(settings: Settings, comments: bool) -> Iterator[str]:
    for name, section in settings:
        yield from ("", f"[{name}]  # {type(section).__doc__}" if comments else f"[{name}]")
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            if comments:
                text = f"{field.description} [{extra['unit']}]" if extra["unit"] else str(field.description)
                yield from textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")
            left_out = value is None or value == {}
            yield f"# {key} = {extra['example']}" if left_out else f"{key} = {shown(value, limit=0)}"


def template(name: str, parameters: str = "potential.tersoff") -> str:
    """A commented ``case.toml`` with every default, for a material and a Tersoff parameter file."""
    material = Material(name=name)
    return to_toml(Settings(material=material, potential=Potential(kind="tersoff", parameters=parameters)))
