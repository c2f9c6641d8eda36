"""Published and pinned numbers of the a-Si 216 cell that kALDo's wheel carries, at 300 K unless said.

kALDo's test suite pins the linewidths, conductivities and participation ratios; see ``amorphous_silicon``.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pytest
from amorphous_silicon import AmorphousSilicon, amorphous_silicon

from ldmd.lattice.broadening import Gaussian, Triangular
from ldmd.lattice.conductivity import Conductivity, conductivity
from ldmd.lattice.linewidths import Linewidths, linewidths
from ldmd.lattice.modes import Modes, normal_modes, velocity_matrices
from ldmd.units import HBAR, THZ

pytestmark = pytest.mark.peers

WIDTH = THZ * 0.05 / 4.135
"""rad/ps; kALDo's tests call it 0.05 meV."""
BROADENING = 0.025
"""rad/ps, HWHM of every mode in the Allen-Feldman numbers."""
STATISTICS = ("bose-einstein", "classical")


@pytest.fixture(scope="module")
def silicon() -> AmorphousSilicon:
    return amorphous_silicon()


@pytest.fixture(scope="module")
def modes(silicon: AmorphousSilicon) -> Modes:
    return normal_modes(silicon.second, silicon.masses)


@pytest.fixture(scope="module")
def widths(silicon: AmorphousSilicon, modes: Modes) -> Linewidths:
    return linewidths(silicon.third, modes, [50.0, 300.0], STATISTICS, Triangular(WIDTH))


def transport(silicon: AmorphousSilicon, modes: Modes, widths: Linewidths, positions: np.ndarray) -> Conductivity:
    velocities = velocity_matrices(silicon.second, modes, positions, silicon.cell)
    return conductivity(modes, velocities, widths, abs(np.linalg.det(silicon.cell)), BROADENING)


@pytest.fixture(scope="module")
def kappa(silicon: AmorphousSilicon, modes: Modes, widths: Linewidths) -> Conductivity:
    return transport(silicon, modes, widths, silicon.positions)


def isotropic(tensors: np.ndarray, temperature: int, statistics: int) -> float:
    return float(np.trace(tensors[temperature, statistics]) / 3.0)


def test_classical_full_widths(widths: Linewidths) -> None:
    np.testing.assert_allclose(2.0 * widths.gamma[1, 1, 3:5], [34.110, 36.433], rtol=1e-3)


def test_quantum_full_widths_in_energy(widths: Linewidths) -> None:
    """meV: kALDo's printed numbers are linear frequencies times 4.1357 over 2 pi, that is hbar."""
    np.testing.assert_allclose(2e3 * HBAR * widths.gamma[1, 0, 3:5], [22.216, 23.748], rtol=1e-3)


def test_quasi_harmonic_green_kubo(kappa: Conductivity) -> None:
    assert isotropic(kappa.qhgk, 1, 1) == pytest.approx(0.9986, rel=5e-3)
    assert isotropic(kappa.qhgk, 1, 0) == pytest.approx(0.8502, rel=5e-3)
    assert kappa.isotropic(300.0, "classical") == isotropic(kappa.qhgk, 1, 1)
    np.testing.assert_allclose(kappa.per_mode.sum(axis=2), np.trace(kappa.qhgk, axis1=2, axis2=3) / 3.0, rtol=1e-12)
    assert np.abs(kappa.intraband).max() <= 1e-20, "a real mode carries nothing on its own"


def test_allen_feldman(kappa: Conductivity) -> None:
    assert isotropic(kappa.allen_feldman, 0, 0) == pytest.approx(0.0977, rel=5e-3)
    assert isotropic(kappa.allen_feldman, 1, 0) == pytest.approx(0.525, rel=5e-3)


def test_participation_ratio_and_frequency(modes: Modes) -> None:
    assert modes.participation_ratio[100] == pytest.approx(0.52007, abs=5e-6)
    assert modes.frequencies[5] / THZ == pytest.approx(1.6486, abs=5e-5)
    np.testing.assert_array_equal(modes.translations, [0, 1, 2])
    assert modes.imaginary.size == 0


def test_nothing_depends_on_where_the_cell_was_cut(
    silicon: AmorphousSilicon, modes: Modes, widths: Linewidths, kappa: Conductivity
) -> None:
    """All atoms shifted and rewrapped: without the minimum image the conductivity falls to three quarters."""
    shift = np.random.default_rng(8).uniform(-20.0, 20.0, size=3)
    fractional = (silicon.positions + shift) @ np.linalg.inv(silicon.cell)
    wrapped = (fractional - np.floor(fractional)) @ silicon.cell
    moved = transport(silicon, modes, widths, wrapped)
    for name in ("qhgk", "allen_feldman", "per_mode", "diffusivity"):
        mine, theirs = getattr(moved, name), getattr(kappa, name)
        np.testing.assert_allclose(mine, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())


@dataclasses.dataclass(frozen=True)
class KaldoGaussian:
    """exp(-x^2/s^2) / (s sqrt(pi)) cut at 2 s and not normalised: its integral is erf(2) = 0.9953."""

    width: float
    name: ClassVar[str] = "gaussian of kALDo"

    @property
    def reach(self) -> float:
        return 2.0 * self.width

    def __call__(self, detuning: np.ndarray) -> np.ndarray:
        inside = np.abs(detuning) < self.reach
        return np.where(inside, np.exp(-((detuning / self.width) ** 2)) / (self.width * math.sqrt(math.pi)), 0.0)

    def slope(self, detuning: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return kernel * (2.0 * (detuning / self.width) ** 2 - 1.0)


def test_full_width_of_mode_250_in_two_kernels(silicon: AmorphousSilicon, modes: Modes, widths: Linewidths) -> None:
    """rad/ps, as pinned to six decimals."""
    found = linewidths(silicon.third, modes, [300.0], STATISTICS[:1], KaldoGaussian(WIDTH))
    assert 2.0 * found.gamma[0, 0, 250] == pytest.approx(2.637789, abs=5e-6)
    assert 2.0 * widths.gamma[1, 0, 250] == pytest.approx(2.741297, abs=5e-6)


def test_elements_of_round_off_do_not_count(silicon: AmorphousSilicon, modes: Modes) -> None:
    """They are a tenth of the list and a fifth of the pattern, and change no linewidth by 1e-8."""
    trimmed = silicon.third.trimmed()
    assert len(trimmed.values) / len(silicon.third.values) == pytest.approx(0.90, abs=0.01)
    assert trimmed.pattern.nnz / silicon.third.pattern.nnz == pytest.approx(0.80, abs=0.01)
    all_of_them, some = (
        linewidths(third, modes, [300.0], STATISTICS, Gaussian(1.0)).gamma[..., 3:]
        for third in (silicon.third, trimmed)
    )
    np.testing.assert_allclose(some, all_of_them, rtol=1e-8)
