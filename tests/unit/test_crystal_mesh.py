"""Transport on a mesh: the kernels' limits, storage, extrapolation, the mesh of a supercell; no other program."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldmd import netcdf
from ldmd.crystal.convergence import (
    MeshConvergence,
    commensurate,
    commensurate_grid,
    infinite_mesh,
    mesh_convergence,
)
from ldmd.crystal.force_constants import primitive_of, supercell_of
from ldmd.crystal.ledger import infinite, lattice_steps
from ldmd.crystal.mesh import (
    KERNELS,
    Bands,
    DirectSolution,
    Grid,
    MeshConductivity,
    MeshLinewidths,
    MeshSettings,
    band_pairs,
    mesh_checks,
    shared_by_degenerate,
    transport,
)
from ldmd.errors import InputError
from ldmd.lattice.statistics import BoseEinstein, Classical
from ldmd.units import BOLTZMANN, CONDUCTIVITY

QUANTUM_TO_CLASSICAL = ("bose-einstein", "classical")


def some_bands(generator: np.random.Generator) -> Bands:
    """Two wave vectors, six bands, none degenerate, one translation."""
    frequencies = np.sort(generator.uniform(5.0, 90.0, (2, 6)), axis=1)
    frequencies[0, 0] = 0.0
    velocity = generator.normal(size=(2, 6, 6, 3)) + 1j * generator.normal(size=(2, 6, 6, 3))
    velocity = velocity + velocity.conj().transpose(0, 2, 1, 3)
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    strengths = np.stack([(velocity[..., a] * velocity[..., b].conj()).real for a, b in pairs], axis=-1)
    return Bands(
        grid=np.diag([1, 1, 3]),
        q_points=np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1 / 3]]),
        weights=np.array([1, 2]),
        frequencies=frequencies,
        velocities=np.einsum("qmma->qma", velocity).real.copy(),
        squares=np.einsum("qmmv->qmv", strengths).copy(),
        strengths=strengths,
        volume=40.0,
    )


@pytest.fixture(scope="module")
def bands() -> Bands:
    return some_bands(np.random.default_rng(1))


@pytest.fixture(scope="module")
def gamma() -> np.ndarray:
    return np.random.default_rng(2).uniform(0.05, 2.0, (2, 6))


@pytest.fixture(scope="module")
def result(bands: Bands, gamma: np.ndarray) -> MeshConductivity:
    widths = MeshLinewidths(
        temperatures=np.array([300.0]),
        statistics=QUANTUM_TO_CLASSICAL,
        gamma=np.stack([gamma, 1.2 * gamma])[None],
        isotopes=0.1 * gamma,
    )
    direct = DirectSolution(kappa=np.tile(np.eye(3), (1, 2, 1, 1)), per_mode=np.ones((1, 2, 2, 6)))
    return transport(bands, widths, "none", direct=direct)


def test_relaxation_times_written_out(bands: Bands, gamma: np.ndarray) -> None:
    """k_B v v / 2 gamma over the whole mesh, the translation left out."""
    found = band_pairs(bands, gamma, Classical(), 300.0).intraband.sum(axis=(0, 1))
    terms = bands.weights[:, None] * BOLTZMANN / (2.0 * gamma) * bands.vibrating
    expected = np.einsum("qm,qma,qmb->ab", terms, bands.velocities, bands.velocities) * CONDUCTIVITY / (3 * 40.0)
    np.testing.assert_allclose(found, expected[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], rtol=1e-12)


def test_classically_wigner_is_qhgk(bands: Bands, gamma: np.ndarray) -> None:
    def interband(kernel: str, hot: bool) -> np.ndarray:
        statistics = Classical() if hot else BoseEinstein()
        return band_pairs(bands, gamma, statistics, 50.0, kernel).interband  # type: ignore[arg-type]

    np.testing.assert_allclose(interband("wigner", True), interband("qhgk", True), rtol=1e-12)
    difference = np.abs(interband("wigner", False) - interband("qhgk", False)).max()
    assert difference > 1e-4 * np.abs(interband("qhgk", False)).max()
    assert np.all(interband("njc23", True)[..., :3] >= interband("qhgk", True)[..., :3])


def test_kernels_meet_where_bands_are_degenerate() -> None:
    some = some_bands(np.random.default_rng(3))
    frequencies = some.frequencies.copy()
    frequencies[:, 1:] = 40.0 + 1e-5 * np.arange(5)
    some = dataclasses.replace(some, frequencies=frequencies)
    gamma = np.full((2, 6), 0.3)
    parts = [band_pairs(some, gamma, BoseEinstein(), 200.0, kernel) for kernel in KERNELS]
    for other in parts[1:]:
        np.testing.assert_allclose(other.degenerate[:, 1:], parts[0].degenerate[:, 1:], rtol=1e-6)
    assert np.abs(parts[0].degenerate).max() > 0.0


def test_narrow_lines_leave_relaxation_times(bands: Bands, gamma: np.ndarray) -> None:
    """No bands are degenerate here: the interband part goes as gamma, the other as 1 / gamma."""
    wide, narrow = (band_pairs(bands, scale * gamma, BoseEinstein(), 300.0) for scale in (1e-3, 1e-4))
    np.testing.assert_allclose(narrow.intraband, 10.0 * wide.intraband, rtol=1e-12)
    np.testing.assert_allclose(narrow.interband, 0.1 * wide.interband, rtol=1e-3, atol=1e-9)
    assert np.abs(narrow.degenerate).max() == 0.0


def test_heat_capacity_becomes_classical(bands: Bands, gamma: np.ndarray) -> None:
    quantum, classical = (band_pairs(bands, gamma, statistics, 1e5) for statistics in (BoseEinstein(), Classical()))
    np.testing.assert_allclose(quantum.interband, classical.interband, rtol=1e-5)
    np.testing.assert_allclose(quantum.intraband, classical.intraband, rtol=1e-5)


def test_modes_that_carry_no_heat_are_reported(bands: Bands, gamma: np.ndarray) -> None:
    frequencies = bands.frequencies.copy()
    frequencies[1, 0] = -3.0
    few = gamma.copy()
    few[1, 3] = 1e-300
    widths = MeshLinewidths(
        temperatures=np.array([300.0]),
        statistics=("classical",),
        gamma=few[None, None],
        isotopes=np.zeros_like(few),
    )
    unstable = dataclasses.replace(bands, frequencies=frequencies)
    assert [check.value for check in mesh_checks(unstable, widths)] == [2.0, 2.0]
    found = transport(unstable, widths, "none")
    assert np.all(np.isfinite(found.tensor())) and found.per_mode[0, 0, 1, 3] == 0.0 == found.per_mode[0, 0, 1, 0]


def test_parts_add_up(result: MeshConductivity) -> None:
    for s, name in enumerate(QUANTUM_TO_CLASSICAL):
        assert result.per_mode[0, s].sum() == pytest.approx(result.isotropic(300.0, name, "relaxation time"))
        assert result.per_mode_interband[0, s].sum() == pytest.approx(result.isotropic(300.0, name, "interband"))
        assert result.isotropic(300.0, name, "interband") > 0.0
    expected = result.relaxation_time + result.interband[0]
    np.testing.assert_allclose(result.tensor(), expected, rtol=1e-14)
    np.testing.assert_allclose(result.tensor("direct total") - result.tensor("interband"), result.tensor("direct"))
    with pytest.raises(InputError, match="choose from"):
        dataclasses.replace(result, direct=None).tensor("direct")


def test_isotopes_scatter(bands: Bands, result: MeshConductivity) -> None:
    widths = MeshLinewidths(
        temperatures=result.temperatures,
        statistics=result.statistics,
        gamma=result.gamma,
        isotopes=np.zeros_like(result.isotopes),
    )
    clean = transport(bands, widths, "none")
    np.testing.assert_allclose(result.per_mode[0, 0] * 1.1, clean.per_mode[0, 0], rtol=1e-12)


@pytest.mark.parametrize("kind", ["with", "without"])
def test_results_are_kept(result: MeshConductivity, kind: str) -> None:
    one = result if kind == "with" else dataclasses.replace(result, direct=None)
    again, _ = netcdf.from_bytes(MeshConductivity, netcdf.to_bytes(one, {}))
    np.testing.assert_array_equal(again.tensor(), one.tensor())
    assert (again.direct is None) == (one.direct is None)
    assert again.smearing is None and again.statistics == one.statistics


def test_degenerate_modes_share_a_linewidth() -> None:
    frequencies = np.array([[1.0, 3.0, 1.0 + 1e-6, 5.0]])
    values = np.array([[[2.0, 7.0, 4.0, 1.0]]])
    np.testing.assert_allclose(shared_by_degenerate(frequencies, values), [[[3.0, 7.0, 3.0, 1.0]]])


@pytest.mark.parametrize(
    "change",
    [{"grid": (0, 3, 3)}, {"temperatures": ()}, {"temperatures": (0.0,)}, {"smearing": 0.0}, {"statistics": ("x",)}],
)
def test_refused_settings(change: dict) -> None:
    with pytest.raises(InputError):
        MeshSettings(**({"grid": (3, 3, 3), "temperatures": (300.0,)} | change))


def on_mesh(result: MeshConductivity, divisions: int, kappa: np.ndarray) -> MeshConductivity:
    """The result as if it were of another mesh, with tensors kappa (2,) times the unit matrix."""
    tensor = (kappa[:, None, None] * np.eye(3))[None]
    return dataclasses.replace(result, weights=np.array([divisions**3]), relaxation_time=tensor)


def test_extrapolation(result: MeshConductivity) -> None:
    divisions = (15, 7, 9, 11)
    exact = [on_mesh(result, n, np.array([140.0 - 300.0 / n, 120.0 - 200.0 / n])) for n in divisions]
    found = mesh_convergence(exact)
    np.testing.assert_allclose(found.limit, [[140.0, 120.0]])
    np.testing.assert_array_equal(found.wave_vectors, sorted(n**3 for n in divisions))
    assert found.error.min() > 1.0, "another power gives another limit"
    curved = [on_mesh(result, n, np.array([140.0 - 300.0 / n - 400.0 / n**2, 120.0])) for n in divisions]
    bent = mesh_convergence(curved)
    assert abs(bent.limit[0, 0] - 140.0) < bent.error[0, 0] and bent.error[0, 1] < 1e-9
    assert bent.checks[1].passed and not mesh_convergence(exact[:3]).checks[0].passed
    again, _ = netcdf.from_bytes(MeshConvergence, netcdf.to_bytes(bent, {}))
    np.testing.assert_array_equal(again.limit, bent.limit)


def test_a_limit_that_cannot_be_is_that_of_the_finest_mesh(result: MeshConductivity) -> None:
    """Meshes so coarse that the line through them ends below zero; the ledger of such meshes is one of the finest."""
    coarse = [on_mesh(result, n, np.array([9.0 * (1.0 - 2.6 / n), 20.0 - 1.0 / n])) for n in (3, 4, 5)]
    straight, _ = infinite_mesh(np.array([27, 64, 125]), np.array([5.0, 1.0, 0.5]))
    assert straight < 0.0
    falling = [on_mesh(result, n, np.array([value, 20.0])) for n, value in ((3, 5.0), (4, 1.0), (5, 0.5))]
    found = mesh_convergence(falling)
    assert found.limit[0, 0] == 0.5 and found.limit[0, 1] == pytest.approx(20.0)
    assert found.error[0, 0] == pytest.approx(0.5 - float(straight))
    assert not found.checks[0].passed and found.checks[1].passed
    assert mesh_convergence(coarse).limit[0, 0] == pytest.approx(9.0)
    falling = [dataclasses.replace(mesh, direct=None) for mesh in falling]
    between = falling[-1].isotropic(300.0, "bose-einstein", "interband")
    assert dict(infinite(falling, 300.0))["bose-einstein"].value == pytest.approx(0.5 + between)
    box = on_mesh(falling[0], 2, np.array([0.1, 0.2]))
    steps = lattice_steps(falling, box, 300.0)
    assert steps.relaxation_times.value == 0.5 and steps.relaxation_times.standard_error > 0.5
    total = steps.relaxation_times.value + sum(step.value for step in steps.steps)
    assert total == pytest.approx(steps.classical), "the ledger still leads from one to the other"


def test_meshes_that_cannot_be_extrapolated(result: MeshConductivity) -> None:
    three = [on_mesh(result, n, np.ones(2)) for n in (5, 7, 7)]
    with pytest.raises(InputError, match="at least three"):
        mesh_convergence(three)
    other = dataclasses.replace(on_mesh(result, 9, np.ones(2)), temperatures=np.array([301.0]))
    with pytest.raises(InputError, match="the same to all"):
        mesh_convergence([*three[:2], other])


def test_mesh_of_a_supercell() -> None:
    unit = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    unit.positions += 0.37
    primitive = primitive_of(unit)
    assert len(primitive) == 2
    matrix = np.array(commensurate_grid(primitive, 1.004 * 3 * unit.cell.array))
    same = matrix @ primitive.cell.array @ np.linalg.inv(3 * unit.cell.array)
    np.testing.assert_allclose(same, np.rint(same), atol=1e-9)
    assert round(abs(np.linalg.det(matrix))) == 4 * 27
    box = supercell_of(primitive, (2, 3, 4)).atoms
    assert commensurate_grid(primitive, box.cell.array) == (2, 3, 4)
    with pytest.raises(InputError, match="supercell"):
        commensurate_grid(primitive, 3.3 * unit.cell.array)
    seen: list[MeshSettings] = []

    def solve(settings: MeshSettings) -> MeshConductivity:
        seen.append(settings)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commensurate(solve, primitive, box.cell.array, [300.0])
    assert seen[0].grid == (2, 3, 4) and seen[0].statistics == ("classical",) and seen[0].direct


def test_masses_make_sites_differ() -> None:
    unit = bulk("Si", cubic=True)
    assert len(primitive_of(unit)) == 2
    masses = unit.get_masses()
    masses[0] += 1.0
    unit.set_masses(masses)
    assert len(primitive_of(unit)) == 8


def test_supercells() -> None:
    primitive: Atoms = bulk("Si", a=5.43)
    cubic: Grid = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    assert len(supercell_of(primitive, cubic).atoms) == 8
    with pytest.raises(InputError, match="3 x 3"):
        supercell_of(primitive, (1, 2))
