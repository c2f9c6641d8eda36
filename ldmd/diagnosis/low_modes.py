"""Linewidths of single modes from nothing but Phi3 contracted with each of them.

gamma_m needs phi_mnl for one m only, and with M_m = Phi3 . u_m (u_m the motion of the atoms in the mode, eigenvector
over sqrt(mass), amu^-1/2) that is phi_mnl = u_n^T M_m u_l. So the golden rule is evaluated as it stands, mode by mode,

gamma_m = (pi hbar / 16) sum_nl |phi_mnl|^2 / (w_m w_n w_l)
          { (1 + n_n + n_l) delta(w_m - w_n - w_l) + 2 (n_n - n_l) delta(w_m + w_n - w_l) }    (HWHM, rad/ps)

over all ordered pairs. It costs twice what ``ldmd.lattice.linewidths`` takes for the same modes, which visits every
triplet once, but asks for no operator: M_m may come from differences of Hessians along the mode
(``ldmd.diagnosis.directional``), where Phi3 as a whole would be out of reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from ldmd.errors import InputError
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.linewidths import PREFACTOR
from ldmd.lattice.modes import Modes
from ldmd.lattice.visit import Table, table_of

Contraction: TypeAlias = "np.ndarray | sp.csr_array"
"""M_m (3N, 3N) in eV/Angstrom^3 amu^-1/2, symmetric."""

Squares: TypeAlias = Callable[[slice], np.ndarray]
"""|phi_mnl|^2 / (w_n w_l) for some modes n and a window of modes l: (n, window)."""
PANEL = 32
"""Modes n at a time."""


class LowModes:
    """Linewidths of chosen modes at some temperatures and statistics, for a kernel."""

    def __init__(
        self, modes: Modes, temperatures: Sequence[float], statistics: Sequence[str], broadening: Broadening
    ) -> None:
        self.modes = modes
        self.shape = (len(temperatures), len(statistics))
        self._table = table_of(modes, temperatures, statistics, broadening)

    def linewidth(self, mode: int, contraction: Contraction) -> np.ndarray:
        """gamma (temperature, statistics) in rad/ps, HWHM, of a mode (an index among all 3N) from its M_m.

        Raises
        ------
        InputError
            For a mode that does not vibrate, or a matrix of the wrong size.
        """
        size, displacements = len(self.modes.frequencies), self._table.displacements
        self._require_vibrating(mode)
        if contraction.shape != (size, size):
            raise InputError("contraction of Phi3", contraction.shape, f"give a matrix of {size} x {size}")

        def squares(n: slice) -> Squares:
            half = np.asarray(contraction @ displacements[:, n]).T
            return lambda window: np.square(half @ displacements[:, window])

        return self._golden_rule(mode, squares)

    def linewidth_of_elements(self, mode: int, elements: np.ndarray) -> np.ndarray:
        """The same from phi_mnl (modes, modes) of all vibrating n and l, in eV/Angstrom^3 amu^-3/2.

        Raises
        ------
        InputError
            For a mode that does not vibrate, or a matrix of the wrong size.
        """
        frequencies = self._table.frequencies
        self._require_vibrating(mode)
        if elements.shape != (len(frequencies), len(frequencies)):
            raise InputError("elements of Phi3", elements.shape, f"there are {len(frequencies)} modes that vibrate")
        scaled = np.square(elements) / np.outer(frequencies, frequencies)
        return self._golden_rule(mode, lambda n: lambda window: scaled[n, window])

    def _require_vibrating(self, mode: int) -> None:
        if not (0 <= mode < len(self.modes.frequencies) and self.modes.vibrating[mode]):
            raise InputError("mode", mode, "is a translation, imaginary, or not there; it has no linewidth")

    def _golden_rule(self, mode: int, squares: Callable[[slice], Squares]) -> np.ndarray:
        return _golden_rule(self.modes.frequencies[mode], squares, self._table).reshape(self.shape)

    def linewidths(self, chosen: Sequence[int], contractions: Sequence[Contraction]) -> np.ndarray:
        """The same for several modes: (mode, temperature, statistics)."""
        found = [self.linewidth(mode, matrix) for mode, matrix in zip(chosen, contractions, strict=True)]
        return np.array(found).reshape(len(found), *self.shape)


def _golden_rule(frequency: float, squares: Callable[[slice], Squares], table: Table) -> np.ndarray:
    """gamma (temperatures and statistics,) of a mode of this frequency, from |phi|^2 over w_n w_l for panels of n."""
    frequencies = table.frequencies
    occupations, vacuum = table.occupations[:, :-1], table.vacuum[:-1]
    total = np.zeros(len(vacuum))
    for start in range(0, len(frequencies), PANEL):
        n = slice(start, min(start + PANEL, len(frequencies)))
        of_panel = squares(n)
        of_n = occupations[n]
        for sign in (1.0, -1.0):  # m + n -> l, and m -> n + l
            low, high = sorted((frequency + sign * frequencies[n][0], frequency + sign * frequencies[n][-1]))
            reach = table.broadening.reach
            ends = np.searchsorted(frequencies, (low - reach, high + reach))
            window = slice(int(ends[0]), int(ends[1]))
            if window.start == window.stop:
                continue
            detuning = frequency + sign * frequencies[n, None] - frequencies[window]
            weight = of_panel(window) * table.broadening(detuning)
            of_l = occupations[window]
            if sign > 0.0:
                total += 2.0 * (weight.sum(axis=1) @ of_n - weight.sum(axis=0) @ of_l)
            else:
                total += vacuum * weight.sum() + weight.sum(axis=1) @ of_n + weight.sum(axis=0) @ of_l
    return np.asarray(0.5 * PREFACTOR / frequency * total)
