"""Where a potential is not smooth: jumps of energy, force and curvature as a pair crosses a cutoff.

One atom of a pair is moved along the pair's direction u to distances R + x on both sides of a radius R. With
f(x) = F_j . u at x = +-d, +-2d, +-3d, parabolas through either side give the limits at x = 0,

    f(0) = 3 f_1 - 3 f_2 + f_3,    f'(0) = (-5 f_1 + 8 f_2 - 3 f_3) / 2d,    f''(0) = (f_1 - 2 f_2 + f_3) / d^2,

(likewise the energy), and their differences are the jumps. Energy and force are taken as close to R as round-off
allows: a bond order that grows with a broken power of x has a force without a jump, but with a vertical slope. The
slope is what a displacement of 0.001 Angstrom finds. A jump depends on what else is around: the largest one counts of
the few pairs of the structure that are nearest to R. Where none is near, a pair with some bonded neighbours in vacuum
stands for them. Two atoms alone would not do: angular terms are squares of sums over neighbours, and the square of a
function that vanishes as (r - R)^2 has no jump in its curvature.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from matscipy.neighbours import neighbour_list

from ldmd.potentials.ends import Radii

EnergyAndForces = Callable[[Atoms], tuple[float, np.ndarray]]

SPACING = 1e-3
"""Angstrom between the points on either side."""
FINE = 1e-4
"""The same for third derivatives where there is no noise, and for pairs of a structure that has many near their radii:
others should not cross theirs on the way."""
CLOSE = 1e-8
"""The same for energy and force, if the noise of the forces is below ``QUIET``."""
QUIET = 1e-10
"""eV/Angstrom."""
REACH = 0.5
"""Angstrom: a pair of the structure farther from the radius is not moved there; a little cluster stands for it."""
LOOKED_AT = 3
"""Pairs of the structure, those nearest to a radius."""
DIRECTION = np.array([0.6, 0.48, 0.64])
"""Along no axis."""
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
    part: str
    """Of the potential, that begins or ends to act there."""
    energy_jump: float
    """eV, its size; the others as well."""
    force_jump: float
    """eV/Angstrom."""
    curvature_jump: float
    """eV/Angstrom^2."""
    third_jump: float
    """eV/Angstrom^3, of the third derivative of the energy; but for 2 d times the jump of the fourth one."""
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
        _kink(ask, atoms, rest, pair, radius, part, step, noise)
        for pair in itertools.combinations_with_replacement(symbols, 2)
        for radius, part in radii.get(pair, {}).items()
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


def find_cutoffs(ask: EnergyAndForces, symbols: tuple[str, ...]) -> dict[tuple[str, str], dict[float, str]]:
    """The distance beyond which dimers stop to feel each other, by bisection; no entry where they never do."""
    found: dict[tuple[str, str], dict[float, str]] = {}
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
        found[pair] = {outside: "cutoff"}
    return found


def dimer(pair: tuple[str, str], distance: float, edge: float) -> Atoms:
    """Two atoms in the middle of a periodic cube, along no axis of it."""
    middle = np.full(3, 0.5 * edge)
    positions = [middle - 0.5 * distance * DIRECTION, middle + 0.5 * distance * DIRECTION]
    return Atoms(pair, positions=positions, cell=[edge] * 3, pbc=True)


def bonded_pair(pair: tuple[str, str], distance: float) -> Atoms:
    """A pair at a distance (Angstrom), each atom with three bonded neighbours on its far side, in vacuum.

    The first two atoms are the pair, along ``DIRECTION``. Bonds are 1.05 to 1.25 times the sums of covalent radii.
    """
    edge = 2.0 * max(distance, FARTHEST) + 10.0
    atoms = dimer(pair, distance, edge)
    across = np.linalg.qr(np.column_stack([DIRECTION, np.eye(3)[:, :2]]))[0][:, 1:]
    for end, sign in ((0, -1.0), (1, 1.0)):
        for k, (height, stretch) in enumerate(((0.5, 1.05), (0.35, 1.15), (0.65, 1.25))):
            symbol, turn = pair[k % 2], 2.0 * math.pi * (k + 0.3 * end) / 3.0
            side = math.sqrt(1.0 - height**2) * across @ [math.cos(turn), math.sin(turn)]
            length = stretch * sum(covalent_radii[atomic_numbers[name]] for name in (pair[end], symbol))
            place = atoms.positions[end] + length * (sign * height * DIRECTION + side)
            atoms += Atoms([symbol], positions=[place])
    return atoms


def _kink(
    ask: EnergyAndForces,
    atoms: Atoms,
    rest: Atoms,
    pair: tuple[str, str],
    radius: float,
    part: str,
    step: float,
    noise: Noise,
) -> Kink:
    distances = _pairs(rest, pair, radius + REACH)[2]
    off = np.abs(distances - radius)
    nearest = float(off.min(initial=math.inf))
    count = int(np.count_nonzero(off <= step)) // 2
    sizes = np.max([_jumps(ask, *moved, noise) for moved in _moved_pairs(atoms, pair, radius)], axis=0)
    spacing = FINE if noise.force < QUIET else SPACING
    floors = (noise.energy, noise.force, noise.force / SPACING, noise.force / spacing**2)
    energy, force, curvature, third = (
        float(size) if size > FLOOR * floor else 0.0 for size, floor in zip(sizes, floors, strict=True)
    )
    return Kink(pair, radius, part, energy, force, curvature, third, count, nearest if nearest <= REACH else math.inf)


def _pairs(atoms: Atoms, pair: tuple[str, str], reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both directions of the pairs of two species within reach: i, j, distances and vectors from i to j."""
    return neighbour_list("ijdD", atoms, {pair: reach})  # type: ignore[no-any-return, unused-ignore]


def _moved_pairs(atoms: Atoms, pair: tuple[str, str], radius: float) -> list[tuple[Atoms, int, np.ndarray]]:
    """Atoms with a pair exactly at the radius, the atom of it to move, and the direction that lengthens it."""
    i, j, distances, vectors = _pairs(atoms, pair, radius + REACH)
    off = np.where(i == j, math.inf, np.abs(distances - radius))  # an atom and its own image keep their distance
    off = np.where(i < j, off, math.inf)  # each pair once
    nearest = np.argsort(off, kind="stable")[:LOOKED_AT]
    chosen = [int(k) for k in nearest if off[k] <= REACH]
    if not chosen:
        return [(bonded_pair(pair, radius), 1, DIRECTION)]
    found = []
    for k in chosen:
        direction = vectors[k] / distances[k]
        moved = atoms.copy()
        moved.positions[j[k]] += (radius - distances[k]) * direction
        found.append((moved, int(j[k]), direction))
    return found


def _jumps(ask: EnergyAndForces, atoms: Atoms, atom: int, direction: np.ndarray, noise: Noise) -> tuple[float, ...]:
    """Sizes of the jumps of the energy, of the force along the direction, of its slope and of its curvature."""
    wide = _limits(ask, atoms, atom, direction, SPACING)
    if noise.force >= QUIET:
        return wide
    close, fine = (_limits(ask, atoms, atom, direction, spacing) for spacing in (CLOSE, FINE))
    return close[0], close[1], wide[2], fine[3]


def _limits(ask: EnergyAndForces, atoms: Atoms, atom: int, direction: np.ndarray, spacing: float) -> tuple[float, ...]:
    """Differences of the limits from either side, from three points on each: see ``_jumps``."""
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
        bend = (forces[0] - 2.0 * forces[1] + forces[2]) / spacing**2
        limits.append(np.array([*value, slope, bend]))
    return tuple(float(size) for size in np.abs(limits[1] - limits[0]))


def kink_lines(kinks: tuple[Kink, ...]) -> list[str]:
    """An aligned table for a terminal, after an empty line; nothing where there are no cutoffs."""
    if not kinks:
        return []
    units = "  ".join(f"{unit:>8}" for unit in ("eV", "eV/A", "eV/A^2", "eV/A^3"))
    lines = ["", f"{'jumps at cutoffs':<16}  {'Angstrom':>9}  {units}  pairs within a step; part"]
    for kink in kinks:
        jumps = (kink.energy_jump, kink.force_jump, kink.curvature_jump, kink.third_jump)
        sizes = "  ".join(f"{size:>8.1e}" for size in jumps)
        where = "none near" if math.isinf(kink.nearest) else f"nearest {kink.nearest:.3f} Angstrom off"
        lines.append(f"{'-'.join(kink.pair):<16}  {kink.radius:>9.4f}  {sizes}  {kink.pairs} ({where}); {kink.part}")
    return lines
