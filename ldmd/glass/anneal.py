"""Heat treatment: molecular dynamics along a temperature schedule at zero pressure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.dynamics.integrate import LIQUID_SKIN, SOLID_SKIN, Engine, Samples, Thermostat, maxwell_velocities
from ldmd.potentials.base import SitePotential
from ldmd.units import GPA

SOLID_SAMPLES, LIQUID_SAMPLES = 20, 10
"""Samples between corrections of the volume; in a melt atoms outrun the list of candidates sooner."""
STRIDE = 5
COUPLING_TIME = 0.1
"""ps, of the stochastic velocity rescaling."""
BULK_MODULUS = 60.0
"""GPa, the scale of the volume's response; it sets how fast the pressure relaxes, not where to."""
PRESSURE_TIME = 1.0
"""ps"""
SOFTENING = 1500.0
"""K; above it neighbours are expected to change (it sets the pair list and the pressure interval)."""


@dataclasses.dataclass(frozen=True)
class Ramp:
    """From one temperature to another, linearly in time: K, K, ps."""

    start: float
    end: float
    duration: float


NETWORK_TREATMENT = (Ramp(800.0, 800.0, 20.0), Ramp(800.0, 300.0, 20.0))
"""For a network that is a glass already: local rearrangement only, bonds stay as they are."""
MELT_QUENCH = (Ramp(4500.0, 4500.0, 3.0), Ramp(4500.0, 300.0, 27.0))
"""A quench far too fast for a good glass (1.6e14 K/s): what affordable melt-quenching gives."""


def heat_treat(
    atoms: Atoms,
    potential: SitePotential,
    ramps: Sequence[Ramp],
    seed: int,
    time_step: float = 1e-3,
    progress: Callable[[float, float], None] | None = None,
) -> Atoms:
    """Follow the ramps with the volume (isotropically) relaxing towards zero pressure; returns the last configuration.

    ``progress`` is called with picoseconds done and in all. The pressure control is a weak coupling of chunk averages:
    good for preparing a structure, not an ensemble to sample from.
    """
    hottest = max(max(ramp.start, ramp.end) for ramp in ramps)
    liquid = hottest > SOFTENING
    skin = LIQUID_SKIN if liquid else SOLID_SKIN
    samples_per_chunk = LIQUID_SAMPLES if liquid else SOLID_SAMPLES
    engine = Engine(atoms, potential, time_step, STRIDE, skin)
    masses = atoms.get_masses()
    velocities = maxwell_velocities(masses, ramps[0].start, np.random.default_rng(seed))
    phase = engine.phase(atoms.positions, velocities)
    interval = samples_per_chunk * STRIDE * time_step
    memory = jnp.asarray(np.exp(-STRIDE * time_step / COUPLING_TIME))
    done, counter, total = 0.0, 0, sum(ramp.duration for ramp in ramps)
    for ramp in ramps:
        for chunk in range(round(ramp.duration / interval)):
            fraction = chunk * interval / ramp.duration
            target = ramp.start + (ramp.end - ramp.start) * fraction
            thermostat = Thermostat(jnp.asarray(target), memory, jax.random.key(seed))
            phase, samples = engine.advance(phase, samples_per_chunk, counter, thermostat)
            counter += samples_per_chunk
            strain = mean_pressure(samples, engine.atoms.get_volume()) / (3.0 * BULK_MODULUS) * interval / PRESSURE_TIME
            phase = engine.rescale(phase, float(np.exp(np.clip(strain, -1e-3, 1e-3))))
            done += interval
            if progress is not None:
                progress(done, total)
    result = engine.atoms.copy()
    result.positions = np.asarray(phase.positions)
    return result


def mean_pressure(samples: Samples, volume: float) -> float:
    """Mean pressure (2 K + tr W) / 3V in GPa of a run in a volume of Angstrom^3."""
    return float(jnp.mean(2.0 * samples.kinetic_energy + samples.virial)) / (3.0 * volume) * GPA
