"""Little NEP models with random numbers, written as GPUMD would, and cells for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk


def write_nep(
    path: Path,
    kind: str = "nep4",
    species: tuple[str, ...] = ("Si",),
    cutoff: str = "5 4 50 40",
    l_max: str = "4 2 1",
    zbl: str = "",
    functions: tuple[int, int] = (3, 2),
    polynomials: tuple[int, int] = (5, 4),
    neurons: int = 6,
    seed: int = 0,
    flexible: list[float] | None = None,
) -> Path:
    """A file with random weights; ``functions`` and ``polynomials`` as in its header (one less than there are)."""
    numbers = np.random.default_rng(seed)
    highest, *flags = (int(word) for word in l_max.split())
    (radial, angular), (wide, narrow), size = functions, polynomials, len(species)
    descriptors = radial + 1 + (angular + 1) * (highest + sum(flag > 0 for flag in flags))
    networks = 1 if kind.startswith("nep3") else size
    count = networks * ((descriptors + 2) * neurons + kind.startswith("nep5")) + 1
    count += size**2 * ((radial + 1) * (wide + 1) + (angular + 1) * (narrow + 1))
    header = [
        f"{kind} {size} {' '.join(species)}",
        *([f"zbl {zbl}"] if zbl else []),
        f"cutoff {cutoff}",
        f"n_max {radial} {angular}",
        f"basis_size {wide} {narrow}",
        f"l_max {l_max}",
        f"ANN {neurons} 0",
    ]
    values = np.concatenate([numbers.normal(size=count), numbers.uniform(0.05, 0.2, size=descriptors), flexible or []])
    path.write_text("\n".join([*header, *(f"{value:.15e}" for value in values)]) + "\n")
    return path


def rattled_silicon(symbols: tuple[str, ...] = ("Si",), repeats: int = 3, seed: int = 1) -> Atoms:
    """Diamond, rattled by 0.15 Angstrom, in a strained cell; species drawn at random."""
    numbers = np.random.default_rng(seed)
    atoms = bulk("Si", "diamond", a=5.43, cubic=True).repeat(repeats)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * numbers.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += 0.15 * numbers.normal(size=atoms.positions.shape)
    atoms.symbols = numbers.choice(symbols, size=len(atoms))
    return atoms
