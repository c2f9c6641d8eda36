"""What a parser of another program raises on bad data is one line; what it is not meant to hide passes."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer

from ldmd import cli, commands
from ldmd.errors import InputError
from ldmd.foreign import BAD_DATA, LONGEST_REASON, foreign_parser, reading


@pytest.mark.parametrize(
    "error",
    [
        ValueError("could not convert"),
        IndexError("list index out of range"),
        KeyError("cell"),
        struct.error("unpack requires 4 bytes"),
        zlib.error("incorrect header check"),
        MemoryError(),
        RecursionError("maximum recursion depth exceeded"),
        AssertionError(),
        OverflowError("int too large"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        SystemExit(1),
        ModuleNotFoundError("No module named 'netCDF4'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_parser_raises_is_one_line_with_the_file(error: BaseException) -> None:
    with (
        pytest.raises(InputError) as found,
        foreign_parser("material.structure", Path("bad.cif"), "give an extended XYZ file"),
    ):
        raise error
    text = str(found.value)
    assert text.startswith("material.structure = bad.cif: cannot be read (")
    assert text.endswith("; give an extended XYZ file")
    assert "\n" not in text
    assert found.value.__cause__ is error


def test_a_reason_of_many_lines_and_characters_is_shortened() -> None:
    with pytest.raises(InputError) as found, foreign_parser("file", "a", "mend it"):
        raise ValueError("x" * 10_000 + "\nsecond line")
    assert len(str(found.value)) < LONGEST_REASON + 60
    assert "second line" not in str(found.value)


def test_an_input_error_passes_unchanged() -> None:
    mine = InputError("masses", 0.0, "give positive masses")
    with pytest.raises(InputError) as found, foreign_parser("file", "a", "mend it"):
        raise mine
    assert found.value is mine


def test_an_interrupt_is_no_bad_data() -> None:
    with pytest.raises(KeyboardInterrupt), foreign_parser("file", "a", "mend it"):
        raise KeyboardInterrupt
    assert Exception not in BAD_DATA and BaseException not in BAD_DATA


def test_classes_of_the_parsers_own_are_named_by_the_caller() -> None:
    class Unknown(Exception):
        pass

    with pytest.raises(InputError, match="no such format"), foreign_parser("file", "a", "mend it", also=(Unknown,)):
        raise Unknown("no such format")
    with pytest.raises(Unknown), foreign_parser("file", "a", "mend it"):
        raise Unknown("no such format")


def test_a_package_that_is_missing_is_named_with_its_command() -> None:
    with pytest.raises(InputError, match="pip install netCDF4"), foreign_parser("file", "a.nc", "give another format"):
        raise ModuleNotFoundError("No module named 'netCDF4.utils'", name="netCDF4.utils")


def test_what_a_parser_prints_is_not_among_our_results(capsys: pytest.CaptureFixture[str]) -> None:
    with foreign_parser("file", "a", "mend it"):
        print("Welcome to a parser")  # noqa: T201
    assert capsys.readouterr().out == ""


def test_the_words_may_be_the_callers() -> None:
    with pytest.raises(InputError) as found, reading("--fc3", "FORCES_FC3", "phono3py says {reason}; give another"):
        raise ValueError("too few lines")
    assert str(found.value) == "--fc3 = FORCES_FC3: phono3py says too few lines; give another"


def test_numbers_that_overflow_inside_do_not_warn() -> None:
    with foreign_parser("file", "a", "mend it"):
        assert np.isinf(np.array([1e300]) * 1e300).all()


def test_json_stays_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(*_: object) -> SimpleNamespace:
        sys.stdout.write("Warning: point group symmetries of supercell and primitivecell are different.\n")
        return SimpleNamespace(summary={"kappa": 1.0}, lines=[], exit_code=0)

    monkeypatch.setattr(commands, "compare_one", noisy)
    (tmp_path / "case.toml").write_text('[material]\nname = "a"\n[potential]\nkind = "tersoff"\nparameters = "a"\n')
    with pytest.raises(typer.Exit):
        cli.compare(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"kappa": 1.0}
