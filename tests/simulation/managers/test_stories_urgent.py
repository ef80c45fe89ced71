"""Stories of `outproc.urgent_strand`, `outproc.carried`, `outproc.wire_set`: a wire with an urgent channel, seconds of
bulk on it, and what does not wait behind that."""

from __future__ import annotations

import asyncio
from typing import Any

from litz.events import PeerViolation, WireDown
from litz.payload import REPLY_LANE, PayloadType
from litz.snapshot import LaneSnapshot
from litz.testing.sim_network import DialFault
from tests.simulation.managers.stage import Actor, Stage, play

RPC, SIGNAL, STREAM, LATENCY = (
    PayloadType.RPC_RELIABLE,
    PayloadType.RPC_SIGNAL,
    PayloadType.STREAM_RELIABLE,
    PayloadType.STREAM_LATENCY_FIRST,
)
SLOW: dict[str, Any] = {"urgent": True, "bandwidth": 1_000_000.0}
"""Four seconds for four megabytes, and none for what is urgent."""
QUICK = 0.2
"""Virtual seconds. Behind the 256 KiB that wait in the wire it would take longer."""
BLOCK = b"b" * 65_536


async def pair(stage: Stage, nature: dict[str, Any], **options: Any) -> tuple[Actor, Actor]:
    """a, which dials, and b, connected for a while by one wire with an urgent channel."""
    b = await stage.actor("b", natures={"sim": nature}, **options)
    a = await stage.actor("a", reach=["b"], natures={"sim": nature}, **options)
    await a.manager.send("b", b"hello", confirm="processed")
    await asyncio.sleep(0.5)
    return a, b


def lane_of(actor: Actor, lane: int) -> LaneSnapshot:
    return next(each for each in actor.manager.snapshot().dests[0].lanes if each.lane == lane)


async def flood(actor: Actor, lane: PayloadType, count: int = 64) -> None:
    """4 MiB, unless told otherwise; returns when it is all accepted."""
    for _ in range(count):
        await actor.manager.send("b", BLOCK, payload_type=lane)


async def took(stage: Stage, coming: Any) -> float:
    begun = stage.loop.time()
    await coming
    return stage.loop.time() - begun


def test_signals_and_requests_do_not_wait_behind_four_megabytes_of_bulk() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, SLOW)
        await flood(a, STREAM)
        await asyncio.sleep(1.0)  # the wire is as full as it gets
        before = b.got.count(BLOCK)
        signal = a.manager.send("b", b"signal", payload_type=SIGNAL, confirm="processed")
        assert await took(stage, signal) < QUICK
        assert await took(stage, a.manager.request("b", b"question", timeout=5)) < QUICK
        assert b.got.count(BLOCK) < before + 5 < 64, "the bulk that was sent before is still on its way"
        await a.manager.drain()
        assert b.got.count(BLOCK) == 64

    play(story)


def test_without_an_urgent_channel_they_wait() -> None:
    async def story(stage: Stage) -> None:
        a, _ = await pair(stage, {**SLOW, "urgent": False})
        await flood(a, STREAM)
        await asyncio.sleep(1.0)
        assert await took(stage, a.manager.send("b", b"signal", payload_type=SIGNAL, confirm="processed")) > QUICK

    play(story)


def test_each_lane_is_where_it_belongs() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, SLOW)
        await a.manager.request("b", b"question", timeout=5)
        for actor in (a, b):
            urgent = {lane.lane: lane.urgent for lane in actor.manager.snapshot().dests[0].lanes}
            assert urgent == {RPC: True, SIGNAL: True, REPLY_LANE: True, LATENCY: True, STREAM: False}
        (wire,) = a.manager.snapshot().dests[0].wires
        assert {lane.wire for lane in a.manager.snapshot().dests[0].lanes} == {wire.wire}

    play(story)


def test_bulk_of_the_lane_of_requests_goes_with_bulk_and_the_lane_comes_back_when_it_is_quiet() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, SLOW)
        await flood(a, RPC)
        await asyncio.sleep(1.0)
        assert not lane_of(a, RPC).urgent
        assert await took(stage, a.manager.send("b", b"signal", payload_type=SIGNAL, confirm="processed")) < QUICK
        await a.manager.drain()
        await a.manager.request("b", b"question", timeout=5)
        await asyncio.sleep(1.5)
        await a.manager.request("b", b"question", timeout=5)
        assert lane_of(a, RPC).urgent
        assert b.got[-1] == b"question"
        assert b.got.count(BLOCK) == 64
        assert a.manager.snapshot().dests[0].replayed < 10, "what moves is little"

    play(story)


def test_each_lane_keeps_its_order_while_they_overtake_each_other() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, SLOW)
        for number in range(400):
            await a.manager.send("b", b"s%03d" % number, payload_type=SIGNAL)
            await a.manager.send("b", b"r%03d" % number)
            await a.manager.send("b", b"t%03d" % number + BLOCK[:2_000], payload_type=STREAM)
            await asyncio.sleep(0.001)
        await a.manager.drain()
        for kind in (b"s", b"r", b"t"):
            assert [got[:4] for got in b.got if got[:1] == kind] == [kind + b"%03d" % number for number in range(400)]

    play(story)


def test_what_is_latency_first_is_dropped_at_the_sender_when_it_is_stale() -> None:
    async def story(stage: Stage) -> None:
        for way in (("a", "b"), ("b", "a")):
            stage.network.link(*way).bandwidth = 100_000.0
        a, b = await pair(stage, {"urgent": True})
        for number in range(2_000):
            await a.manager.send("b", b"f%04d" % number + bytes(1_000), payload_type=LATENCY)
        await asyncio.sleep(10.0)
        got = [int(each[1:5]) for each in b.got if each[:1] == b"f"]
        dropped = lane_of(a, LATENCY).dropped
        assert got == sorted(set(got))
        assert got[-1] == 1_999, "the newest arrives"
        assert dropped == 2_000 - len(got) > 1_000, "and nothing is lost but what was dropped and counted here"
        assert lane_of(b, LATENCY).dropped == dropped, "the peer sees the holes"

    play(story)


def test_the_death_of_the_wire_takes_both_ways_and_nothing_is_lost() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, SLOW)
        for number in range(300):
            await a.manager.send("b", b"s%03d" % number, payload_type=SIGNAL)
            await a.manager.send("b", b"t%03d" % number + BLOCK[:9_000], payload_type=STREAM)
            if number % 60 == 59:
                stage.cut()
            await asyncio.sleep(0.002)
        await a.manager.drain()
        assert a.count(WireDown) >= 4
        for kind in (b"s", b"t"):
            assert [got[:4] for got in b.got if got[:1] == kind] == [kind + b"%03d" % number for number in range(300)]
        assert not a.count(PeerViolation) + b.count(PeerViolation)

    play(story)


def test_nothing_goes_on_it_before_the_answer_to_the_join_has_arrived() -> None:
    """A signal that waits at the accepting side would overtake that answer, and be lost."""

    async def story(stage: Stage) -> None:
        nature = {"urgent": True, "latency": 0.3}
        names = [f"a{index}" for index in range(8)]
        b = await stage.actor("b", reach=names, natures={"sim": nature})
        stage.network.dial_faults = [DialFault("hang", name) for name in names]
        sending = [
            asyncio.ensure_future(b.manager.send(name, b"signal", payload_type=SIGNAL, when_down="queue"))
            for name in names
        ]
        actors = [await stage.actor(name, reach=["b"], natures={"sim": nature}) for name in names]
        for actor in actors:
            await actor.manager.send("b", b"hello")
        for actor in actors:
            await actor.until(lambda actor=actor: actor.got == [b"signal"])  # type: ignore[misc]  # bound at once
            assert not actor.count(PeerViolation) + actor.count(WireDown)
        await asyncio.gather(*sending)

    play(story)


def test_a_handshake_on_it_costs_the_wire_and_not_the_session() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, SLOW)
        urgent = stage.network.connections[0].dialler.urgent
        assert urgent is not None
        urgent.write([b'{"type":"hello"}'])
        await b.until(lambda: b.count(PeerViolation) == 1)
        await a.manager.send("b", b"after", confirm="processed")
        assert b.got == [b"hello", b"after"]
        assert b.manager.snapshot().dests[0].session == 0

    play(story)
