"""What is kept on this machine for all cases: downloaded files, and compiled code.

Compiling derivatives of a potential takes longer than much of what they are used for, and every command and every
replica is a process of its own. JAX keeps compiled code by the digest of the program and its own version; the folder
here is one for each kind of processor, for code made for one need not run on another. Numbers are the same: it is the
same code. How it is kept, and what becomes of damaged code, is the matter of ``ldmd.compiled``.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

OURS = "LDMD_COMPILED"
"""Names the folder where it is one of this package's choice, for processes that are started later."""
LARGEST = 2**30
"""Bytes; what was not used for longest goes first."""
WORTHWHILE = 0.3
"""s of compiling, below which nothing is kept."""
ERRORS_ONLY = "3"
"""Log level of XLA. Code made by itself it calls made for another machine, because of two of its own preferences that
are no features of a processor (jax 0.10.1); errors that matter are raised."""


def cache_folder() -> Path:
    """Where all of it is: LDMD_CACHE, else the platform's folder for caches."""
    chosen = os.environ.get("LDMD_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("ldmd"))


def keep_compiled(folder: Path) -> None:
    """Let JAX, in this process and those it starts, keep what it compiles in a folder; call it before JAX is imported.

    What the environment says already stands. Nothing is written before something has been compiled.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ[OURS] = str(folder / _processor())
    for name, value in (
        ("JAX_COMPILATION_CACHE_MAX_SIZE", str(LARGEST)),
        ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(WORTHWHILE)),
        ("TF_CPP_MIN_LOG_LEVEL", ERRORS_ONLY),
    ):
        os.environ.setdefault(name, value)


def _processor() -> str:
    """A name for what this processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    able = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    known = "\n".join(able) or platform.processor() or platform.machine()
    return hashlib.sha256(known.encode()).hexdigest()[:12]
