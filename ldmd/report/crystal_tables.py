"""Tables of a crystal: its properties with units and sources, and its conductivities by mesh, method and statistics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ldmd.lattice.statistics import statistics_named
from ldmd.report.crystal_conductivity_figure import METHODS, Method
from ldmd.report.crystal_parts import UNIT, Component, distinct_components, mesh_name, row_at
from ldmd.report.tables import Cell, Table, figure, table, words
from ldmd.report.text import brief, fixed, number, statistics_name, with_error

if TYPE_CHECKING:
    from ldmd.crystal.convergence import MeshConvergence
    from ldmd.crystal.debye import DebyeTemperature
    from ldmd.crystal.elasticity import ElasticConstants
    from ldmd.crystal.equation_of_state import EquationOfState
    from ldmd.crystal.grueneisen import Grueneisen
    from ldmd.crystal.mean_square_displacement import MeanSquareDisplacement
    from ldmd.crystal.mesh import MeshConductivity
    from ldmd.results import Estimate

SAME = 2e-3
"""Of the largest elastic constant: constants of one kind that are closer are one, smaller ones are none."""
SUBSCRIPTS = str.maketrans("123456", "₁₂₃₄₅₆")
SHORT = {"relaxation time": "RTA", "total": "QHGK", "direct total": "Direct"}
NONE = Cell("–", "nan", "number")

Row = tuple[Cell, ...]


def properties_table(
    temperature: float,
    elastic: ElasticConstants | None = None,
    state: EquationOfState | None = None,
    debye: DebyeTemperature | None = None,
    grueneisen: Sequence[Grueneisen | None] = (),
    displacements: MeanSquareDisplacement | None = None,
) -> Table:
    """What is known of the crystal besides its conductivity, by quantity; what is not given has no row.

    ``temperature`` (K) is that of the Grueneisen parameter; mean square displacements are at the nearest they have.
    """
    rows: list[Row] = []
    if elastic is not None:
        rows += _elastic_rows(elastic)
    if state is not None:
        rows += _state_rows(state)
    if debye is not None:
        rows += _debye_rows(debye)
    for found in grueneisen:
        if found is not None:
            rows += _grueneisen_rows(found, temperature)
    if displacements is not None:
        rows += _displacement_rows(displacements, temperature)
    heads = (("Quantity", False), ("Value", True), ("Unit", False), ("From", False))
    caption = "Properties of the crystal at rest, within the harmonic approximation where a temperature is named."
    return table("crystal-properties", caption, heads, rows, sortable=False)


def independent_constants(constants: np.ndarray) -> list[tuple[str, float]]:
    """Names and values (GPa) of the elastic constants (6, 6) that differ, as in ``C₁₁ = C₂₂``; zeros are left out.

    Constants are compared with others of their kind only: an accidental equality of stretch and shear is none.
    """
    limit = SAME * float(np.abs(constants).max())
    groups: list[list[tuple[int, int]]] = []
    for a, b in itertools.combinations_with_replacement(range(6), 2):
        if abs(constants[a, b]) <= limit:
            continue
        for group in groups:
            close = abs(abs(constants[group[0]]) - abs(constants[a, b])) <= limit
            if close and _kind(*group[0]) == _kind(a, b):
                group.append((a, b))
                break
        else:
            groups.append([(a, b)])
    found = []
    for group in groups:
        first = constants[group[0]]
        names = [
            ("−" if constants[place] * first < 0.0 else "") + f"C{place[0] + 1}{place[1] + 1}".translate(SUBSCRIPTS)
            for place in group
        ]
        found.append((" = ".join(names), float(np.mean([abs(constants[place]) for place in group]) * np.sign(first))))
    return found


def _kind(a: int, b: int) -> tuple[bool, bool]:
    """Whether of stretches only (a <= b), and whether on the diagonal."""
    return b < 3, a == b


def _row(name: str, text: str, value: float, unit: str, source: str) -> Row:
    return words(name), figure(value, text=text), words(unit), words(source, "prose")


def _estimate(name: str, estimate: Estimate, unit: str, source: str) -> Row:
    return _row(name, with_error(estimate.value, estimate.standard_error), estimate.value, unit, source)


def _elastic_rows(elastic: ElasticConstants) -> list[Row]:
    rows = [
        _row(name, fixed(value, 1), value, "GPa", "elastic constants, atoms relaxed")
        for name, value in independent_constants(elastic.constants)
    ]
    averages = elastic.averages
    for name, value, lower, upper in (
        ("bulk modulus", averages.bulk, averages.bulk_reuss, averages.bulk_voigt),
        ("shear modulus", averages.shear, averages.shear_reuss, averages.shear_voigt),
    ):
        bounds = f"Reuss {fixed(lower, 1)}, Voigt {fixed(upper, 1)}"
        rows.append(_row(name, fixed(value, 1), value, "GPa", f"elastic constants, Hill’s mean ({bounds})"))
    return rows


def _state_rows(state: EquationOfState) -> list[Row]:
    source = f"Murnaghan’s equation of state, {len(state.volumes)} volumes"
    return [
        _estimate("bulk modulus", state.bulk_modulus, "GPa", source),
        _estimate("its derivative B′ with pressure", state.pressure_derivative, "1", source),
        _estimate("volume of the cell", state.volume, "Å³", source),
    ]


def _debye_rows(debye: DebyeTemperature) -> list[Row]:
    routes = (
        ("speed of sound from averaged moduli (Anderson)", debye.anderson),
        ("speed of sound in all directions (Christoffel)", debye.christoffel),
        ("lowest frequencies of the density of states", debye.low_frequency),
        ("second moment of the density of states", debye.second_moment),
    )
    return [_row("Debye temperature", fixed(value, 0), value, "K", source) for source, value in routes]


def _grueneisen_rows(found: Grueneisen, temperature: float) -> list[Row]:
    source = {
        "third order": "third-order force constants",
        "three volumes": "second-order force constants at three volumes",
    }.get(found.route, found.route)
    rows = []
    for name in ("bose-einstein", "classical"):
        mean = found.mean(statistics_named(name), temperature)
        where = f"{statistics_name(name)}, {brief(temperature)} K" if name != "classical" else "classical"
        rows.append(_row(f"Grüneisen parameter ({where})", fixed(mean, 3), mean, "1", source))
    return rows


def _displacement_rows(found: MeanSquareDisplacement, temperature: float) -> list[Row]:
    column = int(np.argmin(np.abs(found.temperatures - temperature)))
    mesh = " × ".join(str(size) for size in found.mesh)
    kelvin = f"{brief(float(found.temperatures[column]))} K"
    left = f", {found.imaginary_modes} imaginary modes left out" if found.imaginary_modes else ""
    rows = []
    for species, values in found.per_species.items():
        for row, name in sorted(enumerate(found.statistics), key=lambda pair: pair[1]):
            value = float(values[row, column])
            title = f"⟨u²⟩ of {species} ({statistics_name(name)}, {kelvin})"
            rows.append(_row(title, number(value), value, "Å²", f"harmonic modes on a mesh of {mesh}{left}"))
    return rows


def conductivities_table(
    temperature: float,
    converged: Sequence[MeshConductivity] = (),
    commensurate: MeshConductivity | None = None,
    limits: Sequence[MeshConvergence] = (),
) -> Table:
    """Conductivities at the nearest temperature (K): meshes in rows, methods and statistics in columns.

    Where components of the tensor differ (see ``distinct_components``) each mesh has a row for every component before
    that of trace/3; ``limits``, the infinite mesh, are of trace/3.
    """
    results = [*([] if commensurate is None else [commensurate]), *converged]
    heads = _columns(results, limits)
    parts = [_tensors(result, temperature) for result in results]
    components = distinct_components(*(tensor for part in parts for tensor in part.values())) if parts else ()
    several = len(components) > 1
    rows = []
    for result, tensors in zip(results, parts, strict=True):
        name = mesh_name(result) + (", scattered by isotopes too" if result.isotopes.any() else "")
        name = f"supercell of the dynamics ({name})" if result is commensurate else name
        for component in components if several else ():
            rows.append(_tensor_row(name, component, tensors, heads))
        rows.append(_tensor_row(name, None, tensors, heads, several))
    if limits:
        rows.append(_limit_row(limits, temperature, heads, several))
    titles = [("Mesh", False), *([("Component", False)] if several else [])]
    titles += [(f"{SHORT[method.part]}, {statistics_name(name)}", True) for method, name in heads]
    known = [result.temperatures for result in results] + [limit.temperatures for limit in limits]
    kelvin = float(known[0][np.argmin(np.abs(known[0] - temperature))]) if known else temperature
    caption = _conductivities_caption(kelvin, heads, several, bool(limits))
    return table("crystal-conductivities", caption, titles, rows, sortable=False)


def temperatures_table(result: MeshConductivity) -> Table:
    """Conductivities (trace/3) on one mesh: temperatures in rows, methods and statistics in columns."""
    heads = _columns([result], ())
    rows = []
    for kelvin in result.temperatures.tolist():
        tensors = _tensors(result, kelvin)
        rows.append((figure(kelvin, text=brief(kelvin)), *_tensor_row("", None, tensors, heads, False)[1:]))
    titles = [("T, K", True), *((f"{SHORT[method.part]}, {statistics_name(name)}", True) for method, name in heads)]
    caption = f"Conductivities on a mesh of {mesh_name(result)} in {UNIT}: one third of the trace."
    return table("crystal-temperatures", caption, titles, rows)


Heads = list[tuple[Method, str]]


def _columns(results: Sequence[MeshConductivity], limits: Sequence[MeshConvergence]) -> Heads:
    """Methods and statistics that any of the rows has."""
    known = {(part, name) for result in results for part, name in _tensors(result, 0.0)}
    known |= {(limit.part, name) for limit in limits for name in limit.statistics}
    names = sorted({name for _, name in known})
    return [(method, name) for name in names for method in METHODS if (method.part, name) in known]


def _tensors(result: MeshConductivity, temperature: float) -> dict[tuple[str, str], np.ndarray]:
    """Tensors (3, 3) by part and statistics."""
    row, solved = row_at(result, temperature), result.direct is not None
    parts = [method.part for method in METHODS if solved or not method.part.startswith("direct")]
    return {
        (part, name): result.tensor(part)[row, place] for part in parts for place, name in enumerate(result.statistics)
    }


def _tensor_row(
    name: str,
    component: Component | None,
    tensors: dict[tuple[str, str], np.ndarray],
    heads: Heads,
    several: bool = True,
) -> Row:
    """A component, or trace/3."""
    cells = []
    for method, statistics in heads:
        tensor = tensors.get((method.part, statistics))
        if tensor is None:
            cells.append(NONE)
        else:
            cells.append(figure(float(np.trace(tensor) / 3.0 if component is None else component.of(tensor))))
    label = "mean" if component is None else component.name
    return (words(name), *((words(label),) if several else ()), *cells)


def _limit_row(limits: Sequence[MeshConvergence], temperature: float, heads: Heads, several: bool) -> Row:
    """The infinite mesh with its errors."""
    cells = []
    for method, statistics in heads:
        found = next((each for each in limits if each.part == method.part and statistics in each.statistics), None)
        if found is None:
            cells.append(NONE)
            continue
        at = row_at(found, temperature), found.statistics.index(statistics)
        value, error = float(found.limit[at]), float(found.error[at])
        cells.append(figure(value, text=with_error(value, error)))
    return (words("infinite, extrapolated"), *((words("mean"),) if several else ()), *cells)


def _conductivities_caption(kelvin: float, heads: Heads, several: bool, limits: bool) -> str:
    direct = any(method.part.startswith("direct") for method, _ in heads)
    text = (
        f"Conductivities of the crystal at {brief(kelvin)} K in {UNIT}, by the mesh of wave vectors. RTA: "
        "relaxation-time approximation; QHGK: with the heat carried between bands"
        + ("; direct: the Boltzmann equation solved directly, and the same between bands." if direct else ".")
    )
    if several:
        text += " Components that agree within 1 % of a third of the trace are one; mean: a third of the trace."
    else:
        text += " A third of the trace: all components on the diagonal agree within 1 %."
    return text + (
        " Errors: how far other meshes or another power of their size would move the limit." if limits else ""
    )
