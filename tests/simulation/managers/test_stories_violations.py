"""Stories of peers that break the rules: once by accident, again and again, and once in a while.

Covers `outproc.violations`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from litz.errors import SessionEndedError, SessionFaultError
from litz.events import EndReason, Outcome, PeerViolation, SessionEnded
from litz.testing.sim_wire import Side, SimConnection
from outproc.frames.encode import encode_ack
from outproc.frames.layout import FRAME_HEADER_SIZE
from outproc.frames.records import Position
from tests.simulation.managers.stage import Actor, Stage, play

Damage = Callable[[bytes], bytes]

NOT_DECODABLE: Final[tuple[Damage, ...]] = (lambda frame: frame[:-1], lambda frame: frame[:FRAME_HEADER_SIZE] + b"\xff")
IMPOSSIBLE: Final[tuple[Damage, ...]] = (lambda frame: frame + encode_ack(0, Position(1 << 40, 0), 0, 0),)


def spoil(connection: SimConnection, damage: Damage, *, toward: Side) -> None:
    """Damage the next binary frame."""

    def change(frame: bytes) -> bytes:
        if frame[:1] == b"{":
            return frame
        connection.tamper(None)
        return damage(frame)

    connection.tamper(change, toward)


async def spoil_all(stage: Stage, damage: Damage, *, toward: Side) -> None:
    """One frame on every wire, also on those that come, until it is cancelled."""
    seen: dict[int, None] = {}
    try:
        while True:
            for connection in stage.network.connections:
                if connection.number not in seen:
                    seen[connection.number] = None
                    spoil(connection, damage, toward=toward)
            await asyncio.sleep(0.005)
    finally:
        for connection in stage.network.connections:
            connection.tamper(None)


def ends(actor: Actor) -> list[SessionEnded]:
    return [event for event in actor.events if isinstance(event, SessionEnded)]


@pytest.mark.parametrize("damage", [*NOT_DECODABLE, *IMPOSSIBLE])
def test_again_and_again_ends_the_session_with_its_list_and_names_the_cure(damage: Damage) -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"before", confirm="received")
        spoiler = asyncio.ensure_future(spoil_all(stage, damage, toward="acceptor"))
        await a.manager.send("b", b"perhaps")
        await b.until(lambda: bool(ends(b)))
        spoiler.cancel()
        (end,) = ends(b)
        assert end.reason is EndReason.FAULT
        assert "3 times" in end.detail
        assert "same version" in end.detail
        assert b.count(PeerViolation) == 3
        # It goes on in a new one, and the other side is told as well.
        await a.until(lambda: bool(ends(a)))
        (end,) = ends(a)
        lost = [entry.outcome for entry in end.lost]
        assert end.reason is EndReason.UNKNOWN_TO_PEER
        assert lost == ([] if b"perhaps" in b.got else [Outcome.NEVER_ACCEPTED])
        await a.manager.send("b", b"after", confirm="received")
        await b.until(lambda: b.got[-1:] == [b"after"])

    for seed in range(5):
        play(story, seed=seed)


def test_who_waits_gets_the_typed_error() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"before", confirm="received")
        await a.stop_listening()
        spoiler = asyncio.ensure_future(spoil_all(stage, NOT_DECODABLE[0], toward="acceptor"))
        with pytest.raises(SessionFaultError, match="run the same version") as failed:
            await b.manager.send("a", b"x", confirm="processed")
        assert len(failed.value.lost) <= 1
        spoiler.cancel()

    play(story)


def test_a_peer_that_never_gets_it_right_is_not_dialled_without_a_pause() -> None:
    """Nor are the sessions with it: each of them costs three wires, and then both sides wait."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], backoff_cap=5.0)
        await stage.actor("b", backoff_cap=5.0)
        await a.manager.send("b", b"before", confirm="received")
        spoiler = asyncio.ensure_future(spoil_all(stage, NOT_DECODABLE[0], toward="dialler"))
        end = stage.loop.time() + 60
        while stage.loop.time() < end:
            try:
                async with asyncio.timeout(1.0):
                    await a.manager.send("b", b"x", confirm="received")
            except (SessionEndedError, TimeoutError):
                pass
        spoiler.cancel()
        assert 5 <= len(ends(a)) <= 13
        assert a.dials <= 90

    play(story)


def test_once_costs_the_wire_and_nothing_else_however_often_if_it_went_well_in_between() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        for time in range(12):
            for _ in range(2):
                await a.manager.send("b", b"x", confirm="received")
                spoil(stage.network.connections[-1], NOT_DECODABLE[0], toward="acceptor")
                await a.manager.send("b", b"y", confirm="received")
            await asyncio.sleep(200)
            assert b.count(PeerViolation) == 2 * (time + 1)
        assert (ends(a), ends(b)) == ([], [])
        assert len(b.got) == 48

    play(story)


def test_a_stranger_cannot_end_a_session() -> None:
    """What comes before the proof, or on a wire that is in no session, costs that wire only."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["a"])
        await a.manager.send("b", b"x", confirm="received")
        for _ in range(6):
            dialling = asyncio.ensure_future(b.manager.reconnect("a"))
            stage.cut()
            await asyncio.sleep(0.001)
            for connection in list(stage.network.connections):
                connection.tamper(lambda frame: b"\xb1 no frame", "dialler")
            await asyncio.sleep(1)
            await asyncio.wait([dialling])
            if not dialling.cancelled():
                dialling.exception()
        await a.manager.send("b", b"y", confirm="received")
        assert (ends(a), ends(b)) == ([], [])

    play(story)
