"""The story of two nodes with room for one wire, of which the first that is up loses frames. Seeds vary its times."""

from __future__ import annotations

import asyncio
import sys
from random import Random
from typing import Any

from litz.events import WireUp
from litz.payload import PayloadType
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.stage import Actor, Stage, play
from tests.simulation.seeds import SeedFailedError

LOSSY: dict[str, Any] = {"ordered": False, "reliable": False}
LATEST = PayloadType.STREAM_LATENCY_FIRST


async def pair(stage: Stage, *, drop: float = 0.0, **options: Any) -> tuple[Actor, Actor]:
    """a, which dials b by "udp" and by "tcp"; what is latency first goes by "udp"."""
    natures = {"udp": LOSSY, "tcp": {}}
    link = stage.network.default_link
    link.drop, link.duplicate, link.reorder = drop, drop, drop
    options |= {"wire_preference": {LATEST: ("udp", "*")}}
    b = await stage.actor("b", kinds=("udp", "tcp"), natures=natures, **options)
    a = await stage.actor("a", reach=["b"], kinds=("udp", "tcp"), natures=natures, **options)
    return a, b


def kinds(actor: Actor) -> set[str]:
    return {wire.kind for dest in actor.manager.snapshot().dests for wire in dest.wires}


async def a_lossy_wire_takes_the_only_place(stage: Stage, rng: Random) -> None:
    """What is reliable gets a wire all the same, and then they stay as they are."""
    a, _ = await pair(stage, drop=rng.choice((0.0, 0.1)), max_wires=1)
    away = stage.network.host("b").listeners.pop("tcp://b:1")
    for _ in range(100):
        await a.manager.send("b", b"now", payload_type=LATEST)
        await asyncio.sleep(0.01)
    await asyncio.sleep(rng.random() * 3)
    stage.network.host("b").listeners["tcp://b:1"] = away
    await a.manager.send("b", b"later")
    try:
        async with asyncio.timeout(20.0):
            await a.manager.drain()
    except TimeoutError:
        raise InvariantError("heals", f"nothing reliable gets through: {a.manager.snapshot()}") from None
    await asyncio.sleep(60.0)
    ups = a.count(WireUp)
    await asyncio.sleep(60.0)
    if kinds(a) != {"tcp"} or a.count(WireUp) > ups:
        raise InvariantError("calm", f"{kinds(a)} after {a.count(WireUp)} wires")


def run_seed(seed: int) -> None:
    """Play it with the times of `seed`. Raises SeedFailedError when an invariant does not hold."""
    try:
        play(lambda stage: a_lossy_wire_takes_the_only_place(stage, Random(seed)), seed=seed)
    except InvariantError as error:
        raise SeedFailedError("tests.simulation.managers.one_place", seed, error.name, error.detail) from error


if __name__ == "__main__":
    run_seed(int(sys.argv[1]))
