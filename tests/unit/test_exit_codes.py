"""However a command ends, it ends with one line that a terminal cannot be fooled by, and with the right exit code."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ldmd import cli, commands

Ended = Callable[..., tuple[int, str, str]]

PROGRAM = """
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
from ldmd import cli, commands
{body}
sys.argv = ["ldmd", "why", "case"]
cli.main()
"""
"""The command line with another body of one command, in a process that answers signals as one from a terminal does."""


def process(body: str, **streams: object) -> subprocess.Popen[str]:
    """The program, started."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=body)], text=True, **given)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ended:
    """Runs ``ldmd why`` with another body: exit code, output and messages."""

    def run(body: Callable[..., list[str]]) -> tuple[int, str, str]:
        monkeypatch.setattr(commands, "explain_stages", body)
        monkeypatch.setattr(sys, "argv", ["ldmd", "why", "case"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, *capfd.readouterr()

    return run


SLEEPY = """
import time
def slow(*arguments):
    sys.stderr.write("ready\\n"); sys.stderr.flush()
    time.sleep(20)
commands.explain_stages = slow
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_a_signal_to_end_is_one_line_and_its_own_code(number: int, code: int) -> None:
    running = process(SLEEPY)
    assert running.stderr is not None and running.stderr.readline() == "ready\n"
    running.send_signal(number)
    _, messages = running.communicate(timeout=60)
    assert running.returncode == code
    assert messages == ("ldmd: stopped; finished stages and the checkpoints are kept, run the same command to go on\n")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    body = """
import os
signal.signal(signal.SIGHUP, signal.SIG_IGN)
commands.explain_stages = lambda *_: os.kill(os.getpid(), signal.SIGHUP) or ["done"]
"""
    out, messages = process(body).communicate(timeout=60)
    assert (out, messages) == ("done\n", "")


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE], ids=errno.errorcode.get
)
def test_what_the_machine_refuses_is_for_the_user_to_mend(ended: Ended, number: int) -> None:
    def refused(*_: object) -> list[str]:
        raise OSError(number, os.strerror(number), "some/file\x1b[2J")

    code, out, messages = ended(refused)
    assert (code, out) == (2, "")
    assert messages.startswith(rf"ldmd: file = some/file\x1b[2J: {os.strerror(number)}; make room")
    assert messages.count("\n") == 1


def test_too_little_memory_is_for_the_user_to_mend(ended: Ended) -> None:
    def greedy(*_: object) -> list[str]:
        return [str(np.zeros((2**20, 2**20, 2**10)))]

    code, _, messages = ended(greedy)
    assert code == 2
    assert messages.startswith("ldmd: memory = ") and messages.count("\n") == 1


def test_output_on_a_full_disk_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        running = process("commands.explain_stages = lambda *_: ['a line'] * 5", stdout=full)
        _, messages = running.communicate(timeout=60)
    assert running.returncode == 2
    assert (
        messages
        == "ldmd: file = output: No space left on device; make room or mend its permissions, what is finished is kept\n"
    )


def test_a_reader_that_wants_no_more_is_no_crash() -> None:
    read, write = os.pipe()
    os.close(read)
    running = process("commands.explain_stages = lambda *_: ['a line'] * 100000", stdout=write)
    os.close(write)
    _, messages = running.communicate(timeout=60)
    assert running.returncode not in (0, 2, 70)
    assert messages == ""


def test_names_cannot_command_the_terminal(ended: Ended) -> None:
    def hostile(*_: object) -> list[str]:
        logging.getLogger("ldmd.test").warning("potential %s", "\x1b]0;owned\x07\nldmd: all is well")
        return ["stage \x1b[31mred\x1b[0m \u202eliated", "second"]

    handlers, root = logging.getLogger().handlers[:], logging.getLogger()
    root.handlers.clear()  # pytest's own, so that the command line brings its own
    try:
        code, out, messages = ended(hostile)
    finally:
        root.handlers[:] = handlers
    assert code == 0
    assert out == "stage \\x1b[31mred\\x1b[0m \\u202eliated\nsecond\n"
    assert messages == "potential \\x1b]0;owned\\x07\\nldmd: all is well\n"


def test_a_defect_of_ours_is_one_short_printable_line(ended: Ended) -> None:
    def broken(*_: object) -> list[str]:
        raise RuntimeError("\x1b[2J" + "x" * 100_000)

    code, _, messages = ended(broken)
    assert code == 70
    assert messages[:-1].isprintable() and len(messages) < 600


def test_numbers_that_are_none_are_null(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = {"a": float("nan"), "b": [1.0, float("inf")], "c": np.array([np.nan, 2.0]), "d": np.float64("-inf")}
    monkeypatch.setattr(commands, "diagnose_case", lambda *_: (["a line"], numbers, True))
    monkeypatch.setattr(sys, "argv", ["ldmd", "diagnose", "case", "--json"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert json.loads(capfd.readouterr()[0]) == {"a": None, "b": [1.0, None], "c": [None, 2.0], "d": None}


def test_a_stopped_process_goes_on() -> None:
    running = process(
        "import time\ndef slow(*_):\n    time.sleep(1.0)\n    return ['done']\ncommands.explain_stages = slow"
    )
    time.sleep(0.7)
    running.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    running.send_signal(signal.SIGCONT)
    out, messages = running.communicate(timeout=60)
    assert (running.returncode, out, messages) == (0, "done\n", "")
