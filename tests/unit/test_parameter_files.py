"""Tersoff and Stillinger-Weber files as people have them: entries that are not needed, twice, or wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from ldmd.errors import InputError
from ldmd.potentials.ends import radii_of
from ldmd.potentials.reading import read_potential
from ldmd.potentials.stillinger_weber import StillingerWeber, read_stillinger_weber
from ldmd.potentials.target import kind_of, target_of
from ldmd.potentials.tersoff import Tersoff, read_tersoff
from ldmd.relaxation import evaluate
from ldmd.structures import write_structure
from ldmd.subject import Potential

SILICON = """Si  Si   Si  3.0 1.0 1.3258 4.8381 2.0417 0.0000 22.956
             0.33675  1.3258  95.373  3.0  0.2  3.2394  3264.7
"""
"""J. Tersoff, Phys. Rev. B 37, 6991 (1988)."""
GERMANIUM = """Ge Ge Ge 3.0 1.0 0.0 1.0643e5 15.2 -0.35 0.75627
             5.017e-7  1.71  430.0    2.95    0.15   2.4451  1760.1
"""
PURE = f"# two elements, no mixed entries\n{SILICON}# Mahdizadeh and Akhlamadi (2017)\n{GERMANIUM}"
WEBER = "Si Si Si 2.1683 2.0951 1.80 21.0 1.20 -0.333333333333 7.049556277 0.6022245584 4.0 0.0 0.0\n"
Reader = Callable[..., Tersoff | StillingerWeber]
FILES: dict[str, tuple[Reader, str]] = {"tersoff": (read_tersoff, SILICON), "sw": (read_stillinger_weber, WEBER)}


@pytest.fixture
def pure(tmp_path: Path) -> Path:
    path = tmp_path / "SiGe.tersoff"
    path.write_text(PURE)
    return path


def test_entries_of_other_elements_are_passed_over(pure: Path) -> None:
    """The value of LAMMPS for diamond at 5.431 Angstrom; nothing but the cell's own species is known then."""
    atoms = bulk("Si", "diamond", a=5.431, cubic=True)
    potential = read_tersoff(pure, atoms.get_chemical_symbols())
    assert potential.species == ("Si",) and potential.switching.max() == pytest.approx(3.2)
    assert evaluate(atoms, potential).energy / 8 == pytest.approx(-4.630412064213374, abs=1e-12)
    alone = pure.with_name("Si.tersoff")
    alone.write_text(SILICON)
    assert potential.fingerprint() == read_tersoff(alone).fingerprint()


def test_what_a_structure_needs_must_be_there(pure: Path) -> None:
    with pytest.raises(InputError, match="no entry for the triplet Si Si Ge; add it$"):
        read_tersoff(pure, {"Si", "Ge"})
    with pytest.raises(InputError, match="material.structure = O: the potential knows only Si, Ge"):
        read_tersoff(pure, {"Si", "O"})
    with pytest.raises(InputError, match="give a structure of fewer species: only its own entries are needed"):
        read_tersoff(pure)


def test_every_road_hands_the_species_of_the_structure_on(pure: Path, tmp_path: Path) -> None:
    """``ldmd potential check FILE --structure ...``, and a case."""
    write_structure(bulk("Si", "diamond", a=5.431, cubic=True).repeat(2), tmp_path / "structure.extxyz")
    target = target_of(str(pure), tmp_path / "structure.extxyz")
    assert isinstance(target.potential, Tersoff) and target.potential.species == ("Si",)
    found = read_potential(Potential(kind="tersoff", parameters=pure.name), tmp_path, {"Ge"})
    assert isinstance(found, Tersoff) and found.species == ("Ge",)


@pytest.mark.parametrize("kind", FILES)
def test_an_entry_may_stand_twice_but_not_in_two_versions(tmp_path: Path, kind: str) -> None:
    read, text = FILES[kind]
    path = tmp_path / "x"
    path.write_text(text)
    once = read(path).fingerprint()
    path.write_text(text + "# again\n" + text)
    assert read(path).fingerprint() == once
    other = text.replace("95.373", "95.374").replace("21.0", "31.5")
    assert other != text
    path.write_text(text + "\n" + other)
    first, second = 1, len(text.splitlines()) + 2
    expected = f"line {second}, entry Si Si Si: differs from the entry of the same triplet on line {first}"
    with pytest.raises(InputError, match=expected):
        read(path)


@pytest.mark.parametrize("kind", FILES)
def test_forms_in_which_a_file_may_come(tmp_path: Path, kind: str) -> None:
    read, text = FILES[kind]
    path = tmp_path / "x"
    path.write_text(text)
    plain = read(path).fingerprint()
    words = text.split()
    fortran = [*words[:3], *(f"{float(word):.16E}".replace("E", "D") for word in words[3:])]
    forms = ("\ufeff" + text, "\n\n# first\n" + text, text.replace("\n", "\r\n"), "\n".join(words), " ".join(fortran))
    for form in forms:
        path.write_bytes(form.encode())
        assert read(path).fingerprint() == plain, form


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no entry"),
        ("3.0 Si Si", "line 1, column 1 holds 3.0 where a symbol is meant"),
        ("Si Si", "line 1, entry Si Si ends before its third symbol"),
        ("Si Si Si", "has 0 numbers before the end of the file"),
        (SILICON.replace("3264.7", "3264.7 1 2 3"), "tersoff/mod has 17"),
        (SILICON.replace("3264.7", "3264.7 14 1.6 0.95 14"), "tersoff/zbl has 18"),
        (SILICON.replace("3264.7", "32\u06644.7"), "is not a number|which is not a number"),
        (SILICON.replace("Si  Si   Si", "Si  Si   " + 5000 * "S"), "has|no entry"),
    ],
)
def test_what_is_no_tersoff_file_is_one_short_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "x.tersoff"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=reason) as caught:
        read_tersoff(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize("kind", FILES)
def test_files_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    read, _ = FILES[kind]
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(InputError, match="has 10000 MB"):
        read(tmp_path / "large")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "a\0b"):
        with pytest.raises(InputError, match="potential.parameters"):
            read(path)


def test_the_kind_of_a_file(tmp_path: Path) -> None:
    for name, text, kind in (
        ("a.sw", "", "stillinger-weber"),
        ("a.tersoff", "", "tersoff"),
        ("SiC.tersoff.zbl", "", "tersoff"),  # its reader says what it is
        ("nep.txt", "\ufeff# a comment\n\nnep4 1 Si\n", "nep"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert kind_of(tmp_path / name) == kind
    (tmp_path / "tmd.sw.mod").write_text(WEBER)
    with pytest.raises(InputError, match="not the file of a potential known here"):
        kind_of(tmp_path / "tmd.sw.mod")


def test_ends_of_a_tersoff_potential(tmp_path: Path) -> None:
    """Of a pair's own entry, and of triplets in which it stands beside a bond to another species."""

    def entry(species: str, radius: float) -> str:
        return f"{species} 3.0 1.0 1.3 4.8 2.0 0.0 22.9 0.33 1.32 95.4 {radius} 0.2 3.2 3264.7\n"

    radii = {"Si Si Si": 3.0, "Ge Ge Ge": 3.0, "Si Ge Ge": 3.0, "Ge Si Si": 3.0}
    radii |= {"Si Si Ge": 3.0, "Si Ge Si": 3.3, "Ge Ge Si": 3.0, "Ge Si Ge": 3.0}
    (tmp_path / "x.tersoff").write_text("".join(entry(key, radius) for key, radius in radii.items()))
    found = radii_of(read_tersoff(tmp_path / "x.tersoff"))
    assert {pair: tuple(np.round(list(ends), 9)) for pair, ends in found.items()} == {
        ("Si", "Si"): (2.8, 3.1, 3.2, 3.5),
        ("Ge", "Si"): (2.8, 3.2),
        ("Ge", "Ge"): (2.8, 3.2),
    }
    assert list(found["Si", "Si"].values())[1] == "R - D beside a bond to Ge"
    assert list(found["Ge", "Ge"].values()) == ["R - D", "R + D"]
