"""Continuous random networks of four-coordinated nodes, made from diamond by bond switching.

The method of Wooten, Winer & Weaire, PRL 54, 1392 (1985): take a chain a-b-c-d, break a-b and c-d, make a-c
and b-d, relax the Keating energy (``ldmd.glass.keating``), and accept or refuse by Metropolis while the
temperature falls. The threshold is drawn before the relaxation, so that most trials stop after a few steps
(Barkema & Mousseau, PRB 62, 4985 (2000)). No node ever loses its four-fold coordination.

The cell keeps the density of diamond. Keating springs have no repulsion between nodes that share no bond: in
trials with a relaxing cell the network folded into itself (edge 16 to 29 % shorter, higher energy).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, chemical_symbols, reference_states
from ase.formula import Formula
from numpy.typing import ArrayLike, NDArray

from ldmd import units
from ldmd.errors import InputError
from ldmd.glass import keating
from ldmd.results import quantity

Progress = Callable[[int, int, float], None]
"""``progress(done, total, energy_per_node)``: trials done, trials in all, eV per node."""

FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.5, 0.03
"""Metropolis temperatures, eV. Linear in between: it changes above 0.2 eV and is frozen below 0.1."""
SWITCHES_PER_NODE = 60 / 216
"""Unconditional switches per node that begin the randomisation."""
FORGOTTEN = 0.1
"""Crystal memory (see ``crystal_memory``) at which the randomisation may end."""

_SWEEP = 250
_energy_and_forces = jax.jit(keating.energy_and_forces)
_bond_vectors = jax.jit(keating.bond_vectors)
_DIAMOND = np.array(
    [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]], dtype=float
)
_CUBE = 4.0 * keating.BOND_LENGTH / np.sqrt(3.0)


@dataclasses.dataclass(frozen=True)
class Network:
    """Four-coordinated nodes in a periodic cube; a bond joins the nearest images of its two nodes."""

    positions: NDArray[np.float64] = quantity(("node", "xyz"), "angstrom", "node positions")
    cell_length: float = quantity((), "angstrom", "edge of the periodic cube")
    bonds: NDArray[np.int64] = quantity(("bond", "end"), "1", "the two nodes of each bond, sorted")

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.positions)

    def bond_vectors(self) -> NDArray[np.float64]:
        """Vectors (2n, 3) in Angstrom from the first to the second node of each bond, nearest image."""
        vectors = self.positions[self.bonds[:, 1]] - self.positions[self.bonds[:, 0]]
        return np.asarray(vectors - self.cell_length * np.round(vectors / self.cell_length))


class _State(NamedTuple):
    positions: jax.Array
    partner: jax.Array
    energy: jax.Array


class _Draws(NamedTuple):
    """Random choices of a trial: half-bond b-c, slot of a at b, slot of d at c, energy allowed above now."""

    half_bond: jax.Array
    left: jax.Array
    right: jax.Array
    allowance: jax.Array


def pairing(bonds: ArrayLike, nodes: int) -> NDArray[np.int32]:
    """The pairing (4 n,) of half-bonds that describes ``bonds`` (2n, 2); half-bond h belongs to node h // 4.

    Raises
    ------
    InputError
        When a node has not exactly four bonds.
    """
    ends = np.asarray(bonds, dtype=np.int64).reshape(-1)
    coordination = np.bincount(ends, minlength=nodes)
    if len(coordination) != nodes or np.any(coordination != 4):
        wrong = int(np.argmax(coordination != 4))
        raise InputError("bonds", f"node {wrong} has {coordination[wrong]} of them", "give every node four bonds")
    half_bond = np.empty(4 * nodes, dtype=np.int32)
    half_bond[np.argsort(ends, kind="stable")] = np.arange(4 * nodes, dtype=np.int32)
    partner = np.empty(4 * nodes, dtype=np.int32)
    partner[half_bond[0::2]] = half_bond[1::2]
    partner[half_bond[1::2]] = half_bond[0::2]
    return partner


def bonds_of(partner: ArrayLike) -> NDArray[np.int64]:
    """The bonds (2n, 2) of a pairing of half-bonds, each with the lower node first, in rising order."""
    far = np.asarray(partner, dtype=np.int64)
    near = np.arange(len(far))
    once = near < far
    bonds = np.sort(np.stack([near[once] // 4, far[once] // 4], axis=1), axis=1)
    return np.asarray(bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))])


@jax.jit
def switch(partner: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
    """Re-pair half-bonds ``first`` (a to b) and ``second`` (c to d): bonds a-c and b-d for a-b and c-d.

    ``switch(switched, first, old partner of first)`` undoes it.
    """
    first, second = jnp.asarray(first, partner.dtype), jnp.asarray(second, partner.dtype)
    places = jnp.stack([first, second, partner[first], partner[second]])
    return partner.at[places].set(places[jnp.array([1, 0, 3, 2])])


def _has_no_short_ring(partner: jax.Array, one: jax.Array, other: jax.Array) -> jax.Array:
    """Whether a new bond is the only one of its two nodes (no ring of 2) and closes no ring of 3."""
    neighbours = partner.reshape(-1, 4) // 4
    single = jnp.sum(neighbours[one] == other) == 1
    return single & (one != other) & jnp.all(neighbours[one][:, None] != neighbours[other][None, :])


def _trial(state: _State, draws: _Draws, cell_length: jax.Array) -> tuple[_State, jax.Array]:
    """Switch, relax, and keep the result when its energy is at most the allowance above the present one."""
    bc = draws.half_bond
    cb = state.partner[bc]
    ab = state.partner[bc // 4 * 4 + (bc + draws.left) % 4]
    cd = cb // 4 * 4 + (cb + draws.right) % 4
    a, b, c, d = ab // 4, bc // 4, cb // 4, state.partner[cd] // 4
    partner = switch(state.partner, ab, cd)
    allowed = (a != d) & _has_no_short_ring(partner, a, c) & _has_no_short_ring(partner, b, d)
    threshold = state.energy + draws.allowance
    relaxed = keating.relax(
        state.positions,
        cell_length,
        partner,
        threshold=threshold,
        longest=jnp.where(allowed, keating.LONGEST_RELAXATION, 0),
    )
    accepted = allowed & (relaxed.energy <= threshold)
    tried = _State(relaxed.positions, partner, relaxed.energy)
    return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), tried, state), accepted


@jax.jit
def _sweep(state: _State, draws: _Draws, cell_length: jax.Array) -> tuple[_State, jax.Array]:
    end, accepted = jax.lax.scan(lambda now, draw: _trial(now, draw, cell_length), state, draws)
    return end, jnp.sum(accepted)


def _draw(generator: np.random.Generator, nodes: int, temperatures: NDArray[np.float64]) -> _Draws:
    """Choices for one sweep; trials beyond ``len(temperatures)`` are padding that nothing can accept."""
    padding = np.full(_SWEEP - len(temperatures), -np.inf)
    allowance = temperatures * generator.exponential(size=len(temperatures))
    return _Draws(
        jnp.asarray(generator.integers(0, 4 * nodes, _SWEEP, dtype=np.int32)),
        jnp.asarray(generator.integers(1, 4, _SWEEP, dtype=np.int32)),
        jnp.asarray(generator.integers(1, 4, _SWEEP, dtype=np.int32)),
        jnp.asarray(np.concatenate([allowance, padding])),
    )


def diamond_network(nodes: int = 216) -> Network:
    """Diamond with the bond length of the springs: 8 m^3 nodes, m >= 2 conventional cubes along each axis.

    Raises
    ------
    InputError
        For another number of nodes.
    """
    cubes = round((nodes / 8) ** (1 / 3))
    if cubes < 2 or 8 * cubes**3 != nodes:
        raise InputError("nodes", nodes, "choose 64, 216, 512, 1000 or another 8 m^3 with m >= 2")
    corners = np.array(list(itertools.product(range(cubes), repeat=3)), dtype=float)
    positions = ((corners[:, None, :] + _DIAMOND / 4.0) * _CUBE).reshape(-1, 3)
    cell_length = cubes * _CUBE
    vectors = positions[:, None, :] - positions
    vectors -= cell_length * np.round(vectors / cell_length)
    close = np.sum(vectors**2, axis=-1) < (1.1 * keating.BOND_LENGTH) ** 2
    bonds = np.argwhere(np.triu(close, 1))
    return Network(positions, cell_length, bonds)


def _state_of(network: Network) -> _State:
    positions = jnp.asarray(network.positions.T)
    partner = jnp.asarray(pairing(network.bonds, network.size))
    energy, _ = _energy_and_forces(positions, network.cell_length, partner)
    return _State(positions, partner, energy)


def _network_of(state: _State, cell_length: float) -> Network:
    positions = np.mod(np.asarray(state.positions).T, cell_length)
    return Network(np.ascontiguousarray(positions), cell_length, bonds_of(state.partner))


def randomised(network: Network, generator: np.random.Generator) -> Network:
    """Switch bonds whatever it costs, at least 60 times per 216 nodes, until the crystal is forgotten.

    Two- and three-membered rings stay forbidden. Forgotten means ``crystal_memory`` <= ``FORGOTTEN``.
    """
    state = _state_of(network)
    batch = np.full(min(_SWEEP, max(1, network.size // 20)), np.inf)
    least, switches = SWITCHES_PER_NODE * network.size, 0
    while switches < least or crystal_memory(_network_of(state, network.cell_length)) > FORGOTTEN:
        draws = _draw(generator, network.size, batch)
        state, accepted = _sweep(state, draws, jnp.asarray(network.cell_length))
        switches += int(accepted)
    return _network_of(state, network.cell_length)


def annealed(
    network: Network, trials: int, generator: np.random.Generator, progress: Progress | None = None
) -> Network:
    """Metropolis on the relaxed Keating energy, the temperature falling linearly from 0.5 to 0.03 eV.

    A trial that a forbidden ring ends at once counts as refused. The result is relaxed to 1e-10 eV.
    """
    state = _state_of(network)
    cell_length = jnp.asarray(network.cell_length)
    temperatures = np.linspace(FIRST_TEMPERATURE, LAST_TEMPERATURE, trials)
    for first in range(0, trials, _SWEEP):
        part = temperatures[first : first + _SWEEP]
        state, _ = _sweep(state, _draw(generator, network.size, part), cell_length)
        if progress is not None:
            progress(first + len(part), trials, float(state.energy) / network.size)
    return relaxed(_network_of(state, network.cell_length))


def relaxed(network: Network) -> Network:
    """The same bonds, the nodes at the minimum of the Keating energy within 1e-10 eV, in the same cell."""
    state = _state_of(network)
    end = keating.relax(
        state.positions,
        network.cell_length,
        state.partner,
        tolerance=1e-10,
        longest=100 * keating.LONGEST_RELAXATION,
    )
    return _network_of(_State(end.positions, state.partner, end.energy), network.cell_length)


def continuous_random_network(
    nodes: int = 216, trials: int = 100_000, *, seed: int, progress: Progress | None = None
) -> Network:
    """A random four-coordinated network without two- and three-membered rings, at the density of diamond.

    Parameters
    ----------
    nodes
        8 m^3 with m >= 2 (the network begins as diamond).
    trials
        Bond switches tried while annealing, 0.13 ms each for 216 nodes on one core. With 100 000, three seeds
        gave 0.43 to 0.47 eV per node and bond angles spread by 12.2 to 12.8 degrees; with 1 000 000, two
        gave 0.32 and 0.37 eV, 10.1 and 11.1 degrees.
    seed
        Of ``numpy.random.default_rng``; the same seed gives the same network on the same machine.
    progress
        Called now and then with trials done, trials in all, and energy per node (eV).

    Raises
    ------
    InputError
        For an impossible number of nodes or trials.
    """
    if trials < 1:
        raise InputError("trials", trials, "try at least one bond switch; 100000 make a good glass of 216 nodes")
    generator = np.random.default_rng(seed)
    start = randomised(diamond_network(nodes), generator)
    return annealed(start, trials, generator, progress)


def keating_energy(network: Network) -> float:
    """Keating energy of the whole network, eV."""
    return float(_state_of(network).energy)


def keating_forces(network: Network) -> NDArray[np.float64]:
    """Forces (n, 3) on the nodes, eV/Angstrom."""
    state = _state_of(network)
    _, forces = _energy_and_forces(state.positions, network.cell_length, state.partner)
    return np.asarray(forces).T


def bond_angles_degrees(network: Network) -> NDArray[np.float64]:
    """The six angles (n, 6) between the bonds of each node, degrees."""
    state = _state_of(network)
    vectors = np.asarray(_bond_vectors(state.positions, network.cell_length, state.partner))
    directions = vectors / np.linalg.norm(vectors, axis=0)
    one, other = np.triu_indices(4, 1)
    cosines = np.einsum("ckn,ckn->nk", directions[:, one], directions[:, other])
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))))


def bond_angle_spread_degrees(network: Network) -> float:
    """Standard deviation of the bond angles about their mean, degrees; 9 to 12 in good models of glasses."""
    return float(np.std(bond_angles_degrees(network)))


def crystal_memory(network: Network) -> float:
    """Mean Bragg intensity |sum_j exp(i q r_j)|^2 / n^2 over {111} and {220} of the diamond that it began as.

    It asks for no neighbours and no bonds: 0.8 for diamond, about 1/n for a network that has forgotten it.
    """
    cubes = round((network.size / 8) ** (1 / 3))
    triples = itertools.product(range(-2, 3), repeat=3)
    planes = np.array([plane for plane in triples if sorted(map(abs, plane)) in ([1, 1, 1], [0, 2, 2])])
    phases = network.positions @ planes.T * (2.0 * np.pi * cubes / network.cell_length)
    return float(np.mean(np.abs(np.mean(np.exp(1j * phases), axis=0)) ** 2))


def decorate_with_bridges(network: Network, formula: str = "SiO2", density: float = 2.20) -> Atoms:
    """A glass AX2 with an A on every node and an X in the middle of every bond.

    Parameters
    ----------
    network
        Any four-coordinated network.
    formula
        Two elements, one of them twice: ``SiO2``, ``GeO2``, ``BeF2``, ...
    density
        g/cm^3; all lengths are scaled to it.

    Returns
    -------
    ase.Atoms
        Periodic, 3 n atoms wrapped into the cube: all n nodes first, in the order of the network, then all
        2 n bridges in the order of ``network.bonds``.

    Raises
    ------
    InputError
        For another kind of formula or a density that is not positive.
    """
    node, bridge = _node_and_bridge(formula)
    if not (np.isfinite(density) and density > 0.0):
        raise InputError("density", density, "give a positive density in g/cm^3")
    middles = network.positions[network.bonds[:, 0]] + 0.5 * network.bond_vectors()
    numbers = [atomic_numbers[node]] * network.size + [atomic_numbers[bridge]] * len(middles)
    mass = float(np.sum(atomic_masses[numbers]))
    length = (mass * units.GRAM_PER_CUBIC_CENTIMETRE / density) ** (1 / 3)
    positions = np.concatenate([network.positions, middles]) * (length / network.cell_length)
    atoms = Atoms(numbers=numbers, positions=positions, cell=[length] * 3, pbc=True)
    atoms.wrap()
    return atoms


def elemental(network: Network, element: str) -> Atoms:
    """A glass of one element: an atom on every node, bonds as long as in its diamond crystal.

    Raises
    ------
    InputError
        For an element that does not crystallise as diamond.
    """
    known = {chemical_symbols[z]: float(entry["a"]) for z, entry in _crystals() if entry["symmetry"] == "diamond"}
    if element not in known:
        raise InputError("element", element, f"four bonds per atom suit {', '.join(known)}; choose one of them")
    scale = known[element] * np.sqrt(3.0) / 4.0 / keating.BOND_LENGTH
    atoms = Atoms([element] * network.size, network.positions * scale, cell=[network.cell_length * scale] * 3, pbc=True)
    atoms.wrap()
    return atoms


def _crystals() -> list[tuple[int, dict[str, Any]]]:
    """Atomic numbers of the elements whose crystal is known, with what is known of it (``a`` in Angstrom)."""
    return [(number, dict(entry)) for number, entry in enumerate(reference_states) if entry is not None]


def _node_and_bridge(formula: str) -> tuple[str, str]:
    fix = "name two elements, the bridging one twice, as in SiO2"
    try:
        counts = Formula(formula).count()
    except ValueError as error:
        raise InputError("formula", formula, fix) from error
    if sorted(counts.values()) != [1, 2] or not set(counts) <= set(atomic_numbers):
        raise InputError("formula", formula, fix)
    node, bridge = sorted(counts, key=lambda element: counts[element])
    return node, bridge
