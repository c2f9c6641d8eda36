"""Files of force constants as people have them: the same numbers in every form; one line for what cannot be."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import re
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.io import write
from spring_crystal import primitive_cell, small_glass, springs

from ldmd import cli
from ldmd.errors import InputError
from ldmd.force_constants.exchange import arrays, hiphive, kaldo, lammps, phonopy, shengbte
from ldmd.force_constants.exchange.any_format import read_any
from ldmd.force_constants.exchange.constants import ForceConstants, of_supercell
from ldmd.force_constants.exchange.supercell import glass, repeated

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "D exponents": lambda data: re.sub(rb"(?<=\d)e(?=[+-])", b"D", data),
    "a byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "Windows": lambda data: data.replace(b"\n", b"\r\n"),
    "blank lines first": lambda data: b"\n  \n" + data,
    "a comment first": lambda data: b"# from Universit\xe4t\n" + data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "tabs": lambda data: data.replace(b"  ", b"\t"),
}


@pytest.fixture(scope="module")
def crystal() -> ForceConstants:
    supercell = repeated(primitive_cell(), (2, 1, 1), "sites")
    return of_supercell(supercell, *springs(supercell.atoms, 2.0))


@pytest.fixture(scope="module")
def amorphous() -> ForceConstants:
    atoms = small_glass()[:6]
    return of_supercell(glass(atoms), *springs(atoms, 2.5))


def _assert_equal(found: ForceConstants, expected: ForceConstants) -> None:
    for mine, theirs in ((found.second, expected.second), (found.third, expected.third)):
        if mine is not None and theirs is not None and hasattr(mine, "toarray"):
            np.testing.assert_array_equal(mine.toarray(), theirs.toarray())
        elif mine is not None and theirs is not None:
            np.testing.assert_array_equal(mine.indices, theirs.indices)
            np.testing.assert_array_equal(mine.values, theirs.values)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_text_gives_the_same_numbers(tmp_path: Path, crystal: ForceConstants, form: str) -> None:
    two, three = tmp_path / "FORCE_CONSTANTS", tmp_path / "FORCE_CONSTANTS_3RD"
    phonopy.write_second(crystal, two)
    shengbte.write_third(crystal, three)
    if form == "D exponents":  # phonopy writes none, VASP and ShengBTE's helpers do
        two.write_bytes(re.sub(rb"(?m)(\d\.\d{15})", rb"\1e+00", two.read_bytes()))
    expected = phonopy.read_second(two, crystal.supercell), shengbte.read_third(three, crystal.supercell)
    for path in (two, three):
        before = path.read_bytes()
        path.write_bytes(FORMS[form](before))
        assert path.read_bytes() != before
    _assert_equal(phonopy.read_second(two, crystal.supercell), expected[0])
    _assert_equal(shengbte.read_third(three, crystal.supercell), expected[1])


@pytest.mark.parametrize("form", FORMS)
def test_all_files_of_a_folder_may_have_that_form(tmp_path: Path, crystal: ForceConstants, form: str) -> None:
    """The format is told from the content, whatever stands before or around it."""
    shengbte.write_second(crystal, tmp_path / "FORCE_CONSTANTS_2ND")
    shengbte.write_third(crystal, tmp_path / "FORCE_CONSTANTS_3RD")
    shengbte.write_control(crystal.supercell, tmp_path / "CONTROL", (3, 3, 3), 300.0)
    expected = read_any(tmp_path / "FORCE_CONSTANTS_3RD")
    for path in tmp_path.iterdir():
        before = path.read_bytes()
        comment = path.name == "CONTROL" and form == "a comment first"
        path.write_bytes(b"! " + FORMS[form](before) if comment else FORMS[form](before))
    found = read_any(tmp_path / "FORCE_CONSTANTS_3RD")
    np.testing.assert_array_equal(found.second.matrix.toarray(), expected.second.matrix.toarray())
    np.testing.assert_array_equal(found.third.values, expected.third.values)


def _damaged(path: Path, line: int, change: Callable[[str], str]) -> None:
    lines = path.read_text().split("\n")
    lines[line] = change(lines[line])
    path.write_text("\n".join(lines))


def _last_word(word: str) -> Callable[[str], str]:
    return lambda line: " ".join([*line.split()[:-1], word])


@pytest.mark.parametrize(
    ("line", "change", "reason"),
    [
        (3, _last_word("****"), r"line 4, column 3 holds '\*\*\*\*'"),
        (3, _last_word("NaN"), "line 4, column 3 holds 'NaN'"),
        (3, _last_word("inf"), "line 4, column 3 holds 'inf'"),
        (3, _last_word("1e300"), "no force constant of .* order is larger"),
        (3, _last_word(""), "no multiple of 11; is it complete"),
        (0, lambda _: "1000000000000", "its first line promises 1000000000000|does not begin with the number"),
        (0, lambda _: "-6 6", "does not begin with the number of atoms"),
        (0, lambda _: "6.5", "does not begin with the number of atoms"),
        (0, lambda _: "²", "does not begin with the number of atoms"),
        (1, lambda _: "7 1", "has an atom 7; they go from 1 to 6"),
        (1, lambda _: "1.5 1", "has an atom 1.5"),
        (1, lambda _: "1 2", "not in the order of the atoms"),
    ],
)
def test_a_damaged_second_order_is_one_line(
    tmp_path: Path, crystal: ForceConstants, line: int, change: Callable[[str], str], reason: str
) -> None:
    path = tmp_path / "FORCE_CONSTANTS"
    phonopy.write_second(crystal, path)
    _damaged(path, line, change)
    with pytest.raises(InputError, match=reason):
        phonopy.read_second(path, crystal.supercell)


@pytest.mark.parametrize(
    ("line", "change", "reason"),
    [
        (0, lambda _: "1000000000000", "its first line says '1000000000000'"),
        (0, lambda _: "**", "line 1|first line says"),
        (6, _last_word("****"), r"line 7, column 4 holds '\*\*\*\*'"),
        (5, lambda _: "1 9 1", "has an atom 9; they go from 1 to 3"),
        (5, lambda _: "1 1e12 1", "has an atom 1000000000000"),
        (3, lambda _: "1e300 0 0", "its lattice vectors are not those"),
    ],
)
def test_a_damaged_third_order_is_one_line(
    tmp_path: Path, crystal: ForceConstants, line: int, change: Callable[[str], str], reason: str
) -> None:
    path = tmp_path / "FORCE_CONSTANTS_3RD"
    shengbte.write_third(crystal, path)
    _damaged(path, line, change)
    with pytest.raises(InputError, match=reason):
        shengbte.read_third(path, crystal.supercell)


def test_a_block_that_comes_twice_is_refused(tmp_path: Path, crystal: ForceConstants) -> None:
    path = tmp_path / "FORCE_CONSTANTS_3RD"
    shengbte.write_third(crystal, path)
    header, *lines = path.read_text().split("\n")
    block = lines[:32]
    path.write_text("\n".join([str(int(header) + 1), *block, *lines]))
    with pytest.raises(InputError, match="a block of the same atoms twice"):
        shengbte.read_third(path, crystal.supercell)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 1 2 4 1 0.1 0.2 0.3", "has a direction 4; they go from 1 to 3"),
        ("1 0 2 1 1 0.1 0.2 0.3", "has a direction 0"),
        ("0 1 2 1 1 0.1 0.2 0.3", "has an atom 0"),
        ("1.5 1 2 1 1 0.1 0.2 0.3", "has an atom 1.5"),
        ("1 1 2 1 1e12 0.1 0.2 0.3", "has an atom 1000000000000"),
        ("1 1 2 1 1 0.1 0.2", "is it complete"),
        ("1 1 2 1 1 0.1 0.2 1e200", "no force constant of .* order is larger"),
    ],
)
def test_a_list_of_the_third_order_names_atoms_that_there_are(
    tmp_path: Path, amorphous: ForceConstants, line: str, reason: str
) -> None:
    path = tmp_path / "third"
    path.write_text(f"1 1 1 1 1 0.1 0.2 0.3\n{line}\n")
    with pytest.raises(InputError, match=reason):
        lammps.read_third(path, amorphous.supercell.atoms)
    path.write_text("1 1 1 1 1 0.1 0.2 0.3\n1 1 1 1 2 0.0 0.2 0.3\n1 1 1 1 1 0.1 0.2 0.3\n")
    with pytest.raises(InputError, match="gives an element twice"):
        lammps.read_third(path, amorphous.supercell.atoms)


def test_hdf5_that_leads_elsewhere_is_refused(tmp_path: Path, crystal: ForceConstants) -> None:
    secret, path = tmp_path / "secret.hdf5", tmp_path / "fc2.hdf5"
    phonopy.write_second(crystal, secret)
    with h5py.File(path, "w") as file:
        file["force_constants"] = h5py.ExternalLink("secret.hdf5", "force_constants")
    with pytest.raises(InputError, match="link 'force_constants' to elsewhere"):
        phonopy.read_second(path, crystal.supercell)
    with h5py.File(path, "w") as file:
        file.create_dataset("force_constants", (6, 6, 3, 3), "f8", external=[(str(secret), 0, 6 * 6 * 72)])
    with pytest.raises(InputError, match="has the data of 'force_constants' in other files"):
        phonopy.read_second(path, crystal.supercell)


def test_hdf5_that_holds_more_than_its_crystal_needs_is_not_read(tmp_path: Path, crystal: ForceConstants) -> None:
    path = tmp_path / "fc2.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("force_constants", (6_000_000, 6, 3, 3), "f8", chunks=(1000, 6, 3, 3), compression="gzip")
    assert path.stat().st_size < 100_000
    start = time.monotonic()
    with pytest.raises(InputError, match=r"holds 2\.59 GB"):
        phonopy.read_second(path, crystal.supercell)
    assert time.monotonic() - start < 30.0


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"), "promises 8000000000000 bytes"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4), }", b"\0" * 32), "promises|cannot be read"),
        (_npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps([1])), "holds object"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }", b"\0" * 24), "promises 32 bytes"),
        (pickle.dumps(np.zeros(3)), "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_arrays_are_what_their_file_has_room_for(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "second.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        arrays.load_npy(path)
    archive = tmp_path / "third.npz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.npy", content)
    with pytest.raises(InputError, match=reason):
        arrays.load_npz(archive)


def test_a_packed_array_is_refused_by_its_table_of_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_UNPACKED", 10_000_000)
    path = tmp_path / "third.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("data.npy", "w") as file:
            for _ in range(11):
                file.write(bytes(1_000_000))
    assert path.stat().st_size < 100_000
    start = time.process_time()
    with pytest.raises(InputError, match=r"unpacks to 0\.011 GB, more than is read"):
        arrays.load_npz(path)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("row", np.array([0, 10**9]), "has elements beyond its 108 x 18"),
        ("col", np.array([-1, 0]), "has elements beyond"),
        ("data", np.zeros(3), "not as many indices as values"),
        ("data", np.array([np.nan, 0.0]), "has nan eV/Angstrom"),
        ("shape", np.array([10**13, 18]), "has shape"),
        ("shape", np.array([-108, 18]), "has a matrix of -108 x 18"),
    ],
)
def test_a_sparse_matrix_keeps_to_its_shape(
    tmp_path: Path, amorphous: ForceConstants, name: str, value: np.ndarray, reason: str
) -> None:
    kaldo.write_folder(amorphous, tmp_path)
    content = {"row": np.array([0, 1]), "col": np.array([0, 1]), "data": np.ones(2), "shape": np.array([324, 18])}
    np.savez(tmp_path / "third.npz", **content, format=np.array(b"coo"))
    assert kaldo.read_folder(tmp_path, sign=1).third is not None
    expected = reason.replace("108 x 18", "324 x 18").replace("-324", "-108")
    np.savez(tmp_path / "third.npz", **{**content, name: value}, format=np.array(b"coo"))
    with pytest.raises(InputError, match=expected):
        kaldo.read_folder(tmp_path, sign=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1000000000000\n\nSi 0 0 0\n", "should be the number of atoms, 1 by its lines"),
        ("²\n\nSi 0 0 0\n", "should be the number of atoms"),
        ("", "should be the number of atoms"),
        (
            '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:1000000000\nSi 0 0 0\n',
            "have 1000000001",
        ),
        ('1\nLattice="3 0 0 0 3 0 0 0 nan" Properties=species:S:1:pos:R:3\nSi 0 0 0\n', "not finite or longer"),
        ('1\nLattice="3 0 0 0 3 0 0 0 0" Properties=species:S:1:pos:R:3\nSi 0 0 0\n', "per atom, which is no crystal"),
        ("1\n" + "=" * 50_000 + "\nSi 0 0 0\n", "structure"),
    ],
)
def test_a_structure_of_kaldo_is_counted_before_it_is_read(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "replicated_atoms.xyz").write_text(text)
    start = time.process_time()
    with pytest.raises(InputError, match=reason):
        kaldo.read_structure(tmp_path, "numpy")
    assert time.process_time() - start < 2.0


def _fcs(path: Path, pickled: bytes) -> Path:
    atoms = {"numbers": [14, 14], "positions": [[0, 0, 0], [2, 2, 2]], "cell": {"array": np.eye(3).tolist()}}
    atoms["cell"] = (4 * np.eye(3)).tolist()
    with tarfile.open(path, "w") as archive:
        for name, data in (("fc_dict", pickled), ("supercell", json.dumps({"1": atoms, "ids": [1]}).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def test_a_model_of_hiphive_is_read_in_every_protocol(tmp_path: Path) -> None:
    blocks = {(0, 0): 2.0 * np.eye(3), (0, 1): np.asfortranarray(np.arange(9.0).reshape(3, 3)), (1, 1): 3.0 * np.eye(3)}
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps({"fc_dict": blocks, "fcs_type": "RawForceConstants"}, protocol)
        found = hiphive.read(_fcs(tmp_path / "model.fcs", pickled)).second
        assert found is not None
        np.testing.assert_array_equal(found.toarray()[:3, 3:], blocks[0, 1])


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        # An array of 10^12 numbers from nothing: _reconstruct(ndarray, (10**12,), b"d").
        (b"\x80\x02cnumpy\nndarray\n(I1000000000000\ntR.", "cannot be read"),
        (b"\x80\x05r\xff\xff\xff\x7f.", "cannot be read"),  # a memo of 2^31 places
        (b"\x80\x05\x96\x00\x00\x00\x00\x40\x00\x00\x00.", "cannot be read"),  # a byte array of 2^38 bytes
        (b"cos\nsystem\n(S'true'\ntR.", "it asks for os.system"),
        (pickle.dumps({"fc_dict": {(0, 5): np.eye(3)}, "fcs_type": ""}), r"has the cluster \(0, 5\) of its 2 atoms"),
        (pickle.dumps({"fc_dict": {(0, 1): np.eye(4)}, "fcs_type": ""}), "has no block of 3 x"),
        (pickle.dumps({"fc_dict": {(0, 1): [[1.0]] * 3}, "fcs_type": ""}), "has no block of 3 x"),
        (pickle.dumps({"fc_dict": {(0, 1): np.full((3, 3), np.nan)}, "fcs_type": ""}), "has nan eV/Angstrom"),
        (pickle.dumps({"fc_dict": {(0, 1): np.array([None])}, "fcs_type": ""}), "it holds an array of 'O8'"),
        (pickle.dumps([1, 2]), "it holds a list"),
    ],
)
def test_a_pickle_makes_nothing_but_numbers_that_are_there(tmp_path: Path, pickled: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        hiphive.read(_fcs(tmp_path / "model.fcs", pickled))


def test_the_command_line_ends_with_two_and_one_line(
    tmp_path: Path, crystal: ForceConstants, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shengbte.write_second(crystal, tmp_path / "FORCE_CONSTANTS_2ND")
    shengbte.write_third(crystal, tmp_path / "FORCE_CONSTANTS_3RD")
    shengbte.write_control(crystal.supercell, tmp_path / "CONTROL", (3, 3, 3), 300.0)
    third = tmp_path / "FORCE_CONSTANTS_3RD"
    _damaged(third, 6, _last_word("****"))
    monkeypatch.setattr(sys, "argv", ["ldmd", "diagnose", "--fc3", str(third)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    error = capfd.readouterr().err.strip()
    assert ended.value.code == 2
    assert "line 7, column 4 holds '****'" in error and "\n" not in error


def test_a_file_of_20_gb_is_refused_by_its_size(tmp_path: Path, amorphous: ForceConstants) -> None:
    size = 20_000_000_128
    header = _npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({(size - 128) // 8},), }}")
    readings: dict[str, tuple[bytes, Callable[[Path], object]]] = {
        "second.npy": (header, arrays.load_npy),
        "FORCE_CONSTANTS": (b"6 6\n", lambda path: phonopy.read_second(path, amorphous.supercell)),
        "FORCE_CONSTANTS_3RD": (b"1\n", lambda path: shengbte.read_third(path, amorphous.supercell)),
        "CONTROL": (b"&crystal\n", shengbte.read_control),
        "phonopy.yaml": (b"a: 1\n", phonopy.read_structure),
        "third": (b"1 1 1 1 1 0 0 1\n", lambda path: lammps.read_third(path, amorphous.supercell.atoms)),
        "replicated_atoms.xyz": (b"1\n\n", lambda path: kaldo.read_structure(path.parent, "numpy")),
        "model.fcs": (b"", hiphive.read),
    }
    start = time.process_time()
    for name, (begin, read) in readings.items():
        path = tmp_path / name
        path.write_bytes(begin)
        os.truncate(path, size)
        with pytest.raises(InputError, match=r"20\.0 GB|is larger than"):
            read(path)
    assert time.process_time() - start < 2.0


def test_many_copies_of_one_atom_are_put_into_a_box_at_once(tmp_path: Path, amorphous: ForceConstants) -> None:
    """Trying all products of three numbers that make 20 000, or moving all atoms to all copies, would take minutes."""
    lines = "".join(f"Si {0.1 * number:.1f} 0 0\n" for number in range(20_000))
    lattice = 'Lattice="2000 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3'
    (tmp_path / "replicated_atoms.xyz").write_text(f"20000\n{lattice}\n{lines}")
    (tmp_path / "THIRD").write_text("1 1 1 1 1 0.1 0.2 0.3\n")
    start = time.process_time()
    with pytest.raises(InputError):
        read_any(tmp_path)
    assert time.process_time() - start < 10.0


@pytest.mark.parametrize(
    ("begin", "reason"),
    [("900000000 900000000", "fits none"), ("6 6", r"line 4, column 3 holds '\*\*\*\*'")],
)
def test_a_second_order_without_a_supercell_is_refused_for_what_it_is(
    tmp_path: Path, crystal: ForceConstants, begin: str, reason: str
) -> None:
    shengbte.write_third(crystal, tmp_path / "FORCE_CONSTANTS_3RD")
    shengbte.write_second(crystal, tmp_path / "FORCE_CONSTANTS_2ND")
    _damaged(tmp_path / "FORCE_CONSTANTS_2ND", 0, lambda _: begin)
    _damaged(tmp_path / "FORCE_CONSTANTS_2ND", 3, _last_word("****"))
    write(tmp_path / "POSCAR", crystal.supercell.primitive, format="vasp")
    start = time.process_time()
    with pytest.raises(InputError, match=reason):
        read_any(tmp_path / "FORCE_CONSTANTS_3RD")
    assert time.process_time() - start < 5.0


@pytest.mark.parametrize("value", [np.nan, 1e30])
def test_a_number_that_no_material_has_is_found_in_an_array_of_any_shape(
    tmp_path: Path, amorphous: ForceConstants, value: float
) -> None:
    kaldo.write_folder(amorphous, tmp_path)
    values = np.load(tmp_path / "second.npy")  # (1, P, 3, copies, P, 3)
    values[0, 4, 2, 0, 5, 1] = value
    np.save(tmp_path / "second.npy", values)
    with pytest.raises(InputError, match="as its element 0, 4, 2, 0, 5, 1; no force constant of second order"):
        kaldo.read_folder(tmp_path, sign=1)
