"""The verdict, its ledger and its sentence; and the refusal of a JAX that cannot compute."""

from __future__ import annotations

import dataclasses
import math

import pytest
import report_fixture
from hypothesis import given
from hypothesis import strategies as st

from ldmd import exit_codes, numerics
from ldmd.comparison import (
    LOWERS_TRUST,
    Z_95,
    Comparison,
    LedgerEntry,
    RunLength,
    compare,
)
from ldmd.errors import InputError
from ldmd.results import Check, Estimate
from ldmd.verdict_sentence import rounded_up, with_error

conductivities = st.floats(0.01, 100.0)


def verdict(classical: float, quantum: float, dynamics: Estimate, tolerance: float = 2.0, **more: object) -> Comparison:
    error = 1.96 * dynamics.standard_error
    interval = (dynamics.value - error, dynamics.value + error)
    return compare(300.0, classical, quantum, dynamics, interval, tolerance, **{"resolution": 0.25, **more})


@given(conductivities, conductivities, conductivities, st.floats(1e-3, 10.0))
def test_the_ledger_sums_to_the_gap(classical: float, quantum: float, dynamics: float, error: float) -> None:
    found = verdict(classical, quantum, Estimate(dynamics, error, "W/(m K)"))
    total = sum(entry.value for entry in found.ledger)
    assert total == pytest.approx(dynamics - quantum, abs=1e-12 * (classical + quantum + dynamics))
    assert sum(entry.standard_error**2 for entry in found.ledger) == pytest.approx(error**2, rel=1e-4)
    assert found.difference.value == pytest.approx(classical - dynamics)
    assert found.difference.standard_error == pytest.approx(error, rel=1e-4)


def test_a_ledger_of_several_steps_starts_and_ends_where_it_should() -> None:
    steps = tuple(LedgerEntry(name, value, 0.0, name) for name, value in (("interband", 0.2), ("statistics", -0.5)))
    dynamics = Estimate(1.0, 0.1, "W/(m K)")
    start = Estimate(1.4, 0.05, "W/(m K)")
    found = compare(300.0, 1.1, 1.6, dynamics, (0.8, 1.2), 2.0, steps=steps, start=("relaxation times", start))
    assert [entry.name for entry in found.ledger] == ["interband", "statistics", "rest, unexplained"]
    assert sum(entry.value for entry in found.ledger) == pytest.approx(1.0 - 1.4)
    assert found.start.standard_error == 0.05
    assert (found.start_name, found.start.value, found.lattice_quantum.value) == ("relaxation times", 1.4, 1.6)


def test_agreement_is_a_matter_of_standard_errors() -> None:
    dynamics = Estimate(1.0, 0.1, "W/(m K)")
    near, far, below = (verdict(value, 0.9, dynamics) for value in (1.19, 1.21, 0.79))
    assert near.agree and not far.agree and not below.agree
    assert (near.verdict, far.verdict, below.verdict) == ("agree", "disagree", "disagree")
    assert near.sigmas == pytest.approx(1.9, rel=1e-4) and below.sigmas == pytest.approx(-2.1, rel=1e-4)
    assert verdict(1.21, 0.9, dynamics, tolerance=3.0).agree


def test_the_sentence_says_how_wide_its_error_bar_is() -> None:
    found = verdict(1.5, 1.2, Estimate(1.0, 0.1, "W/(m K)"))
    assert "disagree at 300 K" in found.sentence
    assert "5.0 standard errors" in found.sentence
    assert "\N{PLUS-MINUS SIGN}20 %" in found.sentence
    assert "0.804 to 1.2" in found.sentence
    assert " agree at 300 K" in verdict(1.1, 1.2, Estimate(1.0, 0.1, "W/(m K)")).sentence


def failed(name: str) -> Check:
    return Check(name, 3e-4, "<=", 2e-4, "eV/atom per 100 ps", "shorten the time step")


@pytest.mark.parametrize("name", ["energy drift", "power of the flux steady", "a check that is not known here"])
@pytest.mark.parametrize("classical", [1.0, 2.0])
def test_a_failed_check_of_the_dynamics_bars_every_verdict(name: str, classical: float) -> None:
    sound = Estimate(1.0, 0.1, "W/(m K)")
    doubtful = dataclasses.replace(sound, checks=(failed(name),))
    for found in (
        verdict(classical, 0.9, doubtful),
        verdict(classical, 0.9, sound, dynamics_checks=(failed(name),)),
    ):
        assert found.verdict == "no verdict" and found.exit_code == 1
        assert [check.name for check in found.barring] == [name]
        assert "cannot be compared at 300 K" in found.sentence and "agree" not in found.sentence
        assert f"{name} is 0.0003, should be <= 0.0002 eV/atom per 100 ps." in found.sentence
    assert verdict(classical, 0.9, sound).barring == ()


@pytest.mark.parametrize("name", sorted(LOWERS_TRUST))
def test_some_checks_only_lower_trust_and_are_said(name: str) -> None:
    doubtful = Estimate(1.0, 0.1, "W/(m K)", checks=(failed(name),))
    assert verdict(1.0, 0.9, doubtful).verdict == "agree"
    assert verdict(2.0, 0.9, doubtful).verdict == "disagree"
    assert "Some checks of the dynamics failed" in verdict(2.0, 0.9, doubtful).sentence
    assert "failed" not in verdict(1.0, 0.9, Estimate(1.0, 0.1, "W/(m K)")).sentence


def test_a_failed_check_of_the_lattice_bars_nothing() -> None:
    assert verdict(1.0, 0.9, Estimate(1.0, 0.1, "W/(m K)"), checks=(failed("imaginary modes"),)).verdict == "agree"


@pytest.mark.parametrize(
    ("lattice", "dynamics", "which"),
    [
        (-7.2, 1.0, "lattice"),
        (0.0, 1.0, "lattice"),
        (1.38e10, 19.0, "lattice"),
        (float("nan"), 19.0, "lattice"),
        (1.0, -0.3, "molecular"),
        (1.0, float("nan"), "molecular"),
    ],
)
def test_a_negative_or_absurd_conductivity_is_never_a_verdict(lattice: float, dynamics: float, which: str) -> None:
    for error in (0.1, 1e10):
        found = verdict(lattice, 0.9, Estimate(dynamics, error, "W/(m K)"), lattice_error=error)
        assert found.verdict == "no verdict"
        assert [check.name for check in found.barring] == [f"conductivity of {which} dynamics possible"]


def test_a_wide_interval_is_neither_agreement_nor_disagreement() -> None:
    """Within it nothing is decided, beyond it the methods disagree however wide it is."""
    wide = Estimate(1.0, 0.2, "W/(m K)")
    run = RunLength(60.0, 2)
    found = verdict(1.1, 0.9, wide, resolution=0.15, run=run)
    assert found.verdict == "undecided" and found.exit_code == 3
    assert found.resolved == pytest.approx(0.392)
    assert verdict(1.1, 0.9, wide, resolution=0.4).verdict == "agree"
    assert verdict(1.6, 0.9, wide, resolution=0.15).verdict == "disagree"
    # 60 ps (0.392 / 0.15)^(8/3) = 777.5 ps
    assert found.decisive_length == pytest.approx(777.5, abs=0.1)
    assert "is undecided" in found.sentence and "\N{PLUS-MINUS SIGN}39 %, wider than the 15 %" in found.sentence
    assert "Runs of about 780 ps in each of 2 replicas, now 60 ps, would decide it." in found.sentence


def test_the_length_that_decides_leaves_the_error_of_the_lattice_as_it_is() -> None:
    dynamics, run = Estimate(1.0, 0.2, "W/(m K)"), RunLength(100.0)
    part = verdict(1.1, 0.9, dynamics, resolution=0.15, run=run, lattice_error=0.05)
    expected = 100.0 * (0.392**2 / (0.15**2 - (Z_95 * 0.05) ** 2)) ** (4.0 / 3.0)
    assert part.decisive_length == pytest.approx(expected) and " ps in each" not in part.sentence
    longer = dataclasses.replace(dynamics, standard_error=0.2 * (100.0 / expected) ** 0.375)
    assert verdict(1.1, 0.9, longer, lattice_error=0.05).resolved == pytest.approx(0.15)
    alone = verdict(1.1, 0.9, dynamics, resolution=0.15, run=run, lattice_error=0.1)
    assert alone.decisive_length == float("inf")
    assert "No longer run decides it: the error of the lattice value alone is \N{PLUS-MINUS SIGN}20 %" in alone.sentence


def test_the_interval_counts_where_it_is_wider_than_the_standard_error() -> None:
    """A lattice value above the dynamics is held against the upper side of its interval."""
    dynamics = Estimate(1.0, 0.05, "W/(m K)")
    found = {value: compare(300.0, value, 1.0, dynamics, (0.9, 1.6), 2.0, resolution=1.0) for value in (0.85, 1.5, 1.7)}
    assert [each.verdict for each in found.values()] == ["disagree", "agree", "disagree"]
    assert found[1.5].difference.standard_error == pytest.approx(0.6 / Z_95)
    assert found[1.5].resolved == pytest.approx(0.35)


def test_atoms_that_diffuse_leave_nothing_to_compare() -> None:
    moving, still = report_fixture.motion(grown=60.0), report_fixture.motion()
    dynamics = Estimate(1.0, 0.1, "W/(m K)", checks=(failed("energy drift"),))
    found = verdict(1.0, 0.9, dynamics, diffusion=moving)
    assert found.verdict == "does not apply" and found.exit_code == 4
    assert found.checks[0] == moving.check and not moving.check.passed
    assert "Lattice dynamics does not apply at 300 K: atoms diffuse: O (100 % of the atoms" in found.sentence
    assert "the farthest 8.4 Angstrom, within 60 ps" in found.sentence and "Si (" not in found.sentence
    assert verdict(1.0, 0.9, Estimate(1.0, 0.1, "W/(m K)"), diffusion=still).verdict == "agree"


def test_a_quick_run_says_so_whatever_the_verdict() -> None:
    narrow, wide = Estimate(1.0, 0.05, "W/(m K)"), Estimate(1.0, 0.5, "W/(m K)")
    for found in (
        verdict(1.0, 0.9, narrow, quick=True),
        verdict(1.0, 0.9, wide, quick=True),
        verdict(-1.0, 0.9, wide, quick=True),
        verdict(1.0, 0.9, wide, quick=True, diffusion=report_fixture.motion(60.0)),
    ):
        assert found.sentence.startswith("In a quick run, ")
    assert "quick" not in verdict(1.0, 0.9, narrow).sentence


def test_both_values_carry_their_errors() -> None:
    found = verdict(166.812, 150.0, Estimate(150.0, 12.34, "W/(m K)"), lattice_error=40.0)
    assert "167 \N{PLUS-MINUS SIGN} 40 W/(m K) classically against 150 \N{PLUS-MINUS SIGN} 12 W/(m K)" in found.sentence
    assert [with_error(Estimate(*each, "")) for each in ((1.23456, 0.0), (1.23456, 0.0123), (1234.6, 220.0))] == [
        "1.23",
        "1.235 \N{PLUS-MINUS SIGN} 0.012",
        "1230 \N{PLUS-MINUS SIGN} 220",
    ]
    assert [rounded_up(value) for value in (409.8, 410.0, 1001.0, 7.0)] == [410.0, 410.0, 1100.0, 7.0]


def test_exit_codes_from_best_to_worst() -> None:
    assert [exit_codes.worst(codes) for codes in ([0, 3], [3, 1, 0], [4, 1, 3], [2, 4], [])] == [3, 1, 4, 2, 0]


def test_this_jax_is_sound() -> None:
    numerics.require_sound_jax.cache_clear()
    numerics.require_sound_jax()
    assert numerics.row_norm_error() < 1e-13


@pytest.mark.parametrize("error", [1e-3, float("nan"), float("inf")])
def test_a_jax_that_computes_wrong_numbers_is_refused(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    numerics.require_sound_jax.cache_clear()
    monkeypatch.setattr(numerics, "row_norm_error", lambda: error)
    with pytest.raises(InputError, match=r"python -m pip install 'jax==") as caught:
        numerics.require_sound_jax()
    assert caught.value.field == "jaxlib"
    numerics.require_sound_jax.cache_clear()


def test_the_interval_of_the_difference_is_as_lopsided_as_that_of_the_dynamics() -> None:
    dynamics, interval = Estimate(1.5, 0.9, "W/(m K)"), (0.5, 4.5)
    found = compare(300.0, 1.0, 0.9, dynamics, interval, 2.0)
    assert found.difference_interval_95 == pytest.approx((-3.5, 0.5))
    spread = compare(300.0, 1.0, 0.9, dynamics, interval, 2.0, lattice_error=1.0)
    assert spread.difference_interval_95 == pytest.approx((-0.5 - math.hypot(3.0, Z_95), -0.5 + math.hypot(1.0, Z_95)))


def test_a_slowest_time_far_below_the_lifetimes_of_lattice_dynamics_fails() -> None:
    from ldmd.workflow import _slow_enough

    assert not _slow_enough(0.2, 31.5).passed
    assert _slow_enough(20.0, 31.5).passed and _slow_enough(60.0, 31.5).passed
    assert "live for 31.5 ps" in _slow_enough(0.2, 31.5).advice
