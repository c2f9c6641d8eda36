"""Structure files with mistakes in them: a structure or one line, whatever the mistake; and nothing else, soon."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from ldmd.errors import InputError
from ldmd.structure_files import read_structure, write_structure

FORMATS = {
    "a.extxyz": "extxyz",
    "POSCAR": "vasp",
    "a.cif": "cif",
    "a.xsf": "xsf",
    "a.gen": "gen",
    "a.data": "lammps-data",
}
PIECES = st.sampled_from(
    ["", "\n", " ", "0", "-1", "nan", "1e308", "1e-308", "1000000000", "*" * 12, '"', "'", "{", "=", ":", "#", "\0"]
    + ["Lattice=", "Properties=", "T", "X", "si", "0.5D+01", "_JSON ", "\\", "é", "atoms", "Masses", "loop_", "Direct"]
)


def sound(name: str) -> str:
    atoms = bulk("GaAs", "zincblende", a=5.65, cubic=True)[[0, 2, 4, 6, 1, 3, 5, 7]]
    buffer = io.BytesIO() if FORMATS[name] == "cif" else io.StringIO()
    more = {"masses": True} if FORMATS[name] == "lammps-data" else {}
    write(buffer, atoms, format=FORMATS[name], **more)
    text = buffer.getvalue()
    return text.decode() if isinstance(text, bytes) else text


TEXTS = {name: sound(name) for name in FORMATS}


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.sampled_from([0, 0, 1, 1, 3, 10, 100]))
        piece = draw(PIECES) if draw(st.booleans()) else text[start:end] * draw(st.integers(0, 3))
        text = text[:start] + piece + text[end:]
    return text


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_with_mistakes_is_read_or_refused_in_one_line(name: str, data: st.DataObject) -> None:
    text = data.draw(mutated(TEXTS[name]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text.encode())
        start = time.monotonic()
        try:
            atoms = read_structure(path)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert np.isfinite(atoms.positions).all() and (atoms.get_masses() > 0.0).all() and atoms.get_volume() > 0.0
        assert time.monotonic() - start < 5.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_what_is_written_is_read_again(seed: int, count: int) -> None:
    """Positions to the decimals that are written, everything else exactly."""
    generator = np.random.default_rng(seed)
    cell = np.eye(3) * 5.0 + generator.uniform(-1.0, 1.0, (3, 3))
    atoms = Atoms(generator.choice([1, 8, 14, 29], count), cell=cell, pbc=True)
    atoms.set_scaled_positions(generator.uniform(size=(count, 3)))
    atoms.set_masses(atoms.get_masses() * generator.uniform(0.9, 1.1, count))
    atoms.set_initial_magnetic_moments(generator.normal(size=(count, 3) if seed % 2 else count))
    atoms.set_initial_charges(generator.normal(size=count) * 10.0 ** generator.integers(-9, 9, count))
    atoms.new_array("group", generator.integers(-5, 5, (count, 2)))
    atoms.info["total_charge"] = float(generator.normal())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.extxyz"
        write_structure(atoms, path)
        back = read_structure(path)
    np.testing.assert_allclose(back.get_scaled_positions(), atoms.get_scaled_positions(), rtol=0.0, atol=1e-11)
    for name in set(atoms.arrays) - {"positions"}:
        np.testing.assert_array_equal(back.arrays[name], atoms.arrays[name])
    assert back.info == atoms.info
