"""The boundary around parsers of other programs: whatever they raise on a bad file becomes one line for the user.

A parser that was written for good files raises nearly anything on a bad one: ``IndexError`` for a missing column,
``ZeroDivisionError`` for a cell without volume, ``struct.error`` for a truncated header. Inside ``foreign_parser`` all
of that means one thing, that the file is not what it should be. Keep the block short, with nothing in it but the
call of the parser: a mistake in our own code must still be seen as one.
"""

from __future__ import annotations

import contextlib
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ldmd.errors import InputError

BAD_DATA: tuple[type[BaseException], ...] = (
    # A value, a key, an index or a type that the parser did not expect; UnicodeError and LinAlgError are ValueErrors.
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    NameError,  # a variable that is set only where an expected line was found
    AssertionError,
    SyntaxError,  # of ast.literal_eval and of XML
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
    ``Exception`` directly. An ``InputError`` from inside passes as it is.

    Raises
    ------
    InputError
        Where the block raises one of ``BAD_DATA`` or ``also``.
    """
    try:
        yield
    except InputError:
        raise
    except (*BAD_DATA, *also) as error:
        raise InputError(field, path, f"cannot be read ({reason_of(error)}); {fix}") from error


def reason_of(error: BaseException) -> str:
    """The first line of an error's words, shortened, or the name of its class where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    if isinstance(error, KeyError) and lines:
        reason = f"no entry {reason}"
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 3] + "..."
