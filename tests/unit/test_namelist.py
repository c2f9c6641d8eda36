"""Fortran namelists in the forms in which people write CONTROL files."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ldmd.errors import InputError
from ldmd.force_constants.exchange import namelist, shengbte
from ldmd.force_constants.exchange.namelist import Namelist

USUAL = """\
&allocations
  nelements=2, natoms=3, ngrid(:)=5 5 5
&end
&crystal
  lfactor=0.1,
  lattvec(:,1)=4.0 0.1 0.2,
  lattvec(:,2)=0.3 4.1 0.0,
  lattvec(:,3)=0.0 0.5 4.2,
  elements="Si" "O",
  types=1 2 2,
  positions(:,1)=0.0 0.0 0.0,
  positions(:,2)=0.5 0.5 0.0,
  positions(:,3)=0.25 0.5 0.75,
  masses(:)=28.0855 15.999,
  scell(:)=2 2 2
&end
&parameters
  T=300
&end
"""


def _read(folder: Path, text: str | bytes) -> Namelist:
    path = folder / "CONTROL"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return namelist.read(path)


FORMS = {
    "D exponents": USUAL.replace("lfactor=0.1", "lfactor=1.0D-01").replace("0.25 0.5", "2.5d-1 0.5D+00"),
    "capitals": USUAL.replace("lattvec", "LATTVEC").replace("&crystal", "&CRYSTAL").replace("types", "TYPES"),
    "repeat counts": USUAL.replace("scell(:)=2 2 2", "scell(:)=3*2").replace("types=1 2 2", "types(:)=1 2*2"),
    "one line": USUAL.replace("\n", " "),
    "any order": USUAL.replace("  lattvec(:,1)=4.0 0.1 0.2,\n", "").replace(
        "  masses", "  lattvec(:,1) = 4.0, 0.1, 0.2\n  masses"
    ),
    "comments": USUAL.replace("lfactor=0.1,", "lfactor=0.1, ! nm, &end of the story\n! lfactor=9"),
    "element by element": USUAL.replace("types=1 2 2", "types(3)=2 types(1)=1, types(2)=2").replace(
        "lattvec(:,2)=0.3 4.1 0.0", "lattvec(1,2)=0.3 lattvec(2:3,2)=4.1 0.0"
    ),
    "whole arrays": USUAL.replace("  lattvec(:,1)=", "  lattvec=")
    .replace("  lattvec(:,2)=", "  ")
    .replace("  lattvec(:,3)=", "  ")
    .replace("positions(:,1)=", "positions=")
    .replace("positions(:,2)=", "")
    .replace("positions(:,3)=", ""),
    "a slash at the end": USUAL.replace("&end", "/"),
    "old style": USUAL.replace("&end", "$end").replace("&", "$"),
    "Windows": "\ufeff" + USUAL.replace("\n", "\r\n"),
    "single quotes": USUAL.replace('"', "'"),
    "the later one counts": USUAL.replace("lfactor=0.1,", "lfactor=0.9, lfactor=0.1"),
    "latin-1": USUAL.encode() + b"! M\xfcnchen\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_control_file_is_the_same_crystal_in_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "CONTROL"
    text = FORMS[form]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    supercell = shengbte.read_control(path)
    primitive = supercell.primitive
    assert primitive.get_chemical_symbols() == ["Si", "O", "O"] and supercell.repeats == (2, 2, 2)
    np.testing.assert_allclose(primitive.cell.array, [[4.0, 0.1, 0.2], [0.3, 4.1, 0.0], [0.0, 0.5, 4.2]], atol=1e-12)
    places = primitive.get_scaled_positions()
    np.testing.assert_allclose(places, [[0, 0, 0], [0.5, 0.5, 0], [0.25, 0.5, 0.75]], atol=1e-12)
    np.testing.assert_allclose(primitive.get_masses(), [28.0855, 15.999, 15.999])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("natoms=3", "natoms=1000000000000", "natoms = 1000000000000; write whole numbers from 1 to 3"),
        ("natoms=3", "natoms=-3", "natoms = -3"),
        ("types=1 2 2", "types=1000000000000*1", "repeats a value"),
        ("types=1 2 2", "types=1 2 3", "types = 3; write whole numbers from 1 to 2"),
        ("types=1 2 2", "types=1 2", "gives 2 values for types, which needs 3"),
        ("types=1 2 2", "types(2)=2 2", "gives 2 values for types, which needs 3"),
        ("scell(:)=2 2 2", "scell(:)=2 2 1000000", "at most 1000000 atoms"),
        ("scell(:)=2 2 2", "scell(:)=2 2 1.5", "scell = 1.5"),
        ("scell(:)=2 2 2", "scell(:)=2 2 2 2", "gives 4 values where scell has 3"),
        ("lfactor=0.1", "lfactor=****", "line 5 has"),
        ("lfactor=0.1", "lfactor=nan", "which is no finite number"),
        ("lfactor=0.1", "lfactor=0.0", "give a cell with a volume"),
        ("lfactor=0.1", "lfactor=1e300", "not finite or longer"),
        ("masses(:)=28.0855", "masses(:)=0.0", "has the mass 0 amu"),
        ('"Si"', '"Xx"', "has the element 'Xx'"),
        ("lattvec(:,3)", "lattvec(:,4)", "beyond its size of 3 x 3"),
        ("lattvec(:,3)", "lattvec(3)", "has 2 subscripts"),
        ("lattvec(:,3)", "lattvec(:,2)", "does not give element 7 of lattvec"),
        ("  lfactor", "  12 lfactor", "is no Fortran namelist: line 5"),
        ('"O"', '"O', "is no Fortran namelist"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "CONTROL"
    assert old in USUAL
    path.write_text(USUAL.replace(old, new))
    with pytest.raises(InputError, match=reason) as found:
        shengbte.read_control(path)
    assert "\n" not in str(found.value)


def test_arrays_are_filled_as_fortran_does(tmp_path: Path) -> None:
    fields = _read(tmp_path, "&a x=1,,3, y=2*'it''s', z(1:2,2)=3 4 z(:,1)=1 2 /\n")
    with pytest.raises(InputError, match="does not give element 2 of x"):
        fields.numbers("x", (3,))
    assert fields.words("y", (2,)) == ["it's", "it's"]
    np.testing.assert_array_equal(fields.numbers("z", (2, 2)), [[1.0, 3.0], [2.0, 4.0]])
    fields = _read(tmp_path, "&a x=1 2 3 x=,5 /")
    np.testing.assert_array_equal(fields.numbers("x", (3,)), [1.0, 5.0, 3.0])


@pytest.mark.parametrize("filler", [" ", "(", "a(", "'", "a ", "1,", "&", "9", "a=", "!"])
def test_the_time_grows_with_the_length_and_not_its_square(tmp_path: Path, filler: str) -> None:
    start = time.process_time()
    try:
        _read(tmp_path, "&crystal lfactor " + filler * 200_000)
    except InputError as error:
        assert "CONTROL" in str(error)
    assert time.process_time() - start < 4.0
