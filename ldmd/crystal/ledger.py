"""From the conductivity of a crystal that is quoted most to the one that dynamics can be held against, step by step.

Dynamics in a supercell is classical, and knows the wave vectors of that supercell only. What is to be compared with it
is therefore lattice dynamics with classical statistics on exactly these wave vectors. The usual lattice value is the
relaxation-time approximation on the infinite mesh with Bose-Einstein statistics. Between the two:

    scattering solution   direct solution of the Boltzmann equation minus relaxation times (where it was solved),
    interband             heat carried between bands, QHGK minus its diagonal,
    statistics            Bose-Einstein to classical, on the infinite mesh (where both were computed),
    finite size           infinite mesh to the wave vectors of the supercell, classically.

Every step is extrapolated to the infinite mesh by itself: a difference of two conductivities converges faster than
either. Where one of the conductivities cannot be extrapolated (``convergence.extrapolates``), all of them are those
of the finest mesh, with errors as large as what the extrapolation would have changed. The last step, to the dynamics,
is the rest: orders beyond the third, and the error of the dynamics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ldmd.comparison import LedgerEntry
from ldmd.crystal.convergence import extrapolates, infinite_mesh
from ldmd.crystal.mesh import MeshConductivity
from ldmd.results import Estimate

START = "relaxation times, infinite mesh"
UNIT = "W/(m K)"
INTERBAND = "heat that pairs of bands carry together: QHGK without its diagonal"
SCATTERING = "the Boltzmann equation solved directly instead of with relaxation times"
STATISTICS = "classical instead of Bose-Einstein occupations, as the dynamics has them"
SIZE = "only the wave vectors that fit into the box of the dynamics"


@dataclasses.dataclass(frozen=True)
class LatticeSteps:
    """Isotropic conductivities (trace/3), W/(m K), and the way from the first to the last."""

    relaxation_times: Estimate
    """Infinite mesh; Bose-Einstein, if that was computed."""
    quantum: Estimate
    """The best value: everything that was computed, infinite mesh; Bose-Einstein, if that was computed."""
    classical: float
    """On the wave vectors of the supercell: what the dynamics is held against."""
    steps: tuple[LedgerEntry, ...]


def lattice_steps(
    meshes: Sequence[MeshConductivity], commensurate: MeshConductivity, temperature: float
) -> LatticeSteps:
    """The steps at one of the temperatures, from at least three meshes and that of the supercell.

    Raises
    ------
    InputError
        Where one of them lacks a part that another has.
    """
    ordered, counts = _ascending(meshes)
    best = _best((*ordered, commensurate))
    solved = best == "direct total"
    first = "bose-einstein" if "bose-einstein" in ordered[0].statistics else "classical"

    def on_meshes(part: str, statistics: str) -> np.ndarray:
        return np.array([mesh.isotropic(temperature, statistics, part) for mesh in ordered])

    reachable = _reachable(ordered, counts, temperature)

    def step(name: str, values: np.ndarray, meaning: str) -> LedgerEntry:
        limit, error = _limit(counts, values, reachable)
        return LedgerEntry(name, limit, error, meaning)

    def on_infinite(part: str, statistics: str) -> Estimate:
        limit, error = _limit(counts, on_meshes(part, statistics), reachable)
        return Estimate(limit, error, UNIT)

    classical = commensurate.isotropic(temperature, "classical", best)
    steps = []
    if solved:
        gain = on_meshes("direct", first) - on_meshes("relaxation time", first)
        steps.append(step("scattering solution", gain, SCATTERING))
    steps.append(step("interband", on_meshes("interband", first), INTERBAND))
    if first != "classical":
        steps.append(step("quantum statistics", on_meshes(best, "classical") - on_meshes(best, first), STATISTICS))
    steps.append(step("finite size", classical - on_meshes(best, "classical"), SIZE))
    return LatticeSteps(on_infinite("relaxation time", first), on_infinite(best, first), classical, tuple(steps))


def infinite(meshes: Sequence[MeshConductivity], temperature: float) -> tuple[tuple[str, Estimate], ...]:
    """Kind of statistics and best isotropic conductivity on the infinite mesh, with its error, at one temperature.

    That of the finest mesh where the meshes are too coarse to extrapolate from.
    """
    ordered, counts = _ascending(meshes)
    part, reachable = _best(ordered), _reachable(ordered, counts, temperature)
    values = {
        name: np.array([mesh.isotropic(temperature, name, part) for mesh in ordered]) for name in ordered[0].statistics
    }
    limits = {name: _limit(counts, value, reachable) for name, value in values.items()}
    return tuple((name, Estimate(*limit, UNIT)) for name, limit in limits.items())


def _reachable(ordered: Sequence[MeshConductivity], counts: np.ndarray, temperature: float) -> bool:
    """Whether relaxation times and the best conductivity can be extrapolated, with all statistics."""
    found = [
        infinite_mesh(counts, np.array([mesh.isotropic(temperature, name, part) for mesh in ordered]))
        for part in ("relaxation time", _best(ordered))
        for name in ordered[0].statistics
    ]
    return all(bool(extrapolates(limit, error)) for limit, error in found)


def _limit(counts: np.ndarray, values: np.ndarray, reachable: bool) -> tuple[float, float]:
    """Value on the infinite mesh and its error; without extrapolation that of the finest mesh."""
    limit, error = infinite_mesh(counts, values)
    if reachable:
        return float(limit), float(error)
    return float(values[-1]), float(abs(limit - values[-1]))


def _ascending(meshes: Sequence[MeshConductivity]) -> tuple[list[MeshConductivity], np.ndarray]:
    """Meshes from coarse to fine, and the wave vectors of each."""
    ordered = sorted(meshes, key=lambda mesh: int(mesh.weights.sum()))
    return ordered, np.array([int(mesh.weights.sum()) for mesh in ordered])


def _best(meshes: Sequence[MeshConductivity]) -> str:
    """The part that says most and that all of them have."""
    return "direct total" if all(mesh.direct is not None for mesh in meshes) else "total"
