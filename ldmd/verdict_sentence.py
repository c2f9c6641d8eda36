"""The verdict of a comparison as a sentence: both values with their errors, and what would decide what is open."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from ldmd.results import Check, Estimate

if TYPE_CHECKING:
    from ldmd.comparison import Gap, RunLength, Verdict
    from ldmd.diffusion import Diffusion


@dataclasses.dataclass(frozen=True)
class Spoken:
    """The numbers of a sentence."""

    temperature: float
    lattice: Estimate
    dynamics: Estimate
    interval: tuple[float, float]
    gap: Gap
    basis: str
    quick: bool

    def beginning(self, words: str) -> str:
        return f"In a quick run, {words[0].lower()}{words[1:]}" if self.quick else words

    @property
    def values(self) -> str:
        """Both values with their errors."""
        low, high = self.interval
        on = f"classically {self.basis}" if self.basis else "classically"
        return (
            f"{with_error(self.lattice)} W/(m K) {on} against {with_error(self.dynamics)} W/(m K) "
            f"(95 % interval {low:.3g} to {high:.3g})"
        )

    @property
    def apart(self) -> str:
        return f"{abs(self.gap.sigmas):.1f} standard errors apart"


def with_error(estimate: Estimate) -> str:
    """The value with its error to two digits, or with three digits where no error is known (0 or not finite)."""
    value, error = estimate.value, estimate.standard_error
    if not (math.isfinite(value) and math.isfinite(error) and error > 0.0):
        return f"{value:.3g}"
    places = 1 - math.floor(math.log10(error))
    if not -3 <= places <= 6:
        return f"{value:.3g} \N{PLUS-MINUS SIGN} {error:.2g}"
    value, error = round(value, places), round(error, places)
    return f"{value:.{max(places, 0)}f} \N{PLUS-MINUS SIGN} {error:.{max(places, 0)}f}"


def verdict_sentence(
    verdict: Verdict,
    said: Spoken,
    resolution: float,
    barring: tuple[Check, ...],
    length: tuple[float, RunLength | None],
    diffusion: Diffusion | None,
) -> str:
    """The verdict in words, with the width of its error bar."""
    kelvin = f"{said.temperature:g} K"
    wide = f"\N{PLUS-MINUS SIGN}{100.0 * said.gap.resolved:.0f} %"
    if verdict == "does not apply" and diffusion is not None:
        head = said.beginning(f"Lattice dynamics does not apply at {kelvin}: {diffusion.sentence()}.")
        return f"{head} Its value describes vibrations about one minimum and is not compared: {said.values}."
    if verdict == "no verdict":
        head = said.beginning(f"Lattice dynamics and molecular dynamics cannot be compared at {kelvin}: {said.values}.")
        return f"{head} Until what failed is mended there is no verdict: {_names(barring)}."
    if verdict == "undecided":
        head = said.beginning(
            f"Whether lattice dynamics and molecular dynamics agree at {kelvin} is undecided: {said.values}, "
            f"{said.apart}."
        )
        return (
            f"{head} The error bar of the difference is {wide}, wider than the {100.0 * resolution:.3g} % "
            f"to be resolved. {_remedy(length, said, resolution)}"
        )
    text = said.beginning(
        f"Lattice dynamics and molecular dynamics {verdict} at {kelvin}: {said.values}, {said.apart}. "
        f"The error bar of the difference is {wide}: smaller differences are not resolved."
    )
    if said.dynamics.trusted:
        return text
    return f"{text} Some checks of the dynamics failed: read them before trusting this."


def _names(checks: tuple[Check, ...]) -> str:
    """The checks with their values and limits."""
    units = ["" if check.unit in ("", "1") else f" {check.unit}" for check in checks]
    return "; ".join(
        f"{check.name} is {check.value:.3g}, should be {check.relation} {check.threshold:.3g}{unit}"
        for check, unit in zip(checks, units, strict=True)
    )


def _remedy(length: tuple[float, RunLength | None], said: Spoken, resolution: float) -> str:
    """What would decide."""
    wanted, run = length
    if run is None or math.isnan(wanted):
        return "A longer run decides it."
    if math.isinf(wanted):
        share = 100.0 * said.gap.of_lattice
        return (
            f"No longer run decides it: the error of the lattice value alone is \N{PLUS-MINUS SIGN}{share:.0f} %; "
            "reduce that first."
        )
    replicas = f" in each of {run.replicas} replicas" if run.replicas > 1 else ""
    return f"Runs of about {rounded_up(wanted):g} ps{replicas}, now {run.duration:.3g} ps, would decide it."


def rounded_up(value: float) -> float:
    """A positive number rounded up to two significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")
