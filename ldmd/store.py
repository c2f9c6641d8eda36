"""Where results are kept: atomic writes, digests instead of names, and nothing damaged is trusted."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ldmd.digest import digest, summary
from ldmd.errors import InputError
from ldmd.netcdf import Result, UnreadableFile, from_bytes, to_bytes

__all__ = ["Store", "digest", "load", "load_or_none", "save", "write_atomically"]

logger = logging.getLogger(__name__)


def write_atomically(path: Path, data: bytes, field: str = "results") -> None:
    """Write a file so that it is either complete or as it was before, whatever happens in between.

    ``field`` is what an error calls it.

    Raises
    ------
    InputError
        Where the disk is full, a quota is reached or the folder may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        fix = f"cannot be written ({error.strerror}); make room, earlier results are untouched"
        raise InputError(field, path, fix) from error
    finally:
        _remove(temporary)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file if it is there; a folder that went away took it along."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
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
        return from_bytes(kind, path.read_bytes())[0]
    except OSError as error:
        raise InputError("results", path, f"{error.strerror}; run the comparison first") from error
    except UnreadableFile as error:
        raise InputError("results", path, f"{error}; delete it and run again") from error


def load_or_none(kind: type[Result], path: Path, key: str | None = None) -> Result | None:
    """Load a result if there is a sound one, with the digest ``key`` if that is given.

    A damaged file, one of another version and one with another digest count as absent; the log says so.
    """
    try:
        result, provenance = from_bytes(kind, path.read_bytes())
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


@dataclasses.dataclass(frozen=True)
class Store:
    """The results of one case, kept by the digest of all that went into them.

    Beside the results of a stage lies ``manifest.json`` with the parts of the latest digest, so that one can
    tell which of them has changed since. Results with a ``label`` have a manifest of their own.
    """

    folder: Path
    label: str = ""

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
        return key

    def changed(self, stage: str, parts: Mapping[str, object]) -> tuple[str, ...] | None:
        """What differs from the parts of the stage's latest result; None if there is none.

        Settings inside a part are named by themselves: ``settings.lattice.width``.
        """
        try:
            before = _leaves(json.loads(self._manifest_path(stage).read_text(encoding="utf-8"))["parts"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as error:
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
