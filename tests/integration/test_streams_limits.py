"""What bounds streams between managers: places, offers, drains and memory. On real wires, judged by counts.

Covers `outproc.streams.session_streams`, `outproc.streams.offers`, `outproc.streams.log_room`."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import DrainingError, PeerDrainingError, StreamRefusedError
from litz.stream_port import Abort, Later, Refusal, Refused
from outproc import TransportOptions
from tests.integration.outproc_nodes import LOOPBACK, Manager, dest_of, node, proxy_to, until, url_of
from tests.integration.stream_nodes import nothing_left, opened, streams_of, two_nodes
from tests.integration.stream_users import Service, User

ENTRY = 65_536


def frames(manager: Manager, dest: str) -> tuple[int, int]:
    """Out and in, over all wires of a dest."""
    wires = dest_of(manager, dest).wires
    return sum(wire.frames_out for wire in wires), sum(wire.frames_in for wire in wires)


async def fill(user: User) -> None:
    """Write until there is no room any more."""
    await until(lambda: not user.side.write(b"x" * ENTRY, ENTRY), "there is no room any more")


# -- many -------------------------------------------------------------------------------------------


async def test_a_thousand_opens_are_a_few_frames_each_way() -> None:
    async with two_nodes(ping_after=60.0) as (alice, bob):
        Service(bob, "echo", echo=True)
        await opened(alice)
        before = frames(alice, "bob")
        users = await asyncio.gather(*(opened(alice) for _ in range(1_000)))
        after = frames(alice, "bob")
        assert after[0] - before[0] <= 20
        assert after[1] - before[1] <= 20
        assert len({user.side.number for user in users}) == 1_000
        for user in users:
            user.side.release()
        await until(lambda: streams_of(bob, "alice").table.live == 1, "the peer has heard of all aborts")
        ended = frames(alice, "bob")
        assert ended[0] - after[0] <= 20


@pytest.mark.parametrize("many", [800, pytest.param(4_000, marks=[pytest.mark.prove, pytest.mark.limit(1200)])])
async def test_thousands_of_streams_echo_at_once_and_give_everything_back(many: int) -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "echo", echo=True)
        users = await asyncio.gather(*(opened(alice) for _ in range(many)))
        assert streams_of(alice, "bob").table.live == many
        for user in users:
            assert user.side.write(b"%d" % user.side.number * 100, 100 * len(str(user.side.number)))
            user.side.finish()
        for user in users:
            await user.heard("finished")
        assert all(b"".join(user.entries) == b"%d" % user.side.number * 100 for user in users)
        assert all(user.end is None for user in [*users, *service.users])
        for user in [*users, *service.users]:
            user.side.release()
        await nothing_left(alice, bob)


# -- places -----------------------------------------------------------------------------------------


async def test_too_many_streams_are_busy_here_at_once_and_there_with_a_time() -> None:
    async with two_nodes(max_streams=3) as (alice, bob):
        Service(bob, "echo")
        Service(alice, "echo")
        users = [await opened(alice), await opened(alice), await opened(bob, "alice")]
        for manager, dest in ((alice, "bob"), (bob, "alice")):
            with pytest.raises(StreamRefusedError, match="max_streams") as refused:
                await opened(manager, dest)
            assert refused.value.why == Refusal.BUSY
        users[0].side.release()
        await until(lambda: streams_of(bob, "alice").table.live == 2, "the peer knows")
        await opened(bob, "alice")


async def test_a_peer_with_fewer_places_says_when_to_come_again() -> None:
    async with (
        node("bob", listen=LOOPBACK, options={"max_streams": 1}) as bob,
        node("alice", knows={"bob": bob.endpoints}) as alice,
    ):
        Service(bob, "echo")
        await opened(alice)
        with pytest.raises(StreamRefusedError) as refused:
            await opened(alice)
        assert (refused.value.why, refused.value.retry_after) == (Refusal.BUSY, 1.0)


async def test_the_longest_unused_goes_first_and_one_in_use_never() -> None:
    async with two_nodes(max_streams=3) as (alice, bob):
        service = Service(bob, "echo")
        users = [await opened(alice) for _ in range(3)]
        for user in (users[2], users[1]):
            user.side.attach(False)
        users[1].side.attach(True)
        users[1].side.attach(False)
        await opened(alice)  # the third has been unused the longest
        assert users[2].end == ("aborted", Abort.IDLE)
        await until(lambda: service.users[2].end == ("aborted", Abort.IDLE), "the peer hears")
        await opened(alice)
        assert users[1].end == ("aborted", Abort.IDLE)
        with pytest.raises(StreamRefusedError):
            await opened(alice)
        assert users[0].end is None


async def test_offers_that_wait_are_bounded_and_answered_later() -> None:
    async with two_nodes(max_offers=2) as (alice, bob):
        service = Service(bob, "slow")
        service.answer = Later.LATER
        opening = [asyncio.create_task(opened(alice, service="slow")) for _ in range(2)]
        await until(lambda: len(service.users) == 2, "both are offered")
        with pytest.raises(StreamRefusedError) as refused:
            await opened(alice, service="slow")
        assert refused.value.why == Refusal.BUSY
        service.users[0].side.answer(None)
        service.users[1].side.answer(Refused(Refusal.REJECTED, "no"))
        user = await opening[0]
        with pytest.raises(StreamRefusedError, match="no"):
            await opening[1]
        await user.write(b"x")
        await service.users[0].heard("received")
        # Who asked may give up meanwhile: the user of the offer hears so, and its answer is not for anybody.
        late = asyncio.create_task(opened(alice, service="slow"))
        await until(lambda: len(service.users) == 3, "it is offered")
        late.cancel()
        await service.users[2].heard("aborted")
        service.users[2].side.answer(None)
        user.side.release()
        service.users[0].side.release()
        await nothing_left(alice, bob)


# -- ends -------------------------------------------------------------------------------------------


async def test_drain_waits_for_what_streams_have_written() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "slow", reads=False)
        user = await opened(alice, service="slow")
        await fill(user)
        with pytest.raises(TimeoutError, match="not everything was received"):
            await alice.drain("bob", timeout=0.05)
        draining = asyncio.create_task(alice.drain())
        service.users[0].reads = True
        service.users[0].read()
        await draining
        assert user.side.unconfirmed == 0


async def test_a_final_drain_lets_streams_finish_and_opens_none() -> None:
    async with two_nodes() as (alice, bob):
        service = Service(bob, "echo", echo=True)
        user = await opened(alice)
        draining = asyncio.create_task(bob.drain(final=True, timeout=60.0))
        await until(lambda: alice.snapshot().dests[0].draining, "alice has heard")
        with pytest.raises(PeerDrainingError):
            await opened(alice)
        with pytest.raises(DrainingError):
            await opened(bob, "alice")
        await user.write(b"still welcome")
        user.side.finish()
        await user.heard("finished")
        assert user.entries == [b"still welcome"]
        for each in (user, *service.users):
            each.side.release()
        assert await draining == ()
        assert user.end is None


async def test_a_final_drain_ends_those_that_stay_at_its_deadline() -> None:
    async with two_nodes() as (alice, bob):
        Service(bob, "echo")
        user = await opened(alice)
        await bob.drain(final=True, timeout=0.5)
        await until(lambda: user.end is not None, "it is lost with the goodbye")
        assert user.end is not None
        assert user.end[0] == "lost"


# -- wires ------------------------------------------------------------------------------------------


async def test_a_stream_survives_its_wires_and_hears_of_them() -> None:
    async with (
        node("bob", listen=LOOPBACK) as bob,
        proxy_to(bob) as proxy,
        node("alice", knows={"bob": [url_of(proxy)]}) as alice,
    ):
        service = Service(bob, "echo", echo=True)
        user = await opened(alice)
        for cut in range(5):
            for number in range(20):
                await user.write(b"%d.%d" % (cut, number))
            proxy.reset(proxy.links[max(proxy.links)])
            await user.heard("down", cut + 1)
            await user.heard("up", cut + 1)
        user.side.finish()
        await user.heard("finished")
        assert user.entries == [b"%d.%d" % (cut, number) for cut in range(5) for number in range(20)]
        for each in (user, *service.users):
            each.side.release()
        await nothing_left(alice, bob)


async def test_a_peer_that_does_not_know_streams_is_unsupported() -> None:
    async with two_nodes() as (alice, bob):
        known = bob._running().node
        known.handshake_node = type(known.handshake_node)(
            **{
                name: getattr(known.handshake_node, name)
                for name in known.handshake_node.__dataclass_fields__
                if name != "features"
            },
            features=("leaving",),
        )
        with pytest.raises(StreamRefusedError, match="upgrade") as refused:
            await opened(alice)
        assert refused.value.why == Refusal.UNSUPPORTED


async def test_one_that_does_not_read_stops_nobody_else() -> None:
    async with two_nodes() as (alice, bob):
        deaf, echo = Service(bob, "deaf", reads=False), Service(bob, "echo", echo=True)
        stuck = [await opened(alice, service="deaf") for _ in range(50)]
        for user in stuck:
            await fill(user)
        user = await opened(alice)
        for number in range(200):
            await user.write(b"%d" % number * 10_000)
        user.side.finish()
        await user.heard("finished")
        assert sum(map(len, user.entries)) == sum(10_000 * len(str(number)) for number in range(200))
        await alice.send("bob", b"a message too", confirm="received")
        for each in (user, *stuck, *deaf.users, *echo.users):
            each.side.release()
        await nothing_left(alice, bob)


async def test_what_all_streams_may_keep_is_one_limit_and_each_goes_on_with_one_entry() -> None:
    async with two_nodes(process_stream_size=4 * ENTRY) as (alice, bob):
        deaf = Service(bob, "deaf", reads=False)
        stuck = [await opened(alice, service="deaf") for _ in range(8)]
        for user in stuck:
            await fill(user)
        room = alice._running().streams.room
        assert room.used <= 12 * ENTRY
        echo = Service(bob, "echo", echo=True)
        user = await opened(alice)
        for number in range(50):
            await user.write(bytes((number,)) * ENTRY)
        user.side.finish()
        await user.heard("finished")
        assert len(user.entries) == 50
        for each in (user, *stuck, *deaf.users, *echo.users):
            each.side.release()
        await nothing_left(alice, bob)


def test_the_options_are_checked() -> None:
    with pytest.raises(ValueError, match="4096"):
        TransportOptions(max_streams=4_097)
    with pytest.raises(ValueError, match="65536"):
        TransportOptions(stream_window_size=65_535)
