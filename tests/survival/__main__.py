"""``python -m tests.survival``: all of it, at random moments; exit code 1 where something was lost or wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from .campaign import campaign
from .cases import CASES


def main() -> int:
    """Run the campaign and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="signals at random moments")
    parser.add_argument("--damages", type=int, default=100, help="files damaged, one at a time")
    parser.add_argument("--races", type=int, default=6, help="pairs of comparisons of one case at once")
    parser.add_argument("--disks", type=int, default=20, help="comparisons without room")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin nothing new afterwards")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--folder", type=Path, help="where the cases are; those with a finding are left there")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="survival-"))
    started = time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started:7.0f} s  {text}\n")

    say(f"seed {asked.seed}, in {folder}")
    with campaign(folder, asked.seed, say, asked.minutes) as running:
        shares = {kind: 0.8 if kind == "dynamics" else 0.2 for kind in CASES}
        for kind, share in shares.items():
            running.race(kind, max(1, round(share * asked.races)) if asked.races else 0)
            running.starve(kind, round(share * asked.disks))
            running.damage(kind, round(share * asked.damages))
            running.kill(kind, round(share * asked.kills))
    for name, count in sorted(running.counts.items()):
        sys.stdout.write(f"{count:5d}  {name}\n")
    for finding in running.findings:
        sys.stdout.write(f"FOUND  {finding}\n")
    sys.stdout.write(f"{len(running.findings)} findings, {folder}\n")
    return 1 if running.findings else 0


sys.exit(main())
