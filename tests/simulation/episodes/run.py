"""Run seeds of episodes between nodes: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

import gc
from collections.abc import Callable

from litz.testing import SimLoop
from tests.simulation.episodes.world import World
from tests.simulation.judged import judged
from tests.simulation.seeds import SeedResult

PACKAGE = "tests.simulation.episodes"
REQUIRED = (
    "restart: publisher", "restart: subscriber", "shut the door", "reset", "partition", "half open", "subscribed again",
    "cancelled", "left", "complete", "refused", "gap: SLOW", "gap: TRIMMED", "end: SLOW", "end: TRIMMED", "end: FAILED",
    "end: SUPERSEDED", "end: EXPIRED", "unreachable", "arrived",
)  # fmt: skip
"""What many seeds must have hit."""


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One run."""
    worlds: list[World] = []

    async def main(loop: SimLoop) -> None:
        worlds.append(World(loop, seed, trace))
        await worlds[0].run()

    try:
        digest = judged(PACKAGE, seed, main, starving="arrives", max_time=86_400.0, max_steps=5_000_000)
    finally:
        gc.collect(2 if seed % 20 == 0 else 0)
    return SeedResult(seed, digest, worlds[0].hits, delivered=worlds[0].delivered)
