"""The ledger from the lattice-dynamics to the molecular-dynamics conductivity, and its verdict."""

from __future__ import annotations

import dataclasses

from ldmd.results import Check, Estimate


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
    The ledger starts at ``lattice_quantum`` and its entries sum to ``dynamics - lattice_quantum``.
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
