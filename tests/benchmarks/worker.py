"""One structure in a process of its own, so that its peak memory is its own: python worker.py INPUT.json OUTPUT.json

``lattice`` goes from force constants to QHGK, ``third`` through third-order force constants alone, ``nep`` through
steps of dynamics. Times in s, memory in GB; what is compiled on first use is in the first time of each list.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import peak_memory, timed

WIDTH = 0.6
"""rad/ps, standard deviation of the Gaussian that stands for energy conservation."""
REPEAT_BELOW = 120.0
"""s; longer work is done once."""


def measured(**task: Any) -> dict[str, Any]:
    """The results of a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("input.json", "output.json")]
        Path(paths[0]).write_text(json.dumps(task))
        subprocess.run([sys.executable, __file__, *paths], check=True)
        return json.loads(Path(paths[1]).read_text())


def lattice(
    structure: str, temperatures: list[float], statistics: list[str], repeats: int, precision: str
) -> dict[str, Any]:
    """Modes, third order, linewidths and QHGK of a structure at all temperatures and with all statistics."""
    import structures

    from ldmd.force_constants.autodiff import second_order, third_order
    from ldmd.lattice.broadening import Gaussian
    from ldmd.lattice.conductivity import quasi_harmonic_green_kubo
    from ldmd.lattice.linewidths import linewidths
    from ldmd.lattice.modes import normal_modes, velocity_matrices
    from ldmd.lattice.statistics import statistics_named
    from ldmd.structures import neighbour_graph, read_structure

    atoms, potential = read_structure(Path(structure)), structures.potential()
    graph = neighbour_graph(atoms, potential.species, potential.switching)
    result: dict[str, Any] = {"atoms": len(atoms), "neighbours": max(graph.slots)}
    second, result["second order"] = _repeated(lambda: second_order(potential, atoms.positions, graph), 1)
    third, result["third order"] = _repeated(lambda: _operator(third_order(potential, atoms.positions, graph)), 1)
    modes, result["modes"] = _repeated(lambda: normal_modes(second, atoms.get_masses()), 1)
    settings = (temperatures, statistics, Gaussian(WIDTH))
    widths, result["linewidths"] = _repeated(lambda: linewidths(third, modes, *settings, precision=precision), 1)

    def green_kubo() -> list[float]:
        velocities = velocity_matrices(second, modes, atoms.positions, atoms.cell.array)
        kappa = []
        for t, temperature in enumerate(temperatures):
            for s, name in enumerate(statistics):
                arguments = (statistics_named(name), temperature, atoms.get_volume())
                kappa.append(quasi_harmonic_green_kubo(modes, velocities, widths.gamma[t, s], *arguments).total)
        return [float(np.trace(tensor)) / 3.0 for tensor in kappa]

    result["kappa"], result["qhgk"] = _repeated(green_kubo, 1)
    result["memory"], result["imaginary"] = peak_memory(), len(modes.imaginary)
    result["precision error"] = widths.precision_error
    for name, least, work in (
        ("second order", 1, lambda: second_order(potential, atoms.positions, graph)),
        ("third order", 1, lambda: _operator(third_order(potential, atoms.positions, graph))),
        ("modes", 0, lambda: normal_modes(second, atoms.get_masses())),
        ("linewidths", 0, lambda: linewidths(third, modes, *settings, precision=precision)),
        ("qhgk", 0, green_kubo),
    ):
        more = max(least, repeats - 1 if result[name][0] < REPEAT_BELOW else 0)
        result[name] += _repeated(work, more)[1] if more else []
    return result


def third(structure: str, elements: str) -> dict[str, Any]:
    """The operator of a structure, one application, and every element (kept as NumPy arrays in a file ``elements``)."""
    import structures

    from ldmd.force_constants.autodiff import third_order
    from ldmd.structures import neighbour_graph, read_structure

    atoms, potential = read_structure(Path(structure)), structures.potential()

    def operator() -> Any:
        graph = neighbour_graph(atoms, potential.species, potential.switching)
        return _operator(third_order(potential, atoms.positions, graph))

    found, setup = _repeated(operator, 2)
    direction = np.random.default_rng(1).normal(size=found.size)
    _, application = _repeated(lambda: found.along(direction), 5)
    started = time.perf_counter()
    indices, values = found.elements()
    listing = time.perf_counter() - started
    np.savez(elements, indices=indices, values=values)
    return {"set-up": setup, "application": float(np.median(application)), "listing": listing}


def nep(cores: int, repeats: int) -> dict[str, Any]:
    """Steps of dynamics with a neuroevolution potential, on so many cores."""
    from rows_nep import steps

    return steps(cores, repeats)


def _operator(found: Any) -> Any:
    """The same operator, with where its contractions are non-zero known."""
    assert found.pattern.nnz
    return found


def _repeated(work: Callable[[], Any], times: int) -> tuple[Any, list[float]]:
    """The last result, and the seconds of every call."""
    kept: dict[str, Any] = {}

    def keep() -> None:
        kept["result"] = work()

    spans = [timed(keep) for _ in range(times)]
    return kept["result"], [span.seconds for span in spans]


def main() -> None:
    """Read the task, do it, write the result."""
    task = json.loads(Path(sys.argv[1]).read_text())
    work = {"lattice": lattice, "third": third, "nep": nep}[task.pop("task")]
    Path(sys.argv[2]).write_text(json.dumps(work(**task)))


if __name__ == "__main__":
    main()
