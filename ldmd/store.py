"""Where results are kept: atomic writes, digests instead of names, and nothing damaged is trusted."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ldmd.digest import digest, summary
from ldmd.errors import InputError
from ldmd.netcdf import Result, UnreadableFile, from_bytes, to_bytes

__all__ = ["Store", "digest", "load", "load_or_none", "remove", "remove_orphans", "save", "write_atomically"]

logger = logging.getLogger(__name__)

ORPHAN = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]{1,10})\.tmp", re.DOTALL)
"""Names of files that are being written, or were when a process was killed."""
QUIET = 60.0
"""s without a change, after which the file of a process that is gone counts as left behind,"""
ABANDONED = 86400.0
"""and after which any does: numbers of processes are used again."""


def write_atomically(path: Path, data: bytes, field: str = "results") -> None:
    """Write a file so that it is either complete or as it was before, whatever happens in between.

    ``field`` is what an error calls it. A link of this name is replaced, not followed. What killed processes left of
    earlier attempts is removed.

    Raises
    ------
    InputError
        Where the disk is full, a quota is reached or the folder may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through a link that somebody laid there
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        fix = f"cannot be written ({error.strerror}); make room, earlier results are untouched"
        raise InputError(field, path, fix) from error
    finally:
        remove(temporary)
    remove_orphans(path.parent, path.name)


def remove_orphans(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left half-written in a folder: of a file of this name, or of any.

    Left alone is what a living process may still be writing: one of its number is there, or the file changed within
    the last minute (on a disk that several machines share, numbers of processes say nothing).
    """
    for path in folder.glob(".*.tmp"):
        found = ORPHAN.fullmatch(path.name)
        if found is None or (name is not None and found["name"] != name):
            continue
        try:
            age = time.time() - path.stat(follow_symlinks=False).st_mtime
        except OSError:
            continue
        if age > ABANDONED or (age > QUIET and not _lives(int(found["process"]))):
            remove(path)


def _lives(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut; some file systems cannot, and the file is there all the same."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file if it is there; a folder that went away took it along."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # where nothing can be written, this also for what is not there
        if os.path.lexists(path):
            logger.warning("%s is left over (%s)", path, error.strerror)


def save(result: object, path: Path, provenance: Mapping[str, Any]) -> None:
    """Save a result (a frozen dataclass) as one NetCDF file, atomically; see ``ldmd.netcdf`` for its form.

    Raises
    ------
    InputError
        Where it cannot be written; what was there before is still there.
    """
    write_atomically(path, to_bytes(result, dict(provenance)))


def load(kind: type[Result], path: Path) -> Result:
    """Load a result that was asked for by name.

    Raises
    ------
    InputError
        Where the file is missing, damaged, of another kind or of another version.
    """
    try:
        return from_bytes(kind, _contents(path))[0]
    except OSError as error:
        raise InputError("results", path, f"{error.strerror}; run the comparison first") from error
    except UnreadableFile as error:
        raise InputError("results", path, f"{error}; delete it and run again") from error


def load_or_none(kind: type[Result], path: Path, key: str | None = None) -> Result | None:
    """Load a result if there is a sound one, with the digest ``key`` if that is given.

    A damaged file, one of another version and one with another digest count as absent; the log says so.
    """
    try:
        result, provenance = from_bytes(kind, _contents(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("%s cannot be read (%s): computing it again", path, error.strerror)
        return None
    except UnreadableFile as error:
        logger.warning("%s %s: computing it again", path, error)
        return None
    if key is not None and provenance.get("digest") != key:
        logger.warning("%s belongs to another digest: computing it again", path)
        return None
    return result


def _contents(path: Path) -> bytes:
    """The bytes of a regular file; of a pipe of its name one could wait for ever."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return path.read_bytes()


@dataclasses.dataclass(frozen=True)
class Store:
    """The results of one case, kept by the digest of all that went into them.

    Beside the results of a stage lies ``manifest.json`` with the parts of the latest digest, so that one can
    tell which of them has changed since. Results with a ``label`` have a manifest of their own.
    """

    folder: Path
    label: str = ""

    def __post_init__(self) -> None:
        """Refuse links that lead out of the folder around this one: a case may come from anybody.

        Raises
        ------
        InputError
            Naming the link.
        """
        around = self.folder.parent.resolve()
        for path in (self.folder, *self.folder.glob("*")):
            if path.is_symlink() and not path.resolve().is_relative_to(around):
                fix = "is a link that leads out of the case folder; remove it (the whole case may be moved elsewhere)"
                raise InputError("results", path, fix)

    def path(self, stage: str, key: str) -> Path:
        """The file of a stage's result for a digest."""
        return self.folder / stage / f"{key[:16]}.nc"

    def get(self, kind: type[Result], stage: str, key: str) -> Result | None:
        """The result for this very digest, or None; a file merely named so is not trusted."""
        return load_or_none(kind, self.path(stage, key), key)

    def put(self, result: object, stage: str, parts: Mapping[str, object], provenance: Mapping[str, Any]) -> str:
        """Save the result of a stage under the digest of ``parts``, which is returned.

        ``parts`` names everything that the result depends on: settings, structure and potential (bytes), the
        digests of its inputs, the version of the stage.

        Raises
        ------
        InputError
            Where it cannot be written; earlier results are untouched.
        """
        key = digest(parts)
        save(result, self.path(stage, key), {**provenance, "stage": stage, "digest": key})
        manifest = {
            "stage": stage,
            "digest": key,
            "parts": {name: summary(part) for name, part in parts.items()},
        }
        text = json.dumps(manifest, indent=2, sort_keys=True, allow_nan=False) + "\n"
        write_atomically(self._manifest_path(stage), text.encode("utf-8"))
        remove_orphans(self.folder / stage)
        return key

    def tidy(self) -> None:
        """Remove what killed processes left half-written (``remove_orphans``)."""
        for folder in (self.folder, *self.folder.glob("*/")):
            remove_orphans(folder)

    def changed(self, stage: str, parts: Mapping[str, object]) -> tuple[str, ...] | None:
        """What differs from the parts of the stage's latest result; None if there is none.

        Settings inside a part are named by themselves: ``settings.lattice.width``.
        """
        try:
            before = _leaves(json.loads(self._manifest_path(stage).read_text(encoding="utf-8"))["parts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            logger.warning("%s cannot be read (%s)", self._manifest_path(stage), error)
            return None
        now = _leaves({name: summary(part) for name, part in parts.items()})
        return tuple(name for name in sorted({*before, *now}) if before.get(name) != now.get(name))

    def _manifest_path(self, stage: str) -> Path:
        return self.folder / stage / (f"manifest-{self.label}.json" if self.label else "manifest.json")


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A tree of mappings as dotted names with JSON; a digest counts as a leaf."""
    leaves: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value and not any(key.startswith("$") for key in value):
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = json.dumps(value, sort_keys=True)
    return leaves
