"""A case: a folder with ``case.toml``, a structure and the parameters of a potential, or of several.

Several potentials, a list of ``[[potential]]``, are so many cases in one folder: whatever is computed is computed for
one of them, whose settings and structure are those of the case.

Importing this module imports pydantic and nothing heavier.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ldmd.errors import InputError
from ldmd.explain import explain, section_kind, shown
from ldmd.settings import Settings
from ldmd.subject import IMPORTED, Material, Potential

CASE_FILE = "case.toml"
LARGEST_FILE = 2**17
"""Bytes of a ``case.toml``: one with every setting has some 10 000."""
LONGEST_LINE = 4000
"""Characters of a line in it. The memory that keys with dots take grows with the square of their number."""
FETCH = "fetch:"
"""In front of the name of a published parameter file."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A folder whose settings are sound and whose files exist, with one of its potentials."""

    folder: Path
    name: str
    settings: Settings
    structure: Path
    potential: str = ""
    """Name of the potential where the folder has several, else empty."""

    @property
    def on_command_line(self) -> str:
        """What names this case and its potential on a command line."""
        return f"{self.folder} --potential {self.potential}" if self.potential else str(self.folder)


def load_case(folder: Path, potential: str | None = None, structure_needed: bool = True) -> Case:
    """Read a case folder with one of its potentials, the first one if none is named.

    ``structure_needed`` is False for a command that makes the structure.

    Raises
    ------
    InputError
        Where the folder, ``case.toml`` or a file that it names is missing or outside the folder, a setting is wrong, or
        there is no potential of that name. The atoms themselves are looked at when the structure is read.
    """
    members = _members(folder)
    settings = _chosen(members, potential)
    _require_inside(folder, settings)
    structure = folder / settings.structure
    own = "potential" if settings.potential.structure else "material"
    brings_its_own = settings.potential.kind == IMPORTED
    needed = {f"{own}.structure": structure} if structure_needed and not brings_its_own else {}
    for field, file in settings.potential.files.items():
        if not file.startswith(FETCH):
            needed[f"potential.{field}"] = folder / file
    name = (settings.potential.name or "") if len(members) > 1 else ""
    case = Case(folder, folder.resolve().name, settings, structure, name)
    for field, path in needed.items():
        if not path.is_file():
            fix = "no such file; give a path relative to the case folder"
            make = f", or make it: ldmd relax {case.on_command_line} --volume"
            raise InputError(field, path, fix + make if field == "potential.structure" else fix)
    return case


def _require_inside(folder: Path, settings: Settings) -> None:
    """Refuse files that links lead out of the case folder to: a case from elsewhere must not reach what is not its own.

    The arguments of an ase calculator are not looked at: such a case is a program.
    """
    files = {"material.structure": settings.material.structure, "potential.structure": settings.potential.structure}
    files["crystal.born"] = settings.crystal.born if settings.crystal is not None else None
    named = {f"potential.{name}": file for name, file in settings.potential.files.items()}
    files |= {field: file for field, file in named.items() if not file.startswith(FETCH)}
    for field, file in files.items():
        if file is None:
            continue
        try:
            place, home = (folder / file).resolve(), folder.resolve()
        except (OSError, RuntimeError) as error:
            raise InputError(field, file, "is a link that leads nowhere; put the file itself there") from error
        if not place.is_relative_to(home):
            raise InputError(field, file, "is a link out of the case folder; put a copy of the file there")


def potentials_of(folder: Path) -> tuple[str, ...]:
    """Names of the potentials of a case that has several, in the order of its file; empty where it has one.

    Raises
    ------
    InputError
        As ``load_case``, but no file besides ``case.toml`` is asked for.
    """
    members = _members(folder)
    return tuple(str(member.potential.name) for member in members) if len(members) > 1 else ()


def settings_of(folder: Path, potential: str | None = None) -> Settings:
    """The settings of a case for one of its potentials; no file besides ``case.toml`` is asked for.

    Raises
    ------
    InputError
        As ``potentials_of``, and for an unknown potential.
    """
    return _chosen(_members(folder), potential)


def _members(folder: Path) -> tuple[Settings, ...]:
    if not folder.is_dir():
        raise InputError("case", folder, "no such folder; give one that holds a case.toml")
    return parse_members(_read(folder / CASE_FILE), str(folder / CASE_FILE))


def _chosen(members: tuple[Settings, ...], name: str | None) -> Settings:
    if name is None:
        return members[0]
    known = {member.potential.name: member for member in members}
    if name in known:
        return known[name]
    names = [label for label in known if label]
    if not names:
        raise InputError("--potential", name, "the case has one potential, without a name; leave it out")
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    raise InputError("--potential", name, f"no such potential in the case; {fix}")


def _read(path: Path) -> str:
    if not path.is_file():
        raise InputError("case", path, "no such file; a case folder holds one of this name")
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise InputError("case", path, f"more than {LARGEST_FILE} bytes are no settings; is this another file?")
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("case", path, f"not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise InputError("case", path, f"cannot be read ({error.strerror}); mend its permissions") from error


def parse_settings(text: str, source: str = CASE_FILE, potential: str | None = None) -> Settings:
    """Settings from the text of a ``case.toml``, for one of its potentials (the first one if none is named).

    Raises
    ------
    InputError
        As ``parse_members``, and for an unknown potential.
    """
    return _chosen(parse_members(text, source), potential)


def parse_members(text: str, source: str = CASE_FILE) -> tuple[Settings, ...]:
    """Settings for each potential of a ``case.toml``; ``source`` names the file in a syntax error.

    Raises
    ------
    InputError
        For the first thing that is wrong; the line says how many more there are.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LONGEST_LINE:
            fix = f"longer than {LONGEST_LINE} characters; write lists over several lines"
            raise InputError(source, f"line {number}", fix)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(error, text, source) from error
    except RecursionError as error:
        raise InputError(source, "lists in lists", "nested too deeply for settings; mend them") from error
    except ValueError as error:  # an integer of thousands of digits
        raise InputError(source, "a number", f"not TOML ({error}); mend it") from error
    potentials = table.get("potential")
    if not isinstance(potentials, list) or not potentials:
        return (_validated(table),)
    members = tuple(_validated({**table, "potential": item}, place) for place, item in enumerate(potentials))
    _require_names(members)
    return members


def _validated(table: dict[str, Any], place: int | None = None) -> Settings:
    """Sound settings; ``place`` is that of their potential in its list."""
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        found = explain(error, Settings)
        if place is None:
            raise found from error
        field = re.sub(r"^potential\b", f"potential[{place}]", str(found.field))
        raise InputError(field, found.value, found.fix) from error


def _require_names(members: tuple[Settings, ...]) -> None:
    """Refuse several potentials that are not told apart."""
    names = [member.potential.name for member in members]
    for place, name in enumerate(names if len(names) > 1 else ()):
        field = f"potential[{place}].name"
        if name is None:
            raise InputError(field, "missing", 'each of several potentials needs a name of its own, like "tersoff"')
        first = names.index(name)
        if first < place:
            raise InputError(field, shown(name), f"is the name of potential[{first}]; give each one its own")


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, source: str) -> InputError:
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    reason = str(error)[: where.start()] if where else str(error)
    line = where[1] if where and where[1] else str(text.count("\n") + 1)
    return InputError(source, f"line {line}", f"not TOML ({reason[:1].lower()}{reason[1:]}); mend that line")


def resolved(settings: Settings) -> dict[str, dict[str, Any]]:
    """All settings with their defaults filled in, as plain JSON types."""
    return {name: section for name, section in settings.model_dump(mode="json").items() if section is not None}


def to_toml(settings: Settings, comments: bool = True) -> str:
    """The text of a ``case.toml`` that reads back to exactly these settings."""
    return "\n".join(_lines(settings, comments)).lstrip("\n") + "\n"


def _lines(settings: Settings, comments: bool) -> Iterator[str]:
    for name, section in settings:
        kind = section_kind(Settings.model_fields[name])
        absent = section is None  # a section that may be left out is shown as a comment
        if kind is None or (absent and not comments):
            continue
        yield from ("", f"{'# ' if absent else ''}[{name}]{f'  # {kind.__doc__}' if comments else ''}")
        for key, field in kind.model_fields.items():
            value = field.default if absent else getattr(section, key)
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            if comments:
                text = f"{field.description} [{extra['unit']}]" if extra["unit"] else str(field.description)
                yield from textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")
            left_out = value is None or value == {}
            if absent and not left_out:
                yield f"# {key} = {shown(value, limit=0)}"
                continue
            yield f"# {key} = {extra['example']}" if left_out else f"{key} = {shown(value, limit=0)}"


def template(name: str, parameters: str = "potential.tersoff") -> str:
    """A commented ``case.toml`` with every default, for a material and a Tersoff parameter file."""
    material = Material(name=name)
    return to_toml(Settings(material=material, potential=Potential(kind="tersoff", parameters=parameters)))
