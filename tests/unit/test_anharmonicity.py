"""The anharmonicity score on forces whose score is known, and the sampling that feeds it."""

from __future__ import annotations

import numpy as np
import pytest
from random_crystal import random_modes, random_second, random_third

from ldmd.anharmonicity import displacements_from, score
from ldmd.dynamics.sampling import harmonic_displacements, mode_variances
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.lattice.statistics import BoseEinstein, Classical
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, HBAR

ATOMS = 5
SYMBOLS = ["Si", "Si", "O", "O", "O"]


def system(seed: int = 4) -> tuple:
    generator = np.random.default_rng(seed)
    second, masses = random_second(ATOMS, generator), generator.uniform(5.0, 40.0, size=ATOMS)
    return second, normal_modes(second, masses), random_third(ATOMS, generator)[1]


def cubic_forces(second: object, dense: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    flat = displacements.reshape(len(displacements), -1)
    bent = np.einsum("abc,ib,ic->ia", dense, flat, flat, optimize=True)
    return second.forces(displacements) - 0.5 * bent.reshape(displacements.shape)


def test_a_harmonic_force_has_no_score() -> None:
    second, modes, _ = system()
    displacements = harmonic_displacements(modes, Classical(), 300.0, 20, np.random.default_rng(0))
    groups, sigma, error = score(displacements, second.forces(displacements), second, SYMBOLS)
    assert groups == ("all", "Si", "O")
    np.testing.assert_allclose(sigma, 0.0, atol=1e-14)
    np.testing.assert_allclose(error, 0.0, atol=1e-14)


def test_forces_that_have_nothing_to_do_with_it_score_one() -> None:
    second, modes, _ = system()
    displacements = harmonic_displacements(modes, Classical(), 300.0, 5, np.random.default_rng(0))
    forces = np.random.default_rng(1).normal(size=displacements.shape)
    _, sigma, _ = score(1e-9 * displacements, forces, second, SYMBOLS)
    np.testing.assert_allclose(sigma, 1.0, rtol=1e-6)


def test_the_pooled_ratio_by_hand() -> None:
    """Sums over configurations first, one ratio afterwards: not the mean of ratios, and no mean removed."""
    second, _, _ = system()
    generator = np.random.default_rng(2)
    displacements, extra = generator.normal(size=(2, 3, ATOMS, 3))
    extra += 0.7
    extra[1] *= 10.0
    forces = second.forces(displacements) + extra
    _, sigma, _ = score(displacements, forces, second, SYMBOLS)
    for members, found in ((slice(None), sigma[0]), (slice(0, 2), sigma[1]), (slice(2, 5), sigma[2])):
        missed = sum(float(np.sum(frame[members] ** 2)) for frame in extra)
        total = sum(float(np.sum(frame[members] ** 2)) for frame in forces)
        assert found == pytest.approx(np.sqrt(missed / total), rel=1e-12)


def test_a_cubic_model_grows_with_the_root_of_the_temperature() -> None:
    """Same random numbers: u ~ sqrt(T), so |F3| / |F2| ~ sqrt(T) without scatter."""
    second, modes, dense = system()
    ratios = []
    for temperature in (10.0, 40.0, 90.0):
        displacements = harmonic_displacements(modes, Classical(), temperature, 30, np.random.default_rng(3))
        forces = cubic_forces(second, dense, displacements)
        harmonic = second.forces(displacements)
        _, sigma, _ = score(displacements, forces, second, SYMBOLS)
        missed = np.sqrt(np.sum((forces - harmonic) ** 2))
        assert sigma[0] == pytest.approx(missed / np.sqrt(np.sum(forces**2)), rel=1e-12)
        ratios.append(missed / np.sqrt(np.sum(harmonic**2)))
    np.testing.assert_allclose(np.array(ratios) / ratios[0], [1.0, 2.0, 3.0], rtol=1e-10)


def test_the_jackknife_is_as_wide_as_the_scatter() -> None:
    """Against the spread over independent sets of configurations."""
    second, modes, dense = system()
    generator, values, errors = np.random.default_rng(5), [], []
    for _ in range(60):
        displacements = harmonic_displacements(modes, Classical(), 300.0, 100, generator)
        _, sigma, error = score(displacements, cubic_forces(second, dense, displacements), second, SYMBOLS)
        values.append(sigma[0])
        errors.append(error[0])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values, ddof=1), rel=0.3)
    _, _, alone = score(displacements[:1], second.forces(displacements[:1]) + 1.0, second, SYMBOLS)
    assert np.all(np.isnan(alone))


def test_displacements_are_minimum_images_without_drift() -> None:
    cell, masses = np.diag([5.0, 6.0, 7.0]), np.array([1.0, 2.0, 3.0])
    reference = np.array([[0.1, 0.1, 0.1], [2.0, 3.0, 4.0], [4.9, 5.9, 6.9]])
    small = 0.1 * np.random.default_rng(0).normal(size=(2, 3, 3))
    small -= np.einsum("i,fia->fa", masses / masses.sum(), small)[:, None]
    hopped = reference + small + [[[5.0, 0.0, 0.0], [0.0, -12.0, 0.0], [0.0, 0.0, 7.0]]] + 0.05
    found = displacements_from(reference, hopped, cell, masses)
    np.testing.assert_allclose(found, small, atol=1e-12)


@pytest.mark.parametrize("statistics", [Classical(), BoseEinstein()])
def test_variances_of_the_normal_coordinates(statistics: Classical | BoseEinstein) -> None:
    """The exact numbers, and the sample's."""
    modes = random_modes(ATOMS, np.random.default_rng(6))
    variances = mode_variances(modes, statistics, 250.0)
    w, real = modes.frequencies[modes.vibrating], modes.vibrating
    thermal = BOLTZMANN * 250.0 * FORCE_TO_ACCELERATION
    if isinstance(statistics, Classical):
        np.testing.assert_allclose(variances[real], thermal / w**2, rtol=1e-12)
    else:
        x = HBAR * w / (BOLTZMANN * 250.0)
        zero_point = HBAR * FORCE_TO_ACCELERATION / (2.0 * w)
        np.testing.assert_allclose(variances[real], zero_point / np.tanh(0.5 * x), rtol=1e-12)
    assert np.all(variances[~real] == 0.0)
    count = 20_000
    displacements = harmonic_displacements(modes, statistics, 250.0, count, np.random.default_rng(7))
    coordinates = coordinates_of(modes, displacements)
    spread = np.mean(coordinates**2, axis=0)[real] / variances[real] - 1.0
    assert np.abs(spread).max() < 5.0 * np.sqrt(2.0 / count)
    assert np.abs(coordinates[:, ~real]).max() < 1e-10


def coordinates_of(modes: Modes, displacements: np.ndarray) -> np.ndarray:
    """Normal coordinates (configuration, mode), amu^1/2 Angstrom."""
    weighted = displacements.reshape(len(displacements), -1) * np.sqrt(np.repeat(modes.masses, 3))
    return weighted @ modes.eigenvectors
