"""A log that spills into the outbox, under faults: order over both ways, nothing lost, memory takes over again."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.seed_checks import check_command, check_same_trace
from tests.simulation.spill.run import PACKAGE, run_seed
from tests.simulation.spill.world import REQUIRED

SOAKED = int(os.environ.get("LITZ_SEEDS", "100000")) // 10


@pytest.mark.limit(600)
def test_in_order_whichever_way_and_nothing_lost() -> None:
    hits: Counter[str] = Counter()
    for seed in range(30):
        hits.update(run_seed(seed).hits)
    assert [name for name in REQUIRED if not hits[name]] == [], "never hit"


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_soak() -> None:
    for seed in range(1_000_000, 1_000_000 + SOAKED):
        run_seed(seed)


def test_same_seed_same_trace_in_any_process() -> None:
    check_same_trace(PACKAGE, run_seed, 4)


def test_the_command_replays_a_seed() -> None:
    check_command(PACKAGE, "HEAL")
