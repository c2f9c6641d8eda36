"""What is kept on a machine: where, and that kept code gives the numbers of code compiled anew."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ldmd.caches import cache_folder, keep_compiled
from ldmd.compiled import Compiled
from ldmd.seal import LENGTH, unsealed

PROGRAM = """
import sys
from pathlib import Path
from ldmd.caches import keep_compiled
keep_compiled(Path(sys.argv[1]))
import jax, jax.numpy as jnp
import ldmd.numerics
work = jax.jit(jax.hessian(lambda x: jnp.sum(jnp.exp(jnp.sin(x) * x[::-1]))))
sys.stdout.write(work(jnp.linspace(0.1, 1.3, 7)).tobytes().hex())
"""


def run(folder: Path, **more: str) -> tuple[str, str]:
    """Output and messages of the program in a process whose environment says nothing of what JAX keeps."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TF_CPP", "LDMD_COMP"))}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    keep_all = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run(command, env={**mine, **keep_all, **more}, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of code that is kept, and the numbers that it gave."""
    folder = tmp_path_factory.mktemp("compiled")
    numbers, messages = run(folder)
    assert messages == ""
    assert entries(folder)
    return folder, numbers


def entries(folder: Path) -> dict[str, bytes]:
    """What is kept in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*/*")) if path.is_file()}


def test_kept_code_gives_the_same_bits_without_a_word(compiled: tuple[Path, str]) -> None:
    folder, numbers = compiled
    before = {path: path.stat().st_ctime_ns for path in folder.glob("*/*")}
    kept = entries(folder)
    assert all(name.endswith(".compiled") for name in kept), kept.keys()
    assert run(folder) == (numbers, "")
    assert entries(folder) == kept
    assert before.keys() == {path for path in folder.glob("*/*")}


@pytest.mark.parametrize("spoil", ["flip", "truncate", "empty"])
def test_damaged_code_is_compiled_anew(tmp_path: Path, spoil: str) -> None:
    numbers, _ = run(tmp_path)
    before = entries(tmp_path)
    for path in tmp_path.glob("*/*.compiled"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes({"flip": data, "truncate": data[: len(data) // 3], "empty": b""}[spoil])
    found, messages = run(tmp_path)
    assert (found, messages) == (numbers, "")
    after = entries(tmp_path)
    assert after.keys() == before.keys()
    assert all(unsealed(data) is not None for data in after.values())
    assert run(tmp_path) == (numbers, "")


def test_a_folder_that_is_a_file_is_told_in_one_line(compiled: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found, messages = run(tmp_path / "file")
    assert found == compiled[1]
    assert messages.count("\n") == 1
    assert "compiled code is not kept in" in messages and "(Not a directory)" in messages
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_full_disk_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")
    kept = Compiled(tmp_path / "code")
    kept.put("one", b"1" * 100)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        kept.put("two", b"2" * 100)
        kept.put("three", b"3" * 100)
    assert kept.get("two") is None
    (message,) = caplog.messages
    assert "(No space left on device): everything is compiled anew" in message
    assert os.environ["JAX_ENABLE_COMPILATION_CACHE"] == "false"
    assert [path.name for path in (tmp_path / "code").iterdir()] == ["one.compiled"]
    assert Compiled(tmp_path / "code").get("one") == b"1" * 100


def test_a_folder_that_may_only_be_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Compiled(tmp_path).put("one", b"1")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", refused)
    assert Compiled(tmp_path).get("one") == b"1"
    assert not caplog.messages


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    kept = Compiled(tmp_path, largest=3 * (100 + LENGTH) + 50)
    for age, name in ((40, "a"), (30, "b"), (20, "c")):
        kept.put(name, name.encode() * 100)
        os.utime(tmp_path / f"{name}.compiled", (time.time() - age,) * 2)
    assert kept.get("a") == b"a" * 100
    (tmp_path / ".old.1.tmp").write_bytes(b"left by a killed process")
    os.utime(tmp_path / ".old.1.tmp", (0, 0))
    kept.put("d", b"d" * 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.compiled", "c.compiled", "d.compiled"]
    kept.put("too large", b"e" * 1000)
    assert kept.get("too large") is None


def test_what_the_environment_says_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_MAX_SIZE", raising=False)
    monkeypatch.setenv("LDMD_COMPILED", "here")
    keep_compiled(tmp_path)
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]) > 0


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LDMD_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LDMD_CACHE")
    assert cache_folder().name == "ldmd"
