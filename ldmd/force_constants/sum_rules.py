"""Sum rules that exact force constants obey, and by how much the ones in use break them."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import ThirdOrder


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Violations of the sum rules, each relative to the largest element of its order."""

    second_translation: float
    second_permutation: float
    third_translation: float
    third_permutation: float


def residuals(second: SecondOrder, third: ThirdOrder) -> Residuals:
    """All of them; the third order costs one contraction per coordinate."""
    two, three = second_order_residuals(second), third_order_residuals(third)
    return Residuals(two["translation"], two["permutation"], three["translation"], three["permutation"])


def second_order_residuals(second: SecondOrder) -> dict[str, float]:
    """Largest violation of translation invariance and of permutation symmetry, relative to the largest element."""
    matrix = second.matrix
    largest = float(np.abs(matrix.data).max())
    shifts = np.tile(np.eye(3), (second.atoms, 1))
    translation = float(np.abs(matrix @ shifts).max())
    permutation = float(np.abs((matrix - matrix.T).tocoo().data).max(initial=0.0))
    return {"translation": translation / largest, "permutation": permutation / largest}


def third_order_residuals(third: ThirdOrder) -> dict[str, float]:
    """The same for the third order, over every element, relative to the largest one.

    Translation is the largest sum_k Phi_ijk over all (i, j) and directions of k; permutation compares Phi_ijk with
    Phi_jik and Phi_ikj, which together generate all six orders. An element absent from the list counts as zero.
    """
    indices, values = third.elements()
    order, size = np.argsort(_keys(indices, third.size)), third.size
    keys, sorted_values = _keys(indices, size)[order], values[order]
    largest = float(np.abs(values).max())
    worst = 0.0
    for permuted in (indices[[1, 0, 2]], indices[[0, 2, 1]]):
        wanted = _keys(permuted, size)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        partner = np.where(keys[place] == wanted, sorted_values[place], 0.0)
        worst = max(worst, float(np.abs(values - partner).max()))
    _, legs = np.unique(_keys(np.stack([indices[0], indices[1], indices[2] % 3]), size), return_inverse=True)
    translation = float(np.abs(np.bincount(legs, weights=values)).max())
    return {"translation": translation / largest, "permutation": worst / largest}


def _keys(indices: np.ndarray, size: int) -> np.ndarray:
    """One integer per element of a (3, n) list of coordinates below ``size``."""
    return (indices[0].astype(np.int64) * size + indices[1]) * size + indices[2]
