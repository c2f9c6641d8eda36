"""How many scattering channels make a linewidth, and how it depends on the width of the kernel.

A channel of mode m is a pair of modes {n, l} that it scatters with; c is what the pair adds to gamma_m. A linewidth
that rests on two accidental resonances is no property of the material: it shows as few effective channels,

    N_eff = (sum c)^2 / sum c^2,

as a large share of the two strongest, and as a strong dependence on the width s of the kernel, d ln gamma / d ln s,
which is 0 on the plateau where a width should lie and -1 for a single resonance. All three are taken in the classical
limit, where they do not depend on temperature.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.lattice.triplets import Sums
from ldmd.lattice.visit import share_out, share_out_squares
from ldmd.results import quantity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Channels:
    """Scattering channels of every mode, in the classical limit; NaN for modes that scatter nobody."""

    effective: np.ndarray = quantity(("mode",), "1", "effective number of channels, (sum c)^2 / sum c^2")
    top_two_share: np.ndarray = quantity(("mode",), "1", "share of the two strongest channels in the linewidth")
    width_sensitivity: np.ndarray = quantity(("mode",), "1", "d ln(linewidth) / d ln(width of the kernel)")


def no_channels(modes: int) -> Sums:
    """Sums over no triplet."""
    return {"squares": np.zeros(modes), "slope": np.zeros(modes), "strongest": np.zeros((2, modes))}


def count_channels(
    m: slice, n: slice, window: slice, weight: np.ndarray, slope: np.ndarray, occupations: np.ndarray, sums: Sums
) -> None:
    """Add what modes m, n and l of a window do to each other (see ``ldmd.lattice.visit``).

    ``weight`` and ``slope`` (m, n, l) are |phi|^2 times the kernel and its derivative with respect to ln(width),
    halved where n = m; ``occupations`` are classical, in any unit.
    """
    of_m, of_n, of_l = occupations[m], occupations[n], occupations[window]
    same = np.arange(m.start, m.stop)[:, None] == np.arange(n.start, n.stop)
    slopes = share_out(slope, of_m[:, None], of_n[:, None], of_l[:, None], 0.0)
    squares = share_out_squares(weight, of_m, of_n, of_l, same)
    for modes, first, second in zip((m, n, window), slopes, squares, strict=True):
        sums["slope"][modes] += first[:, 0]
        sums["squares"][modes] += second
    _find_strongest(m, n, window, weight, occupations, sums["strongest"])


def _find_strongest(
    m: slice, n: slice, window: slice, weight: np.ndarray, occupations: np.ndarray, strongest: np.ndarray
) -> None:
    """Update the two largest contributions (2, modes) to each mode.

    Few blocks hold one of them: the largest weight is tried first, with the largest factor that it could have.
    """
    of_m, of_n, of_l = occupations[m, None], occupations[n], occupations[window]
    highest = weight.max(axis=2)
    same = np.arange(m.start, m.stop)[:, None] == np.arange(n.start, n.stop)
    once, twice = np.where(same, 0.0, 1.0), np.where(same, 2.0, 1.0)
    tried = weight.max(axis=(0, 1)) * (of_m[0] + of_n[0]) > strongest[1, window]
    if tried.any():
        _raise(strongest, window, tried, (weight[:, :, tried] * (of_m + of_n)[:, :, None]).reshape(once.size, -1))
    tried = (highest * twice * (of_m - of_l[-1])).max(axis=0) > strongest[1, n]
    if tried.any():
        values = weight[:, tried] * twice[:, tried, None] * (of_m - of_l)[:, None]
        _raise(strongest, n, tried, values.swapaxes(1, 2).reshape(-1, values.shape[1]))
    tried = (highest * once * (of_n - of_l[-1])).max(axis=1) > strongest[1, m]
    if tried.any():
        values = weight[tried] * once[tried, :, None] * (of_n[:, None] - of_l)
        _raise(strongest, m, tried, values.reshape(len(values), -1).T)


def merge_channels(first: Sums, second: Sums) -> Sums:
    """Sums of two disjoint sets of triplets."""
    strongest = first["strongest"].copy()
    _raise(strongest, slice(0, strongest.shape[1]), np.ones(strongest.shape[1], dtype=bool), second["strongest"])
    return {
        "squares": first["squares"] + second["squares"],
        "slope": first["slope"] + second["slope"],
        "strongest": strongest,
    }


def channels(sums: Sums, total: np.ndarray, vibrating: np.ndarray) -> Channels:
    """The result, from the sums and the ``total`` of all channels of the vibrating modes; ``vibrating`` is a mask."""
    scattered = total > 0.0
    rows = np.full((3, len(vibrating)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.array([total**2 / sums["squares"], sums["strongest"].sum(axis=0) / total, sums["slope"] / total])
    rows[:, vibrating] = np.where(scattered, values, np.nan)
    return Channels(effective=rows[0], top_two_share=rows[1], width_sensitivity=rows[2])


def _raise(strongest: np.ndarray, modes: slice, tried: np.ndarray, values: np.ndarray) -> None:
    """Update the two largest values so far, the larger first, of those modes that are tried; values (any, tried)."""
    chosen = np.arange(modes.start, modes.stop)[tried]
    candidates = np.vstack([strongest[:, chosen], values])
    where = (candidates.argmax(axis=0), np.arange(len(chosen)))
    strongest[0, chosen] = candidates[where]
    candidates[where] = -np.inf
    strongest[1, chosen] = candidates.max(axis=0)
