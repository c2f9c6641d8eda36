"""Third derivatives along single modes by differences of Hessians, and what a scan of their step tells.

With the atoms moved along a mode by t u_m (u_m the motion of the atoms for a unit normal coordinate, amu^-1/2),

    M_m(s) = [H(R + t u_m) - H(R - t u_m)] / (2 t),    t = s / rms(u_m),    rms(u)^2 = (1/N) sum_i |u_i|^2,

so that the step s is the root mean square displacement of an atom, in Angstrom. For s -> 0 this is Phi3 . u_m: two
Hessians for each mode and step give everything that its linewidth needs (``ldmd.diagnosis.low_modes``), and never is
a whole third order made. The distance to the exact contraction, in the norm of phi_mnl over all n and l,

    |M| = (sum_ab M_ab^2 / (m_a m_b))^(1/2),

grows or falls with the step by what is wrong:

    +2          truncation, (s^2/6) of the fifth order;
    -1          round-off of exact Hessians: eps |H| / t. (Of Hessians that are themselves differences of forces with
                a step of their own too, since that step stays; -2 belongs to a step that both share.)
    -1 to -1/2  kinks: a pair that crosses a radius where the Hessian jumps by J leaves J/(2t), the same however far
                it is beyond; with s more pairs cross, ~ s of them, and the norm of independent jumps falls as
                s^(-1/2) where they are many. Steps below which no pair crosses see nothing of it.

Round-off and a kink of the same slope differ in size: eps |H| / (2 t) is 1e-10 of M in double precision at 0.01
Angstrom. How many pairs are close enough to a radius to cross it says ``kink_share``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from ldmd.diagnosis.low_modes import LowModes
from ldmd.errors import InputError
from ldmd.force_constants.third import ThirdOrder
from ldmd.results import quantity
from ldmd.structures import neighbour_graph, pairs_within, species_indices
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.potentials.base import SitePotential

Hessian = Callable[[np.ndarray], sp.csr_array]
"""Positions (N, 3), Angstrom -> second derivatives of the energy (3N, 3N), eV/Angstrom^2."""
FARTHEST = 0.1
"""Angstrom that an atom moves at most in a single mode at its thermal amplitude: neighbours stay neighbours."""
STEPS = (0.001, 0.003, 0.01, 0.03)
"""Angstrom, by default: from far below thermal motion to a good part of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepScan:
    """Finite steps along chosen modes, at one temperature or several."""

    modes: np.ndarray = quantity(("mode",), "1", "index of the mode among all 3N")
    steps: np.ndarray = quantity(("step",), "Angstrom", "rms displacement of the atoms, ascending")
    change: np.ndarray = quantity(
        ("mode", "step"), "1", "norm of phi(step) - phi over the norm of phi: exact, or extrapolated where not known"
    )
    slope: np.ndarray = quantity(
        ("mode",), "1", "d ln(change) / d ln(step), from the step of the largest change upwards; over all if it grows"
    )
    gamma_of_step: np.ndarray = quantity(
        ("mode", "step", "temperature", "statistics"), "rad/ps", "linewidth from M(step), HWHM"
    )
    gamma_exact: np.ndarray = quantity(
        ("mode", "temperature", "statistics"), "rad/ps", "linewidth from the exact contraction, HWHM; NaN if unknown"
    )
    gamma_extrapolated: np.ndarray = quantity(
        ("mode", "temperature", "statistics"), "rad/ps", "linewidth from the extrapolation to step 0, HWHM"
    )


def hessian_of(potential: SitePotential, atoms: Atoms, reach: float) -> Hessian:
    """Exact Hessians with atoms displaced by up to ``reach`` (Angstrom) each, all on one graph: compiled once."""
    from ldmd.force_constants.autodiff import second_order

    graph = neighbour_graph(atoms, potential.species, potential.switching, 2.0 * reach)
    return lambda positions: second_order(potential, positions, graph).matrix


def largest_displacement(displacements: np.ndarray, step: float) -> float:
    """Of any atom, Angstrom, for modes (3N, modes) displaced by an rms ``step``: the reach of ``hessian_of``."""
    lengths = np.linalg.norm(displacements.reshape(len(displacements) // 3, 3, -1), axis=1)
    return float(step * np.max(lengths.max(axis=0) / _rms_motion(displacements)))


def thermal_steps(displacements: np.ndarray, frequencies: np.ndarray, temperature: float) -> np.ndarray:
    """(modes,) the rms displacement of the atoms, Angstrom, by each mode (3N, modes) alone at a temperature (K).

    Classically, sqrt(k_B T) / w of the normal coordinate; less where an atom would move by more than ``FARTHEST``.
    """
    coordinate = np.sqrt(BOLTZMANN * temperature * FORCE_TO_ACCELERATION) / frequencies
    steps = coordinate * _rms_motion(displacements)
    moved = np.array([largest_displacement(displacements[:, [m]], step) for m, step in enumerate(steps)])
    return np.asarray(steps * np.minimum(1.0, FARTHEST / moved))


def contraction_by_difference(
    hessian: Hessian, positions: np.ndarray, displacement: np.ndarray, step: float
) -> sp.csr_array:
    """M_m(s) in eV/Angstrom^3 times the unit of the ``displacement`` (3N,); ``step`` s in Angstrom."""
    factor = step / float(_rms_motion(displacement[:, None])[0])
    moved = factor * displacement.reshape(-1, 3)
    return sp.csr_array((hessian(positions + moved) - hessian(positions - moved)) / (2.0 * factor))


def scan_steps(
    hessian: Hessian,
    positions: np.ndarray,
    chosen: Sequence[int],
    low_modes: LowModes,
    steps: Sequence[float] = STEPS,
    exact: ThirdOrder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StepScan:
    """Displace ``chosen`` modes (indices among all 3N) by all ``steps``, two Hessians each.

    Without ``exact`` the change is that to the extrapolation, the value (r^2 M(s) - M(r s)) / (r^2 - 1) from those two
    neighbouring steps s and r s whose M differ least; between these two it then has the slope 2, whatever is wrong.
    ``progress`` is called with modes done and in all.

    Raises
    ------
    InputError
        For less than two different positive steps.
    """
    ascending = np.sort(np.asarray(steps, dtype=float))
    if len(ascending) < 2 or not ascending[0] > 0.0 or not np.all(np.diff(ascending) > 0.0):
        raise InputError("steps", tuple(steps), "give two different positive lengths in Angstrom at least")
    found = []
    for done, mode in enumerate(chosen):
        direction = low_modes.modes.displacements[:, mode]
        matrices = [contraction_by_difference(hessian, positions, direction, step) for step in ascending]
        known = None if exact is None else exact.along(direction)
        found.append(_scan_of(mode, matrices, known, ascending, low_modes))
        if progress is not None:
            progress(done + 1, len(chosen))
    changes, gammas, exacts, extrapolated = (np.array(column) for column in zip(*found, strict=True))
    return StepScan(
        modes=np.asarray(chosen),
        steps=ascending,
        change=changes,
        slope=np.array([slope_of(ascending, row) for row in changes]),
        gamma_of_step=gammas,
        gamma_exact=exacts,
        gamma_extrapolated=extrapolated,
    )


def slope_of(steps: np.ndarray, changes: np.ndarray) -> float:
    """d ln(change) / d ln(step) by least squares from the step of the largest change on, or over all if that is last.

    Kinks show from the step on from which any pair crosses one, and fall from there; below it is truncation. NaN
    where less than two changes are positive.
    """
    largest = int(np.argmax(changes))
    begin = largest if largest < len(steps) - 1 else 0
    part = slice(begin, None)
    kept = changes[part] > 0.0
    if np.count_nonzero(kept) < 2:
        return float("nan")
    return float(np.polyfit(np.log(steps[part][kept]), np.log(changes[part][kept]), 1)[0])


def kink_share(
    atoms: Atoms,
    species: tuple[str, ...],
    radii: np.ndarray,
    displacements: np.ndarray,
    step: float,
    length: float | None = None,
) -> np.ndarray:
    """Share of each mode's squared bond stretch that is in pairs within reach of a radius of the potential: (modes,).

    Displaced by an rms ``step`` (Angstrom) along a mode, a pair ij changes its length by b = t (u_j - u_i) . r_ij/r.
    It is within reach of a radius R if |r - R| < |b|: then M_m(step) sees the kink that may be there. With a
    ``length`` (Angstrom) it is |r - R| < length for all pairs: a difference that moves single atoms by h takes 2 h.
    The share is sum b^2 of the pairs within reach of any of their radii over sum b^2 of all pairs closer than their
    largest radius, or within reach of it.

    ``radii`` (S, S, k) of every pair of ``species``, such as ``ldmd.potentials.ends.radius_table`` of a potential:
    then every radius where a part of it begins or ends to act counts as a kink. Whether a potential has one there is
    another question: see ``ldmd.potentials.kinks``, and repeat the radius that has one where the other has none.
    ``displacements`` (3N, modes) in any unit.
    """
    outer = radii.max(axis=2)
    margin = max(length or 0.0, 2.0 * largest_displacement(displacements, step))
    i, j, offsets = pairs_within(atoms, species, outer + margin)
    vectors = atoms.positions[j] + offsets - atoms.positions[i]
    distances = np.linalg.norm(vectors, axis=1)
    kinds = species_indices(atoms, species)
    of_pair = radii[kinds[i], kinds[j]]
    gaps = np.abs(distances[:, None] - of_pair).min(axis=1)
    beyond = distances - of_pair.max(axis=1)
    scale = step / _rms_motion(displacements)
    shares = []
    for column, factor in zip(displacements.T, scale, strict=True):
        motion = factor * column.reshape(-1, 3)
        stretch = np.abs(np.einsum("pa,pa->p", motion[j] - motion[i], vectors / distances[:, None]))
        limit = stretch if length is None else length
        squares = stretch**2
        total = float(squares[beyond < limit].sum())
        shares.append(float(squares[gaps < limit].sum()) / total if total > 0.0 else 0.0)
    return np.array(shares)


def _rms_motion(displacements: np.ndarray) -> np.ndarray:
    """(modes,) root mean square over the atoms of the length of their displacement."""
    return np.sqrt(3.0 * np.mean(displacements**2, axis=0))


def _scan_of(
    mode: int, matrices: list[sp.csr_array], known: sp.csr_array | None, steps: np.ndarray, low_modes: LowModes
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of one mode: relative changes (step,), linewidths of all steps, the exact and the extrapolated one."""
    masses = np.repeat(low_modes.modes.masses, 3)
    extrapolated = _extrapolated(matrices, steps, masses)
    target = extrapolated if known is None else known
    size = _norm(target, masses)
    changes = [_norm(matrix - target, masses) / size if size > 0.0 else np.nan for matrix in matrices]
    gammas = np.array([low_modes.linewidth(mode, matrix) for matrix in matrices])
    exact = np.full(low_modes.shape, np.nan) if known is None else low_modes.linewidth(mode, known)
    return np.array(changes), gammas, exact, low_modes.linewidth(mode, extrapolated)


def _extrapolated(matrices: list[sp.csr_array], steps: np.ndarray, masses: np.ndarray) -> sp.csr_array:
    """To step 0, from the two neighbouring steps that differ least."""
    differences = [_norm(far - near, masses) for near, far in itertools.pairwise(matrices)]
    k = int(np.argmin(differences))
    ratio = (steps[k + 1] / steps[k]) ** 2
    return sp.csr_array((ratio * matrices[k] - matrices[k + 1]) / (ratio - 1.0))


def _norm(matrix: sp.csr_array, masses: np.ndarray) -> float:
    coo = matrix.tocoo()
    return float(np.sqrt(np.sum(coo.data**2 / (masses[coo.row] * masses[coo.col]))))
