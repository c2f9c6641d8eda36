"""Calculators as others write them, good and bad, for ``AsePotential`` to import by name."""

from __future__ import annotations

import functools
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from matscipy.neighbours import neighbour_list

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator as SomeCalculator


class Springs(Calculator):
    """Every atom on a spring of 1 eV/Angstrom^2 to the origin; counts its calls in a file and misbehaves at will."""

    implemented_properties = ["energy", "forces"]

    def __init__(
        self, log: str = "", fail_at: int = -1, fail_how: str = "raise", seconds: float = 0.0, shape: str = "full"
    ) -> None:
        super().__init__()
        self.log, self.fail_at, self.fail_how, self.seconds, self.shape = log, fail_at, fail_how, seconds, shape

    @classmethod
    def stiff(cls) -> Self:
        """Made otherwise."""
        return cls()

    @staticmethod
    def log_file(**arguments: Any) -> Path:
        """No calculator."""
        Path("trace").touch()
        return Path("trace")

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        calls = count_call(Path(self.log)) if self.log else 0
        time.sleep(self.seconds)
        positions = self.atoms.positions
        if calls == self.fail_at and self.fail_how == "raise":
            raise RuntimeError("SCF did not converge\nafter 100 steps")
        if calls == self.fail_at and self.fail_how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        forces = -positions if self.shape == "full" else -positions[0]
        if calls == self.fail_at and self.fail_how == "nan":
            forces = np.where(np.arange(len(positions))[:, None] == 2, np.nan, forces)
        self.results = {"energy": 0.5 * float(np.sum(positions**2)), "forces": forces}


class Promising(Springs):
    """Springs that announce energies of the atoms and a stress, and have neither when they are asked."""

    implemented_properties = ["energy", "forces", "energies", "stress"]


class Single(EMT):
    """Effective medium theory as a model of single precision gives it: positions and results lose half their digits.

    Forces have an error of some 1e-5 eV/Angstrom that changes whenever atoms move.
    """

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        rounded = atoms.copy()
        rounded.positions = rounded.positions.astype(np.float32)
        super().calculate(rounded, properties, system_changes)
        error = 1e-5 * np.sin(1e7 * rounded.positions)
        self.results["forces"] = (self.results["forces"] + error).astype(np.float32)
        self.results["energy"] = float(np.float32(self.results["energy"]))


class Only(Springs):
    """Springs for the elements that it was made for, and a bare KeyError for others."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__()
        self.known = dict.fromkeys(numbers, 1.0)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        if atoms is not None:
            [self.known[number] for number in atoms.numbers.tolist()]
        super().calculate(atoms, properties, system_changes)


def springs_of_file(model: str) -> Springs:
    """A calculator made from a file; what is in it does not matter."""
    assert Path(model).is_file()
    return Springs()


def no_calculator() -> int:
    """What a wrong name may give."""
    return 42


def promised_calculator() -> Calculator:
    """What an annotation that is wrong may give."""
    return 42  # type: ignore[return-value]


def unmarked(**arguments: Any):  # type: ignore[no-untyped-def]
    """Does not say what it returns, and leaves a trace where it is called."""
    Path("trace").touch()
    return Springs()


PARTIAL = functools.partial(unmarked)


def either(model: str = "") -> Springs | Promising:
    """One of two."""
    return Springs() if model else Promising()


def of_a_type_for_checkers() -> SomeCalculator:
    """Annotated with a name that exists for type checkers only."""
    return Springs()


@functools.wraps(either)
def wrapped(*arguments: Any, **named: Any) -> Any:
    """Behind a decorator."""
    return either(*arguments, **named)


def count_call(log: Path) -> int:
    """Add one to the calls that a file counts in its length; how many there were before."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, b".")
        return os.fstat(descriptor).st_size - 1
    finally:
        os.close(descriptor)


class Magnetic(Calculator):
    """Springs to the nearest neighbours, softer where their magnetic moments point the other way, as far as given."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        moments = atoms.get_initial_magnetic_moments()
        i, j, length, vector = neighbour_list("ijdD", atoms, 3.2)
        stiffness = 1.0 + 0.4 * moments[i] * moments[j]
        stretch = length - 2.55
        pull = stiffness * (stretch + 0.6 * stretch**2)
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, (pull / length)[:, None] * vector)
        energy = 0.5 * float(np.sum(stiffness * (0.5 * stretch**2 + 0.2 * stretch**3)))
        self.results = {"energy": energy, "forces": forces}


class Scaled(Springs):
    """Springs whose energy is as many times as large as an entry of ``info`` says."""

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["energy"] *= self.atoms.info["scale"]
