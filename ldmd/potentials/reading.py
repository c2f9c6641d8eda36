"""The potential that a case names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ldmd.case import FETCH
from ldmd.settings import Potential

if TYPE_CHECKING:
    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.calculator import LdmdCalculator


def read_potential(potential: Potential, folder: Path) -> SitePotential | AsePotential:
    """The potential of a case in ``folder``: one that can be differentiated, or a black box.

    Raises
    ------
    InputError
        Where its file is missing, cannot be read or fetched, or its calculator cannot be made; and where the JAX that
        is installed computes wrong numbers.
    """
    if potential.kind == "ase":
        from ldmd.potentials.black_box import AsePotential, with_files_of

        assert potential.calculator is not None  # as its settings require
        return AsePotential(potential.calculator, with_files_of(potential.arguments, folder))
    from ldmd.numerics import require_sound_jax

    require_sound_jax()
    return _site_potential(potential.kind, _file(potential, folder))


def as_black_box(potential: Potential, folder: Path) -> AsePotential:
    """A potential that can be differentiated, as if it could not: for finite differences to be compared with."""
    from ldmd.potentials.black_box import AsePotential

    path = str(_file(potential, folder).resolve())
    return AsePotential("ldmd.potentials.reading:calculator", {"kind": potential.kind, "parameters": path})


def calculator(kind: str, parameters: str) -> LdmdCalculator:
    """ASE calculator of a potential of ours, named by its kind and parameter file."""
    from ldmd.potentials.calculator import LdmdCalculator

    return LdmdCalculator(_site_potential(kind, Path(parameters)))


def _site_potential(kind: str, path: Path) -> SitePotential:
    if kind == "tersoff":
        from ldmd.potentials.tersoff import read_tersoff

        return read_tersoff(path)
    if kind == "stillinger-weber":
        from ldmd.potentials.stillinger_weber import read_stillinger_weber

        return read_stillinger_weber(path)
    from ldmd.potentials.nep import read_nep

    return read_nep(path)


def _file(potential: Potential, folder: Path) -> Path:
    assert potential.parameters is not None  # as its settings require
    if not potential.parameters.startswith(FETCH):
        return folder / potential.parameters
    from ldmd.fetch import resolve

    return resolve(potential.parameters, folder)
