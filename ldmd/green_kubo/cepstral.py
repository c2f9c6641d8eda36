"""Cepstral estimate of a Green-Kubo conductivity: the value at zero frequency of a filtered log spectrum.

The logarithm turns the multiplicative chi-square noise of a periodogram into additive noise of known mean and
variance; the low-order cosine coefficients of the logarithm (the cepstrum) hold the shape of the spectrum,
and the high-order ones are dropped. How many are kept is Akaike's choice times a factor. Factor 1 is the
published choice; factor 2 is the safer one: Akaike's criterion weighs the misfit of the whole spectrum, not
of its value at zero, and keeps too few coefficients for the quoted error to cover the truth as often as it
says.

Sources: L. Ercole, A. Marcolongo, S. Baroni, Sci. Rep. 7, 15835 (2017); for the reduced spectrum
of several currents R. Bertossa et al., Phys. Rev. Lett. 122, 255901 (2019).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import fft, special, stats

from ldmd.errors import InputError
from ldmd.green_kubo.spectrum import Spectrum, conductivity_scale
from ldmd.results import Check, quantity

FEWEST_COEFFICIENTS = 3
"""With fewer the filtered spectrum is flat: structure at zero frequency, if any, is not resolved."""

LARGEST_FRACTION = 0.25
"""Share of all coefficients beyond which the filter no longer filters."""

MEAN_PROBABILITY = 1e-4
"""Two-sided probability below which the zero-frequency bin contradicts the fit."""

LOWEST_PROBABILITY = 1e-3
"""Probability of lowest bins as far above the fit as seen, below which the fit is not believed."""

REMOVED_MEAN_PROBABILITY = 1e-12
"""Probability below which a zero-frequency bin so small can only mean that the mean was subtracted."""


@dataclasses.dataclass(frozen=True)
class CepstralEstimate:
    """One cepstral conductivity, W/(m K).

    The estimate is log-normal: ``interval_95`` is exp(L +- 1.96 sigma_L), asymmetric; ``standard_error`` is
    value times sigma_L, as published.
    """

    value: float
    standard_error: float
    interval_95: tuple[float, float]
    factor: float
    number_of_coefficients: int  # P = K + 1, the zeroth included
    aic_minimum: int  # K*, Akaike's own choice of the last coefficient kept
    coefficients: np.ndarray = quantity(("coefficient",), "1", "cepstral coefficients C_n of the log spectrum")
    fit: np.ndarray = quantity(
        ("frequency",), "(eV Angstrom/ps)^2 ps", "filtered spectrum on the frequencies of the spectrum"
    )
    cumulative: np.ndarray = quantity(("coefficient",), "W/(m K)", "conductivity with 1, 2, 3... coefficients")
    cumulative_error: np.ndarray = quantity(("coefficient",), "W/(m K)", "its standard error")
    checks: tuple[Check, ...] = ()


def log_bias(bins: int, degrees_of_freedom: int) -> np.ndarray:
    """Mean of ln(S_k/S) of each bin: psi(nu) - ln nu, with nu/2 for nu at zero and Nyquist frequency."""
    nu = float(degrees_of_freedom)
    bias = np.full(bins, special.digamma(nu) - math.log(nu))
    bias[[0, -1]] = special.digamma(0.5 * nu) - math.log(0.5 * nu)
    return bias


def cepstral_coefficients(spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Cosine coefficients C_n (n = 0..N/2) of the bias-corrected log spectrum, and their variances.

    C_n = DCT-I(ln S_k - bias_k)_n / N; var C_n = psi'(nu)/N, twice that at n = 0 and N/2.

    Raises
    ------
    InputError
        If the zero-frequency bin shows that the mean of the flux was subtracted.
    """
    nu, length = spectrum.degrees_of_freedom, spectrum.series_length
    bins = len(spectrum.density)
    neighbours = float(np.median(spectrum.density[1 : 1 + min(16, bins // 2)]))
    if stats.chi2.cdf(nu * spectrum.density[0] / neighbours, nu) < REMOVED_MEAN_PROBABILITY:
        fix = "pass the flux as recorded: with its mean its value at zero frequency has been subtracted"
        raise InputError("flux mean", "removed", fix)
    logarithm = np.log(spectrum.density) - log_bias(bins, nu)
    variance = np.full(bins, special.polygamma(1, nu) / length)
    variance[[0, -1]] *= 2.0
    return fft.dct(logarithm, type=1) / length, variance


def akaike(coefficients: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Akaike's criterion of keeping coefficients 0..K: sum over n > K of C_n^2/var_n, plus 2 (K + 1)."""
    misfit = coefficients**2 / variances
    beyond = misfit.sum() - np.cumsum(misfit)
    return np.asarray(beyond + 2.0 * np.arange(1, len(coefficients) + 1))


def cepstral_conductivity(
    spectrum: Spectrum, temperature: float, volume: float, factor: float = 1.0
) -> CepstralEstimate:
    """Conductivity from a spectrum: kappa = exp(L0)/2 /(V kB T^2), L0 = C_0 + 2 sum_{n=1..K} C_n.

    Parameters
    ----------
    spectrum
        Two-sided density in (eV Angstrom/ps)^2 ps.
    temperature, volume
        K, Angstrom^3.
    factor
        Multiplies Akaike's K*: K = round(K* factor). 1 as published, 2 for honest coverage.

    The standard error is kappa sqrt(psi'(nu)(4P - 2)/N). A ``Check`` fails if P < 3 (structure at zero
    frequency is not resolved), P is more than a quarter of all bins, or the zero-frequency bin contradicts
    the fit.
    """
    if not factor > 0.0:
        raise InputError("factor", factor, "give a positive number")
    coefficients, variances = cepstral_coefficients(spectrum)
    bins = len(coefficients)
    best = min(int(np.argmin(akaike(coefficients, variances))), bins - 2)
    last = min(round(best * factor), bins - 2)
    logs = coefficients[0] + 2.0 * np.concatenate([[0.0], np.cumsum(coefficients[1:-1])])
    numbers = np.arange(1, bins)
    noise = special.polygamma(1, spectrum.degrees_of_freedom) / spectrum.series_length
    errors = np.sqrt(noise * (4 * numbers - 2))
    curve = 0.5 * conductivity_scale(temperature, volume) * np.exp(logs)
    kept = np.where(np.arange(bins) <= last, coefficients, 0.0)
    fit = np.exp(fft.dct(kept, type=1))
    value, error = float(curve[last]), float(errors[last])
    return CepstralEstimate(
        value=value,
        standard_error=value * error,
        interval_95=(value * math.exp(-1.96 * error), value * math.exp(1.96 * error)),
        factor=factor,
        number_of_coefficients=last + 1,
        aic_minimum=best,
        coefficients=coefficients,
        fit=fit,
        cumulative=curve,
        cumulative_error=curve * errors,
        checks=_checks(spectrum, fit, last + 1),
    )


def _checks(spectrum: Spectrum, fit: np.ndarray, coefficients: int) -> tuple[Check, ...]:
    """Is the structure at zero frequency resolved, does the filter filter, is the mean flux plausible?"""
    nu = spectrum.degrees_of_freedom
    lowest = lowest_probability(spectrum.density[1:-1] / fit[1:-1], nu)
    ratio = nu * spectrum.density[0] / fit[0]
    probability = 2.0 * min(stats.chi2.cdf(ratio, nu), stats.chi2.sf(ratio, nu))
    return (
        Check(
            "zero-frequency structure resolved",
            float(coefficients),
            ">=",
            float(FEWEST_COEFFICIENTS),
            "coefficients",
            "The filtered spectrum is flat. Raise the cutoff, or lengthen the run until a peak would show.",
        ),
        Check(
            "cepstral filter effective",
            coefficients / len(spectrum.density),
            "<=",
            LARGEST_FRACTION,
            "1",
            "Most coefficients are kept: look for jumps in the flux (restarts) or lengthen the run.",
        ),
        Check(
            "mean flux compatible with equilibrium",
            float(probability),
            ">=",
            MEAN_PROBABILITY,
            "1",
            "Remove the total momentum at the start of the run, and pass the flux with its mean left in.",
        ),
        Check(
            "lowest frequencies agree with the cepstral fit",
            lowest,
            ">=",
            LOWEST_PROBABILITY,
            "1",
            "The cepstral fit smooths away a narrow peak at zero frequency: lower the cutoff, or lengthen the run.",
        ),
    )


def lowest_probability(ratio: np.ndarray, degrees_of_freedom: int) -> float:
    """Smallest probability of the lowest 1, 2, 4... 32 bins being as high as they are, times the number of looks.

    ``ratio`` is the periodogram over the fit, from the first bin above zero: the sum of 2 nu I/S over n bins is
    chi-square with 2 nu n degrees of freedom. Only power in excess is looked for, as a narrow peak brings it.
    """
    sums = 2.0 * degrees_of_freedom * np.cumsum(ratio)
    looks = [n for n in (1, 2, 4, 8, 16, 32) if n <= len(ratio)]
    probabilities = [float(stats.chi2.sf(sums[n - 1], 2.0 * degrees_of_freedom * n)) for n in looks]
    return min(1.0, len(looks) * min(probabilities))
