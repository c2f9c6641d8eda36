"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Before NumPy is imported: the workers share the cores, and threads of each would only get in their way.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import hypothesis
import pytest

from ldmd.caches import cache_folder, keep_compiled

keep_compiled(cache_folder() / "compiled")  # the workers, and the commands that they start, compile the same programs

# The same examples on every machine and in every run; a compilation may take longer than any deadline.
hypothesis.settings.register_profile("ldmd", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("ldmd")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of large reference data that ``LDMD_DATA`` names; without it the test is skipped."""
    folder = os.environ.get("LDMD_DATA")
    if not folder:
        pytest.skip("LDMD_DATA does not name a folder of reference data")
    return Path(folder)
