"""The settings of a case. Every default of the project stands here, with its reason.

Values are never converted silently: a wrong type, unit, range or key is refused (``ldmd.explain`` says how).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

Kind = Literal["tersoff", "stillinger-weber", "nep", "ase", "force-constants"]
IMPORTED: Kind = "force-constants"
"""The kind that is no potential: lattice dynamics only."""
NO_DYNAMICS = "no dynamics: force constants without a potential"
Statistics = Literal["bose-einstein", "classical"]
Broadening = Literal["gaussian", "lorentzian", "self-consistent"]
Temperature = Annotated[float, Field(gt=0, le=5000)]
Division = Annotated[int, Field(ge=1, le=100)]
MESHES = (0.6, 0.8, 1.0)
"""Shares of the finest mesh."""
QUICK_MESH = 9
"""Longest side of the finest mesh of a first look."""
QUICK_CRYSTAL_PS = 100.0
"""Dynamics of a crystal at a first look: phonons that live for 10 ps need more than a glass."""
Item = TypeVar("Item")


def _option(default: Any, reason: str, unit: str = "", example: float | str = 0.0, **bounds: Any) -> Any:
    """A field: default (``...`` if it must be given), the reason for it, unit and allowed range.

    ``example`` stands in the template where there is no default to show.
    """
    return Field(default, description=reason, json_schema_extra={"unit": unit, "example": example}, **bounds)


def _refuse(fix: str, field: str = "", value: object = None) -> PydanticCustomError:
    """A broken rule in our own words; ``field`` and ``value`` where it is about more than its own field."""
    return PydanticCustomError("rule", "{fix}", {"fix": fix, "field": field, "value": value})


def _some_and_distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:
        raise _refuse("the list is empty; give at least one value")
    if len(set(items)) < len(items):
        raise _refuse("a value stands there twice; list each one once")
    return items


def _ascending(items: tuple[float, ...]) -> tuple[float, ...]:
    if list(items) != sorted(items):
        raise _refuse("list the values in ascending order")
    return items


def _with_classical(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if "classical" not in items:
        raise _refuse('add "classical": molecular dynamics can be compared with nothing else')
    return items


def _relative(path: str) -> str:
    if not path.strip() or Path(path).is_absolute() or "\0" in path:
        raise _refuse("give a path relative to the case folder, so that the case can be moved and shared")
    return path


def _divides(part: float, total: float) -> bool:
    """Whether ``total`` is a positive multiple of ``part``, but for the rounding of decimal fractions."""
    ratio = total / part
    return round(ratio) >= 1 and math.isclose(ratio, round(ratio), rel_tol=1e-9)


def meshes(finest: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """The finest mesh of wave vectors and those coarser ones that the infinite mesh is extrapolated from, ascending."""
    scaled = ([max(1, round(share * part)) for part in finest] for share in MESHES)
    return tuple((first, second, third) for first, second, third in scaled)


def _slug(name: str) -> str:
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name):
        likely = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "tersoff-1989"
        raise _refuse(f'it names a folder of reports: small letters, digits and hyphens, as in "{likely}"')
    return name


RelativePath = Annotated[str, AfterValidator(_relative)]
Divisions = Annotated[tuple[Division, Division, Division], Field(strict=False)]
Slug = Annotated[str, AfterValidator(_slug)]


class Section(BaseModel):
    """Settings that cannot change, take no unknown key and convert no type."""

    # Defaults are validated too: one that suits no longer when another value changes must be given.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Material(Section):
    """What is computed."""

    name: str = _option(..., "The material, as the report calls it.")
    structure: RelativePath = _option(
        "structure.extxyz", "A relaxed structure, relative to this folder; extended XYZ keeps the cell."
    )

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():
            raise _refuse("give the name of the material, on one line")
        return name


class Potential(Section):
    """What the atoms feel, in the lattice and in the dynamics alike."""

    name: Slug | None = _option(
        None,
        "What it is called on the command line and in reports: needed where the case has several [[potential]].",
        example='"tersoff"',
    )
    kind: Kind = _option(
        ...,
        "The model: tersoff, stillinger-weber or nep are differentiated exactly and give the heat flux; ase is any "
        "ASE calculator, a black box whose force constants are finite differences; force-constants is a crystal whose "
        "force constants were computed elsewhere, for lattice dynamics only.",
    )
    parameters: RelativePath | None = _option(
        None,
        "Its parameter file, relative to this folder: a LAMMPS .tersoff or .sw file, a nep.txt, or fetch:NAME for one "
        "that `ldmd fetch` knows; for force-constants phono3py_disp.yaml, which holds the structure. Not for ase.",
        example='"potential.tersoff"',
    )
    third: RelativePath | None = _option(
        None,
        "For force-constants: fc3.hdf5, or FORCES_FC3 that phono3py makes them of (or fetch:NAME); left out, the "
        "forces stand in the yaml file.",
        example='"FORCES_FC3"',
    )
    second: RelativePath | None = _option(
        None,
        "For force-constants: fc2.hdf5 that goes with fc3.hdf5, or FORCES_FC2 of a supercell of its own.",
        example='"fc2.hdf5"',
    )
    calculator: str | None = _option(
        None,
        "For ase: where the calculator is imported from, package.module:Name.",
        example='"ase.calculators.emt:EMT"',
    )
    arguments: dict[str, Any] = _option(
        {},
        "For ase: what the calculator is made with; names of files are relative to this folder.",
        example="{ asap_cutoff = true }",
    )
    structure: RelativePath | None = _option(
        None,
        "At its minimum, in place of the structure of the material: of several potentials each has its own minimum.",
        example='"tersoff.extxyz"',
    )

    @model_validator(mode="after")
    def _source(self) -> Potential:
        if self.kind == "ase" and self.calculator is None:
            raise _refuse('name the calculator, for example "ase.calculators.emt:EMT"', "potential.calculator", None)
        if self.kind != "ase" and self.parameters is None:
            raise _refuse("name its parameter file, relative to the case folder", "potential.parameters", None)
        if self.kind == "ase" and self.parameters is not None:
            raise _refuse("leave it out: files of an ase calculator go into arguments", "potential.parameters", None)
        if self.kind != "ase" and (self.calculator is not None or self.arguments):
            raise _refuse(f"leave it out: it is for kind ase, not {self.kind}", "potential.calculator", None)
        return self

    @model_validator(mode="after")
    def _files(self) -> Potential:
        if self.kind == IMPORTED and self.structure is not None:
            raise _refuse("leave it out: force constants bring their own", "potential.structure", self.structure)
        for name in ("third", "second") if self.kind != IMPORTED else ():
            if getattr(self, name) is not None:
                fix = f"leave it out: it is for kind force-constants, not {self.kind}"
                raise _refuse(fix, f"potential.{name}", getattr(self, name))
        return self

    @property
    def files(self) -> dict[str, str]:
        """The files that it is read from, by the setting that names them."""
        named = {name: getattr(self, name) for name in ("parameters", "third", "second")}
        return {name: path for name, path in named.items() if path is not None}


class Lattice(Section):
    """Lattice dynamics: modes, linewidths, conductivity."""

    temperatures: Annotated[
        tuple[Temperature, ...],
        Field(strict=False),
        AfterValidator(_some_and_distinct),
        AfterValidator(_ascending),
    ] = _option(
        (50.0, 100.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0),
        "All of them share one pass over the scattering triplets, so more of them cost little. "
        "The temperature of the dynamics is added to the list.",
        "K",
    )
    statistics: Annotated[
        tuple[Statistics, ...],
        Field(strict=False),
        AfterValidator(_some_and_distinct),
        AfterValidator(_with_classical),
    ] = _option(
        ("bose-einstein", "classical"),
        "Molecular dynamics is classical: 'classical' is what it can be compared with, "
        "'bose-einstein' is what an experiment sees.",
    )
    force_constants: Literal["auto", "autodiff", "finite-differences"] = _option(
        "auto",
        "auto is autodiff, exact derivatives with no displacement to choose and no round-off to fear, wherever the "
        "potential can be differentiated, and central finite differences of its forces elsewhere.",
    )
    displacement: float | None = _option(
        None,
        "Step of finite differences; left out, it follows from the measured noise of the forces.",
        "Angstrom",
        example=0.01,
        gt=0,
        le=0.5,
    )
    pair_cutoff: float | None = _option(
        None,
        "Of third-order finite differences: both displaced atoms within this distance; left out, what the cutoff of "
        "the potential asks for where that is known, else all pairs.",
        "Angstrom",
        example=6.0,
        gt=0,
        le=50,
    )
    broadening: Broadening = _option(
        "gaussian",
        "Kernel that stands for energy conservation; a Lorentzian's tails let in triplets far off shell, and "
        "self-consistent lines broaden each other, so that no width is left to choose, at many times the cost.",
    )
    width: float = _option(
        0.6,
        "Standard deviation of the Gaussian or HWHM of the Lorentzian: spans several level spacings of "
        "a cell of some hundred atoms and is narrow against the features of its spectrum (0.1 THz).",
        "rad/ps",
        gt=0,
        le=50,
    )
    precision: Literal["float64", "float32"] = _option(
        "float64",
        "Of the matrix elements; float32 halves the time of large cells, and what it costs in accuracy is reported.",
    )
    engine: Literal["auto", "numpy", "jax"] = _option(
        "auto",
        "What runs the triplet sum: NumPy, or JAX where it has an accelerator. Counts as no change.",
    )
    memory_gb: float = _option(
        2.0,
        "What the triplet sum may take beyond a few matrices of the modes. Changes no number and counts as no change.",
        "GB",
        gt=0,
        le=1e4,
    )
    allen_feldman_broadening: float = _option(
        0.6,
        "HWHM of the Lorentzian in the Allen-Feldman diffusivity, for the same reason.",
        "rad/ps",
        gt=0,
        le=50,
    )

    @property
    def fixed_broadening(self) -> str:
        """The kernel of what is computed with a fixed width beside self-consistent linewidths."""
        return "gaussian" if self.broadening == "self-consistent" else self.broadening


class Crystal(Section):
    """Only for a crystal: the structure is one unit cell, and lattice dynamics has a mesh of wave vectors."""

    supercell: Divisions = _option(
        (3, 3, 3),
        "Unit cells along each vector in the box of the dynamics. Lattice dynamics is compared with the dynamics on "
        "exactly the wave vectors that fit into this box.",
    )
    mesh: Divisions = _option(
        (15, 15, 15),
        "Finest mesh of wave vectors of the primitive cell; two coarser ones (4/5 and 3/5 of it) are computed as well, "
        "and the infinite mesh is extrapolated from the three.",
    )
    force_constants: Divisions | None = _option(
        None,
        "Primitive cells along each vector in the supercell of the force constants; left out, as many as their reach "
        "asks for, or the box of the dynamics for a black box.",
        example="[4, 4, 4]",
    )
    engine: Literal["phono3py", "kaldo"] = _option(
        "phono3py", "What computes scattering on the mesh: phono3py uses the symmetry of the crystal."
    )
    smearing: float | None = _option(
        None,
        "Standard deviation of a Gaussian for energy conservation; left out, tetrahedra (phono3py) or widths from the "
        "velocities (kaldo), which need no choice.",
        "rad/ps",
        example=0.6,
        gt=0,
        le=50,
    )
    direct: bool = _option(
        True, "Solve the linearised Boltzmann equation, too: what relaxation times miss is an entry of the ledger."
    )
    isotopes: bool = _option(False, "Scattering by isotopes of natural abundance, which the dynamics does not have.")
    born: RelativePath | None = _option(
        None,
        "BORN file of phonopy, relative to this folder: Born charges and dielectric tensor for the splitting of "
        "longitudinal and transverse modes of a polar crystal, which a short-ranged potential does not know.",
        example='"BORN"',
    )

    def quick(self) -> Crystal:
        """The same with coarser meshes."""
        scale = min(1.0, QUICK_MESH / max(self.mesh))
        return self.model_copy(update={"mesh": tuple(max(1, round(scale * part)) for part in self.mesh)})

    @field_validator("mesh")
    @classmethod
    def _three_meshes(cls, mesh: tuple[int, int, int]) -> tuple[int, int, int]:
        if len(set(meshes(mesh))) < len(MESHES):
            raise _refuse("too coarse for three different meshes; the infinite one is extrapolated from 5 or more")
        return mesh

    @model_validator(mode="after")
    def _kaldo_knows(self) -> Crystal:
        if self.engine == "kaldo" and (self.isotopes or self.born):
            name = "isotopes" if self.isotopes else "born"
            raise _refuse("phono3py does that; kaldo does not", f"crystal.{name}", getattr(self, name))
        return self


class Dynamics(Section):
    """Molecular dynamics at constant energy, after equilibration at the temperature."""

    temperature: Temperature = _option(300.0, "Where the two methods are compared.", "K")
    time_step_fs: float = _option(
        1.0, "A twentieth of the shortest period in an oxide (42 THz, 24 fs).", "fs", gt=0, le=10
    )
    length_ps: float = _option(
        500.0,
        "Length of each replica; the error of the conductivity falls with its square root.",
        "ps",
        ge=1,
        le=1e6,
    )
    replicas: int = _option(
        2,
        "Independent runs side by side; a cell of some hundred atoms keeps about one core busy.",
        ge=1,
        le=256,
    )
    equilibration_ps: float = _option(
        20.0, "Left out of the averages: many times the slowest vibration of such a cell.", "ps", ge=0, le=1e5
    )
    flux_interval_fs: float = _option(
        5.0,
        "Between samples of the heat flux: resolves 100 THz, and the flux of an oxide reaches twice 42 THz.",
        "fs",
        gt=0,
        le=50,
    )
    frame_interval_ps: float = _option(
        2.5,
        "Between stored frames: far enough apart to be independent samples of the forces.",
        "ps",
        gt=0,
        le=1e4,
    )
    checkpoint_seconds: float = _option(
        60.0,
        "Wall time between checkpoints: the work that a kill can cost. Changes no number and counts as no change.",
        "s",
        ge=0,
        le=86400,
    )
    seed: int = _option(
        1, "Of the velocities and the thermostat; each replica derives its own from it.", ge=0, le=2**31 - 1
    )

    @field_validator("flux_interval_fs")
    @classmethod
    def _whole_steps(cls, interval: float, info: ValidationInfo) -> float:
        step = info.data.get("time_step_fs")
        if step is not None and not _divides(step, interval):
            nearest = max(1, round(interval / step)) * step
            raise _refuse(f"must be a multiple of time_step_fs = {step:g}, for example {nearest:g}")
        return interval

    @field_validator("frame_interval_ps")
    @classmethod
    def _whole_samples(cls, interval: float, info: ValidationInfo) -> float:
        flux, length = info.data.get("flux_interval_fs"), info.data.get("length_ps")
        if length is not None and interval > length:
            raise _refuse(f"must not exceed length_ps = {length:g}")
        if flux is not None and not _divides(flux, 1000.0 * interval):
            nearest = max(1, round(1000.0 * interval / flux)) * flux / 1000.0
            raise _refuse(f"must be a multiple of flux_interval_fs = {flux:g}, for example {nearest:g} ps")
        return interval

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

    cutoff_thz: float | None = _option(
        None,
        "Frequency up to which the spectrum is fitted; chosen from the spectrum itself when left out.",
        "THz",
        example=20.0,
        gt=0,
        le=1000,
    )
    aic_factor: float = _option(
        2.0,
        "Akaike's number of cepstral coefficients times this: 1 as published, 2 to trade a little noise for less bias.",
        ge=1,
        le=10,
    )


class Anharmonicity(Section):
    """How much of the forces the harmonic model misses."""

    configurations: int = _option(
        100, "Harmonic samples per statistics; each brings three force components per atom.", ge=2, le=100000
    )
    minima: int = _option(
        4,
        "Frames relaxed to their own minimum, with lattice dynamics in each: dynamics may leave the minimum that the "
        "lattice stands on. Each costs about as much as the linewidths.",
        ge=0,
        le=1000,
    )


class Compare(Section):
    """The verdict."""

    tolerance_sigma: float = _option(
        2.0,
        "The methods agree when they differ by at most this many standard errors; 2 is the 95 % level.",
        gt=0,
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
            raise _refuse(fix, "green_kubo.cutoff_thz", cutoff)
        return self

    @model_validator(mode="after")
    def _of_a_crystal(self) -> Settings:
        if self.potential.kind == IMPORTED and self.crystal is None:
            raise _refuse("force constants without a potential are those of a crystal; add this section", "crystal")
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
