"""Lithium diffuses in superionic Li3PS4 at 650 K and is named; phosphorus vibrates (structure and NEP as published)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from ldmd.checkpoint import Checkpoint
from ldmd.diffusion import diffusion
from ldmd.dynamics.replica import ReplicaSettings, run_replica
from ldmd.potentials.nep import read_nep


def part(path: Path) -> Atoms:
    """128 of the 6144 atoms, of which 8 x 6 x 8 cells of 16 are made: 2 x 2 x 2 of these."""
    atoms = read(path)
    times = np.array([4, 3, 4])
    inside = np.all((atoms.get_scaled_positions() + 1e-4) % 1.0 < 1.0 / times, axis=1)
    piece = atoms[inside]
    piece.set_cell(atoms.cell.array / times[:, None])
    assert len(piece) == 128
    return piece


def test_lithium_diffuses_and_the_framework_does_not(shared_data: Path) -> None:
    folder = shared_data / "li3ps4"
    atoms, potential = part(folder / "alpha_6144.xyz"), read_nep(folder / "nepA.txt")
    settings = ReplicaSettings(650.0, 0.001, 5, equilibration=100, samples=500, samples_per_frame=25, seed=1)
    run = run_replica(atoms, potential, settings, Checkpoint(Path("/nonexistent/none"), "key"))
    found = diffusion(atoms, [run])
    assert found is not None and found.found
    motions = dict(zip(found.species, found.motions, strict=True))
    assert motions["Li"] == "diffuses" and motions["P"] != "diffuses"
    assert "Li (" in found.sentence()
    # Windows of 2 to 3 ps of a run of 15 ps gave 1.6e-5 to 3.8e-5 cm^2/s, the run as a whole 1.5e-5.
    assert 5e-6 < found.coefficients[found.species.index("Li")] < 5e-5
