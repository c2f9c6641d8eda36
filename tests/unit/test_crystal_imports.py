"""What comes with force constants from files, and what is wrong with them: charges, sum rules, cells, masses, ends."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms

sys.path.insert(0, str(Path(__file__).parents[1]))

from polar_crystal import CHARGE, DIELECTRIC, force_constants, splitting, write_finished, write_forces, zincblende
from spring_crystal import primitive_cell, springs

from ldmd import safe_files
from ldmd.crystal import phono3py_engine
from ldmd.crystal.force_constants import CrystalForceConstants
from ldmd.crystal.imported import ImportedForceConstants
from ldmd.crystal.mesh import MeshConductivity, MeshSettings
from ldmd.crystal.phono3py_files import read_forces
from ldmd.crystal.reach import end_checks, share_at_the_end
from ldmd.errors import InputError
from ldmd.force_constants.exchange.any_format import read_any
from ldmd.force_constants.exchange.constants import Elements, ForceConstants, of_supercell
from ldmd.force_constants.exchange.supercell import Supercell, matched, repeated

pytest.importorskip("phono3py")

CHARGES = CHARGE * np.array([np.eye(3), -np.eye(3)])
SETTINGS = MeshSettings(grid=(4, 4, 4), temperatures=(300.0,), smearing=1.5, direct=True)


@pytest.fixture(scope="module")
def polar() -> ForceConstants:
    return force_constants(zincblende())


@pytest.fixture(scope="module")
def springs_of_three() -> ForceConstants:
    """A triclinic crystal."""
    supercell = repeated(primitive_cell(), (3, 2, 2), "sites")
    return of_supercell(supercell, *springs(supercell.atoms, 3.0))


def imported(constants: ForceConstants, folder: Path, charges: np.ndarray | None = None) -> CrystalForceConstants:
    return ImportedForceConstants(*write_finished(constants, folder, charges)).constants


def failed(constants: CrystalForceConstants) -> set[str]:
    return {check.name for check in constants.checks if not check.passed}


def moved(constants: ForceConstants, lattice: np.ndarray, order: np.ndarray) -> ForceConstants:
    """The same crystal with other lattice vectors (rows, in the old ones) and its atoms in another order."""
    old = constants.supercell
    primitive = old.primitive[order]
    primitive.set_cell(lattice @ old.primitive.cell.array, scale_atoms=False)
    atoms = old.atoms.copy()
    atoms.set_cell(old.matrix @ primitive.cell.array, scale_atoms=False)
    return constants.in_order_of(matched(primitive, atoms))


def assert_same(found: MeshConductivity, expected: MeshConductivity, tolerance: float = 1e-6) -> None:
    for part in ("relaxation time", "total", "direct"):
        np.testing.assert_allclose(found.tensor(part), expected.tensor(part), rtol=tolerance, atol=1e-6)


# Born charges


@pytest.mark.parametrize("where", ["yaml", "BORN"])
def test_born_charges_that_come_along_split_longitudinal_modes(
    polar: ForceConstants, tmp_path: Path, where: str
) -> None:
    """By 4 pi Z^2 / (epsilon V mu) close to Gamma; without them not at all."""
    found = imported(polar, tmp_path, CHARGES if where == "yaml" else None)
    if where == "BORN":
        assert found.electrostatics is None
        charge = "{0} 0 0 0 {0} 0 0 0 {0}"
        tensor = charge.format(DIELECTRIC)
        (tmp_path / "BORN").write_text(f"14.4\n{tensor}\n{charge.format(CHARGE)}\n{charge.format(-CHARGE)}\n")
        found = ImportedForceConstants(
            *(tmp_path / name for name in ("phono3py.yaml", "fc3.hdf5", "fc2.hdf5"))
        ).constants
    assert found.electrostatics is not None and not failed(found)
    np.testing.assert_allclose(found.electrostatics.born, CHARGES, atol=1e-12)
    settings = MeshSettings(grid=(1, 1, 60), temperatures=(300.0,), smearing=1.5, symmetry=False)
    plain, split = (
        phono3py_engine.scattering(each, settings)[0]
        for each in (dataclasses.replace(found, electrostatics=None), found)
    )
    near = int(np.argmin(np.abs(plain.q_points[:, 2] - 1.0 / 60.0)))
    squares = split.frequencies[near, 3:] ** 2
    assert squares[2] - squares[0] == pytest.approx(splitting(found.primitive), rel=0.01)
    assert np.ptp(plain.frequencies[near, 3:] ** 2) < 0.02 * splitting(found.primitive)


def test_frequencies_with_charges_are_those_of_phono3py_itself(polar: ForceConstants, tmp_path: Path) -> None:
    import phono3py

    paths = write_finished(polar, tmp_path, CHARGES)
    program = phono3py.load(paths[0], fc3_filename=paths[1], fc2_filename=paths[2], log_level=0)
    program.mesh_numbers = [4, 4, 4]
    program.init_phph_interaction(average_degenerate_weights=True, symmetrize_tetrahedra=True)
    program.run_thermal_conductivity(temperatures=[300.0])
    settings = MeshSettings(grid=(4, 4, 4), temperatures=(300.0,), statistics=("bose-einstein",))
    found = phono3py_engine.conductivity(ImportedForceConstants(*paths).constants, settings)
    theirs = program.thermal_conductivity
    np.testing.assert_allclose(found.frequencies[1:], theirs.frequencies[1:] * 2.0 * np.pi, rtol=1e-5)
    mean = theirs.kappa[0, 0, :3].mean()
    assert found.isotropic(300.0, "bose-einstein", "relaxation time") == pytest.approx(mean, rel=1e-4)


def test_left_handed_vectors_are_the_same_polar_crystal(polar: ForceConstants, tmp_path: Path) -> None:
    right = phono3py_engine.conductivity(imported(polar, tmp_path / "right", CHARGES), SETTINGS)
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    turned = moved(polar, swap, np.array([0, 1]))
    assert np.linalg.det(turned.supercell.primitive.cell.array) < 0.0
    constants = imported(turned, tmp_path / "left", CHARGES)
    left = phono3py_engine.conductivity(constants, SETTINGS)
    assert left.isotropic(300.0, "classical", "direct") > 0.0
    assert_same(left, right)
    np.testing.assert_allclose(np.sort(left.frequencies.ravel()), np.sort(right.frequencies.ravel()), atol=1e-4)


def test_charges_follow_their_atoms(polar: ForceConstants, tmp_path: Path) -> None:
    swapped = moved(polar, np.eye(3, dtype=int), np.array([1, 0]))
    first = phono3py_engine.conductivity(imported(polar, tmp_path / "first", CHARGES), SETTINGS)
    other = imported(swapped, tmp_path / "other", CHARGES[::-1])
    assert other.primitive.get_chemical_symbols() == ["S", "Zn"]
    assert_same(phono3py_engine.conductivity(other, SETTINGS), first)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  dielectric_constant:", "  other:", "dielectric_constant"),
        ("[6.5, 0.0, 0.0]", "[-6.5, 0.0, 0.0]", "positive eigenvalues"),
        ("[2.1, 0.0, 0.0]", "[.nan, 0.0, 0.0]", "not finite"),
        ("[2.1, 0.0, 0.0]", "[2.1, 0.0]", "no tensor of numbers"),
        ("[2.1, 0.0, 0.0]", "[two, 0.0, 0.0]", "no tensor of numbers"),
    ],
)
def test_charges_that_make_no_sense_are_refused(
    polar: ForceConstants, tmp_path: Path, old: str, new: str, message: str
) -> None:
    paths = write_finished(polar, tmp_path, CHARGES)
    text = paths[0].read_text()
    assert old in text
    paths[0].write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        assert ImportedForceConstants(*paths).constants
    assert "\n" not in str(caught.value)


def test_charges_that_do_not_cancel_fail_a_check(polar: ForceConstants, tmp_path: Path) -> None:
    assert failed(imported(polar, tmp_path, CHARGES + 0.1 * np.eye(3))) == {"sum of the Born charges"}


def test_a_new_born_file_is_another_input(polar: ForceConstants, tmp_path: Path) -> None:
    paths = write_finished(polar, tmp_path)
    before = ImportedForceConstants(*paths).fingerprint()
    (tmp_path / "BORN").write_text("14.4\n")
    assert ImportedForceConstants(*paths).fingerprint() != before


# Sum rules


def test_a_small_error_on_site_is_mended_and_a_large_one_fails(polar: ForceConstants, tmp_path: Path) -> None:
    sound = imported(polar, tmp_path / "sound")
    assert not failed(sound)
    expected = phono3py_engine.conductivity(sound, SETTINGS)
    for error, fails in ((1e-4, set()), (3.0, {"change that restored the sum rules of order 2"})):
        folder = tmp_path / str(error)
        paths = write_finished(polar, folder)
        with h5py.File(paths[2], "r+") as file:
            home = int(file["p2s_map"][0])
            file["force_constants"][0, home] += error * np.eye(3)
        found = ImportedForceConstants(*paths).constants
        assert failed(found) == fails and found.translation < 1e-12
        if not fails:
            assert_same(phono3py_engine.conductivity(found, SETTINGS), expected, 1e-3)


def test_translations_are_told_by_eigenvectors(polar: ForceConstants) -> None:
    """Without the sum rule they cost energy, and are left out of scattering all the same."""
    raw = dataclasses.replace(polar, second=sp.csr_array(polar.second + _on_site(polar, 0.05)))
    settings = MeshSettings(grid=(3, 3, 3), temperatures=(300.0,), smearing=1.5)
    found, widths = phono3py_engine.scattering(CrystalForceConstants(raw, polar), settings)
    gamma = int(np.flatnonzero(~np.any(found.q_points, axis=1))[0])
    assert np.count_nonzero(found.frequencies[gamma] == 0.0) == 3 and found.imaginary == 0
    assert np.all(widths.gamma[..., gamma, :3] == 0.0)
    soft = dataclasses.replace(polar, second=sp.csr_array(polar.second - _optical(polar)))
    found, _ = phono3py_engine.scattering(CrystalForceConstants(soft, polar), settings)
    assert np.count_nonzero(found.frequencies[gamma] == 0.0) == 3
    assert np.count_nonzero(found.frequencies[gamma] < -1.0) == 3 and found.imaginary >= 3


def _on_site(constants: ForceConstants, stiffness: float) -> np.ndarray:
    matrix = np.zeros(constants.second.shape)
    for site, home in enumerate(constants.supercell.home):
        matrix[3 * site : 3 * site + 3, 3 * home : 3 * home + 3] = stiffness * np.eye(3)
    return matrix


def _optical(constants: ForceConstants) -> np.ndarray:
    """So much energy of the two sublattices against each other that their motion becomes unstable."""
    supercell = constants.supercell
    strength = 200.0 / supercell.copies
    signs = np.where(supercell.sites == 0, 1.0, -1.0)
    return strength * np.kron(signs[supercell.home][:, None] * signs[None, :], np.eye(3))


def test_force_constants_without_the_symmetry_of_the_structure_fail(polar: ForceConstants, tmp_path: Path) -> None:
    """One of four equal bonds is stiffer than the others."""
    assert polar.second is not None
    supercell, second = polar.supercell, polar.second.tolil()
    first = int(supercell.home[0])
    lengths = supercell.atoms.get_distances(first, range(len(supercell.atoms)), mic=True)
    bond = int(np.flatnonzero(np.abs(lengths - 2.338) < 0.01)[0])
    second[:3, 3 * bond : 3 * bond + 3] *= 1.1
    found = imported(dataclasses.replace(polar, second=sp.csr_array(second)), tmp_path)
    assert "frequencies of equivalent waves, of the highest" in failed(found)


# Ends of supercells


def test_force_constants_that_reach_half_the_supercell_fail(tmp_path: Path) -> None:
    """Two images at half the cell have opposite third orders, which hides them: the second order speaks for both."""
    large, small = (force_constants(zincblende(), (count,) * 3) for count in (3, 2))
    assert not failed(imported(large, tmp_path / "large"))
    assert "order 2 half a supercell away, of its largest" in failed(imported(small, tmp_path / "small"))
    name = "order 2 where the supercell of order 3 ends, of its largest"
    checks = {check.name: check for check in end_checks(large, small)}
    assert not checks[name].passed and all(check.passed for check in checks.values() if check.name != name)
    assert all(check.passed for check in end_checks(large, large))


def test_a_reach_of_exactly_half_the_supercell_fails(polar: ForceConstants) -> None:
    """Atoms half a supercell apart see each other from two sides."""
    half = 1.5 * float(polar.supercell.primitive.cell.lengths().min())
    for reach, names in ((half, {"reach of order 2", "reach of order 3"}), (half - 0.15, set())):
        assert failed(CrystalForceConstants(polar, polar, reach=(reach, reach))) == names


def test_a_triplet_that_goes_half_around_the_cell_fails(polar: ForceConstants) -> None:
    """One element among three atoms, as large as any, with its third atom where the supercell ends."""
    assert polar.third is not None
    home, far = polar.supercell.home[0], polar.supercell.find(np.array([0]), np.array([[1, 1, 0]]))[0]
    assert share_at_the_end(polar)[3] == 0.0
    index = np.array([[0], [3 * home], [3 * far]])
    indices = np.concatenate([polar.third.indices, index], axis=1)
    values = np.append(polar.third.values, np.abs(polar.third.values).max())
    third = ForceConstants(polar.supercell, third=Elements(indices, values))
    assert share_at_the_end(third)[3] > 0.2


# Displacements and forces


def test_random_displacements_and_a_cell_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 8 atoms, whose third order is folded: the expansion is what the forces were made of, to the fourth order."""
    from ase.build import bulk

    unit = bulk("ZnS", "zincblende", a=5.4, cubic=True)
    own = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    pytest.importorskip("symfc")
    seconds, thirds = [], []
    for random, matrix in ((False, "F"), (True, "F"), (False, own)):
        folder = tmp_path / f"{random}{np.shape(matrix)}"
        write_forces(folder, unit, matrix, random)
        capsys.readouterr()
        for files in (("phono3py_disp.yaml", "FORCES_FC3"), ("phono3py_params.yaml",)):
            source = ImportedForceConstants(*(folder / name for name in files))
            found = source.constants
            np.testing.assert_allclose(found.primitive.positions, source.primitive.positions, atol=1e-8)
            assert found.second.second is not None and found.third.third is not None
            seconds.append(np.linalg.norm(found.second.second.toarray()))
            thirds.append(np.linalg.norm(found.third.third.values))
        assert capsys.readouterr().out == ""
    np.testing.assert_allclose(seconds, seconds[0], rtol=2e-3)
    np.testing.assert_allclose(thirds, thirds[0], rtol=2e-2)


def test_a_yaml_file_of_a_unit_cell_and_matrices_alone(polar: ForceConstants, tmp_path: Path) -> None:
    """The other cells are those that phono3py builds."""
    yaml, third, second = write_finished(polar, tmp_path)
    whole = ImportedForceConstants(yaml, third, second)
    blocks = re.split(r"^(?=[a-z_0-9]+:)", yaml.read_text(), flags=re.MULTILINE)
    kept = [block for block in blocks if not block.startswith(("primitive_cell:", "supercell:"))]
    assert len(kept) == len(blocks) - 2
    (tmp_path / "short.yaml").write_text("".join(kept))
    short = ImportedForceConstants(tmp_path / "short.yaml", third, second)
    np.testing.assert_allclose(short.primitive.cell.array, whole.primitive.cell.array, atol=1e-10)
    np.testing.assert_allclose(short.unit.positions, whole.unit.positions, atol=1e-10)
    dense = []
    for each in (short.constants, whole.constants):
        assert each.second.second is not None
        dense.append(each.second.second.toarray())
    np.testing.assert_allclose(dense[0], dense[1], atol=1e-10)


def test_packed_forces_are_read_and_bombs_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    from ldmd.crystal import phono3py_files

    write_forces(tmp_path, zincblende_cubic(), "F")
    packed = tmp_path / "FORCES_FC3.gz"
    packed.write_bytes(gzip.compress((tmp_path / "FORCES_FC3").read_bytes()))
    assert read_forces(tmp_path / "phono3py_disp.yaml", packed).translation < 1e-10
    monkeypatch.setattr(phono3py_files, "LARGEST_FORCES", 1e3)
    with pytest.raises(InputError, match="the most that is read"):
        read_forces(tmp_path / "phono3py_disp.yaml", packed)


def zincblende_cubic() -> Atoms:
    from ase.build import bulk

    return bulk("ZnS", "zincblende", a=5.4, cubic=True)


# Nothing runs


@pytest.mark.parametrize("road", ["case", "forces", "diagnose", "finished"])
def test_a_tag_in_a_yaml_file_runs_nothing_on_any_road(polar: ForceConstants, tmp_path: Path, road: str) -> None:
    canary = tmp_path / "canary"
    tag = f"zz: !!python/object/apply:os.mkdir [{str(canary)!r}]\n"
    if road == "finished":
        paths = write_finished(polar, tmp_path)
        yaml, third = paths[0], paths[1]
    else:
        write_forces(tmp_path, zincblende_cubic(), "F")
        yaml, third = tmp_path / "phono3py_disp.yaml", tmp_path / "FORCES_FC3"
    text = yaml.read_text()
    yaml.write_text(text + tag)
    line = text.count("\n") + 1
    with pytest.raises(InputError, match=f"line {line} holds a tag that is not plain") as caught:
        if road == "case":
            assert ImportedForceConstants(yaml, third).constants
        elif road == "forces":
            read_forces(yaml, third)
        else:
            read_any(third)
    assert not canary.exists() and "\n" not in str(caught.value)


# Cells and masses


def test_atoms_in_another_order_and_left_handed_vectors(springs_of_three: ForceConstants, tmp_path: Path) -> None:
    settings = MeshSettings(grid=(3, 3, 3), temperatures=(300.0,), smearing=3.0, direct=True)
    expected = phono3py_engine.conductivity(imported(springs_of_three, tmp_path / "first"), settings)
    for name, sign, order in (("order", 1, [2, 0, 1]), ("hand", -1, [0, 1, 2])):
        other = imported(moved(springs_of_three, sign * np.eye(3, dtype=int), np.array(order)), tmp_path / name)
        assert np.linalg.det(other.primitive.cell.array) > 0.0
        assert_same(phono3py_engine.conductivity(other, settings), expected)


def test_masses_of_the_file_count_also_for_symmetry(tmp_path: Path) -> None:
    """Layers of silicon of 28 and 112 amu have less symmetry than silicon; with symmetry or without, alike."""
    cell = 0.5 * 5.431 * np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]])
    scaled = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.25], [0.5, 0.5, 0.5], [0.0, 0.5, 0.75]]
    layers = Atoms("Si4", cell=cell, scaled_positions=scaled, pbc=True)
    layers.set_masses([28.0, 28.0, 112.0, 112.0])
    found = imported(force_constants(layers, (3, 3, 2)), tmp_path)
    np.testing.assert_allclose(found.primitive.get_masses(), [28.0, 28.0, 112.0, 112.0])
    settings = MeshSettings(grid=(3, 3, 2), temperatures=(300.0,), smearing=3.0)
    with_symmetry = phono3py_engine.conductivity(found, settings)
    without = phono3py_engine.conductivity(found, dataclasses.replace(settings, symmetry=False))
    assert len(with_symmetry.q_points) < len(without.q_points)
    np.testing.assert_allclose(with_symmetry.tensor(), without.tensor(), rtol=1e-5, atol=1e-5)


def test_masses_that_contradict_each_other_are_refused(polar: ForceConstants, tmp_path: Path) -> None:
    paths = write_finished(polar, tmp_path)
    head, block, rest = paths[0].read_text().partition("primitive_cell:")
    changed = rest.replace("mass: 65.38", "mass: 70.00", 1)
    assert changed != rest
    paths[0].write_text(head + block + changed)
    with pytest.raises(InputError, match="masses = 70"):
        assert ImportedForceConstants(*paths).constants


def test_one_atom_in_the_cell(tmp_path: Path) -> None:
    primitive = Atoms("Ar", cell=2.0 * (np.ones((3, 3)) - np.eye(3)), positions=[[0.1, 0.2, 0.3]], pbc=True)
    supercell: Supercell = repeated(primitive, (3, 3, 3), "sites")
    constants = of_supercell(supercell, *springs(supercell.atoms, 3.0))
    found = imported(constants, tmp_path)
    assert len(found.primitive) == 1 and not failed(found)
    settings = MeshSettings(grid=(5, 5, 5), temperatures=(300.0,), smearing=1.5, direct=True)
    result = phono3py_engine.conductivity(found, settings)
    for part in ("relaxation time", "direct"):
        tensor = result.tensor(part)[0, 0]
        np.testing.assert_allclose(tensor, tensor[0, 0] * np.eye(3), atol=1e-5 * tensor[0, 0])
        assert tensor[0, 0] > 0.0


# Units


def test_a_unit_that_the_file_contradicts_is_asked_for(polar: ForceConstants, tmp_path: Path) -> None:
    """phono3py writes the unit of another program beside cells that it has converted already."""
    paths = write_finished(polar, tmp_path)
    text = paths[0].read_text()
    paths[0].write_text(text.replace('length: "angstrom"', 'length: "au"'))
    with pytest.raises(InputError, match="unit of length = au: .*1.24 Angstrom apart in this unit"):
        assert ImportedForceConstants(*paths).primitive
    stretched = moved_to_bohr(text)
    paths[0].write_text(stretched)
    found = ImportedForceConstants(*paths).primitive
    np.testing.assert_allclose(found.cell.lengths(), polar.supercell.primitive.cell.lengths(), rtol=1e-6)


def moved_to_bohr(text: str) -> str:
    """The same file with lattice vectors in Bohr."""
    lines, inside = [], False
    for line in text.replace('length: "angstrom"', 'length: "au"').splitlines():
        inside = line.strip() == "lattice:" or (inside and line.lstrip().startswith("- ["))
        if inside and "[" in line:
            head, _, row = line.partition("[")
            values = [float(word) / 0.529177210903 for word in row.strip(" ]").split(",")]
            line = f"{head}[ {', '.join(f'{value:.15f}' for value in values)} ]"
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_the_unit_of_one_order_alone_is_not_enough(polar: ForceConstants, tmp_path: Path) -> None:
    paths = write_finished(polar, tmp_path)
    with h5py.File(paths[2], "r+") as file:
        del file["physical_unit"]
        file["physical_unit"] = [b"Ry/au^2"]
    with pytest.raises(InputError, match="unit of force constants = Ry/au"):
        assert ImportedForceConstants(*paths).constants


# Datasets of the wrong kind

WRONG = {
    "text": np.array([b"a", b"b"]),
    "one number": np.float64(1.0),
    "nothing": np.zeros(0),
    "complex": np.ones((2, 2, 3, 3), dtype=complex),
    "yes and no": np.ones((2, 2), dtype=bool),
    "records": np.zeros(2, dtype=[("a", float), ("b", int)]),
    "not a number": np.full((2, 2, 3, 3), np.nan),
    "fractions": np.array([0.5, 1.5]),
}


@pytest.mark.parametrize("kind", [*WRONG, "a group"])
def test_datasets_of_another_kind_are_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_files, "_require_sound", lambda *_: None)  # a process for each of these files takes time
    atoms = zincblende()
    constants = of_supercell(repeated(atoms, (1, 1, 1), "sites"), *springs(atoms, 2.6))
    for place, names in ((1, ("fc3", "p2s_map")), (2, ("force_constants", "p2s_map", "physical_unit"))):
        for name in names:
            if (name, kind) == ("physical_unit", "text"):
                continue
            paths = write_finished(constants, tmp_path / f"{place}{name}")
            with h5py.File(paths[place], "r+") as file:
                del file[name]
                if kind in WRONG:
                    file[name] = WRONG[kind]
                else:
                    file.create_group(name)
            with pytest.raises(InputError) as caught:
                assert ImportedForceConstants(*paths).constants
            assert "\n" not in str(caught.value)
