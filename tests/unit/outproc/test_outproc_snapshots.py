"""The state of a node as plain values: what the numbers mean, by what was done before."""

from __future__ import annotations

import asyncio

import pytest

from litz import PayloadType
from litz.snapshot import DestSnapshot, DestState, LaneSnapshot
from tests.unit.outproc.town import Town, take, turns, virtual

RPC, SIGNAL, LOSSY = PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_LATENCY_FIRST


def lane_of(dest: DestSnapshot, lane: int) -> LaneSnapshot:
    (found,) = [each for each in dest.lanes if each.lane == lane]
    return found


def test_both_directions_of_a_lane() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            for number in range(5):
                await alice.send("bob", b"%d" % number)
            await alice.send("bob", b"!", payload_type=SIGNAL)
            await alice.drain("bob")
            (there,), (here,) = alice.snapshot().dests, bob.snapshot().dests
            lane, signal = lane_of(there, RPC), lane_of(there, SIGNAL)
            assert (lane.lane, lane.sent, lane.acked, lane.processed, lane.logged) == (0, 5, 5, 0, 0)
            assert (signal.sent, signal.acked) == (1, 1)
            incoming = lane_of(here, RPC)
            assert (incoming.received, incoming.delivered, incoming.inbox, incoming.inbox_bytes) == (5, 0, 5, 5)
            assert bob.snapshot().inbox_bytes == 6
            assert (incoming.sent, lane.received) == (0, 0)
            await take(bob, 6)
            await asyncio.sleep(1)
            assert lane_of(alice.snapshot().dests[0], RPC).processed == 5
            assert (lane_of(bob.snapshot().dests[0], RPC).delivered, bob.snapshot().inbox_bytes) == (5, 0)

    virtual(scenario)


def test_a_dest_that_is_being_dialled() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", backoff_base=60, backoff_cap=60) as alice:
            alice.send_nowait("bob", b"1234")
            await asyncio.sleep(1)
            snapshot = alice.snapshot()
            assert (snapshot.local_id, snapshot.running, snapshot.logged_bytes) == ("alice", True, 4)
            (dest,) = snapshot.dests
            assert (dest.dest, dest.state, dest.wires) == ("bob", DestState.CONNECTING, ())
            lane = lane_of(dest, RPC)
            assert (lane.sent, lane.logged, lane.logged_bytes, lane.wire) == (1, 1, 4, "")
            (slot,) = dest.slots
            assert (slot.endpoint, slot.state, slot.dials >= 1, slot.failures >= 1) == (
                "memory:bob",
                "cooling",
                True,
                True,
            )
            assert slot.retry_in is not None
            assert 0 < slot.retry_in <= 60
            assert slot.last_error == "ConnectionRefusedError: nobody listens at memory:bob"

    virtual(scenario)


def test_the_wires_of_a_dest_and_its_history() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            town.builders["alice"].cut()
            await alice.send("bob", b"1", confirm="received")
            await asyncio.sleep(7)
            (dest,), (back,) = alice.snapshot().dests, bob.snapshot().dests
            (wire,), (far,) = dest.wires, back.wires
            assert (wire.kind, wire.dialled, far.dialled) == ("memory", True, False)
            assert "memory:bob" in wire.path
            assert wire.age == pytest.approx(7, abs=0.2)
            assert (wire.bytes_out, wire.frames_out) == (far.bytes_in, far.frames_in)
            assert (wire.bytes_in, wire.frames_in) == (far.bytes_out, far.frames_out)
            assert wire.buffered == 0
            assert (dest.heals, dest.session, dest.verified) == (1, 0, False)
            assert dest.slots[0].state == "ready"
            assert bob.snapshot().endpoints == ("memory:bob",)

    virtual(scenario)


def test_what_was_replayed_and_doubled_is_counted_beyond_the_session() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0", confirm="received")
            (wire,) = town.builders["alice"].wires
            wire.write = lambda buffers: None  # type: ignore[method-assign]  # it breaks with something on it
            await alice.send("bob", b"1")
            await turns()
            town.builders["alice"].cut()
            await alice.drain("bob")
            assert (alice.snapshot().dests[0].replayed, bob.snapshot().dests[0].duplicates_dropped) == (1, 0)
            await alice.send("bob", b"2", confirm="received")
            assert alice.snapshot().dests[0].replayed == 1

    virtual(scenario)


def test_lossy_messages_are_counted_too() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.get_or_create_transport("bob")
            for _ in range(3):
                await alice.send("bob", b"x", payload_type=LOSSY)
            await asyncio.sleep(1)
            out, into = (lane_of(node.snapshot().dests[0], LOSSY) for node in (alice, bob))
            assert (out.lane, out.sent, out.dropped, out.logged) == (LOSSY, 3, 0, 0)
            assert (into.received, into.delivered, into.inbox, into.inbox_bytes) == (3, 3, 3, 3)

    virtual(scenario)


def test_before_and_after_its_life_a_manager_has_nothing() -> None:
    async def scenario() -> None:
        alice = Town().manager("alice")
        assert (alice.snapshot().running, alice.snapshot().dests, alice.dest_count) == (False, (), 0)
        async with alice:
            assert alice.snapshot().running
        assert (alice.snapshot().running, alice.snapshot().dests) == (False, ())

    virtual(scenario)
