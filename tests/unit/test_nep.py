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
from ldmd.potentials.ends import radii_of, radius_table
from ldmd.potentials.kinks import DIRECTION, Noise, bonded_pair, measure_kinks
from ldmd.potentials.nep import NepPotential, read_nep
from ldmd.potentials.nep_hessian import nep_site_hessians
from ldmd.potentials.nep_sites import NepParameters, nep_site_energies
from ldmd.potentials.subjects import site_subject
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
    "nep4_charge1 1 Si": (0, "nep4_charge1', which has charges, whose interaction has no cutoff"),
    "nep4_zbl_charge2 1 Si": (0, "which has charges"),
    "nep4_polarizability 1 Si": (0, "gives polarizabilities and no energy"),
    "nep3_temperature 1 Si": (0, "depends on the temperature"),
    "NEP4 1 Si": (0, "'NEP4', which is not known here"),
    "nep2 1 Si": (0, "nep2"),
    "nep3 2 Si Ge": (0, "holds 206 numbers below its header, which asks for 323"),
    "nep4 2 Si": (0, "announces 2 species and names 1"),
    "nep4 1 Sx": (0, "names Sx"),
    "nep4 2 Si Si": (0, "only once"),
    "nep4 1 Si ": (3, "line 4 begins with 'nep4' instead of 'basis_size'"),
    "cutoff 5 4 4 50 40": (1, "has 5 numbers"),
    "cutoff 4 5 50 40": (1, "angular cutoff <= radial cutoff"),
    "cutoff 4 x 50 40": (1, "line 2, column 10 holds x, which is not a number"),
    "cutoff 5 4 50 40 2 0 1": (1, "radial and angular or neither"),
    "cutoff 5 4 50 40 -2 2 1": (1, "factors above 0"),
    "cutoff 5 4 50 40 1.2 1.4 0": (1, "angular cutoff <= radial cutoff"),
    "cutoff 1e9 4 50 40": (1, "up to 30 Angstrom"),
    "cutoff -5 4 50 40": (1, "0 < angular cutoff"),
    "n_max 2": (2, "2 whole numbers"),
    "n_max 2.5 2": (2, "2 whole numbers"),
    "l_max 9 0 0": (4, "up to 8"),
    "l_max 4 3 0": (4, "four-body"),
    "l_max 4 1 1 1 0 1": (4, "invariants q112, q233"),
    "l_max 1 2 0": (4, "at least l = 2"),
    "ANN 0 0": (5, "no neuron"),
    "ANN 7 0": (5, "holds 206 numbers below its header, which asks for"),
    "n_max 1e300 2": (2, "2 whole numbers from 0 to 100000"),
    "nan": (20, "line 21, column 1 holds nan, which is not a finite number"),
    " *********": (20, r"line 21, column 2 holds \*\*\*\*\*\*\*\*\*: a number too wide"),
    "1_0": (20, "line 21, column 1 holds 1_0, which is not a number"),
    "1e400": (20, "line 21, column 1 holds 1e400, which is too large"),
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


# Forms of files.


def equal(one: NepPotential, other: NepPotential) -> bool:
    return one.fingerprint() == other.fingerprint()


def test_forms_in_which_a_file_may_come(tmp_path: Path) -> None:
    """A byte-order mark, blank lines and comments first and between, CRLF, several numbers on a line, Fortran's D."""
    path = write_nep(tmp_path / "nep.txt")
    plain, text = read_nep(path), path.read_text()
    lines = text.splitlines()
    forms = {
        "mark": "\ufeff" + text,
        "comment": "# from GPUMD\n\n" + text.replace("cutoff", "\n  # reach\ncutoff", 1),
        "crlf": text.replace("\n", "\r\n"),
        "wide": "\n".join(lines[:6]) + "\n" + " ".join(lines[6:]),
        "fortran": "\n".join([*lines[:6], *(line.replace("e", "D") for line in lines[6:])]),
    }
    for name, form in forms.items():
        (tmp_path / name).write_bytes(form.encode())
        assert equal(read_nep(tmp_path / name), plain), name


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = write_nep(tmp_path / "nep.txt")
    path.write_text("# a comment\n\n" + path.read_text().replace("n_max", "nmax"))
    with pytest.raises(InputError, match="line 5 begins with 'nmax' instead of 'n_max'"):
        read_nep(path)


def test_the_one_network_of_nep3_is_that_of_every_species(tmp_path: Path) -> None:
    """A nep4 in which the same network is written once for each is the same potential."""
    path = write_nep(tmp_path / "nep3.txt", "nep3_zbl", SPECIES, CUTOFF, "4 2 1", "1.2 2.6")
    lines = path.read_text().splitlines()
    neurons, descriptors = 6, 4 + 3 * 6
    size = neurons * (descriptors + 2)
    head, network, rest = lines[1:7], lines[7 : 7 + size], lines[7 + size :]
    twice = tmp_path / "nep4.txt"
    twice.write_text("\n".join([f"nep4_zbl 2 {' '.join(SPECIES)}", *head, *network, *network, *rest]) + "\n")
    once, repeated = read_nep(path).model, read_nep(twice).model
    assert (once.version, repeated.version) == (3, 4)
    assert equal(NepPotential(dataclasses.replace(once, version=4)), NepPotential(repeated))


def test_typewise_cutoffs(tmp_path: Path) -> None:
    """min(r, f (R_i + R_j)) where no r is smaller is the mean of 2 f R_i and 2 f R_j: a file of a cutoff per species.

    Covalent radii of silicon and germanium, 1.04 and 1.09 Angstrom, times 4/3 to six digits.
    """
    silicon, germanium = 1.38667, 1.45333
    factors = read_nep(write_nep(tmp_path / "a.txt", cutoff="7 6 50 40 1.5 1.2 0", species=SPECIES))
    each = " ".join(f"{2.0 * f * radius:.12f}" for radius in (germanium, silicon) for f in (1.5, 1.2))
    own = read_nep(write_nep(tmp_path / "b.txt", cutoff=f"{each} 50 40", species=SPECIES))
    np.testing.assert_allclose(factors.model.pair_cutoffs, own.model.pair_cutoffs, rtol=1e-10)
    assert factors.model.pair_cutoffs[0, 1, 0] == pytest.approx(1.5 * (silicon + germanium))
    short = read_nep(write_nep(tmp_path / "c.txt", cutoff="4.2 3.35 50 40 1.5 1.2 0", species=SPECIES))
    np.testing.assert_allclose(short.model.pair_cutoffs[..., 0], np.minimum(4.2, own.model.pair_cutoffs[..., 0]))
    np.testing.assert_allclose(short.model.pair_cutoffs[..., 1], np.minimum(3.35, own.model.pair_cutoffs[..., 1]))
    plain = read_nep(write_nep(tmp_path / "d.txt", cutoff="4.7 3.75 50 40 0 0 0", species=SPECIES))
    assert equal(plain, read_nep(write_nep(tmp_path / "e.txt", cutoff="4.7 3.75 50 40", species=SPECIES)))


def test_typewise_repulsion_in_either_place(tmp_path: Path) -> None:
    """Behind ``zbl`` it begins at 0, behind ``cutoff``, where it stood earlier, at half of its end."""
    new = read_nep(write_nep(tmp_path / "a.txt", "nep4_zbl", SPECIES, CUTOFF, zbl="1 2.5 0.7")).model.repulsion
    old = read_nep(write_nep(tmp_path / "b.txt", "nep4_zbl", SPECIES, f"{CUTOFF} 0 0 0.7", zbl="1 2.5")).model.repulsion
    assert new is not None and old is not None
    np.testing.assert_array_equal(new.outer, old.outer)
    assert new.outer[1, 1] == pytest.approx(0.7 * 2.0 * 1.38667)
    np.testing.assert_array_equal(new.inner, 0.0)
    np.testing.assert_allclose(old.inner, 0.5 * old.outer)


def test_what_a_structure_needs_is_read(tmp_path: Path) -> None:
    path = write_nep(tmp_path / "nep.txt", species=("C", "Ge", "O", "Si"), cutoff="5 4 4.2 3.6 5 4 4.2 3.6 50 40")
    some = read_nep(path, {"Si", "Ge"})
    assert some.species == ("Ge", "Si") and equal(some, read_nep(path).among(SPECIES))
    assert some.switching.max() == 4.2
    with pytest.raises(InputError, match="material.structure = P: the potential knows only C, Ge, O, Si"):
        read_nep(path, {"Si", "P"})


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "nep.txt"
    with path.open("wb") as file:
        file.truncate(20_000_000_000)
    with pytest.raises(InputError, match="has 20000 MB, more than the 64 of a file of parameters"):
        read_nep(path)


# Where its parts end.


def test_every_end_of_a_part(potential: NepPotential) -> None:
    found = radii_of(potential)
    assert set(found) == {("Ge", "Ge"), ("Ge", "Si"), ("Si", "Si")}
    for radii in found.values():
        assert list(radii) == [1.2, 2.6, 3.4, 4.2]
        assert list(radii.values())[2:] == ["angular cutoff", "radial cutoff"]
    assert radius_table(potential).shape == (2, 2, 4)


def test_ends_at_one_radius_are_one(tmp_path: Path) -> None:
    path = write_nep(tmp_path / "nep.txt", cutoff="5 5 50 40", l_max="3 0 0")
    assert radii_of(read_nep(path))["Si", "Si"] == {5.0: "angular cutoff and radial cutoff"}
    path = write_nep(tmp_path / "nep.txt", cutoff="5 4 50 40", l_max="0 0 0")
    assert radii_of(read_nep(path))["Si", "Si"] == {5.0: "radial cutoff"}


def test_a_jump_at_the_angular_cutoff_is_that_of_the_exact_hessian(tmp_path: Path) -> None:
    """A pair brought to 3.4 Angstrom, the curvature of the energy on either side by automatic differentiation."""
    potential = read_nep(write_nep(tmp_path / "nep.txt", cutoff=CUTOFF, l_max="2 0 0", polynomials=(3, 2)))
    ask = site_subject(potential).energy_and_forces
    cluster, curvatures = bonded_pair(("Si", "Si"), 3.4), []
    (kink,) = (
        kink
        for kink in measure_kinks(ask, cluster, cluster, radii_of(potential), 0.03, Noise(1e-13, 1e-13))
        if kink.radius == 3.4
    )
    for gap in (-1e-7, 1e-7):
        moved = cluster.copy()
        moved.positions[1] += gap * DIRECTION
        hessian = second_order(potential, moved.positions, graph_of(moved, potential)).matrix.toarray()
        curvatures.append(DIRECTION @ hessian[3:6, 3:6] @ DIRECTION)
    assert kink.part == "angular cutoff" and kink.pairs == 1
    assert kink.curvature_jump == pytest.approx(abs(curvatures[1] - curvatures[0]), rel=1e-3)
    assert kink.curvature_jump > 0.005 and kink.force_jump < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pair"), [("C_2024_NEP4.txt", ("C", "C")), ("PbTe_nep3.txt", ("Pb", "Te"))])
def test_published_models_jump_at_their_angular_cutoff(shared_data: Path, name: str, pair: tuple[str, str]) -> None:
    """Some 0.05 to 0.5 eV/Angstrom^2 at 4 Angstrom, depending on what is around."""
    path = shared_data / "nep" / name
    if not path.is_file():
        pytest.skip(f"{name} is not among the reference data")
    potential, cluster = read_nep(path, set(pair)), bonded_pair(pair, 4.0)
    radii = {pair: radii_of(potential)[pair]}
    kinks = measure_kinks(site_subject(potential).energy_and_forces, cluster, cluster, radii, 0.03, Noise(1e-12, 1e-12))
    jumps = {(kink.radius, kink.part): kink.curvature_jump for kink in kinks}
    assert 0.05 < jumps[4.0, "angular cutoff"] < 0.6
    assert len(jumps) == 2 and min(jumps.values()) > 1e-3


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
