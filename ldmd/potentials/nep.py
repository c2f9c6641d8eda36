"""Neuroevolution potentials (NEP): what a file says, ready for the sites of a neighbour graph (see ``nep_sites``)."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Collection
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from ase.data import atomic_numbers

from ldmd.errors import InputError
from ldmd.potentials.base import SiteEnergies, SiteHessians
from ldmd.potentials.ends import End
from ldmd.potentials.nep_file import NepModel, read_nep_file
from ldmd.potentials.nep_hessian import nep_site_hessians
from ldmd.potentials.nep_sites import NepParameters, RepulsionParameters, nep_site_energies
from ldmd.structures import SiteBlock

SITES_AT_ONCE = 16
COULOMB = 14.399645
"""e^2 / 4 pi epsilon_0, eV Angstrom, to the digits in use for this potential."""
SCREENING_LENGTH = 1.0 / 2.134563
"""Angstrom, over Z^0.23 + Z'^0.23: the screening length of a pair."""


@dataclasses.dataclass(frozen=True)
class NepPotential:
    """A neuroevolution potential for the species of its file."""

    model: NepModel

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the file."""
        return self.model.species

    @property
    def site_energies(self) -> SiteEnergies:
        """The pure function of edges and parameters. It cannot be differentiated by the parameters."""
        return nep_site_energies

    @property
    def site_hessians(self) -> SiteHessians:
        """The pure function of edges and parameters. It can be differentiated by the edges, once."""
        return nep_site_hessians

    @property
    def switching(self) -> np.ndarray:
        """0 and the radial cutoff of each pair, (S, S, 2) Angstrom: f_c has no inner radius."""
        outer = self.model.pair_cutoffs[..., 0]
        return np.stack([np.zeros_like(outer), outer], axis=-1)

    @property
    def ends(self) -> tuple[End, ...]:
        """Radial and angular cutoff, begin and end of the switching of the ZBL repulsion."""
        model = self.model
        ends = [End("radial cutoff", model.pair_cutoffs[..., 0])]
        if model.highest_l:
            ends.append(End("angular cutoff", model.pair_cutoffs[..., 1]))
        if model.repulsion is not None:
            ends.append(End("begin of the switching of the ZBL repulsion", model.repulsion.inner))
            ends.append(End("end of the ZBL repulsion", model.repulsion.outer))
        return tuple(ends)

    @property
    def core(self) -> np.ndarray:
        """(S, S) Angstrom, the angular cutoff of each pair: beyond it an edge costs little."""
        return self.model.pair_cutoffs[..., 1]

    def fingerprint(self) -> bytes:
        """SHA-256 of all numbers of the model."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self.model):
            digest.update(field.name.encode() + _bytes(getattr(self.model, field.name)))
        return digest.digest()

    def among(self, species: tuple[str, ...]) -> NepPotential:
        """The same model for some of its species only, in the file's order: a structure of few pays for no more."""
        model = self.model
        keep = np.array([number for number, symbol in enumerate(model.species) if symbol in species])
        pairs = np.ix_(keep, keep)
        repulsion = model.repulsion and dataclasses.replace(
            model.repulsion,
            **{f.name: getattr(model.repulsion, f.name)[pairs] for f in dataclasses.fields(model.repulsion)},
        )
        rows = ("input_weights", "input_biases", "output_weights", "output_biases")
        return NepPotential(
            dataclasses.replace(
                model,
                species=tuple(model.species[number] for number in keep),
                pair_cutoffs=model.pair_cutoffs[pairs],
                radial=model.radial[:, :, keep][..., keep],
                angular=model.angular[:, :, keep][..., keep],
                repulsion=repulsion,
                **{name: getattr(model, name)[keep] for name in rows},
            )
        )

    def parameters(self, block: SiteBlock, core: int | None = None) -> NepParameters:
        """Parameters for the sites of a block; edges within the angular cutoff are among the first ``core`` slots."""
        model, kind = self.model, int(np.asarray(block.kinds)[0])
        inverse_cutoffs = 1.0 / model.pair_cutoffs[kind].T
        if (model.pair_cutoffs == model.pair_cutoffs[0, 0]).all():
            inverse_cutoffs = inverse_cutoffs[:, :1]
        return NepParameters(
            weights=jnp.asarray(_weights(block, len(model.species))),
            inverse_cutoffs=jnp.asarray(inverse_cutoffs),
            radial=jnp.asarray(_chebyshev_coefficients(model.radial[:, :, kind])),
            angular=jnp.asarray(_chebyshev_coefficients(model.angular[:, :, kind])),
            input_weights=jnp.asarray((model.input_weights[kind] * model.scale).T),
            input_biases=jnp.asarray(model.input_biases[kind]),
            output_weights=jnp.asarray(model.output_weights[kind]),
            output_bias=jnp.asarray(model.output_biases[kind]),
            repulsion=self._repulsion_parameters(kind),
            highest_l=model.highest_l,
            four_body=model.four_body,
            five_body=model.five_body,
            core=block.neighbours.shape[0] if core is None else core,
        )

    def _repulsion_parameters(self, kind: int) -> RepulsionParameters | None:
        table = self.model.repulsion
        if table is None:
            return None
        charges = np.array([float(atomic_numbers[symbol]) for symbol in self.species])
        inverse_length = (charges[kind] ** 0.23 + charges**0.23) / SCREENING_LENGTH
        return RepulsionParameters(
            strength=jnp.asarray(COULOMB * charges[kind] * charges),
            inner=jnp.asarray(table.inner[kind]),
            inverse_width=jnp.asarray(1.0 / (table.outer - table.inner)[kind]),
            amplitudes=jnp.asarray(table.screening[kind, :, 0::2].T),
            decays=jnp.asarray(table.screening[kind, :, 1::2].T * inverse_length),
        )


def read_nep(path: Path, needed: Collection[str] | None = None) -> NepPotential:
    """The potential of a ``nep.txt``, for the species that are ``needed`` or for all.

    Raises
    ------
    InputError
        See ``read_nep_file``; and where it does not know a needed species.
    """
    potential = NepPotential(read_nep_file(path))
    if needed is None:
        return potential
    absent = sorted(set(needed) - set(potential.species))
    if absent:
        fix = f"the potential knows only {', '.join(potential.species)}"
        raise InputError("material.structure", ", ".join(absent), fix)
    return potential.among(tuple(needed))


def _chebyshev_coefficients(expansion: np.ndarray) -> np.ndarray:
    """(S, N, K) coefficients of T_k f_c from those (N, K, S) of f_k = f_c (T_k + 1)/2, f_0 = f_c."""
    plain = 0.5 * expansion
    plain[:, 0] += 0.5 * np.sum(expansion, axis=1)
    return plain.transpose(2, 0, 1)


def _weights(block: SiteBlock, species: int) -> np.ndarray:
    """See ``NepParameters.weights``; sites that fill up the last chunk have no edges."""
    kinds, present = np.asarray(block.neighbour_kinds).T, np.asarray(block.present).T
    count, slots = kinds.shape
    chunks = math.ceil(count / SITES_AT_ONCE)
    size = math.ceil(count / chunks)
    weights = np.zeros((chunks * size, species, slots))
    weights[:count] = (kinds[:, None, :] == np.arange(species)[:, None]) & present[:, None, :]
    return weights.reshape(chunks, size, species, slots).transpose(0, 2, 1, 3).copy()


def _bytes(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return repr(value.shape).encode() + np.ascontiguousarray(value).tobytes()
    if dataclasses.is_dataclass(value):
        return b"".join(_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return repr(value).encode()
