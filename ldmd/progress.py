"""How far long work has come: a bar on a terminal, now and then a line in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

Advance = Callable[[float], None]
Report = Callable[[int, float], None]

SHARE = 0.1
"""A line in the log for each tenth of the work,"""
PAUSE = 10.0
"""but none sooner than this many seconds after the last,"""
SILENCE = 60.0
"""and one at the latest after this many, so that slow work does not look dead."""
FORESEEN = 0.05
"""Share of the work that must be done before the time left is foretold."""


@contextmanager
def progress(description: str, total: float) -> Iterator[Advance]:
    """Show how far a piece of work has come; yields ``advance(amount)``, which any thread may call.

    On a terminal a bar with the time left, which vanishes when the work is done; elsewhere lines through
    ``logging``, at most ten of them unless the work is slow.
    """
    with _terminal(description, total) if sys.stderr.isatty() else _log(description, total) as advance:
        yield advance


@contextmanager
def replica_progress(description: str, total: float, replicas: int) -> Iterator[Report]:
    """One bar for replicas side by side; yields ``report(replica, done)``, ``done`` counted from its start.

    ``total`` is what each of them does. A replica may report less than before, as after going back to a
    checkpoint: only what is new counts.
    """
    done = [0.0] * replicas
    with progress(description, total * replicas) as advance:

        def report(replica: int, amount: float) -> None:
            if amount > done[replica]:
                advance(amount - done[replica])
                done[replica] = amount

        yield report


@contextmanager
def _terminal(description: str, total: float) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total)
        yield lambda amount: bars.advance(task, amount)


@contextmanager
def _log(description: str, total: float) -> Iterator[Advance]:
    lines = _Lines(description, total)
    yield lines.advance
    lines.finish()


class _Lines:
    """Progress as lines in the log.

    The time left follows from the second half of what is done so far: the first of it takes longer, for that is where
    code is compiled.
    """

    def __init__(self, description: str, total: float) -> None:
        self._description, self._total = description, total
        self._started = self._spoken = time.monotonic()
        self._done = self._said = 0.0
        self._course: deque[tuple[float, float]] = deque()
        """When how much was done, from half of what is done now on."""
        self._lock = threading.Lock()

    def advance(self, amount: float) -> None:
        """Count ``amount`` and say so if it is time."""
        with self._lock:
            self._done += amount
            self._course.append((time.monotonic(), self._done))
            while len(self._course) > 1 and self._course[1][1] <= 0.5 * self._done:
                self._course.popleft()
            if 0.0 < self._done < self._total and self._is_time():
                self._speak()

    def _is_time(self) -> bool:
        quiet, news = time.monotonic() - self._spoken, (self._done - self._said) / self._total
        return quiet >= PAUSE and (news >= SHARE or quiet >= SILENCE)

    def _speak(self) -> None:
        share, now, left = 100.0 * self._done / self._total, time.monotonic(), self._left()
        logger.info("%s: %.0f %%%s", self._description, share, "" if left is None else f", {duration(left)} left")
        self._spoken, self._said = now, self._done

    def _left(self) -> float | None:
        """s; None where too little was done for a forecast."""
        since, before = self._course[0]
        seconds = time.monotonic() - since
        if self._done <= before or self._done < FORESEEN * self._total or seconds < PAUSE:
            return None
        return seconds * (self._total - self._done) / (self._done - before)

    def finish(self) -> None:
        """The closing line."""
        logger.info("%s: done in %s", self._description, duration(time.monotonic() - self._started))


def duration(seconds: float) -> str:
    """A time as people say it: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
