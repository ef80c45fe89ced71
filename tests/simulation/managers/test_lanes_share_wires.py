"""Lanes that share a slow wire beside an idle one: each goes on, and none waits for the others to be done."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from litz.message import Message
from litz.payload import PayloadType
from tests.simulation.managers.stage import Stage, play

BULK = (PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE)
SIZE = 2_000_000
"""Bytes that each bulk lane has to send."""
AHEAD = 3.0
"""How many times as many bytes one bulk lane may have got as the other, while both have something to send."""
SLACK = 400_000
"""Bytes on their way at the start: what the wire and the system took of the first lane before the second had any."""


@pytest.mark.parametrize("seed", range(12))
def test_each_lane_of_a_busy_wire_goes_on(seed: int) -> None:
    rng = Random(f"lanes {seed}")
    sizes = [rng.choice((700, 3_000, 20_000)) for _ in BULK]
    total = {lane: SIZE // size * size for lane, size in zip(BULK, sizes, strict=True)}

    async def story(stage: Stage) -> None:
        stage.network.default_link.bandwidth = rng.choice((200_000.0, 1_000_000.0))
        a = await stage.actor("a", reach=["b"], kinds=("tcp", "rtc"))
        b = await stage.actor("b", kinds=("tcp", "rtc"))
        await b.stop_listening()
        got: Counter[PayloadType] = Counter()
        lead: list[str] = []

        def take(message: Message) -> None:
            lane = message.payload_type
            got[lane] += len(message.data)
            one, other = (got[each] for each in BULK)
            if all(got[each] < total[each] for each in BULK) and max(one, other) > AHEAD * min(one, other) + SLACK:
                lead.append(f"{one} and {other} bytes")

        serving = asyncio.ensure_future(b.manager.serve(take))
        await a.manager.get_or_create_transport("b")
        await asyncio.sleep(1.0)  # until both wires are up
        assert len(a.manager.snapshot().dests[0].wires) == 2

        async def send(lane: PayloadType, size: int) -> None:
            for _ in range(SIZE // size):
                await a.manager.send("b", bytes(size), payload_type=lane)

        async def look() -> int:
            """Signals and latency-first messages come while bulk is on its way."""
            answered = 0
            while any(got[lane] < total[lane] for lane in BULK):
                before = got[PayloadType.STREAM_LATENCY_FIRST]
                await a.manager.send("b", b"now", payload_type=PayloadType.STREAM_LATENCY_FIRST)
                async with asyncio.timeout(5.0):  # 320 KiB may be ahead of it, on their way
                    await a.manager.send("b", b"!", payload_type=PayloadType.RPC_SIGNAL, confirm="processed")
                answered += got[PayloadType.STREAM_LATENCY_FIRST] > before
            return answered

        async with asyncio.timeout(60):
            *_, answered = await asyncio.gather(*map(send, BULK, sizes), look())
        assert not lead, f"with {sizes} bytes a message one lane starved beside the other: {lead[:3]}"
        assert answered
        serving.cancel()
        await asyncio.wait([serving])

    play(story, seed=seed)
