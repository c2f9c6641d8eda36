"""What stands in the report of a crystal in place of a glass's lattice dynamics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ldmd.report import (
    anharmonicity_figure,
    crystal_accumulation_figure,
    crystal_conductivity_figure,
    crystal_convergence_figure,
    crystal_linewidth_figure,
    crystal_tables,
    crystal_tensor_figure,
    dispersion_figure,
)
from ldmd.report.crystal_parts import distinct_components, mesh_name
from ldmd.report.style import Figure
from ldmd.report.tables import Table
from ldmd.report.text import measured
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.comparison import Comparison
    from ldmd.crystal.convergence import MeshConvergence
    from ldmd.crystal.mesh import MeshConductivity
    from ldmd.crystal_study import CrystalStudy

LEAD = (
    "The crystal as waves of its atoms that hand heat to each other: which there are, how long they live, how much "
    "each carries; on meshes of wave vectors, and on those few that fit into the box of the dynamics."
)


def lattice_blocks(study: CrystalStudy, temperature: float, comparison: Comparison | None) -> Iterator[Figure | Table]:
    """Figures and tables at the temperature (K) of the report."""
    finest, portrait = study.finest, study.portrait
    box = None if comparison is None else study.commensurate
    dynamics = [] if comparison is None else [crystal_conductivity_figure.DynamicsPoint.of(comparison)]
    yield dispersion_figure.dispersion(portrait.bands, portrait.density)
    yield crystal_linewidth_figure.linewidths(finest, temperature)
    yield crystal_conductivity_figure.against_temperature(finest, box, dynamics)
    if len(distinct_components(finest.tensor())) > 1:
        yield crystal_tensor_figure.components_against_temperature(finest, box)
    isotopes = [] if study.with_isotopes is None else [study.with_isotopes]
    yield crystal_tables.conductivities_table(temperature, [*study.meshes, *isotopes], box, study.convergence)
    yield crystal_convergence_figure.mesh_convergence(study.convergence[-1], temperature, box)
    yield crystal_tables.temperatures_table(finest)
    yield crystal_accumulation_figure.accumulation(finest, temperature, commensurate=box)
    yield crystal_accumulation_figure.accumulation_over_mean_free_path(finest, temperature)
    yield crystal_tables.properties_table(
        temperature,
        portrait.elastic,
        portrait.equation,
        portrait.debye,
        (portrait.grueneisen,),
        portrait.displacement,
    )


def anharmonicity_blocks(study: CrystalStudy | None, temperature: float) -> Iterator[Figure]:
    """The score against temperature, and mode by mode."""
    if study is not None and study.anharmonicity is not None:
        yield anharmonicity_figure.against_temperature(study.anharmonicity)
        yield anharmonicity_figure.by_mode(study.anharmonicity, temperature)


def crystal_numbers(study: CrystalStudy, temperature: float) -> dict[str, Any]:
    """The same as numbers with units."""
    portrait = study.portrait
    meshes = [*study.meshes, study.commensurate, study.otherwise]
    meshes += [] if study.with_isotopes is None else [study.with_isotopes]
    numbers: dict[str, Any] = {
        "conductivity": [row for mesh in meshes for row in _mesh_rows(mesh)],
        "infinite_mesh": [row for found in study.convergence for row in _limit_rows(found)],
        "energy_conservation": measured(study.smearing_error(temperature), "W/(m K)", temperature=temperature),
        "highest_frequency": measured(float(study.finest.frequencies.max() / THZ), "THz"),
    }
    if portrait.elastic is not None:
        numbers["elastic_constants"] = measured(portrait.elastic.constants, "GPa", convention="Voigt, atoms relaxed")
    if portrait.equation is not None:
        found = portrait.equation.bulk_modulus
        numbers["bulk_modulus"] = measured(found.value, "GPa", standard_error=found.standard_error, route="Murnaghan")
    if portrait.debye is not None:
        numbers["debye_temperature"] = {
            name: measured(getattr(portrait.debye, name), "K")
            for name in ("anderson", "christoffel", "low_frequency", "second_moment")
        }
    return numbers


def _mesh_rows(mesh: MeshConductivity) -> Iterator[dict[str, Any]]:
    parts = ("relaxation time", "interband", "total", *(("direct", "direct total") if mesh.direct is not None else ()))
    for t, kelvin in enumerate(mesh.temperatures):
        for s, statistics in enumerate(mesh.statistics):
            yield {
                "mesh": mesh_name(mesh),
                "engine": mesh.engine,
                "smearing": None if mesh.smearing is None else measured(mesh.smearing, "rad/ps"),
                "isotopes": bool(mesh.isotopes.any()),
                "temperature": measured(float(kelvin), "K"),
                "statistics": statistics,
                **{part.replace(" ", "_"): measured(mesh.tensor(part)[t, s], "W/(m K)") for part in parts},
            }


def _limit_rows(found: MeshConvergence) -> Iterator[dict[str, Any]]:
    for t, kelvin in enumerate(found.temperatures):
        for s, statistics in enumerate(found.statistics):
            value = measured(float(found.limit[t, s]), "W/(m K)", standard_error=float(found.error[t, s]))
            yield {"part": found.part, "temperature": measured(float(kelvin), "K"), "statistics": statistics, **value}
