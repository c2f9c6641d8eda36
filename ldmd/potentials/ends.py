"""Where the parts of a potential begin and end to act: the radii at which it may not be smooth.

A potential may have several parts with a cutoff each: radial and angular functions, a short-ranged repulsion, the
switching regions of triplets. Whether its derivatives jump at such a radius is measured by ``ldmd.potentials.kinks``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from ldmd.potentials.base import SitePotential

Radii = Mapping[tuple[str, str], Mapping[float, str]]
"""Radii (Angstrom) of every pair of symbols, in alphabetical order, each with the part of the potential it is of."""
SAME = 1e-9
"""Angstrom between radii that are one."""


@dataclasses.dataclass(frozen=True)
class End:
    """A radius at which one part of a potential begins or ends to act."""

    part: str
    """For people: ``angular cutoff``, ``end of the ZBL repulsion``."""
    radii: np.ndarray
    """(S, S) Angstrom for every centre and neighbour; 0 where the part has no such end."""
    smooth: bool = False
    """Whether all derivatives are known to vanish there."""


@runtime_checkable
class PartedPotential(Protocol):
    """A potential that knows all of its ends."""

    @property
    def ends(self) -> tuple[End, ...]:
        """Every radius where a part of it begins or ends to act."""
        ...


def ends_of(potential: SitePotential) -> tuple[End, ...]:
    """Those that a potential names, or else both ends of its switching regions."""
    if isinstance(potential, PartedPotential):
        return potential.ends
    names = ("begin of the cutoff function", "cutoff")
    return tuple(End(name, potential.switching[..., side]) for side, name in enumerate(names))


def radii_of(potential: SitePotential) -> Radii:
    """The ends of every pair of species, each radius once: of both atoms as the centre."""
    return _radii(potential.species, ends_of(potential))


def rough_radii(potential: SitePotential) -> Radii:
    """The same without ends that are known to be smooth."""
    return _radii(potential.species, tuple(end for end in ends_of(potential) if not end.smooth))


def radius_table(potential: SitePotential, rough: bool = False) -> np.ndarray:
    """(S, S, k) Angstrom, all ends of every pair, or only those that may be ``rough``.

    The rows of pairs with fewer ends are filled up with the longest; 0 where a pair has none.
    """
    species, radii = potential.species, (rough_radii if rough else radii_of)(potential)
    most = max(1, *(len(of_pair) for of_pair in radii.values()))
    table = np.zeros((len(species), len(species), most))
    for a, first in enumerate(species):
        for b, second in enumerate(species):
            of_pair = list(radii[min(first, second), max(first, second)]) or [0.0]
            table[a, b] = of_pair + of_pair[-1:] * (most - len(of_pair))
    return table


def _radii(species: tuple[str, ...], ends: tuple[End, ...]) -> Radii:
    return {
        (first, second): _of_pair(ends, a, b)
        for a, first in enumerate(species)
        for b, second in enumerate(species)
        if first <= second
    }


def _of_pair(ends: tuple[End, ...], a: int, b: int) -> dict[float, str]:
    """Ascending, with the names of all parts that end at the same radius."""
    places = sorted({(float(end.radii[i, j]), end.part) for end in ends for i, j in ((a, b), (b, a))})
    found: dict[float, str] = {}
    for radius, part in places:
        if radius <= 0.0:
            continue
        last = next(reversed(found), None)
        same = last if last is not None and radius - last < SAME else radius
        parts = [*(found[same].split(" and ") if same in found else []), part]
        found[same] = " and ".join(dict.fromkeys(parts))
    return found
