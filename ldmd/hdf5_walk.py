"""A look through an HDF5 file of a stranger, run as a program of its own: ``python hdf5_walk.py FILE BYTES``.

It follows no link, asks every dataset where its data are and how large it is, and only then reads all of it, with a
bound on memory and on the processor's time. Exit code 0: sound; 1: not, for the reason that is written. A library that
crashes or never comes back takes this process with it, and nothing else. Nothing of ``ldmd`` is imported, so that
it starts quickly.
"""

from __future__ import annotations

import contextlib
import sys

import h5py

SECONDS = 4.0
"""Of the processor, beyond what reading the data takes."""
BYTES_PER_SECOND = 2e7
"""That even a slow machine unpacks."""
MEMORY = 4e9
"""Bytes beyond the data."""
OBJECTS = 10_000
"""Groups and datasets, at most."""


class NotSoundError(Exception):
    """Why a file is not to be read."""


def walk(file: h5py.File, most_bytes: float) -> list[h5py.Dataset]:
    """All datasets of a file that holds its data itself, and no more of it than ``most_bytes``."""
    groups, seen, found, size = [file["/"]], set(), [], 0.0
    while groups:
        group = groups.pop()
        for name in group:
            kind = group.get(name, getlink=True)
            if not isinstance(kind, h5py.HardLink):
                raise NotSoundError(f"holds the link {name!r} to elsewhere; copy the data into the file itself")
            thing = group[name]
            address = h5py.h5o.get_info(thing.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > OBJECTS:
                raise NotSoundError(f"holds more than {OBJECTS} groups and datasets")
            if isinstance(thing, h5py.Group):
                groups.append(thing)
            if not isinstance(thing, h5py.Dataset):
                continue
            if thing.external or thing.is_virtual:
                raise NotSoundError(f"has the data of {name!r} in other files; copy them into the file itself")
            size += float(thing.size or 0) * max(1, thing.dtype.itemsize)
            if size > most_bytes:
                raise NotSoundError(
                    f"holds {1e-9 * size:.3g} GB, more than the {1e-9 * most_bytes:.3g} GB that are read"
                )
            found.append(thing)
    return found


def read(datasets: list[h5py.Dataset]) -> None:
    """Everything, once; a chunk at a time where the data are in chunks."""
    for dataset in datasets:
        if dataset.chunks is None:
            _ = dataset[()]
            continue
        for chunk in dataset.iter_chunks():
            _ = dataset[chunk]


def bound(seconds: float, memory: float) -> None:
    """Limit what this process may take, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(kind, (int(most), resource.getrlimit(kind)[1]))


def main(path: str, most_bytes: float) -> int:
    """Exit code; the reason goes to standard output."""
    bound(SECONDS, MEMORY)
    try:
        with h5py.File(path, "r") as file:
            datasets = walk(file, most_bytes)
            size = sum(float(each.size or 0) * each.dtype.itemsize for each in datasets)
            bound(SECONDS + size / BYTES_PER_SECOND, MEMORY + 2.0 * size)
            read(datasets)
    except NotSoundError as error:
        reason = str(error)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError, UnicodeError) as error:
        lines = str(error).splitlines()
        reason = f"is damaged ({lines[0][:200] if lines else type(error).__name__})"
    else:
        return 0
    sys.stdout.write(reason + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
