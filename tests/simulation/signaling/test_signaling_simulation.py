"""Signaling, simulated: glare, lost sessions, restarts, replays: `outproc.signaling.attempts`."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.signaling.run import run_seed

MUST_HIT = (
    "Ignoreglare", "Ignorereplayed", "Refuseexpired", "Refusebusy", "Take", "answer given up", "begin refused",
    "begin waits", "broke again", "build given up", "node restarted", "offer lost with its session", "opened",
    "played again", "replaced", "session restarted", "withdrawn", "yielded",
)  # fmt: skip


def test_two_that_want_each_other_meet_once_whatever_happened_before() -> None:
    hits: Counter[str] = Counter()
    for seed in range(400):
        hits += run_seed(seed)
    assert [name for name in MUST_HIT if not hits[name]] == [], "a fault or refusal that was never hit"


@pytest.mark.soak
@pytest.mark.limit(3600)
def test_many_seeds() -> None:
    for seed in range(400, 100_000):
        run_seed(seed)
