"""Stories of `outproc.lane_mover`: lanes move to a better wire, off a sick one, back again, and not for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from litz.events import LaneMoved
from litz.payload import PayloadType
from litz.snapshot import LaneSnapshot, WireSnapshot
from outproc.wire_choice import Choice, Question
from tests.simulation.managers.stage import Actor, Stage, play

RPC = PayloadType.RPC_RELIABLE
RELAY = {"route": "relay", "latency": 0.005}


async def pair(stage: Stage, natures: dict[str, dict[str, Any]], **options: Any) -> tuple[Actor, Actor]:
    """a, which dials b by every kind, and b, which listens by those that are in the network already."""
    kinds = tuple(natures)
    b = await stage.actor("b", kinds=kinds, natures=natures, **options)
    a = await stage.actor("a", reach=["b"], kinds=kinds, natures=natures, **options)
    return a, b


def lane_of(actor: Actor, lane: int = RPC) -> LaneSnapshot:
    return next(each for each in actor.manager.snapshot().dests[0].lanes if each.lane == lane)


def carrier(actor: Actor, lane: int = RPC) -> WireSnapshot | None:
    """The wire that carries a lane of `actor`."""
    if not actor.manager.dest_count:
        return None
    wire = lane_of(actor, lane).wire
    return next((each for each in actor.manager.snapshot().dests[0].wires if each.wire == wire), None)


def rides(actor: Actor, kind: str, lane: int = RPC) -> bool:
    found = carrier(actor, lane)
    return found is not None and found.kind == kind


def moves(actor: Actor, lane: int = RPC) -> list[LaneMoved]:
    return [event for event in actor.events if isinstance(event, LaneMoved) and event.lane == lane and event.before]


async def stream(actor: Actor, count: int, pause: float = 0.01) -> None:
    for number in range(count):
        await actor.manager.send("b", b"%d" % number)
        await asyncio.sleep(pause)


def test_it_begins_on_the_relay_and_goes_on_directly_and_back_and_again_directly_and_nothing_is_lost() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, {"far": RELAY, "near": {}})
        away = stage.network.host("b").listeners.pop("near://b:1")
        sending = asyncio.ensure_future(stream(a, 3000))
        await a.until(lambda: len(b.got) > 100)
        assert rides(a, "far")
        stage.network.host("b").listeners["near://b:1"] = away
        await a.until(lambda: rides(a, "near"))
        (move,) = moves(a)
        assert "far" in move.before or "#" in move.before
        assert move.reason == "direct, the others are not"
        assert len([each for each in a.manager.snapshot().dests[0].wires if each.state == "spare"]) == 1
        near = next(each for each in stage.network.connections if each.kind == "near")
        near.reset()
        await a.until(lambda: rides(a, "far"))
        await a.until(lambda: rides(a, "near"))
        assert len(moves(a)) == 2
        await sending
        await a.manager.drain()
        await a.until(lambda: len(b.got) == 3000)
        assert b.got == [b"%d" % number for number in range(3000)]

    play(story)


def test_a_lane_leaves_a_wire_that_takes_data_and_acknowledges_nothing() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, {"far": RELAY, "near": {}}, ping_after=60.0, dead_after=60.0, sick_after=1.0)
        await a.manager.send("b", b"first", confirm="received")
        await a.until(lambda: rides(a, "near"))
        near = next(each for each in stage.network.connections if each.kind == "near")
        near.stall("acceptor")
        began = stage.loop.time()
        await a.manager.send("b", b"second", confirm="received")
        assert 0.9 < stage.loop.time() - began < 2.0
        assert rides(a, "far")
        assert "sick" in moves(a)[-1].reason
        assert next(each.state for each in a.manager.snapshot().dests[0].wires if each.kind == "near") == "sick"
        near.resume()
        await a.until(lambda: rides(a, "near"))
        assert [move.reason for move in moves(a)][-1] == "direct, the others are not"
        assert b.got == [b"first", b"second"]

    play(story)


def test_a_wire_that_only_answers_pings_gets_the_lane_back_more_and_more_seldom() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage, {"far": RELAY, "near": {}}, ping_after=1.0, dead_after=60.0, sick_after=0.5)
        await a.manager.send("b", b"first", confirm="received")
        await a.until(lambda: rides(a, "near"))
        near = next(each for each in stage.network.connections if each.kind == "near")
        # What is too large for it vanishes: the peer takes nothing of a frame with the tag of another session.
        near.tamper(lambda frame: frame if len(frame) < 200 else frame[:4] + bytes(4) + frame[8:], "acceptor")
        before = len(moves(a))
        for _ in range(60):
            await a.manager.send("b", bytes(1_000), confirm="received")
            await asyncio.sleep(1.0)
        assert 2 <= len(moves(a)) - before <= 14, "rests of 0.5, 1, 2, 4, 8, 16 and 32 s, and two moves for each"
        assert len(b.got) == 61

    play(story)


def test_nearly_equal_wires_under_load_keep_their_lanes() -> None:
    async def story(stage: Stage) -> None:
        stage.network.default_link.jitter = 0.004
        slow = {"bandwidth": 300_000.0}
        a, _ = await pair(stage, {"tcp": slow, "rtc": slow, "uds": slow})
        await a.manager.get_or_create_transport("b")
        await asyncio.sleep(2.0)
        for _ in range(600):
            await a.manager.send("b", bytes(20_000))
            await a.manager.send("b", bytes(20_000), payload_type=PayloadType.STREAM_RELIABLE)
        await a.manager.drain()
        for lane in PayloadType:
            assert len(moves(a, lane)) <= 3, moves(a, lane)

    play(story)


def test_of_two_direct_wires_the_one_with_the_clearly_lower_round_trip() -> None:
    async def story(stage: Stage) -> None:
        a, _ = await pair(stage, {"slow": {"latency": 0.08}, "quick": {}})
        away = stage.network.host("b").listeners.pop("quick://b:1")
        sending = asyncio.ensure_future(stream(a, 500, 0.02))
        await a.until(lambda: rides(a, "slow"))
        stage.network.host("b").listeners["quick://b:1"] = away
        await a.until(lambda: rides(a, "quick"))
        await sending
        await a.manager.drain()
        assert len(moves(a)) == 1
        assert moves(a)[0].reason.startswith("lowest round trip")

    play(story)


def test_bulk_in_flight_moves_within_bounds_and_arrives_once() -> None:
    async def story(stage: Stage) -> None:
        thin = {"latency": 0.02, "route": "relay", "bandwidth": 400_000.0}
        a, b = await pair(stage, {"far": thin, "near": {}})
        away = stage.network.host("b").listeners.pop("near://b:1")

        async def flood() -> None:
            for number in range(400):
                await a.manager.send("b", number.to_bytes(4, "big") + bytes(16_000))

        sending = asyncio.ensure_future(flood())
        await a.until(lambda: len(b.got) > 10)
        stage.network.host("b").listeners["near://b:1"] = away
        up = stage.loop.time()
        await a.until(lambda: rides(a, "near"))
        assert stage.loop.time() - up < 10.0
        await sending
        await a.manager.drain()
        await a.until(lambda: len(b.got) == 400)
        assert [int.from_bytes(each[:4], "big") for each in b.got] == list(range(400))
        assert a.manager.snapshot().dests[0].replayed > 0, "it moved with something in flight"

    play(story)


def test_a_policy_of_the_users_own_decides_and_its_errors_cost_nothing() -> None:
    asked: list[Question[Any]] = []

    def farthest(question: Question[Any]) -> Choice[Any] | None:
        asked.append(question)
        if len(asked) % 7 == 0:
            raise RuntimeError("a mistake")
        return Choice(max(question.candidates, key=lambda each: each.round_trip or 0.0).wire, "far away is safe")

    async def story(stage: Stage) -> None:
        told: list[str] = []
        stage.loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
        a, b = await pair(stage, {"far": RELAY, "near": {}}, wire_policy=farthest)
        await stream(a, 300)
        await a.until(lambda: rides(a, "far"))
        await a.manager.drain()
        assert lane_of(a).reason == "far away is safe"
        assert set(told) == {"litz: an error in the wire policy"}
        assert len(b.got) == 300

    play(story)


def test_quiet_dests_with_two_wires_set_no_timers_but_those_of_their_health() -> None:
    async def story(stage: Stage) -> None:
        a, _ = await pair(stage, {"far": RELAY, "near": {}}, ping_after=1_000.0)
        await stream(a, 10)
        await a.manager.drain()
        await asyncio.sleep(60.0)
        (wire, spare) = a.manager.snapshot().dests[0].wires
        steps = stage.loop.steps
        await asyncio.sleep(500.0)
        assert stage.loop.steps - steps < 50
        (wire_now, spare_now) = a.manager.snapshot().dests[0].wires
        assert (wire.frames_out, spare.frames_out) == (wire_now.frames_out, spare_now.frames_out)

    play(story)
