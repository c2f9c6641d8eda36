"""Ctrl-C and kill -9, with real signals: the same command again gives the same numbers, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_case import CTRL_C, replace_in, start, write_case

from ldmd.dynamics.trajectory import Trajectory
from ldmd.errors import InputError
from ldmd.store import load


def same(one: Trajectory, other: Trajectory) -> None:
    """Every field of two trajectories, to the last bit."""
    for field in dataclasses.fields(Trajectory):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is true of a process that must still be running then."""
    deadline = time.monotonic() + 400
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stamps(folder: Path) -> set[tuple[str, int]]:
    """The checkpoints of a case, each with the time of its last change."""
    paths = (folder / ".ldmd" / "dynamics").glob("*.checkpoint.npz")
    return {(path.name, path.stat().st_mtime_ns) for path in paths}


def stop(case: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start a comparison and send its process group a signal as soon as it has written a checkpoint."""
    before = stamps(case)
    process = start("compare", "glass", folder=case.parent)
    wait_for(lambda: bool(stamps(case) - before), process)
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=120)  # comes back only when the workers, too, have closed their ends
    assert stamps(case), "the dynamics ended before the signal came"
    assert not list((case / ".ldmd" / "dynamics").glob("*.nc"))
    return subprocess.CompletedProcess([], process.returncode, out, err)


def lose_a_worker(case: Path) -> subprocess.CompletedProcess[str]:
    """Start a comparison and kill the process of its dynamics, as a machine does that runs out of memory."""
    before = stamps(case)
    process = start("compare", "glass", folder=case.parent)
    wait_for(lambda: bool(stamps(case) - before), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (worker,) = [int(n) for n in children if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert stamps(case), "the dynamics ended before the signal came"
    return subprocess.CompletedProcess([], process.returncode, out, err)


def finish(folder: Path) -> tuple[Trajectory, dict[str, object]]:
    """Run the comparison to its end: the trajectory, and the numbers of the summary."""
    process = start("compare", "glass", folder=folder)
    _, err = process.communicate(timeout=500)
    assert process.returncode in (0, 1, 3), err
    (path,) = (folder / "glass" / ".ldmd" / "dynamics").glob("*.nc")
    assert not stamps(folder / "glass")
    summary = json.loads((folder / "reports" / "glass" / "summary.json").read_text())
    del summary["provenance"]
    return load(Trajectory, path), summary


STOPPED = "ldmd: stopped; finished stages and the checkpoints are kept, run the same command to go on\n"


def test_an_interrupt_while_compiling_is_no_crash(tmp_path: Path) -> None:
    case = write_case(tmp_path / "glass")
    process = start("compare", "glass", folder=tmp_path)
    wait_for(lambda: bool(list((case / ".ldmd").glob("modes/*.nc"))), process)
    time.sleep(0.5)  # into the compilation of the third order, which takes some seconds
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, STOPPED)


def test_an_interrupt_that_python_would_drop_is_not_lost() -> None:
    program = """
import sys, time
from ldmd import cli, commands

class Unlucky:
    def __del__(self):
        raise KeyboardInterrupt

def slow(*arguments):
    Unlucky()
    time.sleep(50)

commands.explain_stages = slow
sys.argv = ["ldmd", "why", "glass"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", CTRL_C + program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, STOPPED)


@pytest.mark.slow
def test_a_killed_and_interrupted_comparison_gives_the_same_numbers(tmp_path: Path) -> None:
    undisturbed_case = write_case(tmp_path / "glass")
    replace_in(undisturbed_case / "case.toml", "length_ps = 4", "length_ps = 60")
    replace_in(undisturbed_case / "case.toml", "equilibration_ps = 0.5", "equilibration_ps = 0")
    expected, expected_summary = finish(tmp_path)

    case = tmp_path / "again" / "glass"
    shutil.copytree(undisturbed_case, case, ignore=shutil.ignore_patterns("dynamics", "green-kubo", "anharmonicity"))
    killed = stop(case, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    interrupted = stop(case, signal.SIGINT)
    assert interrupted.returncode == 130
    assert interrupted.stderr == STOPPED
    terminated = stop(case, signal.SIGTERM)
    assert (terminated.returncode, terminated.stderr) == (143, STOPPED)
    alone = lose_a_worker(case)
    assert alone.returncode == 2
    assert alone.stderr.startswith("ldmd: dynamics.replicas = 1: a process of the dynamics was killed or crashed")
    assert alone.stderr.count("\n") == 1
    assert not (tmp_path / "again" / "reports").exists()

    trajectory, summary = finish(tmp_path / "again")
    same(trajectory, expected)
    assert summary == expected_summary


def test_workers_end_with_their_parent() -> None:
    # One worker is busy, one waits for work that nobody will give it.
    program = """
import multiprocessing, os, signal, time
from concurrent.futures import ProcessPoolExecutor
from ldmd.dynamics.replicas import _prepare_worker

context = multiprocessing.get_context("spawn")
pool = ProcessPoolExecutor(2, context, _prepare_worker, (context.Queue(), context.Event()))
jobs = [pool.submit(time.sleep, seconds) for seconds in (1, 600)]
jobs[0].result()
assert len(multiprocessing.active_children()) == 2 and not jobs[1].done()
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "ready\n")


def test_a_refusal_survives_the_way_home_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(InputError("results", Path("a/b"), "cannot be written; make room")))
    assert str(error) == "results = a/b: cannot be written; make room"
    assert (error.field, error.value, error.fix) == ("results", Path("a/b"), "cannot be written; make room")
