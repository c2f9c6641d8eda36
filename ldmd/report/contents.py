"""What a report is made of: results of the stages, their settings, and where they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ldmd import exit_codes
from ldmd.results import Check, Estimate
from ldmd.subject import IMPORTED, NO_DYNAMICS

if TYPE_CHECKING:
    from ldmd.anharmonicity import Anharmonicity
    from ldmd.comparison import Comparison
    from ldmd.crystal_study import CrystalStudy
    from ldmd.diagnosis_study import Diagnosis
    from ldmd.diffusion import Diffusion
    from ldmd.dynamics.trajectory import Trajectory
    from ldmd.green_kubo.estimate import GreenKuboResult
    from ldmd.inspection import Inspection
    from ldmd.lattice.conductivity import Conductivity
    from ldmd.lattice.linewidths import Linewidths
    from ldmd.lattice.modes import Modes
    from ldmd.minima import Minima
    from ldmd.width_study import WidthStudy


@dataclasses.dataclass(frozen=True)
class ReportContents:
    """What a report shows. Stages that did not run are None (or empty): then the report says why.

    ``settings`` are the resolved settings of the case and may nest; ``provenance`` holds versions, digests,
    the command, the date and the machine (number of cores and model of the processor, nothing else).
    ``force_constant_residuals`` are the translation and permutation residuals of the force constants, each
    relative to the largest element. ``citations`` are keys of :data:`ldmd.report.citations.BIBLIOGRAPHY`.
    """

    case_name: str
    title: str
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    inspection: Inspection
    force_constant_residuals: Mapping[str, float] = dataclasses.field(default_factory=dict)
    force_constant_checks: tuple[Check, ...] = ()
    modes: Modes | None = None
    linewidths: Linewidths | None = None
    conductivity: Conductivity | None = None
    trajectories: tuple[Trajectory, ...] | None = None
    green_kubo: GreenKuboResult | None = None
    anharmonicity: Anharmonicity | None = None
    minima: Minima | None = None
    diffusion: Diffusion | None = None
    crystal: CrystalStudy | None = None
    comparison: Comparison | None = None
    width_study: WidthStudy | None = None
    diagnosis: Diagnosis | None = None
    citations: tuple[str, ...] = ()
    quick: bool = False
    """Whether the run was shortened for a first look."""
    overview: str = ""
    """Where the overview of all potentials is, relative to the report; empty where there is none."""

    @property
    def heading(self) -> str:
        """The title, which says so where the run was quick."""
        return f"{self.title} (quick)" if self.quick else self.title

    @property
    def temperature(self) -> float:
        """Temperature (K) of the comparison; without one, that of the lattice nearest to 300 K."""
        if self.comparison is not None:
            return self.comparison.temperature
        found = self.conductivity if self.crystal is None else self.crystal.finest
        return 300.0 if found is None else float(min(found.temperatures, key=lambda kelvin: abs(kelvin - 300.0)))

    @property
    def why_no_dynamics(self) -> str:
        """In a few words, for lattice dynamics that stands alone."""
        potential = self.settings.get("potential", {})
        if isinstance(potential, Mapping) and potential.get("kind") == IMPORTED:
            return NO_DYNAMICS
        return "no comparison: a potential that is a black box gives no heat flux"

    @property
    def lattice_values(self) -> tuple[tuple[str, Estimate], ...]:
        """Kind of statistics and best isotropic conductivity of the lattice at the temperature.

        Of a crystal with the error of the infinite mesh; of a glass, exact for its minimum, the error is 0.
        """
        if self.crystal is not None:
            from ldmd.crystal.ledger import infinite

            return infinite(self.crystal.meshes, self.temperature)
        found = self.conductivity
        names = () if found is None else found.statistics
        return tuple(
            (name, Estimate(found.isotropic(self.temperature, name), 0.0, "W/(m K)"))
            for name in names
            if found is not None
        )

    @property
    def checks(self) -> tuple[tuple[str, Check], ...]:
        """Every check of every stage as (stage, check), each once, failed ones first."""
        unique: dict[tuple[str, float, float], tuple[str, Check]] = {}
        for stage, check in self._all_checks():
            unique.setdefault((check.name, check.value, check.threshold), (stage, check))
        return tuple(sorted(unique.values(), key=lambda item: item[1].passed))

    @property
    def failed_checks(self) -> tuple[tuple[str, Check], ...]:
        """Those that did not pass."""
        return tuple(item for item in self.checks if not item[1].passed)

    @property
    def exit_code(self) -> int:
        """That of the verdict (``ldmd.exit_codes``), but for agreement beside a failed check; 1 without comparison."""
        if self.comparison is None:
            return exit_codes.DISAGREE
        doubtful = self.comparison.agree and self.failed_checks
        return exit_codes.DISAGREE if doubtful else self.comparison.exit_code

    def _all_checks(self) -> Iterator[tuple[str, Check]]:
        from ldmd.comparison import possible_check

        yield from (("structure", check) for check in self.inspection.checks)
        yield from (("force constants", check) for check in self.force_constant_checks)
        if self.trajectories and self.comparison is not None:
            from ldmd.dynamics.trajectory import dynamics_checks

            yield from (("dynamics", check) for check in dynamics_checks(self.trajectories, self.temperature))
        if self.diffusion is not None:
            yield ("dynamics", self.diffusion.check)
        if self.green_kubo is not None:
            yield from (("Green-Kubo", check) for check in self.green_kubo.conductivity.checks)
            yield from (("Green-Kubo", check) for check in self.green_kubo.running.checks)
        if self.comparison is None:
            for statistics, estimate in self.lattice_values:
                yield ("lattice", possible_check(f"lattice dynamics, {statistics},", estimate.value))
            if self.crystal is not None:
                found = (*self.crystal.checks, *self.crystal.convergence_checks(self.temperature))
                yield from (("lattice", check) for check in found)
            return
        lattice = (*self.comparison.lattice_classical.checks, *self.comparison.lattice_quantum.checks)
        yield from (("lattice", check) for check in lattice)
        yield from (("Green-Kubo", check) for check in self.comparison.dynamics.checks)
        yield from (("comparison", check) for check in (*self.comparison.difference.checks, *self.comparison.checks))
