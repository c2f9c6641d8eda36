"""The Stillinger-Weber potential, as in LAMMPS ``pair_style sw``.

E = sum_i U_i,  U_i = 1/2 sum_j phi2(r_ij) + 1/2 sum_{j != k} phi3(r_ij, r_ik, theta_ijk)
phi2 = A eps [B (sigma/r)^p - (sigma/r)^q] exp(sigma / (r - a sigma)),                          r < a sigma
phi3 = lambda eps (cos theta - cos theta0)^2 h(r_ij) h(r_ik),  h(r) = exp(gamma sigma / (r - a sigma))

A, B, p, q, sigma, a, gamma and the eps of phi2 belong to the entry (i, j, j); lambda eps and cos theta0 to (i, j, k).
Sources: Stillinger and Weber, Phys. Rev. B 31, 5262 (1985); the LAMMPS documentation of pair_style sw.

Both cutoffs are infinitely smooth: all derivatives vanish at a sigma, so pairs may cross it at no harm.

phi3 is a polynomial in the cosine, so the sum over j != k needs no pair of edges at all. With the moments of the
edges to neighbours of species s, S_s = sum h, v_s = sum h u and T_s = sum h u u^T (u the unit vector), and with
c = cos theta0,

    1/2 sum_st lambda eps_st [T_s : T_t - 2 c v_s . v_t + c^2 S_s S_t] - 1/2 sum_j lambda eps_jj (1 - c_jj)^2 h_j^2,

whose last term takes out k = j. The cost grows with the number of neighbours, not with its square.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Collection
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ldmd.errors import InputError
from ldmd.potentials.base import SiteEnergies
from ldmd.potentials.ends import End
from ldmd.potentials.parameter_file import FIELD, LONGEST_CUTOFF
from ldmd.potentials.triplet_file import TripletTable, read_triplets
from ldmd.structures import SiteBlock

COLUMNS = ("epsilon", "sigma", "a", "lambda", "gamma", "costheta0", "A", "B", "p", "q", "tol")
SHORTEST = 1e-3
"""Angstrom: lengths below have no meaning for atoms."""
HIGHEST_POWER = 100.0
LARGEST_EXPONENT = 700.0
"""exp(-700) = 1e-304: beyond it a cutoff function is 0, and neither it nor a derivative ever meets 0 times infinity."""
ROUNDING = 1e-5
"""Relative difference up to which lambda eps of (i, j, k) and (i, k, j) are one number, rounded: their mean is used."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StillingerWeberParameters:
    """Parameters gathered for a block: of its edges (M, n), and of the K species that form angles at its centres."""

    strength: jax.Array
    """A eps, eV."""
    B: jax.Array
    sigma: jax.Array
    p: jax.Array
    q: jax.Array
    cutoff: jax.Array
    decay: jax.Array
    """gamma sigma, Angstrom."""
    own: jax.Array
    """lambda eps (1 - cos theta0)^2 of the angle that an edge forms with itself, eV."""
    member: jax.Array
    """(K, M, n) 1 where the far end is of the k-th species, 0 elsewhere; (1, 1, 1) where there is one species only."""
    angular: jax.Array
    """(K, K) lambda eps, eV."""
    costheta0: jax.Array
    """(K, K)."""
    powers: tuple[int, int] | None = dataclasses.field(metadata={"static": True})
    """p and q where all pairs have the same whole numbers: products instead of exponentials."""


@dataclasses.dataclass(frozen=True)
class StillingerWeber:
    """A Stillinger-Weber potential for the species of its parameter file."""

    species: tuple[str, ...]
    table: np.ndarray
    """(S, S, S, 11) in the order of ``COLUMNS``: eV, Angstrom; other numbers are pure."""

    @property
    def site_energies(self) -> SiteEnergies:
        """The pure function of edges and parameters."""
        return stillinger_weber_site_energies

    @functools.cached_property
    def switching(self) -> np.ndarray:
        """The cutoff a sigma twice, (S, S, 2) Angstrom: there is no region in which a curvature jumps."""
        cutoff = self._pairs("a") * self._pairs("sigma")
        return np.stack([cutoff, cutoff], axis=-1)

    @property
    def ends(self) -> tuple[End, ...]:
        """a sigma, where every derivative vanishes."""
        return (End("a sigma", self.switching[..., 1], smooth=True),)

    def fingerprint(self) -> bytes:
        """SHA-256 of the model, the species and the table."""
        head = repr(("stillinger-weber", self.species)).encode()
        return hashlib.sha256(head + np.ascontiguousarray(self.table).tobytes()).digest()

    def parameters(self, block: SiteBlock) -> StillingerWeberParameters:
        """Gather the table for the edges (i, j, j) and the angles (i, j, k) of a block, all of one centre species."""
        (centre,) = np.unique(np.asarray(block.kinds))
        other = np.asarray(block.neighbour_kinds)
        angular = (self._column("lambda") * self._column("epsilon"))[centre]
        angular = 0.5 * (angular + angular.T)  # files round the two in the seventh digit
        costheta0 = self._column("costheta0")[centre]
        own = np.diag(angular * (1.0 - costheta0) ** 2)
        alone = len(self.species) == 1
        kinds = np.array([0]) if alone else np.flatnonzero(angular.any(axis=0))
        member = np.ones((1, 1, 1)) if alone else (other == kinds[:, None, None]).astype(float)

        def pair(values: np.ndarray) -> jax.Array:
            return jnp.asarray(values[centre][other])

        return StillingerWeberParameters(
            strength=pair(self._pairs("A") * self._pairs("epsilon")),
            B=pair(self._pairs("B")),
            sigma=pair(self._pairs("sigma")),
            p=pair(self._pairs("p")),
            q=pair(self._pairs("q")),
            cutoff=pair(self.switching[..., 1]),
            decay=pair(self._pairs("gamma") * self._pairs("sigma")),
            own=jnp.asarray(own[other]),
            member=jnp.asarray(member),
            angular=jnp.asarray(angular[np.ix_(kinds, kinds)]),
            costheta0=jnp.asarray(costheta0[np.ix_(kinds, kinds)]),
            powers=self._powers(),
        )

    def _column(self, name: str) -> np.ndarray:
        return self.table[..., COLUMNS.index(name)]

    def _pairs(self, name: str) -> np.ndarray:
        """A column of the entries (i, j, j), (S, S)."""
        return np.einsum("ijj->ij", self._column(name))

    def _powers(self) -> tuple[int, int] | None:
        """p and q if all pairs that interact share the same whole, not negative numbers."""
        acts = self._pairs("A") != 0.0
        found = {(float(p), float(q)) for p, q in zip(self._pairs("p")[acts], self._pairs("q")[acts], strict=True)}
        if len(found) != 1:
            return None
        p, q = found.pop()
        return (int(p), int(q)) if p.is_integer() and q.is_integer() and min(p, q) >= 0 else None


def stillinger_weber_site_energies(edges: jax.Array, p: StillingerWeberParameters) -> jax.Array:
    """Site energies (n,) in eV of edges (3, M, n) in Angstrom."""
    distance = jnp.sqrt(jnp.sum(edges**2, axis=0))
    pairs = p.strength * _radial(distance, p) * _fade(distance, p.cutoff, p.sigma)
    return 0.5 * (jnp.sum(pairs, axis=0) + _angles(edges / distance, _fade(distance, p.cutoff, p.decay), p))


def _fade(distance: jax.Array, cutoff: jax.Array, length: jax.Array) -> jax.Array:
    """exp(length / (r - cutoff)) below the cutoff, 0 beyond: the argument is made safe before the exponential."""
    gap = cutoff - distance
    inside = LARGEST_EXPONENT * gap > length
    return jnp.where(inside, jnp.exp(-length / jnp.where(inside, gap, 1.0)), 0.0)


def _radial(distance: jax.Array, p: StillingerWeberParameters) -> jax.Array:
    """B (sigma/r)^p - (sigma/r)^q; powers as products, or with exp and log, which XLA vectorises unlike its pow."""
    ratio = p.sigma / distance
    if p.powers is not None:
        return p.B * jax.lax.integer_pow(ratio, p.powers[0]) - jax.lax.integer_pow(ratio, p.powers[1])
    logarithm = jnp.log(jnp.where(ratio > 0.0, ratio, 1.0))
    return p.B * jnp.exp(p.p * logarithm) - jnp.exp(p.q * logarithm)


def _angles(unit: jax.Array, fade: jax.Array, p: StillingerWeberParameters) -> jax.Array:
    """Twice the three-body energy of every site, (n,), from moments of its edges.

    Whole arrays of components are multiplied (also both halves of the symmetric tensor): a component cut out of an
    array is put back by the derivative as an array of zeros around it, which costs more than it saves.
    """
    weight = p.member * fade  # (K, M, n)
    scalar = jnp.sum(weight, axis=1)
    vector = jnp.sum(weight[:, None] * unit, axis=2)
    tensor = jnp.sum(weight[:, None, None] * (unit[:, None] * unit[None, :]), axis=3)
    squares = _bilinear(p.angular, tensor)
    linear = _bilinear(p.angular * p.costheta0, vector)
    constant = _bilinear(p.angular * p.costheta0**2, scalar)
    return squares - 2.0 * linear + constant - jnp.sum(p.own * fade**2, axis=0)


def _bilinear(matrix: jax.Array, moments: jax.Array) -> jax.Array:
    """sum_st matrix_st m_s m_t over the K species, and over the components: (n,) from (K, K) and (K, ..., n)."""
    if moments.shape[0] == 1:
        product = matrix[0, 0] * moments**2
    else:
        product = moments * jnp.tensordot(matrix, moments, axes=1)
    return jnp.sum(product, axis=tuple(range(moments.ndim - 1)))


def read_stillinger_weber(path: Path, needed: Collection[str] | None = None) -> StillingerWeber:
    """Read a LAMMPS ``.sw`` file: every ordered triplet of the species must have an entry.

    The species are those that are ``needed``, or all of the file.

    Raises
    ------
    InputError
        Where the file is missing, an entry is incomplete, not a number or without meaning, two entries of a triplet
        differ, a triplet is absent, the file does not know a needed species, or entries that stand for the same pair
        or angle differ (LAMMPS would let the order of the atoms choose between them).
    """
    table = read_triplets(path, len(COLUMNS), "a LAMMPS .sw file of the case folder", needed)
    _require_physical(path, table)
    return StillingerWeber(table.species, table.values)


def _require_physical(path: Path, entries: TripletTable) -> None:
    """Refuse what has no meaning, and what would make the energy depend on the order of the atoms."""

    def refuse(fix: str, *atoms: int) -> InputError:
        return InputError(FIELD, path, f"{entries.name(*atoms)}: {fix}")

    species, table = entries.species, entries.values
    column = {name: table[..., k] for k, name in enumerate(COLUMNS)}
    angular, cosine = column["lambda"] * column["epsilon"], column["costheta0"]
    for i, j, k in np.ndindex(*table.shape[:3]):
        if column["tol"][i, j, k] != 0.0:
            raise refuse("tol cuts the tail off at a jump of the energy; set it to 0", i, j, k)
        same = abs(angular[i, j, k] - angular[i, k, j]) <= ROUNDING * abs(angular[i, j, k])
        if not same or (angular[i, j, k] != 0.0 and cosine[i, j, k] != cosine[i, k, j]):
            swapped = f"{species[i]} {species[k]} {species[j]}"
            raise refuse(f"lambda epsilon and costheta0 must equal those of {swapped}", i, j, k)
    for i, j in np.ndindex(*table.shape[:2]):
        entry, other = (dict(zip(COLUMNS, table[a, b, b], strict=True)) for a, b in ((i, j), (j, i)))
        for each in (entry, other):
            each["epsilon A"] = each["epsilon"] * each["A"]
        if any(entry[name] != other[name] for name in ("epsilon A", "sigma", "a", "B", "p", "q")):
            swapped = f"{species[j]} {species[i]} {species[i]}"
            raise refuse(f"epsilon A, sigma, a, B, p and q must equal those of {swapped}", i, j, j)
        if not (entry["sigma"] >= SHORTEST and entry["a"] > 0.0 and entry["a"] * entry["sigma"] >= SHORTEST):
            raise refuse(f"a pair needs sigma > 0 and a > 0, both sigma and a sigma at least {SHORTEST:g}", i, j, j)
        if entry["a"] * entry["sigma"] > LONGEST_CUTOFF:
            raise refuse(f"a sigma must not exceed {LONGEST_CUTOFF:g} Angstrom", i, j, j)
        if not (0.0 <= min(entry["p"], entry["q"]) <= max(entry["p"], entry["q"]) <= HIGHEST_POWER):
            raise refuse(f"p and q must be from 0 to {HIGHEST_POWER:g}", i, j, j)
        if angular[i, j].any() and not entry["gamma"] > 0.0:
            raise refuse("a pair that forms angles needs gamma > 0, or its cutoff is a step", i, j, j)
