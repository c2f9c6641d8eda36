"""Springs, switches, rings and bridges of the network builder, each against what is known of it."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from scipy import constants

from ldmd.errors import InputError
from ldmd.glass import (
    Network,
    bond_angle_spread_degrees,
    bond_angles_degrees,
    continuous_random_network,
    crystal_memory,
    decorate_with_bridges,
    diamond_network,
    elemental,
    keating_energy,
    keating_forces,
    ring_statistics,
)
from ldmd.glass.build import _decorated
from ldmd.glass.keating import ALPHA, BETA, BOND_LENGTH, relax
from ldmd.glass.network import bonds_of, pairing, switch


def shaken(amplitude: float = 0.2, seed: int = 3) -> Network:
    diamond = diamond_network(64)
    noise = amplitude * np.random.default_rng(seed).normal(size=diamond.positions.shape)
    return dataclasses.replace(diamond, positions=diamond.positions + noise)


def energy_from_the_sums(network: Network) -> float:
    """The two sums of Keating's energy, written with loops."""
    stars: list[list[np.ndarray]] = [[] for _ in range(network.size)]
    for (one, other), vector in zip(network.bonds, network.bond_vectors(), strict=True):
        stars[one].append(vector)
        stars[other].append(-vector)
    energy = 0.0
    for star in stars:
        for j in range(4):
            energy += 3 / 16 * ALPHA / BOND_LENGTH**2 * (star[j] @ star[j] - BOND_LENGTH**2) ** 2
            for k in range(j):
                energy += 3 / 8 * BETA / BOND_LENGTH**2 * (star[j] @ star[k] + BOND_LENGTH**2 / 3) ** 2
    return energy


@pytest.mark.parametrize("nodes", [64, 216])
def test_diamond_is_the_unstrained_network(nodes: int) -> None:
    diamond = diamond_network(nodes)
    assert diamond.bonds.shape == (2 * nodes, 2)
    assert np.linalg.norm(diamond.bond_vectors(), axis=1) == pytest.approx(BOND_LENGTH, rel=1e-12)
    assert bond_angles_degrees(diamond) == pytest.approx(109.4712206, abs=1e-6)
    assert keating_energy(diamond) == pytest.approx(0.0, abs=1e-20)
    assert np.max(np.abs(keating_forces(diamond))) < 1e-12


def test_energy_is_the_two_sums() -> None:
    network = shaken()
    assert keating_energy(network) == pytest.approx(energy_from_the_sums(network), rel=1e-12)


def test_forces_are_minus_the_gradient() -> None:
    network, step = shaken(), 1e-4
    forces = keating_forces(network)
    for node, axis in [(0, 0), (17, 1), (63, 2)]:
        move = np.zeros_like(forces)
        move[node, axis] = step
        ahead = keating_energy(dataclasses.replace(network, positions=network.positions + move))
        behind = keating_energy(dataclasses.replace(network, positions=network.positions - move))
        assert forces[node, axis] == pytest.approx((behind - ahead) / (2 * step), abs=1e-6)
    assert np.sum(forces, axis=0) == pytest.approx(0.0, abs=1e-11)


def test_bulk_modulus_is_that_of_keating_silicon() -> None:
    diamond, step = diamond_network(64), 1e-4
    energies = [
        keating_energy(Network(diamond.positions * scale, diamond.cell_length * scale, diamond.bonds))
        for scale in (1 - step, 1 + step)
    ]
    modulus = sum(energies) / step**2 / (9 * diamond.cell_length**3)
    assert modulus == pytest.approx(np.sqrt(3) * (3 * ALPHA + BETA) / (12 * BOND_LENGTH), rel=1e-6)
    assert modulus * constants.e * 1e21 == pytest.approx(96, abs=1)


def test_a_switch_keeps_four_bonds_and_undoes_itself() -> None:
    before = jnp.asarray(pairing(diamond_network(64).bonds, 64))
    cb = before[4]  # of the bond b-c from half-bond 4 of node 1
    ab, cd = before[5], cb // 4 * 4 + (cb + 1) % 4
    a, b, c, d = (int(half_bond) // 4 for half_bond in (ab, before[ab], cd, before[cd]))
    after = switch(before, ab, cd)
    old = {tuple(bond) for bond in bonds_of(before).tolist()}
    new = {tuple(bond) for bond in bonds_of(after).tolist()}
    assert old - new == {tuple(sorted((a, b))), tuple(sorted((c, d)))}
    assert new - old == {tuple(sorted((a, c))), tuple(sorted((b, d)))}
    assert np.all(np.bincount(bonds_of(after).ravel()) == 4)
    assert np.array_equal(switch(after, ab, before[ab]), before)


def test_diamond_has_two_rings_of_six_per_node_and_remembers_itself() -> None:
    diamond = diamond_network(64)
    assert ring_statistics(diamond) == {3: 0.0, 4: 0.0, 5: 0.0, 6: 2.0, 7: 0.0, 8: 0.0}
    # {111} scatters with |1 + i|^2 / 4 = 1/2 of the full strength, {220} with all of it: (8/2 + 12) / 20.
    assert crystal_memory(diamond) == pytest.approx(0.8, rel=1e-12)


def test_one_switch_makes_rings_of_five_and_seven() -> None:
    """As in the first figure of Wooten, Winer & Weaire: no ring becomes smaller than five."""
    diamond = diamond_network(216)
    before = jnp.asarray(pairing(diamond.bonds, 216))
    after = bonds_of(switch(before, before[5], before[4] // 4 * 4 + (before[4] + 1) % 4))
    assert len(np.unique(after, axis=0)) == 432
    rings = ring_statistics(dataclasses.replace(diamond, bonds=after))
    assert rings[3] == rings[4] == 0.0
    assert rings[5] > 0.0 and rings[7] > 0.0 and rings[6] < 2.0


def test_a_relaxation_stops_only_when_it_is_hopeless() -> None:
    network = shaken()
    start = jnp.asarray(network.positions.T)
    partner = jnp.asarray(pairing(network.bonds, network.size))
    tries = {
        threshold: relax(start, network.cell_length, partner, threshold=threshold) for threshold in (np.inf, 1.0, -1.0)
    }
    assert float(tries[np.inf].energy) == pytest.approx(0.0, abs=1e-4)
    assert np.array_equal(tries[1.0].positions, tries[np.inf].positions)
    # An energy below zero cannot be reached: given up long before the minimum, and still above the threshold.
    assert float(tries[-1.0].energy) > 0.01


def test_bridges_bind_two_nodes_and_nodes_four_bridges() -> None:
    network = diamond_network(64)
    glass = decorate_with_bridges(network, "SiO2", 2.20)
    assert glass.get_chemical_symbols() == ["Si"] * 64 + ["O"] * 128
    grams = glass.get_masses().sum() * constants.atomic_mass * 1e3
    assert grams / (glass.get_volume() * 1e-24) == pytest.approx(2.20, rel=1e-12)
    distances = glass.get_all_distances(mic=True)[:64, 64:]
    half = 0.5 * BOND_LENGTH * glass.cell.lengths()[0] / network.cell_length
    bound = distances < 1.01 * half
    assert distances[bound] == pytest.approx(half, rel=1e-9)
    assert np.all(bound.sum(axis=1) == 4)
    assert np.all(bound.sum(axis=0) == 2)
    assert [tuple(np.flatnonzero(column)) for column in bound.T] == [tuple(bond) for bond in network.bonds]


def test_other_glasses_of_the_same_kind() -> None:
    glass = decorate_with_bridges(diamond_network(64), "GeO2", 3.65)
    assert glass.get_chemical_formula() == "Ge64O128"
    assert decorate_with_bridges(diamond_network(64), "F2Be", 2.0).get_chemical_symbols()[0] == "Be"


@pytest.mark.parametrize("formula", ["SiO", "Si", "SiO2H", "Si2O4", "silica", ""])
def test_other_formulas_are_refused(formula: str) -> None:
    with pytest.raises(InputError, match="formula"):
        decorate_with_bridges(diamond_network(64), formula)


@pytest.mark.parametrize("density", [0.0, -2.2, float("nan")])
def test_impossible_densities_are_refused(density: float) -> None:
    with pytest.raises(InputError, match="density"):
        decorate_with_bridges(diamond_network(64), density=density)


@pytest.mark.parametrize("nodes", [0, 8, 100, 215])
def test_impossible_sizes_are_refused(nodes: int) -> None:
    with pytest.raises(InputError, match="nodes"):
        continuous_random_network(nodes, 10, seed=0)


def test_no_trials_are_refused() -> None:
    with pytest.raises(InputError, match="trials"):
        continuous_random_network(64, 0, seed=0)


def test_a_missing_bond_is_named() -> None:
    diamond = diamond_network(64)
    with pytest.raises(InputError, match="node 0 has 3"):
        keating_energy(dataclasses.replace(diamond, bonds=diamond.bonds[1:]))


def test_angle_spread_is_zero_in_diamond_and_grows_with_disorder() -> None:
    spreads = [bond_angle_spread_degrees(shaken(amplitude)) for amplitude in (0.0, 0.1, 0.2)]
    assert spreads[0] == pytest.approx(0.0, abs=1e-5)
    assert spreads[0] < spreads[1] < spreads[2]


def test_one_element_stands_on_every_node_with_the_bonds_of_its_crystal() -> None:
    network = diamond_network(64)
    silicon, carbon = elemental(network, "Si"), elemental(network, "C")
    assert silicon.get_chemical_symbols() == ["Si"] * 64
    assert silicon.cell.array == pytest.approx(2 * 5.43 * np.eye(3))
    assert carbon.cell.array == pytest.approx(2 * 3.57 * np.eye(3))
    assert neighbour_distances(carbon) == pytest.approx(3.57 * np.sqrt(3.0) / 4.0)
    with pytest.raises(InputError, match="four bonds per atom suit C, Si, Ge; choose one of them"):
        elemental(network, "Cu")


def neighbour_distances(atoms: Atoms) -> np.ndarray:
    distances = atoms.get_all_distances(mic=True)
    return np.sort(distances, axis=1)[:, 1:5]


def test_a_glass_is_built_of_what_the_potential_knows() -> None:
    network = diamond_network(64)
    assert _decorated(network, ("Si",)).get_chemical_formula() == "Si64"
    assert _decorated(network, ("O", "Si")).get_chemical_formula() == "O128Si64"
    with pytest.raises(InputError, match="a glass is built of SiO2 or of a single element only"):
        _decorated(network, ("Ga", "N"))
