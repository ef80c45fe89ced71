"""What came of streams that are over and that nobody reads is charged, and bounds how many more there may be: who
opens, fills and aborts streams that a service does not read fills no memory. On real wires.

Covers `outproc.streams.rests` as `outproc.streams.offers` and `outproc.streams.streams` use it.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from litz import Stream, StreamAbortedError, StreamLostError, StreamRefusedError
from litz.stream_port import Refusal
from litz.testing.stream_case import told_to_the_loop
from outproc.streams.rests import Rests
from tests.integration.outproc_nodes import Manager, until
from tests.integration.stream_nodes import nothing_left, two_nodes

SIZE = 60_000
EACH, ALL = 4 * 65_536, 8 * 65_536


class Hoarder:
    """A service that takes streams, and holds them without reading."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.done = asyncio.Event()

    async def handle(self, stream: Stream) -> None:
        self.streams.append(stream)
        del stream
        await self.done.wait()


@asynccontextmanager
async def hoarding() -> AsyncIterator[tuple[Manager, Manager, Hoarder]]:
    """alice, bob, and a service of bob that reads nothing."""
    async with two_nodes(session_stream_size=EACH, process_stream_size=ALL, close_timeout=60.0, ping_after=60.0) as (
        alice,
        bob,
    ):
        hoarder = Hoarder()
        async with bob.listen_streams("hoard", hoarder.handle):
            yield alice, bob, hoarder
            hoarder.done.set()


def rests_of(manager: Manager) -> Rests:
    return manager._running().node.stream_rests


async def fill_and_abort(alice: Manager, hoarder: Hoarder) -> None:
    """One more stream that bob has whole, and that is over."""
    before = len(hoarder.streams)
    stream = await alice.open_stream("bob", "hoard", timeout=120.0)
    await stream.send(bytes(SIZE))
    await stream.drain()
    stream.abort("enough")
    await until(lambda: len(hoarder.streams) > before and hoarder.streams[-1].closed, "bob knows that it is over")


async def test_a_peer_that_fills_and_aborts_streams_that_nobody_reads_is_busy_until_they_are() -> None:
    async with hoarding() as (alice, bob, hoarder):
        rests = rests_of(bob)
        for number in range(1, 1 + EACH // SIZE + 1):
            await fill_and_abort(alice, hoarder)
            assert number * SIZE <= rests.size("alice") < number * (SIZE + 100)
            assert bob._running().node.stream_budget.used >= rests.size(), "windows grow that much less"
        shown = bob.snapshot().dests[0].streams
        assert shown is not None
        assert shown.unread == rests.size("alice")
        with pytest.raises(StreamRefusedError) as refused:
            await alice.open_stream("bob", "hoard", timeout=120.0)
        assert (refused.value.why, refused.value.retry_after) == (Refusal.BUSY, 1.0)
        with pytest.raises(StreamRefusedError, match="let go of these streams") as here:
            await bob.open_stream("alice", "any", timeout=120.0)
        assert here.value.why == Refusal.BUSY
        assert len(await hoarder.streams[0].receive()) == SIZE
        with pytest.raises(StreamAbortedError):
            await hoarder.streams[0].receive()
        await fill_and_abort(alice, hoarder)
        with pytest.raises(StreamRefusedError):
            await alice.open_stream("bob", "hoard", timeout=120.0)
        hoarder.streams.clear()
        hoarder.done.set()  # with its handlers it lets go of the streams
        await until(lambda: gc.collect() >= 0 and rests.size() == 0, "nobody holds anything")
        await (await alice.open_stream("bob", "hoard", timeout=120.0)).aclose()
        await nothing_left(alice, bob)


async def test_what_a_lost_session_left_unread_is_charged_until_it_is_read() -> None:
    async with hoarding() as (alice, bob, hoarder):
        rests = rests_of(bob)
        streams = [await alice.open_stream("bob", "hoard", timeout=120.0) for _ in range(3)]
        for stream in streams:
            await stream.send(bytes(SIZE))
            await stream.drain()
        assert rests.size() == 0, "as long as they stand their windows are charged"
        await alice.aclose()
        await until(lambda: len(hoarder.streams) == 3 and all(each.closed for each in hoarder.streams), "bob knows it")
        assert 3 * SIZE <= rests.size("alice") < 3 * (SIZE + 100)
        for stream in hoarder.streams:
            assert len(await stream.receive()) == SIZE
            with pytest.raises(StreamLostError):
                await stream.receive()
        assert rests.size() == 0
        hoarder.done.set()
        await nothing_left(bob)


async def test_what_a_handler_that_has_ended_left_unread_is_nobodys() -> None:
    """Its error, with a traceback that holds the stream, may live until garbage is collected."""

    ended = asyncio.Event()

    async def takes_one_and_fails(stream: Stream) -> None:
        async def part() -> None:
            assert len(await stream.receive()) == SIZE
            over = asyncio.Event()
            stream.on_closed(lambda report: over.set())
            await over.wait()
            raise ValueError("no more of this")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(part())
        finally:
            ended.set()

    async with two_nodes(close_timeout=60.0, ping_after=60.0) as (alice, bob):
        gc.disable()
        try:
            with told_to_the_loop() as told:
                async with bob.listen_streams("fails", takes_one_and_fails):
                    stream = await alice.open_stream("bob", "fails", timeout=120.0)
                    await stream.send(bytes(SIZE))
                    await stream.send(bytes(SIZE))
                    await stream.drain()
                    stream.abort("enough")
                    async with asyncio.timeout(120):
                        await ended.wait()
                    rests = rests_of(bob)
                    await until(lambda: rests.size() == 0, "nothing is charged")
            assert len(told) == 1
        finally:
            gc.enable()
        await nothing_left(alice, bob)


async def test_what_is_unread_when_a_stream_is_left_is_nobodys() -> None:
    async with hoarding() as (alice, bob, hoarder):
        rests = rests_of(bob)
        await fill_and_abort(alice, hoarder)
        (stream,) = hoarder.streams
        assert rests.size() >= SIZE
        with pytest.raises(StreamAbortedError):
            async with stream:
                pass
        assert rests.size() == 0, "although somebody still looks at its stats"
        assert stream.stats.messages_received == 0
