"""Files with mistakes: bytes flipped, words exchanged for hostile ones, parts cut out, doubled or moved."""

from __future__ import annotations

import re

import numpy as np

HOSTILE = (
    b"nan inf -inf 1e999 -1 0 1e-300 1e300 1e15 9999999999999999999999 **** 1_0 0x10 1.0D+00 1d400 + - . e e5 -0.0 "
    b"Si Xx NaN # \\ \xff \xef\xbb\xbf \x00 \xc2\xa0 \xd9\xa3 \r \x0c zbl cutoff nep3 nep5_zbl 0.5.5 1,5 ;"
).split(b" ")


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """Some bytes after one to four mistakes, each of a kind drawn at random."""
    for _ in range(int(generator.integers(1, 5))):
        data = _KINDS[int(generator.integers(len(_KINDS)))](data, generator)
    return data


def _place(data: bytes, generator: np.random.Generator) -> int:
    return int(generator.integers(len(data) + 1))


def _flip(data: bytes, generator: np.random.Generator) -> bytes:
    if not data:
        return b"\n"
    place = int(generator.integers(len(data)))
    return data[:place] + bytes([data[place] ^ (1 << int(generator.integers(8)))]) + data[place + 1 :]


def _cut(data: bytes, generator: np.random.Generator) -> bytes:
    first, second = sorted((_place(data, generator), _place(data, generator)))
    return data[:first] + data[second:]


def _end(data: bytes, generator: np.random.Generator) -> bytes:
    return data[: _place(data, generator)]


def _double(data: bytes, generator: np.random.Generator) -> bytes:
    first, second = sorted((_place(data, generator), _place(data, generator)))
    return data[:second] + data[first:]


def _insert(data: bytes, generator: np.random.Generator) -> bytes:
    place, word = _place(data, generator), HOSTILE[int(generator.integers(len(HOSTILE)))]
    return data[:place] + word + data[place:]


def _exchange(data: bytes, generator: np.random.Generator) -> bytes:
    words = list(re.finditer(rb"\S+", data))
    if not words:
        return data
    match, word = words[int(generator.integers(len(words)))], HOSTILE[int(generator.integers(len(HOSTILE)))]
    return data[: match.start()] + word + data[match.end() :]


def _swap_lines(data: bytes, generator: np.random.Generator) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        first, second = generator.integers(len(lines), size=2)
        lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


_KINDS = (_flip, _cut, _end, _double, _insert, _exchange, _exchange, _exchange, _swap_lines)
