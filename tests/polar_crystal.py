"""A zincblende crystal of springs with Born charges, as files of phono3py, and the splitting that the charges make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

sys.path.insert(0, str(Path(__file__).parent))

from spring_crystal import springs

from ldmd.force_constants.exchange import phono3py
from ldmd.force_constants.exchange.constants import ForceConstants, of_supercell
from ldmd.force_constants.exchange.supercell import repeated

CHARGE, DIELECTRIC = 2.1, 6.5
COULOMB = 14.399645
"""e^2 / (4 pi epsilon_0) in eV Angstrom."""
CUTOFF = 4.0
"""Angstrom: first and second neighbours."""
FORCE = 9648.533
"""Angstrom/ps^2 of an atom of 1 amu under 1 eV/Angstrom."""


def zincblende() -> Atoms:
    """Two atoms."""
    return bulk("ZnS", "zincblende", a=5.4)


def force_constants(primitive: Atoms, repeats: tuple[int, int, int] = (3, 3, 3)) -> ForceConstants:
    """Of springs between first and second neighbours."""
    supercell = repeated(primitive, repeats, "sites")
    return of_supercell(supercell, *springs(supercell.atoms, CUTOFF))


def write_finished(constants: ForceConstants, folder: Path, charges: np.ndarray | None = None) -> tuple[Path, ...]:
    """phono3py.yaml, fc3.hdf5 and fc2.hdf5; the yaml file with Born charges (P, 3, 3) where they are given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / name for name in ("phono3py.yaml", "fc3.hdf5", "fc2.hdf5"))
    phono3py.write_structure(paths[0], constants.supercell)
    phono3py.write_third(constants, paths[1])
    phono3py.write_second(constants, paths[2])
    if charges is not None:
        with paths[0].open("a") as file:
            file.write(nac_block(charges))
    return paths


def nac_block(charges: np.ndarray) -> str:
    """The block of a yaml file of phonopy."""
    lines = ["nac:", "  born_effective_charge:"]
    for charge in charges:
        lines += ["  -", *(f"    - {row}" for row in charge.tolist())]
    lines += ["  dielectric_constant:", *(f"    - {row}" for row in (DIELECTRIC * np.eye(3)).tolist())]
    return "\n".join([*lines, "  unit_conversion_factor: 14.399652", ""])


def splitting(primitive: Atoms) -> float:
    """w_LO^2 - w_TO^2 at Gamma in (rad/ps)^2, of two atoms with opposite isotropic charges in a cubic cell."""
    inverse = float(np.sum(1.0 / primitive.get_masses()))
    return FORCE * 4.0 * np.pi * COULOMB * CHARGE**2 * inverse / (DIELECTRIC * abs(primitive.cell.volume))


def write_forces(folder: Path, unit: Atoms, primitive_matrix: Any, random: bool = False, cutoff: float = 2.6) -> Any:
    """phono3py_disp.yaml, phono3py_params.yaml and FORCES_FC3 of the unit cell itself; returns the Phono3py object.

    ``random`` displaces all atoms at once.
    """
    from phono3py import Phono3py
    from phono3py.file_IO import write_FORCES_FC3
    from phonopy.file_IO import write_FORCE_SETS

    from ldmd.force_constants.exchange.kinds import to_phonopy

    folder.mkdir(parents=True, exist_ok=True)
    program: Any = Phono3py(to_phonopy(unit), supercell_matrix=np.eye(3, dtype=int), primitive_matrix=primitive_matrix)
    if random:
        program.generate_displacements(distance=0.02, number_of_snapshots=40, random_seed=1)
    else:
        program.generate_displacements(distance=0.01)
    program.save(str(folder / "phono3py_disp.yaml"))
    cell = program.supercell
    second, third = springs(Atoms(cell.symbols, positions=cell.positions, cell=cell.cell, pbc=True), cutoff)
    forces = []
    for displaced in program.supercells_with_displacements:
        moves = (displaced.positions - cell.positions).ravel()
        first, other, last = third.indices
        cubic = np.bincount(first, third.values * moves[other] * moves[last], len(moves))
        forces.append(-(second.matrix @ moves + 0.5 * cubic).reshape(-1, 3))
    program.forces = np.array(forces)
    program.save(str(folder / "phono3py_params.yaml"))
    write = write_FORCE_SETS if random else write_FORCES_FC3
    write(program.dataset, filename=str(folder / "FORCES_FC3"))
    return program
