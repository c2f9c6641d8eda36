"""The noise floor against loops, against errors that were really added, and its closed forms."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from amorphous_silicon import amorphous_silicon
from random_crystal import random_modes, random_third

from ldmd.diagnosis.noise_floor import (
    DisplacedPairs,
    ErrorPattern,
    ListedTriples,
    MutualNeighbours,
    displaced_pairs,
    noise_floor,
    required_accuracy,
    scatter,
    stored_triples,
)
from ldmd.errors import InputError
from ldmd.force_constants.steps import Step
from ldmd.force_constants.third import SiteGroup, SiteThirdOrder, SparseThirdOrder, ThirdOrder
from ldmd.lattice.broadening import Broadening, Gaussian, Lorentzian, Triangular
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.units import THZ

BOTH = ("bose-einstein", "classical")


def with_errors(third: SparseThirdOrder, sigma: float, seed: int, keep: bool = False) -> SparseThirdOrder:
    """Independent errors on all listed elements, alone or added to them."""
    errors = sigma * np.random.default_rng(seed).normal(size=third.values.size)
    return SparseThirdOrder(third.size, third.indices, errors + keep * third.values)


@pytest.mark.parametrize("kernel", [Gaussian(6.0), Lorentzian(1.5), Triangular(3.0)])
@pytest.mark.parametrize("lowest", [1, 5, 20])
def test_the_lowest_linewidths_are_those_of_all_to_the_last_bit(kernel: Broadening, lowest: int) -> None:
    """Also with kernels so wide that triplets of higher modes only reach the lowest ones."""
    generator = np.random.default_rng(lowest)
    modes, (third, _) = random_modes(20, generator), random_third(20, generator)
    whole, part = (linewidths(third, modes, [30.0, 300.0], BOTH, kernel, lowest=k) for k in (None, lowest))
    wanted = np.flatnonzero(modes.vibrating)[:lowest]
    np.testing.assert_array_equal(part.gamma[..., wanted], whole.gamma[..., wanted])
    np.testing.assert_array_equal(np.isnan(part.gamma).sum(axis=2), np.count_nonzero(modes.vibrating) - lowest)
    np.testing.assert_array_equal(part.gamma[..., modes.translations.astype(int)], 0.0)
    assert part.channels is not None and whole.channels is not None
    for name in ("effective", "top_two_share", "width_sensitivity"):
        mine, theirs = getattr(part.channels, name), getattr(whole.channels, name)
        np.testing.assert_array_equal(mine[wanted], theirs[wanted])
        assert np.isfinite(mine).sum() == np.isfinite(theirs[wanted]).sum()


def test_few_modes_are_little_work() -> None:
    generator = np.random.default_rng(3)
    modes, (third, _) = random_modes(24, generator), random_third(24, generator)
    totals: list[int] = []
    for lowest in (None, 10):
        linewidths(third, modes, [300.0], BOTH, Gaussian(0.1), lambda _, n: totals.append(n), lowest=lowest)
    assert totals[-1] < 0.6 * totals[0]


def test_no_mode_is_refused() -> None:
    generator = np.random.default_rng(3)
    modes, (third, _) = random_modes(3, generator), random_third(3, generator)
    with pytest.raises(InputError, match="lowest"):
        linewidths(third, modes, [300.0], BOTH, Gaussian(1.0), lowest=0)
    with pytest.raises(InputError, match="lowest"):
        noise_floor(stored_triples(third), modes, [300.0], BOTH, Gaussian(1.0), lowest=0)
    with pytest.raises(InputError, match="atoms"):
        noise_floor(stored_triples(third), random_modes(4, generator), [300.0], BOTH, Gaussian(1.0))


def dense_variances(pattern: ErrorPattern) -> np.ndarray:
    contracted = [np.asarray(m.toarray() if sp.issparse(m) else m) for m in pattern.contract(np.eye(pattern.atoms))]
    return np.stack(contracted, axis=2)


def test_one_matrix_element_has_the_variance_of_its_sum() -> None:
    """Through the whole triplet sum: errors alone, averaged over many draws."""
    generator = np.random.default_rng(7)
    modes, (third, _) = random_modes(4, generator), random_third(4, generator)
    kernel = Gaussian(8.0)
    floor = noise_floor(stored_triples(third), modes, [100.0, 300.0], BOTH, kernel)
    drawn = [
        linewidths(with_errors(third, 0.3, seed), modes, [100.0, 300.0], BOTH, kernel).gamma for seed in range(300)
    ]
    vibrating = modes.vibrating
    error = np.std(drawn, axis=0)[..., vibrating] / np.sqrt(len(drawn))
    difference = np.mean(drawn, axis=0)[..., vibrating] - floor.gamma(0.3)[..., vibrating]
    assert np.abs(difference / error).max() < 5.0
    assert (error / floor.gamma(0.3)[..., vibrating]).max() < 0.15
    np.testing.assert_array_equal(floor.unit[..., ~vibrating], 0.0)


def test_the_lowest_floors_are_those_of_all() -> None:
    generator = np.random.default_rng(8)
    modes, (third, _) = random_modes(20, generator), random_third(20, generator)
    whole, part = (
        noise_floor(stored_triples(third), modes, [300.0], BOTH, Gaussian(2.0), lowest=lowest) for lowest in (None, 4)
    )
    wanted = np.flatnonzero(modes.vibrating)[:4]
    np.testing.assert_array_equal(part.unit[..., wanted], whole.unit[..., wanted])
    assert np.isnan(part.unit).sum() == 2 * (np.count_nonzero(modes.vibrating) - 4)


def test_patterns_contract_what_they_say() -> None:
    generator = np.random.default_rng(9)
    first, second = np.nonzero(np.triu(generator.random((6, 6)) < 0.5, 1))
    displaced = displaced_pairs(first, second, 6)
    p = displaced.displaced
    expected, mutual = np.zeros((6, 6, 6)), np.zeros((6, 6, 6))
    for i, j, k in itertools.product(range(6), repeat=3):
        measured = p[i, j] + p[j, k] + p[i, k]
        expected[i, j, k] = 1.0 / measured if measured else 0.0
        mutual[i, j, k] = measured == 3.0
    np.testing.assert_allclose(dense_variances(displaced), expected, atol=1e-14)
    neighbours = MutualNeighbours(6, sp.csr_array(p))
    np.testing.assert_array_equal(dense_variances(neighbours), mutual)
    listed = ListedTriples(6, np.array(np.nonzero(expected)), expected[expected > 0.0])
    np.testing.assert_allclose(dense_variances(listed), expected, atol=1e-14)
    assert isinstance(displaced, DisplacedPairs) and displaced.pairs == 36
    assert listed.pairs == np.count_nonzero(expected.any(axis=2))


def random_sites(generator: np.random.Generator) -> SiteThirdOrder:
    """Seven atoms, each a site with two others, on random tensors."""
    others = np.array([generator.choice(np.delete(np.arange(7), i), 2, replace=False) for i in range(7)])
    tensors = generator.normal(size=(7, 6, 6, 6))
    symmetric = sum(tensors.transpose(0, *order) for order in itertools.permutations((1, 2, 3)))
    return SiteThirdOrder(21, (SiteGroup(np.arange(7), others, symmetric),))


@dataclasses.dataclass(frozen=True)
class Unlisted(ThirdOrder):
    """Known by its contractions only."""

    inner: ThirdOrder

    @property
    def pattern(self) -> sp.csr_array:
        return self.inner.pattern

    def contract(self, directions: np.ndarray) -> np.ndarray:
        return self.inner.contract(directions)


def test_sites_see_the_triples_of_their_elements() -> None:
    """Exactly those with an element that is not zero; mutual neighbours include them all."""
    third = random_sites(np.random.default_rng(2))
    indices, values = third.elements()
    kept = np.abs(values) > 1e-12
    listed = SparseThirdOrder(third.size, indices[:, kept], values[kept])
    of_sites = dense_variances(stored_triples(third))
    np.testing.assert_allclose(dense_variances(stored_triples(listed)), of_sites, atol=1e-14)
    wide = stored_triples(Unlisted(third.size, third))
    assert isinstance(wide, MutualNeighbours)
    assert np.all(dense_variances(wide)[of_sites > 0.0] == 1.0)


@pytest.fixture(scope="module")
def silicon() -> tuple[SparseThirdOrder, Modes, Triangular]:
    found = amorphous_silicon()
    return found.third.trimmed(), normal_modes(found.second, found.masses), Triangular(THZ * 0.05 / 4.135)


@pytest.mark.peers
def test_floor_of_amorphous_silicon_is_what_errors_add(silicon: tuple[SparseThirdOrder, Modes, Triangular]) -> None:
    """sigma = 0.1 eV/Angstrom^3, classical, 300 K, 64 modes; +errors and -errors, so that their product cancels."""
    third, modes, kernel = silicon
    floor = noise_floor(stored_triples(third), modes, [300.0], ["classical"], kernel, lowest=64).gamma(0.1)[0, 0]
    clean = linewidths(third, modes, [300.0], ["classical"], kernel, lowest=64)
    assert clean.channels is not None
    drawn = np.array(
        [
            linewidths(with_errors(third, sign * 0.1, s, True), modes, [300.0], ["classical"], kernel, lowest=64).gamma
            for s in range(3)
            for sign in (1.0, -1.0)
        ]
    )[:, 0, 0]
    excess = drawn.mean(axis=0) - clean.gamma[0, 0]
    wanted = np.flatnonzero(modes.vibrating)[:64]
    for low, high, tolerance in ((0.0, 1.6, 0.7), (1.6, 3.0, 0.3), (3.0, 5.0, 0.15)):
        inside = wanted[(modes.frequencies[wanted] > low * THZ) & (modes.frequencies[wanted] <= high * THZ)]
        assert excess[inside].sum() == pytest.approx(floor[inside].sum(), rel=tolerance)
    above = wanted[modes.frequencies[wanted] > 1.6 * THZ]
    ratio = excess[above] / floor[above]
    assert np.median(np.abs(ratio - 1.0)) < 0.15
    assert np.mean(np.abs(ratio - 1.0) < 0.3) > 0.85, "three draws scatter single modes with few channels by more"
    product = 0.5 * (drawn[::2] - drawn[1::2])
    expected = scatter(clean.gamma[0, 0], floor, clean.channels.effective)
    assert 0.5 < np.sqrt(np.mean((product / expected)[:, wanted] ** 2)) < 1.1


@pytest.mark.peers
def test_the_floor_of_silicon_is_no_power_law_that_diverges(
    silicon: tuple[SparseThirdOrder, Modes, Triangular],
) -> None:
    """From the third mode on, at 1.6 THz, it falls by less than 10 up to 17 THz; the lowest two modes are localised."""
    third, modes, kernel = silicon
    floor = noise_floor(stored_triples(third), modes, [300.0], ["classical"], kernel).gamma(0.1)[0, 0]
    low, high = np.median(floor[5:15]), np.median(floor[-30:])
    assert 0.05 < low < 0.1 and 0.005 < high < 0.012


@pytest.mark.peers
def test_allowed_errors_are_the_inverse(silicon: tuple[SparseThirdOrder, Modes, Triangular]) -> None:
    third, modes, kernel = silicon
    floor = noise_floor(stored_triples(third), modes, [300.0], ["classical"], kernel, lowest=8)
    gamma = np.full(floor.unit.shape, 2.0)
    allowed = floor.allowed(gamma)
    for mode in np.flatnonzero(modes.vibrating)[:8]:
        assert gamma[0, 0, mode] / floor.gamma(allowed[0, 0, mode])[0, 0, mode] == pytest.approx(3.0)
    assert np.all(floor.allowed(0.0 * gamma)[..., modes.translations.astype(int)] == 0.0)


def test_required_forces_make_the_allowed_error() -> None:
    found = required_accuracy(0.02, 1.5, displacement=0.01, bending=200.0)
    assert Step(3, 0.01, found.sigma_force, 200.0).error == pytest.approx(0.02)
    best = Step(3, found.best_displacement, found.best_sigma_force, 200.0)
    assert best.error == pytest.approx(0.02) and best.noise_error == pytest.approx(best.truncation_error)
    for scale in (0.9, 1.1):
        other = Step(3, scale * best.size, best.sigma, best.bending)
        assert other.error > best.error
    assert found.relative == pytest.approx(0.02 / 1.5)
    averaged = required_accuracy(0.02, 1.5, displacement=0.01, bending=200.0, copies=3.0)
    assert averaged.sigma_force == pytest.approx(np.sqrt(3.0) * found.sigma_force)


def test_required_forces_at_the_edges() -> None:
    blind = required_accuracy(1e-4, 1.5, displacement=0.05, bending=200.0)
    assert blind.sigma_force == 0.0 and blind.best_sigma_force > 0.0, "that step bends too much; a smaller one does not"
    straight = required_accuracy(0.5, 1.5, displacement=0.05, bending=1.0)
    assert straight.best_displacement == 0.05
    assert straight.best_sigma_force == pytest.approx(straight.sigma_force)
    assert np.isnan(required_accuracy(0.02, 1.5, displacement=0.01).best_sigma_force)
    with pytest.raises(InputError, match="displacement"):
        required_accuracy(0.02, 1.5, displacement=0.0)
