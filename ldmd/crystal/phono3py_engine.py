"""Heat transport of a crystal by phono3py: its linewidths, velocities and collision matrix; both statistics.

phono3py knows Bose-Einstein occupations only. They become classical at a temperature T_b far above all hbar w / k_B,
up to (hbar w / k_B T_b)^2, which is 3e-8 for silicon at the 1e6 K taken here. The classical linewidth is linear in
temperature, so that gamma(T) = gamma(T_b) T / T_b, and with it the classical collision matrix: the direct solution is
kappa(T) = kappa(T_b) T_b / T. Isotopes scatter alike at all temperatures, so their share of the matrix at T_b has to
be T_b / T times as large: the direct solution with isotopes is one run for each temperature, of atoms whose masses
vary that much more. The interband part is no homogeneous function of gamma, so no such law holds for it (for PBEsol
silicon at 300 K scaling would give three times too much): all but the direct solution is computed by ``mesh``, from
linewidths and velocities.

Nothing is written to files. What depends on the choice of eigenvectors of degenerate modes is averaged.
"""

from __future__ import annotations

import dataclasses
import logging
from importlib.metadata import version
from typing import Any

import numpy as np
from ase import Atoms

from ldmd.cells import opposite
from ldmd.crystal.description import WHOLE
from ldmd.crystal.electrostatics import Electrostatics
from ldmd.crystal.force_constants import CrystalForceConstants, dense_bytes, phono3py_of
from ldmd.crystal.mesh import (
    VOIGT,
    Bands,
    DirectSolution,
    MeshConductivity,
    MeshLinewidths,
    MeshSettings,
    mesh_checks,
    shared_by_degenerate,
    translations_among,
    transport,
)
from ldmd.errors import InputError
from ldmd.force_constants.crystal_symmetry import operations_of
from ldmd.force_constants.exchange.constants import ForceConstants, second_blocks, third_blocks
from ldmd.force_constants.exchange.files import peer
from ldmd.force_constants.exchange.kinds import from_phonopy, under_own_names
from ldmd.force_constants.exchange.supercell import Supercell, matched
from ldmd.foreign import quiet
from ldmd.units import THZ

logger = logging.getLogger(__name__)

HOT = 1e6
"""K, T_b above."""
MEMORY = 8e9
"""Bytes that dense arrays may take."""
SHEAR = 1e-10 * np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.3], [5.1, 0.0, 0.0]])
"""Of the vectors of a primitive cell, in these vectors; the numbers keep different diagonals different."""
SAME_WAVE_VECTOR = 1e-5
"""In reciprocal vectors."""
COPIES = 3.0
"""Of the third order at the same time: ours, phono3py's, and the one it transforms."""


def conductivity(
    constants: CrystalForceConstants,
    settings: MeshSettings,
    electrostatics: Electrostatics | None = None,
    memory: float = MEMORY,
) -> MeshConductivity:
    """Relaxation times, interband parts and, where asked for, the direct solution on one mesh.

    Without ``electrostatics`` the Born charges that came with the force constants are taken, if any did. ``memory``
    (bytes) bounds the dense third order and the collision matrix.

    Raises
    ------
    InputError
        Where phono3py is not installed, it would not fit into memory, or the mesh breaks the crystal's symmetry.
    """
    constants = right_handed(constants)
    bands, widths = scattering(constants, settings, electrostatics, memory)
    direct = direct_solution(constants, settings, electrostatics, memory) if settings.direct else None
    checks = (*constants.checks, *mesh_checks(bands, widths))
    found = transport(bands, widths, f"phono3py {version('phono3py')}", settings.smearing, direct, checks)
    return found if settings.symmetry else _symmetric(found, constants.primitive)


def _symmetric(found: MeshConductivity, primitive: Atoms) -> MeshConductivity:
    """Tensors averaged over the rotations of the crystal that keep the mesh.

    Without its symmetry, tetrahedra prefer one diagonal of a microcell to others that are equivalent.
    """
    cell, rotations = found.grid @ primitive.cell.array, operations_of(primitive, by_mass=True).rotations
    turned = cell @ rotations.transpose(0, 2, 1) @ np.linalg.inv(cell)
    kept = rotations[np.abs(turned - np.rint(turned)).max(axis=(1, 2)) < WHOLE]

    def mean(tensor: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("gai,gbj,...ij->...ab", kept, kept, tensor, optimize=True) / len(kept))

    direct = found.direct
    return dataclasses.replace(
        found,
        relaxation_time=mean(found.relaxation_time),
        interband=mean(found.interband),
        degenerate=mean(found.degenerate),
        direct=None if direct is None else dataclasses.replace(direct, kappa=mean(direct.kappa)),
    )


def right_handed(constants: CrystalForceConstants) -> CrystalForceConstants:
    """The same with all lattice vectors turned round where they are left-handed; meshes and atoms mean the same.

    phono3py's collision matrix of a left-handed cell is wrong: silicon conducts -97.5 W/(m K) in place of 97.5.
    """
    if np.linalg.det(constants.primitive.cell.array) > 0.0:
        return constants

    def turned(order: ForceConstants) -> ForceConstants:
        cell = order.supercell
        other = Supercell(opposite(cell.primitive), opposite(cell.atoms), cell.sites, -cell.cells)
        return dataclasses.replace(order, supercell=other)

    third, second = turned(constants.third), turned(constants.second)
    if constants.second.supercell is constants.third.supercell:
        second = dataclasses.replace(second, supercell=third.supercell)
    return dataclasses.replace(constants, second=second, third=third)


def scattering(
    constants: CrystalForceConstants,
    settings: MeshSettings,
    electrostatics: Electrostatics | None = None,
    memory: float = MEMORY,
) -> tuple[Bands, MeshLinewidths]:
    """Harmonic modes and velocities of the mesh, and all linewidths."""
    program = _prepared(constants, settings, electrostatics, memory)
    temperatures = [*settings.temperatures, HOT]
    # Its own conductivity, not taken, is infinite where a mode has no channel.
    variances = _mass_variances(constants) if settings.isotopes else None
    with np.errstate(over="ignore"), quiet():
        program.run_thermal_conductivity(
            temperatures=temperatures, is_isotope=settings.isotopes, mass_variances=variances, log_level=0
        )
    found = program.thermal_conductivity
    frequencies = THZ * np.asarray(found.frequencies)
    gamma = THZ * np.asarray(found.gamma)[0]
    isotopes = THZ * np.asarray(found.gamma_isotope)[0] if settings.isotopes else np.zeros_like(frequencies)
    weights = np.asarray(found.grid_weights)
    velocities = _mean_velocities(program, np.asarray(found.qpoints), np.asarray(found.group_velocities))
    bands = Bands(
        grid=settings.matrix,
        q_points=np.asarray(found.qpoints),
        weights=weights,
        frequencies=frequencies,
        velocities=velocities,
        squares=_squares(program, velocities),
        strengths=_strengths(program, np.asarray(found.qpoints)),
        volume=float(constants.primitive.cell.volume),
    )
    return bands, MeshLinewidths(
        temperatures=np.asarray(settings.temperatures, dtype=float),
        statistics=settings.statistics,
        gamma=shared_by_degenerate(frequencies, _by_statistics(gamma, settings)),
        isotopes=shared_by_degenerate(frequencies, isotopes),
    )


def _mean_velocities(program: Any, q_points: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    """Velocities (q, band, 3) averaged over the rotations that leave a wave vector in place.

    phono3py leaves out those that add a reciprocal lattice vector. What it has of degenerate bands on the faces of the
    Brillouin zone then depends on how the crystal lies in space.
    """
    reciprocal = np.linalg.inv(np.asarray(program.primitive.cell))
    found = np.zeros_like(velocities)
    counts = np.zeros(len(q_points))
    for rotation in np.asarray(program.primitive_symmetry.reciprocal_operations):
        moved = q_points @ rotation.T - q_points
        stays = np.all(np.abs(moved - np.rint(moved)) < SAME_WAVE_VECTOR, axis=1)
        turn = reciprocal @ rotation @ np.linalg.inv(reciprocal)
        found[stays] += velocities[stays] @ turn.T
        counts += stays
    return np.asarray(found / counts[:, None, None])


def _squares(program: Any, velocities: np.ndarray) -> np.ndarray:
    """(q, band, voigt) v^a v^b, the mean over the star of q."""
    rotations = np.asarray(program.grid.rotations_cartesian)
    turned = np.einsum("rab,qmb->qmra", rotations, velocities)
    found = np.einsum("qmra,qmrb->qmab", turned, turned) / len(rotations)
    return np.stack([found[..., a, b] for a, b in VOIGT], axis=-1)


def _strengths(program: Any, q_points: np.ndarray) -> np.ndarray:
    """(q, band, band, voigt) Re(v^a_mn v^b_mn*) in Angstrom^2/ps^2, the mean over the star of q.

    From whole velocity matrices: phono3py's own interband part has group velocities on their diagonal, which symmetry
    has averaged, and loses what degenerate bands carry on lines of high symmetry.
    """
    matrices = peer("phono3py.phonon.velocity_matrix", "phono3py").VelocityMatrix(
        program.phph_interaction.dynamical_matrix,
        rotations_cartesian=np.eye(3)[None],
        reciprocal_operations=np.eye(3, dtype="int64")[None],
    )
    rotations = np.asarray(program.grid.rotations_cartesian)
    turned = np.einsum("rac,rbd->abcd", rotations, rotations) / len(rotations)
    strengths = np.empty((len(q_points), *(3 * len(program.primitive),) * 2, len(VOIGT)))
    for q, q_point in enumerate(q_points):
        matrices.run([q_point])
        velocity = matrices.velocity_matrices[0]
        products = np.einsum("cmn,dmn->cdmn", velocity, velocity.conj()).real
        for v, (a, b) in enumerate(VOIGT):
            strengths[q, :, :, v] = np.tensordot(turned[a, b], products, 2)
    return strengths


def direct_solution(
    constants: CrystalForceConstants,
    settings: MeshSettings,
    electrostatics: Electrostatics | None = None,
    memory: float = MEMORY,
) -> DirectSolution:
    """The linearised Boltzmann equation, solved by phono3py for all temperatures and statistics."""
    program = _prepared(constants, settings, electrostatics, memory)
    quantum, classical = ("bose-einstein" in settings.statistics), ("classical" in settings.statistics)
    real = list(settings.temperatures) if quantum else []
    tensors: dict[tuple[float, str], tuple[np.ndarray, np.ndarray]] = {}
    variances = _mass_variances(constants) if settings.isotopes else None
    for temperature, found in _boltzmann(program, real, variances, memory):
        tensors[temperature, "bose-einstein"] = found
    if classical and variances is None:
        ((_, (kappa, modes)),) = _boltzmann(program, [HOT], None, memory)
        for temperature in settings.temperatures:
            tensors[temperature, "classical"] = kappa * HOT / temperature, modes * HOT / temperature
    elif classical and variances is not None:
        for temperature in settings.temperatures:
            ((_, (kappa, modes)),) = _boltzmann(program, [HOT], variances * HOT / temperature, memory)
            tensors[temperature, "classical"] = kappa * HOT / temperature, modes * HOT / temperature
    pairs = [[tensors[temperature, name] for name in settings.statistics] for temperature in settings.temperatures]
    return DirectSolution(
        kappa=np.array([[kappa for kappa, _ in row] for row in pairs]),
        per_mode=np.array([[modes for _, modes in row] for row in pairs]),
    )


def _boltzmann(
    program: Any, temperatures: list[float], variances: np.ndarray | None, memory: float
) -> list[tuple[float, tuple[np.ndarray, np.ndarray]]]:
    """Tensor (3, 3) and contributions (q, band), trace/3, at each temperature; isotopes where masses vary."""
    if not temperatures:
        return []
    _require_collisions(program, len(temperatures), memory)
    with np.errstate(over="ignore"), quiet():
        program.run_thermal_conductivity(
            is_LBTE=True,
            temperatures=temperatures,
            is_isotope=variances is not None,
            mass_variances=variances,
            log_level=0,
        )
    found = program.thermal_conductivity
    kappa, modes = np.asarray(found.kappa)[0], np.asarray(found.mode_kappa)[0]
    modes = modes[..., :3].mean(axis=-1) / found.grid_weights.sum()
    tensors = kappa[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    return [(temperature, (tensors[t], modes[t])) for t, temperature in enumerate(temperatures)]


def _strength_bytes(constants: CrystalForceConstants, settings: MeshSettings) -> float:
    """Bytes of the strengths of all pairs of wave vectors that meet one, for all triples of bands."""
    vectors = abs(round(float(np.linalg.det(settings.matrix))))
    return 8.0 * (vectors + 1) / 2.0 * (3.0 * len(constants.primitive)) ** 3


def _prepared(
    constants: CrystalForceConstants, settings: MeshSettings, electrostatics: Electrostatics | None, memory: float
) -> Any:
    """A ``Phono3py`` object with force constants, mesh and interaction."""
    needed = COPIES * dense_bytes(constants)
    if needed > memory:
        count = len(constants.third.supercell.atoms)
        fix = f"phono3py's dense third order would need {1e-9 * needed:.1f} GB; take a smaller supercell or more memory"
        raise InputError("supercell", f"{count} atoms", fix)
    strengths = _strength_bytes(constants, settings)
    if strengths > memory:
        fix = (
            f"phono3py would need {1e-9 * strengths:.0f} GB for the {3 * len(constants.primitive)} bands of this cell; "
            "take a coarser mesh or a smaller cell (a disordered solid needs no [crystal] section)"
        )
        raise InputError("crystal.mesh", settings.grid, fix)
    third, second = constants.third, constants.second
    same = second.supercell is third.supercell
    program = phono3py_of(
        _without_ties(constants.primitive),
        third.supercell,
        None if same else second.supercell,
        settings.symmetry,
        by_mass=True,
    )
    charges = constants.electrostatics if electrostatics is None else electrostatics
    if charges is not None:
        program.nac_params = _nac(program, charges)
    program.fc2 = second_blocks(
        _in_order(second, program.phonon_primitive, program.phonon_supercell), full=not settings.symmetry
    )
    found = _in_order(third, program.primitive, program.supercell)
    program.fc3 = third_blocks(found, full=not settings.symmetry)
    program.fc3_nonzero_indices = np.any(program.fc3 != 0.0, axis=(3, 4, 5)).astype(np.byte)
    if settings.smearing is not None:
        program.sigmas = [settings.smearing / THZ]
    try:
        program.mesh_numbers = settings.grid if np.ndim(settings.grid) == 1 else _grid(settings.matrix)
    except RuntimeError as error:
        fix = "does not have the symmetry of the crystal; choose another, or switch symmetry off"
        raise InputError("mesh", settings.grid, fix) from error
    with quiet():
        program.init_phph_interaction(average_degenerate_weights=True, symmetrize_tetrahedra=True)
        _rest_translations(program, constants.primitive.get_masses())
    return program


def _without_ties(primitive: Atoms) -> Atoms:
    """The primitive cell sheared by some 1e-10 along its own vectors, which changes no result in its first 8 digits.

    phono3py cuts space into tetrahedra along the shortest diagonal of a microcell. Where several are equally short (in
    every hexagonal lattice, in quartz by 0.5 % of the conductivity) rounding chooses one; this shear does.
    """
    sheared = primitive.copy()
    sheared.set_cell(primitive.cell.array + SHEAR @ primitive.cell.array, scale_atoms=True)
    return sheared


def _rest_translations(program: Any, masses: np.ndarray) -> None:
    """Give the rigid translations at Gamma the frequency zero, by which phono3py leaves modes out.

    They are told by their eigenvectors. By their frequencies, a soft or imaginary mode would be taken for one of them,
    and a translation that costs energy, in force constants without sum rules, would scatter and be scattered.
    """
    program.run_phonon_solver()
    frequencies, vectors, addresses = program.get_phonon_data()
    frequencies = np.array(frequencies)
    for gamma in np.flatnonzero(~np.any(addresses, axis=1)):
        frequencies[gamma, translations_among(vectors[gamma], masses)] = 0.0
    program.set_phonon_data(frequencies, vectors, addresses)


def _grid(matrix: np.ndarray) -> list[list[int]]:
    """phono3py's name for the wave vectors with M q integer."""
    return [[int(value) for value in row] for row in matrix.T]


def _in_order(constants: ForceConstants, primitive: Any, supercell: Any) -> ForceConstants:
    """The same force constants in the order of phono3py's atoms."""
    mine = constants.supercell.primitive
    target = matched(mine, under_own_names(from_phonopy(supercell), mine))
    if not np.array_equal(target.home, primitive.p2s_map):
        raise InputError("supercell", "atoms in an order that phono3py did not keep", "sort them by their sites")
    return constants.in_order_of(target)


def _nac(program: Any, electrostatics: Electrostatics) -> dict[str, Any]:
    """In phono3py's words; e^2 / (4 pi epsilon_0) in eV Angstrom is its factor."""
    units = peer("phonopy.physical_units", "phonopy").get_physical_units()
    count = len(program.primitive)
    born = np.asarray(electrostatics.born, dtype=float)
    if born.shape != (count, 3, 3) or np.shape(electrostatics.dielectric) != (3, 3):
        raise InputError("Born charges", born.shape, f"give ({count}, 3, 3), and (3, 3) for the dielectric tensor")
    dielectric = np.asarray(electrostatics.dielectric, dtype=float)
    factor = units.Hartree * units.Bohr
    return {"born": born, "dielectric": dielectric, "factor": factor, "method": electrostatics.method}


def _by_statistics(gamma: np.ndarray, settings: MeshSettings) -> np.ndarray:
    """(temperature, statistics, q, band) from phono3py's at the temperatures and at ``HOT``."""
    classical = gamma[-1] * (np.asarray(settings.temperatures) / HOT)[:, None, None]
    return np.stack([gamma[:-1] if name == "bose-einstein" else classical for name in settings.statistics], axis=1)


def _mass_variances(constants: CrystalForceConstants) -> np.ndarray:
    """(P,) of natural abundance, relative to the mean masses squared."""
    symbols = constants.primitive.get_chemical_symbols()
    return np.asarray(peer("phono3py.other.isotope", "phono3py").get_mass_variances(symbols=symbols))


def _require_collisions(program: Any, temperatures: int, memory: float) -> None:
    """Refuse collision matrices that do not fit: (3 q band)^2 of the irreducible wave vectors, and a copy."""
    grid = peer("phonopy.phonon.grid", "phonopy")
    count = len(grid.get_ir_grid_points(program.grid)[0])
    size = 3 * count * 3 * len(program.primitive)
    needed = 8.0 * (temperatures + 1) * size**2
    if needed > memory:
        fix = f"the direct solution would need {1e-9 * needed:.1f} GB; take a coarser mesh, or relaxation times only"
        raise InputError("mesh", f"{count} irreducible wave vectors", fix)
