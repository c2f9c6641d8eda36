"""The overview: potentials side by side, what is missing said and the rest kept, numbers those of the reports."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import report_fixture
from small_case import write_case

from ldmd import cli, fetch, side_by_side
from ldmd.case import Case
from ldmd.comparison import Verdict
from ldmd.errors import InputError
from ldmd.potentials.reading import read_potential
from ldmd.report import ReportContents, summary
from ldmd.report.overview import LOW_SHARE, Member, Overview, low_damping
from ldmd.report.overview_figures import (
    conductivities_together,
    densities_of_states,
    linewidths_together,
    looks,
    verdict_rows,
)
from ldmd.report.overview_page import models_table, overview_headline, render_overview
from ldmd.report.overview_summary import overview_summary
from ldmd.report.style import Figure
from ldmd.settings import Settings

MISSING = Member("nep4", "nep", "nep4/report.html", None, "published file = x: cannot be downloaded", "get it")


def changed(contents: ReportContents, factor: float, verdict: Verdict = "agree") -> ReportContents:
    """The same report with another conductivity of the dynamics and another verdict."""
    comparison = contents.comparison
    assert comparison is not None
    value = comparison.dynamics.value * factor
    low, high = (factor * bound for bound in comparison.dynamics_interval_95)
    dynamics = dataclasses.replace(comparison.dynamics, value=value, checks=())
    difference = dataclasses.replace(comparison.difference, value=comparison.lattice_classical.value - value)
    other = dataclasses.replace(
        comparison,
        verdict=verdict,
        dynamics=dynamics,
        dynamics_interval_95=(low, high),
        difference=difference,
        checks=(),
    )
    return dataclasses.replace(contents, comparison=other, green_kubo=None)


@pytest.fixture(scope="module")
def overview() -> Overview:
    """Two potentials that agree, and one that could not be computed."""
    full = report_fixture.full()
    first, second = changed(full, 1.0), changed(full, 1.2)
    members = (
        Member("tersoff", "tersoff", "tersoff/report.html", first),
        Member("stillinger-weber", "stillinger-weber", "stillinger-weber/report.html", second),
        MISSING,
    )
    return Overview(
        case_name="glass",
        title="A <glass>",
        temperature=300.0,
        settings={"potential": {"tersoff": {"kind": "tersoff"}}},
        provenance={"command": "ldmd compare glass"},
        members=members,
        citations=("tersoff1988",),
    )


def columns(figure: Figure) -> dict[str, list[str]]:
    rows = list(csv.reader(io.StringIO(figure.csv)))
    return {name: [row[place] for row in rows[1:] if row[place]] for place, name in enumerate(rows[0])}


@pytest.mark.parametrize("draw", [verdict_rows, densities_of_states, linewidths_together, conductivities_together])
def test_figures_are_well_formed_and_name_every_potential(overview: Overview, draw: object) -> None:
    figure = draw(overview)
    root = ElementTree.fromstring(figure.svg)
    assert root.get("role") == "img" and root.get("aria-label") == figure.description
    text = " ".join("".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "tersoff" in text and "stillinger-weber" in text and "nep4" not in text
    assert "(THz)" in text or "W/(m K)" in text


def test_figures_hold_the_numbers_of_the_reports(overview: Overview) -> None:
    contents = overview.members[0].contents
    assert contents is not None and contents.conductivity is not None and contents.modes is not None
    known = contents.conductivity
    curves = columns(conductivities_together(overview))
    for statistics in known.statistics:
        drawn = [float(value) for value in curves[f"QHGK, {statistics}, tersoff [W/(m K)]"]]
        expected = [known.isotropic(float(kelvin), statistics) for kelvin in known.temperatures]
        assert drawn == pytest.approx(expected, rel=1e-5)
    density = columns(densities_of_states(overview))
    grid = np.array([float(value) for value in density["frequency [THz]"]])
    curve = np.array([float(value) for value in density["tersoff [1/THz]"]])
    assert np.trapezoid(curve, grid) == pytest.approx(1.0, abs=0.05)
    widths = columns(linewidths_together(overview))
    flags = overview.members[0].flags(300.0)
    assert flags is not None
    assert len(widths["linewidth HWHM, tersoff [rad/ps]"]) == len(flags.frequency)


def test_potentials_are_told_apart_without_colours(overview: Overview) -> None:
    look = looks(overview).values()
    assert len({each.color for each in look}) == len({each.marker for each in look}) == len(overview.members)
    many = tuple(dataclasses.replace(MISSING, name=f"n{k}") for k in range(12))
    found = looks(dataclasses.replace(overview, members=many)).values()
    assert len({(each.color, each.marker) for each in found}) == 12


def test_low_damping_is_of_the_lowest_modes(overview: Overview) -> None:
    flags = overview.members[0].flags(300.0)
    assert flags is not None
    lowest = sorted(zip(flags.frequency, flags.damping, strict=True))[: round(LOW_SHARE * len(flags.frequency))]
    assert low_damping(flags) == max(damping for _, damping in lowest)


def test_the_table_has_a_row_for_every_potential(overview: Overview) -> None:
    rows = models_table(overview).rows
    assert [row[0].text for row in rows] == ["tersoff", "stillinger-weber", "nep4"]
    assert [row[0].link for row in rows] == ["tersoff/report.html", "stillinger-weber/report.html", ""]
    comparison = overview.members[0].comparison
    assert comparison is not None
    assert float(rows[0][3].sort) == pytest.approx(comparison.lattice_classical.value, rel=1e-9)
    assert float(rows[0][5].sort) == comparison.dynamics.value
    assert [row[7].text for row in rows] == [member.verdict for member in overview.members]
    assert rows[2][7].text == "not computed" and all(math.isnan(float(rows[2][k].sort)) for k in (1, 5, 8))


def test_the_headline_counts_verdicts(overview: Overview) -> None:
    found = overview_headline(overview)
    assert found.text == "The two methods agree for 2 of 3 potentials." and found.tone == "caution"
    assert any("Not computed: nep4" in line for line in found.lines)
    assert ("nep4", MISSING.failure, "Get it.") in found.problems
    both = dataclasses.replace(overview, members=overview.members[:2])
    assert overview_headline(both).text == "The two methods agree for both potentials."
    full = report_fixture.full()
    members = (overview.members[0], dataclasses.replace(overview.members[1], contents=changed(full, 2.0, "disagree")))
    apart = dataclasses.replace(overview, members=members)
    assert (overview_headline(apart).tone, apart.exit_code) == ("disagree", 1)
    assert (overview.agreed, apart.agreed) == (2, 1)
    none = dataclasses.replace(overview, members=(MISSING,))
    assert overview_headline(none).text == "No potential could be compared." and none.exit_code == 2
    assert "</html>" in render_overview(none)


def test_every_verdict_is_told_and_the_worst_exit_code_counts(overview: Overview) -> None:
    full = report_fixture.full()
    codes = []
    for verdict, words, code in (
        ("undecided", "1 undecided", 3),
        ("does not apply", "lattice dynamics does not apply to 1", 4),
        ("no verdict", "no verdict for 1", 1),
    ):
        other = dataclasses.replace(overview.members[1], contents=changed(full, 1.0, verdict))
        found = dataclasses.replace(overview, members=(overview.members[0], other))
        assert overview_headline(found).text == f"The two methods agree for 1 of 2 potentials; {words}."
        assert found.exit_code == code and found.agreed == 1
        assert verdict in models_table(found).rows[1][7].text
        alone = dataclasses.replace(overview, members=(other,))
        assert overview_headline(alone).text.endswith("(stillinger-weber).") and alone.exit_code == code
        codes.append(other)
    together = dataclasses.replace(overview, members=(overview.members[0], *codes))
    assert together.exit_code == 4
    assert dataclasses.replace(overview, members=(*codes, MISSING)).exit_code == 2
    assert dataclasses.replace(overview, members=tuple(codes[::2])).exit_code == 1, (
        "a failed check is worse than undecided"
    )


def test_a_quick_overview_says_so(overview: Overview) -> None:
    quick = dataclasses.replace(overview, quick=True)
    assert "<h1>A &lt;glass&gt; (quick)</h1>" in render_overview(quick)
    assert overview_summary(quick)["title"] == "A <glass> (quick)" and overview_summary(quick)["quick"]
    assert "(quick)" not in render_overview(overview)


def test_a_structure_that_is_not_fit_is_a_row_without_numbers(overview: Overview) -> None:
    spoilt = dataclasses.replace(MISSING, contents=report_fixture.failing(), failure="", remedy="")
    together = dataclasses.replace(overview, members=(*overview.members[:2], spoilt))
    assert spoilt.verdict == "structure not fit" and together.exit_code == 1
    assert "structure not fit" in render_overview(together)
    overview_summary(together)


def test_the_page_is_offline_and_leads_to_the_reports(overview: Overview) -> None:
    page = render_overview(overview)
    assert page == render_overview(overview)
    assert '<a href="tersoff/report.html">tersoff</a>' in page
    assert "<h1>A &lt;glass&gt;</h1>" in page and "3 potentials side by side" in page
    assert "src=" not in page.split("<body>")[1].replace('src="data:', "")
    assert len(page) < 1_000_000


def test_the_summary_is_the_table_for_programs(overview: Overview) -> None:
    numbers = json.loads(json.dumps(overview_summary(overview), allow_nan=False))
    assert numbers["exit_code"] == 2 and list(numbers["potentials"]) == ["tersoff", "stillinger-weber", "nep4"]
    first = numbers["potentials"]["tersoff"]
    contents = overview.members[0].contents
    assert contents is not None
    assert first["verdict"] == summary(contents)["verdict"]
    assert first["density"]["value"] == contents.inspection.density
    assert numbers["potentials"]["nep4"]["missing"] == MISSING.failure


def test_a_missing_published_file_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case = write_case(tmp_path / "glass")
    text = (case / "case.toml").read_text()
    single = '[potential]\nkind = "tersoff"\nparameters = "SiO.tersoff"\n'
    first = f'[{single.replace("potential]", "potential]]")}name = "munetoh"\n'
    second = '[[potential]]\nname = "nep4"\nkind = "nep"\nparameters = "fetch:silicon-nep4-5body"\n'
    (case / "case.toml").write_text(text.replace(single, first + second))

    def out_of_reach(file: fetch.PublishedFile) -> Path:
        raise InputError("published file", file.name, "cannot be downloaded (no network)")

    monkeypatch.delenv("LDMD_DATA", raising=False)
    monkeypatch.setenv("LDMD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "_download", out_of_reach)
    monkeypatch.setattr(side_by_side, "load_problem", only_the_potential)
    monkeypatch.setattr(side_by_side, "report_contents", lambda problem, provenance: small_report(provenance))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ldmd", "compare", "glass"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    out = capfd.readouterr().out
    assert "nep4: published file = silicon-nep4-5body: cannot be downloaded (no network)" in out
    assert out.rstrip().endswith("Report: reports/glass/report.html")
    files = sorted(str(path.relative_to("reports/glass")) for path in Path("reports").rglob("*.*"))
    assert files == ["munetoh/report.html", "munetoh/summary.json", "report.html", "summary.json"]
    page = Path("reports/glass/report.html").read_text(encoding="utf-8")
    assert "ldmd fetch silicon-nep4-5body gets the published file; then run ldmd compare glass again" in page


def only_the_potential(case: Case, settings: Settings) -> SimpleNamespace:
    """In place of a problem: its potential is read, which may fail, and nothing else."""
    read_potential(settings.potential, case.folder)
    return SimpleNamespace(system="digest")


def small_report(provenance: dict[str, object]) -> ReportContents:
    """A report that takes no time: lattice dynamics and a verdict, no dynamics."""
    full = report_fixture.full()
    bare = dataclasses.replace(full, trajectories=None, green_kubo=None, anharmonicity=None)
    return dataclasses.replace(changed(bare, 1.0), provenance=provenance)
