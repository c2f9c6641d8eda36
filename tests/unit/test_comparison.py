"""The verdict, its ledger and its sentence; and the refusal of a JAX that cannot compute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmd import numerics
from ldmd.comparison import Comparison, LedgerEntry, compare
from ldmd.errors import InputError
from ldmd.results import Check, Estimate

conductivities = st.floats(0.01, 100.0)


def verdict(classical: float, quantum: float, dynamics: Estimate, tolerance: float = 2.0) -> Comparison:
    error = 1.96 * dynamics.standard_error
    interval = (dynamics.value - error, dynamics.value + error)
    return compare(300.0, classical, quantum, dynamics, interval, tolerance)


@given(conductivities, conductivities, conductivities, st.floats(1e-3, 10.0))
def test_the_ledger_sums_to_the_gap(classical: float, quantum: float, dynamics: float, error: float) -> None:
    found = verdict(classical, quantum, Estimate(dynamics, error, "W/(m K)"))
    total = sum(entry.value for entry in found.ledger)
    assert total == pytest.approx(dynamics - quantum, abs=1e-12 * (classical + quantum + dynamics))
    assert sum(entry.standard_error**2 for entry in found.ledger) == pytest.approx(error**2)
    assert found.difference.value == pytest.approx(classical - dynamics)
    assert found.difference.standard_error == error


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
    assert near.sigmas == pytest.approx(1.9) and below.sigmas == pytest.approx(-2.1)
    assert verdict(1.21, 0.9, dynamics, tolerance=3.0).agree


def test_the_sentence_says_how_wide_its_error_bar_is() -> None:
    found = verdict(1.5, 1.2, Estimate(1.0, 0.1, "W/(m K)"))
    assert "disagree at 300 K" in found.sentence
    assert "5.0 standard errors" in found.sentence
    assert "\N{PLUS-MINUS SIGN}20 %" in found.sentence
    assert "0.804 to 1.2" in found.sentence
    assert " agree at 300 K" in verdict(1.1, 1.2, Estimate(1.0, 0.1, "W/(m K)")).sentence


def test_a_failed_check_of_the_dynamics_is_said() -> None:
    failed = Check("energy drift", 3e-4, "<=", 2e-4, "eV/atom per 100 ps", "shorten the time step")
    doubtful = Estimate(1.0, 0.1, "W/(m K)", checks=(failed,))
    assert not doubtful.trusted
    assert "checks of the dynamics failed" in verdict(1.0, 0.9, doubtful).sentence
    assert "nothing is decided" in verdict(2.0, 0.9, doubtful).sentence
    assert "failed" not in verdict(1.0, 0.9, Estimate(1.0, 0.1, "W/(m K)")).sentence


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
