"""Stories of ends on purpose: others' scars, and what a rolling restart needs.

The parts are `outproc.goodbyes`, `outproc.lame_duck`, `outproc.leaving_talk` and `outproc.space_line`; of the managers
in one process `inproc.lame_duck`. Both keep the contract that `litz.testing.manager_ends` checks.
"""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ConnectError, DrainingError, PeerClosedError
from litz.events import ConnectFailed, EndReason, PeerDraining, SessionEnded
from tests.simulation.managers.stage import Actor, Stage, play


def reasons(actor: Actor) -> list[EndReason]:
    return [event.reason for event in actor.events if isinstance(event, SessionEnded)]


def test_a_reset_is_never_taken_for_a_goodbye() -> None:
    """The scar: a server that was killed counted as one that had left, and its clients did not dial it any more."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        stage.cut()
        await a.until(lambda: a.manager.is_connected("b"))
        await stage.crash(b)
        await a.until(lambda: a.count(ConnectFailed) > 3)
        assert a.manager.snapshot().departed == ()
        await a.manager.send("b", b"two")
        b = await stage.actor("b", clock=10.0)
        await a.until(lambda: reasons(a) == [EndReason.PEER_RESTARTED])
        await a.manager.send("b", b"three", confirm="processed")

    play(story)


def test_a_goodbye_stops_all_dials_until_somebody_wants_it_again() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        await b.manager.aclose()
        await a.until(lambda: reasons(a) == [EndReason.CLOSED_BY_PEER])
        dials = a.dials
        for _ in range(20):
            with pytest.raises(PeerClosedError, match="closing"):
                await a.manager.send("b", b"x")
            await asyncio.sleep(1.0)
        assert a.dials == dials
        b = await stage.actor("b", host="b2", reach=["a"])
        await b.manager.send("a", b"here I am")
        await a.until(lambda: a.got == [b"here I am"])
        await a.manager.send("b", b"welcome", confirm="processed")

    play(story)


def test_a_rolling_restart_bricks_nobody() -> None:
    """Its client can only dial, it keeps what is sent meanwhile, and does not dial before it is said to be back."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        assert await b.manager.drain(final=True, reason="new version", returning_in=8.0) == ()
        await b.manager.aclose()
        await a.until(lambda: reasons(a) == [EndReason.CLOSED_BY_PEER])
        assert a.count(PeerDraining) == 1
        dials, left = a.dials, stage.loop.time()
        await a.manager.send("b", b"kept")
        await asyncio.sleep(7.9)
        assert a.dials == dials
        b = await stage.actor("b", host="b", clock=10.0)
        await a.until(lambda: b.got == [b"kept"], seconds=4.0)
        assert stage.loop.time() - left >= 8.0
        assert a.manager.snapshot().departed == ()

    play(story)


def test_a_peer_that_restarts_during_the_drain_is_listed_and_not_let_in() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], session_kept=60.0)
        b = await stage.actor("b", reach=["a"])
        await a.manager.send("b", b"one", confirm="processed")
        stage.network.partition(["a"], ["b"])
        stage.cut()
        receipt = await a.manager.send("b", b"on its way")
        draining = asyncio.ensure_future(a.manager.drain(final=True, timeout=20.0))
        await asyncio.sleep(0.1)
        await stage.crash(b)
        stage.network.heal()
        b = await stage.actor("b", clock=10.0, reach=["a"])
        lost = await draining
        assert [entry.receipt for entry in lost] == [receipt]
        assert reasons(a) == [EndReason.PEER_RESTARTED]
        with pytest.raises(DrainingError):
            await a.manager.send("b", b"more")

    play(story)


def test_a_stranger_is_asked_to_come_back_later() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a")
        c = await stage.actor("c", reach=["a"])
        await a.manager.drain(final=True, returning_in=4.0)
        c.manager.send_nowait("a", b"anybody?")
        await c.until(lambda: c.count(ConnectFailed) > 0)
        (slot,) = c.manager.snapshot().dests[0].slots
        assert "busy" in slot.last_error
        assert slot.retry_in is not None
        assert slot.retry_in > 3.0

    play(story)


def test_killed_during_its_drain_a_node_comes_back_as_if_it_had_not_begun() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        b.manager.send_nowait("nobody", b"x")
        draining = asyncio.ensure_future(b.manager.drain(final=True, timeout=30.0))
        await a.until(lambda: a.count(PeerDraining) == 1)
        await stage.crash(b)
        await draining
        b = await stage.actor("b", clock=10.0)
        await a.until(lambda: reasons(a) == [EndReason.PEER_RESTARTED])
        await a.manager.send("b", b"two", confirm="processed")
        assert b.got == [b"two"]

    play(story)


def test_a_drain_without_end_refuses_new_sessions_all_the_same() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b", reach=["nobody"])
        b.manager.send_nowait("nobody", b"kept")
        draining = asyncio.ensure_future(b.manager.drain(final=True, timeout=float("inf")))
        await asyncio.sleep(1.0)
        with pytest.raises(ConnectError, match="leaving; use another node"):
            await a.manager.send("b", b"x", timeout=10)
        await b.manager.aclose()
        assert [receipt.number for receipt in await draining] == [0]

    play(story)


@pytest.mark.parametrize("how", ["send", "reconnect"])
def test_who_reopens_a_dest_that_said_when_it_is_back_does_not_wait_for_that(how: str) -> None:
    """It may be back sooner; dialled as any other from then on, also when the first dial is in vain."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        await b.manager.aclose(returning_in=3600.0)
        await a.until(lambda: a.count(SessionEnded) == 1)
        await a.manager.send("b", b"two")
        dials = a.dials
        await asyncio.sleep(60.0)
        assert a.dials == dials, "it is left in peace"
        if how == "send":
            await a.manager.send("b", b"three", reopen=True)
        else:
            with pytest.raises(ConnectError):
                await a.manager.reconnect("b")
        await asyncio.sleep(10.0)
        b = await stage.actor("b", clock=10.0)
        await b.until(lambda: b.got[:1] == [b"two"], seconds=10.0)

    play(story)


def test_a_dest_that_is_back_later_is_left_in_peace_also_when_its_transport_was_closed_here() -> None:
    """Sending to it again asks for a dial; those that nobody asks for wait until it means to be back (seed 719733)."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        b = await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        await b.manager.aclose(returning_in=100.0)
        await a.until(lambda: a.count(SessionEnded) == 1)
        await a.manager.close_transport("b")
        left = stage.loop.time()
        a.manager.send_nowait("b", b"two")
        await a.until(lambda: a.count(ConnectFailed) == 1)
        dials = a.dials
        await asyncio.sleep(90.0)
        assert a.dials == dials
        b = await stage.actor("b", clock=10.0)
        await b.until(lambda: b.got == [b"two"], seconds=60.0)
        assert stage.loop.time() - left >= 99.0

    play(story)


def test_a_final_drain_keeps_its_deadline_beside_a_close_that_was_begun_before() -> None:
    """The close may wait longer for its peer's answer; what it loses is in the list all the same (seed 720001)."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"])
        await stage.actor("b")
        await a.manager.send("b", b"one", confirm="processed")
        stage.network.partition(["a"], ["b"])
        receipt = await a.manager.send("b", b"two")
        closing = asyncio.ensure_future(a.manager.close_transport("b"))
        await asyncio.sleep(0)
        began = stage.loop.time()
        lost = await a.manager.drain(final=True, timeout=0.0)
        assert stage.loop.time() - began <= 0.1
        assert [entry.receipt for entry in lost] == [receipt]
        assert await closing == lost

    play(story)
