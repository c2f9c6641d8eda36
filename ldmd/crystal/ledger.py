"""From the conductivity of a crystal that is quoted most to the one that dynamics can be held against, step by step.

Dynamics in a supercell is classical, and knows the wave vectors of that supercell only. What is to be compared with it
is therefore lattice dynamics with classical statistics on exactly these wave vectors. The usual lattice value is the
relaxation-time approximation on a converged mesh with Bose-Einstein statistics. Between the two:

    scattering solution   direct solution of the Boltzmann equation minus relaxation times (where it was solved),
    interband             heat carried between bands, QHGK minus its diagonal,
    statistics            Bose-Einstein to classical, on the converged mesh,
    finite size           converged mesh to the wave vectors of the supercell, classically.

The last step, to the dynamics, is the rest: orders beyond the third, and the error of the dynamics.
"""

from __future__ import annotations

import dataclasses

from ldmd.comparison import LedgerEntry
from ldmd.crystal.mesh import MeshConductivity

START = "relaxation times, converged mesh"


@dataclasses.dataclass(frozen=True)
class LatticeSteps:
    """Isotropic conductivities, W/(m K), and the way from the first to the last."""

    relaxation_times: float
    """Bose-Einstein, converged mesh."""
    quantum: float
    """The best value: everything that was computed, Bose-Einstein, converged mesh."""
    classical_converged: float
    classical: float
    """On the wave vectors of the supercell: what the dynamics is held against."""
    steps: tuple[LedgerEntry, ...]


def lattice_steps(
    converged: MeshConductivity, commensurate: MeshConductivity, temperature: float, error: float = 0.0
) -> LatticeSteps:
    """The steps at one of the temperatures; ``error`` (W/(m K)) is that of the convergence of the mesh.

    Raises
    ------
    InputError
        Where one of the two lacks a part that the other has.
    """
    solved = converged.direct is not None and commensurate.direct is not None
    part = "direct total" if solved else "total"
    times, interband = (
        converged.isotropic(temperature, "bose-einstein", name) for name in ("relaxation time", "interband")
    )
    quantum, middle = (converged.isotropic(temperature, name, part) for name in ("bose-einstein", "classical"))
    classical = commensurate.isotropic(temperature, "classical", part)
    steps = [
        LedgerEntry("interband", interband, 0.0, "heat that pairs of bands carry together: QHGK without its diagonal"),
        LedgerEntry("quantum statistics", middle - quantum, 0.0,
                    "classical instead of Bose-Einstein occupations, as the dynamics has them"),
        LedgerEntry("finite size", classical - middle, error,
                    "only the wave vectors that fit into the supercell of the dynamics"),
    ]  # fmt: skip
    if solved:
        gain = converged.isotropic(temperature, "bose-einstein", "direct") - times
        meaning = "the Boltzmann equation solved directly instead of with relaxation times"
        steps.insert(0, LedgerEntry("scattering solution", gain, 0.0, meaning))
    return LatticeSteps(times, quantum, middle, classical, tuple(steps))
