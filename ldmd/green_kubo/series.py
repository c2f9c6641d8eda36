"""The flux time series that a Green-Kubo analysis starts from, and its readers.

Fluxes are extensive (summed over the cell, never divided by its volume), in eV Angstrom/ps. Their mean is
left in: an equilibrium flux has zero mean by symmetry, and the sample mean is the datum at zero frequency.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np

from ldmd.errors import InputError
from ldmd.results import quantity

FEWEST_STEPS = 64
"""A shorter series has no spectrum worth the name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FluxSeries:
    """Fluxes sampled at equal steps of an equilibrium trajectory (or of several, side by side).

    ``flux`` has shape (steps, currents, components). Current 0 is the energy flux; further currents are mass
    (or velocity-like) fluxes for the Onsager reduction. Components are statistically equivalent samples of
    the same process: the Cartesian axes of every replica, replica after replica (x0 y0 z0 x1 y1 z1 ...);
    ``axes`` says how many of them one replica brings, so axis ``a`` is ``flux[:, :, a::axes]``.

    Raises
    ------
    InputError
        If a number is not finite, the series is shorter than 64 steps, or a shape or scalar makes no sense.
    """

    flux: np.ndarray = quantity(
        ("step", "current", "component"), "eV Angstrom/ps", "extensive flux; current 0 carries the energy"
    )
    timestep: float  # ps between samples
    temperature: float  # K, the mean of the run rather than the set point: it enters squared
    volume: float  # Angstrom^3
    axes: int = 3

    def __post_init__(self) -> None:
        if self.flux.ndim != 3 or self.flux.shape[1] < 1 or self.flux.shape[2] < 1:
            raise InputError("flux.shape", self.flux.shape, "give steps x currents x components")
        if self.flux.shape[0] < FEWEST_STEPS:
            raise InputError("flux.steps", self.flux.shape[0], f"record at least {FEWEST_STEPS} steps")
        if not np.isfinite(self.flux).all():
            step = int(np.argmin(np.isfinite(self.flux).all(axis=(1, 2))))
            raise InputError("flux", f"not finite at step {step}", "cut the series there or mend the run")
        for name in ("timestep", "temperature", "volume"):
            value = float(getattr(self, name))
            if not (value > 0.0 and math.isfinite(value)):
                raise InputError(name, value, "give a positive number")
        if self.axes < 1 or self.flux.shape[2] % self.axes:
            raise InputError("flux.components", self.flux.shape[2], f"give a multiple of {self.axes} axes")

    @property
    def steps(self) -> int:
        """Number of samples in time."""
        return int(self.flux.shape[0])

    @property
    def currents(self) -> int:
        """Number of currents, the energy flux included."""
        return int(self.flux.shape[1])

    @property
    def components(self) -> int:
        """Number of statistically equivalent components (axes times replicas)."""
        return int(self.flux.shape[2])

    @property
    def replicas(self) -> int:
        """Number of independent trajectories side by side."""
        return self.components // self.axes

    @property
    def duration(self) -> float:
        """Length of one replica, ps."""
        return self.steps * self.timestep

    @property
    def nyquist(self) -> float:
        """Nyquist frequency, THz (ordinary frequency, not angular)."""
        return 0.5 / self.timestep

    def axis(self, index: int) -> FluxSeries:
        """One Cartesian axis alone, the replicas being its equivalent components."""
        if not 0 <= index < self.axes:
            raise InputError("axis", index, f"choose 0 to {self.axes - 1}")
        return dataclasses.replace(self, flux=self.flux[:, :, index :: self.axes], axes=1)


def from_replicas(fluxes: Sequence[np.ndarray], timestep: float, temperature: float, volume: float) -> FluxSeries:
    """Stack independent trajectories of the same system as equivalent components of one series.

    Parameters
    ----------
    fluxes
        One array per replica, (steps, 3) for the energy flux alone or (steps, currents, 3), eV Angstrom/ps.
        All are truncated to the shortest: equal lengths make one frequency grid.
    timestep, temperature, volume
        ps, K (mean over the replicas), Angstrom^3.

    Raises
    ------
    InputError
        If there is no replica, or the arrays do not have the same currents and axes.
    """
    if not fluxes:
        raise InputError("fluxes", "empty", "give at least one replica")
    arrays = [np.asarray(flux, dtype=float) for flux in fluxes]
    arrays = [array[:, None, :] if array.ndim == 2 else array for array in arrays]
    if any(array.ndim != 3 or array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        shapes = [np.shape(flux) for flux in fluxes]
        raise InputError("fluxes.shape", shapes, "give every replica the same currents and axes")
    steps = min(len(array) for array in arrays)
    stacked = np.concatenate([array[:steps] for array in arrays], axis=2)
    axes = arrays[0].shape[2]
    return FluxSeries(flux=stacked, timestep=timestep, temperature=temperature, volume=volume, axes=axes)


def read_table(
    path: str | Path,
    columns: Sequence[str | Sequence[str]],
    timestep: float,
    temperature: float,
    volume: float,
    *,
    unit: float = 1.0,
    delimiter: str | None = None,
) -> FluxSeries:
    """Read a plain table: comment lines (``#``), one line of column names, then numbers (also .gz, .bz2,
    .xz).

    Parameters
    ----------
    path
        The file.
    columns
        One entry per current, the energy flux first. A name stands for its three components ``name[1] name[2]
        name[3]`` (the way LAMMPS writes a vector); a sequence of names lists the components one by one.
    timestep, temperature, volume
        ps between rows, K, Angstrom^3.
    unit
        What the numbers are multiplied by to give extensive eV Angstrom/ps.
    delimiter
        Column separator; white space if None.

    Raises
    ------
    InputError
        If the file is absent or not a table of numbers, a column is missing, a number is NaN, or rows are too
        few.
    """
    wanted = [[f"{entry}[{i}]" for i in (1, 2, 3)] if isinstance(entry, str) else list(entry) for entry in columns]
    if not wanted or any(len(names) != len(wanted[0]) for names in wanted):
        raise InputError("columns", list(columns), "give every current the same number of components")
    try:
        with np.lib.npyio.DataSource().open(str(path), "rt") as stream:
            header, skipped = _header(cast(IO[str], stream), delimiter)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("flux file", path, f"give a readable text file ({type(error).__name__})") from error
    names = [name for current in wanted for name in current]
    missing = [name for name in names if name not in header]
    if missing:
        raise InputError(f"{path} columns", ", ".join(missing), f"choose among {', '.join(header)}")
    try:
        numbers = np.loadtxt(
            path,
            skiprows=skipped,
            usecols=[header.index(name) for name in names],
            delimiter=delimiter,
            ndmin=2,
        )
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("flux file", path, f"mend the table ({reason})") from error
    flux = unit * numbers.reshape(len(numbers), len(wanted), len(wanted[0]))
    axes = len(wanted[0])
    return FluxSeries(flux=flux, timestep=timestep, temperature=temperature, volume=volume, axes=axes)


def _header(stream: IO[str], delimiter: str | None) -> tuple[list[str], int]:
    """The column names (empty if the file has none) and the number of lines up to and including theirs."""
    for number, line in enumerate(stream, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            return [name.strip() for name in text.split(delimiter)], number
    return [], 0
