"""A laboratory of known causes: how often a diagnosis names what was planted (``laboratory_plants``).

Run as a program it does as many realisations as it is asked to, each kept in a file of its own, and prints the table:

    python tests/laboratory.py FOLDER --first 120 --count 24
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from laboratory_plants import (
    CLEAN,
    FROM_FORCES,
    HIGHEST,
    IMPORTED,
    PLANTS,
    Specimen,
    blinded,
    of_file,
    realise,
)

from ldmd.diagnosis.evidence import Evidence
from ldmd.diagnosis.verdict import Cause, Thresholds, verdicts

KINDS = ("black box", "file")
"""What is known besides force constants: forces, with all derivatives or without, or nothing."""


@dataclasses.dataclass
class Score:
    """Modes below 2 THz of all specimens of a plant."""

    specimens: int = 0
    planted: int = 0
    right: int = 0
    undecided: int = 0
    clean: int = 0
    physical: int = 0
    blamed: int = 0
    left_out: int = 0
    confused: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    """Of planted modes and of clean ones: what is true, and what was said instead."""

    def add(self, specimen: Specimen, limits: Thresholds | None = None) -> None:
        """Count the modes of one more."""
        self.specimens += 1
        said = verdicts(specimen.evidence, limits)
        for verdict, truth, frequency in zip(said, specimen.truth, specimen.evidence.frequencies, strict=True):
            if truth is None or frequency > HIGHEST:
                self.left_out += 1
                continue
            if truth is CLEAN:
                self.clean += 1
                self.physical += verdict.cause is CLEAN
                self.physical += verdict.cause is Cause.LOCALISED and specimen.plant != "soft modes"
                self.blamed += verdict.cause not in (CLEAN, Cause.UNDECIDED, Cause.LOCALISED)
            else:
                self.planted += 1
                self.right += verdict.cause is truth
                self.undecided += verdict.cause is Cause.UNDECIDED
            if verdict.cause is not truth:
                self.confused[str(truth), str(verdict.cause)] += 1


def scores(specimens: Iterable[Specimen], limits: Thresholds | None = None) -> dict[str, Score]:
    """By plant, and apart the same without exact derivatives (a black box), and with nothing but a file."""
    found: dict[str, Score] = {}
    for specimen in specimens:
        found.setdefault(specimen.plant, Score()).add(specimen, limits)
        if specimen.plant in FROM_FORCES:
            found.setdefault(f"{specimen.plant}; black box", Score()).add(blinded(specimen), limits)
        if specimen.plant in IMPORTED:
            found.setdefault(f"{specimen.plant}; file", Score()).add(of_file(specimen), limits)
    return found


def table(found: dict[str, Score]) -> Iterator[str]:
    """Markdown: one row for each plant, rates with all derivatives known, of a black box and of a file; mistakes."""
    columns = ("planted", "cells", "modes spoilt", "recognised", "clean modes", "blamed", "acquitted", "left out")
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for plant, score in found.items():
        if ";" in plant:
            continue
        variants = [score, *(found.get(f"{plant}; {kind}", Score()) for kind in KINDS)]
        recognised, blamed, acquitted = (
            " / ".join(_share(getattr(each, part), getattr(each, whole)) for each in variants)
            for part, whole in (("right", "planted"), ("blamed", "clean"), ("physical", "clean"))
        )
        numbers = (score.specimens, score.planted, recognised, score.clean, blamed, acquitted, score.left_out)
        yield f"| {plant} | {' | '.join(map(str, numbers))} |"
    yield ""
    for kind in ("", *KINDS):
        chosen = [score for plant, score in found.items() if plant.partition("; ")[2] == kind]
        names = ("planted", "right", "clean", "blamed")
        planted, right, clean, blamed = (sum(getattr(score, name) for score in chosen) for name in names)
        yield f"{kind or 'derivatives known'}: {_share(right, planted)} of {planted} recognised, " + (
            f"{_share(blamed, clean)} of {clean} clean modes blamed"
        )
    yield ""
    for plant, score in found.items():
        mistakes = ", ".join(f"{said} ({count} of {truth})" for (truth, said), count in score.confused.most_common(4))
        yield f"{plant}: {mistakes or 'no mistake'}"


def second_measurements(specimens: Iterable[Specimen]) -> Iterator[str]:
    """How far linewidths in use and those by forces along modes are from the exact ones, in 95 % of the modes."""
    ratios: dict[str, list[np.ndarray]] = {}
    for specimen in specimens:
        evidence = specimen.evidence
        again = np.isfinite(evidence.gamma_remeasured)
        pair = np.stack([evidence.gamma[again], evidence.gamma_remeasured[again]])
        ratios.setdefault(specimen.plant, []).append(pair / evidence.gamma_exact[again])
    for plant, found in ratios.items():
        pairs = np.concatenate(found, axis=1)
        if pairs.size:
            (used, again), modes = np.quantile(pairs, (0.025, 0.975), axis=1).T, pairs.shape[1]
            yield (
                f"{plant}, {modes} modes: in use {used[0]:.3g} to {used[1]:.3g} times the exact linewidth, by forces "
                f"along modes {again[0]:.3f} to {again[1]:.3f}"
            )


def _share(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.0f} %" if whole else "–"


def save(specimen: Specimen, path: Path) -> None:
    """A file for one specimen, there whole or not at all."""
    fields = {
        field.name: (np.asarray(value).tolist() if isinstance(value, np.ndarray) else value)
        for field in dataclasses.fields(Evidence)
        for value in [getattr(specimen.evidence, field.name)]
    }
    truth = [None if cause is None else str(cause) for cause in specimen.truth]
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"plant": specimen.plant, "truth": truth, "evidence": fields}))
    part.replace(path)


def load(path: Path) -> Specimen:
    """What ``save`` wrote."""
    kept: dict[str, Any] = json.loads(path.read_text())
    fields = {name: np.array(value) if isinstance(value, list) else value for name, value in kept["evidence"].items()}
    fields["residuals"] = tuple((name, value) for name, value in kept["evidence"]["residuals"])
    truth = tuple(None if cause is None else Cause(cause) for cause in kept["truth"])
    return Specimen(kept["plant"], Evidence(**fields), truth)


def main(arguments: list[str] | None = None) -> int:
    """Realise what is missing, then print the table of all that is there."""
    parser = argparse.ArgumentParser(description="Plant causes, and count how often the diagnosis names them.")
    parser.add_argument("folder", type=Path, help="where every realisation is kept")
    parser.add_argument(
        "--first", type=int, default=100, help="first seed (below 100: those that rules were made with)"
    )
    parser.add_argument("--count", type=int, default=20, help="realisations of each plant")
    parser.add_argument("--plants", nargs="*", default=list(PLANTS), help="some of the plants only")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(chosen.first, chosen.first + chosen.count):
        for plant in chosen.plants:
            path = chosen.folder / f"{plant.replace(', ', '-').replace(' ', '-')}-{seed}.json"
            if not path.is_file():
                save(realise(plant, seed), path)
            paths.append(path)
    specimens = [load(path) for path in paths]
    lines = (*table(scores(specimens)), "", *second_measurements(specimens))
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
