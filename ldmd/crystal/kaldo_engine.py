"""Heat transport of a crystal by kALDo, in memory: the same results as ``phono3py_engine``, by another program.

kALDo's linewidths (it has full widths) and flux operators are taken; heat capacities and conductivities come from
``mesh``. That is not a matter of taste: kALDo's classical statistics are its quantum ones with a millionth of hbar, and
in the difference quotient of occupations of two bands that are degenerate up to round-off nothing is left: the pair
heat capacity is 0 in place of k_B. Classical QHGK of crystals then misses what degenerate bands carry and is not even
isotropic in a cubic one (293.1, 292.8, 298.1 W/m/K for silicon, 3 x 3 x 3, where it should be 299.8 three times). Its
own number is computed where asked for (``compare``), and a check says how far off it is.

Linewidths of degenerate modes are averaged, which kALDo does not do. Without a smearing its "tdep" kernel is taken,
the one whose widths do not depend on the choice of eigenvectors. The mesh is a whole one, not reduced by symmetry.
kALDo has no isotopes that could be kept apart here, and no meshes but boxes. Born charges are left out, which a check
says: with them its linewidths were 10 and more times those of phono3py in a zincblende crystal of springs. It takes the
three lowest modes at Gamma for the translations; where they are not, its answer is refused.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from importlib.metadata import version
from typing import Any

import numpy as np

from ldmd.crystal.force_constants import CrystalForceConstants
from ldmd.crystal.mesh import (
    VOIGT,
    Bands,
    DirectSolution,
    MeshConductivity,
    MeshLinewidths,
    MeshSettings,
    mesh_checks,
    shared_by_degenerate,
    translations_among,
    transport,
)
from ldmd.errors import InputError
from ldmd.force_constants.exchange.files import peer
from ldmd.force_constants.exchange.kaldo import to_kaldo
from ldmd.foreign import quiet
from ldmd.results import Check
from ldmd.units import THZ

AGREES = 1e-3
"""Relative difference of kALDo's own QHGK tensor up to which it is no defect: widths of degenerate modes."""
SQUARE_ROOT_OF_TWO = float(np.sqrt(2.0))


def conductivity(constants: CrystalForceConstants, settings: MeshSettings, compare: bool = False) -> MeshConductivity:
    """Relaxation times, interband parts and, where asked for, the direct solution on one mesh.

    With ``compare`` kALDo's own QHGK is computed as well, and every tensor of it that differs fails a check.

    Raises
    ------
    InputError
        Where kALDo is not installed, isotopes are asked for, or a supercell or the mesh is no box.
    """
    repeats = _require_known(settings)
    peer("kaldo.phonons", "kaldo")
    logging.getLogger("kaldo").setLevel(logging.WARNING)
    theirs = to_kaldo(constants.second, constants.third)
    shape = (len(settings.temperatures), len(settings.statistics))
    bands: Bands | None = None
    gamma, kappa, modes, own = [], [], [], []
    # kALDo divides by the frequencies of the translations, and masks the result afterwards.
    with np.errstate(divide="ignore", invalid="ignore"), quiet():
        for temperature, name in itertools.product(settings.temperatures, settings.statistics):
            phonons = _phonons(theirs, settings, repeats, temperature, name == "classical")
            if bands is None:
                _require_translations(phonons, constants.primitive.get_masses())
                bands = _bands(phonons, settings, float(constants.primitive.cell.volume))
            gamma.append(0.5 * np.asarray(phonons.bandwidth).reshape(bands.frequencies.shape))
            if settings.direct:
                solved = _direct(phonons)
                kappa.append(solved[0])
                modes.append(solved[1])
            if compare:
                own.append(_solved(phonons, "qhgk").sum(axis=0))
    assert bands is not None
    widths = MeshLinewidths(
        temperatures=np.asarray(settings.temperatures, dtype=float),
        statistics=settings.statistics,
        gamma=shared_by_degenerate(bands.frequencies, np.array(gamma).reshape(*shape, *bands.frequencies.shape)),
        isotopes=np.zeros_like(bands.frequencies),
    )
    direct = None
    if settings.direct:
        direct = DirectSolution(
            kappa=np.array(kappa).reshape(*shape, 3, 3), per_mode=np.array(modes).reshape(widths.gamma.shape)
        )
    found = transport(bands, widths, f"kaldo {version('kaldo')}", settings.smearing, direct)
    checks = [*constants.checks, *_left_out(constants), *mesh_checks(bands, widths), *found.checks]
    checks += _compared(found, np.array(own).reshape(*shape, 3, 3)) if compare else []
    return dataclasses.replace(found, checks=tuple(checks))


def _left_out(constants: CrystalForceConstants) -> list[Check]:
    """A failed check where there are Born charges."""
    if constants.electrostatics is None:
        return []
    advice = 'longitudinal and transverse modes are not split: take engine = "phono3py"'
    return [Check("atoms whose Born charges kALDo leaves out", float(len(constants.primitive)), "<=", 0.0, "1", advice)]


def _require_translations(phonons: Any, masses: np.ndarray) -> None:
    """Refuse crystals whose three lowest modes at Gamma are not the translations, which kALDo takes for granted.

    Raises
    ------
    InputError
        Where a mode is softer than they are.
    """
    q_points = np.asarray(phonons._reciprocal_grid.fractional_points)
    gamma = int(np.argmin(np.linalg.norm(q_points, axis=1)))
    vectors = np.asarray(phonons._eigensystem)[gamma, 1:]
    if not np.array_equal(translations_among(vectors, masses), [0, 1, 2]):
        fix = "takes the three lowest modes at Gamma for translations, and here they are not; take phono3py"
        raise InputError("crystal.engine", '"kaldo"', fix)


def _require_known(settings: MeshSettings) -> tuple[int, int, int]:
    """The mesh as a box of three numbers."""
    if settings.isotopes:
        raise InputError("isotopes", True, "the engine kaldo has none here; take phono3py")
    sizes = np.diag(settings.matrix)
    if np.any(settings.matrix != np.diag(sizes)):
        raise InputError("mesh", settings.grid, "kaldo knows divisions of the primitive vectors only; take phono3py")
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def _phonons(
    theirs: Any, settings: MeshSettings, repeats: tuple[int, int, int], temperature: float, classical: bool
) -> Any:
    """kALDo's Phonons; its Gaussian is exp(-x^2/s^2), s = sqrt(2) standard deviations, in THz."""
    width = None if settings.smearing is None else SQUARE_ROOT_OF_TWO * settings.smearing / THZ
    return peer("kaldo.phonons", "kaldo").Phonons(
        forceconstants=theirs,
        temperature=temperature,
        is_classic=classical,
        kpts=repeats,
        third_bandwidth=width,
        broadening_shape="gauss",
        broadening_kernel="tdep",
        storage="memory",
    )


def _bands(phonons: Any, settings: MeshSettings, volume: float) -> Bands:
    """Harmonic modes, and flux operators S of every wave vector: v_mn = S_mn / (2 sqrt(w_m w_n))."""
    frequencies = THZ * np.asarray(phonons.frequency)
    frequencies = np.where(np.asarray(phonons.physical_mode), frequencies, 0.0)
    q_points = np.asarray(phonons._reciprocal_grid.fractional_points)
    harmonic = peer("kaldo.observables.harmonic_with_q", "kaldo").HarmonicWithQ
    strengths = np.empty((*frequencies.shape, frequencies.shape[1], len(VOIGT)))
    for q, q_point in enumerate(q_points):
        mode = harmonic(q_point=q_point, second=phonons.forceconstants.second, storage="memory", is_nac=False)
        safe = np.where(frequencies[q] > 0.0, frequencies[q], np.inf)
        scale = 0.5 / np.sqrt(safe[:, None] * safe[None, :])
        velocity = [scale * np.asarray(flux) for flux in (mode._sij_x, mode._sij_y, mode._sij_z)]
        for v, (a, b) in enumerate(VOIGT):
            strengths[q, :, :, v] = (velocity[a] * velocity[b].conj()).real
    return Bands(
        grid=settings.matrix,
        q_points=q_points,
        weights=np.ones(len(q_points), dtype=int),
        frequencies=frequencies,
        velocities=np.asarray(phonons.velocity).real,
        squares=np.einsum("qmmv->qmv", strengths).copy(),
        strengths=strengths,
        volume=volume,
    )


def _solved(phonons: Any, method: str) -> np.ndarray:
    """kALDo's own conductivity by mode, (modes, 3, 3)."""
    solver = peer("kaldo.conductivity", "kaldo").Conductivity
    return np.asarray(solver(phonons=phonons, method=method, n_iterations=0, storage="memory").conductivity)


def _direct(phonons: Any) -> tuple[np.ndarray, np.ndarray]:
    """The inverted scattering matrix: tensor, symmetric, and contributions, trace/3."""
    modes = _solved(phonons, "inverse")
    tensor = modes.sum(axis=0)
    return 0.5 * (tensor + tensor.T), np.trace(modes, axis1=1, axis2=2) / 3.0


def _compared(found: MeshConductivity, own: np.ndarray) -> list[Check]:
    """kALDo's QHGK tensors against ours, which is from the same velocities and linewidths."""
    checks = []
    for t, s in np.ndindex(own.shape[:2]):
        mine = found.tensor()[t, s]
        difference = float(np.abs(own[t, s] - mine).max() / np.abs(mine).max())
        advice = (
            "kALDo's own QHGK is not returned: it has no heat capacity for pairs of degenerate bands classically, and "
            "linewidths of its own for each of them"
        )
        name = f"QHGK of kALDo itself, {found.statistics[s]}, {found.temperatures[t]:g} K"
        checks.append(Check(name, difference, "<=", AGREES, "1", advice))
    return checks
