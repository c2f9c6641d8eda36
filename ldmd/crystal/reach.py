"""How large force constants still are where their supercell ends.

In a periodic supercell the element between two atoms is the sum over all their images, and goes to the nearest of
them. Beyond half of the shortest lattice vector that is a guess: the element has come around the cell, or is shared by
several images that are equally near. It is harmless as long as what stands there is small. Stillinger-Weber silicon in
2 x 2 x 2 primitive cells reaches exactly there: 6 % of the largest element of the second order stand at the end, which
changes the conductivity by 1 %, and 9 % of the third order, which change it by 21 %.
"""

from __future__ import annotations

import numpy as np

from ldmd.force_constants.exchange.constants import ForceConstants
from ldmd.force_constants.exchange.supercell import Supercell
from ldmd.force_constants.images import nearest_images, shortest_translation
from ldmd.results import Check

MARGIN = 0.1
"""Angstrom before half the shortest lattice vector, from which on an element counts as one at the end."""

TOLERATED = {2: 0.1, 3: 0.02}
"""By order, the share of the largest element that may stand at the end."""


def end_checks(second: ForceConstants, third: ForceConstants) -> tuple[Check, ...]:
    """Whether both orders, each in its supercell, are small where it ends.

    Third orders of two images at opposite ends may cancel where they are folded, so that nothing is seen of them; a
    second order of a larger supercell then tells how far forces reach.
    """
    advice = "force constants are cut off, or folded, where their supercell ends: take a larger one for this order"
    two, three = ForceConstants(second.supercell, second.second), ForceConstants(third.supercell, third=third.third)
    found = share_at_the_end(two) | share_at_the_end(three)
    checks = [
        Check(f"order {order} half a supercell away, of its largest", found[order], "<=", most, "1", advice)
        for order, most in TOLERATED.items()
        if order in found
    ]
    smaller = 0.5 * shortest_translation(third.supercell.atoms.cell.array)
    if smaller < 0.5 * shortest_translation(second.supercell.atoms.cell.array) - MARGIN:
        share = share_at_the_end(two, smaller)[2]
        advice = "third orders reach about as far as second ones: take a larger supercell for the third order"
        name = "order 2 where the supercell of order 3 ends, of its largest"
        checks.append(Check(name, share, "<=", TOLERATED[2], "1", advice))
    return tuple(checks)


def share_at_the_end(constants: ForceConstants, end: float | None = None) -> dict[int, float]:
    """By order, the largest element between atoms half a supercell apart over the largest between different atoms.

    Of the third order that is the largest among those of which any two atoms are so far apart. An element that several
    equally near images share counts as one part of it. ``end`` (Angstrom) is half the shortest lattice vector.
    """
    supercell = constants.supercell
    far, parts = _far(supercell, end)
    found = {}
    if constants.second is not None:
        listed = constants.second.tocoo()
        sites, atoms = listed.coords[0] // 3, listed.coords[1] // 3
        different = supercell.home[sites] != atoms
        found[2] = _share(np.abs(listed.data) / parts[sites, atoms], far[sites, atoms] & different, different)
    if constants.third is not None:
        site, first, other = constants.third.indices // 3
        blocks, place = np.unique((site * far.shape[1] + first) * far.shape[1] + other, return_inverse=True)
        site, pair = np.divmod(blocks, far.shape[1] ** 2)
        first, other = np.divmod(pair, far.shape[1])
        shift = supercell.cells[supercell.home[supercell.sites[first]]] - supercell.cells[first]
        moved = supercell.find(supercell.sites[other], supercell.cells[other] + shift)
        apart = far[site, first] | far[site, other] | far[supercell.sites[first], moved]
        home = supercell.home[site]
        different = (home != first) | (home != other)
        shared = np.max([parts[site, first], parts[site, other], parts[supercell.sites[first], moved]], axis=0)
        found[3] = _share(np.abs(constants.third.values) / shared[place], (apart & different)[place], different[place])
    return found


def _share(sizes: np.ndarray, at_the_end: np.ndarray, different: np.ndarray) -> float:
    largest = float(sizes[different].max(initial=0.0))
    return float(sizes[at_the_end].max(initial=0.0)) / largest if largest > 0.0 else 0.0


def _far(supercell: Supercell, end: float | None) -> tuple[np.ndarray, np.ndarray]:
    """(P, N) whether home atom and atom are as far apart as the end, or further; and how many images of the pair are
    equally near."""
    cell, positions = supercell.atoms.cell.array, supercell.atoms.positions
    vectors = (positions[None] - positions[supercell.home][:, None]).reshape(-1, 3)
    images, shape = nearest_images(vectors, cell), (len(supercell.home), len(positions))
    half = 0.5 * shortest_translation(cell) if end is None else end
    far = images.lengths().reshape(shape) > half - MARGIN
    return far, np.bincount(images.vector).reshape(shape)
