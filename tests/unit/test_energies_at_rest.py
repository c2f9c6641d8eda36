"""A constant in the energies of the atoms, as electronic structure codes give it, changes no conductivity."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_silica import cristobalite, silica_potential

from ldmd.checkpoint import Checkpoint
from ldmd.dynamics.integrate import Engine, maxwell_velocities
from ldmd.dynamics.replica import ReplicaSettings, run_replica
from ldmd.dynamics.trajectory import Trajectory
from ldmd.potentials.base import SiteEnergies, SitePotential
from ldmd.potentials.stillinger_weber import read_stillinger_weber
from ldmd.potentials.tersoff import tersoff_site_energies
from ldmd.structures import SiteBlock
from ldmd.units import BOLTZMANN

CASES = Path(__file__).resolve().parents[2] / "cases"
SETTINGS = ReplicaSettings(
    temperature=600.0, time_step=0.001, stride=2, equilibration=75, samples=125, samples_per_frame=25, seed=9
)
CONSTANTS = (-2000.0, -430.7)
"""eV of an atom of each species, in the order of the potential."""


def shifted_site_energies(edges: jax.Array, parameters: Any) -> jax.Array:
    """Those of Tersoff and a constant of the block."""
    base, constant = parameters
    return tersoff_site_energies(edges, base) + constant


@dataclasses.dataclass(frozen=True)
class Shifted:
    """Silica whose atoms have a constant energy besides: the same forces, virials and dynamics."""

    base: SitePotential
    constants: tuple[float, ...]

    @property
    def species(self) -> tuple[str, ...]:
        """See ``SitePotential``."""
        return self.base.species

    @property
    def switching(self) -> np.ndarray:
        """See ``SitePotential``."""
        return self.base.switching

    @property
    def site_energies(self) -> SiteEnergies:
        """See ``SitePotential``."""
        return shifted_site_energies

    def parameters(self, block: SiteBlock) -> Any:
        """Those of the base, and the constant of the centres."""
        return self.base.parameters(block), jnp.asarray(self.constants[int(np.asarray(block.kinds)[0])])

    def fingerprint(self) -> bytes:
        """See ``SitePotential``."""
        return self.base.fingerprint() + np.array(self.constants).tobytes()


def run(atoms: Atoms, constants: tuple[float, ...]) -> Trajectory:
    return run_replica(atoms, Shifted(silica_potential(), constants), SETTINGS, Checkpoint(Path("/nonexistent/x"), "k"))


def conductivity(flux: np.ndarray, trajectory: Trajectory) -> float:
    """Integral of the autocorrelation over 0.1 ps, eV/(ps K Angstrom): a kappa, if not a converged one."""
    lags = [float(np.mean(np.sum(flux[: len(flux) - k] * flux[k:], axis=1))) / 3.0 for k in range(50)]
    integral = trajectory.sampling_interval * (sum(lags) - 0.5 * (lags[0] + lags[-1]))
    return integral / (trajectory.volume * BOLTZMANN * trajectory.temperature.mean() ** 2)


@pytest.fixture(scope="module")
def atoms() -> Atoms:
    return cristobalite()


@pytest.fixture(scope="module")
def plain(atoms: Atoms) -> Trajectory:
    return run(atoms, (0.0, 0.0))


@pytest.mark.parametrize("constants", [(-100.0, -100.0), (-2000.0, -2000.0), CONSTANTS])
def test_a_constant_changes_neither_dynamics_nor_conductivity(
    atoms: Atoms, plain: Trajectory, constants: tuple[float, ...]
) -> None:
    """Two species of different masses: the sum of the velocities of each of them fluctuates."""
    shifted = run(atoms, constants)
    np.testing.assert_array_equal(shifted.frame_positions, plain.frame_positions)
    np.testing.assert_array_equal(shifted.potential_flux, plain.potential_flux)
    kappa = conductivity(plain.flux, plain)
    assert conductivity(shifted.flux, shifted) == pytest.approx(kappa, rel=1e-10)
    share = np.array([np.mean(atoms.symbols == symbol) for symbol in silica_potential().species])
    np.testing.assert_allclose(shifted.energy, plain.energy + share @ constants, rtol=0.0, atol=1e-9)


def test_without_that_the_noise_is_all_there_is(atoms: Atoms, plain: Trajectory) -> None:
    """The flux that a constant of each species would add: the test above would not see a constant that adds nothing."""
    potential = silica_potential()
    engine = Engine(atoms, potential, SETTINGS.time_step, SETTINGS.stride)
    velocities = maxwell_velocities(atoms.get_masses(), 600.0, np.random.default_rng(2))
    sums = np.array([velocities[atoms.symbols == symbol].sum(axis=0) for symbol in potential.species])
    masses = [atoms.get_masses()[atoms.symbols == symbol][0] for symbol in potential.species]
    np.testing.assert_allclose(np.array(masses) @ sums, 0.0, atol=1e-10)  # what conservation of momentum says
    added = np.abs(np.array(CONSTANTS) @ sums).max()
    assert added > 10.0 * plain.flux.std()
    blocks = zip(engine.model.graph.blocks, engine.rest, strict=True)
    rest = {str(atoms.symbols[block.centres[0]]): float(energy) for block, energy in blocks}
    assert set(rest) == {"Si", "O"}
    assert sum(rest[symbol] for symbol in atoms.symbols) == pytest.approx(engine.rest_energy, rel=1e-12)


def test_of_one_species_nothing_changes() -> None:
    """The sum of its velocities is the total momentum over its mass, and vanishes."""
    atoms = bulk("Si", cubic=True, a=5.43).repeat(2)
    engine = Engine(atoms, read_stillinger_weber(CASES / "silicon" / "Si.sw"), 0.001, 2)
    velocities = maxwell_velocities(atoms.get_masses(), 600.0, np.random.default_rng(2))
    phase = engine.phase(atoms.positions, velocities)
    (rest,) = engine.rest
    assert float(rest) == pytest.approx(-4.336, abs=0.01)
    engine_at_zero = Engine(atoms, read_stillinger_weber(CASES / "silicon" / "Si.sw"), 0.001, 2)
    engine_at_zero.rest = (jnp.zeros(()),)
    engine_at_zero.set_pairs(engine_at_zero.pairs)
    fluxes = []
    for each in (engine, engine_at_zero):
        _, samples = each.advance(phase, 25, 0)
        fluxes.append(np.asarray(samples.potential_flux + samples.kinetic_flux))
    np.testing.assert_allclose(fluxes[0], fluxes[1], rtol=0.0, atol=1e-10 * np.abs(fluxes[0]).max())
