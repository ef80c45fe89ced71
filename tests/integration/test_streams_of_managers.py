"""Streams between two managers on real wires, at the port on which the public verbs stand. Covers
`outproc.streams.streams`, `outproc.streams.session_streams`, `outproc.streams.side`, `outproc.streams.side_lanes`,
`outproc.streams.traffic`, `outproc.streams.offers`, `outproc.streams.log_room`, `outproc.streams.sight`,
`outproc.stream_hooks`."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ManagerStateError, PeerClosedError, StreamRefusedError
from litz.snapshot import StreamsSnapshot
from litz.stream_port import Abort, Refusal, Refused
from tests.integration.outproc_nodes import Manager, until
from tests.integration.stream_nodes import nothing_left, opened, streams_of, two_nodes
from tests.integration.stream_users import Service, User, carrier


def dest_streams(manager: Manager) -> StreamsSnapshot | None:
    return manager.snapshot().dests[0].streams if manager.snapshot().dests else None


async def test_a_stream_goes_both_ways_and_ends_complete() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "echo", echo=True)
        side = await carrier(alice).open("bob", "echo", b"what it is about", pipe=True, timeout=60.0)
        user = User(side)
        assert (side.dest, side.number, side.link_up) == ("bob", 16, True)
        (offer,) = service.offers
        assert (offer.sender, offer.service, offer.metadata, offer.pipe) == ("alice", "echo", b"what it is about", True)
        assert not offer.verified
        for number in range(1_000):
            await user.write(b"%d" % number)
        await user.write((b"many ", memoryview(b"buffers"), bytearray(b"!") * 5_000), 5_012)
        side.want_confirmed()
        await user.heard("confirmed")
        assert side.unconfirmed == side.buffered == 0
        side.finish()
        side.finish()  # idempotent
        await user.heard("finished")
        assert user.entries == [*(b"%d" % number for number in range(1_000)), b"many buffers" + b"!" * 5_000]
        assert user.end is None
        assert service.users[0].end is None
        side.release()
        service.users[0].side.release()
        await nothing_left(alice, bob)


async def test_streams_are_refused_with_a_type_and_a_reason() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "busy")
        service.answer = Refused(Refusal.BUSY, "full house", 2.5)
        with pytest.raises(StreamRefusedError, match="full house") as refused:
            await opened(alice, service="busy")
        assert isinstance(refused.value, OSError)
        assert (refused.value.why, refused.value.retry_after) == (Refusal.BUSY, 2.5)
        with pytest.raises(StreamRefusedError, match="no such service") as refused:
            await opened(alice, service="unheard-of")
        assert (refused.value.why, refused.value.retry_after) == (Refusal.REFUSED, None)
        await nothing_left(alice, bob)


async def test_an_abort_is_told_with_its_code_and_reason_and_drops_what_waits() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "deaf", reads=False)
        user = await opened(alice, service="deaf")
        await until(lambda: not user.side.write(b"x" * 65_536, 65_536), "there is no room any more")
        assert user.side.buffered > 0
        user.side.abort(Abort.CANCELLED, "changed my mind")
        user.side.release()
        (other,) = service.users
        await other.heard("aborted")
        assert other.end == ("aborted", Abort.CANCELLED)
        with pytest.raises(RuntimeError, match="takes nothing more"):
            other.side.write(b"x", 1)
        other.side.abort(Abort.REJECTED, "")  # a no-op after the end
        other.read()
        other.side.release()
        await nothing_left(alice, bob)


async def test_a_cancelled_open_is_aborted_at_the_peer_whatever_came_of_it() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "slow")
        await opened(alice, service="slow")
        for turns in range(12):
            opening = asyncio.create_task(opened(alice, service="slow"))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled():
                opening.result().side.release()
        await until(lambda: streams_of(alice, "bob").table.live == 1, "all but the first are gone here")
        await until(lambda: streams_of(bob, "alice").table.live == 1, "and there")
        await until(lambda: all(user.end == ("aborted", Abort.CANCELLED) for user in service.users[1:]), "users know")


async def test_closing_a_manager_ends_its_streams_at_both_sides_loudly() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "echo")
        user = await opened(alice)
        await alice.aclose()
        assert user.end is not None
        assert isinstance(user.end[1], ManagerStateError)
        (other,) = service.users
        await until(lambda: other.end is not None, "the peer hears")
        assert other.end is not None
        assert isinstance(other.end[1], PeerClosedError)


async def test_closing_a_transport_loses_its_streams_with_its_error() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "echo")
        user = await opened(alice)
        await alice.close_transport("bob", reason="enough")
        assert user.end is not None
        assert isinstance(user.end[1], PeerClosedError)
        assert "enough" in str(user.end[1])
        (other,) = service.users
        await until(lambda: other.end is not None, "the peer hears")
        assert other.end is not None
        assert isinstance(other.end[1], PeerClosedError)


async def test_what_there_is_of_streams_is_in_the_snapshot() -> None:
    async with two_nodes() as (alice, bob):
        assert dest_streams(alice) is None
        Service(bob, "echo", echo=True)
        Service(bob, "deaf", reads=False)
        user, deaf = await opened(alice), await opened(alice, service="deaf")
        with pytest.raises(StreamRefusedError):
            await opened(alice, service="unheard-of")
        await user.write(b"12345")
        await user.heard("received")
        await deaf.write(b"123")
        deaf.side.want_confirmed()
        await deaf.heard("confirmed")
        deaf.side.attach(False)
        here, there = dest_streams(alice), dest_streams(bob)
        assert here is not None
        assert there is not None
        assert (here.count, here.opened, here.refused_there, here.accepted) == (2, 2, 1, 0)
        assert (there.count, there.opened, there.refused_here, there.accepted) == (2, 0, 1, 2)
        assert [(row.number, row.service, row.state, row.bytes_in, row.bytes_out) for row in here.rows] == [
            (16, "echo", "open", 5, 5),
            (18, "deaf", "open", 0, 3),
        ]
        assert [row.attached for row in here.rows] == [True, False]
        assert [(row.opened_here, row.unread) for row in there.rows] == [(False, 0), (False, 3)]
        assert here.wire
        assert here.reason
        assert there.granted >= 2 * 65_536 - 8
        for each in (user, deaf):
            each.side.release()
        await until(lambda: (found := dest_streams(bob)) and found.count == 1, "all but what nobody has read is gone")
        found = dest_streams(bob)
        assert found is not None
        assert [(row.state, row.unread) for row in found.rows] == [("gone", 3)]
        assert found.aborted == 2
