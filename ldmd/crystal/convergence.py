"""The infinite mesh, and the mesh that molecular dynamics has.

Three-phonon conductivities of a crystal lack the waves longer than the mesh knows. With gamma ~ w^2 at long waves the
integrand C v^2 / gamma times q^2 dq is flat, so that what is missing is proportional to the smallest wave vector:

kappa(n) = kappa - a x^p,  x = N_q^(-1/3),  p = 1.

Where all meshes are too coarse for that line, its end may be anything, a negative conductivity included. It is then not
taken: the finest mesh stands in, with an error as large as the difference (``extrapolates``).

Molecular dynamics of a supercell C_super = M C_primitive has the wave vectors with M q integer and no others, and
classical statistics. The conductivity on that very mesh is what it is to be compared with: not the converged one.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from ldmd.cells import standard_supercell
from ldmd.crystal.mesh import Grid, Kernel, MeshConductivity, MeshSettings
from ldmd.errors import InputError
from ldmd.results import Check, quantity

FITS = 0.02
"""Tolerated part of the longest supercell vector by which a cell may miss one of the primitive cell's."""
CONVERGED = 0.05
"""Relative error of the extrapolation up to which it is trusted."""

Solver = Callable[[MeshSettings], MeshConductivity]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConvergence:
    """Isotropic conductivities (trace/3) on a series of meshes, extrapolated to the infinite one."""

    part: str
    kernel: Kernel
    power: float
    wave_vectors: np.ndarray = quantity(("mesh",), "1", "wave vectors of each mesh, ascending")
    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    kappa: np.ndarray = quantity(("mesh", "temperature", "statistics"), "W/(m K)", "on each mesh")
    limit: np.ndarray = quantity(
        ("temperature", "statistics"), "W/(m K)", "of the infinite mesh; the finest mesh where none can be extrapolated"
    )
    error: np.ndarray = quantity(
        ("temperature", "statistics"), "W/(m K)", "how far other meshes, another power or none would move the limit"
    )

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether the limits are known well enough; one that is not above zero never is."""
        advice = "add finer meshes: what is extrapolated depends on how"
        pairs = itertools.product(enumerate(self.temperatures), enumerate(self.statistics))
        return tuple(
            Check(
                f"error of the infinite mesh, {name}, {temperature:g} K",
                float(self.error[t, s] / self.limit[t, s]) if self.limit[t, s] > 0.0 else math.nan,
                "<=",
                CONVERGED,
                "1",
                advice,
            )
            for (t, temperature), (s, name) in pairs
        )


def mesh_convergence(
    results: Sequence[MeshConductivity], part: str = "relaxation time", kernel: Kernel = "qhgk", power: float = 1.0
) -> MeshConvergence:
    """Extrapolate results of the same crystal on at least three meshes.

    The limit is a least-squares line in x^p through all but the coarsest mesh (through all where there are only
    three). Its error is the largest change with all meshes, with the two finest only, or with x^(p+1).

    Raises
    ------
    InputError
        Where there are fewer than three different meshes, or they have other temperatures or statistics.
    """
    ordered = sorted(results, key=lambda result: int(result.weights.sum()))
    counts = np.array([int(result.weights.sum()) for result in ordered])
    if len(np.unique(counts)) < 3 or len(np.unique(counts)) < len(counts):
        raise InputError("meshes", counts.tolist(), "give at least three meshes with different numbers of wave vectors")
    first = ordered[0]
    for other in ordered[1:]:
        if other.statistics != first.statistics or not np.array_equal(other.temperatures, first.temperatures):
            raise InputError("meshes", "of different temperatures or statistics", "give the same to all")
    kappa = np.array([np.trace(each.tensor(part, kernel), axis1=-2, axis2=-1) / 3.0 for each in ordered])
    limit, error = infinite_mesh(counts, kappa, power)
    good = extrapolates(limit, error)
    error = np.where(good, error, np.abs(limit - kappa[-1]))
    limit = np.where(good, limit, kappa[-1])
    return MeshConvergence(
        part=part,
        kernel=kernel,
        power=power,
        wave_vectors=counts,
        temperatures=first.temperatures,
        statistics=first.statistics,
        kappa=kappa,
        limit=limit,
        error=error,
    )


def infinite_mesh(counts: np.ndarray, values: np.ndarray, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Limit and its error of values (mesh, ...) on meshes with ``counts`` wave vectors, at least three, ascending.

    The limit is linear in the values: that of a difference is the difference of the limits. Errors are not.
    """
    limit = _limit(counts, values, power, max(0, min(1, len(counts) - 3)))
    finest = len(counts) - 2
    others = [_limit(counts, values, *how) for how in ((power, 0), (power, finest), (power + 1.0, finest))]
    return limit, np.max([np.abs(other - limit) for other in others], axis=0)


def extrapolates(limit: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Whether limits of conductivities may be quoted: positive, and known better than by a factor of two."""
    return np.asarray((limit > 0.0) & (error <= limit))


def converge(
    solve: Solver, settings: MeshSettings, grids: Sequence[Grid], part: str = "relaxation time", power: float = 1.0
) -> tuple[list[MeshConductivity], MeshConvergence]:
    """Solve on every mesh, everything else as in ``settings``, and extrapolate."""
    results = [solve(dataclasses.replace(settings, grid=grid)) for grid in grids]
    return results, mesh_convergence(results, part, power=power)


def commensurate_grid(primitive: Atoms, cell: np.ndarray) -> Grid:
    """The mesh of the wave vectors that are waves of a supercell with these vectors (3, 3), Angstrom.

    It is the same for all vectors of the same lattice.
    The primitive cell may be that of another temperature: the shape decides, up to ``FITS``.

    Raises
    ------
    InputError
        Where the cell is none of the primitive cell's supercells.
    """
    ratio = np.asarray(cell) @ np.linalg.inv(primitive.cell.array)
    whole = np.rint(ratio).astype(int)
    if round(np.linalg.det(whole)) == 0:
        raise InputError("cell", np.asarray(cell).tolist(), "is no supercell of the primitive cell")
    # One strain common to all vectors is thermal expansion; the rest would be another lattice.
    strain = np.linalg.lstsq(whole @ primitive.cell.array, cell, rcond=None)[0]
    misfit = np.linalg.norm(strain - np.eye(3))
    if misfit > FITS:
        fix = f"is {misfit:.3f} off the nearest supercell of the primitive cell; give both in the same orientation"
        raise InputError("cell", np.array2string(np.asarray(cell), precision=3).replace("\n", ""), fix)
    matrix = standard_supercell(whole, primitive.cell.array)
    if np.array_equal(matrix, np.diag(np.diag(matrix))):
        return int(matrix[0, 0]), int(matrix[1, 1]), int(matrix[2, 2])
    rows = [tuple(row) for row in matrix.tolist()]
    return rows[0], rows[1], rows[2]


def commensurate(
    solve: Solver, primitive: Atoms, cell: np.ndarray, temperatures: Sequence[float], direct: bool = True
) -> MeshConductivity:
    """The classical conductivity on the wave vectors of a molecular-dynamics cell (3, 3), Angstrom."""
    grid = commensurate_grid(primitive, cell)
    return solve(MeshSettings(grid=grid, temperatures=tuple(temperatures), statistics=("classical",), direct=direct))


def _limit(counts: np.ndarray, kappa: np.ndarray, power: float, skipped: int) -> np.ndarray:
    """Intercept (temperature, statistics) of a line in x^p through the meshes left."""
    x = counts[skipped:] ** (-power / 3.0)
    design = np.stack([np.ones_like(x), x], axis=1)
    flat = kappa[skipped:].reshape(len(x), -1)
    return np.asarray(np.linalg.lstsq(design, flat, rcond=None)[0][0].reshape(kappa.shape[1:]))
