"""Three-phonon linewidths against the formula written with loops, and their exact symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crystal import random_modes, random_third

from ldmd.errors import InputError
from ldmd.lattice.broadening import Broadening, Gaussian, Lorentzian, Triangular, broadening_named
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, HBAR

seeds = st.integers(min_value=0, max_value=2**32 - 1)
kernels = st.sampled_from([Gaussian(6.0), Lorentzian(1.5), Triangular(10.0)])
BOTH = ("bose-einstein", "classical")


def by_loops(dense: np.ndarray, modes: Modes, temperature: float, quantum: bool, kernel: Broadening) -> np.ndarray:
    """Fabian and Allen's golden rule, term by term over ordered pairs (n, l)."""
    size = len(modes.frequencies)
    scale = 1.0 / np.sqrt(np.repeat(modes.masses, 3))
    vectors = modes.eigenvectors * scale[:, None]
    phi = np.einsum("abc,am,bn,cl->mnl", dense, vectors, vectors, vectors, optimize=True)
    w = modes.frequencies
    real = [m for m in range(size) if modes.vibrating[m]]
    x = [HBAR * w[m] / (BOLTZMANN * temperature) if m in real else np.nan for m in range(size)]
    occupation = [1.0 / np.expm1(value) if quantum else 1.0 / value for value in x]
    gamma = np.zeros(size)
    for m in real:
        for n in real:
            for l in real:  # noqa: E741
                strength = phi[m, n, l] ** 2 / (w[m] * w[n] * w[l])
                decay = float(quantum) + occupation[n] + occupation[l]
                absorb = occupation[n] - occupation[l]
                gamma[m] += strength * decay * float(kernel(np.array(w[m] - w[n] - w[l])))
                gamma[m] += 2.0 * strength * absorb * float(kernel(np.array(w[m] + w[n] - w[l])))
    return np.pi * HBAR / 16.0 * FORCE_TO_ACCELERATION**3 * gamma


@settings(max_examples=12)
@given(seeds, st.integers(2, 4), kernels)
def test_the_sum_visited_once_per_triplet_is_the_sum_over_all(seed: int, atoms: int, kernel: Broadening) -> None:
    generator = np.random.default_rng(seed)
    modes, (third, dense) = random_modes(atoms, generator), random_third(atoms, generator)
    temperatures = [30.0, 900.0]
    found = linewidths(third, modes, temperatures, BOTH, kernel, threads=1).gamma
    for t, temperature in enumerate(temperatures):
        for s, quantum in enumerate((True, False)):
            expected = by_loops(dense, modes, temperature, quantum, kernel)
            np.testing.assert_allclose(found[t, s], expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@settings(max_examples=10)
@given(seeds, kernels)
def test_classical_widths_are_linear_in_temperature(seed: int, kernel: Broadening) -> None:
    generator = np.random.default_rng(seed)
    modes, (third, _) = random_modes(4, generator), random_third(4, generator)
    cold, hot = linewidths(third, modes, [20.0, 700.0], ["classical"], kernel, threads=1).gamma[:, 0]
    np.testing.assert_allclose(hot, 35.0 * cold, rtol=1e-10)
    assert hot[modes.vibrating].max() > 0.0


@settings(max_examples=10)
@given(seeds, kernels)
def test_quantum_widths_become_classical_when_hot(seed: int, kernel: Broadening) -> None:
    """The occupations differ from k_B T / hbar w by 1/2 - O(x), which cancels to order x^2 in each bracket."""
    generator = np.random.default_rng(seed)
    modes, (third, _) = random_modes(4, generator), random_third(4, generator)
    frozen = linewidths(third, modes, [1e5, 1e6], BOTH, kernel, threads=1).gamma
    differences = np.abs(frozen[:, 0] - frozen[:, 1]).max(axis=1) / frozen[:, 1].max(axis=1)
    assert differences[0] < 1e-4
    assert differences[1] < 0.02 * differences[0] + 1e-9


@settings(max_examples=8)
@given(seeds)
def test_widths_scale_with_the_square_of_the_third_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    modes, (third, _) = random_modes(3, generator), random_third(3, generator)
    doubled = type(third)(third.size, third.indices, 2.0 * third.values)
    once = linewidths(third, modes, [300.0], BOTH, Gaussian(5.0), threads=1).gamma
    np.testing.assert_allclose(linewidths(doubled, modes, [300.0], BOTH, Gaussian(5.0), threads=1).gamma, 4.0 * once)


def test_the_number_of_threads_changes_no_bit() -> None:
    """More modes than one task holds, so that threads really share the work."""
    generator = np.random.default_rng(1)
    modes, (third, _) = random_modes(20, generator), random_third(20, generator)
    one, two, five = (
        linewidths(third, modes, [100.0, 300.0], BOTH, Gaussian(6.0), threads=threads).gamma for threads in (1, 2, 5)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, five)


def test_progress_counts_every_pair_and_ends() -> None:
    generator = np.random.default_rng(2)
    modes, (third, _) = random_modes(14, generator), random_third(14, generator)
    calls: list[tuple[int, int]] = []
    linewidths(third, modes, [300.0], BOTH, Gaussian(6.0), lambda done, total: calls.append((done, total)))
    done = [call[0] for call in calls]
    assert done == sorted(done) and len(calls) > 1
    assert calls[-1][0] == calls[-1][1]


def test_translations_and_imaginary_modes_get_no_width_and_give_none() -> None:
    generator = np.random.default_rng(3)
    modes, (third, dense) = random_modes(4, generator), random_third(4, generator)
    frequencies = modes.frequencies.copy()
    frequencies[5] *= -1.0
    broken = Modes(frequencies, modes.eigenvectors, modes.participation_ratio, modes.translations, modes.masses)
    assert list(broken.imaginary) == [5]
    found = linewidths(third, broken, [300.0], BOTH, Gaussian(5.0)).gamma
    assert np.all(found[..., ~broken.vibrating] == 0.0)
    expected = by_loops(dense, broken, 300.0, True, Gaussian(5.0))
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-9, atol=1e-12 * expected.max())


@given(st.floats(1e-3, 1e3), st.sampled_from(["gaussian", "lorentzian", "triangular"]))
def test_kernels_integrate_to_one(width: float, name: str) -> None:
    kernel = broadening_named(name, width)
    grid = np.linspace(-1.1 * kernel.reach, 1.1 * kernel.reach, 400_001)
    values = kernel(grid)
    assert np.trapezoid(values, grid) == pytest.approx(1.0, abs=1e-4)
    assert np.all(values >= 0.0) and np.all(values[np.abs(grid) > kernel.reach] == 0.0)
    np.testing.assert_allclose(values, values[::-1], rtol=1e-12, atol=1e-15 / width)


def test_widths_of_the_kernels() -> None:
    """Standard deviation, half width at half maximum, half width of the base."""
    assert Gaussian(2.0)(np.array(2.0)) == pytest.approx(np.exp(-0.5) * Gaussian(2.0)(np.array(0.0)))
    assert Lorentzian(2.0)(np.array(2.0)) == pytest.approx(0.5 * Lorentzian(2.0)(np.array(0.0)))
    assert Triangular(2.0)(np.array(1.0)) == pytest.approx(0.5 * Triangular(2.0)(np.array(0.0)))
    assert Triangular(2.0)(np.array(2.0)) == 0.0


@pytest.mark.parametrize(("name", "width"), [("box", 1.0), ("gaussian", 0.0), ("gaussian", float("nan"))])
def test_a_kernel_that_does_not_exist(name: str, width: float) -> None:
    with pytest.raises(InputError, match=r"lattice\.(broadening|width)"):
        broadening_named(name, width)
