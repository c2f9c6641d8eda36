"""What is measured and how: wall time, cores kept busy, peak memory, ratios of runs taken in turn, exponents."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

TEMPERATURES = (50.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 1000.0)
STATISTICS = ("bose-einstein", "classical")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a row may be asked."""

    repeats: int
    sizes: tuple[int, ...]
    """Atoms of the networks of silicon that show the growth."""
    ranks: tuple[int, ...]
    """Numbers of MPI ranks that LAMMPS is tried with."""
    cache: Path


@dataclasses.dataclass(frozen=True)
class Lines:
    """Lines of a table, as text, and notes below it."""

    rows: list[list[str]]
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class Span:
    """Wall time in s, and CPU time of all threads of this process over it: how many cores were busy."""

    seconds: float
    cores: float


@dataclasses.dataclass(frozen=True)
class InTurn:
    """Medians of a peer and ours in s, and the median of the ratios of neighbouring runs."""

    peer: Span
    ours: Span
    ratio: float


def timed(work: Callable[[], object]) -> Span:
    """One call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Span(wall, cpu / wall)


def median(spans: Sequence[Span]) -> Span:
    """Median of times and of cores."""
    return Span(statistics.median(s.seconds for s in spans), statistics.median(s.cores for s in spans))


def in_turn(peer: Callable[[], Span], ours: Callable[[], Span], repeats: int) -> InTurn:
    """Peer, ours, peer, ours, ...: a machine whose speed drifts does not decide the ratio."""
    pairs = [(peer(), ours()) for _ in range(repeats)]
    ratio = statistics.median(a.seconds / b.seconds for a, b in pairs)
    return InTurn(median([a for a, _ in pairs]), median([b for _, b in pairs]), ratio)


def peak_memory() -> float:
    """Largest resident memory of this process so far, GB.

    Linux hands ``ru_maxrss`` of a large parent down to its children; the high-water mark of /proc starts anew.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Slope of log(value) over log(size), by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def relative_differences(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """|found / expected - 1| where anything is expected or found; infinite where nothing was expected."""
    some = (expected != 0.0) | (found != 0.0)
    with np.errstate(divide="ignore"):
        return np.abs(found[some] / expected[some] - 1.0)


def digits(seconds: float) -> str:
    """Three digits, without an exponent."""
    return f"{seconds:.0f}" if seconds >= 99.5 else f"{seconds:#.3g}"
