"""Linewidths and conductivity of a small amorphous cell against kALDo, which is given the very same force constants."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from ase.io import read

from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import Linewidths, linewidths
from ldmd.lattice.modes import Modes, normal_modes, velocity_matrices
from ldmd.lattice.statistics import statistics_named
from ldmd.units import THZ

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore"),  # of TensorFlow and its friends
]

WIDTH = 0.24
"""THz."""
STATISTICS = ("bose-einstein", "classical")


@dataclasses.dataclass(frozen=True)
class KaldoGaussian:
    """exp(-x^2/s^2) / (s sqrt(pi)) cut at 2 s and not normalised."""

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


@dataclasses.dataclass(frozen=True)
class Cell:
    """32 atoms of Si with symmetric force constants, dense."""

    atoms: Atoms
    second: np.ndarray
    third: np.ndarray


@pytest.fixture(scope="module")
def cell() -> Cell:
    spec = importlib.util.find_spec("kaldo")
    if spec is None or spec.origin is None:
        pytest.skip("kaldo is not installed: its wheel carries the cell of 32 atoms")
    folder = Path(spec.origin).parent / "tests" / "data" / "input" / "amorphous-si-tersoff-32"
    if not folder.is_dir():
        pytest.skip("this kaldo wheel does not carry amorphous-si-tersoff-32")
    atoms = read(folder / "amorphous_si_32.extxyz")
    size = 3 * len(atoms)
    second = np.load(folder / "second.npy").reshape(size, size)
    dense = sp.load_npz(folder / "third.npz").toarray().reshape(size, size, size)
    symmetric = sum(dense.transpose(order) for order in itertools.permutations(range(3))) / 6.0
    return Cell(atoms, 0.5 * (second + second.T), symmetric)


@pytest.fixture(scope="module")
def ours(cell: Cell) -> tuple[Modes, Linewidths]:
    modes = normal_modes(SecondOrder(sp.csr_array(cell.second)), cell.atoms.get_masses())
    indices = np.array(np.nonzero(cell.third))
    third = SparseThirdOrder(len(cell.second), indices, cell.third[tuple(indices)])
    return modes, linewidths(third, modes, [300.0], STATISTICS, KaldoGaussian(THZ * WIDTH))


def phonons(cell: Cell, classical: bool) -> Any:
    from kaldo.forceconstants import ForceConstants
    from kaldo.observables.secondorder import SecondOrder as TheirSecond
    from kaldo.observables.thirdorder import ThirdOrder as TheirThird
    from kaldo.phonons import Phonons

    atoms, count = cell.atoms, len(cell.atoms)
    settings = {"atoms": atoms, "replicated_positions": atoms.positions, "supercell": (1, 1, 1), "folder": "memory"}
    second = TheirSecond(value=cell.second.reshape(1, count, 3, 1, count, 3), **settings)
    third = TheirThird(value=cell.third, **settings)
    constants = ForceConstants(atoms=atoms, second_order=second, third_order=third)
    return Phonons(
        forceconstants=constants,
        temperature=300.0,
        is_classic=classical,
        third_bandwidth=WIDTH,
        broadening_shape="gauss",
        storage="memory",
    )


@pytest.mark.parametrize("row", [0, 1], ids=STATISTICS)
def test_full_widths_and_conductivity(cell: Cell, ours: tuple[Modes, Linewidths], row: int) -> None:
    pytest.importorskip("kaldo.phonons")
    from kaldo.conductivity import Conductivity

    modes, widths = ours
    theirs = phonons(cell, classical=row == 1)
    np.testing.assert_allclose(np.asarray(theirs.frequency).ravel()[3:], modes.frequencies[3:] / THZ, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(theirs.bandwidth).ravel(), 2.0 * widths.gamma[0, row], rtol=2e-6, atol=1e-9)
    second = SecondOrder(sp.csr_array(cell.second))
    velocities = velocity_matrices(second, modes, cell.atoms.positions, cell.atoms.cell.array)
    kind = statistics_named(STATISTICS[row])
    kappa = quasi_harmonic_green_kubo(modes, velocities, widths.gamma[0, row], kind, 300.0, cell.atoms.get_volume())
    conductivity = np.asarray(Conductivity(phonons=theirs, method="qhgk", storage="memory").conductivity).sum(axis=0)
    np.testing.assert_allclose(conductivity, kappa.total, rtol=0.0, atol=2e-6)
