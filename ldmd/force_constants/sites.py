"""Sites as they are differentiated: some at a time, and the edges that matter most in their first slots.

A Hessian between the M edges of a site costs M^2. Where a potential says that its costly part sees only edges within a
shorter cutoff (``LayeredPotential``), the slots of every site are sorted so that these come first, and that part is
told how many there are: a crystal with 45 neighbours within the radial and 12 within the angular cutoff of a NEP then
pays 45^2 for one network of descriptors only, and 12^2 for all angular sums. Edges are the same, in another order.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ldmd.potentials.base import LayeredPotential, Parameters, SitePotential
from ldmd.structures import SiteBlock

STEP = 4
"""Cores are as wide as a multiple of this: compiled code then serves for slightly displaced atoms as well."""


@dataclasses.dataclass(frozen=True)
class Sites:
    """The sites of one species with their edges, those of the core first."""

    block: SiteBlock
    edges: np.ndarray
    """(3, M, n) Angstrom."""
    core: int | None
    """How many slots hold all edges of the core; None for a potential without layers."""

    def parameters(self, potential: SitePotential, which: np.ndarray) -> Parameters:
        """The potential's parameters for some of the sites."""
        part = part_of(self.block, which)
        if self.core is None or not isinstance(potential, LayeredPotential):
            return potential.parameters(part)
        return potential.parameters(part, self.core)


def sites_of(potential: SitePotential, block: SiteBlock, edges: np.ndarray) -> Sites:
    """A block with its edges (3, M, n) in Angstrom, sorted where the potential has layers.

    Those within the core's range come first, then the others, then empty slots; otherwise the order stays.
    """
    if not isinstance(potential, LayeredPotential):
        return Sites(block, edges, None)
    within = block.present & (np.linalg.norm(edges, axis=0) < potential.core[block.kinds, block.neighbour_kinds])
    order = np.argsort(np.where(within, 0, np.where(block.present, 1, 2)), axis=0, kind="stable")
    widest = max(1, int(within.sum(axis=0).max(initial=0)))
    return Sites(
        slots_in_order(block, order),
        np.take_along_axis(edges, order[None], axis=1),
        min(math.ceil(widest / STEP) * STEP, len(order)),
    )


def slots_in_order(block: SiteBlock, order: np.ndarray) -> SiteBlock:
    """The same sites with their slots permuted, ``order`` (M, n) giving for each new slot the old one."""
    moved = {
        name: np.take_along_axis(getattr(block, name), order, axis=0)
        for name in ("neighbours", "neighbour_kinds", "present")
    }
    return dataclasses.replace(block, offsets=np.take_along_axis(block.offsets, order[None], axis=1), **moved)


def part_of(block: SiteBlock, which: np.ndarray) -> SiteBlock:
    """Some sites of a block."""
    return SiteBlock(
        centres=block.centres[which],
        kinds=block.kinds[which],
        neighbours=block.neighbours[:, which],
        neighbour_kinds=block.neighbour_kinds[:, which],
        offsets=block.offsets[:, :, which],
        present=block.present[:, which],
        padding=block.padding,
    )


def selections(count: int, most: int) -> list[np.ndarray]:
    """0 ... count - 1 in as few equal chunks as possible of at most ``most``; the last number fills up the last one."""
    chunks = math.ceil(count / most)
    numbers = np.arange(chunks * math.ceil(count / chunks))
    return np.split(np.minimum(numbers, count - 1), chunks)
