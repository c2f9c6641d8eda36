"""Third-order force constants as an operator: linewidths need ``direction -> Phi3 . direction``, never the tensor.

Each source of force constants is one final class that knows how to contract itself with several directions at once;
where the result can be non-zero does not depend on the direction. Coordinates are ordered 3 i + a.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from ldmd.errors import InputError

COORDINATES_AT_ONCE = 64
"""Contracted together when every element is listed."""


@dataclasses.dataclass(frozen=True)
class ThirdOrder(abc.ABC):
    """Anything that gives Phi3 contracted with a direction: sum_c Phi_abc d_c, a sparse symmetric (3N, 3N) matrix."""

    size: int
    """Number of coordinates, 3N."""
    listable: ClassVar[bool] = True
    """Whether a list of every element fits into memory."""

    @property
    @abc.abstractmethod
    def pattern(self) -> sp.csr_array:
        """Where a contraction can be non-zero, whatever the direction: (3N, 3N), sorted indices."""

    @abc.abstractmethod
    def contract(self, directions: np.ndarray) -> np.ndarray:
        """Contractions with directions (3N, k): their data on the pattern, (elements of the pattern, k).

        In eV/Angstrom^3 times the unit of the directions.
        """

    def along(self, direction: np.ndarray) -> sp.csr_array:
        """The contraction with one direction (3N,) as a sparse (3N, 3N) matrix."""
        pattern = self.pattern
        data = self.contract(np.asarray(direction)[:, None])[:, 0]
        matrix = sp.csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)
        matrix.has_sorted_indices = True
        return matrix

    def elements(self) -> tuple[np.ndarray, np.ndarray]:
        """Every non-zero element for export: indices (3, n) and values (n,) in eV/Angstrom^3."""
        indices, values = [], []
        for start in range(0, self.size, COORDINATES_AT_ONCE):
            count = min(COORDINATES_AT_ONCE, self.size - start)
            rows, columns = self.pattern.tocoo().coords
            blocks = self.contract(np.eye(self.size, count, -start))
            where, which = np.nonzero(blocks)
            indices.append(np.stack([rows[where], columns[where], start + which]))
            values.append(blocks[where, which])
        return np.concatenate(indices, axis=1), np.concatenate(values)


@dataclasses.dataclass(frozen=True)
class SiteGroup:
    """Sites with the same number m of edges: their third derivatives with respect to edge components."""

    centres: np.ndarray
    """(S,) atom at the centre of each site."""
    others: np.ndarray
    """(S, m) atom at the far end of each edge."""
    tensors: np.ndarray
    """(S, 3m, 3m, 3m) in eV/Angstrom^3, edge components ordered 3 e + a."""


@dataclasses.dataclass(frozen=True)
class SiteThirdOrder(ThirdOrder):
    """Phi3 kept as the third derivatives of site energies, exact by automatic differentiation.

    Site energies see differences of positions only, so the contraction with a rigid translation is zero term by
    term: the acoustic sum rule holds to round-off, whatever the direction.
    """

    groups: tuple[SiteGroup, ...]

    @property
    def pattern(self) -> sp.csr_array:
        """See ``ThirdOrder``."""
        return self._assembly[0]

    def contract(self, directions: np.ndarray) -> np.ndarray:
        """Contract every site tensor with its own edge differences, then assemble (see ``ThirdOrder``)."""
        count = directions.shape[1]
        steps = np.asarray(directions).reshape(-1, 3, count)
        blocks = [(group.tensors @ _edge_steps(steps, group)[:, None]).reshape(-1, count) for group in self.groups]
        return self._assembly[1] @ np.concatenate(blocks)

    @functools.cached_property
    def _assembly(self) -> tuple[sp.csr_array, sp.csr_array]:
        """The pattern of every contraction, and the sparse map from flat site blocks to its data."""
        rows, columns, sources, signs = [], [], [], []
        offset = 0
        for group in self.groups:
            ends = [
                (_coordinates(group.others), 1.0),
                (_coordinates(np.broadcast_to(group.centres[:, None], group.others.shape)), -1.0),
            ]
            width = ends[0][0].shape[1]
            source = offset + np.arange(group.tensors.shape[0] * width * width).reshape(-1, width, width)
            for left, left_sign in ends:
                for right, right_sign in ends:
                    rows.append(np.broadcast_to(left[:, :, None], source.shape).ravel())
                    columns.append(np.broadcast_to(right[:, None, :], source.shape).ravel())
                    sources.append(source.ravel())
                    signs.append(np.full(source.size, left_sign * right_sign))
            offset += source.size
        keys = np.concatenate(rows) * self.size + np.concatenate(columns)
        unique, where = np.unique(keys, return_inverse=True)
        shape = (len(unique), offset)
        assembly = sp.csr_array((np.concatenate(signs), (where, np.concatenate(sources))), shape=shape)
        return _pattern(unique, self.size), assembly


@dataclasses.dataclass(frozen=True)
class SparseThirdOrder(ThirdOrder):
    """Phi3 from an explicit list of elements (imported or by finite differences); all permutations are listed."""

    indices: np.ndarray
    """(3, n) coordinates of each element."""
    values: np.ndarray
    """(n,) eV/Angstrom^3."""

    def __post_init__(self) -> None:
        if self.indices.shape != (3, self.values.size) or (self.values.size and self.indices.max() >= self.size):
            raise InputError(
                "third-order force constants", self.indices.shape, f"indices must be (3, n) below {self.size}"
            )

    @property
    def pattern(self) -> sp.csr_array:
        """See ``ThirdOrder``."""
        return self._legs[0]

    def contract(self, directions: np.ndarray) -> np.ndarray:
        """Sum over the third index (see ``ThirdOrder``)."""
        return self._legs[1] @ np.ascontiguousarray(directions)

    def trimmed(self, relative: float = 1e-9) -> SparseThirdOrder:
        """Without elements below ``relative`` times the largest: the round-off of finite differences.

        They are far below the error of any finite difference, but widen the pattern that every contraction fills:
        for the 216 atoms of amorphous silicon that kALDo ships, 10 % of the elements and 20 % of the pattern, for a
        change of linewidths by less than 1e-8.
        """
        keep = np.abs(self.values) > relative * np.abs(self.values).max(initial=0.0)
        return SparseThirdOrder(self.size, self.indices[:, keep], self.values[keep])

    def elements(self) -> tuple[np.ndarray, np.ndarray]:
        """The stored elements."""
        return self.indices, self.values

    @functools.cached_property
    def _legs(self) -> tuple[sp.csr_array, sp.csr_array]:
        """The pattern of every contraction, and the elements as a sparse matrix from third legs to its data."""
        unique, where = np.unique(self.indices[0].astype(np.int64) * self.size + self.indices[1], return_inverse=True)
        legs = sp.csr_array((self.values, (where, self.indices[2])), shape=(len(unique), self.size))
        return _pattern(unique, self.size), legs


def _pattern(keys: np.ndarray, size: int) -> sp.csr_array:
    """A (size, size) matrix of ones at sorted keys row * size + column."""
    pointers = np.searchsorted(keys // size, np.arange(size + 1)).astype(np.int32)
    return sp.csr_array((np.ones(len(keys)), (keys % size).astype(np.int32), pointers), shape=(size, size))


def _coordinates(atoms: np.ndarray) -> np.ndarray:
    """(S, m) atoms -> (S, 3m) coordinates."""
    return (3 * atoms[:, :, None] + np.arange(3)).reshape(atoms.shape[0], -1)


def _edge_steps(steps: np.ndarray, group: SiteGroup) -> np.ndarray:
    """Change of every edge component when atoms move by ``steps`` (N, 3, k): (S, 3m, k)."""
    difference = steps[group.others] - steps[group.centres][:, None]
    return difference.reshape(len(group.centres), -1, steps.shape[2])
