"""A case small enough for tests: 24 atoms of silica at a minimum and some picoseconds of dynamics."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ase import Atoms
from ase.io import read
from small_silica import CASE

from ldmd.structures import write_structure

CASE_TOML = """
[material]
name = "a little silica"

[potential]
kind = "tersoff"
parameters = "SiO.tersoff"

[lattice]
temperatures = [100, 300]
width = 0.6

[dynamics]
length_ps = 4
replicas = 1
equilibration_ps = 0.5
frame_interval_ps = 0.25
checkpoint_seconds = 0.2

[anharmonicity]
configurations = 4
minima = 0
"""


def little_silica() -> Atoms:
    """24 atoms at a minimum: ``triclinic_minimum`` of ``small_silica``, kept because it takes a while to find."""
    return read(Path(__file__).with_name("little_silica.extxyz"))


def write_case(folder: Path, atoms: Atoms | None = None) -> Path:
    """A case folder around ``atoms``, by default some at a minimum of the potential."""
    folder.mkdir()
    shutil.copy(CASE / "SiO.tersoff", folder)
    (folder / "case.toml").write_text(CASE_TOML)
    write_structure(atoms or little_silica(), folder / "structure.extxyz")
    return folder


def replace_in(path: Path, old: str, new: str) -> None:
    """Edit a text file where ``old`` stands exactly once."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell starts background jobs, and all below them, with Ctrl-C ignored: programs that tests interrupt undo that."""


def start(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    """The command line in a process group of its own, run from ``folder``."""
    command = [sys.executable, "-c", f"{CTRL_C}from ldmd.cli import main; main()", *map(str, arguments)]
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with what is in it, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
