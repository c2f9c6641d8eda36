"""Verdicts on linewidths: every cause from the evidence that stands for it, and none of them without that evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ldmd.diagnosis.evidence import Evidence
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
    Cause.RESONANCE: {"gamma_self_consistent": 0.1, "effective_channels": 3.0, "top_two_share": 0.8},
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
    columns = {name: np.array([{**SOUND, **row}[name] for row in rows]) for name in SOUND}
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
    assert meter in found.advice


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


def test_correlated_errors_are_less_than_their_floor() -> None:
    """Restoring the symmetries takes little away, so that little was there; but what was projected may be noise."""
    rows = [{**FILE, "noise_floor": 1.0, "gamma_projected": value} for value in (0.48, 0.49, 0.51)]
    assert noise_scale(evidence(*rows)) == pytest.approx(0.015)
    assert {found.cause for found in verdicts(evidence(*rows))} == {Cause.PHYSICAL}
    projected = [{**FILE, "noise_floor": 1.0}] * 3
    assert noise_scale(evidence(*projected)) == 1.0
    assert {found.cause for found in verdicts(evidence(*projected))} == {Cause.NOISE}


def test_thresholds_decide_and_are_explained() -> None:
    row = {**FILE, "noise_floor": 0.12, "gamma_projected": 0.3}
    assert verdict(row).cause is not Cause.NOISE
    strict = Thresholds(signal_to_noise=5.0)
    assert verdicts(evidence(row), strict)[0].cause is Cause.NOISE
    names = [name for name, *_ in strict.explained()]
    assert dict((name, value) for name, value, *_ in strict.explained())["signal_to_noise"] == 5.0
    assert len(names) == len(set(names)) and all(text for *_, text in strict.explained())


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
