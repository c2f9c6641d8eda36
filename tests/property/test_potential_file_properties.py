"""Files of potentials with mistakes in them: read to numbers that make sense, or refused in one line, and soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated
from nep_models import write_nep

from ldmd.errors import InputError
from ldmd.potentials.base import SitePotential
from ldmd.potentials.ends import radius_table
from ldmd.potentials.nep import read_nep
from ldmd.potentials.stillinger_weber import read_stillinger_weber
from ldmd.potentials.tersoff import read_tersoff

LONGEST = 5.0
"""Seconds of this process: nothing is waited for."""
CASES = Path(__file__).resolve().parents[2] / "cases"
READERS: dict[str, Callable[[Path], SitePotential]] = {
    "tersoff": read_tersoff,
    "stillinger-weber": read_stillinger_weber,
    "nep": read_nep,
    "nep3": read_nep,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The contents of a sound file of each kind."""
    folder = tmp_path_factory.mktemp("sound")
    flexible = [0.5, 3.1, 0.2, 0.3, 0.5, 0.09, 0.3, 0.04, 0.1, 0.2] * 3
    form = {"functions": (1, 1), "polynomials": (2, 1), "neurons": 2}
    two = ("Si", "Ge")
    nep = write_nep(folder / "nep.txt", "nep5_zbl", two, "5 4 4.2 3.6 50 40", "2 2 1", "0 0", flexible=flexible, **form)
    nep3 = write_nep(folder / "nep3.txt", "nep3_zbl", two, "5 4 50 40 1.5 1.2 0.7", "3 1 0", "1 2", **form)
    return {
        "tersoff": (CASES / "silica" / "SiO.tersoff").read_bytes(),
        "stillinger-weber": (CASES / "silicon" / "Si.sw").read_bytes(),
        "nep": nep.read_bytes(),
        "nep3": nep3.read_bytes(),
    }


def accepted(read: Callable[[Path], SitePotential], path: Path) -> bool:
    """Whether a file is read; then its radii are sound, and it was no long wait in either case."""
    start = time.process_time()
    try:
        potential = read(path)
    except InputError as error:
        line = str(error).replace(str(path), "")
        assert "\n" not in line and line.isprintable() and len(line) < 600, line
        return False
    finally:
        assert time.process_time() - start < LONGEST
    radii = radius_table(potential)
    assert np.isfinite(radii).all() and (radii >= 0.0).all() and 0.0 < radii.max() <= 30.0
    assert potential.species
    return True


@pytest.mark.parametrize("kind", READERS)
def test_sound_files_are_accepted(tmp_path: Path, sound: dict[str, bytes], kind: str) -> None:
    (tmp_path / "file").write_bytes(sound[kind])
    assert accepted(READERS[kind], tmp_path / "file")


@pytest.mark.parametrize("kind", READERS)
def test_mutated_files_are_read_or_refused(tmp_path: Path, sound: dict[str, bytes], kind: str) -> None:
    generator, counts = np.random.default_rng(3), {True: 0, False: 0}
    for _ in range(300):
        (tmp_path / "file").write_bytes(mutated(sound[kind], generator))
        counts[accepted(READERS[kind], tmp_path / "file")] += 1
    assert min(counts.values()) > 5, "mistakes are neither all harmless nor all fatal"


@settings(max_examples=60)
@given(text=st.text(st.sampled_from("Si Ge 0123456789.eD+-*#\nnanep_zbl cutoff"), max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    for prefix in ("", "Si Si Si ", "nep4 1 Si\n"):
        path.write_text(prefix + text, encoding="utf-8")
        for read in READERS.values():
            accepted(read, path)
