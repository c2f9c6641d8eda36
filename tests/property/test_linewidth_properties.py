"""Three-phonon linewidths against the formula written with loops, and their exact symmetries."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crystal import random_modes, random_third

from ldmd.checkpoint import Checkpoint
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


def channels_by_loops(dense: np.ndarray, modes: Modes, kernel: Broadening) -> tuple[np.ndarray, np.ndarray]:
    """N_eff and the share of the two strongest, from a list of every mode's classical contributions by pair {n, l}."""
    vectors = modes.eigenvectors / np.sqrt(np.repeat(modes.masses, 3))[:, None]
    phi = np.einsum("abc,am,bn,cl->mnl", dense, vectors, vectors, vectors, optimize=True)
    w, real = modes.frequencies, np.flatnonzero(modes.vibrating)
    effective, share = np.full(len(w), np.nan), np.full(len(w), np.nan)
    for m in real:
        pairs: dict[tuple[int, int], float] = {}
        for n in real:
            for l in real:  # noqa: E741
                strength = phi[m, n, l] ** 2 / (w[m] * w[n] * w[l])
                value = strength * (1.0 / w[n] + 1.0 / w[l]) * float(kernel(np.array(w[m] - w[n] - w[l])))
                value += 2.0 * strength * (1.0 / w[n] - 1.0 / w[l]) * float(kernel(np.array(w[m] + w[n] - w[l])))
                pair = (min(n, l), max(n, l))
                pairs[pair] = pairs.get(pair, 0.0) + value
        c = np.array(sorted(pairs.values()))
        if c.sum() > 0.0:
            effective[m], share[m] = c.sum() ** 2 / np.sum(c**2), c[-2:].sum() / c.sum()
    return effective, share


@settings(max_examples=8)
@given(seeds, st.integers(2, 4))
def test_channels_are_those_of_a_list_of_all(seed: int, atoms: int) -> None:
    """A kernel narrower than the lowest frequency: no pair scatters a mode in two ways at once."""
    generator = np.random.default_rng(seed)
    modes, (third, dense) = random_modes(atoms, generator), random_third(atoms, generator)
    kernel = Triangular(0.49 * float(modes.frequencies[modes.vibrating][0]))
    found = linewidths(third, modes, [300.0], BOTH, kernel).channels
    assert found is not None
    effective, share = channels_by_loops(dense, modes, kernel)
    np.testing.assert_allclose(found.effective, effective, rtol=1e-9)
    np.testing.assert_allclose(found.top_two_share, share, rtol=1e-9)


@pytest.mark.parametrize("kernel", [Gaussian(6.0), Lorentzian(1.5)])
def test_width_sensitivity_is_a_derivative(kernel: Gaussian | Lorentzian) -> None:
    """Kernels that stay smooth: the small jump at the cut of a Gaussian moves through few triplets."""
    generator = np.random.default_rng(11)
    modes, (third, _) = random_modes(6, generator), random_third(6, generator)
    wide = dataclasses.replace(kernel, cut=40.0 if isinstance(kernel, Gaussian) else 1e4)

    def log_gamma(scale: float) -> np.ndarray:
        here = dataclasses.replace(wide, width=scale * wide.width)
        return np.log(linewidths(third, modes, [300.0], ["classical"], here).gamma[0, 0, modes.vibrating])

    expected = (log_gamma(1.001) - log_gamma(0.999)) / (np.log(1.001) - np.log(0.999))
    found = linewidths(third, modes, [300.0], ["classical"], wide).channels
    assert found is not None
    np.testing.assert_allclose(found.width_sensitivity[modes.vibrating], expected, atol=2e-5)


def test_single_precision_says_what_it_costs() -> None:
    generator = np.random.default_rng(5)
    modes, (third, _) = random_modes(20, generator), random_third(20, generator)
    double, single = (
        linewidths(third, modes, [300.0], BOTH, Gaussian(6.0), precision=precision)
        for precision in ("float64", "float32")
    )
    error = np.max(np.abs(single.gamma - double.gamma)[..., modes.vibrating] / double.gamma[..., modes.vibrating])
    assert double.precision_error == 0.0
    assert 1e-9 < error < 1e-4
    assert error / 30.0 < single.precision_error < 30.0 * error


def test_little_memory_changes_nothing_but_the_order_of_sums() -> None:
    generator = np.random.default_rng(6)
    modes, (third, _) = random_modes(12, generator), random_third(12, generator)
    roomy, tight = (
        linewidths(third, modes, [300.0], BOTH, Gaussian(6.0), memory=memory).gamma for memory in (1e9, 1.0)
    )
    np.testing.assert_allclose(tight, roomy, rtol=1e-12)


def test_an_interrupted_sum_goes_on_and_changes_no_bit(tmp_path: Path) -> None:
    """Interrupted after three blocks; what comes back is the rest only, and the result the same to the last bit."""
    generator = np.random.default_rng(7)
    modes, (third, _) = random_modes(24, generator), random_third(24, generator)
    checkpoint = Checkpoint(tmp_path / "linewidths.checkpoint.npz", "key", seconds=1e9)
    seen: list[int] = []

    def interrupt(done: int, _: int) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    arguments = (third, modes, [100.0, 300.0], BOTH, Gaussian(6.0))
    with pytest.raises(KeyboardInterrupt):
        linewidths(*arguments, interrupt, memory=1e4, checkpoint=checkpoint)
    rest: list[int] = []
    resumed = linewidths(*arguments, lambda done, _: rest.append(done), memory=1e4, checkpoint=checkpoint)
    whole: list[int] = []
    straight = linewidths(*arguments, lambda done, _: whole.append(done), memory=1e4)
    assert seen == whole[:3] and rest == whole[3:] and len(rest) > 2
    np.testing.assert_array_equal(resumed.gamma, straight.gamma)
    assert resumed.channels is not None and straight.channels is not None
    np.testing.assert_array_equal(resumed.channels.top_two_share, straight.channels.top_two_share)
    checkpoint.key = "another"
    again: list[int] = []
    linewidths(*arguments, lambda done, _: again.append(done), memory=1e4, checkpoint=checkpoint)
    assert again == whole, "the sums of another problem are not used"


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


@pytest.mark.parametrize("kernel", [Gaussian(6.0), Lorentzian(1.5), Triangular(10.0)])
def test_an_accelerator_gives_the_same_numbers(kernel: Broadening) -> None:
    """The engine for accelerators, on whatever device JAX has here."""
    generator = np.random.default_rng(9)
    modes, (third, _) = random_modes(30, generator), random_third(30, generator)
    numpy, jax = (linewidths(third, modes, [50.0, 300.0], BOTH, kernel, engine=engine) for engine in ("numpy", "jax"))
    np.testing.assert_allclose(jax.gamma, numpy.gamma, rtol=1e-11)
    assert jax.channels is not None and numpy.channels is not None
    for name in ("effective", "top_two_share", "width_sensitivity"):
        np.testing.assert_allclose(getattr(jax.channels, name), getattr(numpy.channels, name), rtol=1e-9, atol=1e-12)
