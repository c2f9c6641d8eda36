"""What an overview is made of: the potentials of a case side by side, each with what its own report holds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.exit_codes import WRONG_INPUT, worst
from ldmd.report.contents import ReportContents
from ldmd.report.crystal_parts import row_at, vibrating
from ldmd.report.lattice_figures import isotropic
from ldmd.report.linewidth_figure import FlaggedModes, flagged_modes
from ldmd.report.text import count
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.comparison import Comparison
    from ldmd.crystal.mesh import MeshConductivity

LOW_SHARE = 0.05
"""Share of the modes, from the lowest on, that count as low in frequency: some thirty in a cell of 216 atoms."""
NOT_COMPUTED = WRONG_INPUT
"""Exit code of a potential that could not be computed."""
LATTICE_ONLY = "lattice dynamics only"
VERDICTS = {
    "agree": "agree",
    "disagree": "disagree",
    "undecided": "undecided",
    "does not apply": "lattice dynamics does not apply",
    "no verdict": "no verdict",
}
"""In the words of the table."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Conductivity of the lattice (trace/3) against temperature: QHGK, or the best on the finest mesh of a crystal."""

    temperatures: np.ndarray
    """(T,) K."""
    statistics: tuple[str, ...]
    kappa: np.ndarray
    """(T, S) W/(m K)."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One potential of a case: what its report holds, or in one line why there is none and what to do about it."""

    name: str
    kind: str
    page: str
    """Its report, relative to the overview."""
    contents: ReportContents | None = None
    failure: str = ""
    remedy: str = ""

    @property
    def comparison(self) -> Comparison | None:
        """The verdict on this potential, if there is one."""
        return None if self.contents is None else self.contents.comparison

    @property
    def exit_code(self) -> int:
        """That of its own report, or ``NOT_COMPUTED``."""
        return NOT_COMPUTED if self.contents is None else self.contents.exit_code

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.contents is None:
            return "not computed"
        failed = len(self.contents.failed_checks)
        if self.comparison is None:
            return LATTICE_ONLY if self.contents.lattice_values else "structure not fit"
        text = VERDICTS[self.comparison.verdict]
        return f"{text}, {count(failed, 'check')} failed" if failed else text

    def lattice(self, temperature: float, statistics: str) -> float:
        """What a comparison takes from lattice dynamics, W/(m K); NaN where there is none.

        Of a glass QHGK; of a crystal that on the infinite mesh, but classically, where it is compared with dynamics,
        the value on the wave vectors of their box.
        """
        crystal = None if self.contents is None else self.contents.crystal
        if crystal is not None and statistics == "classical" and self.comparison is not None:
            return crystal.commensurate.isotropic(temperature, statistics, crystal.part)
        if crystal is not None:
            from ldmd.crystal.ledger import infinite

            found = dict(infinite(crystal.meshes, temperature)).get(statistics)
            return math.nan if found is None else found.value
        conductivity = None if self.contents is None else self.contents.conductivity
        if conductivity is None or statistics not in conductivity.statistics:
            return math.nan
        return conductivity.isotropic(temperature, statistics)

    @property
    def curve(self) -> Curve | None:
        """Conductivity of the lattice against temperature, if there is one."""
        if self.contents is None:
            return None
        crystal, glass = self.contents.crystal, self.contents.conductivity
        if crystal is not None:
            finest = crystal.finest
            return Curve(finest.temperatures, finest.statistics, isotropic(finest.tensor(crystal.part)))
        return None if glass is None else Curve(glass.temperatures, glass.statistics, isotropic(glass.qhgk))

    def flags(self, temperature: float) -> FlaggedModes | None:
        """Its linewidths at a temperature (K); of a crystal those of the finest mesh."""
        if self.contents is None:
            return None
        if self.contents.crystal is not None:
            return _of_mesh(self.contents.crystal.finest, temperature)
        if self.contents.modes is None or self.contents.linewidths is None:
            return None
        return flagged_modes(self.contents.modes, self.contents.linewidths, temperature)


def _of_mesh(result: MeshConductivity, temperature: float) -> FlaggedModes:
    """Modes of a mesh at those wave vectors that symmetry does not repeat, as far as they scatter at all."""
    from ldmd.crystal.mesh import least_linewidth

    row = row_at(result, temperature)
    every = {name: result.gamma[row, place] + result.isotopes for place, name in enumerate(result.statistics)}
    reference = "classical" if "classical" in every else result.statistics[0]
    keep = vibrating(result) & (every[reference] > least_linewidth(every[reference][vibrating(result)]))
    gamma = {name: values[keep] for name, values in every.items()}
    return FlaggedModes(
        index=np.flatnonzero(keep),
        frequency=result.frequencies[keep] / THZ,
        gamma=gamma,
        participation_ratio=np.ones(int(keep.sum())),
        overdamped=gamma[reference] > result.frequencies[keep],
        localised=np.zeros(int(keep.sum()), dtype=bool),
        temperature=float(result.temperatures[row]),
        reference=reference,
    )


def low_damping(flags: FlaggedModes) -> float:
    """Largest gamma/omega among the lowest ``LOW_SHARE`` of the modes."""
    order = np.argsort(flags.frequency)[: max(1, round(LOW_SHARE * len(flags.frequency)))]
    return float(flags.damping[order].max())


@dataclasses.dataclass(frozen=True)
class Overview:
    """A case with several potentials, all compared with the same settings but for the potential and its structure."""

    case_name: str
    title: str
    temperature: float  # K, of the dynamics
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    members: tuple[Member, ...]
    citations: tuple[str, ...] = ()
    quick: bool = False
    """Whether the runs were shortened for a first look."""

    @property
    def heading(self) -> str:
        """The title, which says so where the runs were quick."""
        return f"{self.title} (quick)" if self.quick else self.title

    @property
    def compared(self) -> tuple[Member, ...]:
        """Those with a verdict."""
        return tuple(member for member in self.members if member.comparison is not None)

    @property
    def alone(self) -> tuple[Member, ...]:
        """Those of which lattice dynamics is all there can be."""
        return tuple(member for member in self.members if member.verdict == LATTICE_ONLY)

    @property
    def of_crystals(self) -> bool:
        """Whether lattice dynamics has meshes of wave vectors."""
        return any(member.contents is not None and member.contents.crystal is not None for member in self.members)

    @property
    def exit_code(self) -> int:
        """The worst of the members, as ``ldmd.exit_codes`` orders them."""
        return worst(member.exit_code for member in self.members)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The verdicts that there are."""
        return tuple(member.comparison for member in self.members if member.comparison is not None)

    @property
    def agreed(self) -> int:
        """For how many potentials the methods agree."""
        return self.counted("agree")

    def counted(self, verdict: str) -> int:
        """For how many potentials this is the verdict."""
        return sum(comparison.verdict == verdict for comparison in self.comparisons)
