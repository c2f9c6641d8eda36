"""Phonon bands along the path between points of high symmetry, and the density of states on a mesh.

The path is the one of Setyawan and Curtarolo, Comput. Mater. Sci. 49, 299 (2010), for the Bravais lattice of the
primitive cell, as ASE has it. The density of states is by linear interpolation in tetrahedra (Bloechl, Jepsen and
Andersen, Phys. Rev. B 49, 16223 (1994)), as phonopy has it: no width to choose. It counts modes per wave vector and
branch and integrates to one; a species' share weights each mode by its squared eigenvector on that species.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ldmd.crystal.harmonic import Mesh, Polarity, phonopy_of
from ldmd.errors import InputError
from ldmd.force_constants.exchange.constants import ForceConstants
from ldmd.results import quantity
from ldmd.units import THZ

GAMMA = "Γ"
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclasses.dataclass(frozen=True)
class Bands:
    """Frequencies along a path of straight segments."""

    segments: tuple[tuple[str, str], ...]
    """Names of the two ends of every segment; where one does not begin at the end of another, the path jumps."""
    ends: np.ndarray = quantity(("segment", "end"), "1/Angstrom", "distance of both ends along the path, 2 pi included")
    segment: np.ndarray = quantity(("point",), "1", "which segment a point is on; ends shared by two appear twice")
    distances: np.ndarray = quantity(("point",), "1/Angstrom", "distance along the path, 2 pi included")
    wave_vectors: np.ndarray = quantity(("point", "axis"), "1", "fractions of the primitive reciprocal vectors")
    frequencies: np.ndarray = quantity(("point", "branch"), "rad/ps", "ascending, negative where imaginary")

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Distances and names of the points of high symmetry; both names at a jump, as in ``"K|U"``."""
        found: list[tuple[float, str]] = [(float(self.ends[0, 0]), self.segments[0][0])]
        for number, (_, name) in enumerate(self.segments):
            following = self.segments[number + 1][0] if number + 1 < len(self.segments) else name
            found.append((float(self.ends[number, 1]), name if following == name else f"{name}|{following}"))
        return tuple(found)


@dataclasses.dataclass(frozen=True)
class DensityOfStates:
    """Density of states of a crystal, in total and by species."""

    symbols: tuple[str, ...]
    """Of the atoms of the primitive cell."""
    volume: float
    """Of the primitive cell, Angstrom^3."""
    mesh: Mesh
    frequencies: np.ndarray = quantity(("frequency",), "rad/ps", "negative where imaginary")
    total: np.ndarray = quantity(("frequency",), "ps/rad", "density of states, integrates to 1")
    by_species: np.ndarray = quantity(("element", "frequency"), "ps/rad", "shares of the species, whose sum is total")

    @property
    def species(self) -> tuple[str, ...]:
        """In the order of ``by_species``."""
        return tuple(dict.fromkeys(self.symbols))


def bands(
    constants: ForceConstants, points: int = 60, path: str | None = None, polarity: Polarity | None = None
) -> Bands:
    """Bands along the recommended path, or along one given in ASE's notation such as ``"GXK,GL"``.

    ``points`` are those of the longest segment; the others are sampled as densely.

    Raises
    ------
    InputError
        For a path through points that the Bravais lattice does not have.
    """
    from phonopy.phonon.band_structure import get_band_qpoints_and_path_connections

    primitive = constants.supercell.primitive
    stretches = _stretches(constants, path)
    crystal = phonopy_of(constants, polarity)
    reciprocal = np.linalg.inv(primitive.cell.array)
    corners = [[point for _, point in stretch] for stretch in stretches]
    vectors, connections = get_band_qpoints_and_path_connections(corners, points, reciprocal)
    crystal.run_band_structure(vectors, path_connections=connections)
    found = crystal.band_structure
    distances = [2.0 * np.pi * np.asarray(part) for part in found.distances]
    names = [(stretch[k][0], stretch[k + 1][0]) for stretch in stretches for k in range(len(stretch) - 1)]
    return Bands(
        segments=tuple(names),
        ends=np.array([(part[0], part[-1]) for part in distances]),
        segment=np.repeat(np.arange(len(distances)), [len(part) for part in distances]),
        distances=np.concatenate(distances),
        wave_vectors=np.concatenate([np.asarray(part) for part in vectors]),
        frequencies=np.concatenate([np.asarray(part) for part in found.frequencies]) * THZ,
    )


def density_of_states(
    constants: ForceConstants, mesh: Mesh, points: int = 600, polarity: Polarity | None = None
) -> DensityOfStates:
    """Density of states by tetrahedra on a mesh with Gamma, at ``points`` frequencies from the lowest to the highest.

    The range ends on the extreme frequencies of the mesh, beyond which the interpolation has no states.
    """
    crystal = phonopy_of(constants, polarity)
    primitive = constants.supercell.primitive
    symbols = tuple(primitive.get_chemical_symbols())
    alone = len(set(symbols)) == 1  # then the irreducible wave vectors are enough
    crystal.run_mesh(mesh, is_gamma_center=True, is_mesh_symmetry=alone, with_eigenvectors=not alone)
    sampled = np.asarray(crystal.mesh.frequencies)
    lowest, highest = min(0.0, float(sampled.min())), float(sampled.max())
    pitch = (highest - lowest) / (points - 1)
    ends = {"freq_min": lowest, "freq_max": highest + 0.5 * pitch, "freq_pitch": pitch}
    if alone:
        crystal.run_total_dos(**ends, use_tetrahedron_method=True)
        grid, by_species = crystal.total_dos.frequency_points, np.asarray(crystal.total_dos.dos)[None]
    else:
        crystal.run_projected_dos(**ends, use_tetrahedron_method=True)
        grid, per_atom = crystal.projected_dos.frequency_points, np.asarray(crystal.projected_dos.projected_dos)
        named = np.array(symbols)
        by_species = np.array([per_atom[named == name].sum(axis=0) for name in dict.fromkeys(symbols)])
    shares = by_species / (3.0 * len(primitive)) / THZ
    volume = float(primitive.get_volume())
    return DensityOfStates(symbols, volume, mesh, np.asarray(grid) * THZ, shares.sum(axis=0), shares)


def _stretches(constants: ForceConstants, path: str | None) -> list[list[tuple[str, np.ndarray]]]:
    """Unbroken stretches of the path: names and fractional coordinates of their corners."""
    from ase.dft.kpoints import parse_path_string

    try:
        found = constants.supercell.primitive.cell.bandpath(path, npoints=0)
    except (KeyError, ValueError) as error:
        raise InputError("path", path, f"the lattice does not know it ({error}); leave it out or mend it") from error
    stretches = []
    for names in parse_path_string(found.path):
        for name in names:
            if name not in found.special_points:
                raise InputError("path", path, f"{name} is not among {', '.join(found.special_points)}")
        stretches.append([(_label(name), np.asarray(found.special_points[name])) for name in names])
    return stretches


def _label(name: str) -> str:
    """G as the letter gamma, digits as subscripts."""
    return (GAMMA if name == "G" else name).translate(SUBSCRIPTS)
