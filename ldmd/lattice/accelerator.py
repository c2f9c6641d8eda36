"""The triplet sum on an accelerator: the same blocks, panels and formulas as on the processor, run through JAX.

The processor contracts Phi3 with a block of modes m, a sparse product that is a small part of the work; everything
else stays on the device: products with panels of modes n, matrix elements, kernels, and the sums, which come back
once per block. Shapes do not depend on the block, so that one compilation serves all: the last block is padded, and
the window of modes l is as wide as the widest.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ldmd.numerics  # noqa: F401  (switches float64 on)
from ldmd.lattice.channels import no_channels
from ldmd.lattice.matrix_elements import PARTNERS_PER_PANEL, MatrixElements
from ldmd.lattice.triplets import MODES_PER_BLOCK, Sums
from ldmd.lattice.visit import Table, multiplicity, share_out, share_out_squares

PANEL = 4 * PARTNERS_PER_PANEL
"""Modes n per product: larger than on the processor, as a device has many more units to keep busy."""
ROUND = 64
"""Windows are rounded up to a multiple of this."""
FAR = 1e30
"""rad/ps: frequency of a mode that pads a panel; no kernel reaches it."""


class Accelerator:
    """Sums of blocks of triplets, computed by JAX's default device."""

    def __init__(self, elements: MatrixElements, table: Table) -> None:
        self._elements, self._table = elements, table
        self._modes = len(table.frequencies)
        self._width = min(self._padded_modes, -(-self._widest_window() // ROUND) * ROUND)
        displacements = np.concatenate(elements.panels, axis=1)
        self._constants = {
            "displacements": self._pad(displacements),
            "ordered": self._pad(elements.ordered),
            "frequencies": self._pad(table.frequencies, FAR),
            "occupations": self._pad(table.occupations.T).T,
            "vacuum": jnp.asarray(table.vacuum),
            "columns": tuple(jnp.asarray(batch.columns) for batch in elements.batches),
        }
        self._lock = threading.Lock()

    def visit(self, modes: range) -> Sums:
        """Sums of all triplets whose lowest mode is among ``modes``."""
        sums = {"gamma": np.zeros_like(self._table.occupations), **no_channels(self._modes)}
        partners = self._table.partners(modes.start) if modes else range(0)
        if not partners:
            return sums
        blocks = [_pad_last(block) for block in self._elements.contracted(modes)]
        with self._lock:  # one block at a time on the device; the next is contracted meanwhile
            state = {name: self._pad_modes(array) for name, array in sums.items()}
            device_blocks = tuple(jnp.asarray(block) for block in blocks)
            for start in range(partners.start // PANEL * PANEL, partners.stop, PANEL):
                n = slice(start, min(start + PANEL, self._modes))
                low = min(self._table.window(slice(modes.start, modes.stop), n).start, self._padded_modes - self._width)
                where = jnp.array([modes.start, modes.stop, start, low])
                kernel = self._table.broadening
                state = _panel(kernel, self._width, self._constants, device_blocks, where, state)
            return {name: self._cut_modes(np.asarray(array)) for name, array in state.items()}

    @property
    def _padded_modes(self) -> int:
        """Modes rounded up to whole panels, with room for a whole block after the last."""
        return (-(-self._modes // PANEL) + 1) * PANEL

    def _widest_window(self) -> int:
        """Number of modes l that the widest of all windows holds."""
        table, widest = self._table, 1
        for m in range(0, table.lowest, MODES_PER_BLOCK):
            for start in range(0, self._modes, PANEL):
                window = table.window(slice(m, m + MODES_PER_BLOCK), slice(start, min(start + PANEL, self._modes)))
                widest = max(widest, window.stop - window.start)
        return widest

    def _pad(self, array: np.ndarray, value: float = 0.0) -> jax.Array:
        """Pad the last axis to whole panels of modes."""
        missing = [(0, 0)] * (array.ndim - 1) + [(0, self._padded_modes - self._modes)]
        return jnp.asarray(np.pad(array, missing, constant_values=value))

    def _pad_modes(self, array: np.ndarray) -> jax.Array:
        """Pad the axis of the modes, whichever it is."""
        return self._pad(array) if array.shape[-1] == self._modes else self._pad(array.T).T

    def _cut_modes(self, array: np.ndarray) -> np.ndarray:
        return array[..., : self._modes] if array.shape[-1] == self._padded_modes else array[: self._modes]


def _pad_last(block: np.ndarray) -> np.ndarray:
    """Blocks (A, 3, K, m) for a whole number of modes m."""
    return np.pad(block, [(0, 0)] * 3 + [(0, -block.shape[3] % MODES_PER_BLOCK)])


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=5)
def _panel(
    kernel: Any, width: int, constants: dict[str, Any], blocks: tuple[jax.Array, ...], where: jax.Array, state: Any
) -> Any:
    """Add all triplets of a block of modes m with a panel of modes n and a window of modes l."""
    first, stop, start, low = where
    m, n = first + jnp.arange(blocks[0].shape[3]), start + jnp.arange(PANEL)
    frequencies, occupations = constants["frequencies"], constants["occupations"]
    window = low + jnp.arange(width)
    source = jax.lax.dynamic_slice_in_dim(constants["displacements"], start, PANEL, axis=1)
    half = [_product(block, source[columns]) for block, columns in zip(blocks, constants["columns"], strict=True)]
    left = jnp.concatenate(half).reshape(-1, len(m) * len(n))
    right = jax.lax.dynamic_slice_in_dim(constants["ordered"], low, width, axis=1)
    phi = (left.T @ right).reshape(len(m), len(n), width)
    counts = multiplicity(m, n) * (m < stop)[:, None]
    squared = phi.astype(float) ** 2 * counts[:, :, None]
    detuning = (frequencies[m][:, None] + frequencies[n])[:, :, None] - frequencies[window]
    values = kernel(detuning)
    weight, slope = squared * values, squared * kernel.slope(detuning, values)
    places, same = (m, n, window), m[:, None] == n
    given = share_out(weight, occupations[m], occupations[n], occupations[window], constants["vacuum"])
    of_m, of_n, of_l = (occupations[place, -1] for place in places)
    slopes = share_out(slope, of_m[:, None], of_n[:, None], of_l[:, None], jnp.zeros(1))
    squares = share_out_squares(weight, of_m, of_n, of_l, same)
    largest = _two_largest(weight, of_m, of_n, of_l, same)
    for i, place in enumerate(places):
        state["gamma"] = state["gamma"].at[place].add(given[i])
        state["slope"] = state["slope"].at[place].add(slopes[i][:, 0])
        state["squares"] = state["squares"].at[place].add(squares[i])
        both = jnp.concatenate([state["strongest"][:, place], largest[i]])
        state["strongest"] = state["strongest"].at[:, place].set(jax.lax.top_k(both.T, 2)[0].T)
    return state


def _product(block: jax.Array, touched: jax.Array) -> jax.Array:
    """(A, 3, K, m) times (A, K, n): rows (3A, m, n)."""
    product = jnp.einsum("arkm,akn->armn", block, touched)
    return product.reshape(-1, *product.shape[2:])


def _two_largest(weight: Any, of_m: Any, of_n: Any, of_l: Any, same: Any) -> tuple[Any, Any, Any]:
    """The two largest contributions to each mode m, n and l: (2, m), (2, n) and (2, l)."""
    once, twice, of_m = ~same * 1.0, 1.0 + same, of_m[:, None]
    to_m = (weight * (once[:, :, None] * (of_n[:, None] - of_l))).reshape(len(weight), -1)
    to_n = (weight * (twice[:, :, None] * (of_m - of_l)[:, None])).swapaxes(0, 1).reshape(weight.shape[1], -1)
    to_l = (weight * (of_m + of_n)[:, :, None]).reshape(-1, weight.shape[2]).T
    return tuple(jax.lax.top_k(values, 2)[0].T for values in (to_m, to_n, to_l))  # type: ignore[return-value]
