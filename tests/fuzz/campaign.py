"""Many inputs for each reader, what became of them, and every new way to fail kept with the file that does it."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

from .readers import READERS
from .worker import Failure, serve

BATCH = 1000
WALL_SECONDS = 180.0
"""Without progress, after which a worker is ended: a library that never returns takes no signals. It is much more than
the seconds of the processor that an input may take, for the machine may be busy."""


@dataclasses.dataclass
class Tally:
    """What became of the inputs of one reader so far."""

    next: int = 0
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    signatures: dict[str, int] = dataclasses.field(default_factory=dict)
    """How often each way to fail was found."""
    killers: list[int] = dataclasses.field(default_factory=list)
    """Inputs that ended the worker, or on which it had to be ended."""

    def line(self, name: str) -> str:
        """For the reader of the terminal."""
        rate = self.next / self.seconds if self.seconds else 0.0
        return (
            f"{name:24s} {self.next:8d} inputs: {self.accepted} taken, {self.refused} refused, "
            f"{self.failed} failed in {len(self.signatures)} ways; {rate:.0f}/s"
        )


class Worker:
    """The process that reads; started anew where an input ends it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.progress = context.Value("q", -1)
        self.process = context.Process(target=serve, args=(theirs, self.progress, seed), daemon=True)
        self.process.start()
        theirs.close()
        self.connection.recv()  # all is imported

    def answer(self) -> tuple[int, dict[str, int], list[Failure]] | str:
        """The next report; or how the worker ended."""
        last, since = self.progress.value, time.monotonic()
        while True:
            try:
                if self.connection.poll(0.5):
                    return self.connection.recv()
            except EOFError:
                self.process.join()
                return f"the process ended with {self.process.exitcode}"
            if self.progress.value != last:
                last, since = self.progress.value, time.monotonic()
            if time.monotonic() - since > WALL_SECONDS:
                self.process.kill()
                self.process.join()
                return f"no end after {WALL_SECONDS:g} s"

    def close(self) -> None:
        """Let it go."""
        if self.process.is_alive():
            self.connection.send(())
            self.process.join(10.0)
        self.process.kill()


def run(name: str, count: int, seconds: float, seed: int, folder: Path | None, worker: Worker) -> tuple[Tally, Worker]:
    """Inputs of one reader up to number ``count``, from where an earlier run in the folder stopped."""
    tally = _loaded(folder, name, seed)
    start, earlier = time.monotonic(), tally.seconds
    while tally.next < count and time.monotonic() - start < seconds:
        last = min(count, tally.next + (20 if READERS[name].program else BATCH))
        worker.connection.send((name, tally.next, last, frozenset(tally.killers)))
        while tally.next < last:
            answer = worker.answer()
            if isinstance(answer, str):
                index = max(int(worker.progress.value), tally.next)
                tally.killers.append(index)
                _keep(folder, name, Failure(index, answer, "", b"", f"input {index} of seed {seed}: {answer}"), tally)
                worker = Worker(seed)
                break
            tally.next, counts, failures = answer
            tally.accepted += counts.get("accepted", 0)
            tally.refused += counts.get("refused", 0)
            for failure in failures:
                _keep(folder, name, failure, tally)
        tally.seconds = earlier + time.monotonic() - start
        _save(folder, name, seed, tally)
    return tally, worker


def _keep(folder: Path | None, name: str, failure: Failure, tally: Tally) -> None:
    """Count a failure; the first one of its kind is kept with its file."""
    tally.failed += 1
    tally.signatures[failure.signature] = tally.signatures.get(failure.signature, 0) + 1
    if folder is None or tally.signatures[failure.signature] > 1:
        return
    place = folder / f"{name}-{hashlib.sha256(failure.signature.encode()).hexdigest()[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "report.txt").write_text(f"{failure.signature}\ninput {failure.index}\n\n{failure.report}\n")
    if failure.file:
        (place / failure.file).write_bytes(failure.data)


def _loaded(folder: Path | None, name: str, seed: int) -> Tally:
    path = folder / f"{name}.json" if folder else None
    if path is None or not path.is_file():
        return Tally()
    content: dict[str, Any] = json.loads(path.read_text())
    return Tally(**content["tally"]) if content["seed"] == seed else Tally()


def _save(folder: Path | None, name: str, seed: int, tally: Tally) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{name}.json.new"
        new.write_text(json.dumps({"seed": seed, "tally": dataclasses.asdict(tally)}, indent=1))
        new.replace(folder / f"{name}.json")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=sys.modules[__package__ or ""].__doc__)
    parser.add_argument("--count", type=int, default=1000, help="inputs for each reader")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most, for each reader")
    parser.add_argument("--reader", action="append", choices=sorted(READERS), help="again for several; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("fuzz-results"), help="where counts and failures are kept")
    options = parser.parse_args(arguments)
    worker, total, failed = Worker(options.seed), 0, 0
    for name in options.reader or READERS:
        tally, worker = run(name, options.count, options.seconds, options.seed, options.folder, worker)
        sys.stdout.write(tally.line(name) + "\n")
        for signature, number in sorted(tally.signatures.items(), key=lambda item: -item[1]):
            sys.stdout.write(f"    {number:6d} {signature}\n")
        sys.stdout.flush()
        total, failed = total + tally.next, failed + tally.failed
    worker.close()
    sys.stdout.write(f"{total} inputs, {failed} failed\n")
    return 1 if failed else 0
