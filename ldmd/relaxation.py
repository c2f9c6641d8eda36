"""Minima of the potential energy: quasi-Newton from afar, Newton steps with the exact Hessian at the end."""

from __future__ import annotations

import dataclasses

import numpy as np
from ase import Atoms
from scipy.optimize import minimize

from ldmd.force_constants.autodiff import second_order
from ldmd.potentials.base import SitePotential, energies_forces_virial, graph_parameters
from ldmd.structures import NeighbourGraph, neighbour_graph
from ldmd.units import GPA

ROOM = 8
"""Edges per atom that have room at least, where many structures are evaluated."""
SPARE = 8
"""Beyond that, room is kept for one more edge in so many."""
LONGEST_NEWTON_STEP = 0.1
"""Angstrom; farther away the quadratic model is not to be trusted."""


@dataclasses.dataclass(frozen=True)
class State:
    """Energy (eV), forces (N, 3) eV/Angstrom and static pressure (GPa) of a structure."""

    energy: float
    forces: np.ndarray
    pressure: float

    @property
    def largest_force(self) -> float:
        """Largest norm of a force on one atom, eV/Angstrom."""
        return float(np.linalg.norm(self.forces, axis=1).max())


class Evaluator:
    """Energy, forces and static pressure of many structures of the same atoms, by code that is compiled once.

    What is compiled belongs to a number of edges per atom. Room for some more is kept from the first structure on; one
    that needs more yet makes the room wider, and the code is compiled once more.
    """

    def __init__(self, potential: SitePotential) -> None:
        self.potential = potential
        self._slots: tuple[int, ...] = ()

    def __call__(self, atoms: Atoms) -> State:
        """Of atoms at rest, as ``evaluate``."""
        species, switching = self.potential.species, self.potential.switching
        graph = neighbour_graph(atoms, species, switching, slots=self._slots)
        if graph.slots != self._slots:
            self._slots = tuple(max(ROOM, width + width // SPARE) for width in graph.slots)
            graph = neighbour_graph(atoms, species, switching, slots=self._slots)
        return _state(atoms, self.potential, graph)


def evaluate(atoms: Atoms, potential: SitePotential, slots: int = 0) -> State:
    """Energy, forces and static pressure (trace of the virial / 3V) of atoms at rest.

    ``slots`` is a least number of edges per atom. For many structures, ``Evaluator`` compiles less.
    """
    widths = (slots,) * len(set(atoms.numbers))
    return _state(atoms, potential, neighbour_graph(atoms, potential.species, potential.switching, slots=widths))


def _state(atoms: Atoms, potential: SitePotential, graph: NeighbourGraph) -> State:
    energies, forces, virial = energies_forces_virial(
        potential.site_energies, atoms.positions, graph, graph_parameters(potential, graph)
    )
    pressure = float(np.trace(np.asarray(virial))) / (3.0 * atoms.get_volume()) * GPA
    return State(float(np.sum(np.asarray(energies))), np.asarray(forces), pressure)


def relax(atoms: Atoms, potential: SitePotential, tolerance: float = 1e-8, isotropic: bool = False) -> Atoms:
    """Relax positions, and with ``isotropic`` the volume too, until no force exceeds ``tolerance`` (eV/Angstrom).

    The shape of the cell is kept. Returns the best structure found: a potential with a kink at its cutoff may have
    no smooth minimum to converge to, which the caller sees from ``evaluate``.
    """
    state_of = Evaluator(potential)
    atoms = _quasi_newton(atoms, state_of, isotropic)
    for _ in range(3 if isotropic else 1):
        atoms = _newton(atoms, state_of, tolerance)
        if not isotropic or abs(evaluate(atoms, potential).pressure) < 1e-6:
            return atoms
        atoms = _newton(_quasi_newton(atoms, state_of, isotropic), state_of, tolerance)
    return atoms


def _quasi_newton(atoms: Atoms, state_of: Evaluator, isotropic: bool) -> Atoms:
    """L-BFGS on positions and, scaled to the same stiffness, on the logarithm of the cell's length."""
    count, start = len(atoms), atoms.copy()
    stiffness = np.sqrt(count) * atoms.get_volume() ** (1.0 / 3.0)

    def structure(x: np.ndarray) -> Atoms:
        scale = np.exp(x[-1] / stiffness) if isotropic else 1.0
        trial = start.copy()
        trial.set_cell(start.cell.array * scale)
        trial.positions = x[: 3 * count].reshape(count, 3) * scale
        return trial

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        trial = structure(x)
        state = state_of(trial)
        scale = np.exp(x[-1] / stiffness) if isotropic else 1.0
        gradient = [-state.forces.ravel() * scale]
        if isotropic:
            gradient.append(np.array([-3.0 * state.pressure / GPA * trial.get_volume() / stiffness]))
        return state.energy, np.concatenate(gradient)

    x0 = np.concatenate([start.positions.ravel(), np.zeros(1 if isotropic else 0)])
    options = {"maxiter": 4000, "maxfun": 6000, "gtol": 1e-7, "ftol": 0.0, "maxcor": 30}
    return structure(minimize(objective, x0, jac=True, method="L-BFGS-B", options=options).x)


def _newton(atoms: Atoms, state_of: Evaluator, tolerance: float, attempts: int = 8) -> Atoms:
    """Newton steps at fixed cell; stops when converged or when a step no longer helps."""
    potential = state_of.potential
    best, state = atoms.copy(), state_of(atoms)
    for _ in range(attempts):
        if state.largest_force <= 0.1 * tolerance:
            break
        graph = neighbour_graph(best, potential.species, potential.switching)
        hessian = second_order(potential, best.positions, graph).matrix.toarray()
        translations = np.tile(np.eye(3), (len(best), 1)) / np.sqrt(len(best))
        hessian += np.abs(hessian).max() * translations @ translations.T
        step = np.linalg.solve(hessian, state.forces.ravel()).reshape(-1, 3)
        step *= min(1.0, LONGEST_NEWTON_STEP / np.linalg.norm(step, axis=1).max())
        trial = best.copy()
        trial.positions += step
        trial_state = state_of(trial)
        if trial_state.largest_force >= state.largest_force:
            break
        best, state = trial, trial_state
    return best
