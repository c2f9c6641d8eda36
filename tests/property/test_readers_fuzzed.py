"""A sample of ``python -m tests.fuzz``: mutated files are taken or refused in one line, within 5 s and 4 GB."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzz import worker
from fuzz.campaign import Worker, run
from fuzz.readers import READERS, Reader

from ldmd.errors import InputError

INPUTS = 200
INPUTS_WITH_A_PROGRAM = 3
"""Where a program is started for each."""


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    """One process for all readers, in a list because an input that ends it brings a new one."""
    found = [Worker(seed=0)]
    yield found
    found[0].close()


@pytest.mark.parametrize("name", list(READERS))
def test_mutated_files_are_taken_or_refused(name: str, workers: list[Worker], tmp_path: Path) -> None:
    count = INPUTS_WITH_A_PROGRAM if READERS[name].program else INPUTS
    tally, workers[0] = run(name, count, 300.0, 0, tmp_path, workers[0])
    assert tally.next == count == tally.accepted + tally.refused + tally.failed
    assert tally.signatures == {}, "\n".join(path.read_text() for path in tmp_path.glob("*/report.txt"))
    assert tally.accepted > 0 or READERS[name].program  # the files are sound before they are mutated


def test_a_run_goes_on_where_it_stopped(workers: list[Worker], tmp_path: Path) -> None:
    whole, workers[0] = run("shengbte-control", 100, 300.0, 0, None, workers[0])
    first, workers[0] = run("shengbte-control", 40, 300.0, 0, tmp_path, workers[0])
    second, workers[0] = run("shengbte-control", 100, 300.0, 0, tmp_path, workers[0])
    assert first.next == 40
    assert (second.next, second.accepted, second.refused) == (whole.next, whole.accepted, whole.refused)


def _endless(folder: Path) -> None:
    while True:
        pass


def _hungry(folder: Path) -> None:
    try:
        raise MemoryError
    except MemoryError as error:
        raise InputError("file", folder, "too large") from error


def _sloppy(folder: Path) -> None:
    (folder / "file").read_bytes().index(b"first")


@pytest.mark.parametrize(
    ("read", "signature"),
    [
        (_endless, "too slow in"),
        (_hungry, "out of memory in"),
        (_sloppy, "ValueError in"),
        (lambda folder: np.array([1.0, np.nan]), "AssertionError in"),
    ],
)
def test_what_is_neither_taken_nor_refused_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], signature: str
) -> None:
    monkeypatch.setattr(worker, "SECONDS", 0.3)
    before = signal.signal(signal.SIGPROF, worker._too_slow)
    try:
        reader = Reader("bad", lambda folder: (folder / "file").write_text("first line\n") and None, read)
        bench = worker.Bench(reader, tmp_path / "bench", seed=0)
        found = [bench.run(index) for index in range(20 if read is _sloppy else 1)]
    finally:
        signal.signal(signal.SIGPROF, before)
    failures = [failure for failure in found if isinstance(failure, worker.Failure)]
    assert failures and all(failure.signature.startswith(signature) for failure in failures)
    assert all(b"first" not in failure.data for failure in failures if read is _sloppy)
