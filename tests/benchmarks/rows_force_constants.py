"""Third-order force constants: automatic differentiation against finite differences by LAMMPS and kALDo.

Ours are exact and an operator; theirs are every element, by four forces each with two coordinates displaced. Where a
cell is too large to be done whole, some of its atoms (LAMMPS) or pairs of atoms (kALDo) are, evenly spread over all,
and the time of all is extrapolated in proportion: every atom and every pair costs the same. kALDo is given our own
compiled forces with a fixed neighbour list, faster than LAMMPS is when called through ASE, and is told the range of
the force constants, so that it leaves out pairs farther apart. LAMMPS has the thinnest skin, which is what decides
how many pairs it displaces.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import lammps_runs
import numpy as np
import structures
from ase import Atoms
from ase.calculators.calculator import Calculator
from kaldo.controllers.displacement import calculate_single_third
from kaldo.forceconstants import ForceConstants
from measure import Lines, Settings, Span, digits, exponent, timed
from scipy import constants
from worker import measured

from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.structures import neighbour_graph, pairs_within, write_structure

SHIFT = 1e-5
"""Angstrom: small, because forces have kinks where the cutoff begins and ends; the times do not depend on it."""
SKIN = 0.1
"""Angstrom."""
SILICON = (64, 216)
WHOLE_LAMMPS, WHOLE_KALDO = 216, 64
"""Atoms of the largest cells that LAMMPS and kALDo do whole."""
SAMPLED_ATOMS, SAMPLED_PAIRS = 24, 100
TEN_JOULE_PER_MOLE = 10.0 / (constants.N_A * constants.e)


def force_constants(settings: Settings) -> Lines:
    """A line for each cell."""
    cells = [(f"a-Si {size}", structures.silicon(size, settings.cache)) for size in SILICON]
    cells.append(("silica 648", structures.silica()))
    rows, whole = [], []
    for label, atoms in cells:
        line, seconds = _line(label, atoms, settings)
        rows.append(line)
        whole.append(seconds)
    power = exponent(SILICON, whole[: len(SILICON)])
    notes = [
        f"LAMMPS from {SILICON[0]} to {SILICON[1]} atoms of silicon: time grows as N^{power:.2f}.",
        f"An asterisk marks what is extrapolated: LAMMPS from {SAMPLED_ATOMS} evenly spread atoms of all, kALDo from "
        f"{SAMPLED_PAIRS} pairs of atoms of all within range.",
        f"Differences on one rank are those of finite displacements, {SHIFT:.0e} Angstrom here: round-off, and in "
        "silica truncation, a hundred times larger with ten times the displacement. On several ranks LAMMPS leaves "
        "elements out.",
    ]
    return Lines(rows, notes)


def _line(label: str, atoms: Atoms, settings: Settings) -> tuple[list[str], float]:
    """Cells of the table, and the time of LAMMPS."""
    lammps, kaldo, ours = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(settings.repeats):
            lammps.append(min((_lammps(atoms, ranks, _own(folder, ranks)) for ranks in settings.ranks), key=_seconds))
            ours.append(_ours(atoms, folder))
            kaldo.append(_kaldo(atoms))
        apart = [_largest_difference(atoms, folder, _own(folder, ranks)) for ranks in settings.ranks]
    cold, warm = (statistics.median(run["set-up"][k] for run in ours) for k in (0, 1))
    application, listing = (statistics.median(run[name] for run in ours) for name in ("application", "listing"))
    peer = statistics.median(span.seconds for span in lammps)
    ratios = [
        statistics.median(a.seconds / (b["set-up"][k] + b["listing"]) for a, b in zip(lammps, ours, strict=True))
        for k in (0, 1)
    ]
    size = len(atoms)
    return [
        label,
        digits(peer) + "*" * (size > WHOLE_LAMMPS) + f" ({statistics.median_low(s.cores for s in lammps):.0f})",
        digits(statistics.median(kaldo)) + "*" * (size > WHOLE_KALDO),
        digits(cold),
        digits(warm),
        digits(1e3 * application),
        digits(listing),
        f"{digits(ratios[0])} / {digits(ratios[1])}",
        " / ".join(f"{one:.0e}" for one in apart),
    ], peer


def _own(folder: Path, ranks: int) -> Path:
    """A folder of its own for each number of MPI ranks: results differ."""
    own = folder / f"ranks-{ranks}"
    own.mkdir(exist_ok=True)
    return own


def _seconds(span: Span) -> float:
    return span.seconds


def _ours(atoms: Atoms, folder: Path) -> dict[str, Any]:
    """Set-up, application and list of all elements in a fresh process, so that something is compiled."""
    write_structure(atoms, folder / "cell.extxyz")
    return measured(task="third", structure=str(folder / "cell.extxyz"), elements=str(folder / "ours.npz"))


def _sample(atoms: Atoms) -> tuple[int, int]:
    """Step between the atoms that LAMMPS displaces first, and their number."""
    step = 1 if len(atoms) <= WHOLE_LAMMPS else len(atoms) // SAMPLED_ATOMS
    return step, len(range(0, len(atoms), step))


def _lammps(atoms: Atoms, ranks: int, folder: Path) -> Span:
    """LAMMPS' time for all atoms, from that of the sample."""
    step, count = _sample(atoms)
    commands = f"neighbor {SKIN} bin\ngroup some id 1:{len(atoms)}:{step}\n"
    commands += f"third_order some eskm {SHIFT} file third.dat fold yes\n"
    span = lammps_runs.loop_time(atoms, commands, ranks, folder)
    return Span(span.seconds * len(atoms) / count, span.cores)


def _largest_difference(atoms: Atoms, folder: Path, lammps: Path) -> float:
    """Between LAMMPS' last result and ours in eV/Angstrom^3, over all elements that it computed, per largest element.

    LAMMPS lists derivatives of forces: minus ours. It numbers the first atom within its group, the others in the cell.
    """
    size, (step, _) = 3 * len(atoms), _sample(atoms)
    table = np.array((lammps / "third.dat").read_text().split(), dtype=float).reshape(-1, 8)
    i, a, j, b, k = (table[:, column].astype(np.int64) - 1 for column in range(5))
    keys = (((3 * step * i + a) * size + 3 * j + b)[:, None] * size + 3 * k[:, None] + np.arange(3)).ravel()
    theirs = -TEN_JOULE_PER_MOLE * table[:, 5:].ravel()
    with np.load(folder / "ours.npz") as file:
        indices, values = file["indices"].astype(np.int64), file["values"]
    computed = (indices[0] // 3) % step == 0
    mine = (indices[0, computed] * size + indices[1, computed]) * size + indices[2, computed]
    every, where = np.unique(np.concatenate([keys, mine]), return_inverse=True)
    difference = np.zeros(len(every))
    np.add.at(difference, where, np.concatenate([theirs, -values[computed]]))
    return float(np.abs(difference).max() / np.abs(values).max())


class CompiledForces(Calculator):
    """Our forces for ASE, of pairs that are listed once: atoms move by much less than the skin."""

    implemented_properties = ("energy", "forces")

    def __init__(self, atoms: Atoms) -> None:
        super().__init__()
        self.potential = structures.potential()
        self.graph = neighbour_graph(atoms, self.potential.species, self.potential.switching, skin=SKIN)
        self.gathered = graph_parameters(self.potential, self.graph)

    def calculate(self, atoms: Atoms | None = None, properties: object = None, system_changes: object = None) -> None:
        """See ASE."""
        assert atoms is not None
        energies, forces, _ = energies_forces_virial(
            self.potential.site_energies, atoms.positions, self.graph, self.gathered
        )
        self.results = {"energy": float(energies.sum()), "forces": np.asarray(forces)}


def _kaldo(atoms: Atoms) -> float:
    """kALDo's time in s for all pairs within range: all of them in a small cell, otherwise from a sample."""
    moved = atoms.copy()
    moved.calc = CompiledForces(atoms)
    moved.get_forces()
    reach = 2.0 * float(moved.calc.potential.switching.max())
    if len(atoms) <= WHOLE_KALDO:
        third = ForceConstants(atoms=atoms, supercell=(1, 1, 1), folder="memory").third
        options = {"delta_shift": SHIFT, "distance_threshold": reach, "is_storing": False, "symmetrize": False}
        return timed(lambda: third.calculate(calculator=moved.calc, **options)).seconds
    first, second = _pairs(atoms, reach)
    chosen = np.random.default_rng(1).choice(len(first), SAMPLED_PAIRS, replace=False)

    def work() -> None:
        for i, j in zip(first[chosen], second[chosen], strict=True):
            for a, b in np.ndindex(3, 3):
                calculate_single_third(atoms, moved, i, a, j, b, SHIFT)

    return timed(work).seconds * len(first) / SAMPLED_PAIRS


def _pairs(atoms: Atoms, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs of atoms whose nearest images are within reach, each atom with itself among them."""
    species = structures.potential().species
    i, j, _ = pairs_within(atoms, species, np.full((len(species),) * 2, reach))
    unique = np.unique(np.stack([np.append(i, np.arange(len(atoms))), np.append(j, np.arange(len(atoms)))]), axis=1)
    return unique[0], unique[1]
