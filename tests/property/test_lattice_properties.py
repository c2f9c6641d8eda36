"""Modes, statistics and conductivities of random small systems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crystal import random_modes, random_second
from scipy import integrate

from ldmd.errors import InputError
from ldmd.lattice.conductivity import mode_diffusivity, quasi_harmonic_green_kubo
from ldmd.lattice.modes import Modes, density_of_states, normal_modes, species_weights, velocity_matrices
from ldmd.lattice.statistics import STATISTICS, BoseEinstein, Classical, statistics_named
from ldmd.structures import minimum_image
from ldmd.units import BOLTZMANN, CONDUCTIVITY, FORCE_TO_ACCELERATION, HBAR

seeds = st.integers(min_value=0, max_value=2**32 - 1)
frequencies = st.floats(0.05, 400.0)
temperatures = st.floats(1.0, 5000.0)
CELL = np.array([[9.0, 0.0, 0.0], [2.0, 10.0, 0.0], [-1.0, 3.0, 11.0]])
VOLUME = float(np.linalg.det(CELL))


def random_positions(atoms: int, generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(size=(atoms, 3)) @ CELL


@given(frequencies, frequencies, temperatures)
def test_two_mode_heat_capacity(first: float, second: float, temperature: float) -> None:
    """Symmetric, finite at any temperature, and the formula with occupations wherever that does not cancel."""
    quantum = BoseEinstein()
    found = float(quantum.heat_capacity(np.array(first), np.array(second), temperature))
    assert found == pytest.approx(
        float(quantum.heat_capacity(np.array(second), np.array(first), temperature)), rel=1e-13
    )
    assert 0.0 <= found <= BOLTZMANN * (1.0 + 1e-12)
    x, y = (HBAR * w / (BOLTZMANN * temperature) for w in (first, second))
    if abs(x - y) > 1e-3 * max(x, y) and 1e-3 < min(x, y) and max(x, y) < 300.0:
        occupations = 1.0 / np.expm1(x), 1.0 / np.expm1(y)
        naive = HBAR * first * second / temperature * (occupations[0] - occupations[1]) / (second - first)
        assert found == pytest.approx(naive, rel=1e-9)


@given(frequencies, temperatures)
def test_heat_capacity_of_one_mode(frequency: float, temperature: float) -> None:
    """On the diagonal k_B (x/2 / sinh(x/2))^2, and continuous towards it."""
    quantum, half = BoseEinstein(), 0.5 * HBAR * frequency / (BOLTZMANN * temperature)
    expected = BOLTZMANN * (half / np.sinh(half)) ** 2 if half < 300.0 else 0.0
    own = float(quantum.heat_capacity(np.array(frequency), np.array(frequency), temperature))
    assert own == pytest.approx(expected, rel=1e-10, abs=1e-200)
    beside = float(quantum.heat_capacity(np.array(frequency), np.array(frequency * (1.0 + 1e-9)), temperature))
    assert beside == pytest.approx(own, rel=1e-6, abs=1e-200)


@given(frequencies, frequencies)
def test_statistics_meet_at_high_temperature(first: float, second: float) -> None:
    pair = np.array(first), np.array(second)
    assert float(BoseEinstein().heat_capacity(*pair, 1e7)) == pytest.approx(BOLTZMANN, rel=1e-6)
    assert float(Classical().heat_capacity(*pair, 1.0)) == BOLTZMANN
    quanta = (float(kind.occupation(pair[0], 1e7)) for kind in (BoseEinstein(), Classical()))
    assert next(quanta) + 0.5 == pytest.approx(next(quanta), rel=1e-6)


def test_nothing_overflows_in_the_cold() -> None:
    stiff = np.array([1.0, 250.0, 1000.0])
    assert np.all(np.isfinite(BoseEinstein().occupation(stiff, 1.0)))
    assert np.all(np.isfinite(BoseEinstein().heat_capacity(stiff[:, None], stiff[None, :], 1.0)))
    assert set(STATISTICS) == {"bose-einstein", "classical"}
    with pytest.raises(InputError, match="choose from"):
        statistics_named("fermi-dirac")


@settings(max_examples=25)
@given(seeds, st.integers(2, 6))
def test_normal_modes(seed: int, atoms: int) -> None:
    generator = np.random.default_rng(seed)
    second, masses = random_second(atoms, generator), generator.uniform(5.0, 40.0, size=atoms)
    modes = normal_modes(second, masses)
    dynamical = second.mass_weighted(masses) * FORCE_TO_ACCELERATION
    squares = np.sign(modes.frequencies) * modes.frequencies**2
    scale = np.abs(squares).max()
    np.testing.assert_allclose(dynamical @ modes.eigenvectors, modes.eigenvectors * squares, atol=1e-10 * scale)
    np.testing.assert_allclose(modes.eigenvectors.T @ modes.eigenvectors, np.eye(3 * atoms), atol=1e-12)
    assert np.all(np.diff(modes.frequencies) >= 0.0)
    assert np.all((modes.participation_ratio > 0.99 / atoms) & (modes.participation_ratio < 1.0 + 1e-12))
    assert np.abs(modes.frequencies[modes.translations]).max() < 1e-4
    assert modes.vibrating.sum() == 3 * atoms - 3
    shares = [species_weights(modes, np.arange(atoms) % 2 == parity) for parity in (0, 1)]
    np.testing.assert_allclose(sum(shares), 1.0, rtol=1e-12)


def test_translations_are_found_below_and_among_imaginary_modes() -> None:
    """A negative direction lies below them; the three lowest would be the wrong three."""
    generator = np.random.default_rng(6)
    second, masses = random_second(4, generator), np.array([10.0, 20.0, 30.0, 15.0])
    modes = normal_modes(second, masses)
    soft = modes.eigenvectors[:, 3] * np.sqrt(np.repeat(masses, 3))
    pushed = second.matrix.toarray() - 2.0 * modes.frequencies[3] ** 2 / FORCE_TO_ACCELERATION * np.outer(soft, soft)
    broken = normal_modes(type(second)(type(second.matrix)(pushed)), masses)
    np.testing.assert_array_equal(broken.imaginary, [0])
    np.testing.assert_array_equal(broken.translations, [1, 2, 3])
    assert not broken.vibrating[:4].any() and broken.vibrating[4:].all()


@settings(max_examples=25)
@given(seeds, st.integers(3, 6), st.tuples(*[st.floats(-50.0, 50.0)] * 3))
def test_velocity_matrices(seed: int, atoms: int, shift: tuple[float, float, float]) -> None:
    """Antisymmetric, blind to the place of the cut, and the double sum over atoms."""
    generator = np.random.default_rng(seed)
    second, masses = random_second(atoms, generator), generator.uniform(5.0, 40.0, size=atoms)
    modes, positions = normal_modes(second, masses), random_positions(atoms, generator)
    velocities = velocity_matrices(second, modes, positions, CELL)
    largest = np.abs(velocities).max()
    np.testing.assert_array_equal(velocities, -velocities.transpose(0, 2, 1))
    fractional = (positions + shift) @ np.linalg.inv(CELL)
    wrapped = (fractional - np.floor(fractional)) @ CELL
    np.testing.assert_allclose(
        velocity_matrices(second, modes, wrapped, CELL), velocities, rtol=0.0, atol=1e-9 * largest
    )
    assert np.all(velocities[:, ~modes.vibrating] == 0.0)
    dense = second.mass_weighted(masses) * FORCE_TO_ACCELERATION
    m, n = 3, 3 * atoms - 1
    for axis in range(3):
        total = 0.0
        for i, j in np.ndindex(atoms, atoms):
            block = dense[3 * i : 3 * i + 3, 3 * j : 3 * j + 3]
            separation = minimum_image(positions[i] - positions[j], CELL)[axis]
            total += (
                separation * modes.eigenvectors[3 * i : 3 * i + 3, m] @ block @ modes.eigenvectors[3 * j : 3 * j + 3, n]
            )
        expected = total / (2.0 * np.sqrt(modes.frequencies[m] * modes.frequencies[n]))
        assert velocities[axis, m, n] == pytest.approx(expected, abs=1e-9 * largest)


def conductivity_case(seed: int, atoms: int = 5) -> tuple[Modes, np.ndarray]:
    generator = np.random.default_rng(seed)
    modes = random_modes(atoms, generator)
    velocities = generator.normal(size=(3, 3 * atoms, 3 * atoms))
    return modes, velocities - velocities.transpose(0, 2, 1)


@settings(max_examples=20)
@given(seeds, st.sampled_from(["bose-einstein", "classical"]), st.floats(5.0, 2000.0))
def test_green_kubo_is_the_double_sum(seed: int, name: str, temperature: float) -> None:
    modes, velocities = conductivity_case(seed)
    gamma = np.random.default_rng(seed + 1).uniform(0.01, 30.0, size=15)
    kind = statistics_named(name)
    found = quasi_harmonic_green_kubo(modes, velocities, gamma, kind, temperature, VOLUME)
    expected = np.zeros((3, 3))
    for m in np.flatnonzero(modes.vibrating):
        for n in np.flatnonzero(modes.vibrating):
            width, apart = gamma[m] + gamma[n], modes.frequencies[m] - modes.frequencies[n]
            capacity = kind.heat_capacity(modes.frequencies[m], modes.frequencies[n], temperature)
            expected += capacity * np.outer(velocities[:, m, n], velocities[:, m, n]) * width / (width**2 + apart**2)
    expected *= CONDUCTIVITY / VOLUME
    np.testing.assert_allclose(found.total, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    assert found.per_mode.sum() == pytest.approx(np.trace(found.total) / 3.0, rel=1e-12)
    assert np.linalg.eigvalsh(found.total).min() >= 0.0
    assert np.all(found.intraband == 0.0)


@settings(max_examples=20)
@given(seeds)
def test_broad_modes_conduct_as_one_over_the_width(seed: int) -> None:
    """gamma far above all frequencies: tau = 1 / 2 gamma for every pair, classical kappa = k_B sum v^2 tau / V."""
    modes, velocities = conductivity_case(seed)
    gamma = 1e7
    found = quasi_harmonic_green_kubo(modes, velocities, np.full(15, gamma), Classical(), 300.0, VOLUME)
    inside = velocities[:, modes.vibrating][:, :, modes.vibrating]
    expected = CONDUCTIVITY / VOLUME * BOLTZMANN * np.einsum("amn,bmn->ab", inside, inside) / (2.0 * gamma)
    np.testing.assert_allclose(found.total, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


@settings(max_examples=20)
@given(seeds, st.floats(1e-3, 5.0))
def test_one_width_for_all_is_allen_and_feldman(seed: int, width: float) -> None:
    """Classically kappa = k_B sum_m D_m / V with the diffusivities of the same width, mode by mode."""
    modes, velocities = conductivity_case(seed)
    found = quasi_harmonic_green_kubo(modes, velocities, np.full(15, width), Classical(), 300.0, VOLUME)
    diffusivity = mode_diffusivity(modes, velocities, width)
    np.testing.assert_allclose(found.per_mode, CONDUCTIVITY / VOLUME * BOLTZMANN * diffusivity, rtol=1e-10)
    assert np.all(diffusivity[~modes.vibrating] == 0.0)


def test_a_small_width_is_the_delta_function_of_allen_and_feldman() -> None:
    """The Lorentzian of the pair integrates to pi: D summed over a dense band is (pi/3) v^2 times its density."""
    count, spacing, width = 3001, 1e-3, 0.02
    frequencies = 10.0 + spacing * np.arange(count)
    modes = Modes(frequencies, np.zeros((count, 1)), np.zeros(count), np.array([0, 1, 2]), np.ones(1))
    velocities = np.ones((3, count, count))
    middle = mode_diffusivity(modes, velocities, width)[count // 2]
    reach = 0.5 * spacing * count
    kept = 2.0 * np.arctan(reach / (2.0 * width)) / np.pi
    assert middle == pytest.approx(np.pi / spacing * kept, rel=2e-3)


def test_vanishing_width_gives_no_conductivity_and_no_nan() -> None:
    modes, velocities = conductivity_case(2)
    found = quasi_harmonic_green_kubo(modes, velocities, np.zeros(15), Classical(), 300.0, VOLUME)
    assert np.all(found.total == 0.0)


@settings(max_examples=10)
@given(seeds)
def test_density_of_states_integrates_to_one_and_splits_by_species(seed: int) -> None:
    modes = random_modes(6, np.random.default_rng(seed))
    grid = np.linspace(-20.0, modes.frequencies[-1] + 20.0, 20_001)
    total = density_of_states(modes, grid, 2.0)
    even = np.arange(6) % 2 == 0
    parts = [density_of_states(modes, grid, 2.0, species_weights(modes, members)) for members in (even, ~even)]
    inside = integrate.trapezoid(total, grid)
    assert inside == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(parts[0] + parts[1], total, rtol=1e-10, atol=1e-15)
