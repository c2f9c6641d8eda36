"""Compiled code that is kept in a folder: sealed, written at once or not at all, and never a reason to stop.

JAX's own folder trusts what it reads: damaged code ends in a warning at every start, in a crash or in wrong numbers,
and a full disk in a warning for every function. Here an entry has its SHA-256 behind it; a damaged one is removed and
compiled anew; and the first reading or writing that fails is told in one line, after which this process and those it
starts go on without the folder.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any

from ldmd.caches import LARGEST, OURS
from ldmd.seal import sealed, unsealed

logger = logging.getLogger(__name__)

SUFFIX = ".compiled"
LEFT = 3600.0
"""s, after which an unfinished file is one that a killed process left."""


class Compiled:
    """A folder of compiled code by name, in the form that JAX asks for; what was not used for longest goes first."""

    def __init__(self, folder: Path, largest: int = LARGEST) -> None:
        self._path = folder
        """The folder; the name is JAX's."""
        self._largest = largest
        self._failed = False

    def get(self, key: str) -> bytes | None:
        """The code of a name; None where there is no sound one."""
        path = self._path / f"{key}{SUFFIX}"
        if self._failed:
            return None
        try:
            data = path.read_bytes()
            code = unsealed(data)
            if code is None:
                logger.info("%s is damaged: compiling it anew", path)
                path.unlink(missing_ok=True)
                return None
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(error)
            return None
        with contextlib.suppress(OSError):  # a folder that may only be read is of use, too
            os.utime(path)
        return code

    def put(self, key: str, value: bytes) -> None:
        """Keep the code of a name, and remove what there is no room for any more."""
        if self._failed or len(value) > self._largest:
            return
        path = self._path / f"{key}{SUFFIX}"
        temporary = self._path / f".{key[-40:]}.{os.getpid()}.tmp"
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._make_room(len(value))
            try:
                temporary.write_bytes(sealed(value))
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            self._give_up(error)

    def _make_room(self, size: int) -> None:
        """Remove the oldest files, those of earlier versions included, until ``size`` more bytes fit."""
        files = []
        for path in self._path.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process makes room as well
                state = path.stat(follow_symlinks=False)
                if path.suffix == ".tmp" and time.time() - state.st_mtime > LEFT:
                    path.unlink(missing_ok=True)
                elif path.is_file():
                    files.append((state.st_mtime, state.st_size, path))
        total = sum(length for _, length, _ in files) + size
        for _, length, path in sorted(files):
            if total <= self._largest:
                return
            path.unlink(missing_ok=True)
            total -= length

    def _give_up(self, error: OSError) -> None:
        """Say once why nothing is kept; processes that are started later do not try."""
        self._failed = True
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        text = "compiled code is not kept in %s (%s): everything is compiled anew, LDMD_CACHE names another folder"
        logger.warning(text, self._path, error.strerror)


def use_ours() -> None:
    """Let JAX ask ``Compiled`` for the folder that ``ldmd.caches.keep_compiled`` chose; any other is JAX's matter."""
    try:
        from jax._src import compilation_cache as jax_cache
    except ImportError:
        return
    theirs = getattr(jax_cache, "get_file_cache", None)
    if theirs is None or getattr(theirs, "__module__", "") == __name__:
        return

    def chosen(path: str) -> Any:
        return (Compiled(Path(path)), path) if path == os.environ.get(OURS) else theirs(path)

    jax_cache.get_file_cache = chosen
