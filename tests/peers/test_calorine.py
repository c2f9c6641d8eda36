"""NEP against calorine, which runs the original implementation: energies, forces, virials per atom, heat flux."""

from __future__ import annotations

import contextlib
import functools
import io
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from nep_models import rattled_silicon, write_nep

from ldmd.dynamics.integrate import maxwell_velocities
from ldmd.force_constants.sites import part_of
from ldmd.potentials.base import (
    assemble_forces,
    edge_gradients,
    edge_vectors,
    heat_flux,
)
from ldmd.potentials.nep import NepPotential, read_nep
from ldmd.structures import SiteBlock, neighbour_graph
from ldmd.units import FORCE_TO_ACCELERATION

pytestmark = pytest.mark.peers
AGREEMENT = 1e-11


def their_results(atoms: Atoms, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Site energies (N,), forces (N, 3), virials W_j (N, 3, 3) of the original implementation; nep3 and nep5 too."""
    nepy = pytest.importorskip("_nepy", reason="calorine is not installed")
    with contextlib.redirect_stdout(io.StringIO()):
        original = nepy.NEPY(
            str(path),
            len(atoms),
            atoms.cell.array.T.ravel().tolist(),
            atoms.get_chemical_symbols(),
            atoms.positions.T.ravel().tolist(),
            atoms.get_masses().tolist(),
        )
        energies, forces, virials = original.get_potential_forces_and_virials()
    size = len(atoms)
    return (
        np.array(energies),
        np.array(forces).reshape(3, size).T,
        np.array(virials).reshape(3, 3, size).transpose(2, 0, 1),
    )


@functools.partial(jax.jit, static_argnums=0)
def slopes_of_sites(function, edges, parameters) -> tuple:  # type: ignore[no-untyped-def]
    """Compiled once for all species that come in equal numbers, and for all models of equal form."""
    (sites,), (gradients,) = edge_gradients(function, (edges,), (parameters,))
    return sites, gradients


def slopes_of_block(potential: NepPotential, block: SiteBlock, edges: np.ndarray, size: int) -> list[np.ndarray]:
    """Site energies and edge gradients, ``size`` sites at a time."""
    parts = []
    for which in np.arange(len(block.centres)).reshape(-1, size):
        parameters = potential.parameters(part_of(block, which))
        parts.append(slopes_of_sites(potential.site_energies, edges[:, :, which], parameters))
    return [np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)]


@jax.jit
def assembled(sites, edges, gradients, velocities, masses, graph) -> tuple:  # type: ignore[no-untyped-def]
    """Site energies, forces, virial, both fluxes."""
    virial = -sum(jnp.einsum("amn,bmn->ab", e, g) for e, g in zip(edges, gradients, strict=True))
    fluxes = heat_flux(sites, edges, gradients, velocities, masses, graph)
    return jnp.concatenate(sites)[graph.order], assemble_forces(gradients, graph), virial, fluxes


def assert_same(atoms: Atoms, path: Path, potential: NepPotential | None = None) -> None:
    """Everything within 1e-11 of its largest component, the flux from their virials and our velocities included."""
    energies, forces, virials = their_results(atoms, path)
    ours = potential or read_nep(path)
    graph = neighbour_graph(atoms, ours.species, ours.switching)
    graph = neighbour_graph(atoms, ours.species, ours.switching, slots=(max(graph.slots),) * len(graph.blocks))
    masses = atoms.get_masses()
    velocities = maxwell_velocities(masses, 300.0, np.random.default_rng(2))
    size = math.gcd(*(len(block.centres) for block in graph.blocks))
    edges = tuple(map(np.asarray, edge_vectors(jnp.asarray(atoms.positions), graph)))
    found = (slopes_of_block(ours, block, vectors, size) for block, vectors in zip(graph.blocks, edges, strict=True))
    sites, gradients = zip(*found, strict=True)
    site, our_forces, virial, (potential_flux, kinetic_flux) = assembled(
        sites, edges, gradients, velocities, masses, graph
    )
    kinetic = 0.5 * masses * np.sum(velocities**2, axis=1) / FORCE_TO_ACCELERATION
    close(site, energies)
    close(our_forces, forces)
    close(virial, virials.sum(axis=0))
    close(potential_flux, np.einsum("nab,nb->a", virials, velocities))
    close(kinetic_flux, (energies + kinetic) @ velocities)


def close(ours: object, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=AGREEMENT * np.abs(theirs).max())


@pytest.mark.parametrize("name", ["Si_2022_NEP4_3body.txt", "Si_2022_NEP4_5body.txt"])
def test_silicon(shared_data: Path, name: str) -> None:
    assert_same(rattled_silicon(), shared_data / "nep" / name)


def test_magnesium_antimonide_bismuthide(shared_data: Path) -> None:
    atoms = bulk("Mg", "fcc", a=6.4, cubic=True).repeat(2)
    atoms.symbols = np.random.default_rng(0).permutation(np.repeat(["Mg", "Mg", "Sb", "Bi"], len(atoms) // 4))
    atoms.rattle(0.2, seed=3)
    assert_same(atoms, shared_data / "nep" / "MgSbBi_nep4.txt")


def test_lithium_thiophosphate(shared_data: Path) -> None:
    """One eighth of the published structure, which is made of eight equal cells, rattled."""
    path = shared_data / "li3ps4" / "alpha_6144.xyz"
    whole = read(path)
    places = np.round(whole.get_scaled_positions() * 2.0 % 1.0, 5) % 1.0
    _, first = np.unique(np.round(places * 1e5).astype(int), axis=0, return_index=True)
    atoms = whole[np.sort(first)]
    atoms.set_cell(0.5 * whole.cell.array)
    assert len(atoms) == 768
    atoms.rattle(0.1, seed=4)
    assert_same(atoms, shared_data / "li3ps4" / "nepA.txt")


TWO = ("Si", "Ge")


def little_cell(species: tuple[str, ...] = ("Si",)) -> Atoms:
    """As many atoms of one species as of the other."""
    atoms = rattled_silicon(repeats=2)
    atoms.symbols = np.random.default_rng(8).permutation(np.repeat(species, len(atoms) // len(species)))
    return atoms


MODELS = {
    "three-body": {"l_max": "3 0 0"},
    "radial": {"l_max": "0 0 0"},
    "up to l = 8": {"l_max": "8 2 0", "species": TWO, "polynomials": (1, 1)},
    "flags": {"l_max": "2 1 1 0", "species": TWO},
    "few polynomials": {"polynomials": (0, 1), "species": TWO},
    "cutoff of each species": {"cutoff": "5 4 4.2 3.6 50 40", "species": TWO},
    "bias of each species": {"kind": "nep5", "species": TWO},
    "zbl": {"kind": "nep4_zbl", "zbl": "1.5 3", "species": TWO},
    "typewise zbl": {"kind": "nep4_zbl", "zbl": "1.5 3.5 1.0", "species": TWO},
    "flexible zbl": {
        "kind": "nep5_zbl",
        "zbl": "0 0",
        "species": TWO,
        "flexible": [0.5, 3.1, 0.2, 0.3, 0.5, 0.09, 0.3, 0.04, 0.1, 0.2]
        + [0.6, 3.3, 0.3, 0.3, 0.4, 0.09, 0.3, 0.05, 0.1, 0.2]
        + [1.0, 3.5, 0.1, 0.2, 0.5, 0.08, 0.2, 0.04, 0.2, 0.3],
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model(tmp_path: Path, name: str) -> None:
    species = MODELS[name].get("species", ("Si",))
    assert_same(little_cell(species), write_nep(tmp_path / "nep.txt", **MODELS[name]))


def test_nep3_of_one_element(tmp_path: Path) -> None:
    assert_same(little_cell(), write_nep(tmp_path / "nep.txt", kind="nep3", **MODELS["three-body"]))


@pytest.mark.parametrize("kind", ["nep3", "nep3_zbl"])
def test_nep3_of_several_elements(tmp_path: Path, kind: str) -> None:
    """One network for all of them."""
    zbl = "1.5 3" if kind == "nep3_zbl" else ""
    assert_same(little_cell(TWO), write_nep(tmp_path / "nep.txt", kind, TWO, zbl=zbl))


@pytest.mark.parametrize(
    ("name", "species", "lattice"), [("PbTe_nep3.txt", ("Te", "Pb"), 6.5), ("Al_nep3.txt", ("Al",), 4.05)]
)
def test_published_nep3(shared_data: Path, name: str, species: tuple[str, ...], lattice: float) -> None:
    path = shared_data / "nep" / name
    if not path.is_file():
        pytest.skip(f"{name} is not among the reference data")
    atoms = bulk("NaCl", "rocksalt", a=lattice, cubic=True).repeat(2)
    atoms.symbols = np.random.default_rng(0).permutation(np.resize(species, len(atoms)))
    atoms.rattle(0.15, seed=1)
    assert_same(atoms, path)


def test_some_species_of_a_model(tmp_path: Path) -> None:
    path = write_nep(tmp_path / "nep.txt", kind="nep5_zbl", zbl="1.5 3", species=("C", "Ge", "O", "Si"))
    few = read_nep(path).among(TWO)
    assert few.species == ("Ge", "Si")
    assert_same(little_cell(TWO), path, few)
