"""The interval of the conductivity holds the truth, or a check says that the run is too short.

A small sample of the table of ``tests/green_kubo_coverage.py``, with other seeds.
"""

from __future__ import annotations

import math

import pytest
from green_kubo_coverage import SMOOTH, SPECTRA, fluxes, measure

from ldmd.green_kubo import power_spectrum
from ldmd.green_kubo.zero_frequency import zero_frequency

pytestmark = pytest.mark.statistical

RUNS = 40
DEMANDED = 0.88
"""Share of runs whose 95 % interval must hold the truth."""


def least(share: float, runs: int = RUNS) -> float:
    """Three binomial standard errors below a share."""
    return share - 3.0 * math.sqrt(share * (1.0 - share) / runs)


@pytest.mark.parametrize("name", SPECTRA)
def test_a_short_run_alone_covers_or_says_that_it_is_too_short(name: str) -> None:
    row = measure(name, "quick", RUNS, given=False, seed=2)
    assert row.covered >= least(DEMANDED) or row.missed_and_told >= 0.9 * row.missed
    if not math.isnan(row.covered_if_trusted):
        trusted = max(1, round(row.trusted * RUNS))
        assert row.covered_if_trusted >= least(DEMANDED, trusted) - 1.0 / trusted


@pytest.mark.parametrize("name", ["20 % at 20 ps", "30 % at 5 ps", "crystal, about 5 ps", "glass"])
def test_a_long_run_alone_covers(name: str) -> None:
    row = measure(name, "full", RUNS, given=False, seed=2)
    assert row.covered >= least(DEMANDED)
    assert abs(row.ratio - 1.0) < 0.15


@pytest.mark.parametrize("name", SMOOTH)
def test_with_the_slowest_time_given_the_error_is_that_of_a_cepstral_fit(name: str) -> None:
    """At most 1.6 times as large on spectra that a cepstral fit gets right, and it covers."""
    row = measure(name, "full", 16, given=True, seed=2)
    assert row.over_cepstral < 1.6
    assert row.covered >= least(0.95, 16)
    assert row.trusted >= 15 / 16


@pytest.mark.parametrize("name", ["50 % at 5 ps", "20 % at 20 ps", "glass, 30 % at 5 ps"])
def test_a_slow_part_of_less_than_half_the_weight_is_covered_with_its_time_given(name: str) -> None:
    row = measure(name, "full", RUNS, given=True, seed=2)
    assert row.covered >= least(0.95)
    assert row.ratio > 0.9


def test_a_slowest_time_that_is_too_short_is_told_by_longer_ones() -> None:
    """Half of S(0) decays ten times more slowly than assumed."""
    told = [
        not zero_frequency(power_spectrum(series), 0.5).slow_enough
        for series in fluxes("50 % at 5 ps", "full", 20, seed=2)
    ]
    assert sum(told) >= 18


def test_the_result_rests_on_the_run_alone_where_the_slowest_time_given_is_too_short() -> None:
    from ldmd.green_kubo import green_kubo

    series = next(fluxes("50 % at 5 ps", "full", 1, seed=3))
    wrong, right = (green_kubo(series, slowest_ps=time) for time in (0.5, 5.0))
    assert right.slowest_given and right.slowest == pytest.approx(5.0)
    assert right.conductivity.standard_error < 0.6 * right.run_alone.standard_error
    assert not wrong.slowest_given
    assert wrong.interval_95 == wrong.run_alone_interval_95
    assert [c.name for c in wrong.conductivity.checks if not c.passed] == ["result unchanged by a longer slowest time"]
