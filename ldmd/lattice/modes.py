"""Vibrational modes at Gamma: frequencies, eigenvectors, participation ratios, density of states, velocities.

A glass has one wave vector, Gamma of its own cell: all its modes are standing waves of that cell, and real.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

from ldmd.force_constants.second import SecondOrder
from ldmd.results import quantity
from ldmd.structures import minimum_image
from ldmd.units import FORCE_TO_ACCELERATION

DENSE = 0.1
"""Share of non-zero elements from which a dense product is faster than a sparse one."""


@dataclasses.dataclass(frozen=True)
class Modes:
    """Normal modes of a cell at Gamma, in ascending order of frequency."""

    frequencies: np.ndarray = quantity(("mode",), "rad/ps", "angular frequency, negative where imaginary")
    eigenvectors: np.ndarray = quantity(("coordinate", "mode"), "1", "orthonormal columns, mass-weighted, 3 atom + xyz")
    participation_ratio: np.ndarray = quantity(("mode",), "1", "1 for a uniform mode, 1/N for a single atom")
    translations: np.ndarray = quantity(("translation",), "1", "indices of the three rigid translations")
    masses: np.ndarray = quantity(("atom",), "amu", "atomic masses")

    @property
    def vibrating(self) -> np.ndarray:
        """Mask (3N,) of the modes that carry heat: neither rigid translations nor imaginary."""
        mask = self.frequencies > 0.0
        mask[self.translations.astype(int)] = False
        return mask

    @property
    def imaginary(self) -> np.ndarray:
        """Indices of imaginary modes, rigid translations left out."""
        mask = self.frequencies < 0.0
        mask[self.translations.astype(int)] = False
        return np.flatnonzero(mask)

    @property
    def displacements(self) -> np.ndarray:
        """Eigenvectors divided by sqrt(mass), (3N, 3N) in amu^-1/2: the atoms' motion for a unit normal coordinate."""
        return self.eigenvectors / np.sqrt(np.repeat(self.masses, 3))[:, None]


def highest_frequency(second: SecondOrder, masses: np.ndarray) -> float:
    """The highest frequency alone, rad/ps, for masses (N,) in amu: by Lanczos' method, quick for large cells."""
    scale = sp.diags_array(1.0 / np.sqrt(np.repeat(masses, 3)))
    dynamical = (scale @ second.matrix @ scale) * FORCE_TO_ACCELERATION
    start = np.random.default_rng(0).normal(size=dynamical.shape[0])
    square = scipy.sparse.linalg.eigsh(dynamical, k=1, which="LA", v0=start, tol=1e-6, return_eigenvectors=False)
    return float(np.sqrt(max(square[0], 0.0)))


def normal_modes(second: SecondOrder, masses: np.ndarray) -> Modes:
    """Diagonalise the mass-weighted force constants for masses (N,) in amu."""
    dynamical = second.mass_weighted(masses) * FORCE_TO_ACCELERATION
    squares, vectors = scipy.linalg.eigh(dynamical, overwrite_a=True, check_finite=True, driver="evd")
    frequencies = np.sign(squares) * np.sqrt(np.abs(squares))
    amplitudes = np.sum(vectors.reshape(-1, 3, len(squares)) ** 2, axis=1)
    participation = 1.0 / (len(masses) * np.sum(amplitudes**2, axis=0))
    return Modes(
        frequencies,
        vectors,
        participation,
        rigid_translations(vectors, masses),
        np.asarray(masses, dtype=float),
    )


def rigid_translations(vectors: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Indices of the three modes that overlap most with rigid translations, by overlap and not by rank.

    An imaginary mode lies below the translations, so "the three lowest" would silently drop it and keep one of them.
    """
    uniform = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    overlap = np.sum((uniform.T @ vectors) ** 2, axis=0)
    return np.sort(np.argsort(overlap)[-3:])


def velocity_matrices(second: SecondOrder, modes: Modes, positions: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Generalised velocities v^a_mn, (3, 3N, 3N) in Angstrom/ps; zero where a mode does not vibrate.

    v^a_mn = sum_ij (R_i - R_j)_a e_m,i D_ij e_n,j / (2 sqrt(w_m w_n)) with the minimum image of R_i - R_j: without it
    the result depends on where the cell was cut (Isaeva et al., Nat. Commun. 10, 3853 (2019), Eq. 5; at Gamma it is
    real and antisymmetric, so that no mode has a velocity of its own).
    """
    coo, size = second.matrix.tocoo(), len(modes.frequencies)
    scale = FORCE_TO_ACCELERATION / np.sqrt(modes.masses[coo.row // 3] * modes.masses[coo.col // 3])
    separation = minimum_image(positions[coo.row // 3] - positions[coo.col // 3], cell)
    inverse = np.zeros(size)
    inverse[modes.vibrating] = 1.0 / np.sqrt(2.0 * modes.frequencies[modes.vibrating])
    scaled = modes.eigenvectors * inverse
    velocities = np.empty((3, *coo.shape))
    for axis in range(3):
        flux = sp.csr_array((coo.data * scale * separation[:, axis], (coo.row, coo.col)), shape=coo.shape)
        if flux.nnz > DENSE * size**2:
            flux = flux.toarray()
        product = scaled.T @ (flux @ scaled)
        velocities[axis] = 0.5 * (product - product.T)
    return velocities


def density_of_states(modes: Modes, grid: np.ndarray, width: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Vibrational density of states on a grid of rad/ps, ps/rad, by Gaussians of standard deviation ``width``.

    Integrates to 1 over all vibrating modes with unit weights; ``weights`` (3N,) select e.g. one species' share.
    """
    mask = modes.vibrating
    frequencies = modes.frequencies[mask]
    share = np.ones(len(frequencies)) if weights is None else weights[mask]
    kernel = np.exp(-0.5 * ((grid[:, None] - frequencies) / width) ** 2) / (np.sqrt(2.0 * np.pi) * width)
    return kernel @ share / len(frequencies)


def species_weights(modes: Modes, members: np.ndarray) -> np.ndarray:
    """Share (3N,) of each mode's squared eigenvector on the atoms of a boolean mask (N,)."""
    amplitudes = np.sum(modes.eigenvectors.reshape(len(modes.masses), 3, -1) ** 2, axis=1)
    return amplitudes[members].sum(axis=0)
