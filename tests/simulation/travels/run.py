"""Run seeds of the traveller: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

import gc
from collections.abc import Callable

from litz.testing import SimLoop
from tests.simulation.judged import judged
from tests.simulation.seeds import SeedResult
from tests.simulation.travels.world import World

PACKAGE = "tests.simulation.travels"
REQUIRED = ("moves", "router", "storm", "bridge", "naps", "sleeps", "offline", "restart")
DAYS = 5 * 86_400.0


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One journey."""
    worlds: list[World] = []

    async def main(loop: SimLoop) -> None:
        world = World(loop, seed, trace)
        worlds.append(world)
        await world.run()

    try:
        digest = judged(PACKAGE, seed, main, starving="back", max_time=DAYS, max_steps=5_000_000)
    finally:
        gc.collect(2 if seed % 20 == 0 else 0)
    world = worlds[0]
    return SeedResult(seed, digest, world.hits, delivered=sum(map(len, world.got.values())))
