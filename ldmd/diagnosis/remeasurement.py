"""A second measurement of single linewidths: forces of a black box with all atoms moved along two modes at once.

Third-order force constants by differences displace two atoms, and a matrix element phi_mnl sums the noise of all of
them. For one mode m its phi_mnl can be measured as they stand: with x = h u_m + d u_n (u the motion of the atoms for a
unit normal coordinate, amu^-1/2; F(x) the forces on the displaced atoms),

    A_nl = -[F(h u_m + d u_n) - F(h u_m - d u_n) - F(-h u_m + d u_n) + F(-h u_m - d u_n)] . u_l / (4 h d),

which is phi_mnl up to noise and truncation: four evaluations for each pair (m, n), for all l. The step s is how far
the atoms move that a mode moves, h = s / a(u_m) with a(u)^2 = sum_i |u_i|^4 / sum_i |u_i|^2. In modes that move all N
atoms alike noise of forces sigma_F then makes an error of standard deviation sigma_F sqrt(N) a(u_m) a(u_n) a(u_l) /
(2 s^2): of single atoms displaced by s it would be N times as much (every element once), since here all atoms move in
every evaluation.

A_nl and A_ln are two measurements of one number, and the noise of one knows nothing of the other. So

    phi^2 ~ A_nl A_ln    has no floor, and    e^2 = (A_nl - A_ln)^2 / 4

is the noise of their mean as it is, with no model of it. In the golden rule the one gives the linewidth, the other the
floor of errors of its measurement (``ldmd.diagnosis.noise_floor``). Truncation (~ s^2) and kinks are in both and do not
show.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np

from ldmd.diagnosis.evidence import Evidence, unmeasured
from ldmd.diagnosis.low_modes import LowModes
from ldmd.diagnosis.reading import Reading, readings
from ldmd.diagnosis.thresholds import Thresholds
from ldmd.force_constants.steps import Step, best_size
from ldmd.lattice.modes import Modes
from ldmd.potentials.evaluations import Displacement

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.lattice.broadening import Broadening

DOUBTFUL = 0.05
"""Relative change that errors are expected to make, above which a linewidth is measured again."""
SIGNS = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))
"""Of the displacements along two modes in a mixed difference; their product is the weight."""
MOST = 12
"""Linewidths that are measured again, the lowest first: 12 N evaluations each."""


class Answers(Protocol):
    """Forces (N, 3) in eV/Angstrom by the number of the configuration."""

    def __getitem__(self, number: int, /) -> np.ndarray:
        """Of one configuration."""
        ...


class ForceEvaluations(Protocol):
    """Forces in displaced configurations, such as ``ldmd.potentials.evaluations.Evaluations`` has them."""

    def forces(self, atoms: Atoms, displacements: Sequence[Displacement], description: str, /) -> Answers:
        """Of each of them."""
        ...


def collective_step(step: Step, atoms: int) -> float:
    """The displacement (Angstrom) along modes where noise and truncation are about equal.

    ``step`` tells the noise and the bending as differences of single atoms show them; the noise being N times smaller,
    the best step is N^(-1/4) of theirs.
    """
    return best_size(3, step.sigma, step.bending) * atoms**-0.25


def remeasured(
    evidence: Evidence,
    modes: Modes,
    atoms: Atoms,
    broadening: Broadening,
    evaluations: ForceEvaluations,
    step: float,
) -> Evidence:
    """The evidence with linewidths of the lowest doubtful modes measured again, if the black box is all there is.

    Nothing is measured where exact derivatives are known. ``step`` is how far atoms move, Angstrom.

    Raises
    ------
    InputError
        Where the black box fails; what it has answered is kept.
    """
    rows = doubtful(evidence)[:MOST]
    if not len(rows):
        return evidence
    low_modes = LowModes(modes, (evidence.temperature,), (evidence.statistics,), broadening)
    gamma, floor = unmeasured(len(evidence.modes)), unmeasured(len(evidence.modes))
    chosen = [int(mode) for mode in evidence.modes[rows]]
    found = matrix_elements(chosen, modes, atoms, evaluations, step)
    for row, mode, elements in zip(rows, chosen, found, strict=True):
        gamma[row], floor[row] = linewidth_and_floor(mode, elements, low_modes)
    return dataclasses.replace(evidence, gamma_remeasured=gamma, floor_remeasured=floor, step_remeasured=step)


def doubtful(evidence: Evidence, limits: Thresholds | None = None) -> np.ndarray:
    """Rows of modes whose linewidths errors may have changed, exact derivatives not being known."""
    limits = limits or Thresholds()
    return np.array([row for row, one in enumerate(readings(evidence, limits)) if _in_doubt(one, limits)], dtype=int)


def matrix_elements(
    chosen: Sequence[int], modes: Modes, atoms: Atoms, evaluations: ForceEvaluations, step: float
) -> Iterator[np.ndarray]:
    """A_nl (modes, modes) in eV/Angstrom^3 amu^-3/2 for every chosen mode m, an index among all 3N.

    n (displaced) and l (projected on) are the vibrating modes.
    """
    motions = modes.displacements[:, modes.vibrating]
    firsts = modes.displacements[:, list(chosen)]
    h, d = step / amplitude(firsts), step / amplitude(motions)
    moves = _Moves(h * firsts, d * motions)
    forces = evaluations.forces(atoms, moves, f"forces along {len(chosen)} modes in doubt")
    for m in range(len(chosen)):
        result = np.empty((len(d), len(d)))
        for n in range(len(d)):
            start = (m * len(d) + n) * len(SIGNS)
            mixed = sum(a * b * forces[start + k] for k, (a, b) in enumerate(SIGNS))
            result[n] = -(np.ravel(mixed) @ motions) / (4.0 * h[m] * d[n])
        yield result


@dataclasses.dataclass(frozen=True)
class _Moves(Sequence[Displacement]):
    """Displacements along all pairs of two sets of motions with all signs, made when asked for: they are many."""

    firsts: np.ndarray
    """(3N, m), Angstrom."""
    others: np.ndarray
    """(3N, n), Angstrom."""

    def __len__(self) -> int:
        return len(SIGNS) * self.firsts.shape[1] * self.others.shape[1]

    @overload
    def __getitem__(self, number: int, /) -> Displacement: ...
    @overload
    def __getitem__(self, number: slice, /) -> list[Displacement]: ...
    def __getitem__(self, number: int | slice, /) -> Displacement | list[Displacement]:
        """Ordered by the first motion, then the other one, then the signs."""
        if isinstance(number, slice):
            return [self[n] for n in range(len(self))[number]]
        pair, sign = divmod(range(len(self))[number], len(SIGNS))
        m, n = divmod(pair, self.others.shape[1])
        moved = SIGNS[sign][0] * self.firsts[:, m] + SIGNS[sign][1] * self.others[:, n]
        return tuple((atom, (x, y, z)) for atom, (x, y, z) in enumerate(moved.reshape(-1, 3).tolist()))


def linewidth_and_floor(mode: int, elements: np.ndarray, low_modes: LowModes) -> tuple[float, float]:
    """The linewidth without the floor of its own errors, and that floor; rad/ps, HWHM."""
    both = (0.5 * (elements + elements.T), 0.5 * (elements - elements.T))
    mean, error = (float(low_modes.linewidth_of_elements(mode, part).item()) for part in both)
    return mean - error, error


def amplitude(displacements: np.ndarray) -> np.ndarray:
    """a(u) (modes,) of displacements (3N, modes): the length of those of the atoms that take part."""
    squares = np.sum(displacements.reshape(len(displacements) // 3, 3, -1) ** 2, axis=1)
    return np.asarray(np.sqrt(np.sum(squares**2, axis=0) / np.sum(squares, axis=0)))


def _in_doubt(one: Reading, limits: Thresholds) -> bool:
    if not (one.gamma > 0.0 and math.isnan(one.exact)):
        return False
    enough = DOUBTFUL * one.gamma
    changes = (one.noise, one.diagonal, one.truncated, abs(one.gamma - one.gamma_projected))
    unknown = math.isnan(one.noise_floor) or math.isnan(one.truncation)
    return unknown or one.scatter_ratio > limits.disagreement or any(change > enough for change in changes)
