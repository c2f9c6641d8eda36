"""Linewidths at Gamma against phono3py, which is given the very same force constants."""

from __future__ import annotations

import numpy as np
import pytest
from small_silica import graph_of, silica_potential, triclinic_minimum

from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import normal_modes
from ldmd.units import THZ

pytestmark = pytest.mark.peers

SIGMA = 0.5
"""THz."""
HOT = 1e7
"""K, where Bose-Einstein factors are classical to 1e-8: phono3py has no classical statistics of its own."""


@pytest.fixture(scope="module")
def both() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies (THz), and half widths (temperature, mode) in rad/ps, ours and theirs.

    At 300 K with Bose-Einstein statistics, and hot: there ours are classical.
    """
    phono3py = pytest.importorskip("phono3py")
    from phonopy.structure.atoms import PhonopyAtoms

    atoms, potential = triclinic_minimum(), silica_potential()
    graph, count = graph_of(atoms), len(atoms)
    second = second_order(potential, atoms.positions, graph)
    third = third_order(potential, atoms.positions, graph)
    modes = normal_modes(second, atoms.get_masses())
    statistics = ("bose-einstein", "classical")
    found = linewidths(third, modes, [300.0, HOT], statistics, Gaussian(THZ * SIGMA, cut=9.0)).gamma
    ours = np.stack([found[0, 0], found[1, 1]])

    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        positions=atoms.positions,
        cell=atoms.cell.array,
        masses=atoms.get_masses(),
    )
    peer = phono3py.Phono3py(
        cell,
        supercell_matrix=np.eye(3, dtype=int),
        primitive_matrix=np.eye(3),
        is_symmetry=False,
        is_mesh_symmetry=False,
    )
    blocks = second.matrix.toarray().reshape(count, 3, count, 3).transpose(0, 2, 1, 3)
    peer.fc2 = np.ascontiguousarray(blocks)
    indices, values = third.elements()
    tensor = np.zeros((3 * count,) * 3)
    tensor[tuple(indices)] = values
    tensor = tensor.reshape(count, 3, count, 3, count, 3).transpose(0, 2, 4, 1, 3, 5)
    peer.fc3 = np.ascontiguousarray(tensor)
    peer.mesh_numbers = [1, 1, 1]
    peer.sigmas = [SIGMA]
    peer.init_phph_interaction()
    values = peer.run_imag_self_energy([0], temperatures=[300.0, HOT], frequency_points_at_bands=True)
    theirs = np.asarray(values.gammas)
    return modes.frequencies / THZ, peer.get_phonon_data()[0].ravel(), ours, theirs.reshape(2, -1) * THZ


def test_frequencies(both: tuple) -> None:
    mine, theirs, *_ = both
    np.testing.assert_allclose(mine[3:], theirs[3:], rtol=1e-6)


@pytest.mark.parametrize("row", [0, 1], ids=["bose-einstein", "classical"])
def test_half_widths(both: tuple, row: int) -> None:
    _, _, mine, theirs = both
    np.testing.assert_allclose(mine[row, 3:], theirs[row, 3:], rtol=1e-5)
    assert theirs[row, 3:].min() > 0.0
