"""What ``ldmd potential check`` is pointed at: a case, or the file of a potential, and a structure to go with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ldmd.case import FETCH, load_case
from ldmd.errors import InputError
from ldmd.subject import Kind, Potential

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.contract import Thresholds

SUFFIXES = {".tersoff": "tersoff", ".sw": "stillinger-weber"}
"""Kinds of potentials by the ending of their file; a NEP file is known by its first word."""

HEAD = 10_000
"""Bytes in which the first word of a NEP file is looked for."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A potential and the structure that it is examined on."""

    potential: SitePotential | AsePotential
    atoms: Atoms
    structure: str
    """Where the structure is from, for people."""
    meant: bool
    """Whether it is a structure that somebody wants to compute, and not just some atoms."""


def target_of(name: str, structure: Path | None, potential_name: str | None = None) -> Target:
    """The potential of a case folder (of several, the one named), of a parameter file or of ``fetch:NAME``.

    It comes with a structure that fits it.
    Without ``structure`` it is the structure of the case, or a lattice of the potential's species.

    Raises
    ------
    InputError
        Where one of them is missing or unreadable, or they do not fit each other.
    """
    from ldmd.potentials.black_box import AsePotential, require_knows
    from ldmd.potentials.reading import read_potential, require_energy
    from ldmd.potentials.subjects import trial_lattice
    from ldmd.structures import read_structure, require_fits

    if Path(name).is_dir():
        case = load_case(Path(name), potential_name, structure_needed=structure is None)
        structure = structure or case.structure
        named, folder = case.settings.potential, case.folder
        require_energy(named)
    elif potential_name is not None:
        raise InputError("--potential", potential_name, f"{name} is no case with a list of potentials; leave it out")
    else:
        path = _file(name)
        named, folder = Potential(kind=kind_of(path), parameters=path.name), path.parent
    if structure is not None:
        atoms, where = read_structure(structure), str(structure)
        potential = read_potential(named, folder, set(atoms.get_chemical_symbols()))
    else:
        potential = read_potential(named, folder)
        assert not isinstance(potential, AsePotential)  # only a case names one
        atoms, where = trial_lattice(potential.species, float(potential.switching.max())), "a cubic lattice"
    if isinstance(potential, AsePotential):
        require_knows(atoms, potential)
    else:
        require_fits(atoms, potential.species, potential.switching)
    return Target(potential, atoms, where, structure is not None)


def _file(name: str) -> Path:
    if name.startswith(FETCH):
        from ldmd.fetch import resolve

        return resolve(name, Path())
    if not Path(name).is_file():
        fix = "neither a case folder nor the file of a potential; give one of them, or fetch:NAME"
        raise InputError("CASE_OR_POTENTIAL", name, fix)
    return Path(name)


def kind_of(path: Path) -> Kind:
    """The kind of a parameter file.

    Raises
    ------
    InputError
        Where neither its ending nor its first word tells.
    """
    kind = SUFFIXES.get(path.suffix, "tersoff" if ".tersoff" in path.suffixes else _kind_of_contents(path))
    for known in get_args(Kind):
        if kind == known:
            return known
    fix = "not the file of a potential known here; give a .tersoff, a .sw or a nep.txt, or name it in a case"
    raise InputError("CASE_OR_POTENTIAL", path, fix)


def _kind_of_contents(path: Path) -> str:
    """By the first word that is not in a comment, among the first that there are."""
    with path.open("rb") as file:
        text = file.read(HEAD).decode("utf-8-sig", errors="replace")
    words = [word for line in text.splitlines() for word in line.partition("#")[0].split()]
    return "nep" if words and words[0].startswith("nep") else ""


def thresholds_from(pairs: list[str]) -> Thresholds:
    """Thresholds from ``NAME=VALUE``, the others as they are.

    Raises
    ------
    InputError
        For a name that is none, and a value that is no positive number.
    """
    from ldmd.potentials.contract import Thresholds

    known = [field.name for field in dataclasses.fields(Thresholds)]
    changes: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            raise InputError("--threshold", pair, f"give NAME=VALUE with a name of {', '.join(known)}")
        try:
            changes[name] = float(text)
        except ValueError as error:
            raise InputError("--threshold", pair, "the value is no number; give one like 1e-6") from error
        if not changes[name] > 0.0:
            raise InputError("--threshold", pair, "must be positive")
    return dataclasses.replace(Thresholds(), **changes)
