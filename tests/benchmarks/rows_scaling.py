"""How time and memory of each stage grow with the number of atoms: random networks of silicon."""

from __future__ import annotations

import statistics
from typing import Any

import structures
from measure import Lines, Settings, digits, exponent
from worker import REPEAT_BELOW, measured

STAGES = ("modes", "third order", "linewidths", "qhgk")


def scaling(settings: Settings) -> Lines:
    """A line for each size, 300 K and both statistics, and one for the fitted exponents."""
    found = []
    for size in settings.sizes:
        structures.silicon(size, settings.cache)
        path = str(settings.cache / f"silicon-{size}.extxyz")
        conditions = {"temperatures": [300.0], "statistics": ["bose-einstein", "classical"]}
        found.append(
            measured(task="lattice", structure=path, **conditions, repeats=settings.repeats, precision="float64")
        )
    rows = [_line(one) for one in found]
    if len(found) > 1:
        rows.append(_exponents(found))
    notes = [
        f"Stages that take longer than {REPEAT_BELOW:.0f} s are run once. Memory is the peak of the process from its "
        "start through QHGK; its exponent is of the two largest sizes, because in small cells the compiler decides.",
    ]
    most = ", ".join(str(one["neighbours"]) for one in found)
    notes.append(f"The third-order operator depends on the atom with most neighbours, too: they are {most}.")
    if any(one["imaginary"] for one in found):
        notes.append(f"Imaginary modes: {', '.join(str(one['imaginary']) for one in found)}.")
    return Lines(rows, notes)


def _line(one: dict[str, Any]) -> list[str]:
    compiled = digits(one["third order"][0])
    return [str(one["atoms"]), *(digits(_time(one, name)) for name in STAGES), compiled, f"{one['memory']:.2f}"]


def _time(one: dict[str, Any], name: str) -> float:
    """Median time of a stage in s, what is compiled left out."""
    times = one[name]
    return statistics.median(times[1:] if name == "third order" else times)


def _exponents(found: list[dict[str, Any]]) -> list[str]:
    sizes = [one["atoms"] for one in found]
    powers = [exponent(sizes, [_time(one, name) for one in found]) for name in STAGES]
    memory = exponent(sizes[-2:], [one["memory"] for one in found[-2:]])
    label = f"exponent, {sizes[0]} to {sizes[-1]}"
    return [label, *(f"{power:.2f}" for power in powers), "-", f"{memory:.2f}"]
