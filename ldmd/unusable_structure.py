"""Why a structure has no usable force constants: pairs at the edges of cutoffs, their jumps, the modes that feel them.

Inside a switching region the curvature of a potential is large, at its ends it jumps. Across a jump there is no second
derivative, and finite differences with a step h see J/h of it in the third one; a derivative taken at one side of it
belongs to a potential that the atoms leave as soon as they move.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.problem import Problem
from ldmd.results import Check
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.inspection import Inspection
    from ldmd.potentials.base import SitePotential

PAIRS = 15
"""Named: the nearest to their cutoff."""
STEP = 0.01
"""Angstrom, usual in finite differences."""
TOUCHED = 8
"""Modes named: those that stretch the pairs most."""


@dataclasses.dataclass(frozen=True)
class PairAtEdge:
    """A pair inside a switching region."""

    first: str
    """Species and number of an atom, as in "O410"."""
    second: str
    distance: float  # Angstrom
    cutoff: float  # Angstrom
    curvature_jump: float  # eV/Angstrom^2
    """As this pair crosses the cutoff and all other atoms rest."""


@dataclasses.dataclass(frozen=True)
class TouchedMode:
    """A mode that stretches pairs near a kink."""

    mode: int
    frequency: float  # rad/ps
    share: float
    """Of its squared bond stretch."""


@dataclasses.dataclass(frozen=True)
class Unusable:
    """What is wrong with a structure."""

    failed: tuple[Check, ...]
    count: int
    """Pairs inside a switching region, of which ``pairs`` are the nearest to their cutoff."""
    pairs: tuple[PairAtEdge, ...] = ()
    modes: tuple[TouchedMode, ...] = ()
    """The most touched first; the highest mode of all is last."""

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield "force constants are unusable here:"
        for check in self.failed:
            yield f"  {check.name} = {check.value:.4g} {check.unit}: {check.advice}"
        for pair in self.pairs:
            inside = f"{pair.cutoff - pair.distance:.5f} inside the cutoff {pair.cutoff:.2f}"
            jump = f"where the curvature jumps by {pair.curvature_jump:.0f} eV/Angstrom^2"
            yield f"  {pair.first}-{pair.second} at {pair.distance:.5f} Angstrom, {inside}, {jump}"
        if self.count > len(self.pairs):
            yield f"  and {self.count - len(self.pairs)} more"
        if self.pairs and self.modes:
            largest = max(pair.curvature_jump for pair in self.pairs) / STEP
            yield f"  differences with a step of {STEP:g} Angstrom make {largest:.1e} eV/Angstrom^3 of such a jump"
            yield "modes that stretch these pairs most (share of the squared stretch of their bonds):"
            for mode in self.modes[:-1]:
                yield f"  mode {mode.mode} at {mode.frequency / THZ:.2f} THz: {mode.share:.0%}"
            highest = self.modes[-1]
            yield f"highest mode: {highest.mode} at {highest.frequency / THZ:.2f} THz, of which {highest.share:.0%}"

    def as_json(self) -> dict[str, Any]:
        """For programs; frequencies angular in rad/ps."""
        return {
            "usable": False,
            "why": list(self.lines()),
            "pairs_in_switching_regions": self.count,
            "pairs": [dataclasses.asdict(pair) for pair in self.pairs],
            "modes": [dataclasses.asdict(mode) for mode in self.modes],
        }


def unusable(problem: Problem) -> Unusable:
    """Of a structure whose inspection says so."""
    inspection, potential = problem.inspection, problem.differentiable
    failed = tuple(check for check in inspection.checks if not check.passed)
    count = len(inspection.switching_pairs)
    if potential is None or not count:
        return Unusable(failed, count)
    return Unusable(failed, count, _pairs(problem, inspection, potential), _modes(problem, potential))


def _pairs(problem: Problem, inspection: Inspection, potential: SitePotential) -> tuple[PairAtEdge, ...]:
    from ldmd.potentials.kinks import curvature_jumps
    from ldmd.potentials.subjects import site_subject

    chosen, outer = inspection.switching_pairs[:PAIRS].astype(int), inspection.outer_cutoffs[:PAIRS]
    jumps = curvature_jumps(site_subject(potential).energy_and_forces, problem.atoms, chosen, outer)
    names = [f"{symbol}{number}" for number, symbol in enumerate(inspection.symbols)]
    return tuple(
        PairAtEdge(names[i], names[j], float(distance), float(cutoff), float(jump))
        for (i, j), distance, cutoff, jump in zip(
            chosen.tolist(), inspection.switching_distances[:PAIRS], outer, jumps, strict=True
        )
    )


def _modes(problem: Problem, potential: SitePotential) -> tuple[TouchedMode, ...]:
    from ldmd.diagnosis.directional import STEPS, kink_share
    from ldmd.lattice.modes import normal_modes
    from ldmd.potentials.ends import radius_table

    modes, largest = normal_modes(problem.second, problem.atoms.get_masses()), max(STEPS)
    rows = np.flatnonzero(modes.vibrating)
    motions = modes.displacements[:, rows]
    share = kink_share(problem.atoms, potential.species, radius_table(potential), motions, largest, largest)
    places = [*np.argsort(-share)[:TOUCHED].tolist(), len(rows) - 1]
    return tuple(TouchedMode(int(rows[n]), float(modes.frequencies[rows[n]]), float(share[n])) for n in places)
