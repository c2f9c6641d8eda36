"""Violations of the sum rules as meters of noise and sign, and the least change that restores the symmetries."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from random_crystal import random_second, random_third
from small_silica import disordered, graph_of, silica_potential

from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.force_constants.images import nearest_images, shortest_translation
from ldmd.force_constants.projection import project_second, project_third
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sum_rules import SumRules, Violation, sum_rules
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.potentials.base import energies_forces_virial, graph_parameters

NOISE = 1e-3
"""eV/Angstrom^2 or ^3."""


@dataclasses.dataclass(frozen=True)
class System:
    """72 atoms of silica away from any minimum, with all their force constants listed."""

    atoms: Atoms
    forces: np.ndarray
    second: SecondOrder
    third: SparseThirdOrder

    def rules(self, second: SecondOrder | None = None, third: SparseThirdOrder | None = None) -> SumRules:
        cell = self.atoms.cell.array
        return sum_rules(second or self.second, third or self.third, self.atoms.positions, cell, self.forces)


@pytest.fixture(scope="module")
def system() -> System:
    atoms, potential = disordered(), silica_potential()
    graph = graph_of(atoms)
    parameters = graph_parameters(potential, graph)
    forces = energies_forces_virial(potential.site_energies, atoms.positions, graph, parameters)[1]
    third = third_order(potential, atoms.positions, graph)
    listed = SparseThirdOrder(third.size, *third.elements())
    return System(atoms, np.asarray(forces), second_order(potential, atoms.positions, graph), listed)


def noisy(third: SparseThirdOrder, generator: np.random.Generator) -> SparseThirdOrder:
    values = third.values + NOISE * generator.normal(size=third.values.shape)
    return SparseThirdOrder(third.size, third.indices, values)


def every(rules: SumRules) -> list[Violation]:
    singles = (rules.second_permutation, rules.second_rotation, rules.third_permutation, rules.third_rotation)
    found = [*rules.second_translation, *rules.third_translation, *singles]
    assert all(isinstance(violation, Violation) for violation in found)
    return found


def test_exact_force_constants_obey_every_rule(system: System) -> None:
    """Rotations among them, away from any minimum: the forces enter the rule of the second order."""
    rules = system.rules()
    assert rules.second_rotation_applies and rules.third_rotation_applies
    assert rules.half_translation == pytest.approx(3.6)
    for reach in (rules.second_reach, rules.third_reach):
        assert reach is not None and 3.0 < reach < 3.6
    for violation in every(rules):
        assert violation.relative <= 1e-12
        assert violation.largest >= violation.rms >= 0.0


def test_forgotten_forces_and_a_wrong_sign_show_in_rotations(system: System) -> None:
    cell = system.atoms.cell.array
    blind = sum_rules(system.second, system.third, system.atoms.positions, cell)
    assert blind.second_rotation is not None
    # Each of the three rotations sees two of the three components.
    assert blind.second_rotation.rms == pytest.approx(np.sqrt(2.0 / 3.0 * np.mean(system.forces**2)), rel=1e-9)
    flipped = system.rules(third=SparseThirdOrder(system.third.size, system.third.indices, -system.third.values))
    assert flipped.third_rotation is not None and flipped.third_rotation.relative > 0.1
    assert flipped.third_translation[0].relative <= 1e-12


def test_violations_measure_the_noise_of_the_elements(system: System) -> None:
    generator = np.random.default_rng(3)
    matrix = system.second.matrix.copy()
    matrix.data += NOISE * generator.normal(size=matrix.data.shape)
    rules = system.rules(SecondOrder(matrix), noisy(system.third, generator))
    for violation in every(rules):
        assert violation.noise == pytest.approx(NOISE, rel=0.1)


def test_rotations_do_not_apply_where_atoms_see_each_other_around_the_cell() -> None:
    generator = np.random.default_rng(4)
    second, (third, _) = random_second(8, generator), random_third(8, generator)
    positions = Atoms("H8", scaled_positions=np.indices((2, 2, 2)).reshape(3, -1).T / 2, cell=[4.0] * 3).positions
    rules = sum_rules(second, third, positions, 4.0 * np.eye(3))
    assert rules.half_translation == pytest.approx(2.0)
    assert rules.second_reach == rules.third_reach == pytest.approx(np.sqrt(12.0))
    assert not rules.second_rotation_applies and not rules.third_rotation_applies
    assert sum_rules(second).second_rotation is None
    assert not sum_rules(second).second_rotation_applies


def test_force_constants_that_do_not_belong_together_are_refused(system: System) -> None:
    other, _ = random_third(3, np.random.default_rng(0))
    with pytest.raises(InputError, match="3 atoms: the second-order force constants have 72"):
        sum_rules(system.second, other)
    with pytest.raises(InputError, match="positions"):
        sum_rules(system.second, None, system.atoms.positions[1:], system.atoms.cell.array)
    with pytest.raises(InputError, match="forces"):
        sum_rules(system.second, None, system.atoms.positions, system.atoms.cell.array, system.forces[1:])


def independent_projector(patterns: np.ndarray) -> np.ndarray:
    """Onto symmetric, translation-invariant tensors that vanish outside of a boolean pattern, from all constraints.

    Every equality between two permuted elements and every sum over a leg is one row, redundant or not.
    """
    shape, order = patterns.shape, patterns.ndim
    place = np.arange(patterns.size).reshape(shape)
    rows = []
    for permutation in itertools.permutations(range(order)):
        partner = place.transpose(permutation).ravel()
        for one, two in zip(place.ravel(), partner, strict=True):
            if one != two:
                row = np.zeros(patterns.size)
                row[one], row[two] = 1.0, -1.0
                rows.append(row)
    for leg in range(order):
        sums = np.moveaxis(place, leg, -1).reshape(-1, shape[0] // 3, 3).transpose(0, 2, 1).reshape(-1, shape[0] // 3)
        for members in sums:
            row = np.zeros(patterns.size)
            row[members] = 1.0
            rows.append(row)
    constraints = np.array(rows)[:, patterns.ravel()]
    basis = np.linalg.svd(constraints, full_matrices=False)
    kept = basis.Vh[basis.S > 1e-9 * basis.S[0]]
    return np.eye(kept.shape[1]) - kept.T @ kept


def blocks(pattern: np.ndarray) -> np.ndarray:
    """A pattern of atoms as one of coordinates."""
    for axis in range(pattern.ndim):
        pattern = np.repeat(pattern, 3, axis=axis)
    return pattern


def test_the_change_of_the_second_order_is_the_least() -> None:
    generator = np.random.default_rng(5)
    pattern = np.ones((4, 4), dtype=bool)
    pattern[0, 3] = pattern[3, 0] = False
    pattern = blocks(pattern)
    start = np.where(pattern, generator.normal(size=pattern.shape), 0.0)
    expected = np.zeros(pattern.shape)
    expected[pattern] = independent_projector(pattern) @ start[pattern]
    projected, found = project_second(SecondOrder(sp.csr_array(start)), noise=0.5)
    np.testing.assert_allclose(projected.matrix.toarray(), expected, rtol=0.0, atol=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(expected - start), rel=1e-12)
    assert found.largest == pytest.approx(np.abs(expected - start).max(), rel=1e-12)
    assert found.rms == pytest.approx(found.norm / np.sqrt(pattern.sum()))
    assert found.relative == pytest.approx(found.norm / np.linalg.norm(start))
    assert found.per_noise == pytest.approx(2.0 * found.rms)
    assert (found.added, found.elements) == (0, pattern.sum())
    assert found.residual <= 1e-12


def test_the_change_of_the_third_order_is_the_least() -> None:
    """A pattern without the triplets of three different atoms that contain atom 0."""
    generator = np.random.default_rng(6)
    one, two, three = np.indices((3, 3, 3))
    pattern = blocks(~((one != two) & (two != three) & (one != three)))
    start = np.where(pattern, generator.normal(size=pattern.shape), 0.0)
    indices = np.array(np.nonzero(start))
    projected, found = project_third(SparseThirdOrder(9, indices, start[tuple(indices)]))
    expected = np.zeros(pattern.shape)
    expected[pattern] = independent_projector(pattern) @ start[pattern]
    dense = np.zeros(pattern.shape)
    dense[tuple(projected.indices)] = projected.values
    np.testing.assert_allclose(dense, expected, rtol=0.0, atol=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(expected - start), rel=1e-12)
    assert (found.added, found.elements, found.per_noise) == (0, pattern.sum(), None)


def test_symmetric_force_constants_stay_as_they_are() -> None:
    generator = np.random.default_rng(7)
    second, (third, dense) = random_second(5, generator), random_third(4, generator)
    kept, change = project_second(second)
    np.testing.assert_allclose(kept.matrix.toarray(), second.matrix.toarray(), rtol=0.0, atol=1e-11)
    assert change.relative <= 1e-13
    listed, change = project_third(third)
    assert change.relative <= 1e-13
    np.testing.assert_allclose(listed.along(np.arange(12.0)).toarray(), dense @ np.arange(12.0), rtol=0, atol=1e-10)


def test_white_noise_is_changed_by_less_than_its_size(system: System) -> None:
    noisy_third = noisy(system.third, np.random.default_rng(8))
    projected, found = project_third(noisy_third, noise=NOISE)
    assert found.residual <= 1e-12
    assert found.per_noise is not None and 0.5 < found.per_noise < 1.0
    # What an orthogonal projection removes, it removes from the error: Pythagoras.
    _, exact = project_third(system.third)
    assert exact.relative <= 1e-12
    reference = {key: value for key, value in zip(map(bytes, system.third.indices.T), system.third.values, strict=True)}
    truth = np.array([reference.get(bytes(key), 0.0) for key in projected.indices.T])
    before = np.sum((noisy_third.values - system.third.values) ** 2)
    after = np.sum((projected.values - truth) ** 2)
    assert after == pytest.approx(before - found.norm**2, rel=1e-6)
    again, twice = project_third(projected)
    assert twice.relative <= 1e-12
    assert again.values.size == projected.values.size


def test_a_cut_list_is_changed_by_far_more_than_its_noise(system: System) -> None:
    """Elements are left out beyond 3 Angstrom: the change is not that of noise."""
    separations = system.atoms.get_all_distances(mic=True)
    one, two, three = system.third.indices // 3
    near = np.max([separations[one, two], separations[one, three], separations[two, three]], axis=0) < 3.0
    cut = SparseThirdOrder(system.third.size, system.third.indices[:, near], system.third.values[near])
    projected, found = project_third(cut, noise=1e-6)
    assert found.per_noise is not None and found.per_noise > 10.0
    assert found.residual <= 1e-12
    given = {tuple(sorted(atoms)) for atoms in (cut.indices // 3).T.tolist()}
    assert {tuple(sorted(atoms)) for atoms in np.unique(projected.indices // 3, axis=1).T.tolist()} == given


def test_missing_permutations_are_added_and_counted() -> None:
    third, _ = random_third(3, np.random.default_rng(9))
    kept = third.indices[0] <= third.indices[1]
    partial = SparseThirdOrder(third.size, third.indices[:, kept], third.values[kept])
    completed, found = project_third(partial)
    assert found.elements == third.values.size
    assert found.added == third.values.size - kept.sum()
    assert sum_rules(random_second(3, np.random.default_rng(0)), completed).third_permutation.largest == 0.0


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InputError, match="empty list"):
        project_third(SparseThirdOrder(3, np.empty((3, 0), dtype=int), np.empty(0)))


def test_images_that_tie_share_their_weight() -> None:
    """In the middle of a face two images tie, at a corner eight; the mean of all is the nearest average."""
    images = nearest_images(np.array([[5.0, 0.0, 0.0], [5.0, 5.0, 5.0], [1.0, 2.0, 29.0]]), 10.0 * np.eye(3))
    np.testing.assert_array_equal(np.bincount(images.vector), [2, 8, 1])
    np.testing.assert_allclose(np.bincount(images.vector, images.weights), 1.0)
    np.testing.assert_allclose(images.mean(), [[0, 0, 0], [0, 0, 0], [1, 2, -1]], atol=1e-12)
    np.testing.assert_allclose(images.lengths(), [5.0, np.sqrt(75.0), np.sqrt(6.0)])


def test_images_in_an_oblique_cell_differ_by_its_own_vectors() -> None:
    cell = np.array([[4.0, 0.0, 0.0], [11.0, 4.0, 0.0], [-9.0, 6.5, 5.0]])
    vectors = np.random.default_rng(1).normal(scale=20.0, size=(50, 3))
    images = nearest_images(vectors, cell)
    np.testing.assert_allclose(images.images, vectors[images.vector] + images.shifts @ cell, atol=1e-10)
    steps = np.array(list(itertools.product(range(-25, 26), repeat=3)))
    for vector in range(5):
        lengths = np.linalg.norm(vectors[vector] + steps @ cell, axis=1)
        assert images.lengths()[vector] == pytest.approx(lengths.min())
    assert shortest_translation(cell) == pytest.approx(
        np.linalg.norm(steps[np.any(steps != 0, axis=1)] @ cell, axis=1).min()
    )
