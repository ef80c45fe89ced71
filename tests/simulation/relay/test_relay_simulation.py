"""Relays, simulated: hubs that restart, circuits that are cut, slow readers: `outproc.wires.relay.switch`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.relay.run import MUST_HIT, run_seed
from tests.simulation.relay.switch_walk import run_seed as walk


@pytest.mark.limit(900)
def test_what_nodes_say_to_each_other_arrives_whatever_happens_to_the_hub() -> None:
    hits: Counter[str] = Counter()
    for seed in range(14):
        hits += run_seed(seed).hits
    assert [name for name in MUST_HIT if not hits[name]] == [], "a fault that was never hit"


def test_the_pure_parts_keep_order_turns_and_bounds() -> None:
    assert sum(walk(seed).delivered for seed in range(60)) > 3_000


def test_the_same_seed_is_the_same_run() -> None:
    assert run_seed(3).digest == run_seed(3).digest


@pytest.mark.soak
@pytest.mark.limit(3600)
def test_many_seeds() -> None:
    for seed in range(14, 5_000):
        run_seed(seed)
