"""One replica, start to end: equilibrate, sample at constant energy, checkpoint, resume with the same numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.checkpoint import Checkpoint
from ldmd.dynamics.integrate import (
    Engine,
    Phase,
    Samples,
    Thermostat,
    maxwell_velocities,
    temperature_of,
)
from ldmd.dynamics.pairs import PairList
from ldmd.dynamics.stability import Limits, Unstable, require_apart
from ldmd.dynamics.trajectory import Trajectory
from ldmd.potentials.base import SitePotential

DIGITS = 8
"""Of the last scaling of velocities: 1e-5 K, far below what the mean energy of the equilibration is known to."""
COUPLING_TIME = 0.1
"""ps, of the stochastic velocity rescaling during equilibration."""


@dataclasses.dataclass(frozen=True)
class ReplicaSettings:
    """What a replica needs to know. Lengths in samples; a sample is ``stride`` steps."""

    temperature: float  # K
    time_step: float  # ps
    stride: int
    equilibration: int  # samples
    samples: int
    samples_per_frame: int
    seed: int


@dataclasses.dataclass
class _Progress:
    """Everything that changes while a replica runs; what a checkpoint holds."""

    phase: Phase
    done: int
    """Samples so far, equilibration included."""
    equilibrium: list[float]
    """Total energies (eV) of the second half of the equilibration, counted from that of the structure at rest."""
    records: list[np.ndarray]
    """Rows of potential flux, kinetic flux, potential and kinetic energy."""
    frames: list[np.ndarray]
    """(2, N, 3): positions and forces."""


def run_replica(
    atoms: Atoms,
    potential: SitePotential,
    settings: ReplicaSettings,
    checkpoint: Checkpoint,
    report: Callable[[int], None] | None = None,
) -> Trajectory:
    """Run a replica, or go on with it from its ``checkpoint``.

    The run advances in fixed chunks (one frame each), and a checkpoint is taken between chunks only: a run that was
    killed and resumed gives the same numbers as one that was not. ``report`` is called with the samples done; if it
    raises, the checkpoint is saved first.

    Raises
    ------
    Unstable
        Where the dynamics blows up: by temperature, energy or the distance of two atoms. The checkpoint then holds
        everything before that.
    """
    limits = Limits(settings.temperature)
    engine = Engine(atoms, potential, settings.time_step, settings.stride, limits=limits)
    state = _resume(engine, checkpoint) or _start(engine, atoms, settings)
    total = settings.equilibration + settings.samples
    while state.done < total:
        try:
            _advance(engine, settings, state)
        except Unstable:
            checkpoint.save(_arrays(engine, state))
            raise
        if checkpoint.due and state.done < total:
            checkpoint.save(_arrays(engine, state))
        try:
            if report is not None:
                report(state.done)
        except BaseException:
            checkpoint.save(_arrays(engine, state))
            raise
    return _trajectory(atoms, settings, state, engine.rest_energy)


def _start(engine: Engine, atoms: Atoms, settings: ReplicaSettings) -> _Progress:
    """Velocities at twice the temperature: a structure at its minimum gives half of them to the potential energy."""
    generator = np.random.default_rng(settings.seed)
    velocities = maxwell_velocities(atoms.get_masses(), 2.0 * settings.temperature, generator)
    return _Progress(engine.phase(atoms.positions, velocities), 0, [], [], [])


def _advance(engine: Engine, settings: ReplicaSettings, state: _Progress) -> None:
    """One chunk: thermostatted up to the end of the equilibration, then at constant energy."""
    warming = settings.equilibration - state.done
    if warming > 0:
        memory = np.exp(-settings.stride * settings.time_step / COUPLING_TIME)
        key = jax.random.key(settings.seed)
        thermostat = Thermostat(jnp.asarray(settings.temperature), jnp.asarray(memory), key)
        count = min(settings.samples_per_frame, warming)
        phase, samples = engine.advance(state.phase, count, state.done, thermostat)
        _require_apart(engine, phase, settings, state.done + count)
        state.phase = phase
        energies = np.asarray(samples.potential_energy + samples.kinetic_energy)
        late = np.arange(state.done, state.done + count) >= settings.equilibration // 2
        state.equilibrium.extend(energies[late].tolist())
        state.done += count
        if state.done == settings.equilibration:
            state.phase = _at_mean_energy(state.phase, samples, float(np.mean(state.equilibrium)))
        return
    count = min(settings.samples_per_frame, settings.equilibration + settings.samples - state.done)
    phase, samples = engine.advance(state.phase, count, state.done)
    _require_apart(engine, phase, settings, state.done + count)
    rows = _rows(samples)
    energies = (rows[:, 6] + rows[:, 7]) / len(engine.atoms)
    start = state.records[0][0, 6:8].sum() / len(engine.atoms) if state.records else float(energies[0])
    engine.limits.require_constant(energies, start, _time(settings, state.done + count))
    state.phase = phase
    state.records.append(rows)
    state.frames.append(np.stack([np.asarray(state.phase.positions), np.asarray(state.phase.forces)]))
    state.done += count


def _time(settings: ReplicaSettings, samples: int) -> float:
    """ps from the beginning, the equilibration included."""
    return samples * settings.stride * settings.time_step


def _require_apart(engine: Engine, phase: Phase, settings: ReplicaSettings, done: int) -> None:
    require_apart(engine.pairs.closest(np.asarray(phase.positions)), _time(settings, done))


def _at_mean_energy(phase: Phase, samples: Samples, mean: float) -> Phase:
    """Scale the velocities so that the microcanonical run has the mean energy of the canonical one.

    Otherwise the run would keep the energy of one instant, and its temperature would be off by T sqrt(2/3N) or so.
    The factor is rounded to ``DIGITS``, so that the round-off of energies decides nothing: a potential whose energies
    have other constants gives the same run.
    """
    kinetic = float(samples.kinetic_energy[-1])
    wanted = mean - float(samples.potential_energy[-1])
    factor = round(math.sqrt(max(wanted, 0.25 * kinetic) / kinetic), DIGITS)
    return dataclasses.replace(phase, velocities=phase.velocities * factor)


def _rows(samples: Samples) -> np.ndarray:
    columns = [samples.potential_energy[:, None], samples.kinetic_energy[:, None]]
    return np.concatenate([np.asarray(x) for x in (samples.potential_flux, samples.kinetic_flux, *columns)], axis=1)


def _trajectory(atoms: Atoms, settings: ReplicaSettings, state: _Progress, rest_energy: float) -> Trajectory:
    rows, frames = np.concatenate(state.records), np.array(state.frames)
    momentum = atoms.get_masses() @ np.asarray(state.phase.velocities)
    return Trajectory(
        sampling_interval=settings.stride * settings.time_step,
        time_step=settings.time_step,
        volume=atoms.get_volume(),
        seed=settings.seed,
        potential_flux=rows[:, :3],
        kinetic_flux=rows[:, 3:6],
        temperature=temperature_of(rows[:, 7], len(atoms)),
        energy=(rest_energy + rows[:, 6] + rows[:, 7]) / len(atoms),
        frame_interval=settings.samples_per_frame * settings.stride * settings.time_step,
        frame_positions=frames[:, 0],
        frame_forces=frames[:, 1],
        largest_momentum=float(np.linalg.norm(momentum)),
    )


def _arrays(engine: Engine, state: _Progress) -> dict[str, np.ndarray]:
    """Phase, pair list (its order decides round-off) and all samples so far."""
    pairs = {
        name: getattr(engine.pairs, name) for name in ("reference", "i", "j", "offsets", "cutoffs", "active", "kinds")
    }
    return {
        "done": np.array(state.done),
        "slots": np.array(engine.slots),
        "equilibrium": np.array(state.equilibrium),
        "records": np.concatenate(state.records) if state.records else np.empty((0, 8)),
        "lengths": np.array([len(block) for block in state.records]),
        "frames": np.array(state.frames) if state.frames else np.empty((0, 2, *state.phase.positions.shape)),
        "positions": np.asarray(state.phase.positions),
        "velocities": np.asarray(state.phase.velocities),
        "forces": np.asarray(state.phase.forces),
        **{f"pairs_{name}": values for name, values in pairs.items()},
    }


def _resume(engine: Engine, checkpoint: Checkpoint) -> _Progress | None:
    """The state of a checkpoint of this very run, if there is one."""
    data = checkpoint.load()
    if data is None:
        return None
    names = ("reference", "i", "j", "offsets", "cutoffs", "active", "kinds")
    engine.slots = tuple(int(width) for width in data["slots"])
    engine.set_pairs(PairList(**{name: data[f"pairs_{name}"] for name in names}))
    phase = Phase(*(jnp.asarray(data[name]) for name in ("positions", "velocities", "forces")))
    blocks = np.split(data["records"], np.cumsum(data["lengths"])[:-1]) if len(data["lengths"]) else []
    return _Progress(phase, int(data["done"]), data["equilibrium"].tolist(), blocks, list(data["frames"]))
