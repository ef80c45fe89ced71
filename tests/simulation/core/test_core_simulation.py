"""The session core in a pure simulation: seeded walks, an outside checker, and the same trace in any process."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from tests.simulation.core.hits import REQUIRED, STREAMS
from tests.simulation.core.run import PACKAGE, run_seed
from tests.simulation.core.streams import RANGE as STREAM_SEEDS
from tests.simulation.core.world import World
from tests.simulation.seed_checks import check_command, check_same_trace, check_soak, check_together
from tests.simulation.seeds import SeedFailedError

SEEDS = int(os.environ.get("LITZ_SEEDS", "600"))
PROVED = 1200
"""Seeds that `make prove` runs besides."""


@pytest.mark.limit(max(600, SEEDS // 10))
def test_every_invariant_holds_and_everything_is_hit() -> None:
    check_together([run_seed(seed) for seed in range(SEEDS)], REQUIRED)


@pytest.mark.prove
@pytest.mark.limit(1800)
def test_every_invariant_holds_in_more_seeds() -> None:
    check_together([run_seed(seed) for seed in range(SEEDS, SEEDS + PROVED)], REQUIRED)


@pytest.mark.limit(1800)
@pytest.mark.parametrize(
    "seeds", [STREAM_SEEDS[:80], pytest.param(STREAM_SEEDS[80:1_400], marks=pytest.mark.prove)], ids=["few", "many"]
)
def test_streams(seeds: Sequence[int]) -> None:
    check_together([run_seed(seed) for seed in seeds], STREAMS)


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_streams_soak() -> None:
    """Tiny windows in both directions and all faults: no deadlock, and nothing is left behind."""
    check_together([run_seed(1_000_000 + seed) for seed in STREAM_SEEDS[:10_000]], STREAMS)


@pytest.mark.soak
@pytest.mark.limit(36_000)
def test_soak() -> None:
    check_soak(run_seed, REQUIRED)


def test_same_seed_same_trace_in_any_process() -> None:
    check_same_trace(PACKAGE, run_seed, 40)


def test_a_failing_seed_names_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(world: World) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(World, "step", broken)
    with pytest.raises(SeedFailedError, match=r"impossible-state[^$]*python -m tests\.simulation\.core 7 --trace"):
        run_seed(7)


def test_the_command_replays_a_seed() -> None:
    check_command(PACKAGE, "heal")
