"""Run seeds: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from litz.testing import SimLoop
from tests.simulation.durable.world import World
from tests.simulation.judged import judged
from tests.simulation.seeds import SeedResult

PACKAGE = "tests.simulation.durable"
MAX_TIME = 30 * 86_400.0
MAX_STEPS = 2_000_000
"""A peer that is out of reach for hours is asked for again and again."""


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One run, with faults, then without, then closed."""
    worlds: list[World] = []
    with TemporaryDirectory(prefix="litz-durable-") as folder:

        async def main(loop: SimLoop) -> None:
            world = World(loop, seed, Path(folder), trace)
            worlds.append(world)
            await world.run()

        try:
            digest = judged(PACKAGE, seed, main, starving="settles", max_time=MAX_TIME, max_steps=MAX_STEPS)
        finally:
            gc.collect(2 if seed % 20 == 0 else 0)
    world = worlds[0]
    return SeedResult(seed, digest, world.hits, len(world.processes), 0, world.checker.handled)
