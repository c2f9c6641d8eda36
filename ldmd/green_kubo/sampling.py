"""Is the flux sampled often enough? What it holds above half the sampling rate comes back at lower frequencies.

Power at the sampling rate itself, twice the Nyquist frequency, is added to the spectrum at zero frequency, and so to
the conductivity. It cannot be seen in the samples, but the power just below the Nyquist frequency can: if the spectrum
goes on above it at the level that it has there, as much is added to S(0). Where samples are far too rare, vibrations
are spread over all frequencies, and the two are of one size. A single narrow band that happens to lie at the sampling
rate leaves no trace near the Nyquist frequency: only the frequencies of the modes tell (``ldmd.dynamics.resolution``).
"""

from __future__ import annotations

import numpy as np

from ldmd.green_kubo.series import FluxSeries
from ldmd.green_kubo.spectrum import periodogram
from ldmd.results import Check

SAMPLING = "flux sampled often enough"

LARGEST_SHARE = 0.05
"""Of S(0) that aliased power may add: a bias of 5 %, which is that of the best error bars. Silica (BKS potential, 216
atoms, 983 K): 0.003 every 5 fs; 0.7 every 10 fs, where the conductivity is still right within its error; 16 every 20
fs, where it is twice, and 0.3 every 50 fs, where it is a hundred times what it should be."""

HIGHEST = 0.1
"""Share of the frequencies, just below the Nyquist frequency, whose mean power is taken."""

LOWEST_BINS = 16
"""Frequencies that stand for zero, or a quarter of all where there are few."""


def sampling_check(series: FluxSeries, largest_share: float = LARGEST_SHARE) -> Check:
    """Power of the energy flux near its Nyquist frequency over that at the lowest frequencies, and its limit.

    The mean of each is taken over all components; at zero frequency itself a net flux would hide what is folded there,
    so the lowest frequencies above it are taken.
    """
    density = periodogram(series.flux[: series.steps // 2 * 2, 0, :], series.timestep).mean(axis=1)
    lowest = density[1 : 1 + min(LOWEST_BINS, len(density) // 4)].mean()
    highest = density[-max(1, int(HIGHEST * len(density))) :].mean()
    interval = 1000.0 * series.timestep
    return Check(
        SAMPLING,
        float(highest / lowest) if lowest > 0.0 else np.inf,
        "<=",
        largest_share,
        "of S(0)",
        f"A flux every {interval:.4g} fs holds frequencies to {series.nyquist:.4g} THz; power beyond that is folded "
        "onto zero frequency. Sample the flux more often (dynamics.flux_interval_fs): its spectrum reaches twice "
        "the highest vibrational frequency.",
    )
