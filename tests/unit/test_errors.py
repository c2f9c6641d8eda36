"""An error of the user's input is one line that a terminal shows and does not obey, however odd the input was."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldmd.errors import LONGEST_LINE, LONGEST_PATH, InputError, cut, printable


@pytest.mark.parametrize(
    ("given_value", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x9b31m", r"\x9b31m"),  # the same escape in one byte
        ("gnp.exe\u202egpj", r"gnp.exe\u202egpj"),  # what follows would be shown from right to left
        ("lone\udcff", r"lone\udcff"),  # a byte of a file name that is not UTF-8
        ("\u00c5ngstr\u00f6m \u6c34", "\u00c5ngstr\u00f6m \u6c34"),
    ],
)
def test_what_is_not_printable_is_escaped(given_value: str, shown: str) -> None:
    for error in (
        InputError(given_value, "value", "mend it"),
        InputError("field", given_value, "mend it"),
        InputError("field", Path(given_value), "mend it"),
        InputError("field", "value", given_value),
    ):
        assert shown in str(error)
        assert str(error).isprintable()
        str(error).encode("utf-8")


def test_a_long_value_is_cut_and_keeps_its_end() -> None:
    value = "[" + ", ".join(str(n) for n in range(10_000)) + "]"
    line = str(InputError("lattice.temperatures", value, "list fewer of them"))
    assert line.startswith("lattice.temperatures = [0, 1, 2")
    assert line.endswith("9999]: list fewer of them")
    assert len(line) < 160


def test_a_long_reason_keeps_what_to_do() -> None:
    fix = f"cannot be read ({'x' * 100_000}); give an extended XYZ file"
    line = str(InputError("material.structure", Path("a/b.xyz"), fix))
    assert len(line) <= LONGEST_LINE
    assert line.startswith("material.structure = a/b.xyz: cannot be read (xxx")
    assert line.endswith("; give an extended XYZ file")


def test_a_path_of_usual_length_is_shown_whole() -> None:
    path = Path("/home/somebody/projects/2026/thermal-conductivity/cases/amorphous-silica/648-atoms/structure.extxyz")
    assert len(str(path)) > 80
    assert str(path) in str(InputError("material.structure", path, "no such file"))


@given(field=st.text(max_size=2000), value=st.text(max_size=2000), fix=st.text(max_size=2000))
def test_any_text_makes_one_line(field: str, value: str, fix: str) -> None:
    error = InputError(field, value, fix)
    assert str(error).isprintable()
    assert len(str(error)) <= LONGEST_LINE + LONGEST_PATH
    assert (error.field, error.value, error.fix) == (field, value, fix)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(text=st.text(max_size=300), limit=st.integers(20, 200))
def test_cut_text_is_no_longer_than_asked_for(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit
    assert cut(text, limit) == text or len(text) > limit
    assert printable(printable(text)) == printable(text)
