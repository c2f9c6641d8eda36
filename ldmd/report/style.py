"""How figures look, and how they become SVG that shares a page with others, the same bytes each time."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from ldmd.report.text import power_of_ten

# Okabe & Ito's palette for any kind of colour vision; the same colour means the same thing everywhere.
INK = "#222222"
GREY = "#767676"
PALE = "#d4d4d4"
CLASSICAL = "#0072b2"
QUANTUM = "#009e73"
DYNAMICS = "#d55e00"
ORANGE = "#e69f00"
SKY = "#56b4e9"
PURPLE = "#cc79a7"
SERIES = (CLASSICAL, DYNAMICS, QUANTUM, PURPLE, ORANGE, SKY)

WIDTH = 5.4
"""Inches. At this width nine-point text is legible on a phone and not too large on a desk."""

PAGE_FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ldmd",
    "text.parse_math": False,  # names of the user's may hold a dollar sign
    "font.family": ["DejaVu Sans"],  # ships with matplotlib: the same metrics on every machine
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "errorbar.capsize": 2.5,
    "figure.dpi": 72.0,
    "savefig.dpi": 260.0,
    "figure.constrained_layout.use": True,
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of the page: the drawing, what it shows in words, and its numbers."""

    key: str
    title: str
    caption: str
    description: str
    svg: str
    columns: tuple[tuple[str, tuple[float | str, ...]], ...]

    @property
    def csv(self) -> str:
        """Comma-separated values: a line of names with units, then rows; empty where a column has ended."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([name for name, _ in self.columns])
        rows = max((len(values) for _, values in self.columns), default=0)
        for row in range(rows):
            writer.writerow([_entry(values[row]) if row < len(values) else "" for _, values in self.columns])
        return stream.getvalue()

    @property
    def csv_uri(self) -> str:
        """The same as a data URI, which needs neither script nor network."""
        return data_uri(self.csv, "text/csv")


def data_uri(text: str, media_type: str) -> str:
    """Text as a data URI."""
    return f"data:{media_type};charset=utf-8," + quote(text, safe=",;:()/*+-._~!@$=?")


def column(name: str, values: np.ndarray | Sequence[float | str]) -> tuple[str, tuple[float | str, ...]]:
    """One column of a figure's numbers."""
    return name, tuple(values.tolist() if isinstance(values, np.ndarray) else values)


def _entry(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


@contextmanager
def canvas(height: float, rows: int = 1, **subplots: Any) -> Iterator[tuple[Canvas, list[Axes]]]:
    """A figure of the page's width and its axes from top to bottom, drawn under the page's style."""
    with mpl.rc_context(STYLE):
        figure = Canvas(figsize=(WIDTH, height))
        axes = figure.subplots(rows, 1, squeeze=False, **subplots)
        yield figure, list(axes[:, 0])


def to_svg(figure: Canvas, key: str, description: str) -> str:
    """A drawing as an SVG element that scales with its box; its identifiers carry the key, so all are unique.

    Must be called under :func:`canvas`: the style holds the salt of the identifiers.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{key}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", text)
    text = text.replace("'DejaVu Sans'", PAGE_FONTS)
    # matplotlib's style sheet of every drawing would hold for the whole page
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    label = _attribute(description)
    return f'{head} role="img" aria-label="{label}" stroke-linejoin="round" stroke-linecap="butt">{rest}'.strip()


def _attribute(text: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text


def label_decades(axes: Axes) -> None:
    """Plain ticks of a logarithmic ordinate: decades, and twice and five times them where those are few."""
    bottom, top = axes.get_ylim()
    decades = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    few = math.log10(top / bottom) < 2.0
    steps = decades[:: 1 + len(decades) // 9]
    ticks = [m * 10.0**k for k in steps for m in ((1, 2, 5) if few else (1,))]
    labels = [f"{tick:g}" if few or 1e-3 < tick < 1e4 else power_of_ten(round(math.log10(tick))) for tick in ticks]
    axes.set_yticks(ticks, labels)
    axes.minorticks_off()
    axes.set_ylim(bottom, top)


def direct_label(axes: Axes, x: float, y: float, text: str, color: str, **kwargs: object) -> None:
    """A label beside the thing it names, in data coordinates, on a pale ground."""
    ground = {"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1.0}
    axes.text(x, y, text, color=color, fontsize=8.5, bbox=ground, **kwargs)  # type: ignore[arg-type]
