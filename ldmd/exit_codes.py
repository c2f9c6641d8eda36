"""Exit codes of the command line, and which of several is the worst."""

from __future__ import annotations

from collections.abc import Iterable

AGREE = 0
"""Both methods agree and every check passed; of other commands: all is sound."""
DISAGREE = 1
"""The methods disagree, a check failed, or the dynamics failed its checks so that there is no verdict."""
WRONG_INPUT = 2
"""The user's input cannot be used; of one potential among several: it could not be computed."""
UNDECIDED = 3
"""The error bar is too wide to tell agreement from disagreement."""
NOT_APPLICABLE = 4
"""Atoms diffuse: lattice dynamics does not apply."""
CRASH = 70
"""A defect of this program."""
INTERRUPTED = 130
"""Stopped by Ctrl-C; what was finished is kept."""

FROM_BEST_TO_WORST = (AGREE, UNDECIDED, DISAGREE, NOT_APPLICABLE, WRONG_INPUT)


def worst(codes: Iterable[int]) -> int:
    """The worst of some codes of ``FROM_BEST_TO_WORST``; ``AGREE`` of none."""
    return max(codes, key=FROM_BEST_TO_WORST.index, default=AGREE)
