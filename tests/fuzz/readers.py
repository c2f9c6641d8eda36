"""The readers, each with sound files of its own: written by this program where it writes the format."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from ase import Atoms
from nep_models import write_nep
from spring_crystal import primitive_cell, small_glass, springs

from ldmd.force_constants.exchange import hiphive, kaldo, lammps, phono3py, phonopy, shengbte
from ldmd.force_constants.exchange.any_format import Imported, read_any
from ldmd.force_constants.exchange.constants import ForceConstants, of_supercell, second_blocks
from ldmd.force_constants.exchange.supercell import Supercell, glass, repeated

CASES = Path(__file__).resolve().parents[2] / "cases"


@dataclasses.dataclass(frozen=True)
class Reader:
    """One way into the program."""

    name: str
    write: Callable[[Path], None]
    """Write sound files into a folder."""
    read: Callable[[Path], Any]
    """Read what is in a folder; what it returns is looked at by ``require_finite``."""
    targets: tuple[str, ...] = ()
    """Names of the files that are mutated, one at a time; all by default."""
    program: bool = False
    """Whether it starts a program for every file, so that a hundred times fewer can be tried."""


@functools.cache
def _crystal() -> ForceConstants:
    supercell = repeated(primitive_cell(), (2, 2, 2), "sites")
    return of_supercell(supercell, *springs(supercell.atoms, 1.8))


@functools.cache
def _small() -> Supercell:
    return repeated(primitive_cell(), (2, 1, 1), "sites")


@functools.cache
def _small_crystal() -> ForceConstants:
    return of_supercell(_small(), *springs(_small().atoms, 1.75))


@functools.cache
def _disordered() -> ForceConstants:
    atoms = small_glass()[:6]
    return of_supercell(glass(atoms), *springs(atoms, 2.2))


def _kaldo_folder(folder: Path, kind: str) -> None:
    kaldo.write_folder(_crystal_in_copies(), folder, "numpy" if kind == "numpy" else "lammps")
    for name in ("replicated_atoms_third.xyz",):
        (folder / name).unlink()
    if kind == "eskm":
        import ase.io

        ase.io.write(folder / "CONFIG", _crystal_in_copies().supercell.atoms, format="dlp4")
        (folder / "replicated_atoms.xyz").unlink()


@functools.cache
def _crystal_in_copies() -> ForceConstants:
    return _crystal().in_order_of(repeated(primitive_cell(), (2, 2, 2), "cells"))


def _lammps_files(folder: Path) -> None:
    constants = _disordered()
    assert constants.second is not None and constants.third is not None
    roots = np.sqrt(np.repeat(constants.supercell.atoms.get_masses(), 3))
    rows = (constants.second.toarray() / roots[:, None] / roots).reshape(-1, 3)
    (folder / "dynmat").write_text("".join(" ".join(f"{value:.12f}" for value in row) + "\n" for row in rows))
    (folder / "third").write_text(kaldo._third_text(constants.third))


def _shengbte_folder(folder: Path) -> None:
    shengbte.write_control(_small(), folder / "CONTROL", (3, 3, 3), 300.0)
    shengbte.write_second(_small_crystal(), folder / "FORCE_CONSTANTS_2ND")
    shengbte.write_third(_small_crystal(), folder / "FORCE_CONSTANTS_3RD")


def _phono3py_folder(folder: Path) -> None:
    phono3py.write_structure(folder / "phono3py.yaml", _small())
    phonopy.write_second(_small_crystal(), folder / "fc2.hdf5", compact=True)
    phono3py.write_third(_small_crystal(), folder / "fc3.hdf5")


def _read_phono3py(folder: Path) -> Imported:
    return read_any(folder / "fc3.hdf5")


def _write_parameters(folder: Path) -> None:
    """A phonopy_params.yaml with force constants in it."""
    phonopy.write_structure(_small(), folder / "phonopy_params.yaml")
    blocks = second_blocks(_small_crystal(), full=True).reshape(-1, 9)
    rows = [f"  - [ {', '.join(f'{value:.9f}' for value in block)} ]" for block in blocks]
    lines = ["force_constants:", '  format: "full"', "  shape: [ 6, 6 ]", "  elements:", *rows, ""]
    with (folder / "phonopy_params.yaml").open("a") as file:
        file.write("\n".join(lines))


def _forces_folder(folder: Path) -> None:
    """Forces of springs on the displaced supercells of phono3py itself: a cubic crystal of two atoms needs few."""
    import phono3py as program
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(symbols=["Na", "Cl"], cell=4.0 * np.eye(3), scaled_positions=[[0.0] * 3, [0.5] * 3])
    found = program.Phono3py(cell, supercell_matrix=np.eye(3, dtype=int), log_level=0)
    found.generate_displacements()
    sound = found.supercell.positions
    found.forces = np.array([-3.0 * (each.positions - sound) for each in found.supercells_with_displacements])
    found.save(folder / "phono3py_disp.yaml", settings={"force_sets": False, "displacements": True})
    lines = []
    for number, forces in enumerate(found.forces, start=1):
        lines += [f"# File: {number}", *(" ".join(f"{value:.10f}" for value in force) for force in forces)]
    (folder / "FORCES_FC3").write_text("\n".join(lines) + "\n")


EXCHANGE = (
    Reader("phono3py-forces", _forces_folder, lambda folder: read_any(folder / "FORCES_FC3"), program=True),
    Reader(
        "phonopy-text",
        lambda folder: phonopy.write_second(_small_crystal(), folder / "FORCE_CONSTANTS"),
        lambda folder: phonopy.read_second(folder / "FORCE_CONSTANTS", _small()),
    ),
    Reader(
        "phonopy-yaml",
        lambda folder: phonopy.write_structure(_small(), folder / "phonopy.yaml"),
        lambda folder: phonopy.read_structure(folder / "phonopy.yaml"),
    ),
    Reader("phonopy-params", _write_parameters, lambda folder: phonopy.read(folder / "phonopy_params.yaml")),
    Reader(
        "phonopy-hdf5",
        lambda folder: phonopy.write_second(_small_crystal(), folder / "fc2.hdf5", compact=True),
        lambda folder: phonopy.read_second(folder / "fc2.hdf5", _small()),
        program=True,
    ),
    Reader("phono3py", _phono3py_folder, _read_phono3py, program=True),
    Reader(
        "shengbte-third",
        lambda folder: shengbte.write_third(_small_crystal(), folder / "FORCE_CONSTANTS_3RD"),
        lambda folder: shengbte.read_third(folder / "FORCE_CONSTANTS_3RD", _small()),
    ),
    Reader(
        "shengbte-control",
        lambda folder: shengbte.write_control(_small(), folder / "CONTROL", (3, 3, 3), 300.0),
        lambda folder: shengbte.read_control(folder / "CONTROL"),
    ),
    Reader("shengbte", _shengbte_folder, lambda folder: read_any(folder / "FORCE_CONSTANTS_3RD")),
    Reader(
        "kaldo-numpy",
        lambda folder: _kaldo_folder(folder, "numpy"),
        lambda folder: kaldo.read_folder(folder, (2, 2, 2), "numpy", sign=1),
    ),
    Reader(
        "kaldo-lammps",
        lambda folder: _kaldo_folder(folder, "lammps"),
        lambda folder: kaldo.read_folder(folder, (2, 2, 2), "lammps", sign=1),
    ),
    Reader(
        "kaldo-structure",
        lambda folder: _kaldo_folder(folder, "numpy"),
        lambda folder: kaldo.read_structure(folder, "numpy"),
        targets=("replicated_atoms.xyz",),
    ),
    Reader(
        "kaldo-config",
        lambda folder: _kaldo_folder(folder, "eskm"),
        lambda folder: kaldo.read_structure(folder, "eskm"),
        targets=("CONFIG",),
    ),
    Reader("kaldo", lambda folder: _kaldo_folder(folder, "numpy"), read_any),
    Reader(
        "lammps-second",
        _lammps_files,
        lambda folder: lammps.read_second(folder / "dynmat", _disordered().supercell.atoms),
        targets=("dynmat",),
    ),
    Reader(
        "lammps-third",
        _lammps_files,
        lambda folder: lammps.read_third(folder / "third", _disordered().supercell.atoms),
        targets=("third",),
    ),
    Reader(
        "hiphive",
        lambda folder: hiphive.write(_disordered(), folder / "model.fcs"),
        lambda folder: hiphive.read(folder / "model.fcs"),
    ),
)
"""Force constants of other programs."""


def _structure(name: str, form: str, **options: Any) -> Reader:
    """``ldmd.structures.read_structure`` of a file that ASE writes."""

    def write(folder: Path) -> None:
        import ase.io

        ase.io.write(folder / name, primitive_cell(), format=form, **options)

    def read(folder: Path) -> Atoms:
        return importlib.import_module("ldmd.structures").read_structure(folder / name)

    return Reader(f"structure-{form}", write, read)


def _potential(kind: str, name: str, write: Callable[[Path], object]) -> Reader:
    def read(folder: Path) -> Any:
        module, function = {
            "tersoff": ("ldmd.potentials.tersoff", "read_tersoff"),
            "stillinger-weber": ("ldmd.potentials.stillinger_weber", "read_stillinger_weber"),
            "nep": ("ldmd.potentials.nep", "read_nep"),
        }[kind]
        getattr(importlib.import_module(module), function)(folder / name)

    return Reader(kind, lambda folder: (write(folder / name), None)[1], read)


def _read_case(folder: Path) -> None:
    importlib.import_module("ldmd.case").load_case(folder)


def _write_table(folder: Path) -> None:
    values = np.random.default_rng(0).normal(size=(80, 4))
    lines = ["# time flux", "Temp c_J[1] c_J[2] c_J[3]", *(" ".join(f"{x:.6f}" for x in row) for row in values)]
    (folder / "flux.dat").write_text("\n".join(lines) + "\n")


def _read_table(folder: Path) -> Any:
    from ldmd.green_kubo.series import read_table

    return read_table(folder / "flux.dat", ["c_J"], 0.001, 300.0, 1000.0).flux


def _write_result(folder: Path) -> None:
    from ldmd.results import Estimate
    from ldmd.store import save

    save(Estimate(1.0, 0.1, "K", 10.0), folder / "result.nc", {"digest": "1"})


def _read_result(folder: Path) -> None:
    from ldmd.results import Estimate
    from ldmd.store import load_or_none

    found = load_or_none(Estimate, folder / "result.nc", "1")
    assert found in (None, Estimate(1.0, 0.1, "K", 10.0)), f"a damaged file was read as {found}"


def _write_checkpoint(folder: Path) -> None:
    from ldmd.checkpoint import Checkpoint

    Checkpoint(folder / "checkpoint.npz", "key").save({"positions": np.arange(60.0).reshape(20, 3)})


def _read_checkpoint(folder: Path) -> None:
    from ldmd.checkpoint import Checkpoint

    found = Checkpoint(folder / "checkpoint.npz", "key").load()
    if found is not None and "positions" in found:
        same = np.array_equal(found["positions"], np.arange(60.0).reshape(20, 3))
        assert same, "a damaged file was read as sound"


OTHERS = (
    _structure("structure.extxyz", "extxyz"),
    _structure("structure.cif", "cif"),
    _structure("POSCAR", "vasp"),
    _structure("structure.xsf", "xsf"),
    _structure("structure.gen", "gen"),
    _structure("structure.data", "lammps-data", masses=True),
    _potential("tersoff", "SiO.tersoff", lambda path: shutil.copy(CASES / "silica" / "SiO.tersoff", path)),
    _potential("stillinger-weber", "Si.sw", lambda path: shutil.copy(CASES / "silicon" / "Si.sw", path)),
    _potential("nep", "nep.txt", write_nep),
    Reader(
        "case",
        lambda folder: [shutil.copy(path, folder) for path in (CASES / "silicon").iterdir()] and None,
        _read_case,
        targets=("case.toml",),
    ),
    Reader("flux-table", _write_table, _read_table),
    Reader("result", _write_result, _read_result),
    Reader("checkpoint", _write_checkpoint, _read_checkpoint),
)
"""Structures, potentials, cases, tables of fluxes, and what is kept of earlier runs."""
READERS = {reader.name: reader for reader in (*EXCHANGE, *OTHERS)}


def require_finite(found: Any) -> None:
    """What was taken must at least be finite."""
    if isinstance(found, np.ndarray):
        assert np.isfinite(found).all(), "an array that is not finite was taken"
    elif isinstance(found, sp.sparray):
        require_finite(found.data)
    elif isinstance(found, Atoms):
        require_finite(found.cell.array)
        require_finite(found.positions)
        assert (found.get_masses() > 0.0).all(), "a mass that is not positive was taken"
    elif isinstance(found, tuple):
        for item in found:
            require_finite(item)
    elif isinstance(found, ForceConstants):
        require_finite((found.supercell.atoms, found.second, found.third.values if found.third else None))
    elif isinstance(found, Imported):
        require_finite((found.atoms, found.second.matrix, found.third.elements()[1]))
