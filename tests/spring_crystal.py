"""Crystals and glasses of anharmonic springs at rest: stable wherever the atoms are, and known to all orders.

Every pair closer than a cutoff, images included, has the energy k (r - r0)^2 / 2 - g (r - r0)^3 / 6 with r0 its own
length, k and g falling off with it. The derivatives with respect to the vector from i to j, with n its direction, are
k n n  and  -g n n n + k/r (n d + d n + d n - 3 n n n), and those of the atoms have a minus for every index on i.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from ase.neighborlist import neighbor_list

from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder


def springs(atoms: Atoms, cutoff: float) -> tuple[SecondOrder, SparseThirdOrder]:
    """Force constants of all atoms, images summed."""
    size = 3 * len(atoms)
    first, second, vectors = neighbor_list("ijD", atoms, cutoff)
    matrix, dense = np.zeros((size, size)), {}
    for i, j, vector in zip(first, second, vectors, strict=True):
        # Each pair is listed twice.
        two, three = (0.5 * tensor for tensor in _derivatives(vector))
        ends = ((slice(3 * j, 3 * j + 3), 1.0), (slice(3 * i, 3 * i + 3), -1.0))
        for (left, one), (right, other) in itertools.product(ends, repeat=2):
            matrix[left, right] += one * other * two
        for triple in itertools.product(((j, 1.0), (i, -1.0)), repeat=3):
            key = tuple(int(atom) for atom, _ in triple)
            dense[key] = dense.get(key, 0.0) + np.prod([sign for _, sign in triple]) * three
    corners = 3 * np.array(list(dense)).T
    indices = (corners[:, :, None] + np.indices((3, 3, 3)).reshape(3, 1, 27)).reshape(3, -1)
    values = np.array(list(dense.values())).ravel()
    kept = values != 0.0
    return SecondOrder(sp.csr_array(matrix)), SparseThirdOrder(size, indices[:, kept], values[kept])


def _derivatives(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = float(np.linalg.norm(vector))
    direction, unit = vector / length, np.eye(3)
    stiffness, bend = 12.0 * np.exp(-length), 60.0 * np.exp(-length)
    two = stiffness * np.einsum("a,b->ab", direction, direction)
    straight = np.einsum("a,b,c->abc", direction, direction, direction)
    sideways = sum(np.einsum(pattern, unit, direction) for pattern in ("ab,c->abc", "ac,b->abc", "bc,a->abc"))
    return two, -bend * straight + stiffness / length * (sideways - 3.0 * straight)


def primitive_cell() -> Atoms:
    """Three atoms of two kinds in a triclinic cell."""
    cell = [[3.1, 0.0, 0.0], [0.4, 3.4, 0.0], [-0.3, 0.7, 3.7]]
    scaled = [[0.05, 0.1, 0.0], [0.55, 0.45, 0.48], [0.1, 0.55, 0.7]]
    return Atoms("SiOSi", cell=cell, scaled_positions=scaled, pbc=True)


def small_glass() -> Atoms:
    """18 atoms without order in an oblique cell."""
    cell = np.array([[7.0, 0.0, 0.0], [0.8, 6.5, 0.0], [-0.5, 0.9, 6.8]])
    grid = np.array(list(itertools.product((0.1, 0.4, 0.75), (0.2, 0.5, 0.85), (0.3, 0.8))))
    scaled = grid + 0.04 * np.random.default_rng(4).normal(size=grid.shape)
    return Atoms("Si6O12", cell=cell, scaled_positions=scaled, pbc=True)
