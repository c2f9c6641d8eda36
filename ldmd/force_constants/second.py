"""Second-order force constants of a cell at Gamma."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sp


@dataclasses.dataclass(frozen=True)
class SecondOrder:
    """Phi_ia,jb = d2E / du_ia du_jb as a sparse symmetric matrix.

    ``matrix`` is (3N, 3N) in eV/Angstrom^2 with coordinates ordered atom first: index 3 i + a. Periodic images are
    summed into one element, as a calculation at Gamma needs them.
    """

    matrix: sp.csr_array

    @property
    def atoms(self) -> int:
        """Number of atoms N."""
        return self.matrix.shape[0] // 3

    def mass_weighted(self, masses: np.ndarray) -> np.ndarray:
        """Dense Phi_ij / sqrt(m_i m_j), (3N, 3N) in eV/(amu Angstrom^2), for masses (N,) in amu."""
        scale = 1.0 / np.sqrt(np.repeat(masses, 3))
        dense = self.matrix.toarray() * scale[:, None] * scale[None, :]
        return 0.5 * (dense + dense.T)

    def forces(self, displacements: np.ndarray) -> np.ndarray:
        """Harmonic forces -Phi u in eV/Angstrom for displacements (..., N, 3) in Angstrom."""
        flat = displacements.reshape(-1, self.matrix.shape[0])
        return -(self.matrix @ flat.T).T.reshape(displacements.shape)
