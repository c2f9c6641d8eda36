"""What the laboratory of known causes plants its errors in: small disordered cells, and black boxes of their forces.

A cell is a continuous random network of 64 atoms at the minimum of the Stillinger-Weber potential of silicon, whose
cutoffs are infinitely smooth. The atoms have the mass of germanium: that only rescales time (all frequencies, and
classical linewidths, by 0.62), and brings the dozen lowest modes of so small a cell below 2 THz.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.errors import InputError
from ldmd.force_constants import finite_differences
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.force_constants.crystal_symmetry import Operations
from ldmd.force_constants.displacements import Plan, plan_third
from ldmd.force_constants.finite_differences import ThirdOrderDifferences
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import ThirdOrder
from ldmd.glass.network import continuous_random_network, elemental
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.potentials.base import SiteEnergies, SitePotential, graph_parameters
from ldmd.potentials.stillinger_weber import StillingerWeber, read_stillinger_weber, stillinger_weber_site_energies
from ldmd.relaxation import relax
from ldmd.structures import NeighbourGraph, SiteBlock, neighbour_graph

NODES = 64
ANNEALED, HASTY = 4000, 200
"""Trials of bond switching after the randomisation: of a good network, and of one that keeps its strained spots."""
MASS = 72.63
"""amu"""
SLOTS = 12
"""Edges per atom with some to spare: all cells share compiled code."""
MARGIN, WIDE, WIDE_SLOTS = 0.12, 0.6, 24
"""Angstrom by which pairs may come closer in a black box: in differences, and along modes; edges with that margin."""
PAIRS = 3.8
"""Angstrom: just beyond the reach of the potential. Forces of three atoms need no farther pair to be displaced."""
BATCH = 32
LARGEST_FORCE = 1e-6
"""eV/Angstrom, of a cell at a minimum."""


@functools.cache
def silicon() -> StillingerWeber:
    """The Stillinger-Weber potential of the silicon case."""
    return read_stillinger_weber(Path(__file__).resolve().parents[1] / "cases" / "silicon-glass" / "Si.sw")


@dataclasses.dataclass(frozen=True)
class Cell:
    """Atoms at a minimum with exact force constants."""

    atoms: Atoms
    potential: SitePotential
    second: SecondOrder
    third: ThirdOrder
    modes: Modes


@functools.lru_cache(maxsize=4)
def cell(seed: int, trials: int = ANNEALED) -> Cell:
    """The cell of a seed; if its network has no stable minimum, that of the next one of a sequence."""
    for attempt in range(seed, seed + 10**9, 10**6):
        try:
            network = continuous_random_network(NODES, trials, seed=attempt)
        except InputError:
            continue
        atoms = relax(elemental(network, "Si"), silicon(), isotropic=True)
        atoms.set_masses(np.full(NODES, MASS))
        found = at_minimum(atoms, silicon())
        if np.count_nonzero(found.modes.vibrating) == 3 * NODES - 3:
            return found
    raise AssertionError("there is always another network")


def at_minimum(atoms: Atoms, potential: SitePotential) -> Cell:
    """Exact force constants at the positions of the atoms."""
    graph = graph_of(atoms, potential)
    second = second_order(potential, atoms.positions, graph)
    third = third_order(potential, atoms.positions, graph)
    return Cell(atoms, potential, second, third, normal_modes(second, atoms.get_masses()))


def graph_of(atoms: Atoms, potential: SitePotential, reach: float = 0.0, slots: int = SLOTS) -> NeighbourGraph:
    """Edges within the cutoff and a ``reach`` (Angstrom), in slots of the same width for all cells."""
    return neighbour_graph(atoms, potential.species, potential.switching, reach, slots=(slots,))


@dataclasses.dataclass(frozen=True)
class Kinked:
    """Stillinger-Weber and a term v f(r) for every pair: f falls from 1 to 0 as (1 + cos)/2 between two radii.

    It is switched off as Tersoff's and Behler's functions are: the curvature jumps by v pi^2 / (2 width^2) at either.
    """

    base: StillingerWeber
    strength: float
    """eV"""
    inner: float
    """Angstrom"""
    outer: float
    """Angstrom"""

    @property
    def species(self) -> tuple[str, ...]:
        """See ``SitePotential``."""
        return self.base.species

    @property
    def switching(self) -> np.ndarray:
        """The kink, and the reach of the rest (1, 1, 2)."""
        return np.array([[[self.outer, self.base.switching.max()]]])

    @property
    def site_energies(self) -> SiteEnergies:
        """See ``SitePotential``."""
        return kinked_site_energies

    def parameters(self, block: SiteBlock) -> Any:
        """Those of the base, and of the term."""
        return self.base.parameters(block), jnp.array([self.strength, self.inner, self.outer])

    def fingerprint(self) -> bytes:
        """See ``SitePotential``."""
        return self.base.fingerprint() + np.array([self.strength, self.inner, self.outer]).tobytes()


def kinked_site_energies(edges: jax.Array, parameters: Any) -> jax.Array:
    """Site energies (n,) in eV of edges (3, M, n)."""
    base, (strength, inner, outer) = parameters
    distance = jnp.sqrt(jnp.sum(edges**2, axis=0))
    phase = jnp.clip((distance - inner) / (outer - inner), 0.0, 1.0)
    term = jnp.where(distance < outer, 0.5 + 0.5 * jnp.cos(jnp.pi * phase), 0.0)
    return stillinger_weber_site_energies(edges, base) + 0.5 * strength * jnp.sum(term, axis=0)


@functools.partial(jax.jit, static_argnums=0)
def _forces(function: SiteEnergies, positions: jax.Array, graph: NeighbourGraph, parameters: Any) -> jax.Array:
    """Forces (configuration, N, 3), all in the precision of the positions."""
    (block,), kind = graph.blocks, positions.dtype

    def of_one(single: jax.Array) -> jax.Array:
        edges = single.T[:, block.neighbours] + block.offsets.astype(kind) - single.T[:, None, block.centres]
        edges = jnp.where(block.present, edges, block.padding.astype(kind))
        slopes = jax.grad(lambda vectors: jnp.sum(function(vectors, parameters)))(edges)
        flat = jnp.concatenate([slopes.reshape(3, -1), jnp.zeros((3, 1), kind)], axis=1)
        return (jnp.sum(slopes, axis=1)[:, graph.order] - jnp.sum(flat[:, graph.incoming], axis=1)).T

    return jax.vmap(of_one)(positions)


@dataclasses.dataclass
class Box:
    """Forces of a potential as a black box gives them: in some precision, with some noise; many at once.

    It stands for ``ldmd.potentials.evaluations.Evaluations`` and for the black box itself.
    """

    atoms: Atoms
    site: SitePotential
    precision: type = np.float64
    sigma: float = 0.0
    """eV/Angstrom, of independent noise that is never the same."""
    generator: np.random.Generator | None = None
    margin: float = MARGIN
    """Angstrom by which pairs may come closer."""

    def __post_init__(self) -> None:
        self.known = self._graph_and_parameters(self.atoms)

    @property
    def potential(self) -> Box:
        """The black box."""
        return self

    def of_positions(self, positions: np.ndarray) -> np.ndarray:
        """Forces (configuration, N, 3)."""
        count = len(positions)
        padded = np.zeros((-(-count // BATCH) * BATCH, *positions.shape[1:]), dtype=self.precision)
        padded[:count], padded[count:] = positions, positions[0]
        parts = [padded[start : start + BATCH] for start in range(0, len(padded), BATCH)]
        forces = np.concatenate([_forces(self.site.site_energies, part, *self.known) for part in parts])[:count]
        return self._noisy(forces)

    def forces(self, atoms: Atoms, displacements: Any = None, _: str = "") -> Any:
        """Of one configuration in any order and image, or of all displaced ones, by number."""
        if displacements is None:
            return self._of_one(atoms)
        positions = np.repeat(atoms.positions[None], len(displacements), axis=0)
        for number, displacement in enumerate(displacements):
            for atom, vector in displacement:
                positions[number, atom] += vector
        return self.of_positions(positions)

    def _of_one(self, atoms: Atoms) -> np.ndarray:
        """With a neighbour list of its own, since atoms may have been shuffled and shifted."""
        known = self._graph_and_parameters(atoms)
        return self._noisy(_forces(self.site.site_energies, atoms.positions[None].astype(self.precision), *known))[0]

    def _graph_and_parameters(self, atoms: Atoms) -> tuple[NeighbourGraph, Any]:
        graph = graph_of(atoms, self.site, self.margin, SLOTS if self.margin <= MARGIN else WIDE_SLOTS)
        parameters = graph_parameters(self.site, graph)[0]
        return graph, jax.tree.map(lambda array: array.astype(self.precision), parameters)

    def _noisy(self, forces: Any) -> np.ndarray:
        exact = np.asarray(forces).astype(float)
        return exact if self.generator is None else exact + self.sigma * self.generator.normal(size=exact.shape)

    def energy(self, atoms: Atoms) -> float:
        """Not needed: forces are."""
        return 0.0

    def remembered(self, _: str, __: object, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Nothing is on record."""
        return compute()


def by_differences(box: Box, step: float) -> ThirdOrderDifferences:
    """Third order as ldmd makes it of a black box; what to displace is worked out once for each cell."""
    with mock.patch.object(finite_differences, "plan_third", _planned):
        return finite_differences.third_order(box.atoms, box, cutoff=PAIRS, step=step, symmetry=False)  # type: ignore[arg-type]


def _planned(operations: Operations, first: np.ndarray, second: np.ndarray) -> Plan:
    key = (operations.images.shape[1], first.tobytes(), second.tobytes())
    if key not in _PLANS:
        _PLANS.clear()
        _PLANS[key] = plan_third(operations, first, second)
    return _PLANS[key]


_PLANS: dict[tuple[int, bytes, bytes], Plan] = {}


def distances(atoms: Atoms, reach: float) -> Iterator[float]:
    """Of all pairs up to a reach, ascending, Angstrom."""
    from matscipy.neighbours import neighbour_list

    return iter(np.sort(neighbour_list("d", atoms, reach))[::2])
