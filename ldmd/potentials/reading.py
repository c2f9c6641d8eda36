"""The potential that a case names."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ldmd.case import FETCH
from ldmd.errors import InputError
from ldmd.subject import IMPORTED, Potential

if TYPE_CHECKING:
    from ldmd.crystal.imported import ImportedForceConstants
    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.calculator import LdmdCalculator


def require_energy(potential: Potential) -> None:
    """Refuse force constants without a potential where one is needed.

    Raises
    ------
    InputError
        For them.
    """
    if potential.kind == IMPORTED:
        raise InputError("potential.kind", IMPORTED, "force constants alone have no energy; this needs a potential")


def read_potential(
    potential: Potential, folder: Path, needed: Collection[str] | None = None
) -> SitePotential | AsePotential:
    """The potential of a case in ``folder``: one that can be differentiated, or a black box.

    Of a parameter file of many species those that are ``needed`` are read, the symbols of the structure; without them
    all of its species, which must then have all entries that they need among each other.

    Raises
    ------
    InputError
        Where its file is missing, cannot be read or fetched, or its calculator cannot be made; where the JAX that is
        installed computes wrong numbers; where the file does not know a needed species; and for force constants
        without a potential.
    """
    require_energy(potential)
    if potential.kind == "ase":
        from ldmd.potentials.black_box import AsePotential, with_files_of

        assert potential.calculator is not None  # as its settings require
        return AsePotential(potential.calculator, with_files_of(potential.arguments, folder))
    from ldmd.numerics import require_sound_jax

    require_sound_jax()
    assert potential.parameters is not None  # as its settings require
    return _site_potential(potential.kind, _file(potential.parameters, folder), needed)


def read_force_constants(potential: Potential, folder: Path) -> ImportedForceConstants:
    """Where a case in ``folder`` has its force constants from; they are read when they are needed.

    Raises
    ------
    InputError
        Where a file is missing or cannot be fetched.
    """
    from ldmd.crystal.imported import ImportedForceConstants
    from ldmd.force_constants.exchange.files import require_file

    paths = {name: require_file(_file(path, folder)) for name, path in potential.files.items()}
    return ImportedForceConstants(paths["parameters"], paths.get("third"), paths.get("second"))


def as_black_box(potential: Potential, folder: Path, needed: Collection[str]) -> AsePotential:
    """A potential that can be differentiated, as if it could not: for finite differences to be compared with.

    ``needed`` are the species of the structure.
    """
    from ldmd.potentials.black_box import AsePotential

    assert potential.parameters is not None  # as its settings require
    path = str(_file(potential.parameters, folder).resolve())
    arguments = {"kind": potential.kind, "parameters": path, "species": sorted(set(needed))}
    return AsePotential("ldmd.potentials.reading:calculator", arguments)


def calculator(kind: str, parameters: str, species: Collection[str] | None = None) -> LdmdCalculator:
    """ASE calculator of a potential of ours, named by its kind and parameter file, for some or all of its species."""
    from ldmd.potentials.calculator import LdmdCalculator

    return LdmdCalculator(_site_potential(kind, Path(parameters), species))


def _site_potential(kind: str, path: Path, needed: Collection[str] | None) -> SitePotential:
    if kind == "tersoff":
        from ldmd.potentials.tersoff import read_tersoff

        return read_tersoff(path, needed)
    if kind == "stillinger-weber":
        from ldmd.potentials.stillinger_weber import read_stillinger_weber

        return read_stillinger_weber(path, needed)
    from ldmd.potentials.nep import read_nep

    return read_nep(path, needed)


def _file(name: str, folder: Path) -> Path:
    if not name.startswith(FETCH):
        return folder / name
    from ldmd.fetch import resolve

    return resolve(name, folder)
