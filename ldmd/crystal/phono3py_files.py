"""Files of phono3py from which phono3py itself makes force constants: displacements in yaml, and forces.

phono3py's own reader of yaml runs what tags in a file say, so that it is given a copy of the file's text only after
that was read safely. It works in an empty folder, for it prefers an fc3.hdf5 that happens to lie in the working one to
files that are named.
"""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import importlib
import lzma
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ldmd.crystal.electrostatics import in_yaml
from ldmd.crystal.force_constants import CrystalForceConstants, from_phono3py
from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import peer, require_file
from ldmd.force_constants.exchange.kinds import from_phonopy
from ldmd.foreign import reading
from ldmd.safe_files import read_yaml

LARGEST_FORCES = 2e9
"""Bytes of a file of forces, unpacked."""
UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
"""Compressed files that phono3py knows, by their endings."""
CHUNK = 1 << 20
FAILURE = "phono3py cannot read it ({reason}); give its fc3.hdf5 or FORCES_FC3 with the yaml file of the displacements"


def read_forces(structure: Path, third: Path | None = None, second: Path | None = None) -> CrystalForceConstants:
    """From phono3py's own files: phono3py_disp.yaml (or phono3py.yaml), FORCES_FC3, and FORCES_FC2 where it exists.

    phono3py makes force constants of them, symmetrised its way; of random displacements with symfc. Without ``third``
    the forces stand in the yaml file, as in phono3py_params.yaml. For finished force constants (fc2.hdf5, fc3.hdf5) see
    ``ldmd.force_constants.exchange.phono3py``. Born charges of the yaml file come along.

    Raises
    ------
    InputError
        Where phono3py or a file is missing, a file is damaged or holds tags, or there are no forces.
    """
    peer("phono3py", "phono3py")
    text, content = read_yaml(require_file(structure))
    named = third or structure
    if not isinstance(content, Mapping):
        raise InputError("structure", structure, "is no yaml file of phono3py")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "phono3py.yaml").write_text(text, encoding="utf-8")
        forces = [_copied(path, place / name) for path, name in ((third, "THIRD"), (second, "SECOND"))]
        random = _random(content, forces[0])
        if random:
            peer("symfc", "symfc")
        with reading("force constants", named, FAILURE, _errors_of_spglib()), contextlib.chdir(folder):
            program = _loaded(place / "phono3py.yaml", forces, random)
    found = from_phono3py(program)
    listed = from_phonopy(program.primitive)
    return dataclasses.replace(found, electrostatics=in_yaml(content, structure, listed, found.primitive))


def _loaded(yaml: Path, forces: list[Path | None], random: bool) -> Any:
    """A ``Phono3py`` object with force constants; without symfc's projector where that finds nothing to keep."""
    load = peer("phono3py", "phono3py").load
    given = {"forces_fc3_filename": forces[0], "forces_fc2_filename": forces[1], "is_nac": False, "log_level": 0}
    if random:
        return load(yaml, fc_calculator="symfc", **given)
    try:
        return load(yaml, **given)
    except (AssertionError, ImportError):  # symfc is missing, or its space of third orders is empty
        return load(yaml, fc_calculator="traditional", **given)


def _random(content: Mapping[str, Any], forces: Path | None) -> bool:
    """Whether all atoms were displaced at once: then each line of forces has its displacement in front."""
    listed = content.get("displacements")
    if "dataset" in content or (isinstance(listed, list) and listed and isinstance(listed[0], list)):
        return True
    if forces is None:
        return False
    with forces.open(encoding="utf-8", errors="replace") as file:
        lines = (line.split() for _, line in zip(range(1000), file, strict=False))
        words = next((line for line in lines if line and not line[0].startswith("#")), [])
    return len(words) == 6


def _errors_of_spglib() -> tuple[type[BaseException], ...]:
    """What spglib raises of a cell that it cannot understand; old versions of it raise nothing."""
    try:
        return (importlib.import_module("spglib.error").SpglibError,)
    except ImportError:
        return ()


def _copied(source: Path | None, target: Path) -> Path | None:
    """A plain copy of a file, unpacked where its name says that it is packed, of bounded size."""
    if source is None:
        return None
    unpack = UNPACK.get(require_file(source).suffix)
    size = 0
    with reading("force constants", source, "cannot be unpacked ({reason})"):
        with unpack(source) if unpack else source.open("rb") as packed, target.open("wb") as plain:
            while chunk := packed.read(CHUNK):
                size += len(chunk)
                if size > LARGEST_FORCES:
                    fix = f"holds more than {1e-9 * LARGEST_FORCES:g} GB, the most that is read"
                    raise InputError("force constants", source, fix)
                plain.write(chunk)
    return target


def require_finite(constants: CrystalForceConstants, source: object) -> None:
    """Refuse force constants that are not numbers.

    Raises
    ------
    InputError
        Where one of them is not finite.
    """
    assert constants.second.second is not None and constants.third.third is not None
    for order, values in ((2, constants.second.second.data), (3, constants.third.third.values)):
        if not np.isfinite(values).all():
            raise InputError("force constants", source, f"holds numbers of order {order} that are not finite")
