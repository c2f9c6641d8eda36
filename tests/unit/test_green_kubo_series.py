"""Flux series: what is refused, how replicas are stacked, how tables are read."""

from __future__ import annotations

import bz2

import numpy as np
import pytest

from ldmd.errors import InputError
from ldmd.green_kubo import FluxSeries, from_replicas, read_table


def make(flux: np.ndarray, **changes: float) -> FluxSeries:
    settings = {"timestep": 0.002, "temperature": 300.0, "volume": 1000.0} | changes
    return FluxSeries(flux=flux, **settings)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


def test_replicas_become_components_axis_by_axis_and_the_shortest_sets_the_length() -> None:
    first, second = noise(100, 3), noise(80, 3) + 10.0
    series = from_replicas([first, second], 0.002, 300.0, 1000.0)
    assert series.flux.shape == (80, 1, 6)
    assert (series.replicas, series.currents, series.steps) == (2, 1, 80)
    assert series.duration == pytest.approx(0.16)
    assert series.nyquist == pytest.approx(250.0)
    for axis in range(3):
        expected = np.stack([first[:80, axis], second[:, axis]], axis=1)
        np.testing.assert_array_equal(series.axis(axis).flux[:, 0, :], expected)


def test_replicas_with_several_currents_keep_them_apart() -> None:
    series = from_replicas([noise(70, 2, 3)] * 2, 0.002, 300.0, 1000.0)
    assert series.flux.shape == (70, 2, 6)
    np.testing.assert_array_equal(series.flux[:, 1, 3:], noise(70, 2, 3)[:, 1])


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"timestep": 0.0}, "timestep"), ({"temperature": -1.0}, "temperature"), ({"volume": np.nan}, "volume")],
)
def test_scalars_must_be_positive(changes: dict[str, float], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field} = "):
        make(noise(100, 1, 3), **changes)


def test_not_a_number_is_refused_with_its_step() -> None:
    flux = noise(100, 1, 3)
    flux[41, 0, 1] = np.nan
    with pytest.raises(InputError, match="not finite at step 41"):
        make(flux)


@pytest.mark.parametrize("shape", [(100, 3), (20, 1, 3), (100, 1, 4), (100, 0, 3)])
def test_impossible_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="^flux"):
        make(noise(*shape))


def test_replicas_of_different_kind_are_refused() -> None:
    with pytest.raises(InputError, match="fluxes"):
        from_replicas([noise(100, 3), noise(100, 2)], 0.002, 300.0, 1000.0)
    with pytest.raises(InputError, match="fluxes"):
        from_replicas([], 0.002, 300.0, 1000.0)


def write(path: object, names: str, rows: np.ndarray, separator: str = " ") -> None:
    lines = ["# a comment", "", names] + [separator.join(f"{x:.12e}" for x in row) for row in rows]
    text = "\n".join(lines) + "\n"
    data = bz2.compress(text.encode()) if str(path).endswith(".bz2") else text.encode()
    path.write_bytes(data)  # type: ignore[attr-defined]


def test_a_table_is_read_by_the_names_of_its_columns(tmp_path) -> None:
    rows = noise(80, 7)
    path = tmp_path / "flux.dat"
    write(path, "Temp j[1] j[2] j[3] v[1] v[2] v[3]", rows)
    series = read_table(path, ["j", ("v[1]", "v[2]", "v[3]")], 0.001, 300.0, 1000.0, unit=2.0)
    np.testing.assert_allclose(series.flux[:, 0], 2.0 * rows[:, 1:4], rtol=1e-11)
    np.testing.assert_allclose(series.flux[:, 1], 2.0 * rows[:, 4:7], rtol=1e-11)


def test_a_compressed_comma_separated_table_with_one_component(tmp_path) -> None:
    rows = noise(80, 2)
    path = tmp_path / "flux.csv.bz2"
    write(path, "time,flux", rows, ",")
    series = read_table(path, [["flux"]], 0.001, 300.0, 1000.0, delimiter=",")
    assert (series.axes, series.replicas) == (1, 1)
    np.testing.assert_allclose(series.flux[:, 0, 0], rows[:, 1], rtol=1e-11)


def test_bad_tables_are_refused_in_one_line(tmp_path) -> None:
    path = tmp_path / "flux.dat"
    write(path, "Temp j[1] j[2] j[3]", noise(80, 4))
    with pytest.raises(InputError, match=r"columns = k\[1\], k\[2\], k\[3\]: choose among Temp"):
        read_table(path, ["k"], 0.001, 300.0, 1000.0)
    with pytest.raises(InputError, match="readable text file"):
        read_table(tmp_path / "absent.dat", ["j"], 0.001, 300.0, 1000.0)
    path.write_text(path.read_text() + "1 2 oops 4\n")
    with pytest.raises(InputError, match="mend the table"):
        read_table(path, ["j"], 0.001, 300.0, 1000.0)
    write(path, "Temp j[1] j[2] j[3]", np.full((80, 4), np.nan))
    with pytest.raises(InputError, match="not finite at step 0"):
        read_table(path, ["j"], 0.001, 300.0, 1000.0)
    write(path, "Temp j[1] j[2] j[3]", noise(5, 4))
    with pytest.raises(InputError, match="at least 64 steps"):
        read_table(path, ["j"], 0.001, 300.0, 1000.0)
