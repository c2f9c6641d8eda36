"""The linewidth that errors of Phi3 alone would make: below it no linewidth is known.

Let the elements have independent errors of standard deviation s_ijk, the same for all directions of the triple of
atoms. A matrix element phi_mnl then has an error of zero mean and variance

    S_mnl = sum_ijk s_ijk^2 x_im x_jn x_kl,    x_im = sum_a u_iam^2  (u the motion of the atoms in a mode, amu^-1/2),

and the golden rule, linear in |phi|^2, is too large on average by itself with S in place of |phi|^2: always too
large, and proportional to sigma^2. At low frequency this is a plateau that falls towards higher ones, since errors of
this kind do not vanish for a uniform translation as the force constants do (gamma ~ w^2).

S is exact where every ordered element has an error of its own. Elements made symmetric by averaging share theirs
between up to six orders; products of different orders, such as sum_ijk s^2 (u_im u_jn u_kl)(u_jm u_in u_kl), are left
out. They average out unless two modes are equal (n = l: a factor 2, for one partner in 3N), both move neighbours
alike, or both sit on the same few atoms: in amorphous silicon (216 atoms, five draws) shared errors add the floor
above 5 THz, 1.14 times it from 3 to 5, 1.3 times from 1.6 to 3, and 1.65 times for the two quasi-localised modes below.

What one set of errors does to one linewidth scatters about the mean: by the square of itself, and by its product with
the true matrix elements, which has no sign and can be larger than the floor (``scatter``).

Everything runs over atoms, not coordinates, which makes a floor cheap beside the linewidths themselves. Where the
errors are is the ``ErrorPattern``; errors that obey the translational sum rule, such as those of a wrong model with
exact derivatives, are none of these and have no floor of this kind.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from ldmd.diagnosis.thresholds import SIGNAL_TO_NOISE
from ldmd.errors import InputError
from ldmd.force_constants.steps import LARGEST_STEP, best_size
from ldmd.force_constants.third import SiteThirdOrder, SparseThirdOrder, ThirdOrder
from ldmd.lattice.broadening import Broadening
from ldmd.lattice.linewidths import excess_linewidths
from ldmd.lattice.matrix_elements import PARTNERS_PER_PANEL
from ldmd.lattice.modes import Modes
from ldmd.lattice.triplets import MEMORY
from ldmd.lattice.visit import table_of
from ldmd.results import quantity


@dataclasses.dataclass(frozen=True)
class ErrorPattern(abc.ABC):
    """Variances s_ijk^2 of elements in units of sigma^2, symmetric in the atoms i, j, k."""

    atoms: int

    @abc.abstractmethod
    def contract(self, weights: np.ndarray) -> list[sp.csr_array | np.ndarray]:
        """sum_k s_ijk^2 w_k for every column of weights (N, c): c symmetric matrices (N, N)."""

    @property
    @abc.abstractmethod
    def pairs(self) -> int:
        """Elements of a contraction that can be non-zero."""


@dataclasses.dataclass(frozen=True)
class ListedTriples(ErrorPattern):
    """Errors on listed triples of atoms, for instance those of which any element is stored."""

    triples: np.ndarray
    """(3, n) ordered: every permutation of a triple is listed."""
    variances: np.ndarray
    """(n,)"""

    def contract(self, weights: np.ndarray) -> list[sp.csr_array | np.ndarray]:
        """See ``ErrorPattern``."""
        matrix, legs = self._legs
        data = legs @ weights
        return [sp.csr_array((column, matrix.indices, matrix.indptr), shape=matrix.shape) for column in data.T]

    @property
    def pairs(self) -> int:
        """See ``ErrorPattern``."""
        return int(self._legs[0].nnz)

    @functools.cached_property
    def _legs(self) -> tuple[sp.csr_array, sp.csr_array]:
        """Pairs (i, j) that occur, and the variances from third atoms k to them."""
        keys, where = np.unique(self.triples[0].astype(np.int64) * self.atoms + self.triples[1], return_inverse=True)
        legs = sp.csr_array((self.variances, (where, self.triples[2])), shape=(len(keys), self.atoms))
        return _matrix_at(keys, self.atoms), legs


@dataclasses.dataclass(frozen=True)
class MutualNeighbours(ErrorPattern):
    """Unit variance on every triple whose three pairs are all coupled; nothing is listed, so that it fits anywhere.

    Somewhat more triples than a potential with sites couples: of those all three are seen by one atom.
    """

    coupled: sp.csr_array
    """(N, N) ones where pairs of atoms are coupled, the diagonal included."""

    def contract(self, weights: np.ndarray) -> list[sp.csr_array | np.ndarray]:
        """See ``ErrorPattern``."""
        return [self.coupled.multiply(self.coupled @ sp.diags_array(w) @ self.coupled).tocsr() for w in weights.T]

    @property
    def pairs(self) -> int:
        """See ``ErrorPattern``."""
        return int(self.coupled.nnz)


@dataclasses.dataclass(frozen=True)
class DisplacedPairs(ErrorPattern):
    """Finite differences of forces that are noisy everywhere: pairs within a cutoff are displaced, forces taken on all.

    An element is measured once for each of its pairs that is displaced, and averaged: variance 1/c for c = 1, 2, 3
    of them. With p = 1 for a displaced pair that is sum p - 3/2 sum p p' + 11/6 p p' p''. Such noise is that of sums
    in random order or of models without a reach; forces that repeat exactly differ only near the displaced atoms.
    """

    displaced: np.ndarray
    """(N, N) of 0 and 1, the diagonal included."""

    def contract(self, weights: np.ndarray) -> list[sp.csr_array | np.ndarray]:
        """See ``ErrorPattern``."""
        p = self.displaced
        result: list[sp.csr_array | np.ndarray] = []
        for w in weights.T:
            near = p @ w
            either, both = near[:, None] + near, (p * w) @ p
            result.append(p * w.sum() + either - 1.5 * (p * either + both) + 11.0 / 6.0 * p * both)
        return result

    @property
    def pairs(self) -> int:
        """See ``ErrorPattern``."""
        return self.atoms**2


def stored_triples(third: ThirdOrder) -> ErrorPattern:
    """Unit variance wherever ``third`` can be different from zero.

    Triples of its list (those of which only part of the 27 elements is stored, with that part of the variance), or
    triples that some site sees; where these are too many to list, mutual neighbours.
    """
    atoms = third.size // 3
    if isinstance(third, SparseThirdOrder):
        triples = third.indices // 3
    elif isinstance(third, SiteThirdOrder):
        parts = [np.concatenate([group.others, group.centres[:, None]], axis=1) for group in third.groups]
        triples = np.concatenate([_all_triples(part) for part in parts], axis=1)
    else:
        return MutualNeighbours(atoms, _coupled_atoms(third.pattern))
    codes = (triples[0].astype(np.int64) * atoms + triples[1]) * atoms + triples[2]
    keys, counts = np.unique(codes, return_counts=True)
    listed = np.stack([keys // atoms**2, keys // atoms % atoms, keys % atoms])
    return ListedTriples(atoms, listed, counts / 27.0 if isinstance(third, SparseThirdOrder) else np.ones(len(keys)))


def single_atoms(atoms: int) -> ListedTriples:
    """Errors of the elements with one atom only, Phi_iii.

    They are symmetric under permutation, but elements of one atom in different directions have independent errors, and
    the motions of an atom in different modes independent directions: nothing is left of products of different orders.
    """
    return ListedTriples(atoms, np.tile(np.arange(atoms), (3, 1)), np.ones(atoms))


def displaced_pairs(first: np.ndarray, second: np.ndarray, atoms: int) -> DisplacedPairs:
    """From a list of pairs (each once), such as ``pairs_within_cutoff`` of the finite differences gives."""
    displaced = np.eye(atoms)
    displaced[first, second] = displaced[second, first] = 1.0
    return DisplacedPairs(atoms, displaced)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Excess linewidth of every mode for errors of unit sigma, at all temperatures and statistics of a linewidth."""

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    unit: np.ndarray = quantity(
        ("temperature", "statistics", "mode"),
        "rad/ps",
        "mean excess linewidth for errors of 1 eV/Angstrom^3, HWHM; 0 for translations, NaN where not computed",
    )

    def gamma(self, sigma: float) -> np.ndarray:
        """The floor (temperature, statistics, mode), rad/ps, for elements with errors of ``sigma`` eV/Angstrom^3."""
        return sigma**2 * self.unit

    def allowed(self, gamma: np.ndarray, ratio: float = SIGNAL_TO_NOISE) -> np.ndarray:
        """Error of the elements (eV/Angstrom^3) at which linewidths ``gamma`` (HWHM) are ``ratio`` times the floor.

        Zero where a linewidth is zero; infinite where noise could not do anything to it.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(gamma > 0.0, np.sqrt(gamma / (ratio * self.unit)), 0.0 * gamma))


def noise_floor(
    pattern: ErrorPattern,
    modes: Modes,
    temperatures: Sequence[float],
    statistics: Sequence[str],
    broadening: Broadening,
    *,
    lowest: int | None = None,
    threads: int | None = None,
    memory: float = MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> NoiseFloor:
    """What independent errors of the elements add to the linewidths, all other things as for ``linewidths``.

    With ``lowest`` for so many of the vibrating modes; the others are NaN.

    Raises
    ------
    InputError
        For another number of atoms than the modes have, or a ``lowest`` below 1.
    """
    if 3 * pattern.atoms != len(modes.frequencies):
        fix = f"the modes are those of {len(modes.frequencies) // 3}"
        raise InputError("pattern of errors", f"{pattern.atoms} atoms", fix)
    if lowest is not None and lowest < 1:
        raise InputError("lowest", lowest, "ask for the floor of one mode at least")
    table = table_of(modes, temperatures, statistics, broadening)
    squares = np.sum(table.displacements.reshape(pattern.atoms, 3, -1) ** 2, axis=1)
    elements = _Deviations(pattern, squares)
    gamma = np.zeros((len(temperatures) * len(statistics), len(modes.frequencies)))
    found = excess_linewidths(elements, table, lowest=lowest, threads=threads, memory=memory, progress=progress)
    gamma[:, modes.vibrating] = found[:, :-1].T
    return NoiseFloor(
        temperatures=np.asarray(temperatures, dtype=float),
        statistics=tuple(statistics),
        unit=gamma.reshape(len(temperatures), len(statistics), -1),
    )


def scatter(gamma: np.ndarray, floor: np.ndarray, effective_channels: np.ndarray) -> np.ndarray:
    """Standard deviation (rad/ps) of a linewidth from one set of errors to the next, by their product with Phi3.

    A channel c with the floor f scatters by 2 sqrt(c f). Where floor and linewidth are spread over the same channels,
    of the effective number N, all together scatter by 2 sqrt(gamma floor / N): nearly an upper limit, as strong
    channels are strong by their matrix elements too (in amorphous silicon 0.7 to 0.8 of it). ``gamma`` is free of
    errors, or much above the floor.
    """
    return np.asarray(2.0 * np.sqrt(gamma * floor / effective_channels))


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """What force constants must be like for the elements to have errors below ``sigma_elements``."""

    sigma_elements: float
    """eV/Angstrom^3."""
    relative: float
    """The same over the rms element: for exact derivatives, the relative error that they may have."""
    displacement: float
    """Angstrom, a given step of finite differences."""
    sigma_force: float
    """eV/Angstrom, noise of the forces that this step allows; zero where its truncation alone is too much."""
    best_displacement: float
    """Angstrom, the step that allows most; NaN where the bending of the potential is not known."""
    best_sigma_force: float
    """eV/Angstrom, what it allows."""


def required_accuracy(
    sigma_elements: float, rms_element: float, displacement: float, bending: float | None = None, copies: float = 1.0
) -> Accuracy:
    """How small noise of forces must be, for errors of the elements of Phi3 that are allowed (eV/Angstrom^3).

    A central difference has the noise sigma_F/(2 h^2), divided by sqrt(``copies``) where so many independent
    measurements of an element are averaged (at most 3), and the truncation K h^2/6, K the ``bending``
    (eV/Angstrom^5; see ``ldmd.force_constants.steps``). Their root of the sum of squares is held against
    ``sigma_elements``, though truncation is no independent error. At the best step both are equal, so that sigma_F =
    6 sqrt(copies) sigma^2 / K. Forces that repeat exactly, as in single precision, may be noisier than that: of their
    rounding much is the same with and without a displaced atom, and cancels. In Stillinger-Weber silicon elements of
    neighbours have a fourth, elements of one atom 0.6 of the error that the rounding of single forces leads to expect.

    Raises
    ------
    InputError
        For a step that is not positive.
    """
    if not displacement > 0.0:
        raise InputError("displacement", displacement, "give a positive step in Angstrom")
    known = 0.0 if bending is None else bending
    best = _best(float(sigma_elements), known) if known > 0.0 else (math.nan, math.nan)
    gain = math.sqrt(copies)
    return Accuracy(
        sigma_elements=float(sigma_elements),
        relative=float(sigma_elements / rms_element) if rms_element > 0.0 else math.nan,
        displacement=displacement,
        sigma_force=gain * _sigma_force(sigma_elements, displacement, known),
        best_displacement=best[0],
        best_sigma_force=gain * best[1],
    )


def _best(sigma_elements: float, bending: float) -> tuple[float, float]:
    """The step that allows the noisiest forces (Angstrom), at most the largest sensible one, and what it allows."""
    sigma_force = 6.0 * sigma_elements**2 / bending
    step = best_size(3, sigma_force, bending)
    return (step, sigma_force if step < LARGEST_STEP else _sigma_force(sigma_elements, step, bending))


def _sigma_force(sigma_elements: float, displacement: float, bending: float) -> float:
    truncation = bending * displacement**2 / 6.0
    return 2.0 * displacement**2 * math.sqrt(max(0.0, float(sigma_elements) ** 2 - truncation**2))


class _Deviations:
    """Standard deviations of the matrix elements of modes, from their squared motions x (N, modes)."""

    def __init__(self, pattern: ErrorPattern, squares: np.ndarray) -> None:
        self._pattern, self._squares = pattern, squares

    @property
    def bytes_per_mode(self) -> int:
        """Memory of ``halves`` for each mode m of a block."""
        return 8 * (2 * self._pattern.pairs + PARTNERS_PER_PANEL * self._pattern.atoms)

    def halves(self, modes: range, partners: range) -> Iterator[tuple[slice, np.ndarray]]:
        """Panels of partners n and sum_jk s_ijk^2 x_jm x_kn, (N, m, n)."""
        matrices = self._pattern.contract(self._squares[:, modes.start : modes.stop]) if partners else []
        for start in range(partners.start, partners.stop, PARTNERS_PER_PANEL):
            n = slice(start, min(start + PARTNERS_PER_PANEL, partners.stop))
            yield n, np.stack([matrix @ self._squares[:, n] for matrix in matrices], axis=1)

    def phi(self, half: np.ndarray, window: slice) -> np.ndarray:
        """Square roots of the variances S_mnl, (m, n, window)."""
        variances = half.reshape(len(half), -1).T @ self._squares[:, window]
        return np.asarray(np.sqrt(variances)).reshape(*half.shape[1:], -1)


def _all_triples(members: np.ndarray) -> np.ndarray:
    """(3, S M^3) ordered triples among the members (S, M) of every site."""
    shape = (len(members), *[members.shape[1]] * 3)
    legs = (members[:, :, None, None], members[:, None, :, None], members[:, None, None, :])
    return np.stack([np.broadcast_to(leg, shape).ravel() for leg in legs])


def _coupled_atoms(pattern: sp.csr_array) -> sp.csr_array:
    """(N, N) ones where any element of a (3N, 3N) pattern is, and on the diagonal."""
    atoms = pattern.shape[0] // 3
    coo = pattern.tocoo()
    own = np.arange(atoms)
    keys = np.concatenate([(coo.row // 3).astype(np.int64) * atoms + coo.col // 3, own * atoms + own])
    return _matrix_at(np.unique(keys), atoms)


def _matrix_at(keys: np.ndarray, atoms: int) -> sp.csr_array:
    """Ones at sorted keys row * atoms + column."""
    pointers = np.searchsorted(keys // atoms, np.arange(atoms + 1))
    return sp.csr_array((np.ones(len(keys)), keys % atoms, pointers), shape=(atoms, atoms))
