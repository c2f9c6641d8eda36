"""The slowest time with which the heat flux decays, as lattice dynamics has it.

The heat that a mode with the linewidth gamma (HWHM, rad/ps) carries decays as exp(-2 gamma t): its lifetime is
1/(2 gamma), and its part of the spectrum of the flux is a Lorentzian about zero frequency of the half width 2 gamma
(angular). What a Green-Kubo run must resolve follows from the modes that live longest among those that carry heat.
"""

from __future__ import annotations

import numpy as np

SLOWER_SHARE = 0.05
"""Share of the conductivity that may be carried by modes that live longer than the slowest time. Of a part that decays
half as fast as assumed the smooth spectrum loses about a quarter: 1 % of the conductivity, and 5 % where all linewidths
of third order are twice those of the dynamics. Its error is larger than that."""


def slowest_time(linewidths: np.ndarray, contributions: np.ndarray, share: float = SLOWER_SHARE) -> float | None:
    """Lifetime that modes with a share of the conductivity exceed, ps.

    Parameters
    ----------
    linewidths
        HWHM of every mode, rad/ps, any shape; modes without one are left out.
    contributions
        Of every mode to the conductivity, W/(m K), the same shape; negative ones count as none.
    share
        Of the conductivity that is carried by longer lifetimes.

    Returns None where no mode with a linewidth carries heat.
    """
    gamma, heat = np.ravel(linewidths), np.maximum(np.ravel(contributions), 0.0)
    known = np.isfinite(gamma) & (gamma > 0.0) & np.isfinite(heat)
    gamma, heat = gamma[known], heat[known]
    if not heat.sum() > 0.0:
        return None
    order = np.argsort(gamma)
    slower = np.cumsum(heat[order]) / heat.sum()
    return 1.0 / (2.0 * float(gamma[order][np.searchsorted(slower, share)]))
