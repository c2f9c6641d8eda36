"""The machine-readable summary: numbers with units and conventions, checks, verdict, exit code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.report.contents import ReportContents
from ldmd.report.crystal_parts import PARTS
from ldmd.report.crystal_section import crystal_numbers
from ldmd.report.lattice_figures import LOCALISED, isotropic, moving
from ldmd.report.linewidth_figure import flagged_modes
from ldmd.report.text import measured
from ldmd.results import Check, Estimate
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.lattice.linewidths import Linewidths
    from ldmd.lattice.modes import Modes

SCHEMA_VERSION = 1

CONVENTIONS = {
    "linewidth": "half width at half maximum (HWHM) of an angular frequency, rad/ps; lifetime 1/(2 linewidth)",
    "frequency": "ordinary frequency in THz, not angular",
    "conductivity": "one third of the trace of the tensor, W/(m K)",
    "standard_error": "one standard deviation of the estimate",
    "difference": "lattice (classical statistics) minus dynamics",
    "missing": "null stands for a number that does not exist (not computed, or undefined)",
}


def summary(contents: ReportContents) -> dict[str, Any]:
    """Everything a program wants to know about a case, ready for ``json.dumps(..., allow_nan=False)``.

    Numbers are ``{"value", "unit"}``, with ``"standard_error"`` and ``"convention"`` where they apply; what
    does not exist is null.
    """
    result = {
        "schema_version": SCHEMA_VERSION,
        "case": contents.case_name,
        "title": contents.heading,
        "quick": contents.quick,
        "exit_code": contents.exit_code,
        "conventions": CONVENTIONS,
        "verdict": verdict_numbers(contents),
        "ledger": _ledger(contents),
        "checks": [_check(stage, check) for stage, check in contents.checks],
        "structure": _structure(contents),
        "lattice": _lattice(contents),
        "crystal": None if contents.crystal is None else crystal_numbers(contents.crystal, contents.temperature),
        "dynamics": _dynamics(contents),
        "anharmonicity": _anharmonicity(contents),
        "minima": _minima(contents),
        "settings": contents.settings,
        "provenance": contents.provenance,
        "citations": list(contents.citations),
    }
    clean: dict[str, Any] = jsonable(result)
    return clean


def jsonable(value: Any) -> Any:
    """Plain dictionaries, lists, text and finite numbers; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def _estimate(estimate: Estimate, **more: Any) -> dict[str, Any]:
    samples = {} if math.isnan(estimate.effective_samples) else {"effective_samples": estimate.effective_samples}
    return measured(estimate.value, estimate.unit, standard_error=estimate.standard_error, **samples, **more)


def _check(stage: str, check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "stage": stage,
        "value": check.value,
        "relation": check.relation,
        "threshold": check.threshold,
        "unit": check.unit,
        "passed": check.passed,
        "advice": check.advice,
    }


def verdict_numbers(contents: ReportContents) -> dict[str, Any]:
    comparison = contents.comparison
    failed = [check.name for _, check in contents.failed_checks]
    if comparison is None:
        return {"verdict": None, "agree": None, "sentence": None, "failed_checks": failed}
    return {
        "verdict": comparison.verdict,
        "agree": {"agree": True, "disagree": False}.get(comparison.verdict),
        "sentence": comparison.sentence,
        "failed_checks": failed,
        "barred_by": [check.name for check in comparison.barring],
        "temperature": measured(comparison.temperature, "K"),
        "lattice_classical": _estimate(comparison.lattice_classical, convention=_convention(contents, "classical")),
        "lattice_quantum": _estimate(comparison.lattice_quantum, convention=_convention(contents, "Bose-Einstein")),
        "dynamics": _estimate(
            comparison.dynamics,
            interval_95=comparison.dynamics_interval_95,
            convention="Green-Kubo, classical",
        ),
        "difference": _estimate(comparison.difference, convention=CONVENTIONS["difference"]),
        "sigmas": measured(comparison.sigmas, "standard errors"),
        "tolerance": measured(comparison.tolerance_sigma, "standard errors"),
        "half_width_of_difference": measured(
            comparison.resolved, "1", convention="of the 95 % interval, relative to the dynamics"
        ),
        "resolution": measured(comparison.resolution, "1", convention="half width up to which agreement is a verdict"),
        "decisive_length": measured(comparison.decisive_length, "ps", convention="of each replica; null if none"),
    }


def _convention(contents: ReportContents, statistics: str) -> str:
    """How a lattice value of the verdict was computed."""
    crystal = contents.crystal
    if crystal is None:
        return f"QHGK, {statistics} statistics"
    where = "wave vectors of the box of the dynamics" if statistics == "classical" else "infinite mesh"
    return f"{PARTS[crystal.part]}, {statistics} statistics, {where}"


def _ledger(contents: ReportContents) -> list[dict[str, Any]] | None:
    if contents.comparison is None:
        return None
    return [
        measured(
            entry.value,
            "W/(m K)",
            name=entry.name,
            standard_error=entry.standard_error,
            explanation=entry.explanation,
        )
        for entry in contents.comparison.ledger
    ]


def _structure(contents: ReportContents) -> dict[str, Any]:
    inspection = contents.inspection
    return {
        "atoms": len(inspection.symbols),
        "energy": measured(inspection.energy_per_atom, "eV/atom"),
        "pressure": measured(inspection.pressure, "GPa"),
        "density": measured(inspection.density, "g/cm^3"),
        "largest_force": measured(inspection.largest_force, "eV/Angstrom"),
        "pairs_in_switching_regions": len(inspection.switching_distances),
        "coordination": {
            name: {str(n): int(amount) for n, amount in enumerate(inspection.coordination[place]) if amount}
            for place, name in enumerate(inspection.species)
        },
        "force_constant_residuals": {
            name: measured(value, "1", convention="relative to the largest element")
            for name, value in contents.force_constant_residuals.items()
        },
    }


def _lattice(contents: ReportContents) -> dict[str, Any] | None:
    if contents.modes is None:
        return None
    frequencies = contents.modes.frequencies[moving(contents.modes)] / THZ
    result: dict[str, Any] = {
        "modes": len(frequencies),
        "imaginary_modes": int((frequencies < 0.0).sum()),
        "lowest_frequency": measured(float(frequencies.min()), "THz"),
        "highest_frequency": measured(float(frequencies.max()), "THz"),
    }
    if contents.linewidths is not None:
        result["linewidths"] = _linewidths(contents.modes, contents.linewidths, contents.temperature)
    if contents.conductivity is not None:
        result["conductivity"] = [
            {
                "temperature": measured(float(kelvin), "K"),
                "statistics": name,
                **{
                    method: measured(float(isotropic(getattr(contents.conductivity, method))[t, s]), "W/(m K)")
                    for method in ("qhgk", "intraband", "allen_feldman")
                },
                "qhgk_tensor": measured(contents.conductivity.qhgk[t, s], "W/(m K)"),
            }
            for t, kelvin in enumerate(contents.conductivity.temperatures)
            for s, name in enumerate(contents.conductivity.statistics)
        ]
        broadening = contents.conductivity.allen_feldman_broadening
        result["allen_feldman_broadening"] = measured(broadening, "rad/ps", convention="HWHM")
    return result


def _linewidths(modes: Modes, linewidths: Linewidths, temperature: float) -> dict[str, Any]:
    flags = flagged_modes(modes, linewidths, temperature)
    return {
        "temperature": measured(flags.temperature, "K"),
        "median": {
            name: measured(float(np.median(gamma)), "rad/ps", convention="HWHM") for name, gamma in flags.gamma.items()
        },
        "overdamped_modes": flags.index[flags.overdamped],
        "localised_modes": measured(int(flags.localised.sum()), "1", convention=f"participation ratio < {LOCALISED}"),
        "largest_linewidth_over_frequency": measured(float(flags.damping.max()), "1", convention="HWHM / angular"),
        "kernel": linewidths.kernel,
        "kernel_width": measured(linewidths.width, "rad/ps"),
    }


def _dynamics(contents: ReportContents) -> dict[str, Any] | None:
    if not contents.trajectories and contents.green_kubo is None:
        return None
    runs = [
        {
            "seed": run.seed,
            "length": measured(run.duration, "ps"),
            "time_step": measured(run.time_step, "ps"),
            "mean_temperature": measured(float(run.temperature.mean()), "K"),
            "energy_drift": measured(run.energy_drift, "eV/atom per 100 ps", convention="straight line"),
        }
        for run in contents.trajectories or ()
    ]
    return {"replicas": runs, "green_kubo": _green_kubo(contents), "motion": _motion(contents)}


def _motion(contents: ReportContents) -> dict[str, Any] | None:
    """What the atoms of each species do."""
    found = contents.diffusion
    if found is None:
        return None
    return {
        name: {
            "motion": found.motions[k],
            "atoms": found.counts[k],
            "growth": measured(
                found.growth[k], "Angstrom^2", standard_error=found.growth_error[k], convention="6 D t over a run"
            ),
            "neighbour_distance": measured(found.neighbour_distance[k], "Angstrom"),
            "moved": measured(found.moved[k], "1", convention="share of atoms ever half a neighbour distance away"),
            "moved_at_end": measured(found.moved_at_end[k], "1", convention="the same at the end of a run"),
            "farthest": measured(found.farthest[k], "Angstrom"),
            "diffusion_coefficient": measured(found.coefficients[k], "cm^2/s") if found.diffusing[k] else None,
        }
        for k, name in enumerate(found.species)
    }


def _green_kubo(contents: ReportContents) -> dict[str, Any] | None:
    result = contents.green_kubo
    if result is None:
        return None
    return {
        "conductivity": _estimate(
            result.conductivity, interval_95=result.interval_95, convention="smooth spectrum at zero frequency"
        ),
        "slowest_time": measured(result.slowest, "ps", given=result.slowest_given, convention="flux ~ exp(-t / time)"),
        "from_the_run_alone": _estimate(result.run_alone, interval_95=result.run_alone_interval_95),
        "cepstral": _estimate(result.cepstral),
        "by_factor": [
            measured(
                result.kappa[row],
                "W/(m K)",
                factor=factor,
                standard_error=result.kappa_error[row],
                interval_95=result.kappa_interval_95[row],
                coefficients=result.coefficients_kept[row],
            )
            for row, factor in enumerate(result.factors)
        ],
        "running_integral": _estimate(result.running, plateau_start=measured(result.plateau_start, "ps")),
        "agreement_of_both": measured(result.agreement_sigma, "standard errors"),
        "axes": measured(
            result.axis_kappa,
            "W/(m K)",
            standard_error=result.axis_kappa_error,
        ),
        "cutoff": measured(result.cutoff, "THz", automatic=result.cutoff_automatic, convention="ordinary frequency"),
        "temperature": measured(result.temperature, "K"),
        "volume": measured(result.volume, "Angstrom^3"),
        "duration": measured(result.duration, "ps", convention="of one replica"),
        "replicas": result.replicas,
        "degrees_of_freedom": result.degrees_of_freedom,
    }


def _minima(contents: ReportContents) -> list[dict[str, Any]] | None:
    result = contents.minima
    if result is None:
        return None
    return [
        {
            "energy": measured(result.energy[place], "eV", convention="whole cell, above the structure of the case"),
            "moved": measured(result.moved[place], "1", convention="share of atoms farther than 0.2 Angstrom"),
            "conductivity": measured(result.conductivity[place], "W/(m K)", convention="QHGK, classical"),
            "sigma": measured(result.sigma[place], "1", convention="sigma^A with respect to this minimum"),
        }
        for place in range(len(result.energy))
    ]


def _anharmonicity(contents: ReportContents) -> dict[str, Any] | None:
    result = contents.anharmonicity
    if result is None:
        return None
    return {
        "temperature": measured(result.temperature, "K"),
        "sigma": [
            measured(
                result.sigma[row, place],
                "1",
                sampling=sampling,
                group=group,
                standard_error=result.standard_error[row, place],
                configurations=result.configurations[row],
            )
            for row, sampling in enumerate(result.samplings)
            for place, group in enumerate(result.groups)
        ],
    }
