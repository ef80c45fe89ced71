"""A peer in another thread whose loop is gone without a word: what it did not take goes to the next of its id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import LaneReceived, Outcome, PayloadType, SessionEndedError
from litz.events import EndReason, SessionEnded


class Stopped:
    """A manager in a loop that runs only when told to, and is closed without `aclose`."""

    def __init__(self, hub: Hub, local_id: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.manager = InprocTransportManager(local_id, hub)
        self._run(self.manager.__aenter__())

    def _run(self, work: Any) -> Any:
        # In a thread of its own: a loop cannot run inside another one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self.loop.run_until_complete, work).result(60)

    def turns(self) -> None:
        """Let what waits for its loop happen."""
        self._run(asyncio.sleep(0))

    async def die(self) -> None:
        self.loop.close()
        await self.manager.aclose()


async def ended(events: AsyncIterator[Any]) -> SessionEnded:
    async for _, event in events:
        if isinstance(event, SessionEnded):
            return event
    raise AssertionError("no end")


@pytest.mark.parametrize("policy", ["surface", "resend"])
async def test_what_was_on_its_way_goes_to_the_next_one_or_is_told(policy: str) -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, on_restart={"b": policy}) as a:  # type: ignore[dict-item]  # parameter
        old = Stopped(hub, "b")
        await a.send("b", "taken")
        old.turns()
        events = a.events()
        for number in range(3):
            await a.send("b", number)
        await a.send("b", "aside", payload_type=PayloadType.STREAM_RELIABLE, key="k")
        confirmed = asyncio.ensure_future(a.send("b", 3, confirm="processed"))
        drained = asyncio.ensure_future(a.drain("b"))
        await asyncio.sleep(0)
        await old.die()
        end = await ended(events)
        assert end.reason is EndReason.UNKNOWN_TO_PEER
        async with InprocTransportManager("b", hub) as b:
            got = []
            if policy == "surface":
                assert ([entry.receipt[1] for entry in end.lost], end.resent) == ([1, 2, 3, 4, 0], ())
                for waiting in (confirmed, drained):
                    with pytest.raises(SessionEndedError):
                        await waiting
                return
            assert end.lost == ()
            assert [(each.receipt[1], each.again[1]) for each in end.resent] == [(1, 0), (2, 1), (3, 2), (4, 3), (0, 0)]
            assert {each.outcome for each in end.resent} == {Outcome.NEVER_ACCEPTED}
            newer = await a.send("b", "newer")
            async for message in b.messages():
                got.append((message.payload_type, message.number, message.data, message.redelivered, message.key))
                if len(got) == 6:
                    break
            await asyncio.gather(confirmed, drained)
            plain = [(data, number) for kind, number, data, _, _ in got if kind is PayloadType.RPC_RELIABLE]
            assert plain == [(0, 0), (1, 1), (2, 2), (3, 3), ("newer", 4)]
            assert (PayloadType.STREAM_RELIABLE, 0, "aside", False, "k") in got
            assert newer[1] == 4
            assert {each.again[0].session for each in end.resent} == {newer[0].session}


async def test_a_successor_that_comes_at_once_gets_it_too_and_requests_fail() -> None:
    """The hub tells of the end when somebody else takes the id: then the next session begins in the same moment."""
    hub = Hub()
    async with InprocTransportManager("a", hub, on_restart="resend") as a:
        old = Stopped(hub, "b")
        await a.send("b", "first")
        request = asyncio.ensure_future(a.request("b", "?"))
        drained = asyncio.ensure_future(a.drain("b"))
        await asyncio.sleep(0)
        await a.send("b", "last")
        events = a.events()
        old.loop.close()
        async with InprocTransportManager("b", hub) as b:
            end = await ended(events)
            assert end.reason is EndReason.PEER_RESTARTED
            with pytest.raises(ConnectionError, match="never reached"):
                await request
            with pytest.raises(SessionEndedError):
                await drained
            assert [entry.receipt[1] for entry in end.lost] == [1]
            got = []
            async for message in b.messages():
                got.append(message.data)
                if len(got) == 2:
                    break
            assert got == ["first", "last"]
            await a.drain("b")
        await old.manager.aclose()


async def test_who_leaves_sends_nothing_again_and_lists_it() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, on_restart="resend") as a:
        old = Stopped(hub, "b")
        receipts = [await a.send("b", number) for number in range(3)]
        leaving = asyncio.ensure_future(a.drain(final=True, timeout=60))
        await asyncio.sleep(0)
        await old.die()
        assert [entry.receipt for entry in await leaving] == receipts


async def test_both_sides_learn_which_life_it_was_and_how_far_it_came() -> None:
    hub = Hub()
    async with InprocTransportManager("b", hub) as b:
        events = b.events()
        origins = []
        for _ in range(2):
            async with InprocTransportManager("a", hub) as a:
                for number in range(3):
                    await a.send("b", number)
                async for message in b.messages():
                    origins.append(message.origin)
                    if message.number == 2:
                        break
            end = await ended(events)
            assert end.received == (LaneReceived(0, 3),)
            assert {origin.incarnation for origin in origins[-3:]} == {end.incarnation}
        assert len(set(origins)) == 6
