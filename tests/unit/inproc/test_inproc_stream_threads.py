"""Streams between managers in different threads: the same law as in one loop, and safe at any moment.

Covers `inproc.stream_side`, `inproc.streams`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import (
    BackpressureError,
    PeerClosedError,
    Stream,
    StreamAbortedError,
    StreamLostError,
    StreamOptions,
    StreamRefusedError,
)
from litz.manager import TransportManager
from litz.stream_lifecycle import StreamEnd
from litz.testing.manager_case import end
from litz.testing.stream_case import PATIENT, Caught, echo, rest_of, until
from tests.unit.inproc.second_thread import elsewhere, in_thread

WAITS = 120.0


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """Lost wake-ups between threads show when they change places between any two lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def manager(name: str, hub: Hub) -> InprocTransportManager:
    return InprocTransportManager(name, hub, connect_timeout=WAITS)


async def opened(sender: TransportManager, service: str) -> Stream:
    """A stream to b, as soon as b has the service."""
    while True:
        try:
            return await sender.open_stream("b", service, options=PATIENT)
        except StreamRefusedError:
            await asyncio.sleep(0.001)


async def test_many_streams_both_ways_in_order_within_bounds() -> None:
    hub, done = Hub(), threading.Event()
    largest = 0

    async def talk(here: TransportManager, other: str, service: str, number: int) -> None:
        nonlocal largest
        async with here.open_stream(other, service, options=PATIENT) as stream:

            async def send() -> None:
                for count in range(700):
                    await stream.send((number, count))
                await stream.send_eof()

            sending = asyncio.get_running_loop().create_task(send())
            got = []
            async for message in stream:
                got.append(message)
                largest = max(largest, stream.stats.unread)
            await sending
            assert got == [(number, count) for count in range(700)]

    async def side(name: str, other: str) -> None:
        async with manager(name, hub) as here:
            here.listen_streams("echo", echo, options=PATIENT)
            await here.get_or_create_transport(other)
            await until(lambda: here.is_connected(other))
            while True:
                try:
                    await (await here.open_stream(other, "echo", options=PATIENT)).aclose()
                    break
                except StreamRefusedError:
                    await asyncio.sleep(0.001)
            await asyncio.gather(*(talk(here, other, "echo", number) for number in range(5)))
            if name == "a":
                done.set()
            await in_thread(done)
            await here.drain(final=True, timeout=WAITS)

    with elsewhere(lambda: side("b", "a")):
        await side("a", "b")
    assert 0 < largest <= 256


async def test_a_slow_reader_in_another_thread_stops_the_sender() -> None:
    hub, go, done = Hub(), threading.Event(), threading.Event()
    got: list[Any] = []

    async def slow(stream: Stream) -> None:
        await in_thread(go)
        got.extend([number async for number in stream])

    async def other() -> None:
        async with manager("b", hub) as b:
            b.listen_streams("slow", slow, options=PATIENT)
            await in_thread(done)

    with elsewhere(other):
        async with manager("a", hub) as a:
            async with await opened(a, "slow") as stream:
                sent = 0
                with pytest.raises(BackpressureError):
                    for sent in range(1_000):
                        stream.send_nowait(sent)
                assert sent == 256
                await stream.drain()
                with pytest.raises(BackpressureError):
                    stream.send_nowait(sent)
                go.set()
                await stream.send(sent)
            assert stream.stats.ending is not None
            assert stream.stats.ending.how is StreamEnd.COMPLETE
            done.set()
    assert got == list(range(257))


async def test_aborts_refusals_and_late_starts_cross_over() -> None:
    hub, done = Hub(), threading.Event()
    ended: list[BaseException] = []

    async def handler(stream: Stream) -> None:
        try:
            await rest_of(stream)
        except StreamAbortedError as error:
            ended.append(error)
            raise

    async def abort(stream: Stream) -> None:
        await stream.send("before")
        await stream.drain()
        stream.abort("no more")

    async def other() -> None:
        async with manager("b", hub) as b:
            b.listen_streams("abort", abort, options=PATIENT)
            b.listen_streams("no", abort, options=PATIENT, accept=lambda offer: "not you")
            late = b.listen_streams("late", handler, options=PATIENT, start=False)
            b.listen_streams("rest", handler, options=PATIENT)
            await until(lambda: late.waiting == 2)
            late.start()
            await in_thread(done)
            await until(lambda: not late.streams)

    with elsewhere(other):
        async with manager("a", hub) as a:
            stream = await opened(a, "abort")
            assert await stream.receive() == "before"
            with pytest.raises(StreamAbortedError, match="no more"):
                await stream.receive()
            with pytest.raises(StreamRefusedError, match="not you"):
                await a.open_stream("b", "no")
            first, second = await asyncio.gather(*(a.open_stream("b", "late", options=PATIENT) for _ in range(2)))
            first.abort("enough")
            await second.aclose()
            done.set()
    assert [str(error) for error in ended if "enough" not in str(error)] == []


async def test_opens_cancelled_at_any_moment_leave_nothing() -> None:
    hub, done = Hub(), threading.Event()

    async def other() -> None:
        async with manager("b", hub) as b:
            listener = b.listen_streams("echo", echo, options=PATIENT)
            await in_thread(done)
            await until(lambda: not listener.streams)

    with elsewhere(other):
        async with manager("a", hub) as a:
            await (await opened(a, "echo")).aclose()
            loop = asyncio.get_running_loop()
            for steps in range(200):
                task = loop.create_task(opened(a, "echo"))
                for _ in range(steps % 13):
                    await asyncio.sleep(0 if steps % 2 else 0.0001)
                await end(task)
                if not task.cancelled():
                    task.result().abort("opened after all")
            async with await opened(a, "echo") as stream:
                await stream.send("still")
                assert await stream.receive() == "still"
            done.set()


async def test_streams_are_lost_with_a_manager_that_closes() -> None:
    hub, go = Hub(), threading.Event()

    async def other() -> None:
        async with manager("b", hub) as b:
            b.listen_streams("echo", echo, options=PATIENT)
            await in_thread(go)

    with elsewhere(other):
        async with manager("a", hub) as a:
            stream = await opened(a, "echo")
            await stream.send("x")
            assert await stream.receive() == "x"
            waiting = asyncio.get_running_loop().create_task(stream.receive())
            await asyncio.sleep(0)
            go.set()
            with pytest.raises(StreamLostError) as caught:
                await waiting
            assert isinstance(caught.value.__cause__, PeerClosedError)


async def test_streams_are_lost_with_a_loop_that_is_gone_without_a_word() -> None:
    hub = Hub()
    gone: list[Any] = []
    held = Caught()

    async def other() -> None:
        b = manager("b", hub)
        await b.__aenter__()
        gone.extend([b, await b.open_stream("a", "hold", options=PATIENT)])

    async with manager("a", hub) as a:
        listener = a.listen_streams("hold", held.handler, options=PATIENT)
        with elsewhere(other):
            there = await held.next()
        # Nobody hears that a loop is gone until something is sent there.
        with pytest.raises(StreamLostError):
            while True:
                await there.send("anybody?")
                await asyncio.sleep(0)
        assert not a.is_connected("b")
        held.go.set()
        await until(lambda: not listener.streams)
        with pytest.warns(ResourceWarning, match="dropped without aclose"):
            gone.pop()
            gc.collect()
        await gone.pop().aclose()


async def test_the_contract_of_one_loop_is_that_of_two_for_large_objects() -> None:
    """Objects pass by reference between threads too; the window counts what they say of their size."""
    hub, done = Hub(), threading.Event()
    thing = bytearray(10 << 20)

    async def other() -> None:
        async with manager("b", hub) as b:
            b.listen_streams("echo", echo, options=PATIENT)
            await in_thread(done)

    with elsewhere(other):
        async with manager("a", hub) as a:
            async with await opened(a, "echo") as stream:
                await stream.send(thing)
                assert await stream.receive() is thing
            with pytest.raises(ValueError, match="max_message"):
                async with a.open_stream("b", "echo", options=StreamOptions(max_message=10)) as small:
                    await small.send(thing)
            done.set()
