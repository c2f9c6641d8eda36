"""What every potential must satisfy, asked of energies and forces alone, and what it spoils where it does not.

Any potential can be examined that answers ``energy_and_forces(atoms) -> (eV, (N, 3) eV/Angstrom)`` for periodic
structures; energies per atom, virials and cutoffs are looked at where it offers them. The structure is rattled first
(at a minimum there are no forces to compare). Differences of forces are given as shares of their root mean square F,
those of energies per atom as shares of F times 1 Angstrom.

A limit is never below what the measured noise of the energies and forces explains: single precision fails nothing, and
its noise is named. A property that a potential announces and then does not have is not looked at.

Slopes of the energy are central differences with Richardson's extrapolation, (4 D(h/2) - D(h)) / 3 with
D(h) = (E(h) - E(-h)) / 2h, whose error is of order h^4. Virials are W = -dE/d(strain), in eV.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from ldmd.errors import MissingProperty
from ldmd.potentials.kinks import Kink, Noise, find_cutoffs, kink_lines, measure_kinks
from ldmd.potentials.subjects import Subject, isolated_cluster
from ldmd.results import Check

DIRECTIONS = 3
"""Random directions along which forces are compared with the slope of the energy."""
STRAINS = tuple((a, b) for a in range(3) for b in range(a, 3))
QUIET = 1e-8
"""eV/Angstrom: over the square of a step of 0.03 Angstrom it is 1e-5 eV/Angstrom^3 of a third-order constant. A larger
noise is named."""
SHIFT = 1e-3
"""Angstrom: a thousand times what single precision tells apart in a cell of ten Angstrom."""
MANY = 6.0
"""Standard deviations that the largest of many numbers reaches by chance."""
BOND = 2.5
"""Angstrom: by how much less a strain must be than a displacement to move neighbours as far."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The largest value of each kind with which a check passes, or a multiple of the noise where that is larger."""

    noise: float = 1e-3
    """Of the root mean square force: single precision has 1e-7 to 1e-4. Finite differences adapt their steps to it."""
    gradient: float = 1e-3
    """Of the root mean square force."""
    invariance: float = 1e-4
    """Of the root mean square force."""
    sums: float = 1e-5
    """eV per atom."""
    virial: float = 1e-3
    """eV per atom: some 0.01 GPa in a solid."""
    energy_jump: float = 1e-5
    """eV."""
    force_jump: float = 1e-4
    """eV/Angstrom."""
    curvature_jump: float = 1e-2
    """eV/Angstrom^2: a thousandth of a bond's stiffness, a tenth of that of a soft mode."""


@dataclasses.dataclass(frozen=True)
class Examination:
    """The checks of one potential on one structure."""

    checks: tuple[Check, ...]
    """Their advice says what a failure spoils."""
    kinks: tuple[Kink, ...]
    notes: tuple[str, ...]
    """What could not be looked at."""

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


@dataclasses.dataclass(frozen=True)
class _Bench:
    """The rattled structure with its answer, and what everything is measured with."""

    subject: Subject
    atoms: Atoms
    energy: float
    forces: np.ndarray
    generator: np.random.Generator
    thresholds: Thresholds
    noise: Noise = Noise(0.0, 0.0)
    """As it was measured."""

    @property
    def invariance(self) -> float:
        """Limit of ``difference``: two answers, each with its noise."""
        chance = MANY * np.sqrt(2.0) * max(self.noise.force, self.noise.energy / len(self.atoms)) / self.scale
        return max(self.thresholds.invariance, float(chance))

    @property
    def scale(self) -> float:
        """Root mean square of the components of the forces, eV/Angstrom."""
        return max(float(np.sqrt(np.mean(self.forces**2))), 1e-12)

    def difference(self, atoms: Atoms, forces: np.ndarray, copies: int = 1) -> float:
        """How far an answer is from what the reference says it must be, as a share of the forces' scale."""
        energy, found = self.subject.energy_and_forces(atoms)
        per_atom = abs(energy / copies - self.energy) / len(self.atoms)
        return max(float(np.abs(found - forces).max()), per_atom) / self.scale

    def energy_at(self, displacement: np.ndarray) -> float:
        """Energy (eV) with the atoms displaced by (N, 3) Angstrom."""
        moved = self.atoms.copy()
        moved.positions += displacement
        return self.subject.energy_and_forces(moved)[0]

    def energy_under(self, strain: np.ndarray) -> float:
        """Energy (eV) of the homogeneously strained structure."""
        strained = self.atoms.copy()
        strained.set_cell(strained.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return self.subject.energy_and_forces(strained)[0]


def examine(
    subject: Subject,
    atoms: Atoms,
    thresholds: Thresholds | None = None,
    *,
    step: float = 0.03,
    rattle: float = 0.05,
    seed: int = 1,
    all_kinks: bool = False,
) -> Examination:
    """Ask a potential everything about one periodic structure, which it must be able to deal with.

    Parameters
    ----------
    subject, atoms
        The potential and a structure of the atoms it is meant for.
    thresholds
        What passes.
    step
        Angstrom: a jump of the curvature counts where a pair of the structure is within this distance of it, as far
        as finite differences move atoms. Jumps of the energy and of the force always count.
    rattle
        Angstrom, the standard deviation of the displacements under which forces are compared.
    seed
        Of everything random.
    all_kinks
        Every jump of the curvature counts: the structure is not the one that will be computed.
    """
    bench = _bench(subject, atoms, thresholds or Thresholds(), rattle, seed)
    noise = measured_noise(bench)
    bench = dataclasses.replace(bench, noise=noise)
    radii = subject.radii
    if radii is None:
        radii = find_cutoffs(subject.energy_and_forces, tuple(set(atoms.get_chemical_symbols())))
    kinks = measure_kinks(subject.energy_and_forces, bench.atoms, atoms, radii, step, noise)
    virials, lacking = _virial_checks(bench)
    checks = [
        _noise_check(bench),
        _gradient_check(bench),
        _net_force_check(bench),
        _torque_check(bench, max((r for pair in radii.values() for r in pair), default=12.0)),
        *_symmetry_checks(bench),
        *virials,
        *(_jump_checks(bench, kinks, all_kinks) if kinks else ()),
    ]
    return Examination(tuple(checks), kinks, tuple(_notes(kinks, lacking, noise)))


def _notes(kinks: tuple[Kink, ...], lacking: list[str], noise: Noise) -> list[str]:
    notes = []
    if not kinks:
        notes.append("no cutoff found: smoothness was not looked at")
    if lacking:
        notes.append(f"not offered, or right by construction, and not looked at: {', '.join(lacking)}")
    if noise.force > QUIET:
        notes.append(
            f"the forces have a noise of {noise.force:.1e} eV/Angstrom, as single precision does: finite differences "
            "take longer steps, and soft modes are less exact; evaluate in double precision where the model can"
        )
    return notes


def _bench(subject: Subject, atoms: Atoms, thresholds: Thresholds, rattle: float, seed: int) -> _Bench:
    generator = np.random.default_rng(seed)
    rattled = atoms.copy()
    rattled.set_constraint()
    rattled.positions += rattle * generator.normal(size=rattled.positions.shape)
    energy, forces = subject.energy_and_forces(rattled)
    return _Bench(subject, rattled, energy, np.asarray(forces), generator, thresholds)


# Noise.


def measured_noise(bench: _Bench) -> Noise:
    """Root mean square differences under exchanges of like atoms and rigid translations by up to ``SHIFT``.

    Only round-off changes: a dependence on where the atoms are, as a grid brings it, is not felt over so short a way.
    That of the energy is at least the distance of two numbers of its size, in single precision if all energies are
    such numbers: within one such distance all translations may give the same.
    """
    energies, forces = [bench.energy], []
    for _ in range(4):
        order = _like_permutation(bench.atoms.numbers, bench.generator)
        moved = bench.atoms[order]
        moved.positions += bench.generator.uniform(-SHIFT, SHIFT, size=3)
        moved.wrap()
        energy, found = bench.subject.energy_and_forces(moved)
        energies.append(energy)
        forces.append(found - bench.forces[order])
    changes = np.sqrt(np.mean(np.square(np.array(energies[1:]) - bench.energy)))
    number = np.float32 if all(float(np.float32(energy)) == energy for energy in energies) else np.float64
    resolution = float(np.spacing(number(abs(bench.energy))))
    return Noise(max(float(changes), resolution), float(np.sqrt(np.mean(np.square(forces)))))


def _like_permutation(numbers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An order of the atoms that keeps the list of their species."""
    order = np.arange(len(numbers))
    for number in np.unique(numbers):
        places = np.flatnonzero(numbers == number)
        order[places] = generator.permutation(places)
    return order


def _noise_check(bench: _Bench) -> Check:
    spoils = "everything: the same atoms, moved as a whole, have other forces"
    return Check(
        "noise of the forces", bench.noise.force / bench.scale, "<=", bench.thresholds.noise, "of rms force", spoils
    )


# Forces.


def _displacement_step(bench: _Bench) -> float:
    """Angstrom by which atoms move in finite differences: little, but enough to rise above the noise."""
    wanted = bench.noise.energy / (0.01 * bench.thresholds.gradient * bench.scale * np.sqrt(len(bench.atoms)))
    return float(np.clip(wanted, 2e-3, 0.03))


def _slope(energy: Callable[[float], float], step: float) -> float:
    """dE/dx at 0, extrapolated from two central differences."""
    wide, narrow = ((energy(h) - energy(-h)) / (2.0 * h) for h in (step, 0.5 * step))
    return (4.0 * narrow - wide) / 3.0


def _slope_noise(bench: _Bench, step: float) -> float:
    """Standard deviation of ``_slope``, eV/Angstrom: four energies, the inner two with eight times the weight."""
    return float(np.sqrt(2.0 * (8.0**2 + 1.0)) / (6.0 * step) * bench.noise.energy)


def _gradient_check(bench: _Bench) -> Check:
    """Along random displacements without a rigid part, which the sum of the forces answers for."""
    worst, step = 0.0, _displacement_step(bench)
    chance = _slope_noise(bench, step) / np.sqrt(len(bench.atoms)) + bench.noise.force
    limit = max(bench.thresholds.gradient, MANY * chance / bench.scale)
    for _ in range(DIRECTIONS):
        direction = bench.generator.normal(size=bench.forces.shape)
        direction -= direction.mean(axis=0)
        direction /= np.sqrt(np.mean(np.sum(direction**2, axis=1)))
        slope = _slope(lambda x, d=direction: bench.energy_at(x * d), step)  # type: ignore[misc]
        typical = bench.scale * np.linalg.norm(direction)
        worst = max(worst, float(abs(slope + np.sum(bench.forces * direction)) / typical))
    spoils = "everything: energy is not conserved in the dynamics, force constants are not symmetric"
    return Check("forces against slope of energy", worst, "<=", float(limit), "of rms force", spoils)


def _net_force_check(bench: _Bench) -> Check:
    net = float(np.abs(bench.forces.sum(axis=0)).max()) / (len(bench.atoms) * bench.scale)
    spoils = "acoustic modes at the zone centre, and the dynamics: the crystal accelerates and the heat flux drifts"
    return Check("net force per atom", net, "<=", bench.invariance, "of rms force", spoils)


def _torque_check(bench: _Bench, cutoff: float) -> Check:
    """In periodic structures there is no torque to speak of: a cluster is cut out of this one."""
    cluster = isolated_cluster(bench.atoms, cutoff)
    arms = cluster.positions - cluster.positions.mean(axis=0)
    forces = np.asarray(bench.subject.energy_and_forces(cluster)[1])
    torque = np.abs(np.cross(arms, forces).sum(axis=0)).max()
    typical = len(cluster) * max(np.sqrt(np.mean(forces**2)), 1e-12) * np.sqrt(np.mean(arms**2))
    spoils = "rotational sum rules, bending modes and elastic constants"
    name = f"torque on a cluster of {len(cluster)}"
    return Check(name, float(torque / typical), "<=", bench.invariance, "of rms force", spoils)


# What changes nothing.


def _symmetry_checks(bench: _Bench) -> list[Check]:
    atoms, forces = bench.atoms, bench.forces

    def row(name: str, value: float, spoils: str) -> Check:
        return Check(name, value, "<=", bench.invariance, "of rms force", spoils)

    return [
        row("order of the atoms", _order(bench), "everything: the answer depends on which atom is written first"),
        row("rigid translation", _translation(bench), "acoustic modes: their frequencies do not vanish"),
        row("periodic images", _images(bench), "the dynamics, in which atoms leave the cell, and the heat flux"),
        row("rotation", _rotation(bench), "velocities, elastic constants, anything along another axis"),
        row("doubled cell", bench.difference(*_doubled(atoms, forces), copies=2),
            "supercells: force constants and conductivities of different sizes do not belong together"),
    ]  # fmt: skip


def _order(bench: _Bench) -> float:
    """Sorted by species, the reverse, and at random: every species comes first once, but for a third one."""
    by_species = np.argsort(bench.atoms.numbers, kind="stable")
    orders = (by_species, by_species[::-1], bench.generator.permutation(len(bench.atoms)))
    return max(bench.difference(bench.atoms[order], bench.forces[order]) for order in orders)


def _translation(bench: _Bench) -> float:
    moved = bench.atoms.copy()
    moved.positions += bench.generator.uniform(0.0, 1.0, size=3) @ moved.cell.array
    moved.wrap()
    return bench.difference(moved, bench.forces)


def _images(bench: _Bench) -> float:
    moved = bench.atoms.copy()
    moved.positions += bench.generator.integers(-1, 2, size=moved.positions.shape) @ moved.cell.array
    return bench.difference(moved, bench.forces)


def _rotation(bench: _Bench) -> float:
    turn = Rotation.from_rotvec([0.7, -1.1, 0.9]).as_matrix()
    turned = bench.atoms.copy()
    turned.set_cell(turned.cell.array @ turn.T)
    turned.positions = turned.positions @ turn.T
    return bench.difference(turned, bench.forces @ turn.T)


def _doubled(atoms: Atoms, forces: np.ndarray) -> tuple[Atoms, np.ndarray]:
    """Twice the structure along its shortest vector."""
    times = [1, 1, 1]
    times[int(np.argmin(atoms.cell.lengths()))] = 2
    return atoms.repeat(times), np.vstack([forces, forces])


# Sums and virials.


def _virial_checks(bench: _Bench) -> tuple[list[Check], list[str]]:
    """And the properties that the potential does not offer, or does not have after all."""
    subject, atoms, limits, checks = bench.subject, bench.atoms, bench.thresholds, []
    size = len(atoms)
    asked = {
        "virial": subject.virial,
        "energies of the atoms": subject.energies,
        "virials of the atoms": subject.virials,
    }
    answers = {name: _answer(question, atoms) for name, question in asked.items()}
    lacking = [name for name, answer in answers.items() if answer is None]
    if (energies := answers["energies of the atoms"]) is not None:
        off = abs(float(np.sum(energies)) - bench.energy) / size
        limit = max(limits.sums, MANY * bench.noise.energy / size)
        spoils = "the heat flux: what the atoms carry along is not the energy"
        checks.append(Check("sum of the atoms' energies", off, "<=", limit, "eV/atom", spoils))
    virial, virials = answers["virial"], answers["virials of the atoms"]
    if virial is None and virials is None:
        return checks, lacking
    step = _displacement_step(bench) / BOND
    expected = strain_derivative(bench, step)
    limit = max(limits.virial, MANY * _slope_noise(bench, step) / size)
    if virial is not None:
        spoils = "pressure, thermal expansion, elastic constants"
        off = _virial_error(virial, expected, size)
        checks.append(Check("virial against strain", off, "<=", limit, "eV/atom", spoils))
    if virials is not None:
        off = _virial_error(np.sum(virials, axis=0), expected, size)
        checks.append(Check("sum of the atoms' virials", off, "<=", limit, "eV/atom", "the heat flux"))
    return checks, lacking


def _answer(question: Callable[[Atoms], np.ndarray] | None, atoms: Atoms) -> np.ndarray | None:
    """None where a potential does not offer a property, or says only when it is asked that it has none."""
    if question is None:
        return None
    try:
        return question(atoms)
    except MissingProperty:
        return None


def strain_derivative(bench: _Bench, step: float) -> np.ndarray:
    """Virial (3, 3) in eV as -dE/d(strain) under the six symmetric strains."""
    virial = np.empty((3, 3))
    for a, b in STRAINS:
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5
        strain[b, a] += 0.5
        virial[a, b] = virial[b, a] = -_slope(lambda x, s=strain: bench.energy_under(x * s), step)  # type: ignore[misc]
    return virial


def _virial_error(found: np.ndarray, expected: np.ndarray, atoms: int) -> float:
    """Largest difference per atom; of an asymmetric virial (which would mean a torque) the symmetric part counts."""
    return float(np.abs(0.5 * (found + found.T) - expected).max()) / atoms


# Smoothness.


def _jump_checks(bench: _Bench, kinks: tuple[Kink, ...], all_kinks: bool) -> list[Check]:
    limits, place = bench.thresholds, "at a cutoff" if all_kinks else "within a step"
    reached = [kink for kink in kinks if all_kinks or kink.pairs]

    def row(name: str, among: Sequence[Kink], size: str, limit: float, unit: str, spoils: str) -> Check:
        worst = max(among, key=lambda kink: getattr(kink, size), default=None)
        value = 0.0 if worst is None else float(getattr(worst, size))
        where = "" if worst is None else f"; largest for {'-'.join(worst.pair)} at {worst.radius:.4f} Angstrom"
        where += "" if worst is None else f" ({worst.part})"
        return Check(name, value, "<=", limit, unit, spoils + where)

    return [
        row("energy jump at a cutoff", kinks, "energy_jump", limits.energy_jump, "eV",
            "the dynamics: energy drifts with every pair that crosses; forces do not know of it"),
        row("force jump at a cutoff", kinks, "force_jump", limits.force_jump, "eV/Angstrom",
            "second-order force constants, minima, and energy conservation where a pair crosses"),
        row(f"curvature jump {place}", reached, "curvature_jump", limits.curvature_jump, "eV/Angstrom^2",
            "finite differences within a step of the cutoff, linewidths of soft modes"),
    ]  # fmt: skip


# For a terminal.


def table(examination: Examination) -> list[str]:
    """One aligned row per check, what a failed one spoils below it, the cutoffs, and the notes."""
    names = max(len(check.name) for check in examination.checks)
    lines = []
    for check in examination.checks:
        verdict = "pass" if check.passed else "FAIL"
        limit = f"{check.relation} {check.threshold:<7.0e}"
        lines.append(f"{verdict}  {check.name:<{names}}  {check.value:>9.2e}  {limit}  {check.unit}")
        if not check.passed:
            lines.append(f"{'':6}spoils: {check.advice}")
    notes = ["", *examination.notes] if examination.notes else []
    return [*lines, *kink_lines(examination.kinks), *notes]
