"""What the commands do, as functions that return what is to be printed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmd.case import CASE_FILE, Case, load_case, potentials_of, resolved, template
from ldmd.case_report import citations_for, provenance_of, report_contents, reports_of, write_case_report
from ldmd.errors import InputError
from ldmd.problem import Problem, load_problem, require_disorder
from ldmd.progress import duration, progress
from ldmd.settings import LARGEST_STEP, SMALLEST_STEP
from ldmd.stages import stages_of
from ldmd.store import write_atomically
from ldmd.subject import IMPORTED, NO_DYNAMICS
from ldmd.workflow import Runner, resolution_of

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import AsePotential
    from ldmd.report import ReportContents
    from ldmd.results import Check


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a comparison ends with: lines for people, numbers for programs, and the exit code."""

    lines: tuple[str, ...]
    summary: Mapping[str, Any]
    exit_code: int


def compare_case(
    folder: Path, quick: bool, output: Path | None, command: str, potential: str | None = None
) -> tuple[ReportContents, Path]:
    """Compare for one potential and write ``report.html`` and ``summary.json``; what the report holds, and its path."""
    problem = _problem(folder, quick, potential)
    contents = report_contents(problem, provenance_of(problem, command))
    return contents, write_case_report(contents, output or reports_of(problem.case, quick))


def compare_one(folder: Path, quick: bool, output: Path | None, command: str, potential: str | None) -> Outcome:
    """The same, as a command shows it."""
    from ldmd.report import summary

    contents, page = compare_case(folder, quick, output, command, potential)
    return Outcome((*verdict_lines(contents), f"Report: {page}"), summary(contents), contents.exit_code)


def compare_potentials(folder: Path, quick: bool, output: Path | None, command: str) -> Outcome:
    """Compare for every potential of a case, one report each, and lay them side by side."""
    from ldmd.report.overview_summary import overview_summary
    from ldmd.side_by_side import compare_all

    overview, page = compare_all(folder, quick, output, command)
    lines: list[str] = []
    for member in overview.members:
        lines += [f"{member.name}: {member.failure}"] if member.contents is None else verdict_lines(member.contents)
        lines.append("")
    return Outcome((*lines, f"Report: {page}"), overview_summary(overview), overview.exit_code)


def _problem(folder: Path, quick: bool, potential: str | None = None) -> Problem:
    case = load_case(folder, potential)
    return load_problem(case, case.settings.quick() if quick else case.settings)


def verdict_lines(contents: ReportContents) -> Iterator[str]:
    """The verdict as a terminal shows it."""
    from ldmd.verdict_sentence import with_error

    if contents.comparison is None and contents.lattice_values:
        how = "by QHGK" if contents.crystal is None else f"on the infinite mesh ({contents.crystal.part})"
        for name, value in contents.lattice_values:
            yield f"{contents.heading}: {with_error(value)} W/(m K) at {contents.temperature:g} K {how}, {name}"
        yield f"{contents.why_no_dynamics[0].upper()}{contents.why_no_dynamics[1:]}."
    elif contents.comparison is None:
        yield f"{contents.heading}: no comparison, the structure is not fit for force constants."
    else:
        yield f"{contents.heading}: {contents.comparison.sentence}"
        for entry in contents.comparison.ledger:
            error = f" +- {entry.standard_error:.3f}" if entry.standard_error else ""
            yield f"  {entry.name:<22} {entry.value:+.3f}{error} W/(m K)"
    for stage, check in contents.failed_checks:
        yield f"  failed ({stage}): {_check_line(check)}"


def _check_lines(checks: Iterable[Check]) -> list[str]:
    return [f"  pass  {check.name}" if check.passed else f"  FAIL  {_check_line(check)}" for check in checks]


def _check_line(check: Check) -> str:
    finding = f"{check.name} = {check.value:.4g} {check.unit}"
    return f"{finding}, should be {check.relation} {check.threshold:.4g}: {check.advice}"


def check_case(folder: Path, quick: bool, potential: str | None = None) -> tuple[list[str], bool]:
    """Settings, structure and expected cost; and whether the structure is fit for a comparison."""
    from ldmd.conservative_forces import soundness_checks

    problem = _problem(folder, quick, potential)
    require_disorder(problem)
    inspection, resolution, sound = problem.inspection, _resolution(problem), soundness_checks(problem)
    lines = [
        f"{problem.settings.material.name}: {len(problem.atoms)} atoms, {inspection.density:.3f} g/cm^3",
        "",
    ]
    potentials = potentials_of(folder)
    lines += [f"potential {problem.case.potential} of {', '.join(potentials)}", ""] if potentials else []
    lines += ["settings"]
    for section, values in resolved(problem.settings).items():
        lines += [f"  {section}.{key} = {value}" for key, value in values.items()]
    if problem.unit is not None and problem.imported is None:
        from ldmd.crystal.description import description_lines

        lines += ["", "crystal", *(f"  {line}" for line in description_lines(problem))]
    lines += [
        "",
        "structure",
        f"  energy {inspection.energy_per_atom:.6f} eV/atom, pressure {inspection.pressure:.2e} GPa"
        if problem.imported is None
        else f"  {NO_DYNAMICS}",
    ]
    for species, row in zip(inspection.species, inspection.coordination, strict=True):
        counts = ", ".join(f"{int(count)} with {n}" for n, count in enumerate(row) if count)
        lines.append(f"  {species} by number of neighbours: {counts}")
    lines += [f"  note  {remark}" for remark in problem.remarks]
    lines += _check_lines((*sound, *inspection.checks))
    for (i, j), distance, outer in list(
        zip(inspection.switching_pairs, inspection.switching_distances, inspection.outer_cutoffs, strict=True)
    )[:10]:
        names = f"{inspection.symbols[int(i)]}{int(i)}-{inspection.symbols[int(j)]}{int(j)}"
        lines.append(f"        {names} at {distance:.4f} Angstrom, cutoff {outer:.2f}")
    lines += ["", "dynamics", *_check_lines(resolution)] if resolution else []
    lines += (
        ["", *_cost(problem)]
        if inspection.usable and all(check.passed for check in sound)
        else ["", "A comparison stops here: force constants mean nothing."]
    )
    return lines, inspection.usable and all(c.passed for c in (*sound, *inspection.checks, *resolution))


def _resolution(problem: Problem) -> tuple[Check, ...]:
    """Whether the dynamics resolves the highest frequency; nothing without dynamics or exact force constants."""
    from ldmd.lattice.modes import highest_frequency

    if problem.differentiable is None or problem.by_differences or not problem.inspection.usable:
        return ()
    return resolution_of(problem.settings, highest_frequency(problem.second, problem.atoms.get_masses()))


def _cost(problem: Problem) -> Iterator[str]:
    """Time and memory, from a measured second of each kind of work on this machine."""
    if problem.imported is not None:
        yield from ("force constants", *_check_lines(problem.crystal.checks), "")
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


def build_case(
    folder: Path, kind: str, seed: int, nodes: int, trials: int, replace: bool, potential_name: str | None = None
) -> list[str]:
    """Build a glass into the case folder and say what became of it."""
    from ldmd.glass.build import network_glass, quenched_glass
    from ldmd.inspection import inspect_structure
    from ldmd.structures import write_structure

    if kind not in ("network", "quench"):
        raise InputError("--kind", kind, "choose network or quench")
    case = load_case(folder, potential_name, structure_needed=False)
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
    return [*lines, *_check_lines(inspection.checks)]


class _StepTracker:
    """Turns shares of named steps into increments of one bar."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance
        self._shares: dict[str, float] = {}

    def __call__(self, step: str, share: float) -> None:
        self._advance(max(0.0, share - self._shares.get(step, 0.0)))
        self._shares[step] = max(share, self._shares.get(step, 0.0))


def relax_case(folder: Path, potential_name: str | None = None, volume: bool = False) -> list[str]:
    """Relax the structure of a case in place, with ``volume`` its cell at zero pressure: of a crystal its shape, too.

    A potential whose own structure is not there yet begins at the structure of the material.
    """
    from ldmd.inspection import state_of
    from ldmd.potentials.reading import read_potential, require_energy
    from ldmd.structure_files import read_structure_file, write_structure

    case = load_case(folder, potential_name, structure_needed=False)
    require_energy(case.settings.potential)
    start = case.structure if case.structure.is_file() else folder / case.settings.material.structure
    found = read_structure_file(start)
    atoms = found.atoms
    potential = read_potential(case.settings.potential, case.folder, set(atoms.get_chemical_symbols()))
    relaxed = _relaxed(atoms, potential, volume, case.settings.crystal is not None)
    write_structure(relaxed, case.structure)
    before, after = state_of(atoms, potential), state_of(relaxed, potential)
    origin = "" if start == case.structure else f" from {start}"
    return [
        f"{case.structure}{origin}: largest force {before.largest_force:.3g} -> {after.largest_force:.3g} eV/Angstrom, "
        f"energy {before.energy / len(atoms):.6f} -> {after.energy / len(atoms):.6f} eV/atom, "
        f"pressure {before.pressure:.3g} -> {after.pressure:.3g} GPa",
        *(f"note: {remark}" for remark in found.remarks),
    ]


def _relaxed(atoms: Atoms, potential: SitePotential | AsePotential, volume: bool, crystal: bool) -> Atoms:
    from ldmd.crystal.relaxation import relax_cell
    from ldmd.potentials.black_box import AsePotential, require_knows
    from ldmd.potentials.black_box_relaxation import relax_black_box
    from ldmd.relaxation import relax
    from ldmd.structures import require_fits, require_known

    if not isinstance(potential, AsePotential):
        if crystal:
            require_known(atoms, potential.species)
            return relax_cell(atoms, potential) if volume else relax(atoms, potential)
        require_fits(atoms, potential.species, potential.switching)
        return relax(atoms, potential, isotropic=volume)
    require_knows(atoms, potential)
    if volume:
        raise InputError("--volume", "ase", "the volume of a black box is not relaxed; use the program behind it")
    return relax_black_box(atoms, potential)


def study_widths(folder: Path, quick: bool, command: str, potential: str | None = None) -> list[str]:
    """Conductivity and linewidths for several widths of the kernel and without any, as a table."""
    from ldmd.width_study import width_study

    problem = _problem(folder, quick, potential)
    _require_potential(problem)
    if not problem.inspection.usable:
        raise InputError("material.structure", problem.case.structure, "not fit for force constants; see ldmd check")
    study = width_study(Runner(problem, problem.store, provenance_of(problem, command)))
    lines = [
        f"{problem.settings.material.name} at {problem.settings.dynamics.temperature:g} K, classical statistics",
        "",
    ]
    lines.append(f"{'width (rad/ps)':<18}{'QHGK (W/(m K))':>16}{'median HWHM (rad/ps)':>24}{'overdamped modes':>20}")
    for name, kappa, median, overdamped in study.rows():
        lines.append(f"{name:<18}{kappa:>16.4f}{median:>24.4f}{overdamped:>20d}")
    lines += ["", *(f"  failed: {_check_line(check)}" for check in study.free.checks if not check.passed)]
    return [*lines, f"The next report of ldmd compare {folder} shows this as a figure."]


def diagnose_case(
    folder: Path, quick: bool, command: str, potential: str | None = None, reference: str | None = None
) -> tuple[list[str], dict[str, Any], bool]:
    """Why low-frequency linewidths are what they are: lines, numbers, and whether the numerics are sound."""
    from ldmd.diagnosis_study import as_json, diagnose, table
    from ldmd.unusable_structure import unusable

    problem = _problem(folder, quick, potential)
    _require_potential(problem)
    title = problem.settings.material.name
    if not problem.inspection.usable:
        bad = unusable(problem)
        why = list(bad.lines())
        return [f"{title}: {why[0]}", *why[1:]], bad.as_json(), False
    found = diagnose(Runner(problem, problem.store, provenance_of(problem, command)), reference)
    rows = list(table(found))
    lines = [f"{title}: {rows[0]}", *rows[1:], ""]
    if problem.unit is None:
        bare = " without the reference" if reference else ""
        lines.append(f"The next report of ldmd compare {problem.case.on_command_line} shows this as a figure{bare}.")
    else:
        lines.append("These are the modes of the box of the dynamics at its Gamma: wave vectors that fit into it.")
    return lines, {"usable": True, **as_json(found)}, found.numerics_sound


def _require_potential(problem: Problem) -> None:
    """Refuse force constants of files, whose supercell is not the box of the dynamics."""
    if problem.imported is not None:
        fix = "this needs a potential; the linewidths of such files are diagnosed by ldmd diagnose --fc3"
        raise InputError("potential.kind", IMPORTED, fix)


def diagnose_imported(
    third: Path,
    second: Path | None,
    structure: Path | None,
    temperature: float,
    width: float,
    known: tuple[float | None, float | None],
    case: Path | None = None,
    potential: str | None = None,
) -> tuple[list[str], dict[str, Any], bool]:
    """The same for force constants of another program; ``known`` are the noise of forces and the step behind them.

    With a ``case`` they are held against the exact ones of its potential, at its temperature, with its kernel.
    """
    from ldmd.diagnosis_study import as_json, table
    from ldmd.imported_diagnosis import Files, Settings, diagnose_files, settings_of

    noise, step = (math.nan if value is None else value for value in known)
    if math.isnan(noise) != math.isnan(step):
        raise InputError("--force-noise", noise, "give it and --displacement, or neither: one alone says nothing")
    files, settings, problem = Files(third, second, structure, noise, step), Settings(temperature, width), None
    if case is not None:
        problem = _problem(case, False, potential)
        _require_potential(problem)
        if problem.unit is not None or not problem.inspection.usable:
            fix = "its box has no force constants of its own to hold these against; leave the case out"
            raise InputError("case", case, fix)
        settings = settings_of(problem)
    found = diagnose_files(files, settings, problem)
    rows = list(table(found))
    return [f"{third}: {rows[0]}", *rows[1:]], {"usable": True, **as_json(found)}, found.numerics_sound


def check_potential(
    name: str, structure: Path | None, step: float, thresholds: list[str], potential_name: str | None = None
) -> tuple[list[str], bool]:
    """What a potential must satisfy, as a table; and whether it does."""
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.contract import examine, table
    from ldmd.potentials.subjects import force_subject, site_subject
    from ldmd.potentials.target import target_of, thresholds_from

    if not SMALLEST_STEP <= step <= LARGEST_STEP:
        fix = f"give {SMALLEST_STEP:g} to {LARGEST_STEP:g} Angstrom; finite differences use some 0.03"
        raise InputError("--step", step, fix)
    limits, target = thresholds_from(thresholds), target_of(name, structure, potential_name)
    potential = target.potential
    subject = force_subject(potential) if isinstance(potential, AsePotential) else site_subject(potential)
    examination = examine(subject, target.atoms, limits, step=step, all_kinks=not target.meant)
    label = f"{name}, {potential_name}," if potential_name else name
    title = f"{label} on {len(target.atoms)} atoms of {', '.join(sorted(set(target.atoms.get_chemical_symbols())))}"
    return [f"{title} ({target.structure})", "", *table(examination)], examination.passed


def explain_stages(folder: Path, quick: bool, potential: str | None = None) -> list[str]:
    """What the store holds for the present settings, stage by stage."""
    problem = _problem(folder, quick, potential)
    runner = Runner(problem, problem.store, {})
    return [runner.explain(stage) for stage in stages_of(problem)]


def citations_of(folder: Path) -> str:
    """BibTeX for a case."""
    from ldmd.report.citations import bibtex

    names = potentials_of(folder) or (None,)
    each = [load_case(folder, name).settings for name in names]
    return bibtex(key for settings in each for key in citations_for(settings))
