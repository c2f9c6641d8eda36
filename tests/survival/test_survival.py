"""A sample of the campaign, of some seven comparisons: ``python -m tests.survival`` is the whole."""

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
    with campaign(tmp_path_factory.mktemp("survival"), seed=1, say=logger.info, minutes=60.0) as running:
        running.cache, running.compile_first = cache_folder(), False
        yield running


@pytest.mark.slow
def test_killed_comparisons_come_to_the_same_numbers(running: Campaign) -> None:
    running.kill("dynamics", 3)
    assert running.findings == []
    assert sum(count for name, count in running.counts.items() if name.startswith("SIG")) == 3


@pytest.mark.slow
def test_damaged_files_change_no_number(running: Campaign) -> None:
    running.damage("dynamics", 2)
    assert running.findings == []
    assert running.counts["damaged files"] == 2
