"""Linewidths under a reference model, as the modes of another model see them.

Two models of one structure have different modes, of which none may be the counterpart of a given one: near-degenerate
modes mix. What can be compared is the linewidth in the subspace of a mode,

    gamma_ref(m) = sum_k |e_m . e_k|^2 gamma_k / sum_k |e_m . e_k|^2

over the modes k of the reference. For two modes that only mix it is their mean in the proportions of the mixture. It
means nothing where a mode is spread over the whole spectrum of the reference: half of it, at least, must be within
``WINDOW`` of one frequency.
"""

from __future__ import annotations

import numpy as np

from ldmd.errors import InputError
from ldmd.lattice.modes import Modes

WINDOW = 0.2
"""Relative, to either side of the median frequency of the counterparts of a mode."""
HALF = 0.5
"""Of a mode that must be found there."""


def reference_linewidths(modes: Modes, chosen: np.ndarray, reference: Modes, gamma: np.ndarray) -> np.ndarray:
    """HWHM in rad/ps (chosen,) under the reference, with linewidths ``gamma`` (3N,), of modes (indices among all).

    NaN where a mode has no counterpart.

    Raises
    ------
    InputError
        Where the two have not the same atoms.
    """
    if not np.allclose(modes.masses, reference.masses):
        fix = "the reference must have the same atoms in the same order, with the same masses"
        raise InputError("reference", f"{len(reference.masses)} atoms", fix)
    rows = np.flatnonzero(reference.vibrating)
    weights = (modes.eigenvectors[:, chosen].T @ reference.eigenvectors[:, rows]) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    frequencies = reference.frequencies[rows]
    middle = np.argmax(np.cumsum(weights, axis=1) >= 0.5, axis=1)
    near = np.abs(frequencies - frequencies[middle, None]) <= WINDOW * frequencies[middle, None]
    found = np.sum(weights * near, axis=1)
    return np.asarray(np.where(found >= HALF, weights @ gamma[rows], np.nan))
