"""The least change of listed force constants that makes them symmetric under permutations and blind to translations.

Least in the Euclidean norm over the stored elements, which are completed to whole blocks of 3 x 3 (x 3) and to all
permutations of their atoms: nothing else becomes different from zero. The average over all permutations is one
orthogonal projection; what remains are the unique elements y (coordinates in ascending order), each standing for
m = 1, 3 or 6 (1 or 2) stored ones. With z = sqrt(m) y the change is |z - z0|, to be least under B z = 0, one row of B
for every pair of coordinates and direction that sums over the atoms of the remaining leg:

    z = z0 - B^T lambda,    lambda the least-squares solution of B^T lambda ~ z0,

found by LSQR (Paige and Saunders, ACM Trans. Math. Softw. 8, 43 (1982)), whose stopping rule is the wanted |B z|.
Site tensors (``SiteThirdOrder``) obey both rules by construction and need none of this. White noise of the elements
is changed by a little less than its own size; a change far above the noise says that the input was truncated.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import lsqr

from ldmd.errors import InputError
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sum_rules import coordinate_keys, leg_sums
from ldmd.force_constants.third import SparseThirdOrder

TOLERANCE = 1e-13
"""Of |B z| / (|B| |z|)."""
PASSES = 3
"""LSQR starts again from its own result until that tolerance is met."""
MAX_ITERATIONS = 10_000


@dataclasses.dataclass(frozen=True)
class Projection:
    """What restoring the symmetries changed, in eV/Angstrom^n for force constants of order n."""

    norm: float
    """Euclidean norm of the change over the stored elements."""
    rms: float
    """Root mean square of the change of an element."""
    largest: float
    """Largest change of an element."""
    relative: float
    """Norm of the change over the norm of the elements: the rms change in units of their rms."""
    per_noise: float | None
    """The rms change over the noise of the elements, where that is known. Just below 1: noise. Above: truncation."""
    elements: int
    """Stored elements after completion."""
    added: int
    """How many of them the list did not have: missing permutations and parts of 3 x 3 (x 3) blocks."""
    residual: float
    """Largest translation sum that is left, relative to the largest element."""
    iterations: int
    """Of LSQR, all passes."""


@dataclasses.dataclass(frozen=True)
class _Unique:
    """The unique elements of a completed list, and where each element of that list is found among them."""

    coordinates: np.ndarray
    """(order, u) in ascending order along the first axis."""
    multiplicity: np.ndarray
    """(u,) how many elements are equal to it by permutation."""
    indices: np.ndarray
    """(order, n) the completed list."""
    source: np.ndarray
    """(n,) unique element of each."""


def project_second(second: SecondOrder, noise: float | None = None) -> tuple[SecondOrder, Projection]:
    """Symmetric and translation-invariant second-order force constants, and the change that took.

    ``noise`` (eV/Angstrom^2) is the standard deviation of the elements' errors, if it is known.

    Raises
    ------
    InputError
        Where the solver misses its tolerance.
    """
    coo = second.matrix.tocoo()
    indices, values, found = _project(np.stack(coo.coords), coo.data, coo.shape[0], noise, "second-order")
    matrix = sp.csr_array((values, (indices[0], indices[1])), shape=coo.shape)
    matrix.sort_indices()
    return SecondOrder(matrix), found


def project_third(third: SparseThirdOrder, noise: float | None = None) -> tuple[SparseThirdOrder, Projection]:
    """The same for a list of third-order force constants; ``noise`` in eV/Angstrom^3."""
    indices, values, found = _project(third.indices, third.values, third.size, noise, "third-order")
    return SparseThirdOrder(third.size, indices, values), found


def _project(
    indices: np.ndarray, values: np.ndarray, size: int, noise: float | None, name: str
) -> tuple[np.ndarray, np.ndarray, Projection]:
    if not values.size:
        raise InputError(f"{name} force constants", "an empty list", "there is nothing to project")
    unique = _unique_elements(indices, size)
    original, present = _on_completed_list(unique, indices, values, size)
    weights = np.sqrt(unique.multiplicity)
    averaged = np.bincount(unique.source, original, len(weights)) / unique.multiplicity
    constraints = _constraints(unique.coordinates, 1.0 / weights, size)
    scaled, iterations, left = _least_change(constraints, averaged * weights)
    if left > 10.0 * TOLERANCE * float(np.linalg.norm(original)):
        fix = f"translation sums of {left:.1e} eV/Angstrom^{len(indices)} are left; check the list"
        raise InputError(f"{name} force constants", f"{iterations} iterations", fix)
    result = (scaled / weights)[unique.source]
    largest = float(np.abs(result).max())
    sums = np.abs(leg_sums(unique.indices, result, size, len(indices) - 1)).max()
    change = result - original
    norm = float(np.linalg.norm(change))
    rms = norm / math.sqrt(change.size)
    found = Projection(
        norm=norm,
        rms=rms,
        largest=float(np.abs(change).max()),
        relative=norm / float(np.linalg.norm(original)) if original.any() else 0.0,
        per_noise=None if noise is None else rms / noise,
        elements=change.size,
        added=int(np.count_nonzero(~present)),
        residual=float(sums) / largest if largest else 0.0,
        iterations=iterations,
    )
    return unique.indices, result, found


def _unique_elements(indices: np.ndarray, size: int) -> _Unique:
    """Complete a list to whole blocks of atoms and to all permutations."""
    order = len(indices)
    atoms = np.sort(indices // 3, axis=0)
    blocks = _decode(np.unique(coordinate_keys(atoms, size)), size, order)
    directions = np.array(list(itertools.product(range(3), repeat=order))).T
    coordinates = np.sort((3 * blocks[:, :, None] + directions[:, None, :]).reshape(order, -1), axis=0)
    coordinates = _decode(np.unique(coordinate_keys(coordinates, size)), size, order)
    source, permuted = [], []
    for permutation in itertools.permutations(range(order)):
        # Of equal coordinates only the arrangement in order: every element once.
        distinct = np.ones(coordinates.shape[1], dtype=bool)
        for first, then in itertools.combinations(range(order), 2):
            if permutation.index(first) > permutation.index(then):
                distinct &= coordinates[first] != coordinates[then]
        source.append(np.flatnonzero(distinct))
        permuted.append(coordinates[list(permutation)][:, distinct])
    where = np.concatenate(source)
    return _Unique(
        coordinates=coordinates,
        multiplicity=np.bincount(where, minlength=coordinates.shape[1]),
        indices=np.concatenate(permuted, axis=1),
        source=where,
    )


def _on_completed_list(
    unique: _Unique, indices: np.ndarray, values: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The given values in the order of the completed list, zero where absent, and which were present."""
    keys = coordinate_keys(unique.indices, size)
    order = np.argsort(keys)
    place = order[np.searchsorted(keys, coordinate_keys(indices, size), sorter=order)]
    return np.bincount(place, values, len(keys)), np.bincount(place, minlength=len(keys)) > 0


def _constraints(coordinates: np.ndarray, factors: np.ndarray, size: int) -> sp.csr_array:
    """One row for each sum over the atoms of a leg that contains a unique element, scaled to unit length."""
    order, count = coordinates.shape
    keys, columns = [], []
    for leg in range(order):
        others = np.delete(coordinates, leg, axis=0)
        # Leaving out either of two equal coordinates leaves the same sum, which has the element once.
        kept = np.ones(count, dtype=bool) if leg == 0 else coordinates[leg] != coordinates[leg - 1]
        keys.append((coordinate_keys(others, size) * 3 + coordinates[leg] % 3)[kept])
        columns.append(np.flatnonzero(kept))
    rows, column = np.unique(np.concatenate(keys), return_inverse=True)[1], np.concatenate(columns)
    data = factors[column]
    lengths = np.sqrt(np.bincount(rows, data**2))
    return sp.csr_array((data / lengths[rows], (rows, column)), shape=(len(lengths), count))


def _least_change(constraints: sp.csr_array, start: np.ndarray) -> tuple[np.ndarray, int, float]:
    """The vector nearest to ``start`` that obeys the constraints, iterations, and the norm of what they leave."""
    transposed = sp.csr_array(constraints.T)
    vector, iterations = start, 0
    for _ in range(PASSES):
        if np.linalg.norm(constraints @ vector) <= TOLERANCE * np.linalg.norm(start):
            break
        solution = lsqr(transposed, vector, atol=0.1 * TOLERANCE, btol=0.0, conlim=0.0, iter_lim=MAX_ITERATIONS)
        vector = vector - transposed @ solution[0]
        iterations += int(solution[2])
    return vector, iterations, float(np.linalg.norm(constraints @ vector))


def _decode(keys: np.ndarray, size: int, order: int) -> np.ndarray:
    """(order, n) coordinates of keys."""
    digits = []
    for _ in range(order):
        keys, digit = np.divmod(keys, size)
        digits.append(digit)
    return np.stack(digits[::-1])
