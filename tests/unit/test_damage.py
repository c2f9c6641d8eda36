"""What is kept on disk is sound or counts as absent; nothing half-written stays, and nothing is written elsewhere."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmd.checkpoint import Checkpoint
from ldmd.errors import InputError
from ldmd.results import Estimate
from ldmd.seal import sealed, unsealed
from ldmd.store import Store, load_or_none, remove_orphans, save, write_atomically

RESULT = Estimate(1.0, 0.25, "W/(m K)", effective_samples=7.0)
PARTS: dict[str, object] = {"settings": {"seed": 1}, "version": 1}


def gone() -> int:
    """The number of a process that has ended."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    return int(done.stdout)


def leftover(folder: Path, name: str, process: int, age: float) -> Path:
    """A file as a process would leave it that was killed while it wrote one of this name."""
    path = folder / f".{name}.{process}.tmp"
    path.write_bytes(b"half of")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    process = gone()
    old = leftover(tmp_path, "a.nc", process, age=120.0)
    left = [
        leftover(tmp_path, "b.nc", process, age=120.0),  # another file's
        leftover(tmp_path, "a.nc", os.getppid(), age=3600.0),  # its process lives
        leftover(tmp_path, "a.nc", process + 1, age=0.0),  # just written, by another machine perhaps
        tmp_path / ".a.nc.tmp",
        tmp_path / "a.nc.1.tmp",
    ]
    for path in left[-2:]:
        path.write_bytes(b"of another program")
    write_atomically(tmp_path / "a.nc", b"whole")
    assert not old.exists()
    assert all(path.exists() for path in left)
    leftover(tmp_path, "a.nc", os.getppid(), age=2 * 86400.0)  # so old that its number is another process's by now
    remove_orphans(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a.nc", *(path.name for path in left[2:])}


def test_storing_a_result_cleans_its_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "modes").mkdir()
    old = leftover(tmp_path / "modes", "0123456789abcdef.checkpoint.npz", gone(), age=120.0)
    store.put(RESULT, "modes", PARTS, {})
    assert not old.exists()
    assert len(list((tmp_path / "modes").iterdir())) == 2


def test_a_write_goes_through_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "result.nc").symlink_to(outside)
    (folder / f".result.nc.{os.getpid()}.tmp").symlink_to(outside)
    write_atomically(folder / "result.nc", b"new")
    assert outside.read_text() == "precious"
    assert (folder / "result.nc").read_bytes() == b"new"
    assert not (folder / "result.nc").is_symlink()
    assert [path.name for path in folder.iterdir()] == ["result.nc"]


@pytest.mark.parametrize("link", [".ldmd", ".ldmd/modes"])
def test_a_case_whose_results_would_go_elsewhere_is_refused(tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "case" / link).parent.mkdir(parents=True)
    (tmp_path / "case" / link).symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="is a link that leads out of the case folder"):
        Store(tmp_path / "case" / ".ldmd")


def test_a_pipe_in_place_of_a_result_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.nc")
    assert load_or_none(Estimate, tmp_path / "result.nc") is None
    os.mkfifo(tmp_path / "checkpoint.npz")
    assert Checkpoint(tmp_path / "checkpoint.npz", "key").load() is None
    save(RESULT, tmp_path / "result.nc", {})
    assert load_or_none(Estimate, tmp_path / "result.nc") == RESULT


@pytest.mark.parametrize("text", ["", "[]", '{"parts": 3}', "[" * 100_000, '{"parts": [1]}', "\x00", "null"])
def test_no_manifest_is_an_obstacle(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    store.put(RESULT, "modes", PARTS, {})
    (tmp_path / "modes" / "manifest.json").write_text(text)
    assert store.changed("modes", PARTS) is None
    (tmp_path / "modes" / "manifest.json").write_bytes(b"\xff\xfe")
    assert store.changed("modes", PARTS) is None
    store.put(RESULT, "modes", PARTS, {})
    assert json.loads((tmp_path / "modes" / "manifest.json").read_text())["stage"] == "modes"


ARRAYS = {"positions": np.linspace(0.0, 1.0, 12).reshape(4, 3), "done": np.array(7)}


def checkpoint_bytes(folder: Path) -> tuple[Checkpoint, bytes]:
    """A checkpoint and what its file holds."""
    checkpoint = Checkpoint(folder / "work.checkpoint.npz", "the key of the work")
    checkpoint.save(ARRAYS)
    return checkpoint, checkpoint.path.read_bytes()


@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_wrong_bit_of_a_checkpoint_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    checkpoint, data = checkpoint_bytes(folder)
    damaged = bytearray(data)
    damaged[position % len(data)] ^= 1 << bit
    checkpoint.path.write_bytes(damaged)
    assert checkpoint.load() is None


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1, -72])
def test_a_truncated_checkpoint_is_noticed(tmp_path: Path, keep: float, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint, data = checkpoint_bytes(tmp_path)
    checkpoint.path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    assert checkpoint.load() is None
    assert caplog.messages == [f"{checkpoint.path} is truncated or damaged: starting from the beginning"]


def test_a_sound_checkpoint_comes_back_and_belongs_to_its_work(tmp_path: Path) -> None:
    checkpoint, _ = checkpoint_bytes(tmp_path)
    found = checkpoint.load()
    assert found is not None and found.keys() == ARRAYS.keys()
    np.testing.assert_array_equal(found["positions"], ARRAYS["positions"])
    assert Checkpoint(checkpoint.path, "another key").load() is None


@given(contents=st.binary(max_size=100), position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_seal_holds(contents: bytes, position: int, bit: int) -> None:
    data = bytearray(sealed(contents))
    assert unsealed(bytes(data)) == contents
    data[position % len(data)] ^= 1 << bit
    assert unsealed(bytes(data)) is None
    assert unsealed(contents) is None


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_every_reason_not_to_write_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    write_atomically(tmp_path / "file", b"before")

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if call == "open":
            patch.setattr("builtins.open", fails)
        else:
            patch.setattr(os, call, fails)
        with pytest.raises(InputError) as caught:
            write_atomically(tmp_path / "file", b"after")
    assert os.strerror(number) in str(caught.value) and str(caught.value).isprintable()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"before")]


def test_where_nothing_can_be_written_what_is_not_there_is_not_called_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a read-only disk, removing a file that does not exist fails, too."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    there = tmp_path / "there"
    there.write_bytes(b"")
    monkeypatch.setattr(os, "unlink", refused)
    Checkpoint(tmp_path / "none.npz", "key").remove()
    assert not caplog.messages
    Checkpoint(there, "key").remove()
    assert caplog.messages == [f"{there} is left over (Read-only file system)"]
