"""A node that travels and sleeps, with the limits that users have."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.seed_checks import check_command, check_same_trace
from tests.simulation.travels.run import PACKAGE, REQUIRED, run_seed

SEEDS = int(os.environ.get("LITZ_SEEDS", "920")) // 92
SOAKED = int(os.environ.get("LITZ_SEEDS", "100000")) // 100


@pytest.mark.limit(600)
def test_every_journey_keeps_its_invariants() -> None:
    hits: Counter[str] = Counter()
    for seed in range(SEEDS):
        hits.update(run_seed(seed).hits)
    assert [name for name in REQUIRED if not hits[name]] == []


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak() -> None:
    for seed in range(1_000_000, 1_000_000 + SOAKED):
        run_seed(seed)


@pytest.mark.limit(600)
def test_same_seed_same_trace_in_any_process() -> None:
    check_same_trace(PACKAGE, run_seed, 6)


@pytest.mark.limit(600)
def test_the_command_replays_a_seed() -> None:
    check_command(PACKAGE, "moves")
