"""A laboratory of broken potentials: each defect is found by its own check and by no other."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from matscipy.neighbours import neighbour_list
from small_silica import CASE, disordered, glass, silica_potential

from ldmd import cli
from ldmd.errors import MissingProperty
from ldmd.potentials.contract import Examination, Thresholds, examine, table
from ldmd.potentials.kinks import find_cutoffs
from ldmd.potentials.subjects import Subject, isolated_cluster, site_subject, trial_lattice
from ldmd.structures import write_structure

CUTOFF = 3.7
"""Angstrom, in the gap between the shells at 2.6 and 4.2 Angstrom, and beyond that at 3.0."""
SHELL = 3.0
"""Angstrom, the second shell of the crystal."""
CHARGE = {11: 1.0, 17: 1.3}


def crystal() -> Atoms:
    """128 atoms of the CsCl structure, no atom at a face of the cell: shells at 2.6 and 3.0 Angstrom."""
    atoms = bulk("NaCl", "cesiumchloride", a=SHELL, cubic=True).repeat(4)
    atoms.positions += 0.25 * SHELL
    return atoms


Radial = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def smooth(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phi = 0.4 (rc - r)^4 and its slope: three derivatives vanish at the cutoff."""
    return 0.4 * (CUTOFF - r) ** 4, -1.6 * (CUTOFF - r) ** 3


@dataclasses.dataclass(frozen=True)
class Laboratory:
    """Pairs repel: E = 1/2 sum q_i q_j phi(r_ij). Sound as it is; every field is a way to break it."""

    radial: Radial = smooth
    cutoff: float = CUTOFF
    number: type = np.float64
    energy_error: Callable[[Atoms], float] = staticmethod(lambda atoms: 0.0)
    energies_factor: float = 1.0
    virial_factor: float = 1.0
    virials_factor: float = 1.0
    spoil: Callable[[Atoms, np.ndarray], np.ndarray] = staticmethod(lambda atoms, forces: forces)
    factor: Callable[[Atoms], float] = staticmethod(lambda atoms: 1.0)

    def parts(self, atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies (N,), forces (N, 3) and virials (N, 3, 3) of the atoms."""
        i, j, vectors = neighbour_list("ijD", atoms, self.cutoff)
        vectors = vectors.astype(self.number)
        charges = np.array([CHARGE[number] for number in atoms.numbers], dtype=self.number)
        distances = np.sqrt(np.sum(vectors**2, axis=1))
        phi, slope = (charges[i] * charges[j] * part for part in self.radial(distances))
        pull = (slope / distances)[:, None] * vectors
        energies, forces = np.zeros(len(atoms), self.number), np.zeros((len(atoms), 3), self.number)
        virials = np.zeros((len(atoms), 3, 3), self.number)
        np.add.at(energies, i, self.number(0.5) * phi)
        np.add.at(forces, i, pull)
        np.add.at(virials, i, self.number(-0.5) * vectors[:, :, None] * pull[:, None, :])
        factor = self.factor(atoms)
        return factor * energies, factor * forces, factor * virials

    def energy_and_forces(self, atoms: Atoms) -> tuple[float, np.ndarray]:
        """What everything is made of."""
        energies, forces, _ = self.parts(atoms)
        return float(energies.sum()) + self.energy_error(atoms), self.spoil(atoms, forces)

    def subject(self) -> Subject:
        """Everything offered."""
        return Subject(
            self.energy_and_forces,
            energies=lambda atoms: self.energies_factor * self.parts(atoms)[0] + self.energy_error(atoms) / len(atoms),
            virial=lambda atoms: self.virial_factor * self.parts(atoms)[2].sum(axis=0),
            virials=lambda atoms: self.virials_factor * self.parts(atoms)[2],
            radii={pair: {self.cutoff: "cutoff"} for pair in (("Cl", "Cl"), ("Cl", "Na"), ("Na", "Na"))},
        )


def pulled(atoms: Atoms, forces: np.ndarray) -> np.ndarray:
    """A common force on all atoms, made from the structure alone: it turns with it and grows with nothing."""
    i, _, vectors = neighbour_list("ijD", atoms, CUTOFF)
    near = (CUTOFF - np.linalg.norm(vectors, axis=1)) ** 4
    crowding = np.bincount(i, near, minlength=len(atoms))
    return forces + 0.01 * (near * crowding[i]) @ vectors / len(atoms)


def turned(atoms: Atoms, forces: np.ndarray) -> np.ndarray:
    """A torque on whatever has a surface."""
    if atoms.get_volume() / len(atoms) < 30.0:
        return forces
    return forces + 0.05 * np.cross([0.0, 0.0, 1.0], atoms.positions - atoms.positions.mean(axis=0))


def in_the_wrong_frame(atoms: Atoms, forces: np.ndarray) -> np.ndarray:
    """Computed in a lower triangular cell and not turned back, as an interface may forget."""
    if np.allclose(atoms.cell.array, atoms.cell.array.T):
        return forces
    upper, _ = np.linalg.qr(atoms.cell.array.T)
    return forces @ upper


def noisy(atoms: Atoms, forces: np.ndarray) -> np.ndarray:
    """Forces that depend on the tenth digit of where the atoms are: an iteration that was stopped too early."""
    return forces + 0.02 * np.sin(1e9 * atoms.positions)


def jumps(order: int, size: float, cutoff: float) -> Radial:
    """phi = size (rc - r)^order / order! + (rc - r)^4: only the derivative of that order jumps at the cutoff."""

    def radial(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = cutoff - r
        phi = size * np.array([np.ones_like(x), x, 0.5 * x**2, x**3 / 6.0])[order] + x**4
        slope = -size * np.array([np.zeros_like(x), np.ones_like(x), x, 0.5 * x**2])[order] - 4.0 * x**3
        return phi, slope

    return radial


NEAR = SHELL + 0.01

BROKEN = {
    "forces against slope of energy": Laboratory(spoil=lambda atoms, forces: 1.01 * forces),
    "net force per atom": Laboratory(spoil=pulled),
    "torque on a cluster of 24": Laboratory(spoil=turned),
    "order of the atoms": Laboratory(factor=lambda atoms: 1.001 if atoms.symbols[0] == "Cl" else 1.0),
    "periodic images": Laboratory(
        factor=lambda atoms: 1.0 if np.all(np.abs(atoms.cell.scaled_positions(atoms.positions) - 0.5) < 0.6) else 1.01
    ),
    "rotation": Laboratory(spoil=in_the_wrong_frame),
    "doubled cell": Laboratory(energy_error=lambda atoms: 0.2),
    "noise of the forces": Laboratory(spoil=noisy),
    "sum of the atoms' energies": Laboratory(energies_factor=1.001),
    "virial against strain": Laboratory(virial_factor=-1.0),
    "sum of the atoms' virials": Laboratory(virials_factor=0.5),
    "energy jump at a cutoff": Laboratory(radial=jumps(0, 1e-3, CUTOFF)),
    "force jump at a cutoff": Laboratory(radial=jumps(1, 1e-2, CUTOFF)),
    "curvature jump within a step": Laboratory(radial=jumps(2, 0.05, NEAR), cutoff=NEAR),
}


def failed(examination: Examination) -> set[str]:
    return {check.name for check in examination.checks if not check.passed}


def test_a_sound_potential_passes_everything() -> None:
    examination = examine(Laboratory().subject(), crystal())
    assert failed(examination) == set()
    assert {check.name for check in examination.checks} == set(BROKEN) | {"rigid translation"}
    assert examination.passed and examination.notes == ()


@pytest.mark.parametrize("name", BROKEN)
def test_each_defect_is_found_by_its_own_check_only(name: str) -> None:
    examination = examine(BROKEN[name].subject(), crystal())
    assert failed(examination) == {name}
    assert not examination.passed


def test_the_frame_of_the_cell_matters_only_to_the_broken_one() -> None:
    """That laboratory is sound for the cells that the other checks use."""
    atoms = crystal()
    sound, broken = (laboratory.energy_and_forces(atoms) for laboratory in (Laboratory(), BROKEN["rotation"]))
    np.testing.assert_array_equal(sound[1], broken[1])


def test_a_position_dependent_energy_is_found_by_a_translation() -> None:
    """Forces that do not know of it, so that few other checks can."""
    grid = Laboratory(energy_error=lambda atoms: 1e-2 * float(np.cos(4.0 * np.pi * atoms.positions[:, 0]).sum()))
    assert "rigid translation" in failed(examine(grid.subject(), crystal()))


# Numbers.


def value(examination: Examination, name: str) -> float:
    (found,) = (check.value for check in examination.checks if check.name == name)
    return found


def test_the_jumps_have_the_size_they_were_made_with() -> None:
    for order, size, accuracy in ((0, 1e-3, 1e-3), (1, 1e-2, 1e-3), (2, 0.05, 1e-3), (3, 50.0, 0.01)):
        laboratory = Laboratory(radial=jumps(order, size, NEAR), cutoff=NEAR)
        kinks = examine(laboratory.subject(), crystal()).kinks
        for kink in kinks:
            charges = np.prod([{"Na": 1.0, "Cl": 1.3}[symbol] for symbol in kink.pair])
            found = (kink.energy_jump, kink.force_jump, kink.curvature_jump, kink.third_jump)[order]
            assert found == pytest.approx(size * charges, rel=accuracy)


def test_pairs_within_a_step_are_counted() -> None:
    """64 atoms of each kind with six neighbours of that kind at 3.0 Angstrom: 192 pairs each, none of unlike atoms."""
    laboratory = Laboratory(radial=jumps(2, 0.05, NEAR), cutoff=NEAR)
    kinks = {kink.pair: kink for kink in examine(laboratory.subject(), crystal()).kinks}
    assert {pair: kink.pairs for pair, kink in kinks.items()} == {
        ("Cl", "Cl"): 192,
        ("Cl", "Na"): 0,
        ("Na", "Na"): 192,
    }
    assert kinks["Na", "Na"].nearest == pytest.approx(0.01)


def test_a_jump_that_no_pair_is_near_counts_only_if_all_do() -> None:
    laboratory = Laboratory(radial=jumps(2, 0.05, CUTOFF))
    assert failed(examine(laboratory.subject(), crystal())) == set()
    assert failed(examine(laboratory.subject(), crystal(), all_kinks=True)) == {"curvature jump at a cutoff"}


def test_the_step_decides_which_pairs_are_near() -> None:
    laboratory = Laboratory(radial=jumps(2, 0.05, NEAR), cutoff=NEAR)
    assert failed(examine(laboratory.subject(), crystal(), step=0.005)) == set()


def test_single_precision_fails_nothing_and_is_named() -> None:
    """Limits follow the measured noise, whatever constant the energies have; in double precision they do not move."""
    double = examine(Laboratory().subject(), crystal())
    assert not any("noise" in note for note in double.notes)
    for constant in (0.0, -1000.0):
        laboratory = Laboratory(number=np.float32, energy_error=lambda atoms, c=constant: c * len(atoms))
        single = examine(single_energies(laboratory), crystal())
        assert failed(single) == set()
        assert 1e-9 < value(single, "noise of the forces") < 1e-5
        assert any(re.search(r"noise of \d\.\de-\d\d eV/Angstrom, as single precision does", n) for n in single.notes)
    limits = {check.name: check.threshold for check in double.checks}
    assert limits["rotation"] == Thresholds().invariance and limits["virial against strain"] == Thresholds().virial


def single_energies(laboratory: Laboratory) -> Subject:
    """Its energies are cut to single precision as a whole, as models give them."""
    subject = laboratory.subject()
    assert subject.energies is not None
    whole = subject.energies

    def rounded(atoms: Atoms) -> tuple[float, np.ndarray]:
        energy, forces = subject.energy_and_forces(atoms)
        return float(np.float32(energy)), forces

    return dataclasses.replace(
        subject, energy_and_forces=rounded, energies=lambda atoms: np.asarray(whole(atoms), dtype=np.float32)
    )


def test_a_defect_is_not_hidden_by_single_precision() -> None:
    single = Laboratory(number=np.float32)
    for name in ("forces against slope of energy", "net force per atom", "rotation", "virial against strain"):
        broken = dataclasses.replace(BROKEN[name], number=np.float32)
        assert failed(examine(broken.subject(), crystal())) == {name}
    assert failed(examine(single.subject(), crystal(), Thresholds(noise=1e-9))) == {"noise of the forces"}


def test_properties_that_are_not_there_after_all_are_not_looked_at() -> None:
    def missing(atoms: Atoms) -> np.ndarray:
        raise MissingProperty("potential.calculator", "x", "does not compute it")

    promising = dataclasses.replace(Laboratory().subject(), energies=missing, virial=missing)
    examination = examine(promising, crystal())
    assert failed(examination) == set()
    names = {check.name for check in examination.checks}
    assert "sum of the atoms' virials" in names
    assert not names & {"virial against strain", "sum of the atoms' energies"}
    assert "virial, energies of the atoms" in examination.notes[0]


def test_cutoffs_are_found_where_they_are_not_known() -> None:
    found = find_cutoffs(Laboratory(radial=jumps(2, 0.05, CUTOFF)).energy_and_forces, ("Na", "Cl"))
    assert set(found) == {("Cl", "Cl"), ("Cl", "Na"), ("Na", "Na")}
    for (radius,) in found.values():
        assert radius == pytest.approx(CUTOFF, abs=1e-8)


def test_without_a_cutoff_smoothness_is_not_looked_at() -> None:
    def everlasting(atoms: Atoms) -> tuple[float, np.ndarray]:
        vectors = atoms.get_all_distances(mic=True, vector=True)
        return float(np.sum(np.exp(-0.02 * np.sum(vectors**2, axis=2)))), 0.08 * np.sum(
            vectors * np.exp(-0.02 * np.sum(vectors**2, axis=2))[:, :, None], axis=0
        )

    assert find_cutoffs(everlasting, ("Na",)) == {}


# Potentials of ours.


def test_the_glass_of_the_case_may_be_computed_with_its_potential() -> None:
    """Its curvature jumps by hundreds of eV/Angstrom^2 at the cutoffs, and no pair is there; forces do not jump."""
    examination = examine(site_subject(silica_potential()), glass())
    assert failed(examination) == set()
    assert max(kink.curvature_jump for kink in examination.kinks) > 100.0
    assert sum(kink.pairs for kink in examination.kinks) == 0


def test_the_same_potential_where_pairs_are_at_the_cutoff() -> None:
    dense = disordered()
    dense.set_cell(dense.cell.array * 0.885, scale_atoms=True)
    assert failed(examine(site_subject(silica_potential()), dense)) == {"curvature jump within a step"}


def test_a_structure_where_none_is_at_hand() -> None:
    atoms = trial_lattice(("Si", "O"), 4.0)
    assert set(atoms.get_chemical_symbols()) == {"Si", "O"}
    assert atoms.cell.lengths().min() >= 8.0
    assert atoms.get_all_distances(mic=True)[0, 1:].min() > 2.0


def test_a_cluster_is_isolated() -> None:
    cluster = isolated_cluster(crystal(), CUTOFF)
    assert len(cluster) == 24
    gap = cluster.cell.lengths() - np.ptp(cluster.positions, axis=0)
    assert np.all(gap >= CUTOFF + 1.9)
    inside = cluster.copy()
    inside.pbc = False
    for found, expected in zip(Laboratory().parts(cluster), Laboratory().parts(inside), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


# The table.


def test_the_table_has_a_row_for_each_check_and_says_what_a_failure_spoils() -> None:
    lines = table(examine(BROKEN["curvature jump within a step"].subject(), crystal()))
    assert sum(line.startswith("pass  ") for line in lines) == 14
    (place,) = (number for number, line in enumerate(lines) if line.startswith("FAIL  "))
    assert re.match(r"FAIL  curvature jump within a step +\d\.\d+e[-+]\d\d  <= 1e-02 +eV/Angstrom\^2$", lines[place])
    assert lines[place + 1].strip().startswith("spoils: finite differences within a step of the cutoff")
    rows = [line for line in lines if line[:6] in ("pass  ", "FAIL  ")]
    assert len({line.index("<=") for line in rows}) == 1
    assert any(line.startswith("Na-Na") and "192 (nearest 0.010 Angstrom off)" in line for line in lines)


def test_what_was_not_looked_at_is_said() -> None:
    bare = dataclasses.replace(Laboratory().subject(), energies=None, virial=None, virials=None)
    examination = examine(bare, crystal())
    names: set[Any] = {check.name for check in examination.checks}
    assert not names & {"virial against strain", "sum of the atoms' energies", "sum of the atoms' virials"}
    assert "virial" in examination.notes[0]


# The command.


@pytest.fixture
def ldmd(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit code, output, errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ldmd", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capfd.readouterr()

    return run


def test_the_command_passes_a_sound_case(ldmd: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = ldmd("potential", "check", CASE)
    assert code == 0
    assert "on 648 atoms of O, Si" in out and "FAIL" not in out


def test_a_failed_check_is_exit_code_1(ldmd: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """A potential alone is not looked at on a structure in which no pair is near its cutoff."""
    code, out, _ = ldmd("potential", "check", CASE / "SiO.tersoff")
    assert code == 1
    assert "FAIL  curvature jump at a cutoff" in out and "spoils: " in out
    code, out, _ = ldmd("potential", "check", CASE / "SiO.tersoff", "--structure", CASE / "structure.extxyz")
    assert code == 0
    code, out, _ = ldmd("potential", "check", CASE / "SiO.tersoff", "--threshold", "curvature_jump=1e4")
    assert code == 0


def test_a_case_with_a_black_box(ldmd: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    copper = bulk("Cu", cubic=True).repeat(3)
    write_structure(copper, tmp_path / "structure.extxyz")
    (tmp_path / "case.toml").write_text(
        '[material]\nname = "copper"\n[potential]\nkind = "ase"\ncalculator = "ase.calculators.lj:LennardJones"\n'
        "arguments = { sigma = 2.3, epsilon = 0.4, rc = 6.0, smooth = false }\n"
    )
    code, out, _ = ldmd("potential", "check", tmp_path)
    assert code == 1
    assert [line for line in out.splitlines() if line.startswith("FAIL")] == [
        line for line in out.splitlines() if "force jump at a cutoff" in line
    ]
    assert "sum of the atoms' virials" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "neither a case folder nor the file of a potential"),
        (["case.toml"], "not the file of a potential known here"),
        (["SiO.tersoff", "--structure", "none.extxyz"], "no such file"),
        (["SiO.tersoff", "--step", "-1"], "give 1e-09 to 0.5 Angstrom"),
        (["SiO.tersoff", "--step", "nan"], "give 1e-09 to 0.5 Angstrom"),
        (["SiO.tersoff", "--threshold", "nois=1"], "give NAME=VALUE with a name of noise, gradient"),
        (["SiO.tersoff", "--threshold", "noise=low"], "the value is no number"),
        (["SiO.tersoff", "--threshold", "noise=nan"], "must be positive"),
        (["fetch:sil"], "fetch"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    ldmd: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(CASE)
    code, out, err = ldmd("potential", "check", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_structure_of_other_elements_is_refused(ldmd: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    write_structure(bulk("Cu", cubic=True).repeat(3), tmp_path / "copper.extxyz")
    code, _, err = ldmd("potential", "check", CASE, "--structure", tmp_path / "copper.extxyz")
    assert code == 2 and "the potential knows only" in err
