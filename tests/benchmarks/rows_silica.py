"""The 648-atom silica of the case: all linewidths, and steps of dynamics against LAMMPS."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import lammps_runs
import numpy as np
import structures
from measure import STATISTICS, TEMPERATURES, Lines, Settings, Span, digits, in_turn, timed
from worker import measured

STEPS = 1000
STRIDE = 5
"""Steps between two values of the heat flux."""


def lattice(settings: Settings) -> Lines:
    """Linewidths and QHGK of all modes, in processes of their own; no peer is run."""
    few: dict[str, Any] = {"temperatures": [300.0], "statistics": ["classical"]}
    many: dict[str, Any] = {"temperatures": list(TEMPERATURES), "statistics": list(STATISTICS)}
    rows = []
    for label, conditions, precision in (
        ("300 K, classical", few, "float64"),
        ("10 temperatures x 2 statistics", many, "float64"),
        ("10 temperatures x 2 statistics, float32 products", many, "float32"),
    ):
        found = _measured(conditions, precision, settings.repeats)
        linewidths, others = statistics.median(found["linewidths"]), _others(found)
        error = f"; float32 differs by {found['precision error']:.0e}" if precision == "float32" else ""
        note = f"peak memory of the process {found['memory']:.2f} GB; {others}{error}"
        rows.append([f"silica 648: all linewidths; {label}", "-", "-", digits(linewidths), "-", note])
    return Lines(rows, [])


def _measured(conditions: dict[str, Any], precision: str, repeats: int) -> dict[str, Any]:
    path = str(structures.ROOT / "cases" / "silica" / "structure.extxyz")
    return measured(task="lattice", structure=path, **conditions, repeats=repeats, precision=precision)


def _others(found: dict[str, Any]) -> str:
    modes, green_kubo = (digits(statistics.median(found[name])) for name in ("modes", "qhgk"))
    return f"modes {modes} s, QHGK {green_kubo} s"


def dynamics(settings: Settings) -> Lines:
    """Steps of NVE dynamics: LAMMPS without a flux on one core and on all, ours with the exact one every 5 steps."""
    from ldmd.dynamics.integrate import Engine, maxwell_velocities

    atoms = structures.silica()
    engine = Engine(atoms, structures.potential(), 1e-3, STRIDE)
    velocities = maxwell_velocities(atoms.get_masses(), 600.0, np.random.default_rng(1))
    state = {"phase": engine.phase(atoms.positions, velocities), "done": 0}

    def advance() -> None:
        state["phase"], samples = engine.advance(state["phase"], STEPS // STRIDE, state["done"])
        samples.virial.block_until_ready()
        state["done"] += STEPS // STRIDE

    for _ in range(5):
        advance()  # compile, and learn who meets whom
    rows = []
    for ranks in settings.ranks:
        with tempfile.TemporaryDirectory() as folder:
            result = in_turn(
                lambda ranks=ranks, folder=folder: _lammps_steps(ranks, Path(folder)),
                lambda: timed(advance),
                3 * settings.repeats,
            )
        times = [digits(value) for value in (result.peer.seconds, result.ours.seconds, result.ratio)]
        note = f"ours with the exact flux every {STRIDE} steps, {result.ours.cores:.1f} cores busy; LAMMPS without flux"
        label = f"silica 648: {STEPS} steps of NVE"
        rows.append([label, f"LAMMPS, {ranks} rank{'s' if ranks > 1 else ''}", *times, note])
    return Lines(rows, [])


def _lammps_steps(ranks: int, folder: Path) -> Span:
    commands = (
        "velocity all create 600 1\nfix 1 all nve\ntimestep 0.001\nneighbor 1.0 bin\nthermo 1000000\n"
        f"run 100\nrun {STEPS}\n"
    )
    return lammps_runs.loop_time(structures.silica(), commands, ranks, folder)
