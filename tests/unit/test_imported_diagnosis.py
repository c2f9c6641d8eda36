"""The diagnosis of force constants that come in the files of other programs, without a potential."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk
from spring_crystal import primitive_cell, small_glass, springs

from ldmd import cli
from ldmd.commands import diagnose_imported
from ldmd.errors import InputError
from ldmd.force_constants.exchange import kaldo, phono3py, phonopy, shengbte
from ldmd.force_constants.exchange.any_format import folded, read_any, together
from ldmd.force_constants.exchange.constants import Elements, ForceConstants, of_supercell
from ldmd.force_constants.exchange.supercell import glass, repeated
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import normal_modes

CUTOFF = 3.0
WIDTH = 3.0
"""rad/ps: the springs of a small cell are stiff, and its modes far apart."""
NOISE = 2e-3
"""Relative, of elements."""


def crystal(repeats: tuple[int, int, int]) -> ForceConstants:
    supercell = repeated(primitive_cell(), repeats, "sites")
    return of_supercell(supercell, *springs(supercell.atoms, CUTOFF))


@pytest.fixture(scope="module")
def cube() -> ForceConstants:
    return crystal((2, 2, 2))


@pytest.fixture(scope="module")
def amorphous() -> ForceConstants:
    atoms = small_glass()
    return of_supercell(glass(atoms), *springs(atoms, 3.2))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, cube: ForceConstants) -> dict[str, Path]:
    """The crystal in three formats, the files with their usual names."""
    root = tmp_path_factory.mktemp("formats")
    for name in ("phono3py", "ShengBTE"):
        (root / name).mkdir()
    phono3py.write_second(cube, root / "phono3py" / "fc2.hdf5")
    phono3py.write_third(cube, root / "phono3py" / "fc3.hdf5")
    phono3py.write_structure(root / "phono3py" / "phono3py.yaml", cube.supercell)
    shengbte.write_second(cube, root / "ShengBTE" / "FORCE_CONSTANTS_2ND")
    shengbte.write_third(cube, root / "ShengBTE" / "FORCE_CONSTANTS_3RD")
    shengbte.write_control(cube.supercell, root / "ShengBTE" / "CONTROL", (1, 1, 1), 300.0)
    kaldo.write_folder(cube, root / "kALDo", "numpy")
    kaldo.write_folder(cube, root / "kALDo lists", "lammps")
    return {
        "phono3py": root / "phono3py" / "fc3.hdf5",
        "ShengBTE": root / "ShengBTE" / "FORCE_CONSTANTS_3RD",
        "kALDo": root / "kALDo",
        "kALDo lists": root / "kALDo lists",
    }


def diagnosed(third: Path, second: Path | None = None, structure: Path | None = None, **known: float) -> dict:
    pair = (known.get("noise"), known.get("step"))
    return diagnose_imported(third, second, structure, 300.0, WIDTH, pair)[1]


@pytest.mark.parametrize("name", ["phono3py", "ShengBTE", "kALDo", "kALDo lists"])
def test_all_formats_give_the_linewidths_of_the_springs(
    name: str, folders: dict[str, Path], cube: ForceConstants
) -> None:
    found = diagnosed(folders[name])
    assert name.split()[0] in found["source"]
    modes = normal_modes(cube.second_order(), cube.supercell.atoms.get_masses())
    gamma = linewidths(cube.third_order(), modes, [300.0], ["classical"], Gaussian(WIDTH), threads=1).gamma[0, 0]
    expected = gamma[modes.vibrating][:12]
    values = [mode["linewidth"] for mode in found["modes"]]
    assert min(values) > 0.0
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert {"gamma_exact", "slope", "kink_share"} <= set(found["not_measured"])
    assert "noise_floor" in found["not_measured"], "sum rules that hold show no noise"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("value", [1e300, -1e300, 1e160, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("order", ["second", "third"])
def test_an_element_that_no_atoms_have_is_named(
    order: str, value: float, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(folders["phono3py"].parent, tmp_path, dirs_exist_ok=True)
    with h5py.File(tmp_path / {"second": "fc2.hdf5", "third": "fc3.hdf5"}[order], "r+") as file:
        (name,) = (name for name in file if file[name].ndim >= 4)
        file[name][(0,) * file[name].ndim] = value
    monkeypatch.setattr(sys, "argv", ["ldmd", "diagnose", "--fc3", str(tmp_path / "fc3.hdf5"), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.count("\n") == 1 and f"{value:g} eV/Angstrom" in err
    assert "of atom 0 x, atom 0 x" in err and f"no force constant of {order} order" in err


@pytest.mark.parametrize(("temperature", "width"), [(1e-300, 3.0), (np.nan, 3.0), (300.0, 1e-308), (300.0, np.inf)])
def test_conditions_that_a_case_would_refuse_are_refused(
    temperature: float, width: float, folders: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match="at least"):
        diagnose_imported(folders["phono3py"], None, None, temperature, width, (None, None))


def noisy(constants: ForceConstants) -> ForceConstants:
    """With independent errors of the elements, equal for permuted ones."""
    third = constants.third_order()
    _, place = np.unique(np.sort(third.indices, axis=0), axis=1, return_inverse=True)
    errors = np.random.default_rng(1).normal(size=place.max() + 1)[place] * NOISE * np.std(third.values)
    elements = Elements(third.indices, third.values + errors)
    return ForceConstants(constants.supercell, constants.second, elements)


def test_noise_is_read_from_the_sum_rules(amorphous: ForceConstants, tmp_path: Path) -> None:
    kaldo.write_folder(noisy(amorphous), tmp_path / "noisy", "numpy")
    found = diagnosed(tmp_path / "noisy")
    sigma = NOISE * float(np.std(amorphous.third_order().values))
    assert found["error_of_elements"] == pytest.approx(sigma, rel=0.1)
    assert all(mode["noise_floor"] > 0.0 for mode in found["modes"])
    assert found["case"]["demand"]["accuracy"]["sigma_elements"] > 0.0
    assert "noise_floor" not in found["not_measured"]


def test_noise_that_was_restored_away_is_told(amorphous: ForceConstants, tmp_path: Path) -> None:
    kaldo.write_folder(amorphous, tmp_path / "exact", "numpy")
    assert diagnosed(tmp_path / "exact")["error_of_elements"] is None
    told = diagnosed(tmp_path / "exact", noise=1e-4, step=0.01)
    single = 1e-4 / (2.0 * 0.01**2)
    assert 0.99 * single / np.sqrt(3.0) < told["error_of_elements"] < 1.01 * single, "averaged over permutations or not"
    with pytest.raises(InputError, match="neither"):
        diagnosed(tmp_path / "exact", noise=1e-4)


@pytest.mark.parametrize(("factor", "measured"), [(1.0, True), (1.0 + 1e-4, True), (1.1, False)])
def test_rotations_acquit_of_truncation(factor: float, measured: bool, cube: ForceConstants, tmp_path: Path) -> None:
    """A third order that is too large by a factor obeys translations, and is no derivative of the second one."""
    assert cube.third is not None
    other = dataclasses.replace(cube, third=Elements(cube.third.indices, factor * cube.third.values))
    kaldo.write_folder(other, tmp_path / "other", "numpy")
    assert ("truncation" not in diagnosed(tmp_path / "other")["not_measured"]) is measured


def test_a_larger_second_order_is_folded(cube: ForceConstants) -> None:
    large = dataclasses.replace(crystal((4, 2, 2)), third=None)
    assert cube.second is not None
    found = folded(large, cube.supercell).second
    assert found is not None
    np.testing.assert_allclose(found.toarray(), cube.second.toarray(), atol=1e-12)
    both = together("springs", large, cube)
    np.testing.assert_allclose(both.second.matrix.toarray(), cube.second_order().matrix.toarray(), atol=1e-12)


def test_supercells_that_do_not_match(cube: ForceConstants, tmp_path: Path) -> None:
    small = dataclasses.replace(crystal((2, 2, 1)), third=None)
    with pytest.raises(InputError, match="a supercell of 12 atoms: the third order has 24"):
        together("springs", small, cube)
    with pytest.raises(InputError, match="a supercell of 36 atoms: is no multiple"):
        together("springs", dataclasses.replace(crystal((3, 2, 2)), third=None), cube)


@pytest.mark.parametrize(
    ("third", "second", "structure", "reason"),
    [
        ("missing", None, None, "no such file"),
        ("notes.txt", None, None, "is of no known format; known are phono3py's fc3.hdf5"),
        ("empty", None, None, "holds neither third.npz nor THIRD"),
        ("phono3py/fc2.hdf5", None, None, "needs a dataset 'fc3'; it has force_constants"),
        ("phono3py/fc3.hdf5", "phono3py/fc3.hdf5", None, "needs one dataset 'force_constants' or 'fc2'"),
        ("phono3py/fc3.hdf5", "nowhere.hdf5", None, "no such file"),
        ("phono3py/fc3.hdf5", None, "large.yaml", "a supercell of 48 atoms"),
        ("alone/fc3.hdf5", None, None, "there is no fc2.hdf5 or force_constants.hdf5 beside"),
        ("damaged/fc3.hdf5", "phono3py/fc2.hdf5", "phono3py/phono3py.yaml", "is damaged"),
        ("kALDo", "phono3py/fc2.hdf5", None, "a folder of kALDo has its own"),
    ],
)
def test_refusals_are_one_line(
    third: str,
    second: str | None,
    structure: str | None,
    reason: str,
    folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = folders["kALDo"].parent
    (root / "notes.txt").write_text("what we did in March\n")
    (root / "empty").mkdir(exist_ok=True)
    (root / "alone").mkdir(exist_ok=True)
    (root / "alone" / "fc3.hdf5").write_bytes(folders["phono3py"].read_bytes())
    (root / "damaged").mkdir(exist_ok=True)
    (root / "damaged" / "fc3.hdf5").write_bytes(folders["phono3py"].read_bytes()[:4000])
    phono3py.write_structure(root / "large.yaml", crystal((4, 2, 2)).supercell)
    words = ["ldmd", "diagnose", "--fc3", str(root / third)]
    words += [] if second is None else ["--fc2", str(root / second)]
    words += [] if structure is None else ["--structure", str(root / structure)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    error = capfd.readouterr().err
    assert ended.value.code == cli.WRONG_INPUT
    assert reason in error and error.startswith("ldmd: ") and error.count("\n") == 1


def test_a_case_or_force_constants(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ldmd", "diagnose"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.WRONG_INPUT
    assert "give a case folder, or force constants by --fc3" in " ".join(capfd.readouterr().err.split())


def test_what_is_no_minimum_is_refused(amorphous: ForceConstants, tmp_path: Path) -> None:
    assert amorphous.second is not None
    kaldo.write_folder(dataclasses.replace(amorphous, second=-amorphous.second), tmp_path / "top", "numpy")
    with pytest.raises(InputError, match="imaginary modes"):
        diagnosed(tmp_path / "top")


def test_the_copies_of_a_poscar_are_found_or_asked_for(tmp_path: Path) -> None:
    """The copies along every vector are those in which all copies of an atom have the same rows, if no others are."""
    for repeats, known in (((2, 2, 2), True), ((4, 2, 1), False)):
        constants, folder = crystal(repeats), tmp_path / str(repeats)
        folder.mkdir()
        constants.supercell.primitive.write(folder / "POSCAR", format="vasp")
        third, second = folder / "FORCE_CONSTANTS_3RD", folder / "FORCE_CONSTANTS_2ND"
        shengbte.write_second(constants, second)
        shengbte.write_third(constants, third)
        if known:
            found = read_any(third, second, folder / "POSCAR")
            assert len(found.atoms) == 24
            expected = constants.second_order().matrix.toarray()
            np.testing.assert_allclose(found.second.matrix.toarray(), expected, atol=1e-12 * np.abs(expected).max())
            phonopy.write_second(constants, second, compact=True)
        with pytest.raises(InputError, match=r"name CONTROL or phonopy.yaml") as caught:
            read_any(third, second, folder / "POSCAR")
        assert " x ".join(map(str, repeats)) in str(caught.value)
        assert ("2 x 2 x 2" in str(caught.value)) is known


def test_lists_of_two_programs_in_one_folder_are_asked_for(folders: dict[str, Path], tmp_path: Path) -> None:
    both = Path(shutil.copytree(folders["kALDo lists"], tmp_path / "both"))
    (both / "CONFIG").write_text("")
    with pytest.raises(InputError, match=r"holds CONFIG of eskm and replicated_atoms.xyz of kALDo"):
        read_any(both)


def test_linewidths_of_degenerate_modes_do_not_depend_on_their_eigenvectors(tmp_path: Path) -> None:
    """A cube of a cubic crystal and the same one turned by 30 degrees: any eigenvectors, one answer for each group."""
    atoms = bulk("Ne", "fcc", a=4.2, cubic=True) * (2, 2, 2)
    numbers = []
    for name, angle in (("as it is", 0.0), ("turned", 30.0)):
        turned = atoms.copy()
        turned.rotate(angle, (1, 2, 3), rotate_cell=True)
        kaldo.write_folder(of_supercell(glass(turned), *springs(turned, 3.5)), tmp_path / name, "numpy")
        numbers.append(diagnosed(tmp_path / name)["modes"])
    frequencies, widths = (
        [np.array([mode[key] for mode in each]) for each in numbers] for key in ("frequency", "linewidth")
    )
    np.testing.assert_allclose(frequencies[0], frequencies[1], rtol=1e-9)
    np.testing.assert_allclose(widths[0], widths[1], rtol=1e-6)
    assert len(widths[0]) > 12 and np.ptp(widths[0][np.abs(frequencies[0] - frequencies[0][0]) < 1e-6]) == 0.0
