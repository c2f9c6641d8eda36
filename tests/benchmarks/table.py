"""Blocks of the README: a table with the machine that it was measured on, between two markers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from measure import Lines


@dataclasses.dataclass(frozen=True)
class Block:
    """A table whose rows may come from several measurements; all of them are needed before it is replaced."""

    header: tuple[str, ...]
    rows: tuple[str, ...]


def markdown(block: Block, lines: Sequence[Lines], measured_on: str) -> str:
    """The block as Markdown."""
    rows = [block.header, ("---",) * len(block.header), *(row for part in lines for row in part.rows)]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [note for part in lines for note in part.notes]
    return "\n".join([f"{measured_on}:", "", *table, *(["", " ".join(notes)] if notes else [])])


def replace(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers of a block.

    Raises
    ------
    ValueError
        Where the file does not have them, once each.
    """
    begin, end = f"<!-- benchmark: {name} -->\n", f"<!-- end of benchmark: {name} -->\n"
    before = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    after, count = pattern.subn(lambda _: f"{begin}\n{text}\n\n{end}", before)
    if count != 1:
        raise ValueError(f"{path} has {count} blocks named {name}; it needs one")
    path.write_text(after, encoding="utf-8")
