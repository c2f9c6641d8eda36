"""Meters of the errors of Phi3, and the exponent of linewidths at low frequency."""

from __future__ import annotations

import numpy as np
import pytest
from random_crystal import random_modes, random_third
from spring_crystal import small_glass, springs

from ldmd.diagnosis.exponent import beyond_ioffe_regel, exponent, overdamped
from ldmd.diagnosis.meters import element_errors, restored_linewidths
from ldmd.diagnosis.noise_floor import noise_floor, single_atoms
from ldmd.errors import InputError
from ldmd.force_constants.sum_rules import coordinate_keys
from ldmd.force_constants.third import SiteGroup, SiteThirdOrder, SparseThirdOrder
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes


@pytest.fixture(scope="module")
def glass() -> tuple[SparseThirdOrder, Modes]:
    """18 atoms on springs: exact, with the zeros that are stored nowhere."""
    atoms = small_glass()
    second, third = springs(atoms, 4.0)
    return third, normal_modes(second, atoms.get_masses())


def with_errors(third: SparseThirdOrder, sigma: float, symmetric: bool = False) -> SparseThirdOrder:
    generator = np.random.default_rng(5)
    where = np.arange(third.values.size)
    if symmetric:
        _, where = np.unique(coordinate_keys(np.sort(third.indices, axis=0), third.size), return_inverse=True)
    errors = sigma * generator.normal(size=where.max() + 1)[where]
    return SparseThirdOrder(third.size, third.indices, third.values + errors)


def test_exact_force_constants_show_nothing(glass: tuple[SparseThirdOrder, Modes]) -> None:
    found = element_errors(glass[0])
    assert found.sigma < 1e-12 * found.rms and found.diagonal < 1e-12 * found.rms


def test_independent_errors_are_measured_by_every_meter(glass: tuple[SparseThirdOrder, Modes]) -> None:
    found = element_errors(with_errors(glass[0], 0.02))
    assert found.permutation == pytest.approx(0.02, rel=0.03)
    for leg in found.legs:
        assert leg.off_site == pytest.approx(0.02, rel=0.05)
        assert leg.on_site == pytest.approx(0.02, rel=0.15)
    assert found.diagonal_ratio == pytest.approx(1.0, abs=0.15)


def test_symmetric_errors_are_measured_by_the_legs(glass: tuple[SparseThirdOrder, Modes]) -> None:
    found = element_errors(with_errors(glass[0], 0.02, symmetric=True))
    assert found.permutation < 1e-14
    assert found.sigma == pytest.approx(0.02, rel=0.1)


def test_a_wrong_diagonal_shows_on_site_only(glass: tuple[SparseThirdOrder, Modes]) -> None:
    third, _ = glass
    i, j, k = third.indices // 3
    diagonal = (i == j) & (j == k)
    broken = SparseThirdOrder(third.size, third.indices, np.where(diagonal, 1.1 * third.values, third.values))
    added = 0.1 * np.sqrt(np.mean(third.values[diagonal] ** 2))
    found = element_errors(broken)
    assert found.sigma < 1e-12 * found.rms and found.diagonal_ratio > 1e6
    assert found.diagonal == pytest.approx(added, rel=0.15), "an average over stored diagonal elements"
    both = element_errors(with_errors(broken, 0.01 * found.rms))
    assert both.sigma == pytest.approx(0.01 * found.rms, rel=0.05)
    assert both.diagonal == pytest.approx(found.diagonal, rel=0.1) and both.diagonal_ratio > 2.0
    assert found.unbalanced == pytest.approx(found.diagonal) and both.unbalanced < both.diagonal


def test_noise_alone_leaves_the_diagonal_in_balance(glass: tuple[SparseThirdOrder, Modes]) -> None:
    assert element_errors(with_errors(glass[0], 0.02)).unbalanced == 0.0


def test_a_wrong_diagonal_adds_its_floor(glass: tuple[SparseThirdOrder, Modes]) -> None:
    """Symmetric errors of single atoms, in the mean of 60 draws."""
    third, modes = glass
    i, j, k = third.indices // 3
    diagonal = np.flatnonzero((i == j) & (j == k))
    _, place = np.unique(np.sort(third.indices[:, diagonal], axis=0), axis=1, return_inverse=True)
    ask = (modes, [300.0], ["classical"], Gaussian(3.0))
    clean, generator, excess = linewidths(third, *ask).gamma[0, 0], np.random.default_rng(3), []
    for _ in range(60):
        values = third.values.copy()
        values[diagonal] += generator.normal(size=place.max() + 1)[place.ravel()]
        excess.append(linewidths(SparseThirdOrder(third.size, third.indices, values), *ask).gamma[0, 0] - clean)
    floor = noise_floor(single_atoms(third.size // 3), *ask).unit[0, 0]
    ratio = np.mean(excess, axis=0)[modes.vibrating] / floor[modes.vibrating]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.15)


def test_restored_symmetries_reduce_what_noise_adds(glass: tuple[SparseThirdOrder, Modes]) -> None:
    third, modes = glass
    arguments = (modes, [300.0], ["classical"], Gaussian(3.0))
    noisy = with_errors(third, 0.3)
    clean, raw = (linewidths(each, *arguments, lowest=6).gamma for each in (third, noisy))
    restored = restored_linewidths(noisy, *arguments, lowest=6, sigma=0.3)
    assert restored.projection is not None and restored.projection.per_noise is not None
    assert 0.5 < restored.projection.per_noise < 1.0
    wanted = np.flatnonzero(modes.vibrating)[:6]
    excess, left = ((gamma - clean)[..., wanted].sum() for gamma in (raw, restored.linewidths.gamma))
    assert abs(left) < 0.5 * abs(excess)
    np.testing.assert_array_equal(np.isnan(restored.linewidths.gamma), np.isnan(clean))


def test_site_tensors_are_left_as_they_are() -> None:
    generator = np.random.default_rng(6)
    tensors = generator.normal(size=(4, 6, 6, 6))
    third = SiteThirdOrder(
        12, (SiteGroup(np.arange(4), np.array([[1, 2], [2, 3], [3, 0], [0, 1]]), tensors + tensors.swapaxes(1, 2)),)
    )
    modes = random_modes(4, generator)
    found = restored_linewidths(third, modes, [300.0], ["classical"], Gaussian(3.0))
    assert found.projection is None
    np.testing.assert_array_equal(
        found.linewidths.gamma, linewidths(third, modes, [300.0], ["classical"], Gaussian(3.0)).gamma
    )


def test_nothing_to_measure() -> None:
    with pytest.raises(InputError, match="empty"):
        element_errors(SparseThirdOrder(9, np.empty((3, 0), dtype=int), np.empty(0)))


def test_the_exponent_of_a_power_law_with_outliers() -> None:
    generator = np.random.default_rng(1)
    w = np.sort(generator.uniform(5.0, 20.0, 60))
    gamma = 0.01 * w**2 * np.exp(0.2 * generator.normal(size=60))
    gamma[:3] *= 40.0
    found = exponent(w, gamma)
    assert found.low < 2.0 < found.high and found.high - found.low < 0.6 and found.modes == 60
    assert found.check.passed and not found.falls


def test_a_plateau_that_falls_is_told_from_sound() -> None:
    generator = np.random.default_rng(2)
    w = np.linspace(5.0, 20.0, 40)
    found = exponent(w, w**-0.6 * np.exp(0.3 * generator.normal(size=40)))
    assert found.falls and not found.check.passed


def test_intervals_cover() -> None:
    """The true exponent is inside 90 % of the intervals of 90 %, within the scatter of 100 trials."""
    inside = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        w = generator.uniform(5.0, 20.0, 25)
        found = exponent(w, w**1.2 * np.exp(0.4 * generator.standard_t(3, size=25)), confidence=0.9, seed=seed)
        inside += found.low < 1.2 < found.high
    assert 80 <= inside <= 98


def test_modes_without_a_linewidth_do_not_count() -> None:
    w = np.arange(1.0, 9.0)
    gamma = w**2
    gamma[[0, 3]] = np.nan, 0.0
    assert exponent(w, gamma).modes == 6
    assert exponent(w, gamma).value == pytest.approx(2.0)
    with pytest.raises(InputError, match="modes"):
        exponent(w[:5], gamma[:5])


def test_overdamped_modes_are_named() -> None:
    w, gamma = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.1, 0.7, 0.5, np.nan])
    np.testing.assert_array_equal(overdamped(w, gamma), [0])
    np.testing.assert_array_equal(beyond_ioffe_regel(w, gamma), [0, 1])


def test_dense_random_force_constants_pass_the_meters() -> None:
    third, _ = random_third(4, np.random.default_rng(9))
    assert element_errors(third).sigma < 1e-12
