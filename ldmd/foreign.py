"""The boundary around parsers of other programs: whatever they raise on a bad file becomes one line for the user.

A parser that was written for good files raises nearly anything on a bad one: ``IndexError`` for a missing column,
``ZeroDivisionError`` for a cell without volume, ``struct.error`` for a truncated header. Inside ``foreign_parser`` all
of that means one thing, that the file is not what it should be. Keep the block short, with nothing in it but the
call of the parser: a mistake in our own code must still be seen as one.
"""

from __future__ import annotations

import contextlib
import io
import logging
import lzma
import pickle
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldmd.errors import InputError

logger = logging.getLogger(__name__)

BAD_DATA: tuple[type[BaseException], ...] = (
    # A value, a key, an index or a type that the parser did not expect; UnicodeError and LinAlgError are ValueErrors.
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NameError,  # a variable that is set only where an expected line was found
    AssertionError,
    SyntaxError,  # of ast.literal_eval and of XML
    tokenize.TokenError,
    StopIteration,
    # Numbers beyond reason.
    ArithmeticError,
    MemoryError,
    # Files that end too early, or that are no such archive.
    OSError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    pickle.PickleError,
    # RecursionError of nested brackets and NotImplementedError are RuntimeErrors; h5py raises plain ones.
    RuntimeError,
    # A format that needs a package that is not installed.
    ImportError,
    # A parser has no business ending the program.
    SystemExit,
)
"""What parsers are known to raise on bad data. ``KeyboardInterrupt`` and ``GeneratorExit`` are never among them."""
LONGEST_REASON = 160
"""Characters of the parser's own words that are repeated."""


@contextlib.contextmanager
def foreign_parser(
    field: str, path: Path | str, fix: str, also: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Turn what a parser raises into one ``InputError`` that names the file and the parser's reason.

    ``field`` and ``fix`` are those of ``InputError``; ``also`` are classes of the parser's own that derive from
    ``Exception`` directly. An ``InputError`` from inside passes as it is. What the parser prints goes to the log.
    NumPy does not warn of numbers that overflow in the block: they become infinite or NaN, which the caller has to
    look for.

    Raises
    ------
    InputError
        Where the block raises one of ``BAD_DATA`` or ``also``.
    """
    with reading(field, path, f"cannot be read ({{reason}}); {fix}", also):
        yield


@contextlib.contextmanager
def reading(field: str, value: object, failure: str, also: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """``foreign_parser`` with words of its own: ``{reason}`` in ``failure`` stands for the first line of the error.

    Raises
    ------
    InputError
        Where the block raises one of ``BAD_DATA`` or ``also``.
    """
    try:
        with np.errstate(all="ignore"), quiet():
            yield
    except InputError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or str(error)).partition(".")[0]
        fix = failure.replace("{reason}", f"needs the package {package}: pip install {package}")
        raise InputError(field, value, fix) from error
    except (*BAD_DATA, *also) as error:
        raise InputError(field, value, failure.replace("{reason}", reason_of(error))) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what a program prints to the log: standard output is for results, in JSON where that was asked for."""
    written = io.StringIO()
    try:
        with contextlib.redirect_stdout(written):
            yield
    finally:
        for line in written.getvalue().splitlines():
            if line.strip():
                logger.debug("%s", line)


def reason_of(error: BaseException) -> str:
    """The first line of an error's words, shortened, or the name of its class where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    if isinstance(error, KeyError) and lines:
        reason = f"no entry {reason}"
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 3] + "..."
