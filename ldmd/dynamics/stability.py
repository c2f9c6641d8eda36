"""When a run of the dynamics is stopped: what it would still compute is no longer the solid that was asked for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ldmd.units import BOLTZMANN

HOTTER, HOT = 5.0, 1000.0
"""Times the target temperature, and K beyond that: more than the smallest cell ever fluctuates or a structure that
changes its phase at a low temperature sets free."""
GAINED = 0.25
"""Of the thermal energy 3 k_B T per atom: what the total energy may change by at constant energy."""
CLOSEST = 0.5
"""Angstrom between two atoms: no bond is shorter than 0.74, and few potentials know what is below 0.5."""
FIX = "stopped, samples before that are kept; shorten the time step, or examine the potential: ldmd potential check"


class Unstable(FloatingPointError):
    """The dynamics blew up; the text says when, how and what to do."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a run may not exceed."""

    target: float = math.inf
    """K; no limit where it is infinite."""

    @property
    def hottest(self) -> float:
        """K, of a single sample."""
        return HOTTER * self.target + HOT

    def require_cool(self, temperatures: np.ndarray, time: float) -> None:
        """Refuse temperatures (n,), K, of the samples before ``time`` (ps).

        Raises
        ------
        Unstable
            Where one is above the limit.
        """
        if len(temperatures) and not (highest := float(np.max(temperatures))) <= self.hottest:
            found = f"the temperature rose to {highest:.0f} K near {time:.3g} ps, the target is {self.target:g} K"
            raise Unstable(f"{found}: {FIX}")

    def require_constant(self, energies: np.ndarray, start: float, time: float) -> None:
        """Refuse energies per atom (n,), eV, of samples at constant energy before ``time`` (ps).

        Raises
        ------
        Unstable
            Where one differs from that at the start by more than a quarter of the thermal energy.
        """
        thermal = 3.0 * BOLTZMANN * self.target
        if not (change := float(np.max(np.abs(energies - start)))) <= GAINED * thermal:
            share = f"{change / thermal:.2g} times 3 kT"
            found = f"the energy changed by {change:.2g} eV per atom up to {time:.3g} ps, {share}"
            raise Unstable(f"{found}: {FIX}")


def require_apart(closest: float, time: float) -> None:
    """Refuse a smallest distance of two atoms, Angstrom, at a ``time`` (ps).

    Raises
    ------
    Unstable
        Where it is below ``CLOSEST``.
    """
    if not closest >= CLOSEST:
        raise Unstable(f"two atoms came within {closest:.2f} Angstrom of each other at {time:.3g} ps: {FIX}")
