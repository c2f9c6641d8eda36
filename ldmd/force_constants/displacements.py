"""Which displacements central differences of forces need, and how force constants follow from the forces.

With a step h, unit vectors a of atom i and b of atom j, and F_k the force on atom k (F(+-) with i moved forth and j
moved back):

* second order: Phi_ia,k = -[F_k(+) - F_k(-)] / 2h, with a truncation of h^2/6 d^3Phi_ia,k / du_ia^2,
* third order: Phi_ia,jb,k = -[F_k(++) - F_k(+-) - F_k(-+) + F_k(--)] / 4h^2, with h^2/6 (Phi_iiijk + Phi_ijjjk); for
  ia = jb the two steps add up.

Each pair is displaced once for i <-> j, and k runs over all atoms. In a crystal only one pair of each orbit is
displaced, along as few directions as span all with the help of its stabiliser, and of configurations that the
stabiliser makes equivalent only one is evaluated; the operations turn the forces into all others.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ldmd.force_constants.crystal_symmetry import Operations, Orbit, orbits_of_atoms, orbits_of_pairs
from ldmd.potentials.evaluations import Displacement

SAME_DIRECTION = 1e-6
"""Components of displacements, in steps, that count as equal."""
Vectors = tuple[tuple[int, tuple[float, float, float]], ...]
Key = tuple[tuple[int, int, int, int], ...]
ForcesOf = Callable[[int], np.ndarray]
"""Forces (N, 3) in the configuration of a number."""


@dataclasses.dataclass(frozen=True)
class Term:
    """One of the forces in a difference."""

    sign: float
    configuration: int
    operation: int
    """Symmetry operation that turns the evaluated configuration into the wanted one."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """An orbit with the directions along which its representative is displaced."""

    orbit: Orbit
    directions: tuple[int, ...]
    """a, or 3 a + b for a pair."""
    differences: tuple[tuple[Term, ...], ...]
    """For each direction its 2 or 4 terms."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """All configurations to evaluate for force constants of an order, and what to make of them."""

    order: int
    """2 or 3, of the force constants."""
    operations: Operations
    measured: tuple[Measured, ...]
    configurations: tuple[Vectors, ...]
    """Displacements in units of the step."""

    def displacements(self, step: float) -> list[Displacement]:
        """The configurations for a step in Angstrom."""
        return [tuple((n, (step * x, step * y, step * z)) for n, (x, y, z) in c) for c in self.configurations]

    def representatives(self, forces: ForcesOf, step: float) -> Iterator[tuple[Measured, np.ndarray]]:
        """Force constants of each representative: (3, N, 3) for an atom, (3, 3, N, 3) for a pair."""
        for measured in self.measured:
            yield measured, self._spanned(measured, self.slopes(measured, forces, step))

    def slopes(self, measured: Measured, forces: ForcesOf, step: float) -> list[np.ndarray]:
        """The differences of an orbit as they are measured, (N, 3) each, eV/Angstrom^order."""
        scale = -((2.0 * step) ** (1 - self.order))
        return [scale * self._difference(terms, forces) for terms in measured.differences]

    def part(self, measured: Sequence[Measured]) -> Plan:
        """The plan for some differences only."""
        used = sorted({term.configuration for m in measured for terms in m.differences for term in terms})
        place = {number: n for n, number in enumerate(used)}

        def renumbered(terms: tuple[Term, ...]) -> tuple[Term, ...]:
            return tuple(dataclasses.replace(term, configuration=place[term.configuration]) for term in terms)

        renamed = [
            dataclasses.replace(m, differences=tuple(renumbered(terms) for terms in m.differences)) for m in measured
        ]
        return Plan(self.order, self.operations, tuple(renamed), tuple(self.configurations[n] for n in used))

    def expanded(self, measured: Measured, tensor: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
        """The same for every member of the orbit, atoms in ascending order."""
        for atoms, operation in zip(measured.orbit.members.tolist(), measured.orbit.operations, strict=True):
            turned = self._turned(tensor, operation)
            if self.order == 3 and atoms[0] > atoms[1]:
                yield (atoms[1], atoms[0]), turned.transpose(1, 0, 2, 3)
            else:
                yield tuple(atoms), turned

    def _difference(self, terms: tuple[Term, ...], forces: ForcesOf) -> np.ndarray:
        return sum((t.sign * self._carried(forces(t.configuration), t.operation) for t in terms), np.zeros(()))

    def _carried(self, forces: np.ndarray, operation: int) -> np.ndarray:
        """Forces (N, 3) after an operation."""
        carried = np.empty_like(forces)
        carried[self.operations.images[operation]] = forces @ self.operations.rotations[operation].T
        return carried

    def _spanned(self, measured: Measured, slopes: Sequence[np.ndarray]) -> np.ndarray:
        """Every component of the representative from those measured, with the help of its stabiliser."""
        orbit, width = measured.orbit, 3 ** (self.order - 1)
        shape = (3,) * (self.order - 1) + slopes[0].shape
        if len(orbit.stabiliser) == 1:
            return np.stack(slopes).reshape(shape)
        weights = np.linalg.pinv(_reached(orbit, self.operations, measured.directions))
        columns = weights.reshape(width, len(slopes), len(orbit.stabiliser))
        total = np.zeros((width, *slopes[0].shape))
        for number, slope in enumerate(slopes):
            for place, operation in enumerate(orbit.stabiliser):
                total += columns[:, number, place, None, None] * self._carried(slope, operation)
        return total.reshape(shape)

    def _turned(self, tensor: np.ndarray, operation: int) -> np.ndarray:
        """A tensor of the representative after an operation."""
        turn = self.operations.rotations[operation]
        subscripts = "ai,ikl,cl->akc" if self.order == 2 else "ai,bj,ijkl,cl->abkc"
        turned = np.empty_like(tensor)
        turned[..., self.operations.images[operation], :] = np.einsum(
            subscripts, *[turn] * (self.order - 1), tensor, turn, optimize=True
        )
        return turned


def plan_second(operations: Operations) -> Plan:
    """Displacements for the second order: six for each inequivalent atom at most."""
    return _plan(2, operations, orbits_of_atoms(operations))


def plan_third(operations: Operations, first: np.ndarray, second: np.ndarray) -> Plan:
    """Displacements for the third order, for pairs first <= second: 36 for each, 18 for an atom with itself, at most.

    One more, with no atom displaced, serves all atoms with themselves.
    """
    return _plan(3, operations, orbits_of_pairs(operations, first, second))


def _plan(order: int, operations: Operations, orbits: Sequence[Orbit]) -> Plan:
    table = _Configurations(operations)
    signs = list(itertools.product((1.0, -1.0), repeat=order - 1))
    measured = []
    for orbit in orbits:
        directions = _directions(orbit, operations)
        differences = []
        for direction in directions:
            axes = (direction,) if order == 2 else divmod(direction, 3)
            terms = []
            for sign in signs:
                moves = [(n, s * np.eye(3)[a]) for n, s, a in zip(orbit.atoms, sign, axes, strict=True)]
                terms.append(Term(float(np.prod(sign)), *table.find(moves, orbit)))
            differences.append(tuple(terms))
        measured.append(Measured(orbit, directions, tuple(differences)))
    return Plan(order, operations, tuple(measured), tuple(table.configurations))


class _Configurations:
    """Configurations so far, each with its images under the stabiliser of the atoms that it displaces."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self.configurations: list[Vectors] = []
        self._known: dict[Key, tuple[int, int]] = {}

    def find(self, moves: Sequence[tuple[int, np.ndarray]], orbit: Orbit) -> tuple[int, int]:
        """The number of an equivalent configuration, and the operation that makes this one of it."""
        wanted = _key(moves)
        if wanted not in self._known:
            number = len(self.configurations)
            self.configurations.append(_vectors(moves))
            for operation in np.unique(orbit.stabiliser).tolist():
                turn, images = self.operations.rotations[operation], self.operations.images[operation]
                image = _key([(int(images[atom]), turn @ vector) for atom, vector in moves])
                self._known.setdefault(image, (number, operation))
        return self._known[wanted]


def _summed(moves: Sequence[tuple[int, np.ndarray]]) -> dict[int, np.ndarray]:
    """One displacement per atom, none that vanishes, in the order of the atoms."""
    total: dict[int, np.ndarray] = {}
    for atom, vector in moves:
        total[atom] = total.get(atom, np.zeros(3)) + vector
    return {atom: total[atom] for atom in sorted(total) if np.abs(total[atom]).max() > SAME_DIRECTION}


def _key(moves: Sequence[tuple[int, np.ndarray]]) -> Key:
    def rounded(atom: int, vector: np.ndarray) -> tuple[int, int, int, int]:
        x, y, z = np.rint(vector / SAME_DIRECTION).astype(int).tolist()
        return atom, x, y, z

    return tuple(rounded(atom, vector) for atom, vector in _summed(moves).items())


def _vectors(moves: Sequence[tuple[int, np.ndarray]]) -> Vectors:
    def plain(vector: np.ndarray) -> tuple[float, float, float]:
        x, y, z = vector.tolist()
        return x, y, z

    return tuple((atom, plain(vector)) for atom, vector in _summed(moves).items())


def _directions(orbit: Orbit, operations: Operations) -> tuple[int, ...]:
    """As few directions as span all of them together with their images under the stabiliser."""
    width = 3 ** len(orbit.atoms)
    if len(orbit.stabiliser) == 1:
        return tuple(range(width))
    if np.all(orbit.stabiliser == orbit.stabiliser[0]) and np.array_equal(
        operations.rotations[orbit.stabiliser[0]], np.eye(3)
    ):
        return tuple(3 * a + b for a in range(3) for b in range(a, 3))  # an atom with itself, and no symmetry
    chosen: tuple[int, ...] = ()
    rank = 0
    while rank < width:
        ranks = {d: _rank(_reached(orbit, operations, (*chosen, d))) for d in range(width) if d not in chosen}
        best = max(ranks, key=lambda d: ranks[d])
        chosen, rank = (*chosen, best), ranks[best]
    return chosen


def _rank(rows: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(rows, tol=1e-3))


def _reached(orbit: Orbit, operations: Operations, directions: Sequence[int]) -> np.ndarray:
    """The directions (len(directions) * S, 3 or 9) that the stabiliser makes of those given."""
    turns = operations.rotations[orbit.stabiliser]
    rows = []
    for direction in directions:
        if len(orbit.atoms) == 1:
            rows.append(turns[:, :, direction])
            continue
        a, b = divmod(direction, 3)
        outer = turns[:, :, a, None] * turns[:, None, :, b]
        rows.append(np.where(orbit.swaps[:, None, None], outer.transpose(0, 2, 1), outer).reshape(-1, 9))
    return np.concatenate(rows)
