"""Vibration, hops that return and diffusion told apart from the frames of the dynamics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldmd.diffusion import CHECK, Diffusion, diffusion, nearest_distances
from ldmd.dynamics.trajectory import Trajectory

FRAMES, INTERVAL = 40, 0.5


def crystal() -> Atoms:
    """64 atoms, every other one germanium, neighbours 2.35 Angstrom apart."""
    atoms = bulk("Si", "diamond", a=5.431, cubic=True).repeat(2)
    atoms.symbols[::2] = "Ge"
    return atoms


def run(frames: np.ndarray) -> Trajectory:
    """A trajectory of which only the frames matter."""
    return Trajectory(
        sampling_interval=INTERVAL,
        time_step=0.001,
        volume=1.0,
        seed=1,
        potential_flux=np.zeros((0, 3)),
        kinetic_flux=np.zeros((0, 3)),
        temperature=np.zeros(0),
        energy=np.zeros(0),
        frame_interval=INTERVAL,
        frame_positions=frames,
        frame_forces=np.zeros_like(frames),
        largest_momentum=0.0,
    )


def vibrating(atoms: Atoms, generator: np.random.Generator, frames: int = FRAMES) -> np.ndarray:
    """Frames (F, N, 3) with an amplitude of 0.12 Angstrom along each axis."""
    return atoms.positions + 0.12 * generator.normal(size=(frames, len(atoms), 3))


def found(atoms: Atoms, *frames: np.ndarray) -> Diffusion:
    """What is said of runs with these frames."""
    result = diffusion(atoms, [run(each) for each in frames])
    assert result is not None
    return result


def test_vibration_does_not_grow() -> None:
    atoms, generator = crystal(), np.random.default_rng(1)
    result = found(atoms, vibrating(atoms, generator), vibrating(atoms, generator))
    assert (result.species, result.counts, result.motions) == (("Ge", "Si"), (32, 32), ("vibrates", "vibrates"))
    assert not result.found and result.check.passed and result.check.name == CHECK
    assert np.abs(result.growth).max() < 5.0 * result.growth_error.max() < 0.05
    assert result.moved.tolist() == result.moved_at_end.tolist() == [0.0, 0.0]
    # Twice the mean square amplitude of each axis, after the centre of mass is taken out of 64 atoms.
    assert result.mean_square_displacement.mean() == pytest.approx(6.0 * 0.12**2 * 63 / 64, rel=0.02)
    assert result.lags.tolist() == [INTERVAL * k for k in range(1, 21)]
    assert result.neighbour_distance == pytest.approx(2.3517, abs=1e-3)


def walk(atoms: Atoms, coefficient: float, generator: np.random.Generator) -> np.ndarray:
    """A random walk of the silicon atoms with this diffusion coefficient, Angstrom^2/ps, around which they vibrate."""
    steps = math.sqrt(2.0 * coefficient * INTERVAL) * generator.normal(size=(FRAMES, len(atoms), 3))
    steps[:, atoms.numbers == 32] = 0.0
    return vibrating(atoms, generator) + np.cumsum(steps, axis=0)


def test_a_random_walk_is_diffusion_with_its_coefficient_and_its_atoms_are_named() -> None:
    atoms, generator, coefficient = crystal(), np.random.default_rng(2), 0.1
    result = found(atoms, *(walk(atoms, coefficient, generator) for _ in range(4)))
    assert result.found and result.motions == ("vibrates", "diffuses")
    length = FRAMES * INTERVAL
    assert result.growth[1] == pytest.approx(6.0 * coefficient * length, abs=4.0 * result.growth_error[1])
    assert result.growth_error[1] < 0.25 * result.growth[1]
    assert result.coefficients[1] == pytest.approx(1e-4 * coefficient, rel=0.4)
    check = result.check
    assert not check.passed and check.value == pytest.approx(result.steps[1]) and "does not apply" in check.advice
    said = result.sentence()
    assert "Si (" in said and "Ge (" not in said and "within 20 ps" in said
    assert result.moved[1] > 0.9 and result.farthest[1] > 5.0


def test_the_error_of_the_growth_is_its_scatter() -> None:
    atoms, generator = crystal(), np.random.default_rng(3)
    each = [found(atoms, walk(atoms, 0.1, generator)) for _ in range(60)]
    scatter = np.std([result.growth[1] for result in each], ddof=1)
    assert np.mean([result.growth_error[1] for result in each]) == pytest.approx(scatter, rel=0.3)


def test_a_glass_that_hops_between_two_minima_does_not_diffuse() -> None:
    """A fifth of the atoms jump to and fro by 1.5 Angstrom, 5 times in a run on average."""
    atoms, generator = crystal(), np.random.default_rng(4)
    for _ in range(20):
        frames = vibrating(atoms, generator)
        for atom in generator.choice(len(atoms), len(atoms) // 5, replace=False):
            away = np.cumsum(generator.random(FRAMES) < 5.0 / FRAMES) % 2
            direction = generator.normal(size=3)
            frames[:, atom] += 1.5 * away[:, None] * direction / np.linalg.norm(direction)
        result = found(atoms, frames)
        assert not result.found and "hops" in result.motions and result.moved.max() > 0.0
        assert result.moved_at_end.max() < result.moved.max()


def test_a_few_atoms_that_change_their_place_for_good_are_no_diffusion_of_the_species() -> None:
    atoms, generator = crystal(), np.random.default_rng(5)
    frames = vibrating(atoms, generator)
    frames[FRAMES // 2 :, 1] += 2.0
    result = found(atoms, frames)
    assert not result.found and result.motions == ("vibrates", "hops")
    assert result.moved[1] == result.moved_at_end[1] == pytest.approx(1 / 32)


def test_a_crystal_that_drifts_as_a_whole_vibrates() -> None:
    atoms, generator = crystal(), np.random.default_rng(6)
    drift = 0.5 * np.arange(FRAMES)[:, None, None] * np.ones(3)
    result = found(atoms, vibrating(atoms, generator) + drift)
    assert result.motions == ("vibrates", "vibrates") and result.farthest.max() < 1.0


def test_few_frames_are_held_against_the_structure() -> None:
    atoms, generator = crystal(), np.random.default_rng(7)
    for frames in (1, 3):
        assert not found(atoms, vibrating(atoms, generator, frames)).found
        moved = vibrating(atoms, generator, frames)
        moved[:, atoms.numbers == 14] += 3.0 * generator.normal(size=(32, 3))
        result = found(atoms, moved)
        assert result.motions == ("vibrates", "diffuses")
    assert diffusion(atoms, [run(np.zeros((0, 64, 3)))]) is None


def test_one_atom_that_diffuses_in_a_crystal_is_found() -> None:
    atoms, generator = crystal(), np.random.default_rng(8)
    atoms.symbols[10] = "Li"
    frames = vibrating(atoms, generator)
    frames[:, 10] += np.cumsum(generator.normal(size=(FRAMES, 3)), axis=0)
    result = found(atoms, frames)
    assert [name for name, motion in zip(result.species, result.motions, strict=True) if motion == "diffuses"] == ["Li"]


def test_the_nearest_neighbour_may_be_an_image() -> None:
    assert nearest_distances(Atoms("Ar", cell=[4.0, 5.0, 9.0], pbc=True)) == pytest.approx([4.0])
