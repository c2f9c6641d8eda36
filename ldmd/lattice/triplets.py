"""One pass over all scattering triplets: blocks of lowest modes side by side, added in order, resumable.

A triplet is visited once, at its lowest mode m. The pass is cut into blocks of consecutive m; each gives partial sums,
a dictionary of arrays, and these are added in the order of the blocks: the result depends neither on the number of
threads nor on whether the pass was interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from ldmd.checkpoint import Checkpoint

Sums = dict[str, np.ndarray]

MODES_PER_BLOCK = 16
"""Lowest modes m per block: contracted together, and few enough to keep all threads busy to the end."""
MEMORY = 2e9
"""Bytes that all blocks being worked on may take, where the caller does not say."""


def add_up(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, array by array."""
    return {name: first[name] + second[name] for name in first}


def blocks(count: int, bytes_per_mode: int, memory: float) -> list[range]:
    """The modes below ``count`` in blocks of which one at least fits into ``memory`` (bytes)."""
    size = int(np.clip(memory // max(bytes_per_mode, 1), 1, MODES_PER_BLOCK))
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def sum_over_blocks(
    work: Callable[[range], Sums],
    tasks: Sequence[range],
    costs: Sequence[int],
    *,
    merge: Callable[[Sums, Sums], Sums] = add_up,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Sums:
    """Merge the sums of all blocks, in their order; ``progress`` is called with the cost done and in all.

    A checkpoint is saved between blocks whenever it is due, and when an interrupt stops the pass; the next pass with
    the same key and blocks goes on from there.

    ``work`` may be called by several threads at once; while it runs, the linear algebra it calls uses one thread.
    """
    layout = np.array([[task.start, task.stop] for task in tasks])
    total, done = _resumed(checkpoint, layout)
    spent, everything = sum(costs[:done]), sum(costs)
    with threadpool_limits(limits=1), ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        try:
            for partial, cost in zip(_in_order(pool, work, tasks[done:]), costs[done:], strict=True):
                total = partial if total is None else merge(total, partial)
                done, spent = done + 1, spent + cost
                if checkpoint is not None and checkpoint.due:
                    checkpoint.save({**total, "_layout": layout, "_done": np.array(done)})
                if progress is not None:
                    progress(spent, everything)
        except KeyboardInterrupt:
            if checkpoint is not None and total is not None:
                checkpoint.save({**total, "_layout": layout, "_done": np.array(done)})
            raise
    return total if total is not None else work(range(0))


def _in_order(pool: ThreadPoolExecutor, work: Callable[[range], Sums], tasks: Sequence[range]) -> Iterator[Sums]:
    """Results in the order of the tasks; those not begun are dropped when the caller stops asking."""
    futures = [pool.submit(work, task) for task in tasks]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _resumed(checkpoint: Checkpoint | None, layout: np.ndarray) -> tuple[Sums | None, int]:
    """Sums and number of blocks done of an earlier pass over the same blocks."""
    arrays = None if checkpoint is None else checkpoint.load()
    if arrays is None or not np.array_equal(arrays.pop("_layout"), layout):
        return None, 0
    return arrays, int(arrays.pop("_done"))
