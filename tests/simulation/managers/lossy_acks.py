"""The story of acks that must not be told on a wire that loses them, though the peer was heard there last. Seeds vary
its times."""

from __future__ import annotations

import asyncio
import sys
from random import Random

from tests.simulation.managers.one_place import LATEST, kinds, pair
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.stage import Stage, play
from tests.simulation.seeds import SeedFailedError


async def all_is_lost_that_is_said_by_one_wire(stage: Stage, rng: Random) -> None:
    """What the other wire carried is acknowledged all the same."""
    a, b = await pair(stage, ping_after=1_000.0, dead_after=1_000.0)
    await a.manager.send("b", b"0", confirm="received")
    await a.until(lambda: kinds(a) == {"udp", "tcp"} == kinds(b))
    stage.network.link("b", "a").drop = 1.0
    # So b hears a on the udp wire last.
    next(each for each in stage.network.connections if each.kind == "udp").delay(0.003 + rng.random() / 100)
    for number in range(1, 30):
        await a.manager.send("b", b"%d" % number)
        await a.manager.send("b", b"now", payload_type=LATEST)
        await asyncio.sleep(0.02 * rng.random())
    try:
        await a.manager.drain(timeout=1.0)
    except TimeoutError:
        raise InvariantError("heals", f"no ack comes: {a.manager.snapshot()}") from None


def run_seed(seed: int) -> None:
    """Play it with the times of `seed`. Raises SeedFailedError when an invariant does not hold."""
    try:
        play(lambda stage: all_is_lost_that_is_said_by_one_wire(stage, Random(seed)), seed=seed)
    except InvariantError as error:
        raise SeedFailedError("tests.simulation.managers.lossy_acks", seed, error.name, error.detail) from error


if __name__ == "__main__":
    run_seed(int(sys.argv[1]))
