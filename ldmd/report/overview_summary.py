"""The machine-readable overview: the numbers of its table for every potential, and where to find the rest."""

from __future__ import annotations

from typing import Any

from ldmd.report.overview import LOW_SHARE, Member, Overview, low_damping
from ldmd.report.summary import CONVENTIONS, SCHEMA_VERSION, jsonable, verdict_numbers
from ldmd.report.text import measured


def overview_summary(overview: Overview) -> dict[str, Any]:
    """Everything a program wants to know, ready for ``json.dumps(..., allow_nan=False)``; the form is ``summary``'s."""
    clean: dict[str, Any] = jsonable(
        {
            "schema_version": SCHEMA_VERSION,
            "case": overview.case_name,
            "title": overview.heading,
            "quick": overview.quick,
            "exit_code": overview.exit_code,
            "conventions": CONVENTIONS,
            "temperature": measured(overview.temperature, "K"),
            "agreed": overview.agreed,
            "potentials": {member.name: _member(member, overview.temperature) for member in overview.members},
            "settings": overview.settings,
            "provenance": overview.provenance,
            "citations": list(overview.citations),
        }
    )
    return clean


def _member(member: Member, temperature: float) -> dict[str, Any]:
    contents = member.contents
    if contents is None:
        return {
            "kind": member.kind, "exit_code": member.exit_code, "report": None, "missing": member.failure,
            "remedy": member.remedy,
        }  # fmt: skip
    flags = member.flags(temperature)
    return {
        "kind": member.kind,
        "exit_code": member.exit_code,
        "report": member.page,
        "missing": None,
        "structure_and_potential": contents.provenance.get("structure_and_potential"),
        "density": measured(contents.inspection.density, "g/cm^3"),
        "energy": measured(contents.inspection.energy_per_atom, "eV/atom"),
        "verdict": verdict_numbers(contents),
        "lattice_classical": measured(member.lattice(temperature, "classical"), "W/(m K)"),
        "lattice_quantum": measured(member.lattice(temperature, "bose-einstein"), "W/(m K)"),
        "overdamped_modes": None if flags is None else int(flags.overdamped.sum()),
        "largest_low_linewidth_over_frequency": None
        if flags is None
        else measured(low_damping(flags), "1", convention=f"HWHM / angular, lowest {LOW_SHARE:.0%} of the modes"),
    }
