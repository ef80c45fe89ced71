"""Stories of wires that lose frames, double them, or deliver them in another order, beside those that do not."""

from __future__ import annotations

import asyncio

from litz.events import PeerViolation, SessionEnded, WireDown, WireUp
from tests.simulation.managers import lossy_acks, one_place
from tests.simulation.managers.one_place import LATEST, kinds, pair
from tests.simulation.managers.stage import Actor, Stage, play


def carrier(actor: Actor, lane: int) -> str:
    """The kind of wire that carries a lane of `actor`, "" for none."""
    (dest,) = actor.manager.snapshot().dests
    name = next(each.wire for each in dest.lanes if each.lane == lane)
    return next((wire.kind for wire in dest.wires if wire.wire == name), "")


def test_reliable_lanes_wait_for_a_wire_that_loses_nothing_and_latency_first_does_not() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage)
        away = stage.network.host("b").listeners.pop("tcp://b:1")
        await a.manager.send("b", b"now", payload_type=LATEST)
        await a.until(lambda: b.got == [b"now"])
        await a.manager.send("b", b"later")
        await asyncio.sleep(5.0)
        assert b.got == [b"now"]
        assert (carrier(a, LATEST), carrier(a, 0)) == ("udp", "")
        (dest,) = a.manager.snapshot().dests
        assert "may lose frames" in dest.cause, "it says why nothing goes"
        assert dest.retry_in is not None
        stage.network.host("b").listeners["tcp://b:1"] = away
        # The udp wire is no reason to take one's time with the others.
        await a.until(lambda: b.got == [b"now", b"later"], seconds=6.0)
        await a.manager.drain()
        assert (carrier(a, LATEST), carrier(a, 0)) == ("udp", "tcp")
        (dest,) = a.manager.snapshot().dests
        assert (dest.cause, dest.retry_in) == ("", None)

    play(story)


def test_acks_are_not_told_where_they_may_be_lost() -> None:
    for seed in range(5):
        lossy_acks.run_seed(seed)


def test_a_quiet_wire_that_loses_a_tenth_of_its_frames_stays_up() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage)
        await a.manager.send("b", b"0", confirm="received")
        await a.until(lambda: kinds(a) == {"udp", "tcp"} == kinds(b))
        for link in stage.network.links():
            link.drop = 0.1
        await asyncio.sleep(600.0)
        lost = [each for each in (*a.events, *b.events) if isinstance(each, WireDown)]
        # About one ping in five has no answer; four in a row have none about once in 800 times.
        assert len(lost) <= 2, lost

    play(story)


def test_with_room_for_one_wire_it_is_one_that_reliable_lanes_can_ride_on() -> None:
    for seed in range(5):
        one_place.run_seed(seed)


def test_the_wire_doubles_frames_of_handshakes_and_nobody_is_blamed() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage)
        for link in (stage.network.link("a", "b"), stage.network.link("b", "a")):
            link.duplicate = 1.0
        await a.manager.send("b", b"0", confirm="received")
        await a.until(lambda: kinds(a) == {"udp", "tcp"} == kinds(b))
        for _ in range(10):
            ups = a.count(WireUp)
            stage.cut()
            await a.until(lambda ups=ups: a.count(WireUp) == ups + 2)  # type: ignore[misc]  # a default of a lambda
        for actor in (a, b):
            assert actor.count(SessionEnded) == 0
            told = [each.detail for each in actor.events if isinstance(each, PeerViolation)]
            assert all("connection" in each for each in told), told

    play(story)


def test_a_goodbye_does_not_overtake_what_was_sent() -> None:
    async def story(stage: Stage) -> None:
        a, b = await pair(stage)
        await a.manager.send("b", b"0", confirm="received")
        await a.until(lambda: kinds(a) == {"udp", "tcp"} == kinds(b))
        stage.network.link("b", "a").drop = 1.0
        # By udp the goodbye would be there before the message.
        next(each for each in stage.network.connections if each.kind == "tcp").delay(0.2)
        await a.manager.send("b", b"1")
        await a.manager.close_transport("b")
        assert b.got == [b"0", b"1"]
        ended = next(each for each in a.events if isinstance(each, SessionEnded))
        assert ended.lost == ()

    play(story)
