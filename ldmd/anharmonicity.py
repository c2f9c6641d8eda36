"""The anharmonicity score sigma^A: how much of the force the harmonic model misses.

sigma^A_X = sqrt( sum_X <|F - F2|^2> / sum_X <|F|^2> ),  F2 = -Phi u,
pooled over configurations, atoms of the group X and directions, no mean removed (Knoop et al., Phys. Rev. Mater. 4,
083809 (2020)). It is 0 for a harmonic crystal and about 1 where the harmonic model explains nothing. Displacements
u are minimum images with respect to the reference, with the displacement of the centre of mass removed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ldmd.force_constants.second import SecondOrder
from ldmd.results import quantity
from ldmd.structures import minimum_image

BLOCKS = 10


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
