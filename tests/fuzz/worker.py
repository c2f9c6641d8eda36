"""A process that reads mutated files, within limits, and tells what became of each."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing.connection
import os
import resource
import signal
import tempfile
import traceback
import types
import warnings
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .mutations import mutated, plan
from .readers import READERS, Reader, require_finite

SECONDS = 5.0
"""Of the processor, for one input."""
MEMORY = 4_000_000_000
"""Bytes of address space."""
REPORT_EVERY = 50
"""Inputs."""


class TooSlow(BaseException):
    """An input took longer than ``SECONDS``."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """An input that was neither taken nor refused."""

    index: int
    signature: str
    file: str
    data: bytes
    report: str


@dataclasses.dataclass
class Caught:
    """Holds what a block raises, whatever that is."""

    error: BaseException | None = None

    def __enter__(self) -> Caught:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: types.TracebackType | None) -> bool:
        self.error = error
        return not isinstance(error, KeyboardInterrupt)


class Bench:
    """A reader with its sound files in a folder."""

    def __init__(self, reader: Reader, folder: Path, seed: int) -> None:
        self.reader, self.folder, self.seed = reader, folder, seed
        folder.mkdir()
        reader.write(folder)
        self.sound = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self.targets = reader.targets or tuple(self.sound)
        self.changed: str | None = None
        self.written = 0

    def planned(self, index: int) -> tuple[str, list[tuple[int, int]]]:
        """The file and the mutations of an input."""
        rng = np.random.default_rng([self.seed, zlib.crc32(self.reader.name.encode()), index])
        return self.targets[int(rng.integers(len(self.targets)))], plan(rng)

    def outcome(self, target: str, data: bytes) -> tuple[str, BaseException | None]:
        """``accepted``, ``refused``, or the signature of a failure and its error."""
        from ldmd.errors import InputError

        if self.changed not in (None, target):
            (self.folder / str(self.changed)).write_bytes(self.sound[str(self.changed)])
        self.changed = target
        (self.folder / target).write_bytes(data)
        # What is kept of a file while its time does not change must not be kept from one input to the next.
        self.written += 1
        os.utime(self.folder / target, ns=(self.written, self.written))
        caught = Caught()
        with caught:
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            require_finite(self.reader.read(self.folder))
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        error = caught.error
        if error is None:
            return "accepted", None
        if isinstance(error, InputError) and not _ran_out_of_memory(error):
            return "refused", None
        return _signature(error), error

    def run(self, index: int) -> Failure | str:
        """What becomes of one input; a failure with as few mutations as still bring it about."""
        target, steps = self.planned(index)
        found, error = self.outcome(target, mutated(self.sound[target], steps))
        if error is None:
            return found
        for step in list(steps):
            fewer = [other for other in steps if other is not step]
            again, other_error = self.outcome(target, mutated(self.sound[target], fewer)) if fewer else ("", None)
            if again == found and other_error is not None:
                steps, error = fewer, other_error
        report = "".join(traceback.format_exception(error))
        return Failure(index, found, target, mutated(self.sound[target], steps), report)


def serve(connection: multiprocessing.connection.Connection, progress: Any, seed: int) -> None:
    """Answer requests (reader, first, last, those to skip) until there is an empty one."""
    _limit()
    # In memory where that can be had: a disk takes milliseconds to cut a file off and write it anew.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        benches: dict[str, Bench] = {}
        connection.send("ready")
        while request := connection.recv():
            name, first, last, skipped = request
            if name not in benches:
                benches[name] = Bench(READERS[name], Path(folder) / name, seed)
            counts: Counter[str] = Counter()
            failures: list[Failure] = []
            for index in range(first, last):
                progress.value = index
                found = "skipped" if index in skipped else benches[name].run(index)
                if isinstance(found, Failure):
                    failures.append(found)
                    found = "failed"
                counts[found] += 1
                if (index + 1 - first) % REPORT_EVERY == 0 or index + 1 == last:
                    connection.send((index + 1, counts, failures))
                    counts, failures = Counter(), []


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_slow)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # numbers that overflow are not to be carried on


def _too_slow(number: int, frame: types.FrameType | None) -> None:
    raise TooSlow


def _ran_out_of_memory(error: BaseException | None) -> bool:
    """Whether a refusal stands for an allocation beyond the limit, which a machine without limit would have made."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__
    return False


def _signature(error: BaseException) -> str:
    """The class of an error, our own innermost line and the innermost line of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/ldmd/" in frame.filename] or frames
    where = [f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}" for frame in (ours[-1], frames[-1])]
    if isinstance(error, TooSlow):
        return f"too slow in {where[0].rpartition(':')[0]}"
    if _ran_out_of_memory(error):
        return f"out of memory in {where[0]}"
    return f"{type(error).__name__} in {' of '.join(dict.fromkeys(reversed(where)))}"
