"""Our potentials as ASE calculators, and black boxes as ASE calculators: the doors to everything that speaks ASE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from ldmd.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ldmd.potentials.base import SitePotential
    from ldmd.potentials.black_box import ForcePotential


class LdmdCalculator(Calculator):
    """A differentiable potential for ASE: energy, energies of the sites, forces and stress, all exact.

    Compiled code is kept while the number of neighbours does not grow. Cells of any size and shape, periodic in all
    directions.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]
    atoms: Any

    def __init__(self, potential: SitePotential) -> None:
        super().__init__()
        self.potential = potential
        self._slots: dict[tuple[int, ...], tuple[int, ...]] = {}

    def fingerprint(self) -> bytes:
        """That of the potential."""
        return self.potential.fingerprint()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute everything at once (called by ASE).

        Raises
        ------
        InputError
            For an element that the potential does not know, and for a cell that is not periodic.
        """
        from ldmd.potentials.base import energies_forces_virial, graph_parameters
        from ldmd.structures import neighbour_graph

        super().calculate(atoms, properties, system_changes)
        atoms, potential = self.atoms, self.potential
        unknown = sorted(set(atoms.get_chemical_symbols()) - set(potential.species))
        if unknown:
            fix = f"the potential knows only {', '.join(potential.species)}"
            raise InputError("material.structure", ", ".join(unknown), fix)
        if not atoms.pbc.all():
            raise InputError("material.structure", f"pbc {atoms.pbc}", "must be periodic in all three directions")
        key = tuple(atoms.numbers)
        graph = neighbour_graph(atoms, potential.species, potential.switching, slots=self._slots.get(key, ()))
        self._slots[key] = graph.slots
        energies, forces, virial = energies_forces_virial(
            potential.site_energies, atoms.positions, graph, graph_parameters(potential, graph)
        )
        stress = -np.asarray(virial) / atoms.get_volume()
        energy = float(np.sum(np.asarray(energies)))
        self.results = {
            "energy": energy,
            "free_energy": energy,
            "energies": np.array(energies),
            "forces": np.array(forces),
            "stress": full_3x3_to_voigt_6_stress(0.5 * (stress + stress.T)),
        }


def tersoff_calculator(parameters: str) -> LdmdCalculator:
    """The Tersoff potential of a LAMMPS parameter file, for ``calculator = "ldmd.potentials.calculator:..."``."""
    from ldmd.potentials.tersoff import read_tersoff

    return LdmdCalculator(read_tersoff(Path(parameters)))


class BlackBoxCalculator(Calculator):
    """A black box for ASE's optimisers: energy and forces."""

    implemented_properties = ["energy", "forces"]
    atoms: Any

    def __init__(self, potential: ForcePotential) -> None:
        super().__init__()
        self.potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy and forces (called by ASE)."""
        super().calculate(atoms, properties, system_changes)
        forces = self.potential.forces(self.atoms)
        results: dict[str, Any] = {"energy": self.potential.energy(self.atoms), "forces": forces}
        self.results = results
