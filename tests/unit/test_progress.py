"""Progress is a bar on a terminal and a few lines elsewhere; it never changes what is computed."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from ldmd import progress as module
from ldmd.progress import duration, progress, replica_progress


class Clock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the module looks at."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_log_gets_a_line_for_each_tenth(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ldmd")
    with progress("molecular dynamics", 200) as advance:
        for _ in range(200):
            clock.now += 2.0
            advance(1)
    assert caplog.messages[:2] == [
        "molecular dynamics: 10 %, 6 min 0 s left",
        "molecular dynamics: 20 %, 5 min 20 s left",
    ]
    assert caplog.messages[-1] == "molecular dynamics: done in 6 min 40 s"
    assert len(caplog.messages) == 10


def test_fast_work_gets_one_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ldmd")
    with progress("modes", 10) as advance:
        for _ in range(10):
            clock.now += 0.5
            advance(1)
    assert caplog.messages == ["modes: done in 5 s"]


def test_slow_work_shows_that_it_lives(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ldmd")
    with progress("modes", 1e6) as advance:
        advance(0)
        for _ in range(60):
            clock.now += 2.0
            advance(1)
    assert len(caplog.messages) == 3


def test_replicas_count_together_and_nothing_counts_twice(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ldmd")
    with replica_progress("molecular dynamics", 100, 2) as report:
        for replica, done in ((0, 20), (1, 10), (0, 15), (0, 30)):
            clock.now += 10.0
            report(replica, done)
    assert caplog.messages[:-1] == [
        "molecular dynamics: 10 %, 1 min 30 s left",
        "molecular dynamics: 20 %, 2 min 40 s left",
    ]


def test_failing_work_is_not_called_done(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ldmd")
    with pytest.raises(ZeroDivisionError), progress("modes", 10):
        raise ZeroDivisionError
    assert not caplog.messages


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    caplog.set_level(logging.INFO, logger="ldmd")
    with progress("modes", 10) as advance:
        advance(5)
    assert "modes" in terminal.getvalue()
    assert "50%" in terminal.getvalue()
    assert not caplog.messages


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
