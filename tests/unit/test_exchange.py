"""Force constants through the files of other programs and back: every element, and what is computed from them."""

from __future__ import annotations

import dataclasses
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from ase.build import make_supercell
from spring_crystal import primitive_cell, small_glass, springs

from ldmd.errors import InputError
from ldmd.force_constants.exchange import hiphive, kaldo, lammps, phono3py, phonopy, shengbte
from ldmd.force_constants.exchange.constants import (
    Elements,
    ForceConstants,
    from_blocks,
    of_supercell,
    second_blocks,
    third_blocks,
    third_sign,
)
from ldmd.force_constants.exchange.supercell import Supercell, glass, matched, repeated
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sum_rules import sum_rules
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import normal_modes

REPEATS = (3, 2, 2)
CUTOFF = 3.0
"""Angstrom, below half of the shortest vector of the supercell (3.1 by 3 but 3.4 by 2)."""

RoundTrip = Callable[[ForceConstants, Path], ForceConstants]


@pytest.fixture(scope="module")
def crystal() -> ForceConstants:
    supercell = repeated(primitive_cell(), REPEATS, "sites")
    return of_supercell(supercell, *springs(supercell.atoms, CUTOFF))


@pytest.fixture(scope="module")
def cube() -> ForceConstants:
    """Equal repetitions, the only ones of an oblique cell that a folder of kALDo can have."""
    supercell = repeated(primitive_cell(), (2, 2, 2), "sites")
    return of_supercell(supercell, *springs(supercell.atoms, CUTOFF))


@pytest.fixture(scope="module")
def amorphous() -> ForceConstants:
    atoms = small_glass()
    atoms.set_masses(np.linspace(10.0, 40.0, len(atoms)))
    return of_supercell(glass(atoms), *springs(atoms, 3.2))


def shuffled(constants: ForceConstants, seed: int = 0) -> Supercell:
    """The same crystal with its atoms in disorder, wrapped, and the sites of the primitive cell reversed."""
    supercell = constants.supercell
    atoms = supercell.atoms[np.random.default_rng(seed).permutation(len(supercell.atoms))]
    atoms.wrap()
    return matched(supercell.primitive[::-1], atoms)


def dense_third(third: SparseThirdOrder) -> np.ndarray:
    dense = np.zeros((third.size,) * 3)
    np.add.at(dense, tuple(third.indices), third.values)
    return dense


def assert_same(found: ForceConstants, expected: ForceConstants, tolerance: float = 0.0) -> None:
    """Every element, within a tolerance relative to the largest; whatever the order of the atoms."""
    found = found.in_order_of(expected.supercell)
    if expected.second is not None:
        assert found.second is not None
        limit = tolerance * np.abs(expected.second.data).max()
        np.testing.assert_allclose(found.second.toarray(), expected.second.toarray(), rtol=0.0, atol=limit)
    if expected.third is not None:
        assert found.third is not None
        mine, theirs = dense_third(found.third_order()), dense_third(expected.third_order())
        np.testing.assert_allclose(mine, theirs, rtol=0.0, atol=tolerance * np.abs(theirs).max())


def second_only(constants: ForceConstants) -> ForceConstants:
    return dataclasses.replace(constants, third=None)


def third_only(constants: ForceConstants) -> ForceConstants:
    return dataclasses.replace(constants, second=None)


def joined(second: ForceConstants | None, third: ForceConstants | None) -> ForceConstants:
    assert second is not None and third is not None
    return ForceConstants(second.supercell, second.second, third.in_order_of(second.supercell).third)


# Supercells


@pytest.mark.parametrize("order", ["cells", "sites"])
def test_copies_are_where_they_are_said_to_be(order: str) -> None:
    supercell = repeated(primitive_cell(), REPEATS, order)  # type: ignore[arg-type]
    expected = supercell.primitive.positions[supercell.sites] + supercell.cells @ supercell.primitive.cell.array
    np.testing.assert_allclose(supercell.atoms.positions, expected, atol=1e-12)
    np.testing.assert_array_equal(supercell.matrix, np.diag(REPEATS))
    assert supercell.repeats == REPEATS
    found = matched(supercell.primitive, supercell.atoms)
    np.testing.assert_array_equal(found.sites, supercell.sites)
    np.testing.assert_array_equal(found.cells, supercell.cells)
    far = supercell.cells + np.array([7, -4, 1]) @ supercell.matrix
    np.testing.assert_array_equal(supercell.find(supercell.sites, far), np.arange(36))


def test_the_two_usual_orders() -> None:
    """ASE repeats cell after cell; phonopy site after site, the first index fastest."""
    cells, sites = (repeated(primitive_cell(), REPEATS, order) for order in ("cells", "sites"))
    np.testing.assert_allclose(cells.atoms.positions, primitive_cell().repeat(REPEATS).positions, atol=1e-12)
    np.testing.assert_array_equal(sites.cells[:4], [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(sites.sites, np.repeat([0, 1, 2], 12))
    np.testing.assert_array_equal(sites.home, [0, 12, 24])


def test_a_supercell_of_any_shape() -> None:
    matrix = np.array([[2, 1, 0], [-1, 2, 0], [0, 1, 1]])
    supercell = matched(primitive_cell(), make_supercell(primitive_cell(), matrix))
    np.testing.assert_array_equal(supercell.matrix, matrix)
    assert supercell.copies == 5
    constants = of_supercell(supercell, *springs(supercell.atoms, CUTOFF))
    other = shuffled(constants)
    assert_same(constants.in_order_of(other), constants)
    assert_same(of_supercell(other, *springs(other.atoms, CUTOFF)), constants, 1e-13)
    with pytest.raises(InputError, match="repetitions along the primitive vectors only"):
        _ = supercell.repeats


def test_mappings_that_are_none_are_refused() -> None:
    supercell = repeated(primitive_cell(), (2, 1, 1), "cells")
    moved = supercell.atoms.copy()
    moved.positions[4] += 0.3
    with pytest.raises(InputError, match=r"atom 4: O 0\.5\d\d Angstrom off the nearest site"):
        matched(supercell.primitive, moved)
    with pytest.raises(InputError, match="two of them are on the same site"):
        Supercell(supercell.primitive, supercell.atoms, supercell.sites, 0 * supercell.cells)
    with pytest.raises(InputError, match="2 copies of a primitive cell of 3 atoms have 6"):
        matched(supercell.primitive, supercell.atoms[:5])
    stretched = supercell.atoms.copy()
    stretched.set_cell(1.3 * stretched.cell.array)
    with pytest.raises(InputError, match="must be sums of those of the primitive cell"):
        matched(supercell.primitive, stretched)


# Force constants in memory


def test_rows_of_home_atoms_are_all_there_is(crystal: ForceConstants) -> None:
    second, third = springs(crystal.supercell.atoms, CUTOFF)
    np.testing.assert_allclose(crystal.second_order().matrix.toarray(), second.matrix.toarray(), atol=1e-13)
    np.testing.assert_allclose(dense_third(crystal.third_order()), dense_third(third), atol=1e-13)
    other = shuffled(crystal)
    assert_same(of_supercell(other, *springs(other.atoms, CUTOFF)), crystal, 1e-13)
    renamed = crystal.in_order_of(other)
    assert_same(renamed, crystal)
    assert renamed.second is not None and renamed.second.shape == (9, 108)


@pytest.mark.parametrize("full", [True, False])
def test_dense_blocks(crystal: ForceConstants, full: bool) -> None:
    supercell = crystal.supercell
    rows = np.arange(36) if full else supercell.home
    two, three = second_blocks(crystal, full), third_blocks(crystal, full)
    again = from_blocks(supercell, rows, two, three)
    assert_same(again, crystal)
    if not full:
        # Rows of other atoms than the home ones are as good.
        elsewhere = np.array([13 + 12, 5, 17])
        again = from_blocks(supercell, elsewhere, *(b[elsewhere] for b in _all_blocks(crystal)))
        assert_same(again, crystal)
        with pytest.raises(InputError, match="one atom of each of the 3 sites"):
            from_blocks(supercell, np.array([0, 1, 24]), two)


def _all_blocks(constants: ForceConstants) -> tuple[np.ndarray, np.ndarray]:
    return second_blocks(constants, True), third_blocks(constants, True)


def test_what_a_primitive_cell_does_not_repeat_is_refused(crystal: ForceConstants) -> None:
    second, third = crystal.second_order(), crystal.third_order()
    broken = second.matrix.copy()
    broken.data[40] *= 1.1
    with pytest.raises(InputError, match="apart in equal cells"):
        of_supercell(crystal.supercell, SecondOrder(broken))
    values = third.values.copy()
    values[np.argmax(np.abs(values))] *= 1.1
    with pytest.raises(InputError, match="apart in equal cells"):
        of_supercell(crystal.supercell, None, SparseThirdOrder(third.size, third.indices, values))
    assert of_supercell(glass(crystal.supercell.atoms), SecondOrder(broken)).second is not None


def test_what_does_not_fit_together_is_refused(crystal: ForceConstants, amorphous: ForceConstants) -> None:
    with pytest.raises(InputError, match="18 atoms: the supercell has 36"):
        of_supercell(crystal.supercell, amorphous.second_order())
    with pytest.raises(InputError, match=r"second-order force constants = \(54, 54\)"):
        ForceConstants(crystal.supercell, amorphous.second)
    with pytest.raises(InputError, match="coordinates below"):
        ForceConstants(amorphous.supercell, None, crystal.third)
    with pytest.raises(InputError, match="the force constants have 36"):
        crystal.in_order_of(amorphous.supercell)
    with pytest.raises(InputError, match="another lattice"):
        crystal.in_order_of(repeated(primitive_cell(), (2, 3, 2), "cells"))
    with pytest.raises(InputError, match="without a third order"):
        second_only(crystal).third_order()
    with pytest.raises(InputError, match="without a second order"):
        third_only(crystal).second_order()


def test_a_dense_array_beyond_all_memory_is_refused() -> None:
    atoms = Atoms("H4000", positions=np.random.default_rng(0).uniform(0.0, 100.0, (4000, 3)), cell=[100.0] * 3)
    constants = ForceConstants(glass(atoms), sp.csr_array((12000, 12000)), Elements(np.zeros((3, 1), int), np.ones(1)))
    with pytest.raises(InputError, match="would need 13824 GB; use one that lists elements"):
        third_blocks(constants, full=False)


def test_the_sign_of_the_third_order_is_that_of_the_energy(crystal: ForceConstants) -> None:
    assert third_sign(crystal) == 1
    assert crystal.third is not None
    flipped = dataclasses.replace(crystal, third=Elements(crystal.third.indices, -crystal.third.values))
    assert third_sign(flipped) == -1
    small = repeated(primitive_cell(), (1, 1, 1), "cells")
    with pytest.raises(InputError, match="rotations cannot tell"):
        third_sign(of_supercell(small, *springs(small.atoms, CUTOFF)))


# Formats: all of them, there and back


def through_phonopy(name: str, compact: bool) -> RoundTrip:
    def there_and_back(constants: ForceConstants, folder: Path) -> ForceConstants:
        phonopy.write_second(constants, folder / name, compact)
        phonopy.write_structure(constants.supercell, folder / "phonopy.yaml")
        return phonopy.read(folder / "phonopy.yaml", folder / name)

    return there_and_back


def through_phono3py(compact: bool) -> RoundTrip:
    def there_and_back(constants: ForceConstants, folder: Path) -> ForceConstants:
        two, three, structure = folder / "fc2.hdf5", folder / "fc3.hdf5", folder / "phono3py.yaml"
        phono3py.write_second(constants, two, compact)
        phono3py.write_third(constants, three, compact)
        phono3py.write_structure(structure, constants.supercell)
        return joined(*phono3py.read(structure, two, three))

    return there_and_back


def through_kaldo(kind: str, sign: int | None = None) -> RoundTrip:
    def there_and_back(constants: ForceConstants, folder: Path) -> ForceConstants:
        kaldo.write_folder(constants, folder, kind)  # type: ignore[arg-type]
        return kaldo.read_folder(folder, constants.supercell.repeats, kind, sign)  # type: ignore[arg-type]

    return there_and_back


def through_shengbte(constants: ForceConstants, folder: Path) -> ForceConstants:
    shengbte.write_second(constants, folder / "FORCE_CONSTANTS_2ND")
    shengbte.write_third(constants, folder / "FORCE_CONSTANTS_3RD")
    shengbte.write_control(constants.supercell, folder / "CONTROL", (3, 3, 3), 300.0)
    supercell = shengbte.read_control(folder / "CONTROL")
    second = shengbte.read_second(folder / "FORCE_CONSTANTS_2ND", supercell.primitive, supercell.repeats)
    return joined(second, shengbte.read_third(folder / "FORCE_CONSTANTS_3RD", supercell))


def through_hiphive(constants: ForceConstants, folder: Path) -> ForceConstants:
    hiphive.write(constants, folder / "model.fcs")
    return hiphive.read(folder / "model.fcs", constants.supercell.primitive)


BOTH_ORDERS: dict[str, RoundTrip] = {
    "phono3py-full": through_phono3py(False),
    "phono3py-compact": through_phono3py(True),
    "kaldo-numpy": through_kaldo("numpy"),
    "kaldo-numpy-signed": through_kaldo("numpy", 1),
    "kaldo-lammps": through_kaldo("lammps", 1),
    "shengbte": through_shengbte,
    "hiphive": through_hiphive,
}
SECOND_ORDER: dict[str, RoundTrip] = {
    "phonopy-text-full": through_phonopy("FORCE_CONSTANTS", False),
    "phonopy-text-compact": through_phonopy("FORCE_CONSTANTS", True),
    "phonopy-hdf5-full": through_phonopy("force_constants.hdf5", False),
    "phonopy-hdf5-compact": through_phonopy("force_constants.hdf5", True),
}


@pytest.mark.parametrize("name", [*BOTH_ORDERS, *SECOND_ORDER])
def test_a_crystal_there_and_back(crystal: ForceConstants, cube: ForceConstants, tmp_path: Path, name: str) -> None:
    constants = cube if name.startswith("kaldo") else crystal
    expected = constants if name in BOTH_ORDERS else second_only(constants)
    found = (BOTH_ORDERS | SECOND_ORDER)[name](expected, tmp_path)
    assert_same(found, expected, 2e-15)
    np.testing.assert_allclose(found.supercell.primitive.get_masses(), crystal.supercell.primitive.get_masses())


@pytest.mark.parametrize("name", [*BOTH_ORDERS, *SECOND_ORDER])
def test_a_crystal_in_any_order_there_and_back(
    crystal: ForceConstants, cube: ForceConstants, tmp_path: Path, name: str
) -> None:
    constants = cube if name.startswith("kaldo") else crystal
    other = constants.in_order_of(shuffled(constants))
    expected = other if name in BOTH_ORDERS else second_only(other)
    assert_same((BOTH_ORDERS | SECOND_ORDER)[name](expected, tmp_path), expected, 2e-15)


@pytest.mark.parametrize("name", [*BOTH_ORDERS, *SECOND_ORDER])
def test_frequencies_and_linewidths_of_a_glass(amorphous: ForceConstants, tmp_path: Path, name: str) -> None:
    """Signs and units, in what is computed in the end; masses of one kind of atom are the same (ShengBTE's way)."""
    masses = np.where(amorphous.supercell.atoms.numbers == 8, 15.999, 28.085)
    atoms = amorphous.supercell.atoms.copy()
    atoms.set_masses(masses)
    expected = dataclasses.replace(amorphous, supercell=glass(atoms))
    expected = expected if name in BOTH_ORDERS else second_only(expected)
    found = (BOTH_ORDERS | SECOND_ORDER)[name](expected, tmp_path)
    np.testing.assert_allclose(found.supercell.atoms.get_masses(), masses, rtol=1e-9)
    before, after = (normal_modes(each.second_order(), masses) for each in (expected, found))
    assert before.frequencies[3] > 0.5
    np.testing.assert_allclose(after.frequencies[3:], before.frequencies[3:], rtol=1e-10)
    if expected.third is not None:
        shape = Gaussian(10.0)
        gamma = [
            linewidths(each.third_order(), modes, [300.0], ["bose-einstein"], shape, threads=1).gamma
            for each, modes in ((expected, before), (found, after))
        ]
        assert gamma[0][0, 0, 3:].min() > 0.0
        np.testing.assert_allclose(gamma[1], gamma[0], rtol=1e-10)
        found_rules = sum_rules(found.second_order(), found.third_order(), atoms.positions, atoms.cell.array)
        assert found_rules.third_rotation_applies
        assert found_rules.third_rotation is not None and found_rules.third_rotation.relative < 1e-12


# phonopy and phono3py


@pytest.mark.parametrize(
    ("unit", "factor"), [("Ry/au^2", 48.587), ("hartree/au^2", 97.174), ("eV/angstrom.au", 1.8897)]
)
def test_units_of_phonopy(crystal: ForceConstants, tmp_path: Path, unit: str, factor: float) -> None:
    path = tmp_path / "force_constants.hdf5"
    phonopy.write_second(crystal, path)
    with h5py.File(path, "a") as file:
        del file["physical_unit"]
        file.create_dataset("physical_unit", data=[unit.encode()])
    found = phonopy.read_second(path, crystal.supercell).second
    assert found is not None and crystal.second is not None
    np.testing.assert_allclose(found.toarray(), factor * crystal.second.toarray(), rtol=1e-4)


def test_force_constants_inside_of_phonopy_yaml(crystal: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "phonopy.yaml"
    phonopy.write_structure(crystal.supercell, path)
    with pytest.raises(InputError, match="holds no force constants; name their file"):
        phonopy.read(path)
    blocks = second_blocks(crystal, full=False)
    rows = "\n".join("  - " + str(row.tolist()) for row in blocks.reshape(-1, 3))
    block = f'force_constants:\n  format: "compact"\n  shape: [ 3, 36 ]\n  elements:\n{rows}\n'
    path.write_text(path.read_text() + block)
    assert_same(phonopy.read(path), second_only(crystal), 1e-15)


def test_two_supercells_of_phono3py(tmp_path: Path) -> None:
    small, large = (repeated(primitive_cell(), repeats, "sites") for repeats in ((2, 2, 1), (3, 2, 2)))
    path = tmp_path / "phono3py.yaml"
    phono3py.write_structure(path, small, large)
    second, third = phono3py.read_structures(path)
    assert (second.repeats, third.repeats) == ((3, 2, 2), (2, 2, 1))
    np.testing.assert_allclose(second.atoms.positions, large.atoms.positions, atol=1e-10)
    other = repeated(primitive_cell(), (2, 2, 1), "cells")
    with pytest.raises(InputError, match="two supercells must be repeated"):
        phono3py.write_structure(path, other, large)


def test_files_that_are_not_of_phonopy_are_refused(crystal: ForceConstants, tmp_path: Path) -> None:
    supercell, path = crystal.supercell, tmp_path / "FORCE_CONSTANTS"
    with pytest.raises(InputError, match="no such file"):
        phonopy.read_second(path, supercell)
    phonopy.write_second(crystal, path)
    lines = path.read_text().splitlines()
    for text, message in (
        ("\n".join(lines[:-1]), "no multiple of 11; is it complete"),
        ("\n".join(lines[:-4]), "its first line promises 36   36"),
        ("\n".join([lines[0], *lines[5:9], *lines[1:5], *lines[9:]]), "not in the order of the atoms"),
        ("hello\n", "does not begin with the number of atoms"),
        ("1 1\n1 1\n1 2 3\n4 five 6\n7 8 9\n", "line 4, column 2 holds .five."),
        ("1 1\n1 1\n1 2 3\n4 5 6\n7 8 9\n", "a supercell of 36 atoms"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            phonopy.read_second(path, supercell)
    hdf5 = tmp_path / "fc2.hdf5"
    phonopy.write_second(crystal, hdf5)
    with h5py.File(hdf5, "a") as file:
        file["fc2"] = file["force_constants"][:]
    with pytest.raises(InputError, match="needs one dataset 'force_constants' or 'fc2'"):
        phonopy.read_second(hdf5, supercell)
    with pytest.raises(InputError, match="needs a dataset 'fc3'"):
        phono3py.read_third(hdf5, supercell)
    with pytest.raises(InputError, match="unit of force constants = kcal"):
        path.write_text("\n".join(lines))
        phonopy.read_second(path, supercell, "kcal")
    phono3py.write_third(crystal, tmp_path / "fc3.hdf5")
    with pytest.raises(InputError, match="a supercell of 12 atoms"):
        phono3py.read_third(tmp_path / "fc3.hdf5", repeated(primitive_cell(), (2, 2, 1), "sites"))
    with pytest.raises(InputError, match=r"let the name end in \.hdf5"):
        phono3py.write_second(crystal, tmp_path / "fc2")


def test_structures_that_are_not_of_phonopy_are_refused(crystal: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "phonopy.yaml"
    for text, message in (
        ("a: [", "is not plain YAML"),
        ("- 1", "is not a phonopy.yaml"),
        ("supercell: {}\n", "has no block 'primitive_cell'"),
        ("primitive_cell:\n  lattice: 1\n", "mend its block 'primitive_cell'"),
        ("physical_unit:\n  length: furlong\n", "unit of length = furlong"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            phonopy.read_structure(path)


# kALDo


def test_the_sign_of_a_list_is_found_or_asked_for(cube: ForceConstants, tmp_path: Path) -> None:
    kaldo.write_folder(cube, tmp_path, "lammps")
    assert_same(kaldo.read_folder(tmp_path, (2, 2, 2), "lammps"), cube, 1e-14)
    rows = np.loadtxt(tmp_path / "THIRD")
    rows[:, 5:] *= -1.0
    np.savetxt(tmp_path / "THIRD", rows, fmt=["%d"] * 5 + ["%.16e"] * 3)
    assert_same(kaldo.read_folder(tmp_path, (2, 2, 2), "lammps"), cube, 1e-14)
    small = repeated(primitive_cell(), (1, 1, 1), "cells")
    tiny = of_supercell(small, *springs(small.atoms, CUTOFF))
    kaldo.write_folder(tiny, tmp_path / "tiny", "lammps")
    with pytest.raises(InputError, match="rotations cannot tell"):
        kaldo.read_folder(tmp_path / "tiny", (1, 1, 1), "lammps")
    assert_same(kaldo.read_folder(tmp_path / "tiny", (1, 1, 1), "lammps", sign=1), tiny, 1e-14)


def test_folders_that_are_not_of_kaldo_are_refused(
    crystal: ForceConstants, cube: ForceConstants, amorphous: ForceConstants, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="standard masses only"):
        kaldo.write_folder(amorphous, tmp_path)
    with pytest.raises(InputError, match="kALDo would misread its primitive cell"):
        kaldo.write_folder(crystal, tmp_path)
    with pytest.raises(InputError, match="is read but not written"):
        kaldo.write_folder(cube, tmp_path, "eskm")
    with pytest.raises(InputError, match="no such file"):
        kaldo.read_folder(tmp_path)
    kaldo.write_folder(cube, tmp_path)
    with pytest.raises(InputError, match="the structure has 24 atoms"):
        kaldo.read_folder(tmp_path, (5, 1, 1))
    with pytest.raises(InputError, match="has 648 numbers, not 72 x 72"):
        kaldo.read_folder(tmp_path, (1, 1, 1))
    (tmp_path / "second.npy").unlink()
    with pytest.raises(InputError, match="without a second order it cannot be told"):
        kaldo.read_folder(tmp_path, (2, 2, 2))
    assert kaldo.read_folder(tmp_path, (2, 2, 2), sign=1).second is None
    (tmp_path / "third.npz").unlink()
    with pytest.raises(InputError, match=r"holds neither second.npy nor third.npz"):
        kaldo.read_folder(tmp_path, (2, 2, 2))


# ShengBTE


def test_shares_of_images_that_tie_add_up(tmp_path: Path) -> None:
    """Two atoms half a cell apart see each other on both sides: each block is written once for every image."""
    atoms = Atoms("Si2", positions=[[0, 0, 0], [2.0, 0.3, 0.1]], cell=[4.0, 5.0, 6.0], pbc=True)
    constants = of_supercell(glass(atoms), *springs(atoms, 3.0))
    path = tmp_path / "FORCE_CONSTANTS_3RD"
    shengbte.write_third(constants, path)
    # 111 once, 112 and 121 twice, 122 four times, and the same from the other atom.
    assert path.read_text().splitlines()[0] == "18"
    assert_same(shengbte.read_third(path, constants.supercell), third_only(constants), 1e-15)


def test_files_that_are_not_of_shengbte_are_refused(crystal: ForceConstants, tmp_path: Path) -> None:
    path = tmp_path / "FORCE_CONSTANTS_3RD"
    shengbte.write_third(crystal, path)
    text = path.read_text()
    lines = text.splitlines()
    for changed, message in (
        ("\n".join(lines[:-1]), "no multiple of 118"),
        ("\n".join(["7", *lines[1:]]), "its first line says '7'"),
        (text.replace(" 1 1 2 ", " 1 1 3 "), "directions of a block"),
        ("\n".join([*lines[:3], "1.0 0.0 0.0", *lines[4:]]), "not those of this primitive cell"),
        ("\n".join([*lines[:5], "1 9 1", *lines[6:]]), "has an atom 9; they go from 1 to 3"),
    ):
        path.write_text(changed)
        with pytest.raises(InputError, match=message):
            shengbte.read_third(path, crystal.supercell)
    with pytest.raises(InputError, match="without a third order"):
        shengbte.write_third(second_only(crystal), path)


def test_control_files_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "CONTROL"
    path.write_text(
        "&allocations\n\tnelements=2, natoms=2, ngrid(:)=11 11 11\n&end\n&crystal\n lfactor=0.56, ! nm\n"
        " lattvec(:,1)=0.0 0.5 0.5,\n lattvec(:,2)=0.5 0.0 0.5,\n LATTVEC(:,3) = 0.5, 0.5, 0.0,\n"
        ' elements="In" "As",\n types=1 2,\n positions(:,1)=0 0 0,\n positions(:,2)=0.25 0.25 0.25,\n'
        " scell(:)=5 4 3\n/\n&parameters\n T=300\n scalebroad=1.0\n&end\n"
    )
    supercell = shengbte.read_control(path)
    assert supercell.repeats == (5, 4, 3)
    assert supercell.primitive.get_chemical_formula() == "AsIn"
    np.testing.assert_allclose(supercell.primitive.cell.array[2], [2.8, 2.8, 0.0])
    np.testing.assert_allclose(supercell.primitive.positions[1], [1.4, 1.4, 1.4])
    path.write_text("&crystal\n lfactor=0.1\n/\n")
    with pytest.raises(InputError, match="is no complete CONTROL file"):
        shengbte.read_control(path)


# hiPhive


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, crystal: ForceConstants) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "harm",)

    path = tmp_path / "model.fcs"
    pickled = tmp_path / "fc_dict"
    pickled.write_bytes(pickle.dumps({"fc_dict": Harmful(), "fcs_type": "RawForceConstants"}))
    (tmp_path / "supercell").write_text("{}")
    with tarfile.open(path, "w") as archive:
        archive.add(pickled, "fc_dict")
        archive.add(tmp_path / "supercell", "supercell")
    with pytest.raises(InputError, match="it asks for pathlib"):
        hiphive.read(path)
    assert not (tmp_path / "harm").exists()
    path.write_text("nothing of the kind")
    with pytest.raises(InputError, match=r"give a \.fcs file of hiPhive"):
        hiphive.read(path)


def test_force_constants_that_are_not_symmetric_stay_so(amorphous: ForceConstants, tmp_path: Path) -> None:
    assert amorphous.third is not None
    values = amorphous.third.values * (1.0 + 1e-3 * np.random.default_rng(2).normal(size=amorphous.third.values.shape))
    noisy = dataclasses.replace(amorphous, third=Elements(amorphous.third.indices, values))
    hiphive.write(noisy, tmp_path / "model.fcs")
    assert_same(hiphive.read(tmp_path / "model.fcs"), noisy)


# LAMMPS


@pytest.mark.parametrize(("style", "factor"), [("regular", 1.0), ("eskm", 9648.5)])
def test_lammps_writes_derivatives_of_forces(
    amorphous: ForceConstants, tmp_path: Path, style: str, factor: float
) -> None:
    atoms = amorphous.supercell.atoms
    two, three = tmp_path / "dynmat", tmp_path / "third"
    np.savetxt(two, factor * amorphous.second_order().mass_weighted(atoms.get_masses()).reshape(-1, 3), fmt="%.16e")
    blocks = third_blocks(amorphous, full=True).transpose(0, 3, 1, 4, 2, 5).reshape(-1, 3)
    numbers = np.stack(np.unravel_index(np.arange(len(blocks)), (18, 3, 18, 3, 18)), axis=1) + 1
    np.savetxt(three, np.hstack([numbers, -factor * blocks]), fmt=["%d"] * 5 + ["%.16e"] * 3)
    second, third = lammps.read_second(two, atoms, style), lammps.read_third(three, atoms, style)  # type: ignore[arg-type]
    assert_same(joined(second, third), amorphous, 1e-14)
    assert third_sign(joined(second, third)) == 1
    with pytest.raises(InputError, match="give the atoms it was made for|no multiple"):
        lammps.read_second(two, atoms[:5])
    with pytest.raises(InputError, match="has an atom 18; they go from 1 to 5"):
        lammps.read_third(three, atoms[:5])
    with pytest.raises(InputError, match="has 3 columns; this format has 8"):
        lammps.read_third(two, atoms)
