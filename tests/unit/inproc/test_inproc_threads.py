"""Peers in different loops and threads of one process: the same law, and safe at any moment.

Covers `inproc.hub`, `inproc.node`, `litz.threadsafe`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import BackpressureError, Message, PayloadType, RemoteError
from litz.testing.manager_case import take
from tests.unit.inproc.second_thread import elsewhere, exchange, in_thread


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """Lost wake-ups between threads show when they change places between any two lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("limit", [1, 7, 16_384])
async def test_both_ways_exactly_once_in_order_within_bounds(limit: int) -> None:
    hub = Hub()
    count = 300 if limit < 10 else 5000
    done = threading.Event()

    async def other() -> None:
        async with InprocTransportManager("b", hub, queue_messages=limit, connect_timeout=120) as b:
            await exchange(b, "a", count)
            await b.drain()
            await in_thread(done)

    with elsewhere(other):
        async with InprocTransportManager("a", hub, queue_messages=limit, connect_timeout=120) as a:
            await exchange(a, "b", count)
            await a.drain()
            done.set()
            await asyncio.sleep(0)


async def test_backpressure_confirmations_and_requests_cross_over() -> None:
    hub = Hub()
    stop, consume = threading.Event(), threading.Event()
    cancelled = threading.Event()

    async def handler(message: Message) -> Any:
        if message.data == "raise":
            raise KeyError("x")
        if message.data == "hang":
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cancelled.set()
        return message.data

    async def other() -> None:
        async with InprocTransportManager("b", hub) as b:
            await in_thread(consume)
            serving = asyncio.ensure_future(b.serve(handler))
            await in_thread(stop)
            serving.cancel()
            await asyncio.wait([serving])

    with elsewhere(other):
        async with InprocTransportManager("a", hub, queue_messages=5, connect_timeout=120) as a:
            try:
                await a.get_or_create_transport("b")
                for number in range(5):
                    a.send_nowait("b", number)
                await a.drain("b", timeout=120)
                with pytest.raises(BackpressureError):
                    a.send_nowait("b", 5)
                waiting = [asyncio.ensure_future(a.send("b", n, confirm="processed")) for n in range(5, 9)]
                await asyncio.sleep(0)
                consume.set()
                assert [receipt[1] for receipt in await asyncio.gather(*waiting)] == [5, 6, 7, 8]
                thing = object()
                assert await a.request("b", thing) is thing
                with pytest.raises(RemoteError, match="KeyError"):
                    await a.request("b", "raise")
                for timeout in (0.05, 1.0, 20.0):
                    with pytest.raises(TimeoutError):
                        await a.request("b", "hang", timeout=timeout)
                    # By now its handler has begun, or never will, because the other thread was late.
                    assert await a.request("b", thing) is thing
                    if cancelled.is_set():
                        break
                assert cancelled.is_set()
                for number in range(20):
                    await a.send("b", number, confirm="received")
            finally:
                consume.set()
                stop.set()


async def test_both_sides_meet_at_the_same_time() -> None:
    hub = Hub()
    for _ in range(30):
        barrier = threading.Barrier(2)

        async def meet(own: str, peer: str, barrier: threading.Barrier = barrier) -> None:
            async with InprocTransportManager(own, hub, connect_timeout=120) as manager:
                await asyncio.to_thread(barrier.wait, 120)
                await manager.send(peer, own)
                async for message in manager.messages():
                    assert (message.data, message.number) == (peer, 0)
                    break
                assert manager.list_dests() == [peer]
                await manager.drain()
                await asyncio.to_thread(barrier.wait, 120)

        with elsewhere(partial(meet, "b", "a")):
            await meet("a", "b")


async def test_a_confirmation_comes_from_the_middle_of_a_batch() -> None:
    hub = Hub()
    consume, stop = threading.Event(), threading.Event()

    async def other() -> None:
        async with InprocTransportManager("b", hub) as b:
            await in_thread(consume)
            async with b.messages() as stream:
                for _ in range(2):
                    await stream.__anext__()
                await in_thread(stop)

    with elsewhere(other):
        async with InprocTransportManager("a", hub, connect_timeout=120) as a:
            try:
                await a.get_or_create_transport("b")
                sending = [asyncio.ensure_future(a.send("b", n, confirm="processed")) for n in range(4)]
                await asyncio.sleep(0)
                await a.drain()
                for _ in range(2):  # whatever was asked of the other thread has come to it
                    await a.send("b", "", payload_type=PayloadType.STREAM_RELIABLE, confirm="received")
                consume.set()
                await sending[0]
                assert [task.done() for task in sending] == [True, False, False, False]
            finally:
                consume.set()
                stop.set()
            for task in sending[1:]:
                task.cancel()
            await asyncio.wait(sending)


async def test_what_was_queued_before_the_peer_came_crosses_over() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a:
        for number in range(3):
            a.send_nowait("b", number)
        drained = asyncio.ensure_future(a.drain("b", timeout=120))

        async def other() -> None:
            async with InprocTransportManager("b", hub) as b:
                async with asyncio.timeout(120):
                    assert [message.data for message in await take(b, 3)] == [0, 1, 2]
                await in_thread(done)

        done = threading.Event()
        with elsewhere(other):
            try:
                await drained
            finally:
                done.set()


async def test_lossy_lanes_stay_bounded_across_threads() -> None:
    hub = Hub()
    lane = PayloadType.STREAM_LATENCY_FIRST
    stop = threading.Event()
    counted = threading.Event()
    counts: list[int] = []

    async def other() -> None:
        async with InprocTransportManager("b", hub) as b:
            await in_thread(stop)
            counts.extend(found.inbox for found in b.snapshot().dests[0].lanes if found.lane == lane)
            counted.set()

    with elsewhere(other):
        async with InprocTransportManager("a", hub, queue_messages=4, connect_timeout=120) as a:
            try:
                for number in range(1000):
                    await a.send("b", number, payload_type=lane)
                await a.send("b", 1, confirm="received")
            finally:
                stop.set()
                await in_thread(counted)
    assert counts == [4]
