"""Errors that a user can cause and mend: one line that names the field, the value and the fix."""

from __future__ import annotations

from pathlib import PurePath

LONGEST_LINE = 400
"""Characters of an error line, about: what follows is more than anybody reads, and a file may hold megabytes."""
LONGEST_VALUE = 80
"""Characters of a value in such a line; a path may be longer, for its end is what tells files apart."""
LONGEST_PATH = 200
SHORTEST_FIX = 120
"""Characters of the fix that are shown however long field and value are."""


class InputError(Exception):
    """The user's input is wrong. The command line prints it as one line and exits with code 2.

    The line holds printable characters only: what names and files bring along is escaped, and cut where it is long.

    Parameters
    ----------
    field
        What is wrong, as the user knows it: ``dynamics.length_ps``, ``structure.extxyz``, ...
    value
        The offending value, shown as given.
    fix
        What to do about it, as an imperative sentence.
    """

    def __init__(self, field: str, value: object, fix: str) -> None:
        self.field = field
        self.value = value
        self.fix = fix
        path = isinstance(value, PurePath)
        start = f"{cut(printable(str(field)), LONGEST_PATH)} = "
        start += cut(printable(str(value)), LONGEST_PATH if path else LONGEST_VALUE)
        super().__init__(f"{start}: {cut(printable(str(fix)), max(SHORTEST_FIX, LONGEST_LINE - len(start) - 2))}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        """Three arguments, so that the error survives the way home from a worker process."""
        return type(self), (self.field, self.value, self.fix)


class MissingProperty(InputError):
    """A calculator was asked for something that it does not compute; whoever can do without catches this."""


def printable(text: str, kept: str = "") -> str:
    r"""The same text with every character that is not printable escaped: ``\n``, ``\x1b``, ``\u202e``.

    What a terminal obeys, or what makes one line look like two, is then only shown. Characters in ``kept`` stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii") for c in text)


def cut(text: str, limit: int) -> str:
    """The same text, without its middle where it is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    end = (limit - 5) // 3
    return f"{text[: limit - 5 - end]} ... {text[len(text) - end :]}"
