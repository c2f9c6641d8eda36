"""Symmetry of crystals in phono3py and phonopy: it must know masses, and left-handed cells must come to no harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

pytest.importorskip("phono3py")

from ldmd.cells import opposite
from ldmd.crystal import phono3py_engine
from ldmd.crystal.force_constants import CrystalForceConstants, exact, primitive_of
from ldmd.crystal.harmonic import phonopy_of
from ldmd.crystal.mesh import MeshSettings
from ldmd.potentials.stillinger_weber import StillingerWeber, read_stillinger_weber
from ldmd.units import THZ

SILICON = Path(__file__).resolve().parents[2] / "cases" / "silicon" / "Si.sw"
AT_REST = 5.430949778405


@pytest.fixture(scope="module")
def silicon() -> StillingerWeber:
    return read_stillinger_weber(SILICON)


def superlattice() -> Atoms:
    """Silicon whose lower half weighs 28 and whose upper half 112, in a tetragonal cell of four atoms."""
    cell = 0.5 * AT_REST * np.array([[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    positions = 0.25 * AT_REST * np.array([[0, 0, 0], [1, 1, 1], [0, 2, 2], [1, 3, 3]])
    layers = Atoms("Si4", cell=cell, positions=positions, pbc=True)
    layers.set_masses([28.0, 28.0, 112.0, 112.0])
    return layers


@pytest.fixture(scope="module")
def layers(silicon: StillingerWeber) -> CrystalForceConstants:
    cell = superlattice()
    assert len(primitive_of(cell)) == 4
    return exact(silicon, cell, (2, 2, 2))


def test_a_superlattice_of_isotopes_has_not_the_symmetry_of_the_crystal(layers: CrystalForceConstants) -> None:
    """Without symmetry there is no doubt; with that of equal masses, along and across would be one number."""
    found, expected = (
        phono3py_engine.conductivity(
            layers,
            MeshSettings(grid=(3, 3, 2), temperatures=(300.0,), smearing=0.3 * THZ, symmetry=symmetry),
        )
        for symmetry in (True, False)
    )
    assert len(found.weights) < len(expected.weights)
    for part in ("relaxation time", "total"):
        np.testing.assert_allclose(found.tensor(part), expected.tensor(part), rtol=1e-6, atol=1e-5)
    across, along = found.tensor()[0, 0, 2, 2], found.tensor()[0, 0, 0, 0]
    assert across < 0.5 * along


def test_the_mesh_of_a_superlattice_is_reduced_by_its_own_symmetry(layers: CrystalForceConstants) -> None:
    crystal = phonopy_of(layers.second)
    squares = []
    for symmetry in (True, False):
        crystal.run_mesh((4, 4, 4), is_gamma_center=True, is_mesh_symmetry=symmetry)
        squares.append(np.average(crystal.mesh.frequencies**2, axis=0, weights=crystal.mesh.weights))
    np.testing.assert_allclose(squares[0], squares[1], rtol=1e-8, atol=1e-8)
    assert len(crystal.mesh.weights) == 64
    assert sorted(set(crystal.primitive.masses)) == [28.0, 112.0]


def test_isotopes_of_a_superlattice_are_those_of_its_element(layers: CrystalForceConstants) -> None:
    """Atoms of another mass are handed over under another name, which has isotopes of its own."""
    settings = MeshSettings(
        grid=(2, 2, 2), temperatures=(300.0,), statistics=("classical",), smearing=0.3 * THZ, isotopes=True, direct=True
    )
    found = phono3py_engine.conductivity(layers, settings)
    variances = phono3py_engine._mass_variances(layers)
    np.testing.assert_allclose(variances, variances[0])
    assert variances[0] == pytest.approx(2.01e-4, rel=0.01), "silicon"
    assert found.isotopes.max() > 0.0


def test_the_direct_solution_of_a_left_handed_cell_is_that_of_the_right_handed_one(silicon: StillingerWeber) -> None:
    settings = MeshSettings(grid=(3, 3, 3), temperatures=(300.0,), statistics=("classical",), direct=True)
    right = bulk("Si", a=AT_REST)
    left = right.copy()
    left.set_cell(right.cell.array[[1, 0, 2]])
    assert np.linalg.det(left.cell.array) < 0.0
    turned = opposite(right)
    expected, *others = (
        phono3py_engine.conductivity(exact(silicon, cell, (2, 2, 2)), settings) for cell in (right, turned, left)
    )
    for found in others:
        for part in ("direct", "relaxation time", "total"):
            largest = np.abs(expected.tensor(part)).max()
            np.testing.assert_allclose(found.tensor(part), expected.tensor(part), rtol=0.0, atol=1e-6 * largest)
    assert expected.isotropic(300.0, "classical", "direct") > 0.0
