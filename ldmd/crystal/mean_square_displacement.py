"""Harmonic mean square displacements of the atoms of a crystal, as tensors U_ab = <u_a u_b>.

U_k,ab = (1/N) sum_qs <|Q_qs|^2> Re(e_qs,ka e*_qs,kb) / m_k,  <|Q|^2> = hbar (n + 1/2) / w, classically k_B T / w^2,

over a mesh of N wave vectors with Gamma, without the three rigid translations and without imaginary modes. That is
the displacement in a periodic supercell of the mesh's size whose centre of mass is at rest, exactly; the infinite
crystal is approached as one over its length. Crystallographers' B_iso is 8 pi^2 / 3 times the trace.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.crystal.harmonic import Mesh, Polarity, mesh_modes, phonopy_of
from ldmd.force_constants.exchange.constants import ForceConstants
from ldmd.lattice.statistics import BoseEinstein, Classical, Statistics
from ldmd.results import quantity
from ldmd.units import FORCE_TO_ACCELERATION, HBAR, THZ


@dataclasses.dataclass(frozen=True)
class MeanSquareDisplacement:
    """Tensors <u u> of the atoms of the primitive cell."""

    symbols: tuple[str, ...]
    statistics: tuple[str, ...]
    mesh: Mesh
    imaginary_modes: int
    """Left out, of all modes of the mesh: with any, the harmonic crystal is unstable and these numbers too small."""
    temperatures: np.ndarray = quantity(("temperature",), "K", "temperature")
    tensors: np.ndarray = quantity(
        ("statistics", "temperature", "atom", "axis", "other_axis"), "Angstrom^2", "mean of u_a u_b of every atom"
    )

    @property
    def per_atom(self) -> np.ndarray:
        """<u^2>, the trace, (statistics, temperature, atom) in Angstrom^2."""
        return np.asarray(np.trace(self.tensors, axis1=-2, axis2=-1))

    @property
    def per_species(self) -> dict[str, np.ndarray]:
        """<u^2> averaged over the atoms of each species, (statistics, temperature) in Angstrom^2."""
        named = np.array(self.symbols)
        return {name: self.per_atom[..., named == name].mean(axis=-1) for name in dict.fromkeys(self.symbols)}


def mean_square_displacement(
    constants: ForceConstants,
    mesh: Mesh,
    temperatures: np.ndarray,
    statistics: tuple[Statistics, ...] = (Classical(), BoseEinstein()),
    polarity: Polarity | None = None,
) -> MeanSquareDisplacement:
    """Tensors at temperatures (K) for every kind of statistics."""
    primitive = constants.supercell.primitive
    masses = primitive.get_masses()
    vectors, frequencies, eigenvectors = mesh_modes(phonopy_of(constants, polarity), mesh)
    frequencies = frequencies * THZ
    moving = ~rigid(vectors, eigenvectors, masses)
    vibrating = moving & (frequencies > 0.0)
    waves = eigenvectors.transpose(0, 2, 1)[vibrating].reshape(-1, len(masses), 3)
    shapes = np.einsum("mka,mkb->mkab", waves, waves.conj(), optimize=True).real / masses[:, None, None]
    tensors = np.empty((len(statistics), len(temperatures), len(masses), 3, 3))
    for row, kind in enumerate(statistics):
        for column, temperature in enumerate(temperatures):
            quanta = kind.occupation(frequencies[vibrating], float(temperature)) + 0.5 * kind.vacuum
            variances = HBAR * FORCE_TO_ACCELERATION * quanta / frequencies[vibrating]
            tensors[row, column] = np.tensordot(variances, shapes, axes=1) / len(vectors)
    return MeanSquareDisplacement(
        symbols=tuple(primitive.get_chemical_symbols()),
        statistics=tuple(kind.name for kind in statistics),
        mesh=mesh,
        imaginary_modes=int(np.sum(moving & (frequencies <= 0.0))),
        temperatures=np.asarray(temperatures, dtype=float),
        tensors=tensors,
    )


def rigid(wave_vectors: np.ndarray, eigenvectors: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Mask (q, 3P) of the three rigid translations at Gamma, by overlap and not by rank."""
    mask = np.zeros(eigenvectors.shape[::2], dtype=bool)
    uniform = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    for point in np.flatnonzero(np.abs(wave_vectors).max(axis=1) < 1e-12):
        overlap = np.sum(np.abs(uniform.T @ eigenvectors[point]) ** 2, axis=0)
        mask[point, np.argsort(overlap)[-3:]] = True
    return mask
