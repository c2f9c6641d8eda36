"""What a computation hands on: values with errors, checks with advice, arrays with dimensions and units."""

from __future__ import annotations

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Check:
    """One question asked of a result. A failed check is data for the report, never an exception.

    ``threshold`` is the number that ``value`` was held against and ``relation`` says how: the check passed
    when ``value <relation> threshold`` (``"<="`` or ``">="``).
    """

    name: str
    value: float
    relation: str
    threshold: float
    unit: str
    advice: str

    @property
    def passed(self) -> bool:
        """Whether the value is on the right side of the threshold; a NaN never is."""
        if math.isnan(self.value):
            return False
        return self.value <= self.threshold if self.relation == "<=" else self.value >= self.threshold


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its standard error and the checks that tell how far to trust it."""

    value: float
    standard_error: float
    unit: str
    effective_samples: float = math.nan
    checks: tuple[Check, ...] = ()

    @property
    def trusted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def quantity(dims: tuple[str, ...], unit: str, description: str) -> Any:
    """Declare an array field of a result: dimension names, unit and meaning, written beside the numbers on disk."""
    return dataclasses.field(metadata={"dims": dims, "unit": unit, "description": description})
