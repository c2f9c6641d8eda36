"""A case as a report: what was computed, with what it was computed, and the two files that say so."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmd.case import Case, resolved
from ldmd.problem import Problem
from ldmd.settings import Settings
from ldmd.store import write_atomically
from ldmd.workflow import run_comparison

if TYPE_CHECKING:
    from ldmd.force_constants.sum_rules import Residuals
    from ldmd.report import ReportContents

METHODS = ("isaeva2019", "allen1993", "ercole2017", "fan2015", "bussi2007", "knoop2020", "pegolo2024")
"""Works that every comparison rests on."""
MODELS = {
    "tersoff": ("tersoff1988",),
    "stillinger-weber": ("stillinger1985",),
    "nep": ("fan2021",),
    "ase": (),
    "force-constants": (),
}
"""Works that the form of a potential rests on."""
CRYSTALS = ("togo2023", "murnaghan1944")
ENGINES = {"phono3py": ("togo2015",), "kaldo": ("barbalinardo2020",)}
"""Works behind lattice dynamics on meshes, and behind the program that does it."""
PACKAGES = ("ldmd", "jax", "jaxlib", "numpy", "scipy", "ase", "matscipy", "matplotlib", "phonopy", "phono3py")


def reports_of(case: Case, quick: bool) -> Path:
    """The folder of the report of a case and its potential."""
    return Path("reports") / (f"{case.name}-quick" if quick else case.name) / case.potential


def citations_for(settings: Settings) -> tuple[str, ...]:
    """Keys of the works behind a comparison."""
    crystal = settings.crystal
    if crystal is None:
        return (*METHODS, *MODELS[settings.potential.kind])
    direct = ("chaput2013",) if crystal.direct else ()
    return (*METHODS, *MODELS[settings.potential.kind], *CRYSTALS, *ENGINES[crystal.engine], *direct)


def report_contents(problem: Problem, provenance: dict[str, Any]) -> ReportContents:
    """Compute what is missing; what the report of one potential holds."""
    from ldmd.diagnosis_study import stored_diagnosis
    from ldmd.report import ReportContents
    from ldmd.width_study import stored_width_study

    results, label = run_comparison(problem, provenance), problem.case.potential
    material = problem.settings.material.name
    return ReportContents(
        case_name=f"{problem.case.name}/{label}" if label else problem.case.name,
        title=f"{material}, {label}" if label else material,
        settings=resolved(problem.settings),
        provenance=provenance,
        inspection=results.inspection,
        force_constant_residuals=_named_residuals(results.residuals),
        force_constant_checks=results.force_constant_checks,
        modes=results.modes,
        linewidths=results.linewidths,
        conductivity=results.conductivity,
        trajectories=results.trajectories,
        green_kubo=results.green_kubo,
        anharmonicity=results.anharmonicity,
        minima=results.minima,
        diffusion=results.diffusion,
        crystal=results.crystal,
        comparison=results.comparison,
        width_study=None if problem.unit is not None else stored_width_study(problem, provenance),
        diagnosis=None if problem.unit is not None else stored_diagnosis(problem, provenance),
        citations=citations_for(problem.settings),
        quick=problem.quick,
    )


def _named_residuals(residuals: Residuals | None) -> dict[str, float]:
    """Residuals under names for people: "second order, translation"."""
    values = dataclasses.asdict(residuals) if residuals else {}
    return {name.replace("_", " order, "): value for name, value in values.items()}


def write_case_report(contents: ReportContents, folder: Path) -> Path:
    """Write ``report.html`` and ``summary.json``; returns the path of the page.

    Raises
    ------
    InputError
        Where they cannot be written.
    """
    from ldmd.report import summary, write_report

    page = folder / "report.html"
    write_report(contents, page)
    write_summary(summary(contents), folder)
    return page


def write_summary(numbers: Mapping[str, Any], folder: Path) -> None:
    """Write ``summary.json``.

    Raises
    ------
    InputError
        Where it cannot be written.
    """
    text = json.dumps(numbers, indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(folder / "summary.json", text.encode("utf-8"))


def provenance_of(problem: Problem, command: str) -> dict[str, Any]:
    """Versions, digests, command, date and machine: what one needs to get the same numbers again."""
    made = provenance(command)
    return {**{key: made[key] for key in ("command", "date")}, "structure_and_potential": problem.system, **made}


def provenance(command: str) -> dict[str, Any]:
    """The same without the digest of structure and potential."""
    stamp = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.fromtimestamp(float(stamp), datetime.UTC) if stamp else datetime.datetime.now(datetime.UTC)
    return {
        "command": command,
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "processor": _processor(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The model of the processor as Linux names it, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
