"""Calls into other programs: what they write to standard output goes to the log, what they raise becomes one line."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

from ldmd.errors import InputError

logger = logging.getLogger(__name__)

FOREIGN_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a parser raises where a file is not as it expects."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send standard output to the log: ours is for results, in JSON where that was asked for."""
    written = io.StringIO()
    try:
        with contextlib.redirect_stdout(written):
            yield
    finally:
        for line in written.getvalue().splitlines():
            if line.strip():
                logger.debug("%s", line)


@contextlib.contextmanager
def reading(field: str, value: object, failure: str) -> Iterator[None]:
    """A call that reads files of the user: quiet, and every error is an ``InputError`` of this field and value.

    ``failure`` says what went wrong and what to do; ``{reason}`` in it stands for the first line of the error.

    Raises
    ------
    InputError
        For every error, and where the other program lacks a package.
    """
    try:
        with quiet():
            yield
    except InputError:
        raise
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise InputError("installed packages", f"no {package}", f"install it: pip install {package}") from error
    except FOREIGN_ERRORS as error:
        lines = str(error).strip().splitlines()
        reason = (lines[0] if lines else type(error).__name__)[:200].rstrip(" ,.:")
        raise InputError(field, value, failure.replace("{reason}", reason)) from error
