"""The anharmonicity score sigma^A: how much of the force the harmonic model misses."""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.results import quantity


@dataclasses.dataclass(frozen=True)
class Anharmonicity:
    """sigma^A for several ways to sample configurations (rows) and groups of atoms (columns).

    ``samplings`` are e.g. ``("molecular dynamics", "harmonic, classical", "harmonic, quantum")`` and
    ``groups`` ``("all", "Si", "O")``.
    """

    samplings: tuple[str, ...]
    groups: tuple[str, ...]
    temperature: float
    sigma: np.ndarray = quantity(("sampling", "group"), "1", "pooled ratio sqrt(sum |F - F2|^2 / sum |F|^2)")
    standard_error: np.ndarray = quantity(("sampling", "group"), "1", "from block averages over configurations")
    configurations: np.ndarray = quantity(("sampling",), "1", "number of configurations")
