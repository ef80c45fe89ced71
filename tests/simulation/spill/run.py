"""Run seeds of the log that spills: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

import gc
from collections.abc import Callable

from litz.testing import SimLoop
from tests.simulation.judged import judged
from tests.simulation.seeds import SeedResult
from tests.simulation.spill.world import World

PACKAGE = "tests.simulation.spill"
MAX_TIME = 3_600.0


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One run, with faults, then without, then closed."""
    worlds: list[World] = []

    async def main(loop: SimLoop) -> None:
        world = World(loop, seed, trace)
        worlds.append(world)
        await world.run()

    try:
        digest = judged(PACKAGE, seed, main, starving="settles", max_time=MAX_TIME)
    finally:
        gc.collect(2 if seed % 20 == 0 else 0)
    world = worlds[0]
    return SeedResult(seed, digest, world.hits, delivered=sum(map(len, (each.handled for each in world.sent))))
