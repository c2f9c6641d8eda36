"""Silica cells that the tests share: the case's own glass, and small cells made from cristobalite."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from ldmd.potentials.tersoff import Tersoff, read_tersoff
from ldmd.relaxation import relax
from ldmd.structures import NeighbourGraph, neighbour_graph

CASE = Path(__file__).resolve().parents[1] / "cases" / "silica"
EDGE = 7.2
"""Angstrom, of the cubic cell of ideal beta-cristobalite with 24 atoms; more than twice the longest cutoff."""
_DIAMOND = np.array(
    [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]], dtype=float
)
_BONDS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)


@functools.cache
def silica_potential() -> Tersoff:
    """The Si-O potential of the case."""
    return read_tersoff(CASE / "SiO.tersoff")


@functools.cache
def _glass() -> Atoms:
    return read(CASE / "structure.extxyz")


def glass() -> Atoms:
    """The 648-atom glass of the case, at its minimum."""
    return _glass().copy()


def cristobalite(repeats: tuple[int, int, int] = (1, 1, 1)) -> Atoms:
    """Ideal beta-cristobalite: Si on the diamond sites, O half-way along every bond; 24 atoms per cell."""
    oxygen = (_DIAMOND[:4, None, :] + 0.5 * _BONDS).reshape(-1, 3)
    positions = np.vstack([_DIAMOND, oxygen]) * EDGE / 4.0
    return Atoms("Si8O16", positions=positions, cell=[EDGE] * 3, pbc=True).repeat(repeats)


def rattled(atoms: Atoms, amplitude: float, seed: int = 1) -> Atoms:
    """A copy with normal displacements of ``amplitude`` Angstrom."""
    moved = atoms.copy()
    moved.positions += amplitude * np.random.default_rng(seed).normal(size=moved.positions.shape)
    return moved


def disordered() -> Atoms:
    """72 atoms away from any minimum, every distance well within or well beyond its cutoff."""
    return rattled(cristobalite((3, 1, 1)), 0.06)


def oblique() -> Atoms:
    """24 atoms in an oblique cell, away from any minimum: no symmetry at all."""
    strained = cristobalite()
    deformation = np.array([[0.97, 0.0, 0.0], [0.0582, 0.9991, 0.0], [-0.0291, 0.04074, 0.9409]])
    strained.set_cell(strained.cell.array @ deformation, scale_atoms=True)
    return rattled(strained, 0.1)


@functools.cache
def _triclinic_minimum() -> Atoms:
    return relax(oblique(), silica_potential())


def triclinic_minimum() -> Atoms:
    """24 atoms at a minimum of the potential in an oblique cell: no symmetry, no degenerate modes."""
    return _triclinic_minimum().copy()


def graph_of(atoms: Atoms, potential: Tersoff | None = None) -> NeighbourGraph:
    """The graph of the pairs within their cutoffs."""
    known = potential or silica_potential()
    return neighbour_graph(atoms, known.species, known.switching)
