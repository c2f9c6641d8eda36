"""Which pairs the dynamics must evaluate: few, and verified instead of assumed.

A Verlet list with a skin must be rebuilt as soon as any atom has moved by half the skin. Atoms of a solid vibrate by
that much all the time without ever meeting anybody new, and every listed pair that does not interact costs work.
Here a wide list of *candidates* is only watched (one distance each, every few steps) and a narrow list of *active*
pairs is evaluated. Steps count only if no watched pair, at its present speed, can have come near its cutoff since the
last look; otherwise they are done again with that pair active. Pairs expected near it at the next look are made active
in time, so that this is rare. In a solid whose cutoffs lie between shells of neighbours the active list soon stops
growing; where every cutoff is crossed all the time, the list is chosen anew instead.

A potential may have layers: a part of it, usually the costly one, that sees only pairs within a shorter cutoff. Then
active pairs beyond that cutoff are watched in their turn, and the edges within it fill the first slots of each site.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.force_constants.sites import slots_in_order
from ldmd.potentials.base import LayeredPotential, Parameters, SitePotential, graph_parameters
from ldmd.structures import NeighbourGraph, build_graph, pairs_within, species_indices

WIDE = 4.0
"""Skin of the candidates, Angstrom: they are complete until some atom has moved by half of it."""
MARGIN = 0.05
"""How near to its cutoff an unevaluated pair may have been since the last look, or be at the next one, Angstrom."""
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
    """(P,) Angstrom, beyond which the pair has no part in what it is not evaluated for; minus infinity if none."""


@dataclasses.dataclass(frozen=True)
class PairList:
    """Candidate pairs (each once) around reference positions, and which of them are active."""

    reference: np.ndarray
    i: np.ndarray
    j: np.ndarray
    offsets: np.ndarray
    cutoffs: np.ndarray
    """(P, L) Angstrom, of the whole potential and of its layers of shorter range."""
    active: np.ndarray
    """(P,) in how many layers the pair is evaluated; in none if 0."""
    kinds: np.ndarray

    def watch(self, length: int) -> Watch:
        """What to watch, filled up to ``length`` pairs (at least the candidates) so that compiled code is reused."""
        missing = length - len(self.i)

        def pad(values: np.ndarray) -> np.ndarray:
            return np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))

        next_layer = np.pad(self.cutoffs, [(0, 0), (0, 1)], constant_values=-np.inf)
        cutoffs = np.full(len(self.i) + missing, -np.inf)
        cutoffs[: len(self.i)] = np.take_along_axis(next_layer, self.active[:, None], axis=1)[:, 0]
        return Watch(self.reference, pad(self.i), pad(self.j), pad(self.offsets).T.copy(), cutoffs)

    def graph(self, slots: Sequence[int] = ()) -> NeighbourGraph:
        """Both directions of the active pairs as a graph whose blocks have at least ``slots`` edges per atom.

        Edges of the innermost layer come first.
        """
        i, j, offsets = self._both_directions(self.active > 0)
        graph = build_graph(i, j, offsets, self.kinds, float(self.cutoffs.max()), tuple(slots))
        if self.cutoffs.shape[1] == 1:
            return graph
        return _with_first(graph, self._in_core(graph))

    def core_widths(self, graph: NeighbourGraph) -> tuple[int, ...]:
        """How many of the first slots of each block hold edges of the innermost layer; nothing without layers."""
        if self.cutoffs.shape[1] == 1:
            return ()
        return tuple(max(1, int(inside.sum(axis=0).max())) for inside in self._in_core(graph))

    def _in_core(self, graph: NeighbourGraph) -> list[np.ndarray]:
        """For each block which edges (M, n) belong to the innermost layer."""
        core = _keys(*self._both_directions(self.active == self.cutoffs.shape[1]), len(self.kinds))
        return [
            np.isin(_keys(b.centres, b.neighbours, b.offsets.transpose(1, 2, 0), len(self.kinds)), core) & b.present
            for b in graph.blocks
        ]

    def _both_directions(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        i, j, offsets = self.i[chosen], self.j[chosen], self.offsets[chosen]
        return np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([offsets, -offsets])

    def with_active(self, met: np.ndarray) -> PairList:
        """Promote every pair that was met, (P,), by one layer, for good."""
        return dataclasses.replace(self, active=self.active + met[: len(self.i)])

    def refreshed(self, positions: np.ndarray, skin: float, least: np.ndarray | int = 0) -> PairList:
        """The same candidates, active if within cutoff + ``skin`` (Angstrom) at positions (N, 3).

        ``least`` gives the number of layers, (P,) or one for all, in which pairs are evaluated anyway.
        """
        return dataclasses.replace(self, active=np.maximum(self._layers_within(positions, skin), least))

    def closest(self, positions: np.ndarray) -> float:
        """Smallest distance of two candidates at positions (N, 3), Angstrom; infinite without candidates."""
        vectors = positions[self.j] + self.offsets - positions[self.i]
        return float(np.sqrt(np.sum(vectors**2, axis=1)).min(initial=np.inf))

    def _layers_within(self, positions: np.ndarray, skin: float) -> np.ndarray:
        vectors = positions[self.j] + self.offsets - positions[self.i]
        return np.sum(np.linalg.norm(vectors, axis=1)[:, None] < self.cutoffs + skin, axis=1)

    def remembering(self, earlier: PairList) -> PairList:
        """Keep active what an earlier list had learned, while the pair is still near (``REMEMBER``)."""
        near = self._layers_within(self.reference, REMEMBER)
        known = _keys(earlier.i, earlier.j, earlier.offsets, len(self.kinds))
        order = np.argsort(known)
        wanted = _keys(self.i, self.j, self.offsets, len(self.kinds))
        place = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
        learned = np.where(known[place] == wanted, earlier.active[place], 0)
        return dataclasses.replace(self, active=np.maximum(self.active, np.minimum(learned, near)))


def _keys(i: np.ndarray, j: np.ndarray, offsets: np.ndarray, count: int) -> np.ndarray:
    """One number per pair and image, the same for every list of the same cell of ``count`` atoms."""
    return np.asarray((i * count + j) * 1e7 + np.round(offsets @ np.array([1.0, 61.0, 3721.0]), 3))


def _with_first(graph: NeighbourGraph, chosen: list[np.ndarray]) -> NeighbourGraph:
    """The same edges, the chosen ones (M, n) of each block in its first slots."""
    blocks, place, start = [], [], 0
    for block, first in zip(graph.blocks, chosen, strict=True):
        order = np.argsort(np.where(first, 0, np.where(block.present, 1, 2)), axis=0, kind="stable")
        blocks.append(slots_in_order(block, order))
        slots, count = order.shape
        place.append((start + np.argsort(order, axis=0) * count + np.arange(count)).ravel())
        start += slots * count
    return dataclasses.replace(
        graph, blocks=tuple(blocks), incoming=np.append(np.concatenate(place), start)[graph.incoming]
    )


def layered_parameters(
    potential: SitePotential, graph: NeighbourGraph, core_widths: tuple[int, ...]
) -> tuple[Parameters, ...]:
    """Parameters of every block; for a layered potential with the widths of the blocks' cores."""
    if not (core_widths and isinstance(potential, LayeredPotential)):
        return graph_parameters(potential, graph)
    return tuple(potential.parameters(block, width) for block, width in zip(graph.blocks, core_widths, strict=True))


def candidate_pairs(
    atoms: Atoms, species: tuple[str, ...], switching: np.ndarray, skin: float, core: np.ndarray | None = None
) -> PairList:
    """Candidates within cutoff + ``WIDE``; active are those within cutoff + ``skin`` (Angstrom) now.

    ``core`` is the shorter cutoff (S, S) of a layer, if there is one.
    """
    layers = np.stack([switching[..., 1]] if core is None else [switching[..., 1], core], axis=-1)
    i, j, offsets = pairs_within(atoms, species, layers[..., 0] + WIDE)
    upper = (i < j) | ((i == j) & (offsets @ np.array([1.0, 1e-3, 1e-6]) > 0.0))
    i, j, offsets = i[upper], j[upper], offsets[upper]
    kinds = species_indices(atoms, species)
    cutoffs = layers[kinds[i], kinds[j]]
    none = np.zeros(len(i), dtype=int)
    return PairList(atoms.positions.copy(), i, j, offsets, cutoffs, none, kinds).refreshed(atoms.positions, skin)


def encounters(
    positions: jax.Array, velocities: jax.Array, interval: jax.Array, watch: Watch
) -> tuple[jax.Array, jax.Array]:
    """Which watched pairs (P,) may have been near their cutoff since the last look, and which may be at the next.

    Looks are an interval (ps) apart; pairs are taken to move at their present speed. Anything not a number counts.
    """
    places, speeds = positions.T, velocities.T
    vectors = places[:, watch.j] + watch.offsets - places[:, watch.i]
    distance = jnp.sqrt(jnp.sum(vectors**2, axis=0))
    radial = jnp.sum(vectors * (speeds[:, watch.j] - speeds[:, watch.i]), axis=0) / jnp.maximum(distance, 1e-6)
    gap = distance - watch.cutoffs
    before = gap - interval * jnp.maximum(radial, 0.0)
    ahead = gap + interval * jnp.minimum(radial, 0.0)
    return ~(before > MARGIN), ~(ahead > MARGIN)


def largest_displacement(positions: jax.Array, watch: Watch) -> jax.Array:
    """How far the farthest atom is from where the candidates were listed, Angstrom."""
    return jnp.sqrt(jnp.max(jnp.sum((positions - watch.reference) ** 2, axis=1)))
