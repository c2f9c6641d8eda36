"""Linewidths from single contractions, steps along modes, and pairs near kinks, on springs with known derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from random_crystal import random_modes, random_third

from ldmd.diagnosis.directional import (
    FARTHEST,
    contraction_by_difference,
    kink_share,
    largest_displacement,
    scan_steps,
    slope_of,
    thermal_steps,
)
from ldmd.diagnosis.low_modes import LowModes
from ldmd.errors import InputError
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice.broadening import Broadening, Gaussian, Lorentzian, Triangular
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION

BOTH = ("bose-einstein", "classical")
ATOMS = 10


@pytest.mark.parametrize("kernel", [Gaussian(6.0), Lorentzian(1.5), Triangular(10.0)])
def test_one_contraction_per_mode_gives_the_linewidths(kernel: Broadening) -> None:
    """Sparse and dense, more modes than a panel holds."""
    generator = np.random.default_rng(3)
    modes, (third, _) = random_modes(14, generator), random_third(14, generator)
    expected = linewidths(third, modes, [30.0, 300.0], BOTH, kernel).gamma
    chosen = np.flatnonzero(modes.vibrating)[[0, 1, 5, 38]]
    matrices = [third.along(modes.displacements[:, mode]) for mode in chosen]
    low = LowModes(modes, [30.0, 300.0], BOTH, kernel)
    found = low.linewidths(chosen, matrices)
    np.testing.assert_allclose(found, expected[..., chosen].transpose(2, 0, 1), rtol=1e-10)
    np.testing.assert_allclose(low.linewidths(chosen, [m.toarray() for m in matrices]), found, rtol=1e-10)


def test_only_vibrations_have_linewidths() -> None:
    modes = random_modes(3, np.random.default_rng(1))
    low = LowModes(modes, [300.0], BOTH, Gaussian(1.0))
    with pytest.raises(InputError, match="mode"):
        low.linewidth(int(modes.translations[0]), np.zeros((9, 9)))
    with pytest.raises(InputError, match="9 x 9"):
        low.linewidth(5, np.zeros((3, 3)))


class Springs:
    """Every pair of a cluster on E = k (r - 3)^2/2 - g (r - 3)^3/6, and k' (r - R)^2/2 below R: a Hessian with a jump.

    Rounded to float32 where wanted.
    """

    def __init__(self, jump: float = 0.0, radius: float = 0.0, rounded: bool = False) -> None:
        self.jump, self.radius, self.rounded = jump, radius, rounded

    def __call__(self, positions: np.ndarray) -> sp.csr_array:
        size = len(positions)
        i, j = np.triu_indices(size, 1)
        vectors = positions[j] - positions[i]
        r = np.linalg.norm(vectors, axis=1)
        n = vectors / r[:, None]
        inside = self.jump * (r < self.radius)
        slope = 2.0 * (r - 3.0) - 1.5 * (r - 3.0) ** 2 + inside * (r - self.radius)
        curvature = 2.0 - 3.0 * (r - 3.0) + inside
        along = np.einsum("pa,pb->pab", n, n)
        blocks = (curvature - slope / r)[:, None, None] * along + (slope / r)[:, None, None] * np.eye(3)
        matrix = np.zeros((size, 3, size, 3))
        np.add.at(matrix, (i, slice(None), j), -blocks)
        np.add.at(matrix, (j, slice(None), i), -blocks)
        for end in (i, j):
            np.add.at(matrix, (end, slice(None), end), blocks)
        flat = matrix.reshape(3 * size, 3 * size)
        return sp.csr_array(flat.astype(np.float32).astype(float) if self.rounded else flat)


def exact_third(springs: Springs, positions: np.ndarray) -> SparseThirdOrder:
    """Differences with a step of 1e-4, extrapolated: good to 1e-9."""
    size, slopes = positions.size, []
    for unit in np.eye(size):
        pair = [
            (springs(positions + h * unit.reshape(-1, 3)) - springs(positions - h * unit.reshape(-1, 3))) / (2.0 * h)
            for h in (1e-4, 2e-4)
        ]
        slopes.append((4.0 * pair[0] - pair[1]).toarray() / 3.0)
    tensor = np.array(slopes).transpose(1, 2, 0)
    indices = np.array(np.nonzero(tensor))
    return SparseThirdOrder(size, indices, tensor[tuple(indices)])


@pytest.fixture(scope="module")
def cluster() -> tuple[np.ndarray, Modes, SparseThirdOrder, LowModes]:
    """Atoms at random distances near 3 Angstrom, with a background that keeps every mode stable."""
    generator = np.random.default_rng(4)
    grid = np.array([[x, y, z] for x in range(3) for y in range(2) for z in range(2)][:ATOMS], dtype=float)
    positions = 2.2 * grid + 0.2 * generator.normal(size=(ATOMS, 3))
    stiff = Springs()(positions) + 6.0 * sp.eye_array(3 * ATOMS)
    modes = normal_modes(SecondOrder(sp.csr_array(stiff)), generator.uniform(20.0, 30.0, ATOMS))
    low = LowModes(modes, [300.0], ["classical"], Gaussian(4.0))
    return positions, modes, exact_third(Springs(), positions), low


STEPS = (0.003, 0.01, 0.03)
Cluster = tuple[np.ndarray, Modes, SparseThirdOrder, LowModes]


def test_a_smooth_potential_converges_with_the_square_of_the_step(cluster: Cluster) -> None:
    positions, modes, third, low = cluster
    chosen = np.flatnonzero(modes.vibrating)[:3]
    found = scan_steps(Springs(), positions, chosen, low, STEPS, third)
    np.testing.assert_allclose(found.slope, 2.0, atol=0.02)
    expected = linewidths(third, modes, [300.0], ["classical"], Gaussian(4.0)).gamma[..., chosen].transpose(2, 0, 1)
    np.testing.assert_allclose(found.gamma_exact, expected, rtol=1e-9)
    np.testing.assert_allclose(found.gamma_extrapolated, expected, rtol=1e-5)
    assert np.abs(found.gamma_of_step[:, 0] / expected - 1.0).max() < 1e-3
    alone = scan_steps(Springs(), positions, chosen, low, STEPS)
    np.testing.assert_allclose(alone.slope, 2.0, atol=0.02)
    assert np.isnan(alone.gamma_exact).all()


def test_round_off_of_hessians_falls_with_the_step(cluster: Cluster) -> None:
    """-1, not the -2 of differences of forces."""
    positions, modes, third, low = cluster
    found = scan_steps(Springs(rounded=True), positions, np.flatnonzero(modes.vibrating)[:3], low, (1e-5, 1e-4), third)
    np.testing.assert_allclose(found.slope, -1.0, atol=0.15)


def test_one_pair_at_a_kink_leaves_half_the_jump_over_the_step(cluster: Cluster) -> None:
    """A radius 3e-4 Angstrom above the longest distance: every step crosses it, and the change falls as 1/step."""
    positions, modes, third, low = cluster
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    i, j = np.unravel_index(np.argmax(distances), distances.shape)
    inside = np.sort(distances[np.triu_indices(ATOMS, 1)])
    assert inside[-1] - inside[-2] > 0.05, "no other pair is near"
    jump = 4.0
    radius = float(distances.max()) + 3e-4
    mode = int(np.flatnonzero(modes.vibrating)[0])
    steps = (0.005, 0.02)

    def pair_only(positions: np.ndarray) -> sp.csr_array:
        """The spring with the kink on the longest pair alone."""
        kept = positions[[i, j]]
        two = (Springs(jump, radius)(kept) - Springs()(kept)).toarray().reshape(2, 3, 2, 3)
        whole = np.zeros((ATOMS, 3, ATOMS, 3))
        whole[np.ix_([i, j], range(3), [i, j], range(3))] = two
        return sp.csr_array(whole.reshape(3 * ATOMS, -1)) + Springs()(positions)

    found = scan_steps(pair_only, positions, [mode], low, steps, third)
    assert found.slope[0] == pytest.approx(-1.0, abs=0.1)
    direction = modes.displacements[:, mode]
    for step in steps:
        with_kink, without = (contraction_by_difference(h, positions, direction, step) for h in (pair_only, Springs()))
        block = (with_kink - without).toarray()[3 * i : 3 * i + 3, 3 * i : 3 * i + 3]
        scaled = step / np.sqrt(3.0 * np.mean(direction**2))
        assert abs(np.trace(block)) == pytest.approx(jump / (2.0 * scaled), rel=0.05)


def test_thermal_steps_are_those_of_the_normal_coordinate() -> None:
    """All atoms alike share it: rms x^2 = k_B T / (N m w^2); few atoms move far, and no farther than allowed."""
    atoms, mass, frequency = 16, 28.0, 12.0
    uniform = np.zeros((3 * atoms, 2))
    uniform[::3, 0], uniform[0, 1] = 1.0 / np.sqrt(atoms * mass), 1.0 / np.sqrt(mass)
    found = thermal_steps(uniform, np.array([frequency, 1.0]), 300.0)
    expected = np.sqrt(BOLTZMANN * 300.0 * FORCE_TO_ACCELERATION / (atoms * mass * frequency**2))
    assert found[0] == pytest.approx(expected)
    assert largest_displacement(uniform[:, [1]], found[1]) == pytest.approx(FARTHEST)


def test_slopes_are_read_from_the_largest_change_on() -> None:
    steps = np.array([1e-3, 1e-2, 1e-1])
    assert slope_of(steps, np.array([1e-6, 1e-4, 1e-2])) == pytest.approx(2.0)
    assert slope_of(steps, np.array([1e-8, 1.0, 0.1])) == pytest.approx(-1.0), "nothing crosses at the first step"
    assert np.isnan(slope_of(steps, np.zeros(3)))


def test_share_of_stretch_near_a_radius() -> None:
    """A chain of four atoms, one bond 0.01 Angstrom within the radius; the mode stretches it twice as far as others."""
    atoms = Atoms("Si4", positions=[[0, 0, 0], [2.0, 0, 0], [4.49, 0, 0], [6.49, 0, 0]], cell=[40.0] * 3, pbc=True)
    radii = np.full((1, 1, 2), 2.5)
    radii[..., 0] = 2.2
    motion = np.zeros((4, 3))
    motion[:, 0] = [0.0, 1.0, 3.0, 4.0]
    motion[:, 0] -= motion[:, 0].mean()
    displacements = motion.reshape(-1, 1)
    rms = np.sqrt(np.mean(np.sum(motion**2, axis=1)))
    reached, short = (kink_share(atoms, ("Si",), radii, displacements, s * rms)[0] for s in (0.006, 0.004))
    assert reached == pytest.approx(4.0 / 6.0) and short == 0.0
    assert kink_share(atoms, ("Si",), radii, displacements, 1e-3 * rms, length=0.02)[0] == pytest.approx(4.0 / 6.0)
    assert largest_displacement(displacements, 0.1) == pytest.approx(0.1 * 2.0 / rms)
    inner = radii.copy()
    inner[..., 0] = 2.001
    assert kink_share(atoms, ("Si",), inner, displacements, 0.006 * rms)[0] == pytest.approx(1.0)


def test_one_step_is_no_scan(cluster: Cluster) -> None:
    positions, modes, third, low = cluster
    for steps in ((0.01,), (0.0, 0.01), (0.01, 0.01)):
        with pytest.raises(InputError, match="steps"):
            scan_steps(Springs(), positions, [5], low, steps, third)
