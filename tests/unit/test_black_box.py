"""Any ASE calculator as a black box: what can be wrong with it is said in one line, and what it answered is kept."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from small_silica import CASE, oblique, silica_potential

from ldmd.errors import InputError, MissingProperty
from ldmd.potentials.black_box import AsePotential, require_knows, with_files_of
from ldmd.potentials.black_box_relaxation import evaluate_black_box, relax_black_box
from ldmd.potentials.calculator import LdmdCalculator
from ldmd.potentials.calculator_source import why_not_called
from ldmd.potentials.evaluations import Displacement, evaluations
from ldmd.potentials.record import HEADER, FileRecord
from ldmd.relaxation import evaluate
from ldmd.units import GPA

SPRINGS = "foreign_calculators:Springs"
SILICA = AsePotential("ldmd.potentials.calculator:tersoff_calculator", {"parameters": str(CASE / "SiO.tersoff")})


def copper() -> Atoms:
    return bulk("Cu", cubic=True)


def steps(count: int) -> list[Displacement]:
    """Configurations that all differ."""
    return [((0, (0.001 * n, 0.0, 0.0)), (n % 3, (0.0, 0.1, 0.0))) for n in range(count)]


def calls(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os:system", "is a builtin_function_or_method"),
        ("subprocess:run", "is a function that does not say what it returns"),
        ("subprocess:Popen", "is a class, but not of an ASE calculator"),
        ("pathlib:Path.unlink", "is a function that does not say what it returns"),
        ("foreign_calculators:unmarked", "def unmarked(...) -> Calculator"),
        ("foreign_calculators:Springs.log_file", "is a function that does not say"),
        ("foreign_calculators:PARTIAL", "is a partial"),
        ("builtins:eval", "is a builtin_function_or_method"),
        ("os:environ", "is a _Environ"),
    ],
)
def test_nothing_is_called_that_is_not_meant_to_give_a_calculator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """Whatever would have been called leaves no trace; the error is one line."""
    monkeypatch.chdir(tmp_path)
    for arguments in ({}, {"command": "touch trace"}, {"args": ["touch", "trace"]}):
        with pytest.raises(InputError, match="potential.calculator") as caught:
            AsePotential(name, arguments).made()
        assert said in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "ase.calculators.emt:EMT",
        "ldmd.potentials.lammps:lammps_calculator",
        "ldmd.potentials.calculator:tersoff_calculator",
        "ldmd.potentials.reading:calculator",
        "foreign_calculators:springs_of_file",
        "foreign_calculators:Springs.stiff",
        "foreign_calculators:either",
        "foreign_calculators:wrapped",
        "foreign_calculators:of_a_type_for_checkers",
    ],
)
def test_classes_and_marked_functions_may_be_called(name: str) -> None:
    module, _, rest = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in rest.split("."):
        found = getattr(found, part)
    assert why_not_called(found) is None


@pytest.mark.parametrize(
    ("calculator", "arguments", "said"),
    [
        ("ase.calculators.emt", {}, "give package.module:Name"),
        (":EMT", {}, "give package.module:Name"),
        ("mace.calculators:mace_mp", {}, "python -m pip install 'mace-torch'"),
        ("no_such_package:Thing", {}, "module no_such_package is not installed"),
        ("ase.calculators.emtt:EMT", {}, "there is no module ase.calculators.emtt in the installed ase"),
        ("ase.calculators.emt:ETM", {}, "did you mean EMT?"),
        (SPRINGS, {"stiffness": 3}, "refuses them (TypeError"),
        ("ldmd.potentials.calculator:tersoff_calculator", {"parameters": "none"}, "no such file"),
        ("foreign_calculators:no_calculator", {}, "a function that does not say what it returns"),
        ("foreign_calculators:promised_calculator", {}, "makes a int; name a class or function"),
        (SPRINGS, {"log": object()}, "give numbers, text, lists and tables only"),
    ],
)
def test_a_calculator_that_cannot_be_made(calculator: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        AsePotential(calculator, arguments).forces(copper())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fail_at": 0, "fail_how": "raise"}, "failed (RuntimeError: SCF did not converge)"),
        ({"fail_at": 0, "fail_how": "nan"}, "gives forces on atom 2 that is not a finite number"),
        ({"shape": "short"}, "gives forces of shape (3,) where (4, 3) is meant"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        AsePotential(SPRINGS, {"log": str(tmp_path / "calls"), **arguments}).forces(copper())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_element_that_is_not_known_is_named() -> None:
    atoms = copper()
    atoms.symbols[[0, 1]] = ["Xe", "O"]
    with pytest.raises(InputError, match="material.structure = O, Xe: the calculator knows the other elements") as said:
        require_knows(atoms, AsePotential("foreign_calculators:Only", {"numbers": [29]}))
    assert "KeyError: 54" in str(said.value) or "KeyError: 8" in str(said.value)
    with pytest.raises(InputError, match=r"for 4 atoms of Cu, O, Xe: failed \(KeyError"):
        require_knows(atoms, AsePotential("foreign_calculators:Only", {"numbers": []}))
    require_knows(atoms, AsePotential("foreign_calculators:Only", {"numbers": [8, 29, 54]}))
    with pytest.raises(InputError, match="material.structure = Cu, Xe: the potential knows only Si, O"):
        SILICA.forces(atoms)


def test_constraints_hide_no_forces() -> None:
    atoms = copper()
    expected = AsePotential(SPRINGS).forces(atoms)
    atoms.set_constraint(FixAtoms([1, 2]))
    np.testing.assert_array_equal(AsePotential(SPRINGS).forces(atoms), expected)
    assert np.abs(expected[1]).max() > 1.0


def test_the_fingerprint_sees_the_file_and_not_its_place(tmp_path: Path) -> None:
    def fingerprint(model: Path) -> bytes:
        return AsePotential("foreign_calculators:springs_of_file", {"model": str(model)}).fingerprint()

    one, other = tmp_path / "one.model", tmp_path / "folder" / "other.model"
    other.parent.mkdir()
    one.write_text("weights")
    other.write_text("weights")
    assert fingerprint(one) == fingerprint(other)
    other.write_text("weights of another")
    assert fingerprint(one) != fingerprint(other)
    before = AsePotential(SPRINGS, {"log": str(one)}).fingerprint()
    one.write_text("a line more in the log")
    assert AsePotential(SPRINGS, {"log": str(one)}).fingerprint() == before
    assert AsePotential(SPRINGS, {"seconds": 0.0}).fingerprint() != AsePotential(SPRINGS).fingerprint()


def test_files_of_the_case_folder(tmp_path: Path) -> None:
    (tmp_path / "a.snap").write_text("x")
    (tmp_path / "model").write_text("x")
    arguments = {"model": "model", "coeff": ["* * a.snap b.snap model"], "deep": {"n": 3, "none": "elsewhere"}}
    assert with_files_of(arguments, tmp_path) == {
        "model": str(tmp_path / "model"),
        "coeff": [f"* * {tmp_path / 'a.snap'} b.snap model"],
        "deep": {"n": 3, "none": "elsewhere"},
    }


def test_our_potential_through_the_door_of_ase() -> None:
    """Same numbers, and the stress is the derivative of the energy by a strain."""
    atoms, expected = oblique(), evaluate(oblique(), silica_potential())
    found = evaluate_black_box(atoms, SILICA)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0.0, atol=1e-12)
    assert found.energy == pytest.approx(expected.energy, abs=1e-10)
    assert found.pressure == pytest.approx(expected.pressure, rel=1e-10)
    assert SILICA.energies(atoms).sum() == pytest.approx(expected.energy, abs=1e-10)
    assert SILICA.offers() == {"energies", "stress"}
    stress = SILICA.stress(atoms)
    for i, j in ((0, 0), (1, 2), (0, 2)):
        energies = []
        for sign in (1.0, -1.0):
            strain = np.eye(3)
            strain[i, j] += 0.5e-4 * sign
            strain[j, i] += 0.5e-4 * sign
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            energies.append(SILICA.energy(strained))
        slope = (energies[0] - energies[1]) / 2e-4 / atoms.get_volume()
        assert slope == pytest.approx(stress[i, j], abs=1e-7 * np.abs(stress).max())


def test_a_cell_that_is_not_periodic_is_refused() -> None:
    atoms = oblique()
    atoms.pbc = [True, True, False]
    with pytest.raises(InputError, match="must be periodic in all three directions"):
        SILICA.forces(atoms)


def test_stresses_per_atom_are_virials() -> None:
    copper_black_box = AsePotential("ase.calculators.emt:EMT")
    assert copper_black_box.offers() == {"energies", "stress", "virials"} & copper_black_box.offers()
    lennard_jones = AsePotential("ase.calculators.lj:LennardJones", {"sigma": 2.3, "rc": 5.0})
    atoms = copper()
    atoms.rattle(0.1, seed=1)
    total = lennard_jones.virials(atoms).sum(axis=0)
    np.testing.assert_allclose(total, -atoms.get_volume() * lennard_jones.stress(atoms), rtol=0.0, atol=1e-10)


def test_relaxation_of_a_black_box() -> None:
    atoms = oblique()
    relaxed = relax_black_box(atoms, SILICA, fmax=1e-3)
    state = evaluate(relaxed, silica_potential())
    assert state.largest_force <= 1e-3
    assert state.energy < evaluate(atoms, silica_potential()).energy
    np.testing.assert_array_equal(relaxed.cell.array, atoms.cell.array)


def test_a_relaxation_that_cannot_converge_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        relaxed = relax_black_box(oblique(), SILICA, fmax=1e-3, steps=3)
    assert "not relaxed: largest force" in caplog.text
    assert evaluate(relaxed, silica_potential()).largest_force < evaluate(oblique(), silica_potential()).largest_force


def test_a_box_without_stress_has_no_pressure() -> None:
    assert np.isnan(evaluate_black_box(copper(), AsePotential(SPRINGS)).pressure)
    with pytest.raises(MissingProperty, match="does not compute stress"):
        AsePotential(SPRINGS).stress(copper())
    promising = AsePotential("foreign_calculators:Promising")
    assert "stress" in promising.offers() and np.isnan(evaluate_black_box(copper(), promising).pressure)


def test_a_record_comes_back(tmp_path: Path) -> None:
    arrays = {bytes([n] * 32): np.random.default_rng(n).normal(size=(n, 3)) for n in range(1, 6)}
    record = FileRecord(tmp_path / "record")
    for key, array in arrays.items():
        record[key] = array
    record.close()
    again = FileRecord(tmp_path / "record")
    for key, array in arrays.items():
        np.testing.assert_array_equal(again[key], array)
    assert len(again) == 5
    assert b"0" * 32 not in again
    again.close()


@pytest.mark.parametrize("cut", [1, 30, 100])
def test_an_unfinished_entry_is_cut_off(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "record"
    record = FileRecord(path)
    for n in range(3):
        record[bytes([n] * 32)] = np.full((4, 3), float(n))
    record.close()
    path.write_bytes(path.read_bytes()[:-cut])
    with caplog.at_level(logging.WARNING):
        again = FileRecord(path)
    assert "are not sound and are left out" in caplog.text
    assert len(again) == 2
    again[bytes([2] * 32)] = np.full((4, 3), 7.0)
    again.close()
    third = FileRecord(path)
    assert len(third) == 3
    np.testing.assert_array_equal(third[bytes([2] * 32)], 7.0)
    third.close()


def keys_kept(path: Path) -> list[int]:
    """Which of the entries that ``three_entries`` wrote a record still has, each with the right numbers."""
    record = FileRecord(path)
    kept = [n for n in range(3) if bytes([n] * 32) in record]
    for n in kept:
        np.testing.assert_array_equal(record[bytes([n] * 32)], np.full((4, 3), n + 0.5))
    assert len(record) == len(kept)
    record.close()
    return kept


def three_entries(path: Path) -> bytearray:
    """A record of three entries; what its file holds."""
    record = FileRecord(path)
    for n in range(3):
        record[bytes([n] * 32)] = np.full((4, 3), n + 0.5)
    record.close()
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("entry", range(3))
@pytest.mark.parametrize("place", [0, 31, 32, 35, 36, 40, 44, 100, 139, 143])  # key, dimensions, shape, numbers, CRC
def test_one_wrong_bit_costs_one_entry(
    tmp_path: Path, entry: int, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "record"
    data = three_entries(path)
    length = (len(data) - len(HEADER)) // 3
    data[len(HEADER) + entry * length + place] ^= 4
    path.write_bytes(data)
    assert keys_kept(path) == [n for n in range(3) if n != entry]
    (warning,) = caplog.messages
    if "damaged" in warning:
        assert (tmp_path / "record.damaged").read_bytes() == bytes(data)
    else:  # a last entry that says it is longer than the file looks like one that a kill cut short
        assert entry == 2 and "are not sound" in warning
    caplog.clear()
    record = FileRecord(path)
    record[bytes([entry] * 32)] = np.full((4, 3), entry + 0.5)
    record.close()
    assert keys_kept(path) == [0, 1, 2]
    assert not caplog.messages


def test_a_wrong_bit_in_the_header_costs_nothing(tmp_path: Path) -> None:
    data = three_entries(tmp_path / "record")
    data[3] ^= 1
    (tmp_path / "record").write_bytes(data)
    assert keys_kept(tmp_path / "record") == [0, 1, 2]
    assert keys_kept(tmp_path / "record") == [0, 1, 2]


def test_a_hole_in_a_record_costs_what_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "record"
    data = three_entries(path)
    del data[100:300]
    path.write_bytes(data)
    assert keys_kept(path) == [2]


def test_a_full_disk_while_mending_leaves_the_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"
    data = three_entries(path)
    data[100] ^= 1
    path.write_bytes(data)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left on device"):
            FileRecord(path)
    assert path.read_bytes() == bytes(data)
    assert [file.name for file in tmp_path.iterdir()] == ["record"]
    assert keys_kept(path) == [1, 2]


def test_a_record_is_no_link_to_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "record").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="is a link to somewhere else"):
        FileRecord(tmp_path / "record")
    assert not (tmp_path / "outside").exists()


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "record").write_text("my thesis")
    with pytest.raises(InputError, match="not a record of evaluations"):
        FileRecord(tmp_path / "record")
    assert (tmp_path / "record").read_text() == "my thesis"


def test_two_runs_do_not_write_one_record(tmp_path: Path) -> None:
    record = FileRecord(tmp_path / "record")
    program = (
        "import sys; from pathlib import Path; from ldmd.potentials.record import HEADER, FileRecord\n"
        "from ldmd.errors import InputError\n"
        "try:\n    FileRecord(Path(sys.argv[1]))\nexcept InputError as error:\n    print(error.fix)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "record")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "another run is writing it; wait for that to end"
    record.close()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    record = FileRecord(tmp_path / "record")
    record[b"a" * 32] = np.ones(10)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(InputError, match="make room, earlier evaluations are kept"):
            record[b"b" * 32] = np.ones(1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    record[b"b" * 32] = np.ones(1000)
    record.close()
    again = FileRecord(tmp_path / "record")
    assert len(again) == 2
    again.close()


def test_no_configuration_is_evaluated_twice(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    potential = AsePotential(SPRINGS, {"log": str(log)})
    wanted = steps(7)
    with evaluations(potential, tmp_path / "record", workers=1) as evaluator:
        forces = evaluator.forces(copper(), [*wanted, *wanted[:3]])
        assert calls(log) == 7
        np.testing.assert_array_equal(forces[8], forces[1])
        np.testing.assert_array_equal(forces[4][1], [0.0, -1.805 - 0.1, -1.805])
    with evaluations(potential, tmp_path / "record", workers=1) as evaluator:
        evaluator.forces(copper(), steps(9))
        assert calls(log) == 9
        moved = copper()
        moved.set_initial_charges([1.0, 0.0, 0.0, 0.0])
        evaluator.forces(moved, steps(1))
        assert calls(log) == 10


def test_a_failure_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    arguments = {"log": str(log), "fail_at": 5}
    with evaluations(AsePotential(SPRINGS, arguments), tmp_path / "record", workers=1, batch=4) as evaluator:
        with pytest.raises(InputError) as caught:
            evaluator.forces(copper(), steps(20))
        assert len(evaluator.record) == 5
        said = str(caught.value)
        assert "failed (RuntimeError: SCF did not converge) with atoms displaced: Cu 0 by (0.005, 0, 0)" in said
        assert said.endswith("5 of 20 evaluations are kept, the same command goes on")
        evaluator.forces(copper(), steps(20))  # it failed only once
    assert calls(log) == 21


def test_any_executor_will_do(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    potential = AsePotential(SPRINGS, {"log": str(log), "seconds": 0.01})
    with ThreadPoolExecutor(4) as executor, evaluations(potential, executor=executor, workers=4) as evaluator:
        forces = evaluator.forces(copper(), steps(20))
    assert calls(log) == 20
    for n, displacement in enumerate(steps(20)):
        moved = copper()
        for atom, vector in displacement:
            moved.positions[atom] += vector
        np.testing.assert_array_equal(forces[n], -moved.positions)


def test_a_worker_that_crashes_is_an_error_of_one_line(tmp_path: Path) -> None:
    arguments = {"log": str(tmp_path / "calls"), "fail_at": 6, "fail_how": "die"}
    with evaluations(AsePotential(SPRINGS, arguments), tmp_path / "record", workers=2) as evaluator:
        with pytest.raises(InputError, match="a worker process died in it") as caught:
            evaluator.forces(copper(), steps(30))
        assert 4 <= len(evaluator.record) < 30
        assert f"; {len(evaluator.record)} of 30 evaluations are kept" in str(caught.value)


KILLED = """
import sys
from pathlib import Path
from test_black_box import *

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    potential = AsePotential(SPRINGS, {"log": str(folder / "calls"), "seconds": 0.02})
    with evaluations(potential, folder / "record", workers=2) as evaluator:
        evaluator.forces(copper(), steps(300))
"""


def test_a_kill_costs_what_was_in_flight(tmp_path: Path) -> None:
    """kill -9 of the main process: workers end with it, the record is sound, and only what it lacks is evaluated."""
    log, script = tmp_path / "calls", tmp_path / "script.py"
    script.write_text(KILLED)
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests / 'unit'}"}
    process = subprocess.Popen([sys.executable, script, tmp_path], env=environment)
    deadline = time.monotonic() + 120
    while calls(log) < 50:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = -1
    while calls(log) != before:  # until the workers have ended, too
        before = calls(log)
        time.sleep(0.5)
    potential = AsePotential(SPRINGS, {"log": str(log), "seconds": 0.02})
    with evaluations(potential, tmp_path / "record", workers=4) as evaluator:
        kept = len(evaluator.record)
        assert 0 <= before - kept <= 4
        assert 40 <= kept < 200
        evaluator.forces(copper(), steps(300))
    assert calls(log) - before == 300 - kept


def test_slots_grow_but_results_do_not_change() -> None:
    """Compiled code for more neighbours than there are gives the same forces."""
    calculator = LdmdCalculator(silica_potential())
    sparse, dense = oblique(), oblique()
    dense.set_cell(dense.cell.array * 0.93, scale_atoms=True)
    first = calculator.get_forces(sparse)
    pressed = calculator.get_stress(dense)
    assert np.trace(pressed[:3] * np.eye(3)) * GPA < 0.0
    np.testing.assert_allclose(calculator.get_forces(sparse), first, rtol=0.0, atol=1e-11)
