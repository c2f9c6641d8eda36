"""kALDo on the 216-atom amorphous silicon that its wheel carries: both codes read the same force constants.

kALDo's Gaussian for ``third_bandwidth`` s (THz) is exp(-x^2/S^2) / (S sqrt(pi)) with S = 2 pi s, cut at 2 S and not
normalised: its area is erf(2). Ours with standard deviation S / sqrt 2, cut at 2 sqrt 2 of them, is the same divided
by erf(2). kALDo's bandwidth is a full width, twice ours. The times of both are of the same sums.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from kaldo.conductivity import Conductivity
from kaldo.forceconstants import ForceConstants
from kaldo.phonons import Phonons
from measure import STATISTICS, TEMPERATURES, InTurn, Lines, Settings, digits, in_turn, relative_differences, timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from amorphous_silicon import AmorphousSilicon, amorphous_silicon, folder

from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes, velocity_matrices
from ldmd.lattice.statistics import statistics_named

BANDWIDTH = 0.242
"""THz, kALDo's ``third_bandwidth``."""
KERNEL = Gaussian(2.0 * math.pi * BANDWIDTH / math.sqrt(2.0), cut=2.0 * math.sqrt(2.0))
AREA = math.erf(2.0)
SHARED = ("_sparse_phase_and_potential", "_eigensystem", "frequency", "physical_mode")
"""Properties of kALDo's ``Phonons`` that know neither temperature nor statistics."""


def one_temperature(settings: Settings) -> Lines:
    """Modes, linewidths and QHGK at 300 K, classical."""
    return _compared("300 K, classical", (300.0,), ("classical",), settings.repeats)


def all_temperatures(settings: Settings) -> Lines:
    """The same at 10 temperatures with both statistics; kALDo projects once and shares it by hand."""
    label = "10 temperatures x 2 statistics (kALDo: one projection shared by hand)"
    return _compared(label, TEMPERATURES, STATISTICS, settings.repeats)


def _compared(label: str, temperatures: Sequence[float], statistics: Sequence[str], repeats: int) -> Lines:
    constants = ForceConstants.from_folder(folder=str(folder()), format="eskm")
    cell, kept = amorphous_silicon(), {}
    cell = dataclasses.replace(cell, third=cell.third.trimmed())  # without elements below 1e-9 of the largest

    def peer() -> None:
        kept["peer"] = _kaldo(constants, temperatures, statistics)

    def ours() -> None:
        kept["ours"] = _ours(cell, temperatures, statistics)

    ours()  # the operator's pattern is built once, as kALDo's force constants are read once
    result = in_turn(lambda: timed(peer), lambda: timed(ours), repeats)
    return Lines([_line(label, result, _agreement(cell, temperatures, statistics, kept))], [])


def _line(label: str, result: InTurn, agreement: str) -> list[str]:
    busy = f"{result.peer.cores:.1f} and {result.ours.cores:.1f} cores busy"
    times = [digits(result.peer.seconds), digits(result.ours.seconds), digits(result.ratio)]
    return [f"a-Si 216: modes, linewidths, QHGK; {label}", "kALDo", *times, f"{agreement}; {busy}"]


def _kaldo(constants: Any, temperatures: Sequence[float], statistics: Sequence[str]) -> dict[str, np.ndarray]:
    """Full widths (T, S, 3N) in rad/ps and QHGK tensors (T, S, 3, 3)."""
    shared: dict[str, Any] = {}
    widths, kappa = [], []
    for temperature, name in itertools.product(temperatures, statistics):
        phonons = Phonons(
            forceconstants=constants,
            is_classic=name == "classical",
            temperature=temperature,
            third_bandwidth=BANDWIDTH,
            broadening_shape="gauss",
            storage="memory",
        )
        for key, value in shared.items():
            setattr(phonons, f"_lazy__{key}", value)
        widths.append(np.asarray(phonons.bandwidth).ravel())
        shared = shared or {key: getattr(phonons, key) for key in SHARED}
        conductivity = Conductivity(phonons=phonons, method="qhgk", storage="memory")
        kappa.append(np.asarray(conductivity.conductivity).sum(axis=0))
    shape = (len(temperatures), len(statistics))
    return {"widths": np.reshape(widths, (*shape, -1)), "kappa": np.reshape(kappa, (*shape, 3, 3))}


def _ours(cell: AmorphousSilicon, temperatures: Sequence[float], statistics: Sequence[str]) -> dict[str, Any]:
    modes = normal_modes(cell.second, cell.masses)
    gamma = linewidths(cell.third, modes, temperatures, statistics, KERNEL).gamma
    return {"modes": modes, "gamma": gamma, "kappa": _green_kubo(cell, modes, gamma, temperatures, statistics)}


def _green_kubo(
    cell: AmorphousSilicon, modes: Modes, gamma: np.ndarray, temperatures: Sequence[float], statistics: Sequence[str]
) -> np.ndarray:
    """QHGK tensors (T, S, 3, 3)."""
    volume = abs(float(np.linalg.det(cell.cell)))
    velocities = velocity_matrices(cell.second, modes, cell.positions, cell.cell)
    kappa = np.empty((*gamma.shape[:2], 3, 3))
    for t, s in np.ndindex(*gamma.shape[:2]):
        kind = statistics_named(statistics[s])
        kappa[t, s] = quasi_harmonic_green_kubo(modes, velocities, gamma[t, s], kind, temperatures[t], volume).total
    return kappa


def _agreement(
    cell: AmorphousSilicon, temperatures: Sequence[float], statistics: Sequence[str], kept: dict[str, Any]
) -> str:
    """How far the numbers of both codes are apart, the area of kALDo's kernel allowed for."""
    peer, ours = kept["peer"], kept["ours"]
    gamma = AREA * ours["gamma"]
    kappa = _green_kubo(cell, ours["modes"], gamma, temperatures, statistics)
    scale = np.abs(peer["kappa"]).max(axis=(2, 3))
    apart = float(np.max(np.abs(kappa - peer["kappa"]).max(axis=(2, 3)) / scale))
    widths = relative_differences(2.0 * gamma, peer["widths"])
    return (
        f"relative differences of full widths {np.median(widths):.0e} (median) and {widths.max():.0e} (largest), "
        f"of kappa {apart:.0e} (largest)"
    )
