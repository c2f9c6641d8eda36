"""Dynamics with a neuroevolution potential: published Li3PS4 against the original implementation driven by ASE.

Needs the folder of reference data that LDMD_DATA names, and calorine. Each line is a process of its own that is held
to so many cores before JAX starts its threads; the original implementation is serial and uses one of them.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import Any

import machine
import numpy as np
from ase import Atoms
from measure import Lines, Settings, digits, in_turn, timed
from worker import measured

STEPS = 50
STRIDE = 5
"""Steps between two values of the heat flux."""
TIME_STEP = 1e-3
"""ps"""
TEMPERATURE = 600.0
"""K"""
WARMING = 8
"""Runs of ``STEPS`` before any that counts: they compile, and find who meets whom."""


def dynamics(settings: Settings) -> Lines:
    """Steps of NVE dynamics: theirs without a flux, ours with the exact one every few steps; one core and all."""
    rows = []
    for cores in sorted({1, machine.cores()}):
        found = measured(task="nep", cores=cores, repeats=3 * settings.repeats)
        times = [digits(found[name]) for name in ("peer", "ours", "ratio")]
        note = (
            f"ours with the exact flux every {STRIDE} steps, {found['cores']:.1f} cores busy; theirs without flux, "
            f"{found['peer cores']:.1f}; {digits(1e3 * found['peer'] / STEPS)} and "
            f"{digits(1e3 * found['ours'] / STEPS)} ms per step; before that {digits(found['first'])} s of "
            f"compiling; forces differ by {found['difference']:.0e} of the largest"
        )
        label = f"Li3PS4 768, NEP: {STEPS} steps of NVE; {cores} core{'s' if cores > 1 else ''} allowed"
        rows.append([label, "ASE + calorine's CPUNEP", *times, note])
    return Lines(rows, [])


def steps(cores: int, repeats: int) -> dict[str, Any]:
    """Both in this process, in turn, from the same phase point."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from ase import units
    from ase.md.verlet import VelocityVerlet
    from calorine.calculators import CPUNEP

    from ldmd.dynamics.integrate import Engine, maxwell_velocities
    from ldmd.potentials.nep import read_nep

    path, atoms = _folder() / "nepA.txt", lithium_thiophosphate()
    engine = Engine(atoms, read_nep(path), TIME_STEP, STRIDE)
    velocities = maxwell_velocities(atoms.get_masses(), TEMPERATURE, np.random.default_rng(1))
    state = {"phase": engine.phase(atoms.positions, velocities), "done": 0}

    def advance() -> None:
        state["phase"], samples = engine.advance(state["phase"], STEPS // STRIDE, state["done"])
        samples.virial.block_until_ready()
        state["done"] += STEPS // STRIDE

    first = [timed(advance).seconds for _ in range(WARMING)]
    theirs = atoms.copy()
    theirs.calc = CPUNEP(str(path))
    theirs.positions = np.asarray(state["phase"].positions)
    theirs.set_velocities(np.asarray(state["phase"].velocities) / (1e3 * units.fs))
    forces = theirs.get_forces()
    difference = np.abs(forces - np.asarray(state["phase"].forces)).max() / np.abs(forces).max()
    peer = VelocityVerlet(theirs, 1e3 * TIME_STEP * units.fs)
    peer.run(1)
    result = in_turn(lambda: timed(lambda: peer.run(STEPS)), lambda: timed(advance), repeats)
    return {
        "peer": result.peer.seconds,
        "peer cores": result.peer.cores,
        "ours": result.ours.seconds,
        "cores": result.ours.cores,
        "ratio": result.ratio,
        "first": sum(first) - len(first) * statistics.median(first),
        "difference": float(difference),
    }


def lithium_thiophosphate() -> Atoms:
    """One eighth of the published structure, which is made of eight equal cells: 768 atoms."""
    from ase.io import read

    whole = read(_folder() / "alpha_6144.xyz")
    places = np.round(whole.get_scaled_positions() * 2.0 % 1.0, 5) % 1.0
    _, first = np.unique(np.round(places * 1e5).astype(int), axis=0, return_index=True)
    atoms = whole[np.sort(first)]
    atoms.set_cell(0.5 * whole.cell.array)
    return atoms


def _folder() -> Path:
    if not os.environ.get("LDMD_DATA"):
        raise SystemExit("LDMD_DATA does not name a folder of reference data")
    return Path(os.environ["LDMD_DATA"]) / "li3ps4"
