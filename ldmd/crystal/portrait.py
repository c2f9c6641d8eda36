"""A crystal's portrait: what its force constants and energy say of it beside the conductivity.

Bands and density of states, thermal displacements, Grueneisen parameters, elastic constants, Debye temperatures and the
equation of state; what needs the energy itself is there for a potential that can be differentiated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ldmd.crystal import elasticity, equation_of_state
from ldmd.crystal.debye import DebyeTemperature, debye_temperature
from ldmd.crystal.description import even_divisions
from ldmd.crystal.dispersion import Bands, DensityOfStates, bands, density_of_states
from ldmd.crystal.elasticity import ElasticConstants
from ldmd.crystal.equation_of_state import EquationOfState
from ldmd.crystal.force_constants import CrystalForceConstants
from ldmd.crystal.grueneisen import Grueneisen, from_third_order
from ldmd.crystal.harmonic import Mesh, Polarity
from ldmd.crystal.mean_square_displacement import MeanSquareDisplacement, mean_square_displacement
from ldmd.potentials.base import SitePotential
from ldmd.results import Check

DENSITY_POINTS = 100_000
"""Modes, about, that the density of states is made of."""
DISPLACEMENT_POINTS = 15_000
GRUENEISEN_POINTS = 2_000
COARSEST = 4
"""Wave vectors along each reciprocal vector, at least."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Portrait:
    """Properties of a crystal at its volume."""

    bands: Bands
    density: DensityOfStates
    displacement: MeanSquareDisplacement
    grueneisen: Grueneisen
    elastic: ElasticConstants | None = None
    debye: DebyeTemperature | None = None
    equation: EquationOfState | None = None

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether the crystal is at rest and stable, and two routes to one number agree."""
        found: list[Check] = []
        if self.elastic is not None:
            found += self.elastic.checks
        if self.elastic is not None and self.equation is not None:
            found.append(equation_of_state.bulk_modulus_check(self.equation, self.elastic))
        return tuple(found)


def portrait(
    constants: CrystalForceConstants,
    temperatures: Sequence[float],
    potential: SitePotential | None = None,
    polarity: Polarity | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Portrait:
    """All properties; those of the energy with a potential only. ``progress`` takes shares of the work.

    A layer in empty space has elastic constants, but neither an equation of state nor a Debye temperature.

    Raises
    ------
    InputError
        Where phonopy is not installed.
    """
    second, primitive = constants.second, constants.primitive
    branches = 3 * len(primitive)
    path = bands(second, polarity=polarity)
    density = density_of_states(second, even_mesh(constants, DENSITY_POINTS // branches), polarity=polarity)
    progress(0.3)
    mesh = even_mesh(constants, DISPLACEMENT_POINTS // branches)
    displacement = mean_square_displacement(second, mesh, np.asarray(temperatures), polarity=polarity)
    coarse = even_mesh(constants, GRUENEISEN_POINTS // branches)
    grueneisen = from_third_order(second, constants.third, coarse, polarity)
    progress(0.3)
    if potential is None:
        return Portrait(bands=path, density=density, displacement=displacement, grueneisen=grueneisen)
    elastic = elasticity.elastic_constants(primitive, potential)
    if elastic.floppy:  # of a layer neither volume nor mean sound means anything
        return Portrait(bands=path, density=density, displacement=displacement, grueneisen=grueneisen, elastic=elastic)
    equation = equation_of_state.scan(primitive, equation_of_state.relaxed_energy(potential))
    progress(0.4)
    return Portrait(
        bands=path,
        density=density,
        displacement=displacement,
        grueneisen=grueneisen,
        elastic=elastic,
        debye=debye_temperature(elastic, density),
        equation=equation,
    )


def even_mesh(constants: CrystalForceConstants, points: int) -> Mesh:
    """About ``points`` wave vectors, as dense along all reciprocal vectors as the symmetry of the crystal allows."""
    return even_divisions(constants.primitive, points, COARSEST)
