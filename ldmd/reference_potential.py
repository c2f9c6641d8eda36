"""The potential that another one of the same case is held against: the linewidths of its modes as a reference.

In a case with several potentials of one and the same structure the first one is the reference of the others. Where each
potential has relaxed the structure on its own, a reference has to be named, and must be the same arrangement of atoms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.case import load_case, potentials_of
from ldmd.errors import InputError
from ldmd.problem import Problem, load_problem
from ldmd.workflow import Runner

if TYPE_CHECKING:
    from ldmd.diagnosis.evidence import Evidence
    from ldmd.lattice.modes import Modes

FARTHEST = 0.5
"""Angstrom, rms over the atoms of the way between two minima that are still called one arrangement."""
DIFFERENT_CELL = 0.1
"""Relative difference of lattice vectors beyond which they are not."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """A potential of the case, and what its results are kept with."""

    name: str
    runner: Runner

    def linewidths(self, modes: Modes, evidence: Evidence) -> np.ndarray:
        """Of the modes of the evidence, HWHM in rad/ps (mode,), under this potential; NaN without a counterpart."""
        from ldmd.diagnosis.reference import reference_linewidths

        lattice = self.runner.lattice()
        return reference_linewidths(modes, evidence.modes, lattice.modes, self._gamma(evidence))

    def _gamma(self, evidence: Evidence) -> np.ndarray:
        """All linewidths (3N,) with the kernel of the evidence."""
        from ldmd.lattice.broadening import broadening_named
        from ldmd.lattice.linewidths import linewidths

        problem, lattice = self.runner.problem, self.runner.lattice()
        found = lattice.linewidths
        if problem.settings.lattice.broadening == "self-consistent":
            kernel = broadening_named(evidence.kernel, evidence.width)
            found = linewidths(problem.third, lattice.modes, [evidence.temperature], [evidence.statistics], kernel)
        row = int(np.argmin(np.abs(found.temperatures - evidence.temperature)))
        return np.asarray(found.gamma[row, found.statistics.index(evidence.statistics)])


def reference_of(problem: Problem, name: str | None, provenance: Mapping[str, Any]) -> Reference | None:
    """The reference of that name, or the one that a case has without naming it, if it has one.

    Raises
    ------
    InputError
        For a name that is no other potential of the case, or one whose structure is another arrangement of atoms.
    """
    chosen = _implied(problem) if name is None else name
    if chosen is None:
        return None
    folder = problem.case.folder
    if problem.unit is not None:
        raise InputError("--reference", chosen, "of a crystal no linewidths are held against a reference")
    if not potentials_of(folder):
        raise InputError("--reference", chosen, "the case has one potential; list several [[potential]]")
    if chosen == problem.case.potential:
        raise InputError("--reference", chosen, "is the potential itself; name another one of the case")
    case = load_case(folder, chosen)
    other = load_problem(case, case.settings)
    _require_same_arrangement(problem, other, chosen)
    return Reference(chosen, Runner(other, other.store, provenance))


def _implied(problem: Problem) -> str | None:
    """The first potential of a case, where this is another one at the very same structure."""
    names = potentials_of(problem.case.folder)
    if problem.unit is not None or not names or problem.case.potential == names[0]:
        return None
    first = load_case(problem.case.folder, names[0], structure_needed=False)
    return names[0] if first.structure == problem.case.structure else None


def _require_same_arrangement(mine: Problem, other: Problem, name: str) -> None:
    from ldmd.structures import minimum_image

    if not other.inspection.usable:
        raise InputError("--reference", name, f"has no force constants; see ldmd check {other.case.on_command_line}")
    if not np.array_equal(mine.atoms.numbers, other.atoms.numbers):
        fix = f"has {len(other.atoms)} atoms, or others: relax the same structure with both"
        raise InputError("--reference", name, fix)
    cells = mine.atoms.cell.array, other.atoms.cell.array
    apart = np.abs(cells[0] - cells[1]).max() / np.abs(cells[0]).max()
    steps = minimum_image((mine.atoms.get_scaled_positions() - other.atoms.get_scaled_positions()) @ cells[0], cells[0])
    distance = float(np.sqrt(np.mean(np.sum((steps - steps.mean(axis=0)) ** 2, axis=1))))
    if apart > DIFFERENT_CELL or distance > FARTHEST:
        fix = (
            f"its atoms are {distance:.2f} Angstrom away (rms), its cell by {apart:.0%}: relax one structure with both"
        )
        raise InputError("--reference", name, fix)
