"""Stochastic velocity rescaling samples the canonical ensemble, and both species of a solid share its energy."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from small_silica import cristobalite, silica_potential

from ldmd.dynamics.integrate import (
    Engine,
    Noise,
    Thermostat,
    degrees_of_freedom,
    draw_noise,
    kinetic_energy,
    maxwell_velocities,
    rescale,
    temperature_of,
)
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION

pytestmark = pytest.mark.statistical

TEMPERATURE = 400.0


@functools.partial(jax.jit, static_argnums=3)
def kinetic_energies(velocities: jax.Array, masses: jax.Array, thermostat: Thermostat, count: int) -> jax.Array:
    """Of free atoms whose velocities are only rescaled, eV."""

    def step(carry: jax.Array, noise: Noise) -> tuple[jax.Array, jax.Array]:
        scaled = rescale(carry, masses, thermostat, noise)
        return scaled, kinetic_energy(scaled, masses)

    noise = draw_noise(thermostat.key, jnp.asarray(degrees_of_freedom(len(masses))), jnp.asarray(0), count)
    return jax.lax.scan(step, velocities, noise)[1]


@pytest.mark.parametrize("memory", [0.2, 0.9])
def test_kinetic_energy_is_that_of_the_canonical_ensemble(memory: float) -> None:
    """Mean, variance and distribution: a gamma variate of half the degrees of freedom; memory as asked for."""
    masses = cristobalite().get_masses()
    start = maxwell_velocities(masses, 3.0 * TEMPERATURE, np.random.default_rng(0))
    thermostat = Thermostat(jnp.asarray(TEMPERATURE), jnp.asarray(memory), jax.random.key(5))
    count = 40_000
    series = np.asarray(kinetic_energies(jnp.asarray(start), jnp.asarray(masses), thermostat, count))[200:]
    freedom = degrees_of_freedom(len(masses))
    mean, variance = 0.5 * freedom * BOLTZMANN * TEMPERATURE, 0.5 * freedom * (BOLTZMANN * TEMPERATURE) ** 2
    independent = len(series) * (1.0 - memory) / (1.0 + memory)
    assert series.mean() == pytest.approx(mean, abs=4.0 * np.sqrt(variance / independent))
    kurtosis = 3.0 + 12.0 / freedom
    assert series.var() == pytest.approx(variance, rel=4.0 * np.sqrt((kurtosis - 1.0) / independent))
    thinned = series[:: int(6.0 / (1.0 - memory))]
    assert stats.kstest(thinned, stats.gamma(0.5 * freedom, scale=BOLTZMANN * TEMPERATURE).cdf).pvalue > 1e-3
    fluctuation = series - series.mean()
    correlation = float(np.mean(fluctuation[1:] * fluctuation[:-1]) / np.mean(fluctuation**2))
    assert correlation == pytest.approx(memory, abs=4.0 / np.sqrt(independent))


def test_both_species_have_the_temperature_of_the_bath() -> None:
    """4 ps of a solid: kinetic temperatures of Si and O, with errors from blocks of 0.4 ps."""
    atoms = cristobalite()
    masses = atoms.get_masses()
    engine = Engine(atoms, silica_potential(), 0.001, 2)
    thermostat = Thermostat(jnp.asarray(TEMPERATURE), jnp.asarray(np.exp(-0.002 / 0.1)), jax.random.key(1))
    velocities = maxwell_velocities(masses, 2.0 * TEMPERATURE, np.random.default_rng(2))
    phase = engine.phase(atoms.positions, velocities)
    silicon, kinetic = masses > 20.0, []
    for chunk in range(100):
        phase, _ = engine.advance(phase, 25, 25 * chunk, thermostat)
        if chunk >= 20:
            share = 0.5 * masses[:, None] * np.asarray(phase.velocities) ** 2 / FORCE_TO_ACCELERATION
            kinetic.append([share[silicon].sum() / 8, share[~silicon].sum() / 16, share.sum()])
    blocks = np.array(kinetic).reshape(10, 8, 3).mean(axis=1)
    means, errors = blocks.mean(axis=0), blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))
    found = np.array([*(means[:2] / (1.5 * BOLTZMANN)), temperature_of(means[2], len(atoms))])
    scatter = found * errors / means
    # Each species lacks the share of the three fixed degrees of freedom that its mass has.
    lacking = np.array([8 * 28.085, 16 * 15.999]) / masses.sum() / np.array([8, 16])
    expected = np.array([*(TEMPERATURE * (1.0 - lacking)), TEMPERATURE])
    assert np.all(np.abs(found - expected) < 4.0 * scatter)
    assert np.all(scatter < 0.05 * TEMPERATURE)
