"""What `outproc.inbound` puts into the inbox stays bounded, also where no credit bounds it."""

from __future__ import annotations

import asyncio

import pytest

from litz.payload import PayloadType
from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

LOSSY = PayloadType.STREAM_LATENCY_FIRST


async def test_latency_first_messages_behind_one_that_a_consumer_has_in_hand_are_bounded_too() -> None:
    network = MemoryNetwork()
    small = TransportOptions(window_messages=100, window_size=50_000, max_message=50_000)
    bob = OutprocTransportManager("bob", builders=[MemoryWireBuilder(network)], options=small)
    alice = OutprocTransportManager("alice", builders=[MemoryWireBuilder(network)])
    async with bob, alice, asyncio.timeout(30):
        await bob.listen("memory:bob")
        alice.add_endpoints("bob", bob.endpoints)
        await alice.get_or_create_transport("bob")
        async with bob.messages() as stream:
            for count in (40, 300):
                for number in range(count):
                    await alice.send("bob", number.to_bytes(2, "big") + bytes(998), payload_type=LOSSY)
                await alice.send("bob", b"behind them", confirm="received")
                lane = next(lane for lane in bob.snapshot().dests[0].lanes if lane.lane == LOSSY)
                assert lane.inbox == min(count, 50)
                assert bob.snapshot().inbox_bytes <= small.window_size + 2 * len(b"behind them")
                while (got := await anext(stream)).payload_type is not LOSSY:
                    pass
            # One was in hand; of the others the newest stayed.
            assert int.from_bytes(got.data[:2], "big") == 300 - 49


@pytest.mark.parametrize(("size", "kept"), [(10, 100), (2_000, 25)], ids=["messages", "bytes"])
async def test_latency_first_messages_that_nobody_reads_are_bounded_and_the_newest_stay(size: int, kept: int) -> None:
    network = MemoryNetwork()
    small = TransportOptions(window_messages=100, window_size=50_000, max_message=50_000)
    bob = OutprocTransportManager("bob", builders=[MemoryWireBuilder(network)], options=small)
    alice = OutprocTransportManager("alice", builders=[MemoryWireBuilder(network)])
    async with bob, alice:
        await bob.listen("memory:bob")
        alice.add_endpoints("bob", bob.endpoints)
        await alice.get_or_create_transport("bob")
        for number in range(500):
            await alice.send("bob", number.to_bytes(2, "big") + bytes(size - 2), payload_type=LOSSY)
            if number % 20 == 0:
                await asyncio.sleep(0)
        await alice.send("bob", b"behind them", confirm="received")
        lane = next(lane for lane in bob.snapshot().dests[0].lanes if lane.lane == LOSSY)
        assert (lane.inbox, lane.dropped) == (kept, 500 - kept)
        assert bob.snapshot().inbox_bytes <= small.window_size + len(b"behind them")
        got = []
        async for message in bob.messages():
            if message.payload_type is LOSSY:
                got.append(int.from_bytes(message.data[:2], "big"))
                if len(got) == kept:
                    break
        assert got == list(range(500 - kept, 500))
