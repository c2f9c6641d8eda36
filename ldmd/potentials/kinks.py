"""Where a potential is not smooth: jumps of energy, force and curvature as a pair crosses a cutoff.

One atom of a pair is moved along the pair's direction u to distances R + x on both sides of a radius R. With
f(x) = F_j . u at x = +-d, +-2d, +-3d, parabolas through either side give the limits at x = 0,

    f(0) = 3 f_1 - 3 f_2 + f_3,    f'(0) = (-5 f_1 + 8 f_2 - 3 f_3) / 2d,

(likewise the energy), and their differences are the jumps. Energy and force are taken as close to R as round-off
allows: a bond order that grows with a broken power of x has a force without a jump, but with a vertical slope. The
slope is what a displacement of 0.001 Angstrom finds. The pair is the one of the structure that is nearest to R, or a
dimer in vacuum where none is near.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

EnergyAndForces = Callable[[Atoms], tuple[float, np.ndarray]]
Radii = Mapping[tuple[str, str], tuple[float, ...]]
"""Radii (Angstrom) of every pair of symbols, in alphabetical order, at which the potential may not be smooth."""

SPACING = 1e-3
"""Angstrom between the points on either side."""
FINE = 1e-4
"""The same for pairs of a structure that has many near their radii: others should not cross theirs on the way."""
CLOSE = 1e-8
"""The same for energy and force, if the noise of the forces is below ``QUIET``."""
QUIET = 1e-10
"""eV/Angstrom."""
REACH = 0.5
"""Angstrom: a pair of the structure farther from the radius is not moved there; a dimer stands for it."""
FLOOR = 20.0
"""A jump below so many times the noise of what it is computed from counts as none."""
FARTHEST = 12.0
"""Angstrom up to which a cutoff is looked for."""
VANISHED = 1e-12
"""eV/Angstrom below which atoms do not feel each other."""


@dataclasses.dataclass(frozen=True)
class Noise:
    """Round-off as it was measured: of the energy (eV) and of a component of a force (eV/Angstrom)."""

    energy: float
    force: float


@dataclasses.dataclass(frozen=True)
class Kink:
    """What happens to a pair at one radius."""

    pair: tuple[str, str]
    radius: float
    """Angstrom."""
    energy_jump: float
    """eV, its size; the other two as well."""
    force_jump: float
    """eV/Angstrom."""
    curvature_jump: float
    """eV/Angstrom^2."""
    pairs: int
    """Pairs of the structure within a step of the radius."""
    nearest: float
    """Angstrom from the radius to the nearest pair of the structure; infinite where none is within 0.5 Angstrom."""


def measure_kinks(
    ask: EnergyAndForces, atoms: Atoms, rest: Atoms, radii: Radii, step: float, noise: Noise
) -> tuple[Kink, ...]:
    """The jumps at all radii of the pairs that occur in a structure.

    ``atoms`` is the structure in which pairs are moved, ``rest`` the one whose pairs are counted: those within
    ``step`` (Angstrom) of a radius.
    """
    symbols = sorted(set(atoms.get_chemical_symbols()))
    return tuple(
        _kink(ask, atoms, rest, pair, radius, step, noise)
        for pair in itertools.combinations_with_replacement(symbols, 2)
        for radius in radii.get(pair, ())
    )


def curvature_jumps(ask: EnergyAndForces, atoms: Atoms, pairs: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Sizes (n,) eV/Angstrom^2 of the jumps of the curvature as each of some pairs (n, 2) crosses its radius (n,).

    The second atom of a pair is moved there along the bond, to its nearest image, and all others stay where they are:
    what the pair is worth depends on its neighbours. Forces of double precision are asked for.
    """
    found = []
    for (i, j), radius in zip(pairs, radii, strict=True):
        bond = atoms.get_distance(int(i), int(j), mic=True, vector=True)
        distance = float(np.linalg.norm(bond))
        moved = atoms.copy()
        moved.positions[int(j)] += (radius - distance) / distance * bond
        found.append(_limits(ask, moved, int(j), bond / distance, FINE)[2])
    return np.array(found)


def find_cutoffs(ask: EnergyAndForces, symbols: tuple[str, ...]) -> dict[tuple[str, str], tuple[float, ...]]:
    """The distance beyond which dimers stop to feel each other, by bisection; no entry where they never do."""
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    for pair in itertools.combinations_with_replacement(sorted(symbols), 2):

        def feels(distance: float, pair: tuple[str, str] = pair) -> bool:
            return bool(np.abs(ask(dimer(pair, distance, 2.0 * FARTHEST + 4.0))[1]).max() > VANISHED)

        grid = np.arange(FARTHEST, 0.7, -0.25)
        place = next((k for k, distance in enumerate(grid) if feels(float(distance))), None)
        if place is None or place == 0:
            continue
        inside, outside = float(grid[place]), float(grid[place - 1])
        while outside - inside > 1e-9:
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if feels(middle) else (inside, middle)
        found[pair] = (outside,)
    return found


def dimer(pair: tuple[str, str], distance: float, edge: float) -> Atoms:
    """Two atoms in the middle of a periodic cube, along no axis of it."""
    direction = np.array([0.6, 0.48, 0.64])
    middle = np.full(3, 0.5 * edge)
    positions = [middle - 0.5 * distance * direction, middle + 0.5 * distance * direction]
    return Atoms(pair, positions=positions, cell=[edge] * 3, pbc=True)


def _kink(
    ask: EnergyAndForces, atoms: Atoms, rest: Atoms, pair: tuple[str, str], radius: float, step: float, noise: Noise
) -> Kink:
    distances = _pairs(rest, pair, radius + REACH)[2]
    off = np.abs(distances - radius)
    nearest = float(off.min(initial=math.inf))
    count = int(np.count_nonzero(off <= step)) // 2
    sizes = _jumps(ask, *_moved_pair(atoms, pair, radius), noise)
    floors = (noise.energy, noise.force, noise.force / SPACING)
    energy, force, curvature = (
        size if size > FLOOR * floor else 0.0 for size, floor in zip(sizes, floors, strict=True)
    )
    return Kink(pair, radius, energy, force, curvature, count, nearest if nearest <= REACH else math.inf)


def _pairs(atoms: Atoms, pair: tuple[str, str], reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both directions of the pairs of two species within reach: i, j, distances and vectors from i to j."""
    return neighbour_list("ijdD", atoms, {pair: reach})  # type: ignore[no-any-return, unused-ignore]


def _moved_pair(atoms: Atoms, pair: tuple[str, str], radius: float) -> tuple[Atoms, int, np.ndarray]:
    """Atoms with a pair exactly at the radius, the atom of it to move, and the direction that lengthens it."""
    i, j, distances, vectors = _pairs(atoms, pair, radius + REACH)
    off = np.where(i == j, math.inf, np.abs(distances - radius))  # an atom and its own image keep their distance
    if not len(off) or off.min() > REACH:
        pair_alone = dimer(pair, radius, 2.0 * radius + 4.0)
        return pair_alone, 1, np.array([0.6, 0.48, 0.64])
    best = int(off.argmin())
    direction = vectors[best] / distances[best]
    moved = atoms.copy()
    moved.positions[j[best]] += (radius - distances[best]) * direction
    return moved, int(j[best]), direction


def _jumps(
    ask: EnergyAndForces, atoms: Atoms, atom: int, direction: np.ndarray, noise: Noise
) -> tuple[float, float, float]:
    """Sizes of the jumps of the energy, of the force along the direction, and of its slope."""
    wide = _limits(ask, atoms, atom, direction, SPACING)
    close = _limits(ask, atoms, atom, direction, CLOSE) if noise.force < QUIET else wide
    return close[0], close[1], wide[2]


def _limits(
    ask: EnergyAndForces, atoms: Atoms, atom: int, direction: np.ndarray, spacing: float
) -> tuple[float, float, float]:
    """Differences of the limits from either side, from three points on each."""
    limits = []
    for side in (-1.0, 1.0):
        energies, forces = [], []
        for k in (1, 2, 3):
            moved = atoms.copy()
            moved.positions[atom] += side * k * spacing * direction
            energy, force = ask(moved)
            energies.append(energy)
            forces.append(float(force[atom] @ direction))
        value = [3.0 * three[0] - 3.0 * three[1] + three[2] for three in (energies, forces)]
        slope = side * (-2.5 * forces[0] + 4.0 * forces[1] - 1.5 * forces[2]) / spacing
        limits.append(np.array([*value, slope]))
    energy_jump, force_jump, curvature_jump = np.abs(limits[1] - limits[0])
    return float(energy_jump), float(force_jump), float(curvature_jump)


def kink_lines(kinks: tuple[Kink, ...]) -> list[str]:
    """An aligned table for a terminal, after an empty line; nothing where there are no cutoffs."""
    if not kinks:
        return []
    lines = [
        "",
        f"{'jumps at cutoffs':<16}  {'Angstrom':>9}  {'eV':>8}  {'eV/A':>8}  {'eV/A^2':>8}  pairs within a step",
    ]
    for kink in kinks:
        sizes = "  ".join(f"{size:>8.1e}" for size in (kink.energy_jump, kink.force_jump, kink.curvature_jump))
        where = "none near" if math.isinf(kink.nearest) else f"nearest {kink.nearest:.3f} Angstrom off"
        lines.append(f"{'-'.join(kink.pair):<16}  {kink.radius:>9.4f}  {sizes}  {kink.pairs} ({where})")
    return lines
