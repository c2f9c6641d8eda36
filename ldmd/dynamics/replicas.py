"""Independent replicas side by side, one process each: a cell of some hundred atoms keeps about one core busy."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from multiprocessing.synchronize import Event
from typing import Any

from ase import Atoms

from ldmd.checkpoint import Checkpoint
from ldmd.dynamics.replica import ReplicaSettings, run_replica
from ldmd.dynamics.trajectory import Trajectory
from ldmd.errors import InputError
from ldmd.potentials.base import SitePotential

Report = Callable[[int, float], None]
Finished = Callable[[int, Trajectory], None]

_worker: dict[str, Any] = {}
"""The pipes of this worker process, set once by its initialiser."""


class Stopped(Exception):
    """A worker saved its checkpoint and stopped because it was asked to."""


def run_replicas(
    atoms: Atoms,
    potential: SitePotential,
    settings: Sequence[ReplicaSettings],
    checkpoints: Sequence[Checkpoint],
    report: Report,
    finished: Finished,
) -> None:
    """Run replicas, at most one per core at a time; ``finished`` gets each trajectory as soon as it is there.

    ``report`` gets (replica, samples done). On an interrupt all workers save their checkpoints before this returns;
    if this process is killed, they end with it, and their latest checkpoints are there.

    Raises
    ------
    InputError
        Where a worker is killed or crashes; the latest checkpoints are there.
    """
    context = multiprocessing.get_context("spawn")
    messages, stop = context.Queue(), context.Event()
    workers = min(len(settings), os.cpu_count() or 1)
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (messages, stop))
    with _forwarding(messages, report), pool:
        try:
            with _uninterrupted():
                jobs: dict[Future[Trajectory], int] = {
                    pool.submit(_run_one, index, atoms, potential, *job): index
                    for index, job in enumerate(zip(settings, checkpoints, strict=True))
                }
            _collect(jobs, finished)
        except BrokenExecutor as error:
            fix = "a process of the dynamics was killed or crashed; is there enough memory? Its checkpoint is kept"
            raise InputError("dynamics.replicas", len(settings), fix) from error
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _collect(jobs: dict[Future[Trajectory], int], finished: Finished) -> None:
    pending = set(jobs)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for job in done:
            finished(jobs[job], job.result())


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back; processes started meanwhile hold it back for good and leave it to their parent.

    Ignoring it in ``_prepare_worker`` comes too late: a worker spends its first second on imports.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare_worker(messages: Any, stop: Event) -> None:
    """Each worker ends with its parent and computes on one thread, as its neighbours need the other cores.

    A signal to terminate ends one that is idle; one that runs a replica saves its checkpoint first.
    """
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    _worker.update(messages=messages, stop=stop, busy=False, terminated=False)


def _terminate(number: int, _: object) -> None:
    _worker["terminated"] = True
    if not _worker.get("busy"):
        os._exit(128 + number)


def _end_with_parent() -> None:
    """Wait for the death of the parent and die too: nobody would collect the result, or ask an idle worker to end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_one(
    index: int,
    atoms: Atoms,
    potential: SitePotential,
    settings: ReplicaSettings,
    checkpoint: Checkpoint,
) -> Trajectory:
    def report(done: int) -> None:
        _worker["messages"].put((index, done))
        if _worker["stop"].is_set() or _worker["terminated"]:
            raise Stopped

    _worker["busy"] = True
    try:
        return run_replica(atoms, potential, settings, checkpoint, report)
    finally:
        if _worker["terminated"]:
            os._exit(128 + signal.SIGTERM)
        _worker["busy"] = False


@contextlib.contextmanager
def _forwarding(messages: Any, report: Report) -> Iterator[None]:
    """A thread that hands the workers' messages to ``report``."""
    ended = threading.Event()

    def forward() -> None:
        while not ended.is_set():
            with contextlib.suppress(queue.Empty):
                report(*messages.get(timeout=0.2))

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
