"""Whether force constants have the size that force constants have: a wrong unit, a lost decimal point, a damaged file.

The stiffest bond there is (N2) has 140 eV/Angstrom^2, and a third derivative of some 1000 eV/Angstrom^3. Numbers far
beyond are none of atoms, and what is computed from them overflows somewhere later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ldmd.errors import InputError

if TYPE_CHECKING:
    from ldmd.force_constants.second import SecondOrder
    from ldmd.force_constants.third import SparseThirdOrder

LARGEST_SECOND = 1e4
"""eV/Angstrom^2."""
LARGEST_THIRD = 1e6
"""eV/Angstrom^3."""


def require_sensible(second: SecondOrder, third: SparseThirdOrder, field: str = "force constants") -> None:
    """Refuse elements that are no numbers, or larger than those of any atoms.

    Raises
    ------
    InputError
        Naming the first such element by its atoms (counted from 0) and directions; ``field`` is what it is called.
    """
    matrix = second.matrix.tocoo()
    _require(field, "second", matrix.data, np.stack([matrix.row, matrix.col]), LARGEST_SECOND, "eV/Angstrom^2")
    _require(field, "third", third.values, third.indices, LARGEST_THIRD, "eV/Angstrom^3")


def _require(field: str, order: str, values: np.ndarray, indices: np.ndarray, largest: float, unit: str) -> None:
    bad = np.flatnonzero(~(np.abs(values) <= largest))
    if len(bad) == 0:
        return
    where = ", ".join(f"atom {int(index) // 3} {'xyz'[int(index) % 3]}" for index in indices[:, bad[0]])
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    fix = f"no force constant of {order} order is larger than {largest:g} {unit}: mend the file or its units"
    raise InputError(field, f"{values[bad[0]]:g} {unit} of {where}{more}", fix)
