"""The third order by directional derivatives: against site tensors, differences of Hessians, and its own symmetries."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from ase.build import bulk

from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order, site_third_order, tensor_bytes, third_order
from ldmd.force_constants.directional import DirectionalThirdOrder, directional_third_order
from ldmd.force_constants.sum_rules import sampled_third_order_residuals
from ldmd.force_constants.third import SiteThirdOrder, ThirdOrder
from ldmd.potentials.stillinger_weber import read_stillinger_weber
from ldmd.structures import NeighbourGraph, SiteBlock, neighbour_graph

LATTICE = 2.7
"""Angstrom, of the body-centred cubic cells: 58 neighbours within 1.87 of it, 26 within 1.5."""
SKIN = 0.3
"""Angstrom, so that no edge enters or leaves while atoms are displaced."""


def toy_site_energies(edges: jax.Array, parameters: tuple[jax.Array, jax.Array, float]) -> jax.Array:
    """-s sqrt(1 + rho) + tanh(|p|^2): density and polarisation of all neighbours, smooth up to the cutoff."""
    strength, charges, cutoff = parameters
    distance = jnp.sqrt(jnp.sum(edges**2, axis=0))
    density = charges * jnp.exp(-0.6 * distance) * (1.0 - jnp.minimum(distance / cutoff, 1.0) ** 2) ** 5
    polarisation = jnp.sum(density * edges, axis=1)
    return -strength * jnp.sqrt(1.0 + jnp.sum(density, axis=0)) + jnp.tanh(jnp.sum(polarisation**2, axis=0))


@dataclasses.dataclass(frozen=True)
class Toy:
    """A smooth potential of two species with as many neighbours as its cutoff (Angstrom) takes in."""

    cutoff: float
    species: tuple[str, ...] = ("W", "Cr")
    site_energies = staticmethod(toy_site_energies)

    @property
    def switching(self) -> np.ndarray:
        return np.broadcast_to([0.0, self.cutoff], (2, 2, 2))

    def parameters(self, block: SiteBlock) -> tuple[jax.Array, jax.Array, float]:
        strength, charges = np.array([1.0, 1.7]), np.array([9.0, 14.0])
        return jnp.asarray(strength[block.kinds]), jnp.asarray(charges[block.neighbour_kinds]), self.cutoff

    def fingerprint(self) -> bytes:
        return b"toy"


def toy_graph(atoms: Atoms, potential: Toy) -> NeighbourGraph:
    return neighbour_graph(atoms, potential.species, potential.switching, SKIN)


def crystal(repeats: int) -> Atoms:
    """Body-centred cubic, two species, away from any minimum."""
    atoms = bulk("W", "bcc", a=LATTICE, cubic=True).repeat(repeats)
    atoms.symbols[1::2] = "Cr"
    atoms.positions += 0.08 * np.random.default_rng(3).normal(size=atoms.positions.shape)
    return atoms


WIDE = Toy(1.87 * LATTICE)


@pytest.fixture(scope="module")
def cell() -> Atoms:
    """127 atoms, one missing: sites differ in their edges, and the chunks of one species are not full."""
    atoms = crystal(4)
    del atoms[40]
    return atoms


@pytest.fixture(scope="module")
def wide(cell: Atoms) -> DirectionalThirdOrder:
    third = third_order(WIDE, cell.positions, toy_graph(cell, WIDE))
    assert isinstance(third, DirectionalThirdOrder)
    return third


def vectors(size: int, count: int) -> np.ndarray:
    return np.random.default_rng(11).normal(size=(size, count))


def assert_same(one: ThirdOrder, other: ThirdOrder) -> None:
    """Same pattern, and the same contractions with three directions to 1e-12 of the largest number."""
    for field in ("indices", "indptr", "data"):
        np.testing.assert_array_equal(getattr(one.pattern, field), getattr(other.pattern, field))
    directions = vectors(one.size, 3)
    mine, theirs = one.contract(directions), other.contract(directions)
    np.testing.assert_allclose(mine, theirs, rtol=0.0, atol=1e-12 * np.abs(theirs).max())


def test_silicon_is_what_site_tensors_give_and_memory_decides(repository: Path) -> None:
    """Some atoms have neighbours of the second shell, and others have not."""
    potential = read_stillinger_weber(repository / "cases" / "silicon" / "Si.sw")
    atoms = bulk("Si", cubic=True).repeat((2, 2, 1))
    atoms.positions += 0.05 * np.random.default_rng(5).normal(size=atoms.positions.shape)
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    (block,), (slots,) = graph.blocks, graph.slots
    assert block.present.sum(axis=0).min() == 4 < slots
    tensors = third_order(potential, atoms.positions, graph)
    directional = third_order(potential, atoms.positions, graph, tensor_memory=tensor_bytes(graph) - 1)
    assert isinstance(tensors, SiteThirdOrder) and isinstance(directional, DirectionalThirdOrder)
    assert_same(directional, tensors)
    assert tensor_bytes(graph) == 8 * 32 * (3 * slots) ** 3


def test_neighbours_met_twice_are_what_site_tensors_give() -> None:
    """Cells below twice the cutoff, where an atom and its image belong to one site; two species."""
    potential, atoms = Toy(1.5 * LATTICE - SKIN), crystal(2)
    graph = toy_graph(atoms, potential)
    block = graph.blocks[0]
    assert len(np.unique(block.neighbours[:, 0])) < block.present[:, 0].sum() > 20
    assert_same(
        directional_third_order(potential, atoms.positions, graph), site_third_order(potential, atoms.positions, graph)
    )


def test_lonely_atoms_have_no_third_order() -> None:
    """A pair of one species, one atom of it alone, and a species of which all atoms are alone."""
    potential = Toy(3.0)
    atoms = Atoms("WCrW2", positions=[[9, 9, 9], [5, 9, 2], [0, 0, 0], [1.9, 0.4, 0.3]], cell=[14.0] * 3, pbc=True)
    third = directional_third_order(potential, atoms.positions, toy_graph(atoms, potential))
    assert third.pattern.nnz == 36
    matrix = third.along(vectors(third.size, 1)[:, 0]).toarray()
    assert np.abs(matrix[:6]).max() == np.abs(matrix[:, :6]).max() == 0.0 < np.abs(matrix[6:, 6:]).min()


def test_slope_of_the_hessian_of_wide_sites(cell: Atoms, wide: DirectionalThirdOrder) -> None:
    """Every element, against central differences of the exact Hessian: their error falls with the step squared."""
    graph = toy_graph(cell, WIDE)
    assert max(graph.slots) >= 60
    direction = vectors(wide.size, 1)[:, 0]
    exact = wide.along(direction)

    def error(step: float) -> float:
        ends = [
            second_order(WIDE, cell.positions + sign * step * direction.reshape(-1, 3), graph).matrix
            for sign in (1.0, -1.0)
        ]
        difference = (ends[0] - ends[1]) / (2.0 * step) - exact
        return float(np.abs(sp.csr_array(difference).data).max() / np.abs(exact.data).max())

    coarse, fine = error(1e-3), error(5e-4)
    assert fine < 1e-3
    assert coarse / fine == pytest.approx(4.0, rel=0.02)


def test_several_directions_at_once(wide: DirectionalThirdOrder) -> None:
    directions = vectors(wide.size, 3)
    together = wide.contract(directions)
    assert together.shape == (wide.pattern.nnz, 3)
    for column, direction in zip(together.T, directions.T, strict=True):
        matrix = wide.along(direction)
        np.testing.assert_array_equal(matrix.data, column)
        np.testing.assert_array_equal(matrix.indices, wide.pattern.indices)
        np.testing.assert_array_equal(matrix.indptr, wide.pattern.indptr)
    sum_of_two = wide.contract(directions[:, :1] - 2.0 * directions[:, 1:2])[:, 0]
    expected = together[:, 0] - 2.0 * together[:, 1]
    np.testing.assert_allclose(sum_of_two, expected, rtol=0.0, atol=1e-13 * np.abs(expected).max())
    assert wide.contract(directions[:, :0]).shape == (wide.pattern.nnz, 0)


def test_symmetric_in_all_three_legs(wide: DirectionalThirdOrder) -> None:
    legs = vectors(wide.size, 3)
    matrices = [wide.along(leg) for leg in legs.T]
    found = [legs[:, b] @ (matrices[a] @ legs[:, c]) for a, b, c in itertools.permutations(range(3))]
    scale = np.abs(legs[:, 0]) @ (abs(matrices[1]) @ np.abs(legs[:, 2]))
    assert np.ptp(found) <= 1e-14 * scale < 1e-9 * abs(found[0])
    assert np.abs((matrices[0] - matrices[0].T).data).max() <= 1e-13 * np.abs(matrices[0].data).max()


def test_blind_to_translations(wide: DirectionalThirdOrder) -> None:
    shifts = np.tile(np.eye(3), (wide.size // 3, 1)) * [0.3, -1.0, 0.7]
    assert np.abs(wide.contract(shifts)).max() == 0.0
    matrix = wide.along(vectors(wide.size, 1)[:, 0])
    assert np.abs(matrix @ shifts).max() <= 1e-13 * np.abs(matrix.data).max()


def test_threads_contract_side_by_side(wide: DirectionalThirdOrder) -> None:
    directions = vectors(wide.size, 4)
    expected = wide.contract(directions)
    with ThreadPoolExecutor(4) as pool:
        columns = list(pool.map(wide.along, directions.T))
    np.testing.assert_array_equal(np.stack([matrix.data for matrix in columns], axis=1), expected)


def test_less_memory_changes_nothing(cell: Atoms, wide: DirectionalThirdOrder) -> None:
    graph = toy_graph(cell, WIDE)

    def sites(third: DirectionalThirdOrder) -> list[int]:
        return [len(chunk.centres) for chunk in third.chunks]

    little = directional_third_order(WIDE, cell.positions, graph, memory=4e6)
    assert max(sites(little)) < min(sites(wide))
    assert len({id(chunk.slopes) for chunk in little.chunks}) == len(graph.blocks)  # compiled once per species
    assert_same(little, wide)


def test_too_little_memory_is_refused() -> None:
    potential, atom = Toy(0.9 * LATTICE - SKIN), bulk("W", "bcc", a=LATTICE)
    with pytest.raises(InputError, match="one site of 8 neighbours"):
        directional_third_order(potential, atom.positions, toy_graph(atom, potential), memory=1.0)


@pytest.mark.parametrize("options", [{}, {"tensor_memory": 1e12}])
def test_the_choice_is_the_callers(options: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow sites of 1000 atoms stay with tensors; wide ones do only where the caller has the memory."""
    chosen: list[Callable] = []
    for name in ("site_third_order", "directional_third_order"):
        monkeypatch.setattr(f"ldmd.force_constants.autodiff.{name}", lambda *_, name=name: chosen.append(name))
    atoms = crystal(4)
    third_order(WIDE, atoms.positions, toy_graph(atoms, WIDE), **options)
    narrow = Toy(0.9 * LATTICE)
    third_order(narrow, atoms.positions, toy_graph(atoms, narrow), **options)
    assert chosen == [("site" if options else "directional") + "_third_order", "site_third_order"]


def test_sum_rules_of_a_third_order_too_wide_to_list(wide: DirectionalThirdOrder) -> None:
    """From a few contractions; an operator that breaks the rules is caught by each of its own."""
    assert not wide.listable
    found = sampled_third_order_residuals(wide)
    assert found["translation"] < 1e-12 and found["permutation"] < 1e-12

    @dataclasses.dataclass(frozen=True)
    class Broken(ThirdOrder):
        """With one block made larger: neither sums to zero nor is symmetric in all legs."""

        @property
        def pattern(self) -> sp.csr_array:
            return wide.pattern

        def contract(self, directions: np.ndarray) -> np.ndarray:
            data = wide.contract(directions)
            data[7] *= 1.01
            return data

    broken = sampled_third_order_residuals(Broken(wide.size))
    assert broken["translation"] > 1e-6 and broken["permutation"] > 1e-9
