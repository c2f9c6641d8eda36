"""A short anneal of a small network goes where a long one goes."""

from __future__ import annotations

import numpy as np
import pytest

from ldmd.glass import (
    annealed,
    bond_angle_spread_degrees,
    continuous_random_network,
    crystal_memory,
    diamond_network,
    keating_energy,
    keating_forces,
    randomised,
    relaxed,
    ring_statistics,
)
from ldmd.glass.network import FORGOTTEN

NODES, TRIALS = 64, 1_500


@pytest.mark.statistical
@pytest.mark.parametrize("seed", [1, 2])
def test_annealing_heals_a_random_network(seed: int) -> None:
    generator = np.random.default_rng(seed)
    hot = randomised(diamond_network(NODES), generator)
    assert crystal_memory(hot) <= FORGOTTEN
    reports: list[tuple[int, int, float]] = []
    cold = annealed(hot, TRIALS, generator, lambda *report: reports.append(report))
    assert keating_energy(cold) < 0.7 * keating_energy(relaxed(hot))
    assert bond_angle_spread_degrees(cold) < bond_angle_spread_degrees(hot)
    assert ring_statistics(cold)[3] == ring_statistics(hot)[3] == 0.0
    assert len(np.unique(cold.bonds, axis=0)) == 2 * NODES
    assert np.all(np.bincount(cold.bonds.ravel()) == 4)
    assert np.max(np.abs(keating_forces(cold))) < 1e-4
    assert reports[-1][:2] == (TRIALS, TRIALS)
    assert reports[-1][2] == pytest.approx(keating_energy(cold) / NODES, abs=1e-4)
    assert [done for done, _, _ in reports] == sorted({done for done, _, _ in reports})


@pytest.mark.statistical
def test_the_seed_decides() -> None:
    """A number of trials that is no multiple of the sweep, so that the padding is tested too."""
    one, same, other = (continuous_random_network(NODES, 333, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.positions, same.positions) and np.array_equal(one.bonds, same.bonds)
    assert not np.array_equal(one.bonds, other.bonds)
