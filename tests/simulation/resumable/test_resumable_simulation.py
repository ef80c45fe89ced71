"""Random lives of a pair of `ResumablePipe`s: all is delivered, once and in order, whatever the network does."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.resumable.run import run_seed
from tests.simulation.resumable.world import HITS

SEEDS = 24


def test_random_lives() -> None:
    for seed in range(SEEDS):
        run_seed(seed)


@pytest.mark.prove
@pytest.mark.limit(1200)
def test_many_lives_reach_everything() -> None:
    hits: Counter[str] = Counter()
    for seed in range(SEEDS, 300):
        hits += run_seed(seed)
    assert [name for name in HITS if not hits[name]] == [], "a fault or change that was never hit"


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_very_many_lives() -> None:
    for seed in range(1_000, 21_000):
        run_seed(seed)
