"""Silica of 648 atoms, its third-order force constants by differences of forces in single precision at a tiny step.

Run as a program it evaluates the forces and keeps them, reads the evidence as ``ldmd diagnose`` does and prints what
becomes of linewidths and verdicts; the same command goes on where it was stopped:

    python tests/laboratory_silica.py FOLDER

The harmonic modes are exact, at 300 K with classical statistics and the Gaussian of the case. Positions, parameters and
every operation of the forces are float32.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from laboratory import load, save
from laboratory_plants import DIFFERENCES, TOLERANCE, Specimen, blinded, evidence_of

from ldmd.case import load_case
from ldmd.diagnosis.collect import AUTODIFF, Subject
from ldmd.diagnosis.remeasurement import collective_step, remeasured
from ldmd.diagnosis.verdict import difference, verdicts
from ldmd.force_constants.autodiff import second_order, third_order
from ldmd.force_constants.finite_differences import third_order as by_differences
from ldmd.force_constants.steps import LARGEST_STEP
from ldmd.lattice.broadening import Gaussian
from ldmd.lattice.modes import normal_modes
from ldmd.potentials.base import SiteEnergies, SitePotential, energies_forces_virial, graph_parameters
from ldmd.potentials.evaluations import evaluations
from ldmd.problem import Problem, load_problem
from ldmd.structures import NeighbourGraph, neighbour_graph
from ldmd.units import THZ

CASE = Path(__file__).resolve().parents[1] / "cases" / "silica"
REACH = 3.0 * LARGEST_STEP
"""Angstrom by which an atom may be away from its place before neighbours are looked for anew."""


@functools.partial(jax.jit, static_argnums=0)
def _forces(function: SiteEnergies, positions: jax.Array, graph: NeighbourGraph, parameters: Any) -> Any:
    """Forces (N, 3) in the precision of the positions."""
    return energies_forces_virial(function, positions, graph, parameters)[1]


@dataclasses.dataclass(frozen=True)
class SinglePrecision:
    """A black box (``ldmd.potentials.black_box.ForcePotential``) that computes in float32."""

    atoms: Atoms
    site: SitePotential

    @functools.cached_property
    def known(self) -> Any:
        """Graph and parameters that serve as long as no atom is farther than ``REACH`` from its place."""
        return self._graph_and_parameters(self.atoms, 2.0 * REACH)

    def forces(self, atoms: Atoms) -> np.ndarray:
        """Of the atoms in any order and image, (N, 3) in eV/Angstrom."""
        moved = np.linalg.norm(atoms.positions - self.atoms.positions, axis=1)
        near = np.array_equal(atoms.numbers, self.atoms.numbers) and moved.max() <= REACH
        known = self.known if near else self._graph_and_parameters(atoms, 0.0)
        with jax.enable_x64(False):
            found = np.asarray(_forces(self.site.site_energies, jnp.asarray(atoms.positions), *known))
        assert found.dtype == np.float32, "every operation in single precision"
        return found.astype(float)

    def energy(self, atoms: Atoms) -> float:
        """Not needed: forces are."""
        return 0.0

    def fingerprint(self) -> bytes:
        """What stored forces are known by."""
        return self.site.fingerprint() + b"float32"

    def _graph_and_parameters(self, atoms: Atoms, margin: float) -> Any:
        graph = neighbour_graph(atoms, self.site.species, self.site.switching, margin)
        with jax.enable_x64(False):
            return jax.tree.map(jnp.asarray, (graph, graph_parameters(self.site, graph)))


def measured(problem: Problem, size: float, folder: Path) -> tuple[Specimen, Specimen]:
    """The lowest modes by exact third derivatives, and by differences with a step (Angstrom), the exact ones known."""
    atoms, potential, width = problem.atoms, problem.site_potential, problem.settings.lattice.width
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    second, exact = second_order(potential, atoms.positions, graph), third_order(potential, atoms.positions, graph)
    common = (atoms, normal_modes(second, atoms.get_masses()), second)
    sound = evidence_of(Subject(AUTODIFF, *common, exact, potential), width)
    box = SinglePrecision(atoms, potential)
    with evaluations(box, folder / "forces.record", workers=1) as asked:
        made = by_differences(atoms, asked, problem.pair_cutoff, size, symmetry=False)
        accuracy, step = made.accuracy, made.accuracy.step
        sys.stderr.write(f"{len(made.third.values)} elements, {accuracy}\n")
        subject = Subject(DIFFERENCES, *common, made.third, potential, exact, sigma_force=accuracy.noise.independent)
        subject = dataclasses.replace(subject, displacement=step.size, truncation=step.truncation_error)
        subject = dataclasses.replace(subject, scatter=accuracy.permutation, expected_scatter=step.error)
        spoilt, nobody_judged = evidence_of(subject, width), (None,) * len(sound.modes)
        blind = blinded(Specimen("float32", spoilt, nobody_judged)).evidence
        along = collective_step(step, len(atoms))
        again = remeasured(blind, subject.modes, atoms, Gaussian(width), asked, along)
    names = ("gamma_remeasured", "floor_remeasured", "step_remeasured")
    spoilt = dataclasses.replace(spoilt, **{name: getattr(again, name) for name in names})
    return Specimen("autodiff", sound, nobody_judged), Specimen("float32", spoilt, nobody_judged)


def table(sound: Specimen, spoilt: Specimen) -> Iterator[str]:
    """Markdown; linewidths are HWHM in rad/ps."""
    evidence, clean = spoilt.evidence, sound.evidence.gamma
    names = ("black box", "exact derivatives known", "autodiff itself")
    said = [verdicts(each) for each in (blinded(spoilt).evidence, evidence, sound.evidence)]
    yield f"| mode | THz | HWHM | noise floor | by forces along modes | by autodiff | {' | '.join(names)} |"
    yield "|---" * 9 + "|"
    for row, mode in enumerate(evidence.modes):
        columns = (evidence.frequencies / THZ, evidence.gamma, evidence.noise_floor, evidence.gamma_remeasured, clean)
        numbers = [column[row] for column in columns]
        cells = [f"{number:.4g}" for number in numbers] + [verdict[row].cause for verdict in said]
        yield f"| {mode} | {' | '.join(cells)} |"
    changed = sum(difference(a, b) > TOLERANCE for a, b in zip(evidence.gamma.tolist(), clean.tolist(), strict=True))
    yield f"\n{changed} of {len(clean)} linewidths changed by more than {TOLERANCE:.0%}"
    for name, verdict in zip(names, said, strict=True):
        yield f"{name}: {dict(Counter(str(one.cause) for one in verdict))}"
    floor = evidence.noise_floor
    ratios = {"HWHM over that by autodiff": evidence.gamma / clean, "noise floor over HWHM": floor / evidence.gamma}
    ratios["noise floor over HWHM by autodiff"] = floor / clean
    again = np.isfinite(evidence.gamma_remeasured)
    moved = f"{np.count_nonzero(again)} by forces along modes with steps of {evidence.step_remeasured:.2g} A"
    ratios[f"{moved}, HWHM over that by autodiff"] = (evidence.gamma_remeasured / clean)[again]
    ratios[f"{moved}, floor of their own errors over HWHM"] = (evidence.floor_remeasured / evidence.gamma_remeasured)[
        again
    ]
    for name, ratio in ratios.items():
        yield f"{name}: {ratio.min():.3g} to {ratio.max():.3g}"


def main(arguments: list[str] | None = None) -> int:
    """Evaluate what is missing, then print the table."""
    parser = argparse.ArgumentParser(description="Third order of silica by differences of float32 forces.")
    parser.add_argument("folder", type=Path, help="where forces (5 GB) and evidence are kept")
    parser.add_argument("--step", type=float, default=1e-4, help="Angstrom (1e-4)")
    parser.add_argument("--case", type=Path, default=CASE, help="another case, to try it")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    case = load_case(chosen.case)
    paths = [chosen.folder / f"{case.name}-{name}.json" for name in ("exact", f"{chosen.step:g}")]
    if not all(path.is_file() for path in paths):
        found = measured(load_problem(case, case.settings), chosen.step, chosen.folder)
        for specimen, path in zip(found, paths, strict=True):
            save(specimen, path)
    sys.stdout.writelines(f"{line}\n" for line in table(*map(load, paths)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
