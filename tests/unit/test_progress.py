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
        "molecular dynamics: 10 %",  # all of it may have been compiling
        "molecular dynamics: 20 %, 4 min 0 s left",  # 20 of 200 in the 30 s after that
    ]


def forecasts(caplog: pytest.LogCaptureFixture) -> list[float]:
    """Seconds that the lines of the log forecast, where they do."""
    units = {"h": 3600.0, "min": 60.0, "s": 1.0}
    found = []
    for message in caplog.messages:
        words = message.partition(", ")[2].removesuffix(" left").split()
        if words:
            found.append(sum(float(n) * units[unit] for n, unit in zip(words[::2], words[1::2], strict=True)))
    return found


@pytest.mark.parametrize("compiling", [0.0, 60.0, 600.0])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_compiling_is_not_forecast(
    clock: Clock, caplog: pytest.LogCaptureFixture, compiling: float, replicas: int
) -> None:
    caplog.set_level(logging.INFO, logger="ldmd")
    ends = []
    with replica_progress("molecular dynamics", 40, replicas) as report:
        clock.now += compiling
        for done in range(1, 41):
            clock.now += 9.0
            before = len(caplog.messages)
            for replica in range(replicas):
                clock.now += 0.1  # side by side: they report almost at once
                report(replica, done)
            if len(caplog.messages) > before and " left" in caplog.messages[-1]:
                ends.append(clock.now)
    rest = [clock.now - now for now in ends]
    assert len(rest) >= 5
    for forecast, true in zip(forecasts(caplog), rest, strict=True):
        assert abs(forecast - true) <= true / 3.0 + 1.0  # in steps: replicas report together


def test_a_slow_start_that_is_no_single_report_is_soon_forgotten(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Code that is compiled three times in the beginning, as where neighbours come in."""
    caplog.set_level(logging.INFO, logger="ldmd")
    with progress("molecular dynamics", 200) as advance:
        for step in range(200):
            clock.now += 41.0 if step in (0, 1, 3) else 1.0
            advance(1)
    assert "molecular dynamics: 1 %" in caplog.messages  # not "2 h 15 min left"
    assert forecasts(caplog)[:3] == [178.0, 158.0, 138.0]  # which is right


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
