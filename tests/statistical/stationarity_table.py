"""How often the checks of stationarity fail on Gaussian fluxes, sound ones and ones with a planted fault.

    python tests/statistical/stationarity_table.py RUNS [LENGTH ...] [--faults] [--slowest PS] [--spectra NAME ...]

prints, for every spectrum, in how many of RUNS sound runs a check fails; with ``--faults`` in how many runs each
planted fault is found, and by what factor it changes the conductivity (headline and running integral, median of three
runs); ``--slowest`` is what the checks are told of the slowest time.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator

import numpy as np
from scipy import fft

from ldmd.green_kubo import FluxSeries, green_kubo
from ldmd.green_kubo.stationarity import STATIONARITY_CHECKS, stationarity_checks

TIMESTEP, TEMPERATURE, VOLUME = 0.005, 300.0, 5000.0
COMPONENTS = 6
Density = Callable[[np.ndarray], np.ndarray]


def peak(frequency: np.ndarray, time: float, centre: float = 0.0) -> np.ndarray:
    """Spectrum of an exponential decay (ps) that oscillates at ``centre`` (THz); 1 at zero frequency without."""
    sides = [1.0 / (1.0 + (2.0 * np.pi * (frequency - sign * centre) * time) ** 2) for sign in (1.0, -1.0)]
    return np.asarray(0.5 * (sides[0] + sides[1]))


def mixture(*parts: tuple[float, float]) -> Density:
    """A sum of decays, each a weight at zero frequency and a time in ps."""
    return lambda f: np.asarray(sum(weight * peak(f, time) for weight, time in parts))


def vibrations(frequency: np.ndarray) -> np.ndarray:
    """Four bands between 4 and 16 THz, 30 to 45 times what a unit of conductivity has at zero frequency."""
    bands = ((4.0, 0.6, 1.0), (8.0, 1.0, 0.8), (12.0, 1.2, 1.0), (15.5, 0.5, 1.5))
    total = sum(height * np.exp(-0.5 * ((frequency - at) / width) ** 2) for at, width, height in bands)
    return np.asarray(30.0 * total * (1.0 - np.exp(-(frequency**2))))


def crystal(*parts: tuple[float, float]) -> Density:
    """Decays and vibrations."""
    return lambda f: mixture(*parts)(f) + vibrations(f)


def spread(median: float) -> Density:
    """Decay times spread log-normally about a median, by a factor of exp(1.2), and vibrations."""
    deviations = np.linspace(-3.0, 3.0, 60)
    weights = np.exp(-0.5 * deviations**2) / np.exp(-0.5 * deviations**2).sum()
    return crystal(*zip(weights.tolist(), (median * np.exp(1.2 * deviations)).tolist(), strict=True))


def glass(*slow: tuple[float, float]) -> Density:
    """A central peak of 0.5 THz half-width, vibrations at 8 THz, and slow parts that take weight from the peak."""
    rest = 0.8 - sum(weight for weight, _ in slow)
    return lambda f: mixture((rest, 0.3), (0.2, 0.03), *slow)(f) + peak(f, 0.3, 8.0)


SPECTRA: dict[str, Density] = {
    **{f"one time, {time:g} ps": mixture((1.0, time)) for time in (0.05, 1.0, 10.0)},
    **{
        f"{100 - share} % at {fast:g} ps, {share} % at {slow:g} ps": mixture(
            (1.0 - 0.01 * share, fast), (0.01 * share, slow)
        )
        for share, fast, slow in (
            (50, 0.02, 2.0), (50, 0.05, 5.0), (50, 0.2, 20.0), (20, 0.05, 5.0), (30, 0.05, 5.0), (40, 0.05, 5.0),
            (20, 0.05, 20.0), (30, 0.05, 20.0), (40, 0.05, 20.0), (30, 0.05, 1.0),
        )
    },
    **{f"oscillator, 5 THz, {time:g} ps": lambda f, t=time: peak(f, t, 5.0) / peak(np.zeros(1), t, 5.0)
       for time in (1.0, 5.0)},
    **{f"crystal, {time:g} ps": crystal((1.0, time)) for time in (2.0, 10.0, 30.0)},
    **{f"crystal, log-normal, {time:g} ps": spread(time) for time in (1.0, 5.0)},
    "glass": glass(),
    **{f"glass, {share} % at {time:g} ps": glass((0.01 * share, time))
       for share, time in ((30, 5.0), (20, 10.0), (30, 20.0))},
}  # fmt: skip

STEPS = {"full": 100_000, "quick": 12_000}
"""500 and 60 ps."""
QUICK_CRYSTAL = 20_000
"""100 ps: a quick run of a crystal is longer."""


def steps_of(name: str, length: str) -> int:
    """Samples of a full or a quick run."""
    return QUICK_CRYSTAL if length == "quick" and name.startswith("crystal") else STEPS[length]


def gaussian_flux(density: Density, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian flux (steps, 6) with a two-sided spectrum: half of a periodic one, so that its ends do not meet."""
    length = fft.next_fast_len(2 * steps, real=True)
    amplitude = np.sqrt(density(fft.rfftfreq(length, TIMESTEP)) / TIMESTEP)
    noise = fft.rfft(rng.normal(size=(length, COMPONENTS)), axis=0)
    return fft.irfft(noise * amplitude[:, None], length, axis=0)[:steps]


def series_of(flux: np.ndarray) -> FluxSeries:
    """Two replicas of three axes."""
    return FluxSeries(flux=flux[:, None, :], timestep=TIMESTEP, temperature=TEMPERATURE, volume=VOLUME)


def failed(flux: np.ndarray, slowest: float | None = None) -> set[str]:
    """Names of the checks that fail."""
    return {check.name for check in stationarity_checks(series_of(flux), slowest) if not check.passed}


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is wrong with a run: a mean of a shape in time, or powers that are multiplied."""

    name: str
    mean: Callable[[np.ndarray, float], np.ndarray] | None = None  # of times and duration, ps
    components: tuple[int, ...] = tuple(range(COMPONENTS))
    power: float = 1.0
    part: tuple[float, float] = (0.5, 1.0)

    def plant(self, flux: np.ndarray, density: float, energy: float = 0.0) -> np.ndarray:
        """A copy with the fault; ``energy`` is that of the mean, in units of the density at zero frequency."""
        result = flux.copy()
        time = (np.arange(len(flux)) + 0.5) * TIMESTEP
        if self.mean is not None:
            shape = self.mean(time, len(flux) * TIMESTEP)
            amplitude = np.sqrt(energy * density / (shape @ shape * TIMESTEP))
            result[:, self.components] += amplitude * shape[:, None]
        first, last = (round(share * len(flux)) for share in self.part)
        result[first:last, self.components] *= np.sqrt(self.power)
        return result


FAULTS = (
    Fault("transient, 1 ps", lambda t, _: np.exp(-t)),
    Fault("transient, 5 ps", lambda t, _: np.exp(-t / 5.0)),
    Fault("transient, a fifth of the run", lambda t, duration: np.exp(-5.0 * t / duration)),
    Fault("net flux", lambda t, _: np.ones_like(t)),
    Fault("net flux of one component", lambda t, _: np.ones_like(t), (2,)),
    Fault("trend", lambda t, duration: 2.0 * t / duration - 1.0),
    Fault("jump of the mean", lambda t, duration: np.where(t < 0.4 * duration, -1.0, 1.0)),
    Fault("second half 1.65 times as strong", power=1.65),
    Fault("second half 2.3 times as strong", power=2.3),
    Fault("replica 1.65 times as strong", power=1.65, components=(0, 1, 2), part=(0.0, 1.0)),
)
ENERGIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
WRONG = 1.5
"""Factor by which a fault of the mean changes the conductivity."""


def factors_of(fault: Fault, fluxes: list[np.ndarray], density: float, energy: float) -> np.ndarray:
    """By what factor the fault changes the headline and the running integral, medians."""
    found = []
    for flux in fluxes:
        sound, faulty = (green_kubo(series_of(each)) for each in (flux, fault.plant(flux, density, energy)))
        pairs = ((faulty.conductivity, sound.conductivity), (faulty.running, sound.running))
        found.append([one.value / other.value for one, other in pairs])
    return np.median(found, axis=0)


def energy_that_matters(fault: Fault, fluxes: list[np.ndarray], density: float) -> tuple[float, np.ndarray]:
    """The least energy of the mean that changes the headline or the running integral by half, and both factors."""
    if fault.mean is None:
        return 0.0, factors_of(fault, fluxes, density, 0.0)
    for energy in ENERGIES:
        factors = factors_of(fault, fluxes, density, energy)
        if factors.max() > WRONG:
            break
    return energy, factors


def runs_of(name: str, length: str, runs: int, seed: int = 1) -> Iterator[np.ndarray]:
    """Sound fluxes of one spectrum."""
    rng = np.random.default_rng([seed, *name.encode()])
    for _ in range(runs):
        yield gaussian_flux(SPECTRA[name], steps_of(name, length), rng)


def false_alarms(name: str, length: str, runs: int, slowest: float | None = None) -> tuple[int, dict[str, int]]:
    """Of how many sound runs any check fails, and how often each."""
    found = [failed(flux, slowest) for flux in runs_of(name, length, runs)]
    return sum(map(bool, found)), {check: sum(check in names for names in found) for check in STATIONARITY_CHECKS}


def detections(
    name: str, length: str, runs: int, fault: Fault, slowest: float | None = None
) -> tuple[int, float, np.ndarray]:
    """In how many runs a fault is found, its energy, and the factors of the conductivity."""
    density = float(SPECTRA[name](np.zeros(1))[0])
    fluxes = list(runs_of(name, length, runs, seed=2))
    energy, factors = energy_that_matters(fault, fluxes[:3], density)
    return sum(bool(failed(fault.plant(flux, density, energy), slowest)) for flux in fluxes), energy, factors


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int)
    parser.add_argument("lengths", nargs="*", default=list(STEPS))
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--slowest", type=float)
    parser.add_argument("--spectra", nargs="+", default=list(SPECTRA))
    options = parser.parse_args()
    for length in options.lengths:
        for name in options.spectra:
            for line in table(name, length, options.runs, options.faults, options.slowest):
                sys.stdout.write(f"{length:6} {name:34} {line}\n")
                sys.stdout.flush()


def table(name: str, length: str, runs: int, faults: bool, slowest: float | None) -> Iterator[str]:
    """Lines for one spectrum."""
    if not faults:
        count, by_check = false_alarms(name, length, runs, slowest)
        yield f"{count:4d} of {runs} sound runs fail {({k: v for k, v in by_check.items() if v}) or ''}"
        return
    for fault in FAULTS:
        count, energy, factors = detections(name, length, runs, fault, slowest)
        size = f", energy {energy:g}" if energy else ""
        changed = f"kappa x {factors[0]:.2f}, integral x {factors[1]:.2f}"
        yield f"{fault.name:33} found in {count:3d} of {runs}; {changed}{size}"


if __name__ == "__main__":
    main()
