"""Peers in different loops and threads of one process: the same law, and safe at any moment."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import BackpressureError, Message, PayloadType, PeerClosedError, RemoteError, SessionEndedError
from litz.errors import LitzError
from litz.events import EndReason, SessionEnded
from litz.testing.manager_case import take

LANES = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """Lost wake-ups between threads show when they change places between any two lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@contextmanager
def elsewhere(work: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """`work()` runs in a loop and thread of its own, and must end well."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        assert not thread.is_alive(), "the other thread hangs"
    if failures:
        raise failures[0]


async def in_thread(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 60)


async def exchange(manager: InprocTransportManager, dest: str, count: int) -> None:
    """Send `count` messages on each lane and receive as many; check order and completeness."""

    async def flood(lane: PayloadType) -> None:
        for number in range(count):
            await manager.send(dest, number, payload_type=lane)

    got: dict[PayloadType, list[tuple[int, int]]] = {lane: [] for lane in LANES}
    async with asyncio.TaskGroup() as group:
        for lane in LANES:
            group.create_task(flood(lane))
        async for message in manager.messages():
            got[message.payload_type].append((message.number, message.data))
            if sum(map(len, got.values())) == count * len(LANES):
                break
    for lane in LANES:
        assert got[lane] == [(number, number) for number in range(count)], lane


@pytest.mark.parametrize("limit", [1, 7, 16_384])
async def test_both_ways_exactly_once_in_order_within_bounds(limit: int) -> None:
    hub = Hub()
    count = 300 if limit < 10 else 5000
    done = threading.Event()

    async def other() -> None:
        async with InprocTransportManager("b", hub, queue_messages=limit, connect_timeout=30) as b:
            await exchange(b, "a", count)
            await b.drain()
            await in_thread(done)

    with elsewhere(other):
        async with InprocTransportManager("a", hub, queue_messages=limit, connect_timeout=30) as a:
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
        async with InprocTransportManager("a", hub, queue_messages=5, connect_timeout=30) as a:
            try:
                await a.get_or_create_transport("b")
                for number in range(5):
                    a.send_nowait("b", number)
                await a.drain("b", timeout=30)
                with pytest.raises(BackpressureError):
                    a.send_nowait("b", 5)
                waiting = [asyncio.ensure_future(a.send("b", n, confirm="processed")) for n in range(5, 9)]
                await asyncio.sleep(0)
                consume.set()
                assert [receipt.number for receipt in await asyncio.gather(*waiting)] == [5, 6, 7, 8]
                thing = object()
                assert await a.request("b", thing) is thing
                with pytest.raises(RemoteError, match="KeyError"):
                    await a.request("b", "raise")
                with pytest.raises(TimeoutError):
                    await a.request("b", "hang", timeout=0.05)
                await in_thread(cancelled)
                for number in range(20):
                    await a.send("b", number, confirm="received")
            finally:
                consume.set()
                stop.set()


async def test_what_the_close_of_a_session_loses_is_exactly_what_was_not_received() -> None:
    hub = Hub()
    stop = threading.Event()
    received: list[tuple[int, int]] = []

    async def other() -> None:
        async with InprocTransportManager("b", hub) as b:
            serving = asyncio.ensure_future(b.serve(lambda message: received.append(message.data)))
            await in_thread(stop)
            serving.cancel()
            await asyncio.wait([serving])

    sent: list[tuple[int, int]] = []
    lost: list[tuple[int, int]] = []
    rng = random.Random(7)
    with elsewhere(other):
        async with InprocTransportManager("a", hub, connect_timeout=30) as a:
            for round_number in range(60):
                names = {}
                for index in range(rng.randrange(400)):
                    if rng.random() < 0.005:
                        await a.drain("b")
                    receipt = await a.send("b", (round_number, index))
                    names[receipt] = (round_number, index)
                sent += names.values()
                lost += [names[item.receipt] for item in await a.close_transport("b")]
            await a.send("b", (-1, -1), confirm="processed")
            stop.set()
    received.remove((-1, -1))
    assert len(received) == len(set(received)), "something was doubled"
    assert sorted(received + lost) == sorted(sent)
    assert received == sorted(received), "something was reordered"
    assert received
    assert lost


@pytest.mark.parametrize("closer", ["own loop", "foreign loop"])
async def test_a_peer_that_closes_at_any_moment_leaves_typed_ends(closer: str) -> None:
    hub = Hub()
    rng = random.Random(3)
    for _ in range(15):
        entered, close = threading.Event(), threading.Event()
        managers: list[InprocTransportManager] = []

        async def other(
            entered: threading.Event = entered,
            close: threading.Event = close,
            managers: list[InprocTransportManager] = managers,
        ) -> None:
            async with InprocTransportManager("b", hub) as b:
                managers.append(b)
                entered.set()
                serving = asyncio.ensure_future(b.serve(lambda message: message.data))
                await in_thread(close)
                await serving if closer == "foreign loop" else serving.cancel()
                await asyncio.wait([serving])

        with elsewhere(other):
            async with InprocTransportManager("a", hub, queue_messages=50) as a:
                await in_thread(entered)

                async def flood(a: InprocTransportManager = a) -> None:
                    while True:
                        await a.send("b", 1)

                async def ask(a: InprocTransportManager = a) -> None:
                    while True:
                        await a.request("b", 1)

                tasks = [asyncio.ensure_future(flood()), asyncio.ensure_future(ask())]
                for _ in range(rng.randrange(50)):
                    await asyncio.sleep(0)
                close.set()
                if closer == "foreign loop":
                    await managers[0].aclose()
                _, pending = await asyncio.wait(tasks, timeout=30)
                assert not pending
                assert all(isinstance(task.exception(), LitzError) for task in tasks)
                await a.close_all()
    assert (hub.node_count, repr(hub)) == (0, "<hub: 0 nodes, 0 sessions>")


async def test_both_sides_meet_at_the_same_time() -> None:
    hub = Hub()
    for _ in range(30):
        barrier = threading.Barrier(2)

        async def meet(own: str, peer: str, barrier: threading.Barrier = barrier) -> None:
            async with InprocTransportManager(own, hub, connect_timeout=30) as manager:
                await asyncio.to_thread(barrier.wait, 30)
                await manager.send(peer, own)
                async for message in manager.messages():
                    assert (message.data, message.number) == (peer, 0)
                    break
                assert manager.list_dests() == [peer]
                await manager.drain()
                await asyncio.to_thread(barrier.wait, 30)

        with elsewhere(lambda meet=meet: meet("b", "a")):  # type: ignore[misc]
            await meet("a", "b")


async def test_a_loop_that_ended_without_aclose_is_found_out() -> None:
    hub = Hub()
    abandoned: list[InprocTransportManager] = []
    met = threading.Event()

    async def other() -> None:
        b = InprocTransportManager("b", hub)
        await b.__aenter__()
        abandoned.append(b)
        await in_thread(met)

    async with InprocTransportManager("a", hub, connect_timeout=30) as a:
        with elsewhere(other):
            await a.send("b", 0)
            await a.drain()
            met.set()
        events = a.events()
        await a.send("b", 1)
        with pytest.raises(PeerClosedError):
            await a.drain()
        async for _, event in events:
            if isinstance(event, SessionEnded):
                assert event.reason is EndReason.UNKNOWN_TO_PEER
                assert len(event.lost) == 1
                break
        async with InprocTransportManager("b", hub) as b:
            await a.send("b", 2)
            assert [message.data async for message in _first(b)] == [2]
        await abandoned[0].aclose()
    with pytest.raises(LitzError):
        abandoned[0].threadsafe.send("a", 1)


async def _first(manager: InprocTransportManager) -> Any:
    async for message in manager.messages():
        yield message
        return


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
        async with InprocTransportManager("a", hub, connect_timeout=30) as a:
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
        drained = asyncio.ensure_future(a.drain("b", timeout=20))

        async def other() -> None:
            async with InprocTransportManager("b", hub) as b:
                async with asyncio.timeout(20):
                    assert [message.data for message in await take(b, 3)] == [0, 1, 2]
                await in_thread(done)

        done = threading.Event()
        with elsewhere(other):
            try:
                await drained
            finally:
                done.set()


async def test_a_link_made_while_the_peer_closes_is_ended_by_it() -> None:
    hub = Hub()
    closing, sent, ended = threading.Event(), threading.Event(), threading.Event()

    async def other() -> None:
        async with InprocTransportManager("a", hub) as a:
            await in_thread(closing)
            sending = asyncio.ensure_future(a.send("b", 1, confirm="processed"))
            await asyncio.sleep(0)
            sent.set()
            with pytest.raises(SessionEndedError) as caught:
                async with asyncio.timeout(20):
                    await sending
            assert [lost.outcome.name for lost in caught.value.lost] == ["NEVER_ACCEPTED"]
            assert a.dest_count == 0
            ended.set()

    with elsewhere(other):
        b = InprocTransportManager("b", hub)
        await b.__aenter__()
        close = asyncio.ensure_future(b.aclose())
        await asyncio.sleep(0)
        # The closing task is next in line. What the other thread asks of us now comes behind it.
        closing.set()
        assert sent.wait(20)
        await close
        await in_thread(ended)


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
        async with InprocTransportManager("a", hub, queue_messages=4, connect_timeout=30) as a:
            try:
                for number in range(1000):
                    await a.send("b", number, payload_type=lane)
                await a.send("b", 1, confirm="received")
            finally:
                stop.set()
                await in_thread(counted)
    assert counts == [4]


async def test_confirm_fails_typed_when_the_other_thread_closes() -> None:
    hub = Hub()
    close = threading.Event()

    async def other() -> None:
        async with InprocTransportManager("b", hub):
            await in_thread(close)

    with elsewhere(other):
        async with InprocTransportManager("a", hub, connect_timeout=30) as a:
            sending = asyncio.ensure_future(a.send("b", 1, confirm="processed"))
            await a.wait_connected("b", timeout=30)
            close.set()
            with pytest.raises(SessionEndedError):
                await sending
