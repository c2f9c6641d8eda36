"""Properties of crystals: Stillinger-Weber silicon against published numbers, and every number by a second route."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation
from spring_crystal import primitive_cell, springs

from ldmd.crystal.debye import debye_temperature, from_lowest_frequencies, from_second_moment
from ldmd.crystal.dispersion import Bands, DensityOfStates, bands, density_of_states
from ldmd.crystal.elasticity import (
    VOIGT,
    ElasticConstants,
    elastic_constants,
    elastic_constants_by_strain,
    relaxed_stress,
)
from ldmd.crystal.equation_of_state import bulk_modulus_check, fit, murnaghan, relaxed_energy, scan
from ldmd.crystal.grueneisen import from_third_order, from_three_volumes, internal_response
from ldmd.crystal.harmonic import COULOMB, Polarity, force_constants_of, mesh_modes, phonopy_of
from ldmd.crystal.mean_square_displacement import mean_square_displacement
from ldmd.errors import InputError
from ldmd.force_constants.autodiff import second_order
from ldmd.force_constants.exchange.constants import Elements, ForceConstants, of_supercell, second_blocks
from ldmd.force_constants.exchange.supercell import matched, repeated
from ldmd.force_constants.second import SecondOrder
from ldmd.lattice.modes import normal_modes
from ldmd.lattice.statistics import BoseEinstein, Classical
from ldmd.netcdf import from_bytes, to_bytes
from ldmd.potentials.stillinger_weber import StillingerWeber, read_stillinger_weber
from ldmd.relaxation import relax
from ldmd.report.dispersion_figure import dispersion
from ldmd.structures import neighbour_graph
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, GPA, HBAR, THZ

pytest.importorskip("phonopy")

SILICON = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333333333 7.049556277 0.6022245584 4.0 0.0 0.0"
"""Stillinger and Weber, Phys. Rev. B 31, 5262 (1985), table I."""
LATTICE = 4.0 / np.sqrt(3.0) * 2.0 ** (1.0 / 6.0) * 2.0951
"""Angstrom: bonds at the minimum of the pair term."""
C11, C12, C44 = 151.4, 76.4, 56.4
"""GPa: E. R. Cowley, Phys. Rev. Lett. 60, 2379 (1988)."""
MESH = (6, 6, 6)


@pytest.fixture(scope="module")
def potential(tmp_path_factory: pytest.TempPathFactory) -> StillingerWeber:
    path = tmp_path_factory.mktemp("silicon") / "Si.sw"
    path.write_text(SILICON)
    return read_stillinger_weber(path)


@pytest.fixture(scope="module")
def elastic(potential: StillingerWeber) -> ElasticConstants:
    return elastic_constants(diamond(), potential)


@pytest.fixture(scope="module")
def silicon(potential: StillingerWeber) -> ForceConstants:
    return constants_of(diamond(), potential, third=True)


@pytest.fixture(scope="module")
def density(silicon: ForceConstants) -> DensityOfStates:
    return density_of_states(silicon, (24, 24, 24))


@pytest.fixture(scope="module")
def compound() -> ForceConstants:
    """A triclinic crystal of two species in a supercell of odd shape, its atoms in no order."""
    supercell = repeated(primitive_cell(), (3, 2, 2), "sites").atoms
    sheared = supercell.copy()
    sheared.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ supercell.cell.array)
    shuffled = sheared[np.random.default_rng(2).permutation(len(sheared))]
    return of_supercell(matched(primitive_cell(), shuffled), springs(shuffled, 3.0)[0])


def diamond(stretch: float = 0.0) -> Atoms:
    return bulk("Si", a=LATTICE * (1.0 + stretch))


def constants_of(primitive: Atoms, potential: StillingerWeber, third: bool = False) -> ForceConstants:
    """In 54 atoms, wide enough for all that interacts; the third order by differences of the exact second."""
    supercell = repeated(primitive, (3, 3, 3), "sites")

    def second(positions: np.ndarray) -> SecondOrder:
        atoms = supercell.atoms.copy()
        atoms.positions = positions
        graph = neighbour_graph(atoms, potential.species, potential.switching)
        return second_order(potential, positions, graph)

    rest = supercell.atoms.positions
    constants = of_supercell(supercell, second(rest))
    if not third:
        return constants
    step, indices, values = 1e-3, [], []
    for site, axis in np.ndindex(2, 3):
        move = np.zeros_like(rest)
        move[supercell.home[site], axis] = step
        slope = ((second(rest + move).matrix - second(rest - move).matrix) / (2.0 * step)).tocoo()
        indices.append(np.stack([np.full(slope.nnz, 3 * site + axis), *slope.coords]))
        values.append(slope.data)
    return dataclasses.replace(constants, third=Elements(np.concatenate(indices, axis=1), np.concatenate(values)))


def stored(result: object) -> object:
    return from_bytes(type(result), to_bytes(result, {}))[0]


# Bands and the density of states.


def test_the_mesh_of_a_supercell_has_the_modes_of_the_supercell(compound: ForceConstants) -> None:
    """Any order of atoms, any shape: the wave vectors that fit the supercell have its modes at Gamma, all of them."""
    expected = normal_modes(compound.second_order(), compound.supercell.atoms.get_masses()).frequencies
    matrix = compound.supercell.matrix
    box = np.indices((12, 12, 12)).reshape(3, -1).T @ np.linalg.inv(matrix).T
    fitting = np.unique(np.round(box % 1.0, 9) % 1.0, axis=0)
    assert len(fitting) == compound.supercell.copies == 12
    crystal = phonopy_of(compound)
    found = np.sort(np.ravel(crystal.run_qpoints(fitting).frequencies)) * THZ
    np.testing.assert_allclose(found[3:], expected[3:], rtol=1e-6)
    np.testing.assert_allclose(found[:3], 0.0, atol=1e-2)


def test_dense_blocks_are_force_constants(compound: ForceConstants) -> None:
    supercell = compound.supercell
    blocks = second_blocks(compound, full=True)
    again = force_constants_of(supercell.primitive, supercell.matrix, blocks, supercell.atoms)
    np.testing.assert_allclose((again.second - compound.second).toarray(), 0.0, atol=1e-12)
    with pytest.raises(InputError, match="order"):
        force_constants_of(supercell.primitive, supercell.matrix, blocks)
    box = repeated(primitive_cell(), (3, 2, 2), "sites")
    boxed = force_constants_of(box.primitive, np.array([3, 2, 2]), second_blocks(compound.in_order_of(box), full=True))
    np.testing.assert_array_equal(boxed.supercell.matrix, np.diag([3, 2, 2]))


def test_bands_of_silicon(silicon: ForceConstants, elastic: ElasticConstants) -> None:
    """The path of the face-centred lattice; near Gamma the bands have the speeds of sound of the elastic constants."""
    found = bands(silicon, points=101)
    assert [name for _, name in found.ticks] == ["Γ", "X", "W", "K", "Γ", "L", "U", "W", "L", "K|U", "X"]
    assert found.ends[0, 1] == pytest.approx(2.0 * np.pi / LATTICE, rel=1e-9)
    assert found.frequencies.shape == (len(found.distances), 6) == (len(found.segment), 6)
    np.testing.assert_allclose(found.frequencies[0, :3], 0.0, atol=1e-3)
    assert np.ptp(found.frequencies[0, 3:]) < 1e-5
    speeds = found.frequencies[2, :3] / found.distances[2]
    np.testing.assert_allclose(speeds, elastic.speeds(np.array([[1.0, 0.0, 0.0]]))[0], rtol=1e-3)
    again = stored(found)
    assert isinstance(again, Bands) and again.ticks == found.ticks
    assert bands(silicon, points=3, path="XG").ticks[0][1] == "X"
    with pytest.raises(InputError, match="path"):
        bands(silicon, path="GQ")


def test_the_density_of_states_counts_every_mode_once(silicon: ForceConstants, compound: ForceConstants) -> None:
    one, two = density_of_states(silicon, (8, 8, 8)), density_of_states(compound, (5, 5, 5))
    for density in (one, two):
        assert np.trapezoid(density.total, density.frequencies) == pytest.approx(1.0, abs=5e-3)
        np.testing.assert_allclose(density.by_species.sum(axis=0), density.total, atol=1e-12)
    assert two.species == ("Si", "O") and two.symbols == ("Si", "O", "Si")
    shares = np.trapezoid(two.by_species, two.frequencies, axis=1)
    np.testing.assert_allclose(shares, [2.0 / 3.0, 1.0 / 3.0], rtol=1e-2)
    assert isinstance(stored(two), DensityOfStates)


def test_longitudinal_and_transverse_modes_of_a_polar_crystal() -> None:
    """w_LO^2 - w_TO^2 = 4 pi e^2 Z^2 / (epsilon V m) with the reduced mass m, in a cubic crystal of two atoms."""
    primitive = bulk("GaAs", "zincblende", a=4.0)
    supercell = repeated(primitive, (2, 2, 2), "sites")
    constants = of_supercell(supercell, springs(supercell.atoms, 3.0)[0])
    charge, dielectric = 1.7, 3.1
    polarity = Polarity(charge * np.array([np.eye(3), -np.eye(3)]), dielectric * np.eye(3))
    found = bands(constants, points=3, path="GX", polarity=polarity).frequencies[0] ** 2
    first, second = primitive.get_masses()
    mass = first * second / (first + second)
    expected = 4.0 * np.pi * COULOMB * charge**2 / (dielectric * primitive.get_volume() * mass) * FORCE_TO_ACCELERATION
    assert found[5] - found[4] == pytest.approx(expected, rel=1e-4)
    assert found[4] == pytest.approx(bands(constants, points=3, path="GX").frequencies[0, 4] ** 2, rel=1e-4)
    with pytest.raises(InputError, match="Born"):
        phonopy_of(constants, dataclasses.replace(polarity, born_charges=np.eye(3)))


def test_the_figure_of_the_bands(silicon: ForceConstants, compound: ForceConstants) -> None:
    figure = dispersion(bands(compound, points=9), density_of_states(compound, (4, 4, 4), points=50))
    assert "Γ" in figure.svg and "THz" in figure.svg and ">O<" in figure.svg
    assert "density of states of O [1/THz]" in figure.csv.splitlines()[0]
    assert len(dict(figure.columns)["branch 9 [THz]"]) == len(dict(figure.columns)["segment"])
    alone = dispersion(bands(silicon, points=9))
    assert "density" not in alone.svg and "6 branches" in alone.caption
    assert alone.svg == dispersion(bands(silicon, points=9)).svg


# Grueneisen parameters.


def test_grueneisen_parameters_by_two_routes(silicon: ForceConstants, potential: StillingerWeber) -> None:
    step = 2e-3
    stretched = [constants_of(diamond(sign * step), potential) for sign in (1, -1)]
    one, two = from_third_order(silicon, silicon, MESH), from_three_volumes(silicon, *stretched, MESH)
    assert np.isnan(one.parameters[0, :3]).all() and np.isnan(one.parameters).sum() == 3
    np.testing.assert_allclose(one.parameters, two.parameters, atol=2e-4)
    assert one.weights.sum() == np.prod(MESH)
    # the optical mode at Gamma: w(V) itself
    optical = [phonopy_of(each).run_qpoints([[0.0, 0.0, 0.0]]).frequencies[0, 5] for each in stretched]
    assert one.parameters[0, 5] == pytest.approx(-np.log(optical[0] / optical[1]) / (6.0 * step), rel=1e-3)
    assert one.parameters[0, 5] > 0.0  # a compressed bond is stiffer
    for kind in (Classical(), BoseEinstein()):
        plain = np.nansum(one.parameters * one.weights[:, None]) / (6 * one.weights.sum() - 3)
        assert one.mean(kind, 5000.0) == pytest.approx(plain, rel=1e-2)
    assert stored(one).route == "third order"
    with pytest.raises(InputError, match="volume"):
        from_three_volumes(silicon, *stretched[::-1], MESH)
    with pytest.raises(InputError, match="order"):
        from_third_order(stretched[0], stretched[0], MESH)


def test_derivatives_of_forces_reverse_every_grueneisen_parameter(silicon: ForceConstants) -> None:
    """LAMMPS lists dF2, which is minus Phi3: unnoticed it would turn thermal expansion into contraction."""
    assert silicon.third is not None
    turned = dataclasses.replace(silicon.third, values=-silicon.third.values)
    right, wrong = (
        from_third_order(each, each, (3, 3, 3)) for each in (silicon, dataclasses.replace(silicon, third=turned))
    )
    np.testing.assert_allclose(wrong.parameters, -right.parameters, rtol=1e-9)


def test_atoms_that_are_free_to_move_do_so_as_the_crystal_dilates(potential: StillingerWeber) -> None:
    """Diamond sheared along [111] is no longer fixed by symmetry: both routes let the bond find its length."""
    shear = np.eye(3) + 0.005 * np.array([[0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])

    def crystal(stretch: float) -> Atoms:
        atoms = diamond()
        atoms.set_cell(atoms.cell.array @ shear * (1.0 + stretch), scale_atoms=True)
        return relax(atoms, potential)

    step = 2e-3
    centre = constants_of(crystal(0.0), potential, third=True)
    larger, smaller = (crystal(sign * step) for sign in (1, -1))
    fractional = larger.get_scaled_positions() - smaller.get_scaled_positions()
    moved = fractional @ centre.supercell.primitive.cell.array / (2.0 * step)
    response = internal_response(centre)
    assert abs(response[0, 0]) > 5e-3
    np.testing.assert_allclose(response - response.mean(axis=0), moved - moved.mean(axis=0), atol=5e-5)
    ends = [constants_of(each, potential) for each in (larger, smaller)]
    one, two = from_third_order(centre, centre, (3, 3, 3)), from_three_volumes(centre, *ends, (3, 3, 3))
    np.testing.assert_allclose(one.parameters, two.parameters, atol=2e-4)  # 7e-3 if the atoms stayed


# Mean square displacements.


def test_displacements_on_the_mesh_of_a_supercell_are_those_of_the_supercell() -> None:
    supercell = repeated(primitive_cell(), (2, 2, 2), "cells")
    constants = of_supercell(supercell, springs(supercell.atoms, 3.0)[0])
    temperatures = np.array([20.0, 300.0])
    found = mean_square_displacement(constants, (2, 2, 2), temperatures)
    modes = normal_modes(constants.second_order(), supercell.atoms.get_masses())
    w, shapes = modes.frequencies[modes.vibrating], modes.displacements[:, modes.vibrating].reshape(24, 3, -1)
    for column, temperature in enumerate(temperatures):
        thermal = BOLTZMANN * temperature
        variances = (
            thermal * FORCE_TO_ACCELERATION / w**2,
            HBAR * FORCE_TO_ACCELERATION / (2.0 * w * np.tanh(HBAR * w / (2.0 * thermal))),
        )
        for row, variance in enumerate(variances):
            expected = np.einsum("kam,m,kbm->kab", shapes, variance, shapes)[:3]
            np.testing.assert_allclose(found.tensors[row, column], expected, rtol=1e-5, atol=1e-9)
    assert found.imaginary_modes == 0 and found.symbols == ("Si", "O", "Si")
    assert stored(found).statistics == ("classical", "bose-einstein")


def test_displacements_become_classical_and_agree_with_phonopy(silicon: ForceConstants) -> None:
    """Equipartition: k_B T in every mode; the next term of the quantum sum is (hbar w / k_B T)^2 / 12 of it."""
    temperatures = np.array([100.0, 400.0, 5000.0])
    found = mean_square_displacement(silicon, (4, 4, 4), temperatures)
    classical, quantum = found.per_species["Si"]
    np.testing.assert_allclose(classical / temperatures, classical[0] / temperatures[0], rtol=1e-12)
    assert np.all(quantum > classical) and quantum[-1] == pytest.approx(classical[-1], rel=1e-3)
    np.testing.assert_allclose(found.tensors[..., 0, 0], found.per_atom / 3.0, rtol=1e-6)  # a cubic site
    program = phonopy_of(silicon)
    vectors, frequencies, _ = mesh_modes(program, (4, 4, 4))
    variance = BOLTZMANN * 400.0 * FORCE_TO_ACCELERATION / (frequencies[frequencies > 0.01] * THZ) ** 2
    mass = silicon.supercell.primitive.get_masses()[0]
    assert classical[1] == pytest.approx(variance.sum() / len(vectors) / mass / 2.0, rel=1e-9)
    program.run_thermal_displacements(temperatures=temperatures, freq_min=0.01)
    theirs = np.asarray(program.thermal_displacements.thermal_displacements).reshape(3, 2, 3).sum(axis=2)
    np.testing.assert_allclose(found.per_atom[1], theirs, rtol=1e-5)


# Elastic constants, equation of state, Debye temperature.


def test_elastic_constants_of_silicon_as_published(elastic: ElasticConstants) -> None:
    expected = np.diag([C11] * 3 + [C44] * 3)
    expected[:3, :3] += C12 * (1.0 - np.eye(3))
    np.testing.assert_allclose(elastic.constants, expected, atol=0.06)
    averages = elastic.averages
    assert averages.bulk_voigt == pytest.approx(averages.bulk_reuss, rel=1e-9)
    assert averages.bulk == pytest.approx(101.4, abs=0.05)
    assert averages.shear_voigt == pytest.approx((C11 - C12 + 3.0 * C44) / 5.0, abs=0.05)
    reuss = 5.0 * (C11 - C12) * C44 / (4.0 * C44 + 3.0 * (C11 - C12))
    assert averages.shear_reuss == pytest.approx(reuss, abs=0.05)
    assert all(check.passed for check in elastic.checks)
    assert isinstance(stored(elastic), ElasticConstants)


def test_elastic_constants_by_finite_strains(potential: StillingerWeber, elastic: ElasticConstants) -> None:
    found = elastic_constants_by_strain(diamond(), relaxed_stress(potential))
    np.testing.assert_allclose(found.constants, elastic.constants, atol=0.01)
    squeezed = dataclasses.replace(elastic, stress=-np.eye(3))
    assert [check.passed for check in squeezed.checks] == [False, True]


def test_averages_do_not_depend_on_the_axes(elastic: ElasticConstants) -> None:
    turn = Rotation.random(random_state=3).as_matrix()
    tensor = np.einsum("ai,bj,ck,dl,ijkl->abcd", turn, turn, turn, turn, elastic.tensor, optimize=True)
    turned = np.array([[tensor[a, b, c, d] for c, d in VOIGT] for a, b in VOIGT])
    assert np.abs(turned - elastic.constants).max() > 1.0
    found = dataclasses.replace(elastic, constants=turned)
    for name in ("bulk_voigt", "bulk_reuss", "shear_voigt", "shear_reuss"):
        assert getattr(found.averages, name) == pytest.approx(getattr(elastic.averages, name), rel=1e-9)
    assert found.mean_speed() == pytest.approx(elastic.mean_speed(), rel=1e-6)


def test_anderson_is_exact_where_all_directions_are_equal() -> None:
    bulk_modulus, shear = 90.0, 40.0
    constants = np.diag([2.0 * shear] * 3 + [shear] * 3)
    constants[:3, :3] += bulk_modulus - 2.0 * shear / 3.0
    solid = ElasticConstants(0.05, 1.4, constants, np.zeros((3, 3)))
    assert solid.mean_speed() == pytest.approx(solid.mean_speed_anderson(), rel=1e-9)
    speeds = solid.speeds(np.array([[0.0, 0.6, 0.8]]))[0]
    squares = np.array([shear, shear, bulk_modulus + 4.0 * shear / 3.0]) / GPA * FORCE_TO_ACCELERATION / 1.4
    np.testing.assert_allclose(speeds, np.sqrt(squares), rtol=1e-9)


def test_a_crystal_that_gives_way_has_no_sound_and_a_failed_check() -> None:
    soft = ElasticConstants(0.05, 1.4, np.diag([90.0, 90.0, 90.0, 30.0, 30.0, -1.0]), np.zeros((3, 3)))
    assert math.isnan(soft.mean_speed()) and math.isnan(soft.mean_speed_anderson())
    assert [check.passed for check in soft.checks] == [True, False]


def test_murnaghan_gives_back_what_made_the_energies() -> None:
    volumes = np.linspace(150.0, 172.0, 11)
    energies = murnaghan(volumes, -34.7, 160.2, 0.63, 4.3)
    found = fit(volumes, energies)
    assert found.bulk_modulus.value == pytest.approx(0.63 * GPA, rel=1e-6)
    assert found.volume.value == pytest.approx(160.2, rel=1e-7)
    assert found.energy.value == pytest.approx(-34.7, abs=1e-8)
    assert found.pressure_derivative.value == pytest.approx(4.3, rel=1e-5)
    assert found.volume.trusted
    # pressure and bulk modulus are its derivatives
    step = 1e-3
    low, middle, high = murnaghan(160.2 + step * np.array([-1.0, 0.0, 1.0]), 0.0, 160.2, 0.63, 4.3)
    assert (high - 2.0 * middle + low) / step**2 * 160.2 == pytest.approx(0.63, rel=1e-3)
    with pytest.raises(InputError, match="five"):
        fit(volumes[:4], energies[:4])
    with pytest.raises(InputError, match="minimum"):
        fit(volumes, -energies)
    assert not fit(volumes[5:], murnaghan(volumes[5:], 0.0, 155.0, 0.63, 4.3)).volume.trusted


def test_standard_errors_of_the_fit_are_the_scatter() -> None:
    volumes, generator = np.linspace(150.0, 172.0, 15), np.random.default_rng(8)
    clean = murnaghan(volumes, 0.0, 160.2, 0.63, 4.3)
    found = [fit(volumes, clean + 1e-4 * generator.normal(size=15)) for _ in range(80)]
    for name in ("volume", "energy", "bulk_modulus", "pressure_derivative"):
        values = [getattr(each, name).value for each in found]
        errors = [getattr(each, name).standard_error for each in found]
        assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values), rel=0.3)


def test_bulk_modulus_of_silicon_by_two_routes(potential: StillingerWeber, elastic: ElasticConstants) -> None:
    state = scan(diamond(), relaxed_energy(potential), strain=0.01, points=7)
    assert state.bulk_modulus.value == pytest.approx(101.4, abs=0.1)
    assert state.volume.value == pytest.approx(LATTICE**3 / 4.0, rel=1e-5)
    assert state.energy.value == pytest.approx(-4.0 * 2.1683, rel=1e-6)
    check = bulk_modulus_check(state, elastic)
    assert check.passed and check.value < 2e-3
    assert not bulk_modulus_check(state, dataclasses.replace(elastic, constants=1.1 * elastic.constants)).passed
    np.testing.assert_array_equal(stored(state).energies, state.energies)


def test_debye_temperature_of_debyes_own_spectrum() -> None:
    limit = 60.0
    frequencies = np.linspace(0.0, limit, 2001)
    spectrum = 3.0 * frequencies**2 / limit**3
    density = DensityOfStates(("Si", "Si"), 40.0, (1, 1, 1), frequencies, spectrum, spectrum[None])
    expected = HBAR * limit / BOLTZMANN
    assert from_lowest_frequencies(density) == pytest.approx(expected, rel=1e-4)
    assert from_second_moment(density) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(InputError, match="lowest"):
        from_lowest_frequencies(dataclasses.replace(density, frequencies=frequencies - 30.0))


def test_debye_temperature_of_silicon(elastic: ElasticConstants, density: DensityOfStates) -> None:
    """Sound and the lowest frequencies agree; the spectrum as a whole is far from Debye's, and a check says so."""
    found = debye_temperature(elastic, density)
    assert found.anderson == pytest.approx(555.2, abs=1.0)
    assert found.christoffel == pytest.approx(found.anderson, rel=5e-3)
    assert found.low_frequency == pytest.approx(found.christoffel, rel=0.04)
    assert found.second_moment > 1.3 * found.anderson
    assert [check.passed for check in found.checks] == [True, False]
    assert stored(found).checks == found.checks


def test_a_missing_program_is_named(silicon: ForceConstants, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(InputError, match="pip install phonopy"):
        phonopy_of(silicon)
