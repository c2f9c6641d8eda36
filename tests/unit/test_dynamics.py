"""Molecular dynamics: conservation, verified pairs, and a kill that leaves no trace in the numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from small_silica import cristobalite, silica_potential

from ldmd.checkpoint import Checkpoint
from ldmd.dynamics.integrate import Engine, Phase, Samples, maxwell_velocities, temperature_of
from ldmd.dynamics.pairs import candidate_pairs
from ldmd.dynamics.replica import ReplicaSettings, run_replica
from ldmd.dynamics.trajectory import DRIFT_LIMIT, Trajectory, dynamics_checks
from ldmd.relaxation import evaluate
from ldmd.units import BOLTZMANN, FORCE_TO_ACCELERATION, GPA

CHUNK = 25
SETTINGS = ReplicaSettings(
    temperature=600.0, time_step=0.001, stride=2, equilibration=75, samples=125, samples_per_frame=CHUNK, seed=9
)
"""Hot enough that pairs come and go; 0.4 ps in eight chunks of one compiled length."""


@pytest.fixture(scope="module")
def atoms() -> Atoms:
    return cristobalite()


@pytest.fixture(scope="module")
def uninterrupted(atoms: Atoms, tmp_path_factory: pytest.TempPathFactory) -> Trajectory:
    path = tmp_path_factory.mktemp("replica") / "checkpoint.npz"
    trajectory = run_replica(atoms, silica_potential(), SETTINGS, Checkpoint(path, "key"))
    assert not path.exists(), "nothing is left behind by a run that took no minute"
    return trajectory


def same(one: Trajectory, other: Trajectory) -> None:
    """Bit for bit."""
    for field in dataclasses.fields(Trajectory):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


class Killed(Exception):
    """What the tests raise in the middle of a run."""


def run_until(count: int, atoms: Atoms, path: Path, key: str = "key") -> list[int]:
    """Run and kill at the ``count``-th report; the reports so far."""
    seen: list[int] = []

    def report(done: int) -> None:
        seen.append(done)
        if len(seen) == count:
            raise Killed

    with pytest.raises(Killed):
        run_replica(atoms, silica_potential(), SETTINGS, Checkpoint(path, key), report)
    return seen


@pytest.mark.parametrize("chunks", [1, 3, 5, 7])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    atoms: Atoms, uninterrupted: Trajectory, tmp_path: Path, chunks: int
) -> None:
    """During the equilibration, at its end, and in the sampling."""
    path = tmp_path / "checkpoint.npz"
    run_until(chunks, atoms, path)
    seen: list[int] = []
    same(run_replica(atoms, silica_potential(), SETTINGS, Checkpoint(path, "key"), seen.append), uninterrupted)
    assert seen == list(range(25 * (chunks + 1), 201, 25)), "it did not start anew"


def test_killed_again_and_again(atoms: Atoms, uninterrupted: Trajectory, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    for _ in range(4):
        run_until(2, atoms, path)
    same(run_replica(atoms, silica_potential(), SETTINGS, Checkpoint(path, "key")), uninterrupted)


def test_the_checkpoint_of_another_run_is_not_used(atoms: Atoms, uninterrupted: Trajectory, tmp_path: Path) -> None:
    path, seen = tmp_path / "checkpoint.npz", list[int]()
    run_until(5, atoms, path, "another key")
    same(run_replica(atoms, silica_potential(), SETTINGS, Checkpoint(path, "key"), seen.append), uninterrupted)
    assert seen[0] == 25


@pytest.mark.parametrize("damage", ["truncated", "empty", "prose", "flipped"])
def test_a_damaged_checkpoint_is_not_used(atoms: Atoms, uninterrupted: Trajectory, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "checkpoint.npz"
    run_until(5, atoms, path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    path.write_bytes({"truncated": whole[:middle], "empty": b"", "prose": b"hello", "flipped": flipped}[damage])
    seen: list[int] = []
    same(run_replica(atoms, silica_potential(), SETTINGS, Checkpoint(path, "key"), seen.append), uninterrupted)
    assert seen[0] == 25


def test_no_damage_to_a_checkpoint_raises(atoms: Atoms, tmp_path: Path) -> None:
    """Any byte, also those of the archive's own tables."""
    from ldmd.dynamics.replica import _resume

    path = tmp_path / "checkpoint.npz"
    run_until(4, atoms, path)
    whole = path.read_bytes()
    engine = Engine(atoms, silica_potential(), SETTINGS.time_step, SETTINGS.stride)
    generator = np.random.default_rng(0)
    places = np.concatenate([np.arange(len(whole) - 1500, len(whole)), generator.integers(0, len(whole), 200)])
    for place in places[:: 1 if len(places) < 300 else 3]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x09]) + whole[place + 1 :])
        _resume(engine, Checkpoint(path, "no such key"))


def test_frames_and_records_of_a_replica(atoms: Atoms, uninterrupted: Trajectory) -> None:
    """The forces of every kept frame are those of a graph built afresh around it."""
    assert uninterrupted.flux.shape == (125, 3)
    assert uninterrupted.duration == pytest.approx(0.25) and uninterrupted.frame_interval == pytest.approx(0.05)
    assert uninterrupted.frame_positions.shape == (5, 24, 3)
    moved = 0.0
    for positions, forces in zip(uninterrupted.frame_positions, uninterrupted.frame_forces, strict=True):
        frame = atoms.copy()
        frame.positions = positions
        fresh = evaluate(frame, silica_potential(), slots=8)
        np.testing.assert_allclose(forces, fresh.forces, rtol=0.0, atol=1e-10)
        moved = max(moved, float(np.abs(positions - atoms.positions).max()))
    assert moved > 0.2
    assert uninterrupted.largest_momentum < 1e-10
    assert np.ptp(uninterrupted.energy) < 2e-3
    other = run_replica(
        atoms, silica_potential(), dataclasses.replace(SETTINGS, seed=10), Checkpoint(Path("/nonexistent/none"), "k")
    )
    assert np.abs(other.flux - uninterrupted.flux).max() > 1.0, "another seed is another trajectory"


def advance(atoms: Atoms, time_step: float, chunks: int) -> tuple[Engine, Phase, list[Samples]]:
    """From 600 K, in the chunks that are compiled anyway."""
    engine, records = Engine(atoms, silica_potential(), time_step, SETTINGS.stride), []
    velocities = maxwell_velocities(atoms.get_masses(), 600.0, np.random.default_rng(1))
    phase = engine.phase(atoms.positions, velocities)
    for chunk in range(chunks):
        phase, record = engine.advance(phase, CHUNK, chunk * CHUNK)
        records.append(record)
    return engine, phase, records


def total_energy(records: list[Samples]) -> np.ndarray:
    """eV, per sample."""
    return np.concatenate([np.asarray(record.potential_energy + record.kinetic_energy) for record in records])


def test_energy_is_conserved_to_second_order_in_the_step(atoms: Atoms) -> None:
    """The fluctuation of the total energy over the same 0.1 ps, at 1 and at 0.5 fs."""
    coarse, fine = (np.std(total_energy(advance(atoms, step, chunks)[2])) for step, chunks in ((1e-3, 2), (5e-4, 4)))
    assert coarse / fine == pytest.approx(4.0, rel=0.15)
    assert coarse < 1e-3 * len(atoms)


def test_momentum_and_record_of_the_last_step(atoms: Atoms) -> None:
    """The streamed energies are those of the phase point that is returned with them, counted from those at rest."""
    engine, phase, records = advance(atoms, 1e-3, 2)
    assert np.abs(atoms.get_masses() @ np.asarray(phase.velocities)).max() < 1e-10
    moved = atoms.copy()
    moved.positions = np.asarray(phase.positions)
    fresh = evaluate(moved, silica_potential(), slots=8)
    at_rest = evaluate(atoms, silica_potential(), slots=8).energy
    assert engine.rest_energy == pytest.approx(at_rest, abs=1e-10)
    assert float(records[-1].potential_energy[-1]) == pytest.approx(fresh.energy - at_rest, abs=1e-10)
    assert float(records[-1].virial[-1]) == pytest.approx(3.0 * fresh.pressure / GPA * atoms.get_volume(), rel=1e-8)
    kinetic = 0.5 * np.sum(atoms.get_masses()[:, None] * np.asarray(phase.velocities) ** 2) / FORCE_TO_ACCELERATION
    assert float(records[-1].kinetic_energy[-1]) == pytest.approx(kinetic, rel=1e-12)
    np.testing.assert_allclose(phase.forces, fresh.forces, rtol=0.0, atol=1e-10)


def test_dynamics_runs_backwards(atoms: Atoms) -> None:
    """Velocity Verlet with the velocities reversed returns to where it came from."""
    engine, phase, _ = advance(atoms, 1e-3, 2)
    back = dataclasses.replace(phase, velocities=-phase.velocities)
    for chunk in range(2):
        back, _ = engine.advance(back, CHUNK, chunk * CHUNK)
    np.testing.assert_allclose(back.positions, atoms.positions, rtol=0.0, atol=1e-9)


def test_pairs_met_on_the_way_are_found(atoms: Atoms) -> None:
    """Two O thrown at each other from beyond the list: their pair becomes active in time, and energy is conserved."""
    engine = Engine(atoms, silica_potential(), 2e-4, SETTINGS.stride)
    oxygen = np.flatnonzero(atoms.numbers == 8)
    first = oxygen[0]
    second = min(oxygen[1:], key=lambda k: atoms.get_distance(first, k, mic=True))
    assert 2.2 < atoms.get_distance(first, second, mic=True) < 2.8
    velocities = np.zeros((len(atoms), 3))
    direction = atoms.get_distance(first, second, mic=True, vector=True)
    velocities[[first, second]] = 40.0 * np.array([direction, -direction]) / np.linalg.norm(direction)
    phase, records = engine.phase(atoms.positions, velocities), []
    before = int(engine.pairs.active.sum())
    for chunk in range(3):
        phase, record = engine.advance(phase, CHUNK, chunk * CHUNK)
        records.append(record)
    assert int(engine.pairs.active.sum()) > before
    moved = atoms.copy()
    moved.positions = np.asarray(phase.positions)
    fresh = evaluate(moved, silica_potential(), slots=8)
    np.testing.assert_allclose(phase.forces, fresh.forces, rtol=0.0, atol=1e-10)
    assert float(np.ptp(total_energy(records))) < 0.02


def test_candidates_are_complete(atoms: Atoms) -> None:
    """Each pair and image once; the active ones give every edge of the exact graph in both directions."""
    potential = silica_potential()
    pairs = candidate_pairs(atoms, potential.species, potential.switching, 0.1)
    keys = {(int(i), int(j), *np.round(o, 6)) for i, j, o in zip(pairs.i, pairs.j, pairs.offsets, strict=True)}
    assert len(keys) == len(pairs.i)
    assert not any((j, i, *(-np.array(o))) in keys for i, j, *o in keys if i != j)
    assert sum(int(block.present.sum()) for block in pairs.graph(()).blocks) == 2 * int(pairs.active.sum())


def test_dynamics_that_blows_up_says_so(atoms: Atoms) -> None:
    with pytest.raises(FloatingPointError, match="shorten the time step"):
        advance(atoms, 1e200, 1)


def test_maxwell_velocities() -> None:
    masses = np.array([28.0, 16.0, 16.0, 1.0])
    velocities = maxwell_velocities(masses, 250.0, np.random.default_rng(0))
    assert np.abs(masses @ velocities).max() < 1e-12
    kinetic = 0.5 * float(np.sum(masses[:, None] * velocities**2)) / FORCE_TO_ACCELERATION
    assert kinetic == pytest.approx(0.5 * 9 * BOLTZMANN * 250.0)
    assert temperature_of(kinetic, 4) == pytest.approx(250.0)


def trajectory(energy: np.ndarray, temperature: float) -> Trajectory:
    flux = np.zeros((len(energy), 3))
    frames = np.zeros((1, 2, 3))
    return Trajectory(
        sampling_interval=0.01,
        time_step=0.001,
        volume=1000.0,
        seed=0,
        potential_flux=flux,
        kinetic_flux=flux,
        temperature=np.full(len(energy), temperature),
        energy=energy,
        frame_interval=1.0,
        frame_positions=frames,
        frame_forces=frames,
        largest_momentum=0.0,
    )


def test_checks_of_the_dynamics() -> None:
    """A drift of 3e-4 eV/atom per 100 ps is refused; the temperature it adds is bounded and stated."""
    time = 0.01 * np.arange(10_000)
    quiet, drifting = (trajectory(-6.0 + slope * time / 100.0, 300.0) for slope in (1e-5, -3e-4))
    assert quiet.energy_drift == pytest.approx(1e-5) and drifting.energy_drift == pytest.approx(-3e-4)
    assert all(check.passed for check in dynamics_checks((quiet,), 300.0))
    drift, effect, *_ = dynamics_checks((quiet, drifting), 300.0)
    assert drift.value == pytest.approx(3e-4) and drift.threshold == DRIFT_LIMIT and not drift.passed
    assert effect.value == pytest.approx(3e-4 / (3.0 * BOLTZMANN) / 300.0)
    off = {check.name: check.passed for check in dynamics_checks((trajectory(0.0 * time, 320.0),), 300.0)}
    assert not off["mean temperature off target"]
