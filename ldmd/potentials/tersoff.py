"""The Tersoff bond-order potential, as in LAMMPS ``pair_style tersoff``.

E = sum_i U_i,  U_i = 1/2 sum_j f_C(r_ij) [A exp(-l1 r_ij) - b_ij B exp(-l2 r_ij)]
b_ij = (1 + (beta zeta_ij)^n)^(-1/2n)
zeta_ij = sum_{k != j} f_C(r_ik) g(theta_ijk) exp[(l3 (r_ij - r_ik))^m]
g = gamma (1 + c^2/d^2 - c^2 / (d^2 + (cos theta - cos theta0)^2))
f_C = 1 below R - D, 1/2 - 1/2 sin(pi (r - R) / 2D) within, 0 beyond R + D.

A, B, l1, l2, n, beta and the pair's R, D belong to the entry (i, j, j); everything in zeta, the cutoff of r_ik
included, to the entry (i, j, k). Sources: Tersoff, Phys. Rev. B 37, 6991 (1988) and 39, 5566 (1989); the LAMMPS
documentation of pair_style tersoff. The cutoff function is only C1: its curvature jumps at R - D and R + D.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Collection
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ldmd.errors import InputError
from ldmd.potentials.base import SiteEnergies
from ldmd.potentials.ends import SAME, End
from ldmd.potentials.parameter_file import FIELD, LONGEST_CUTOFF
from ldmd.potentials.triplet_file import TripletTable, read_triplets
from ldmd.structures import SiteBlock

COLUMNS = (
    "m",
    "gamma",
    "lambda3",
    "c",
    "d",
    "costheta0",
    "n",
    "beta",
    "lambda2",
    "B",
    "R",
    "D",
    "lambda1",
    "A",
)
NOT_NEGATIVE = ("beta", "lambda2", "B", "lambda1", "A")
NARROWEST = 1e-4
"""Angstrom: a narrower switching region is a step."""
SMALLEST_D = 1e-6
"""Of the angular function's width d, a pure number of some 1 to 50; c^2 / d^2 must be a number."""
SINE_SERIES = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(11))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TersoffParameters:
    """Parameters gathered for a block: pairs as (M, n), triplets as (j, k, n) with axes of length 1 where constant."""

    A: jax.Array
    B: jax.Array
    lambda1: jax.Array
    lambda2: jax.Array
    n: jax.Array
    beta: jax.Array
    R: jax.Array
    D: jax.Array
    triplet_R: jax.Array
    triplet_D: jax.Array
    gamma: jax.Array
    c2: jax.Array
    d2: jax.Array
    costheta0: jax.Array
    lambda3: jax.Array
    m: jax.Array
    radial: bool = dataclasses.field(metadata={"static": True})


@dataclasses.dataclass(frozen=True)
class Tersoff:
    """A Tersoff potential for the species of its parameter file."""

    species: tuple[str, ...]
    table: np.ndarray
    """(S, S, S, 14) in the order of ``COLUMNS``: eV, 1/Angstrom, Angstrom; other numbers are pure."""

    @property
    def site_energies(self) -> SiteEnergies:
        """The pure function of edges and parameters."""
        return tersoff_site_energies

    @functools.cached_property
    def switching(self) -> np.ndarray:
        """Inner and outer radius per pair, (S, S, 2) Angstrom; the widest of a pair's triplets decides."""
        size = len(self.species)
        radius, half = self._column("R"), self._column("D")
        inner, outer = np.empty((size, size)), np.empty((size, size))
        for a in range(size):
            for b in range(size):
                inner[a, b] = (radius - half)[a, :, b].min()
                outer[a, b] = (radius + half)[a, :, b].max()
        outer = np.maximum(outer, outer.T)  # the graph keeps both directions of an edge or none
        return np.stack([np.minimum(inner, inner.T), outer], axis=-1)

    @property
    def ends(self) -> tuple[End, ...]:
        """R - D and R + D of a pair's own entry, and of the entries of triplets that it is the third atom of."""
        radius, half = self._column("R"), self._column("D")
        own = np.arange(len(self.species))
        ends = [End(name, bound[:, own, own]) for name, bound in (("R - D", radius - half), ("R + D", radius + half))]
        for k, symbol in enumerate(self.species):
            for name, bound in (("R - D", radius - half), ("R + D", radius + half)):
                foreign = np.abs(bound[:, k] - bound[:, own, own]) > SAME
                ends.append(End(f"{name} beside a bond to {symbol}", np.where(foreign, bound[:, k], 0.0)))
        return tuple(ends)

    def fingerprint(self) -> bytes:
        """SHA-256 of the species and the table."""
        return hashlib.sha256(repr(self.species).encode() + np.ascontiguousarray(self.table).tobytes()).digest()

    def parameters(self, block: SiteBlock) -> TersoffParameters:
        """Gather the table for the edges (i, j, j) and triplets (i, j, k) of a block."""
        centre, other = np.asarray(block.kinds), np.asarray(block.neighbour_kinds)

        def pair(name: str) -> jax.Array:
            return jnp.asarray(self._column(name)[centre[None, :], other, other])

        def triplet(values: np.ndarray) -> jax.Array:
            return jnp.asarray(_gather_triplets(values, centre, other))

        return TersoffParameters(
            A=pair("A"),
            B=pair("B"),
            lambda1=pair("lambda1"),
            lambda2=pair("lambda2"),
            n=pair("n"),
            beta=pair("beta"),
            R=pair("R"),
            D=pair("D"),
            triplet_R=triplet(self._column("R")),
            triplet_D=triplet(self._column("D")),
            gamma=triplet(self._column("gamma")),
            c2=triplet(self._column("c") ** 2),
            d2=triplet(self._column("d") ** 2),
            costheta0=triplet(self._column("costheta0")),
            lambda3=triplet(self._column("lambda3")),
            m=triplet(self._column("m")),
            radial=bool(np.any(self._column("lambda3") != 0.0)),
        )

    def _column(self, name: str) -> np.ndarray:
        return self.table[..., COLUMNS.index(name)]


def _gather_triplets(values: np.ndarray, centre: np.ndarray, other: np.ndarray) -> np.ndarray:
    """values[i, j, k] for all triplets, (j, k, n); axes on which the table does not depend are kept at length 1."""
    size = values.shape[0]
    j = other[:, None, :] if np.ptp(values, axis=1).any() else np.zeros((1, 1, 1), dtype=int)
    k = other[None, :, :] if np.ptp(values, axis=2).any() else np.zeros((1, 1, 1), dtype=int)
    assert size == values.shape[2]
    return values[centre[None, None, :], j, k]


def _switch(distance: jax.Array, centre: jax.Array, half: jax.Array) -> jax.Array:
    """f_C(r); 1 and 0 outside the switching region to within round-off."""
    return 0.5 - 0.5 * _sine(0.5 * jnp.pi * jnp.clip((distance - centre) / half, -1.0, 1.0))


def _sine(x: jax.Array) -> jax.Array:
    """sin(x) for |x| <= pi/2 by its Taylor series, truncated below 2e-18: unlike the library call it vectorises."""
    square = x * x
    total = jnp.full_like(x, SINE_SERIES[-1])
    for coefficient in SINE_SERIES[-2::-1]:
        total = total * square + coefficient
    return total * x


def tersoff_site_energies(edges: jax.Array, p: TersoffParameters) -> jax.Array:
    """Site energies (n,) in eV of edges (3, M, n) in Angstrom."""
    distance = jnp.sqrt(jnp.sum(edges**2, axis=0))
    unit = edges / distance
    repulsion = p.A * jnp.exp(-p.lambda1 * distance)
    attraction = p.B * jnp.exp(-p.lambda2 * distance)
    order = _bond_order(_zeta(unit, distance, p), p)
    return 0.5 * jnp.sum(_switch(distance, p.R, p.D) * (repulsion - order * attraction), axis=0)


def _zeta(unit: jax.Array, distance: jax.Array, p: TersoffParameters) -> jax.Array:
    """zeta_ij, (M, n): a sum over the k axis of (j, k, n) arrays, with k = j left out."""
    slots = distance.shape[0]
    cosine = sum(unit[a, :, None, :] * unit[a, None, :, :] for a in range(3))
    angular = p.gamma * (1.0 + p.c2 / p.d2 - p.c2 / (p.d2 + (cosine - p.costheta0) ** 2))
    weight = _switch(distance[None, :, :], p.triplet_R, p.triplet_D)
    if p.radial:
        difference = p.lambda3 * (distance[:, None, :] - distance[None, :, :])
        exponent = jnp.where(p.m == 3.0, difference**3, difference)
        weight = weight * jnp.exp(jnp.minimum(exponent, 69.0776))
    others = 1.0 - jnp.eye(slots)[:, :, None]
    return jnp.sum(others * weight * angular, axis=1)


def _bond_order(zeta: jax.Array, p: TersoffParameters) -> jax.Array:
    """b_ij; 1 where zeta vanishes, with a second ``where`` inside so that the gradient there is 0 and not NaN.

    Powers are written with exp and log, which XLA vectorises; its ``pow`` is a library call per number.
    """
    scaled = p.beta * zeta
    some = scaled > 0.0
    power = jnp.exp(p.n * jnp.log(jnp.where(some, scaled, 1.0)))
    return jnp.where(some, jnp.exp(-0.5 / p.n * jnp.log1p(power)), 1.0)


def read_tersoff(path: Path, needed: Collection[str] | None = None) -> Tersoff:
    """Read a LAMMPS ``.tersoff`` file: every ordered triplet of the species must have an entry.

    The species are those that are ``needed``, or all of the file.

    Raises
    ------
    InputError
        Where the file is missing, an entry is incomplete, not a number or without meaning, two entries of a triplet
        differ, a triplet is absent, or the file does not know a needed species.
    """
    table = read_triplets(path, len(COLUMNS), "a LAMMPS .tersoff file of the case folder", needed)
    _require_physical(path, table)
    return Tersoff(table.species, table.values)


def _require_physical(path: Path, table: TripletTable) -> None:
    """Refuse what has no meaning. Of an entry (i, j, k), j and k different, only what is in zeta is used."""
    for a, b, c in np.ndindex(*table.lines.shape):
        entry, name = dict(zip(COLUMNS, table.values[a, b, c], strict=True)), table.name(a, b, c)
        if not (entry["D"] >= NARROWEST and entry["R"] > entry["D"] and abs(entry["d"]) >= SMALLEST_D):
            fix = f"needs {NARROWEST:g} <= D < R (Angstrom) and d at least {SMALLEST_D:g} from 0"
            raise InputError(FIELD, path, f"{name}: {fix}")
        if entry["R"] + entry["D"] > LONGEST_CUTOFF:
            raise InputError(FIELD, path, f"{name}: R + D must not exceed {LONGEST_CUTOFF:g} Angstrom")
        if entry["m"] not in (1.0, 3.0) or entry["gamma"] < 0.0:
            raise InputError(FIELD, path, f"{name}: needs m = 1 or 3 and gamma >= 0")
        if b == c and not (entry["n"] > 0.0 and min(entry[each] for each in NOT_NEGATIVE) >= 0.0):
            raise InputError(FIELD, path, f"{name}: a pair entry needs n > 0, and {', '.join(NOT_NEGATIVE)} >= 0")
