"""What may happen to a file: bits flip, ends are cut off, numbers become absurd, lines come twice or not at all."""

from __future__ import annotations

import bz2
import gzip
import re
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]

WORDS = (
    b"nan inf -inf 1e300 -1e300 1e-300 1e400 1e12 0 -0.0 -1 1 2 3 1.5 1000000000000 99999999999999999999 4294967296 "
    b"2147483647 0.0D+00 1.0d300 0.1-100 **** 1_000 0x10 true None '' \" , ; : / & ! # % [ ] { } ( ) = * 3*3 2* "
    b"1000000000*1 \xff\xfe \xe4\xf6\xfc \xc2\xb2 \x00 \x1b[31m !!python/object/apply:os.getpid *a &a "
    b"../../etc/passwd e E Si X Uut H0 Lattice= Properties=species:S:1000000000 :R:3 pbc"
).split()
_NUMBER = re.compile(rb"(?<![\w.])[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")


def _place(data: bytes, rng: np.random.Generator) -> int:
    """A place in the file, at its beginning half of the time: headers are what readers trust."""
    most = len(data) if rng.random() < 0.5 else min(len(data), 400)
    return int(rng.integers(0, max(1, most)))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 5)) if data else 0):
        found[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(found)


def _set_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    place, length = _place(data, rng), int(rng.choice([1, 2, 4, 8]))
    value = rng.choice([0, 0xFF, 0x7F, 0x80])
    return data[:place] + bytes([int(value)]) * length + data[place + length :]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng)
    return data[:place] + data[place + int(rng.integers(1, 200)) :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    place, length = _place(data, rng), int(rng.integers(1, 300))
    copies = int(rng.choice([2, 3, 50]))
    return data[:place] + data[place : place + length] * copies + data[place + length :]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return _word(data, rng)
    few = found if rng.random() < 0.5 else found[:30]
    match = few[int(rng.integers(len(few)))]
    return data[: match.start()] + WORDS[int(rng.integers(len(WORDS)))] + data[match.end() :]


def _word(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng)
    return data[:place] + WORDS[int(rng.integers(len(WORDS)))] + data[place:]


def _lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    first, second = (int(rng.integers(min(len(lines), 40 if rng.random() < 0.5 else len(lines)))) for _ in range(2))
    match int(rng.integers(5)):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case 3:
            lines[first] = lines[first] + b" " + lines[second]
        case _:
            lines.insert(first, b"")
    return b"\n".join(lines)


def _long_line(data: bytes, rng: np.random.Generator) -> bytes:
    place = _place(data, rng)
    filler = [b" ", b"9", b"a", b"(", b"[", b"1 ", b"\n", b"\x00", b"- ", b"a:"][int(rng.integers(10))]
    return data[:place] + filler * int(rng.choice([100, 5000, 100_000])) + data[place:]


def _encoded(data: bytes, rng: np.random.Generator) -> bytes:
    match int(rng.integers(7)):
        case 0:
            return b"\xef\xbb\xbf" + data
        case 1:
            return data.replace(b"\n", b"\r\n")
        case 2:
            return data.replace(b"\n", b"\r")
        case 3:
            return data.decode("latin-1").encode("utf-16")
        case 4:
            return gzip.compress(data, 1, mtime=0)
        case 5:
            return bz2.compress(data, 1)
        case _:
            return data.upper()


def _spliced(data: bytes, rng: np.random.Generator) -> bytes:
    """A part of the file in another place of it."""
    place, source, length = _place(data, rng), _place(data, rng), int(rng.integers(1, 500))
    return data[:place] + data[source : source + length] + data[place + length :]


def _nothing(data: bytes, rng: np.random.Generator) -> bytes:
    return [b"", b"\n", b"0\n", b" ", b"\x00" * 1000, b"#\n", b"1\n"][int(rng.integers(7))]


ALL: tuple[tuple[Mutation, float], ...] = (
    (_number, 8.0),
    (_word, 3.0),
    (_lines, 4.0),
    (_flip, 4.0),
    (_set_bytes, 3.0),
    (_cut, 1.5),
    (_drop, 1.5),
    (_repeat, 1.5),
    (_spliced, 1.5),
    (_long_line, 0.5),
    (_encoded, 0.7),
    (_nothing, 0.05),
)
"""Every mutation with how often it is drawn."""
_CHANCES = np.array([chance for _, chance in ALL]) / sum(chance for _, chance in ALL)


def plan(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Some mutations, mostly one or two: which, and a seed of its own for each, so that others can be left out."""
    count = int(rng.choice([1, 2, 3, 6], p=[0.55, 0.25, 0.12, 0.08]))
    kinds = rng.choice(len(ALL), size=count, p=_CHANCES)
    return [(int(kind), int(rng.integers(2**32))) for kind in kinds]


def mutated(data: bytes, steps: list[tuple[int, int]]) -> bytes:
    """A file after these mutations, one after the other."""
    for kind, seed in steps:
        data = ALL[kind][0](data, np.random.default_rng(seed))
    return data
