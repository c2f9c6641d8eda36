"""A case with its structure and potential loaded, and the force constants that follow from them."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from ldmd.case import Case
from ldmd.digest import digest
from ldmd.settings import Settings

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.force_constants.second import SecondOrder
    from ldmd.force_constants.third import ThirdOrder
    from ldmd.inspection import Inspection
    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import AsePotential
    from ldmd.structures import NeighbourGraph

NOT_A_MINIMUM = 1e-3
"""eV/Angstrom: with larger forces the structure was not relaxed with this potential at all."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A case with its structure and potential loaded and found fit for each other."""

    case: Case
    settings: Settings
    atoms: Atoms
    potential: SitePotential | AsePotential

    @property
    def differentiable(self) -> SitePotential | None:
        """The potential, if it can be differentiated: then it gives the heat flux, too."""
        from ldmd.potentials.black_box import AsePotential

        return None if isinstance(self.potential, AsePotential) else self.potential

    @property
    def site_potential(self) -> SitePotential:
        """The same where only that will do: the dynamics."""
        potential = self.differentiable
        assert potential is not None, "the dynamics of a black box give no heat flux; callers look first"
        return potential

    @functools.cached_property
    def inspection(self) -> Inspection:
        """What the structure looks like under the potential."""
        from ldmd.inspection import inspect_structure

        return inspect_structure(self.atoms, self.potential)

    @functools.cached_property
    def system(self) -> str:
        """Digest of structure and potential."""
        atoms = self.atoms
        return digest(atoms.numbers, atoms.positions, atoms.cell.array, self.potential.fingerprint())

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
        potential = self._differentiated
        if potential is None:
            return self.differences.third
        from ldmd.force_constants.autodiff import third_order

        return third_order(potential, self.atoms.positions, self._graph(potential))

    @property
    def _differentiated(self) -> SitePotential | None:
        return None if self.settings.lattice.force_constants == "finite-differences" else self.differentiable

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
    from ldmd.errors import InputError
    from ldmd.potentials.black_box import AsePotential, require_knows
    from ldmd.potentials.reading import read_potential
    from ldmd.structures import read_structure, require_fits

    atoms = read_structure(case.structure)
    potential = read_potential(case.settings.potential, case.folder)
    if isinstance(potential, AsePotential):
        require_knows(atoms, potential)
    else:
        require_fits(atoms, potential.species, potential.switching)
    problem = Problem(case, settings, atoms, potential)
    force = problem.inspection.largest_force
    if not force <= NOT_A_MINIMUM:
        fix = f"not at a minimum of this potential (limit {NOT_A_MINIMUM:g}); run: ldmd relax {case.folder}"
        raise InputError("material.structure", f"largest force {force:.3g} eV/Angstrom", fix)
    return problem
