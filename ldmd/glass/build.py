"""From a recipe to a relaxed glass: a continuous random network, or a melt quenched as fast as one can afford."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms

from ldmd.glass.anneal import MELT_QUENCH, NETWORK_TREATMENT, Ramp, heat_treat
from ldmd.glass.network import continuous_random_network, decorate_with_bridges, diamond_network, randomised
from ldmd.potentials.base import SitePotential
from ldmd.relaxation import relax

Progress = Callable[[str, float], None]
"""Called with the name of the step and the share of it that is done."""


def network_glass(potential: SitePotential, nodes: int, trials: int, seed: int, progress: Progress) -> Atoms:
    """A continuous random network of SiO4 tetrahedra, annealed and relaxed with the potential at zero pressure."""
    network = continuous_random_network(
        nodes, trials, seed=seed, progress=lambda done, total, _: progress("bond switching", done / total)
    )
    return _finish(decorate_with_bridges(network), potential, NETWORK_TREATMENT, seed, progress)


def quenched_glass(potential: SitePotential, nodes: int, seed: int, progress: Progress) -> Atoms:
    """The melt of the same atoms at the same density, quenched in 0.3 ns: with the defects that this leaves."""
    network = randomised(diamond_network(nodes), np.random.default_rng(seed))
    return _finish(decorate_with_bridges(network), potential, MELT_QUENCH, seed, progress)


def _finish(atoms: Atoms, potential: SitePotential, ramps: tuple[Ramp, ...], seed: int, progress: Progress) -> Atoms:
    relaxed = relax(atoms, potential, isotropic=True)
    treated = heat_treat(
        relaxed, potential, ramps, seed, progress=lambda done, total: progress("heat treatment", done / total)
    )
    progress("relaxation", 0.0)
    return relax(treated, potential, isotropic=True)
