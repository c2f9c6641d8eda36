"""Text as people have it is read to the right numbers; a bad number is named; nothing is taken without bounds."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ldmd import text_file
from ldmd.errors import InputError
from ldmd.text_file import first_line, read_numbers, read_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1 2.5\n-3e-2\n", [1.0, 2.5, -0.03]),
        (b"0.0D+00 1.5d3 -2.D-1 .5Q0\n", [0.0, 1500.0, -0.2, 0.5]),
        (b"0.1234-100 1.5+123 -0.25-002", [0.1234e-100, 1.5e123, -0.0025]),
        (b"\xef\xbb\xbf1 2\r\n3\r\n", [1.0, 2.0, 3.0]),
        (b"1 # a comment with D and \xe4\n# another\n2\n", [1.0, 2.0]),
        (b"", []),
        (b"\n \t\n", []),
    ],
)
@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_numbers_of_every_form(
    tmp_path: Path, text: bytes, expected: list[float], packed: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(packed(text))
    np.testing.assert_array_equal(read_numbers(path, "numbers")[1], expected)


@pytest.mark.parametrize(
    "word", ["****", "nan", "inf", "-Infinity", "1e400", "1_000", "0x10", "five", "1.0-10", "\x00", "²"]
)
def test_a_word_that_is_no_finite_number_is_named_with_line_and_column(tmp_path: Path, word: str) -> None:
    path = tmp_path / "numbers"
    path.write_text(f"1 2 3\n\n4 {word} 6\n")
    with pytest.raises(InputError, match="line 3, column 2 holds"):
        read_numbers(path, "numbers")


def test_lines_are_counted_over_the_blocks_in_which_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "numbers"
    values = np.random.default_rng(0).normal(size=(50, 3))
    text = "\n".join(" ".join(f"{value:.3f}" for value in row) + "  # note" for row in values)
    path.write_text("# a header\n36 36\n" + text)
    for size in (1, 5, 7, 64, 1000):
        monkeypatch.setattr(text_file, "_CHUNK", size)
        header, found = read_numbers(path, "numbers", header=True)
        assert header == "36 36"
        np.testing.assert_array_equal(found, np.round(values, 3).ravel())
        bad = tmp_path / "bad"
        lines = path.read_text().split("\n")
        lines[30] = "1.0 2.0 ****"
        bad.write_text("\n".join(lines))
        with pytest.raises(InputError, match=r"line 31, column 3 holds '\*\*\*\*'"):
            read_numbers(bad, "numbers", header=True)


def test_the_first_line_is_neither_blank_nor_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf\r\n# made by hand\r\n! so was this\r\n  8  \r\n1 1\r\n")
    assert first_line(path, "file") == "8"
    path.write_bytes(b"# nothing else\n")
    assert first_line(path, "file") == ""


def test_latin_1_is_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"Universit\xe4t\r\n")
    assert read_text(path, "file") == "Universität\n"


@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_a_packed_file_is_refused_before_it_is_unpacked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opener: Callable
) -> None:
    monkeypatch.setattr(text_file, "MOST_UNPACKED", 3_000_000)
    path = tmp_path / "bomb"
    with opener(path, "wb") as file:
        for _ in range(6):
            file.write(b"0 " * 500_000)
    assert path.stat().st_size < 100_000
    for reading in (read_numbers, read_text):
        with pytest.raises(InputError, match=r"unpacks to more than 0\.003 GB"):
            reading(path, "numbers")


def test_a_file_is_refused_by_its_size_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 20_000_000_000)
    start = time.process_time()
    for reading in (read_numbers, read_text, first_line):
        with pytest.raises(InputError, match=r"has 20\.0 GB; at most"):
            reading(path, "numbers")
    assert time.process_time() - start < 1.0


def test_a_file_of_zeros_ends_at_its_first_word(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2_000_000_000)
    start = time.process_time()
    with pytest.raises(InputError, match="line 1, column 1"):
        read_numbers(path, "numbers")
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_packed_file_is_one_line(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(packed(b"1 2 3\n" * 1000)[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        read_numbers(path, "numbers")


def test_no_file_and_a_folder_are_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="no such file"):
            read_numbers(path, "numbers")


@pytest.mark.parametrize("filler", ["9", ".", "1.", "1e", "-", "d", "1.0-", "#", "1 ", "\n"])
def test_the_time_to_refuse_grows_with_the_length_and_not_its_square(tmp_path: Path, filler: str) -> None:
    path = tmp_path / "numbers"
    path.write_text(filler * 60_000 + "x ")
    start = time.process_time()
    try:
        read_numbers(path, "numbers")
    except InputError as error:
        assert "column" in str(error)
    assert time.process_time() - start < 2.0
