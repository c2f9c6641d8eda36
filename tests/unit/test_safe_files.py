"""YAML and HDF5 files of strangers: nothing in them runs, nothing outside them is read, nothing grows without bound."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from ldmd.errors import InputError
from ldmd.safe_files import load_yaml, open_hdf5


def _written(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("tag", ["object/apply:os.mkdir", "object/new:os.mkdir", "name:os.mkdir", "module:os"])
def test_a_yaml_tag_runs_nothing_and_is_named_with_its_line(tmp_path: Path, tag: str) -> None:
    canary = tmp_path / "canary"
    arguments = f"[{str(canary)!r}]" if "object" in tag else '""'
    path = _written(tmp_path, f"first: 1\nsecond: !!python/{tag} {arguments}\n")
    with pytest.raises(InputError, match="line 2 holds a tag that is not plain"):
        load_yaml(path)
    assert not canary.exists()


def test_plain_yaml_is_read_as_it_stands(tmp_path: Path) -> None:
    path = _written(tmp_path, '\ufeffunit: "angstrom"\npoints:\n- [ 1, 2.5, -1.0e-3 ]\n- { symbol: Na }\n')
    assert load_yaml(path) == {"unit": "angstrom", "points": [[1, 2.5, -1e-3], {"symbol": "Na"}]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1]\nb: [*x, *x]\n", r"line 2 holds the alias \*x"),
        ("a: [1, 2\n", "is not YAML: line 2"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("a: 2026-13-45\n", "cannot be read"),
        ("[" * 100_000, "YAML"),
        ("- " * 100_000, "YAML"),
        ("a: " + "9" * 10_000, "cannot be read"),
    ],
)
def test_yaml_that_is_broken_or_multiplies_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_yaml(_written(tmp_path, text))


def test_a_yaml_file_beyond_the_bound_is_not_parsed(tmp_path: Path) -> None:
    path = _written(tmp_path, "a: 1\n" + "#" * 1000)
    assert load_yaml(path, most_bytes=2000) == {"a": 1}
    with pytest.raises(InputError, match="is larger than"):
        load_yaml(path, most_bytes=500)


def test_text_that_is_no_utf8_is_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(b"a: \xe4\n")
    with pytest.raises(InputError, match=r"no UTF-8 text \(byte 3\)"):
        load_yaml(path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere.hdf5"
    with h5py.File(path, "w") as file:
        file["fc2"] = np.arange(6.0)
    return path


def test_an_hdf5_file_with_data_of_its_own_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "sound.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("group/packed", data=np.arange(1000.0).reshape(10, 100), compression="gzip")
        file["text"] = "abc"
        file["again"] = file["group"]
        file["group/round"] = file["/"]
    with open_hdf5(path) as file:
        np.testing.assert_array_equal(file["group/packed"][:], np.arange(1000.0).reshape(10, 100))


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_hdf5_data_that_stand_elsewhere_are_refused(tmp_path: Path, elsewhere: Path, kind: str) -> None:
    path = tmp_path / "linked.hdf5"
    with h5py.File(path, "w") as file:
        match kind:
            case "external link":
                file["fc2"] = h5py.ExternalLink(str(elsewhere), "/fc2")
            case "soft link":
                file["deep/fc2"] = h5py.SoftLink("/deep/other")
            case "external storage":
                file.create_dataset("fc2", shape=(6,), dtype=float, external=[(str(elsewhere), 0, 48)])
            case _:
                layout = h5py.VirtualLayout((6,), float)
                layout[:] = h5py.VirtualSource(str(elsewhere), "fc2", (6,))
                file.create_virtual_dataset("fc2", layout)
    with pytest.raises(InputError, match="elsewhere|in other files"), open_hdf5(path):
        pass


def test_an_hdf5_file_that_unpacks_to_more_than_the_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("fc3", shape=(10**6, 10**6), dtype=float, chunks=(1000, 1000), compression="gzip")
    assert path.stat().st_size < 10_000
    with pytest.raises(InputError, match="8e\\+03 GB, more than the 8 GB"), open_hdf5(path):
        pass


def test_damage_of_an_hdf5_file_is_one_line(tmp_path: Path, elsewhere: Path) -> None:
    whole = elsewhere.read_bytes()
    for count in (0, 100, len(whole) // 2):
        path = tmp_path / f"cut_{count}.hdf5"
        path.write_bytes(whole[:count])
        with pytest.raises(InputError, match="is damaged"), open_hdf5(path):
            pass
    with pytest.raises(InputError, match="no such file"), open_hdf5(tmp_path / "none.hdf5"):
        pass
