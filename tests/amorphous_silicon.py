"""The 216-atom Tersoff a-Si whose force constants ship inside the kaldo wheel; read from there, never copied."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import constants

from ldmd.force_constants.second import SecondOrder
from ldmd.force_constants.third import SparseThirdOrder

TEN_JOULE_PER_MOLE = 10.0 / (constants.N_A * constants.e)
MASS = 28.085


@dataclass(frozen=True)
class AmorphousSilicon:
    positions: np.ndarray
    cell: np.ndarray
    masses: np.ndarray
    second: SecondOrder
    third: SparseThirdOrder


def folder() -> Path:
    spec = importlib.util.find_spec("kaldo")
    if spec is None or spec.origin is None:
        pytest.skip("kaldo is not installed: its wheel carries the a-Si 216 force constants")
    path = Path(spec.origin).parent / "tests" / "si-amorphous"
    if not (path / "THIRD").is_file():
        pytest.skip("this kaldo wheel does not carry tests/si-amorphous")
    return path


@functools.cache
def amorphous_silicon() -> AmorphousSilicon:
    path = folder()
    words = (path / "CONFIG").read_text().split("\n")
    cell = np.array([[float(x) for x in line.split()] for line in words[2:5]])
    positions = np.array([[float(x) for x in line.split()] for line in words[6::2] if line.strip()])
    dynamical = np.array((path / "Dyn.form").read_text().split(), dtype=float).reshape(648, 648)
    second = SecondOrder(sp.csr_array(0.5 * (dynamical + dynamical.T) * MASS * TEN_JOULE_PER_MOLE))
    lines = np.array((path / "THIRD").read_text().split(), dtype=float).reshape(-1, 8)
    i, a, j, b, k = (lines[:, c].astype(int) - 1 for c in range(5))
    first, middle = np.repeat(3 * i + a, 3), np.repeat(3 * j + b, 3)
    last = (3 * k[:, None] + np.arange(3)).ravel()
    values = lines[:, 5:].ravel() * TEN_JOULE_PER_MOLE
    keep = values != 0.0
    third = SparseThirdOrder(648, np.stack([first, middle, last])[:, keep], values[keep])
    return AmorphousSilicon(positions, cell, np.full(216, MASS), second, third)
