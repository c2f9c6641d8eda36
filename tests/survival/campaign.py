"""What is done to comparisons, and what is demanded of them."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .cases import Ended, Place, copied, place

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGSTOP)
ENDED_BY = {
    signal.SIGKILL: (-signal.SIGKILL,),
    # Before and while Python starts, the signal itself ends it; or its own KeyboardInterrupt does.
    signal.SIGINT: (130, -signal.SIGINT, 1),
    signal.SIGTERM: (143, -signal.SIGTERM),
}
KILLS_BETWEEN = 4
"""Kills, on average, before a comparison is left to come to its end."""


@dataclasses.dataclass
class Campaign:
    """Comparisons in a folder, drawn from one stream of random numbers; ``findings`` is what should not have been."""

    folder: Path
    numbers: random.Random
    say: Callable[[str], object]
    ends: float = float("inf")
    """Time (of ``time.monotonic``) after which nothing new is begun."""
    findings: list[str] = dataclasses.field(default_factory=list)
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    _peaceful: dict[str, tuple[Place, Ended, dict[str, Any], float]] = dataclasses.field(default_factory=dict)
    _made: int = 0
    compile_first: bool = True
    cache: Path = Path()
    """Compiled code of all comparisons but those that begin with none."""

    def __post_init__(self) -> None:
        self.cache = self.folder / "cache"

    def peaceful(self, kind: str) -> tuple[Place, Ended, dict[str, Any], float]:
        """A case that nobody disturbed: its folder, how it ended, its numbers, and the seconds that it took."""
        if kind not in self._peaceful:
            if self.compile_first:  # so that the next takes as long as all that follow
                place(self.folder / f"{kind} compiled", kind, self.cache).compare()
            made, started = place(self.folder / kind, kind, self.cache), time.monotonic()
            ended = made.compare()
            if ended.code not in _USUAL:
                raise RuntimeError(f"the {kind} case ends with {ended.code}: {ended.err}")
            self._peaceful[kind] = made, ended, made.numbers(), time.monotonic() - started
        return self._peaceful[kind]

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.ends

    # Kills.

    def kill(self, kind: str, count: int) -> None:
        """Send ``count`` signals to comparisons at random moments; each case must come to the same numbers."""
        self.peaceful(kind)
        while count > 0 and not self.over:
            made = place(self._new("killed"), kind, self.cache)
            for _ in range(min(count, 1 + self.numbers.randrange(2 * KILLS_BETWEEN - 1))):
                count -= self._disturb(made, kind)
                if (made.report / "summary.json").exists():
                    break  # it came to its end: from here on there is nothing to be lost
            self._finish(made, kind, f"{kind}, killed")

    def _disturb(self, made: Place, kind: str) -> int:
        """One comparison with one signal; 0 where it had ended before."""
        number, seconds = self.numbers.choice(SIGNALS), self.peaceful(kind)[3]
        before = _kept(made)
        process = made.begin()
        if self.numbers.random() < 0.4:
            _wait(process, self.numbers.uniform(0.0, seconds), lambda: False)
        else:  # soon after something was written: most of the time goes into starting Python
            _wait(process, 3.0 * seconds, lambda: _kept(made) != before)
            _wait(process, self.numbers.choice([0.0, 0.01, 0.1, 0.5]) * self.numbers.random(), lambda: False)
        if process.poll() is not None:
            self._judge(made, kind, _ended(process), f"{kind}, ended before a signal")
            return 0
        everyone = self.numbers.random() < 0.5
        send = os.killpg if everyone else os.kill
        stage = _latest(made)
        with contextlib.suppress(ProcessLookupError):
            send(process.pid, number)
        self.counts[f"{number.name} {'to all' if everyone else 'to one'}"] += 1
        self.counts[f"after {stage}"] += 1
        if number is signal.SIGSTOP:
            time.sleep(self.numbers.uniform(0.0, 0.5))
            with contextlib.suppress(ProcessLookupError):
                send(process.pid, signal.SIGCONT)
            self._judge(made, kind, _ended(process), f"{kind}, stopped and continued after {stage}")
            return 1
        ended = _ended(process)
        if ended.code not in (*ENDED_BY[number], *_USUAL):
            self._find(made, f"{kind}, {number.name} after {stage}: exit code {ended.code}: {ended.err[-500:]}")
        if ended.code in (130, 143) and ended.err.count("ldmd: ") != 1:
            self._find(made, f"{kind}, {number.name} after {stage}: not one line: {ended.err[-500:]}")
        return 1

    # Two at once.

    def race(self, kind: str, count: int) -> None:
        """Two comparisons of one case at once, on compiled code of their own that is not there yet every other time."""
        self.peaceful(kind)
        for turn in range(count):
            if self.over:
                return
            made = place(self._new("raced"), kind, self.cache)
            if turn % 2:
                made = dataclasses.replace(made, cache=made.folder / "cold")
            pair = [made.begin(), made.begin()]
            for ended in [_ended(process) for process in pair]:
                if ended.code == 2 and "another run is writing it" in ended.err:
                    continue
                self._judge(made, kind, ended, f"{kind}, two at once")
            self.counts["two at once"] += 1
            self._finish(made, kind, f"{kind}, after two at once")

    # Damage.

    def damage(self, kind: str, count: int) -> None:
        """Spoil one file after the other of a finished case and of the compiled code; compare again each time."""
        original = self.peaceful(kind)[0]
        files = [path.relative_to(original.folder) for path in sorted(original.folder.rglob("*")) if _stored(path)]
        compiled = sorted(self.cache.rglob("*.compiled"))
        for turn in range(count):
            if self.over:
                return
            made = copied(original, self._new("damaged"))
            if turn % 4 == 3 and compiled:
                spoilt = self.numbers.choice(compiled)
                name = "compiled code"
                shutil.rmtree(made.store)  # or nothing would be compiled
            else:
                name = str(files[turn % len(files)])
                spoilt = made.folder / name
            how = self._spoil(spoilt)
            self.counts["damaged files"] += 1
            ended = made.compare()
            self._judge(made, kind, ended, f"{kind}, {name}: {how}")
            shutil.rmtree(made.folder, ignore_errors=True)

    def _spoil(self, path: Path) -> str:
        """Damage a file; what was done to it."""
        data, draw = bytearray(path.read_bytes()), self.numbers
        how = draw.choice(["flipped", "flipped", "flipped", "truncated", "emptied", "appended", "zeroed"])
        if how == "flipped":
            place_of_bit = draw.randrange(max(1, 8 * len(data)))
            if data:
                data[place_of_bit // 8] ^= 1 << place_of_bit % 8
            how = f"bit {place_of_bit} flipped"
        elif how == "truncated":
            del data[draw.randrange(max(1, len(data))) :]
            how = f"truncated to {len(data)} bytes"
        elif how == "emptied":
            data.clear()
        elif how == "appended":
            data += draw.randbytes(100)
        else:
            start = draw.randrange(max(1, len(data)))
            data[start : start + 512] = bytes(len(data[start : start + 512]))
        path.write_bytes(data)
        return how

    # Full disks.

    def starve(self, kind: str, count: int) -> None:
        """Let no file grow beyond a size that is drawn; afterwards there is room, and the comparison goes on."""
        self.peaceful(kind)
        for _ in range(count):
            if self.over:
                return
            made = place(self._new("starved"), kind, self.cache)
            size = int(10.0 ** self.numbers.uniform(1.0, 5.5))
            ended = made.compare(preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
            self.counts["full disks"] += 1
            if ended.code == 2:
                if ended.err.splitlines()[-1][:6] != "ldmd: " or ended.err.count("\nldmd: ") > 1:
                    self._find(made, f"{kind}, files up to {size} bytes: {ended.err[-500:]}")
            else:
                self._judge(made, kind, ended, f"{kind}, files up to {size} bytes")
            self._finish(made, kind, f"{kind}, after files up to {size} bytes")

    # What is demanded.

    def _finish(self, made: Place, kind: str, what: str) -> None:
        """Compare in peace, and once more from what is stored."""
        good = self._judge(made, kind, made.compare(), what)
        left = [path.name for path in made.store.rglob("*checkpoint*") if path.suffix != ".tmp"]
        if left:
            self._find(made, f"{what}: left are {', '.join(left)}")
        elif good:
            shutil.rmtree(made.folder, ignore_errors=True)

    def _judge(self, made: Place, kind: str, ended: Ended, what: str) -> bool:
        """Whether a comparison ended as the peaceful one, with its numbers."""
        _, expected, numbers, _ = self.peaceful(kind)
        self.counts["comparisons that ended"] += 1
        if ended.code != expected.code:
            self._find(made, f"{what}: exit code {ended.code}: {ended.err[-500:]}")
        elif "Traceback" in ended.err or "defect" in ended.err or "Warning" in ended.err:
            self._find(made, f"{what}: {ended.err[-500:]}")
        elif made.numbers() != numbers:
            self._find(made, f"{what}: other numbers")
        else:
            return True
        return False

    def _find(self, made: Place, finding: str) -> None:
        self.findings.append(f"{finding} [{made.folder.name}]")
        self.say(f"FOUND {self.findings[-1]}")

    def _new(self, word: str) -> Path:
        self._made += 1
        self.say(f"{self._made}: {word}")
        return self.folder / f"{self._made:04d} {word}"


_USUAL = (0, 1, 3, 4)
"""Exit codes of a comparison that came to its end: one for each kind of verdict, whatever it is."""


def _ended(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=1800)
    return Ended(process.returncode, out, err)


def _kept(made: Place) -> frozenset[tuple[str, int]]:
    """What is written of a case, with the times of the latest changes."""
    found = set()
    for path in (*made.store.rglob("*"), *made.report.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            found.add((str(path), path.stat().st_mtime_ns))
    return frozenset(found)


def _latest(made: Place) -> str:
    """The stage that was written last."""
    kept = sorted((time_of, name) for name, time_of in _kept(made))
    files = [Path(name) for _, name in kept if Path(name).is_file()]
    if not files:
        return "nothing was written yet"
    return files[-1].parent.name if made.store in files[-1].parents else "the report was written"


def _stored(path: Path) -> bool:
    """Whether a file is one that ldmd made."""
    return path.is_file() and (".ldmd" in path.parts or "reports" in path.parts)


def _wait(process: subprocess.Popen[str], seconds: float, until: Callable[[], bool]) -> None:
    """Wait until something is so, or the time is over, or the process has ended."""
    ends = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < ends and not until():
        time.sleep(0.005)


@contextlib.contextmanager
def campaign(folder: Path, seed: int, say: Callable[[str], object], minutes: float) -> Iterator[Campaign]:
    """A campaign; what it leaves running is ended with it."""
    yield Campaign(folder, random.Random(seed), say, time.monotonic() + 60.0 * minutes)
