"""Rights, simulated: proofs of all sorts, and managers whose rights change while wires break."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.rights.run import run_seed

MUST_HIT = (
    "asked open", "asked resume", "asked use", "authorize raised", "certificate refused", "certificate taken",
    "checked allowed-in, allowed", "checked forbidden-out, forbidden", "checked service, allowed",
    "checked service, forbidden", "cut", "dropped", "send failed", "token None refused", "token None taken",
    "token a refused", "token a taken",
)  # fmt: skip


def test_who_may_gets_in_and_nobody_else() -> None:
    hits: Counter[str] = Counter()
    for seed in range(24):
        hits += run_seed(seed)
    assert [name for name in MUST_HIT if not hits[name]] == [], "a fault or refusal that was never hit"


@pytest.mark.soak
@pytest.mark.limit(3600)
def test_many_seeds() -> None:
    for seed in range(24, 20_000):
        run_seed(seed)
