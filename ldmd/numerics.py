"""The global switches of the project in JAX, and the refusal of JAX builds that compute wrong numbers.

Importing this module turns float64 on and lets ``ldmd.compiled`` keep compiled code. ``require_sound_jax()`` runs a
self-test of a few milliseconds: jaxlib 0.10.2 miscompiles small batched matrix-vector products on the CPU (jax-ml/jax
issue 39103), silently, from row 16385 on in float64.
"""

from __future__ import annotations

import functools
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

from ldmd.compiled import use_ours
from ldmd.errors import InputError

use_ours()
jax.config.update("jax_enable_x64", True)

FIX = "this JAX build computes wrong numbers; run: python -m pip install 'jax==0.10.1' 'jaxlib==0.10.1'"
ROWS = 20_000


@jax.jit
def _row_norms(matrix: jax.Array, rows: jax.Array) -> jax.Array:
    """Squared norm of ``matrix @ row`` for every row, in the form that the broken build gets wrong."""
    return jax.vmap(lambda row: jnp.sum((matrix @ row) ** 2))(rows)


def row_norm_error() -> float:
    """Largest relative error of a batched 3x3 product against NumPy; round-off on a sound build."""
    matrix = np.array([[1.0, 0.3, -0.2], [0.1, 1.5, 0.4], [-0.6, 0.2, 0.9]])
    rows = np.linspace(-1.0, 1.0, 3 * ROWS).reshape(ROWS, 3)
    expected = np.sum((rows @ matrix.T) ** 2, axis=1)
    found = np.asarray(_row_norms(jnp.asarray(matrix), jnp.asarray(rows)))
    return float(np.max(np.abs(found - expected) / expected))


@functools.cache
def require_sound_jax() -> None:
    """Refuse a JAX that computes wrong numbers, by measurement and not by version number.

    Raises
    ------
    InputError
        With the command that installs a sound version.
    """
    error = row_norm_error()
    if not error < 1e-12:
        raise InputError("jaxlib", f"{version('jaxlib')} (self-test error {error:.1e})", FIX)
