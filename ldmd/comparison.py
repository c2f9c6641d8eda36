"""The ledger from the lattice-dynamics to the molecular-dynamics conductivity, and its verdict.

Molecular dynamics is classical and holds all orders of anharmonicity; lattice dynamics here stops at third order but
can be classical or quantum. On the same cell, potential and temperature, the classical lattice value and the dynamics
must therefore agree unless third-order perturbation theory fails: that is the test. What separates the quantum
lattice value from the dynamics is booked as statistics (quantum to classical) and a rest that is not explained yet.

There are five verdicts. Where atoms diffuse, lattice dynamics does not apply. Where the dynamics failed a check that
its value rests on, or a conductivity is none that a solid can have, there is no verdict. Else the methods disagree if
they differ by more than the tolerance; if not, they agree where the 95 % interval of the difference is narrower than
the resolution that is asked for, and where it is wider the comparison is undecided.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Literal

from ldmd import exit_codes
from ldmd.results import Check, Estimate
from ldmd.verdict_sentence import Spoken, verdict_sentence

if TYPE_CHECKING:
    from ldmd.diffusion import Diffusion

Z_95 = 1.959964
"""Standard errors of a two-sided 95 % interval of a normal variable."""
RESOLUTION = 0.15
"""Half width of the 95 % interval of the difference, relative to the dynamics, up to which agreement is a verdict."""
SMALLEST, LARGEST = 1e-3, 1e6
"""W/(m K): less than any aerogel conducts, and more than was measured or predicted of the purest diamond."""
LOWERS_TRUST = frozenset(
    {
        "agrees with the running integral",
        "axes equivalent",
        "blocks for the running integral",
        "result unchanged by a longer slowest time",
        "running integral has a plateau",
        "running integral reaches beyond three times the slowest time",
    }
)
"""Checks of the dynamics that say how its value was estimated, not whether there is one: a verdict survives them.

Every other check of the dynamics bars a verdict where it fails: temperature, drift of the energy, momentum,
stationarity and mean of the flux, its sampling, and a run too short for its slowest time. The running integral is a
second reading of the same flux: where it has no plateau or disagrees it is told, and the interval of the spectrum
counts. Where a longer slowest time changes the result, that interval is already the wide one of the run alone.
"""

Verdict = Literal["agree", "disagree", "undecided", "does not apply", "no verdict"]

EXIT_CODES: dict[Verdict, int] = {
    "agree": exit_codes.AGREE,
    "disagree": exit_codes.DISAGREE,
    "undecided": exit_codes.UNDECIDED,
    "does not apply": exit_codes.NOT_APPLICABLE,
    "no verdict": exit_codes.DISAGREE,
}


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """One step on the way from the lattice to the dynamics value, W/(m K)."""

    name: str
    value: float
    standard_error: float
    explanation: str


@dataclasses.dataclass(frozen=True)
class RunLength:
    """How long the dynamics was."""

    duration: float  # ps, of one replica
    replicas: int = 1


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Do the two methods agree at the temperature of the dynamics, on the same cell?

    ``difference`` is lattice (classical QHGK) minus dynamics; ``sigmas`` the same in standard errors, on the side of
    the interval of the dynamics that the lattice value lies on.
    The ledger starts at ``start`` and its entries sum to ``dynamics - start``.
    """

    temperature: float
    lattice_classical: Estimate
    lattice_quantum: Estimate
    dynamics: Estimate
    dynamics_interval_95: tuple[float, float]
    difference: Estimate
    sigmas: float
    tolerance_sigma: float
    verdict: Verdict
    sentence: str
    ledger: tuple[LedgerEntry, ...]
    checks: tuple[Check, ...]
    start: Estimate
    """Where the ledger starts: ``lattice_quantum``, or what that is made from."""
    start_name: str = "lattice, Bose–Einstein"
    difference_interval_95: tuple[float, float] = (math.nan, math.nan)
    """W/(m K), of lattice minus dynamics; not symmetric where that of the dynamics is not."""
    resolved: float = math.nan
    """Half width of the 95 % interval of the difference, as a share of the value of the dynamics."""
    resolution: float = RESOLUTION
    """Up to which agreement is a verdict."""
    decisive_length: float = math.nan
    """ps of each replica that would decide what is undecided; NaN where nothing is, infinite where no length would."""
    barring: tuple[Check, ...] = ()
    """Failed checks that leave no verdict."""

    @property
    def agree(self) -> bool:
        """Whether the verdict is agreement."""
        return self.verdict == "agree"

    @property
    def exit_code(self) -> int:
        """Of the verdict by itself, whatever checks failed beside it."""
        return EXIT_CODES[self.verdict]


def compare(
    temperature: float,
    lattice_classical: float,
    lattice_quantum: float | Estimate,
    dynamics: Estimate,
    dynamics_interval_95: tuple[float, float],
    tolerance_sigma: float,
    lattice_error: float = 0.0,
    checks: tuple[Check, ...] = (),
    steps: tuple[LedgerEntry, ...] | None = None,
    start: tuple[str, Estimate] | None = None,
    basis: str = "",
    *,
    dynamics_checks: tuple[Check, ...] = (),
    resolution: float = RESOLUTION,
    run: RunLength | None = None,
    diffusion: Diffusion | None = None,
    quick: bool = False,
) -> Comparison:
    """Hold the classical lattice value against the dynamics; conductivities in W/(m K).

    ``steps`` lead from ``start`` (its name and value; ``lattice_quantum`` if not given) to ``lattice_classical``,
    where there is more between them than the statistics: wave vectors, and what counts as conduction. ``basis`` says
    what the classical value is computed on, where that is not the cell.

    The lattice values are exact for their minimum, force constants and broadening. ``lattice_error`` is the spread of
    the classical value over the minima that the dynamics visits (0 where none was looked at), or what is not known of
    a crystal; the quantum value gets the same relative error, unless it comes with its own. How much a glass's values
    depend on the broadening is a question for the diagnosis, not part of this error.

    The error of the dynamics is that of its 95 % interval. ``checks`` are those of the lattice; ``dynamics_checks``
    and those of ``dynamics`` decide whether there is a verdict at all, unless they are among ``LOWERS_TRUST``.
    ``run`` is how long the dynamics was, for the length that would decide; ``diffusion`` what its atoms did.
    """
    lattice = Estimate(lattice_classical, lattice_error, "W/(m K)")
    quantum = lattice_quantum if isinstance(lattice_quantum, Estimate) else _scaled(lattice_quantum, lattice)
    gap = _gap(lattice, dynamics, dynamics_interval_95)
    methods = (("lattice dynamics", lattice), ("molecular dynamics", dynamics))
    possible = tuple(possible_check(method, estimate.value) for method, estimate in methods)
    moving = () if diffusion is None else (diffusion.check,)
    deciding = (*possible, *dynamics_checks, *dynamics.checks)
    barring = tuple(check for check in deciding if not check.passed and check.name not in LOWERS_TRUST)
    verdict = _verdict(gap, tolerance_sigma, resolution, barring, diffusion)
    length = decisive_length(gap, resolution, run) if verdict == "undecided" else math.nan
    said = Spoken(temperature, lattice, dynamics, dynamics_interval_95, gap, basis, quick)
    named = {"start": quantum} if start is None else {"start_name": start[0], "start": start[1]}
    return Comparison(
        temperature=temperature,
        lattice_classical=lattice,
        lattice_quantum=quantum,
        dynamics=dynamics,
        dynamics_interval_95=dynamics_interval_95,
        difference=gap.difference,
        sigmas=gap.sigmas,
        tolerance_sigma=tolerance_sigma,
        verdict=verdict,
        sentence=verdict_sentence(verdict, said, resolution, barring, (length, run), diffusion),
        ledger=(*(_statistics(lattice, quantum) if steps is None else steps), _rest(gap)),
        checks=(*moving, *possible, *dynamics_checks, *checks),
        difference_interval_95=gap.interval_95,
        resolved=gap.resolved,
        resolution=resolution,
        decisive_length=length,
        barring=barring,
        **named,
    )


def _scaled(value: float, like: Estimate) -> Estimate:
    """A value with the relative error of another one."""
    relative = like.standard_error / like.value if like.value else math.nan
    return Estimate(value, abs(relative * value), "W/(m K)")


def _statistics(classical: Estimate, quantum: Estimate) -> tuple[LedgerEntry, ...]:
    meaning = "lattice dynamics with classical instead of Bose-Einstein occupations, as the dynamics has them"
    return (LedgerEntry("quantum statistics", classical.value - quantum.value, 0.0, meaning),)


def _rest(gap: Gap) -> LedgerEntry:
    meaning = "everything else: orders beyond the third, broadening, sampling error of the dynamics"
    return LedgerEntry("rest, unexplained", -gap.difference.value, gap.difference.standard_error, meaning)


@dataclasses.dataclass(frozen=True)
class Gap:
    """What lies between the two values, and how well it is known."""

    difference: Estimate
    """Lattice minus dynamics, W/(m K); its error is that of the side of the interval that the lattice value is on."""
    resolved: float
    """Half width of its 95 % interval, as a share of the value of the dynamics."""
    of_lattice: float
    """The part of it that the error of the lattice value makes by itself."""
    interval_95: tuple[float, float]
    """W/(m K), of the difference."""

    @property
    def sigmas(self) -> float:
        """The difference in standard errors; infinite for a difference without any error."""
        value, error = self.difference.value, self.difference.standard_error
        return value / error if error else math.copysign(math.inf, value) if value else 0.0


def _gap(lattice: Estimate, dynamics: Estimate, interval: tuple[float, float]) -> Gap:
    difference = lattice.value - dynamics.value
    low, high = interval
    side = (high - dynamics.value if difference > 0.0 else dynamics.value - low) / Z_95
    scale = abs(dynamics.value) or math.nan
    of_lattice = Z_95 * lattice.standard_error / scale
    resolved = math.hypot(0.5 * (high - low) / scale, of_lattice)
    error = Estimate(difference, math.hypot(side, lattice.standard_error), "W/(m K)")
    widths = (math.hypot(bound - dynamics.value, Z_95 * lattice.standard_error) for bound in (high, low))
    below, above = widths
    return Gap(error, resolved, of_lattice, (difference - below, difference + above))


def possible_check(method: str, value: float) -> Check:
    """Whether a conductivity, W/(m K), is one that a solid can have."""
    name = f"conductivity of {method} possible"
    advice = "no solid conducts like that: the value is none, look at the checks of the method and at its inputs"
    relation, limit = ("<=", LARGEST) if value >= SMALLEST else (">=", SMALLEST)
    return Check(name, value, relation, limit, "W/(m K)", advice)


def _verdict(
    gap: Gap, tolerance: float, resolution: float, barring: tuple[Check, ...], diffusion: Diffusion | None
) -> Verdict:
    if diffusion is not None and diffusion.found:
        return "does not apply"
    if barring or math.isnan(gap.sigmas):
        return "no verdict"
    if abs(gap.sigmas) > tolerance:
        return "disagree"
    return "agree" if gap.resolved <= resolution else "undecided"


def decisive_length(gap: Gap, resolution: float, run: RunLength | None) -> float:
    """Length of each replica, ps, at which the interval is as narrow as ``resolution``; NaN if that of now is unknown.

    The error of the dynamics falls with the length to the power ``ERROR_EXPONENT``, that of the lattice does not:
    infinite where the latter is too large by itself.
    """
    from ldmd.green_kubo.zero_frequency import ERROR_EXPONENT

    if run is None:
        return math.nan
    left = resolution**2 - gap.of_lattice**2
    if left <= 0.0:
        return math.inf
    return float(run.duration * ((gap.resolved**2 - gap.of_lattice**2) / left) ** (0.5 / ERROR_EXPONENT))
