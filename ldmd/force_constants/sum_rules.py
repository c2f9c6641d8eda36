"""Sum rules that exact force constants obey, and by how much the ones in use break them.

With coordinates ia, jm, kn (atom, direction), the gradient g = -F, and r_i relative to atom j by the minimum image:

    permutation  Phi_ia,jm = Phi_jm,ia, and Phi_ia,jm,kn the same in all six orders;
    translation  sum_i Phi_ia,jm = 0 and sum_i Phi_ia,jm,kn = 0, over any of the atoms;
    rotation     sum_i (Phi_ia,jm r_ib - Phi_ib,jm r_ia) = d_am g_jb - d_bm g_ja,
                 sum_i (Phi_ia,jm,kn r_ib - Phi_ib,jm,kn r_ia)
                     = d_an Phi_kb,jm - d_bn Phi_ka,jm + d_am Phi_jb,kn - d_bm Phi_ja,kn

(Born and Huang, Dynamical Theory of Crystal Lattices, section 23; the last follows from one more derivative). With
the generator G_ab = e_b e_a^T - e_a e_b^T on every atom the right-hand side is the commutator [Phi2, G_ab]: a turned
crystal has turned force constants. Its sign is that of Phi3, so the rule also tells energies from forces. Rotations
hold in a periodic cell only while no coupled pair of atoms is further apart than half the shortest lattice vector.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import scipy.sparse as sp

from ldmd.errors import InputError
from ldmd.force_constants.images import nearest_images, shortest_translation
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import ThirdOrder

NEGLIGIBLE = 1e-6
"""Relative to the largest element: smaller ones do not count for the reach, for they may be noise."""
PLANES = ((1, 2), (2, 0), (0, 1))
"""The rotations: a and b."""


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Violations of the sum rules, each relative to the largest element of its order."""

    second_translation: float
    second_permutation: float
    third_translation: float
    third_permutation: float


@dataclasses.dataclass(frozen=True)
class Violation:
    """By how much one sum rule is broken: its left minus its right-hand side, over all places where it applies."""

    rms: float
    """eV/Angstrom^n of the order n; of the order n - 1 for rotations."""
    largest: float
    """The same unit."""
    relative: float
    """Root of the sum of squares over that of all terms of the rule: 1 for independent random elements."""
    noise: float
    """eV/Angstrom^n: the standard deviation of independent errors of the elements that would leave this violation."""


@dataclasses.dataclass(frozen=True)
class SumRules:
    """Violations of translation (one per leg), permutation and rotation; rotation only where positions are known."""

    second_translation: tuple[Violation, ...]
    second_permutation: Violation
    second_rotation: Violation | None = None
    third_translation: tuple[Violation, ...] = ()
    third_permutation: Violation | None = None
    third_rotation: Violation | None = None
    second_reach: float | None = None
    """Angstrom, the largest distance of atoms that an element above ``NEGLIGIBLE`` couples (minimum image)."""
    third_reach: float | None = None
    half_translation: float | None = None
    """Angstrom, half the shortest lattice vector."""

    @property
    def second_rotation_applies(self) -> bool:
        """Whether the minimum image is that of every coupled pair, so that the rule holds in this cell."""
        return self._fits(self.second_reach)

    @property
    def third_rotation_applies(self) -> bool:
        """The same for the third order."""
        return self._fits(self.third_reach)

    def _fits(self, reach: float | None) -> bool:
        return reach is not None and self.half_translation is not None and reach < self.half_translation


def residuals(second: SecondOrder, third: ThirdOrder) -> Residuals:
    """All of them; the third order costs one contraction per coordinate, or a few where it is too wide to list."""
    two = second_order_residuals(second)
    three = third_order_residuals(third) if third.listable else sampled_third_order_residuals(third)
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
    largest = float(np.abs(values).max())
    worst = float(np.abs(permutation_differences(indices, values, third.size)).max(initial=0.0))
    translation = float(np.abs(leg_sums(indices, values, third.size, 2)).max())
    return {"translation": translation / largest, "permutation": worst / largest}


def sampled_third_order_residuals(third: ThirdOrder, samples: int = 3, seed: int = 0) -> dict[str, float]:
    """The same from contractions with random directions u, v, w, relative to the largest element of a contraction.

    Translation is the largest element of Phi u s for the three rigid shifts s of unit steps; permutation compares
    Phi u v w with Phi w u v and Phi v w u, relative to the sum of the sizes of its terms.
    """
    generator = np.random.default_rng(seed)
    shifts = np.tile(np.eye(3), (third.size // 3, 1))
    translation, permutation = 0.0, 0.0
    for _ in range(samples):
        directions = generator.normal(size=(3, third.size)) / np.sqrt(third.size)
        along = [third.along(direction) for direction in directions]
        largest = float(abs(along[0]).max())
        translation = max(translation, float(np.abs(along[0] @ shifts).max()) / largest)
        values = [along[k - 2] @ directions[k - 1] @ directions[k] for k in range(3)]
        terms = float(abs(along[0]).sum()) / third.size
        permutation = max(permutation, float(np.ptp(values)) / terms)
    return {"translation": translation, "permutation": permutation}


def sum_rules(
    second: SecondOrder,
    third: ThirdOrder | None = None,
    positions: np.ndarray | None = None,
    cell: np.ndarray | None = None,
    forces: np.ndarray | None = None,
) -> SumRules:
    """How well force constants obey their sum rules.

    Rotations need positions (N, 3) and cell (3, 3), Angstrom; with residual forces (N, 3), eV/Angstrom, the rule of
    the second order allows for them.

    Raises
    ------
    InputError
        Where the number of atoms differs.
    """
    coo = second.matrix.tocoo()
    size = coo.shape[0]
    pairs, values = np.stack(coo.coords).astype(np.int64), coo.data
    found = SumRules(
        second_translation=tuple(_translation(pairs, values, size, leg) for leg in range(2)),
        second_permutation=_permutation(pairs, values, size),
    )
    elements = None
    if third is not None:
        _require(third.size == size, "third-order force constants", third.size // 3, size // 3)
        elements = third.elements()
        found = dataclasses.replace(
            found,
            third_translation=tuple(_translation(*elements, size, leg) for leg in range(3)),
            third_permutation=_permutation(*elements, size),
        )
    if positions is None or cell is None:
        return found
    _require(len(positions) == size // 3, "positions", len(positions), size // 3)
    gradient = np.zeros(size) if forces is None else -np.asarray(forces, dtype=float).ravel()
    _require(len(gradient) == size, "forces", len(gradient) // 3, size // 3)
    geometry = _Separations(positions, cell, [pairs, *([] if elements is None else [elements[0]])])
    return dataclasses.replace(
        found,
        second_rotation=_second_rotation(pairs, values, gradient, geometry),
        third_rotation=None if elements is None else _third_rotation(*elements, second.matrix, geometry),
        second_reach=geometry.reach(pairs, values),
        third_reach=None if elements is None else geometry.reach(*elements),
        half_translation=0.5 * shortest_translation(cell),
    )


def _require(fits: bool, field: str, atoms: int, wanted: int) -> None:
    if not fits:
        raise InputError(field, f"{atoms} atoms", f"the second-order force constants have {wanted}")


def _translation(indices: np.ndarray, values: np.ndarray, size: int, leg: int) -> Violation:
    return _violation(leg_sums(indices, values, size, leg), float(values @ values), float(len(values)))


def leg_sums(indices: np.ndarray, values: np.ndarray, size: int, leg: int) -> np.ndarray:
    """Sums of an (order, n) list over the atoms of one leg: for each of its directions and place of the other legs."""
    collapsed = indices.copy()
    collapsed[leg] %= 3
    _, place = np.unique(coordinate_keys(collapsed, size), return_inverse=True)
    return np.bincount(place, weights=values)


def _permutation(indices: np.ndarray, values: np.ndarray, size: int) -> Violation:
    differences = permutation_differences(indices, values, size)
    terms = 2.0 * float(values @ values) * (len(indices) - 1)
    return _violation(differences, terms, 2.0 * len(differences))


def permutation_differences(indices: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Each element minus those with two neighbouring coordinates exchanged, unless these are the same element."""
    keys = coordinate_keys(indices, size)
    order = np.argsort(keys)
    keys, sorted_values = keys[order], values[order]
    found = []
    for leg in range(len(indices) - 1):
        permuted = indices.copy()
        permuted[[leg, leg + 1]] = permuted[[leg + 1, leg]]
        wanted = coordinate_keys(permuted, size)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        partner = np.where(keys[place] == wanted, sorted_values[place], 0.0)
        found.append((values - partner)[indices[leg] != indices[leg + 1]])
    return np.concatenate(found)


def _violation(residual: np.ndarray, terms: float, weights: float) -> Violation:
    """From the residuals, and the sums of squares of all terms and of the factors in front of the elements."""
    norm = float(np.linalg.norm(residual))
    return Violation(
        rms=norm / math.sqrt(max(residual.size, 1)),
        largest=float(np.abs(residual).max(initial=0.0)),
        relative=norm / math.sqrt(terms) if terms else 0.0,
        noise=norm / math.sqrt(weights) if weights else 0.0,
    )


class _Separations:
    """Minimum image of r_i - r_j for the atoms i and j of the first two coordinates of elements."""

    def __init__(self, positions: np.ndarray, cell: np.ndarray, lists: list[np.ndarray]) -> None:
        self._atoms = len(positions)
        codes = [self._codes(indices, left, right) for indices in lists for left, right in self._legs(indices)]
        self._pairs = np.unique(np.concatenate([np.unique(code) for code in codes]))
        i, j = np.divmod(self._pairs, self._atoms)
        images = nearest_images(positions[i] - positions[j], cell)
        self._mean, self._lengths = images.mean(), images.lengths()

    def of(self, indices: np.ndarray) -> np.ndarray:
        """(n, 3) Angstrom: the mean over images that tie."""
        return np.asarray(self._mean[np.searchsorted(self._pairs, self._codes(indices, 0, 1))])

    def reach(self, indices: np.ndarray, values: np.ndarray) -> float:
        """Largest distance of any two atoms of an element that is not negligible, Angstrom."""
        kept = indices[:, np.abs(values) > NEGLIGIBLE * np.abs(values).max(initial=0.0)]
        places = [np.searchsorted(self._pairs, self._codes(kept, *legs)) for legs in self._legs(kept)]
        return max(float(self._lengths[place].max(initial=0.0)) for place in places)

    def _codes(self, indices: np.ndarray, left: int, right: int) -> np.ndarray:
        return (indices[left] // 3).astype(np.int64) * self._atoms + indices[right] // 3

    def _legs(self, indices: np.ndarray) -> tuple[tuple[int, int], ...]:
        return ((0, 1),) if len(indices) == 2 else ((0, 1), (0, 2), (1, 2))


def _second_rotation(pairs: np.ndarray, values: np.ndarray, gradient: np.ndarray, geometry: _Separations) -> Violation:
    separation, size = geometry.of(pairs), len(gradient)
    moments = _moments(pairs[0] % 3, values, separation, pairs[1], size)
    residual = []
    for a, b in PLANES:
        right = np.zeros((size // 3, 3))
        right[:, a], right[:, b] = gradient[b::3], -gradient[a::3]
        residual.append(moments[a, b] - moments[b, a] - right.ravel())
    return _violation(np.concatenate(residual), *_rotation_terms(pairs[0] % 3, values, separation))


def _third_rotation(indices: np.ndarray, values: np.ndarray, second: sp.csr_array, geometry: _Separations) -> Violation:
    separation, size = geometry.of(indices), second.shape[0]
    coo = second.tocoo()
    mine = indices[1].astype(np.int64) * size + indices[2]
    blocks = np.unique(coo.row // 3 * (size // 3) + coo.col // 3)
    theirs = [
        (3 * (blocks // (size // 3)) + m) * size + 3 * (blocks % (size // 3)) + n for m in range(3) for n in range(3)
    ]
    keys = np.unique(np.concatenate([mine, *theirs]))
    moments = _moments(indices[0] % 3, values, separation, np.searchsorted(keys, mine), len(keys))
    residual = []
    for a, b in PLANES:
        generator = sp.csr_array(([1.0, -1.0], ([b, a], [a, b])), shape=(3, 3))
        turning = sp.kron(sp.eye_array(size // 3), generator, format="csr")
        right = (second @ turning - turning @ second).tocoo()
        here = moments[a, b] - moments[b, a]
        place = np.searchsorted(keys, right.row.astype(np.int64) * size + right.col)
        residual.append(here - np.bincount(place, right.data, len(keys)))
    return _violation(np.concatenate(residual), *_rotation_terms(indices[0] % 3, values, separation))


def _moments(
    directions: np.ndarray, values: np.ndarray, separation: np.ndarray, place: np.ndarray, count: int
) -> np.ndarray:
    """(3, 3, count): sum of the elements with direction a times r_b, at each place of the remaining coordinates."""
    moments = np.zeros((3, 3, count))
    for a in range(3):
        mine = directions == a
        for b in range(3):
            moments[a, b] = np.bincount(place[mine], values[mine] * separation[mine, b], count)
    return moments


def _rotation_terms(directions: np.ndarray, values: np.ndarray, separation: np.ndarray) -> tuple[float, float]:
    """Sums over all rotations of the squares of the terms Phi r, and of the factors r."""
    own = np.take_along_axis(separation, directions[:, None], axis=1)[:, 0]
    squares = np.sum(separation**2, axis=1) - own**2
    return float(values**2 @ squares), float(squares.sum())


def coordinate_keys(indices: np.ndarray, size: int) -> np.ndarray:
    """One integer per element of an (order, n) list of coordinates below ``size``."""
    keys = indices[0].astype(np.int64)
    for coordinates in indices[1:]:
        keys = keys * size + coordinates
    return keys
