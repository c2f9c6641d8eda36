"""Structures and their neighbours; what cannot be, refused with field, value and fix."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from small_silica import CASE, cristobalite, disordered, glass, rattled, silica_potential

from ldmd.errors import InputError
from ldmd.inspection import FORCE_CHECK, SWITCHING_CHECK, inspect_structure, switching_pairs
from ldmd.potentials.tersoff import COLUMNS, read_tersoff
from ldmd.structures import (
    cell_heights,
    minimum_image,
    neighbour_graph,
    pairs_within,
    read_structure,
    require_fits,
    species_indices,
)

skews = st.floats(-2.0, 2.0)
lengths = st.floats(3.0, 12.0)


@settings(max_examples=30, deadline=None)
@given(st.tuples(lengths, lengths, lengths), st.tuples(skews, skews, skews), st.integers(0, 2**32 - 1))
def test_minimum_image_is_the_shortest_of_all(sides: tuple, tilts: tuple, seed: int) -> None:
    """Against every image within reach, also for cells that nobody reduced (tilts of up to two sides)."""
    xx, yy, zz = sides
    cell = np.array([[xx, 0.0, 0.0], [tilts[0] * xx, yy, 0.0], [tilts[1] * xx, tilts[2] * yy, zz]])
    vectors = np.random.default_rng(seed).uniform(-2.0, 2.0, size=(20, 3)) @ cell
    found = minimum_image(vectors, cell)
    images = np.array(list(itertools.product(range(-12, 13), repeat=3))) @ cell
    shortest = np.linalg.norm(vectors[:, None, :] + images, axis=2).min(axis=1)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), shortest, rtol=1e-12, atol=1e-12)
    hops = (found - vectors) @ np.linalg.inv(cell)
    np.testing.assert_allclose(hops, np.round(hops), atol=1e-9)


def test_minimum_image_keeps_the_shape_of_its_argument() -> None:
    cell = np.diag([4.0, 5.0, 6.0])
    np.testing.assert_allclose(minimum_image(np.array([3.0, -3.0, 3.1]), cell), [-1.0, 2.0, -2.9])
    assert minimum_image(np.zeros((2, 7, 3)), cell + 0.1 * np.eye(3)[::-1]).shape == (2, 7, 3)


def test_cell_heights() -> None:
    np.testing.assert_allclose(cell_heights(np.diag([4.0, 5.0, 6.0])), [4.0, 5.0, 6.0])
    oblique = np.array([[4.0, 0.0, 0.0], [3.0, 5.0, 0.0], [0.0, 0.0, 6.0]])
    np.testing.assert_allclose(cell_heights(oblique), [4.0 * 5.0 / np.hypot(3.0, 5.0), 5.0, 6.0])


def test_graph_holds_each_edge_once_and_knows_who_points_at_whom() -> None:
    atoms, potential = disordered(), silica_potential()
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    i, j, offsets = pairs_within(atoms, potential.species, potential.switching[..., 1])
    listed = {(int(a), int(b), *np.round(o, 6)) for a, b, o in zip(i, j, offsets, strict=True)}
    found, flat = set(), []
    for block in graph.blocks:
        for m, n in np.ndindex(block.neighbours.shape):
            edge = (int(block.centres[n]), int(block.neighbours[m, n]), *np.round(block.offsets[:, m, n], 6))
            flat.append(edge if block.present[m, n] else None)
            if block.present[m, n]:
                found.add(edge)
    assert found == listed and len(found) == len(i)
    for atom in range(len(atoms)):
        ends = [flat[k] for k in graph.incoming[:, atom] if k < len(flat)]
        assert len(ends) == np.sum(j == atom)
        assert all(edge is not None and edge[1] == atom for edge in ends)
    centres = np.concatenate([block.centres for block in graph.blocks])
    np.testing.assert_array_equal(centres[graph.order], np.arange(len(atoms)))


def test_wider_slots_change_no_result() -> None:
    from ldmd.relaxation import evaluate

    atoms, potential = disordered(), silica_potential()
    narrow, wide = evaluate(atoms, potential), evaluate(atoms, potential, slots=11)
    assert wide.energy == pytest.approx(narrow.energy, rel=1e-14)
    np.testing.assert_allclose(wide.forces, narrow.forces, rtol=0.0, atol=1e-11)
    assert wide.pressure == pytest.approx(narrow.pressure, rel=1e-10)


def written(folder: Path, atoms: Atoms) -> Path:
    path = folder / "structure.extxyz"
    atoms.write(path)
    return path


def test_a_structure_comes_back(tmp_path: Path) -> None:
    atoms = cristobalite()
    back = read_structure(written(tmp_path, atoms))
    assert back.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(back.positions, atoms.positions, atol=1e-8)


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_structure(path)
    assert caught.value.field == "material.structure"
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return caught.value


def test_structures_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "missing.extxyz").fix
    for name, text in (("empty.extxyz", ""), ("prose.txt", "not atoms at all\n"), ("short.xyz", "4\n\nSi 0 0 0\n")):
        (tmp_path / name).write_text(text)
        assert "cannot be read" in refused(tmp_path / name).fix
    (tmp_path / "binary.extxyz").write_bytes(bytes(range(256)) * 8)
    assert "cannot be read" in refused(tmp_path / "binary.extxyz").fix


def test_structures_that_cannot_be(tmp_path: Path) -> None:
    atoms = cristobalite()
    atoms.positions[5, 1] = np.nan
    assert "atom 5" in refused(written(tmp_path, atoms)).fix
    slab = cristobalite()
    slab.pbc = (True, True, False)
    assert "periodic" in refused(written(tmp_path, slab)).fix
    molecule = Atoms("SiO", positions=[[0, 0, 0], [0, 0, 1.6]])
    assert "periodic" in refused(written(tmp_path, molecule)).fix
    assert len(read_structure(written(tmp_path, Atoms("Si", cell=[9.0] * 3, pbc=True)))) == 1


def test_structures_that_do_not_fit_the_potential() -> None:
    potential = silica_potential()
    require_fits(cristobalite(), potential.species, potential.switching)
    foreign = cristobalite()
    foreign.symbols[3], foreign.symbols[9] = "Ge", "Al"
    with pytest.raises(InputError, match=r"= Al, Ge: the potential knows only Si, O"):
        require_fits(foreign, potential.species, potential.switching)
    thin = Atoms("Si", positions=[[0, 0, 0]], cell=[20.0, 20.0, 5.5], pbc=True)
    with pytest.raises(InputError, match=r"cell height 5\.50 Angstrom.*\(5\.60 Angstrom\)"):
        require_fits(thin, potential.species, potential.switching)
    overlapping = cristobalite()
    overlapping.positions[7] = overlapping.positions[12] + [0.0, 0.3, 0.4]
    with pytest.raises(InputError, match=r"atoms 7 and 12 at 0\.500 Angstrom"):
        require_fits(overlapping, potential.species, potential.switching)


def test_the_glass_of_the_case_stands_at_a_smooth_minimum() -> None:
    """Every Si four-fold and every O two-fold, no pair where the potential is cut off, no force, no pressure."""
    found = inspect_structure(glass(), silica_potential())
    assert found.usable and all(check.passed for check in found.checks)
    assert found.largest_force <= 1e-8
    assert len(found.switching_pairs) == 0
    counts = dict(zip(found.species, found.coordination, strict=True))
    assert counts["Si"][4] == 216 == counts["Si"].sum()
    assert counts["O"][2] == 432 == counts["O"].sum()


def test_a_pair_at_the_cutoff_is_named() -> None:
    """Two O brought to 1.95 Angstrom: inside their switching region, which ends at 2."""
    potential, atoms = silica_potential(), glass()
    oxygen = np.flatnonzero(atoms.numbers == 8)
    first = oxygen[0]
    second = min(oxygen[1:], key=lambda k: atoms.get_distance(first, k, mic=True))
    atoms.set_distance(first, second, 1.95, fix=0, mic=True)
    pairs, distances, outer = switching_pairs(atoms, potential)
    row = [tuple(pair) for pair in pairs].index((min(first, second), max(first, second)))
    assert distances[row] == pytest.approx(1.95, abs=1e-9)
    assert outer[row] == pytest.approx(2.0)
    assert np.all(np.diff(outer - distances) >= 0.0), "the nearest to its cutoff comes first"
    found = inspect_structure(atoms, potential)
    failed = {check.name for check in found.checks if not check.passed}
    assert {FORCE_CHECK, SWITCHING_CHECK} <= failed
    assert not found.usable


def test_a_rattled_structure_is_not_at_a_minimum() -> None:
    found = inspect_structure(rattled(cristobalite(), 0.02), silica_potential())
    assert [check.name for check in found.checks if not check.passed][0] == FORCE_CHECK
    assert found.density == pytest.approx(24 / 3 * 60.083 / 7.2**3 / 0.60221408, rel=1e-3)


def test_switching_radii_of_the_case() -> None:
    potential = silica_potential()
    silicon, oxygen = (potential.species.index(symbol) for symbol in ("Si", "O"))
    np.testing.assert_allclose(potential.switching[silicon, silicon], [2.5, 2.8])
    np.testing.assert_allclose(potential.switching[oxygen, oxygen], [1.7, 2.0])
    np.testing.assert_allclose(potential.switching[silicon, oxygen], [2.06, 2.37])
    np.testing.assert_array_equal(potential.switching, potential.switching.transpose(1, 0, 2))
    np.testing.assert_array_equal(species_indices(Atoms("SiOSi"), potential.species), [silicon, oxygen, silicon])


def edited(folder: Path, old: str, new: str) -> Path:
    text = (CASE / "SiO.tersoff").read_text()
    assert old in text
    path = folder / "edited.tersoff"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Si O  Si ", "Si C  Si ", "no entry for the triplet"),
        ("471.18", "", "line 6, entry Si Si Si has 13 numbers before "),
        ("471.18", "fourhundred", "entry Si Si Si has 9 numbers before fourhundred"),
        ("471.18", "nan", r"line 6, column 73 holds nan, which is not a finite number"),
        ("471.18", "*******", r"line 6, column 73 holds \*\*\*\*\*\*\*: a number too wide for its column"),
        ("471.18", "4_7", "holds 4_7, which is not a number"),
        ("471.18", "1e999", "which is too large"),
        ("471.18", "1e16", r"a number is larger than 1e\+15"),
        ("471.18", "-471.18", "B, lambda1, A >= 0"),
        ("2.65  0.15  2.4799", "2.65  0.0  2.4799", "0.0001 <= D < R"),
        ("2.65  0.15  2.4799", "265.  0.15  2.4799", "must not exceed 30 Angstrom"),
        ("16.217", "0", "d at least 1e-06 from 0"),
        ("Si Si Si  3 ", "Si Si Si  2 ", "m = 1 or 3"),
    ],
)
def test_parameter_files_with_a_mistake(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read_tersoff(edited(tmp_path, old, new))
    assert caught.value.field == "potential.parameters" and "\n" not in str(caught.value)


def test_parameter_files_that_are_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_tersoff(tmp_path / "missing.tersoff")
    (tmp_path / "empty.tersoff").write_text("# nothing but a remark\n")
    with pytest.raises(InputError, match="holds no entry"):
        read_tersoff(tmp_path / "empty.tersoff")


def test_a_parameter_file_may_break_its_lines_anywhere(tmp_path: Path) -> None:
    """And the fingerprint follows the numbers, not the layout."""
    original = silica_potential()
    words = [w for line in (CASE / "SiO.tersoff").read_text().splitlines() for w in line.split("#")[0].split()]
    path = tmp_path / "broken.tersoff"
    path.write_text("\n".join(words))
    again = read_tersoff(path)
    np.testing.assert_array_equal(again.table, original.table)
    assert again.fingerprint() == original.fingerprint()
    other = read_tersoff(edited(tmp_path, "471.18", "471.19"))
    assert other.fingerprint() != original.fingerprint()
    assert COLUMNS[9] == "B" and original.table[0, 0, 0, 9] == 471.18
