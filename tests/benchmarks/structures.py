"""Structures that are measured: the silica of the case, and random networks of silicon made here and kept in a folder.

A network is a continuous random network (bond switching from diamond), relaxed with the silicon of the case's Tersoff
parameters at zero pressure: a minimum of that potential, without symmetry. Few switches are tried: the network is more
strained than a good model of amorphous silicon, which does not change what it costs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms

from ldmd.glass.network import continuous_random_network
from ldmd.potentials.tersoff import Tersoff, read_tersoff
from ldmd.relaxation import evaluate, relax
from ldmd.structures import read_structure, write_structure

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = ROOT / "cases" / "silica" / "SiO.tersoff"
TRIALS_PER_NODE = 200
LARGEST_FORCE = 1e-6
"""eV/Angstrom; what is above it is not called a minimum."""


def potential() -> Tersoff:
    """Silicon and oxygen of the silica case."""
    return read_tersoff(PARAMETERS)


def silica() -> Atoms:
    """The 648-atom glass of the silica case."""
    return read_structure(ROOT / "cases" / "silica" / "structure.extxyz")


def silicon(size: int, cache: Path) -> Atoms:
    """A random network of ``size`` = 8 m^3 atoms, from the cache or made and put there.

    Raises
    ------
    RuntimeError
        Where no minimum of the potential was found.
    """
    path = cache / f"silicon-{size}.extxyz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        write_structure(_made(size), path)
    return read_structure(path)


def _made(size: int) -> Atoms:
    started = time.perf_counter()
    for seed in range(1, 6):
        network = continuous_random_network(size, TRIALS_PER_NODE * size, seed=seed)
        cell = np.diag([network.cell_length] * 3)
        atoms = relax(Atoms(f"Si{size}", positions=network.positions, cell=cell, pbc=True), potential(), isotropic=True)
        force = evaluate(atoms, potential()).largest_force
        took = time.perf_counter() - started
        sys.stderr.write(f"silicon {size}, seed {seed}: largest force {force:.1e} eV/A after {took:.0f} s\n")
        if force <= LARGEST_FORCE:
            return atoms
    raise RuntimeError(f"no minimum of {size} atoms of silicon was found")
