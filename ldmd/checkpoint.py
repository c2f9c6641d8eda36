"""Arrays of unfinished work, kept in one file that is either complete or as it was before."""

from __future__ import annotations

import dataclasses
import io
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldmd.seal import sealed, unsealed
from ldmd.store import remove, write_atomically

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Checkpoint:
    """Where unfinished work is kept, whose it is, and how often it is written."""

    path: Path
    key: str
    """Digest of everything the work depends on; a file with another one is not this work's."""
    seconds: float = 60.0
    """Wall time between two of them: the work that a kill can cost."""
    written: float = dataclasses.field(default_factory=time.monotonic)
    """When the last one was, or the work began."""

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() - self.written > self.seconds

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the arrays, in place of any earlier ones.

        Raises
        ------
        InputError
            Where the disk is full or the folder may not be written; what was there before is still there.
        """
        buffer = io.BytesIO()
        contents: dict[str, Any] = {"key": np.array(self.key), **arrays}
        np.savez(buffer, **contents)
        write_atomically(self.path, sealed(buffer.getvalue()))
        self.written = time.monotonic()

    def load(self) -> dict[str, np.ndarray] | None:
        """The arrays of this very work; None if there are none, or they are damaged or another work's."""
        try:
            data = self.path.read_bytes() if self.path.is_file() else None
        except OSError as error:
            logger.warning("%s cannot be read (%s): starting from the beginning", self.path, error.strerror)
            return None
        if data is None:
            return None
        contents = unsealed(data)
        if contents is None:
            logger.warning("%s is truncated or damaged: starting from the beginning", self.path)
            return None
        with np.load(io.BytesIO(contents), allow_pickle=False) as file:
            arrays = dict(file)
        return arrays if str(arrays.pop("key", None)) == self.key else None

    def remove(self) -> None:
        """The work is done and kept elsewhere."""
        remove(self.path)
