"""All there is for one dest: sessions outlive wires, wires come and go, and every end is told."""

from __future__ import annotations

import asyncio

import pytest

from litz import PayloadType
from litz.errors import SessionEndedError, SessionExpiredError
from litz.events import EndReason, LaneMoved, LostReceipt, Outcome, SessionEnded, SessionStarted, WireDown, WireUp
from litz.snapshot import DestState
from litz.wire import Endpoint
from tests.unit.outproc.town import Town, event_of, take, turns, virtual


def test_a_session_outlives_its_wires_and_nothing_is_lost_or_doubled() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            for number in range(50):
                await alice.send("bob", b"%d" % number)
                if number % 5 == 4:
                    await turns(number % 3)
                    town.builders["alice"].cut()
                    await turns(number % 7)
                    await alice.send("bob", b"meanwhile", payload_type=PayloadType.RPC_SIGNAL, confirm="received")
            assert [data for data in await take(bob, 60) if data != b"meanwhile"] == [
                b"%d" % number for number in range(50)
            ]
            await alice.drain("bob")
            (dest,) = alice.snapshot().dests
            assert (dest.session, dest.heals) == (0, 10)

    virtual(scenario)


def test_what_happens_is_told_in_order() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            events = bob.events()
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            town.builders["alice"].cut()
            await alice.send("bob", b"1", confirm="received")
            await alice.close_transport("bob", reason="done")
            told: list[object] = []
            async for _, event in events:
                if isinstance(event, SessionStarted | WireUp | WireDown | SessionEnded):
                    told.append(type(event))
                if isinstance(event, SessionEnded):
                    assert (event.reason, event.detail, event.lost) == (EndReason.CLOSED_BY_PEER, "done", ())
                    break
            assert told[:4] == [SessionStarted, WireUp, WireDown, WireUp]
            assert told.count(SessionStarted) == 1

    virtual(scenario)


def test_a_session_without_wires_expires_and_says_what_was_not_confirmed() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", session_kept=30) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            await listener.aclose()
            events = alice.events()
            town.builders["alice"].cut()
            began = asyncio.get_running_loop().time()
            await turns()
            assert alice.has_dest("bob") is DestState.DETACHED
            waiting = asyncio.ensure_future(alice.send("bob", b"1", confirm="received"))
            ended = await event_of(events, SessionEnded)
            assert asyncio.get_running_loop().time() - began == pytest.approx(30, abs=0.1)
            assert (ended.reason, [entry.outcome for entry in ended.lost]) == (
                EndReason.EXPIRED,
                [Outcome.NEVER_ACCEPTED],
            )
            with pytest.raises(SessionExpiredError, match="no wire"):
                await waiting
            await bob.listen("memory:bob")
            await alice.send("bob", b"again")
            assert alice.snapshot().dests[0].session == 1

    virtual(scenario)


def test_a_heal_within_the_time_keeps_the_session() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", session_kept=30) as bob, town.manager("alice", session_kept=30) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            await listener.aclose()
            town.builders["alice"].cut()
            await asyncio.sleep(20)
            await bob.listen("memory:bob")
            await asyncio.sleep(60)
            await alice.send("bob", b"1")
            assert [node.snapshot().dests[0].session for node in (alice, bob)] == [0, 0]
            assert await take(bob, 2) == [b"0", b"1"]

    virtual(scenario)


def test_closing_says_goodbye_and_learns_what_the_peer_has() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", window_messages=3) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            receipts = [await alice.send("bob", b"%d" % number) for number in range(8)]
            await asyncio.sleep(1)
            events = bob.events()
            lost = await alice.close_transport("bob", reason="enough")
            assert [entry.receipt for entry in lost] == receipts[3:]
            assert {entry.outcome for entry in lost} == {Outcome.NEVER_ACCEPTED}
            ended = await event_of(events, SessionEnded)
            assert (ended.reason, ended.detail) == (EndReason.CLOSED_BY_PEER, "enough")
            assert (alice.list_dests(), bob.list_dests()) == ([], [])
            assert await take(bob, 3) == [b"0", b"1", b"2"]

    virtual(scenario)


def test_closing_towards_a_peer_that_is_gone_takes_bounded_time() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", close_timeout=4) as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            await alice.send("bob", b"1")
            (wire,) = town.builders["alice"].wires
            wire.write = lambda buffers: None  # type: ignore[method-assign]  # half open: nobody hears the goodbye
            began = asyncio.get_running_loop().time()
            lost = await alice.close_transport("bob")
            assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.1)
            assert [entry.outcome for entry in lost] == [Outcome.UNKNOWN]

    virtual(scenario)


def test_what_was_asked_to_close_twice_closes_once() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            await asyncio.gather(*(alice.close_transport("bob") for _ in range(3)), bob.close_transport("alice"))
            assert (alice.list_dests(), bob.list_dests()) == ([], [])
            assert await alice.close_transport("bob") == ()

    virtual(scenario)


def test_all_who_close_it_at_once_get_the_list_of_what_was_lost() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            await listener.aclose()
            town.builders["alice"].cut()
            await turns()
            receipt = await alice.send("bob", b"1")
            lists = await asyncio.gather(*(alice.close_transport("bob") for _ in range(3)))
            assert lists == [(LostReceipt(receipt, Outcome.NEVER_ACCEPTED),)] * 3

    virtual(scenario)


def test_of_two_that_dial_each_other_the_wires_of_one_stay() -> None:
    """Those of the smaller id; what the other dialled is closed, and not dialled again."""

    async def scenario() -> None:
        town = Town()
        knows = {name: [f"memory:{name}", f"memory:{name}2"] for name in ("alice", "bob")}
        async with town.manager("bob", knows=knows) as bob, town.manager("alice", knows=knows) as alice:
            for node in (alice, bob):
                await node.listen(f"memory:{node.local_id}")
                await node.listen(f"memory:{node.local_id}2")
            await asyncio.gather(alice.send("bob", b"x"), bob.send("alice", b"y"))
            await asyncio.sleep(30)
            (there,), (here,) = alice.snapshot().dests, bob.snapshot().dests
            assert [wire.dialled for wire in there.wires] == [True, True]
            assert [wire.dialled for wire in here.wires] == [False, False]
            dials = [len(town.builders[name].dials) for name in ("alice", "bob")]
            await asyncio.sleep(300)
            assert [len(town.builders[name].dials) for name in ("alice", "bob")] == dials
            assert await take(bob, 1) == [b"x"]
            assert await take(alice, 1) == [b"y"]

    virtual(scenario)


def test_lanes_move_to_the_next_wire() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            events = alice.events()
            town.builders["alice"].cut()
            moved = {(await event_of(events, LaneMoved)).lane for _ in PayloadType if _ is not PayloadType.MEDIA}
            assert moved >= {PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL}
            (dest,) = alice.snapshot().dests
            assert all(lane.wire for lane in dest.lanes)

    virtual(scenario)


def test_a_restarted_peer_is_a_new_session_and_the_old_one_ends_loudly() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", window_messages=1) as alice:
            await alice.listen("memory:alice")
            bob = town.manager("bob")
            async with bob:
                await bob.send("alice", b"old")
                alice.send_nowait("bob", b"never read")
                await asyncio.sleep(1)
                # Bob's process is killed: nothing is said any more.
                for wire in town.builders["bob"].wires:
                    wire.write = lambda buffers: None  # type: ignore[method-assign]  # and nothing gets out
                events = alice.events()
                async with town.manager("bob") as born_again:
                    await born_again.send("alice", b"new", confirm="received")
                    ended = await event_of(events, SessionEnded)
                    assert ended.reason is EndReason.PEER_RESTARTED
                    assert len(ended.lost) <= 1
                    assert await take(alice, 2) == [b"old", b"new"]

    virtual(scenario)


def test_a_peer_that_forgot_the_session_is_not_sent_the_old_messages_again() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", session_kept=5) as bob, town.manager("alice", session_kept=600) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            await listener.aclose()
            town.builders["alice"].cut()
            await turns()
            waiting = asyncio.ensure_future(alice.send("bob", b"of the old session", confirm="received"))
            await asyncio.sleep(20)
            await bob.listen("memory:bob")
            with pytest.raises(SessionEndedError) as caught:
                await waiting
            assert [entry.outcome for entry in caught.value.lost] == [Outcome.NEVER_ACCEPTED]
            await alice.send("bob", b"1", confirm="received")
            assert await take(bob, 2) == [b"0", b"1"]

    virtual(scenario)


def test_at_the_limit_of_wires_the_longest_silent_makes_room() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", max_wires=2) as bob, town.manager("alice") as alice:
            endpoints = [Endpoint("memory", f"memory:bob{number}") for number in range(3)]
            for endpoint in endpoints:
                await bob.listen(str(endpoint))
            alice.add_endpoints("bob", map(str, endpoints))
            await alice.send("bob", b"x", confirm="received")
            await asyncio.sleep(30)
            assert 1 <= len(bob.snapshot().dests[0].wires) <= 2

    virtual(scenario)
