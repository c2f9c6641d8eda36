"""The settings of a case. Every default of the project stands here or in ``ldmd.subject``, with its reason.

Values are never converted silently: a wrong type, unit, range or key is refused (``ldmd.explain`` says how).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ldmd.options import (
    NARROWEST,
    Section,
    Temperature,
    ascending,
    divides,
    option,
    refuse,
    some_and_distinct,
    with_classical,
)
from ldmd.subject import IMPORTED, Crystal, Material, Potential

Statistics = Literal["bose-einstein", "classical"]
Broadening = Literal["gaussian", "lorentzian", "self-consistent"]
SMALLEST_STEP = 1e-9
"""Angstrom. Small steps show what rounding does to force constants; with less than this nothing else is left."""
LARGEST_STEP = 0.5
"""Angstrom. Atoms that far from their places feel something else than a minimum."""
SHORTEST_PAIR = 0.5
"""Angstrom. No two atoms are closer (0.74 Angstrom in hydrogen), and without pairs there is no third order."""
SHORTEST_STEP = 0.01
"""fs. A thousandth of the period of the fastest vibration there is (hydrogen, 8 fs); less is only slower."""
LEAST_MEMORY = 0.01
"""GB. The triplets of one mode of a cell of some hundred atoms."""
FEWEST_SAMPLES = 64
"""Of the flux: fewer have no spectrum; and so many of its bins must lie below a cutoff."""
MOST_SAMPLES = 10**9
"""Of the flux in one replica: 64 GB."""
MOST_FRAMES = 10**6
"""In one replica: of some hundred atoms 5 GB."""
QUICK_CRYSTAL_PS = 100.0
"""Dynamics of a crystal at a first look: phonons that live for 10 ps need more than a glass."""


class Lattice(Section):
    """Lattice dynamics: modes, linewidths, conductivity."""

    temperatures: Annotated[
        tuple[Temperature, ...],
        Field(strict=False),
        AfterValidator(some_and_distinct),
        AfterValidator(ascending),
    ] = option(
        (50.0, 100.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0),
        "All of them share one pass over the scattering triplets, so more of them cost little. "
        "The temperature of the dynamics is added to the list.",
        "K",
    )
    statistics: Annotated[
        tuple[Statistics, ...],
        Field(strict=False),
        AfterValidator(some_and_distinct),
        AfterValidator(with_classical),
    ] = option(
        ("bose-einstein", "classical"),
        "Molecular dynamics is classical: 'classical' is what it can be compared with, "
        "'bose-einstein' is what an experiment sees.",
    )
    force_constants: Literal["auto", "autodiff", "finite-differences"] = option(
        "auto",
        "auto is autodiff, exact derivatives with no displacement to choose and no round-off to fear, wherever the "
        "potential can be differentiated, and central finite differences of its forces elsewhere.",
    )
    displacement: float | None = option(
        None,
        "Step of finite differences; left out, it follows from the measured noise of the forces.",
        "Angstrom",
        example=0.01,
        ge=SMALLEST_STEP,
        le=LARGEST_STEP,
    )
    pair_cutoff: float | None = option(
        None,
        "Of third-order finite differences: both displaced atoms within this distance; left out, what the cutoff of "
        "the potential asks for where that is known, else all pairs.",
        "Angstrom",
        example=6.0,
        ge=SHORTEST_PAIR,
        le=50,
    )
    broadening: Broadening = option(
        "gaussian",
        "Kernel that stands for energy conservation; a Lorentzian's tails let in triplets far off shell, and "
        "self-consistent lines broaden each other, so that no width is left to choose, at many times the cost.",
    )
    width: float = option(
        0.6,
        "Standard deviation of the Gaussian or HWHM of the Lorentzian: spans several level spacings of "
        "a cell of some hundred atoms and is narrow against the features of its spectrum (0.1 THz).",
        "rad/ps",
        ge=NARROWEST,
        le=50,
    )
    precision: Literal["float64", "float32"] = option(
        "float64",
        "Of the matrix elements; float32 halves the time of large cells, and what it costs in accuracy is reported.",
    )
    engine: Literal["auto", "numpy", "jax"] = option(
        "auto",
        "What runs the triplet sum: NumPy, or JAX where it has an accelerator. Counts as no change.",
    )
    memory_gb: float = option(
        2.0,
        "What the triplet sum may take beyond a few matrices of the modes. Changes no number and counts as no change.",
        "GB",
        ge=LEAST_MEMORY,
        le=1e4,
    )
    allen_feldman_broadening: float = option(
        0.6,
        "HWHM of the Lorentzian in the Allen-Feldman diffusivity, for the same reason.",
        "rad/ps",
        ge=NARROWEST,
        le=50,
    )

    @property
    def fixed_broadening(self) -> str:
        """The kernel of what is computed with a fixed width beside self-consistent linewidths."""
        return "gaussian" if self.broadening == "self-consistent" else self.broadening


class Dynamics(Section):
    """Molecular dynamics at constant energy, after equilibration at the temperature."""

    temperature: Temperature = option(300.0, "Where the two methods are compared.", "K")
    time_step_fs: float = option(
        1.0, "A twentieth of the shortest period in an oxide (42 THz, 24 fs).", "fs", ge=SHORTEST_STEP, le=10
    )
    length_ps: float = option(
        500.0,
        "Length of each replica; the error of the conductivity falls with its square root.",
        "ps",
        ge=1,
        le=1e6,
    )
    replicas: int = option(
        2,
        "Independent runs side by side; a cell of some hundred atoms keeps about one core busy.",
        ge=1,
        le=256,
    )
    equilibration_ps: float = option(
        20.0, "Left out of the averages: many times the slowest vibration of such a cell.", "ps", ge=0, le=1e5
    )
    flux_interval_fs: float = option(
        5.0,
        "Between samples of the heat flux: resolves 100 THz, and the flux of an oxide reaches twice 42 THz.",
        "fs",
        ge=SHORTEST_STEP,
        le=50,
    )
    frame_interval_ps: float = option(
        2.5,
        "Between stored frames: far enough apart to be independent samples of the forces.",
        "ps",
        ge=SHORTEST_STEP / 1000.0,
        le=1e4,
    )
    checkpoint_seconds: float = option(
        60.0,
        "Wall time between checkpoints: the work that a kill can cost. Changes no number and counts as no change.",
        "s",
        ge=0,
        le=86400,
    )
    seed: int = option(
        1, "Of the velocities and the thermostat; each replica derives its own from it.", ge=0, le=2**31 - 1
    )

    @field_validator("flux_interval_fs")
    @classmethod
    def _whole_steps(cls, interval: float, info: ValidationInfo) -> float:
        step = info.data.get("time_step_fs")
        if step is not None and not divides(step, interval):
            nearest = max(1, round(interval / step)) * step
            raise refuse(f"must be a multiple of time_step_fs = {step:g}, for example {nearest:g}")
        return interval

    @field_validator("frame_interval_ps")
    @classmethod
    def _whole_samples(cls, interval: float, info: ValidationInfo) -> float:
        flux, length = info.data.get("flux_interval_fs"), info.data.get("length_ps")
        if length is not None and interval > length:
            raise refuse(f"must not exceed length_ps = {length:g}")
        if flux is not None and not divides(flux, 1000.0 * interval):
            nearest = max(1, round(1000.0 * interval / flux)) * flux / 1000.0
            raise refuse(f"must be a multiple of flux_interval_fs = {flux:g}, for example {nearest:g} ps")
        return interval

    @model_validator(mode="after")
    def _can_be_kept(self) -> Dynamics:
        """Neither too few samples for a spectrum nor more than a machine holds."""
        interval = f"of {self.length_ps:g} ps, one every {self.flux_interval_fs:g} fs"
        if self.samples < FEWEST_SAMPLES:
            fix = f"that makes {self.samples} samples of the flux {interval}; {FEWEST_SAMPLES} are needed: lengthen it"
            raise refuse(fix, "dynamics.length_ps", self.length_ps)
        if self.samples > MOST_SAMPLES:
            fix = (
                f"that makes {self.samples:.3g} samples of the flux {interval}, {MOST_SAMPLES:.0e} at most: lengthen it"
            )
            raise refuse(fix, "dynamics.flux_interval_fs", self.flux_interval_fs)
        if (frames := self.samples // self.frame_stride) > MOST_FRAMES:
            fix = f"that makes {frames:.3g} stored frames, {MOST_FRAMES:.0e} at most: lengthen it"
            raise refuse(fix, "dynamics.frame_interval_ps", self.frame_interval_ps)
        return self

    @property
    def time_step(self) -> float:
        """Time step, ps."""
        return self.time_step_fs / 1000.0

    @property
    def flux_stride(self) -> int:
        """Steps between samples of the flux."""
        return round(self.flux_interval_fs / self.time_step_fs)

    @property
    def frame_stride(self) -> int:
        """Samples of the flux between frames."""
        return round(1000.0 * self.frame_interval_ps / self.flux_interval_fs)

    @property
    def samples(self) -> int:
        """Samples of the flux in one replica."""
        return math.floor(1000.0 * self.length_ps / self.flux_interval_fs * (1.0 + 1e-12))

    @property
    def equilibration_steps(self) -> int:
        """Steps before the first sample."""
        return round(1000.0 * self.equilibration_ps / self.time_step_fs)


class GreenKubo(Section):
    """From the heat flux to a conductivity."""

    slowest_ps: float | None = option(
        None,
        "Slowest time with which a part of the heat flux decays: what the error of the conductivity is computed for. "
        "Left out, it is the lifetime 1/(2 HWHM) that modes with 5 % of the heat exceed in lattice dynamics, and a run "
        "that contradicts it says so.",
        "ps",
        example=5.0,
        ge=1e-3,  # no heat flux decays within a femtosecond
        le=1e6,
    )
    cutoff_thz: float | None = option(
        None,
        "Of the cepstral values that are shown beside the result: frequency up to which the spectrum is fitted; chosen "
        "from the spectrum itself when left out.",
        "THz",
        example=20.0,
        ge=1e-3,
        le=1000,
    )
    aic_factor: float = option(
        2.0,
        "Of the cepstral values that are shown beside the result: Akaike's number of coefficients times this; 1 as "
        "published, 2 to trade a little noise for less bias.",
        ge=1,
        le=10,
    )


class Anharmonicity(Section):
    """How much of the forces the harmonic model misses."""

    configurations: int = option(
        100, "Harmonic samples per statistics; each brings three force components per atom.", ge=2, le=100000
    )
    minima: int = option(
        4,
        "Frames relaxed to their own minimum, with lattice dynamics in each: dynamics may leave the minimum that the "
        "lattice stands on. Each costs about as much as the linewidths.",
        ge=0,
        le=1000,
    )


class Compare(Section):
    """The verdict."""

    tolerance_sigma: float = option(
        2.0,
        "The methods agree when they differ by at most this many standard errors; 2 is the 95 % level.",
        ge=1e-6,
        le=10,
    )
    resolution: float = option(
        0.15,
        "Half width of the 95 % interval of the difference, relative to the conductivity of the dynamics, up to which "
        "agreement is a verdict; with a wider one it is undecided. Third-order lattice dynamics is seldom off by less.",
        ge=1e-3,
        le=10,
    )


class Settings(Section):
    """All settings of a case for one potential, resolved. Sections left out of the file take their defaults."""

    material: Material
    potential: Potential
    crystal: Crystal | None = None
    lattice: Lattice = Lattice()
    dynamics: Dynamics = Dynamics()
    green_kubo: GreenKubo = GreenKubo()
    anharmonicity: Anharmonicity = Anharmonicity()
    compare: Compare = Compare()

    @model_validator(mode="after")
    def _cutoff_is_sampled(self) -> Settings:
        cutoff, nyquist = self.green_kubo.cutoff_thz, 500.0 / self.dynamics.flux_interval_fs
        if cutoff is not None and cutoff > nyquist:
            interval = self.dynamics.flux_interval_fs
            fix = f"a flux every {interval:g} fs holds frequencies up to {nyquist:g} THz; lower it"
            raise refuse(fix, "green_kubo.cutoff_thz", cutoff)
        length = self.dynamics.length_ps
        if cutoff is not None and cutoff < (least := FEWEST_SAMPLES / length):
            fix = f"{length:g} ps resolve {1.0 / length:.2g} THz; give {least:.2g} or more"
            raise refuse(fix, "green_kubo.cutoff_thz", cutoff)
        return self

    @model_validator(mode="after")
    def _of_a_crystal(self) -> Settings:
        if self.potential.kind == IMPORTED and self.crystal is None:
            raise refuse("force constants without a potential are those of a crystal; add this section", "crystal")
        return self

    @property
    def structure(self) -> str:
        """The structure of the potential, relative to the case folder."""
        return self.potential.structure or self.material.structure

    @property
    def lattice_temperatures(self) -> tuple[float, ...]:
        """Temperatures of the lattice dynamics, K, ascending; that of the dynamics is among them."""
        return tuple(sorted({*self.lattice.temperatures, self.dynamics.temperature}))

    def quick(self) -> Settings:
        """The same case with short statistics, for a first look: nothing systematic changes.

        At most 60 ps per replica after at most 5 ps of equilibration, a frame about every 1 ps, at most 40
        harmonic samples, no other minima, and of the temperatures only the lowest, the highest and that of the
        dynamics. Of a crystal, whose heat flux is slow to forget itself, 100 ps; its meshes are coarser, and what that
        costs is in the error of the extrapolation. Without dynamics all temperatures are kept.
        """
        dynamics = self.dynamics
        flux_interval = dynamics.flux_interval_fs / 1000.0
        frame_interval = max(1, round(1.0 / flux_interval)) * flux_interval
        temperatures = {self.lattice_temperatures[0], self.lattice_temperatures[-1], dynamics.temperature}
        if self.potential.kind == IMPORTED:
            temperatures = set(self.lattice_temperatures)
        shorter = {
            "length_ps": min(dynamics.length_ps, 60.0 if self.crystal is None else QUICK_CRYSTAL_PS),
            "equilibration_ps": min(dynamics.equilibration_ps, 5.0),
            "frame_interval_ps": min(dynamics.frame_interval_ps, frame_interval),
        }
        configurations = min(self.anharmonicity.configurations, 40)
        return self.model_copy(
            update={
                "lattice": self.lattice.model_copy(update={"temperatures": tuple(sorted(temperatures))}),
                "dynamics": dynamics.model_copy(update=shorter),
                "anharmonicity": Anharmonicity(configurations=configurations, minima=0),
                "crystal": None if self.crystal is None else self.crystal.quick(),
            }
        )
