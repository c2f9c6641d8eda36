"""The energy of a network knows no origin, no axes and no labels; switches leave every node four bonds."""

from __future__ import annotations

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmd.glass import Network, diamond_network, keating_energy, keating_forces, ring_statistics
from ldmd.glass.network import bonds_of, pairing, switch

seeds = st.integers(0, 2**32 - 1)
moderate = settings(max_examples=25, deadline=None)
ROTATIONS = [
    np.eye(3)[list(order)] * np.array(signs)[:, None]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


def shaken(seed: int) -> Network:
    diamond = diamond_network(64)
    noise = 0.15 * np.random.default_rng(seed).normal(size=diamond.positions.shape)
    return dataclasses.replace(diamond, positions=diamond.positions + noise)


@moderate
@given(seeds, st.sampled_from(ROTATIONS))
def test_rotations_of_the_cube(seed: int, rotation: np.ndarray) -> None:
    network = shaken(seed)
    turned = dataclasses.replace(network, positions=network.positions @ rotation.T)
    assert keating_energy(turned) == pytest.approx(keating_energy(network), rel=1e-12)
    assert keating_forces(turned) == pytest.approx(keating_forces(network) @ rotation.T, abs=1e-10)


@moderate
@given(seeds, st.tuples(*[st.floats(-50.0, 50.0)] * 3))
def test_translation_and_wrapping(seed: int, shift: tuple[float, float, float]) -> None:
    network = shaken(seed)
    moved = dataclasses.replace(network, positions=np.mod(network.positions + shift, network.cell_length))
    assert keating_energy(moved) == pytest.approx(keating_energy(network), rel=1e-11)


@moderate
@given(seeds)
def test_labels(seed: int) -> None:
    network = shaken(seed)
    generator = np.random.default_rng(seed)
    order = generator.permutation(network.size)
    new_label = np.argsort(order)
    bonds = generator.permutation(generator.permuted(new_label[network.bonds], axis=1))
    relabelled = Network(network.positions[order], network.cell_length, bonds)
    assert keating_energy(relabelled) == pytest.approx(keating_energy(network), rel=1e-12)
    assert keating_forces(relabelled) == pytest.approx(keating_forces(network)[order], abs=1e-10)


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_rings_know_no_labels(seed: int) -> None:
    diamond = diamond_network(64)
    partner = jnp.asarray(pairing(diamond.bonds, 64))
    switched = dataclasses.replace(diamond, bonds=bonds_of(switch(partner, partner[5], 8)))
    order = np.random.default_rng(seed).permutation(64)
    relabelled = Network(diamond.positions[order], diamond.cell_length, np.argsort(order)[switched.bonds])
    assert ring_statistics(relabelled) == ring_statistics(switched)


@moderate
@given(seeds)
def test_pairings_stay_pairings(seed: int) -> None:
    generator = np.random.default_rng(seed)
    partner = jnp.asarray(pairing(diamond_network(64).bonds, 64))
    for _ in range(10):
        first, second = generator.choice(256, 2, replace=False)
        if partner[first] == second:
            continue
        switched = np.asarray(switch(partner, first, second))
        assert np.array_equal(switched[switched], np.arange(256))
        assert not np.any(switched == np.arange(256))
        assert np.array_equal(switch(jnp.asarray(switched), first, partner[first]), partner)
        partner = jnp.asarray(switched)
    assert np.all(np.bincount(bonds_of(partner).ravel(), minlength=64) == 4)


@moderate
@given(seeds)
def test_bonds_survive_the_way_through_half_bonds(seed: int) -> None:
    bonds = diamond_network(64).bonds
    shuffled = np.random.default_rng(seed).permutation(bonds)
    assert np.array_equal(bonds_of(pairing(shuffled, 64)), bonds)
