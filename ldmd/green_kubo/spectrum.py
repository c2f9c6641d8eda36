"""Power spectra of flux series: low-pass resampling, periodogram, and the Onsager reduction of several
currents.

Convention: two-sided density over ordinary frequency, S(f) = integral of <J(t) J(0)> exp(2 pi i f t) dt over
all times, in (eV Angstrom/ps)^2 ps; so the Green-Kubo conductivity is S(0)/2 times
:func:`conductivity_scale`.

Nothing here subtracts a mean, detrends or tapers. Without its mean a series has S = 0 at zero frequency, and
the logarithm of that ruins every cepstral coefficient.

Sources: L. Ercole, A. Marcolongo, S. Baroni, Sci. Rep. 7, 15835 (2017) for one current; R. Bertossa, F.
Grasselli, L. Ercole, S. Baroni, Phys. Rev. Lett. 122, 255901 (2019) for several.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import fft

from ldmd.errors import InputError
from ldmd.green_kubo.series import FEWEST_STEPS, FluxSeries
from ldmd.results import quantity
from ldmd.units import BOLTZMANN, CONDUCTIVITY

REDUNDANCY_THRESHOLD = 1e-6
"""Smallest eigenvalue of the coherence matrix (median over frequencies) of the currents besides the energy
that count as independent. Exactly dependent ones give 1e-16 or less, dependent ones rounded to a few decimals
1e-10 to 1e-6. The energy flux itself may be nearly parallel to them: that is an offset of the energies, and
harmless."""

PARALLEL_THRESHOLD = 1e-20
"""Share of the energy flux's power beside the other currents (median) below which only rounding is left."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spectrum:
    """A sampled power spectrum: bin k of 0..N/2 at f_k = k/(N timestep); N is even.

    An inner bin scatters about the true density S as S chi^2(2 nu)/(2 nu), the two real end bins as
    S chi^2(nu)/nu, with nu = ``degrees_of_freedom``.
    """

    frequencies: np.ndarray = quantity(("frequency",), "THz", "ordinary frequency")
    density: np.ndarray = quantity(("frequency",), "(eV Angstrom/ps)^2 ps", "two-sided power spectral density")
    degrees_of_freedom: int  # nu: components, less the eliminated currents
    series_length: int  # N
    timestep: float  # ps, after resampling
    cutoff: float  # THz, the Nyquist frequency after resampling (f*)
    skip: int  # how many original steps make one


def conductivity_scale(temperature: float, volume: float) -> float:
    """W/(m K) per (eV Angstrom/ps)^2 ps of time-integrated flux autocorrelation: 1/(V kB T^2).

    ``temperature`` in K, ``volume`` in Angstrom^3, the flux extensive.
    """
    return CONDUCTIVITY / (volume * BOLTZMANN * temperature**2)


def skip_for_cutoff(timestep: float, cutoff: float) -> int:
    """How many steps to average into one so that the new Nyquist frequency is nearest to ``cutoff`` (THz)."""
    if not cutoff > 0.0:
        raise InputError("cutoff", cutoff, "give a positive frequency in THz")
    return max(1, round(0.5 / timestep / cutoff))


def resample(series: FluxSeries, skip: int) -> FluxSeries:
    """Average every ``skip`` consecutive steps into one and cut the result to an even number of steps.

    This is the running mean of width ``skip`` kept at every ``skip``-th sample. The zeros of its response
    fall on just those frequencies that alias to zero, so S(0) stays unbiased; near the new Nyquist frequency
    the response is not flat, which does not matter to S(0).

    Raises
    ------
    InputError
        If fewer than 64 steps are left.
    """
    if skip < 1:
        raise InputError("skip", skip, "give a positive number of steps")
    steps = series.steps // skip // 2 * 2
    if steps < FEWEST_STEPS:
        cutoff = series.nyquist / skip
        raise InputError("cutoff", f"{cutoff:.4g} THz", f"raise it: only {steps} samples of the flux are left")
    blocks = series.flux[: steps * skip].reshape(steps, skip, series.currents, series.components)
    return dataclasses.replace(series, flux=blocks.mean(axis=1), timestep=series.timestep * skip)


def periodogram(flux: np.ndarray, timestep: float) -> np.ndarray:
    """Two-sided periodogram (e/N) |sum_n J_n exp(-2 pi i n k/N)|^2 along the first axis, for k = 0..N/2.

    ``flux`` in eV Angstrom/ps, ``timestep`` e in ps, the result in (eV Angstrom/ps)^2 ps. With N even, the
    two end bins taken once and the others twice sum to (N e) times the mean square (Plancherel).
    """
    transform = fft.rfft(flux, axis=0)
    result: np.ndarray = timestep / len(flux) * (transform.real**2 + transform.imag**2)
    return result


def power_spectrum(series: FluxSeries, cutoff: float | None = None) -> Spectrum:
    """The spectrum of the energy flux below ``cutoff`` (THz), net of the other currents if there are any.

    The actual cutoff is the Nyquist frequency over an integer; None keeps the original sampling. With M
    currents of ell components the density is the Schur complement S = Re[1/(C^-1)_00]/(ell - M + 1) of the
    cross-spectral matrix C summed over the components: complex-Wishart statistics make it unbiased and
    chi-square distributed, with nu = ell - M + 1.

    Raises
    ------
    InputError
        If the cutoff leaves too few steps, a current vanishes or depends linearly on the others, or there are
        more currents than components.
    """
    skip = 1 if cutoff is None else skip_for_cutoff(series.timestep, cutoff)
    sampled = resample(series, skip)
    if series.currents == 1:
        density = periodogram(sampled.flux[:, 0, :], sampled.timestep).mean(axis=1)
        freedom = series.components
    else:
        density, freedom = _reduced_density(sampled)
    if not (density[1:] > 0.0).all():
        raise InputError("flux", "constant in time", "record a fluctuating flux: it has no spectrum")
    return Spectrum(
        frequencies=fft.rfftfreq(sampled.steps, sampled.timestep),
        density=density,
        degrees_of_freedom=freedom,
        series_length=sampled.steps,
        timestep=sampled.timestep,
        cutoff=sampled.nyquist,
        skip=skip,
    )


def _reduced_density(series: FluxSeries) -> tuple[np.ndarray, int]:
    """Energy-flux spectrum at fixed other currents, and its degrees of freedom."""
    freedom = series.components - series.currents + 1
    if freedom < 1:
        fix = f"add replicas or drop currents: {series.currents} currents need as many components"
        raise InputError("flux.components", series.components, fix)
    transform = fft.rfft(series.flux, axis=0).swapaxes(1, 2)
    norm = np.sqrt((transform.real**2 + transform.imag**2).sum(axis=1, keepdims=True))
    if not (norm > 0.0).all():
        current = int(np.argmin((norm > 0.0).all(axis=(0, 1))))
        raise InputError("flux.currents", f"current {current} vanishes", "leave it out")
    # The Schur complement is the squared length of what is left of the energy flux, a vector over the
    # components, beside the plane of the others. Projecting it out, rather than inverting the matrix, costs
    # few digits when energies have large offsets, which turn the energy flux nearly parallel to a mass flux.
    energy, others = transform[:, :, :1], transform[:, :, 1:] / norm[:, :, 1:]
    basis, triangle = np.linalg.qr(others)
    smallest = float(np.median(np.linalg.svd(triangle, compute_uv=False)[:, -1] ** 2))
    if smallest < REDUNDANCY_THRESHOLD:
        fix = "leave out one current: they depend linearly (momentum conservation: one species too many)"
        raise InputError("flux.currents", f"smallest coherence eigenvalue {smallest:.1e}", fix)
    rest = energy - basis @ (basis.conj().swapaxes(1, 2) @ energy)
    power = (rest.real**2 + rest.imag**2).sum(axis=(1, 2))
    if np.median(power / norm[:, 0, 0] ** 2) < PARALLEL_THRESHOLD:
        raise InputError("flux.currents", "energy flux", "leave the others out: it is a combination of them")
    return series.timestep / series.steps * power / freedom, freedom


def display_spectrum(series: FluxSeries, points: int = 600, power: float = 0.999) -> tuple[np.ndarray, np.ndarray]:
    """Spectrum of the energy flux at full resolution, averaged over neighbouring bins for plotting.

    Reaches from zero to 1.25 times the frequency below which the fraction ``power`` of the mean square lies.
    Returns frequencies (THz) and density ((eV Angstrom/ps)^2 ps), at most ``points`` of each.
    """
    even = series.steps // 2 * 2
    density = periodogram(series.flux[:even, 0, :], series.timestep).mean(axis=1)[1:]
    frequencies = fft.rfftfreq(even, series.timestep)[1:]
    share = np.cumsum(density) / density.sum()
    bins = min(len(density), int(1.25 * (np.searchsorted(share, power) + 1)) + 1)
    width = -(-bins // points)
    bins = bins // width * width
    return (
        frequencies[:bins].reshape(-1, width).mean(axis=1),
        density[:bins].reshape(-1, width).mean(axis=1),
    )
