"""Other programs may print and fail: standard output stays ours, and every failure is one line."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from ldmd import cli, commands
from ldmd.errors import InputError
from ldmd.foreign import quiet, reading


def test_what_is_printed_goes_to_the_log(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), quiet():
        sys.stdout.write("Solver_atoms: 1 -- 2 / 2\n")
    assert capsys.readouterr().out == ""
    assert [record.message for record in caplog.records] == ["Solver_atoms: 1 -- 2 / 2"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AssertionError(), "x = y: cannot be read (AssertionError)"),
        (ValueError("first\nsecond"), "x = y: cannot be read (first)"),
        (KeyError("points"), "x = y: cannot be read ('points')"),
        (ModuleNotFoundError("No module named 'symfc'", name="symfc.api"), "no symfc: install it: pip install symfc"),
        (InputError("a", "b", "c"), "a = b: c"),
    ],
)
def test_every_failure_is_one_line(error: Exception, line: str) -> None:
    with pytest.raises(InputError) as caught, reading("x", "y", "cannot be read ({reason})"):
        raise error
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_json_stays_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def noisy(*_: object) -> SimpleNamespace:
        sys.stdout.write("Warning: point group symmetries of supercell and primitivecell are different.\n")
        return SimpleNamespace(summary={"kappa": 1.0}, lines=[], exit_code=0)

    monkeypatch.setattr(commands, "compare_one", noisy)
    (tmp_path / "case.toml").write_text('[material]\nname = "a"\n[potential]\nkind = "tersoff"\nparameters = "a"\n')
    with pytest.raises(typer.Exit):
        cli.compare(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"kappa": 1.0}
