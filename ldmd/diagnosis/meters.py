"""Errors of third-order force constants, as the sum rules that they break show them.

The translational sum over the atoms of one leg, R_jk = sum_i Phi_ijk for every place (j, k) of the other two and each
direction, vanishes for exact force constants. What is left tells what is wrong with n stored elements in a sum:

* independent errors of standard deviation sigma leave sigma sqrt(n) everywhere, wherever j and k are;
* a wrong diagonal (elements Phi_jjj, as where they were not made the balance of all others) shows in R_jj only.

So places with two different atoms, off-site, measure sigma without being fooled by the diagonal, and what the places
j = k show beyond that sigma is the error of the diagonal. A third measure of sigma is the difference of elements that
permutation makes equal. Each is blind to something: a leg over which forces were summed to zero shows no noise on it,
force constants made symmetric show none by permutation, and those that were projected show none at all. The largest
is taken. Elements that were left out break the sums as well, and look like noise that restoring the symmetries
(``ldmd.force_constants.projection``) changes by more than its size: ``Projection.per_noise`` well above 1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ldmd.errors import InputError
from ldmd.force_constants.projection import Projection, project_third
from ldmd.force_constants.sum_rules import coordinate_keys, permutation_differences
from ldmd.force_constants.third import SiteThirdOrder, SparseThirdOrder, ThirdOrder
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.linewidths import Linewidths, linewidths
from ldmd.lattice.modes import Modes

LEGS = 3
ROUGHER = 3.0
"""How many times larger the errors of elements with a repeated atom may be by the same noise: twice in single
precision, where the forces on displaced atoms and their neighbours round anew."""


@dataclasses.dataclass(frozen=True)
class LegErrors:
    """Of the translational sums over the atoms of one leg."""

    off_site: float
    """eV/Angstrom^3: standard deviation of independent errors of the elements that leaves the sums with j != k."""
    on_site: float
    """The same from the sums with j = k."""
    diagonal: float
    """eV/Angstrom^3: rms error of the diagonal elements, from what the sums with j = k show beyond ``off_site``."""
    unbalanced: float
    """The same, of what they show beyond ``ROUGHER`` times ``off_site``: errors of displaced atoms are larger."""


@dataclasses.dataclass(frozen=True)
class ElementErrors:
    """Errors of the elements of Phi3 by all meters."""

    legs: tuple[LegErrors, ...]
    permutation: float
    """eV/Angstrom^3: standard deviation of independent errors that makes permuted elements differ as they do."""
    rms: float
    """eV/Angstrom^3, of the elements themselves."""

    @property
    def sigma(self) -> float:
        """Standard deviation of independent errors of the elements by the most sensitive meter, eV/Angstrom^3."""
        return max(self.permutation, *(leg.off_site for leg in self.legs))

    @property
    def diagonal(self) -> float:
        """Largest rms error of the diagonal of any leg, eV/Angstrom^3."""
        return max(leg.diagonal for leg in self.legs)

    @property
    def unbalanced(self) -> float:
        """The same without what rougher differences of elements with a repeated atom may be, eV/Angstrom^3."""
        return max(leg.unbalanced for leg in self.legs)

    @property
    def diagonal_ratio(self) -> float:
        """How many times larger places j = k show the errors than others do: 1 for independent errors."""
        ratios = [leg.on_site / leg.off_site if leg.off_site > 0.0 else math.inf for leg in self.legs if leg.on_site]
        return max(ratios, default=1.0)


def element_errors(third: ThirdOrder) -> ElementErrors:
    """Measure a third order whose elements can be listed.

    Raises
    ------
    InputError
        Where they cannot, or there are none.
    """
    if not third.listable:
        raise InputError("third-order force constants", "no list of elements", "their sum rules cannot be read by leg")
    indices, values = third.elements()
    if not values.size:
        raise InputError("third-order force constants", "an empty list", "there is nothing to measure")
    differences = permutation_differences(indices, values, third.size)
    return ElementErrors(
        legs=tuple(_leg_errors(indices, values, third.size, leg) for leg in range(LEGS)),
        permutation=_rms(differences) / math.sqrt(2.0),
        rms=_rms(values),
    )


@dataclasses.dataclass(frozen=True)
class Restored:
    """Linewidths with translation and permutation symmetry restored."""

    linewidths: Linewidths
    projection: Projection | None
    """What that changed; None for force constants that obey both by construction."""


def restored_linewidths(
    third: ThirdOrder,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    broadening: Broadening,
    *,
    lowest: int | None = None,
    sigma: float | None = None,
    threads: int | None = None,
) -> Restored:
    """Linewidths after the least change that restores the symmetries; ``sigma`` (eV/Angstrom^3) is the known noise.

    Site tensors obey the symmetries as they are.

    Raises
    ------
    InputError
        Where the elements cannot be listed and are no site tensors, or the projection does not converge.
    """
    projection = None
    if not isinstance(third, SiteThirdOrder):
        if not third.listable:
            raise InputError("third-order force constants", "no list of elements", "they cannot be projected")
        listed = third if isinstance(third, SparseThirdOrder) else SparseThirdOrder(third.size, *third.elements())
        third, projection = project_third(listed, sigma)
    found = linewidths(third, modes, temperatures, statistics, broadening, lowest=lowest, threads=threads)
    return Restored(found, projection)


def _leg_errors(indices: np.ndarray, values: np.ndarray, size: int, leg: int) -> LegErrors:
    collapsed = indices.copy()
    collapsed[leg] %= 3
    _, first, place = np.unique(coordinate_keys(collapsed, size), return_index=True, return_inverse=True)
    sums, counts = np.bincount(place, values), np.bincount(place).astype(float)
    others = np.delete(indices, leg, axis=0)[:, first] // 3
    same = others[0] == others[1]
    off_site, on_site = _noise(sums[~same], counts[~same]), _noise(sums[same], counts[same])
    diagonal, unbalanced = (_excess(sums[same], counts[same], off_site * times) for times in (1.0, ROUGHER))
    return LegErrors(off_site, on_site, diagonal, unbalanced)


def _excess(sums: np.ndarray, counts: np.ndarray, sigma: float) -> float:
    """Rms of one error in each sum, beyond independent errors ``sigma`` of all its terms."""
    excess = float(np.sum(sums**2)) - sigma**2 * float(np.sum(counts))
    return math.sqrt(excess / len(sums)) if excess > 0.0 else 0.0


def _noise(sums: np.ndarray, counts: np.ndarray) -> float:
    """Standard deviation of one term."""
    return math.sqrt(float(np.sum(sums**2)) / float(counts.sum())) if counts.size else 0.0


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
