"""The report: well-formed and reproducible figures, an offline page, honest text, a summary without NaN."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import re
import subprocess
import sys
import urllib.parse
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import report_fixture

from ldmd.comparison import Verdict
from ldmd.errors import InputError
from ldmd.report import ReportContents, diffusion_figure, summary, write_report
from ldmd.report.citations import BIBLIOGRAPHY, bibtex
from ldmd.report.comparison_figures import complete_ledger, waterfall
from ldmd.report.lattice_figures import (
    DENSITY_WIDTH,
    accumulation,
    density_of_states,
    frequency_grid,
    smoothed,
)
from ldmd.report.linewidth_figure import flagged_modes
from ldmd.report.page import headline, render, sections_of
from ldmd.report.style import Figure
from ldmd.report.text import brief, count, fixed, interval, number, slug, with_error
from ldmd.results import Check, Estimate
from ldmd.units import THZ

HOSTILE = '</title><script>alert("1")</script><img src="http://evil.example/x.png">&$\\alpha$'


@pytest.fixture(scope="module")
def full() -> ReportContents:
    return report_fixture.full()


@pytest.fixture(scope="module")
def failing() -> ReportContents:
    return report_fixture.failing()


@pytest.fixture(scope="module")
def page(full: ReportContents) -> str:
    return render(full)


def figures(contents: ReportContents) -> list[Figure]:
    return [block for section in sections_of(contents) for block in section.blocks if isinstance(block, Figure)]


def table_of(figure: Figure) -> dict[str, list[str]]:
    rows = list(csv.reader(io.StringIO(figure.csv)))
    return {name: [row[place] for row in rows[1:] if row[place]] for place, name in enumerate(rows[0])}


def test_every_figure_is_well_formed_and_labelled(full: ReportContents) -> None:
    drawn = figures(full)
    assert len(drawn) == 13
    for figure in drawn:
        root = ElementTree.fromstring(figure.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("role") == "img" and root.get("aria-label") == figure.description
        assert root.get("width") is None and root.get("viewBox")
        text = " ".join("".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text"))
        assert text.count("(") >= 1 or "W/(m K)" in text, f"{figure.key} has no unit on an axis"


def test_figures_and_page_are_the_same_bytes_each_time(full: ReportContents, page: str) -> None:
    assert render(full) == page


def test_reproducible_in_a_fresh_process(page: str, tmp_path: Path) -> None:
    target = tmp_path / "again.html"
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import report_fixture; "
        "from ldmd.report import write_report; write_report(report_fixture.full(), pathlib.Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parents[1]), str(target)]
    # Other kernels of linear algebra round otherwise; everything else of the environment may differ.
    kernels = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS", "PYTHONPATH"))}
    subprocess.run(arguments, check=True, env={**kernels, "PYTHONHASHSEED": "7", "PATH": "", "OMP_NUM_THREADS": "1"})
    assert target.read_text(encoding="utf-8") == page


def test_identifiers_are_unique_on_the_page(page: str) -> None:
    identifiers = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert len(identifiers) > 100
    assert [name for name, times in identifiers.items() if times > 1] == []
    references = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert references <= set(identifiers)


def test_page_loads_nothing_from_outside(page: str) -> None:
    assert re.findall(r'\bsrc\s*=\s*["\'](?!data:)', page) == []
    links = set(re.findall(r'href="([^"#][^"]*)"', page))
    outside = {link for link in links if not link.startswith("data:")}
    assert outside and all(link.startswith("https://doi.org/10.") for link in outside)
    assert "@import" not in page and re.findall(r"url\((?!#)", page) == []


def test_page_stays_small(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(report_fixture.full(3), target)
    assert target.stat().st_size < 2_000_000


def test_hostile_names_are_escaped(full: ReportContents) -> None:
    assert full.comparison is not None
    entry = dataclasses.replace(full.comparison.ledger[0], name=HOSTILE, explanation=HOSTILE)
    comparison = dataclasses.replace(full.comparison, sentence=HOSTILE, ledger=(entry, full.comparison.ledger[1]))
    text = render(
        dataclasses.replace(full, case_name=HOSTILE, title=HOSTILE, comparison=comparison, settings={HOSTILE: HOSTILE})
    )
    assert "<script>alert" not in text and "<img" not in text
    assert text.count("</title>") == 1
    assert re.findall(r'download="[^"]*[^"a-z0-9.-][^"]*"', text) == []
    figure = waterfall(comparison)
    assert "evil.example" in re.sub(r"\s", "", "".join(ElementTree.fromstring(figure.svg).itertext()))


def test_csv_of_every_figure_is_in_the_page(full: ReportContents, page: str) -> None:
    for figure in figures(full):
        found = re.search(rf'download="silica-{figure.key}\.csv" href="([^"]+)"', page)
        assert found, figure.key
        uri = found.group(1).replace("&amp;", "&").replace("&#39;", "'")
        body = urllib.parse.unquote(uri.split(",", 1)[1])
        assert body == figure.csv and len(body.splitlines()) > 1


def test_waterfall_sums_and_shows_what_is_not_itemised(full: ReportContents) -> None:
    comparison = full.comparison
    assert comparison is not None
    assert complete_ledger(comparison) == comparison.ledger
    short = dataclasses.replace(comparison, ledger=comparison.ledger[:1])
    for case in (comparison, short):
        entries = complete_ledger(case)
        total = case.lattice_quantum.value + sum(entry.value for entry in entries)
        assert total == pytest.approx(case.dynamics.value, rel=1e-12)
        values = [float(value) for value in table_of(waterfall(case))["value [W/(m K)]"]]
        assert sum(values[:-1]) == pytest.approx(values[-1], rel=1e-5)
    assert complete_ledger(short)[-1].name == "not itemised"
    assert "not itemised" in waterfall(short).svg.replace("\n", " ")


def test_density_of_states_counts_every_mode_and_species(full: ReportContents) -> None:
    assert full.modes is not None
    data = table_of(density_of_states(full.modes, full.inspection.symbols))
    grid = np.array(data["frequency of the curves [THz]"], dtype=float)
    total = np.array(data["density of states [1/THz]"], dtype=float)
    parts = sum(np.array(data[f"density of states of {name} [1/THz]"], dtype=float) for name in ("Si", "O"))
    assert total.sum() * (grid[1] - grid[0]) == pytest.approx(1.0, abs=2e-3)
    assert np.allclose(parts, total, atol=1e-6)


def test_smoothed_density_is_the_normal_density() -> None:
    grid = np.array([2.0, 2.0 + DENSITY_WIDTH])
    values = smoothed(np.array([2.0]), np.array([3.0]), grid)
    assert values == pytest.approx(3.0 / (math.sqrt(2 * math.pi) * DENSITY_WIDTH) * np.exp([0.0, -0.5]))
    assert frequency_grid(np.array([-1.0, 5.0]))[0] < -1.0


def test_accumulated_conductivity_ends_at_the_total(full: ReportContents) -> None:
    assert full.conductivity is not None and full.modes is not None
    figure = accumulation(full.conductivity, full.modes, 300.0)
    data = table_of(figure)
    for place, name in enumerate(full.conductivity.statistics):
        total = float(full.conductivity.per_mode[3, place].sum())
        assert float(data[f"accumulated, {name} [W/(m K)]"][-1]) == pytest.approx(total, rel=1e-5)


def test_flags_follow_their_definitions(full: ReportContents) -> None:
    assert full.modes is not None and full.linewidths is not None
    flags = flagged_modes(full.modes, full.linewidths, 310.0)
    assert flags.temperature == 300.0 and flags.reference == "classical"
    place = full.linewidths.statistics.index("classical")
    gamma, omega = full.linewidths.gamma[3, place], full.modes.frequencies
    expected = [k for k in range(len(omega)) if k > 2 and gamma[k] > omega[k]]
    assert flags.index[flags.overdamped].tolist() == expected and expected
    assert flags.damping == pytest.approx(gamma[3:] / omega[3:])
    assert np.allclose(flags.frequency * THZ, omega[3:])


def test_headline_states_agreement_disagreement_and_failed_checks(full: ReportContents) -> None:
    comparison = full.comparison
    assert comparison is not None and comparison.agree
    assert headline(full).text == "The two methods agree." and full.exit_code == 0
    bad = Check("energy conserved", math.nan, "<=", 2e-4, "eV/atom", "Halve the time step.")
    doubtful = dataclasses.replace(full, comparison=dataclasses.replace(comparison, checks=(bad,)))
    assert headline(doubtful).text == "The two methods agree, but 1 check failed."
    assert headline(doubtful).tone == "caution" and doubtful.exit_code == 1 and doubtful.checks[0][1] is bad
    text = render(doubtful)
    assert "✗ failed" in text and "Halve the time step." in text and "should be at most 0.0002 eV/atom" in text


@pytest.mark.parametrize(
    ("verdict", "words", "tone", "code"),
    [
        ("disagree", "The two methods disagree.", "disagree", 1),
        ("undecided", "Undecided: the error bar is too wide to tell.", "caution", 3),
        ("does not apply", "Lattice dynamics does not apply: atoms diffuse.", "disagree", 4),
        ("no verdict", "No verdict: the two values cannot be compared.", "caution", 1),
    ],
)
def test_every_verdict_has_its_headline_and_exit_code(
    full: ReportContents, verdict: Verdict, words: str, tone: str, code: int
) -> None:
    assert full.comparison is not None
    found = dataclasses.replace(full, comparison=dataclasses.replace(full.comparison, verdict=verdict))
    assert (headline(found).text, headline(found).tone, found.exit_code) == (words, tone, code)
    numbers = summary(found)
    assert numbers["verdict"]["verdict"] == verdict and numbers["exit_code"] == code
    assert numbers["verdict"]["agree"] is (False if verdict == "disagree" else None)
    assert words in render(found)
    compared = verdict in ("disagree", "undecided")
    assert ("difference" in [name for name, _, _ in headline(found).numbers]) == compared


def test_failed_checks_of_the_running_integral_reach_the_headline(full: ReportContents) -> None:
    assert full.green_kubo is not None
    bad = Check("running integral has a plateau", 5.0, "<=", 2.0, "standard errors", "Lengthen the run.")
    running = dataclasses.replace(full.green_kubo.running, checks=(bad,))
    found = dataclasses.replace(full, green_kubo=dataclasses.replace(full.green_kubo, running=running))
    assert bad in [check for _, check in found.failed_checks] and found.exit_code == 1
    assert headline(found).text == "The two methods agree, but 1 check failed."


def test_what_the_atoms_do_is_on_the_page_and_in_the_summary(full: ReportContents) -> None:
    assert 'id="figure-diffusion"' in render(full)
    found = dataclasses.replace(full, diffusion=report_fixture.motion(grown=60.0))
    rows = [[cell.text for cell in row] for row in diffusion_figure.motions(found.diffusion).rows]
    assert [row[2] for row in rows] == ["vibrates", "diffuses"]
    curve = csv.reader(io.StringIO(diffusion_figure.displacements(found.diffusion).csv))
    assert next(curve)[2] == "mean square displacement, O [Angstrom^2]"
    told = summary(found)["dynamics"]["motion"]["O"]
    assert told["motion"] == "diffuses" and told["growth"]["unit"] == "Angstrom^2"
    assert told["diffusion_coefficient"]["value"] == pytest.approx(60.0 * 1e-4 / (6.0 * 60.0))
    assert headline(found).problems[0][0] == "growth of the displacement of atoms"


def test_a_quick_report_says_so_in_its_title(full: ReportContents) -> None:
    quick = dataclasses.replace(full, quick=True)
    assert "<h1>Vitreous silica (quick)</h1>" in render(quick) and full.heading == "Vitreous silica"
    assert summary(quick)["title"] == "Vitreous silica (quick)" and summary(quick)["quick"] is True


def test_both_values_of_the_headline_carry_their_errors(full: ReportContents) -> None:
    assert full.comparison is not None
    known = dataclasses.replace(full.comparison, lattice_classical=Estimate(166.812, 40.0, "W/(m K)"))
    numbers = dict((name, value) for name, value, _ in headline(dataclasses.replace(full, comparison=known)).numbers)
    assert numbers["lattice dynamics"] == "167 ± 40"
    assert "±" in numbers["molecular dynamics"]


def test_failing_structure_is_explained_on_top(failing: ReportContents) -> None:
    text = render(failing)
    assert failing.exit_code == 1
    assert "This structure cannot be trusted yet." in text
    assert "55 with 4 and 9 with 5 neighbours" in text
    top, rest = text.split('<nav class="contents"', 1)
    assert "pairs in a switching region" in top and "Build the glass as a network." in top
    assert rest.index('id="figure-distances"') < rest.index('id="table-pairs"') < rest.index('id="table-checks"')
    assert "cutoff 2 Å, 7 pairs before it" in text
    assert "kappa" not in "".join(figure.key for figure in figures(failing))


def test_stages_may_be_missing_one_by_one(full: ReportContents) -> None:
    optional = (
        "modes",
        "linewidths",
        "conductivity",
        "trajectories",
        "green_kubo",
        "anharmonicity",
        "comparison",
    )
    for name in optional:
        partial = dataclasses.replace(full, **{name: None})
        assert "</html>" in render(partial)
        json.dumps(summary(partial), allow_nan=False)


@pytest.mark.parametrize("kind", ["full", "failing"])
def test_summary_survives_json_without_nan(kind: str) -> None:
    contents = getattr(report_fixture, kind)()
    result = summary(contents)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["exit_code"] == contents.exit_code
    assert len(result["checks"]) == len(contents.checks)


def test_summary_holds_the_numbers_with_units(full: ReportContents, failing: ReportContents) -> None:
    result = summary(full)
    assert full.comparison is not None
    verdict = result["verdict"]
    assert verdict["dynamics"]["value"] == full.comparison.dynamics.value
    assert verdict["dynamics"]["interval_95"] == list(full.comparison.dynamics_interval_95)
    assert verdict["lattice_classical"]["unit"] == "W/(m K)"
    assert sum(entry["value"] for entry in result["ledger"]) == pytest.approx(
        verdict["dynamics"]["value"] - verdict["lattice_quantum"]["value"]
    )
    assert result["lattice"]["linewidths"]["median"]["classical"]["convention"] == "HWHM"
    assert result["dynamics"]["green_kubo"]["by_factor"][1]["factor"] == 2.0
    assert result["structure"]["coordination"] == {"Si": {"4": 64}, "O": {"2": 128}}
    assert summary(failing)["verdict"]["agree"] is None
    assert summary(failing)["provenance"]["elapsed"] is None


def test_report_replaces_an_earlier_one_at_once(failing: ReportContents, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.html"
    write_report(failing, target)
    first = target.read_bytes()
    write_report(dataclasses.replace(failing, title="Another"), target)
    assert target.read_bytes() != first and b"Another" in target.read_bytes()
    assert [entry.name for entry in target.parent.iterdir()] == ["report.html"]


def test_unwritable_report_is_one_line_and_leaves_nothing(failing: ReportContents, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.mkdir()
    with pytest.raises(InputError, match="report = .*: cannot be written"):
        write_report(failing, target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_importing_the_report_does_not_import_jax() -> None:
    code = "import sys, ldmd.report; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bibliography_is_consistent() -> None:
    assert all(key == work.key and work.key.endswith(str(work.year)) for key, work in BIBLIOGRAPHY.items())
    text = bibtex(BIBLIOGRAPHY)
    assert text.count("@article{") == len(BIBLIOGRAPHY)
    assert text.count("{") == text.count("}")
    assert "Tersoff" in BIBLIOGRAPHY["tersoff1988"].reference
    assert bibtex(["unknown", "tersoff1988", "tersoff1988"]).count("@article{") == 1


def test_numbers_as_people_read_them() -> None:
    assert [number(x) for x in (1.23456, -0.0, 12345.6, 1.5e-7, 99.96, math.nan, -2.0)] == [
        "1.23",
        "0",
        "12300",
        "1.50 × 10⁻⁷",
        "100",
        "–",
        "−2.00",
    ]
    assert [brief(x) for x in (300.0, 1e-8, 2.5e-7, 0.25, -3.0)] == [
        "300",
        "10⁻⁸",
        "2.5 × 10⁻⁷",
        "0.25",
        "−3",
    ]
    assert with_error(1.23456, 0.0456) == "1.235 ± 0.046"
    assert with_error(1234.5, 21.0) == "1234 ± 21"
    assert with_error(1.23456, 0.0) == "1.235"
    assert interval((-0.5, 0.25), 0.19) == "−0.50 to 0.25"
    assert fixed(math.nan, 2) == "–"
    assert [count(n, "mode") for n in (0, 1, 2)] == ["no modes", "1 mode", "2 modes"]
    assert slug("../Ünïted <b>") == "n-ted-b" and slug("//") == "case"
