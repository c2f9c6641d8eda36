"""Born charges and the dielectric tensor of an insulator, which split longitudinal from transverse optical modes.

They stand in a yaml file of phono3py or phonopy (its block ``nac``), or in a BORN file. Their sum over the atoms of a
neutral crystal is zero for each pair of directions; what is left of it by rounding is taken off every atom alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import peer, require_file
from ldmd.force_constants.exchange.kinds import to_phonopy
from ldmd.force_constants.exchange.supercell import matched
from ldmd.foreign import reading
from ldmd.results import Check

BLOCK = "nac"
"""Of a yaml file; before version 2.18 of phonopy its entries stood at the top."""
METHODS = ("gonze", "wang")
LARGEST_BORN = 1_000_000
"""Bytes of a BORN file."""
NEUTRAL = 0.05
"""e: the largest sum of Born charges that is put down to rounding and to unconverged calculations."""


@dataclasses.dataclass(frozen=True)
class Electrostatics:
    """What the non-analytical correction of an insulator needs."""

    born: np.ndarray
    """(P, 3, 3) Born effective charges of the atoms of the primitive cell, e; first index the field, second the
    displacement."""
    dielectric: np.ndarray
    """(3, 3) electronic dielectric tensor, relative to vacuum."""
    method: str = "gonze"
    """How phonopy interpolates between wave vectors: "gonze" or "wang"."""
    excess: float = 0.0
    """e: the largest sum of the charges before it was taken off."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether the charges cancel."""
        advice = "the Born charges of a crystal cancel: give those of all atoms, in the order of the primitive cell"
        return (Check("sum of the Born charges", self.excess, "<=", NEUTRAL, "e", advice),)


def electrostatics_of(born: Any, dielectric: Any, count: int, source: object, method: str = "gonze") -> Electrostatics:
    """Charges of ``count`` atoms and the dielectric tensor, made neutral; ``source`` is what an error names.

    Raises
    ------
    InputError
        Where shapes or values make no sense.
    """
    try:
        charges, tensor = np.array(born, dtype=float), np.array(dielectric, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("Born charges", source, "holds something that is no tensor of numbers") from error
    if charges.shape != (count, 3, 3) or tensor.shape != (3, 3):
        fix = f"holds charges of shape {charges.shape}: give ({count}, 3, 3), and (3, 3) for the dielectric tensor"
        raise InputError("Born charges", source, fix)
    if not (np.isfinite(charges).all() and np.isfinite(tensor).all()):
        raise InputError("Born charges", source, "holds numbers that are not finite")
    if np.linalg.eigvalsh(0.5 * (tensor + tensor.T)).min() <= 0.0:
        raise InputError("dielectric tensor", source, "must have positive eigenvalues; give that of the electrons")
    if method not in METHODS:
        raise InputError("nac.method", method, f"{source} must name one of {', '.join(METHODS)}")
    mean = charges.mean(axis=0)
    return Electrostatics(charges - mean, tensor, method, float(np.abs(count * mean).max()))


def in_yaml(content: Mapping[str, Any], source: Path, listed: Atoms, primitive: Atoms) -> Electrostatics | None:
    """Those that a yaml file of phonopy or phono3py holds, if it does.

    They belong to the atoms ``listed`` in the primitive cell of the file; the result to the same atoms in the order of
    ``primitive``.

    Raises
    ------
    InputError
        Where half of it is missing, or shapes and values make no sense.
    """
    block = content.get(BLOCK, content)
    if not isinstance(block, Mapping):
        raise InputError("nac", source, "is no block of Born charges")
    found = {name: block.get(name) for name in ("born_effective_charge", "dielectric_constant")}
    if all(value is None for value in found.values()):
        return None
    for name, value in found.items():
        if value is None:
            raise InputError(f"nac.{name}", source, "is missing; give both Born charges and the dielectric tensor")
    method = str(block.get("method", "gonze")).lower()
    charges, tensor = found["born_effective_charge"], found["dielectric_constant"]
    given = electrostatics_of(charges, tensor, len(listed), source, method)
    return dataclasses.replace(given, born=given.born[matched(listed, primitive).sites])


def read_born(path: Path, primitive: Atoms) -> Electrostatics:
    """A BORN file of phonopy, whose symmetrically independent atoms are those of the primitive cell.

    Raises
    ------
    InputError
        Where there is no such file, or it does not fit.
    """
    if require_file(path).stat().st_size > LARGEST_BORN:
        raise InputError("BORN", path, "is larger than any file of Born charges")
    files, cells = peer("phonopy.file_IO", "phonopy"), peer("phonopy.structure.cells", "phonopy")
    with reading("BORN", path, "does not fit the primitive cell ({reason})"):
        found = files.parse_BORN(cells.get_primitive(to_phonopy(primitive), np.eye(3)), filename=str(path))
    if found is None:
        raise InputError("BORN", path, "does not fit the primitive cell")
    return electrostatics_of(found["born"], found["dielectric"], len(primitive), path)
