"""What single precision costs: a scan of the step of finite differences, and the noise of forces measured.

The scan is that of Stillinger-Weber silicon, 32 atoms: central differences with four points against automatic
differentiation. Expected numbers were measured once with a program of its own, whose atoms were placed otherwise: in
double precision there is nothing left to chance, in single precision another placement rounds otherwise.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_silica import cristobalite, rattled, silica_potential

from ldmd.diagnosis.directional import hessian_of, largest_displacement, scan_steps
from ldmd.diagnosis.low_modes import LowModes
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.force_constants.noise import SPACING, difference_noise, force_noise
from ldmd.force_constants.third import SparseThirdOrder, ThirdOrder
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes
from ldmd.potentials.base import SiteEnergies, assemble_forces, edge_gradients, edge_vectors, graph_parameters
from ldmd.potentials.stillinger_weber import StillingerWeber, read_stillinger_weber
from ldmd.structures import NeighbourGraph, neighbour_graph

SILICON = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
LATTICE_CONSTANT = 5.430950
"""Angstrom, of the minimum: where second neighbours are just beyond the cutoff."""
BATCH = 97
KERNEL = Gaussian(4.0)


def rounded(tree: object, *precisions: type) -> object:
    """All that is not whole numbers, in one precision after the other."""

    def leaf(x: np.ndarray) -> jax.Array:
        array = jnp.asarray(x)
        for precision in precisions if jnp.issubdtype(array.dtype, jnp.floating) else ():
            array = array.astype(precision)
        return array

    return jax.tree_util.tree_map(leaf, tree)


@functools.partial(jax.jit, static_argnums=0)
def forces_of(function: SiteEnergies, graph: NeighbourGraph, parameters: object, batches: jax.Array) -> jax.Array:
    """Forces (batches, n, N, 3) at positions of the same shape, in the precision of the graph and the parameters."""

    def forces(positions: jax.Array) -> jax.Array:
        edges = edge_vectors(positions.astype(graph.blocks[0].offsets.dtype), graph)
        return assemble_forces(edge_gradients(function, edges, parameters)[1], graph)

    return jax.lax.map(jax.vmap(forces), batches)


@dataclasses.dataclass(frozen=True)
class Silicon:
    atoms: Atoms
    potential: StillingerWeber
    third: ThirdOrder
    exact: np.ndarray
    modes: Modes


@pytest.fixture(scope="module")
def silicon(tmp_path_factory: pytest.TempPathFactory) -> Silicon:
    """A crystal of 32 atoms, somewhere in its cell."""
    path = tmp_path_factory.mktemp("silicon") / "Si.sw"
    Path(path).write_text(SILICON)
    potential = read_stillinger_weber(path)
    atoms = bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=True).repeat((2, 2, 1))
    atoms.positions += [0.137, 0.291, 0.419]
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    third = third_order(potential, atoms.positions, graph)
    exact = np.zeros((96,) * 3)
    indices, values = third.elements()
    exact[tuple(indices)] = values
    modes = normal_modes(second_order(potential, atoms.positions, graph), atoms.get_masses())
    return Silicon(atoms, potential, third, exact, modes)


def differences(forces: Callable[..., jax.Array], atoms: Atoms, step: float) -> np.ndarray:
    """Phi3 (96, 96, 96) by central differences of forces in two coordinates."""
    a, b = np.triu_indices(96)
    total = np.zeros((len(a), 96))
    for first in (1.0, -1.0):
        for second in (1.0, -1.0):
            moved = atoms.positions.ravel() + step * (first * np.eye(96)[a] + second * np.eye(96)[b])
            batches = moved.reshape(-1, BATCH, 32, 3)  # 96 x 97 / 2 pairs are 48 batches
            total -= first * second * np.asarray(forces(batches), dtype=float).reshape(-1, 96)
    tensor = np.zeros((96,) * 3)
    tensor[a, b] = tensor[b, a] = total / (4.0 * step**2)
    return tensor


def mean_width(silicon: Silicon, tensor: np.ndarray) -> float:
    indices = np.array(np.nonzero(tensor))
    third = SparseThirdOrder(96, indices, tensor[tuple(indices)])
    gamma = linewidths(third, silicon.modes, [300.0], ["classical"], KERNEL).gamma[0, 0]
    return float(gamma[silicon.modes.vibrating].mean())


@pytest.fixture(scope="module")
def scanned(silicon: Silicon) -> dict[tuple[str, float], tuple[float, float]]:
    """Relative rms error of Phi3 and relative error of the mean linewidth, by precision and step."""
    graph = neighbour_graph(silicon.atoms, silicon.potential.species, silicon.potential.switching, 0.3)
    norm, width = float(np.linalg.norm(silicon.exact)), mean_width(silicon, silicon.exact)
    result = {}
    for name, precision, steps in (
        ("single", jnp.float32, (0.001, 0.003, 0.01, 0.03, 0.05)),
        ("double", jnp.float64, (0.001, 0.01, 0.03, 0.05)),
    ):
        parts = rounded((graph, graph_parameters(silicon.potential, graph)), precision)
        forces = functools.partial(forces_of, silicon.potential.site_energies, *parts)
        for step in steps:
            tensor = differences(forces, silicon.atoms, step)
            error = float(np.linalg.norm(tensor - silicon.exact)) / norm
            result[name, step] = (error, mean_width(silicon, tensor) / width - 1.0)
    return result


Scan = dict[tuple[str, float], tuple[float, float]]


@pytest.mark.slow
def test_double_precision_is_truncation_alone(scanned: Scan) -> None:
    """To the digits of the table; the linewidth depends on the kernel a little, too."""
    for step, error, bias in (
        (0.001, 1.1e-6, 3e-6),
        (0.01, 1.1e-4, 2.6e-4),
        (0.03, 1.0e-3, 2.3e-3),
        (0.05, 2.8e-3, 6.6e-3),
    ):
        assert scanned["double", step][0] == pytest.approx(error, rel=0.05)
        assert scanned["double", step][1] == pytest.approx(bias, rel=0.25)


@pytest.mark.slow
def test_single_precision_has_a_best_step(scanned: Scan) -> None:
    """Round-off to a factor of 2, truncation like that of double precision; noise makes lines wider."""
    for step, error in ((0.001, 5.6e-2), (0.003, 8.1e-3), (0.01, 7.1e-4)):
        assert 0.5 < scanned["single", step][0] / error < 2.0
    for step in (0.03, 0.05):
        assert scanned["single", step][0] == pytest.approx(scanned["double", step][0], rel=0.05)
    slope = np.log(scanned["single", 0.003][0] / scanned["single", 0.001][0]) / np.log(3.0)
    assert slope == pytest.approx(-2.0, abs=0.2)
    assert 0.01 < scanned["single", 0.001][1] < 0.1, "table: 4.6 to 4.8 %"
    assert abs(scanned["single", 0.01][1]) < 1e-3
    assert scanned["single", 0.05][1] == pytest.approx(6.6e-3, rel=0.25)


@pytest.mark.slow
def test_steps_along_modes_meet_the_exact_contraction(silicon: Silicon) -> None:
    """Two Hessians per mode and step, no third order: the linewidth to 1e-6, and the square of the step."""
    modes, atoms = silicon.modes, silicon.atoms
    lowest = np.flatnonzero(modes.vibrating)
    chosen = lowest[modes.frequencies[lowest] < modes.frequencies[lowest[0]] + 1e-4]  # all that are degenerate
    steps = (0.003, 0.01, 0.03)
    reach = largest_displacement(modes.displacements[:, chosen], max(steps))
    low = LowModes(modes, [300.0], ["classical"], KERNEL)
    hessian = hessian_of(silicon.potential, atoms, reach)
    found = scan_steps(hessian, atoms.positions, chosen, low, steps, silicon.third)
    np.testing.assert_allclose(found.slope, 2.0, atol=0.05)
    expected = linewidths(silicon.third, modes, [300.0], ["classical"], KERNEL, lowest=len(chosen) + 3).gamma[0, 0]
    np.testing.assert_allclose(expected[chosen], found.gamma_exact[:, 0, 0].mean(), rtol=1e-10)
    np.testing.assert_allclose(found.gamma_extrapolated, found.gamma_exact, rtol=1e-5)


@dataclasses.dataclass(frozen=True)
class Rounded:
    """The Tersoff potential of silica as a black box of forces: its numbers rounded to single precision."""

    precision: type
    """Of the computation."""

    def forces(self, atoms: Atoms) -> np.ndarray:
        potential = silica_potential()
        graph = neighbour_graph(atoms, potential.species, potential.switching, slots=(5, 3))
        parts = rounded((graph, graph_parameters(potential, graph)), jnp.float32, self.precision)
        forces = forces_of(potential.site_energies, *parts, atoms.positions[None, None])
        return np.asarray(forces, dtype=float)[0, 0]


@pytest.mark.slow
def test_noise_of_single_precision_is_measured_without_double_precision() -> None:
    """Tersoff silica: differences of high order along one line find the error of single forces within a fifth.

    The error is that to the same numbers in double precision: parameters and cell rounded once are no noise, but
    another potential. The two lines of ``force_noise`` leave out errors that depend on one displaced group alone,
    as the mixed differences of the third order do: they find 0.6 to 0.8 of it.
    """
    atoms = rattled(cristobalite((3, 1, 1)), 0.05)
    single, double = Rounded(jnp.float32), Rounded(jnp.float64)
    moved = [rattled(atoms, 0.02, seed) for seed in range(4)]
    difference = np.sqrt(np.mean([(single.forces(one) - double.forces(one)) ** 2 for one in moved]))
    line = SPACING * np.random.default_rng(1).normal(size=atoms.positions.shape)
    found = [np.sqrt(np.mean([_along(single, one, line) ** 2 for one in moved])), force_noise(single, atoms).sigma]
    assert found[0] == pytest.approx(difference, rel=0.2)
    assert 0.5 < found[1] / difference < 0.9
    assert _along(double, moved[0], line) < 1e-3 * difference, "of what is smooth nothing is left"


def _along(potential: Rounded, atoms: Atoms, line: np.ndarray) -> float:
    """Noise from four points on one line."""
    points = []
    for k in range(4):
        there = atoms.copy()
        there.positions += k * line
        points.append([potential.forces(there)])
    return difference_noise(np.array(points))
