"""The file of a neuroevolution potential (NEP), as GPUMD writes ``nep.txt``: its header and its numbers.

Header, one line each: the kind with its species; ``zbl`` where the kind ends in it; ``cutoff``; ``n_max``;
``basis_size``; ``l_max``; ``ANN``. Empty lines and comments (#) may stand between. Behind ``cutoff`` stand the radial
and the angular one, for all or for each species (a pair has the mean of its two), then two counts of neighbours; after
one pair of cutoffs and the counts perhaps three factors f of typewise cutoffs, radial, angular and ZBL: then a pair has
min(r, f (R_i + R_j)), R its covalent radii, of each whose f is not 0. Then the numbers, N_r = n_max + 1 and
K = basis_size + 1 (radial and angular), D = N_r + N_a (L + further invariants) descriptors, H neurons:

* for each species (nep4, nep5) or once for all (nep3): W0 (H, D), b0 (H), w1 (H), and a bias of its own (nep5);
* the bias b1 of all;
* the expansion coefficients c (N, K, S, S), radial then angular;
* the scale of each descriptor (D);
* ten numbers for each pair of species where the ZBL repulsion is flexible.

Sources: Z. Fan et al., J. Chem. Phys. 157, 114801 (2022); K. Song et al., Nat. Commun. 15, 10208 (2024); the GPUMD
manual. Radii of typewise cutoffs: Grimme et al., J. Chem. Phys. 132, 154104 (2010), times 4/3.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from ldmd.errors import InputError
from ldmd.potentials.parameter_file import (
    FIELD,
    LONGEST_CUTOFF,
    Line,
    numbers_of,
    read_lines,
    shortened,
)

LARGEST = 64_000_000
"""Bytes of a file: that of 89 elements has 17 million."""
LARGEST_COUNT = 100_000
"""Functions, polynomials or neurons."""
VERSIONS = {"nep3": 3, "nep4": 4, "nep5": 5}
HIGHEST_L = 8
NARROWEST = 1e-4
"""Angstrom: a narrower switching region of the ZBL repulsion is a step."""
OTHER_MODELS = {
    "charge": "has charges, whose interaction has no cutoff: its energy is no sum of functions of near neighbours",
    "dipole": "gives dipoles and no energy",
    "polarizability": "gives polarizabilities and no energy",
    "temperature": "has an energy that depends on the temperature",
    "vdw": "has a dispersion interaction besides, which is not known here",
}
"""Why other kinds of models are refused, by what the first word of their file ends in."""
INVARIANTS = ("q222", "q1111", "q112", "q123", "q233", "q134")
"""Flags behind l_max, in order; the first two are known here."""
UNIVERSAL = np.array([0.18175, 3.1998, 0.50986, 0.94229, 0.28022, 0.4029, 0.02817, 0.20162])
"""Amplitudes and decay constants of the ZBL screening function, pairwise."""
HUNDREDTHS = (
    (32, 46, 120, 94, 77, 75, 71, 63, 64, 67, 140, 125, 113, 104, 110, 102, 99, 96, 176, 154, 133, 122, 121, 110)
    + (107, 104, 100, 99, 101, 109, 112, 109, 115, 110, 114, 117, 189, 167, 147, 139, 132, 124, 115, 113, 113, 108)
    + (115, 123, 128, 126, 126, 123, 132, 131, 209, 176, 162, 147, 158, 157, 156, 155, 151, 152, 151, 150, 149, 149)
    + (148, 153, 146, 137, 131, 123, 118, 116, 111, 112, 113, 132, 130, 130, 136, 131, 138, 142, 201, 181, 167, 158)
    + (152, 153, 154, 155)
)
"""Covalent radii of hydrogen to plutonium, 0.01 Angstrom."""


@dataclasses.dataclass(frozen=True)
class Repulsion:
    """The ZBL repulsion of every pair of species."""

    inner: np.ndarray
    """(S, S) Angstrom, where its cutoff function begins."""
    outer: np.ndarray
    """(S, S) Angstrom, where it ends."""
    screening: np.ndarray
    """(S, S, 8) amplitudes (pure) and decay constants (pure), pairwise."""


@dataclasses.dataclass(frozen=True)
class NepModel:
    """The numbers of one file. S species, N functions of K polynomials, D descriptors, H neurons; eV and Angstrom."""

    version: int
    species: tuple[str, ...]
    pair_cutoffs: np.ndarray
    """(S, S, 2) radial and angular cutoff of each pair, Angstrom."""
    highest_l: int
    four_body: bool
    five_body: bool
    input_weights: np.ndarray
    """(S, H, D)"""
    input_biases: np.ndarray
    """(S, H)"""
    output_weights: np.ndarray
    """(S, H) eV"""
    output_biases: np.ndarray
    """(S,) eV, to be subtracted"""
    radial: np.ndarray
    """(N, K, S, S) coefficients by function, polynomial, species of the centre and of the neighbour."""
    angular: np.ndarray
    """The same of the angular part."""
    scale: np.ndarray
    """(D,)"""
    repulsion: Repulsion | None


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the lines above the numbers say."""

    version: int
    species: tuple[str, ...]
    zbl: tuple[float, ...]
    zbl_inner: float
    """Inner radius of a typewise ZBL cutoff over its outer one: half where the factor stands behind ``cutoff``."""
    cutoffs: np.ndarray
    """(S, S, 2)"""
    functions: tuple[int, int]
    polynomials: tuple[int, int]
    highest_l: int
    four_body: bool
    five_body: bool
    neurons: int

    @property
    def descriptors(self) -> int:
        blocks = self.highest_l + self.four_body + self.five_body
        return self.functions[0] + self.functions[1] * blocks

    @property
    def networks(self) -> int:
        """How many the file holds: nep3 has one for all species."""
        return 1 if self.version == 3 else len(self.species)

    @property
    def count_of_network(self) -> int:
        """How many numbers each of them has."""
        return (self.descriptors + 2) * self.neurons + (self.version == 5)

    @property
    def flexible(self) -> bool:
        return self.zbl[:2] == (0.0, 0.0)

    @property
    def count(self) -> int:
        """How many numbers follow."""
        networks = self.networks * self.count_of_network
        expansion = sum(n * k for n, k in zip(self.functions, self.polynomials, strict=True))
        pairs = len(self.species) * (len(self.species) + 1) // 2
        total = networks + 1 + len(self.species) ** 2 * expansion + self.descriptors
        return total + 10 * pairs * self.flexible


def read_nep_file(path: Path) -> NepModel:
    """Read a ``nep.txt``.

    Raises
    ------
    InputError
        Where the file is missing, truncated or too long, of another kind than an energy model, or holds something
        that is not a finite number.
    """
    lines = read_lines(path, LARGEST, "the nep.txt of a model")
    header, length = _header(lines, path)
    count = sum(len(line.words) for line in lines[length:])
    if count != header.count:
        fix = f"holds {count} numbers below its header, which asks for {header.count}; copy the whole file again"
        raise InputError(FIELD, path, fix)
    return _model(header, numbers_of(lines[length:], path), path)


def _header(lines: list[Line], path: Path) -> tuple[_Header, int]:
    """The header and how many lines it takes."""
    version, zbl, species = _kind(lines[0].words if lines else [], path)
    names = (["zbl"] if zbl else []) + ["cutoff", "n_max", "basis_size", "l_max", "ANN"]
    found: dict[str, np.ndarray] = {}
    for number, name in enumerate(names, start=1):
        line = lines[number] if number < len(lines) else Line(lines[-1].number + 1, "nothing")
        word = line.words[0]
        if word != name:
            fix = f"line {line.number} begins with {shortened(word)!r} instead of {name!r}; mend it"
            raise InputError(FIELD, path, fix)
        found[name] = numbers_of([Line(line.number, line.text.replace(name, " " * len(name), 1))], path)
    functions = _integers(found, "n_max", 2, 0, path)
    polynomials = _integers(found, "basis_size", 2, 0, path)
    (neurons, _) = _integers(found, "ANN", 2, 0, path)
    highest_l, four_body, five_body = _angular_momenta(found["l_max"], path)
    if neurons < 1:
        raise InputError(FIELD, path, "the line 'ANN' gives no neuron; it needs at least one")
    cutoffs, zbl_factor = _cutoffs(found["cutoff"], species, path)
    radii = _zbl(found["zbl"], path) if zbl else ()
    behind_cutoff = zbl_factor > 0.0 and len(radii) == 2 and any(radii)
    return _Header(
        version,
        species,
        (*radii, zbl_factor) if behind_cutoff else radii,
        0.5 if behind_cutoff else 0.0,
        cutoffs,
        (functions[0] + 1, functions[1] + 1),
        (polynomials[0] + 1, polynomials[1] + 1),
        highest_l,
        four_body,
        five_body,
        neurons,
    ), 1 + len(names)


def _kind(words: list[str], path: Path) -> tuple[int, bool, tuple[str, ...]]:
    """Version, whether there is a ZBL repulsion, and the species."""
    kind = words[0] if words else "nothing"
    name, zbl = (kind[:-4], True) if kind.endswith("_zbl") else (kind, False)
    if name not in VERSIONS:
        suffix = kind.rpartition("_")[2].rstrip("0123456789") if kind.startswith("nep") else ""
        reason = OTHER_MODELS.get(suffix, "is not known here")
        known = "give an energy model: nep3, nep4 or nep5, with or without _zbl"
        raise InputError(FIELD, path, f"begins with {shortened(kind)!r}, which {reason}; {known}")
    count = words[1] if len(words) > 1 else "no number"
    species = tuple(words[2:])
    if count != str(len(species)) or not species:
        fix = f"announces {shortened(count)} species and names {len(species)}; mend the first line"
        raise InputError(FIELD, path, fix)
    unknown = [shortened(symbol) for symbol in species if symbol not in atomic_numbers or symbol == "X"]
    if unknown or len(set(species)) < len(species):
        which = " ".join((unknown or list(species))[:5])
        raise InputError(FIELD, path, f"names {which}: each must be an element, and only once")
    return VERSIONS[name], zbl, species


def _integers(found: dict[str, np.ndarray], name: str, count: int, least: int, path: Path) -> list[int]:
    values = found[name]
    whole = len(values) == count and (values == np.round(values)).all()
    if not whole or (values < least).any() or (values > LARGEST_COUNT).any():
        fix = f"the line {name!r} needs {count} whole numbers from {least} to {LARGEST_COUNT}"
        raise InputError(FIELD, path, fix)
    return [int(value) for value in values]


def _cutoffs(values: np.ndarray, species: tuple[str, ...], path: Path) -> tuple[np.ndarray, float]:
    """(S, S, 2) of the line ``cutoff``, and the factor of typewise ZBL cutoffs, 0 for none; see above.

    The counts of neighbours are ignored.
    """
    size = len(species)
    if len(values) not in (4, 7, 2 * size + 2):
        fix = f"the line 'cutoff' has {len(values)} numbers; it needs 4, or 2 for each species and 2 more, or 7"
        raise InputError(FIELD, path, f"{fix} with the factors of typewise cutoffs")
    factors = values[4:] if len(values) == 7 else np.zeros(3)
    if not ((factors >= 0.0).all() and (factors <= LONGEST_CUTOFF).all() and (factors[0] > 0.0) == (factors[1] > 0.0)):
        raise InputError(FIELD, path, "the line 'cutoff' needs factors above 0, radial and angular or neither")
    given = values[:2] if len(values) == 7 else values[:-2]
    of_species = np.broadcast_to(given.reshape(-1, 2), (size, 2))
    cutoffs = 0.5 * (of_species[:, None] + of_species[None, :])
    if factors[0] > 0.0:
        cutoffs = np.minimum(cutoffs, factors[:2] * _radius_sums(species, path)[..., None])
    if not ((cutoffs > 0.0).all() and (cutoffs[..., 1] <= cutoffs[..., 0]).all()):
        raise InputError(FIELD, path, "the line 'cutoff' needs 0 < angular cutoff <= radial cutoff")
    if cutoffs.max() > LONGEST_CUTOFF:
        raise InputError(FIELD, path, f"the line 'cutoff' needs cutoffs up to {LONGEST_CUTOFF:g} Angstrom")
    return cutoffs, float(factors[2])


def _angular_momenta(values: np.ndarray, path: Path) -> tuple[int, bool, bool]:
    """The highest l, whether q222 and whether q1111 are there.

    Two forms exist: ``L 2 1``, where 2 (or 0) and 1 (or 0) stand for four- and five-body terms, and ``L`` with one
    flag for each of ``INVARIANTS``.
    """
    whole = len(values) > 0 and (values == np.round(values)).all() and (values >= 0).all()
    if not whole or values[0] > HIGHEST_L or len(values) > 1 + len(INVARIANTS):
        raise InputError(FIELD, path, f"the line 'l_max' needs a whole number up to {HIGHEST_L} and flags behind it")
    flags = dict(zip(INVARIANTS, values[1:], strict=False))
    others = [name for name in INVARIANTS[2:] if flags.get(name, 0)]
    if others:
        raise InputError(FIELD, path, f"asks for the invariants {', '.join(others)}; only q222 and q1111 are known")
    four, five = flags.get("q222", 0), flags.get("q1111", 0)
    if four not in (0, 1, 2) or five not in (0, 1):
        raise InputError(FIELD, path, "the line 'l_max' needs 0, 1 or 2 for the four-body and 0 or 1 for the five-body")
    lowest = 2 if four else 1 if five else 0
    if values[0] < lowest:
        raise InputError(FIELD, path, f"the line 'l_max' needs at least l = {lowest} for its further invariants")
    return int(values[0]), bool(four), bool(five)


def _zbl(values: np.ndarray, path: Path) -> tuple[float, ...]:
    """Inner and outer radius, and the factor of a typewise cutoff if there is one."""
    good = len(values) in (2, 3) and (values >= 0.0).all() and (values[0] < values[1] or not values.any())
    if not good or (len(values) == 3 and not (values[2] > 0.0 and values[1] > 0.0)):
        raise InputError(FIELD, path, "the line 'zbl' needs inner < outer radius, or 0 0, and perhaps a factor above 0")
    return tuple(float(value) for value in values)


def _model(header: _Header, values: np.ndarray, path: Path) -> NepModel:
    """Deal the numbers out."""
    size, neurons, descriptors = len(header.species), header.neurons, header.descriptors
    rest = iter(np.split(values, np.cumsum(_lengths(header))[:-1]))
    networks = np.broadcast_to(next(rest).reshape(header.networks, -1), (size, header.count_of_network))
    inputs, biases, outputs, own = np.split(networks, np.cumsum([neurons * descriptors, neurons, neurons]), axis=1)
    common = float(next(rest)[0])
    radial, angular = (
        next(rest).reshape(n, k, size, size) for n, k in zip(header.functions, header.polynomials, strict=True)
    )
    return NepModel(
        header.version,
        header.species,
        header.cutoffs,
        header.highest_l,
        header.four_body,
        header.five_body,
        inputs.reshape(size, neurons, descriptors),
        biases,
        outputs,
        common + (own[:, 0] if header.version == 5 else np.zeros(size)),
        radial,
        angular,
        next(rest),
        _repulsion(header, next(rest), path),
    )


def _lengths(header: _Header) -> list[int]:
    """Of the networks, the common bias, both expansions, the scale; the rest is the flexible ZBL."""
    size = len(header.species)
    networks = header.networks * header.count_of_network
    expansions = [size**2 * n * k for n, k in zip(header.functions, header.polynomials, strict=True)]
    known = [networks, 1, *expansions, header.descriptors]
    return [*known, header.count - sum(known)]


def _repulsion(header: _Header, table: np.ndarray, path: Path) -> Repulsion | None:
    if not header.zbl:
        return None
    size = len(header.species)
    screening = np.broadcast_to(UNIVERSAL, (size, size, 8)).copy()
    inner, outer = (np.full((size, size), radius) for radius in header.zbl[:2])
    if header.flexible:
        first, second = np.triu_indices(size)
        rows = table.reshape(-1, 10)
        for a, b in ((first, second), (second, first)):
            inner[a, b], outer[a, b], screening[a, b] = rows[:, 0], rows[:, 1], rows[:, 2:]
    elif len(header.zbl) == 3:
        outer = np.minimum(outer, header.zbl[2] * _radius_sums(header.species, path))
        inner = header.zbl_inner * outer
    if not ((inner >= 0.0) & (inner + NARROWEST <= outer) & (outer <= header.cutoffs[..., 1])).all():
        raise InputError(FIELD, path, "every ZBL pair needs 0 <= inner < outer radius <= its angular cutoff")
    return Repulsion(inner, outer, screening)


def _radius_sums(species: tuple[str, ...], path: Path) -> np.ndarray:
    """(S, S) sums of 4/3 of the covalent radii, each to six digits as in use, Angstrom."""
    heavy = [symbol for symbol in species if atomic_numbers[symbol] > len(HUNDREDTHS)]
    if heavy:
        raise InputError(FIELD, path, f"typewise ZBL cutoffs need a covalent radius, unknown for {', '.join(heavy)}")
    radii = np.array([float(f"{HUNDREDTHS[atomic_numbers[symbol] - 1] / 75.0:.6g}") for symbol in species])
    return np.asarray(radii[:, None] + radii[None, :])
