"""Two real data channels: what is urgent does not wait behind bulk, on either engine. Orders and counts, not times."""

from __future__ import annotations

import asyncio

from litz.payload import REPLY_LANE, PayloadType
from litz.snapshot import LaneSnapshot
from outproc.wires.webrtc.engines import EngineName
from tests.integration.outproc_nodes import Manager, dest_of, until
from tests.integration.test_webrtc_heals import both_engines, both_wires

SIGNAL, STREAM, LATENCY = PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE, PayloadType.STREAM_LATENCY_FIRST
BLOCK = b"b" * 65_536
LOG = 4 << 20
"""Bytes of bulk that wait at the sender: the default of `log_size`."""


def lane_of(manager: Manager, dest: str, lane: int) -> LaneSnapshot:
    return next(each for each in dest_of(manager, dest).lanes if each.lane == lane)


async def on_the_urgent_channel(manager: Manager, dest: str, *lanes: int) -> None:
    await until(lambda: all(lane_of(manager, dest, lane).urgent for lane in lanes), "they are on the urgent channel")


@both_engines
async def test_a_signal_and_a_request_arrive_before_the_four_megabytes_sent_before_them(engine: EngineName) -> None:
    async with both_wires(engine) as (a, b):
        await on_the_urgent_channel(a, "b", SIGNAL, LATENCY)
        await on_the_urgent_channel(b, "a", SIGNAL, REPLY_LANE)
        got: list[bytes] = []

        async def read() -> None:
            async for message in b.messages():
                got.append(message.data)
                if message.is_request:
                    await message.reply(message.data)

        reading = asyncio.create_task(read())
        # Twice the log: when all is accepted, the second half of it is still in the log or on its way.
        sent = 2 * LOG // len(BLOCK)
        for _ in range(sent):
            await a.send("b", BLOCK, payload_type=STREAM)
        await a.send("b", b"signal", payload_type=SIGNAL)
        await a.request("b", b"question", timeout=60)
        assert not lane_of(a, "b", STREAM).urgent
        assert got.index(b"signal") < sent, "the signal came after all bulk"
        assert got.index(b"question") < sent, "the request came after all bulk"
        await a.drain()
        await until(lambda: got.count(BLOCK) == sent, "all bulk has come")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@both_engines
async def test_latency_first_is_dropped_at_the_sender_when_it_is_stale_and_never_on_its_way(engine: EngineName) -> None:
    async with both_wires(engine) as (a, b):
        await on_the_urgent_channel(a, "b", LATENCY)
        got: list[int] = []

        async def read() -> None:
            async for message in b.messages():
                got.extend([int(message.data[:5])] if message.payload_type is LATENCY else [])

        reading = asyncio.create_task(read())
        for number in range(5_000):
            a.send_nowait("b", b"%05d" % number + bytes(900), payload_type=LATENCY)
        await until(lambda: bool(got) and got[-1] == 4_999, "the newest has come")
        assert got == sorted(set(got))
        assert lane_of(a, "b", LATENCY).dropped == 5_000 - len(got) >= 4_000
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
