"""A case names files of its own folder: no path and no link leads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_case import write_case

from ldmd.case import load_case
from ldmd.commands import relax_case
from ldmd.errors import InputError


def rewritten(folder: Path, old: str, new: str) -> None:
    text = (folder / "case.toml").read_text()
    assert old in text
    (folder / "case.toml").write_text(text.replace(old, new, 1))


SECTION = '[material]\nname = "a little silica"'


@pytest.mark.parametrize("path", ["../outside", "sub/../../outside", "..", "/etc/passwd", "a\\nb", "a\\u001b[2Jb"])
@pytest.mark.parametrize("field", ["material.structure", "potential.parameters", "crystal.born"])
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, field: str, path: str) -> None:
    folder = write_case(tmp_path / "case")
    (tmp_path / "outside").write_text("secret")
    if field == "material.structure":
        rewritten(folder, SECTION, f'{SECTION}\nstructure = "{path}"')
    elif field == "potential.parameters":
        rewritten(folder, '"SiO.tersoff"', f'"{path}"')
    else:
        rewritten(folder, SECTION, f'{SECTION}\n[crystal]\nborn = "{path}"')
    with pytest.raises(InputError, match="case folder") as caught:
        load_case(folder)
    assert caught.value.field == field and "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["structure.extxyz", "SiO.tersoff"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = write_case(tmp_path / "case")
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="link out of the case folder; put a copy"):
        load_case(folder)
    (folder / name).unlink()
    (folder / name).symlink_to(name)
    with pytest.raises(InputError, match="leads nowhere|no such file"):
        load_case(folder)


def test_a_relaxed_structure_is_not_written_through_a_link(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "case")
    (tmp_path / "elsewhere").mkdir()
    (folder / "structure.extxyz").rename(tmp_path / "elsewhere" / "structure.extxyz")
    (folder / "sub").symlink_to(tmp_path / "elsewhere")
    rewritten(folder, SECTION, f'{SECTION}\nstructure = "sub/structure.extxyz"')
    with pytest.raises(InputError, match="link out of the case folder"):
        relax_case(folder)


def test_links_within_the_folder_and_to_the_folder_are_followed(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "case")
    (folder / "SiO.tersoff").rename(folder / "parameters")
    (folder / "SiO.tersoff").symlink_to("parameters")
    (tmp_path / "link").symlink_to(folder)
    assert load_case(tmp_path / "link").structure.is_file()
