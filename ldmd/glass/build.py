"""From a recipe to a relaxed glass: a continuous random network, or a melt quenched as fast as one can afford."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms

from ldmd.errors import InputError
from ldmd.glass.anneal import MELT_QUENCH, NETWORK_TREATMENT, Ramp, heat_treat
from ldmd.glass.network import (
    Network,
    continuous_random_network,
    decorate_with_bridges,
    diamond_network,
    elemental,
    randomised,
)
from ldmd.potentials.base import SitePotential
from ldmd.relaxation import relax

Progress = Callable[[str, float], None]
"""Called with the name of the step and the share of it that is done."""


def network_glass(potential: SitePotential, nodes: int, trials: int, seed: int, progress: Progress) -> Atoms:
    """A continuous random network, relaxed with the potential at zero pressure.

    SiO4 tetrahedra where the potential knows Si and O, whose bridges need a heat treatment; where it knows one element,
    an atom on every node, which the bond switching has annealed.

    Raises
    ------
    InputError
        For a potential of other elements.
    """
    network = continuous_random_network(
        nodes, trials, seed=seed, progress=lambda done, total, _: progress("bond switching", done / total)
    )
    atoms = _decorated(network, potential.species)
    if len(potential.species) == 1:
        return relax(atoms, potential, isotropic=True)
    return _finish(atoms, potential, NETWORK_TREATMENT, seed, progress)


def quenched_glass(potential: SitePotential, nodes: int, seed: int, progress: Progress) -> Atoms:
    """The melt of the same atoms at the same density, quenched in 0.3 ns: with the defects that this leaves."""
    network = randomised(diamond_network(nodes), np.random.default_rng(seed))
    return _finish(_decorated(network, potential.species), potential, MELT_QUENCH, seed, progress)


def _decorated(network: Network, species: tuple[str, ...]) -> Atoms:
    if len(species) == 1:
        return elemental(network, species[0])
    if not {"Si", "O"} <= set(species):
        raise InputError("potential", ", ".join(species), "a glass is built of SiO2 or of a single element only")
    return decorate_with_bridges(network)


def _finish(atoms: Atoms, potential: SitePotential, ramps: tuple[Ramp, ...], seed: int, progress: Progress) -> Atoms:
    relaxed = relax(atoms, potential, isotropic=True)
    treated = heat_treat(
        relaxed, potential, ramps, seed, progress=lambda done, total: progress("heat treatment", done / total)
    )
    progress("relaxation", 0.0)
    return relax(treated, potential, isotropic=True)
