"""The verdict on a case: where its spectrum is trusted, when to extrapolate, what the conductivity rests on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from spring_crystal import small_glass, springs

from ldmd.diagnosis.case_verdict import CaseVerdict, case_verdict
from ldmd.diagnosis.conduction import Conduction, conduction
from ldmd.diagnosis.demand import FIRST_SHELL, ElementFacts, demand, element_facts
from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.noise_floor import noise_floor, scatter, stored_triples
from ldmd.diagnosis.thresholds import SIGNAL_TO_NOISE
from ldmd.diagnosis.verdict import Cause, Verdict
from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
from ldmd.lattice.linewidths import linewidths
from ldmd.lattice.modes import Modes, normal_modes, velocity_matrices
from ldmd.lattice.statistics import Statistics, statistics_named
from ldmd.units import BOLTZMANN, THZ

TEMPERATURE = 300.0
COUNT = 30
CONDITIONS = ((TEMPERATURE,), ("classical",), Gaussian(3.0))


def evidence(power: float = 2.0, noise: float = 1e-3, exact: float = math.nan, **fields: object) -> Evidence:
    """Thirty modes from 0.5 to 2 THz with linewidths ~ w^power; noise is a part of them, and so is the exact value."""
    frequencies = THZ * np.linspace(0.5, 2.0, COUNT)
    gamma = 0.1 * (frequencies / frequencies[0]) ** power
    measured = {
        "participation_ratio": np.full(COUNT, 0.5),
        "effective_channels": np.full(COUNT, 50.0),
        "top_two_share": np.full(COUNT, 0.1),
        "width_sensitivity": np.zeros(COUNT),
        "noise_floor": noise * gamma,
        "truncation": np.zeros(COUNT),
        "gamma_exact": exact * gamma,
    }
    names = ("gamma_self_consistent", "gamma_projected", "gamma_reference", "slope", "kink_share")
    return Evidence(
        temperature=TEMPERATURE,
        statistics="classical",
        source="finite differences",
        kernel="gaussian",
        width=1.0,
        modes=3 + np.arange(COUNT),
        frequencies=frequencies,
        gamma=gamma,
        steps=np.empty(0),
        gamma_of_step=np.empty((COUNT, 0)),
        sigma_elements=1e-3,
        displacement=0.01,
        **{**measured, **{name: np.full(COUNT, math.nan) for name in names}, **fields},
    )


def blamed(*doubtful: int, cause: Cause = Cause.LOCALISED) -> tuple[Verdict, ...]:
    causes = [cause if place in doubtful else Cause.PHYSICAL for place in range(COUNT)]
    return tuple(Verdict(3 + place, each, "", "") for place, each in enumerate(causes))


def judged(*doubtful: int, **fields: object) -> CaseVerdict:
    return case_verdict(evidence(**fields), blamed(*doubtful), vibrating=300)


# Trust


@pytest.mark.parametrize(
    ("doubtful", "first", "share"),
    [
        ((), 0, 1.0),
        ((0, 1, 3), 2, 298 / 300),
        ((0, 1, 3, 4, 5), 6, 294 / 300),
        ((0, 1, 2, 20), 3, 297 / 300),
        ((29,), 0, 1.0),
    ],
)
def test_where_trust_begins(doubtful: tuple[int, ...], first: int, share: float) -> None:
    trust = judged(*doubtful).trust
    assert trust.begins == evidence().frequencies[first]
    assert trust.share == pytest.approx(share)
    assert (trust.physical, trust.blamed, trust.undecided) == (COUNT - len(doubtful), len(doubtful), 0)
    assert f"from {trust.begins / THZ:.2f} THz" in trust.sentence


def test_no_trust_among_the_diagnosed() -> None:
    trust = case_verdict(evidence(), blamed(*range(COUNT), cause=Cause.UNDECIDED), vibrating=300).trust
    assert math.isnan(trust.begins) and trust.undecided == COUNT and trust.blamed == 0
    assert trust.share == pytest.approx(0.9)
    assert "no linewidth up to 2.00 THz" in trust.sentence


# Extrapolation


def test_sound_waves_may_be_extrapolated() -> None:
    found = judged(5)
    assert found.extrapolation_allowed
    assert found.exponent is not None and found.exponent.value == pytest.approx(2.0)
    assert "is allowed: linewidths go as w^2.0 (2.0 to 2.0" in found.extrapolation


@pytest.mark.parametrize(
    ("doubtful", "fields", "reason"),
    [
        ((), {"power": -0.6}, "w^-0.6"),
        ((), {"power": 1.2}, "w^1.2"),
        ((), {"noise": 0.5}, "THz is only 1.9 times what noise changes it by, 3 are needed"),
        ((), {"noise_floor": np.full(COUNT, math.nan)}, "noise of the first shell is not known"),
        ((0, 1, 2, 3), {}, "4 of the 12 modes of the first shell"),
    ],
)
def test_each_gate_closes_by_itself(doubtful: tuple[int, ...], fields: dict, reason: str) -> None:
    found = judged(*doubtful, **fields)
    assert not found.extrapolation_allowed
    assert [gate.passed for gate in found.gates].count(False) == 1
    assert "is refused" in found.extrapolation
    assert reason in found.extrapolation


def test_an_exponent_that_scatters_is_not_enough() -> None:
    scattered = evidence().gamma * np.exp(3.0 * np.random.default_rng(0).normal(size=COUNT))
    found = case_verdict(dataclasses.replace(evidence(noise=0.0), gamma=scattered), blamed(), vibrating=300)
    assert found.exponent is not None and found.exponent.value > 1.5 and found.exponent.low < 0.5
    assert not found.extrapolation_allowed
    assert "too uncertain" in found.extrapolation


def test_too_few_linewidths_for_an_exponent() -> None:
    gamma = np.where(np.arange(COUNT) < 4, 0.1, 0.0)
    found = case_verdict(dataclasses.replace(evidence(), gamma=gamma), blamed(), vibrating=300)
    assert found.exponent is None and not found.extrapolation_allowed


# Conductivity


@dataclasses.dataclass(frozen=True)
class Glass:
    second: SecondOrder
    third: SparseThirdOrder
    modes: Modes
    velocities: np.ndarray
    gamma: np.ndarray
    volume: float

    def conductivity(self, gamma: np.ndarray, statistics: str, velocities: np.ndarray | None = None) -> float:
        kind: Statistics = statistics_named(statistics)
        used = self.velocities if velocities is None else velocities
        found = quasi_harmonic_green_kubo(self.modes, used, gamma, kind, TEMPERATURE, self.volume)
        return float(np.trace(found.total) / 3.0)


@pytest.fixture(scope="module")
def glass() -> Glass:
    atoms = small_glass()
    second, third = springs(atoms, 3.2)
    modes = normal_modes(second, atoms.get_masses())
    velocities = velocity_matrices(second, modes, atoms.positions, atoms.cell.array)
    gamma = linewidths(third, modes, *CONDITIONS, threads=1).gamma[0, 0]
    return Glass(second, third, modes, velocities, gamma, float(atoms.get_volume()))


def conduction_of(glass: Glass, chosen: np.ndarray, statistics: str = "classical") -> Conduction:
    return conduction(
        glass.modes,
        glass.velocities,
        glass.gamma,
        chosen,
        conductivity=glass.conductivity(glass.gamma, statistics),
        temperature=TEMPERATURE,
        statistics=statistics,
        volume=glass.volume,
    )


@pytest.mark.parametrize("statistics", ["classical", "bose-einstein"])
def test_rows_of_some_modes_give_the_whole_conductivity(glass: Glass, statistics: str) -> None:
    """Other linewidths of some modes, and these modes left out, against the full sum."""
    chosen = np.flatnonzero(glass.modes.vibrating)[:7]
    rows = conduction_of(glass, chosen, statistics)
    other = glass.gamma.copy()
    other[chosen] *= np.linspace(0.2, 5.0, 7)
    expected = glass.conductivity(other, statistics)
    assert abs(expected / rows.conductivity - 1.0) > 1e-3
    assert rows.with_linewidths(other[chosen]) == pytest.approx(expected, rel=1e-12)
    mask = np.arange(7) % 2 == 0
    velocities = glass.velocities.copy()
    velocities[:, chosen[mask]] = velocities[:, :, chosen[mask]] = 0.0
    assert rows.without(mask) == pytest.approx(glass.conductivity(glass.gamma, statistics, velocities), rel=1e-12)
    assert rows.without(np.zeros(7, dtype=bool)) == pytest.approx(rows.conductivity, rel=1e-14)


def test_what_the_conductivity_depends_on(glass: Glass) -> None:
    """Sixteen modes of some fifty carry their share; their coupling made small, they carry none."""
    chosen = np.flatnonzero(glass.modes.vibrating)[:COUNT]
    rows = conduction_of(glass, chosen)
    frequencies = {"frequencies": glass.modes.frequencies[chosen], "gamma": glass.gamma[chosen]}
    known = dataclasses.replace(evidence(exact=3.0), **frequencies, modes=chosen)
    verdicts = blamed(*range(16), cause=Cause.NOISE)
    found = case_verdict(known, verdicts, 50, conduction=rows).dependence
    assert found is not None and found.matters and found.doubtful == 16
    assert found.without < 0.8 * found.conductivity
    better = glass.gamma.copy()
    better[chosen[:16]] = known.gamma_exact[:16]
    assert found.corrected == pytest.approx(glass.conductivity(better, "classical"), rel=1e-10)
    constant = np.median(glass.gamma[chosen[16:]] / glass.modes.frequencies[chosen[16:]] ** 2)
    better[chosen[:16]] = constant * glass.modes.frequencies[chosen[:16]] ** 2
    assert found.sound == pytest.approx(glass.conductivity(better, "classical"), rel=1e-10)
    quiet = dataclasses.replace(rows, couplings=1e-3 * rows.couplings)
    still = case_verdict(known, verdicts, 50, conduction=quiet).dependence
    assert still is not None and not still.matters and "nor is it evidence" in still.sentence
    none = case_verdict(known, blamed(), 50, conduction=rows).dependence
    assert none is not None and none.change < 1e-12 and "rests on no doubtful mode" in none.sentence


# Demand


def test_the_demand_is_where_noise_changes_a_linewidth_by_a_third(glass: Glass) -> None:
    rows = np.flatnonzero(glass.modes.vibrating)[:COUNT]
    floor = noise_floor(stored_triples(glass.third), glass.modes, *CONDITIONS, lowest=COUNT, threads=1)
    gamma, sigma = glass.gamma[rows], 1e-5
    known = dataclasses.replace(
        evidence(), modes=rows, frequencies=glass.modes.frequencies[rows], gamma=gamma,
        noise_floor=floor.gamma(sigma)[0, 0, rows], sigma_elements=sigma,
    )  # fmt: skip
    facts = element_facts(glass.third, glass.modes, TEMPERATURE, float(np.std(glass.third.values)), bending=50.0)
    found = demand(known, facts)
    assert found is not None and not found.at_most and found.modes == FIRST_SHELL
    shell = slice(0, FIRST_SHELL)
    allowed = floor.gamma(found.accuracy.sigma_elements)[0, 0, rows]
    changes = np.hypot(allowed, scatter(gamma, allowed, known.effective_channels))[shell]
    assert (gamma[shell] / changes).min() == pytest.approx(SIGNAL_TO_NOISE)
    noise = found.accuracy.sigma_force / (2.0 * 0.01**2)
    assert math.hypot(noise, 50.0 * 0.01**2 / 6.0) == pytest.approx(found.accuracy.sigma_elements)
    assert "eV/A at a step of 0.01 A" in found.sentence and "precision" in found.sentence
    drowned = dataclasses.replace(known, noise_floor=gamma)
    assert demand(drowned, facts) is not None and demand(drowned, facts).at_most  # type: ignore[union-attr]
    assert demand(dataclasses.replace(known, noise_floor=np.full(COUNT, math.nan)), facts) is None


def test_errors_of_elements_make_the_errors_of_forces_that_training_is_told(glass: Glass) -> None:
    """Independent errors, symmetric under permutations, and thermal displacements, drawn."""
    facts = element_facts(glass.third, glass.modes, TEMPERATURE, 1.0)
    generator, sigma, size = np.random.default_rng(0), 0.02, glass.third.size
    keys = np.sort(glass.third.indices, axis=0)
    _, place = np.unique(keys, axis=1, return_inverse=True)
    squares = []
    for _ in range(4):
        errors = SparseThirdOrder(size, glass.third.indices, sigma * generator.normal(size=place.max() + 1)[place])
        moved = facts.thermal * generator.normal(size=(size, 8))
        squares += [0.25 * np.mean((errors.along(column) @ column) ** 2) for column in moved.T]
    expected = sigma * facts.thermal**2 * math.sqrt(0.5 * facts.per_coordinate)
    assert math.sqrt(np.mean(squares)) == pytest.approx(expected, rel=0.1)


def test_thermal_displacements_are_those_of_equipartition(glass: Glass) -> None:
    inverse = np.linalg.pinv(glass.second.matrix.toarray(), rcond=1e-10)
    facts: ElementFacts = element_facts(glass.third, glass.modes, TEMPERATURE, 1.0)
    # Masses differ, so that a motion without the centre of mass is none without the mean: 2 % of this small cell.
    assert facts.thermal**2 == pytest.approx(BOLTZMANN * TEMPERATURE * np.trace(inverse) / len(inverse), rel=0.05)


def test_linewidths_at_rest_that_moving_atoms_do_not_have_are_counted() -> None:
    """Of modes that were asked; force constants by differences are held against the exact derivative."""
    moving = np.full(COUNT, math.nan)
    gamma = evidence(exact=1.0).gamma
    moving[:4] = np.array([0.25, 0.5, 0.9, 1.0]) * gamma[:4]
    found = judged(exact=1.0, gamma_at_amplitude=moving).bends
    assert found is not None
    assert (found.asked, found.changed) == (4, 2)
    assert (found.lowest, found.highest) == pytest.approx((0.25, 0.5))
    assert "2 of the 4 lowest modes are 0.25 to 0.5 times as wide" in found.sentence
    assert judged(exact=1.0).bends is None
    same = judged(exact=1.0, gamma_at_amplitude=gamma).bends
    assert same is not None and "as wide at their thermal amplitude as at rest" in same.sentence
