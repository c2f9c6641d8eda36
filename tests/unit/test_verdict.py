"""Verdicts on linewidths: every cause from the evidence that stands for it, and none of them without that evidence."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from ldmd.diagnosis.evidence import METERS, Evidence
from ldmd.diagnosis.verdict import Cause, Thresholds, Verdict, difference, noise_scale, verdicts

STEPS = np.array([0.001, 0.01])
SOUND = {
    "frequencies": 10.0,
    "gamma": 0.5,
    "participation_ratio": 0.5,
    "effective_channels": 50.0,
    "top_two_share": 0.1,
    "width_sensitivity": -0.1,
    "gamma_self_consistent": 0.5,
    "noise_floor": 0.01,
    "truncation": 0.01,
    "gamma_exact": 0.5,
    "gamma_projected": 0.5,
    "gamma_reference": 0.5,
    "slope": 2.0,
    "kink_share": 0.0,
}
"""Of a mode at 1.6 THz that is quiet in every respect; rad/ps and pure numbers."""
FILE = {name: math.nan for name in ("gamma_exact", "gamma_reference", "slope", "kink_share")}
"""Force constants of which no potential is known."""
GUILTY: dict[Cause, dict[str, float]] = {
    Cause.NOISE: {**FILE, "noise_floor": 0.2, "gamma_projected": 0.3},
    Cause.TRUNCATION: {**FILE, "truncation": 0.5},
    Cause.KINK: {"gamma": 1.0, "slope": -1.0, "kink_share": 0.2},
    Cause.SUM_RULE: {**FILE, "gamma_projected": 0.2},
    Cause.MODEL: {"gamma_reference": 0.2},
    Cause.LOCALISED: {name: 5.0 for name in ("gamma", "gamma_exact", "gamma_projected", "gamma_reference")}
    | {"gamma_self_consistent": 4.0, "participation_ratio": 0.1},
    Cause.RESONANCE: {
        "gamma_self_consistent": 0.1,
        "effective_channels": 3.0,
        "top_two_share": 0.8,
        "width_sensitivity": -0.9,
    },
    Cause.PHYSICAL: {},
    Cause.UNDECIDED: {"gamma": 1.0, "gamma_projected": 1.0},
}
DECISIVE = {
    Cause.NOISE: {"noise_floor": 0.01},
    Cause.TRUNCATION: {"truncation": 0.01},
    Cause.KINK: {"gamma": 0.5},
    Cause.SUM_RULE: {"gamma_projected": 0.5},
    Cause.MODEL: {"gamma_reference": 0.5},
    Cause.LOCALISED: {"participation_ratio": 0.5},
    Cause.RESONANCE: {"gamma_self_consistent": 0.5},
}
"""What must change for the cause not to be named any more."""


def evidence(*rows: dict[str, float], source: str = "finite differences", steps: float = 0.5) -> Evidence:
    names = {*SOUND, *(name for row in rows for name in row)}
    columns = {name: np.array([{**SOUND, **row}.get(name, math.nan) for row in rows]) for name in names}
    return Evidence(
        temperature=300.0,
        statistics="classical",
        source=source,
        kernel="gaussian",
        width=1.0,
        modes=3 + np.arange(len(rows)),
        steps=STEPS,
        gamma_of_step=np.full((len(rows), len(STEPS)), steps),
        **columns,
    )


def verdict(row: dict[str, float], **known: object) -> Verdict:
    return verdicts(evidence(row, **known))[0]


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_found(cause: Cause) -> None:
    assert verdict(GUILTY[cause]).cause is cause


@pytest.mark.parametrize("cause", DECISIVE)
def test_no_cause_without_its_evidence(cause: Cause) -> None:
    assert verdict({**GUILTY[cause], **DECISIVE[cause]}).cause is not cause


@pytest.mark.parametrize("cause", [Cause.NOISE, Cause.TRUNCATION, Cause.SUM_RULE])
def test_the_exact_derivative_acquits(cause: Cause) -> None:
    guilty = {name: value for name, value in GUILTY[cause].items() if name not in FILE}
    assert verdict(guilty).cause is Cause.PHYSICAL
    assert verdict({**guilty, "gamma_exact": 0.3}).cause is cause


@pytest.mark.parametrize("meter", ["noise_floor", "gamma_projected", "truncation", "participation_ratio"])
def test_what_was_not_measured_is_no_innocence(meter: str) -> None:
    found = verdict({**FILE, meter: math.nan})
    assert found.cause is Cause.UNDECIDED
    assert meter in found.missing
    assert METERS.get(meter, meter.replace("_", " ")) in found.advice


def test_channels_that_were_not_counted_are_no_innocence() -> None:
    found = verdict({"effective_channels": math.nan, "width_sensitivity": math.nan})
    assert (found.cause, found.missing) == (Cause.UNDECIDED, ("effective_channels", "width_sensitivity"))


def test_nothing_but_linewidths_is_undecided() -> None:
    assert verdict({name: math.nan for name in SOUND if name not in ("frequencies", "gamma")}).cause is Cause.UNDECIDED
    assert verdict({"gamma": 0.0}).cause is Cause.UNDECIDED


def test_numerical_causes_come_first() -> None:
    """A linewidth that is noise says nothing of the model or of resonances."""
    physics = {**GUILTY[Cause.RESONANCE], "gamma_reference": 0.2}
    assert verdict({**physics, **GUILTY[Cause.NOISE]}).cause is Cause.NOISE
    assert verdict(physics).cause is Cause.MODEL


def test_the_larger_of_two_numerical_errors_is_named() -> None:
    both = {**FILE, "gamma_projected": 0.2, "noise_floor": 0.3, "truncation": 0.4}
    assert verdict(both).cause is Cause.NOISE
    assert verdict({**both, "truncation": 0.9}).cause is Cause.TRUNCATION


def test_a_reference_convicts_the_model_only_if_the_numerics_are_sound() -> None:
    found = verdict({**FILE, "gamma_reference": 0.2, "noise_floor": math.nan})
    assert (found.cause, found.missing) == (Cause.UNDECIDED, ("noise_floor",))


def test_exact_derivatives_need_no_other_meter_of_numerics() -> None:
    unknown = {name: math.nan for name in ("gamma_exact", "gamma_projected", "noise_floor", "truncation")}
    assert verdict(unknown, source="autodiff").cause is Cause.PHYSICAL
    assert verdict(unknown, source="a file").cause is Cause.UNDECIDED


def test_a_kink_spoils_exact_derivatives_too() -> None:
    """They are those of one side: finite steps along the mode see the other."""
    kinked = {"slope": -1.0, "kink_share": 0.2}
    assert verdict(kinked, source="autodiff", steps=2.0).cause is Cause.KINK
    assert verdict(kinked, source="autodiff").cause is Cause.PHYSICAL
    crossed = verdict({**kinked, "gamma_at_amplitude": 0.55}, source="autodiff", steps=2.0)
    assert crossed.cause is Cause.PHYSICAL and "finite steps that meet kinks give up to 2 rad/ps" in crossed.evidence
    assert verdict({**kinked, "gamma_at_amplitude": 1.5}, source="autodiff", steps=2.0).cause is Cause.KINK
    assert verdict({**kinked, "kink_share": 0.0}, source="autodiff", steps=2.0).cause is Cause.PHYSICAL
    assert verdict({**kinked, "slope": 2.0}, source="autodiff", steps=2.0).cause is Cause.PHYSICAL


def test_a_kink_that_another_mode_shows_explains_wrong_force_constants() -> None:
    shows, wrong = (
        {"slope": -1.0, "kink_share": 0.2},
        {"gamma": 1.0, "gamma_projected": 1.0, "slope": 2.0, "kink_share": 0.1},
    )
    assert verdicts(evidence(shows, wrong))[1].cause is Cause.KINK
    assert verdicts(evidence({}, wrong))[1].cause is Cause.UNDECIDED
    assert verdicts(evidence(shows, {**wrong, "gamma": 0.5, "gamma_projected": 0.5}))[1].cause is Cause.PHYSICAL


def test_self_consistent_lines_tell_soft_modes_from_resonances() -> None:
    soft = {**GUILTY[Cause.LOCALISED], "effective_channels": 3.0, "width_sensitivity": -0.9}
    assert verdict({**soft, "gamma_self_consistent": 4.0}).cause is Cause.LOCALISED
    assert verdict({**soft, "gamma_self_consistent": 0.1}).cause is Cause.RESONANCE
    found = verdict({**soft, "gamma_self_consistent": math.nan})
    assert (found.cause, found.missing) == (Cause.UNDECIDED, ("gamma_self_consistent",))


def test_a_kernel_that_resolves_levels_is_held_against_the_lines() -> None:
    """It need not stand on the flank of a line that falls with it."""
    off_peak = {**GUILTY[Cause.RESONANCE], "width_sensitivity": 0.4, "participation_ratio": 0.1}
    found = {
        spacing: verdicts(dataclasses.replace(evidence(off_peak), spacing=spacing))[0].cause for spacing in (0.5, 2.0)
    }
    assert found == {0.5: Cause.PHYSICAL, 2.0: Cause.RESONANCE}


NOISY = {**GUILTY[Cause.NOISE], "floor_remeasured": 1e-4}


def test_a_second_measurement_acquits_and_convicts() -> None:
    """What noise is expected to do is one thing, what it did another."""
    assert verdict({**NOISY, "gamma_remeasured": 0.45}).cause is Cause.PHYSICAL
    found = verdict({**NOISY, "gamma_remeasured": 0.3})
    assert found.cause is Cause.NOISE
    assert "0.3 by forces along modes" in found.evidence
    unexpected = verdict({**FILE, "gamma_remeasured": 0.3, "floor_remeasured": 1e-4})
    assert unexpected.cause is Cause.UNDECIDED
    assert "forces along modes" in unexpected.evidence


def test_what_moving_atoms_feel_is_said_beside_the_verdict() -> None:
    """It acquits and convicts of nothing: third derivatives at rest are what they are."""
    found = verdict({"gamma_at_amplitude": 0.2})
    assert found.cause is Cause.PHYSICAL and "0.2 rad/ps at its thermal amplitude" in found.evidence
    assert "amplitude" not in verdict({"gamma_at_amplitude": 0.45}).evidence


def test_a_second_measurement_that_is_noisy_itself_is_no_witness() -> None:
    """Nor one that came out negative."""
    for again in ({"gamma_remeasured": 0.45, "floor_remeasured": 0.2}, {"gamma_remeasured": -0.1}):
        assert verdict({**NOISY, **again}).cause is Cause.NOISE


def test_measurements_that_scatter_are_sound_where_a_second_one_confirms_them() -> None:
    row = {**FILE, "gamma_remeasured": 0.45, "floor_remeasured": 1e-4}
    scattered = dataclasses.replace(evidence(row), scatter=1e4)
    assert verdicts(scattered)[0].cause is Cause.PHYSICAL
    row["gamma_remeasured"] = 0.2
    assert verdicts(dataclasses.replace(evidence(row), scatter=1e4))[0].cause is Cause.KINK


def test_correlated_errors_are_less_than_their_floor() -> None:
    """Restoring the symmetries takes little away, so that little was there; but what was projected may be noise."""
    rows = [{**FILE, "noise_floor": 1.0, "gamma_projected": value} for value in (0.48, 0.49, 0.51)]
    assert noise_scale(evidence(*rows)) == pytest.approx(0.015)
    assert {found.cause for found in verdicts(evidence(*rows))} == {Cause.PHYSICAL}
    projected = [{**FILE, "noise_floor": 1.0}] * 3
    assert noise_scale(evidence(*projected)) == 1.0
    assert {found.cause for found in verdicts(evidence(*projected))} == {Cause.NOISE}


def test_noise_that_the_forces_explain_counts_in_full() -> None:
    """1e-5 eV/Angstrom over 2 (0.01)^2 is 0.05: restoring takes little of what it does far from displaced atoms."""
    row = evidence({**FILE, "noise_floor": 1.0, "gamma_projected": 0.48})
    assert noise_scale(row) < 0.1
    noisy = dataclasses.replace(row, sigma_force=1e-5, displacement=0.01, sigma_elements=0.07)
    assert noise_scale(noisy) == 1.0 and verdicts(noisy)[0].cause is Cause.NOISE
    assert noise_scale(dataclasses.replace(noisy, sigma_elements=5.0)) < 0.1


def test_thresholds_decide_and_are_explained() -> None:
    row = {**FILE, "noise_floor": 0.1, "gamma_projected": 0.3}
    assert verdict(row).cause is not Cause.NOISE
    strict = Thresholds(signal_to_noise=5.0)
    assert verdicts(evidence(row), strict)[0].cause is Cause.NOISE
    names = [name for name, *_ in strict.explained()]
    assert dict((name, value) for name, value, *_ in strict.explained())["signal_to_noise"] == 5.0
    assert len(names) == len(set(names)) and all(text for *_, text in strict.explained())


def test_errors_that_are_far_below_a_linewidth_of_few_channels_can_change_it() -> None:
    """By their product with true matrix elements: 2 sqrt(0.5 * 0.02 / 1.5) = 0.16 rad/ps and more."""
    row = {**FILE, "noise_floor": 0.02, "gamma_projected": 0.48}
    assert verdict(row).cause is Cause.PHYSICAL
    assert verdict({**row, "effective_channels": 1.4}).cause is Cause.NOISE
    assert verdict({**row, "effective_channels": math.nan}).cause is not Cause.NOISE


def test_a_diagonal_out_of_balance_is_a_broken_sum_rule() -> None:
    row = {**FILE, "gamma_projected": 0.45}
    assert verdict(row).cause is Cause.PHYSICAL
    found = verdicts(dataclasses.replace(evidence(row), diagonal_floor=np.array([0.2])))[0]
    assert found.cause is Cause.SUM_RULE and "rad/ps" in found.evidence


def test_measurements_that_disagree_convict_a_black_box_of_a_kink() -> None:
    """By orders of magnitude: where they differ by little more than expected, errors are larger, but errors."""
    row = evidence(FILE)
    scattered = dataclasses.replace(row, scatter=5.0, scatter_floor=np.array([0.3]))
    assert verdicts(scattered)[0].cause is Cause.NOISE
    assert verdicts(dataclasses.replace(scattered, scatter_of_noise=50.0))[0].cause is Cause.TRUNCATION
    little = dataclasses.replace(scattered, scatter_floor=np.array([0.01]))
    assert verdicts(little)[0].cause is Cause.PHYSICAL
    found = verdicts(dataclasses.replace(little, scatter=300.0))[0]
    assert found.cause is Cause.KINK and "300 times" in found.evidence
    exact = dataclasses.replace(evidence({}), scatter=50.0, scatter_floor=np.array([0.3]))
    assert verdicts(exact)[0].cause is Cause.PHYSICAL, "the exact derivative acquits"


def test_a_soft_spot_moves_few_atoms_whatever_the_size_of_the_cell() -> None:
    row = dict.fromkeys(("gamma", "gamma_exact", "gamma_projected", "gamma_reference"), 2.5)
    soft = {**row, "gamma_self_consistent": 2.5, "participation_ratio": 0.3}
    assert verdicts(dataclasses.replace(evidence(soft), atoms=64))[0].cause is Cause.LOCALISED
    assert verdicts(dataclasses.replace(evidence(soft), atoms=648))[0].cause is not Cause.LOCALISED
    assert verdicts(evidence(soft))[0].cause is not Cause.LOCALISED


def test_differences_that_agree_with_the_derivative_are_sound_beside_a_kink() -> None:
    """Longer steps along the mode would see it; those that made these force constants did not."""
    row = {"slope": -1.0, "kink_share": 0.2}
    assert verdict(row, steps=2.0).cause is Cause.PHYSICAL


def test_noise_of_no_account_is_not_quoted() -> None:
    assert "none of it noise" in verdict({"noise_floor": 1e-28}).evidence
    assert "0.02 of it noise" in verdict({}).evidence


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.UNDECIDED])
def test_sentences_have_numbers_and_units(cause: Cause) -> None:
    found = verdict(GUILTY[cause])
    assert "rad/ps" in found.evidence and "nan" not in found.evidence
    assert found.advice


def test_difference_is_symmetric_and_honest() -> None:
    assert difference(1.0, 1.3) == difference(1.3, 1.0) == pytest.approx(0.3)
    assert difference(0.0, 0.0) == 0.0
    assert math.isinf(difference(0.0, 1.0))
    assert math.isnan(difference(math.nan, 1.0))
