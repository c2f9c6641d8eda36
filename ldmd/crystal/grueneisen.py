"""Mode Grueneisen parameters gamma = -d ln w / d ln V, from the third order or from second orders at three volumes.

Under a uniform dilation dr = e r, V grows by 3 e. To first order the force constants become Phi + e Phi', with

Phi'_ia,jm = sum_kn Phi_ia,jm,kn (r_k - r_i + w_k)_n,        gamma_qs = -e*_qs . D'(q) e_qs / (6 w_qs^2),

where D' is made of Phi' as the dynamical matrix D is of Phi, and w is what atoms move within the cell because
the dilation leaves forces on them: w = Phi(Gamma)^+ F, F_ia = -sum_jm Phi_ia,jm (r_j - r_i)_m; it vanishes where
symmetry fixes all positions. r_k - r_i is the nearest image, the mean of those that tie. (Barron and Klein, in
Dynamical Properties of Solids, Vol. 1 (1974), and every code since; the sign is that of Phi = +d3E / du du du.)

Programs that store derivatives of forces have the opposite sign and all gamma reversed: ``ldmd.force_constants.
exchange`` turns them as it reads. Both routes end in phonopy's ``PhonopyGruneisen``, which lifts degeneracies.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from ldmd.crystal.harmonic import Mesh, Polarity, phonopy_of
from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import ForceConstants
from ldmd.force_constants.images import nearest_images
from ldmd.results import quantity
from ldmd.units import THZ

if TYPE_CHECKING:
    from ldmd.lattice.statistics import Statistics

DILATION = 1e-4
"""Linear strain of the volumes that Phi' is extrapolated to: linear in it, the result does not depend on it."""
SOFT = 1e-2
"""THz: modes below it have no Grueneisen parameter (rigid translations, imaginary modes)."""


@dataclasses.dataclass(frozen=True)
class Grueneisen:
    """Mode Grueneisen parameters on a mesh, irreducible wave vectors with their weights."""

    route: str
    """``"third order"`` or ``"three volumes"``."""
    mesh: Mesh
    wave_vectors: np.ndarray = quantity(("point", "axis"), "1", "fractions of the primitive reciprocal vectors")
    weights: np.ndarray = quantity(("point",), "1", "how many wave vectors of the mesh each stands for")
    frequencies: np.ndarray = quantity(("point", "branch"), "rad/ps", "ascending, negative where imaginary")
    parameters: np.ndarray = quantity(("point", "branch"), "1", "-d ln w / d ln V; NaN for rigid translations")

    def mean(self, statistics: Statistics, temperature: float) -> float:
        """Mean over all modes, each with its heat capacity at a temperature (K): what thermal expansion sees."""
        known = np.isfinite(self.parameters)
        frequencies = np.where(known, self.frequencies, 1.0)
        capacities = statistics.heat_capacity(frequencies, frequencies, temperature) * self.weights[:, None] * known
        return float(np.sum(capacities * np.where(known, self.parameters, 0.0)) / np.sum(capacities))


def from_third_order(
    second: ForceConstants, third: ForceConstants, mesh: Mesh, polarity: Polarity | None = None
) -> Grueneisen:
    """Grueneisen parameters from second and third-order force constants of one primitive cell at one volume.

    Both may be the same object, or have supercells of their own. With ``polarity`` the electric field of the modes
    changes with the volume; Born charges and dielectric tensor do not.

    Raises
    ------
    InputError
        Where an order is missing, or the two have different primitive cells.
    """
    rate = dilation_rate(second, third)
    volumes = [second, _dilated(third, rate, DILATION), _dilated(third, rate, -DILATION)]
    return _of_phonopy("third order", volumes, mesh, (polarity,) * 3)


def from_three_volumes(
    centre: ForceConstants,
    larger: ForceConstants,
    smaller: ForceConstants,
    mesh: Mesh,
    polarities: tuple[Polarity | None, Polarity | None, Polarity | None] = (None, None, None),
) -> Grueneisen:
    """Grueneisen parameters from second orders at V, V + dV and V - dV (linear strains of a percent or less).

    Raises
    ------
    InputError
        Where the volumes are not in this order or their supercells differ.
    """
    volumes = [each.supercell.primitive.get_volume() for each in (centre, larger, smaller)]
    if not volumes[2] < volumes[0] < volumes[1]:
        fix = "give the crystal at V, then at a larger, then at a smaller volume"
        raise InputError("volumes", [round(float(volume), 4) for volume in volumes], fix)
    if any(not np.array_equal(each.supercell.matrix, centre.supercell.matrix) for each in (larger, smaller)):
        raise InputError("volumes", "different supercells", "give the same supercell at all volumes")
    return _of_phonopy("three volumes", [centre, larger, smaller], mesh, polarities)


def dilation_rate(second: ForceConstants, third: ForceConstants) -> sp.csr_array:
    """Phi' = d Phi / d e under r -> (1 + e) r with the cell's atoms relaxed, (3P, 3N) in eV/Angstrom^2.

    Of the supercell of the third order.
    """
    if second.second is None or third.third is None:
        raise InputError("force constants", "without second or third order", "Grueneisen parameters need both")
    _require_same_cell(second, third)
    rows, count = len(third.supercell.primitive), len(third.supercell.atoms)
    response = internal_response(second)[third.supercell.sites].ravel()
    moves = _radii(third) + response  # that of home atoms themselves drops out by translation
    i, j, k = third.third.indices
    keys = i.astype(np.int64) * (3 * count) + j
    unique, where = np.unique(keys, return_inverse=True)
    data = np.bincount(where, third.third.values * moves[i // 3, k], len(unique))
    return sp.csr_array((data, (unique // (3 * count), unique % (3 * count))), shape=(3 * rows, 3 * count))


def internal_response(constants: ForceConstants) -> np.ndarray:
    """w (P, 3): Angstrom that the atoms of the cell move per unit of dilation, besides moving with it."""
    if constants.second is None:
        raise InputError("force constants", "without second order", "the response of the cell needs it")
    rows = len(constants.supercell.primitive)
    dense = constants.second.toarray()
    forces = -np.sum(dense.reshape(rows, 3, -1) * _radii(constants)[:, None, :], axis=2)
    at_gamma = np.zeros((3 * rows, 3 * rows))
    columns = (3 * constants.supercell.sites[:, None] + np.arange(3)).ravel()
    np.add.at(at_gamma.T, columns, dense.T)
    free = np.eye(3 * rows) - np.tile(np.eye(3) / rows, (rows, rows))
    stiffness = free @ (0.5 * (at_gamma + at_gamma.T)) @ free
    return (np.linalg.pinv(stiffness, rcond=1e-8, hermitian=True) @ (free @ forces.ravel())).reshape(rows, 3)


def _radii(constants: ForceConstants) -> np.ndarray:
    """Vectors from every home atom to all atoms, nearest images, (P, 3N) in Angstrom."""
    atoms = constants.supercell.atoms
    separations = atoms.positions[None, :, :] - atoms.positions[constants.supercell.home][:, None, :]
    nearest = nearest_images(separations.reshape(-1, 3), atoms.cell.array).mean()
    return nearest.reshape(len(separations), -1)


def _require_same_cell(second: ForceConstants, third: ForceConstants) -> None:
    ours, theirs = second.supercell.primitive, third.supercell.primitive
    same = len(ours) == len(theirs) and np.array_equal(ours.numbers, theirs.numbers)
    if not same or not (np.allclose(ours.cell, theirs.cell) and np.allclose(ours.positions, theirs.positions)):
        fix = "differs between second and third order; bring one to the other's with ForceConstants.in_order_of"
        raise InputError("primitive cell", str(theirs.symbols), fix)


def _dilated(constants: ForceConstants, rate: sp.csr_array, dilation: float) -> ForceConstants:
    """What the force constants change by in a dilated crystal, to first order."""
    supercell = constants.supercell
    atoms, primitive = supercell.atoms.copy(), supercell.primitive.copy()
    for cell in (atoms, primitive):
        cell.set_cell(cell.cell.array * (1.0 + dilation), scale_atoms=True)
    scaled = dataclasses.replace(supercell, primitive=primitive, atoms=atoms)
    return ForceConstants(scaled, sp.csr_array(dilation * rate))


def _of_phonopy(
    route: str, volumes: list[ForceConstants], mesh: Mesh, polarities: tuple[Polarity | None, ...]
) -> Grueneisen:
    """Mesh of phonopy's Grueneisen parameters for V, V + dV, V - dV."""
    from phonopy import PhonopyGruneisen

    crystals: list[Any] = [phonopy_of(*each) for each in zip(volumes, polarities, strict=True)]
    program: Any = PhonopyGruneisen(*crystals)
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # rigid translations: 0 / 0
        program.set_mesh(mesh, is_gamma_center=True)
        vectors, weights, frequencies, _, parameters = program.get_mesh()
    hard = np.asarray(frequencies) > SOFT
    return Grueneisen(
        route,
        mesh,
        np.asarray(vectors),
        np.asarray(weights),
        np.asarray(frequencies) * THZ,
        np.where(hard, parameters, np.nan),
    )
