"""All potentials of a case, compared one after the other and laid side by side.

A potential that cannot be computed (its published file is not on this machine, its structure is missing or is no
minimum) does not stop the others: the overview says what is missing and how to get it.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldmd.case import FETCH, load_case, potentials_of, resolved, settings_of
from ldmd.case_report import (
    citations_for,
    provenance,
    provenance_of,
    report_contents,
    write_case_report,
    write_summary,
)
from ldmd.errors import InputError
from ldmd.problem import load_problem
from ldmd.settings import Settings

if TYPE_CHECKING:
    from ldmd.report.overview import Member, Overview

logger = logging.getLogger(__name__)


def compare_all(folder: Path, quick: bool, output: Path | None, command: str) -> tuple[Overview, Path]:
    """Compare for every potential of a case: a report for each, and an overview, whose page is returned.

    Raises
    ------
    InputError
        Where ``case.toml`` is wrong or the overview cannot be written. What is wrong with one potential is part of the
        overview.
    """
    from ldmd.report.overview import Overview
    from ldmd.report.overview_page import write_overview
    from ldmd.report.overview_summary import overview_summary

    name = folder.resolve().name
    target = output or Path("reports") / (f"{name}-quick" if quick else name)
    names = potentials_of(folder)
    members = tuple(_member(folder, label, quick, target, command) for label in names)
    each = {label: settings_of(folder, label) for label in names}
    first = _shortened(each[names[0]], quick)
    overview = Overview(
        case_name=name,
        title=first.material.name,
        temperature=first.dynamics.temperature,
        settings=_settings(first, each),
        provenance={**provenance(command), "structure_and_potential": _digests(members)},
        members=members,
        citations=tuple(dict.fromkeys(key for item in each.values() for key in citations_for(item))),
        quick=first != each[names[0]],
    )
    page = target / "report.html"
    write_overview(overview, page)
    write_summary(overview_summary(overview), target)
    return overview, page


def _member(folder: Path, name: str, quick: bool, target: Path, command: str) -> Member:
    """One potential, with its report written; or, in one line, why there is none."""
    from ldmd.report.overview import Member

    logger.info("potential %s", name)
    settings, page = settings_of(folder, name), f"{name}/report.html"
    kind = settings.potential.kind
    try:
        case = load_case(folder, name)
        problem = load_problem(case, _shortened(case.settings, quick))
        contents = report_contents(problem, provenance_of(problem, command))
        write_case_report(dataclasses.replace(contents, overview="../report.html"), target / name)
    except InputError as error:
        logger.warning("potential %s is left out: %s", name, error)
        return Member(name, kind, page, failure=str(error), remedy=_remedy(folder, settings, command))
    return Member(name, kind, page, contents)


def _remedy(folder: Path, settings: Settings, command: str) -> str:
    """What to do about a potential that could not be computed."""
    files = settings.potential.files.values()
    published = [name.removeprefix(FETCH).strip() for name in files if name.startswith(FETCH)]
    again = f"then run {command} again: what is finished is kept"
    if published:
        each = " and ".join(f"ldmd fetch {name}" for name in published)
        gets = "gets the published file" if len(published) == 1 else "get the published files"
        return f"With a network, {each} {gets}; {again}"
    return f"Mend it until ldmd check {folder} --potential {settings.potential.name} is content; {again}"


def _shortened(settings: Settings, quick: bool) -> Settings:
    return settings.quick() if quick else settings


def _settings(shared: Settings, each: dict[str, Settings]) -> dict[str, Any]:
    """Settings that all share, and the potentials by name."""
    potentials = {name: resolved(item)["potential"] for name, item in each.items()}
    return {**resolved(shared), "potential": potentials}


def _digests(members: tuple[Member, ...]) -> dict[str, str]:
    return {m.name: str(m.contents.provenance["structure_and_potential"]) for m in members if m.contents is not None}
