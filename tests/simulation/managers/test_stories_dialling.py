"""Stories of dialling: who dials whom, how often, and what those who wait are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from litz.errors import ConnectError, ReplacedError
from litz.events import EndReason, LostReceipt, Outcome, SessionEnded
from litz.snapshot import DestState
from litz.testing import SimWireBuilder
from litz.wire import Endpoint, Wire, WireBuilder
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from tests.simulation.managers.stage import Stage, play


def test_the_accepting_side_dials_when_the_dialler_is_gone() -> None:
    """Nobody redials to b, so b dials the endpoint it knows. What it had accepted for the dead process is listed."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["a"])
        await a.manager.send("b", b"hello")
        await b.until(lambda: b.got == [b"hello"])
        await stage.crash(a)
        await asyncio.sleep(0.1)
        again = await stage.actor("a", reach=[], clock=1.0)
        receipt = await b.manager.send("a", b"for the dead")
        await b.until(lambda: b.count(SessionEnded) == 1)
        (ended,) = [event for event in b.events if isinstance(event, SessionEnded)]
        assert ended.reason is EndReason.PEER_RESTARTED
        assert ended.lost == (LostReceipt(receipt, Outcome.NEVER_ACCEPTED),)
        await b.manager.send("a", b"are you back?")
        await again.until(lambda: again.got == [b"are you back?"])

    play(story)


def test_a_replaced_process_is_told_and_nobody_waits_for_ever() -> None:
    """The newer process of an id is alive, so the older gets ReplacedError and stops dialling."""

    async def story(stage: Stage) -> None:
        b = await stage.actor("b")
        new = await stage.actor("a", host="a2", reach=["b"], clock=100.0)
        await new.manager.send("b", b"new")
        old = await stage.actor("a", reach=["b"])
        seen: list[BaseException] = []
        for _ in range(3):
            with pytest.raises(ConnectError) as raised:
                async with asyncio.timeout(20):
                    await old.manager.send("b", b"old")
            seen += [attempt.error for attempt in raised.value.attempts]
            await asyncio.sleep(1.5)
        assert any(isinstance(error, ReplacedError) for error in seen), seen
        dials = old.dials
        await asyncio.sleep(60)
        assert old.dials == dials
        assert b.got == [b"new"]

    play(story)


def test_the_older_of_two_processes_loses_its_session_loudly() -> None:
    async def story(stage: Stage) -> None:
        b = await stage.actor("b")
        old = await stage.actor("a", reach=["b"])
        await old.manager.send("b", b"old")
        await b.until(lambda: b.got == [b"old"])
        new = await stage.actor("a", host="a2", reach=["b"], clock=100.0)
        await new.manager.send("b", b"new")
        await b.until(lambda: b.got == [b"old", b"new"])
        await old.until(lambda: old.count(SessionEnded) > 0)
        reasons = [event.reason for event in old.events if isinstance(event, SessionEnded)]
        assert reasons == [EndReason.REPLACED]
        await b.manager.send("a", b"answer")
        await new.until(lambda: new.got == [b"answer"])
        assert old.got == []

    play(story)


def test_a_replaced_process_is_admitted_once_its_successor_is_gone() -> None:
    """Seed 4 once: what had been answered `replaced` was so for ever."""

    async def story(stage: Stage) -> None:
        b = await stage.actor("b")
        old = await stage.actor("a", reach=["b"])
        await old.manager.send("b", b"old", confirm="processed")
        new = await stage.actor("a", host="a2", reach=["b"], clock=100.0)
        await new.manager.send("b", b"new", confirm="processed")
        await old.until(lambda: old.count(SessionEnded) > 0)
        await stage.crash(new)
        await asyncio.sleep(1)
        async with asyncio.timeout(30):
            while True:
                try:
                    await old.manager.send("b", b"old again", confirm="processed")
                    break
                except ConnectError:
                    await asyncio.sleep(0.5)
        assert b.got == [b"old", b"new", b"old again"]

    play(story)


class Broken(WireBuilder):
    """Raises what no builder should."""

    kind = "sim"
    schemes: Sequence[str] = ("sim",)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        raise KeyError("a bug in a builder")


def test_a_builder_that_raises_anything_is_a_failed_attempt() -> None:
    async def story(stage: Stage) -> None:
        options = TransportOptions(watch_network=False)  # of the real host
        manager = OutprocTransportManager("a", directory={"b": ["sim://b:1"]}, builders=[Broken()], options=options)
        async with manager:
            with pytest.raises(ConnectError, match="a bug in a builder"):
                async with asyncio.timeout(5):
                    await manager.send("b", b"x")

    play(story)


class Wandering:
    """A directory that gives these answers, and the last of them for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def look_up(self, dest: str) -> Sequence[str]:
        self.asked += 1
        return [self.answers.pop(0)] if len(self.answers) > 1 else self.answers


def test_a_directory_that_named_a_stranger_is_asked_again_soon() -> None:
    """Seed 49 once: a stranger is left alone for 30 s, and so long nobody asked whether the dest is elsewhere."""

    async def story(stage: Stage) -> None:
        directory = Wandering("sim://c:1", "sim://b:1")
        a = await stage.actor("a", directory=directory, backoff_cap=1.0)
        b = await stage.actor("b")
        await stage.actor("c")
        await a.manager.send("b", b"hello", when_down="queue")
        await b.until(lambda: b.got == [b"hello"], seconds=5.0)

    play(story)


def test_a_directory_is_not_asked_more_often_than_the_slowest_backoff() -> None:
    async def story(stage: Stage) -> None:
        directory = Wandering("sim://c:1")
        a = await stage.actor("a", directory=directory, backoff_cap=1.0)
        await stage.actor("c")
        await a.manager.send("b", b"hello", when_down="queue")
        await asyncio.sleep(20.0)
        assert 15 <= directory.asked <= 22
        assert a.dials <= 2

    play(story)


class Failing:
    """A directory that fails the first time."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked = 0

    async def look_up(self, dest: str) -> Sequence[str]:
        self.asked += 1
        if self.asked == 1:
            raise OSError("the directory restarts")
        return [self.answer]


def test_an_accepting_side_whose_directory_failed_asks_again() -> None:
    """Seed 3745 once: the dialler restarted and forgot, and the other asked once where it is, and never again."""

    async def story(stage: Stage) -> None:
        directory = Failing("sim://a:1")
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", directory=directory)
        await a.manager.send("b", b"hello", confirm="processed")
        await stage.crash(a)
        again = await stage.actor("a", clock=1.0)
        await b.until(lambda: b.manager.has_dest("a") is DestState.DETACHED)
        await b.manager.send("a", b"for the dead")
        await b.until(lambda: again.manager.is_connected("b"), seconds=5.0)
        assert directory.asked == 2

    play(story)


def test_of_a_peer_that_nobody_knows_the_directory_is_asked_once() -> None:
    """It can only come back by itself: until then it costs no timer."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", directory=(directory := Wandering()))
        await a.manager.send("b", b"hello", confirm="processed")
        await stage.crash(a)
        await b.until(lambda: b.manager.has_dest("a") is DestState.DETACHED)
        await asyncio.sleep(60.0)
        assert directory.asked == 1

    play(story)


class Deaf(SimWireBuilder):
    """Has a wire after all when it is cancelled."""

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        dial = asyncio.ensure_future(super().build(dest, endpoint))
        while not dial.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([dial])
        return dial.result()


def test_a_wire_of_a_builder_deaf_to_its_cancellation_is_closed() -> None:
    """Seed 575 once: the dial went on to the handshake, and nothing cancelled it again."""

    async def story(stage: Stage) -> None:
        b = await stage.actor("b")
        builder = Deaf(stage.network.host("a"), "sim")
        async with OutprocTransportManager("a", directory={"b": ["sim://b:1"]}, builders=[builder]) as a:
            sending = asyncio.ensure_future(a.send("b", b"x"))
            await asyncio.sleep(0.005)
            await a.aclose()
            with pytest.raises(ConnectError):
                await sending
        await asyncio.sleep(0.1)  # until b has heard
        assert stage.network.connections == []
        assert b.got == []

    play(story)


def test_both_sides_dial_at_once_a_thousand_times() -> None:
    """N8: one wire stays, the smaller id's; the loser is not redialled while it lives; nothing is lost."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["a"])
        for turn in range(50):
            data = turn.to_bytes(2, "big")
            await asyncio.gather(a.manager.send("b", data), b.manager.send("a", data))
            await asyncio.gather(a.manager.drain(), b.manager.drain())
            for connection in list(stage.network.connections):
                connection.reset(within=0.001)
            await asyncio.sleep(0.002)
        await asyncio.gather(a.manager.send("b", b"last"), b.manager.send("a", b"last"))
        await a.until(lambda: a.got[-1:] == [b"last"] and b.got[-1:] == [b"last"])
        expected = [turn.to_bytes(2, "big") for turn in range(50)] + [b"last"]
        assert a.got == expected
        assert b.got == expected
        await asyncio.sleep(12)
        (mine,), (theirs,) = (actor.manager.snapshot().dests[0].wires for actor in (a, b))
        assert {mine.dialled, theirs.dialled} == {True, False}
        dials = a.dials + b.dials
        await asyncio.sleep(60)
        assert a.dials + b.dials == dials

    for seed in range(20):
        play(story, seed=seed)


def test_idle_for_an_hour_costs_no_reconnect() -> None:
    """N18: pings keep an idle wire alive; nothing is redialled."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["a"])
        await a.manager.send("b", b"x", confirm="processed")
        await asyncio.sleep(3500)
        assert (a.dials, b.dials) == (1, 0)
        assert a.manager.is_connected("b")

    play(story)
