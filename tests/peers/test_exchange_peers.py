"""The other programs themselves read what is written for them, and what they write is read."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from amorphous_silicon import folder as amorphous_silicon_folder
from ase import Atoms
from ase.build import make_supercell
from spring_crystal import primitive_cell, small_glass, springs

from ldmd.force_constants.exchange import hiphive, kaldo, lammps, phono3py, phonopy, shengbte
from ldmd.force_constants.exchange.constants import ForceConstants, of_supercell, third_sign
from ldmd.force_constants.exchange.supercell import glass, matched, repeated
from ldmd.force_constants.sum_rules import sum_rules
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import normal_modes
from ldmd.units import THZ

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore"),  # of the other programs
]

REPEATS = (3, 2, 2)
SIGMA = 0.3
"""THz."""
WAVE_VECTORS = [[0.0, 0.0, 0.0], [1 / 3, 0.5, 0.0], [0.21, 0.13, 0.37]]


@pytest.fixture(scope="module")
def crystal() -> ForceConstants:
    supercell = repeated(primitive_cell(), REPEATS, "sites")
    return of_supercell(supercell, *springs(supercell.atoms, 3.0))


@pytest.fixture(scope="module")
def amorphous() -> ForceConstants:
    atoms = small_glass()
    return of_supercell(glass(atoms), *springs(atoms, 3.2))


@pytest.fixture(scope="module")
def bands(crystal: ForceConstants) -> np.ndarray:
    """Frequencies (wave vector, mode) in THz, from springs between the atoms themselves and no file."""
    return frequencies_at(crystal, WAVE_VECTORS)


def frequencies_at(constants: ForceConstants, wave_vectors: list[list[float]]) -> np.ndarray:
    """THz; the images of the springs are the nearest ones, for they are shorter than half the supercell."""
    from ldmd.force_constants.images import nearest_images

    supercell = constants.supercell
    assert constants.second is not None
    masses, count = supercell.primitive.get_masses(), len(supercell.primitive)
    found = []
    vectors = supercell.atoms.positions[None] - supercell.atoms.positions[supercell.home][:, None]
    nearest = nearest_images(vectors.reshape(-1, 3), supercell.atoms.cell.array).mean().reshape(vectors.shape)
    blocks = constants.second.toarray().reshape(count, 3, -1, 3)
    for wave_vector in wave_vectors:
        reciprocal = np.linalg.inv(supercell.primitive.cell.array) @ np.array(wave_vector)
        phase = np.exp(2j * np.pi * nearest @ reciprocal)
        dynamical = np.zeros((count, 3, count, 3), dtype=complex)
        for atom, site in enumerate(supercell.sites):
            weight = phase[:, atom] / np.sqrt(masses * masses[site])
            dynamical[:, :, site] += weight[:, None, None] * blocks[:, :, atom]
        values = np.linalg.eigvalsh(dynamical.reshape(3 * count, -1)) * 9648.533212
        found.append(np.sign(values) * np.sqrt(np.abs(values)) / THZ)
    return np.array(found)


def shuffled(constants: ForceConstants) -> ForceConstants:
    supercell = constants.supercell
    atoms = supercell.atoms[np.random.default_rng(0).permutation(len(supercell.atoms))]
    return constants.in_order_of(matched(supercell.primitive[::-1], atoms))


def assert_same(found: ForceConstants, expected: ForceConstants, tolerance: float) -> None:
    found = found.in_order_of(expected.supercell)
    if expected.second is not None:
        assert found.second is not None
        difference = np.abs((found.second - expected.second).tocoo().data).max(initial=0.0)
        assert difference <= tolerance * np.abs(expected.second.data).max()
    if expected.third is not None:
        direction = np.random.default_rng(1).normal(size=3 * len(expected.supercell.atoms))
        mine, theirs = (each.third_order().along(direction) for each in (found, expected))
        assert np.abs((mine - theirs).tocoo().data).max(initial=0.0) <= tolerance * np.abs(theirs.data).max()


# phonopy


@pytest.mark.parametrize("name", ["FORCE_CONSTANTS", "force_constants.hdf5"])
@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("order", ["phonopy's", "any"])
def test_phonopy_finds_the_bands(
    crystal: ForceConstants, bands: np.ndarray, tmp_path: Path, name: str, compact: bool, order: str
) -> None:
    program = pytest.importorskip("phonopy")
    mine = crystal if order == "phonopy's" else shuffled(crystal)
    phonopy.write_second(mine, tmp_path / name, compact)
    phonopy.write_structure(mine.supercell, tmp_path / "phonopy.yaml")
    loaded = program.load(
        tmp_path / "phonopy.yaml",
        force_constants_filename=tmp_path / name,
        symmetrize_fc=False,
        is_compact_fc=compact,
        log_level=0,
    )
    np.testing.assert_allclose(loaded.supercell.positions, mine.supercell.atoms.positions, atol=1e-9)
    loaded.run_qpoints(WAVE_VECTORS)
    found = np.sort(loaded.get_qpoints_dict()["frequencies"], axis=1)
    np.testing.assert_allclose(found[0, 3:], bands[0, 3:], rtol=1e-6)
    np.testing.assert_allclose(found[1:], bands[1:], rtol=1e-6)


def test_phonopy_finds_the_bands_in_a_supercell_of_any_shape(bands: np.ndarray, tmp_path: Path) -> None:
    program = pytest.importorskip("phonopy")
    matrix = [[2, 1, 0], [-1, 2, 0], [0, 1, 2]]
    supercell = matched(primitive_cell(), make_supercell(primitive_cell(), matrix))
    phonopy.write_second(of_supercell(supercell, springs(supercell.atoms, 3.0)[0]), tmp_path / "fc", compact=True)
    phonopy.write_structure(supercell, tmp_path / "phonopy.yaml")
    structure = tmp_path / "phonopy.yaml"
    loaded = program.load(structure, force_constants_filename=tmp_path / "fc", symmetrize_fc=False, log_level=0)
    np.testing.assert_allclose(loaded.primitive.cell, primitive_cell().cell.array, atol=1e-9)
    loaded.run_qpoints(WAVE_VECTORS)
    found = np.sort(loaded.get_qpoints_dict()["frequencies"], axis=1)
    np.testing.assert_allclose(found[1:], bands[1:], rtol=1e-6)


def test_what_phonopy_writes(crystal: ForceConstants, tmp_path: Path) -> None:
    program = pytest.importorskip("phonopy")
    from phonopy.file_IO import write_FORCE_CONSTANTS, write_force_constants_to_hdf5

    phonopy.write_second(crystal, tmp_path / "FORCE_CONSTANTS")
    phonopy.write_structure(crystal.supercell, tmp_path / "phonopy.yaml")
    theirs = program.load(
        tmp_path / "phonopy.yaml",
        force_constants_filename=tmp_path / "FORCE_CONSTANTS",
        symmetrize_fc=False,
        log_level=0,
    )
    theirs.save(tmp_path / "theirs.yaml", settings={"force_constants": True})
    only = dataclasses.replace(crystal, third=None)
    assert_same(phonopy.read(tmp_path / "theirs.yaml"), only, 1e-13)
    rows = theirs.primitive.p2s_map if len(theirs.force_constants) < 36 else None
    write_FORCE_CONSTANTS(theirs.force_constants, tmp_path / "text", p2s_map=rows)
    hdf5 = tmp_path / "their.hdf5"
    write_force_constants_to_hdf5(theirs.force_constants, hdf5, p2s_map=rows, physical_unit="eV/angstrom^2")
    assert_same(phonopy.read(tmp_path / "theirs.yaml", tmp_path / "text"), only, 1e-13)
    assert_same(phonopy.read(tmp_path / "theirs.yaml", hdf5), only, 1e-13)


# phono3py


@dataclasses.dataclass(frozen=True)
class Silicon:
    """PBEsol silicon as phono3py has it, and the folder of its files."""

    program: Any
    folder: Path
    conductivity: float
    constants: ForceConstants


def conductivity_of(program: Any, default: bool = False) -> float:
    """W/(m K) at 300 K, 9 x 9 x 9.

    By default phono3py's tetrahedra weigh degenerate modes by their number, so that linewidths depend on the arbitrary
    eigenvectors among them (107.69 to 107.75 for the same force constants); averaged weights do not.
    """
    program.mesh_numbers = [9, 9, 9]
    program.init_phph_interaction(average_degenerate_weights=not default)
    program.run_thermal_conductivity(temperatures=[300.0], is_isotope=False)
    return float(program.thermal_conductivity.kappa.ravel()[0])


@pytest.fixture(scope="module")
def silicon(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Silicon:
    program = pytest.importorskip("phono3py")
    from phono3py.file_IO import write_fc2_to_hdf5, write_fc3_to_hdf5

    source, folder = shared_data / "phono3py", tmp_path_factory.mktemp("silicon")
    if not source.is_dir():
        pytest.skip("the reference data have no folder phono3py")
    forces = source / "FORCES_FC3_si_pbesol"
    loaded = program.load(source / "phono3py_si_pbesol.yaml", forces_fc3_filename=forces, log_level=0)
    loaded.save(folder / "theirs.yaml")
    write_fc3_to_hdf5(loaded.fc3, filename=folder / "fc3.hdf5", p2s_map=loaded.primitive.p2s_map)
    write_fc2_to_hdf5(loaded.fc2, filename=folder / "fc2.hdf5", p2s_map=loaded.phonon_primitive.p2s_map)
    second, third = phono3py.read(folder / "theirs.yaml", folder / "fc2.hdf5", folder / "fc3.hdf5")
    assert second is not None and third is not None and second.supercell.copies == 32
    both = ForceConstants(third.supercell, second.in_order_of(third.supercell).second, third.third)
    return Silicon(loaded, folder, conductivity_of(loaded), both)


def load_phono3py(folder: Path) -> Any:
    import phono3py as program

    structure, second, third = (folder / name for name in ("phono3py.yaml", "fc2.hdf5", "fc3.hdf5"))
    return program.load(structure, fc2_filename=second, fc3_filename=third, symmetrize_fc=False, log_level=0)


def write_phono3py(constants: ForceConstants, folder: Path, compact: bool) -> None:
    phono3py.write_second(constants, folder / "fc2.hdf5", compact)
    phono3py.write_third(constants, folder / "fc3.hdf5", compact)
    phono3py.write_structure(folder / "phono3py.yaml", constants.supercell)


def test_the_published_conductivity_of_silicon(silicon: Silicon) -> None:
    """107.83 W/(m K) in relaxation-time approximation, of which 0.1 are the choice of degenerate eigenvectors."""
    assert silicon.conductivity == pytest.approx(107.83, abs=0.2)


def test_the_conductivity_of_silicon_survives_any_order_of_atoms(silicon: Silicon, tmp_path: Path) -> None:
    write_phono3py(shuffled(silicon.constants), tmp_path, compact=True)
    assert conductivity_of(load_phono3py(tmp_path)) == pytest.approx(silicon.conductivity, rel=1e-9)


@pytest.mark.parametrize("compact", [True, False])
def test_phono3py_gets_its_own_arrays_back(silicon: Silicon, tmp_path: Path, compact: bool) -> None:
    write_phono3py(silicon.constants, tmp_path, compact)
    again = load_phono3py(tmp_path)
    rows = slice(None) if compact else silicon.program.primitive.p2s_map
    np.testing.assert_array_equal(again.fc2[rows], silicon.program.fc2)
    np.testing.assert_array_equal(again.fc3[rows], silicon.program.fc3)


@pytest.mark.slow
def test_sum_rules_of_silicon(silicon: Silicon) -> None:
    """Its interactions reach around the cell of 64 atoms, so rotations can only be judged roughly: 1.6 %."""
    constants = silicon.constants
    cell = constants.supercell.atoms
    rules = sum_rules(constants.second_order(), constants.third_order(), cell.positions, cell.cell.array)
    assert rules.second_translation[0].relative < 1e-14
    assert rules.third_permutation is not None and rules.third_permutation.relative < 1e-14
    assert rules.third_translation[0].relative < 1e-6
    assert not rules.third_rotation_applies
    assert rules.third_rotation is not None
    assert rules.third_rotation.relative == pytest.approx(0.0163, abs=5e-4)


def test_linewidths_of_phono3py_from_a_file_of_a_glass(amorphous: ForceConstants, tmp_path: Path) -> None:
    pytest.importorskip("phono3py")
    write_phono3py(amorphous, tmp_path, compact=True)
    peer = load_phono3py(tmp_path)
    peer.mesh_numbers, peer.sigmas = [1, 1, 1], [SIGMA]
    peer.init_phph_interaction()
    theirs = peer.run_imag_self_energy([0], temperatures=[300.0], frequency_points_at_bands=True).gammas
    gamma = half_widths(amorphous, Gaussian(THZ * SIGMA, cut=9.0))
    np.testing.assert_allclose(gamma[3:], np.ravel(theirs)[3:] * THZ, rtol=1e-5)


def half_widths(constants: ForceConstants, shape: Any) -> np.ndarray:
    modes = normal_modes(constants.second_order(), constants.supercell.atoms.get_masses())
    return linewidths(constants.third_order(), modes, [300.0], ["bose-einstein"], shape, threads=1).gamma[0, 0]


# kALDo


@dataclasses.dataclass(frozen=True)
class KaldoGaussian:
    """exp(-x^2/s^2) / (s sqrt(pi)) cut at 2 s and not normalised."""

    width: float
    name = "gaussian of kALDo"

    @property
    def reach(self) -> float:
        return 2.0 * self.width

    def __call__(self, detuning: np.ndarray) -> np.ndarray:
        inside = np.abs(detuning) < self.reach
        return np.where(inside, np.exp(-((detuning / self.width) ** 2)) / (self.width * np.sqrt(np.pi)), 0.0)

    def slope(self, detuning: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return kernel * (2.0 * (detuning / self.width) ** 2 - 1.0)


def phonons(forceconstants: Any, points: tuple[int, int, int] = (1, 1, 1)) -> Any:
    from kaldo.phonons import Phonons

    return Phonons(
        forceconstants=forceconstants,
        temperature=300.0,
        is_classic=False,
        third_bandwidth=SIGMA,
        broadening_shape="gauss",
        kpts=points,
        storage="memory",
    )


def test_kaldo_in_memory(amorphous: ForceConstants) -> None:
    pytest.importorskip("kaldo.phonons")
    theirs = kaldo.to_kaldo(amorphous)
    second, third = kaldo.from_kaldo(theirs, sign=1)
    assert third is not None
    assert_same(ForceConstants(second.supercell, second.second, third.third), amorphous, 0.0)
    widths = half_widths(amorphous, KaldoGaussian(THZ * SIGMA))
    np.testing.assert_allclose(np.ravel(phonons(theirs).bandwidth), 2.0 * widths, rtol=2e-6, atol=1e-9)


def test_kaldo_has_the_crystal(crystal: ForceConstants, bands: np.ndarray) -> None:
    pytest.importorskip("kaldo.phonons")
    from kaldo.observables.harmonic_with_q import HarmonicWithQ

    other = crystal.in_order_of(shuffled(crystal).supercell).in_order_of(crystal.supercell)
    memory = kaldo.to_kaldo(other)
    second, third = kaldo.from_kaldo(memory)
    assert third is not None
    assert_same(ForceConstants(second.supercell, second.second, third.third), crystal, 0.0)
    for wave_vector, expected in zip(WAVE_VECTORS, bands, strict=True):
        found = HarmonicWithQ(np.array(wave_vector), memory.second, storage="memory").frequency
        np.testing.assert_allclose(np.sort(np.ravel(found))[3:], expected[3:], rtol=1e-6)


@pytest.mark.parametrize("kind", ["numpy", "lammps"])
def test_kaldo_reads_its_folders(tmp_path: Path, kind: kaldo.Format) -> None:
    """The same force constants and linewidths as in memory."""
    pytest.importorskip("kaldo.phonons")
    from kaldo.forceconstants import ForceConstants as Theirs

    repeats = (2, 2, 2)
    supercell = repeated(primitive_cell(), repeats, "sites")
    cube = of_supercell(supercell, *springs(supercell.atoms, 3.0))
    kaldo.write_folder(cube, tmp_path, kind)
    read = Theirs.from_folder(str(tmp_path), supercell=repeats, format=kind)
    second, third = kaldo.from_kaldo(read, sign=1)
    assert third is not None
    assert_same(ForceConstants(second.supercell, second.second, third.third), cube, 1e-12)
    widths = np.asarray(phonons(kaldo.to_kaldo(cube), repeats).bandwidth)
    assert widths.max() > 0.1
    np.testing.assert_allclose(phonons(read, repeats).bandwidth, widths, rtol=1e-6, atol=1e-9)


def test_kaldo_reads_the_files_of_shengbte(crystal: ForceConstants, bands: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("kaldo.phonons")
    from kaldo.forceconstants import ForceConstants as Theirs
    from kaldo.observables.harmonic_with_q import HarmonicWithQ

    shengbte.write_second(crystal, tmp_path / "FORCE_CONSTANTS_2ND")
    shengbte.write_third(crystal, tmp_path / "FORCE_CONSTANTS_3RD")
    shengbte.write_control(crystal.supercell, tmp_path / "CONTROL", REPEATS, 300.0)
    read = Theirs.from_folder(str(tmp_path), supercell=REPEATS, format="vasp-sheng")
    second, third = kaldo.from_kaldo(read, sign=1)
    assert third is not None
    assert_same(second, dataclasses.replace(crystal, third=None), 1e-12)
    assert_same(third, dataclasses.replace(crystal, second=None), 1e-12)
    found = HarmonicWithQ(np.array(WAVE_VECTORS[2]), read.second, storage="memory").frequency
    np.testing.assert_allclose(np.sort(np.ravel(found)), bands[2], rtol=1e-6)
    # Images are literal here, and nearest ones in memory: the same off the mesh of the supercell, too.
    points = (2, 3, 1)
    memory = np.asarray(phonons(kaldo.to_kaldo(crystal), points).bandwidth)
    np.testing.assert_allclose(phonons(read, points).bandwidth, memory, rtol=1e-5, atol=1e-8)


@pytest.mark.slow
def test_lists_of_lammps_in_the_folders_of_kaldo_have_the_sign_of_forces() -> None:
    """kALDo's fixture obeys rotations to 4e-6 with its sign turned, and not at all as it is read."""
    found = kaldo.read_folder(amorphous_silicon_folder(), kind="eskm")
    as_read = kaldo.read_folder(amorphous_silicon_folder(), kind="eskm", sign=1)
    assert found.third is not None and as_read.third is not None
    np.testing.assert_array_equal(found.third.values, -as_read.third.values)
    atoms = found.supercell.atoms
    rules = [
        sum_rules(each.second_order(), each.third_order(), atoms.positions, atoms.cell.array).third_rotation
        for each in (found, as_read)
    ]
    assert rules[0] is not None and rules[1] is not None
    assert rules[0].relative < 1e-5
    assert rules[1].relative > 0.4
    crystal_found = kaldo.read_folder(crystal_folder(), (3, 3, 3), "eskm")
    crystal_read = kaldo.read_folder(crystal_folder(), (3, 3, 3), "eskm", sign=-1)
    assert_same(crystal_found, crystal_read, 0.0)


def test_finite_differences_of_kaldo_have_the_sign_of_forces() -> None:
    """Copper of a smooth pair potential: what kALDo calls its third order is minus that of the energy."""
    pytest.importorskip("kaldo.phonons")
    from ase.build import bulk
    from ase.calculators.lj import LennardJones
    from kaldo.forceconstants import ForceConstants as Theirs

    theirs = Theirs(bulk("Cu", "fcc", a=3.6), supercell=(3, 3, 3), folder="unused")
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=3.0, ro=2.8, smooth=True)
    theirs.second.calculate(calculator, delta_shift=1e-3, is_storing=False)
    theirs.third.calculate(calculator, delta_shift=1e-2, is_storing=False)
    found, given = kaldo.from_kaldo(theirs), kaldo.from_kaldo(theirs, sign=-1)
    assert found[1] is not None and given[1] is not None
    assert_same(found[1], given[1], 0.0)


# ShengBTE's format as others write it


def crystal_folder() -> Path:
    spec = importlib.util.find_spec("kaldo")
    if spec is None or spec.origin is None:
        pytest.skip("kaldo is not installed: its wheel carries silicon in many formats")
    path = Path(spec.origin).parent / "tests" / "si-crystal"
    if not path.is_dir():
        pytest.skip("this kaldo wheel does not carry tests/si-crystal")
    return path


@pytest.mark.slow
def test_silicon_of_vasp_in_the_format_of_shengbte(tmp_path: Path) -> None:
    folder = crystal_folder() / "vasp"
    primitive = ase.io.read(folder / "POSCAR")
    assert isinstance(primitive, Atoms)
    second = shengbte.read_second(folder / "FORCE_CONSTANTS", primitive, (5, 5, 5))
    third = shengbte.read_third(folder / "FORCE_CONSTANTS_3RD", second.supercell)
    both = ForceConstants(second.supercell, second.second, third.third)
    assert third_sign(both) == 1
    top = frequencies_at(both, [[0.0, 0.0, 0.0]])[0, 3:]
    assert top == pytest.approx(15.2, abs=0.5)
    shengbte.write_third(both, tmp_path / "FORCE_CONSTANTS_3RD")
    again = shengbte.read_third(tmp_path / "FORCE_CONSTANTS_3RD", second.supercell)
    assert third.third is not None and again.third is not None
    np.testing.assert_array_equal(again.third.indices, third.third.indices)
    np.testing.assert_allclose(again.third.values, third.third.values, rtol=0.0, atol=1e-14)


# hiPhive


@pytest.mark.parametrize("kind", ["crystal", "amorphous"])
def test_hiphive(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    program = pytest.importorskip("hiphive")
    constants: ForceConstants = request.getfixturevalue(kind)
    primitive = constants.supercell.primitive
    theirs = hiphive.to_hiphive(constants)
    theirs.assert_acoustic_sum_rules(order=2)
    masses = constants.supercell.atoms.get_masses()
    mine = normal_modes(constants.second_order(), masses).frequencies / THZ
    np.testing.assert_allclose(theirs.compute_gamma_frequencies()[3:], mine[3:], rtol=1e-6)
    assert_same(hiphive.from_hiphive(theirs, primitive), constants, 1e-14)
    theirs.write(str(tmp_path / "theirs.fcs"))
    assert_same(hiphive.read(tmp_path / "theirs.fcs", primitive), constants, 1e-14)
    hiphive.write(constants, tmp_path / "mine.fcs")
    again = program.ForceConstants.read(str(tmp_path / "mine.fcs"))
    assert again == theirs
    theirs.write_to_phonopy(str(tmp_path / "FORCE_CONSTANTS"), format="text")
    assert_same(phonopy.read_second(tmp_path / "FORCE_CONSTANTS", constants.supercell), second_only(constants), 1e-14)


def second_only(constants: ForceConstants) -> ForceConstants:
    return dataclasses.replace(constants, third=None)


def test_files_of_shengbte_between_hiphive_and_here(crystal: ForceConstants, tmp_path: Path) -> None:
    program = pytest.importorskip("hiphive")
    shengbte.write_third(crystal, tmp_path / "mine")
    atoms, primitive = crystal.supercell.atoms, crystal.supercell.primitive
    theirs = program.ForceConstants.read_shengBTE(atoms, str(tmp_path / "mine"), primitive)
    third_only = dataclasses.replace(crystal, second=None)
    assert_same(hiphive.from_hiphive(theirs, primitive), third_only, 1e-12)
    theirs.write_to_shengBTE(str(tmp_path / "theirs"), primitive)
    # hiPhive leaves out triplets that reach around the supercell, which springs of pairs do not have, writes ten
    # decimals, and cuts elements below 1e-8.
    assert_same(shengbte.read_third(tmp_path / "theirs", crystal.supercell), third_only, 1e-8)


def test_a_model_of_hiphive_in_the_folder_of_kaldo() -> None:
    program = pytest.importorskip("hiphive")
    path = crystal_folder() / "hiphive"
    primitive = ase.io.read(path / "atom_prim.xyz")
    assert isinstance(primitive, Atoms)
    theirs = program.ForceConstants.read(str(path / "model2.fcs"))
    found = hiphive.read(path / "model2.fcs", primitive)
    assert found.supercell.copies == 27
    expected = theirs.get_fc_array(2).transpose(0, 2, 1, 3).reshape(162, 162)
    np.testing.assert_array_equal(found.second_order().matrix.toarray(), expected)


# LAMMPS


@pytest.mark.parametrize("style", ["regular", "eskm"])
def test_lammps_has_the_opposite_sign(tmp_path: Path, style: str) -> None:
    """24 atoms of silica: with the sign turned they obey rotations, within what finite differences leave."""
    from lammps_peer import session
    from small_silica import CASE, oblique

    atoms = oblique()
    with session(atoms, CASE / "SiO.tersoff", ("Si", "O")) as program:
        program.command(f"dynamical_matrix all {style} 1.0e-4 file {tmp_path / 'second'}")
        program.command(f"third_order all {style} 2.0e-4 file {tmp_path / 'third'}")
    second = lammps.read_second(tmp_path / "second", atoms, style)  # type: ignore[arg-type]
    third = lammps.read_third(tmp_path / "third", atoms, style)  # type: ignore[arg-type]
    both = ForceConstants(second.supercell, second.second, third.third)
    assert third_sign(both) == 1
    rules = sum_rules(both.second_order(), both.third_order(), atoms.positions, atoms.cell.array)
    assert rules.third_rotation is not None and rules.third_rotation.relative < 1e-6
