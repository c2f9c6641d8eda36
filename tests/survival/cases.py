"""Two little cases that have every kind of file: results, checkpoints, a record of evaluations, compiled code."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
ANSWERING = (
    "import signal\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    "from ldmd.cli import main\n"
    "main()"
)
"""A shell starts background jobs with Ctrl-C ignored; a program started here answers it as one from a terminal does."""
DYNAMICS = """
[material]
name = "a little silica"

[potential]
kind = "tersoff"
parameters = "SiO.tersoff"

[lattice]
temperatures = [300]

[dynamics]
length_ps = 2
replicas = 1
equilibration_ps = 0.25
frame_interval_ps = 0.25
checkpoint_seconds = 0

[anharmonicity]
configurations = 4
minima = 1
"""
BLACK_BOX = """
[material]
name = "a little silica"

[potential]
kind = "ase"
calculator = "ldmd.potentials.reading:calculator"
arguments = { kind = "tersoff", parameters = "SiO.tersoff" }

[lattice]
temperatures = [300]
pair_cutoff = 1.9
displacement = 0.01
"""
CASES = {"dynamics": DYNAMICS, "black box": BLACK_BOX}


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a comparison ended."""

    code: int
    out: str
    err: str


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder in which a case is compared, and the folder of what is kept for all cases."""

    folder: Path
    cache: Path

    @property
    def case(self) -> Path:
        """The case."""
        return self.folder / "case"

    @property
    def store(self) -> Path:
        """What is kept of it."""
        return self.case / ".ldmd"

    @property
    def report(self) -> Path:
        """The two files of its report."""
        return self.folder / "reports" / "case"

    def begin(self, *options: str, **more: Any) -> subprocess.Popen[str]:
        """A comparison in a process group of its own."""
        paths = os.pathsep.join(filter(None, [str(TESTS.parent), os.environ.get("PYTHONPATH", "")]))
        # Everything is kept, however little time it took: there is more to be damaged.
        mine = {"PYTHONPATH": paths, "LDMD_CACHE": str(self.cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
        others = {k: v for k, v in os.environ.items() if k not in ("JAX_COMPILATION_CACHE_DIR", "LDMD_COMPILED")}
        return subprocess.Popen(
            [sys.executable, "-c", ANSWERING, "compare", "case", *options],
            cwd=self.folder, env={**others, **mine}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True, **more,
        )  # fmt: skip

    def compare(self, **more: Any) -> Ended:
        """A comparison from start to end."""
        process = self.begin(**more)
        out, err = process.communicate(timeout=1800)
        return Ended(process.returncode, out, err)

    def numbers(self) -> dict[str, Any]:
        """The summary of the report without what may differ between two runs that computed the same."""
        summary: dict[str, Any] = json.loads((self.report / "summary.json").read_text())
        del summary["provenance"]
        return summary


def place(folder: Path, kind: str, cache: Path) -> Place:
    """A new case."""
    made = Place(folder, cache)
    made.case.mkdir(parents=True)
    shutil.copy(TESTS / "little_silica.extxyz", made.case / "structure.extxyz")
    shutil.copy(TESTS.parent / "cases" / "silica" / "SiO.tersoff", made.case)
    (made.case / "case.toml").write_text(CASES[kind])
    return made


def copied(original: Place, folder: Path) -> Place:
    """The same case with all that is kept of it, elsewhere."""
    shutil.copytree(original.folder, folder)
    return Place(folder, original.cache)
