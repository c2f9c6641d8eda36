"""A second measurement of single linewidths: right where the forces are exact, and honest about its noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from random_crystal import random_second, random_third

from ldmd.diagnosis.collect import Conditions, Subject, collect
from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.low_modes import LowModes
from ldmd.diagnosis.remeasurement import (
    MOST,
    amplitude,
    collective_step,
    doubtful,
    linewidth_and_floor,
    matrix_elements,
    remeasured,
)
from ldmd.force_constants.steps import Step
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.potentials.evaluations import Displacement

ATOMS, STEP = 8, 0.01
KERNEL = Gaussian(8.0)


@dataclasses.dataclass
class CubicForces:
    """F = -Phi2 x - Phi3 x x / 2, as evaluations of a black box, with noise of sigma (eV/Angstrom)."""

    second: np.ndarray
    third: np.ndarray
    sigma: float = 0.0
    generator: np.random.Generator = dataclasses.field(default_factory=lambda: np.random.default_rng(0))
    asked: int = 0

    def forces(self, atoms: Atoms, displacements: Sequence[Displacement], _: str, /) -> list[np.ndarray]:
        moved = np.zeros((len(displacements), *atoms.positions.shape))
        for number, displacement in enumerate(displacements):
            for atom, vector in displacement:
                moved[number, atom] += vector
        self.asked += len(displacements)
        flat = moved.reshape(len(moved), -1)
        cubic = np.einsum("ijk,cj,ck->ci", self.third, flat, flat, optimize=True)
        exact = -flat @ self.second - 0.5 * cubic
        return list((exact + self.sigma * self.generator.normal(size=exact.shape)).reshape(moved.shape))


@dataclasses.dataclass(frozen=True)
class Crystal:
    atoms: Atoms
    modes: Modes
    forces: CubicForces
    subject: Subject


@pytest.fixture(scope="module")
def crystal() -> Crystal:
    generator = np.random.default_rng(11)
    second = random_second(ATOMS, generator)
    third, dense = random_third(ATOMS, generator)
    atoms = Atoms("Si8", positions=generator.uniform(0.0, 5.0, size=(ATOMS, 3)), cell=[5.0] * 3, pbc=True)
    modes = normal_modes(second, atoms.get_masses())
    subject = Subject("finite differences", atoms, modes, second, third)
    return Crystal(atoms, modes, CubicForces(second.matrix.toarray(), dense), subject)


def noisy(crystal: Crystal, sigma: float, seed: int = 1) -> CubicForces:
    return dataclasses.replace(crystal.forces, sigma=sigma, generator=np.random.default_rng(seed), asked=0)


def low_modes(modes: Modes) -> LowModes:
    return LowModes(modes, (300.0,), ("classical",), KERNEL)


def test_matrix_elements_are_those_of_the_force_constants(crystal: Crystal) -> None:
    """Mixed differences of a cubic energy have no truncation, whatever the step."""
    mode, motions = 5, crystal.modes.displacements
    expected = np.einsum("ijk,i,jn,kl->nl", crystal.forces.third, motions[:, mode], motions, motions, optimize=True)
    vibrating = crystal.modes.vibrating
    (found,) = matrix_elements([mode], crystal.modes, crystal.atoms, crystal.forces, 0.3)
    np.testing.assert_allclose(found, expected[np.ix_(vibrating, vibrating)], atol=1e-10 * np.abs(expected).max())


def test_linewidths_are_those_of_the_triplet_sum(crystal: Crystal) -> None:
    known = linewidths(crystal.subject.third, crystal.modes, (300.0,), ("classical",), KERNEL).gamma[0, 0]
    chosen = np.flatnonzero(crystal.modes.vibrating)[:4].tolist()
    found = matrix_elements(chosen, crystal.modes, crystal.atoms, crystal.forces, STEP)
    for mode, elements in zip(chosen, found, strict=True):
        gamma, floor = linewidth_and_floor(mode, elements, low_modes(crystal.modes))
        assert gamma == pytest.approx(known[mode], rel=1e-8)
        assert floor < 1e-15 * gamma


def test_noise_is_measured_and_taken_off(crystal: Crystal) -> None:
    """Errors of the size that the formula says, a floor as measured, and no floor left in the linewidth."""
    sigma, mode = 3e-3, 4
    (exact,) = matrix_elements([mode], crystal.modes, crystal.atoms, crystal.forces, STEP)
    gamma, _ = linewidth_and_floor(mode, exact, low_modes(crystal.modes))
    forces, motions = noisy(crystal, sigma), crystal.modes.displacements
    a = amplitude(motions)
    predicted = sigma * np.outer(a, np.linalg.norm(motions, axis=0)) * a[mode] / (2.0 * STEP**2)
    vibrating, found, raw, errors = crystal.modes.vibrating, [], [], []
    for _ in range(60):
        (elements,) = matrix_elements([mode], crystal.modes, crystal.atoms, forces, STEP)
        errors.append((elements - exact) / predicted[np.ix_(vibrating, vibrating)])
        found.append(linewidth_and_floor(mode, elements, low_modes(crystal.modes)))
        raw.append(linewidth_and_floor(mode, 0.5 * (elements + elements.T), low_modes(crystal.modes))[0])
    assert np.std(errors) == pytest.approx(1.0, abs=0.02)
    unbiased, floors = np.array(found).T
    biased = np.array(raw)
    standard_error = biased.std() / math.sqrt(len(biased))
    assert np.median(floors) > 10.0 * standard_error  # or the next lines would show nothing
    assert np.mean(biased) - gamma == pytest.approx(np.mean(floors), abs=4.0 * standard_error)
    assert np.mean(unbiased) == pytest.approx(gamma, abs=4.0 * standard_error)


def test_the_amplitude_is_that_of_the_atoms_that_move() -> None:
    everywhere = np.tile([0.3, 0.0, 0.4], 6)
    on_two = np.where(np.arange(18) < 6, everywhere, 0.0)
    np.testing.assert_allclose(amplitude(np.stack([everywhere, on_two], axis=1)), [0.5, 0.5])


def test_the_step_follows_the_noise_of_all_atoms() -> None:
    """N times less noise at the best step of single atoms is made equal to the truncation by N^(-1/4) of it."""
    step = Step(3, 0.02, 1e-6, 500.0)
    single, collective = collective_step(step, 1), collective_step(step, 81)
    assert collective == pytest.approx(single / 3.0)
    assert step.sigma / 81.0 / (2.0 * collective**2) == pytest.approx(step.bending * collective**2 / 6.0)


def evidence_of(crystal: Crystal, **known: float) -> Evidence:
    subject = dataclasses.replace(crystal.subject, **known)
    return collect(subject, Conditions(300.0, "classical", KERNEL, 15)).evidence


def test_only_what_is_in_doubt_is_measured_again(crystal: Crystal) -> None:
    sound = evidence_of(crystal, sigma_force=1e-12, displacement=STEP, truncation=0.0)
    assert not len(doubtful(sound))
    silent = noisy(crystal, 0.0)
    assert remeasured(sound, crystal.modes, crystal.atoms, KERNEL, silent, STEP) is sound
    assert silent.asked == 0
    noise = dataclasses.replace(sound, noise_floor=0.5 * sound.gamma)
    assert list(doubtful(noise)) == list(range(len(noise.modes)))
    assert not len(doubtful(dataclasses.replace(noise, gamma_exact=noise.gamma)))
    assert len(doubtful(dataclasses.replace(sound, scatter=1e3))) == len(sound.modes)
    assert len(doubtful(dataclasses.replace(sound, gamma_projected=0.9 * sound.gamma))) == len(sound.modes)


def test_the_lowest_doubtful_modes_are_measured_again(crystal: Crystal) -> None:
    sound = evidence_of(crystal, sigma_force=1e-12, displacement=STEP, truncation=0.0)
    wrong = dataclasses.replace(sound, gamma=2.0 * sound.gamma, noise_floor=sound.gamma)
    asked = noisy(crystal, 0.0)
    found = remeasured(wrong, crystal.modes, crystal.atoms, KERNEL, asked, STEP)
    assert asked.asked == 4 * MOST * np.count_nonzero(crystal.modes.vibrating)
    np.testing.assert_allclose(found.gamma_remeasured[:MOST], sound.gamma[:MOST], rtol=1e-8)
    assert np.isnan(found.gamma_remeasured[MOST:]).all()
    assert found.step_remeasured == STEP
