"""Which pairs the dynamics must evaluate: few, and verified instead of assumed.

A Verlet list with a skin must be rebuilt as soon as any atom has moved by half the skin. Atoms of a solid vibrate by
that much all the time without ever meeting anybody new, and every listed pair that does not interact costs work.
Here a wide list of *candidates* is only watched (one distance each, every few steps) and a narrow list of *active*
pairs is evaluated. A run of steps counts only if no watched pair, at its present speed, could have come near its
cutoff between two looks; otherwise the pairs that could are made active and the run is done again. In a solid the
active list soon stops growing.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.structures import NeighbourGraph, build_graph, pairs_within, species_indices

WIDE = 4.0
"""Skin of the candidates, Angstrom: they are complete until some atom has moved by half of it."""
MARGIN = 0.05
"""How near to its cutoff an unevaluated pair may be expected at the next look, Angstrom."""
REMEMBER = 0.6
"""Pairs once found near stay active up to this distance beyond their cutoff, Angstrom."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Watch:
    """Arrays for the check inside a compiled run of steps."""

    reference: np.ndarray
    i: np.ndarray
    j: np.ndarray
    offsets: np.ndarray
    cutoffs: np.ndarray
    """(P,) Angstrom; minus infinity for pairs that need no watching."""


@dataclasses.dataclass(frozen=True)
class PairList:
    """Candidate pairs (each once) around reference positions, and which of them are active."""

    reference: np.ndarray
    i: np.ndarray
    j: np.ndarray
    offsets: np.ndarray
    cutoffs: np.ndarray
    active: np.ndarray
    kinds: np.ndarray

    @functools.cached_property
    def watch(self) -> Watch:
        """What to watch, padded to a multiple of 4096 pairs so that compiled code is reused."""
        missing = -len(self.i) % 4096

        def pad(values: np.ndarray) -> np.ndarray:
            return np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))

        cutoffs = np.full(len(self.i) + missing, -np.inf)
        cutoffs[: len(self.i)] = np.where(self.active, -np.inf, self.cutoffs)
        return Watch(self.reference, pad(self.i), pad(self.j), pad(self.offsets).T.copy(), cutoffs)

    def graph(self, slots: tuple[int, ...]) -> NeighbourGraph:
        """Both directions of the active pairs as a graph whose blocks have at least ``slots`` edges per atom."""
        i, j, offsets = self.i[self.active], self.j[self.active], self.offsets[self.active]
        both = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([offsets, -offsets])
        return build_graph(*both, self.kinds, float(self.cutoffs.max()), slots)

    def with_active(self, nearest: np.ndarray) -> PairList:
        """Make active every pair whose nearest approach to its cutoff, (P,) Angstrom, fell below the margin."""
        return dataclasses.replace(self, active=self.active | (nearest[: len(self.i)] < MARGIN))

    def remembering(self, earlier: PairList) -> PairList:
        """Keep active what an earlier list had learned, while the pair is still near (``REMEMBER``)."""
        near = (
            np.linalg.norm(self.reference[self.j] + self.offsets - self.reference[self.i], axis=1)
            < self.cutoffs + REMEMBER
        )
        learned = np.isin(self._keys(), earlier._keys()[earlier.active])
        return dataclasses.replace(self, active=self.active | (learned & near))

    def _keys(self) -> np.ndarray:
        """One number per pair and image, the same for every list of the same cell."""
        image = np.round(self.offsets @ np.array([1.0, 61.0, 3721.0]), 3)
        return (self.i * len(self.kinds) + self.j) * 1e7 + image


def candidate_pairs(atoms: Atoms, species: tuple[str, ...], switching: np.ndarray, skin: float) -> PairList:
    """Candidates within cutoff + ``WIDE``; active are those within cutoff + ``skin`` (Angstrom) now."""
    outer = switching[..., 1]
    i, j, offsets = pairs_within(atoms, species, outer + WIDE)
    upper = (i < j) | ((i == j) & (offsets @ np.array([1.0, 1e-3, 1e-6]) > 0.0))
    i, j, offsets = i[upper], j[upper], offsets[upper]
    kinds = species_indices(atoms, species)
    cutoffs = outer[kinds[i], kinds[j]]
    distances = np.linalg.norm(atoms.positions[j] + offsets - atoms.positions[i], axis=1)
    return PairList(atoms.positions.copy(), i, j, offsets, cutoffs, distances < cutoffs + skin, kinds)


def nearest_approach(positions: jax.Array, velocities: jax.Array, interval: jax.Array, watch: Watch) -> jax.Array:
    """How near every watched pair gets to its cutoff within an interval (ps) at its present speed, (P,) Angstrom.

    Plus infinity where there is nothing to watch.
    """
    places, speeds = positions.T, velocities.T
    vectors = places[:, watch.j] + watch.offsets - places[:, watch.i]
    distance = jnp.sqrt(jnp.sum(vectors**2, axis=0))
    radial = jnp.sum(vectors * (speeds[:, watch.j] - speeds[:, watch.i]), axis=0) / jnp.maximum(distance, 1e-6)
    return distance - watch.cutoffs - interval * jnp.abs(radial)


def largest_displacement(positions: jax.Array, watch: Watch) -> jax.Array:
    """How far the farthest atom is from where the candidates were listed, Angstrom."""
    return jnp.sqrt(jnp.max(jnp.sum((positions - watch.reference) ** 2, axis=1)))
