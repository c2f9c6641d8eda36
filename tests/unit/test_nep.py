"""NEP without another implementation at hand: invariances, derivatives, layers, and the files that are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from matscipy.neighbours import neighbour_list
from nep_models import rattled_silicon, write_nep

from ldmd.dynamics.integrate import Engine, maxwell_velocities
from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order
from ldmd.force_constants.directional import directional_third_order, site_gradient
from ldmd.force_constants.sites import sites_of
from ldmd.potentials.base import edge_vectors, energies_forces_virial, graph_parameters
from ldmd.potentials.nep import NepPotential, read_nep
from ldmd.potentials.nep_hessian import nep_site_hessians
from ldmd.potentials.nep_sites import NepParameters, nep_site_energies
from ldmd.structures import NeighbourGraph, neighbour_graph

SPECIES = ("Ge", "Si")
CUTOFF = "4.2 3.4 50 40"
SLOTS = 20
"""More than any atom has neighbours: what is compiled for one species serves for the other, and for moved atoms."""


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> NepPotential:
    """Two species, four- and five-body terms, ZBL."""
    path = tmp_path_factory.mktemp("nep") / "nep.txt"
    return read_nep(
        write_nep(path, "nep4_zbl", SPECIES, CUTOFF, "2 2 1", "1.2 2.6", polynomials=(3, 2), functions=(2, 1))
    )


@pytest.fixture(scope="module")
def atoms() -> Atoms:
    """As many atoms of one species as of the other."""
    atoms = rattled_silicon(SPECIES, repeats=2)
    atoms.symbols = np.random.default_rng(8).permutation(np.repeat(SPECIES, len(atoms) // 2))
    return atoms


def graph_of(atoms: Atoms, potential: NepPotential, slots: int = SLOTS) -> NeighbourGraph:
    graph = neighbour_graph(atoms, potential.species, potential.switching, slots=(slots,) * len(potential.species))
    assert set(graph.slots) == {slots}
    return graph


def evaluate(atoms: Atoms, potential: NepPotential, slots: int = SLOTS) -> tuple[np.ndarray, ...]:
    graph = graph_of(atoms, potential, slots)
    parameters = graph_parameters(potential, graph)
    results = energies_forces_virial(potential.site_energies, atoms.positions, graph, parameters)
    return tuple(np.asarray(result) for result in results)


def assert_close(some: tuple[np.ndarray, ...], others: tuple[np.ndarray, ...]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-12 * np.abs(other).max())


def test_padding_changes_nothing(atoms: Atoms, potential: NepPotential) -> None:
    assert_close(evaluate(atoms, potential, SLOTS + 5), evaluate(atoms, potential))


def test_translation_and_order_change_nothing(atoms: Atoms, potential: NepPotential) -> None:
    energies, forces, virial = evaluate(atoms, potential)
    order = np.random.default_rng(0).permutation(len(atoms))
    moved = atoms[order]
    moved.translate([1.234, -3.21, 0.77])
    moved.wrap()
    assert_close(evaluate(moved, potential), (energies[order], forces[order], virial))


def test_rotation_turns_forces_and_virial(atoms: Atoms, potential: NepPotential) -> None:
    energies, forces, virial = evaluate(atoms, potential)
    turned = atoms.copy()
    turned.rotate(37.0, (1.0, 2.0, -0.5), rotate_cell=True)
    rotation = np.linalg.solve(atoms.cell.array, turned.cell.array)
    assert_close(evaluate(turned, potential), (energies, forces @ rotation, rotation.T @ virial @ rotation))


def test_forces_are_the_slope_of_the_energy(atoms: Atoms, potential: NepPotential) -> None:
    """Along a random direction, by a central difference."""
    direction = np.random.default_rng(3).normal(size=(len(atoms), 3))
    sums = []
    for step in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.positions += step * direction
        sums.append(evaluate(moved, potential)[0].sum())
    _, forces, _ = evaluate(atoms, potential)
    assert -np.sum(forces * direction) == pytest.approx((sums[0] - sums[1]) / 2e-4, rel=1e-6)


def test_edges_beyond_the_core_have_no_angular_part(atoms: Atoms, potential: NepPotential) -> None:
    """Edges sorted by length, the angular part restricted to those that reach it."""
    graph, energies = graph_of(atoms, potential), jax.jit(nep_site_energies)
    for block, edges in zip(graph.blocks, edge_vectors(jnp.asarray(atoms.positions), graph), strict=True):
        sites = sites_of(potential, block, np.asarray(edges))
        lengths = np.linalg.norm(sites.edges, axis=0)
        assert sites.core is not None and sites.core < 0.7 * SLOTS
        assert lengths[sites.core :].min() >= potential.core.max() > lengths[0].max()
        assert (np.diff(sites.block.present.astype(int), axis=0) <= 0).all()
        found = energies(jnp.asarray(sites.edges), sites.parameters(potential, np.arange(len(block.centres))))
        np.testing.assert_allclose(found, energies(edges, potential.parameters(block)), rtol=1e-12)


@dataclasses.dataclass(frozen=True)
class Derivatives:
    """Of the energies of some sites, as JAX finds them without being told any Hessian."""

    edges: jax.Array
    present: np.ndarray
    parameters: NepParameters
    tangents: jax.Array
    """(2, 3, M, n)"""
    second: jax.Array
    """(3, M, n) along the first tangent."""
    third: Callable[[jax.Array], jax.Array]
    """(2, 3, M, n) tangents -> (3, M, n) along both."""


@pytest.fixture(scope="module")
def derivatives(atoms: Atoms, potential: NepPotential) -> Derivatives:
    """Sites of one species, each with two empty slots at least, and edges of the core first."""
    graph = graph_of(atoms, potential)
    sites = sites_of(potential, graph.blocks[0], np.asarray(edge_vectors(jnp.asarray(atoms.positions), graph)[0]))
    assert not sites.block.present[-2:].any()
    edges, parameters = jnp.asarray(sites.edges), sites.parameters(potential, np.arange(sites.edges.shape[2]))
    gradient = site_gradient(nep_site_energies, parameters)

    @jax.jit
    def along_both(tangents: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda at: jax.jvp(gradient, (at,), (tangents[0],))[1], (edges,), (tangents[1],))

    tangents = jax.random.normal(jax.random.key(0), (2, *edges.shape))
    second, _ = along_both(tangents)
    return Derivatives(edges, sites.block.present, parameters, tangents, second, lambda some: along_both(some)[1])


def test_third_derivatives_of_padded_edges_are_zero(derivatives: Derivatives) -> None:
    """They lie beyond the cutoff: nothing there is NaN, and nothing changes."""
    everything, existing = (derivatives.third(derivatives.tangents * which) for which in (1.0, derivatives.present))
    assert bool(jnp.isfinite(everything).all())
    np.testing.assert_array_equal(everything, existing)
    np.testing.assert_array_equal(np.asarray(everything)[:, ~derivatives.present], 0.0)


def test_hessians_and_their_slopes_are_those_of_the_energy(derivatives: Derivatives) -> None:
    """Products of small matrices against derivatives of the energy: second and third order along random directions.

    Every number of every site's Hessian, and of its slope, has a part in what is compared.
    """
    first, second = derivatives.tangents

    @jax.jit
    def hessians(at: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = jax.jvp(lambda edges: nep_site_hessians(edges, derivatives.parameters), (at,), (step,))
        return tuple(jnp.einsum("naxby,byn->axn", matrix, first) for matrix in found)

    found = hessians(derivatives.edges, second)
    for one, expected in zip(found, (derivatives.second, derivatives.third(derivatives.tangents)), strict=True):
        np.testing.assert_allclose(one, expected, rtol=0.0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("l_max", ["0 0 0", "5 0 0"])
def test_hessians_of_other_models(tmp_path: Path, l_max: str) -> None:
    """Nothing angular but a repulsion; and degrees beyond 4 with an angular part in fewer slots."""
    path = write_nep(tmp_path / "nep.txt", "nep4_zbl", ("Si",), CUTOFF, l_max, "1.2 2.6", polynomials=(3, 2))
    potential = read_nep(path)
    atoms = rattled_silicon(repeats=2)
    graph = graph_of(atoms, potential)
    (block,), (edges,) = graph.blocks, edge_vectors(jnp.asarray(atoms.positions), graph)
    sites, two = sites_of(potential, block, np.asarray(edges)), np.arange(2)
    some, parameters = jnp.asarray(sites.edges[:, :, two]), sites.parameters(potential, two)
    assert sites.core is not None
    gradient = jax.jit(site_gradient(nep_site_energies, parameters))
    found = np.asarray(jax.jit(nep_site_hessians)(some, parameters))
    step = 1e-5
    for slot, axis in ((0, 0), (2, 1), (sites.core + 1, 2)):
        shift = jnp.zeros_like(some).at[axis, slot].set(step)
        expected = np.asarray((gradient(some + shift) - gradient(some - shift)) / (2.0 * step)).transpose(2, 0, 1)
        np.testing.assert_allclose(found[:, :, :, axis, slot], expected, rtol=0.0, atol=1e-7 * np.abs(found).max())


@pytest.mark.slow
def test_third_order_is_the_slope_of_the_hessian(atoms: Atoms, potential: NepPotential) -> None:
    """Central differences of the exact Hessian over 2 x 0.001 Angstrom; atoms with a pair near a cutoff do not move.

    The curvature of the energy jumps where a pair crosses a cutoff.
    """
    i, lengths = neighbour_list("id", atoms, 5.0)
    near_cutoff = np.unique(i[np.any([np.abs(lengths - cutoff) < 0.004 for cutoff in (4.2, 3.4, 2.6)], axis=0)])
    direction = np.random.default_rng(7).normal(size=(len(atoms), 3))
    direction[near_cutoff] = 0.0
    assert len(near_cutoff) < 8
    direction *= 1.0 / np.linalg.norm(direction, axis=1).max()
    graph = graph_of(atoms, potential)
    exact = directional_third_order(potential, atoms.positions, graph).along(direction.ravel()).toarray()
    step = 0.001
    after, before = (
        second_order(potential, atoms.positions + sign * step * direction, graph).matrix.toarray() for sign in (1, -1)
    )
    difference = (after - before) / (2.0 * step)
    assert np.abs(exact - difference).max() < 1e-4 * np.abs(exact).max()


@pytest.mark.slow
def test_dynamics_keeps_energy_and_its_lists(tmp_path: Path, atoms: Atoms) -> None:
    """Hot, so that pairs cross both cutoffs all the time: what is streamed is what a fresh full list gives."""
    potential = read_nep(
        write_nep(tmp_path / "nep.txt", species=SPECIES, cutoff=CUTOFF, l_max="1 0 0", polynomials=(3, 2))
    )
    engine = Engine(atoms, potential, 1e-4, 5)
    assert engine.crowded and len(engine.slots) == 4
    generator = np.random.default_rng(1)
    phase = engine.phase(atoms.positions, maxwell_velocities(atoms.get_masses(), 3000.0, generator))
    first_list = engine.pairs
    records = []
    for chunk in range(2):
        phase, record = engine.advance(phase, 60, 60 * chunk)
        records.append(np.asarray(record.potential_energy + record.kinetic_energy))
    assert engine.pairs is not first_list
    moved = atoms.copy()
    moved.positions = np.asarray(phase.positions)
    _, forces, _ = evaluate(moved, potential)
    np.testing.assert_allclose(phase.forces, forces, rtol=0.0, atol=1e-11 * np.abs(forces).max())
    kinetic = 1.5 * len(atoms) * 8.617e-5 * 3000.0
    assert np.ptp(np.concatenate(records)) < 1e-3 * kinetic


def test_fingerprint_and_species(potential: NepPotential) -> None:
    other = NepPotential(dataclasses.replace(potential.model, scale=potential.model.scale * (1.0 + 1e-12)))
    assert potential.fingerprint() != other.fingerprint()
    assert potential.fingerprint() == NepPotential(dataclasses.replace(potential.model)).fingerprint()
    assert potential.among(SPECIES).fingerprint() == potential.fingerprint()
    assert potential.species == SPECIES
    np.testing.assert_allclose(potential.switching[..., 1], 4.2)
    np.testing.assert_allclose(potential.core, 3.4)


def rewritten(path: Path, line: int, words: str) -> Path:
    lines = path.read_text().splitlines()
    lines[line] = words
    path.write_text("\n".join(lines) + "\n")
    return path


REFUSED = {
    "nep4_dipole 1 Si": (0, "nep4_dipole"),
    "nep4_charge1 1 Si": (0, "nep4_charge1"),
    "nep2 1 Si": (0, "nep2"),
    "nep3 2 Si Ge": (0, "nep3 of several species"),
    "nep4 2 Si": (0, "announces 2 species and names 1"),
    "nep4 1 Sx": (0, "names Sx"),
    "nep4 2 Si Si": (0, "only once"),
    "nep4 1 Si ": (3, "line 4 begins with 'nep4' instead of 'basis_size'"),
    "cutoff 5 4 4 50 40": (1, "has 5 numbers"),
    "cutoff 4 5 50 40": (1, "angular cutoff <= radial cutoff"),
    "cutoff 4 x 50 40": (1, "could not convert"),
    "n_max 2": (2, "2 whole numbers"),
    "n_max 2.5 2": (2, "2 whole numbers"),
    "l_max 9 0 0": (4, "up to 8"),
    "l_max 4 3 0": (4, "four-body"),
    "l_max 4 1 1 1 0 1": (4, "invariants q112, q233"),
    "l_max 1 2 0": (4, "at least l = 2"),
    "ANN 0 0": (5, "no neuron"),
    "ANN 7 0": (5, "holds 206 numbers below its header, which asks for"),
    "nan": (20, "not a finite number"),
    "1.0 2.0": (20, "holds 207 numbers"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_files_that_are_refused(tmp_path: Path, words: str) -> None:
    line, reason = REFUSED[words]
    with pytest.raises(InputError, match=reason) as caught:
        read_nep(rewritten(write_nep(tmp_path / "nep.txt"), line, words))
    assert caught.value.field == "potential.parameters" and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("zbl", "reason"),
    [("2 1", "inner < outer"), ("1 2 0", "factor above 0"), ("1 4.5", "angular cutoff"), ("1 2 3 4", "inner < outer")],
)
def test_repulsions_that_are_refused(tmp_path: Path, zbl: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_nep(write_nep(tmp_path / "nep.txt", "nep4_zbl", zbl=zbl))


def test_files_that_end_too_early(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_nep(tmp_path / "nothing.txt")
    whole = write_nep(tmp_path / "nep.txt").read_text()
    for length, reason in (
        (0, "begins with 'nothing'"),
        (30, "instead of 'n_max'"),
        (len(whole) - 400, "numbers below"),
    ):
        (tmp_path / "nep.txt").write_text(whole[:length])
        with pytest.raises(InputError, match=reason):
            read_nep(tmp_path / "nep.txt")
