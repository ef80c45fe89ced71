"""Messages and events of two managers read as one: nothing is lost, doubled or left behind by whoever leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import ManagerStateError, PayloadType
from litz.events import Event, SessionEnded, SessionStarted
from litz.manager import EventStream
from litz.routing import RoutingTransportManager
from litz.testing.manager_case import take, texts


class Bytes:
    def encode(self, data: bytes) -> bytes:
        return data

    def decode(self, data: bytes) -> bytes:
        return data


@asynccontextmanager
async def town() -> AsyncIterator[tuple[RoutingTransportManager, InprocTransportManager, InprocTransportManager]]:
    """One that routes, and a peer on each side."""
    near, far = Hub(), Hub()
    local, distant = InprocTransportManager("a", near), InprocTransportManager("a", far)
    async with (
        RoutingTransportManager("a", inproc=local, outproc=distant, codec=Bytes()) as a,
        InprocTransportManager("in", near) as inside,
        InprocTransportManager("out", far) as outside,
    ):
        yield a, inside, outside


async def test_neither_side_starves_the_other_and_signals_come_first() -> None:
    async with town() as (a, inside, outside):
        for number in range(20):
            await inside.send("a", b"in %d" % number)
            await outside.send("a", b"out %d" % number)
        await outside.send("a", b"urgent", payload_type=PayloadType.RPC_SIGNAL, confirm="received")
        got = texts(await take(a, 41))
        for side in (b"in", b"out"):
            assert [text for text in got if text.startswith(side + b" ")] == [b"%s %d" % (side, n) for n in range(20)]
        assert got.index(b"urgent") < 4
        assert {text.split()[0] for text in got[:6]} >= {b"in", b"out"}


async def test_what_was_not_processed_comes_again_and_what_was_looked_ahead_is_kept() -> None:
    async with town() as (a, inside, outside):
        await inside.send("a", b"one")
        await outside.send("a", b"two", confirm="received")
        with pytest.raises(KeyError):
            async with a.messages() as stream:
                first = await anext(stream)
                raise KeyError("not processed")
        again = await take(a, 2)
        assert sorted(texts(again)) == [b"one", b"two"]
        assert [message.redelivered for message in again] == [message.data == first.data for message in again]


async def test_what_was_looked_ahead_and_seen_by_nobody_is_not_marked() -> None:
    async with town() as (a, inside, outside):
        for number in range(3):
            await inside.send("a", b"in %d" % number)
            await outside.send("a", b"out %d" % number, confirm="received")
        got = []
        for _ in range(3):
            async with a.messages() as stream:
                got += [await anext(stream), await anext(stream)]
        assert sorted(texts(got)) == [b"%s %d" % (side, n) for side in (b"in", b"out") for n in range(3)]
        assert [message.redelivered for message in got] == [False] * 6


async def test_what_was_marked_before_stays_marked_when_it_is_looked_ahead() -> None:
    async with town() as (a, inside, outside):
        await inside.send("a", b"one")
        with pytest.raises(KeyError):
            async with a.messages() as stream:
                await anext(stream)
                raise KeyError("not processed")
        await outside.send("a", b"two", confirm="received")
        for _ in range(2):
            async with a.messages() as stream:
                message = await anext(stream)
                assert message.redelivered is (message.data == b"one")


async def test_a_stream_that_was_left_says_so_and_one_reader_at_a_time() -> None:
    async with town() as (a, inside, _):
        stream = a.messages()
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(ManagerStateError, match="two tasks"):
            await anext(stream)
        await inside.send("a", b"x")
        assert (await waiting).data == b"x"
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(ManagerStateError, match="was left"):
            await anext(stream)


async def test_a_cancelled_wait_loses_nothing() -> None:
    async with town() as (a, inside, outside):
        stream = a.messages()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(stream)
        await inside.send("a", b"one")
        await outside.send("a", b"two")
        assert sorted([(await anext(stream)).data, (await anext(stream)).data]) == [b"one", b"two"]
        await stream.aclose()


async def test_messages_end_with_the_manager() -> None:
    async with town() as (a, _, _):
        reader = asyncio.ensure_future(anext(a.messages(), None))
        await asyncio.sleep(0)
        await a.aclose()
        assert await reader is None


async def events_until(events: EventStream, count: int) -> list[tuple[int, Event]]:
    found: list[tuple[int, Event]] = []
    async for number, event in events:
        if isinstance(event, SessionStarted | SessionEnded):
            found.append((number, event))
            if len(found) == count:
                break
    return found


async def test_events_of_both_sides_come_in_one_numbering() -> None:
    async with town() as (a, inside, outside):
        events = a.events()
        await a.send("in", b"x")
        await a.send("out", b"y")
        await inside.close_transport("a")
        await outside.close_transport("a")
        found = await events_until(events, 4)
        assert {
            (type(event), event.dest) for _, event in found if isinstance(event, SessionStarted | SessionEnded)
        } == {(kind, dest) for kind in (SessionStarted, SessionEnded) for dest in ("in", "out")}
        numbers = [number for number, _ in found]
        assert numbers == sorted(set(numbers))
        events.close()


@pytest.mark.parametrize("end", ["closed", "manager closed"])
async def test_events_end(end: str) -> None:
    async with town() as (a, _, _):
        events = a.events()

        async def read() -> int:
            return len([number async for number, _ in events])

        reader = asyncio.ensure_future(read())
        await a.send("in", b"x")
        await asyncio.sleep(0)
        if end == "closed":
            events.close()
        else:
            await a.aclose()
        async with asyncio.timeout(120):
            await reader
