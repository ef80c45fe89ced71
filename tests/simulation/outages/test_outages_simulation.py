"""Peers out of reach for minutes to days: cold, given up, warm again, and never more dials than there may be."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.outages.run import run_seed
from tests.simulation.outages.world import HITS

SEEDS = 24


@pytest.mark.limit(600)
def test_outages_of_minutes_to_days() -> None:
    hits: Counter[str] = Counter()
    for seed in range(SEEDS):
        hits += run_seed(seed)
    assert [name for name in HITS if not hits[name]] == [], "a fault or change that was never hit"


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_many_seeds() -> None:
    for seed in range(SEEDS, 20_000):
        run_seed(seed)
