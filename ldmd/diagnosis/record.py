"""What a diagnosis is made of, as it is kept: everything measured, and no verdict."""

from __future__ import annotations

import dataclasses

from ldmd.diagnosis.conduction import Conduction
from ldmd.diagnosis.demand import ElementFacts
from ldmd.diagnosis.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class Record:
    """The evidence on the lowest modes, and what the verdict on the case needs besides."""

    evidence: Evidence
    facts: ElementFacts
    vibrating: int
    """Modes that vibrate, of which the evidence has the lowest."""
    conduction: Conduction | None = None
    """What they have to do with the conductivity, where one was computed."""
    reference: str = ""
    """Name of the model behind ``evidence.gamma_reference``; empty in what is stored, for it may change."""
