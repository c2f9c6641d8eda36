"""A reading: the evidence on one mode, as the verdict on it needs it.

Errors of force constants change a linewidth on average by their floor f (``ldmd.diagnosis.noise_floor``), and scatter
about that by their products with the true matrix elements, 2 sqrt(gamma f / N) for N effective channels, which may have
any sign. So errors with a floor of a hundredth of a linewidth that rests on few channels change it by a tenth. What is
expected is the root of the sum of both squares.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.thresholds import REMOVED, Thresholds

EXPLAINED = 3.0
"""Times the error that noise of forces makes of an element, up to which errors are put down to it,"""
SCATTERED = 10.0
"""and up to which the scatter of its measurements is: on a displaced atom and its neighbours rounding is larger."""
ACCURATE = 0.15
"""Expected relative error of a linewidth that was measured again, up to which it takes the place of an exact one."""
UNCHANGED = 1e-3
"""Relative: linewidths that restoring the symmetries changes by less obeyed them before."""

OTHERS = ("frequency", "scatter_ratio", "scatter_of_noise", "kernel_in_levels")
"""Numbers about a mode that are no columns of the evidence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """The evidence on one mode: the fields of ``Evidence`` as numbers, NaN where not measured."""

    mode: int
    source: str
    frequency: float
    gamma: float
    participation_ratio: float
    effective_channels: float
    top_two_share: float
    width_sensitivity: float
    gamma_self_consistent: float
    noise_floor: float
    diagonal_floor: float
    scatter_floor: float
    truncation: float
    gamma_exact: float
    gamma_remeasured: float
    floor_remeasured: float
    gamma_at_amplitude: float
    gamma_projected: float
    gamma_reference: float
    slope: float
    kink_share: float
    gamma_of_step: tuple[float, ...]
    kink_here: bool
    """Finite steps along this mode show a kink,"""
    kink_anywhere: bool
    """or those along another mode: the force constants then were made across it as well."""
    atoms: int
    scatter_ratio: float
    scatter_of_noise: float
    kernel_in_levels: float
    """Width of the kernel over the mean distance between frequencies of the cell."""

    @classmethod
    def of(cls, evidence: Evidence, row: int, scale: float, kinked: np.ndarray) -> Reading:
        """The meters of one row; the noise floor scaled."""
        names = [field.name for field in dataclasses.fields(cls) if field.type == "float" and field.name not in OTHERS]
        values = {name: float(getattr(evidence, name)[row]) for name in names}
        values["noise_floor"] *= scale
        return cls(
            mode=int(evidence.modes[row]),
            source=evidence.source,
            frequency=float(evidence.frequencies[row]),
            gamma_of_step=tuple(float(value) for value in evidence.gamma_of_step[row]),
            kink_here=bool(kinked[row]),
            kink_anywhere=bool(kinked.any()),
            atoms=evidence.atoms,
            scatter_ratio=evidence.scatter,
            scatter_of_noise=evidence.scatter_of_noise,
            kernel_in_levels=evidence.width / evidence.spacing,
            **values,
        )

    @property
    def exact(self) -> float:
        """The linewidth of the exact derivative, rad/ps: that in use, or the better one."""
        return self.gamma if self.source == "autodiff" and math.isnan(self.gamma_exact) else self.better

    @property
    def better(self) -> float:
        """Another linewidth than that in use, rad/ps: by exact derivatives, or an accurate second measurement."""
        if not math.isnan(self.gamma_exact):
            return self.gamma_exact
        return self.gamma_remeasured if self._accurate else math.nan

    @property
    def better_by(self) -> str:
        """Where that comes from."""
        return "forces along modes" if math.isnan(self.gamma_exact) else "automatic differentiation"

    @property
    def _accurate(self) -> bool:
        gamma = self.gamma_remeasured
        return expected_change(gamma, self.floor_remeasured, self.effective_channels) <= ACCURATE * gamma

    @property
    def noise(self) -> float:
        """By what independent errors are expected to change the linewidth, rad/ps.

        Those that the sum rules show, or that repeated measurements show, if they can be noise.
        """
        floor = max(self.noise_floor, 0.0 if self._scatter_of_bends else self._scatter)
        return expected_change(self.gamma, floor, self.effective_channels)

    @property
    def truncated(self) -> float:
        """By what the step of the finite differences is expected to change it, rad/ps.

        With typical bends of the potential, or with those sharper ones that repeated measurements show, which differ
        by far more than noise explains.
        """
        bends = self._scatter if self._scatter_of_bends else 0.0
        return max(abs(self.truncation) * self.gamma, expected_change(self.gamma, bends, self.effective_channels))

    @property
    def _scatter(self) -> float:
        return 0.0 if math.isnan(self.scatter_floor) else self.scatter_floor

    @property
    def _scatter_of_bends(self) -> bool:
        return self.scatter_of_noise > SCATTERED

    @property
    def diagonal(self) -> float:
        """By what errors of the diagonal are expected to change it, rad/ps."""
        return expected_change(self.gamma, self.diagonal_floor, self.effective_channels)

    def absent(self, *names: str) -> tuple[str, ...]:
        """Those of some meters that were not read."""
        return tuple(name for name in names if math.isnan(getattr(self, name)))


def expected_change(gamma: float, floor: float, channels: float) -> float:
    """By what errors of this floor change a linewidth, rad/ps: the floor, and products with true matrix elements.

    The products may have any sign, and scatter; of unknown ``channels`` there are many. NaN for a ``gamma`` below zero.
    """
    if math.isnan(floor) or not gamma >= 0.0:
        return math.nan
    products = 0.0 if math.isnan(channels) else 2.0 * math.sqrt(gamma * floor / max(channels, 1.0))
    return math.hypot(floor, products)


def better_linewidths(evidence: Evidence) -> np.ndarray:
    """Better linewidths (mode,) than those in use, rad/ps: ``Reading.better``."""
    return np.array([one.better for one in readings(evidence, Thresholds())])


def readings(evidence: Evidence, limits: Thresholds) -> list[Reading]:
    """Of every mode, in their order."""
    scale, kinked = noise_scale(evidence), falls_as_kinks_do(evidence, limits)
    return [Reading.of(evidence, row, scale, kinked) for row in range(len(evidence.modes))]


def noise_scale(evidence: Evidence) -> float:
    """How much of its floor noise can be, at most 1: what restoring the symmetries took away, over what it should.

    Rounding and truncation break the sum rules too, but add less to the linewidths than independent errors that break
    them as much would; and restoring the symmetries takes most of what independent errors add. The median over the
    modes counts, for one of them may change by little by chance. 1 where nothing was restored, or nothing was left to
    restore: noise that was projected is still noise. And 1 where the noise of the forces explains the errors: of noise
    of forces on the atoms far from those that are displaced restoring takes little, and all of it counts.
    """
    predicted = evidence.sigma_force / (2.0 * evidence.displacement**2)
    if predicted * EXPLAINED >= evidence.sigma_elements:
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(evidence.gamma - evidence.gamma_projected)
        removed = change / (REMOVED * evidence.noise_floor)
    known = removed[np.isfinite(removed)]
    if not known.size or not np.any(change > UNCHANGED * evidence.gamma):
        return 1.0
    return min(1.0, float(np.median(known)))


def falls_as_kinks_do(evidence: Evidence, limits: Thresholds) -> np.ndarray:
    """Mask (mode,): finite steps along the mode show a kink, of which pairs that it stretches are in reach."""
    slope = (evidence.slope >= limits.kink_slope_lowest) & (evidence.slope <= limits.kink_slope_highest)
    return np.asarray(slope & (evidence.kink_share >= limits.kink_share))


def difference(first: float, second: float) -> float:
    """By what share the larger of two linewidths exceeds the smaller; NaN where one is not known."""
    low, high = min(first, second), max(first, second)
    if math.isnan(first) or math.isnan(second):
        return math.nan
    return float(np.divide(high, low)) - 1.0 if low > 0.0 else (0.0 if high == low else math.inf)
