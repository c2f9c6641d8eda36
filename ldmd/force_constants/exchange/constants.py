"""Force constants of a supercell, as far as translations by primitive lattice vectors do not repeat them.

Stored are the rows of one atom of every site (``Supercell.home``): Phi_ia,jm for the P atoms i of the primitive cell
and all N atoms j of the supercell, and Phi_ia,jm,kn likewise. Periodic images of the supercell are summed into one
element, as phonopy and its kin have it. In a glass that is every element there is.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sp

from ldmd.errors import InputError
from ldmd.force_constants.exchange.supercell import Supercell, glass, matched
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.sum_rules import Violation, sum_rules
from ldmd.force_constants.third import SparseThirdOrder, ThirdOrder

SPREAD = 1e-4
"""Between rows that should be translated copies of each other, relative to the largest element."""
LARGEST_ARRAY = 8e9
"""Bytes of a dense array that some formats demand."""

MOST_ELEMENTS = 2e8
"""Force constants that are written out for all atoms of a supercell, or pairs of its atoms."""


@dataclasses.dataclass(frozen=True)
class Elements:
    """Third-order force constants, listed."""

    indices: np.ndarray
    """(3, n) coordinates: 3 site + a of a home atom, then 3 atom + m of any two atoms."""
    values: np.ndarray
    """(n,) eV/Angstrom^3."""


@dataclasses.dataclass(frozen=True)
class ForceConstants:
    """Second or third-order force constants of a supercell, or both."""

    supercell: Supercell
    second: sp.csr_array | None = None
    """(3P, 3N) eV/Angstrom^2."""
    third: Elements | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the supercell."""
        shape = (3 * len(self.supercell.primitive), 3 * len(self.supercell.atoms))
        if self.second is not None and self.second.shape != shape:
            raise InputError("second-order force constants", self.second.shape, f"the supercell needs {shape}")
        if self.third is not None and self.third.values.size:
            limits = np.array([shape[0], shape[1], shape[1]])
            if np.any(self.third.indices.max(axis=1) >= limits) or self.third.indices.min() < 0:
                fix = f"the supercell has coordinates below {tuple(limits.tolist())}"
                raise InputError("third-order force constants", self.third.indices.max(axis=1).tolist(), fix)

    def second_order(self) -> SecondOrder:
        """Of all atoms of the supercell."""
        second = self.in_order_of(glass(self.supercell.atoms)).second
        if second is None:
            raise InputError("force constants", "without a second order", "read the second order, too")
        return SecondOrder(second)

    def third_order(self) -> SparseThirdOrder:
        """Of all atoms of the supercell."""
        third = self.in_order_of(glass(self.supercell.atoms)).third
        if third is None:
            raise InputError("force constants", "without a third order", "read the third order, too")
        return SparseThirdOrder(3 * len(self.supercell.atoms), third.indices, third.values)

    def in_order_of(self, other: Supercell) -> ForceConstants:
        """The same force constants with the atoms, and the primitive cell, of another supercell of the same crystal.

        Raises
        ------
        InputError
            Where the two are not the same periodic arrangement of atoms, or rows of all atoms would be too many.
        """
        mine = self.supercell
        if other is mine:
            return self
        _require_same_lattice(mine, other)
        self._require_room(len(other.primitive))
        found = matched(mine.primitive, other.atoms)
        place = mine.find(found.sites, found.cells)
        wanted, names = place[other.home], np.argsort(place)
        rows = mine.sites[wanted]
        return _renamed(
            self.second, self.third, mine, rows, mine.cells[wanted] - mine.cells[mine.home[rows]], names, other
        )

    def _require_room(self, rows: int) -> None:
        """Refuse to write out the rows of more atoms than memory and time allow: a short file can stand for them."""
        supercell = self.supercell
        more = rows / len(supercell.primitive)
        counts = [rows * len(supercell.atoms)]
        counts += [] if self.second is None else [int(more * self.second.nnz)]
        counts += [] if self.third is None else [int(more * self.third.values.size)]
        if more > 1.0 and max(counts) > MOST_ELEMENTS:
            fix = f"between all of them there are {max(counts):.2g} elements (at most {MOST_ELEMENTS:.0g}): use fewer"
            raise InputError("force constants", f"a supercell of {len(supercell.atoms)} atoms", fix)


def of_supercell(
    supercell: Supercell, second: SecondOrder | None = None, third: ThirdOrder | None = None
) -> ForceConstants:
    """Force constants between all atoms of a supercell, reduced to the rows of its home atoms.

    Raises
    ------
    InputError
        Where the number of atoms differs, or force constants of a crystal are not the same in all of its cells.
    """
    count = len(supercell.atoms)
    for order in (second.matrix.shape[0] if second else None, third.size if third else None):
        if order not in (None, 3 * count):
            raise InputError("force constants", f"{order // 3} atoms", f"the supercell has {count}")
    whole = ForceConstants(
        glass(supercell.atoms),
        None if second is None else sp.csr_array(second.matrix),
        None if third is None else Elements(*third.elements()),
    )
    if supercell.copies == 1 and len(supercell.primitive) == count and np.array_equal(supercell.home, np.arange(count)):
        return dataclasses.replace(whole, supercell=supercell)
    reduced = whole.in_order_of(supercell)
    _require_periodic(whole, reduced)
    return reduced


def from_blocks(
    supercell: Supercell,
    rows: np.ndarray,
    second: np.ndarray | None = None,
    third: np.ndarray | None = None,
) -> ForceConstants:
    """From dense blocks whose first axis stands for the atoms ``rows``: one of every site, or all of the supercell.

    ``second`` is (rows, N, 3, 3) and ``third`` (rows, N, N, 3, 3, 3), as phonopy and phono3py have them.
    """
    count = len(supercell.atoms)
    for name, array, shape in (
        ("second", second, (len(rows), count, 3, 3)),
        ("third", third, (len(rows), count, count, 3, 3, 3)),
    ):
        if array is not None and array.shape != shape:
            raise InputError(f"{name}-order force constants", array.shape, f"the supercell needs {shape}")
    if len(rows) == count:
        order = np.argsort(rows)
        whole_second = None if second is None else SecondOrder(sp.csr_array(_flat(second[order])))
        whole_third = None if third is None else _elements(third[order])
        listed = None if whole_third is None else SparseThirdOrder(3 * count, whole_third.indices, whole_third.values)
        return of_supercell(supercell, whole_second, listed)
    order = np.argsort(supercell.sites[rows])
    if not np.array_equal(supercell.sites[rows][order], np.arange(len(supercell.primitive))):
        fix = f"give one atom of each of the {len(supercell.primitive)} sites, or all {count}"
        raise InputError("force constants", f"rows of atoms {np.asarray(rows).tolist()}", fix)
    matrix = None if second is None else sp.csr_array(_flat(second))
    elements = None if third is None else _elements(third)
    shifts = supercell.cells[supercell.home] - supercell.cells[rows[order]]
    return _renamed(matrix, elements, supercell, order, shifts, np.arange(count), supercell)


def second_blocks(constants: ForceConstants, full: bool) -> np.ndarray:
    """(N, N, 3, 3), or (P, N, 3, 3) with the rows of the home atoms in the order of their sites."""
    source = constants.in_order_of(glass(constants.supercell.atoms)) if full else constants
    if source.second is None:
        raise InputError("force constants", "without a second order", "nothing to write")
    rows, columns = (length // 3 for length in source.second.shape)
    _require_memory(source.second.shape[0] * source.second.shape[1])
    dense = source.second.toarray().reshape(rows, 3, columns, 3)
    return np.ascontiguousarray(dense.transpose(0, 2, 1, 3))


def third_blocks(constants: ForceConstants, full: bool) -> np.ndarray:
    """(N, N, N, 3, 3, 3), or (P, N, N, 3, 3, 3) with the rows of the home atoms in the order of their sites."""
    source = constants.in_order_of(glass(constants.supercell.atoms)) if full else constants
    if source.third is None:
        raise InputError("force constants", "without a third order", "nothing to write")
    rows, columns = len(source.supercell.primitive), len(source.supercell.atoms)
    _require_memory(27 * rows * columns**2)
    dense = np.zeros((rows, columns, columns, 3, 3, 3))
    np.add.at(dense, (*(source.third.indices // 3), *(source.third.indices % 3)), source.third.values)
    return dense


def third_sign(constants: ForceConstants) -> int:
    """+1 where the third order are derivatives of the energy, -1 of the forces: only one of them can be rotated.

    Raises
    ------
    InputError
        Where the cell is too small for the rule, or neither sign obeys it better.
    """
    third = constants.third_order()
    cell = constants.supercell.atoms
    found: list[Violation] = []
    for sign in (1.0, -1.0):
        signed = SparseThirdOrder(third.size, third.indices, sign * third.values)
        rules = sum_rules(constants.second_order(), signed, cell.positions, cell.cell.array)
        if not rules.third_rotation_applies or rules.third_rotation is None:
            reach, half = rules.third_reach or 0.0, rules.half_translation or 0.0
            fix = f"give it; rotations cannot tell (reach {reach:.2f}, half a cell {half:.2f} Angstrom)"
            raise InputError("sign of the third order", "unknown", fix)
        found.append(rules.third_rotation)
    plus, minus = (violation.rms for violation in found)
    if 0.5 < plus / minus < 2.0:
        raise InputError("sign of the third order", "unknown", "give it; neither sign obeys rotations")
    return 1 if plus < minus else -1


def _renamed(
    second: sp.csr_array | None,
    third: Elements | None,
    mine: Supercell,
    rows: np.ndarray,
    shifts: np.ndarray,
    names: np.ndarray,
    other: Supercell,
) -> ForceConstants:
    """Chosen rows, each translated by a primitive lattice vector (n, 3); ``names`` (N,) are the atoms' new numbers."""
    # One representative of shifts that differ by a supercell vector only.
    images = mine.find(np.zeros(len(rows), dtype=int), shifts)
    matrix = None if second is None else second.tocoo()
    pairs, triplets = [], []
    for image in np.unique(images):
        members = np.flatnonzero(images == image)
        row = np.full(max(int(rows.max()) + 1, len(mine.primitive)), -1)
        row[rows[members]] = members
        name = names[mine.moved(shifts[members[0]])]
        if matrix is not None:
            pairs.append(_translated(np.stack(matrix.coords), matrix.data, row, name))
        if third is not None:
            triplets.append(_translated(third.indices, third.values, row, name))
    size = (3 * len(rows), 3 * len(mine.atoms))
    return ForceConstants(
        other,
        None if matrix is None else sp.csr_array((_values(pairs), tuple(_indices(pairs))), shape=size),
        None if third is None else Elements(_indices(triplets), _values(triplets)),
    )


def _translated(
    indices: np.ndarray, values: np.ndarray, row: np.ndarray, name: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Elements with new numbers for their rows (those at -1 are left out) and for the other atoms."""
    first = row[indices[0] // 3]
    kept = first >= 0
    chosen = indices[:, kept]
    others = [3 * name[leg // 3] + leg % 3 for leg in chosen[1:]]
    return np.stack([3 * first[kept] + chosen[0] % 3, *others]), values[kept]


def _indices(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.concatenate([indices for indices, _ in parts], axis=1)


def _values(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.concatenate([values for _, values in parts])


def _require_same_lattice(mine: Supercell, other: Supercell) -> None:
    ratio = other.atoms.cell.array @ np.linalg.inv(mine.atoms.cell.array)
    whole = np.rint(ratio)
    if len(mine.atoms) != len(other.atoms):
        raise InputError("supercell", f"{len(other.atoms)} atoms", f"the force constants have {len(mine.atoms)}")
    if np.abs((ratio - whole) @ mine.atoms.cell.array).max() > 1e-2 or abs(round(np.linalg.det(whole))) != 1:
        raise InputError("supercell", "another lattice", "give the supercell that the force constants belong to")


def _require_periodic(whole: ForceConstants, reduced: ForceConstants) -> None:
    """Refuse a reduction to one row per site where translated rows differ; of the third order, one contraction."""
    expanded = reduced.in_order_of(whole.supercell)
    pairs = []
    if whole.second is not None:
        pairs.append((whole.second, expanded.second))
    if whole.third is not None and expanded.third is not None:
        direction = np.random.default_rng(0).normal(size=3 * len(whole.supercell.atoms))
        pairs.append((_along(whole.third, direction), _along(expanded.third, direction)))
    for given, again in pairs:
        spread = float(np.abs((given - again).tocoo().data).max(initial=0.0))
        largest = float(np.abs(given.data).max(initial=0.0))
        if spread > SPREAD * largest:
            fix = "the primitive cell does not repeat them; give the whole cell as its own primitive cell"
            raise InputError("force constants", f"{spread / largest:.1e} apart in equal cells", fix)


def _along(third: Elements, direction: np.ndarray) -> sp.csr_array:
    return SparseThirdOrder(len(direction), third.indices, third.values).along(direction)


def _flat(blocks: np.ndarray) -> np.ndarray:
    """(rows, N, 3, 3) -> (3 rows, 3 N)."""
    return blocks.transpose(0, 2, 1, 3).reshape(3 * blocks.shape[0], 3 * blocks.shape[1])


def _elements(blocks: np.ndarray) -> Elements:
    """(rows, N, N, 3, 3, 3) -> its elements that are not zero."""
    where = np.nonzero(blocks)
    return Elements(3 * np.stack(where[:3]) + np.stack(where[3:]), blocks[where])


def _require_memory(numbers: int) -> None:
    if 8.0 * numbers > LARGEST_ARRAY:
        fix = f"this format is dense and would need {8e-9 * numbers:.0f} GB; use one that lists elements"
        raise InputError("force constants", f"{numbers:.1e} elements", fix)
