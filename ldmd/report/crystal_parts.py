"""Parts of a crystal's conductivity as figures and tables take them: of single modes, and of components of the tensor.

Symmetry makes components equal or zero. It is not asked for but seen: diagonal components that agree within
:data:`ALIKE` of trace/3 in all tensors of a comparison are one component, others that stay below it are none.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.crystal.mesh import AT_REST
from ldmd.errors import InputError

if TYPE_CHECKING:
    from ldmd.crystal.convergence import MeshConvergence
    from ldmd.crystal.mesh import MeshConductivity

UNIT = "W/(m K)"
ALIKE = 0.01
"""Part of trace/3 by which two components may differ, or one may differ from zero, and not be told apart."""
AXES = "xyz"
PARTS = {
    "relaxation time": "relaxation times (RTA)",
    "interband": "interband part",
    "total": "QHGK",
    "direct": "direct solution",
    "direct total": "direct solution and interband part",
}
DASHES: dict[str, Any] = {"classical": "-", "bose-einstein": (0, (4, 1.6))}
MARKERS = {"classical": "o", "bose-einstein": "s"}
"""Kinds of statistics differ in dash and mark as well as in colour."""


@dataclasses.dataclass(frozen=True)
class Component:
    """Components (a, b) of a tensor that are one number."""

    places: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """As in ``xx = yy``."""
        return " = ".join(AXES[a] + AXES[b] for a, b in self.places)

    def of(self, tensors: np.ndarray) -> np.ndarray:
        """Mean of the components of tensors (..., 3, 3)."""
        return np.asarray(np.mean([tensors[..., a, b] for a, b in self.places], axis=0))


def distinct_components(*tensors: np.ndarray) -> tuple[Component, ...]:
    """Components of all tensors (each ``(..., 3, 3)``) that differ in any of them; one if they are isotropic.

    Those on the diagonal come first.
    """
    flat = np.concatenate([np.asarray(each).reshape(-1, 3, 3) for each in tensors])
    limit = ALIKE * np.abs(np.trace(flat, axis1=-2, axis2=-1)) / 3.0
    groups: list[list[int]] = []
    for axis in range(3):
        mine = flat[:, axis, axis]
        for group in groups:
            if all(np.all(np.abs(flat[:, other, other] - mine) <= limit) for other in group):
                group.append(axis)
                break
        else:
            groups.append([axis])
    diagonal = [Component(tuple((axis, axis) for axis in group)) for group in groups]
    others = [Component(((a, b),)) for a, b in ((1, 2), (0, 2), (0, 1)) if np.any(np.abs(flat[:, a, b]) > limit)]
    return (*diagonal, *others)


def mesh_name(result: MeshConductivity) -> str:
    """A mesh in words: its divisions, or how many wave vectors a supercell of another shape has."""
    grid = result.grid
    if np.array_equal(grid, np.diag(np.diag(grid))):
        return " × ".join(str(abs(int(size))) for size in np.diag(grid))
    return f"{int(result.weights.sum())} wave vectors"


def vibrating(result: MeshConductivity) -> np.ndarray:
    """Mask (q, band) of modes that carry heat: neither translations nor imaginary ones."""
    return result.frequencies > AT_REST


def row_at(result: MeshConductivity | MeshConvergence, temperature: float) -> int:
    """Row of the temperature (K) nearest to this one."""
    return int(np.argmin(np.abs(result.temperatures - temperature)))


def mode_shares(result: MeshConductivity, row: int, place: int, part: str = "total") -> np.ndarray:
    """What modes (with those of their star) contribute to a part of trace/3, (q, band) in W/(m K).

    Raises
    ------
    InputError
        For a part that was not computed.
    """
    between = result.per_mode_interband[row, place]
    shares = {
        "relaxation time": result.per_mode[row, place],
        "interband": between,
        "total": result.per_mode[row, place] + between,
    }
    if result.direct is not None:
        own = result.direct.per_mode[row, place]
        shares |= {"direct": own, "direct total": own + between}
    if part not in shares:
        raise InputError("conductivity", part, f"choose from {', '.join(shares)}")
    return shares[part]


def accumulated(positions: np.ndarray, shares: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Sum of the shares whose position is not beyond each point of the grid."""
    order = np.argsort(positions)
    steps = np.concatenate([[0.0], np.cumsum(shares[order])])
    return np.asarray(steps[np.searchsorted(positions[order], grid, side="right")])


def density(frequencies: np.ndarray, shares: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    """Shares per THz at frequencies of a grid (THz), smoothed by a Gaussian of standard deviation ``width``.

    What the Gaussian puts below zero is reflected: from zero to infinity the density integrates to the sum of shares.
    """
    centres = np.concatenate([frequencies, -frequencies])
    gaussian = np.exp(-0.5 * ((grid[:, None] - centres) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)
    return np.asarray(gaussian @ np.concatenate([shares, shares]))
