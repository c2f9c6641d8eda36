"""Do the atoms vibrate about fixed places, hop between a few of them, or diffuse?

Lattice dynamics expands the energy about one minimum. Its modes describe atoms that stay near that minimum; they say
nothing of atoms that diffuse, in a melt or in a superionic conductor. The mean square displacement of a species after
a time lag, relative to the centre of mass, tells the three apart:

    vibration    it is level beyond a few periods, at twice the mean square amplitude,
    hops         some atoms are found far from their place, but the displacement does not go on growing,
    diffusion    it grows by 6 D t with time (Einstein, Ann. Phys. 322, 549 (1905)).

The growth of a run of length T is four times the difference of the mean over lags from T/4 to T/2 and the mean over
lags up to T/4: it is 6 D T for diffusion and nothing for vibration. A species diffuses if its growth exceeds the
square of half the distance to its nearest neighbours, and twice its own standard error, which comes from the scatter
among groups of atoms (jackknife). Of a run with too few frames for that, the square distance of the atoms from the
structure in the last frame stands for the growth: it is an upper bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ldmd.results import Check, quantity

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.dynamics.trajectory import Trajectory

HALF = 0.5
"""Of the distance of nearest neighbours: an atom that is farther from its place has left it."""
CHECK = "growth of the displacement of atoms"
MOST_LAGS = 48
"""At which the displacement is averaged."""
FEWEST_FRAMES = 8
"""Of one run, for the growth between lags."""
GROUPS = 8
"""Of the atoms of a species in each run, for the error of the growth."""
CM2_PER_S = 1e-4
"""One Angstrom^2/ps in cm^2/s."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diffusion:
    """How far the atoms of each species go in the dynamics."""

    species: tuple[str, ...]
    counts: tuple[int, ...]
    """Atoms of each species."""
    duration: float  # ps, of one run
    lags: np.ndarray = quantity(("lag",), "ps", "time between two frames")
    mean_square_displacement: np.ndarray = quantity(
        ("species", "lag"), "Angstrom^2", "mean over atoms, runs and starting times, relative to the centre of mass"
    )
    growth: np.ndarray = quantity(("species",), "Angstrom^2", "growth of it over a run by diffusion")
    growth_error: np.ndarray = quantity(("species",), "Angstrom^2", "standard error of the growth")
    neighbour_distance: np.ndarray = quantity(("species",), "Angstrom", "mean distance of the nearest neighbour")
    moved: np.ndarray = quantity(
        ("species",), "1", "share of atoms ever farther than half a neighbour distance from the structure"
    )
    moved_at_end: np.ndarray = quantity(("species",), "1", "share of atoms that far at the end of the run")
    farthest: np.ndarray = quantity(("species",), "Angstrom", "largest distance of an atom from the structure")

    @property
    def steps(self) -> np.ndarray:
        """Root of the growth (S,) in distances of nearest neighbours; 0 for a negative growth."""
        return np.sqrt(np.maximum(self.growth, 0.0)) / self.neighbour_distance

    @property
    def coefficients(self) -> np.ndarray:
        """Diffusion coefficients (S,) from the growth, cm^2/s; they mean something for species that diffuse."""
        return CM2_PER_S * self.growth / (6.0 * self.duration)

    @property
    def diffusing(self) -> np.ndarray:
        """Which species diffuse, (S,)."""
        return (self.steps > HALF) & (self.growth > 2.0 * self.growth_error)

    @property
    def motions(self) -> tuple[str, ...]:
        """``diffuses``, ``hops`` or ``vibrates`` for each species."""
        return tuple(
            "diffuses" if diffuses else "hops" if share > 0.0 else "vibrates"
            for diffuses, share in zip(self.diffusing, self.moved, strict=True)
        )

    @property
    def found(self) -> bool:
        """Whether any species diffuses."""
        return bool(self.diffusing.any())

    @property
    def check(self) -> Check:
        """The largest growth of a species that counts, in distances of neighbours; a species within its error is 0."""
        counting = np.where(self.growth > 2.0 * self.growth_error, self.steps, 0.0)
        worst = float(counting.max(initial=0.0))
        advice = "atoms diffuse: lattice dynamics does not apply; choose a temperature at which this is a solid"
        if len(self.species) > 1:
            advice += ", and mind that Green-Kubo with diffusing species needs their fluxes, too"
        return Check(CHECK, worst, "<=", HALF, "distances of neighbours", advice)

    def sentence(self) -> str:
        """Which atoms diffuse, how many of them have left their places, and how far the farthest one got."""
        parts = [
            f"{name} ({100.0 * self.moved[place]:.0f} % of the atoms were more than "
            f"{HALF * self.neighbour_distance[place]:.1f} Angstrom, half a neighbour distance, from their places, "
            f"the farthest {self.farthest[place]:.1f} Angstrom, within {self.duration:.3g} ps)"
            for place, name in enumerate(self.species)
            if self.diffusing[place]
        ]
        return f"atoms diffuse: {'; '.join(parts)}"


def diffusion(reference: Atoms, trajectories: Sequence[Trajectory]) -> Diffusion | None:
    """What the stored frames of the dynamics of a structure say; None without frames.

    Parameters
    ----------
    reference
        The structure that the dynamics began from: places of the atoms, masses and distances of neighbours.
    trajectories
        Runs with unwrapped positions, all with as many frames.
    """
    runs = [run for run in trajectories if len(run.frame_positions)]
    if not runs:
        return None
    symbols, masses = np.array(reference.get_chemical_symbols()), reference.get_masses()
    species = tuple(dict.fromkeys(symbols.tolist()))
    members = [symbols == name for name in species]
    paths = [_relative(run.frame_positions, masses) for run in runs]
    places = _relative(reference.positions[None], masses)[0]
    nearest = nearest_distances(reference)
    from_place = np.stack([np.linalg.norm(path - places, axis=2) for path in paths])
    left = from_place > HALF * nearest
    lags, displaced = _displacements(paths)
    interval = runs[0].frame_interval
    duration = interval * len(paths[0])
    if len(paths[0]) >= FEWEST_FRAMES:
        single = _growth(lags, displaced, len(paths[0]))
    else:
        single = from_place[:, -1] ** 2
    grown = [_mean_of_groups(single[:, atoms]) for atoms in members]
    return Diffusion(
        species=species,
        counts=tuple(int(atoms.sum()) for atoms in members),
        duration=duration,
        lags=interval * lags,
        mean_square_displacement=np.array([displaced[:, :, atoms].mean(axis=(0, 2)) for atoms in members]),
        growth=np.array([value for value, _ in grown]),
        growth_error=np.array([error for _, error in grown]),
        neighbour_distance=np.array([nearest[atoms].mean() for atoms in members]),
        moved=np.array([left[:, :, atoms].any(axis=1).mean() for atoms in members]),
        moved_at_end=np.array([left[:, -1, atoms].mean() for atoms in members]),
        farthest=np.array([from_place[:, :, atoms].max() for atoms in members]),
    )


def nearest_distances(atoms: Atoms) -> np.ndarray:
    """Distance of every atom (N,) to its nearest neighbour or periodic image, Angstrom."""
    from matscipy.neighbours import neighbour_list

    reach, nearest = 3.0, np.full(len(atoms), np.inf)
    while np.isinf(nearest).any():
        i, distance = neighbour_list("id", atoms, reach)
        np.minimum.at(nearest, i, distance)
        reach *= 1.5
    return nearest


def _relative(frames: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Positions (F, N, 3) relative to the centre of mass of each frame."""
    return frames - np.einsum("n,fnx->fx", masses, frames)[:, None] / masses.sum()


def _displacements(paths: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lags in frames (L,), up to half a run, and the square displacement (R, L, N) averaged over starting times."""
    longest = len(paths[0]) // 2
    lags = np.unique(np.linspace(1, longest, min(longest, MOST_LAGS)).round().astype(int)) if longest else np.array([1])
    found = [[np.sum((path[lag:] - path[:-lag]) ** 2, axis=2) for lag in lags] for path in paths]
    rows = [[each.mean(axis=0) if len(each) else np.full(path.shape[1], np.nan) for each in run]
            for run, path in zip(found, paths, strict=True)]  # fmt: skip
    return lags, np.array(rows)


def _growth(lags: np.ndarray, displaced: np.ndarray, frames: int) -> np.ndarray:
    """Growth over a run (R, N), Angstrom^2, of the square displacement of every atom (R, L, N)."""
    late = lags > 0.5 * lags[-1]
    apart = lags[late].mean() - lags[~late].mean()
    grown: np.ndarray = (displaced[:, late].mean(axis=1) - displaced[:, ~late].mean(axis=1)) * frames / apart
    return grown


def _mean_of_groups(single: np.ndarray) -> tuple[float, float]:
    """Mean over runs and atoms (R, n), and its standard error: the jackknife over groups of atoms in each run.

    The error is 0 for one atom in one run.
    """
    groups = [part for run in single for part in np.array_split(run, min(GROUPS, len(run)))]
    sizes, sums = np.array([len(part) for part in groups]), np.array([part.sum() for part in groups])
    value, count = float(sums.sum() / sizes.sum()), len(groups)
    if count < 2:
        return value, 0.0
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    return value, float(np.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))
