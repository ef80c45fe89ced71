"""Real managers on virtual time under seeded faults, with the checker outside of them."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.managers import ends, streaming
from tests.simulation.managers.hits import RARE, RARE_SEEDS, REQUIRED
from tests.simulation.managers.kinds import RELAYED_FROM
from tests.simulation.managers.plan import BREAKING, HARD_SEEDS, UNREAD, make_plan
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.resends import HITS
from tests.simulation.managers.run import PACKAGE, run_ending, run_resending, run_seed, run_streaming
from tests.simulation.managers.users import User
from tests.simulation.seed_checks import check_command, check_same_trace, check_soak, check_together
from tests.simulation.seeds import SeedFailedError

SEEDS = int(os.environ.get("LITZ_SEEDS", "110"))
STREAMS = 14
PROVED = 250
"""Seeds that `make prove` runs besides."""
SOAKED = int(os.environ.get("LITZ_SEEDS", "100000")) // 4


@pytest.mark.limit(max(900, SEEDS))
def test_every_invariant_holds_and_everything_is_hit() -> None:
    check_together([run_seed(seed) for seed in range(SEEDS)], REQUIRED)


@pytest.mark.prove
@pytest.mark.limit(1800)
def test_every_invariant_holds_in_more_seeds() -> None:
    check_together([run_seed(seed) for seed in range(SEEDS, SEEDS + PROVED)], REQUIRED)


def test_what_is_rare_is_hit_too() -> None:
    hits: Counter[str] = Counter()
    for seed in RARE_SEEDS:
        hits.update(run_seed(seed).hits)
    assert all(hits[name] for name in RARE), f"find other RARE_SEEDS: {dict(hits)}"


@pytest.mark.limit(max(900, SEEDS))
def test_through_a_hub_that_restarts() -> None:
    hits: Counter[str] = Counter()
    relayed = [seed for seed in range(RELAYED_FROM, RELAYED_FROM + 100) if make_plan(seed).relayed]
    for seed in relayed[:16]:
        hits.update(run_seed(seed).hits)
    assert min(hits["hub restart"], hits["relayed"]) >= 16


@pytest.mark.limit(max(900, SEEDS))
def test_restarts_whose_peers_resend() -> None:
    hits: Counter[str] = Counter()
    for seed in range(40):
        hits.update(run_resending(seed).hits)
    never = [name for name in HITS if not hits[name]]
    assert not never, f"never hit: {never}"


@pytest.mark.limit(max(900, SEEDS))
def test_hard_times() -> None:
    hits: Counter[str] = Counter()
    for seed in HARD_SEEDS[:20]:
        hits.update(run_seed(seed).hits)
    assert (
        min(hits[name] for name in (BREAKING, UNREAD, "broken when well", "session came and went", "died again")) >= 10
    )


@pytest.mark.limit(max(900, SEEDS))
def test_streams() -> None:
    run_streams(range(STREAMS))


@pytest.mark.prove
@pytest.mark.limit(1800)
def test_streams_of_more_seeds() -> None:
    run_streams(range(STREAMS, STREAMS + 140))


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak_streams() -> None:
    run_streams(range(1_000_000, 1_000_000 + min(SOAKED, 100_000)))


def run_streams(seeds: range) -> None:
    """Seeds whose nodes have streams: all there is to hit about them is."""
    hits: Counter[str] = Counter()
    for seed in seeds:
        hits.update(run_streaming(seed).hits)
    never = [name for name in streaming.HITS if not hits[name]]
    assert not never, f"never hit: {never}"


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak_restarts() -> None:
    for seed in range(1_000_000, 1_000_000 + min(SOAKED, 100_000)):
        run_resending(seed)


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak_of_hard_times() -> None:
    for seed in HARD_SEEDS[: int(os.environ.get("LITZ_SEEDS", "100000")) // 10]:
        run_seed(seed)


@pytest.mark.limit(max(900, SEEDS))
def test_nodes_that_leave() -> None:
    hits: Counter[str] = Counter()
    for seed in range(40):
        hits.update(run_ending(seed).hits)
    never = [name for name in ends.HITS if not hits[name]]
    assert not never, f"never hit: {never}"


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak_ends() -> None:
    for seed in range(1_000_000, 1_000_000 + min(SOAKED, 100_000)):
        run_ending(seed)


@pytest.mark.soak
@pytest.mark.limit(72_000)
def test_soak() -> None:
    check_soak(run_seed, REQUIRED)


def test_same_seed_same_trace_in_any_process() -> None:
    check_same_trace(PACKAGE, run_seed, 12)


def test_a_failing_seed_names_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(user: User) -> None:
        raise InvariantError("loud", "broken on purpose")

    monkeypatch.setattr(User, "run", broken)
    with pytest.raises(SeedFailedError, match=r"loud[^$]*python -m tests\.simulation\.managers 7 --trace"):
        run_seed(7)


def test_the_command_replays_a_seed() -> None:
    check_command(PACKAGE, "HEAL")
