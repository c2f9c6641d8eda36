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
    WIDE,
    PairList,
    Watch,
    candidate_pairs,
    encounters,
    largest_displacement,
    layered_parameters,
)
from ldmd.dynamics.stability import FIX, Limits, Unstable
from ldmd.potentials.base import (
    Blocks,
    LayeredPotential,
    Parameters,
    SiteEnergies,
    SitePotential,
    assemble_forces,
    edge_gradients,
    edge_vectors,
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
CROWDED = 16
"""So many neighbours leave no gap between their shells for a cutoff to lie in: pairs cross it all the time."""
CROWDED_SKIN = 0.6
"""Angstrom, where there are so many: the list of active pairs is chosen anew when it has been used up."""
SPARE = 8
"""Room is kept for one more neighbour in so many, where there are many, and wherever compiled code was too narrow."""


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
    """What is kept of a run, one row per sample: fluxes eV Angstrom/ps, energies eV, virial trace eV.

    Potential energies, and those that the kinetic flux carries along, count from ``Model.rest``.
    """

    potential_flux: jax.Array
    kinetic_flux: jax.Array
    potential_energy: jax.Array
    kinetic_energy: jax.Array
    virial: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Model:
    """Everything a step needs besides the phase: the graph, gathered parameters, masses (N,), watched pairs, rest."""

    graph: NeighbourGraph
    parameters: tuple[Parameters, ...]
    masses: jax.Array
    watch: Watch
    rest: tuple[jax.Array, ...]
    """Mean site energy of each block's species in the structure that the run began from, eV; see ``Engine``."""


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


_evaluated = jax.jit(_evaluate, static_argnums=0)
"""Compiled by itself, outside of a run."""


def _verlet(function: SiteEnergies, phase: Phase, model: Model, time_step: jax.Array) -> tuple[Phase, Derivatives]:
    """One velocity-Verlet step, and the energies, edges and gradients at its end."""
    kick = 0.5 * time_step * FORCE_TO_ACCELERATION / model.masses[:, None]
    velocities = phase.velocities + kick * phase.forces
    positions = phase.positions + time_step * velocities
    forces, energies, edges, gradients = _evaluate(function, positions, model)
    return Phase(positions, velocities + kick * forces, forces), (energies, edges, gradients)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Noise:
    """What is random in a rescaling, one number per sample: a Gaussian, and the sum of the other squared ones."""

    first: jax.Array
    others: jax.Array


@functools.partial(jax.jit, static_argnums=3)
def draw_noise(key: jax.Array, freedom: jax.Array, start: jax.Array, samples: int) -> Noise:
    """Noise of the samples from number ``start`` on; what a sample gets depends on its number and the key alone.

    Apart from the run itself: random numbers take a second to compile, and these serve every system.
    """

    def draw(index: jax.Array) -> Noise:
        normal, gamma = jax.random.split(jax.random.fold_in(key, index))
        return Noise(jax.random.normal(normal), 2.0 * jax.random.gamma(gamma, 0.5 * (freedom - 1)))

    return jax.lax.map(draw, start + jnp.arange(samples))


def rescale(velocities: jax.Array, masses: jax.Array, thermostat: Thermostat, noise: Noise) -> jax.Array:
    """Bussi, Donadio, Parrinello (2007), Eq. A7, with the sum of squared Gaussians drawn as a gamma variate."""
    c = thermostat.memory
    ratio = 0.5 * BOLTZMANN * thermostat.temperature / kinetic_energy(velocities, masses)
    square = c + (1.0 - c) * ratio * (noise.first**2 + noise.others)
    square = square + 2.0 * noise.first * jnp.sqrt(c * (1.0 - c) * ratio)
    return velocities * jnp.sqrt(square)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Run:
    """A run of samples as far as it was valid."""

    phase: Phase
    """After the last valid sample."""
    samples: Samples
    """Rows up to ``reached`` are filled, from where the run began."""
    reached: jax.Array
    """Valid samples, those of earlier runs included."""
    met: jax.Array
    """(P,) watched pairs that may have come near their cutoff since the last look, or may do so until the next."""
    farthest: jax.Array
    """Angstrom, the largest displacement from where the candidates were listed, at the last look."""


@functools.partial(jax.jit, static_argnames=("function", "samples", "stride"))
def _run(
    function: SiteEnergies,
    phase: Phase,
    model: Model,
    time_step: jax.Array,
    thermostat: Thermostat,
    noise: Noise,
    done: jax.Array,
    *,
    samples: int,
    stride: int,
) -> Run:
    """Samples number ``done`` to ``samples`` of a chunk, each of ``stride`` steps, while no other pair is met."""

    def sample(carry: tuple[Run, Derivatives, jax.Array]) -> tuple[Run, Derivatives, jax.Array]:
        run, derivatives, _ = carry
        state, derivatives = jax.lax.fori_loop(
            0, stride, lambda _, s: _verlet(function, s[0], model, time_step), (run.phase, derivatives)
        )
        velocities = jax.lax.cond(
            thermostat.memory < 1.0,
            lambda v: rescale(v, model.masses, thermostat, jax.tree.map(lambda rows: rows[run.reached], noise)),
            lambda v: v,
            state.velocities,
        )
        state = dataclasses.replace(state, velocities=velocities)
        before, ahead = encounters(state.positions, velocities, stride * time_step, model.watch)
        farthest = largest_displacement(state.positions, model.watch)
        valid = (_count(before) == 0) & (farthest <= 0.5 * WIDE)
        row = _record(state, derivatives, model)
        record = jax.tree.map(lambda rows, new: rows.at[run.reached].set(new), run.samples, row)
        kept = jax.tree.map(lambda new, old: jnp.where(valid, new, old), state, run.phase)
        met = before | ahead
        return Run(kept, record, run.reached + valid, met, farthest), derivatives, valid & (_count(met) == 0)

    empty = jnp.zeros(samples)
    run = Run(
        phase,
        Samples(jnp.zeros((samples, 3)), jnp.zeros((samples, 3)), empty, empty, empty),
        done,
        jnp.zeros(model.watch.i.shape, dtype=bool),
        jnp.zeros(()),
    )
    sites = tuple(jnp.zeros(block.centres.shape) for block in model.graph.blocks)
    vectors = tuple(jnp.zeros(block.offsets.shape) for block in model.graph.blocks)
    run, _, _ = jax.lax.while_loop(
        lambda c: c[2] & (c[0].reached < samples), sample, (run, (sites, vectors, vectors), jnp.asarray(True))
    )
    return run


def _count(which: jax.Array) -> jax.Array:
    """How many are true: unlike ``any`` a sum is vectorised."""
    return jnp.sum(which.astype(jnp.int32))


def _record(state: Phase, derivatives: Derivatives, model: Model) -> Samples:
    absolute, edges, gradients = derivatives
    energies = tuple(site - rest for site, rest in zip(absolute, model.rest, strict=True))
    potential, kinetic = heat_flux(energies, edges, gradients, state.velocities, model.masses, model.graph)
    return Samples(
        potential,
        kinetic,
        jnp.sum(jnp.concatenate(energies)),
        kinetic_energy(state.velocities, model.masses),
        -jnp.sum(jnp.stack([jnp.sum(e * g) for e, g in zip(edges, gradients, strict=True)])),
    )


def _widths(needed: tuple[int, ...], had: tuple[int, ...]) -> tuple[int, ...]:
    """Compiling takes longer than an empty slot costs: leave some, but none at first where few cost most.

    Where one width has to grow, and all is compiled anew, other large ones get their spare slots in the same go.
    """
    if not had:
        return tuple(new + new // SPARE * (new >= CROWDED) for new in needed)
    if all(new <= old for new, old in zip(needed, had, strict=True)):
        return had
    return tuple(
        max(old, new + max(1, new // SPARE * (new >= CROWDED))) if new > old or new >= CROWDED else old
        for new, old in zip(needed, had, strict=True)
    )


class Engine:
    """Advances one phase point of one cell; owns the pair list, so that every step it returns was a valid one.

    Energies of the atoms count from their mean over each species in the structure ``atoms``, which are constants of the
    run. A constant e_s of each atom of a species adds e_s sum v_i over these atoms to the flux. For one species that is
    proportional to the total momentum and vanishes. For several, momentum conservation leaves only the sum over species
    of m_s sum v_i, and each sum fluctuates; in a solid it is the time derivative of a bounded quantity and adds nothing
    to the conductivity, but noise in proportion to e_s, which is -100 to -2000 eV where energies are those of
    electrons and nuclei.

    The result depends on the phase, the pair list and the sample counter only: saving these three and going on later
    gives the same numbers as never having stopped.
    """

    model: Model

    def __init__(
        self,
        atoms: Atoms,
        potential: SitePotential,
        time_step: float,
        stride: int,
        skin: float = SOLID_SKIN,
        limits: Limits | None = None,
    ) -> None:
        self.skin = skin
        self.limits = limits or Limits()
        self.potential = potential
        self.core = potential.core if isinstance(potential, LayeredPotential) else None
        self.atoms = atoms.copy()
        self.time_step = time_step
        self.stride = stride
        self.masses = jnp.asarray(atoms.get_masses())
        self.slots: tuple[int, ...] = ()
        """Widths of the blocks, then of their cores if there are any: what is compiled."""
        self.watched = 0
        """Pairs watched, those that only fill up included: what is compiled, too."""
        self.rest = (jnp.zeros(()),) * len(set(atoms.numbers))
        pairs = candidate_pairs(self.atoms, potential.species, potential.switching, skin, self.core)
        self.crowded = 2 * np.count_nonzero(pairs.active) >= CROWDED * len(atoms)
        self.set_pairs(pairs.refreshed(pairs.reference, CROWDED_SKIN) if self.crowded else pairs)
        _, energies, *_ = _evaluated(potential.site_energies, jnp.asarray(atoms.positions), self.model)
        self.rest = tuple(jnp.mean(site) for site in energies)
        self.model = dataclasses.replace(self.model, rest=self.rest)

    @property
    def rest_energy(self) -> float:
        """Sum over all atoms of what their energies count from, eV."""
        return float(
            sum(rest * len(block.centres) for rest, block in zip(self.rest, self.model.graph.blocks, strict=True))
        )

    def set_pairs(self, pairs: PairList) -> None:
        """Use a pair list, of this engine's own making or restored from a checkpoint."""
        self.pairs = pairs
        graph = pairs.graph()
        count = len(graph.blocks)
        needed = (*graph.slots, *pairs.core_widths(graph))
        self.slots = _widths(needed, self.slots)
        graph = pairs.graph(self.slots[:count])
        parameters = layered_parameters(self.potential, graph, self.slots[count:])
        if len(pairs.i) > self.watched:
            self.watched = -(-(len(pairs.i) + len(pairs.i) // (2 * SPARE)) // 4096) * 4096
        model = Model(graph, parameters, self.masses, pairs.watch(self.watched), self.rest)
        self.model = jax.tree.map(jnp.asarray, model)

    def phase(self, positions: np.ndarray, velocities: np.ndarray) -> Phase:
        """The phase point with its forces; lists the pairs around these positions."""
        self._relist(positions)
        forces, *_ = _evaluated(self.potential.site_energies, jnp.asarray(positions), self.model)
        return Phase(jnp.asarray(positions), jnp.asarray(velocities), forces)

    def advance(
        self, phase: Phase, samples: int, start: int, thermostat: Thermostat = CONSTANT_ENERGY
    ) -> tuple[Phase, Samples]:
        """``samples`` further samples; one that is not valid is done again with more pairs or a new list.

        Raises
        ------
        Unstable
            Where the dynamics blows up.
        """
        moved = float(jnp.sqrt(jnp.max(jnp.sum((phase.positions - self.pairs.reference) ** 2, axis=1))))
        if moved > 0.4 * WIDE:
            self._relist(np.asarray(phase.positions))
        noise = self._noise(samples, start, thermostat)
        done, activated, listed, records = 0, -1, -1, []
        while done < samples:
            run = _run(
                self.potential.site_energies, phase, self.model, jnp.asarray(self.time_step), thermostat,
                noise, jnp.asarray(done), samples=samples, stride=self.stride,
            )  # fmt: skip
            reached, farthest = int(run.reached), float(run.farthest)
            time = (start + reached + 1) * self.stride * self.time_step
            if not np.isfinite(farthest):
                raise Unstable(f"the dynamics blew up near {time:.3g} ps: {FIX}")
            # The sample that was not valid counts, too: what is too hot without a pair that was met is so with it.
            hot = temperature_of(np.asarray(run.samples.kinetic_energy[done : reached + 1]), len(self.atoms))
            self.limits.require_cool(hot, time)
            records.append(jax.tree.map(lambda rows, a=done, b=reached: rows[a:b], run.samples))
            phase, done = run.phase, reached
            if farthest > 0.5 * WIDE:
                if listed == done:
                    raise Unstable(f"atoms moved {0.5 * WIDE} Angstrom in one sample near {time:.3g} ps: {FIX}")
                self._relist(np.asarray(phase.positions))
                listed = done
            elif (met := np.asarray(run.met)).any():
                self._activate(met, phase, again=activated == done)
                activated = done
        return phase, jax.tree.map(lambda *parts: jnp.concatenate(parts), *records)

    def _noise(self, samples: int, start: int, thermostat: Thermostat) -> Noise:
        if thermostat is CONSTANT_ENERGY:
            return Noise(jnp.zeros(samples), jnp.zeros(samples))
        freedom = jnp.asarray(degrees_of_freedom(len(self.atoms)))
        return draw_noise(thermostat.key, freedom, jnp.asarray(start), samples)

    def _activate(self, met: np.ndarray, phase: Phase, again: bool) -> None:
        """Evaluate the pairs that were met; in a crowd, unless this happens again at once, those that are near now."""
        promoted = self.pairs.with_active(met)
        if self.crowded and not again:
            least = np.where(met[: len(promoted.active)], promoted.active, 0)
            promoted = promoted.refreshed(np.asarray(phase.positions), CROWDED_SKIN, least)
        self.set_pairs(promoted)

    def _relist(self, positions: np.ndarray) -> None:
        self.atoms.positions = positions
        skin = CROWDED_SKIN if self.crowded else self.skin
        fresh = candidate_pairs(self.atoms, self.potential.species, self.potential.switching, skin, self.core)
        self.set_pairs(fresh if self.crowded else fresh.remembering(self.pairs))

    def rescale(self, phase: Phase, factor: float) -> Phase:
        """Scale the cell and the positions by a factor; lists the pairs anew."""
        self.atoms.set_cell(self.atoms.cell.array * factor)
        return self.phase(np.asarray(phase.positions) * factor, np.asarray(phase.velocities))
