"""Errors that a user can cause and mend: one line that names the field, the value and the fix."""

from __future__ import annotations


class InputError(Exception):
    """The user's input is wrong. The command line prints it as one line and exits with code 2.

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
        super().__init__(f"{field} = {value}: {fix}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        """Three arguments, so that the error survives the way home from a worker process."""
        return type(self), (self.field, self.value, self.fix)


class MissingProperty(InputError):
    """A calculator was asked for something that it does not compute; whoever can do without catches this."""
