"""The anharmonicity score sigma^A: how much of the force the harmonic model misses.

sigma^A_X = sqrt( sum_X <|F - F2|^2> / sum_X <|F|^2> ),  F2 = -Phi u,
pooled over configurations, atoms of the group X and directions, no mean removed (Knoop et al., Phys. Rev. Mater. 4,
083809 (2020)). It is 0 for a harmonic crystal and about 1 where the harmonic model explains nothing. Displacements
u are minimum images with respect to the reference, with the displacement of the centre of mass removed.

Per mode m it is the same ratio of projected forces, f_m = sum_i e_m,i . F_i / sqrt(m_i) with the real mass-weighted
eigenvectors, for which F2 gives -w_m^2 Q_m. The three rigid translations, recognised by their overlap with uniform
motion, have no restoring force and no score; no configuration is left out. Modes of equal frequency share one score,
pooled over them: their eigenvectors are a choice, the pooled ratio is not.

Against temperature it comes from "one-shot" configurations: independent normal coordinates with the classical or
quantum variances of the harmonic model. The random numbers are the same at all temperatures, so that curves are
smooth: of a model with cubic terms only, |F - F2| / |F2| then grows exactly as sqrt(T) for classical sampling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ldmd.dynamics.sampling import harmonic_displacements
from ldmd.force_constants.second import SecondOrder
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import BoseEinstein, Classical, Statistics
from ldmd.results import quantity
from ldmd.structures import minimum_image

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.force_constants.third import ThirdOrder
    from ldmd.potentials.base import SitePotential

BLOCKS = 10
DEGENERATE = 1e-5
"""Of the highest frequency: neighbouring modes that are closer count as degenerate."""
CONFIGURATIONS_AT_ONCE = 8
"""Whose contractions of the third order are held in memory together."""

Forces = Callable[[np.ndarray], np.ndarray]
"""Displacements (C, N, 3) in Angstrom to forces (C, N, 3) in eV/Angstrom."""


@dataclasses.dataclass(frozen=True)
class Anharmonicity:
    """sigma^A for several ways to sample configurations (rows) and groups of atoms (columns).

    ``samplings`` are e.g. ``("molecular dynamics", "harmonic, classical", "harmonic, quantum")`` and
    ``groups`` ``("all", "Si", "O")``.
    """

    samplings: tuple[str, ...]
    groups: tuple[str, ...]
    temperature: float
    sigma: np.ndarray = quantity(("sampling", "group"), "1", "pooled ratio sqrt(sum |F - F2|^2 / sum |F|^2)")
    standard_error: np.ndarray = quantity(("sampling", "group"), "1", "jackknife over blocks of configurations")
    configurations: np.ndarray = quantity(("sampling",), "1", "number of configurations")


@dataclasses.dataclass(frozen=True)
class AnharmonicityByTemperature:
    """sigma^A of harmonic one-shot configurations, by groups of atoms and by modes."""

    statistics: tuple[str, ...]
    groups: tuple[str, ...]
    """``("all", "Si", "O")``, say."""
    configurations: int
    """At every temperature."""
    seed: int
    temperatures: np.ndarray = quantity(("temperature",), "K", "temperature")
    sigma: np.ndarray = quantity(("statistics", "temperature", "group"), "1", "sqrt(sum |F - F2|^2 / sum |F|^2)")
    standard_error: np.ndarray = quantity(("statistics", "temperature", "group"), "1", "jackknife over blocks")
    frequencies: np.ndarray = quantity(("mode",), "rad/ps", "angular frequency, negative where imaginary")
    sigma_of_modes: np.ndarray = quantity(
        ("statistics", "temperature", "mode"), "1", "the same of projected forces; NaN for rigid translations"
    )


def against_temperature(
    forces: Forces,
    second: SecondOrder,
    modes: Modes,
    symbols: Sequence[str],
    temperatures: Sequence[float],
    configurations: int = 40,
    seed: int = 0,
    statistics: Sequence[Statistics] = (Classical(), BoseEinstein()),
) -> AnharmonicityByTemperature:
    """sigma^A at temperatures (K) from ``configurations`` one-shot configurations each.

    ``forces`` may be a potential's (``potential_forces``), those of imported force constants (``cubic_forces``), or
    any other program's for the same cell and order of atoms as ``modes``.
    """
    groups: tuple[str, ...] = ()
    sigma, errors, per_mode = [], [], []
    for kind in statistics:
        for temperature in temperatures:
            generator = np.random.default_rng(seed)  # the same numbers every time
            displacements = harmonic_displacements(modes, kind, float(temperature), configurations, generator)
            drawn = forces(displacements)
            groups, value, error = score(displacements, drawn, second, symbols)
            sigma.append(value)
            errors.append(error)
            per_mode.append(score_of_modes(displacements, drawn, second, modes))
    shape = (len(statistics), len(temperatures), -1)
    return AnharmonicityByTemperature(
        statistics=tuple(kind.name for kind in statistics),
        groups=groups,
        configurations=configurations,
        seed=seed,
        temperatures=np.array(temperatures, dtype=float),
        sigma=np.array(sigma).reshape(shape),
        standard_error=np.array(errors).reshape(shape),
        frequencies=modes.frequencies,
        sigma_of_modes=np.array(per_mode).reshape(shape),
    )


def potential_forces(atoms: Atoms, potential: SitePotential, advance: Callable[[float], None] | None = None) -> Forces:
    """Forces of a differentiable potential on displaced atoms; ``advance`` is called with 1.0 for each configuration.

    Compiled once for all configurations, whatever neighbours they have.
    """
    from ldmd.relaxation import Evaluator

    state_of = Evaluator(potential)

    def forces(displacements: np.ndarray) -> np.ndarray:
        found, moved = np.empty_like(displacements), atoms.copy()
        for index, displacement in enumerate(displacements):
            moved.positions = atoms.positions + displacement
            found[index] = state_of(moved).forces
            if advance is not None:
                advance(1.0)
        return found

    return forces


def cubic_forces(second: SecondOrder, third: ThirdOrder) -> Forces:
    """Forces of force constants up to the third order: F = -Phi u - Phi3 u u / 2."""

    def forces(displacements: np.ndarray) -> np.ndarray:
        flat = displacements.reshape(len(displacements), -1)
        pattern, bent = third.pattern.tocoo(), np.empty_like(flat)
        for start in range(0, len(flat), CONFIGURATIONS_AT_ONCE):
            some = slice(start, start + CONFIGURATIONS_AT_ONCE)
            products = third.contract(flat[some].T) * flat[some].T[pattern.col]
            for row, product in zip(range(*some.indices(len(flat))), products.T, strict=True):
                bent[row] = np.bincount(pattern.row, product, third.size)
        return second.forces(displacements) - 0.5 * bent.reshape(displacements.shape)

    return forces


def displacements_from(
    reference: np.ndarray, positions: np.ndarray, cell: np.ndarray, masses: np.ndarray
) -> np.ndarray:
    """Displacements (..., N, 3) in Angstrom from reference positions, centre of mass at rest."""
    displacements = minimum_image(positions - reference, cell)
    drift = np.einsum("i,...ia->...a", masses / masses.sum(), displacements)
    return displacements - drift[..., None, :]


def score(
    displacements: np.ndarray, forces: np.ndarray, second: SecondOrder, symbols: Sequence[str]
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Groups, sigma^A of each, and its jackknife error, for configurations (C, N, 3) in Angstrom and eV/Angstrom."""
    names = np.array(symbols)
    groups = ("all", *dict.fromkeys(symbols))
    members = np.array([np.ones(len(names), bool) if group == "all" else names == group for group in groups])
    missed = np.sum((forces - second.forces(displacements)) ** 2, axis=2) @ members.T
    total = np.sum(forces**2, axis=2) @ members.T
    sigma = np.sqrt(missed.sum(axis=0) / total.sum(axis=0))
    return groups, sigma, _jackknife(missed, total)


def score_of_modes(displacements: np.ndarray, forces: np.ndarray, second: SecondOrder, modes: Modes) -> np.ndarray:
    """sigma^A of every mode (3N,), pooled over configurations (C, N, 3) and equal frequencies.

    NaN for rigid translations, and for what no configuration moves.
    """
    projector = modes.displacements
    total = forces.reshape(len(forces), -1) @ projector
    missed = total - second.forces(displacements).reshape(len(forces), -1) @ projector
    kept = np.ones(len(modes.frequencies), dtype=bool)
    kept[modes.translations.astype(int)] = False
    vibrations = modes.frequencies[kept]
    alike = np.concatenate([[0], np.cumsum(np.diff(vibrations) > DEGENERATE * np.abs(vibrations).max())])
    numerator, denominator = (np.bincount(alike, np.sum(part[:, kept] ** 2, axis=0)) for part in (missed, total))
    ratio = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0.0)
    result = np.full(len(modes.frequencies), np.nan)
    result[kept] = np.sqrt(ratio)[alike]
    return result


def _jackknife(missed: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Standard error of sqrt(sum missed / sum total) from leaving out consecutive blocks of configurations in turn."""
    blocks = min(BLOCKS, len(missed))
    if blocks < 2:
        return np.full(missed.shape[1], np.nan)
    parts = np.array_split(np.arange(len(missed)), blocks)
    without = np.array(
        [
            np.sqrt(np.delete(missed, part, axis=0).sum(axis=0) / np.delete(total, part, axis=0).sum(axis=0))
            for part in parts
        ]
    )
    return np.sqrt((blocks - 1) / blocks * np.sum((without - without.mean(axis=0)) ** 2, axis=0))
