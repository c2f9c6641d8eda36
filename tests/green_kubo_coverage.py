"""How often the interval of the conductivity holds the truth, over spectra with fast and slow parts.

    python tests/green_kubo_coverage.py [RUNS] [full|quick] [NAME ...]

Gaussian fluxes of known S(0) are made by filtering noise over twice the length and keeping half, so that they have the
leakage of a record. Each is analysed as ``green_kubo`` does, once from the run alone and once with the slowest time of
its spectrum given.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import fft

from ldmd.green_kubo import FluxSeries, cepstral_conductivity, choose_cutoff, conductivity_scale, power_spectrum
from ldmd.green_kubo.zero_frequency import ZeroFrequency, zero_frequency

TIMESTEP, TEMPERATURE, VOLUME = 0.005, 300.0, 5000.0
SCALE = 0.5 * conductivity_scale(TEMPERATURE, VOLUME)
LENGTHS = {"full": (100_000, 6), "quick": (12_000, 6)}
"""Steps and components: 500 ps and 60 ps of two replicas."""
TRANSVERSE = ((4.0, 0.6, 1.0), (8.0, 1.0, 0.8), (12.0, 1.2, 1.0), (15.5, 0.5, 1.5))
"""Centre and width (THz) and height of the vibrational part of a crystal's flux."""


def peak(f: np.ndarray, time: float, centre: float = 0.0) -> np.ndarray:
    """Lorentzian of a decay time (ps) about a frequency (THz), even in f, of unit height where the centre is zero."""
    left, right = (1.0 / (1.0 + (2.0 * np.pi * (f - c) * time) ** 2) for c in (centre, -centre))
    return np.asarray(0.5 * (left + right))


def oscillator(f: np.ndarray) -> np.ndarray:
    """A damped oscillation of 5 THz and 1 ps, of unit height at zero frequency."""
    return peak(f, 1.0, 5.0) / peak(np.zeros(1), 1.0, 5.0)


def glass(f: np.ndarray, slow: float = 0.0, time: float = 1.0) -> np.ndarray:
    """A central peak of 0.3 ps on a broad background, a vibrational peak at 8 THz, and a slow part."""
    return (0.8 - slow) * peak(f, 0.3) + 0.2 * peak(f, 0.03) + slow * peak(f, time) + peak(f, 0.3, 8.0)


def vibrations(f: np.ndarray) -> np.ndarray:
    """Lines of a crystal, nothing at zero frequency."""
    lines = sum(height * np.exp(-0.5 * ((f - centre) / width) ** 2) for centre, width, height in TRANSVERSE)
    return np.asarray(30.0 * lines * (1.0 - np.exp(-(f**2))))


def spread(f: np.ndarray, median: float, width: float = 1.2) -> np.ndarray:
    """Lifetimes spread log-normally, as the modes of a crystal have them."""
    x = np.linspace(-3.0, 3.0, 60)
    weights = np.exp(-0.5 * x**2) / np.exp(-0.5 * x**2).sum()
    return np.asarray(sum(w * peak(f, median * np.exp(width * y)) for w, y in zip(weights, x, strict=True)))


def two(share: float, fast: float, slow: float) -> Callable[[np.ndarray], np.ndarray]:
    """Two decay times (ps), the slow one with a share of S(0)."""
    return lambda f: (1.0 - share) * peak(f, fast) + share * peak(f, slow)


SPECTRA: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "0.05 ps": (lambda f: peak(f, 0.05), 0.05),
    "1 ps": (lambda f: peak(f, 1.0), 1.0),
    "oscillator": (oscillator, 1.0),
    "glass": (glass, 0.3),
    "30 % at 5 ps": (two(0.3, 0.05, 5.0), 5.0),
    "20 % at 20 ps": (two(0.2, 0.05, 20.0), 20.0),
    "50 % at 5 ps": (two(0.5, 0.05, 5.0), 5.0),
    "30 % at 1 ps": (two(0.3, 0.05, 1.0), 1.0),
    "crystal, about 5 ps": (lambda f: spread(f, 5.0) + vibrations(f), 45.0),
    "crystal, 30 ps": (lambda f: peak(f, 30.0) + vibrations(f), 30.0),
    "crystal, 10 ps": (lambda f: peak(f, 10.0) + vibrations(f), 10.0),
    "glass, 30 % at 5 ps": (lambda f: glass(f, 0.3, 5.0), 5.0),
    "glass, 20 % at 10 ps": (lambda f: glass(f, 0.2, 10.0), 10.0),
}
"""Density, and its slowest time in ps: of log-normal lifetimes that which 5 % of S(0) exceeds."""
SMOOTH = ("0.05 ps", "1 ps", "oscillator", "glass")
"""Rows that a cepstral fit gets right."""


def fluxes(name: str, length: str, runs: int, seed: int = 1) -> Iterator[FluxSeries]:
    """Independent fluxes of one spectrum; the seed of a run does not depend on the number of runs."""
    density, (steps, components) = SPECTRA[name][0], LENGTHS[length]
    padded = fft.next_fast_len(2 * steps, real=True)
    amplitude = np.sqrt(density(fft.rfftfreq(padded, TIMESTEP)) / TIMESTEP)
    for run in range(runs):
        rng = np.random.default_rng([seed, run, list(SPECTRA).index(name), steps])
        noise = fft.rfft(rng.normal(size=(padded, components)), axis=0)
        values = fft.irfft(noise * amplitude[:, None], padded, axis=0)[:steps]
        yield FluxSeries(flux=values[:, None, :], timestep=TIMESTEP, temperature=TEMPERATURE, volume=VOLUME)


@dataclasses.dataclass(frozen=True)
class Row:
    """Means over the runs of one spectrum and length, of the run alone or with its slowest time given."""

    ratio: float  # median of value / truth
    quoted: float  # relative error
    covered: float  # share of runs whose 95 % interval holds the truth
    missed: int  # runs where it does not
    missed_and_told: int  # those among them where a check fails
    trusted: float  # share of runs where every check passes
    covered_if_trusted: float  # NaN where none is
    over_cepstral: float  # quoted error over that of the cepstral value with factor 2


def measure(name: str, length: str, runs: int, given: bool, seed: int = 1) -> Row:
    """One row of the table."""
    density, slowest = SPECTRA[name]
    truth = float(density(np.zeros(1))[0])
    found, cepstral = [], []
    for series in fluxes(name, length, runs, seed):
        found.append((zero_frequency(power_spectrum(series), slowest if given else None), series.duration))
        if given and name in SMOOTH:
            below = power_spectrum(series, choose_cutoff(series).cutoff)
            one = cepstral_conductivity(below, TEMPERATURE, VOLUME, 2.0)
            cepstral.append(one.standard_error / one.value)
    return _row(truth, slowest if given else None, found, cepstral)


def _row(truth: float, slowest: float | None, found: list[tuple[ZeroFrequency, float]], cepstral: list[float]) -> Row:
    inside = np.array([low < truth < high for low, high in (each.interval_95 for each, _ in found)])
    sound = np.array([all(c.passed for c in each.checks(duration, slowest)) for each, duration in found])
    quoted = float(np.mean([each.relative_error for each, _ in found]))
    return Row(
        ratio=float(np.median([each.value / truth for each, _ in found])),
        quoted=quoted,
        covered=float(inside.mean()),
        missed=int((~inside).sum()),
        missed_and_told=int((~inside & ~sound).sum()),
        trusted=float(sound.mean()),
        covered_if_trusted=float(inside[sound].mean()) if sound.any() else float("nan"),
        over_cepstral=quoted / float(np.mean(cepstral)) if cepstral else float("nan"),
    )


def main(arguments: list[str]) -> None:
    """Print the table as it is measured."""
    runs = int(arguments[0]) if arguments else 200
    lengths = [arguments[1]] if len(arguments) > 1 else list(LENGTHS)
    heads = ("spectrum", "slowest time", "kappa/true", "quoted", "covered", "missed, told", "trusted", "right if so",
             "error/cepstral")  # fmt: skip
    for length in lengths:
        steps, components = LENGTHS[length]
        write(f"\n{length}: {steps * TIMESTEP:g} ps x {components}, {runs} runs\n| {' | '.join(heads)} |")
        write("|" + " --- |" * len(heads))
        for name in arguments[2:] or SPECTRA:
            for given in (False, True):
                row = measure(name, length, runs, given)
                time = f"{SPECTRA[name][1]:g} ps" if given else "not given"
                told = f"{row.missed}, {row.missed_and_told}"
                numbers = f"{row.ratio:.2f} | {100 * row.quoted:.1f} % | {100 * row.covered:.0f} % | {told} | "
                rest = f"{100 * row.trusted:.0f} % | {100 * row.covered_if_trusted:.0f} % | {row.over_cepstral:.2f}"
                write(f"| {name} | {time} | {numbers}{rest} |")


def write(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
