"""An inbox whose senders put and drop, under consumers that come and leave in every way: nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.inbox.run import run_seed
from tests.simulation.inbox.world import HITS

SEEDS = 150


@pytest.mark.limit(600)
def test_an_inbox_loses_doubles_and_reorders_nothing() -> None:
    hits: Counter[str] = Counter()
    for seed in range(SEEDS):
        hits += run_seed(seed)
    assert [name for name in HITS if not hits[name]] == [], "something that was never hit"


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_many_seeds() -> None:
    for seed in range(SEEDS, 100_000):
        run_seed(seed)
