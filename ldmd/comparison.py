"""The ledger from the lattice-dynamics to the molecular-dynamics conductivity, and its verdict.

Molecular dynamics is classical and holds all orders of anharmonicity; lattice dynamics here stops at third order but
can be classical or quantum. On the same cell, potential and temperature, the classical lattice value and the dynamics
must therefore agree unless third-order perturbation theory fails: that is the test. What separates the quantum
lattice value from the dynamics is booked as statistics (quantum to classical) and a rest that is not explained yet.
"""

from __future__ import annotations

import dataclasses
import math

from ldmd.results import Check, Estimate

Z_95 = 1.959964
"""Standard errors of a two-sided 95 % interval of a normal variable."""


@dataclasses.dataclass(frozen=True)
class LedgerEntry:
    """One step on the way from the lattice to the dynamics value, W/(m K)."""

    name: str
    value: float
    standard_error: float
    explanation: str


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Do the two methods agree at the temperature of the dynamics, on the same cell?

    ``difference`` is lattice (classical QHGK) minus dynamics; ``sigmas`` the same in standard errors.
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
    agree: bool
    sentence: str
    ledger: tuple[LedgerEntry, ...]
    checks: tuple[Check, ...]
    start: Estimate
    """Where the ledger starts: ``lattice_quantum``, or what that is made from."""
    start_name: str = "lattice, Bose–Einstein"


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
) -> Comparison:
    """Hold the classical lattice value against the dynamics; conductivities in W/(m K).

    ``steps`` lead from ``start`` (its name and value; ``lattice_quantum`` if not given) to ``lattice_classical``,
    where there is more between them than the statistics: wave vectors, and what counts as conduction. ``basis`` says
    what the classical value is computed on, where that is not the cell.

    The lattice values are exact for their minimum, force constants and broadening. ``lattice_error`` is the spread of
    the classical value over the minima that the dynamics visits (0 where none was looked at), or what is not known of
    a crystal; the quantum value gets the same relative error, unless it comes with its own. How much a glass's values
    depend on the broadening is a question for the diagnosis, not part of this error.
    """
    relative = lattice_error / lattice_classical
    quantum = (
        lattice_quantum
        if isinstance(lattice_quantum, Estimate)
        else Estimate(lattice_quantum, relative * lattice_quantum, "W/(m K)")
    )
    difference = lattice_classical - dynamics.value
    error = math.hypot(dynamics.standard_error, lattice_error)
    sigmas = difference / error
    agree = abs(sigmas) <= tolerance_sigma
    between = (
        LedgerEntry("quantum statistics", lattice_classical - quantum.value, 0.0,
                    "lattice dynamics with classical instead of Bose-Einstein occupations, as the dynamics has them"),
    )  # fmt: skip
    ledger = (
        *(between if steps is None else steps),
        LedgerEntry("rest, unexplained", -difference, error,
                    "everything else: orders beyond the third, broadening, sampling error of the dynamics"),
    )  # fmt: skip
    named = {"start": quantum} if start is None else {"start_name": start[0], "start": start[1]}
    return Comparison(
        temperature=temperature,
        lattice_classical=Estimate(lattice_classical, lattice_error, "W/(m K)"),
        lattice_quantum=quantum,
        dynamics=dynamics,
        dynamics_interval_95=dynamics_interval_95,
        difference=Estimate(difference, error, "W/(m K)"),
        sigmas=sigmas,
        tolerance_sigma=tolerance_sigma,
        agree=agree,
        sentence=_sentence(temperature, lattice_classical, dynamics, dynamics_interval_95, sigmas, agree, basis),
        ledger=ledger,
        checks=checks,
        **named,
    )


def _sentence(
    temperature: float,
    lattice: float,
    dynamics: Estimate,
    interval: tuple[float, float],
    sigmas: float,
    agree: bool,
    basis: str,
) -> str:
    """The verdict in words, with the width of its error bar: agreement within a wide one says little."""
    verdict = "agree" if agree else "disagree"
    resolution = 100.0 * Z_95 * dynamics.standard_error / dynamics.value
    low, high = interval
    on = f"classically {basis}" if basis else "classically"
    text = (
        f"Lattice dynamics and molecular dynamics {verdict} at {temperature:g} K: {lattice:.3g} W/(m K) "
        f"{on} against {dynamics.value:.3g} W/(m K) (95 % interval {low:.3g} to {high:.3g}), "
        f"{abs(sigmas):.1f} standard errors apart. The error bar of the dynamics is "
        f"\N{PLUS-MINUS SIGN}{resolution:.0f} %: smaller differences are not resolved."
    )
    if dynamics.trusted:
        return text
    doubt = "read them before trusting this" if agree else "until they pass, nothing is decided"
    return f"{text} Some checks of the dynamics failed: {doubt}."
