"""Self-consistent linewidths against the formula written with loops, in its limits, and under its exact scalings."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from random_crystal import random_modes, random_third

from ldmd.checkpoint import Checkpoint
from ldmd.errors import InputError
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice import mutual_broadening
from ldmd.lattice.broadening import Lorentzian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes
from ldmd.lattice.mutual_broadening import MutualBroadening, lines
from ldmd.lattice.self_consistent import SelfConsistentLinewidths, self_consistent_linewidths
from ldmd.netcdf import from_bytes, to_bytes
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, HBAR

BOTH = ("bose-einstein", "classical")
STRENGTH = 3.0
"""Of the random third derivatives: widths of a few percent of the frequencies at 300 K."""


def crystal(atoms: int, seed: int = 3) -> tuple[SparseThirdOrder, np.ndarray, Modes]:
    generator = np.random.default_rng(seed)
    modes, (third, dense) = random_modes(atoms, generator), random_third(atoms, generator)
    return SparseThirdOrder(third.size, third.indices, STRENGTH * third.values), STRENGTH * dense, modes


def spectrum(frequencies: np.ndarray, phi: np.ndarray) -> tuple[SparseThirdOrder, Modes]:
    """Unit masses, and modes that are the coordinates themselves: ``phi`` are the matrix elements."""
    size = len(frequencies)
    modes = Modes(frequencies, np.eye(size), np.ones(size), np.arange(3), np.ones(size // 3))
    indices = np.array(np.nonzero(phi))
    return SparseThirdOrder(size, indices, phi[tuple(indices)]), modes


def once(third: SparseThirdOrder, modes: Modes, start: float | np.ndarray, temperature: float = 300.0) -> np.ndarray:
    """Widths (statistics, mode) that lines of width ``start`` give each other."""
    found = self_consistent_linewidths(third, modes, [temperature], BOTH, start=start, max_iterations=1, threads=1)
    return found.linewidths.gamma[0]


def matrix_elements(dense: np.ndarray, modes: Modes) -> np.ndarray:
    vectors = modes.displacements
    return np.asarray(np.einsum("ijk,ia,jb,kc->abc", dense, vectors, vectors, vectors, optimize=True))


def occupations(frequencies: np.ndarray, temperature: float, quantum: bool) -> np.ndarray:
    x = HBAR * frequencies / (BOLTZMANN * temperature)
    return np.asarray(1.0 / np.expm1(x) if quantum else 1.0 / x)


def by_loops(dense: np.ndarray, modes: Modes, widths: np.ndarray, temperature: float, quantum: bool) -> np.ndarray:
    phi, w, real = matrix_elements(dense, modes), modes.frequencies, np.flatnonzero(modes.vibrating)
    number = occupations(np.where(modes.vibrating, w, 1.0), temperature, quantum)
    gamma = np.zeros(len(w))
    for a in real:
        for b in real:
            for c in real[real >= b]:
                h = widths[b] + widths[c]

                def odd(energy: float, h: float = h, a: int = a) -> float:
                    near, far = (h / math.pi / (x**2 + h**2) for x in (w[a] - energy, w[a] + energy))
                    return float(near - far)

                term = (float(quantum) + number[b] + number[c]) * odd(w[b] + w[c])
                term += (number[b] - number[c]) * odd(w[c] - w[b])
                gamma[a] += (0.5 if b == c else 1.0) * phi[a, b, c] ** 2 / (w[a] * w[b] * w[c]) * term
    return math.pi * HBAR / 8.0 * FORCE_TO_ACCELERATION**3 * gamma


def by_arrays(dense: np.ndarray, modes: Modes, widths: np.ndarray, temperature: float, quantum: bool) -> np.ndarray:
    """All ordered pairs {b, c} of one mode at a time: twice each pair."""
    phi, real = matrix_elements(dense, modes), modes.vibrating
    w, phi, h = modes.frequencies[real], phi[np.ix_(real, real, real)], widths[real]
    number, h = occupations(w, temperature, quantum), h[:, None] + h
    up, down = float(quantum) + number[:, None] + number, number[:, None] - number
    gamma = np.zeros(len(real))
    for position, a in enumerate(np.flatnonzero(real)):
        odd = [
            h / np.pi / ((w[position] - e) ** 2 + h**2) - h / np.pi / ((w[position] + e) ** 2 + h**2)
            for e in (w[:, None] + w, w - w[:, None])
        ]
        strength = phi[position] ** 2 / (w[position] * w[:, None] * w)
        gamma[a] = 0.5 * np.sum(strength * (up * odd[0] + down * odd[1]))
    return np.asarray(math.pi * HBAR / 8.0 * FORCE_TO_ACCELERATION**3 * gamma)


@pytest.mark.parametrize(("start", "round_off"), [(0.2, 1e-10), (5.0, 1e-12)])
def test_the_blocked_sum_is_the_sum_over_all_pairs(start: float, round_off: float) -> None:
    """Round-off grows as (w / 2h)^2."""
    third, dense, modes = crystal(5)
    widths = start * np.random.default_rng(1).uniform(0.5, 2.0, len(modes.frequencies))
    found = once(third, modes, widths)
    for row, quantum in zip(found, (True, False), strict=True):
        expected = by_loops(dense, modes, widths, 300.0, quantum)
        np.testing.assert_allclose(row, expected, rtol=round_off, atol=1e-14 * expected.max())


def test_panels_blocks_and_tiles_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """More modes than a block and a panel hold, and tiles that end anywhere."""
    third, dense, modes = crystal(16)
    widths = np.random.default_rng(2).uniform(0.5, 2.0, len(modes.frequencies))
    monkeypatch.setattr(mutual_broadening, "MODES_PER_TILE", 7)
    found = once(third, modes, widths)
    for row, quantum in zip(found, (True, False), strict=True):
        expected = by_arrays(dense, modes, widths, 300.0, quantum)
        np.testing.assert_allclose(row, expected, rtol=1e-11, atol=1e-14 * expected.max())


def test_narrow_lines_on_resonance_obey_the_golden_rule() -> None:
    """Frequencies are multiples of 10 rad/ps: for narrow lines all that counts is exactly on resonance.

    The Lorentzian of the golden rule is cut and normalised; uncut, its height is smaller by the area it kept.
    """
    generator = np.random.default_rng(4)
    size = 15
    _, dense = random_third(size // 3, generator)
    third, modes = spectrum(10.0 * np.r_[0.0, 0.0, 0.0, 1.0 : size - 2.0], dense)
    width = 1e-3
    kernel = Lorentzian(2.0 * width)
    expected = linewidths(third, modes, [300.0], BOTH, kernel, threads=1).gamma[0] * 2.0 * math.atan(20.0) / math.pi
    np.testing.assert_allclose(once(third, modes, width), expected, rtol=1e-6)
    assert expected[:, modes.vibrating].min() > 0.0


def test_scattering_of_a_slow_mode_vanishes_with_its_frequency() -> None:
    """Odd in frequency: gamma ~ w |phi|^2 / w, a constant for a fixed matrix element; a cut peak would give 1 / w."""
    generator = np.random.default_rng(5)
    size = 12
    _, phi = random_third(size // 3, generator)
    phi[3, 3, :] = phi[3, :, 3] = phi[:, 3, 3] = 0.0
    found = []
    for frequency in (1e-1, 1e-2, 1e-3):
        third, modes = spectrum(np.r_[0.0, 0.0, 0.0, frequency, np.linspace(30.0, 90.0, size - 4)], phi)
        found.append(once(third, modes, 1.0)[:, 3])
    np.testing.assert_allclose(found[1], found[2], rtol=1e-4)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-2)


def fixed_point(
    third: SparseThirdOrder, modes: Modes, temperatures: list[float], start: float = 1.0, tolerance: float = 1e-8
) -> SelfConsistentLinewidths:
    found = self_consistent_linewidths(
        third, modes, temperatures, BOTH, start=start, tolerance=tolerance, max_iterations=200, threads=1
    )
    assert found.converged.all()
    return found


def test_the_fixed_point_gives_itself_back_and_does_not_depend_on_the_start() -> None:
    third, _, modes = crystal(8)
    found = [fixed_point(third, modes, [300.0, 900.0], start).linewidths.gamma for start in (0.01, 1.0, 20.0)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    np.testing.assert_allclose(found[2], found[1], rtol=1e-6)
    for row, widths in zip(once(third, modes, found[1][0]), found[1][0], strict=True):
        np.testing.assert_allclose(row, widths, rtol=1e-6)


def test_temperature_and_anharmonicity_are_one_thing_classically() -> None:
    third, _, modes = crystal(6)
    doubled = SparseThirdOrder(third.size, third.indices, 2.0 * third.values)
    hot = fixed_point(third, modes, [300.0, 1200.0]).linewidths.gamma[:, 1]
    strong = fixed_point(doubled, modes, [300.0]).linewidths.gamma[0, 1]
    np.testing.assert_allclose(strong, hot[1], rtol=1e-6)
    ratio = hot[1][modes.vibrating] / hot[0][modes.vibrating]
    assert np.all(ratio > 1.0)
    assert np.abs(ratio - 4.0).max() > 0.1, "no longer linear in temperature"


def test_the_unit_of_time_does_not_matter_classically() -> None:
    """w -> s w and Phi3 -> s^3 Phi3 at the same temperature: gamma -> s gamma."""
    third, _, modes = crystal(6)
    scaled = SparseThirdOrder(third.size, third.indices, 8.0 * third.values)
    faster = dataclasses.replace(modes, frequencies=2.0 * modes.frequencies)
    slow = fixed_point(third, modes, [300.0], start=1.0).linewidths.gamma[0, 1]
    fast = fixed_point(scaled, faster, [300.0], start=3.0).linewidths.gamma[0, 1]
    np.testing.assert_allclose(fast, 2.0 * slow, rtol=1e-6)


def test_what_does_not_arrive_says_so(caplog: pytest.LogCaptureFixture) -> None:
    third, _, modes = crystal(4)
    with caplog.at_level(logging.WARNING):
        found = self_consistent_linewidths(third, modes, [300.0], BOTH, max_iterations=2, threads=1)
    assert not found.converged.any()
    assert found.changes.shape == (2, 1, 2)
    assert not found.checks[0].passed
    assert "last change" in caplog.text


def test_lines_that_do_not_meet_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Off resonance everywhere, and almost harmonic: the widths fall together to nothing."""
    third, modes = spectrum(np.r_[0.0, 0.0, 0.0, 10.0, 13.0, 17.7], np.full((6, 6, 6), 1e-7))
    with caplog.at_level(logging.WARNING):
        found = self_consistent_linewidths(third, modes, [300.0], BOTH, threads=1)
    assert found.unresolved.max() == 3
    assert "unresolved" in caplog.text


def test_temperatures_that_have_arrived_wait_for_the_others() -> None:
    third, _, modes = crystal(6)
    together = fixed_point(third, modes, [20.0, 300.0])
    assert len(set(together.iterations.ravel())) > 1
    for row, temperature in enumerate((20.0, 300.0)):
        alone = fixed_point(third, modes, [temperature])
        np.testing.assert_array_equal(together.linewidths.gamma[row], alone.linewidths.gamma[0])


def test_threads_memory_and_interruptions_change_no_bit(tmp_path: Path) -> None:
    third, _, modes = crystal(16)

    def run(**options: object) -> SelfConsistentLinewidths:
        return self_consistent_linewidths(third, modes, [50.0, 300.0], BOTH, **options)  # type: ignore[arg-type]

    def stop(done: int, total: int) -> None:
        if done > 0.6 * total:
            raise KeyboardInterrupt

    expected = run(threads=1)
    checkpoint = Checkpoint(tmp_path / "widths.npz", "key", seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        run(threads=1, checkpoint=checkpoint, progress=stop)
    assert (tmp_path / "widths.npz.pass").exists()
    heard: list[tuple[int, int]] = []
    of_modes = lines(modes, [50.0, 300.0], BOTH)
    forgetful = 16.1 * MutualBroadening(third, of_modes, 1, 1e9, "float64").bytes_per_mode
    others = [
        run(threads=2),
        run(threads=1, memory=forgetful),
        run(threads=1, checkpoint=checkpoint, progress=lambda *args: heard.append(args)),
    ]
    assert heard[0][0] > 0.5 * heard[0][1]
    assert heard[-1][0] == heard[-1][1]
    for other in others:
        np.testing.assert_array_equal(other.linewidths.gamma, expected.linewidths.gamma)
        np.testing.assert_array_equal(other.changes, expected.changes)
    np.testing.assert_allclose(run(memory=1.0).linewidths.gamma, expected.linewidths.gamma, rtol=1e-8)  # other blocks


def test_single_precision_measures_its_own_error() -> None:
    third, _, modes = crystal(16)
    exact, rough = (
        self_consistent_linewidths(third, modes, [300.0], BOTH, threads=1, precision=kind).linewidths
        for kind in ("float64", "float32")
    )
    difference = np.abs(rough.gamma / np.where(exact.gamma > 0.0, exact.gamma, 1.0) - 1.0)[..., modes.vibrating].max()
    assert exact.precision_error == 0.0
    assert 0.0 < rough.precision_error < 1e-4
    assert difference < 10.0 * rough.precision_error


def test_the_result_can_be_stored() -> None:
    third, _, modes = crystal(3)
    found = self_consistent_linewidths(third, modes, [300.0], BOTH, threads=1)
    back, _ = from_bytes(SelfConsistentLinewidths, to_bytes(found, {}))
    np.testing.assert_array_equal(back.linewidths.gamma, found.linewidths.gamma)
    np.testing.assert_array_equal(back.changes, found.changes)
    assert back.linewidths.kernel == "self-consistent"
    assert math.isnan(back.linewidths.width)


@pytest.mark.parametrize("options", [{"start": 0.0}, {"start": -1.0}, {"tolerance": 0.0}, {"max_iterations": 0}])
def test_impossible_wishes_are_refused(options: dict[str, float]) -> None:
    third, _, modes = crystal(2)
    with pytest.raises(InputError, match=next(iter(options))):
        self_consistent_linewidths(third, modes, [300.0], BOTH, **options)  # type: ignore[arg-type]
