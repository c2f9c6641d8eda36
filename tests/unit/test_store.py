"""Results come back exactly or not at all; a write is complete or leaves everything as it was."""

from __future__ import annotations

import dataclasses
import errno
import logging
import math
import os
import resource
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.netcdf import UnreadableFile, from_bytes, to_bytes
from ldmd.results import Check, Estimate, quantity
from ldmd.settings import Dynamics
from ldmd.store import Store, load, load_or_none, save, write_atomically


@dataclasses.dataclass(frozen=True)
class Part:
    """A result inside a result; the length of its dimension is its own."""

    values: np.ndarray = quantity(("bin",), "rad/ps", "some numbers")
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Example:
    """One field of every kind."""

    flag: bool
    count: int
    number: float
    name: str
    perhaps: float | None
    pair: tuple[float, float]
    names: tuple[str, ...]
    estimate: Estimate
    parts: tuple[Part, ...]
    matrix: np.ndarray = quantity(("row", "column"), "eV/Angstrom", "a matrix")
    integers: np.ndarray = quantity(("row",), "1", "integers")
    mask: np.ndarray = quantity(("row",), "1", "yes or no")
    row: np.ndarray = quantity(("row",), "K", "a coordinate: it has the name of its dimension")
    scalar: np.ndarray = quantity((), "", "an array without axes")
    declared: float = quantity((), "K", "a number with a unit")


@dataclasses.dataclass(frozen=True)
class Undeclared:
    """An array that says nothing about itself."""

    values: np.ndarray


def example(rows: int = 3, number: float = 0.1) -> Example:
    """Awkward numbers everywhere."""
    check = Check("drift", math.nan, "<=", 1e-300, "eV/atom", "shorten the step; \u00c5 and \n too")
    return Example(
        flag=True,
        count=2**70,
        number=number,
        name="",
        perhaps=None,
        pair=(-0.0, math.inf),
        names=("a", "b.c"),
        estimate=Estimate(1.0, 1 / 3, "W/(m K)", checks=(check,)),
        parts=(Part(np.arange(2.0), "first"), Part(np.zeros(0))),
        matrix=np.asfortranarray(np.linspace(0, 1, 2 * rows).reshape(rows, 2)),
        integers=np.arange(rows, dtype=np.int32),
        mask=np.arange(rows) % 2 == 0,
        row=np.full(rows, np.nan),
        scalar=np.array(2.5, dtype=np.float32),
        declared=1 / 7,
    )


def assert_same(found: object, expected: object) -> None:
    """Equal to the last bit and of the same types, NaN included."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert repr(found) == repr(expected)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_every_kind_of_field_comes_back(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "new" / "folder" / "example.nc"
    save(example(rows), path, {"seed": 1})
    assert_same(load(Example, path), example(rows))


floats = st.floats(width=64)
text = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=40)  # each of them writes and reads a file
@given(
    values=npst.arrays(
        st.sampled_from(["<f8", "<f4", "<i8", "<i4", "<u2", "?"]), npst.array_shapes(max_dims=1, min_side=0)
    ),
    label=text,
    number=floats,
    pair=st.tuples(floats, floats),
    names=st.lists(text).map(tuple),
    count=st.integers(),
    perhaps=st.none() | floats,
)
def test_any_value_survives_the_file(
    values: np.ndarray,
    label: str,
    number: float,
    pair: tuple[float, float],
    names: tuple[str, ...],
    count: int,
    perhaps: float | None,
) -> None:
    original = dataclasses.replace(
        example(),
        parts=(Part(values, label),),
        number=number,
        name=label,
        pair=pair,
        names=names,
        count=count,
        perhaps=perhaps,
    )
    found, provenance = from_bytes(Example, to_bytes(original, {"seed": 3}))
    assert_same(found, original)
    assert provenance == {"seed": 3}


def test_equal_results_give_equal_bytes_at_any_time() -> None:
    # HDF5 stamps what it creates with whole seconds of the clock, unless told not to.
    first, started = to_bytes(example(), {}), time.time()
    time.sleep(math.floor(started) + 1.0 - started)
    assert to_bytes(example(), {}) == first


def test_others_can_read_the_file(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    path = tmp_path / "example.nc"
    save(example(), path, {})
    with xarray.open_dataset(path) as data:
        assert data["matrix"].dims == ("row", "column")
        assert data["matrix"].attrs == {"units": "eV/Angstrom", "description": "a matrix"}
        assert data["mask"].dtype == bool
        assert float(data["declared"]) == 1 / 7
        assert data["parts.0.values"].dims == ("parts.0.bin",)
        np.testing.assert_array_equal(data["matrix"], example().matrix)
        assert data.attrs["number"] == "0.1"
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["integers"], example().integers)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
def test_a_truncated_file_counts_as_absent(tmp_path: Path, keep: float, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "example.nc"
    save(example(), path, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else int(keep)])
    assert load_or_none(Example, path) is None
    assert "truncated or damaged: computing it again" in caplog.text
    with pytest.raises(InputError, match="truncated or damaged; delete it and run again"):
        load(Example, path)


@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_single_wrong_bit_is_noticed(position: int, bit: int) -> None:
    data = bytearray(to_bytes(Part(np.arange(3.0)), {}))
    data[position % len(data)] ^= 1 << bit
    with pytest.raises(UnreadableFile, match="damaged"):
        from_bytes(Part, bytes(data))


def test_a_file_of_another_class_or_version_counts_as_absent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "part.nc"
    save(Part(np.arange(3.0)), path, {})
    assert load_or_none(Example, path) is None
    assert "holds Part, not Example" in caplog.text
    newer = dataclasses.make_dataclass("Part", [("values", "np.ndarray"), ("unit", "str")], frozen=True)
    newer.__module__ = __name__
    assert load_or_none(newer, path) is None
    assert "was written by another version (fields label, unit)" in caplog.text


def test_a_missing_file_is_absent_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load_or_none(Example, tmp_path / "none.nc") is None
    assert not caplog.records
    with pytest.raises(InputError, match=r"none\.nc: No such file or directory; run the comparison first"):
        load(Example, tmp_path / "none.nc")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Undeclared(np.arange(3.0)), "declared with quantity"),
        (Part(np.zeros((2, 2))), "2 axes"),
        (Part(np.array([1j])), "real numbers"),
        (Part(np.array(["a"])), "real numbers"),
        (dataclasses.replace(example(), integers=np.arange(7)), "7 along row, which is 3 long elsewhere"),
        (dataclasses.replace(example(), names=["a"]), "names: a list cannot be saved"),
    ],
)
def test_what_has_no_place_in_a_file_is_refused(result: object, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        to_bytes(result, {})


def full_disk(*_: object) -> None:
    """What the operating system says when a disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed(*_: object) -> None:
    """The user's Ctrl-C at the worst moment."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("fault", "raised"), [(full_disk, InputError), (killed, KeyboardInterrupt)])
def test_a_write_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: object, raised: type[BaseException]
) -> None:
    path = tmp_path / "example.nc"
    save(example(), path, {})
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fault)
        with pytest.raises(raised) as caught:
            save(example(number=0.2), path, {})
    if raised is InputError:
        assert str(caught.value).startswith(f"results = {path}: cannot be written (No space left on device)")
        assert "\n" not in str(caught.value)
    assert_same(load(Example, path), example())
    assert [file.name for file in tmp_path.iterdir()] == ["example.nc"]


def test_the_operating_system_ends_a_write_halfway(tmp_path: Path) -> None:
    path = tmp_path / "example.nc"
    save(example(), path, {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\)"):
            save(example(number=0.2), path, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_same(load(Example, path), example())
    assert [file.name for file in tmp_path.iterdir()] == ["example.nc"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be written \((File exists|Not a directory)\)"):
        write_atomically(tmp_path / "file" / "example.nc", b"")


class TestStore:
    """Results under the digest of what made them."""

    parts: dict[str, object] = {"settings": {"seed": 1, "width": 0.6}, "structure": b"atoms", "version": 1}

    def test_gives_back_what_was_put_under_the_same_parts(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        assert store.get(Example, "modes", digest(self.parts)) is None
        key = store.put(example(), "modes", self.parts, {"host": "here"})
        assert key == digest(self.parts)
        found = store.get(Example, "modes", key)
        assert found is not None
        assert_same(found, example())
        assert store.get(Example, "linewidths", key) is None

    def test_keeps_the_results_of_different_parts_apart(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        keys = [store.put(example(number=x), "modes", self.parts | {"x": x}, {}) for x in (0.25, 0.5)]
        found = [store.get(Example, "modes", key) for key in keys]
        assert [result.number for result in found if result] == [0.25, 0.5]

    def test_does_not_trust_the_name_of_a_file(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        store = Store(tmp_path)
        key = store.put(example(), "modes", self.parts, {})
        other = digest("something else")
        os.rename(store.path("modes", key), store.path("modes", other))
        assert store.get(Example, "modes", other) is None
        assert "belongs to another digest" in caplog.text

    def test_tells_which_part_changed(self, tmp_path: Path) -> None:
        store = Store(tmp_path)
        assert store.changed("modes", self.parts) is None
        store.put(example(), "modes", self.parts, {})
        assert store.changed("modes", self.parts) == ()
        now = {"settings": {"seed": 1, "width": 0.7}, "structure": b"other atoms", "version": 1, "new": None}
        assert store.changed("modes", now) == ("new", "settings.width", "structure")

    def test_a_damaged_manifest_is_no_obstacle(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        store = Store(tmp_path)
        key = store.put(example(), "modes", self.parts, {})
        (tmp_path / "modes" / "manifest.json").write_text("{")
        assert store.changed("modes", self.parts) is None
        assert "cannot be read" in caplog.text
        assert store.get(Example, "modes", key) is not None

    def test_an_earlier_result_survives_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store(tmp_path)
        key = store.put(example(), "modes", self.parts, {})
        before = {file: file.read_bytes() for file in (tmp_path / "modes").iterdir()}
        monkeypatch.setattr(os, "fsync", full_disk)
        with pytest.raises(InputError):
            store.put(example(), "modes", self.parts | {"version": 2}, {})
        assert {file: file.read_bytes() for file in (tmp_path / "modes").iterdir()} == before
        assert store.get(Example, "modes", key) is not None


class TestDigest:
    """Different things have different digests, equal things the same."""

    def test_is_known(self) -> None:
        # Written down once: a change here would make every stored result worthless without saying why.
        parts = ("text", 1, 0.1, True, None, b"bytes", [1.0], {"b": 1, "a": 2}, np.arange(3.0))
        assert digest(*parts) == "e466c10db4e3ad8d9b1358b7df3641b0a77212a4f01dda0920e5f549328c6290"

    def test_tells_like_things_apart(self) -> None:
        array = np.arange(4.0)
        things = [
            *(1, 1.0, True, "1", b"1", [1], {"a": 1}, None, 0.1, np.nextafter(0.1, 1.0)),
            *(array, array.reshape(2, 2), array.astype(np.float32), array.astype(int), array.tobytes()),
            *([1, [2]], [[1], 2], [], {}, "", 0.0, -0.0),
        ]
        assert len({digest(thing) for thing in things}) == len(things)
        assert digest(1, 2) != digest((1, 2))

    def test_does_not_see_what_makes_no_difference(self) -> None:
        array = np.arange(6.0).reshape(2, 3)
        assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        assert digest((1, 2)) == digest([1, 2])
        assert digest(array) == digest(np.asfortranarray(array)) == digest(array.astype(">f8"))
        assert digest(np.float64(0.5), np.int64(2)) == digest(0.5, 2)
        assert digest(Dynamics()) == digest(Dynamics().model_dump())
        assert digest(Dynamics()) != digest(Dynamics(seed=2))

    @pytest.mark.parametrize("part", [Path("case"), {1: 2}, {"$bytes": ""}, {1}, 1j, np.array([None])])
    def test_refuses_what_has_no_canonical_form(self, part: object) -> None:
        with pytest.raises(TypeError):
            digest(part)

    @pytest.mark.parametrize("part", [math.nan, [math.inf], {"a": -math.inf}])
    def test_refuses_numbers_that_are_none(self, part: object) -> None:
        with pytest.raises(ValueError, match="not JSON compliant"):
            digest(part)


def test_the_log_is_quiet_about_sound_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="ldmd")
    save(example(), tmp_path / "example.nc", {})
    load(Example, tmp_path / "example.nc")
    assert not caplog.records
