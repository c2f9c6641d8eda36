"""Molecular dynamics on a differentiable potential: velocity Verlet, with the exact heat flux streamed.

Compiled runs of many samples; each sample is a few steps and one evaluation of the flux from the derivatives that
the last step needed anyway. Microcanonical, or with stochastic velocity rescaling (Bussi, Donadio, Parrinello,
J. Chem. Phys. 126, 014101 (2007)) once per sample.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.dynamics.pairs import (
    MARGIN,
    WIDE,
    PairList,
    Watch,
    candidate_pairs,
    largest_displacement,
    nearest_approach,
)
from ldmd.potentials.base import (
    Blocks,
    Parameters,
    SiteEnergies,
    SitePotential,
    assemble_forces,
    edge_gradients,
    edge_vectors,
    graph_parameters,
    heat_flux,
)
from ldmd.structures import NeighbourGraph
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION

Derivatives = tuple[Blocks, Blocks, Blocks]
"""Site energies, edge vectors and edge gradients of the last step."""

SOLID_SKIN = 0.1
"""Angstrom beyond the cutoff within which pairs are active from the start, where neighbours stay neighbours."""
LIQUID_SKIN = 0.8
"""The same where they change all the time: fewer runs repeated, more pairs evaluated."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Phase:
    """A point of phase space: positions (N, 3) Angstrom, velocities Angstrom/ps, forces eV/Angstrom."""

    positions: jax.Array
    velocities: jax.Array
    forces: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Samples:
    """What is kept of a run, one row per sample: fluxes eV Angstrom/ps, energies eV, virial trace eV."""

    potential_flux: jax.Array
    kinetic_flux: jax.Array
    potential_energy: jax.Array
    kinetic_energy: jax.Array
    virial: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Model:
    """Everything a step needs besides the phase: the graph, gathered parameters, masses (N,), watched pairs."""

    graph: NeighbourGraph
    parameters: tuple[Parameters, ...]
    masses: jax.Array
    watch: Watch


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Thermostat:
    """Stochastic velocity rescaling: target temperature (K), c = exp(-sample interval/tau), key; off if c = 1."""

    temperature: jax.Array
    memory: jax.Array
    key: jax.Array


CONSTANT_ENERGY = Thermostat(jnp.asarray(0.0), jnp.asarray(1.0), jax.random.key(0))
"""No thermostat: the same compiled code, which then skips the rescaling."""


def degrees_of_freedom(atoms: int) -> int:
    """3N - 3: total momentum is zero."""
    return 3 * atoms - 3


def temperature_of(kinetic_energy: Any, atoms: int) -> Any:
    """Kinetic temperature in K from the kinetic energy in eV."""
    return 2.0 * kinetic_energy / (degrees_of_freedom(atoms) * BOLTZMANN)


def maxwell_velocities(masses: np.ndarray, temperature: float, generator: np.random.Generator) -> np.ndarray:
    """Velocities (N, 3) in Angstrom/ps from the Maxwell distribution, total momentum zero, exactly ``temperature``."""
    scale = np.sqrt(BOLTZMANN * temperature * FORCE_TO_ACCELERATION / masses)
    velocities = scale[:, None] * generator.normal(size=(len(masses), 3))
    velocities -= masses @ velocities / masses.sum()
    kinetic = 0.5 * np.sum(masses[:, None] * velocities**2) / FORCE_TO_ACCELERATION
    return velocities * np.sqrt(temperature / temperature_of(kinetic, len(masses)))


def kinetic_energy(velocities: jax.Array, masses: jax.Array) -> jax.Array:
    """eV, from velocities in Angstrom/ps and masses in amu."""
    return 0.5 * jnp.sum(masses[:, None] * velocities**2) / FORCE_TO_ACCELERATION


def _evaluate(function: SiteEnergies, positions: jax.Array, model: Model) -> tuple[jax.Array, Blocks, Blocks, Blocks]:
    edges = edge_vectors(positions, model.graph)
    energies, gradients = edge_gradients(function, edges, model.parameters)
    return assemble_forces(gradients, model.graph), energies, edges, gradients


def _verlet(function: SiteEnergies, phase: Phase, model: Model, time_step: jax.Array) -> tuple[Phase, Derivatives]:
    """One velocity-Verlet step, and the energies, edges and gradients at its end."""
    kick = 0.5 * time_step * FORCE_TO_ACCELERATION / model.masses[:, None]
    velocities = phase.velocities + kick * phase.forces
    positions = phase.positions + time_step * velocities
    forces, energies, edges, gradients = _evaluate(function, positions, model)
    return Phase(positions, velocities + kick * forces, forces), (energies, edges, gradients)


def _rescale(velocities: jax.Array, masses: jax.Array, thermostat: Thermostat, index: jax.Array) -> jax.Array:
    """Bussi, Donadio, Parrinello (2007), Eq. A7, with the sum of squared Gaussians drawn as a gamma variate."""
    freedom = degrees_of_freedom(len(masses))
    normal_key, gamma_key = jax.random.split(jax.random.fold_in(thermostat.key, index))
    first = jax.random.normal(normal_key, dtype=velocities.dtype)
    others = 2.0 * jax.random.gamma(gamma_key, 0.5 * (freedom - 1), dtype=velocities.dtype)
    c = thermostat.memory
    ratio = 0.5 * BOLTZMANN * thermostat.temperature / kinetic_energy(velocities, masses)
    square = c + (1.0 - c) * ratio * (first**2 + others) + 2.0 * first * jnp.sqrt(c * (1.0 - c) * ratio)
    return velocities * jnp.sqrt(square)


@functools.partial(jax.jit, static_argnames=("function", "samples", "stride"))
def _run(
    function: SiteEnergies,
    phase: Phase,
    model: Model,
    time_step: jax.Array,
    thermostat: Thermostat,
    start: jax.Array,
    *,
    samples: int,
    stride: int,
) -> tuple[Phase, Samples, jax.Array, jax.Array]:
    """``samples`` times ``stride`` steps; also the nearest approach of watched pairs and the largest displacement."""

    def sample(carry: tuple, index: jax.Array) -> tuple[tuple, Samples]:
        state, derivatives, nearest, farthest = carry
        state, derivatives = jax.lax.fori_loop(
            0, stride, lambda _, s: _verlet(function, s[0], model, time_step), (state, derivatives)
        )
        velocities = jax.lax.cond(
            thermostat.memory < 1.0,
            lambda v: _rescale(v, model.masses, thermostat, index),
            lambda v: v,
            state.velocities,
        )
        state = dataclasses.replace(state, velocities=velocities)
        near = nearest_approach(state.positions, velocities, stride * time_step, model.watch)
        farthest = jnp.maximum(farthest, largest_displacement(state.positions, model.watch))
        return (state, derivatives, jnp.minimum(nearest, near), farthest), _record(state, derivatives, model)

    nothing = tuple(
        tuple(jnp.zeros(shape(block)) for block in model.graph.blocks)
        for shape in (lambda b: b.centres.shape, lambda b: b.offsets.shape, lambda b: b.offsets.shape)
    )
    far = jnp.full(model.watch.i.shape, jnp.inf)
    carry, record = jax.lax.scan(sample, (phase, nothing, far, jnp.zeros(())), start + jnp.arange(samples))
    return carry[0], record, carry[2], carry[3]


def _record(state: Phase, derivatives: Derivatives, model: Model) -> Samples:
    energies, edges, gradients = derivatives
    potential, kinetic = heat_flux(energies, edges, gradients, state.velocities, model.masses, model.graph)
    return Samples(
        potential,
        kinetic,
        jnp.sum(jnp.concatenate(energies)),
        kinetic_energy(state.velocities, model.masses),
        -jnp.sum(jnp.stack([jnp.sum(e * g) for e, g in zip(edges, gradients, strict=True)])),
    )


class Engine:
    """Advances one phase point of one cell; owns the pair list, so that every step it returns was a valid one.

    The result depends on the phase, the pair list and the sample counter only: saving these three and going on later
    gives the same numbers as never having stopped.
    """

    def __init__(
        self, atoms: Atoms, potential: SitePotential, time_step: float, stride: int, skin: float = SOLID_SKIN
    ) -> None:
        self.skin = skin
        self.potential = potential
        self.atoms = atoms.copy()
        self.time_step = time_step
        self.stride = stride
        self.masses = jnp.asarray(atoms.get_masses())
        self.slots: tuple[int, ...] = ()
        self.set_pairs(candidate_pairs(self.atoms, potential.species, potential.switching, skin))

    def set_pairs(self, pairs: PairList) -> None:
        """Use a pair list, of this engine's own making or restored from a checkpoint."""
        self.pairs = pairs
        graph = pairs.graph(self.slots)
        if self.slots and graph.slots != self.slots:  # compiling takes longer than an empty slot costs: leave one
            wider = zip(self.slots, graph.slots, strict=True)
            graph = pairs.graph(tuple(new + 1 if new > old else old for old, new in wider))
        self.slots = graph.slots
        parameters = graph_parameters(self.potential, graph)
        self.model = jax.tree.map(jnp.asarray, Model(graph, parameters, self.masses, pairs.watch))

    def phase(self, positions: np.ndarray, velocities: np.ndarray) -> Phase:
        """The phase point with its forces; lists the pairs around these positions."""
        self._relist(positions)
        forces, *_ = jax.jit(_evaluate, static_argnums=0)(
            self.potential.site_energies, jnp.asarray(positions), self.model
        )
        return Phase(jnp.asarray(positions), jnp.asarray(velocities), forces)

    def advance(
        self, phase: Phase, samples: int, start: int, thermostat: Thermostat = CONSTANT_ENERGY
    ) -> tuple[Phase, Samples]:
        """``samples`` further samples; repeats the run with more pairs, or in halves, until it is valid."""
        moved = float(jnp.sqrt(jnp.max(jnp.sum((phase.positions - self.pairs.reference) ** 2, axis=1))))
        if moved > 0.4 * WIDE:
            self._relist(np.asarray(phase.positions))
        while True:
            end, record, nearest, farthest = _run(
                self.potential.site_energies, phase, self.model, jnp.asarray(self.time_step), thermostat,
                jnp.asarray(start), samples=samples, stride=self.stride,
            )  # fmt: skip
            if not bool(jnp.isfinite(farthest)):
                raise FloatingPointError(f"the dynamics blew up near sample {start}: shorten the time step")
            if float(farthest) > 0.5 * WIDE:
                return self._in_halves(phase, samples, start, thermostat)
            if float(jnp.min(nearest)) > MARGIN:
                return end, record
            self.set_pairs(self.pairs.with_active(np.asarray(nearest)))

    def _in_halves(self, phase: Phase, samples: int, start: int, thermostat: Thermostat) -> tuple[Phase, Samples]:
        """Atoms travelled beyond the candidates: list them anew and more often."""
        if samples == 1:
            raise FloatingPointError(f"atoms moved {0.5 * WIDE} Angstrom between two samples: shorten the time step")
        self._relist(np.asarray(phase.positions))
        first, left = self.advance(phase, samples // 2, start, thermostat)
        second, right = self.advance(first, samples - samples // 2, start + samples // 2, thermostat)
        return second, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), left, right)

    def _relist(self, positions: np.ndarray) -> None:
        self.atoms.positions = positions
        fresh = candidate_pairs(self.atoms, self.potential.species, self.potential.switching, self.skin)
        self.set_pairs(fresh.remembering(self.pairs))

    def rescale(self, phase: Phase, factor: float) -> Phase:
        """Scale the cell and the positions by a factor; lists the pairs anew."""
        self.atoms.set_cell(self.atoms.cell.array * factor)
        return self.phase(np.asarray(phase.positions) * factor, np.asarray(phase.velocities))
