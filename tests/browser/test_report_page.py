"""The report in headless Chromium: at a desk, on a phone and on paper."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import report_fixture

from ldmd.report import write_report

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]

WIDTHS = (1280, 390)
PAPER = 680  # CSS pixels between the margins of A4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    write_report(report_fixture.full(), path / "full.html")
    write_report(report_fixture.failing(), path / "failing.html")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        instance = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield instance
        instance.close()


@pytest.fixture()
def opened(browser: Any, folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Any, int]]:
    """A page opened at a width; a complaint on the console or a request to elsewhere fails the test."""
    name, width = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: _note_outside(request.url, complaints))
    page.goto((folder / f"{name}.html").as_uri())
    yield page, width
    page.close()
    assert complaints == []


def _note_outside(url: str, complaints: list[str]) -> None:
    if not url.startswith(("file:", "data:", "blob:")):
        complaints.append(f"requested {url}")


everywhere = pytest.mark.parametrize(
    "opened", [(name, width) for name in ("full", "failing") for width in WIDTHS], indirect=True, ids=str
)
at_a_desk = pytest.mark.parametrize("opened", [("full", 1280)], indirect=True, ids=str)
on_both = pytest.mark.parametrize("opened", [("full", width) for width in WIDTHS], indirect=True, ids=str)


@everywhere
def test_figures_are_visible_and_nothing_scrolls_sideways(opened: tuple[Any, int]) -> None:
    page, width = opened
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawings = page.locator("figure svg[role=img]")
    assert drawings.count() >= 1
    for place in range(drawings.count()):
        box = drawings.nth(place).bounding_box()
        assert box["width"] > 250 and box["height"] > 40
        assert box["x"] >= 0 and box["x"] + box["width"] <= width + 0.5
    # Text of a drawing may stick out of it (overflow is visible), but not out of the page.
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('figure svg text')].map(text => text.getBoundingClientRect().right))"
    )
    assert widest <= width + 0.5


@everywhere
def test_text_is_legible_and_nothing_overlaps_the_verdict(opened: tuple[Any, int]) -> None:
    page, width = opened
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('p, td, th, li, dd, dt')].map(e => "
        "parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 12
    verdict = page.locator("#verdict h2").bounding_box()
    assert verdict["y"] + verdict["height"] < 600, "the verdict is seen without scrolling"


@on_both
def test_tables_scroll_inside_their_box(opened: tuple[Any, int]) -> None:
    page, width = opened
    boxes = page.locator(".scroll")
    for place in range(boxes.count()):
        box = boxes.nth(place).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width + 0.5


@on_both
def test_tables_sort_by_click_and_by_keyboard(opened: tuple[Any, int]) -> None:
    page, _ = opened
    column = page.locator("#table-flagged tbody tr td:nth-child(2)")
    head = page.locator("#table-flagged th:nth-child(2)")
    before = column.all_inner_texts()
    head.locator("button").click()
    ascending = column.all_inner_texts()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in ascending] == sorted(float(text) for text in before)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column.all_inner_texts()] == sorted((float(t) for t in before), reverse=True)
    other = page.locator("#table-flagged th:nth-child(1)")
    other.locator("button").press("Space")
    assert other.get_attribute("aria-sort") == "ascending" and head.get_attribute("aria-sort") == "none"


@at_a_desk
def test_numbers_of_every_figure_download(opened: tuple[Any, int], tmp_path: Path) -> None:
    page, _ = opened
    links = page.locator("figure a[download]")
    assert links.count() == page.locator("figure svg[role=img]").count()
    for place in range(links.count()):
        with page.expect_download() as download:
            links.nth(place).click()
        target = tmp_path / download.value.suggested_filename
        download.value.save_as(target)
        assert target.suffix == ".csv" and len(target.read_text(encoding="utf-8").splitlines()) >= 3


@at_a_desk
def test_contents_lead_to_every_section(opened: tuple[Any, int]) -> None:
    page, _ = opened
    links = page.locator("nav.contents a")
    targets = [link.get_attribute("href") for link in links.all()]
    assert targets[0] == "#verdict" and len(targets) >= 9
    assert all(page.locator(target).count() == 1 for target in targets)


@everywhere
def test_paper_clips_nothing(opened: tuple[Any, int]) -> None:
    page, _ = opened
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 960})
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
    clipped = page.evaluate(
        f"[...document.querySelectorAll('table, figure, figcaption, pre')].filter(e => e.offsetParent && "
        f"e.getBoundingClientRect().right > {PAPER} + 0.5).map(e => e.outerHTML.slice(0, 80))"
    )
    assert clipped == []
    assert page.locator("nav.contents").is_hidden() and page.locator(".tools").first.is_hidden()
