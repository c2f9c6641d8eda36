"""What is kept on a machine: where, and that kept code gives the numbers of code compiled anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldmd.caches import cache_folder, keep_compiled

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
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TF_CPP"))}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, env={**mine, **more}, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_kept_code_gives_the_same_bits_without_a_word(tmp_path: Path) -> None:
    everything = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    first = run(tmp_path, **everything)
    kept = sorted(path.name for path in tmp_path.glob("*/*-cache"))
    assert kept
    assert run(tmp_path, **everything) == first
    assert sorted(path.name for path in tmp_path.glob("*/*-cache")) == kept
    assert first[1] == ""


def test_what_the_environment_says_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_MAX_SIZE", raising=False)
    keep_compiled(tmp_path)
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]) > 0


def test_a_folder_that_cannot_be_made_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    (tmp_path / "file").write_text("")
    keep_compiled(tmp_path / "file" / "folder")
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LDMD_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LDMD_CACHE")
    assert cache_folder().name == "ldmd"
