"""Keating springs on a four-coordinated network: energy, forces, and a relaxation that knows when to give up.

The topology of n four-fold nodes is a pairing of 4 n half-bonds: half-bond ``h`` belongs to node ``h // 4``
and ``partner[h]`` is the half-bond at the other end. Coordination cannot change, whatever is re-paired.

Arrays inside this module put the node last, ``(3, n)`` positions and ``(3, 4, n)`` bond vectors, so that the
inner loop of every kernel runs over nodes. Energies are in eV, lengths in Angstrom.

The energy (Keating, Phys. Rev. 145, 637 (1966); as in Wooten, Winer & Weaire, PRL 54, 1392 (1985)) is::

    E = 3/16 alpha/d^2 sum_i sum_j (r_ij^2 - d^2)^2 + 3/8 beta/d^2 sum_i sum_j<k (r_ij . r_ik + d^2/3)^2

where j and k are neighbours of i, so that each bond counts from both ends. This is the reading that gives
silicon its bulk modulus, sqrt(3) (3 alpha + beta) / (12 d) = 96 GPa; counting a bond once would halve the
stretching.

Written with the Gram matrix G_kl = r_ik . r_il of the four bonds of each node, both sums are one:
E = sum_i sum_kl w_kl (G_kl - G0_kl)^2, with G0 = d^2 on the diagonal and -d^2/3 off it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ldmd.numerics  # noqa: F401  (float64)

ALPHA = 2.965
"""Bond stretching, eV/Angstrom^2 (silicon)."""
BETA = 0.285 * ALPHA
"""Bond bending, eV/Angstrom^2."""
BOND_LENGTH = 2.35
"""Equilibrium bond length d, Angstrom."""

_DIAGONAL = np.eye(4)[:, :, None]
# An angle appears twice, as kl and as lk: half of 3/8 each.
_WEIGHT = 3 / 16 * (ALPHA * _DIAGONAL + BETA * (1 - _DIAGONAL)) / BOND_LENGTH**2
_TARGET = BOND_LENGTH**2 * (4 / 3 * _DIAGONAL - 1 / 3)

# Heavy-ball descent (Polyak 1964), step and memory tuned to the curvatures of a relaxed network, 0.9 to
# 39 eV/Angstrom^2: 29 steps to 1e-4 eV after a switch, where the fast inertial relaxation engine needs 53.
_STEP, _MEMORY, _LONGEST_MOVE = 0.055, 0.55, 0.2
_STEP_GROWTH, _STEP_CUT = 1.1, 0.5

STILL_TO_GAIN = 0.5
"""Angstrom^2/eV: relaxation still gains at most about this times |F|^2, the bound for early rejection.

Measured on 100 random switches in two annealed networks of 216 nodes: at most 0.012 at the start, 0.1 after 5
steps and 0.2 after 10, and refusals take 5 or 6 on average; single relaxations reach 1.6 after 20. With the
threshold 0.01 eV above the relaxed energy, the hardest case, 2 of 300 relaxations were given up wrongly.
"""

LONGEST_RELAXATION = 300
"""Steps after which a relaxation that has not converged is left as it is."""


class Relaxed(NamedTuple):
    """Where a relaxation stopped: positions (3, n) in Angstrom, energy in eV, |F|^2 in (eV/Angstrom)^2."""

    positions: jax.Array
    energy: jax.Array
    force_squared: jax.Array


class _Descent(NamedTuple):
    positions: jax.Array
    move: jax.Array
    energy: jax.Array
    forces: jax.Array
    step: jax.Array
    taken: jax.Array


def bond_vectors(positions: jax.Array, cell_length: jax.Array | float, partner: jax.Array) -> jax.Array:
    """Vectors (3, 4, n) from each node to its four neighbours, the nearest periodic image of each."""
    neighbours = partner.reshape(-1, 4).T // 4
    vectors = positions[:, neighbours] - positions[:, None, :]
    return vectors - cell_length * jnp.round(vectors / cell_length)


def _gram(vectors: jax.Array) -> jax.Array:
    return jnp.sum(vectors[:, :, None, :] * vectors[:, None, :, :], axis=0)


def energy_and_forces(
    positions: jax.Array, cell_length: jax.Array | float, partner: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Keating energy (eV) and forces (3, n) in eV/Angstrom."""
    vectors = bond_vectors(positions, cell_length, partner)
    strain = _gram(vectors) - _TARGET
    weighted = _WEIGHT * strain
    gradient = 4.0 * jnp.sum(weighted[None] * vectors[:, None, :, :], axis=2)
    # A force acts on both ends of a bond vector: gather from the far half-bond instead of scattering to it.
    far = partner.reshape(-1, 4).T
    returned = gradient[:, far % 4, far // 4]
    return jnp.sum(weighted * strain), jnp.sum(gradient - returned, axis=1)


def _descend(state: _Descent, cell_length: jax.Array | float, partner: jax.Array) -> _Descent:
    """One heavy-ball step; a step uphill is not taken, and costs the memory and half of the step length."""
    move = jnp.clip(_MEMORY * state.move + state.step * state.forces, -_LONGEST_MOVE, _LONGEST_MOVE)
    positions = state.positions + move
    energy, forces = energy_and_forces(positions, cell_length, partner)
    uphill = energy > state.energy
    return _Descent(
        jnp.where(uphill, state.positions, positions),
        jnp.where(uphill, 0.0, move),
        jnp.where(uphill, state.energy, energy),
        jnp.where(uphill, state.forces, forces),
        jnp.where(uphill, state.step * _STEP_CUT, jnp.minimum(state.step * _STEP_GROWTH, _STEP)),
        state.taken + 1,
    )


def relax(
    positions: jax.Array,
    cell_length: jax.Array | float,
    partner: jax.Array,
    *,
    threshold: jax.Array | float = jnp.inf,
    tolerance: float = 1e-4,
    longest: jax.Array | int = LONGEST_RELAXATION,
) -> Relaxed:
    """Relax all nodes, or stop as soon as the energy can no longer fall to ``threshold``.

    What is left to gain near a minimum is bounded by a constant times the squared force; the rest of a
    hopeless relaxation is not worth computing (Barkema & Mousseau, Phys. Rev. B 62, 4985 (2000)).

    Parameters
    ----------
    positions, cell_length, partner
        (3, n) Angstrom, Angstrom, (4 n,) pairing of half-bonds.
    threshold
        Energy in eV above which the result is of no use.
    tolerance
        Energy still to gain, in eV for the whole network, at which the relaxation is finished.
    longest
        Largest number of steps; zero returns the start.
    """
    energy, forces = energy_and_forces(positions, cell_length, partner)
    still = jnp.zeros_like(positions)
    start = _Descent(positions, still, energy, forces, jnp.asarray(_STEP), jnp.asarray(0))

    def unfinished(state: _Descent) -> jax.Array:
        gain = STILL_TO_GAIN * jnp.sum(state.forces**2)
        return (state.taken < longest) & (gain > tolerance) & (state.energy - gain <= threshold)

    end = jax.lax.while_loop(unfinished, lambda state: _descend(state, cell_length, partner), start)
    return Relaxed(end.positions, end.energy, jnp.sum(end.forces**2))
