"""Force constants of a crystal that were computed elsewhere, from first principles for example, as files of phono3py.

The structure is that of phono3py_disp.yaml, phono3py_params.yaml or phono3py.yaml. The third order is fc3.hdf5 with
fc2.hdf5 beside it, or the forces on displaced supercells (FORCES_FC3, and FORCES_FC2 where the second order has a
supercell of its own), of which phono3py makes force constants; what a file holds tells which. There is no energy: all
that follows is lattice dynamics.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import require_file

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.crystal.force_constants import CrystalForceConstants

UNIT_CELL = "unit_cell"
"""Block of a phono3py.yaml with the cell that the user gave."""


@dataclasses.dataclass(frozen=True)
class ImportedForceConstants:
    """Both orders in files that exist."""

    structure: Path
    """A yaml file of phono3py."""
    third: Path | None = None
    """fc3.hdf5 or FORCES_FC3; None where the forces stand in the yaml file itself."""
    second: Path | None = None
    """fc2.hdf5 or FORCES_FC2."""

    def fingerprint(self) -> bytes:
        """SHA-256 of what the files hold, whatever they are called."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> bytes:
        """Found once: fc3.hdf5 is large."""
        files = (self.structure, self.third, self.second)
        return bytes.fromhex(digest("force constants", *(None if path is None else _sha256(path) for path in files)))

    @functools.cached_property
    def primitive(self) -> Atoms:
        """The primitive cell that the yaml file names; reading it takes no force constants.

        Raises
        ------
        InputError
            Where the file is none of phono3py's.
        """
        from ldmd.force_constants.exchange import phono3py

        return phono3py.read_structures(self.structure)[1].primitive

    @functools.cached_property
    def unit(self) -> Atoms:
        """The cell that was given to phono3py, the conventional one as a rule; else the primitive cell.

        Raises
        ------
        InputError
            As ``primitive``.
        """
        from ldmd.force_constants.exchange import phonopy

        if not phonopy.has_block(self.structure, UNIT_CELL):
            return self.primitive
        return phonopy.read_structure(self.structure, UNIT_CELL).atoms

    @functools.cached_property
    def constants(self) -> CrystalForceConstants:
        """Both orders.

        Raises
        ------
        InputError
            Where phono3py is missing, or a file is of another kind or another crystal.
        """
        import h5py
        import numpy as np

        found = self._finished() if self.third is not None and h5py.is_hdf5(self.third) else self._of_forces()
        if not np.allclose(found.primitive.cell.array, self.primitive.cell.array, atol=1e-5):
            raise InputError("potential.parameters", self.structure, "its primitive cell is not that of its supercell")
        return found

    def _finished(self) -> CrystalForceConstants:
        from ldmd.crystal.force_constants import CrystalForceConstants
        from ldmd.force_constants.exchange import phono3py

        if self.second is None:
            raise InputError("potential.second", "missing", f"{self.third} is the third order; name fc2.hdf5, too")
        second, third = phono3py.read(self.structure, self.second, self.third)
        assert second is not None and third is not None  # both were named
        return CrystalForceConstants(second, third)

    def _of_forces(self) -> CrystalForceConstants:
        from ldmd.crystal.force_constants import read_forces

        try:
            return read_forces(self.structure, self.third, self.second)
        except InputError as error:
            if self.third is not None or error.field != "force constants":
                raise
            fix = f"{self.structure} holds no forces; name fc3.hdf5 or FORCES_FC3"
            raise InputError("potential.third", "missing", fix) from error
        except (ValueError, KeyError, IndexError, RuntimeError, TypeError, AssertionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            fix = f"phono3py cannot read it with {self.structure} ({reason}); give its fc3.hdf5 or FORCES_FC3"
            raise InputError("potential.third", self.third or self.structure, fix) from error


def _sha256(path: Path) -> str:
    with require_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
