"""Order per key from sender to handler on both managers: consumers killed again and again, wires that break."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.ordering.run import run_seed
from tests.simulation.ordering.world import HITS

SEEDS = 24


@pytest.mark.limit(600)
def test_order_per_key_outlives_consumers_and_wires() -> None:
    hits: Counter[str] = Counter()
    for seed in range(SEEDS):
        hits += run_seed(seed)
    assert [name for name in HITS if not hits[name]] == [], "something that was never hit"


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_many_seeds() -> None:
    for seed in range(SEEDS, 20_000):
        run_seed(seed)
