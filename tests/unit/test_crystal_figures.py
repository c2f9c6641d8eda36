"""Figures and tables of crystals: what accumulates ends at the total, limits are those fitted, names show symmetry."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import trapezoid

from ldmd.crystal.convergence import MeshConvergence, mesh_convergence
from ldmd.crystal.debye import DebyeTemperature
from ldmd.crystal.elasticity import ElasticConstants
from ldmd.crystal.equation_of_state import fit, murnaghan
from ldmd.crystal.grueneisen import Grueneisen
from ldmd.crystal.mean_square_displacement import MeanSquareDisplacement
from ldmd.crystal.mesh import Bands, DirectSolution, MeshConductivity, MeshLinewidths, transport
from ldmd.errors import InputError
from ldmd.report import (
    crystal_accumulation_figure,
    crystal_conductivity_figure,
    crystal_convergence_figure,
    crystal_linewidth_figure,
    crystal_tables,
    crystal_tensor_figure,
)
from ldmd.report.crystal_conductivity_figure import DynamicsPoint
from ldmd.report.crystal_parts import accumulated, density, distinct_components, mesh_name, mode_shares, vibrating
from ldmd.report.style import Figure
from ldmd.report.tables import Table
from ldmd.units import GPA, THZ

BOTH = ("bose-einstein", "classical")
TEMPERATURES = np.array([100.0, 300.0, 600.0])


def crystal(
    divisions: int = 4, statistics: tuple[str, ...] = BOTH, direct: bool = True, hexagonal: bool = False
) -> MeshConductivity:
    """A mesh of random modes; cubic, or with another conductivity along z. Linewidths grow with the temperature."""
    generator = np.random.default_rng(divisions)
    points, band = divisions**3 // 2, 6
    frequencies = np.sort(generator.uniform(1.0, 12.0, (points, band)), axis=1) * THZ
    frequencies[0, :3] = 0.0
    strengths = np.zeros((points, band, band, 6))
    half = generator.uniform(0.0, 40.0, (points, band, band))
    strengths[..., :3] = (half + half.transpose(0, 2, 1))[..., None]
    strengths[..., 2] *= 2.0 if hexagonal else 1.0
    gamma = np.broadcast_to(generator.uniform(0.02, 0.2, (points, band)), (3, len(statistics), points, band))
    widths = MeshLinewidths(
        temperatures=TEMPERATURES,
        statistics=statistics,
        gamma=gamma * TEMPERATURES[:, None, None, None] / 300.0,
        isotopes=np.zeros((points, band)),
    )
    bands = Bands(
        grid=np.diag([divisions] * 3),
        q_points=generator.uniform(size=(points, 3)),
        weights=np.full(points, 2),
        frequencies=frequencies,
        velocities=generator.normal(scale=20.0, size=(points, band, 3)),
        squares=10.0 * np.einsum("qmmv->qmv", strengths),
        strengths=strengths,
        volume=40.0,
    )
    found = transport(bands, widths, "none")
    if not direct:
        return found
    solution = DirectSolution(kappa=1.2 * found.relaxation_time, per_mode=1.2 * found.per_mode)
    return dataclasses.replace(found, direct=solution)


@pytest.fixture(scope="module")
def cubic() -> MeshConductivity:
    return crystal()


@pytest.fixture(scope="module")
def hexagonal() -> MeshConductivity:
    return crystal(hexagonal=True)


@pytest.fixture(scope="module")
def supercell() -> MeshConductivity:
    found = crystal(2, ("classical",), direct=False)
    return dataclasses.replace(found, grid=np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]))


@pytest.fixture(scope="module")
def series() -> MeshConvergence:
    return mesh_convergence([crystal(n, direct=False) for n in (2, 4, 6, 8)])


def columns(figure: Figure) -> dict[str, np.ndarray]:
    """The numbers of a figure by name, from its CSV."""
    rows = list(csv.reader(io.StringIO(figure.csv)))
    return {
        name: np.array([float(row[k]) for row in rows[1:] if row[k] not in ("", "yes", "no")])
        for k, name in enumerate(rows[0])
    }


def texts(found: Table) -> list[tuple[str, ...]]:
    return [tuple(cell.text for cell in row) for row in found.rows]


# Parts


def test_density_integrates_to_the_total_also_next_to_zero() -> None:
    grid, shares = np.linspace(0.0, 20.0, 4000), np.array([1.0, -0.5, 2.0])
    curve = density(np.array([0.05, 3.0, 9.0]), shares, grid, 0.4)
    assert trapezoid(curve, grid) == pytest.approx(2.5, rel=1e-5)


def test_accumulated_steps_at_its_positions() -> None:
    found = accumulated(np.array([3.0, 1.0]), np.array([5.0, 2.0]), np.array([0.0, 0.999, 1.0, 2.0, 3.0, 9.0]))
    np.testing.assert_array_equal(found, [0.0, 0.0, 2.0, 2.0, 7.0, 7.0])


@pytest.mark.parametrize("part", ["relaxation time", "interband", "total", "direct", "direct total"])
def test_shares_of_modes_add_up(cubic: MeshConductivity, part: str) -> None:
    for place, name in enumerate(BOTH):
        shares = mode_shares(cubic, 1, place, part)
        assert shares.sum() == pytest.approx(cubic.isotropic(300.0, name, part), rel=1e-10)
        assert np.all(shares[~vibrating(cubic)] == 0.0)
    with pytest.raises(InputError, match="choose from"):
        mode_shares(dataclasses.replace(cubic, direct=None), 1, 0, "direct")


def test_components_follow_symmetry(cubic: MeshConductivity, hexagonal: MeshConductivity) -> None:
    assert [each.name for each in distinct_components(cubic.tensor())] == ["xx = yy = zz"]
    found = distinct_components(cubic.tensor(), hexagonal.tensor())
    assert [each.name for each in found] == ["xx = yy", "zz"]
    np.testing.assert_allclose(found[1].of(hexagonal.tensor()), hexagonal.tensor()[..., 2, 2])
    skewed = np.array([[1.0, 0.02, 0.0], [0.02, 1.0, 0.0], [0.0, 0.0, 1.5]])
    assert [each.name for each in distinct_components(skewed)] == ["xx = yy", "zz", "xy"]
    skewed[0, 1] = skewed[1, 0] = 0.005
    assert [each.name for each in distinct_components(skewed)] == ["xx = yy", "zz"]


def test_names_of_meshes(cubic: MeshConductivity, supercell: MeshConductivity) -> None:
    assert mesh_name(cubic) == "4 × 4 × 4"
    assert mesh_name(supercell) == "8 wave vectors"


# Figures


def test_conductivity_against_temperature(cubic: MeshConductivity, supercell: MeshConductivity) -> None:
    point = DynamicsPoint(300.0, 5.0, 4.0, 6.0)
    found = crystal_conductivity_figure.against_temperature(cubic, supercell, [point])
    numbers = columns(found)
    for name in BOTH:
        expected = [cubic.isotropic(kelvin, name, "direct total") for kelvin in TEMPERATURES.tolist()]
        np.testing.assert_allclose(numbers[f"direct solution, {name} [W/(m K)]"], expected, rtol=1e-5)
    assert "QHGK, classical, commensurate [W/(m K)]" in numbers
    assert "direct solution, classical, commensurate [W/(m K)]" not in numbers, "it was not solved"
    assert numbers["temperature of the dynamics [K]"].tolist() == [300.0], "whatever it is drawn beside"
    assert "5.00 (4.00 to 6.00) at 300 K" in found.caption and "8 wave vectors" in found.caption
    for label in (
        ">RTA<",
        ">QHGK<",
        ">direct<",
        ">direct, classical<",
        ">supercell of the dynamics<",
        ">molecular dynamics<",
    ):
        assert label in found.svg
    assert found.svg == crystal_conductivity_figure.against_temperature(cubic, supercell, [point]).svg


def test_conductivity_of_what_there_is(cubic: MeshConductivity, supercell: MeshConductivity) -> None:
    alone = crystal_conductivity_figure.against_temperature(commensurate=supercell)
    assert ">Bose–Einstein<" not in alone.svg and ">direct<" not in alone.svg
    assert ">supercell of the dynamics<" not in crystal_conductivity_figure.against_temperature(cubic).svg
    with pytest.raises(InputError, match="converged"):
        crystal_conductivity_figure.against_temperature()
    once = dataclasses.replace(
        crystal(direct=False),
        **{
            name: getattr(cubic, name)[1:2]
            for name in ("temperatures", "relaxation_time", "gamma", "per_mode", "per_mode_interband")
        },
        interband=cubic.interband[:, 1:2],
    )
    assert len(columns(crystal_conductivity_figure.against_temperature(once))["QHGK, classical [W/(m K)]"]) == 1


def test_components_against_temperature(hexagonal: MeshConductivity, supercell: MeshConductivity) -> None:
    numbers = columns(crystal_tensor_figure.components_against_temperature(hexagonal, supercell))
    np.testing.assert_allclose(numbers["zz, QHGK, classical [W/(m K)]"], hexagonal.tensor()[:, 1, 2, 2], rtol=1e-5)
    assert "zz, QHGK, classical, supercell of the dynamics [W/(m K)]" in numbers
    found = crystal_tensor_figure.components_against_temperature(hexagonal, supercell, "direct total")
    assert "supercell" not in found.csv, "of which the direct solution is not known"


@pytest.mark.parametrize("by", ["statistics", "bands"])
def test_linewidths(cubic: MeshConductivity, by: str) -> None:
    found = crystal_linewidth_figure.linewidths(cubic, 310.0, by)  # type: ignore[arg-type]
    numbers = columns(found)
    modes = vibrating(cubic)
    np.testing.assert_allclose(numbers["frequency [THz]"], cubic.frequencies[modes] / THZ, rtol=1e-5)
    np.testing.assert_allclose(numbers["linewidth HWHM, classical [rad/ps]"], cubic.gamma[1, 1][modes], rtol=1e-5)
    assert "No mode lies above" in found.caption and "at 300 K" in found.caption
    assert "384 modes" in found.caption


def test_overdamped_and_lost_modes_are_counted_with_their_stars(cubic: MeshConductivity) -> None:
    gamma = cubic.gamma.copy()
    gamma[1, 1, 3, 2] = 2.0 * cubic.frequencies[3, 2]
    gamma[1, 1, 4, 2] = 0.0
    found = crystal_linewidth_figure.linewidths(dataclasses.replace(cubic, gamma=gamma), 300.0)
    assert "2 modes lie above the line" in found.caption and "2 modes find no channel" in found.caption
    assert "overdamped" in found.svg


@pytest.mark.parametrize("part", ["total", "direct total"])
def test_accumulation_ends_at_the_total(cubic: MeshConductivity, supercell: MeshConductivity, part: str) -> None:
    found = crystal_accumulation_figure.accumulation(cubic, 300.0, part, supercell)
    numbers = columns(found)
    for name in BOTH:
        total = cubic.isotropic(300.0, name, part)
        assert numbers[f"accumulated, {name} [W/(m K)]"][-1] == pytest.approx(total, rel=1e-5)
        area = trapezoid(numbers[f"density, {name} [W/(m K THz)]"], numbers["frequency [THz]"])
        assert area == pytest.approx(total, rel=0.06), "less what the Gaussian has beyond the highest frequency"
    own = "accumulated, classical, supercell of the dynamics [W/(m K)]"
    assert (own in numbers) == (part == "total")
    if own in numbers:
        assert numbers[own][-1] == pytest.approx(supercell.isotropic(300.0, "classical"), rel=1e-5)
    lowest = supercell.frequencies[vibrating(supercell)].min() / THZ
    assert f"is {lowest:.2f} THz" in found.caption


def test_accumulation_over_mean_free_paths(cubic: MeshConductivity) -> None:
    found = crystal_accumulation_figure.accumulation_over_mean_free_path(cubic, 600.0)
    numbers = columns(found)
    for place, name in enumerate(BOTH):
        end = cubic.isotropic(600.0, name, "relaxation time")
        assert numbers[f"accumulated, {name} [W/(m K)]"][-1] == pytest.approx(end, rel=1e-5)
        paths = numbers[f"mean free path, {name} [nm]"]
        assert np.all(np.diff(paths) >= 0.0)
        longest = (np.linalg.norm(cubic.velocities, axis=-1) / (20.0 * cubic.gamma[2, place]))[vibrating(cubic)].max()
        assert paths[-1] == pytest.approx(longest, rel=1e-5)
    short = crystal_accumulation_figure.accumulation_over_mean_free_path(cubic, 300.0)
    ratio = columns(short)["mean free path, classical [nm]"] / numbers["mean free path, classical [nm]"]
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-5)


def test_convergence_draws_the_line_that_was_fitted(series: MeshConvergence, supercell: MeshConductivity) -> None:
    found = crystal_convergence_figure.mesh_convergence(series, 300.0, supercell)
    numbers = columns(found)
    expected = [series.limit[1, 1], series.error[1, 1]]
    np.testing.assert_allclose(numbers["limit and its error, classical [W/(m K)]"], expected, rtol=1e-5)
    assert "supercell of the dynamics" in found.svg and "∞" in found.svg
    slope, skipped = crystal_convergence_figure._fitted(series, 1, 1)
    x = series.wave_vectors[1:] ** (-1.0 / 3.0)
    assert skipped == 1
    np.testing.assert_allclose([slope, series.limit[1, 1]], np.polyfit(x, series.kappa[1:, 1, 1], 1), rtol=1e-8)
    other = dataclasses.replace(supercell, temperatures=np.array([50.0, 60.0, 70.0]))
    assert "supercell" not in crystal_convergence_figure.mesh_convergence(series, 300.0, other).svg


# Tables


def elastic(matrix: np.ndarray) -> ElasticConstants:
    return ElasticConstants(0.05, 1.4, matrix, np.zeros((3, 3)))


def voigt(**constants: float) -> np.ndarray:
    """Symmetric (6, 6) from names as in c12."""
    matrix = np.zeros((6, 6))
    for name, value in constants.items():
        a, b = int(name[1]) - 1, int(name[2]) - 1
        matrix[a, b] = matrix[b, a] = value
    return matrix


CUBIC = voigt(c11=150, c22=150, c33=150, c12=60, c13=60, c23=60, c44=60, c55=60, c66=60)


def test_elastic_constants_are_named_by_symmetry() -> None:
    """Cauchy's relation C12 = C44 makes no one constant of the two; trigonal couplings have signs."""
    found = crystal_tables.independent_constants(CUBIC)
    assert found == [("C₁₁ = C₂₂ = C₃₃", 150.0), ("C₁₂ = C₁₃ = C₂₃", 60.0), ("C₄₄ = C₅₅ = C₆₆", 60.0)]
    trigonal = voigt(c11=60, c22=60, c33=70, c12=40, c13=30, c23=30, c14=-5, c24=5, c56=-5, c44=13, c55=13, c66=10)
    names = dict(crystal_tables.independent_constants(trigonal))
    assert names["C₁₄ = −C₂₄ = C₅₆"] == -5.0
    assert list(names) == ["C₁₁ = C₂₂", "C₁₂", "C₁₃ = C₂₃", "C₁₄ = −C₂₄ = C₅₆", "C₃₃", "C₄₄ = C₅₅", "C₆₆"]


def test_properties_have_rows_only_where_known() -> None:
    volumes = np.linspace(38.0, 42.0, 7)
    state = fit(volumes, murnaghan(volumes, -8.0, 40.0, 90.0 / GPA, 4.2))
    debye = DebyeTemperature(550.0, 551.0, 560.0, 700.0, ())
    modes = Grueneisen(
        "third order", (2, 2, 2), np.zeros((1, 3)), np.ones(1), np.full((1, 6), 9.0), np.full((1, 6), 1.25)
    )
    displaced = MeanSquareDisplacement(
        ("Mg", "Mg", "Sb"), ("classical",), (3, 3, 3), 0, TEMPERATURES, np.full((1, 3, 3, 3, 3), 0.01)
    )
    assert texts(crystal_tables.properties_table(300.0)) == []
    rows = texts(crystal_tables.properties_table(300.0, elastic(CUBIC), state, debye, (modes, None), displaced))
    assert ("C₁₁ = C₂₂ = C₃₃", "150.0", "GPa", "elastic constants, atoms relaxed") in rows
    assert [row[1] for row in rows if row[0] == "bulk modulus"][0] == "90.0"
    assert [row[1] for row in rows if row[0] == "bulk modulus"][1].startswith("90.0")
    assert [row[1] for row in rows if row[0] == "Debye temperature"] == ["550", "551", "560", "700"]
    assert ("Grüneisen parameter (classical)", "1.250", "1", "third-order force constants") in rows
    assert ("⟨u²⟩ of Sb (classical, 300 K)", "0.0300", "Å²", "harmonic modes on a mesh of 3 × 3 × 3") in rows
    assert texts(crystal_tables.properties_table(300.0, debye=debye)) == [row for row in rows if "Debye" in row[0]]


def test_conductivities_by_mesh(cubic: MeshConductivity, supercell: MeshConductivity, series: MeshConvergence) -> None:
    found = crystal_tables.conductivities_table(300.0, [cubic], supercell, [series])
    assert found.columns[0] == "Mesh" and "Component" not in found.columns
    names, rows = found.columns, texts(found)
    assert [row[0] for row in rows] == [
        "supercell of the dynamics (8 wave vectors)", "4 × 4 × 4", "infinite, extrapolated",
    ]  # fmt: skip
    assert rows[0][names.index("Direct, classical")] == "–" and rows[0][names.index("RTA, Bose–Einstein")] == "–"
    place = names.index("QHGK, classical")
    assert float(found.rows[1][place].sort) == pytest.approx(cubic.isotropic(300.0, "classical"))
    assert float(found.rows[2][names.index("RTA, classical")].sort) == pytest.approx(series.limit[1, 1])
    assert "±" in rows[2][names.index("RTA, classical")] and rows[2][place] == "–"


def test_isotopes_have_a_row_of_their_own(cubic: MeshConductivity) -> None:
    scattered = dataclasses.replace(cubic, isotopes=0.1 * np.ones_like(cubic.isotopes))
    names = [row[0] for row in texts(crystal_tables.conductivities_table(300.0, [cubic, scattered]))]
    assert names == ["4 × 4 × 4", "4 × 4 × 4, scattered by isotopes too"]


def test_conductivities_by_component(hexagonal: MeshConductivity) -> None:
    found = crystal_tables.conductivities_table(300.0, [hexagonal])
    assert [row[:2] for row in texts(found)] == [("4 × 4 × 4", name) for name in ("xx = yy", "zz", "mean")]
    in_plane, along, mean = (float(row[2].sort) for row in found.rows)
    assert mean == pytest.approx((2.0 * in_plane + along) / 3.0)
    assert in_plane == pytest.approx(hexagonal.tensor("relaxation time")[1, 0, 0, 0])


def test_conductivities_by_temperature(cubic: MeshConductivity) -> None:
    found = crystal_tables.temperatures_table(cubic)
    assert [row[0].text for row in found.rows] == ["100", "300", "600"]
    place = found.columns.index("Direct, classical")
    value = float(found.rows[2][place].sort)
    assert value == pytest.approx(cubic.isotropic(600.0, "classical", "direct total"))


MAKERS: tuple[Callable[[MeshConductivity], Figure], ...] = (
    lambda c: crystal_conductivity_figure.against_temperature(c),
    lambda c: crystal_tensor_figure.components_against_temperature(c),
    lambda c: crystal_linewidth_figure.linewidths(c, 300.0),
    lambda c: crystal_linewidth_figure.linewidths(c, 300.0, "bands"),
    lambda c: crystal_accumulation_figure.accumulation(c, 300.0),
    lambda c: crystal_accumulation_figure.accumulation_over_mean_free_path(c, 300.0),
)


def test_one_kind_of_statistics_is_enough() -> None:
    alone = crystal(statistics=("bose-einstein",), direct=False)
    found = [make(alone) for make in MAKERS]
    assert len({figure.key for figure in found}) == len(found)
    for figure in found:
        assert "classical" not in figure.csv and figure.svg.startswith("<svg") and "NaN" not in figure.svg
