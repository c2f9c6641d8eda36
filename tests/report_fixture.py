"""Contents of a report made of synthetic, silica-like numbers: cheap and seeded."""

from __future__ import annotations

import functools
import math

import numpy as np

from ldmd.anharmonicity import Anharmonicity
from ldmd.comparison import Comparison, LedgerEntry, RunLength, compare
from ldmd.diffusion import Diffusion
from ldmd.dynamics.trajectory import Trajectory
from ldmd.green_kubo.estimate import GreenKuboResult, green_kubo
from ldmd.green_kubo.series import from_replicas
from ldmd.inspection import FORCE_CHECK, SWITCHING_CHECK, Inspection
from ldmd.lattice.conductivity import Conductivity
from ldmd.lattice.linewidths import Linewidths
from ldmd.lattice.modes import Modes
from ldmd.report import ReportContents
from ldmd.results import Check
from ldmd.units import BOLTZMANN, HBAR, THZ

TEMPERATURES = np.array([50.0, 100.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0])
STATISTICS = ("bose-einstein", "classical")
LATTICE_CONSTANT = 7.16
CITATIONS = (
    "munetoh2007",
    "tersoff1988",
    "wooten1985",
    "isaeva2019",
    "allen1993",
    "fan2015",
    "bussi2007",
    "ercole2017",
    "knoop2020",
)


def structure(cells: int, seed: int = 1) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Rattled cristobalite: symbols, positions (N, 3) and cell (3, 3) in Angstrom; 24 atoms per cell."""
    fcc = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]]) / 4.0
    silicon = np.concatenate([fcc, fcc + 0.25])
    bonds = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 8.0
    oxygen = (fcc[:, None] + bonds[None]).reshape(-1, 3)
    corners = np.array([[i, j, k] for i in range(cells) for j in range(cells) for k in range(cells)])
    places = [(corner + part) for corner in corners for part in np.concatenate([silicon, oxygen])]
    symbols = tuple(name for _ in corners for name in ["Si"] * 8 + ["O"] * 16)
    positions = LATTICE_CONSTANT * np.array(places)
    positions += 0.06 * np.random.default_rng(seed).standard_normal(positions.shape)
    return symbols, positions, np.eye(3) * LATTICE_CONSTANT * cells


def inspection(cells: int = 2, sound: bool = True) -> Inspection:
    """A network glass without a flaw, or a quenched one with pairs on the cutoff."""
    symbols, positions, cell = structure(cells)
    silicon, oxygen = symbols.count("Si"), symbols.count("O")
    bad = 0 if sound else 7
    oxygens = np.flatnonzero(np.array(symbols) == "O")
    coordination = np.zeros((2, 6))
    coordination[0, 4], coordination[0, 5] = (silicon, 0) if sound else (silicon - 9, 9)
    coordination[1, 2], coordination[1, 3] = (oxygen, 0) if sound else (oxygen - 5, 5)
    return Inspection(
        symbols=symbols,
        positions=positions,
        cell=cell,
        energy_per_atom=-6.6502,
        pressure=0.0003,
        density=2.08,
        largest_force=8e-11 if sound else 4e-5,
        species=("Si", "O"),
        coordination=coordination,
        switching=np.array([[[2.5, 2.8], [2.06, 2.37]], [[2.06, 2.37], [1.7, 2.0]]]),
        switching_pairs=oxygens[: 2 * bad].reshape(bad, 2),
        switching_distances=2.0 - 1e-3 * np.arange(bad) ** 2,
        outer_cutoffs=np.full(bad, 2.0),
        checks=(
            Check(SWITCHING_CHECK, float(bad), "<=", 0.0, "pairs", "Build the glass as a network."),
            Check(FORCE_CHECK, 8e-11 if sound else 4e-5, "<=", 1e-8, "eV/Angstrom", "Relax the structure."),
            Check("imaginary modes", 0.0, "<=", 0.0, "modes", "Relax the structure further."),
        ),
    )


def modes(cells: int, seed: int = 2) -> Modes:
    """Frequencies between 1 and 38 THz with a gap, random orthonormal eigenvectors, localised band edges."""
    random = np.random.default_rng(seed)
    symbols = structure(cells)[0]
    size = 3 * len(symbols)
    bands = np.concatenate([25.0 * random.beta(1.7, 1.9, int(0.78 * size)), random.normal(32.5, 2.1, size)])
    frequencies = np.sort(np.abs(bands[: size - 3]) + 0.9)
    vectors = np.linalg.qr(random.standard_normal((size, size)))[0]
    ratio = np.clip(0.55 - 0.012 * np.abs(frequencies - 12.0) + 0.05 * random.standard_normal(size - 3), 0.02, 0.7)
    ratio[:3] = (0.08, 0.15, 0.31)
    return Modes(
        frequencies=np.concatenate([np.zeros(3), THZ * frequencies]),
        eigenvectors=vectors,
        participation_ratio=np.concatenate([np.ones(3), ratio]),
        translations=np.arange(3),
        masses=np.array([28.0855 if name == "Si" else 15.9994 for name in symbols]),
    )


def heat_capacity(frequencies: np.ndarray, kelvin: float) -> np.ndarray:
    """Mode heat capacity over kB."""
    x = HBAR * frequencies / (BOLTZMANN * kelvin)
    return np.where(x > 0.0, (0.5 * x / np.sinh(np.clip(0.5 * x, 1e-9, 300.0))) ** 2, 1.0)


def linewidths(of: Modes, seed: int = 3) -> Linewidths:
    """Linear in temperature, scattered, two overdamped modes at the bottom."""
    random = np.random.default_rng(seed)
    shape = 0.00035 * (of.frequencies / THZ + 4.0) ** 1.2 * np.exp(0.35 * random.standard_normal(len(of.frequencies)))
    shape[3:5] = (0.027, 0.024)
    shape[:3] = 0.0
    capacity = np.array([heat_capacity(of.frequencies, kelvin) for kelvin in TEMPERATURES])
    gamma = np.stack(
        [
            shape * TEMPERATURES[:, None] * capacity**0.3,
            shape * TEMPERATURES[:, None] * np.ones_like(capacity),
        ],
        1,
    )
    return Linewidths(temperatures=TEMPERATURES, statistics=STATISTICS, gamma=gamma, kernel="gaussian", width=0.6)


def conductivity(of: Modes) -> Conductivity:
    """Contributions that fall with frequency, weighted with the heat capacity."""
    nu = of.frequencies / THZ
    weights = np.where(nu > 0.0, np.exp(-nu / 11.0) + 0.1, 0.0)
    weights *= 1.33 / weights.sum()
    quantum = np.array([weights * heat_capacity(of.frequencies, kelvin) for kelvin in TEMPERATURES])
    per_mode = np.stack([quantum, np.tile(weights, (len(TEMPERATURES), 1))], axis=1)
    tensor = per_mode.sum(axis=2)[..., None, None] * np.diag([1.03, 0.99, 0.98])
    return Conductivity(
        temperatures=TEMPERATURES,
        statistics=STATISTICS,
        qhgk=tensor,
        intraband=0.04 * tensor,
        allen_feldman=0.93 * tensor,
        allen_feldman_broadening=0.3,
        per_mode=per_mode,
        diffusivity=np.where(nu > 0.0, 60.0 * np.exp(-nu / 11.0), 0.0),
    )


def trajectories(count: int = 2, steps: int = 24_000) -> tuple[Trajectory, ...]:
    """Replicas whose flux relaxes in 0.3 ps under a vibration at 8 THz; conductivity about 1.2 W/(m K)."""
    return tuple(_trajectory(seed, steps) for seed in range(count))


def _trajectory(seed: int, steps: int, interval: float = 0.005) -> Trajectory:
    random = np.random.default_rng(100 + seed)
    noise = np.fft.rfft(random.standard_normal((steps, 3)), axis=0)
    frequency = np.fft.rfftfreq(steps, interval)[:, None]
    central = 55.0 / (1.0 + (frequency / 0.8) ** 2)
    peak = 2500.0 / (1.0 + ((frequency - 9.0) / 2.0) ** 2) + 900.0 / (1.0 + ((frequency - 31.0) / 1.5) ** 2)
    flux = np.fft.irfft(
        noise * np.sqrt((central + peak * frequency**2 / (1.0 + frequency**2) + 1e-3) / interval),
        steps,
        axis=0,
    )
    wander = np.cumsum(random.standard_normal(steps)) * 1e-9
    return Trajectory(
        sampling_interval=interval,
        time_step=0.001,
        volume=2936.0,
        seed=seed,
        potential_flux=0.7 * flux,
        kinetic_flux=0.08 * flux,
        temperature=300.0 + 2.0 * seed + 8.0 * random.standard_normal(steps),
        energy=-6.61 + 4e-6 * random.standard_normal(steps) + wander,
        frame_interval=1.0,
        frame_positions=np.zeros((0, 4, 3)),
        frame_forces=np.zeros((0, 4, 3)),
        largest_momentum=1e-12,
    )


def analysed(runs: tuple[Trajectory, ...]) -> GreenKuboResult:
    """The Green-Kubo analysis of these runs."""
    fluxes = [run.potential_flux + run.kinetic_flux for run in runs]
    kelvin = float(np.mean([run.temperature.mean() for run in runs]))
    return green_kubo(from_replicas(fluxes, runs[0].sampling_interval, kelvin, runs[0].volume), slowest_ps=0.3)


def comparison(lattice: Conductivity, dynamics: GreenKuboResult) -> Comparison:
    """Lattice against dynamics at 300 K, on the same footing as the tool's own."""
    row = int(np.argmin(np.abs(TEMPERATURES - 300.0)))
    quantum, classical = (float(np.trace(lattice.qhgk[row, place]) / 3.0) for place in (0, 1))
    measured = dynamics.conductivity
    gap = classical - measured.value
    steps = (LedgerEntry("quantum statistics", classical - quantum, 0.0, "Classically every mode is excited fully."),)
    checks = (Check("difference", abs(gap), "<=", 2.0, "W/(m K)", "Read the ledger."),)
    return compare(
        300.0,
        classical,
        quantum,
        measured,
        dynamics.interval_95,
        2.0,
        checks=checks,
        steps=steps,
        dynamics_checks=dynamics.running.checks,
        resolution=0.5,
        run=RunLength(dynamics.duration, dynamics.replicas),
        diffusion=motion(),
    )


def motion(grown: float = 0.1) -> Diffusion:
    """Two species that vibrate; the second one's displacement grows by so many Angstrom^2 over the run."""
    lags = np.arange(1.0, 31.0)
    return Diffusion(
        species=("Si", "O"),
        counts=(64, 128),
        duration=60.0,
        lags=lags,
        mean_square_displacement=np.array([0.03 + 0.0 * lags, 0.08 + grown * lags / 60.0]),
        growth=np.array([0.001, grown]),
        growth_error=np.array([0.002, 0.05 * grown]),
        neighbour_distance=np.array([1.62, 1.62]),
        moved=np.array([0.0, min(1.0, 0.1 * grown)]),
        moved_at_end=np.array([0.0, min(1.0, 0.05 * grown)]),
        farthest=np.array([0.31, 0.62 + np.sqrt(grown)]),
    )


def anharmonicity() -> Anharmonicity:
    """Three ways of sampling, three groups of atoms."""
    return Anharmonicity(
        samplings=("molecular dynamics", "harmonic, classical", "harmonic, quantum"),
        groups=("all", "Si", "O"),
        temperature=300.0,
        sigma=np.array([[0.21, 0.19, 0.23], [0.22, 0.20, 0.24], [0.29, 0.27, 0.31]]),
        standard_error=np.full((3, 3), 0.008),
        configurations=np.array([400, 200, 200]),
    )


SETTINGS = {
    "material": {"name": "vitreous silica", "structure": "structure.extxyz"},
    "potential": {"kind": "tersoff", "parameters": "SiO.tersoff"},
    "lattice": {
        "temperatures": TEMPERATURES.tolist(),
        "statistics": list(STATISTICS),
        "force_constants": "autodiff",
    },
    "dynamics": {
        "temperature": 300.0,
        "length_ps": 120.0,
        "replicas": 2,
        "time_step_fs": 1.0,
        "thermostat": None,
    },
    "compare": {"tolerance_sigma": 2.0},
}

PROVENANCE = {
    "command": "ldmd compare cases/silica",
    "date": "2026-01-02 03:04 UTC",
    "ldmd": "0.1.0",
    "machine": {"cores": 2, "processor": "a processor"},
    "digests": {"lattice": "5f0c" * 16, "dynamics": "a1b2" * 16},
}


@functools.cache
def full(cells: int = 2) -> ReportContents:
    """A complete report."""
    vibrations = modes(cells)
    lattice, runs = conductivity(vibrations), trajectories()
    dynamics = analysed(runs)
    return ReportContents(
        case_name="silica",
        title="Vitreous silica",
        settings=SETTINGS,
        provenance=PROVENANCE,
        inspection=inspection(cells),
        force_constant_residuals={"translation, second order": 3e-14, "permutation, third order": 8e-15},
        modes=vibrations,
        linewidths=linewidths(vibrations),
        conductivity=lattice,
        trajectories=runs,
        green_kubo=dynamics,
        anharmonicity=anharmonicity(),
        diffusion=motion(),
        comparison=comparison(lattice, dynamics),
        citations=CITATIONS,
    )


@functools.cache
def failing() -> ReportContents:
    """A structure that fails its inspection, so that nothing else ran."""
    return ReportContents(
        case_name="silica-quenched",
        title="Quenched silica",
        settings=SETTINGS,
        provenance={**PROVENANCE, "elapsed": math.nan},
        inspection=inspection(2, sound=False),
        citations=("munetoh2007", "unknown-key"),
    )
