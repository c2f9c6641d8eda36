"""Third order of a crystal: automatic differentiation of one primitive cell against phono3py's displacements.

Both have the same potential (silicon in Tersoff's form, the parameters of the silica case) and the same supercell.
phono3py displaces a supercell once for every pair of atoms and directions that symmetry does not repeat, and is given
our own compiled forces of the whole supercell; automatic differentiation is of one primitive cell's sites, and its
first time, with compilation, stands beside the later ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import structures
from ase import Atoms
from ase.build import bulk
from measure import Lines, Settings, digits, in_turn, timed

from ldmd.crystal.elasticity import static_stress
from ldmd.crystal.force_constants import CrystalForceConstants, by_phono3py_displacements, exact, supercell_of
from ldmd.crystal.relaxation import relax_cell
from ldmd.force_constants.exchange.constants import third_blocks
from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.structures import neighbour_graph

SHIFT = 0.001
"""Angstrom. phono3py's own default, 0.03, is for forces with noise; truncation falls with the square."""
SUPERCELLS = (3, 4, 5)
"""Primitive cells along each vector."""


def crystal(settings: Settings) -> Lines:
    """A line for each supercell."""
    potential = structures.potential()
    primitive = relax_cell(bulk("Si", a=5.43), potential)
    cold = timed(lambda: exact(potential, primitive, (3, 3, 3))).seconds
    rows = [_line(primitive, size, cold, settings.repeats) for size in SUPERCELLS]
    stress = float(np.abs(static_stress(primitive, potential)).max())
    return Lines(rows, [f"Primitive cell of two atoms at rest (stress {stress:.0e} GPa), displacements of {SHIFT} A."])


def _line(primitive: Atoms, size: int, cold: float, repeats: int) -> list[str]:
    potential, box = structures.potential(), (size, size, size)
    found: list[CrystalForceConstants] = []
    forces, counts = _forces(primitive, box)
    times = in_turn(
        lambda: timed(lambda: found.append(by_phono3py_displacements(forces, primitive, box, SHIFT))),
        lambda: timed(lambda: found.append(exact(potential, primitive, box))),
        repeats,
    )
    theirs, mine = found[-2:]
    expected = third_blocks(mine.third, full=False)
    apart = third_blocks(theirs.third.in_order_of(mine.third.supercell), full=False) - expected
    return [
        f"silicon, {2 * size**3} atoms",
        digits(times.peer.seconds),
        str(statistics.median_low(counts)),
        digits(times.ours.seconds),
        digits(cold),
        f"{digits(times.ratio)} / {digits(times.peer.seconds / cold)}",
        f"{np.linalg.norm(apart) / np.linalg.norm(expected):.0e}",
    ]


def _forces(primitive: Atoms, box: tuple[int, int, int]) -> tuple[Callable[[list[Atoms]], list[np.ndarray]], list[int]]:
    """Our compiled forces of displaced supercells, whose pairs are listed once; and how many there were."""
    potential, supercell = structures.potential(), supercell_of(primitive, box).atoms
    graph = neighbour_graph(supercell, potential.species, potential.switching, skin=0.1)
    gathered = graph_parameters(potential, graph)
    counts: list[int] = []

    def forces(cells: list[Atoms]) -> list[np.ndarray]:
        counts.append(len(cells))
        if not np.allclose(cells[0].positions, supercell.positions, atol=0.01):
            raise RuntimeError("phono3py has the atoms in another order")
        parts = (energies_forces_virial(potential.site_energies, cell.positions, graph, gathered)[1] for cell in cells)
        return [np.asarray(part) for part in parts]

    forces([supercell])  # compiles
    counts.clear()
    return forces, counts
