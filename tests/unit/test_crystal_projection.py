"""The least change that restores a crystal's sum rules: against the projection of the whole supercell."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parents[1]))

from spring_crystal import primitive_cell, springs

from ldmd.force_constants.crystal_projection import restored
from ldmd.force_constants.exchange.constants import Elements, ForceConstants, of_supercell
from ldmd.force_constants.exchange.supercell import glass, repeated
from ldmd.force_constants.projection import project_second, project_third
from ldmd.force_constants.sum_rules import second_order_residuals, third_order_residuals

CUTOFF = 3.0
ERROR = 1e-3


@pytest.fixture(scope="module")
def sound() -> ForceConstants:
    supercell = repeated(primitive_cell(), (3, 1, 2), "sites")
    return of_supercell(supercell, *springs(supercell.atoms, CUTOFF))


@pytest.fixture(scope="module")
def wrong(sound: ForceConstants) -> ForceConstants:
    """The same with independent errors, some of whose elements are missing."""
    generator = np.random.default_rng(5)
    assert sound.second is not None and sound.third is not None
    second, third = sound.second.tocoo(), sound.third
    two = second.data + ERROR * generator.normal(size=second.nnz)
    kept = generator.random(third.values.size) > 0.01
    three = Elements(third.indices[:, kept], third.values[kept] + ERROR * generator.normal(size=int(kept.sum())))
    return ForceConstants(sound.supercell, sp.csr_array((two, second.coords), shape=second.shape), three)


def test_sound_force_constants_stay_what_they_are(sound: ForceConstants) -> None:
    found, facts = restored(sound)
    assert [each.order for each in facts] == [2, 3]
    assert all(max(each.translation, each.permutation, each.change) < 1e-13 for each in facts)
    assert found.second is not None and sound.second is not None
    np.testing.assert_allclose(found.second.toarray(), sound.second.toarray(), atol=1e-12)


def test_all_sums_and_permutations_are_restored(wrong: ForceConstants) -> None:
    found, facts = restored(wrong)
    assert all(each.translation > 1e-5 and each.permutation > 1e-5 for each in facts)
    whole = found.in_order_of(glass(found.supercell.atoms))
    assert max(second_order_residuals(whole.second_order()).values()) < 1e-13
    assert max(third_order_residuals(whole.third_order()).values()) < 1e-13


def test_the_change_is_that_of_the_whole_supercell(wrong: ForceConstants) -> None:
    """Where every copy has the same errors, the nearest point of the whole cell is the same in all copies."""
    found, facts = restored(wrong)
    whole = wrong.in_order_of(glass(wrong.supercell.atoms))
    second, change = project_second(whole.second_order())
    mine = found.in_order_of(glass(found.supercell.atoms))
    assert mine.second is not None
    np.testing.assert_allclose(mine.second.toarray(), second.matrix.toarray(), atol=1e-11)
    assert facts[0].change == pytest.approx(change.relative, rel=1e-6)
    third, change = project_third(whole.third_order())
    theirs = of_supercell(glass(found.supercell.atoms), None, third)
    assert mine.third is not None and theirs.third is not None
    size = 3 * len(found.supercell.atoms)
    dense = [
        sp.coo_array((each.values, (each.indices[0] * size + each.indices[1], each.indices[2]))).toarray()
        for each in (mine.third, theirs.third)
    ]
    np.testing.assert_allclose(dense[0], dense[1], atol=1e-10)
    assert facts[1].change == pytest.approx(change.relative, rel=1e-6)


def test_an_error_on_site_spreads_over_the_row(sound: ForceConstants) -> None:
    """1e-4 eV/Angstrom^2 on one site: a rigid translation costs nothing afterwards, and the change is reported."""
    assert sound.second is not None
    error = sp.lil_array(sound.second.shape)
    home = int(sound.supercell.home[1])
    for axis in range(3):
        error[3 + axis, 3 * home + axis] = 1e-4
    found, facts = restored(dataclasses.replace(sound, second=sp.csr_array(sound.second + error)))
    assert found.second is not None
    sums = found.second.toarray().reshape(9, -1, 3).sum(axis=1)
    assert np.abs(sums).max() < 1e-13
    assert facts[0].translation == pytest.approx(1e-4 / np.abs(sound.second.data).max(), rel=1e-3)
