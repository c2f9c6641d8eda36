"""Heat transport of a crystal on a mesh of wave vectors q: relaxation times, pairs of bands, direct solution.

With the linewidth gamma (HWHM, rad/ps) of every mode (q, m) and the strengths v_mn v_nm* of pairs of bands,

kappa_ab = 1/(N V) sum_q sum_mn c_mn Re(v^a_mn v^b_mn*) tau_mn,
tau_mn = (gamma_m + gamma_n) / [(gamma_m + gamma_n)^2 + (w_m - w_n)^2].

The terms m = n are the relaxation-time approximation (RTA), all others the interband part. Kernels differ in c_mn:

* ``qhgk``: hbar w_m w_n (n_m - n_n) / [T (w_n - w_m)] (Isaeva et al., Nat. Commun. 10, 3853 (2019), Eq. 9),
* ``njc23``: the same times (w_m + w_n)^2 / (4 w_m w_n) (that paper's supplement, Eq. 19, first term),
* ``wigner``: (C_m / w_m + C_n / w_n) w_m w_n / (w_m + w_n) (Simoncelli et al., Nat. Phys. 15, 809 (2019), whose
  velocity operator is v_mn 2 sqrt(w_m w_n) / (w_m + w_n)).

Classically C = k_B, and ``wigner`` is ``qhgk`` exactly. Where bands are degenerate only the sum over all of their pairs
is independent of the choice of eigenvectors. The RTA takes for v_mm the group velocity as symmetry has it; what is
left of degenerate bands is counted as interband and also given on its own: it goes as 1/gamma like the RTA, and fades
as the mesh is refined, for it comes from lines of high symmetry.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ldmd.errors import InputError
from ldmd.lattice.statistics import Statistics, statistics_named
from ldmd.results import Check, quantity
from ldmd.units import CONDUCTIVITY, THZ

Kernel = Literal["qhgk", "wigner", "njc23"]
KERNELS: tuple[Kernel, ...] = ("qhgk", "wigner", "njc23")
AT_REST = 1e-4 * THZ
"""rad/ps: modes below carry no heat; they are the translations at Gamma, or imaginary."""
DEGENERATE = 1e-4 * THZ
"""rad/ps: bands closer than this share one linewidth."""
NO_CHANNEL = 1e-9
"""Of the median linewidth: a mode with a smaller one finds nothing to scatter with on a coarse mesh."""
NEGATIVE = 1e-3
"""Of the largest eigenvalue of a conductivity tensor: what rounding and coarse meshes may take below zero."""
LARGEST_CONDUCTIVITY = 1e6
"""W/(m K), ten times the largest of any crystal."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))

Grid = tuple[int, int, int] | tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
"""Divisions n of the primitive reciprocal vectors, or a supercell matrix M (rows: supercell vectors in primitive
ones) whose commensurate wave vectors, M q integer, are taken."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """What to compute on which mesh."""

    grid: Grid
    temperatures: tuple[float, ...]
    statistics: tuple[str, ...] = ("bose-einstein", "classical")
    smearing: float | None = None
    """Standard deviation of a Gaussian in place of the delta function of energy, rad/ps; without: tetrahedra
    (phono3py), or widths from velocities (kALDo)."""
    direct: bool = False
    """Whether to solve the linearised Boltzmann equation as well."""
    isotopes: bool = False
    """Whether to scatter by isotopes of natural abundance."""
    symmetry: bool = True
    """Whether to use the symmetry of the crystal to leave out wave vectors."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in self.statistics:
            statistics_named(name)
        if not self.temperatures or min(self.temperatures) <= 0.0:
            raise InputError("temperatures", self.temperatures, "give temperatures above 0 K")
        if self.smearing is not None and self.smearing <= 0.0:
            raise InputError("smearing", self.smearing, "give a width above 0 rad/ps, or none")
        if abs(round(np.linalg.det(self.matrix))) < 1 or np.shape(self.grid) not in ((3,), (3, 3)):
            raise InputError("mesh", self.grid, "give three positive integers, or a 3 x 3 matrix of integers")

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) integers M: the wave vectors have M q integer."""
        grid = np.asarray(self.grid, dtype=int)
        return np.diag(grid) if grid.ndim == 1 else grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bands:
    """Harmonic modes on a mesh, and how strongly pairs of bands of one wave vector carry heat."""

    grid: np.ndarray = quantity(("vector", "vector_"), "1", "integer matrix M; wave vectors have M q integer")
    q_points: np.ndarray = quantity(("q", "xyz"), "1", "wave vectors in primitive reciprocal vectors")
    weights: np.ndarray = quantity(("q",), "1", "wave vectors of the mesh that each one stands for")
    frequencies: np.ndarray = quantity(("q", "band"), "rad/ps", "angular frequency, negative where imaginary")
    velocities: np.ndarray = quantity(("q", "band", "xyz"), "Angstrom/ps", "group velocity")
    squares: np.ndarray = quantity(
        ("q", "band", "voigt"), "Angstrom^2/ps^2", "v^a v^b, ab = xx, yy, zz, yz, xz, xy, the mean over the star of q"
    )
    strengths: np.ndarray = quantity(
        ("q", "band", "band_", "voigt"), "Angstrom^2/ps^2", "Re(v^a_mn v^b_mn*), the mean over the star of q"
    )
    volume: float
    """Of the primitive cell, Angstrom^3."""

    @property
    def vibrating(self) -> np.ndarray:
        """Mask (q, band) of modes that carry heat."""
        return self.frequencies > AT_REST

    @property
    def imaginary(self) -> int:
        """Number of imaginary modes of the whole mesh; those at Gamma below the noise are translations."""
        return int(self.weights @ (self.frequencies < -AT_REST).sum(axis=1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshLinewidths:
    """Linewidths of all modes of a mesh."""

    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    gamma: np.ndarray = quantity(
        ("temperature", "statistics", "q", "band"), "rad/ps", "three-phonon linewidth, HWHM; 0 where not computed"
    )
    isotopes: np.ndarray = quantity(("q", "band"), "rad/ps", "linewidth by isotopes, HWHM; 0 where not asked for")

    def unscattered(self, bands: Bands) -> int:
        """Most modes of the whole mesh without a linewidth at any temperature: they are left out of conductivities."""
        total = self.total
        lost = [bands.vibrating & ~scattered(bands, total[at]) for at in np.ndindex(*total.shape[:2])]
        return max((int(mask.sum(axis=-1) @ bands.weights) for mask in lost), default=0)

    @property
    def total(self) -> np.ndarray:
        """(temperature, statistics, q, band) rad/ps, Matthiessen's sum."""
        return np.asarray(self.gamma + self.isotopes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DirectSolution:
    """The linearised Boltzmann equation solved with the whole collision matrix; intraband."""

    kappa: np.ndarray = quantity(("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "conductivity tensor")
    per_mode: np.ndarray = quantity(
        ("temperature", "statistics", "q", "band"), "W/(m K)", "contribution of the modes that a wave vector stands for"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConductivity:
    """Conductivity tensors of a crystal, and what the modes of each wave vector (with its star) contribute."""

    engine: str
    grid: np.ndarray = quantity(("vector", "vector_"), "1", "integer matrix M; wave vectors have M q integer")
    q_points: np.ndarray = quantity(("q", "xyz"), "1", "wave vectors in primitive reciprocal vectors")
    weights: np.ndarray = quantity(("q",), "1", "wave vectors of the mesh that each one stands for")
    frequencies: np.ndarray = quantity(("q", "band"), "rad/ps", "angular frequency, negative where imaginary")
    velocities: np.ndarray = quantity(("q", "band", "xyz"), "Angstrom/ps", "group velocity")
    volume: float
    smearing: float | None
    temperatures: np.ndarray = quantity(("temperature",), "K", "temperatures")
    statistics: tuple[str, ...]
    gamma: np.ndarray = quantity(("temperature", "statistics", "q", "band"), "rad/ps", "three-phonon linewidth, HWHM")
    isotopes: np.ndarray = quantity(("q", "band"), "rad/ps", "linewidth by isotopes, HWHM; 0 where not asked for")
    heat_capacities: np.ndarray = quantity(("temperature", "statistics", "q", "band"), "eV/K", "of each mode")
    relaxation_time: np.ndarray = quantity(
        ("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "relaxation-time approximation, intraband"
    )
    kernels: tuple[str, ...]
    interband: np.ndarray = quantity(
        ("kernel", "temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "interband part of each kernel"
    )
    degenerate: np.ndarray = quantity(
        ("temperature", "statistics", "xyz", "xyz_"), "W/(m K)", "what of every interband part is of degenerate bands"
    )
    per_mode: np.ndarray = quantity(
        ("temperature", "statistics", "q", "band"), "W/(m K)", "intraband contributions, trace/3"
    )
    per_mode_interband: np.ndarray = quantity(
        ("temperature", "statistics", "q", "band"), "W/(m K)", "interband contributions of the first kernel, trace/3"
    )
    direct: DirectSolution | None = None
    checks: tuple[Check, ...] = ()

    def tensor(self, part: str = "total", kernel: Kernel = "qhgk") -> np.ndarray:
        """(temperature, statistics, 3, 3) W/(m K) of a part.

        ``relaxation time``, ``interband``, ``total`` (their sum: QHGK with the kernel of that name), ``direct``, or
        ``direct total`` (direct and interband).

        Raises
        ------
        InputError
            For a part that was not computed.
        """
        interband = self.interband[self.kernels.index(kernel)]
        parts = {
            "relaxation time": self.relaxation_time,
            "interband": interband,
            "total": self.relaxation_time + interband,
        }
        if self.direct is not None:
            parts |= {"direct": self.direct.kappa, "direct total": self.direct.kappa + interband}
        if part not in parts:
            raise InputError("conductivity", part, f"choose from {', '.join(parts)}")
        return np.asarray(parts[part])

    def isotropic(self, temperature: float, statistics: str, part: str = "total", kernel: Kernel = "qhgk") -> float:
        """Trace/3 at one of the temperatures, W/(m K)."""
        row = int(np.flatnonzero(self.temperatures == temperature)[0])
        tensor = self.tensor(part, kernel)[row, self.statistics.index(statistics)]
        return float(np.trace(tensor) / 3.0)

    @property
    def modes(self) -> int:
        """Of the whole mesh."""
        return int(self.weights.sum()) * self.frequencies.shape[1]


def transport(
    bands: Bands,
    widths: MeshLinewidths,
    engine: str,
    smearing: float | None = None,
    direct: DirectSolution | None = None,
    checks: Sequence[Check] = (),
) -> MeshConductivity:
    """Conductivities at all temperatures and statistics of the linewidths; isotopes scatter too."""
    shape = widths.gamma.shape
    relaxation_time, degenerate = (np.empty((*shape[:2], 3, 3)) for _ in range(2))
    interband = np.empty((len(KERNELS), *shape[:2], 3, 3))
    own, pairs, capacities = (np.empty(shape) for _ in range(3))
    for t, s in np.ndindex(*shape[:2]):
        statistics, temperature = statistics_named(widths.statistics[s]), float(widths.temperatures[t])
        safe = np.where(bands.vibrating, bands.frequencies, 1.0)
        capacities[t, s] = bands.vibrating * statistics.heat_capacity(safe, safe, temperature)
        for k, kernel in enumerate(KERNELS):
            parts = band_pairs(bands, widths.total[t, s], statistics, temperature, kernel)
            interband[k, t, s] = _tensor(parts.interband.sum(axis=(0, 1)))
            if k == 0:
                relaxation_time[t, s] = _tensor(parts.intraband.sum(axis=(0, 1)))
                degenerate[t, s] = _tensor(parts.degenerate.sum(axis=(0, 1)))
                own[t, s], pairs[t, s] = (part[..., :3].mean(axis=-1) for part in (parts.intraband, parts.interband))
    found = MeshConductivity(
        engine=engine,
        grid=bands.grid,
        q_points=bands.q_points,
        weights=bands.weights,
        frequencies=bands.frequencies,
        velocities=bands.velocities,
        volume=bands.volume,
        smearing=smearing,
        temperatures=widths.temperatures,
        statistics=widths.statistics,
        gamma=widths.gamma,
        isotopes=widths.isotopes,
        heat_capacities=capacities,
        relaxation_time=relaxation_time,
        kernels=KERNELS,
        interband=interband,
        degenerate=degenerate,
        per_mode=own,
        per_mode_interband=pairs,
        direct=direct,
    )
    return dataclasses.replace(found, checks=(*checks, *sound_checks(found)))


def sound_checks(found: MeshConductivity) -> tuple[Check, ...]:
    """Whether the tensors are such as a crystal can have: none carries heat against the gradient, or without limit."""
    tensors = np.stack([found.tensor(), *([] if found.direct is None else [found.tensor("direct total")])])
    if np.isfinite(tensors).all():
        values = np.linalg.eigvalsh(0.5 * (tensors + np.swapaxes(tensors, -1, -2)))
        largest = np.abs(values).max(axis=-1)
        least = float(np.divide(values.min(axis=-1), largest, out=np.zeros_like(largest), where=largest > 0.0).min())
        most = float(largest.max())
    else:
        least = most = math.nan
    negative = "heat would flow to the hot side: take a finer mesh, and look at the other checks of the force constants"
    absurd = "no crystal conducts so well: some modes find nothing to scatter with, or the force constants are damaged"
    return (
        Check("least eigenvalue of the conductivity, of the largest", least, ">=", -NEGATIVE, "1", negative),
        Check("largest eigenvalue of the conductivity", most, "<=", LARGEST_CONDUCTIVITY, "W/(m K)", absurd),
    )


def translations_among(vectors: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(3,) the modes at Gamma that overlap most with rigid translations.

    ``vectors`` (3P, 3P) are orthonormal columns, mass-weighted, of atoms with masses (P,) in amu.
    """
    uniform = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    overlap = np.sum(np.abs(uniform.T @ vectors) ** 2, axis=0)
    return np.sort(np.argsort(overlap)[-3:])


def scattered(bands: Bands, gamma: np.ndarray) -> np.ndarray:
    """Mask (q, band) of modes whose linewidth, rad/ps, is more than rounding beside that of most others."""
    return np.asarray(gamma > least_linewidth(gamma[bands.vibrating]))


def least_linewidth(gamma: np.ndarray) -> float:
    """The linewidth, in the unit of those of the modes of a mesh, up to which a mode finds no channel."""
    known = gamma[gamma > 0.0]
    return NO_CHANNEL * float(np.median(known)) if known.size else 0.0


def mesh_checks(bands: Bands, widths: MeshLinewidths) -> tuple[Check, ...]:
    """Whether every mode of the mesh carries heat."""
    unstable = "imaginary modes carry no heat here: relax the crystal, or take force constants of a finite temperature"
    lost = "modes with no channel to scatter into are left out: take a finer mesh, or a wider smearing"
    return (
        Check("imaginary modes on the mesh", float(bands.imaginary), "<=", 0.0, "1", unstable),
        Check("modes without scattering", float(widths.unscattered(bands)), "<=", 0.0, "1", lost),
    )


@dataclasses.dataclass(frozen=True)
class Parts:
    """Contributions (q, band, voigt) of all wave vectors that q stands for, W/(m K); a pair's is shared by halves."""

    intraband: np.ndarray
    interband: np.ndarray
    degenerate: np.ndarray
    """Part of ``interband``."""


def band_pairs(
    bands: Bands, gamma: np.ndarray, statistics: Statistics, temperature: float, kernel: Kernel = "qhgk"
) -> Parts:
    """Contributions of single bands and of pairs, for linewidths (q, band), HWHM in rad/ps, equal where degenerate."""
    parts = [np.empty(bands.squares.shape) for _ in range(3)]
    scale = CONDUCTIVITY / (bands.volume * bands.weights.sum()) * bands.weights
    carrying = bands.vibrating & scattered(bands, gamma)
    for q, frequencies in enumerate(bands.frequencies):
        weight = scale[q] * _pair_weights(frequencies, gamma[q], carrying[q], statistics, temperature, kernel)
        every = weight[:, :, None] * bands.strengths[q]
        own = np.diagonal(weight)[:, None] * bands.squares[q]
        together = np.abs(frequencies[:, None] - frequencies[None, :]) < DEGENERATE
        parts[0][q], parts[1][q] = own, every.sum(axis=1) - own
        parts[2][q] = (every * together[:, :, None]).sum(axis=1) - own
    return Parts(*parts)


def shared_by_degenerate(frequencies: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (..., q, band) with those of degenerate bands replaced by their mean.

    A linewidth of one of several degenerate modes depends on how their eigenvectors were chosen, the mean does not.
    """
    result = np.array(values, dtype=float)
    for q, row in enumerate(frequencies):
        order = np.argsort(row)
        for group in np.split(order, np.flatnonzero(np.diff(row[order]) > DEGENERATE) + 1):
            result[..., q, group] = values[..., q, group].mean(axis=-1, keepdims=True)
    return result


def _pair_weights(
    frequencies: np.ndarray,
    gamma: np.ndarray,
    carrying: np.ndarray,
    statistics: Statistics,
    temperature: float,
    kernel: Kernel,
) -> np.ndarray:
    """c_mn tau_mn (band, band) in eV ps/K; zero where a mode is not ``carrying`` heat, or has no linewidth."""
    safe = np.where(carrying, frequencies, 1.0)
    first, second = safe[:, None], safe[None, :]
    capacity = statistics.heat_capacity(first, second, temperature)
    if kernel == "njc23":
        capacity = capacity * (first + second) ** 2 / (4.0 * first * second)
    if kernel == "wigner":
        own = statistics.heat_capacity(safe, safe, temperature) / safe
        capacity = (own[:, None] + own[None, :]) * first * second / (first + second)
    width = gamma[:, None] + gamma[None, :]
    both = carrying[:, None] & carrying[None, :]
    lorentzian = np.divide(width, width**2 + (first - second) ** 2, out=np.zeros_like(width), where=both)
    return np.asarray(capacity * lorentzian)


def _tensor(components: np.ndarray) -> np.ndarray:
    """Six components in the order of ``VOIGT`` as a symmetric (3, 3) tensor."""
    tensor = np.empty((3, 3))
    for value, (a, b) in zip(components, VOIGT, strict=True):
        tensor[a, b] = tensor[b, a] = value
    return tensor
