"""Sound fluxes pass the checks of stationarity whatever their colour, and planted faults are found.

`python tests/statistical/stationarity_table.py 200` prints the same for all spectra and lengths.
"""

from __future__ import annotations

import numpy as np
import pytest
from stationarity_table import FAULTS, SPECTRA, Fault, detections, failed, false_alarms, runs_of

from ldmd.green_kubo.stationarity import (
    MEAN_STEADY,
    NET_FLUX,
    POWER_STEADY,
    REPLICAS_ALIKE,
    SLOW_POWER_STEADY,
    STATIONARITY_CHECKS,
)

pytestmark = pytest.mark.statistical

FAULT = {fault.name: fault for fault in FAULTS}
RUNS = 20


@pytest.fixture(scope="module")
def glass() -> tuple[np.ndarray, ...]:
    """Sound runs of 60 ps in two replicas."""
    return tuple(runs_of("glass", "quick", RUNS, seed=3))


@pytest.mark.parametrize(
    "spectrum",
    ["one time, 10 ps", "70 % at 0.05 ps, 30 % at 20 ps", "oscillator, 5 THz, 5 ps", "crystal, 30 ps"],
)
def test_sound_runs_of_slow_and_vibrating_fluxes_pass(spectrum: str) -> None:
    """At most one in 20, where one in a hundred or fewer is expected: 1.7 % to see more."""
    count, by_check = false_alarms(spectrum, "quick", RUNS)
    assert count <= 1, by_check


@pytest.mark.parametrize(
    ("name", "energy", "check"),
    [
        ("transient, 1 ps", 30.0, MEAN_STEADY),
        ("transient, 5 ps", 30.0, MEAN_STEADY),
        ("transient, a fifth of the run", 30.0, MEAN_STEADY),
        ("net flux", 30.0, NET_FLUX),
        ("net flux of one component", 100.0, NET_FLUX),
        ("trend", 30.0, MEAN_STEADY),
        ("jump of the mean", 30.0, MEAN_STEADY),
        ("second half 1.65 times as strong", 0.0, POWER_STEADY),
        ("second half 2.3 times as strong", 0.0, SLOW_POWER_STEADY),
        ("replica 1.65 times as strong", 0.0, REPLICAS_ALIKE),
    ],
)
def test_planted_faults_are_found_by_name(glass: tuple[np.ndarray, ...], name: str, energy: float, check: str) -> None:
    """In at least 18 of 20 runs of a glass, by the check that is meant for it."""
    density = float(SPECTRA["glass"](np.zeros(1))[0])
    found = [check in failed(FAULT[name].plant(flux, density, energy)) for flux in glass]
    assert sum(found) >= 18


def test_a_slowest_time_that_is_known_lets_smaller_changes_be_seen(glass: tuple[np.ndarray, ...]) -> None:
    """A net flux that adds half to the running integral."""
    density = float(SPECTRA["glass"](np.zeros(1))[0])
    faulty = [FAULT["net flux"].plant(flux, density, 12.0) for flux in glass]
    alone, told = (sum(NET_FLUX in failed(flux, slowest) for flux in faulty) for slowest in (None, 1.0))
    assert told > alone
    assert told >= 15


def test_the_table_plants_faults_that_matter() -> None:
    """The energies of the table are those that change the conductivity by half; a hot half needs none."""
    found, energy, factors = detections("glass", "quick", 3, FAULT["second half 2.3 times as strong"])
    assert found == 3 and energy == 0.0
    assert factors[0] == pytest.approx(1.65, rel=0.1)
    assert set(STATIONARITY_CHECKS) >= failed(FAULT["trend"].plant(next(runs_of("glass", "quick", 1)), 1.0, 1000.0))


def test_repeated_and_lost_frames_and_a_spike_are_no_change_of_the_flux(glass: tuple[np.ndarray, ...]) -> None:
    """These were found to be harmless to the conductivity, and the checks leave them alone."""
    for flux in glass[:3]:
        repeated = np.insert(flux, 5000, flux[4990:5000], axis=0)
        lost = np.delete(flux, np.s_[7000:7010], axis=0)
        spiked = flux.copy()
        spiked[6000] += 5.0 * flux.std()
        assert not any(failed(each) for each in (repeated, lost, spiked))


def test_a_fault_is_planted_as_it_says() -> None:
    """The energy of a mean is its square over time, in units of the density at zero frequency."""
    flux = np.zeros((12_000, 6))
    planted = Fault("", lambda t, _: np.exp(-t), (2,)).plant(flux, 2.0, 30.0)
    assert (planted[:, 2] ** 2).sum() * 0.005 == pytest.approx(60.0)
    assert not planted[:, [0, 1, 3, 4, 5]].any()
