"""The same crystal in other lattice vectors, rotated, shifted, permuted, left-handed and repeated: the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from descriptions import described, differences
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmd.cells import in_reduced_cell, is_reduced, opposite, standard_bases, standard_supercell
from ldmd.crystal.description import even_divisions, keeps_symmetry, standard_divisions, standard_primitive
from ldmd.errors import InputError

seeds = st.integers(min_value=0, max_value=2**32 - 1)
LATTICES = {
    "cubic": np.eye(3) * 4.0,
    "face-centred": np.array([[0.0, 2.7, 2.7], [2.7, 0.0, 2.7], [2.7, 2.7, 0.0]]),
    "body-centred": np.array([[-1.6, 1.6, 1.6], [1.6, -1.6, 1.6], [1.6, 1.6, -1.6]]),
    "hexagonal": np.array([[3.8, 0.0, 0.0], [-1.9, 1.9 * np.sqrt(3.0), 0.0], [0.0, 0.0, 6.2]]),
    "flat hexagonal": np.array([[3.8, 0.0, 0.0], [-1.9, 1.9 * np.sqrt(3.0), 0.0], [0.0, 0.0, 2.9]]),
    "rhombohedral": 5.0 * (np.eye(3) + 0.3),
    "orthorhombic": np.diag([11.0, 4.0, 4.4]),
    "monoclinic": np.array([[5.1, 0.0, 0.0], [0.0, 3.3, 0.0], [-1.2, 0.0, 4.7]]),
    "triclinic": np.array([[3.1, 0.0, 0.0], [0.4, 3.4, 0.0], [-0.3, 0.7, 3.7]]),
}


def crystal(name: str, seed: int = 3) -> Atoms:
    """Three atoms of two kinds, one of them heavier, anywhere in the cell of a lattice."""
    generator = np.random.default_rng(seed)
    atoms = Atoms("SiOSi", cell=LATTICES[name], scaled_positions=generator.uniform(size=(3, 3)), pbc=True)
    atoms.set_masses([28.0, 16.0, 30.0])
    return atoms


@settings(max_examples=60)
@given(st.sampled_from(list(LATTICES)), seeds)
def test_the_standard_bases_of_a_lattice_do_not_ask_how_it_was_given(name: str, seed: int) -> None:
    """They are right-handed, the shortest there are, and their metric is one, whatever the basis and the axes."""
    cell = LATTICES[name]
    other, turn = described(Atoms("H", cell=cell, pbc=True), np.random.default_rng(seed))
    expected, found = (standard_bases(each) @ each for each in (cell, other.cell.array))
    assert len(found) == len(expected) and np.linalg.det(found).min() > 0.0
    metrics = found @ found.transpose(0, 2, 1)
    np.testing.assert_allclose(metrics, np.broadcast_to(expected[0] @ expected[0].T, metrics.shape), atol=1e-9)
    back = found @ turn
    for basis in back:
        assert np.abs(basis - expected).max(axis=(1, 2)).min() < 1e-9, "the same set of bases, turned"


@settings(max_examples=40)
@given(st.sampled_from(list(LATTICES)), seeds, st.sampled_from([1, 2, 3]))
def test_a_crystal_has_one_standard_primitive_cell(name: str, seed: int, cells: int) -> None:
    """Up to a translation, and a rotation where the lattice has one: distances and kinds of atoms tell."""
    atoms = crystal(name)
    expected = standard_primitive(atoms)
    unit, turn = described(atoms, np.random.default_rng(seed), cells)
    found = standard_primitive(unit)
    back = found.cell.array @ turn
    # The crystal has no symmetry but inversion of wave vectors, so that its cell is one.
    np.testing.assert_allclose(back, expected.cell.array, atol=1e-8)
    order = [int(np.flatnonzero(np.isclose(found.get_masses(), mass))[0]) for mass in expected.get_masses()]
    vectors = (found.positions[order] - found.positions[order[0]]) @ turn - (expected.positions - expected.positions[0])
    fractions = vectors @ np.linalg.inv(expected.cell.array)
    np.testing.assert_allclose(fractions, np.rint(fractions), atol=1e-7)


@settings(max_examples=40)
@given(st.sampled_from(list(LATTICES)), seeds)
def test_a_skewed_or_left_handed_cell_is_exchanged_and_a_good_one_is_not(name: str, seed: int) -> None:
    atoms = crystal(name)
    unit, _ = described(atoms, np.random.default_rng(seed))
    found = in_reduced_cell(unit)
    assert is_reduced(found.cell.array)
    assert in_reduced_cell(found) is found
    np.testing.assert_allclose(found.get_all_distances(mic=True), unit.get_all_distances(mic=True), atol=1e-9)
    np.testing.assert_array_equal(found.get_masses(), unit.get_masses())
    assert is_reduced(opposite(opposite(found)).cell.array) and not is_reduced(opposite(found).cell.array)


@settings(max_examples=40)
@given(st.sampled_from(list(LATTICES)), seeds)
def test_supercells_of_one_lattice_have_one_matrix(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.integers(-3, 4, size=(3, 3))
    if abs(round(np.linalg.det(matrix))) < 1:
        matrix = np.diag(generator.integers(1, 5, size=3))
    change, _ = described(Atoms("H", cell=np.eye(3), pbc=True), generator)
    unimodular = np.rint(change.cell.array @ np.linalg.inv(in_reduced_cell(change).cell.array)).astype(int)
    one, other = (standard_supercell(each, LATTICES[name]) for each in (matrix, unimodular @ matrix))
    np.testing.assert_array_equal(one, other)
    assert round(np.linalg.det(one)) == abs(round(np.linalg.det(matrix)))
    whole = matrix @ np.linalg.inv(one)
    np.testing.assert_allclose(whole, np.rint(whole), atol=1e-9)


def test_divisions_follow_the_vectors_that_were_given_where_these_are_fit() -> None:
    flat = crystal("flat hexagonal")
    flat = Atoms("Si", cell=flat.cell, pbc=True)  # a simple hexagonal lattice: the shortest vector is the axis
    primitive = standard_primitive(flat)
    assert standard_divisions(flat, primitive, (7, 7, 9), "crystal.mesh") == (9, 7, 7)
    with pytest.raises(InputError, match=r"crystal.mesh = \[7, 8, 9\]: breaks the symmetry of the crystal"):
        standard_divisions(flat, primitive, (7, 8, 9), "crystal.mesh")
    skewed = flat.copy()
    skewed.set_cell(np.array([[2, -1, 1], [0, 1, 0], [1, 0, 1]]) @ flat.cell.array)
    assert not is_reduced(skewed.cell.array)
    assert standard_divisions(skewed, primitive, (7, 7, 7), "crystal.mesh") == (7, 7, 7), "the same in any basis"
    even = standard_divisions(skewed, primitive, (7, 7, 9), "crystal.mesh")
    assert even[1] == even[2] != even[0] and 0.7 < np.prod(even) / (7 * 7 * 9) < 1.4


def test_even_meshes_keep_the_symmetry() -> None:
    """Body-centred tetragonal: vectors of two lengths that symmetry mixes."""
    tall = Atoms("Si2", cell=np.diag([3.0, 3.0, 7.0]), scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], pbc=True)
    primitive = standard_primitive(tall)
    assert len(primitive) == 1 and np.ptp(primitive.cell.lengths()) > 0.5
    for points in (50, 300, 2000):
        mesh = even_divisions(primitive, points, 4)
        assert keeps_symmetry(primitive, np.diag(mesh) @ primitive.cell.array) and min(mesh) >= 4


@pytest.mark.parametrize("name", ["diamond", "wurtzite", "triclinic"])
def test_tensors_do_not_depend_on_the_description(name: str, tmp_path: Path) -> None:
    """The command tests/descriptions.py does the same for hundreds of descriptions of five crystals."""
    pytest.importorskip("phono3py")
    worst = differences(name, 3, 1, tmp_path)
    assert max(worst.values()) < 1e-6, worst
