"""Thresholds of the verdicts: what counts as how much.

Those of errors follow from what a linewidth is asked to be good for; those of soft modes, resonances and kinks were
chosen on realisations of planted causes that are not those on which the rates of recognition were measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any


def _limit(default: float, unit: str, why: str) -> Any:
    return dataclasses.field(default=default, metadata={"unit": unit, "description": why})


REMOVED = 2.0 / 3.0
"""Share of the linewidth from independent errors that restoring the symmetries takes away, or somewhat less."""


SIGNAL_TO_NOISE = 3.0
"""Of a linewidth that is known: at most a third of it is the floor."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What counts as how much; each is explained where the verdicts are reported (``explained``)."""

    signal_to_noise: float = _limit(
        4.0,
        "1",
        "errors are to blame where the linewidth is below so many times what they are expected to change it by",
    )
    relative_change: float = _limit(
        0.3, "1", "two linewidths differ where the larger is above the smaller by more than this share"
    )
    explained_share: float = _limit(
        0.25, "1", "a cause explains a difference of linewidths if it accounts for at least this share of it"
    )
    kink_share: float = _limit(
        0.02, "1", "a mode feels a kink where pairs near one carry at least this share of its squared bond stretch"
    )
    kink_slope_lowest: float = _limit(-1.5, "1", "a steeper fall of the change with the step is round-off, not a kink")
    kink_slope_highest: float = _limit(-0.4, "1", "a flatter one is convergence or truncation, not a kink")
    disagreement: float = _limit(
        30.0,
        "1",
        "repeated measurements of elements that differ so many times as much as expected condemn every linewidth: a "
        "single pair at a kink spoils few elements, but all modes",
    )
    participation_ratio: float = _limit(0.2, "1", "a mode is localised below this participation ratio,")
    few_atoms: float = _limit(20.0, "atoms", "or where it moves fewer atoms than that")
    softness: float = _limit(0.2, "1", "a localised mode is soft if its linewidth is above this part of its frequency")
    effective_channels: float = _limit(10.0, "1", "below so many effective channels a linewidth rests on a few")
    top_two_share: float = _limit(0.5, "1", "so do those of which the two strongest channels make more than this")
    width_sensitivity: float = _limit(
        -0.5, "1", "d ln(linewidth) / d ln(width of the kernel) below which the kernel decides: -1 for one resonance"
    )
    ioffe_regel: float = _limit(
        1.0 / math.pi, "1", "linewidth (HWHM) over angular frequency above which a mode is no oscillation"
    )
    self_consistent_ratio: float = _limit(
        2.0, "1", "a resonance is accidental where lines that broaden each other are narrower by this factor,"
    )
    resolved_ratio: float = _limit(
        1.5, "1", "or by this one where the kernel is narrower than the mean distance between frequencies of the cell"
    )

    def explained(self) -> Iterator[tuple[str, float, str, str]]:
        """Name, value, unit and meaning of every threshold, for the report."""
        for field in dataclasses.fields(self):
            yield field.name, getattr(self, field.name), field.metadata["unit"], field.metadata["description"]
