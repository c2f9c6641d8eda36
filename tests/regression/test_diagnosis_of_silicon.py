"""The overdamped modes of the a-Si 216 cell of kALDo's wheel: clean force constants, soft spots, a narrow kernel.

Its two lowest modes have linewidths twice their frequency. The force constants obey the sum rules to 1e-5 and the noise
floor is 1e-11 rad/ps, so that numerics are not to blame: the modes are localised, 92 and 95 % of the linewidths come
from two channels, and lines that broaden each other are five times narrower, but no oscillation either.
"""

from __future__ import annotations

import pytest
from amorphous_silicon import amorphous_silicon
from ase import Atoms

from ldmd.diagnosis.collect import Conditions, Subject, collect
from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.verdict import Cause, Verdict, verdicts
from ldmd.lattice.broadening import Triangular
from ldmd.lattice.modes import normal_modes
from ldmd.units import THZ

pytestmark = pytest.mark.peers

WIDTH = THZ * 0.05 / 4.135
"""rad/ps, of kALDo's own tests."""


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    found = amorphous_silicon()
    atoms = Atoms("Si216", positions=found.positions, cell=found.cell, pbc=True)
    modes = normal_modes(found.second, found.masses)
    subject = Subject("kALDo's wheel", atoms, modes, found.second, found.third)
    return collect(subject, Conditions(300.0, "classical", Triangular(WIDTH), 12)).evidence


@pytest.fixture(scope="module")
def said(evidence: Evidence) -> tuple[Verdict, ...]:
    return verdicts(evidence)


def test_the_overdamped_modes_are_soft_spots_and_no_noise(evidence: Evidence, said: tuple[Verdict, ...]) -> None:
    assert [verdict.mode for verdict in said[:2]] == [3, 4]
    for row, verdict in enumerate(said[:2]):
        assert evidence.gamma[row] > 2.0 * evidence.frequencies[row]
        assert verdict.cause is Cause.LOCALISED
        assert evidence.noise_floor[row] < 1e-9 * evidence.gamma[row]
        assert f"{evidence.top_two_share[row]:.0%} in two" in verdict.evidence
    assert evidence.top_two_share[:2].min() > 0.9
    assert evidence.participation_ratio[:2].tolist() == pytest.approx([0.16, 0.13], abs=0.01)
    assert evidence.gamma_self_consistent[:2].tolist() == pytest.approx([3.24, 4.15], abs=0.05)


def test_no_other_mode_is_blamed_and_what_nobody_knows_is_said(said: tuple[Verdict, ...]) -> None:
    """Files do not say with what step they were made: their truncation is not known."""
    assert {verdict.cause for verdict in said[2:]} == {Cause.UNDECIDED}
    assert all(verdict.missing == ("truncation",) for verdict in said[2:])
