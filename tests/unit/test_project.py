"""What the project says of itself is true and said once."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import ldmd
from ldmd.case import parse_settings
from ldmd.errors import InputError
from ldmd.settings import Dynamics


def readme_commands(repository: Path) -> dict[str, str]:
    """The marked one-line commands of the README by name."""
    text = (repository / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- command: (\w+) -->\n```sh\n([^\n]+)\n```\n", text))


def test_the_readme_has_its_two_commands_on_one_line_each(repository: Path) -> None:
    commands = readme_commands(repository)
    assert set(commands) == {"run", "test"}
    for command in commands.values():
        assert command.startswith("python3 -m venv ")
        assert " -m pip install " in command
    assert commands["run"].endswith("ldmd compare cases/silica --quick")
    assert commands["test"].endswith("-m pytest")


def test_ci_reads_the_test_command_out_of_the_readme(repository: Path) -> None:
    script = (repository / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{\n.*?^\}\n", script, re.DOTALL | re.MULTILINE)
    assert function
    shell = f'set -euo pipefail\ncheckout="$0"\n{function[0]}readme_command test\n'
    done = subprocess.run(["bash", "-c", shell, str(repository)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == readme_commands(repository)["test"]
    assert "pip install -e" not in script


def test_ci_is_sound_shell(repository: Path) -> None:
    subprocess.run(["bash", "-n", str(repository / ".ci" / "run")], check=True)


def test_the_version_is_the_same_everywhere(repository: Path) -> None:
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [ldmd.__version__]
    assert re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)[0] == ldmd.__version__
    assert "version" in project(repository)["dynamic"]


def project(repository: Path) -> dict[str, list[str]]:
    """The table [project] of pyproject.toml."""
    with (repository / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


@pytest.mark.parametrize("name", ["jax", "jaxlib"])
def test_builds_that_compute_wrong_numbers_are_excluded(repository: Path, name: str) -> None:
    (requirement,) = (text for text in project(repository)["dependencies"] if re.match(rf"{name}\b", text))
    assert {"!=0.10.2", "!=0.11.1"} <= set(requirement.removeprefix(name).split(","))


def examples(repository: Path) -> list[str]:
    """The smallest case file of the README, and what may be added to it."""
    text = (repository / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```toml\n(.*?)```", text, re.DOTALL)


def test_the_case_files_of_the_readme_are_sound(repository: Path) -> None:
    smallest, *additions = examples(repository)
    assert parse_settings(smallest).dynamics == Dynamics()
    for addition in additions:
        assert parse_settings(f"{smallest}\n{addition}") != parse_settings(smallest)


def test_the_messages_of_the_readme_are_what_is_said(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    example, *_ = examples(repository)
    (messages,) = re.findall(r"```\n(dynamics\..*?)```", text, re.DOTALL)
    for message in messages.splitlines():
        key, value = message.split(": ")[0].removeprefix("dynamics.").split(" = ")
        with pytest.raises(InputError) as caught:
            parse_settings(f"{example}\n[dynamics]\n{key} = {value}\n")
        assert str(caught.value) == message


def test_the_readme_shows_every_room(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    rooms = {path.stem for path in (repository / "ldmd").glob("*.py")} - {"__init__", "__main__"}
    rooms |= {f"{path.parent.name}/" for path in (repository / "ldmd").glob("*/__init__.py")}
    table = text[text.index("## Architecture") : text.index("## Limits")]
    assert rooms - set(re.findall(r"`([\w/]+)`", table)) == set()
