"""What the commands do, as functions that return what is to be printed."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmd.case import CASE_FILE, Case, load_case, resolved, template
from ldmd.errors import InputError
from ldmd.problem import Problem, load_problem
from ldmd.progress import duration, progress
from ldmd.store import Store, write_atomically
from ldmd.workflow import STAGES, Runner, run_comparison

if TYPE_CHECKING:
    from ldmd.force_constants.sum_rules import Residuals
    from ldmd.potentials.base import SitePotential
    from ldmd.report import ReportContents
    from ldmd.results import Check

CITATIONS = (
    "isaeva2019", "allen1993", "ercole2017", "fan2015", "bussi2007", "knoop2020", "tersoff1988", "pegolo2024",
)  # fmt: skip
PACKAGES = ("ldmd", "jax", "jaxlib", "numpy", "scipy", "ase", "matscipy", "matplotlib")


def compare_case(folder: Path, quick: bool, output: Path | None, command: str) -> tuple[ReportContents, Path]:
    """Run a comparison and write ``report.html`` and ``summary.json``; returns what the report holds, and its path."""
    from ldmd.report import summary, write_report

    problem = _problem(folder, quick)
    provenance = _provenance(problem, command)
    contents = _contents(problem, provenance)
    target = output or Path("reports") / (f"{problem.case.name}-quick" if quick else problem.case.name)
    page = target / "report.html"
    write_report(contents, page)
    text = json.dumps(summary(contents), indent=2, sort_keys=True, allow_nan=False) + "\n"
    write_atomically(target / "summary.json", text.encode("utf-8"))
    return contents, page


def _problem(folder: Path, quick: bool) -> Problem:
    case = load_case(folder)
    return load_problem(case, case.settings.quick() if quick else case.settings)


def _contents(problem: Problem, provenance: dict[str, Any]) -> ReportContents:
    from ldmd.report import ReportContents
    from ldmd.width_study import stored_width_study

    results = run_comparison(problem, provenance)
    return ReportContents(
        case_name=problem.case.name,
        title=problem.settings.material.name,
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
        comparison=results.comparison,
        width_study=stored_width_study(problem, provenance),
        citations=CITATIONS,
    )


def _named_residuals(residuals: Residuals | None) -> dict[str, float]:
    """Residuals under names for people: "second order, translation"."""
    values = dataclasses.asdict(residuals) if residuals else {}
    return {name.replace("_", " order, "): value for name, value in values.items()}


def _provenance(problem: Problem, command: str) -> dict[str, Any]:
    """Versions, digests, command, date and machine: what one needs to get the same numbers again."""
    stamp = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.fromtimestamp(float(stamp), datetime.UTC) if stamp else datetime.datetime.now(datetime.UTC)
    return {
        "command": command,
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "structure_and_potential": problem.system,
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


def verdict_lines(contents: ReportContents) -> Iterator[str]:
    """The verdict as a terminal shows it."""
    if contents.comparison is None and contents.conductivity is not None:
        row = int(abs(contents.conductivity.temperatures - contents.temperature).argmin())
        for place, name in enumerate(contents.conductivity.statistics):
            value = float(contents.conductivity.qhgk[row, place].trace() / 3.0)
            yield f"{contents.title}: {value:.3f} W/(m K) at {contents.temperature:g} K by QHGK, {name}"
        yield "No comparison: a potential that is a black box gives no heat flux."
    elif contents.comparison is None:
        yield f"{contents.title}: no comparison, the structure is not fit for force constants."
    else:
        yield f"{contents.title}: {contents.comparison.sentence}"
        for entry in contents.comparison.ledger:
            error = f" +- {entry.standard_error:.3f}" if entry.standard_error else ""
            yield f"  {entry.name:<22} {entry.value:+.3f}{error} W/(m K)"
    for stage, check in contents.failed_checks:
        yield f"  failed ({stage}): {_check_line(check)}"


def _check_line(check: Check) -> str:
    finding = f"{check.name} = {check.value:.4g} {check.unit}"
    return f"{finding}, should be {check.relation} {check.threshold:.4g}: {check.advice}"


def check_case(folder: Path, quick: bool) -> tuple[list[str], bool]:
    """Settings, structure and expected cost; and whether the structure is fit for a comparison."""
    problem = _problem(folder, quick)
    inspection = problem.inspection
    lines = [
        f"{problem.settings.material.name}: {len(problem.atoms)} atoms, {inspection.density:.3f} g/cm^3",
        "",
    ]
    lines += ["settings"]
    for section, values in resolved(problem.settings).items():
        lines += [f"  {section}.{key} = {value}" for key, value in values.items()]
    lines += [
        "",
        "structure",
        f"  energy {inspection.energy_per_atom:.6f} eV/atom, pressure {inspection.pressure:.2e} GPa",
    ]
    for species, row in zip(inspection.species, inspection.coordination, strict=True):
        counts = ", ".join(f"{int(count)} with {n}" for n, count in enumerate(row) if count)
        lines.append(f"  {species} by number of neighbours: {counts}")
    lines += [f"  pass  {c.name}" if c.passed else f"  FAIL  {_check_line(c)}" for c in inspection.checks]
    for (i, j), distance, outer in list(
        zip(inspection.switching_pairs, inspection.switching_distances, inspection.outer_cutoffs, strict=True)
    )[:10]:
        names = f"{inspection.symbols[int(i)]}{int(i)}-{inspection.symbols[int(j)]}{int(j)}"
        lines.append(f"        {names} at {distance:.4f} Angstrom, cutoff {outer:.2f}")
    lines += (
        ["", *_cost(problem)] if inspection.usable else ["", "A comparison stops here: force constants mean nothing."]
    )
    return lines, inspection.usable and all(c.passed for c in inspection.checks)


def _cost(problem: Problem) -> Iterator[str]:
    """Time and memory, from a measured second of each kind of work on this machine."""
    from ldmd.estimate import estimate_cost

    cost = estimate_cost(problem)
    yield "cost on this machine, for what is not stored yet"
    yield f"  lattice dynamics about {duration(cost.lattice_seconds)}"
    if cost.dynamics_seconds:
        yield f"  molecular dynamics about {duration(cost.dynamics_seconds)}"
    yield f"  memory about {cost.memory_gb:.1f} GB"


def new_case(folder: Path, name: str, parameters: str) -> str:
    """Write a template; never over something that is there."""
    path = folder / CASE_FILE
    if path.exists():
        raise InputError("case", path, "is there already; choose another folder")
    text = template(name, parameters)
    write_atomically(path, text.encode("utf-8"))
    return f"{path} written: put {parameters} and structure.extxyz beside it, then run: ldmd check {folder}"


def _differentiable(case: Case) -> SitePotential:
    """The potential of a case, which must be one that can be differentiated."""
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.reading import read_potential

    potential = read_potential(case.settings.potential, case.folder)
    if isinstance(potential, AsePotential):
        raise InputError(
            "potential.kind", "ase", "a black box cannot do this; use a potential that can be differentiated"
        )
    return potential


def build_case(folder: Path, kind: str, seed: int, nodes: int, trials: int, replace: bool) -> list[str]:
    """Build a glass into the case folder and say what became of it."""
    from ldmd.glass.build import network_glass, quenched_glass
    from ldmd.inspection import inspect_structure
    from ldmd.structures import write_structure

    if kind not in ("network", "quench"):
        raise InputError("--kind", kind, "choose network or quench")
    case = load_case(folder, structure_needed=False)
    if case.structure.exists() and not replace:
        raise InputError("material.structure", case.structure, "is there already; --replace builds a new one over it")
    potential = _differentiable(case)
    with progress(f"glass ({kind})", 2.0) as advance:
        tracker = _StepTracker(advance)
        if kind == "network":
            atoms = network_glass(potential, nodes, trials, seed, tracker)
        else:
            atoms = quenched_glass(potential, nodes, seed, tracker)
    write_structure(atoms, case.structure)
    inspection = inspect_structure(atoms, potential)
    lines = [
        f"{case.structure}: {len(atoms)} atoms, {inspection.energy_per_atom:.4f} eV/atom, "
        f"{inspection.density:.3f} g/cm^3"
    ]
    return lines + [f"  pass  {c.name}" if c.passed else f"  FAIL  {_check_line(c)}" for c in inspection.checks]


class _StepTracker:
    """Turns shares of named steps into increments of one bar."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance
        self._shares: dict[str, float] = {}

    def __call__(self, step: str, share: float) -> None:
        self._advance(max(0.0, share - self._shares.get(step, 0.0)))
        self._shares[step] = max(share, self._shares.get(step, 0.0))


def relax_case(folder: Path) -> list[str]:
    """Relax the structure of a case in place."""
    from ldmd.inspection import state_of
    from ldmd.potentials.black_box import AsePotential, require_knows
    from ldmd.potentials.black_box_relaxation import relax_black_box
    from ldmd.potentials.reading import read_potential
    from ldmd.relaxation import relax as relax_atoms
    from ldmd.structures import read_structure, require_fits, write_structure

    case = load_case(folder)
    potential, atoms = read_potential(case.settings.potential, case.folder), read_structure(case.structure)
    if isinstance(potential, AsePotential):
        require_knows(atoms, potential)
        relaxed = relax_black_box(atoms, potential)
    else:
        require_fits(atoms, potential.species, potential.switching)
        relaxed = relax_atoms(atoms, potential)
    write_structure(relaxed, case.structure)
    before, after = state_of(atoms, potential), state_of(relaxed, potential)
    return [
        f"{case.structure}: largest force {before.largest_force:.3g} -> {after.largest_force:.3g} eV/Angstrom, "
        f"energy {before.energy / len(atoms):.6f} -> {after.energy / len(atoms):.6f} eV/atom"
    ]


def study_widths(folder: Path, quick: bool, command: str) -> list[str]:
    """Conductivity and linewidths for several widths of the kernel and without any, as a table."""
    from ldmd.width_study import width_study

    problem = _problem(folder, quick)
    if not problem.inspection.usable:
        raise InputError("material.structure", problem.case.structure, "not fit for force constants; see ldmd check")
    study = width_study(Runner(problem, Store(problem.case.folder / ".ldmd"), _provenance(problem, command)))
    lines = [
        f"{problem.settings.material.name} at {problem.settings.dynamics.temperature:g} K, classical statistics",
        "",
    ]
    lines.append(f"{'width (rad/ps)':<18}{'QHGK (W/(m K))':>16}{'median HWHM (rad/ps)':>24}{'overdamped modes':>20}")
    for name, kappa, median, overdamped in study.rows():
        lines.append(f"{name:<18}{kappa:>16.4f}{median:>24.4f}{overdamped:>20d}")
    lines += ["", *(f"  failed: {_check_line(check)}" for check in study.free.checks if not check.passed)]
    return [*lines, f"The next report of ldmd compare {folder} shows this as a figure."]


def check_potential(name: str, structure: Path | None, step: float, thresholds: list[str]) -> tuple[list[str], bool]:
    """What a potential must satisfy, as a table; and whether it does."""
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.contract import examine, table
    from ldmd.potentials.subjects import force_subject, site_subject
    from ldmd.potentials.target import target_of, thresholds_from

    if not step > 0.0:
        raise InputError("--step", step, "must be positive; finite differences use some 0.03 Angstrom")
    limits, target = thresholds_from(thresholds), target_of(name, structure)
    potential = target.potential
    subject = force_subject(potential) if isinstance(potential, AsePotential) else site_subject(potential)
    examination = examine(subject, target.atoms, limits, step=step, all_kinks=not target.meant)
    title = f"{name} on {len(target.atoms)} atoms of {', '.join(sorted(set(target.atoms.get_chemical_symbols())))}"
    return [f"{title} ({target.structure})", "", *table(examination)], examination.passed


def explain_stages(folder: Path, quick: bool) -> list[str]:
    """What the store holds for the present settings, stage by stage."""
    problem = _problem(folder, quick)
    runner = Runner(problem, Store(problem.case.folder / ".ldmd"), {})
    return [runner.explain(stage) for stage in STAGES]


def citations_of(folder: Path) -> str:
    """BibTeX for a case."""
    from ldmd.report.citations import bibtex

    load_case(folder)
    return bibtex(CITATIONS)
