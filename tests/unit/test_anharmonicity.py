"""The anharmonicity score on forces whose score is known, and the sampling that feeds it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from nep_models import rattled_silicon, write_nep
from random_crystal import random_modes, random_second, random_third

from ldmd.anharmonicity import (
    AnharmonicityByTemperature,
    against_temperature,
    cubic_forces,
    displacements_from,
    potential_forces,
    score,
    score_of_modes,
)
from ldmd.dynamics.sampling import harmonic_displacements, mode_variances
from ldmd.force_constants.second import SecondOrder
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.lattice.statistics import BoseEinstein, Classical
from ldmd.netcdf import from_bytes, to_bytes
from ldmd.report import anharmonicity_figure
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, HBAR

ATOMS = 5
SYMBOLS = ["Si", "Si", "O", "O", "O"]


def system(seed: int = 4) -> tuple:
    generator = np.random.default_rng(seed)
    second, masses = random_second(ATOMS, generator), generator.uniform(5.0, 40.0, size=ATOMS)
    return second, normal_modes(second, masses), random_third(ATOMS, generator)[1]


def bent_forces(second: object, dense: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    flat = displacements.reshape(len(displacements), -1)
    bent = np.einsum("abc,ib,ic->ia", dense, flat, flat, optimize=True)
    return second.forces(displacements) - 0.5 * bent.reshape(displacements.shape)


def test_many_configurations_are_compiled_once(tmp_path: Path) -> None:
    """Each has other numbers of neighbours; compiling for each would take longer than the dynamics."""
    from ldmd.potentials.base import energies_forces_virial
    from ldmd.potentials.nep import read_nep
    from ldmd.relaxation import evaluate
    from ldmd.structures import neighbour_graph

    potential = read_nep(write_nep(tmp_path / "nep.txt"))
    atoms, advanced = rattled_silicon(repeats=2), []
    displacements = 0.15 * np.random.default_rng(0).normal(size=(12, len(atoms), 3))
    before = energies_forces_virial._cache_size()
    found = potential_forces(atoms, potential, advanced.append)(displacements)
    assert energies_forces_virial._cache_size() - before <= 2
    assert advanced == [1.0] * 12
    widths = set()
    for displacement in displacements:
        moved = atoms.copy()
        moved.positions += displacement
        widths.add(neighbour_graph(moved, potential.species, potential.switching).slots)
    np.testing.assert_allclose(found[-1], evaluate(moved, potential).forces, rtol=0.0, atol=1e-11)
    assert len(widths) > 1


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
        forces = bent_forces(second, dense, displacements)
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
        _, sigma, error = score(displacements, bent_forces(second, dense, displacements), second, SYMBOLS)
        values.append(sigma[0])
        errors.append(error[0])
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values, ddof=1), rel=0.3)
    _, _, alone = score(displacements[:1], second.forces(displacements[:1]) + 1.0, second, SYMBOLS)
    assert np.all(np.isnan(alone))


def test_cubic_forces_are_those_of_the_whole_tensor() -> None:
    generator = np.random.default_rng(4)
    second = random_second(ATOMS, generator)
    third, dense = random_third(ATOMS, generator)
    displacements = np.random.default_rng(1).normal(size=(11, ATOMS, 3))  # more than are contracted at once
    expected = bent_forces(second, dense, displacements)
    np.testing.assert_allclose(cubic_forces(second, third)(displacements), expected, rtol=1e-10, atol=1e-9)


def test_a_harmonic_force_has_no_score_in_any_mode() -> None:
    second, modes, _ = system()
    displacements = harmonic_displacements(modes, Classical(), 300.0, 20, np.random.default_rng(0))
    sigma = score_of_modes(displacements, second.forces(displacements), second, modes)
    assert np.isnan(sigma[modes.translations.astype(int)]).all() and np.isnan(sigma).sum() == 3
    np.testing.assert_allclose(sigma[modes.vibrating], 0.0, atol=1e-10)


def test_the_score_of_a_mode_by_hand() -> None:
    """A known force in one mode and another along a translation: only the one mode sees it, in every frame."""
    second, modes, _ = system()
    displacements = harmonic_displacements(modes, Classical(), 300.0, 3, np.random.default_rng(0))
    harmonic = second.forces(displacements)
    mode, push = 7, np.array([0.3, -0.5, 0.8])
    weighted = modes.eigenvectors * np.sqrt(np.repeat(modes.masses, 3))[:, None]
    kick = np.einsum("f,i->fi", push, weighted[:, mode]).reshape(harmonic.shape)
    drift = np.tile(modes.masses[:, None] * [1.0, 2.0, 3.0], (3, 1, 1))
    sigma = score_of_modes(displacements, harmonic + kick + drift, second, modes)
    projected = harmonic.reshape(3, -1) @ modes.displacements[:, mode]
    assert sigma[mode] == pytest.approx(np.sqrt(np.sum(push**2) / np.sum((projected + push) ** 2)), rel=1e-9)
    np.testing.assert_allclose(np.delete(sigma, [mode, *modes.translations.astype(int)]), 0.0, atol=1e-9)


def test_an_imaginary_mode_is_no_translation() -> None:
    """It lies below the translations; "all but the first three" would leave it out and keep one of them."""
    second, modes, _ = system()
    soft = modes.eigenvectors[:, 5] * np.sqrt(np.repeat(modes.masses, 3))
    turned = SecondOrder(sp.csr_array(second.matrix.toarray() - 2.0 * slope(modes, 5) * np.outer(soft, soft)))
    unstable = normal_modes(turned, modes.masses)
    assert len(unstable.imaginary) == 1 and 0 not in unstable.translations
    displacements = np.random.default_rng(1).normal(size=(4, ATOMS, 3))
    sigma = score_of_modes(displacements, turned.forces(displacements) + 1.0, turned, unstable)
    assert np.flatnonzero(np.isnan(sigma)).tolist() == unstable.translations.tolist()


def slope(modes: Modes, mode: int) -> float:
    """w^2 in eV/(amu Angstrom^2)."""
    return float(modes.frequencies[mode] ** 2 / FORCE_TO_ACCELERATION)


def test_degenerate_modes_share_a_score_that_no_choice_of_eigenvectors_changes() -> None:
    second, modes, dense = system()
    frequencies = modes.frequencies.copy()
    frequencies[6:9] = frequencies[7]
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = modes.eigenvectors.copy()
    turned[:, 6:9] = turned[:, 6:9] @ turn
    displacements = harmonic_displacements(modes, Classical(), 300.0, 5, np.random.default_rng(0))
    forces = bent_forces(second, dense, displacements)
    one, two = (
        score_of_modes(displacements, forces, second, dataclasses.replace(modes, frequencies=w, eigenvectors=e))
        for w, e in ((frequencies, modes.eigenvectors), (frequencies, turned))
    )
    np.testing.assert_allclose(one, two, rtol=1e-9)
    assert one[6] == one[7] == one[8] != one[9]


def one_shot(temperatures: list[float], configurations: int = 30) -> AnharmonicityByTemperature:
    generator = np.random.default_rng(4)
    second = random_second(ATOMS, generator)
    third, masses = random_third(ATOMS, generator)[0], generator.uniform(5.0, 40.0, size=ATOMS)
    forces, modes = cubic_forces(second, third), normal_modes(second, masses)
    return against_temperature(forces, second, modes, SYMBOLS, temperatures, configurations, seed=3)


def test_one_shot_scores_against_temperature() -> None:
    """Small and classical: proportional to the root of the temperature; quantum: zero-point motion, then the same."""
    found = one_shot([0.01, 0.04, 0.16, 1e6, 4e6])
    assert found.statistics == ("classical", "bose-einstein") and found.groups == ("all", "Si", "O")
    assert found.sigma.shape == (2, 5, 3) == found.standard_error.shape
    assert found.sigma_of_modes.shape == (2, 5, 3 * ATOMS)
    np.testing.assert_allclose(found.sigma[0, :3] / found.sigma[0, 0], [[1.0], [2.0], [4.0]] * np.ones(3), rtol=5e-3)
    np.testing.assert_allclose(found.sigma[1, :3], found.sigma[1, 0] * np.ones((3, 1)), rtol=1e-6)
    np.testing.assert_allclose(found.sigma[1, 3:], found.sigma[0, 3:], rtol=1e-3)
    assert np.all(found.sigma <= 1.1)
    again = from_bytes(AnharmonicityByTemperature, to_bytes(found, {}))[0]
    np.testing.assert_array_equal(again.sigma_of_modes, found.sigma_of_modes)
    np.testing.assert_array_equal(one_shot([0.04]).sigma[:, 0], found.sigma[:, 1])


def test_ratio_of_cubic_to_harmonic_forces_follows_from_the_score() -> None:
    """With pairs u, -u the cross term cancels: |F3| / |F2| = sigma / sqrt(1 - sigma^2), exactly as sqrt(T)."""
    second, modes, dense = system()
    ratios = []
    for temperature in (25.0, 100.0, 400.0):
        half = harmonic_displacements(modes, Classical(), temperature, 10, np.random.default_rng(3))
        displacements = np.concatenate([half, -half])
        forces = bent_forces(second, dense, displacements)
        _, sigma, _ = score(displacements, forces, second, SYMBOLS)
        per_mode = score_of_modes(displacements, forces, second, modes)[modes.vibrating]
        both = np.concatenate([sigma, per_mode])
        ratios.append(both / np.sqrt(1.0 - both**2))
    np.testing.assert_allclose(ratios[1] / ratios[0], 2.0, rtol=1e-9)
    np.testing.assert_allclose(ratios[2] / ratios[0], 4.0, rtol=1e-9)


def test_the_figures_of_the_score() -> None:
    found = one_shot([100.0, 300.0], configurations=4)
    curve, modes = anharmonicity_figure.against_temperature(found), anharmonicity_figure.by_mode(found, 280.0)
    assert "sigma^A of Si, classical [1]" in curve.csv and "at 300 K" in curve.caption
    assert len(dict(modes.columns)["frequency [THz]"]) == 3 * ATOMS - 3 and "12 modes at 300 K" in modes.caption
    assert curve.svg == anharmonicity_figure.against_temperature(found).svg
    one = dataclasses.replace(found, groups=("all", "Si"), sigma=found.sigma[..., :2])
    one = dataclasses.replace(one, standard_error=found.standard_error[..., :2])
    assert "of Si" not in anharmonicity_figure.against_temperature(one).csv


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # of the other program
def test_silicon_at_room_temperature(shared_data: Path, tmp_path: Path) -> None:
    """0.15, by Knoop et al.; here of a cubic model from density-functional forces in 64 atoms."""
    program = pytest.importorskip("phono3py")
    from phono3py.file_IO import write_fc2_to_hdf5, write_fc3_to_hdf5

    from ldmd.force_constants.exchange import phono3py

    source = shared_data / "phono3py"
    if not source.is_dir():
        pytest.skip("the reference data have no folder phono3py")
    forces = source / "FORCES_FC3_si_pbesol"
    loaded = program.load(source / "phono3py_si_pbesol.yaml", forces_fc3_filename=forces, log_level=0)
    loaded.save(tmp_path / "phono3py.yaml")
    write_fc3_to_hdf5(loaded.fc3, filename=tmp_path / "fc3.hdf5", p2s_map=loaded.primitive.p2s_map)
    write_fc2_to_hdf5(loaded.fc2, filename=tmp_path / "fc2.hdf5", p2s_map=loaded.phonon_primitive.p2s_map)
    two, three = phono3py.read(tmp_path / "phono3py.yaml", tmp_path / "fc2.hdf5", tmp_path / "fc3.hdf5")
    second, third = two.in_order_of(three.supercell).second_order(), three.third_order()
    atoms = three.supercell.atoms
    modes = normal_modes(second, atoms.get_masses())
    found = against_temperature(
        cubic_forces(second, third), second, modes, atoms.get_chemical_symbols(), [300.0, 600.0], 20
    )
    assert found.sigma[0, 0, 0] == pytest.approx(0.147, abs=0.006)
    assert found.sigma[1, 0, 0] == pytest.approx(0.163, abs=0.006)
    ratios = found.sigma[0, :, 0] / np.sqrt(1.0 - found.sigma[0, :, 0] ** 2)
    assert ratios[1] / ratios[0] == pytest.approx(np.sqrt(2.0), rel=5e-3)
    vibrating = found.sigma_of_modes[0, 0][modes.vibrating]
    assert 0.05 < vibrating.min() < 0.15 < vibrating.max() < 0.25


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
