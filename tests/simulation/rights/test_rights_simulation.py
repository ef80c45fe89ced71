"""Rights, simulated: proofs of all sorts, and managers whose rights change while wires break."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.rights.run import run_seed
from tests.simulation.rights.shop import WITH_STREAMS

MUST_HIT = (
    "asked open", "asked resume", "asked use", "authorize raised", "certificate refused", "certificate taken",
    "checked allowed-in, allowed", "checked forbidden-out, forbidden", "checked service, allowed",
    "checked service, forbidden", "cut", "dropped", "send failed", "token None refused", "token None taken",
    "token a refused", "token a taken",
)  # fmt: skip

STREAMS_MUST_HIT = (
    "stream opened", "stream refused: BUSY", "stream refused: REFUSED", "stream refused: REJECTED",
    "a stream was told IDLE", "a stream was told REJECTED", "an offer was told IDLE", "an offer was told REJECTED",
)  # fmt: skip


def test_who_may_gets_in_and_nobody_else() -> None:
    hits: Counter[str] = Counter()
    for seed in range(24):
        hits += run_seed(seed)
    assert [name for name in MUST_HIT if not hits[name]] == [], "a fault or refusal that was never hit"


def test_streams_of_who_may_get_the_places_and_nobody_goes_for_others() -> None:
    hits: Counter[str] = Counter()
    for seed in range(WITH_STREAMS, WITH_STREAMS + 8):
        hits += run_seed(seed)
    assert [name for name in STREAMS_MUST_HIT if not hits[name]] == [], "a fault or refusal that was never hit"


@pytest.mark.soak
@pytest.mark.limit(3600)
def test_many_seeds() -> None:
    for seed in range(24, 20_000):
        run_seed(seed)
        run_seed(WITH_STREAMS + seed)
