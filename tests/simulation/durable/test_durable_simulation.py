"""Durable messages between real managers on virtual time: processes die at any step, disks fail, files are replaced.

The checker stands outside, at the stores, the users and the handlers. Covers `outproc.outbox` as a whole.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.simulation.durable.hits import RARE, REQUIRED
from tests.simulation.durable.run import PACKAGE, run_seed
from tests.simulation.seed_checks import check_command, check_same_trace
from tests.simulation.seeds import print_hits

SEEDS = 42
SOAK = 100_000
FIRST_OF_SOAK = 1_000_000


def run_all(first: int, seeds: int, required: Iterable[str]) -> None:
    """Everything holds in each of them, and all that is `required` is hit in one of them."""
    hits: Counter[str] = Counter()
    for seed in range(first, first + seeds):
        hits.update(run_seed(seed).hits)
    print_hits(hits, required)
    assert [name for name in required if not hits[name]] == [], "never hit"


@pytest.mark.limit(900)
def test_every_invariant_holds_and_everything_is_hit() -> None:
    run_all(0, SEEDS, [name for name in REQUIRED if name not in RARE])


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak() -> None:
    run_all(FIRST_OF_SOAK, int(os.environ.get("LITZ_SEEDS", SOAK)), REQUIRED)


def test_same_seed_same_trace_in_any_process() -> None:
    check_same_trace(PACKAGE, run_seed, 5)


def test_the_command_replays_a_seed() -> None:
    check_command(PACKAGE, "HEAL")
