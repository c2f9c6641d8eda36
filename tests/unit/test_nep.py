"""NEP without another implementation at hand: invariances, derivatives, layers, and the files that are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sp
from ase import Atoms
from nep_models import rattled_silicon, write_nep

from ldmd.dynamics.integrate import Engine, maxwell_velocities
from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order
from ldmd.force_constants.directional import directional_third_order, site_gradient
from ldmd.force_constants.sites import part_of
from ldmd.potentials.base import SiteEnergies, SitePotential, edge_vectors, energies_forces_virial, graph_parameters
from ldmd.potentials.nep import NepPotential, read_nep
from ldmd.potentials.nep_hessian import nep_site_hessians
from ldmd.potentials.nep_sites import NepParameters, nep_site_energies
from ldmd.structures import NeighbourGraph, SiteBlock, neighbour_graph

SPECIES = ("Ge", "Si")
CUTOFF = "4.2 3.4 50 40"


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> NepPotential:
    """Two species, four- and five-body terms, ZBL."""
    path = tmp_path_factory.mktemp("nep") / "nep.txt"
    return read_nep(write_nep(path, "nep4_zbl", SPECIES, CUTOFF, "2 2 1", "1.2 2.6"))


@pytest.fixture(scope="module")
def atoms() -> Atoms:
    return rattled_silicon(SPECIES, repeats=2)


def graph_of(atoms: Atoms, potential: NepPotential, slots: tuple[int, ...] = ()) -> NeighbourGraph:
    return neighbour_graph(atoms, potential.species, potential.switching, slots=slots)


def evaluate(atoms: Atoms, potential: NepPotential, slots: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
    graph = graph_of(atoms, potential, slots)
    parameters = graph_parameters(potential, graph)
    results = energies_forces_virial(potential.site_energies, atoms.positions, graph, parameters)
    return tuple(np.asarray(result) for result in results)


def assert_close(some: tuple[np.ndarray, ...], others: tuple[np.ndarray, ...]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-12 * np.abs(other).max())


def test_padding_changes_nothing(atoms: Atoms, potential: NepPotential) -> None:
    widths = tuple(width + 5 for width in graph_of(atoms, potential).slots)
    assert_close(evaluate(atoms, potential, widths), evaluate(atoms, potential))


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
    graph = graph_of(atoms, potential)
    for block, edges in zip(graph.blocks, edge_vectors(jnp.asarray(atoms.positions), graph), strict=True):
        lengths = np.linalg.norm(edges, axis=0)
        order = np.argsort(lengths, axis=0)
        sorted_block = dataclasses.replace(
            block,
            neighbour_kinds=np.take_along_axis(block.neighbour_kinds, order, axis=0),
            present=np.take_along_axis(block.present, order, axis=0),
        )
        near = int((lengths < potential.core.max()).sum(axis=0).max())
        assert near < 0.7 * len(lengths)
        arranged = jnp.take_along_axis(edges, order[None], axis=1)
        found = nep_site_energies(arranged, potential.parameters(sorted_block, near))
        np.testing.assert_allclose(found, nep_site_energies(edges, potential.parameters(block)), rtol=1e-12)


def test_third_derivatives_of_padded_edges_are_zero(atoms: Atoms, potential: NepPotential) -> None:
    """They lie beyond the cutoff: nothing there is NaN, and nothing changes."""
    graph = graph_of(atoms, potential, tuple(width + 2 for width in graph_of(atoms, potential).slots))
    block, edges = graph.blocks[0], edge_vectors(jnp.asarray(atoms.positions), graph)[0]
    parameters = potential.parameters(block)
    gradient = jax.grad(lambda at: jnp.sum(nep_site_energies(at, parameters)))
    tangents = jax.random.normal(jax.random.key(0), (2, *edges.shape))

    @jax.jit
    def third(first: jax.Array, second: jax.Array) -> jax.Array:
        return jax.jvp(lambda at: jax.jvp(gradient, (at,), (first,))[1], (edges,), (second,))[1]

    everything, existing = third(*tangents), third(*(tangents * block.present))
    assert bool(jnp.isfinite(everything).all())
    np.testing.assert_array_equal(everything, existing)
    np.testing.assert_array_equal(np.asarray(everything)[:, ~block.present], 0.0)


@dataclasses.dataclass(frozen=True)
class WithoutHessians:
    """The same potential as JAX would differentiate it."""

    whole: NepPotential

    @property
    def site_energies(self) -> SiteEnergies:
        return self.whole.site_energies

    def parameters(self, block: SiteBlock) -> NepParameters:
        return self.whole.parameters(block)


@pytest.mark.slow
def test_hessians_and_their_slopes_are_those_of_the_energy(atoms: Atoms, potential: NepPotential) -> None:
    """Products of small matrices against derivatives of the energy: second and third order of the whole cell."""
    graph = graph_of(atoms, potential)
    direction = np.random.default_rng(5).normal(size=3 * len(atoms))
    plain = WithoutHessians(potential)
    for order in (second_order_matrix, lambda *arguments: slope_along(direction, *arguments)):
        found, expected = (order(one, atoms.positions, graph).toarray() for one in (potential, plain))
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-11 * np.abs(expected).max())


def second_order_matrix(potential: SitePotential, positions: np.ndarray, graph: NeighbourGraph) -> sp.csr_array:
    return second_order(potential, positions, graph).matrix


def slope_along(
    direction: np.ndarray, potential: SitePotential, positions: np.ndarray, graph: NeighbourGraph
) -> sp.csr_array:
    return directional_third_order(potential, positions, graph).along(direction)


@pytest.mark.parametrize("l_max", ["0 0 0", "5 0 0"])
def test_hessians_of_other_models(tmp_path: Path, l_max: str) -> None:
    """Nothing angular but a repulsion; and degrees beyond 4 with an angular part in fewer slots."""
    potential = read_nep(write_nep(tmp_path / "nep.txt", "nep4_zbl", cutoff=CUTOFF, l_max=l_max, zbl="1.2 2.6"))
    atoms = rattled_silicon(repeats=2)
    graph = graph_of(atoms, potential)
    (block,), (edges,) = graph.blocks, edge_vectors(jnp.asarray(atoms.positions), graph)
    sites = np.arange(2)
    order = np.argsort(np.linalg.norm(edges, axis=0), axis=0)[:, sites]
    kept = part_of(block, sites)
    kept = dataclasses.replace(
        kept,
        neighbour_kinds=np.take_along_axis(kept.neighbour_kinds, order, axis=0),
        present=np.take_along_axis(kept.present, order, axis=0),
    )
    some = jnp.take_along_axis(edges[:, :, sites], order[None], axis=1)
    near = int((np.linalg.norm(some, axis=0) < potential.core.max()).sum(axis=0).max())
    parameters = potential.parameters(kept, near)
    gradient = jax.jit(site_gradient(nep_site_energies, parameters))
    found = np.asarray(jax.jit(nep_site_hessians)(some, parameters))
    step = 1e-5
    for slot, axis in ((0, 0), (2, 1), (near + 1, 2)):
        shift = jnp.zeros_like(some).at[axis, slot].set(step)
        expected = np.asarray((gradient(some + shift) - gradient(some - shift)) / (2.0 * step)).transpose(2, 0, 1)
        np.testing.assert_allclose(found[:, :, :, axis, slot], expected, rtol=0.0, atol=1e-7 * np.abs(found).max())


@pytest.mark.slow
def test_third_order_is_the_slope_of_the_hessian(tmp_path: Path) -> None:
    """Central differences of the exact Hessian over 2 x 0.001 Angstrom; atoms with a pair near a cutoff do not move.

    The curvature of the energy jumps where a pair crosses a cutoff.
    """
    path = write_nep(tmp_path / "nep.txt", "nep4_zbl", cutoff=CUTOFF, l_max="2 2 1", zbl="1.2 2.6")
    potential = read_nep(path)
    atoms = rattled_silicon(repeats=2, seed=6)[:16]
    atoms.set_cell([30.0, 30.0, 30.0])
    lengths = atoms.get_all_distances()
    near_cutoff = np.any([np.abs(lengths - cutoff) < 0.004 for cutoff in (4.2, 3.4, 2.6)], axis=(0, 1))
    direction = np.random.default_rng(7).normal(size=(len(atoms), 3))
    direction[near_cutoff] = 0.0
    assert near_cutoff.sum() < 4
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
    potential = read_nep(write_nep(tmp_path / "nep.txt", species=SPECIES, cutoff=CUTOFF, l_max="1 0 0"))
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
