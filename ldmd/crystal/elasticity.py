"""Elastic constants C of a crystal at rest, their Voigt-Reuss-Hill averages, and the speeds of sound.

For a differentiable potential they are exact. With E(e, u) the energy of a cell strained by e, whose atoms are moved
by u besides, and Phi = E_uu,

C = (1/V) [E_ee - E_eu Phi^+ E_ue],

the first term being the clamped-ion part (Born and Huang, Dynamical Theory of Crystal Lattices (1954)). For any other
program they are slopes of the relaxed stress under small strains. Voigt's order is xx, yy, zz, yz, xz, xy with shears
twice the tensor's component. Both hold for a crystal without stress; a check tells.

Averages over grains: Hill, Proc. Phys. Soc. A 65, 349 (1952). Plane waves along n obey Christoffel's equation
C_abcd n_b n_d e_c = rho v^2 e_a.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms

from ldmd.force_constants.autodiff import second_order
from ldmd.potentials.base import (
    Parameters,
    SiteEnergies,
    SitePotential,
    edge_vectors,
    energies_forces_virial,
    graph_parameters,
)
from ldmd.results import Check, quantity
from ldmd.structures import NeighbourGraph, neighbour_graph
from ldmd.units import FORCE_TO_ACCELERATION, GPA

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
LARGEST_STRESS = 0.05
"""GPa, above which a crystal is not at rest."""
FLOPPY = 1e-6
"""Of the largest eigenvalue of the elastic constants: strains that are less stiff cost nothing but rounding."""
DIRECTIONS = 24
"""Gauss points in the cosine of the polar angle; twice as many azimuths."""


@dataclasses.dataclass(frozen=True)
class Averages:
    """Moduli of a polycrystal in GPa: upper (Voigt) and lower (Reuss) bounds."""

    bulk_voigt: float
    bulk_reuss: float
    shear_voigt: float
    shear_reuss: float

    @property
    def bulk(self) -> float:
        """Hill's mean of the bounds."""
        return 0.5 * (self.bulk_voigt + self.bulk_reuss)

    @property
    def shear(self) -> float:
        """Hill's mean of the bounds."""
        return 0.5 * (self.shear_voigt + self.shear_reuss)


@dataclasses.dataclass(frozen=True)
class ElasticConstants:
    """Elastic constants of a crystal."""

    atoms_per_volume: float
    """1/Angstrom^3."""
    density: float
    """amu/Angstrom^3."""
    constants: np.ndarray = quantity(("voigt", "other_voigt"), "GPa", "elastic constants, atoms relaxed")
    stress: np.ndarray = quantity(("axis", "other_axis"), "GPa", "static stress, positive under tension")

    @property
    def softest(self) -> float:
        """The smallest eigenvalue, GPa; a crystal gives way to a strain where it is not positive."""
        return float(np.linalg.eigvalsh(self.constants).min())

    @property
    def floppy(self) -> int:
        """Independent strains that cost no energy: those across a layer, and all but the length of a wire."""
        values = np.linalg.eigvalsh(self.constants)
        return int(np.sum(np.abs(values) <= FLOPPY * np.abs(values).max()))

    @property
    def averages(self) -> Averages:
        """Voigt and Reuss averages of any crystal; those of Reuss are 0 where some strain costs nothing."""
        stiff = self.constants
        bulk = float(stiff[:3, :3].sum() / 9.0)
        shear = float((_shear_sum(stiff) + 3.0 * np.trace(stiff[3:, 3:])) / 15.0)
        if self.floppy:
            return Averages(bulk, 0.0, shear, 0.0)
        soft = np.linalg.inv(stiff)
        return Averages(
            bulk_voigt=bulk,
            bulk_reuss=float(1.0 / soft[:3, :3].sum()),
            shear_voigt=shear,
            shear_reuss=float(15.0 / (4.0 * _shear_sum(soft) + 3.0 * np.trace(soft[3:, 3:]))),
        )

    @property
    def checks(self) -> tuple[Check, ...]:
        """At rest, and stable against every strain; where some strain costs nothing, only a check that says so."""
        if self.floppy:
            advice = "no stiffness across: a layer or a wire in empty space has no sound that way"
            return (Check("strains that cost no energy", float(self.floppy), "<=", 0.0, "strains", advice),)
        return (
            Check(
                "largest static stress",
                float(np.abs(self.stress).max()),
                "<=",
                LARGEST_STRESS,
                "GPa",
                "The crystal is under stress, where elastic constants are not those of sound: relax its cell first.",
            ),
            Check(
                "smallest eigenvalue of the elastic constants",
                self.softest,
                ">=",
                0.0,
                "GPa",
                "The crystal gives way to a strain: it is no minimum of this potential.",
            ),
        )

    def speeds(self, directions: np.ndarray) -> np.ndarray:
        """Speeds of sound (n, 3), ascending, Angstrom/ps, along unit vectors (n, 3), by Christoffel's equation."""
        tensor = self.tensor
        christoffel = np.einsum("abcd,nb,nd->nac", tensor, directions, directions, optimize=True)
        squares = np.linalg.eigvalsh(christoffel) / GPA / self.density * FORCE_TO_ACCELERATION
        return np.sqrt(np.maximum(squares, 0.0))

    @property
    def tensor(self) -> np.ndarray:
        """C_abcd, (3, 3, 3, 3) in GPa."""
        place = np.empty((3, 3), dtype=int)
        for index, (a, b) in enumerate(VOIGT):
            place[a, b] = place[b, a] = index
        return np.asarray(self.constants[place[:, :, None, None], place[None, None, :, :]])

    def mean_speed_anderson(self) -> float:
        """v_m = [(2/v_t^3 + 1/v_l^3) / 3]^(-1/3) from Hill's moduli, Angstrom/ps (J. Phys. Chem. Solids 24, 909).

        NaN for a crystal that gives way to a strain, or where one costs nothing: it has no sound.
        """
        if self.floppy or not self.softest > 0.0:
            return float("nan")
        bulk, shear = self.averages.bulk, self.averages.shear
        scale = FORCE_TO_ACCELERATION / GPA / self.density
        transverse, longitudinal = np.sqrt(shear * scale), np.sqrt((bulk + 4.0 / 3.0 * shear) * scale)
        return float(((2.0 / transverse**3 + 1.0 / longitudinal**3) / 3.0) ** (-1.0 / 3.0))

    def mean_speed(self) -> float:
        """The same mean over all directions and polarisations of the crystal itself, Angstrom/ps; NaN as above."""
        if self.floppy or not self.softest > 0.0:
            return float("nan")
        cosines, weights = np.polynomial.legendre.leggauss(DIRECTIONS)
        azimuths = (np.arange(2 * DIRECTIONS) + 0.5) * np.pi / DIRECTIONS
        heights, turns = (each.ravel() for each in np.meshgrid(cosines, azimuths, indexing="ij"))
        sines = np.sqrt(1.0 - heights**2)
        speeds = self.speeds(np.stack([sines * np.cos(turns), sines * np.sin(turns), heights], axis=1))
        slowness = np.mean(speeds ** (-3.0), axis=1).reshape(DIRECTIONS, -1).mean(axis=1)
        return float((np.sum(weights * slowness) / 2.0) ** (-1.0 / 3.0))


def elastic_constants(atoms: Atoms, potential: SitePotential) -> ElasticConstants:
    """Elastic constants of a crystal at rest, exact to round-off; one primitive cell is enough."""
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    parameters = graph_parameters(potential, graph)
    strains, mixed = _strain_derivatives(potential.site_energies, jnp.asarray(atoms.positions), graph, parameters)
    coupling = np.asarray(mixed).reshape(len(VOIGT), -1)
    hessian = second_order(potential, atoms.positions, graph).matrix.toarray()
    relaxed = np.asarray(strains) - coupling @ np.linalg.pinv(hessian, rcond=1e-10, hermitian=True) @ coupling.T
    return _result(atoms, 0.5 * (relaxed + relaxed.T) / atoms.get_volume() * GPA, static_stress(atoms, potential))


def elastic_constants_by_strain(
    atoms: Atoms, stress: Callable[[Atoms], np.ndarray], step: float = 2e-3
) -> ElasticConstants:
    """Slopes of the stress, by central differences with a strain ``step``.

    ``stress`` gives (3, 3) in GPa, positive under tension, with the positions relaxed in a given cell:
    ``relaxed_stress``, or any program's.
    """
    columns = []
    for a, b in VOIGT:
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5 * step
        strain[b, a] += 0.5 * step
        ends = []
        for sign in (1.0, -1.0):
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + sign * strain), scale_atoms=True)
            ends.append(stress(strained))
        columns.append([(ends[0] - ends[1])[c, d] / (2.0 * step) for c, d in VOIGT])
    matrix = np.array(columns)
    return _result(atoms, 0.5 * (matrix + matrix.T), stress(atoms))


def static_stress(atoms: Atoms, potential: SitePotential) -> np.ndarray:
    """(1/V) dE/de, (3, 3) in GPa, positive under tension, of atoms at rest."""
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    parameters = graph_parameters(potential, graph)
    virial = energies_forces_virial(potential.site_energies, jnp.asarray(atoms.positions), graph, parameters)[2]
    symmetric = 0.5 * (np.asarray(virial) + np.asarray(virial).T)
    return -symmetric / atoms.get_volume() * GPA


def relaxed_stress(potential: SitePotential) -> Callable[[Atoms], np.ndarray]:
    """Stress (3, 3) in GPa in a fixed cell with the positions relaxed, by a differentiable potential."""
    from ldmd.relaxation import relax

    return lambda atoms: static_stress(relax(atoms, potential), potential)


@functools.partial(jax.jit, static_argnums=0)
def _strain_derivatives(
    function: SiteEnergies, positions: jax.Array, graph: NeighbourGraph, parameters: tuple[Parameters, ...]
) -> tuple[jax.Array, jax.Array]:
    """E_ee (6, 6) in eV and E_eu (6, N, 3) in eV/Angstrom."""
    rest = edge_vectors(positions, graph)
    basis = np.zeros((len(VOIGT), 3, 3))
    for index, (a, b) in enumerate(VOIGT):
        basis[index, a, b] += 0.5
        basis[index, b, a] += 0.5

    def energy(strain: jax.Array, moves: jax.Array) -> jax.Array:
        deformation, columns, total = jnp.tensordot(strain, basis, axes=1), moves.T, jnp.zeros(())
        for block, edges, each in zip(graph.blocks, rest, parameters, strict=True):
            moved = edges + jnp.tensordot(deformation, edges, axes=1)
            moved = moved + columns[:, block.neighbours] - columns[:, None, block.centres]
            total = total + jnp.sum(function(jnp.where(block.present, moved, edges), each))
        return total

    gradient = jax.grad(energy, argnums=(0, 1))
    still = (jnp.zeros(len(VOIGT)), jnp.zeros_like(positions))

    def along(direction: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(gradient, still, (direction, still[1]))[1]

    return jax.lax.map(along, jnp.eye(len(VOIGT)))


def _shear_sum(matrix: np.ndarray) -> float:
    """m11 + m22 + m33 - m12 - m23 - m13."""
    return float(np.trace(matrix[:3, :3]) - matrix[0, 1] - matrix[1, 2] - matrix[0, 2])


def _result(atoms: Atoms, constants: np.ndarray, stress: np.ndarray) -> ElasticConstants:
    volume = float(atoms.get_volume())
    return ElasticConstants(len(atoms) / volume, float(atoms.get_masses().sum()) / volume, constants, stress)
