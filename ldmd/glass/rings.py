"""Rings of a bond network, counted by the shortest-path rule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from ldmd.glass.network import Network

LARGEST_RING = 8


def ring_statistics(network: Network, largest: int = LARGEST_RING) -> dict[int, float]:
    """Shortest-path rings per node, for sizes 3 to ``largest``.

    A closed path is such a ring when the network offers no short cut between any two of its nodes (Franzblau,
    Phys. Rev. B 44, 4925 (1991)). Diamond has two six-membered rings per node. Paths that close only through
    the periodic boundary are no rings.

    Parameters
    ----------
    network
        Any network; the edge of its cell should exceed ``largest`` / 2 second-neighbour distances.
    largest
        Size of the largest rings that are counted, at least 3.

    Returns
    -------
    dict
        Size -> number of rings per node.
    """
    distances = _graph_distances(network)
    neighbours = _neighbours(network)
    steps = _steps(network)
    counts = dict.fromkeys(range(3, largest + 1), 0)
    seen: set[frozenset[int]] = set()
    for root in range(network.size):
        for ring in _rings_through(root, largest, distances, neighbours):
            members = frozenset(ring)
            if members in seen:
                continue
            seen.add(members)
            if _is_shortest(ring, distances) and _closes(ring, steps, network.cell_length):
                counts[len(ring)] += 1
    return {size: count / network.size for size, count in counts.items()}


def _graph_distances(network: Network) -> NDArray[np.int64]:
    """Number of bonds (n, n) on the shortest path between any two nodes; n where there is none."""
    first, second = network.bonds.T
    graph = csr_array((np.ones(len(first)), (first, second)), shape=(network.size, network.size))
    distances = shortest_path(graph, directed=False, unweighted=True)
    return np.where(np.isfinite(distances), distances, network.size).astype(np.int64)


def _neighbours(network: Network) -> list[list[int]]:
    neighbours: list[list[int]] = [[] for _ in range(network.size)]
    for one, other in network.bonds.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    return neighbours


def _steps(network: Network) -> dict[tuple[int, int], NDArray[np.float64]]:
    """The vector along each bond, both ways."""
    steps: dict[tuple[int, int], NDArray[np.float64]] = {}
    for (one, other), vector in zip(network.bonds.tolist(), network.bond_vectors(), strict=True):
        steps[one, other], steps[other, one] = vector, -vector
    return steps


def _shortest_paths(
    root: int, target: int, distances: NDArray[np.int64], neighbours: list[list[int]]
) -> list[list[int]]:
    """Every shortest path, from ``root`` to ``target``, both included."""
    if root == target:
        return [[root]]
    before = [node for node in neighbours[target] if distances[root, node] == distances[root, target] - 1]
    return [[*path, target] for node in before for path in _shortest_paths(root, node, distances, neighbours)]


def _rings_through(
    root: int, largest: int, distances: NDArray[np.int64], neighbours: list[list[int]]
) -> Iterator[list[int]]:
    """Candidates: two shortest paths from ``root`` that meet only at a far node (even) or far bond (odd)."""
    for far in np.flatnonzero((distances[root] >= 1) & (distances[root] <= largest // 2)).tolist():
        away = distances[root, far]
        paths = _shortest_paths(root, far, distances, neighbours)
        if away >= 2:
            for index, one in enumerate(paths):
                for other in paths[:index]:
                    if not set(one[1:-1]) & set(other[1:-1]):
                        yield one + other[-2:0:-1]
        if 2 * away + 1 > largest:
            continue
        for beyond in neighbours[far]:
            if beyond > far and distances[root, beyond] == away:
                for other in _shortest_paths(root, beyond, distances, neighbours):
                    for one in paths:
                        if not set(one[1:]) & set(other[1:]):
                            yield one + other[:0:-1]


def _is_shortest(ring: list[int], distances: NDArray[np.int64]) -> bool:
    """Whether no two nodes of the ring are closer in the network than along the ring."""
    place = np.arange(len(ring))
    apart = np.abs(place[:, None] - place)
    return bool(np.all(distances[np.ix_(ring, ring)] == np.minimum(apart, len(ring) - apart)))


def _closes(ring: list[int], steps: dict[tuple[int, int], NDArray[np.float64]], cell_length: float) -> bool:
    """Whether the bonds of the ring add up to nothing and not to a lattice vector."""
    total = sum(steps[one, other] for one, other in zip(ring, ring[1:] + ring[:1], strict=True))
    return bool(np.max(np.abs(total)) < 0.5 * cell_length)
