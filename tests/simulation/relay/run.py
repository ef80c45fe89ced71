"""Run seeds of the relay simulation: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

from collections.abc import Callable

from litz.testing import SimLoop
from tests.simulation.judged import judged
from tests.simulation.relay.world import FAULTS, World
from tests.simulation.seeds import SeedResult

PACKAGE = "tests.simulation.relay"
MUST_HIT = (*FAULTS, "relayed", "sealed", "direct as well", "slow reader", "circuit closed", "window", "two wait")


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One run, with faults, then without, then closed."""
    worlds: list[World] = []

    async def main(loop: SimLoop) -> None:
        worlds.append(World(loop, seed, trace))
        await worlds[0].run()

    digest = judged(PACKAGE, seed, main, starving="delivered-in-the-end", max_time=600.0)
    world = worlds[0]
    return SeedResult(seed, digest, world.hits, heals=world.heals, delivered=world.delivered)
