"""Sending to one dest: limits, the line for space, what policies drop, and who is told when it is confirmed."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from litz import PayloadType
from litz.errors import BackpressureError, ConnectError, MessageDroppedError, PeerClosedError, SessionEndedError
from litz.events import DropReason, MessagesDropped
from outproc import Overflow
from tests.unit.outproc.town import Town, event_of, take, turns, virtual

RPC = PayloadType.RPC_RELIABLE


def test_those_who_wait_for_space_get_it_in_the_order_of_asking() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", log_messages=2) as alice:
            for number in range(2):
                alice.send_nowait("bob", b"%d" % number)
            waiting = []
            for number in range(2, 20):
                waiting.append(asyncio.ensure_future(alice.send("bob", b"%d" % number, when_down="queue")))
                await turns(3)
            with pytest.raises(BackpressureError):
                alice.send_nowait("bob", b"may not overtake")
            assert not any(task.done() for task in waiting)
            await bob.listen("memory:bob")
            assert await take(bob, 20) == [b"%d" % number for number in range(20)]
            assert [task.result()[1] for task in waiting] == list(range(2, 20))

    virtual(scenario)


def test_whoever_gives_up_waiting_is_not_sent_and_holds_up_nobody() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", log_messages=1) as alice:
            alice.send_nowait("bob", b"0")
            waiting = [asyncio.ensure_future(alice.send("bob", b"%d" % n, when_down="queue")) for n in (1, 2, 3)]
            await turns()
            waiting[0].cancel()
            waiting[2].cancel()
            await bob.listen("memory:bob")
            await waiting[1]
            await alice.send("bob", b"last")
            assert await take(bob, 3) == [b"0", b"2", b"last"]

    virtual(scenario)


def test_a_message_to_each_of_many_dests_fits_however_many_more_might_be_sent_to_them() -> None:
    """What the fast path may take of the logs of the process is not taken yet."""

    async def scenario() -> None:
        town = Town()
        stream = PayloadType.STREAM_RELIABLE
        policies = {stream: Overflow.REJECT}
        async with town.manager("alice", process_log_size=100_000, max_message=10_000, overflow=policies) as alice:
            for number in range(1000):
                alice.send_nowait(f"dest-{number}", bytes(64))
            for number in range(100):
                await alice.send(f"dest-{number}", bytes(64), payload_type=stream, when_down="queue")
            await turns()
            assert alice.snapshot().logged_bytes == 1100 * 64
            with pytest.raises(BackpressureError, match="all logs of this manager"):
                for number in range(1000):
                    alice.send_nowait(f"dest-{number}", bytes(64))
            assert alice.snapshot().logged_bytes <= 100_000

    virtual(scenario)


def test_the_limit_of_the_process_holds_across_dests_and_its_end_is_shared() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", process_log_size=3000, max_message=3000) as alice:
            alice.send_nowait("bob", bytes(2000))
            alice.send_nowait("carol", bytes(900))
            waiting = asyncio.ensure_future(alice.send("carol", bytes(500), when_down="queue"))
            await turns()
            assert not waiting.done()
            assert alice.snapshot().logged_bytes == 2900
            await bob.listen("memory:bob")
            assert (await waiting)[1] == 1

    virtual(scenario)


def test_what_many_dests_are_sent_in_one_turn_stays_below_the_limit_of_the_process() -> None:
    """What is accepted the fast way counts at once, not only when it is flushed."""

    async def scenario() -> None:
        town = Town()
        names = [f"bob{number}" for number in range(8)]
        async with contextlib.AsyncExitStack() as stack:
            for name in names:
                await (await stack.enter_async_context(town.manager(name))).listen(f"memory:{name}")
            alice = await stack.enter_async_context(
                town.manager("alice", process_log_size=100_000, max_message=1000, log_size=60_000)
            )
            for name in names:
                await alice.send(name, b"hello", confirm="received")
            for name in names * 100:
                with contextlib.suppress(BackpressureError):
                    alice.send_nowait(name, bytes(1000))
            assert 90_000 < alice.snapshot().logged_bytes <= 100_000
            await alice.drain()

    virtual(scenario)


@pytest.mark.parametrize("policy", [Overflow.DROP_OLDEST, Overflow.KEEP_LATEST])
def test_nothing_is_dropped_for_a_message_that_the_process_has_no_room_for(policy: Overflow) -> None:
    """Else the older one would be lost, and the newer one too."""
    stream = PayloadType.STREAM_RELIABLE

    async def scenario() -> None:
        town = Town()
        async with town.manager(
            "alice", overflow={stream: policy}, log_size=10_000, process_log_size=12_000, max_message=10_000
        ) as alice:
            alice.send_nowait("bob", bytes(4_000), payload_type=stream, key="k")
            alice.send_nowait("carol", bytes(7_000))
            with pytest.raises(BackpressureError):
                alice.send_nowait("bob", bytes(9_000), payload_type=stream, key="k")
            assert alice.snapshot().logged_bytes == 11_000

    virtual(scenario)


def test_closing_tells_those_who_wait_for_space() -> None:
    async def scenario() -> None:
        async with Town().manager("alice", log_messages=1) as alice:
            alice.send_nowait("bob", b"0")
            waiting = asyncio.ensure_future(alice.send("bob", b"1", when_down="queue"))
            await turns()
            lost = await alice.close_transport("bob")
            assert len(lost) == 1
            with pytest.raises((ConnectError, SessionEndedError), match="closed"):
                await waiting

    virtual(scenario)


@pytest.mark.parametrize(
    ("policy", "arrives", "dropped", "reason"),
    [
        (Overflow.DROP_OLDEST, [b"2", b"3"], [0, 1], DropReason.OLDEST),
        (Overflow.DROP_NEWEST, [b"0", b"1"], [2, 3], DropReason.NEWEST),
    ],
)
def test_what_a_policy_drops_is_told(
    policy: Overflow, arrives: list[bytes], dropped: list[int], reason: DropReason
) -> None:
    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("bob") as bob,
            town.manager("alice", log_messages=2, overflow={RPC: policy}) as alice,
        ):
            events = alice.events()
            for number in range(4):
                alice.send_nowait("bob", b"%d" % number)
            for number in dropped:
                event = await event_of(events, MessagesDropped)
                assert (event.dest, event.first, event.last, event.reason) == ("bob", number, number, reason)
            await bob.listen("memory:bob")
            assert await take(bob, 2) == arrives
            await alice.drain("bob", timeout=1)

    virtual(scenario)


def test_who_waits_for_a_message_that_is_dropped_hears_it() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", log_messages=1, overflow={RPC: Overflow.DROP_OLDEST}) as alice:
            confirmed = asyncio.ensure_future(alice.send("bob", b"0", confirm="received", when_down="queue"))
            asked = asyncio.ensure_future(alice.request("bob", b"?", when_down="queue"))
            await turns()
            alice.send_nowait("bob", b"pushes out")
            for waiter in (confirmed, asked):
                with pytest.raises(MessageDroppedError, match="choose another policy"):
                    await waiter

    virtual(scenario)


def test_a_lane_that_must_not_overflow_ends_its_session_loudly() -> None:
    async def scenario() -> None:
        async with Town().manager("alice", log_messages=1, overflow={RPC: Overflow.FAIL}) as alice:
            receipt = alice.send_nowait("bob", b"0")
            with pytest.raises(SessionEndedError, match="its policy is to fail") as caught:
                alice.send_nowait("bob", b"1")
            assert [entry.receipt for entry in caught.value.lost] == [receipt]
            assert alice.send_nowait("bob", b"a new session")[1] == 0

    virtual(scenario)


def test_confirmations_come_in_their_levels() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            processed = asyncio.ensure_future(alice.send("bob", b"1", confirm="processed"))
            await alice.drain("bob")
            assert not processed.done()
            assert await take(bob, 2) == [b"0", b"1"]
            assert (await processed)[1] == 1
            await alice.drain()

    virtual(scenario)


def test_an_end_of_the_session_tells_those_who_wait_what_the_peer_has() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            waiting = asyncio.ensure_future(alice.send("bob", b"1", confirm="processed"))
            await asyncio.sleep(1)
            await bob.close_transport("alice", reason="enough")
            with pytest.raises(PeerClosedError, match="enough"):
                await waiting

    virtual(scenario)


def test_those_who_wait_for_space_go_on_with_the_next_session() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", log_messages=1, session_kept=5) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            await listener.aclose()
            town.builders["alice"].cut()
            await turns()
            await alice.send("bob", b"of the old session")
            waiting = asyncio.ensure_future(alice.send("bob", b"of the new session"))
            await asyncio.sleep(10)
            assert (await waiting)[1] == 0
            await bob.listen("memory:bob")
            assert await take(bob, 2) == [b"0", b"of the new session"]

    virtual(scenario)


def test_what_is_lost_frees_the_log_of_the_process() -> None:
    async def scenario() -> None:
        async with Town().manager("alice") as alice:
            for dest in ("bob", "carol"):
                alice.send_nowait(dest, bytes(1000))
            assert alice.snapshot().logged_bytes == 2000
            await alice.close_transport("bob")
            assert alice.snapshot().logged_bytes == 1000

    virtual(scenario)
