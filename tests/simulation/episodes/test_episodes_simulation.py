"""Episodes between nodes: wires break, both ends restart, readers are slow, and each part comes once."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.episodes.run import PACKAGE, REQUIRED, run_seed
from tests.simulation.seed_checks import check_command, check_same_trace

SEEDS = 16
SOAKED = int(os.environ.get("LITZ_SEEDS", "100000")) // 10


@pytest.mark.limit(600)
def test_every_subscriber_gets_each_part_once_and_a_true_end() -> None:
    hits: Counter[str] = Counter()
    for seed in range(SEEDS):
        hits.update(run_seed(seed).hits)
    assert [name for name in REQUIRED if not hits[name]] == []


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak_of_episodes() -> None:
    for seed in range(1_000_000, 1_000_000 + SOAKED):
        run_seed(seed)


@pytest.mark.prove
@pytest.mark.limit(600)
def test_same_episodes_for_the_same_seed_in_any_process() -> None:
    check_same_trace(PACKAGE, run_seed, 2)


@pytest.mark.prove
@pytest.mark.limit(600)
def test_the_command_replays_a_seed_of_episodes() -> None:
    check_command(PACKAGE, "peace")
