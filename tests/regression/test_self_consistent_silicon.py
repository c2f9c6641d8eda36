"""Linewidths without a width parameter for the a-Si 216 cell of kALDo's wheel, 300 K; see ``amorphous_silicon``."""

from __future__ import annotations

import numpy as np
import pytest
from amorphous_silicon import AmorphousSilicon, amorphous_silicon

from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.modes import Modes, normal_modes, velocity_matrices
from ldmd.lattice.self_consistent import SelfConsistentLinewidths, self_consistent_linewidths
from ldmd.lattice.statistics import Classical
from ldmd.lattice.width_convergence import WidthConvergence, width_convergence
from ldmd.units import THZ

pytestmark = pytest.mark.peers

STARTS = (0.01, 20.0)
"""rad/ps: far below and far above every width."""
MEV = THZ / 4.135
"""rad/ps in what kALDo's tests call 1 meV."""
SOFT = [3, 4]
"""The two lowest modes, quasi-localised and in accidental resonance with each other."""
ORDINARY = [100, 300]


@pytest.fixture(scope="module")
def silicon() -> AmorphousSilicon:
    return amorphous_silicon()


@pytest.fixture(scope="module")
def modes(silicon: AmorphousSilicon) -> Modes:
    return normal_modes(silicon.second, silicon.masses)


@pytest.fixture(scope="module")
def velocities(silicon: AmorphousSilicon, modes: Modes) -> np.ndarray:
    return velocity_matrices(silicon.second, modes, silicon.positions, silicon.cell)


@pytest.fixture(scope="module")
def found(silicon: AmorphousSilicon, modes: Modes) -> SelfConsistentLinewidths:
    """The same temperature twice, from two starts."""
    start = np.array(STARTS)[:, None, None]
    return self_consistent_linewidths(
        silicon.third, modes, [300.0, 300.0], ["classical"], start=start, precision="float32"
    )


@pytest.fixture(scope="module")
def curve(silicon: AmorphousSilicon, modes: Modes, velocities: np.ndarray) -> WidthConvergence:
    widths = MEV * np.array([0.02, 0.05, 0.5])
    volume = abs(np.linalg.det(silicon.cell))
    return width_convergence(
        silicon.third, modes, velocities, volume, [300.0], ["classical"], "triangular", widths, precision="float32"
    )


def test_widths(found: SelfConsistentLinewidths) -> None:
    np.testing.assert_allclose(found.linewidths.gamma[0, 0, SOFT], [3.2388, 4.1517], rtol=2e-4)
    np.testing.assert_allclose(found.linewidths.gamma[0, 0, ORDINARY], [1.0919, 1.2498], rtol=2e-4)
    assert found.linewidths.precision_error < 1e-4


def test_the_start_does_not_matter(found: SelfConsistentLinewidths, modes: Modes) -> None:
    assert found.converged.all()
    assert found.iterations.max() <= 8
    low, high = found.linewidths.gamma[:, 0, modes.vibrating]
    np.testing.assert_allclose(low, high, rtol=2.0 * found.tolerance)


def test_no_mode_is_overdamped(found: SelfConsistentLinewidths, modes: Modes, curve: WidthConvergence) -> None:
    mask = modes.vibrating
    assert np.all(found.linewidths.gamma[..., mask] < 0.5 * modes.frequencies[mask])
    np.testing.assert_array_equal(curve.overdamped[:, 0, 0], [3, 3, 0])


def test_conductivity(
    silicon: AmorphousSilicon, modes: Modes, velocities: np.ndarray, found: SelfConsistentLinewidths
) -> None:
    gamma, volume = found.linewidths.gamma[0, 0], abs(np.linalg.det(silicon.cell))
    kappa = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), 300.0, volume)
    assert np.trace(kappa.total) / 3.0 == pytest.approx(0.9960, abs=2e-4)


def test_soft_modes_run_away_where_the_conductivity_does_not_move(curve: WidthConvergence) -> None:
    """HWHM of mode 3 against the half base of kALDo's triangle."""
    np.testing.assert_allclose(curve.gamma[:, 0, 0, 3], [34.474, 17.055, 5.8924], rtol=1e-3)
    np.testing.assert_allclose(curve.conductivity[:, 0, 0], [0.9977, 0.9986, 0.9955], rtol=1e-3)
    assert curve.spread[0, 0, SOFT].min() > 5.0
    assert np.nanmedian(curve.spread[0, 0]) < 1.5
