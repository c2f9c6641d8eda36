"""What the width of a kernel does to linewidths and conductivity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from random_crystal import random_modes, random_third

from ldmd.checkpoint import Checkpoint
from ldmd.errors import InputError
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes
from ldmd.lattice.statistics import Classical
from ldmd.lattice.width_convergence import WidthConvergence, width_convergence
from ldmd.netcdf import from_bytes, to_bytes

BOTH = ("bose-einstein", "classical")
VOLUME = 100.0


def case(atoms: int = 6) -> tuple[SparseThirdOrder, Modes, np.ndarray]:
    generator = np.random.default_rng(11)
    modes, (third, _) = random_modes(atoms, generator), random_third(atoms, generator)
    velocities = generator.normal(size=(3, 3 * atoms, 3 * atoms))
    return third, modes, velocities - velocities.swapaxes(1, 2)


def test_every_width_is_its_own_calculation_in_ascending_order() -> None:
    third, modes, velocities = case()
    found = width_convergence(third, modes, velocities, VOLUME, [100.0, 300.0], BOTH, "gaussian", [9.0, 3.0, 5.0])
    np.testing.assert_array_equal(found.widths, [3.0, 5.0, 9.0])
    for position, width in enumerate(found.widths):
        alone = linewidths(third, modes, [100.0, 300.0], BOTH, Gaussian(width))
        np.testing.assert_array_equal(found.gamma[position], alone.gamma)
        kappa = quasi_harmonic_green_kubo(modes, velocities, alone.gamma[1, 1], Classical(), 300.0, VOLUME)
        assert found.conductivity[position, 1, 1] == pytest.approx(np.trace(kappa.total) / 3.0)


def test_a_single_resonance_runs_away_as_one_over_the_width() -> None:
    """Three modes, 10 + 20 = 30 rad/ps exactly: nothing but the height of the kernel counts."""
    frequencies = np.r_[0.0, 0.0, 0.0, 10.0, 20.0, 30.0]
    modes = Modes(frequencies, np.eye(6), np.ones(6), np.arange(3), np.ones(2))
    phi = np.zeros((6, 6, 6))
    for order in ((3, 4, 5), (3, 5, 4), (4, 3, 5), (4, 5, 3), (5, 3, 4), (5, 4, 3)):
        phi[order] = 0.01
    indices = np.array(np.nonzero(phi))
    third = SparseThirdOrder(6, indices, phi[tuple(indices)])
    found = width_convergence(third, modes, np.zeros((3, 6, 6)), VOLUME, [300.0], BOTH, "triangular", [0.1, 0.2, 0.8])
    np.testing.assert_allclose(found.sensitivity[..., 3:], -1.0, atol=1e-12)
    np.testing.assert_allclose(found.spread[..., 3:], 8.0, rtol=1e-12)
    assert np.isnan(found.spread[..., :3]).all()
    loud = SparseThirdOrder(6, indices, 30.0 * third.values)
    single = width_convergence(loud, modes, np.zeros((3, 6, 6)), VOLUME, [300.0], BOTH, widths=[1.0])
    np.testing.assert_array_equal(single.overdamped, np.count_nonzero(single.gamma > frequencies, axis=3))
    assert single.overdamped.min() > 0
    assert np.isnan(single.sensitivity).all()


def test_done_widths_are_not_computed_again(tmp_path: Path) -> None:
    third, modes, velocities = case()
    checkpoint = Checkpoint(tmp_path / "widths.npz", "key")
    arguments = (third, modes, velocities, VOLUME, [300.0], BOTH, "gaussian", [3.0, 9.0])
    heard: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        heard.append((done, total))
        if done > 0.9 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        width_convergence(*arguments, stop, checkpoint=checkpoint)
    saved = checkpoint.load()
    assert saved is not None and len(saved["gamma"]) == 1
    resumed = width_convergence(*arguments, lambda *args: heard.append(args), checkpoint=checkpoint)
    assert heard[-1][0] == heard[-1][1]
    np.testing.assert_array_equal(resumed.gamma, width_convergence(*arguments).gamma)


def test_the_result_can_be_stored() -> None:
    third, modes, velocities = case(3)
    found = width_convergence(third, modes, velocities, VOLUME, [300.0], BOTH)
    back, _ = from_bytes(WidthConvergence, to_bytes(found, {}))
    np.testing.assert_array_equal(back.gamma, found.gamma)
    np.testing.assert_array_equal(back.conductivity, found.conductivity)


@pytest.mark.parametrize("widths", [[], [1.0, 1.0], [0.0, 1.0]])
def test_impossible_widths_are_refused(widths: list[float]) -> None:
    third, modes, velocities = case(2)
    with pytest.raises(InputError, match=r"lattice\.width"):
        width_convergence(third, modes, velocities, VOLUME, [300.0], BOTH, widths=widths)
