"""Peers that lie, shout or babble cost themselves the wire: nobody else is harmed, nothing is logged, nothing grows.

Covers `outproc.reception`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed

from litz.events import EndReason, PeerViolation, SessionEnded
from outproc.frames.records import (
    Batch,
    Closed,
    Credit,
    Goodbye,
    Leave,
    Ping,
    Pong,
    SessionCredit,
)
from outproc.handshake import LanePosition, Refused
from outproc.session.identity import Half
from tests.integration.misdeeds import BEFORE, WITHIN, Misdeed, join_before_hello, silence, silence_after_the_proof
from tests.integration.outproc_nodes import LOOPBACK, Manager, dest_of, key_pair, next_of, node, take, until
from tests.integration.outproc_raw_peer import TERMS, raw_node, raw_peer

SILENT = (silence, silence_after_the_proof)
LANE_NEVER_SENT = LanePosition(lane=0, number=1 << 40, offset=0, processed=0, durable=0)


@asynccontextmanager
async def town(*, handshake_timeout: float = 120.0) -> AsyncIterator[tuple[Manager, Manager]]:
    """b listens; a has a session with it that must not notice anything."""
    options = {"handshake_timeout": handshake_timeout, "backoff_base": 0.01}
    async with (
        node("b", listen=LOOPBACK, options=options) as b,
        node("a", knows={"b": b.endpoints}, options=options) as a,
    ):
        await a.send("b", b"before", confirm="received")
        await take(b, 1)
        yield a, b


async def check_unharmed(a: Manager, b: Manager) -> None:
    await a.send("b", b"after", confirm="received", timeout=120)
    async with b.messages(sender="a") as stream, asyncio.timeout(120):
        message = await stream.__anext__()
    assert (message.data, message.number) == (b"after", 1)
    snapshot = dest_of(a, "b")
    assert (snapshot.session, snapshot.heals, [slot.dials for slot in snapshot.slots]) == (0, 0, [1])
    assert len(b._running().node.links) == 1, "links of bad peers are left"


@pytest.mark.parametrize("misdeed", BEFORE, ids=lambda misdeed: misdeed.__name__)
async def test_before_the_proof_it_costs_the_wire_and_nothing_else(
    misdeed: Misdeed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    # Silence ends at the deadline. Everything else must not need it.
    async with town(handshake_timeout=2.0 if misdeed in SILENT else 120.0) as (a, b):
        events = b.events()
        async with raw_peer(b.endpoints[0], "b") as peer, asyncio.timeout(100):
            await misdeed(peer)
            await peer.gone()
            violation = await next_of(events, PeerViolation)
        assert violation.dest in ("", "mallory")
        assert violation.detail
        assert b.list_dests() == ["a"], "an unproved peer made a dest"
        await until(lambda: len(b._running().node.links) == 1, "its link is gone")
        await check_unharmed(a, b)
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("misdeed", WITHIN, ids=lambda misdeed: misdeed.__name__)
async def test_in_a_session_it_costs_the_wire_and_nothing_else(
    misdeed: Misdeed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with town() as (a, b):
        events = b.events()
        async with raw_peer(b.endpoints[0], "b") as peer, asyncio.timeout(120):
            await peer.prove()
            await peer.join()
            assert b.is_connected("mallory")
            with contextlib.suppress(ConnectionError, ConnectionClosed):  # in the middle of it: as it should be
                await misdeed(peer)
            await peer.gone()
            violation = await next_of(events, PeerViolation)
            assert violation.dest == "mallory"
            assert violation.detail
        await until(lambda: not b.is_connected("mallory"), "its wire is gone")
        assert b.snapshot().inbox_bytes <= 64 << 20
        await b.close_transport("mallory")
        b._inbox.drop("mallory")
        await check_unharmed(a, b)
    assert [record.getMessage() for record in caplog.records] == []


async def test_what_is_only_useless_costs_nothing() -> None:
    """Old epochs, another pair's tag, repeated acks and credit, pongs nobody asked for: ignored, the wire lives."""
    async with town() as (a, b):
        async with raw_peer(b.endpoints[0], "b") as peer, asyncio.timeout(120):
            await peer.prove()
            await peer.join()
            await peer.records(Batch(0, 5, 0, 0, 0, [b"good"]))
            await peer.records(Batch(0, 4, 1, 0, 0, [b"an old epoch"]))
            await peer.records(Batch(0, 5, 0, 0, 0, [b"good"]))
            await peer.records(Batch(0, 5, 1, 0, 0, [b"of another pair"]), tag=peer.session.tag ^ 1)
            await peer.records(Pong(5), *(Credit(0, 1, 1) for _ in range(50)), SessionCredit(0))
            for token in range(500):
                await peer.records(Ping(token))
            await peer.records(Batch(0, 5, 1, 0, 0, [b"still here"]))
            stream = b.messages(sender="mallory")
            got = [(await stream.__anext__()).data for _ in range(2)]
            await stream.aclose()
            assert got == [b"good", b"still here"]
            assert b.is_connected("mallory")
        await check_unharmed(a, b)


async def test_three_jumps_end_the_session_loudly() -> None:
    async with town() as (a, b):
        events = b.events()
        who = raw_node("mallory")
        theirs: Half | None = None
        for attempt in range(3):
            async with raw_peer(b.endpoints[0], "b", node=who) as peer, asyncio.timeout(120):
                await peer.prove()
                await peer.join(yours=theirs)
                theirs = peer.session.pair.yours if peer.session.pair else None
                if attempt == 0:
                    await b.send("mallory", b"which will not be confirmed")
                await peer.records(Batch(0, attempt + 1, 500, 0, 0, [b"too far"]))
                await peer.gone()
        ended = await next_of(events, SessionEnded)
        assert (ended.dest, ended.reason, len(ended.lost)) == ("mallory", EndReason.FAULT, 1)
        await check_unharmed(a, b)


async def test_violations_of_all_sorts_add_up_and_then_there_is_a_pause() -> None:
    """Garbage on a joined wire, and twice positions that were never sent: that is three."""
    async with town() as (a, b):
        events = b.events()
        who = raw_node("mallory")
        lie = TERMS.model_copy(update={"positions": (LANE_NEVER_SENT,)})
        async with raw_peer(b.endpoints[0], "b", node=who) as peer, asyncio.timeout(120):
            await peer.prove()
            await peer.join()
            assert peer.session.pair is not None
            ours, theirs = peer.session.mine, peer.session.pair.yours
            await b.send("mallory", b"which will not be confirmed")
            await peer.send(b"\xb1 no frame")
            await peer.gone()
        for _ in range(2):
            async with raw_peer(b.endpoints[0], "b", node=who) as peer, asyncio.timeout(120):
                await peer.prove()
                await peer.send(peer.machine.join(ours, theirs, lie))
                await peer.gone()
        ended = await next_of(events, SessionEnded)
        assert (ended.dest, ended.reason, len(ended.lost)) == ("mallory", EndReason.FAULT, 1)
        assert "run the same version" in ended.detail
        async with raw_peer(b.endpoints[0], "b", node=who) as peer, asyncio.timeout(120):
            await peer.prove()
            await peer.send(peer.machine.join(ours, None, TERMS))
            refused = await peer.take()
            assert isinstance(refused, Refused)
            assert (refused.code, 0 < refused.retry_after <= 5) == ("busy", True)
        await check_unharmed(a, b)


async def test_positions_that_were_never_sent_are_refused_at_the_join() -> None:
    async with town() as (a, b):
        events = b.events()
        async with raw_peer(b.endpoints[0], "b") as peer, asyncio.timeout(120):
            await peer.prove()
            lie = TERMS.model_copy(update={"positions": (LANE_NEVER_SENT,)})
            await peer.send(peer.machine.join(peer.session.mine, None, lie))
            await peer.gone()
        assert not b.is_connected("mallory")
        assert (await next_of(events, PeerViolation)).dest == "mallory"
        await check_unharmed(a, b)


@pytest.mark.parametrize("end", [Goodbye(0, "\x1b[31mbye\nnow", []), Closed(0, "", []), Leave(3), Leave(77)])
async def test_ends_that_come_unasked(end: Goodbye | Closed | Leave) -> None:
    async with town() as (a, b):
        async with raw_peer(b.endpoints[0], "b") as peer, asyncio.timeout(120):
            await peer.prove()
            await peer.join()
            await peer.records(end)
            await peer.records(Batch(0, 1, 0, 0, 0, [b"after the end"]))
            if not isinstance(end, Closed):
                await peer.gone()
        await check_unharmed(a, b)


async def test_nothing_grows_however_many_come_and_fail() -> None:
    """Each failed handshake, proved or not, leaves no link, ticket, timer or task."""
    async with town() as (a, b):
        loop = asyncio.get_running_loop()
        running = b._running()
        tasks = len(asyncio.all_tasks(loop))
        deeds = [misdeed for misdeed in BEFORE if misdeed not in (*SILENT, join_before_hello)]
        for round_ in range(3):
            for misdeed in deeds:
                async with raw_peer(b.endpoints[0], "b", f"mallory{round_}") as peer, asyncio.timeout(120):
                    await misdeed(peer)
                    await peer.gone()
        await until(lambda: len(running.node.links) == 1, "links are gone")
        await until(lambda: len(asyncio.all_tasks(loop)) <= tasks, "tasks are gone")
        assert len(running.reception._limiter) == 0
        assert running.node.health._due.next_due() is not None
        await check_unharmed(a, b)


async def test_a_flood_during_the_proof_is_cut_off() -> None:
    """What comes while a slow proof is verified is held, and only so much of it."""

    _, b_key = key_pair("mallory", "b")
    started, forever = asyncio.Event(), asyncio.Event()

    async def slow(*args: object) -> None:
        started.set()
        await forever.wait()

    m_key, _ = key_pair("mallory", "b")
    b_key.verify = slow  # type: ignore[method-assign, assignment]  # a check that takes its time
    async with node("b", listen=LOOPBACK, authenticator=b_key) as b:
        events = b.events()
        who = raw_node("mallory", m_key)
        async with raw_peer(b.endpoints[0], "b", node=who) as peer, asyncio.timeout(120):
            await peer.prove()
            await peer.send(peer.machine.join(peer.session.mine, None, TERMS))
            await started.wait()
            with contextlib.suppress(ConnectionError, ConnectionClosed):
                for _ in range(64):
                    await peer.send(bytes(1_000_000))
            await peer.gone()
        assert "more than 512 KiB before its proof" in (await next_of(events, PeerViolation)).detail
