"""What is computed: the settings of the material, of its potential, and of a crystal."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator, model_validator

from ldmd.options import NARROWEST, Divisions, RelativePath, Section, Slug, option, refuse

Kind = Literal["tersoff", "stillinger-weber", "nep", "ase", "force-constants"]
IMPORTED: Kind = "force-constants"
"""The kind that is no potential: lattice dynamics only."""
NO_DYNAMICS = "no dynamics: force constants without a potential"
MESHES = (0.6, 0.8, 1.0)
"""Shares of the finest mesh."""
QUICK_MESH = 9
"""Longest side of the finest mesh of a first look."""


def meshes(finest: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """The finest mesh of wave vectors and those coarser ones that the infinite mesh is extrapolated from, ascending."""
    scaled = ([max(1, round(share * part)) for part in finest] for share in MESHES)
    return tuple((first, second, third) for first, second, third in scaled)


class Material(Section):
    """What is computed."""

    name: str = option(..., "The material, as the report calls it.")
    structure: RelativePath = option(
        "structure.extxyz",
        "A relaxed structure in this folder: extended XYZ (which ldmd writes), POSCAR, CIF, LAMMPS data, XSF or gen, "
        "with masses, magnetic moments and charges where the file has them.",
    )

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():
            raise refuse("give the name of the material, on one line")
        return name


class Potential(Section):
    """What the atoms feel, in the lattice and in the dynamics alike."""

    name: Slug | None = option(
        None,
        "What it is called on the command line and in reports: needed where the case has several [[potential]].",
        example='"tersoff"',
    )
    kind: Kind = option(
        ...,
        "The model: tersoff, stillinger-weber or nep are differentiated exactly and give the heat flux; ase is any "
        "ASE calculator, a black box whose force constants are finite differences; force-constants is a crystal whose "
        "force constants were computed elsewhere, for lattice dynamics only.",
    )
    parameters: RelativePath | None = option(
        None,
        "Its parameter file, relative to this folder: a LAMMPS .tersoff or .sw file, a nep.txt, or fetch:NAME for one "
        "that `ldmd fetch` knows; for force-constants phono3py_disp.yaml, which holds the structure. Not for ase.",
        example='"potential.tersoff"',
    )
    third: RelativePath | None = option(
        None,
        "For force-constants: fc3.hdf5, or FORCES_FC3 that phono3py makes them of (or fetch:NAME); left out, the "
        "forces stand in the yaml file.",
        example='"FORCES_FC3"',
    )
    second: RelativePath | None = option(
        None,
        "For force-constants: fc2.hdf5 that goes with fc3.hdf5, or FORCES_FC2 of a supercell of its own.",
        example='"fc2.hdf5"',
    )
    calculator: str | None = option(
        None,
        "For ase: where the calculator is imported from, package.module:Name: a class derived from an ASE calculator, "
        "or a function annotated to return one. Its module is run: such a case is a program, to be trusted as one.",
        example='"ase.calculators.emt:EMT"',
    )
    arguments: dict[str, Any] = option(
        {},
        "For ase: what the calculator is made with; names of files are relative to this folder.",
        example="{ asap_cutoff = true }",
    )
    structure: RelativePath | None = option(
        None,
        "At its minimum, in place of the structure of the material: of several potentials each has its own minimum.",
        example='"tersoff.extxyz"',
    )

    @model_validator(mode="after")
    def _source(self) -> Potential:
        if self.kind == "ase" and self.calculator is None:
            raise refuse('name the calculator, for example "ase.calculators.emt:EMT"', "potential.calculator", None)
        if self.kind != "ase" and self.parameters is None:
            raise refuse("name its parameter file, relative to the case folder", "potential.parameters", None)
        if self.kind == "ase" and self.parameters is not None:
            raise refuse("leave it out: files of an ase calculator go into arguments", "potential.parameters", None)
        if self.kind != "ase" and (self.calculator is not None or self.arguments):
            raise refuse(f"leave it out: it is for kind ase, not {self.kind}", "potential.calculator", None)
        return self

    @model_validator(mode="after")
    def _files(self) -> Potential:
        if self.kind == IMPORTED and self.structure is not None:
            raise refuse("leave it out: force constants bring their own", "potential.structure", self.structure)
        for name in ("third", "second") if self.kind != IMPORTED else ():
            if getattr(self, name) is not None:
                fix = f"leave it out: it is for kind force-constants, not {self.kind}"
                raise refuse(fix, f"potential.{name}", getattr(self, name))
        return self

    @property
    def files(self) -> dict[str, str]:
        """The files that it is read from, by the setting that names them."""
        named = {name: getattr(self, name) for name in ("parameters", "third", "second")}
        return {name: path for name, path in named.items() if path is not None}


class Crystal(Section):
    """Only for a crystal: the structure is one unit cell, and lattice dynamics has a mesh of wave vectors."""

    supercell: Divisions = option(
        (3, 3, 3),
        "Unit cells along each vector of the structure as it is given, in the box of the dynamics. Lattice dynamics is "
        "compared with the dynamics on exactly the wave vectors that fit into this box. Where its vectors are "
        "left-handed or skewed, the same box is taken with the shortest right-handed vectors.",
    )
    mesh: Divisions = option(
        (15, 15, 15),
        "Finest mesh of wave vectors: divisions along the vectors of the structure, if that is a primitive cell, else "
        "along those of the standard primitive cell, the shortest first (ldmd check shows them). Where the structure "
        "is left-handed or skewed and its divisions lack the symmetry of the crystal, about as many wave vectors are "
        "spread evenly. Two coarser meshes (4/5 and 3/5) are computed as well, and the infinite one is extrapolated.",
    )
    force_constants: Divisions | None = option(
        None,
        "Primitive cells along each vector in the supercell of the force constants, counted as the mesh is; left out, "
        "as many as their reach asks for, or the box of the dynamics for a black box.",
        example="[4, 4, 4]",
    )
    engine: Literal["phono3py", "kaldo"] = option(
        "phono3py", "What computes scattering on the mesh: phono3py uses the symmetry of the crystal."
    )
    smearing: float | None = option(
        None,
        "Standard deviation of a Gaussian for energy conservation; left out, tetrahedra (phono3py) or widths from the "
        "velocities (kaldo), which need no choice.",
        "rad/ps",
        example=0.6,
        ge=NARROWEST,
        le=50,
    )
    direct: bool = option(
        True, "Solve the linearised Boltzmann equation, too: what relaxation times miss is an entry of the ledger."
    )
    isotopes: bool = option(False, "Scattering by isotopes of natural abundance, which the dynamics does not have.")
    born: RelativePath | None = option(
        None,
        "BORN file of phonopy, relative to this folder: Born charges and dielectric tensor for the splitting of "
        "longitudinal and transverse modes of a polar crystal, which a short-ranged potential does not know; left out, "
        "those of the yaml file of force-constants, or of a file BORN beside it.",
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
            raise refuse("too coarse for three different meshes; the infinite one is extrapolated from them: 4 or more")
        return mesh

    @model_validator(mode="after")
    def _kaldo_knows(self) -> Crystal:
        if self.engine == "kaldo" and (self.isotopes or self.born):
            name = "isotopes" if self.isotopes else "born"
            raise refuse("phono3py does that; kaldo does not", f"crystal.{name}", getattr(self, name))
        return self
