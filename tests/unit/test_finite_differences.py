"""Force constants of black boxes: against automatic differentiation, with errors as predicted, and not twice."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from random_crystal import projector, random_second, random_third
from small_silica import CASE, silica_potential

from ldmd.errors import InputError
from ldmd.force_constants import autodiff
from ldmd.force_constants.crystal_symmetry import identity, operations_of
from ldmd.force_constants.displacements import plan_third
from ldmd.force_constants.finite_differences import (
    ThirdOrderDifferences,
    _symmetric,
    evaluations_needed,
    pairs_within_cutoff,
    second_order,
    third_order,
)
from ldmd.force_constants.noise import difference_noise, force_noise
from ldmd.force_constants.steps import LARGEST_STEP, Step, best_size
from ldmd.force_constants.sum_rules import third_order_residuals
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.potentials.black_box import AsePotential
from ldmd.potentials.evaluations import evaluations
from ldmd.structures import neighbour_graph

BOND = 3.0
"""Angstrom: a cutoff between the first neighbours of silicon, at 2.35, and the second, at 3.84."""


@dataclasses.dataclass(frozen=True)
class Box:
    """A black box made of a function of the atoms."""

    function: Callable[[Atoms], np.ndarray]
    name: str = "box"

    def forces(self, atoms: Atoms) -> np.ndarray:
        return self.function(atoms)

    def energy(self, atoms: Atoms) -> float:
        return 0.0

    def offers(self) -> frozenset[str]:
        return frozenset()

    def energies(self, atoms: Atoms) -> np.ndarray:
        raise NotImplementedError

    stress = virials = energies

    def fingerprint(self) -> bytes:
        return self.name.encode()


def tersoff_box(atoms: Atoms, finish: Callable[[np.ndarray], np.ndarray] = np.asarray, name: str = "tersoff") -> Box:
    """The Tersoff potential with the neighbours of some atoms, which a third of an Angstrom does not change.

    Where the atoms come in another order, the neighbours are found anew.
    """
    potential = silica_potential()

    def graph_and_parameters(some: Atoms) -> tuple:
        graph = neighbour_graph(some, potential.species, potential.switching, skin=0.3)
        return graph, graph_parameters(potential, graph)

    known = graph_and_parameters(atoms)

    def forces(some: Atoms) -> np.ndarray:
        near = np.abs(some.positions - atoms.positions).max() < 0.15
        graph, parameters = known if near else graph_and_parameters(some)
        return finish(np.asarray(energies_forces_virial(potential.site_energies, some.positions, graph, parameters)[1]))

    return Box(forces, name)


@functools.cache
def _silicon() -> Atoms:
    atoms = bulk("Si", a=5.43, cubic=True)
    atoms.rattle(0.03, seed=3)
    return atoms


def silicon() -> Atoms:
    """Eight atoms without symmetry, all distances far from the cutoff of 2.5 to 2.8 Angstrom."""
    return _silicon().copy()


@functools.cache
def exact() -> np.ndarray:
    """Third order of ``silicon`` by automatic differentiation, (24, 24, 24)."""
    atoms, potential = silicon(), silica_potential()
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    return dense(autodiff.third_order(potential, atoms.positions, graph).elements(), 24)


def dense(elements: tuple[np.ndarray, np.ndarray], size: int) -> np.ndarray:
    tensor = np.zeros((size,) * 3)
    tensor[tuple(elements[0])] = elements[1]
    return tensor


def differences(atoms: Atoms, box: Box | AsePotential, **options: object) -> ThirdOrderDifferences:
    with evaluations(box, workers=1) as evaluator:
        return third_order(atoms, evaluator, **options)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.mark.parametrize("step", [1e-3, 1e-2, 3e-2])
def test_third_order_through_both_doors(step: float) -> None:
    """Automatic differentiation, and the same potential as an ASE calculator that only gives forces."""
    calculator = AsePotential(
        "ldmd.potentials.calculator:tersoff_calculator", {"parameters": str(CASE / "SiO.tersoff")}
    )
    found = differences(silicon(), calculator, step=step)
    accuracy = found.accuracy
    error = (dense(found.third.elements(), 24) - exact())[exact() != 0.0]
    assert accuracy.step.size == step
    assert 0.1 * accuracy.step.error <= rms(error) <= accuracy.step.error
    assert np.abs(error).max() <= 10.0 * accuracy.step.error
    assert accuracy.step.truncation_error > 100.0 * accuracy.step.noise_error
    assert all(check.passed for check in accuracy.checks)


def test_the_step_that_is_chosen_is_the_best() -> None:
    """At h* the error is near its least: a third or three times the step is worse, by what the prediction says."""
    atoms = silicon()
    box = tersoff_box(atoms)
    chosen = differences(atoms, box)
    size = chosen.accuracy.step.size
    assert 5e-5 < size < 1e-3
    errors = {}
    for factor in (1.0 / 3.0, 1.0, 3.0):
        found = differences(atoms, box, step=factor * size)
        errors[factor] = rms(dense(found.third.elements(), 24) - exact())
    assert errors[1.0] <= chosen.accuracy.step.error
    assert errors[1.0] < errors[1.0 / 3.0]
    assert errors[1.0] < errors[3.0]
    residuals = third_order_residuals(chosen.third)
    assert residuals["permutation"] == 0.0
    assert residuals["translation"] <= 10.0 * chosen.accuracy.step.error / np.abs(exact()).max()
    assert chosen.cutoff == math.inf


def test_the_second_order_and_its_error() -> None:
    atoms, potential = silicon(), silica_potential()
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    expected = autodiff.second_order(potential, atoms.positions, graph).matrix.toarray()
    for step in (None, 1e-3, 1e-2):
        with evaluations(tersoff_box(atoms), workers=1) as evaluator:
            found = second_order(atoms, evaluator, step=step)
        error = found.second.matrix.toarray() - expected
        assert 0.2 * found.accuracy.step.error <= rms(error) <= 2.0 * found.accuracy.step.error
        assert np.abs(error).max() <= 10.0 * found.accuracy.step.error
        assert all(check.passed for check in found.accuracy.checks)


@pytest.mark.parametrize("step", [1e-4, 1e-3, 1e-2])
def test_forces_of_single_precision_make_the_noise_that_was_predicted(step: float) -> None:
    """Differences of rounded forces minus those of the same forces unrounded: sigma_F / (2 h^2)."""
    atoms = silicon()
    single = tersoff_box(atoms, lambda forces: forces.astype(np.float32).astype(float), "single")
    sigma = force_noise(single, atoms).sigma
    plan = plan_third(identity(len(atoms)), *pairs_within_cutoff(atoms, BOND))
    found = []
    for box in (single, tersoff_box(atoms)):
        with evaluations(box, workers=1) as evaluator:
            forces = evaluator.forces(atoms, plan.displacements(step))
        found.append([tensor for _, tensor in plan.representatives(forces.__getitem__, step)])
    noise = rms(np.array(found[0]) - np.array(found[1]))
    assert 0.5 <= noise / Step(3, step, sigma, 0.0).noise_error <= 2.0
    with evaluations(single, workers=1) as evaluator:
        accuracy = third_order(atoms, evaluator, cutoff=BOND, step=step).accuracy
    assert accuracy.permutation <= 2.0 * accuracy.step.error
    if step < 5e-3:
        assert accuracy.permutation >= 0.5 * accuracy.step.noise_error


def five_atoms() -> Atoms:
    """Three atoms near each other, two others near each other and far from these."""
    positions = [[0, 0, 0], [2, 0, 0], [0, 2.1, 0], [6, 6, 6], [6, 6, 8]]
    return Atoms("Ar5", positions=positions, cell=[12.0] * 3, pbc=True, tags=range(5))


def polynomial_box(second: np.ndarray, third: np.ndarray) -> Box:
    """Forces -Phi2 u - Phi3 u u / 2 around ``five_atoms``, whose tags tell which is which."""
    start = five_atoms().positions

    def forces(atoms: Atoms) -> np.ndarray:
        place = atoms.get_tags()
        u = np.empty((5, 3))
        u[place] = atoms.positions - start[place]
        flat = u.ravel()
        return -(second @ flat + 0.5 * np.einsum("abc,b,c->a", third, flat, flat, optimize=True)).reshape(5, 3)[place]

    return Box(forces)


@functools.cache
def cubic() -> tuple[np.ndarray, np.ndarray]:
    """Random Phi2 and Phi3 of five atoms with all symmetries."""
    generator = np.random.default_rng(1)
    return random_second(5, generator).matrix.toarray(), random_third(5, generator)[1]


@pytest.mark.parametrize("step", [None, 0.01, 0.3])
def test_a_cubic_potential_is_found_whatever_the_step(step: float | None) -> None:
    """No truncation, so only formulas, signs and permutations count, and the largest step is the best."""
    second, third = cubic()
    with evaluations(polynomial_box(second, third), workers=1) as evaluator:
        two = second_order(five_atoms(), evaluator, step=step)
        three = third_order(five_atoms(), evaluator, step=step)
    for found, expected, accuracy in (
        (two.second.matrix.toarray(), second, two.accuracy),
        (dense(three.third.elements(), 15), third, three.accuracy),
    ):
        assert step is not None or 0.2 * LARGEST_STEP <= accuracy.step.size <= LARGEST_STEP
        assert rms(found - expected) <= 3.0 * accuracy.step.noise_error
        assert accuracy.permutation <= 3.0 * accuracy.step.noise_error
        assert accuracy.translation <= 10.0 * accuracy.step.noise_error
        assert all(check.passed for check in accuracy.checks)


def test_a_cutoff_leaves_out_what_has_no_pair_within_it() -> None:
    """Every element with two atoms within the cutoff of each other is there, in all permutations, and no other."""
    second, third = cubic()
    found = differences(five_atoms(), polynomial_box(second, third), cutoff=2.5, step=0.01)
    near = five_atoms().get_all_distances(mic=True) < 2.5
    i, j, k = np.indices(third.shape) // 3
    there = near[i, j] | near[i, k] | near[j, k]
    assert 0 < np.count_nonzero(~there) < there.size
    tensor = dense(found.third.elements(), 15)
    assert np.all(tensor[~there] == 0.0)
    np.testing.assert_allclose(tensor[there], third[there], rtol=0.0, atol=1e-9)
    assert evaluations_needed(five_atoms(), 2.5, symmetry=False) == (30, 3 * 36 + 5 * 18 + 1)


def test_forces_that_are_no_gradient_are_noticed() -> None:
    """A model that predicts forces directly: Phi_ij and Phi_ji differ."""
    second, third = cubic()
    noise = np.random.default_rng(2).normal(size=second.shape)
    twisted = second + 0.01 * projector(5) @ (noise - noise.T) @ projector(5)
    with evaluations(polynomial_box(twisted, third), workers=1) as evaluator:
        check = second_order(five_atoms(), evaluator).accuracy.checks[1]
    assert not check.passed
    expected = rms((twisted - twisted.T)[np.triu_indices(15, 1)]) / math.sqrt(2.0)
    assert check.value == pytest.approx(expected, rel=1e-6)


def test_a_kink_within_the_step_is_noticed() -> None:
    """A pair at the cutoff of the Tersoff potential, whose second derivative jumps there."""
    atoms = silicon()
    outer = float(silica_potential().switching[0, 0, 1])
    bond = atoms.get_distance(0, 1, vector=True, mic=True)
    atoms.positions[1] += bond / np.linalg.norm(bond) * (outer + 2e-5 - np.linalg.norm(bond))
    accuracy = differences(atoms, tersoff_box(atoms), step=1e-3, cutoff=BOND).accuracy
    assert not accuracy.checks[1].passed
    assert "kink" in accuracy.checks[1].advice


CRYSTALS = {
    "diamond": (lambda: bulk("Si", a=5.43, cubic=True), None, (1, 15)),
    "diamond, 64 atoms": (lambda: bulk("Si", a=5.43, cubic=True).repeat(2), BOND, (1, 9)),
    "zincblende": (lambda: bulk("SiO", "zincblende", a=4.6, cubic=True), BOND, (2, 13)),
    "wurtzite": (lambda: bulk("SiSi", "wurtzite", a=3.84, c=6.27, u=0.375).repeat((2, 2, 1)), BOND, (3, 33)),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_symmetry_saves_evaluations_and_changes_nothing(name: str) -> None:
    """Operations may turn the directions of displacement, so truncation may differ, but no more than it amounts to."""
    pytest.importorskip("spglib")
    build, cutoff, needed = CRYSTALS[name]
    atoms = build()
    assert evaluations_needed(atoms, cutoff) == needed
    results = []
    for symmetry in (True, False):
        with evaluations(tersoff_box(atoms), workers=1) as evaluator:
            two = second_order(atoms, evaluator, step=1e-3, symmetry=symmetry)
            three = third_order(atoms, evaluator, step=1e-3, cutoff=cutoff, symmetry=symmetry)
        results.append((two.second.matrix.toarray(), three.third, two.accuracy.step, three.accuracy.step))
    (two, three, two_step, three_step), (two_all, three_all, *_) = results
    assert np.abs(two - two_all).max() <= 5.0 * two_step.error
    size = 3 * len(atoms)
    change = np.abs(dense(three.elements(), size) - dense(three_all.elements(), size)).max()
    assert change <= 5.0 * three_step.error
    assert np.abs(three_all.values).max() > 1e4 * three_step.error


def test_the_operations_of_diamond() -> None:
    """48 rotations for each of the translations within the cell; every one keeps all distances."""
    pytest.importorskip("spglib")
    atoms = bulk("Si", a=5.43, cubic=True).repeat((2, 1, 1))
    operations = operations_of(atoms)
    assert len(operations) == 16 * 8  # 16 of 48 rotations keep the long axis, 8 translations
    np.testing.assert_allclose(
        operations.rotations @ operations.rotations.transpose(0, 2, 1), np.tile(np.eye(3), (128, 1, 1)), atol=1e-12
    )
    distances = atoms.get_all_distances(mic=True)
    for image in operations.images:
        np.testing.assert_allclose(distances[np.ix_(image, image)], distances, atol=1e-8)
    assert len(operations_of(silicon())) == 1


def test_a_second_run_evaluates_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Noise and step come from the record, too; the numbers are the same to the last bit."""
    atoms = silicon()

    def run(box: Box) -> ThirdOrderDifferences:
        with evaluations(box, tmp_path / "record", workers=1) as evaluator:
            second_order(atoms, evaluator)
            return third_order(atoms, evaluator, cutoff=BOND)

    def refuse(_: Atoms) -> np.ndarray:
        raise AssertionError("evaluated again")

    first = run(tersoff_box(atoms))
    with caplog.at_level(logging.INFO):
        again = run(Box(refuse, "tersoff"))
    assert "order 3: step " in caplog.text
    np.testing.assert_array_equal(first.third.values, again.third.values)
    np.testing.assert_array_equal(first.third.indices, again.third.indices)
    assert first.accuracy == again.accuracy
    with pytest.raises(AssertionError, match="evaluated again"):
        run(Box(refuse, "another"))


def noisy_box(sigma: float, forgetful: bool) -> Box:
    """Zero forces with white noise that belongs to the positions, or comes anew each time."""
    generator = np.random.default_rng(5)

    def forces(atoms: Atoms) -> np.ndarray:
        seed = np.frombuffer(atoms.positions.tobytes(), dtype=np.uint32)
        own = generator if forgetful else np.random.default_rng(seed)
        return sigma * own.normal(size=atoms.positions.shape)

    return Box(forces)


@pytest.mark.parametrize("forgetful", [False, True])
def test_noise_is_measured(forgetful: bool) -> None:
    """Every meter within what 200 to 2000 numbers allow; only the forgetful calculator differs when asked again."""
    noise = force_noise(noisy_box(1e-3, forgetful), bulk("Si", cubic=True).repeat(2))
    for meter in (noise.translation, noise.relabelling):
        assert meter == pytest.approx(1e-3, rel=0.1)
    assert noise.smoothness == pytest.approx(1e-3, rel=0.2)
    assert noise.repetition == (pytest.approx(1e-3, rel=0.2) if forgetful else 0.0)
    assert noise.check.passed == (not forgetful)
    assert noise.sigma == pytest.approx(1e-3, rel=0.2)


def test_rounded_forces_have_the_noise_of_their_last_digit() -> None:
    """A uniform error of one unit in the last place: its size divided by sqrt(12). Invariances do not see it."""
    atoms = silicon()
    noise = force_noise(tersoff_box(atoms, lambda f: f.astype(np.float32).astype(float)), atoms)
    moved = atoms.copy()
    moved.rattle(0.02, seed=0)
    expected = rms(np.spacing(tersoff_box(atoms).forces(moved).astype(np.float32)).astype(float)) / math.sqrt(12.0)
    assert noise.smoothness == pytest.approx(expected, rel=0.5)
    assert noise.relabelling == 0.0
    double = force_noise(tersoff_box(atoms), atoms)
    assert double.sigma < 1e-12
    assert double.check.passed


def test_differences_of_smooth_values_are_no_noise() -> None:
    """Nothing is left of polynomials below the order, nor of a sum of any two functions of one coordinate each."""
    x, generator = np.arange(4.0), np.random.default_rng(0)
    smooth = np.add.outer(np.exp(x), generator.normal(size=4)) + np.outer(x**2, np.sin(x)) + np.outer(np.cos(x), x)
    assert difference_noise(smooth[..., None]) <= 1e-14 * np.abs(smooth).max()
    noisy = generator.normal(size=(4, 4, 4000)) + smooth[..., None]
    assert difference_noise(noisy) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("order", [2, 3])
def test_the_best_step_has_the_least_error(order: int) -> None:
    sigma, bending = 1e-6, 150.0
    best = best_size(order, sigma, bending)
    errors = [Step(order, best * factor, sigma, bending).error for factor in (0.97, 1.0, 1.03)]
    assert errors[1] < min(errors[0], errors[2])
    if order == 3:
        assert best == pytest.approx((3.0 * sigma / (2.0 * 75.0)) ** 0.25)  # with Phi5 = K / 2
    assert best_size(order, 1.0, bending) == best_size(order, sigma, 0.0) == LARGEST_STEP


@pytest.mark.parametrize("step", [0.0, -0.01, math.nan, 3.0])
def test_a_step_that_is_none(step: float) -> None:
    with pytest.raises(InputError, match=r"lattice.displacement = .*: give a positive number up to 0.5 Angstrom"):
        differences(silicon(), tersoff_box(silicon()), step=step)


def test_a_cutoff_that_is_none() -> None:
    with pytest.raises(InputError, match="lattice.pair_cutoff = -1"):
        differences(silicon(), tersoff_box(silicon()), cutoff=-1)


def test_repeated_coordinates_are_averaged_over_permutations() -> None:
    """The mean over permutations of a tensor that is symmetric in its first two legs only."""
    generator = np.random.default_rng(3)
    tensor = generator.normal(size=(15,) * 3)
    tensor += tensor.transpose(1, 0, 2)
    expected = sum(tensor.transpose(order) for order in ((0, 1, 2), (0, 2, 1), (2, 1, 0))) / 3.0
    raw = np.array(np.nonzero(tensor))
    raw = raw[:, raw[0] <= raw[1]]
    third, scatter = _symmetric(raw, tensor[tuple(raw)], np.ones((5, 5), dtype=bool))
    assert isinstance(third, SparseThirdOrder)
    np.testing.assert_allclose(dense(third.elements(), 15), expected, rtol=0.0, atol=1e-14)
    assert scatter == pytest.approx(math.sqrt(2.0), rel=0.1)
