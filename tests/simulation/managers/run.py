"""Run seeds: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

import gc
from collections.abc import Callable

from litz.testing import SimLoop
from tests.simulation.judged import judged
from tests.simulation.managers.ends import ENDING
from tests.simulation.managers.kinds import slow_seeds
from tests.simulation.managers.plan import HARD_SEEDS
from tests.simulation.managers.resends import RESENDING
from tests.simulation.managers.streaming import STREAMING
from tests.simulation.managers.world import World
from tests.simulation.seeds import SeedResult

PACKAGE = "tests.simulation.managers"
SLOW_HUNTED = 2_000
"""Seeds with slow wires in which a mutant is hunted at the most."""


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One run, with faults, then without, then closed."""
    worlds: list[World] = []

    async def main(loop: SimLoop) -> None:
        world = World(loop, seed, trace)
        worlds.append(world)
        await world.run()

    try:
        digest = judged(PACKAGE, seed, main, starving="no-starving", max_time=300.0)
    finally:
        gc.collect(2 if seed % 20 == 0 else 0)  # what lives on in cycles would pile up over a soak
    world = worlds[0]
    return SeedResult(
        seed,
        digest,
        world.hits,
        world.heals,
        world.overlaps,
        world.checker.delivered,
    )


def run_ending(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One of the seeds whose nodes leave often."""
    return run_seed(ENDING * 100_000 + seed, trace)


def run_streaming(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One of the seeds whose nodes have streams."""
    return run_seed(STREAMING * 100_000 + seed, trace)


def run_resending(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One of the seeds whose nodes resend what a restart left open."""
    return run_seed(RESENDING * 100_000 + seed, trace)


def run_hard_seed(seed: int) -> SeedResult:
    """The seed `seed` of hard times, counted from 0: where mutants that only they kill are hunted."""
    return run_seed(HARD_SEEDS[seed])


def run_slow_seed(seed: int) -> SeedResult:
    """The seed `seed` of those with slow wires, counted from 0, likewise."""
    return run_seed(slow_seeds(SLOW_HUNTED)[seed])
