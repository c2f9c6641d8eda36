"""A sample of the campaign, of some ten comparisons: ``python -m tests.survival`` is the whole."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ldmd.caches import cache_folder

from .campaign import Campaign, campaign

logger = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """A campaign on the compiled code that all tests share."""
    with campaign(tmp_path_factory.mktemp("survival"), seed=1, say=logger.info, minutes=8.0) as running:
        running.cache = cache_folder()
        yield running


@pytest.mark.slow
def test_killed_comparisons_come_to_the_same_numbers(running: Campaign) -> None:
    running.kill("dynamics", 4)
    assert running.findings == []
    assert sum(count for name, count in running.counts.items() if name.startswith("SIG")) == 4


@pytest.mark.slow
def test_damaged_files_change_no_number(running: Campaign) -> None:
    running.damage("dynamics", 3)
    assert running.findings == []
    assert running.counts["damaged files"] == 3


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_was_there(running: Campaign) -> None:
    running.starve("dynamics", 1)
    assert running.findings == []
