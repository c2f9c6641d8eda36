"""A case with its structure and potential loaded, and the force constants that follow from them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ldmd.case import Case
from ldmd.digest import digest
from ldmd.errors import InputError
from ldmd.settings import Settings
from ldmd.subject import IMPORTED

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.crystal.force_constants import CrystalForceConstants
    from ldmd.crystal.imported import ImportedForceConstants
    from ldmd.force_constants.finite_differences import Accuracy
    from ldmd.force_constants.second import SecondOrder
    from ldmd.force_constants.third import ThirdOrder
    from ldmd.inspection import Inspection
    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import AsePotential
    from ldmd.potentials.evaluations import Evaluations
    from ldmd.results import Check
    from ldmd.store import Store
    from ldmd.structures import NeighbourGraph

EXACT = 1e-9
"""Violation of a sum rule, relative to the largest element, that rounding never reaches."""
LARGEST_CRYSTAL = 60
"""Atoms of a primitive cell whose copies are a crystal, which meshes of wave vectors are for; a larger one may be a
piece of glass that somebody repeated."""
MANY_COPIES = 8
"""Of a primitive cell: from so many on, most modes at Gamma are degenerate with others."""
NOT_A_MINIMUM = 1e-3
"""eV/Angstrom: with larger forces the structure was not relaxed with this potential at all."""


@dataclasses.dataclass(frozen=True)
class Differences:
    """Force constants by finite differences, and what was checked of them."""

    second: SecondOrder
    third: ThirdOrder
    accuracy: tuple[Accuracy, Accuracy]
    """Of the second and of the third order."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Is the black box repeatable, and is the scatter of its differences explained."""
        return (*self.accuracy[0].checks, *self.accuracy[1].checks)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A case with its structure and potential loaded and found fit for each other."""

    case: Case
    settings: Settings
    atoms: Atoms
    """The box of the dynamics: of a crystal, repeated unit cells."""
    potential: SitePotential | AsePotential | ImportedForceConstants
    unit: Atoms | None = None
    """The unit cell of a crystal."""
    remarks: tuple[str, ...] = ()
    """What of the file of the structure was left out, and masses that are not the standard ones."""

    @property
    def quick(self) -> bool:
        """Whether the settings are other ones than those of the case: shortened for a first look."""
        return self.settings != self.case.settings

    @property
    def imported(self) -> ImportedForceConstants | None:
        """Force constants that stand in place of a potential, if they do."""
        from ldmd.crystal.imported import ImportedForceConstants

        return self.potential if isinstance(self.potential, ImportedForceConstants) else None

    @property
    def differentiable(self) -> SitePotential | None:
        """The potential, if it can be differentiated: then it gives the heat flux, too."""
        from ldmd.crystal.imported import ImportedForceConstants
        from ldmd.potentials.black_box import AsePotential

        return None if isinstance(self.potential, AsePotential | ImportedForceConstants) else self.potential

    @property
    def site_potential(self) -> SitePotential:
        """The same where only that will do: the dynamics."""
        potential = self.differentiable
        assert potential is not None, "the dynamics of a black box give no heat flux; callers look first"
        return potential

    @property
    def store(self) -> Store:
        """Results in the case folder: those of all its potentials, told apart by their digests."""
        from ldmd.store import Store

        return Store(self.case.folder / ".ldmd", self.case.potential)

    @functools.cached_property
    def inspection(self) -> Inspection:
        """What the structure looks like under the potential."""
        from ldmd.crystal.imported import ImportedForceConstants
        from ldmd.inspection import inspect_structure

        potential = self.potential
        known = None if isinstance(potential, ImportedForceConstants) else potential
        return inspect_structure(self.atoms, known, crystal=self.unit is not None)

    @functools.cached_property
    def system(self) -> str:
        """Digest of structure and potential; in reports it names what was computed."""
        atoms, beyond = self.atoms, self._beyond(self.atoms)
        geometry = digest(atoms.numbers, atoms.positions, atoms.cell.array, self.potential.fingerprint())
        return digest(geometry, beyond) if beyond else geometry

    def described(self, atoms: Atoms) -> dict[str, Any]:
        """All of atoms and potential that a result depends on, by name: the box of the dynamics or the primitive cell.

        Raises
        ------
        InputError
            For what a black box could look at but cannot be compared with what was there before.
        """
        geometry = {"species": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array}
        return {**geometry, "potential": self.potential.fingerprint(), **self._beyond(atoms)}

    def _beyond(self, atoms: Atoms) -> dict[str, Any]:
        """Masses that are not the standard ones, and what a black box can look at besides."""
        from ldmd.potentials.black_box import AsePotential
        from ldmd.visible import seen_by_calculators, seen_by_dynamics

        black_box = isinstance(self.potential, AsePotential)
        return seen_by_calculators(atoms) if black_box else seen_by_dynamics(atoms)

    @property
    def born_charges(self) -> dict[str, bytes]:
        """The contents of the BORN file of a crystal, if it has one.

        Raises
        ------
        InputError
            Where the file is missing.
        """
        if self.settings.crystal is None or self.settings.crystal.born is None:
            return {}
        from ldmd.force_constants.exchange.files import require_file

        return {"born": require_file(self.case.folder / self.settings.crystal.born).read_bytes()}

    @functools.cached_property
    def primitive(self) -> Atoms:
        """The primitive cell of a crystal: one for all descriptions of it (``ldmd.crystal.description``)."""
        from ldmd.crystal.description import standard_primitive

        if self.imported is not None:
            return self.imported.primitive
        assert self.unit is not None, "a glass has no primitive cell; callers look first"
        return standard_primitive(self.unit)

    def along_primitive(self, key: str, given: tuple[int, int, int]) -> tuple[int, int, int]:
        """What is given for the unit cell of a crystal, as divisions of (or cells along) its primitive vectors.

        Raises
        ------
        InputError
            Where it lacks the symmetry of the crystal; ``key`` is the setting it is from.
        """
        from ldmd.crystal.description import standard_divisions

        if self.imported is not None:
            return given
        assert self.unit is not None, "a glass has no primitive cell; callers look first"
        return standard_divisions(self.unit, self.primitive, given, f"crystal.{key}")

    @functools.cached_property
    def force_constant_supercell(self) -> tuple[int, int, int] | None:
        """Primitive cells along each vector in the supercell of a crystal's force constants, if that is given."""
        given = None if self.settings.crystal is None else self.settings.crystal.force_constants
        return None if given is None else self.along_primitive("force_constants", given)

    @functools.cached_property
    def box(self) -> np.ndarray:
        """(3, 3) integers: vectors of the box of the dynamics, by rows, in primitive ones."""
        return np.rint(self.atoms.cell.array @ np.linalg.inv(self.primitive.cell.array)).astype(int)

    @functools.cached_property
    def crystal(self) -> CrystalForceConstants:
        """Force constants of a crystal: exact, finite differences in the box of the dynamics, or those of files.

        Raises
        ------
        InputError
            Where the black box fails (what it has answered is kept), or files cannot be read.
        """
        from ldmd.crystal.force_constants import by_differences, exact

        if self.imported is not None:
            return self.imported.constants
        potential = self._differentiated
        if potential is not None:
            return exact(potential, self.primitive, self.force_constant_supercell)
        given = self.force_constant_supercell
        matrix = self.box if given is None else np.array(given)
        with self.evaluations() as asked:
            return by_differences(
                asked, self.primitive, matrix, cutoff=self.pair_cutoff, step=self.settings.lattice.displacement
            )

    @functools.cached_property
    def second(self) -> SecondOrder:
        """Second-order force constants: exact and quick to recompute, or finite differences."""
        potential = self._differentiated
        if potential is None:
            return self.differences.second
        from ldmd.force_constants.autodiff import second_order

        return second_order(potential, self.atoms.positions, self._graph(potential))

    @functools.cached_property
    def third(self) -> ThirdOrder:
        """Third-order force constants as an operator."""
        exact = None if self.by_differences else self.exact_third
        return self.differences.third if exact is None else exact

    @functools.cached_property
    def exact_third(self) -> ThirdOrder | None:
        """The same by automatic differentiation, whatever is in use; None for a black box."""
        potential = self.differentiable
        if potential is None:
            return None
        from ldmd.force_constants.autodiff import third_order

        return third_order(potential, self.atoms.positions, self._graph(potential))

    @functools.cached_property
    def differences(self) -> Differences:
        """Force constants by finite differences; every evaluation of the forces is kept in the case folder.

        Raises
        ------
        InputError
            Where the black box fails; what it has answered is kept.
        """
        from ldmd.force_constants.finite_differences import second_order, third_order

        settings = self.settings.lattice
        with self.evaluations() as asked:
            two = second_order(self.atoms, asked, settings.displacement)
            three = third_order(self.atoms, asked, self.pair_cutoff, settings.displacement)
        return Differences(two.second, three.third, (two.accuracy, three.accuracy))

    def evaluations(self) -> contextlib.AbstractContextManager[Evaluations]:
        """Forces as a black box gives them, each asked for once in the life of the case folder."""
        from ldmd.potentials.black_box import AsePotential
        from ldmd.potentials.evaluations import evaluations
        from ldmd.potentials.reading import as_black_box

        potential = self.potential
        if not isinstance(potential, AsePotential):
            potential = as_black_box(self.settings.potential, self.case.folder, self.atoms.get_chemical_symbols())
        return evaluations(potential, self.case.folder / ".ldmd" / "forces.record")

    @property
    def residual_limits(self) -> dict[str, float]:
        """Violations of sum rules, relative to the largest element, that the making of force constants explains.

        Exact derivatives have rounding only. The largest of many sums over N elements with errors e of finite
        differences is some 5 e sqrt(3N).
        """
        if not self.by_differences:
            return {"second": EXACT, "third": EXACT}
        terms = 5.0 * math.sqrt(3.0 * len(self.atoms))
        largest = (abs(self.differences.second.matrix).max(), abs(self.differences.third.elements()[1]).max())
        return {
            order: EXACT + terms * accuracy.step.error / float(size)
            for order, accuracy, size in zip(("second", "third"), self.differences.accuracy, largest, strict=True)
        }

    @property
    def pair_cutoff(self) -> float | None:
        """How far apart the two displaced atoms of third-order differences may be (Angstrom); None is no limit.

        Of three atoms within reach r of a centre, two are closer than sqrt(3) r.
        """
        given, known = self.settings.lattice.pair_cutoff, self.differentiable
        return math.sqrt(3.0) * float(known.switching.max()) if given is None and known is not None else given

    @property
    def by_differences(self) -> bool:
        """Whether force constants are finite differences that are made here."""
        if self.imported is not None:
            return False
        wanted = self.settings.lattice.force_constants == "finite-differences"
        return wanted or self.differentiable is None

    @property
    def _differentiated(self) -> SitePotential | None:
        return None if self.by_differences else self.differentiable

    def _graph(self, potential: SitePotential) -> NeighbourGraph:
        from ldmd.structures import neighbour_graph

        return neighbour_graph(self.atoms, potential.species, potential.switching)


def load_problem(case: Case, settings: Settings) -> Problem:
    """Read structure and potential of a case.

    Raises
    ------
    InputError
        For anything about them that makes a computation impossible, a structure far from a minimum included.
    """
    from ldmd.cells import in_reduced_cell
    from ldmd.potentials.black_box import AsePotential, require_knows
    from ldmd.potentials.reading import read_potential
    from ldmd.structure_files import read_structure_file
    from ldmd.structures import require_fits

    if settings.potential.kind == IMPORTED:
        return _load_imported(case, settings)
    found = read_structure_file(case.structure)
    unit = found.atoms
    atoms = in_reduced_cell(unit if settings.crystal is None else unit.repeat(settings.crystal.supercell))
    potential = read_potential(case.settings.potential, case.folder, set(atoms.get_chemical_symbols()))
    if isinstance(potential, AsePotential):
        require_knows(atoms, potential)
        if settings.lattice.force_constants == "autodiff":
            raise InputError("lattice.force_constants", "autodiff", "a black box has no derivatives; leave it out")
    else:
        field = "material.structure" if settings.crystal is None else "crystal.supercell"
        require_fits(atoms, potential.species, potential.switching, field)
    problem = Problem(case, settings, atoms, potential, None if settings.crystal is None else unit, found.remarks)
    problem.described(atoms)
    force = problem.inspection.largest_force
    if not force <= NOT_A_MINIMUM:
        from ldmd.conservative_forces import require_conservative

        require_conservative(problem)  # of forces that are wrong or noisy there is no minimum to relax to
        fix = f"not at a minimum of this potential (limit {NOT_A_MINIMUM:g}); run: ldmd relax {case.on_command_line}"
        raise InputError("material.structure", f"largest force {force:.3g} eV/Angstrom", fix)
    return problem


def require_disorder(problem: Problem) -> None:
    """Refuse to compare the two methods for a perfect crystal that is given as if it were a glass.

    Its modes at Gamma of the given cell are degenerate, and in a small cell find nothing to scatter with.

    Raises
    ------
    InputError
        For many copies of a small primitive cell without a [crystal] section.
    """
    from ldmd.force_constants.crystal_symmetry import copies_in

    if problem.unit is not None:
        return
    atoms = problem.atoms
    copies = copies_in(atoms)
    size = len(atoms) // copies
    if len(atoms) == 1 or (copies >= MANY_COPIES and size <= LARGEST_CRYSTAL):
        value = f"{copies} {'copy' if copies == 1 else 'copies'} of a cell of {size} {'atom' if size == 1 else 'atoms'}"
        fix = "a perfect crystal: give one unit cell as the structure and add a [crystal] section"
        raise InputError("material.structure", value, fix)


def _load_imported(case: Case, settings: Settings) -> Problem:
    """With the unit cell that the force constants bring along; they themselves are read when they are needed."""
    from ldmd.potentials.reading import read_force_constants

    assert settings.crystal is not None, "as its settings require"
    if settings.lattice.force_constants != "auto":
        fix = "force constants of files are made already; leave it out"
        raise InputError("lattice.force_constants", settings.lattice.force_constants, fix)
    found = read_force_constants(settings.potential, case.folder)
    return Problem(case, settings, found.unit.repeat(settings.crystal.supercell), found, found.unit)
