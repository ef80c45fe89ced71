"""Peers in different threads that close, or are gone: what was lost is told exactly, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import PeerClosedError, SessionEndedError
from litz.errors import LitzError
from litz.events import EndReason, SessionEnded
from tests.unit.inproc.second_thread import elsewhere, in_thread


@pytest.fixture(autouse=True)
def threads_take_turns_often() -> Iterator[None]:
    """Lost wake-ups between threads show when they change places between any two lines."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


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
        async with InprocTransportManager("a", hub, connect_timeout=120) as a:
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
                _, pending = await asyncio.wait(tasks, timeout=120)
                assert not pending
                assert all(isinstance(task.exception(), LitzError) for task in tasks)
                await a.close_all()
    assert (hub.node_count, repr(hub)) == (0, "<hub: 0 nodes, 0 sessions>")


async def test_a_loop_that_ended_without_aclose_is_found_out() -> None:
    hub = Hub()
    abandoned: list[InprocTransportManager] = []
    met = threading.Event()

    async def other() -> None:
        b = InprocTransportManager("b", hub)
        await b.__aenter__()
        abandoned.append(b)
        await in_thread(met)

    async with InprocTransportManager("a", hub, connect_timeout=120) as a:
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
                async with asyncio.timeout(120):
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
        assert sent.wait(120)
        await close
        await in_thread(ended)


async def test_confirm_fails_typed_when_the_other_thread_closes() -> None:
    hub = Hub()
    close = threading.Event()

    async def other() -> None:
        async with InprocTransportManager("b", hub):
            await in_thread(close)

    with elsewhere(other):
        async with InprocTransportManager("a", hub, connect_timeout=120) as a:
            sending = asyncio.ensure_future(a.send("b", 1, confirm="processed"))
            await a.wait_connected("b", timeout=120)
            close.set()
            with pytest.raises(SessionEndedError):
                await sending
