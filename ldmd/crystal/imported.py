"""Force constants of a crystal that were computed elsewhere, from first principles for example, as files of phono3py.

The structure is that of phono3py_disp.yaml, phono3py_params.yaml or phono3py.yaml. The third order is fc3.hdf5 with
fc2.hdf5 beside it, or the forces on displaced supercells (FORCES_FC3, and FORCES_FC2 where the second order has a
supercell of its own), of which phono3py makes force constants; what a file holds tells which. There is no energy: all
that follows is lattice dynamics.

Files are taken as they are but for three things. Rigid translations and permutations are made to cost nothing by the
least change that does so, and a check says how large that is. Born charges of the yaml file, or of a file BORN beside
it, come along, as in phono3py. Left-handed lattice vectors are all turned around, which is the same lattice, with the
same divisions of its reciprocal vectors: programs that divide by the volume get it positive.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import require_file
from ldmd.results import Check

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.crystal.electrostatics import Electrostatics
    from ldmd.crystal.force_constants import CrystalForceConstants
    from ldmd.force_constants.crystal_projection import Restoration
    from ldmd.force_constants.exchange.supercell import Supercell

UNIT_CELL = "unit_cell"
"""Block of a phono3py.yaml with the cell that the user gave."""
BORN = "BORN"
"""File of Born charges that phono3py reads where it lies beside the others."""
MENDED = {2: 1e-2, 3: 3e-2}
"""By order, the change that the sum rules may ask for, over the norm of the elements."""
MASSES_DIFFER = 1e-4
"""amu, between two blocks of one file."""


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
        files = (self.structure, self.third, self.second, self.born)
        return bytes.fromhex(digest("force constants", *(None if path is None else _sha256(path) for path in files)))

    @property
    def born(self) -> Path | None:
        """The file BORN beside the structure, if there is one."""
        beside = self.structure.parent / BORN
        return beside if beside.is_file() else None

    @functools.cached_property
    def primitive(self) -> Atoms:
        """The primitive cell that the yaml file names; reading it takes no force constants.

        Raises
        ------
        InputError
            Where the file is none of phono3py's.
        """
        from ldmd.force_constants.exchange import phono3py

        return right_handed_atoms(phono3py.read_structures(self.structure)[1].primitive)

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
        return right_handed_atoms(phonopy.read_cell(self.structure, UNIT_CELL))

    @functools.cached_property
    def constants(self) -> CrystalForceConstants:
        """Both orders, of ``primitive``, with the charges and the checks of the import.

        Raises
        ------
        InputError
            Where phono3py is missing, or a file is of another kind or another crystal.
        """
        import h5py

        from ldmd.crystal.force_constants import CrystalForceConstants
        from ldmd.crystal.phono3py_files import require_finite
        from ldmd.crystal.reach import end_checks
        from ldmd.crystal.symmetry_of_waves import symmetry_check
        from ldmd.force_constants.crystal_projection import restored

        found = self._finished() if self.third is not None and h5py.is_hdf5(self.third) else self._of_forces()
        require_finite(found, self.third or self.structure)
        of_third = self._of_primitive(found.third.supercell)
        same = found.second.supercell is found.third.supercell
        of_second = of_third if same else self._of_primitive(found.second.supercell)
        second, mended = restored(found.second.in_order_of(of_second))
        third, too = restored(found.third.in_order_of(of_third))
        checks = (*_mended_checks((*mended, *too)), *end_checks(second, third), symmetry_check(second))
        return CrystalForceConstants(second, third, electrostatics=self._electrostatics(found), found_on_import=checks)

    def _finished(self) -> CrystalForceConstants:
        from ldmd.crystal.electrostatics import in_yaml
        from ldmd.crystal.force_constants import CrystalForceConstants
        from ldmd.force_constants.exchange import phono3py
        from ldmd.force_constants.exchange.supercell import matched
        from ldmd.safe_files import load_yaml

        if self.second is None:
            raise InputError("potential.second", "missing", f"{self.third} is the third order; name fc2.hdf5, too")
        second, third = phono3py.read(self.structure, self.second, self.third)
        assert second is not None and third is not None  # both were named
        primitive, listed = third.supercell.primitive, second.supercell.primitive
        if second.supercell is not third.supercell:
            second = second.in_order_of(matched(primitive, second.supercell.atoms))
        charges = in_yaml(load_yaml(self.structure), self.structure, listed, primitive)
        return CrystalForceConstants(second, third, electrostatics=charges)

    def _of_forces(self) -> CrystalForceConstants:
        from ldmd.crystal.phono3py_files import read_forces

        try:
            return read_forces(self.structure, self.third, self.second)
        except InputError as error:
            if error.field != "force constants":
                raise
            if self.third is None:
                fix = f"{self.structure} holds no forces; name fc3.hdf5 or FORCES_FC3"
                raise InputError("potential.third", "missing", fix) from error
            raise InputError("potential.third", self.third, error.fix) from error

    def _electrostatics(self, found: CrystalForceConstants) -> Electrostatics | None:
        """Of the yaml file before those of a file BORN beside it; of the atoms of ``primitive`` in their order."""
        from ldmd.crystal.electrostatics import read_born
        from ldmd.force_constants.exchange.supercell import matched

        if found.electrostatics is None:
            return None if self.born is None else read_born(self.born, self.primitive)
        sites = matched(found.primitive, self.primitive).sites
        return dataclasses.replace(found.electrostatics, born=found.electrostatics.born[sites])

    def _of_primitive(self, supercell: Supercell) -> Supercell:
        """The same atoms as copies of ``primitive``, in a right-handed cell."""
        from ldmd.force_constants.exchange.supercell import matched

        try:
            found = matched(self.primitive, right_handed_atoms(supercell.atoms))
        except InputError as error:
            fix = "its primitive cell is not that of its supercell"
            raise InputError("potential.parameters", self.structure, fix) from error
        masses = self.primitive.get_masses()[found.sites]
        worst = int(np.argmax(np.abs(masses - supercell.atoms.get_masses())))
        if abs(masses[worst] - supercell.atoms.get_masses()[worst]) > MASSES_DIFFER:
            value = f"{masses[worst]:g} and {supercell.atoms.get_masses()[worst]:g} amu of one atom"
            raise InputError("masses", value, f"mend the blocks of {self.structure}, which differ")
        return found


def right_handed_atoms(atoms: Atoms) -> Atoms:
    """The same atoms; left-handed lattice vectors are turned around, all three."""
    if np.linalg.det(atoms.cell.array) > 0.0:
        return atoms
    turned = atoms.copy()
    turned.set_cell(-atoms.cell.array, scale_atoms=False)
    return turned


def _mended_checks(facts: Iterable[Restoration]) -> Iterable[Check]:
    advice = "so large a change, after which rigid translations cost no energy, means that force constants are missing"
    for one in facts:
        name = f"change that restored the sum rules of order {one.order}"
        yield Check(name, one.change, "<=", MENDED[one.order], "1", advice)


def _sha256(path: Path) -> str:
    with require_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
