"""Many evaluations of a black box: spread over an executor, each kept as soon as it is there, none done twice.

They are kept in a record (``ldmd.potentials.record``) by the SHA-256 of the potential and the atoms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.potentials.black_box import ForcePotential
from ldmd.potentials.record import FileRecord, Record
from ldmd.progress import Advance, progress
from ldmd.visible import seen_by_calculators

if TYPE_CHECKING:
    from ase import Atoms

logger = logging.getLogger(__name__)

Displacement = tuple[tuple[int, tuple[float, float, float]], ...]
"""Displaced atoms, each with its displacement in Angstrom; all others stay."""
Result = TypeVar("Result")

IN_FLIGHT_PER_CORE = 2
"""Evaluations handed to an executor but not done: enough that no worker waits."""


class SerialExecutor(Executor):
    """An executor that does everything at once and in this process."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run, and return what is done."""
        future: Future[Result] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """A black box with a record of what it has answered, and an executor for what it has not."""

    potential: ForcePotential
    record: Record
    executor: Executor
    in_flight: int
    """Tasks handed to the executor at a time."""
    batch: int = 1
    """Evaluations per task: more where handing over a task costs as much as an evaluation."""

    def forces(
        self, atoms: Atoms, displacements: Sequence[Displacement], description: str = "force evaluations"
    ) -> Forces:
        """Forces on the atoms in every displaced configuration; those on record are not evaluated again.

        Raises
        ------
        InputError
            Where the black box fails, naming the configuration; all that was evaluated is on record.
        """
        forces = Forces(self.record, _keys(self.potential, atoms, displacements))
        missing = [n for n, key in enumerate(forces.keys) if key not in self.record]
        missing = list({forces.keys[n]: n for n in missing}.values())
        if not missing:
            return forces
        if known := len(set(forces.keys)) - len(missing):
            logger.info("%s: %d of %d evaluations are on record", description, known, known + len(missing))
        tasks = [missing[start : start + self.batch] for start in range(0, len(missing), self.batch)]
        with progress(description, float(len(missing))) as advance:
            failure = self._run(atoms, displacements, tasks, forces.keys, advance)
        if failure is not None:
            kept = sum(key in self.record for key in set(forces.keys))
            fix = f"{failure.fix}; {kept} of {len(set(forces.keys))} evaluations are kept, the same command goes on"
            raise InputError(failure.field, failure.value, fix) from failure
        return forces

    def remembered(self, name: str, parts: object, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """An array computed once for the digest of ``parts``, then found on record."""
        key = bytes.fromhex(digest(name, self.potential.fingerprint(), parts))
        if key not in self.record:
            self.record[key] = compute()
        return self.record[key]

    def _run(
        self,
        atoms: Atoms,
        displacements: Sequence[Displacement],
        tasks: list[list[int]],
        keys: Sequence[bytes],
        advance: Advance,
    ) -> InputError | None:
        """Evaluate and keep; after the first failure nothing new is begun, and the failure is returned."""
        waiting, pending, failure = iter(tasks), dict[Future[Any], list[int]](), None
        while True:
            while failure is None and len(pending) < self.in_flight and (task := next(waiting, None)) is not None:
                job = self._submit(atoms, [displacements[n] for n in task])
                pending[job] = task
                if job.done():
                    break  # an executor that does everything at once: keep each answer before asking for the next
            if not pending:
                return failure
            for job in wait(pending, return_when=FIRST_COMPLETED).done:
                task = pending.pop(job)
                answers, refused = _answers(job)
                for number, forces in zip(task, answers, strict=False):
                    self.record[keys[number]] = forces
                advance(float(len(answers)))
                failure = failure or refused

    def _submit(self, atoms: Atoms, displacements: list[Displacement]) -> Future[Any]:
        """Hand over a task; one that cannot be handed over any more counts as failed."""
        started_here = isinstance(self.executor, ProcessPoolExecutor)
        try:
            with _uninterrupted() if started_here else contextlib.nullcontext():
                return self.executor.submit(evaluate, self.potential, atoms, displacements)
        except BrokenExecutor as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken


@dataclasses.dataclass(frozen=True)
class Forces:
    """Forces in a list of configurations, read from the record one at a time."""

    record: Record
    keys: Sequence[bytes]

    def __getitem__(self, number: int) -> np.ndarray:
        """Forces (N, 3) in eV/Angstrom in one configuration."""
        return self.record[self.keys[number]]

    def __len__(self) -> int:
        return len(self.keys)


@contextlib.contextmanager
def evaluations(
    potential: ForcePotential,
    path: Path | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    batch: int = 1,
) -> Iterator[Evaluations]:
    """Evaluations of a black box with a record in a file, or in memory only.

    Parameters
    ----------
    executor
        Runs the evaluations and is left open; whatever follows ``concurrent.futures`` will do. Without one, there are
        ``workers`` processes, started afresh (not forked), which end with this one; with one worker, this process.
    workers
        How many; as many as there are cores where not given. With an executor: how many it has.
    batch
        Evaluations per task.
    """
    count = workers or os.cpu_count() or 1
    with contextlib.ExitStack() as stack:
        record: Record = {} if path is None else stack.enter_context(contextlib.closing(FileRecord(path)))
        if executor is not None:
            yield Evaluations(potential, record, executor, IN_FLIGHT_PER_CORE * count, batch)
            return
        if count == 1:
            yield Evaluations(potential, record, SerialExecutor(), 1, batch)
            return
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _prepare_worker)
        try:
            yield Evaluations(potential, record, pool, IN_FLIGHT_PER_CORE * count, batch)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def evaluate(
    potential: ForcePotential, atoms: Atoms, displacements: Sequence[Displacement]
) -> tuple[list[np.ndarray], InputError | None]:
    """Forces in each configuration up to the first that fails, and that failure; what a worker does."""
    answers: list[np.ndarray] = []
    for displacement in displacements:
        try:
            answers.append(potential.forces(displaced(atoms, displacement)))
        except InputError as error:
            where = describe(atoms, displacement)
            return answers, InputError(error.field, error.value, f"{error.fix} {where}")
    return answers, None


def displaced(atoms: Atoms, displacement: Displacement) -> Atoms:
    """A copy with some atoms displaced."""
    moved = atoms.copy()
    for atom, vector in displacement:
        moved.positions[atom] += vector
    return moved


def describe(atoms: Atoms, displacement: Displacement) -> str:
    """A configuration in words."""
    moves = [f"{atoms.symbols[n]} {n} by ({x:g}, {y:g}, {z:g})" for n, (x, y, z) in displacement]
    return f"with atoms displaced: {', '.join(moves)} Angstrom" if moves else "with no atom displaced"


def _keys(potential: ForcePotential, atoms: Atoms, displacements: Sequence[Displacement]) -> list[bytes]:
    """SHA-256 of the potential and of everything about the atoms, for each configuration."""
    others = {name: array for name, array in atoms.arrays.items() if name not in ("positions", "numbers")}
    seen_by_calculators(atoms)  # refuses what has no digest
    parts = (potential.fingerprint(), atoms.numbers, atoms.cell.array, atoms.pbc, others, dict(atoms.info))
    start = hashlib.sha256(digest(*parts).encode())
    keys = []
    for displacement in displacements:
        positions = atoms.positions.copy()
        for atom, vector in displacement:
            positions[atom] += vector
        whole = start.copy()
        whole.update(np.ascontiguousarray(positions, dtype="<f8").tobytes())
        keys.append(whole.digest())
    return keys


def _answers(job: Future[Any]) -> tuple[list[np.ndarray], InputError | None]:
    """What a task gave; a worker that died is a failure of the black box."""
    try:
        return job.result()
    except BrokenExecutor as error:
        fix = "a worker process died in it, killed or crashed; is there enough memory?"
        return [], InputError("potential.calculator", type(error).__name__, fix)


def _prepare_worker() -> None:
    """Each worker ends with its parent and computes on one thread, as its neighbours need the other cores."""
    from threadpoolctl import threadpool_limits

    threading.Thread(target=_end_with_parent, daemon=True).start()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    threadpool_limits(1)


def _end_with_parent() -> None:
    """Wait for the death of the parent and die too: nobody would collect the result."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back: processes that start meanwhile leave it to their parent for good."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
