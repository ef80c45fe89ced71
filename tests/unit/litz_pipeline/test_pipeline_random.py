"""Random schedules of failures, aborts, half-closes, drains, losses and cancellations, judged from outside."""

from __future__ import annotations

from functools import partial

import pytest

from litz.testing import run_simulation
from tests.unit.litz_pipeline.random_talks import FATES, HITS, talk

SEEDS = 200
MUST_BE_HIT = (
    *FATES,
    *("complete", "drained", "aborted", "aborted by the peer", "lost", "cancelled", "handler failed", "escalated"),
    *("grace over", "refused outbound", "was parked", "skip", "outbound failed", "order broken", "cannot be made"),
)


def hold(seeds: range) -> None:
    """These seeds, and everything must be hit."""
    HITS.clear()
    for seed in seeds:
        run_simulation(partial(talk, seed=seed), seed=seed, max_time=100_000)
    missing = [hit for hit in MUST_BE_HIT if not HITS[hit]]
    assert not missing, f"never hit: {missing} in {dict(HITS)}"


def test_random_talks() -> None:
    hold(range(SEEDS))


@pytest.mark.prove
@pytest.mark.limit(1200)
def test_many_random_talks() -> None:
    hold(range(SEEDS, 1_000))
