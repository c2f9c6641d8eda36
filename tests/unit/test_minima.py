"""Minima visited by the dynamics: the case's own is recognised, and lattice dynamics in it is the case's own."""

from __future__ import annotations

import numpy as np
import pytest
from small_silica import graph_of, rattled, silica_potential, triclinic_minimum

from ldmd.comparison import Z_95, compare
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import normal_modes, velocity_matrices
from ldmd.lattice.statistics import Classical
from ldmd.minima import Minima, visited_minima
from ldmd.relaxation import evaluate
from ldmd.results import Estimate

BROADENING = Gaussian(3.0)


def direct_conductivity() -> float:
    """Classical QHGK of the minimum at 300 K, trace/3, step by step."""
    atoms, potential = triclinic_minimum(), silica_potential()
    graph = graph_of(atoms)
    second = second_order(potential, atoms.positions, graph)
    third = third_order(potential, atoms.positions, graph)
    modes = normal_modes(second, atoms.get_masses())
    gamma = linewidths(third, modes, (300.0,), ("classical",), BROADENING).gamma[0, 0]
    velocities = velocity_matrices(second, modes, atoms.positions, atoms.cell.array)
    result = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), 300.0, atoms.get_volume())
    return float(np.trace(result.total) / 3.0)


def test_frames_around_the_minimum_of_the_case_lead_back_to_it() -> None:
    """The smaller the displacement, the more harmonic: sigma^A is linear in it for a cubic potential."""
    atoms, potential, done = triclinic_minimum(), silica_potential(), []
    frames = []
    for amplitude in (0.01, 0.02):
        moved = rattled(atoms, amplitude, seed=4)
        frames.append((moved.positions, evaluate(moved, potential).forces))
    found = visited_minima(atoms, potential, frames, 300.0, BROADENING, done.append)
    assert done == [1.0, 1.0]
    np.testing.assert_allclose(found.energy, 0.0, atol=1e-9)
    np.testing.assert_array_equal(found.moved, 0.0)
    np.testing.assert_allclose(found.conductivity, direct_conductivity(), rtol=1e-6)
    assert found.spread < 1e-6 * found.conductivity[0]
    assert found.sigma[1] / found.sigma[0] == pytest.approx(2.0, rel=0.2)


def test_the_spread_is_the_standard_deviation_of_the_conductivities() -> None:
    numbers = {"energy": np.zeros(3), "moved": np.zeros(3), "sigma": np.ones(3)}
    assert Minima(temperature=300.0, conductivity=np.array([1.0, 2.0, 3.0]), **numbers).spread == pytest.approx(1.0)
    single = {name: values[:1] for name, values in numbers.items()}
    assert Minima(temperature=300.0, conductivity=np.array([1.0]), **single).spread == 0.0


def test_the_spread_of_the_lattice_value_widens_the_error_of_the_difference() -> None:
    """The error of the dynamics is that of the side of its interval on which the lattice value lies."""
    dynamics = Estimate(1.0, 0.3, "W/(m K)")
    found = compare(300.0, 2.0, 1.0, dynamics, (0.5, 1.0 + 0.3 * Z_95), 2.0, lattice_error=0.4)
    assert found.difference.standard_error == pytest.approx(0.5)
    assert found.sigmas == pytest.approx(2.0)
    assert found.lattice_quantum.standard_error == pytest.approx(0.2)
