"""What an overview is made of: the potentials of a case side by side, each with what its own report holds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.report.contents import ReportContents
from ldmd.report.linewidth_figure import FlaggedModes, flagged_modes
from ldmd.report.text import count

if TYPE_CHECKING:
    from ldmd.comparison import Comparison

LOW_SHARE = 0.05
"""Share of the modes, from the lowest on, that count as low in frequency: some thirty in a cell of 216 atoms."""
NOT_COMPUTED = 2
"""Exit code of a potential that could not be computed."""


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
            return "structure not fit" if self.contents.conductivity is None else "lattice dynamics only"
        text = "agree" if self.comparison.agree else "disagree"
        return f"{text}, {count(failed, 'check')} failed" if failed else text

    def lattice(self, temperature: float, statistics: str) -> float:
        """QHGK conductivity, W/(m K); NaN where there is none."""
        conductivity = None if self.contents is None else self.contents.conductivity
        if conductivity is None or statistics not in conductivity.statistics:
            return math.nan
        return conductivity.isotropic(temperature, statistics)

    def flags(self, temperature: float) -> FlaggedModes | None:
        """Its linewidths at a temperature (K)."""
        if self.contents is None or self.contents.modes is None or self.contents.linewidths is None:
            return None
        return flagged_modes(self.contents.modes, self.contents.linewidths, temperature)


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

    @property
    def compared(self) -> tuple[Member, ...]:
        """Those with a verdict."""
        return tuple(member for member in self.members if member.comparison is not None)

    @property
    def exit_code(self) -> int:
        """The worst of the members."""
        return max(member.exit_code for member in self.members)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The verdicts that there are."""
        return tuple(member.comparison for member in self.members if member.comparison is not None)

    @property
    def agreed(self) -> int:
        """For how many potentials the methods agree."""
        return sum(comparison.agree for comparison in self.comparisons)
