"""Glasses without defects: random networks, and what sits on their nodes and bonds."""

from ldmd.glass.network import (
    Network,
    annealed,
    bond_angle_spread_degrees,
    bond_angles_degrees,
    continuous_random_network,
    crystal_memory,
    decorate_with_bridges,
    diamond_network,
    elemental,
    keating_energy,
    keating_forces,
    randomised,
    relaxed,
)
from ldmd.glass.rings import ring_statistics

__all__ = [
    "Network",
    "annealed",
    "bond_angle_spread_degrees",
    "bond_angles_degrees",
    "continuous_random_network",
    "crystal_memory",
    "decorate_with_bridges",
    "diamond_network",
    "elemental",
    "keating_energy",
    "keating_forces",
    "randomised",
    "relaxed",
    "ring_statistics",
]
