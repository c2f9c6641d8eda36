"""Force constants by automatic differentiation: sum rules, and finite differences that know nothing of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from small_silica import disordered, glass, graph_of, silica_potential

from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sum_rules import residuals, second_order_residuals, third_order_residuals
from ldmd.force_constants.third import SiteThirdOrder, SparseThirdOrder
from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.structures import pairs_within

STEP = 0.003
"""Angstrom, of the finite differences. One Richardson extrapolation with half of it removes their error of order 2."""


@pytest.fixture(scope="module")
def cell() -> Atoms:
    """72 atoms with no pair within 0.05 Angstrom of a cutoff, where finite differences would see the kink."""
    atoms, potential = disordered(), silica_potential()
    inner, outer = potential.switching[..., 0], potential.switching[..., 1]
    near = len(pairs_within(atoms, potential.species, outer + 0.05)[0])
    assert near == len(pairs_within(atoms, potential.species, inner - 0.05)[0])
    return atoms


@pytest.fixture(scope="module")
def second(cell: Atoms) -> SecondOrder:
    return second_order(silica_potential(), cell.positions, graph_of(cell))


@pytest.fixture(scope="module")
def third(cell: Atoms) -> SiteThirdOrder:
    return third_order(silica_potential(), cell.positions, graph_of(cell))


@pytest.fixture(scope="module")
def largest(third: SiteThirdOrder) -> float:
    """Largest element of the third order, eV/Angstrom^3."""
    return float(np.abs(third.elements()[1]).max())


@pytest.fixture(scope="module")
def forces(cell: Atoms) -> Callable[[np.ndarray], np.ndarray]:
    """Forces (3N,) at displacements (3N,) from the cell."""
    potential, graph = silica_potential(), graph_of(cell)
    parameters = graph_parameters(potential, graph)

    def at(displacements: np.ndarray) -> np.ndarray:
        positions = cell.positions + displacements.reshape(-1, 3)
        return np.asarray(energies_forces_virial(potential.site_energies, positions, graph, parameters)[1]).ravel()

    return at


def richardson(difference: Callable[[float], np.ndarray]) -> np.ndarray:
    """A difference of second order at ``STEP`` and half of it, extrapolated to fourth order."""
    return (4.0 * difference(0.5 * STEP) - difference(STEP)) / 3.0


def unit(coordinate: int, size: int) -> np.ndarray:
    vector = np.zeros(size)
    vector[coordinate] = 1.0
    return vector


def directions(count: int, size: int) -> np.ndarray:
    vectors = np.random.default_rng(7).normal(size=(count, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sum_rules_of_the_glass() -> None:
    atoms, potential = glass(), silica_potential()
    graph = graph_of(atoms)
    found = residuals(second_order(potential, atoms.positions, graph), third_order(potential, atoms.positions, graph))
    assert max(dataclasses.astuple(found)) <= 1e-12


def test_second_order_against_differences_of_forces(second: SecondOrder, forces: Callable) -> None:
    matrix = second.matrix.toarray()
    for coordinate in (0, 40, 101, 215):
        step = unit(coordinate, len(matrix))
        column = richardson(lambda h: -(forces(h * step) - forces(-h * step)) / (2.0 * h))  # noqa: B023
        np.testing.assert_allclose(column, matrix[:, coordinate], rtol=0.0, atol=1e-9 * np.abs(matrix).max())


def test_third_order_along_random_directions(third: SiteThirdOrder, forces: Callable, largest: float) -> None:
    """-F'' along u is Phi3 . u . u."""
    for u in directions(3, third.size):
        curvature = richardson(lambda h: -(forces(h * u) - 2.0 * forces(0.0 * u) + forces(-h * u)) / h**2)  # noqa: B023
        expected = third.along(u) @ u
        np.testing.assert_allclose(curvature, expected, rtol=0.0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("pair", [(0, 0), (0, 1), (0, 24), (100, 102), (31, 33), (170, 171)])
def test_third_order_of_single_atoms(
    third: SiteThirdOrder, forces: Callable, largest: float, pair: tuple[int, int]
) -> None:
    """The usual four displacements of two coordinates: every Phi_abc with these a and b."""
    one, two = (unit(coordinate, third.size) for coordinate in pair)

    def mixed(h: float) -> np.ndarray:
        ends = [(s * t, forces(h * (s * one + t * two))) for s in (1, -1) for t in (1, -1)]
        return -sum(sign * force for sign, force in ends) / (4.0 * h**2)

    expected = third.along(one) @ two
    np.testing.assert_allclose(richardson(mixed), expected, rtol=0.0, atol=1e-5 * largest)


def test_third_order_against_differences_of_the_second(cell: Atoms, third: SiteThirdOrder, largest: float) -> None:
    """Every element at once: the change of the Hessian along a direction."""
    potential, graph = silica_potential(), graph_of(cell)
    u = 10.0 * directions(1, third.size)[0]

    def slope(h: float) -> np.ndarray:
        ends = [second_order(potential, cell.positions + s * h * u.reshape(-1, 3), graph).matrix for s in (1, -1)]
        return (ends[0] - ends[1]).toarray() / (2.0 * h)

    expected = third.along(u).toarray()
    np.testing.assert_allclose(richardson(slope), expected, rtol=0.0, atol=1e-8 * np.abs(expected).max())


def test_elements_are_what_along_contracts(third: SiteThirdOrder) -> None:
    indices, values = third.elements()
    listed = SparseThirdOrder(third.size, indices, values)
    for u in directions(2, third.size):
        mine, theirs = third.along(u).toarray(), listed.along(u).toarray()
        np.testing.assert_allclose(theirs, mine, rtol=0.0, atol=1e-13 * np.abs(mine).max())
    assert listed.elements()[1] is values
    keys = (indices[0] * third.size + indices[1]) * third.size + indices[2]
    assert len(np.unique(keys)) == len(keys)


def test_the_pattern_does_not_depend_on_the_direction(third: SiteThirdOrder) -> None:
    patterns = [third.along(u) for u in (*directions(2, third.size), unit(0, third.size))]
    for pattern in patterns[1:]:
        np.testing.assert_array_equal(pattern.indices, patterns[0].indices)
        np.testing.assert_array_equal(pattern.indptr, patterns[0].indptr)


def test_contraction_is_linear_and_blind_to_translations(third: SiteThirdOrder, largest: float) -> None:
    u, v = directions(2, third.size)
    together = third.along(2.0 * u - 3.0 * v)
    apart = 2.0 * third.along(u) - 3.0 * third.along(v)
    assert np.abs((together - apart).toarray()).max() <= 1e-13 * largest
    shift = np.tile([0.3, -1.0, 0.7], third.size // 3)
    assert np.abs(third.along(shift).toarray()).max() == 0.0


def test_residuals_see_a_broken_sum_rule(second: SecondOrder, third: SiteThirdOrder) -> None:
    """One damaged element shows as itself, relative to the largest."""
    indices, values = third.elements()
    place = int(np.flatnonzero((indices[0] != indices[1]) & (indices[1] != indices[2]))[0])
    damaged = values.copy()
    damaged[place] += 1e-3 * np.abs(values).max()
    found = third_order_residuals(SparseThirdOrder(third.size, indices, damaged))
    assert found["translation"] == pytest.approx(1e-3, rel=1e-6)
    assert found["permutation"] == pytest.approx(1e-3, rel=1e-6)
    without = np.delete(np.arange(len(values)), place)
    missing = third_order_residuals(SparseThirdOrder(third.size, indices[:, without], values[without]))
    assert missing["permutation"] == pytest.approx(abs(values[place]) / np.abs(values).max(), rel=1e-6)
    matrix = second.matrix.copy()
    matrix.data[1] += 1e-3 * np.abs(matrix.data).max()
    broken = second_order_residuals(SecondOrder(matrix))
    assert broken["translation"] == pytest.approx(1e-3, rel=1e-6)
    assert broken["permutation"] == pytest.approx(1e-3, rel=1e-6)


def test_harmonic_forces_and_mass_weighting(second: SecondOrder, cell: Atoms) -> None:
    dense, masses = second.matrix.toarray(), cell.get_masses()
    displacements = np.random.default_rng(0).normal(size=(4, len(cell), 3))
    expected = np.array([(-dense @ u.ravel()).reshape(-1, 3) for u in displacements])
    np.testing.assert_allclose(second.forces(displacements), expected, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(second.forces(displacements[0]), expected[0], rtol=0.0, atol=1e-12)
    weighted = second.mass_weighted(masses)
    assert weighted[4, 100] == pytest.approx(dense[4, 100] / np.sqrt(masses[1] * masses[33]))
    assert second.atoms == len(cell)


def test_a_list_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="indices must be"):
        SparseThirdOrder(3, np.array([[0], [1], [3]]), np.array([1.0]))
    with pytest.raises(InputError, match="indices must be"):
        SparseThirdOrder(3, np.array([[0], [1]]), np.array([1.0]))
