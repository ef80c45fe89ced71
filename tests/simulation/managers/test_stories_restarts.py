"""Stories of restarts: what is resent, how it is marked, and what both sides are told. The policy to surface is in
`test_stories_sessions.py`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.events import EndReason, LaneReceived, Outcome, SessionEnded, SessionStarted
from litz.payload import PayloadType
from tests.simulation.managers.stage import Actor, Stage, play

RPC = PayloadType.RPC_RELIABLE
PATIENT: dict[str, Any] = {"ping_after": 1000.0, "dead_after": 1000.0, "sick_after": 1000.0, "session_kept": 1000.0}


def ends(actor: Actor) -> list[SessionEnded]:
    return [event for event in actor.events if isinstance(event, SessionEnded)]


def seen(actor: Actor) -> list[tuple[bytes, bool, int]]:
    """What came: data, whether it is marked, and the number of its origin."""
    return [(message.data, message.redelivered, message.origin.number) for message in actor.messages]


async def send_into_the_void(stage: Stage, a: Actor, b: Actor, *data: bytes) -> None:
    """b is gone without a word, and a has not noticed: what a sends is transmitted, and nobody has it."""
    await stage.crash(b, tell_peers=False)
    for each in data:
        await a.manager.send("b", each)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("policy", ["surface", "resend"])
def test_a_peer_restarts_while_we_are_idle_and_then_we_send(policy: str) -> None:
    """Nothing is unconfirmed, so nothing is lost nor sent twice; what we send then is for the new life."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart=policy)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        first = b.messages[0].origin
        await stage.crash(b)
        again = await stage.actor("b", clock=10.0)
        await asyncio.sleep(10)
        await a.manager.send("b", b"new", confirm="processed")
        assert seen(again) == [(b"new", False, 0)]
        (ended,) = ends(a)
        assert (ended.reason, ended.lost, ended.resent) == (EndReason.PEER_RESTARTED, (), ())
        old, new = [event.incarnation for event in a.events if isinstance(event, SessionStarted)]
        assert ended.incarnation == old != new
        # The two have the same number, and are told apart all the same.
        assert again.messages[0].origin != first
        assert again.messages[0].origin.incarnation == first.incarnation

    play(story)


@pytest.mark.parametrize("policy", ["surface", "resend"])
def test_a_peer_restarts_unseen_and_what_we_send_meanwhile_is_of_unknown_outcome(policy: str) -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart={"b": policy}, **PATIENT)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await send_into_the_void(stage, a, b, b"1", b"2")
        again = await stage.actor("b", reach=["a"], clock=10.0)
        await again.manager.send("a", b"here I am")
        await a.until(lambda: a.got == [b"here I am"])
        await a.manager.send("b", b"3")
        await a.manager.drain("b")
        (ended,) = ends(a)
        if policy == "surface":
            assert [(lost.number, lost.outcome) for lost in ended.lost] == [(1, Outcome.UNKNOWN), (2, Outcome.UNKNOWN)]
            assert (ended.resent, seen(again)) == ((), [(b"3", False, 0)])
            return
        assert ended.lost == ()
        assert [(each.receipt[1], each.again[1]) for each in ended.resent] == [(1, 0), (2, 1)]
        assert {(each.receipt[0].session, each.again[0].session) for each in ended.resent} == {(0, 1)}
        assert {each.outcome for each in ended.resent} == {Outcome.UNKNOWN}
        assert seen(again) == [(b"1", True, 1), (b"2", True, 2), (b"3", False, 2)]
        # "2" was sent as number 2 of the first session, "3" is number 2 of the second.
        assert len({message.origin for message in again.messages}) == 3

    play(story)


def test_what_the_peer_surely_never_had_is_sent_as_if_nothing_had_been() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend")
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await stage.crash(b)
        await a.until(lambda: not a.manager.is_connected("b"))
        confirmed = asyncio.ensure_future(a.manager.send("b", b"1", confirm="processed"))
        await a.manager.send("b", b"2", payload_type=PayloadType.RPC_SIGNAL)
        await a.manager.send("b", b"3", payload_type=PayloadType.STREAM_RELIABLE, key="k")
        drained = asyncio.ensure_future(a.manager.drain("b"))
        again = await stage.actor("b", clock=10.0)
        await confirmed
        await drained
        assert sorted(seen(again)) == [(b"1", False, 0), (b"2", False, 0), (b"3", False, 0)]
        assert [message.key for message in again.messages if message.data == b"3"] == ["k"]
        (ended,) = ends(a)
        assert (ended.lost, {each.outcome for each in ended.resent}) == ((), {Outcome.NEVER_ACCEPTED})

    play(story)


def test_the_receiver_of_a_restarted_sender_learns_how_far_the_old_life_came() -> None:
    async def story(stage: Stage) -> None:
        b = await stage.actor("b")
        a = await stage.actor("a", reach=["b"])
        for number in range(5):
            await a.manager.send("b", b"%d" % number)
        await a.manager.send("b", b"s", payload_type=PayloadType.RPC_SIGNAL)
        await a.manager.drain("b")
        await stage.crash(a)
        again = await stage.actor("a", reach=["b"], clock=10.0)
        await again.manager.send("b", b"of the new life", confirm="processed")
        (ended,) = ends(b)
        assert ended.reason is EndReason.PEER_RESTARTED
        assert ended.received == (LaneReceived(1, 1), LaneReceived(0, 5))
        old, new = [event.incarnation for event in b.events if isinstance(event, SessionStarted)]
        assert ended.incarnation == old != new
        # Each message tells which life sent it.
        assert [message.origin.incarnation for message in b.messages] == [old] * 6 + [new]

    play(story)


def test_both_restart_and_nothing_of_the_old_lives_comes_up_again() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", **PATIENT)
        b = await stage.actor("b", reach=["a"], on_restart="resend", **PATIENT)
        await a.manager.send("b", b"old", confirm="processed")
        await b.manager.send("a", b"old", confirm="processed")
        await send_into_the_void(stage, a, b, b"lost with both")
        await stage.crash(a, tell_peers=False)
        new_a = await stage.actor("a", reach=["b"], on_restart="resend", clock=10.0)
        new_b = await stage.actor("b", reach=["a"], on_restart="resend", clock=10.0)
        await asyncio.gather(
            new_a.manager.send("b", b"from a", confirm="processed"),
            new_b.manager.send("a", b"from b", confirm="processed"),
        )
        await asyncio.sleep(5)
        assert (seen(new_a), seen(new_b)) == ([(b"from b", False, 0)], [(b"from a", False, 0)])
        assert (ends(new_a), ends(new_b)) == ([], [])

    for seed in range(5):
        play(story, seed=seed)


def test_a_restart_is_seen_first_over_another_kind_of_wire() -> None:
    """The old wire is half open: it must not carry on, nor be missed; and what it swallowed goes over the new one."""

    async def story(stage: Stage) -> None:
        kinds = ("tcp", "rtc")
        a = await stage.actor("a", reach=["b"], kinds=kinds, on_restart="resend", **PATIENT)
        b = await stage.actor("b", kinds=kinds)
        await a.manager.send("b", b"old", confirm="processed")
        await a.until(lambda: len(a.manager.snapshot().dests[0].wires) == 2)
        await send_into_the_void(stage, a, b, b"1", b"2", b"3")
        again = await stage.actor("b", reach=["a"], kinds=("rtc",), clock=10.0)
        await again.manager.send("a", b"by the other kind", confirm="processed")
        await a.manager.send("b", b"4", confirm="processed")
        assert seen(again) == [(b"1", True, 1), (b"2", True, 2), (b"3", True, 3), (b"4", False, 3)]
        assert [ended.reason for ended in ends(a)] == [EndReason.PEER_RESTARTED]
        assert {wire.kind for wire in a.manager.snapshot().dests[0].wires} == {"rtc"}

    for seed in range(5):
        play(story, seed=seed)


def test_several_restarts_in_a_row_each_message_once_in_order_with_its_first_origin() -> None:
    """Each life dies in the middle of what the one before left. Only what may have come twice is marked."""

    async def story(stage: Stage) -> None:
        total, lives, b = 40, [], await stage.actor("b", window_messages=4)
        a = await stage.actor("a", reach=["b"], on_restart="resend", ping_after=0.5, dead_after=0.5)
        sending = asyncio.ensure_future(send_all(a, total))
        for life in range(5):
            await b.until(lambda: len(b.got) >= 3 + life)  # noqa: B023 - awaited in this round
            lives.append(b)
            await stage.crash(b, tell_peers=life % 2 == 0)
            b = await stage.actor("b", clock=10.0 * (life + 1), window_messages=4)
        await sending
        await a.manager.drain("b")
        await b.until(lambda: bool(b.got) and b.got[-1] == b"%d" % (total - 1))
        lives.append(b)
        origins: dict[bytes, set[object]] = {}
        for each in lives:
            numbers = [int(data) for data in each.got]
            assert numbers == sorted(set(numbers)), f"one life got {numbers}"
            for message in each.messages:
                came_before = message.data in origins
                origins.setdefault(message.data, set()).add(message.origin)
                assert message.redelivered or not came_before, f"{message!r} came before, and is not marked"
        assert sorted(map(int, origins)) == list(range(total))
        assert {len(each) for each in origins.values()} == {1}, "an origin has changed"
        assert [lost for ended in ends(a) for lost in ended.lost] == []
        assert sum(message.redelivered for each in lives for message in each.messages) > 0

    for seed in range(10):
        play(story, seed=seed)


async def send_all(actor: Actor, total: int) -> None:
    for number in range(total):
        await actor.manager.send("b", b"%d" % number)
        await asyncio.sleep(0.02)


def test_who_waits_for_what_is_sent_again_goes_on_waiting() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", **PATIENT)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await stage.crash(b, tell_peers=False)
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(a.manager.send("b", b"1", confirm="received")),
            asyncio.ensure_future(a.manager.send("b", b"2", confirm="processed")),
        ]
        await asyncio.sleep(0.1)
        waits.append(asyncio.ensure_future(a.manager.drain("b")))
        cancelled = asyncio.ensure_future(a.manager.send("b", b"3", confirm="processed"))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        again = await stage.actor("b", reach=["a"], clock=10.0)
        await again.manager.send("a", b"here I am")
        async with asyncio.timeout(5):
            await asyncio.gather(*waits)
        await again.until(lambda: len(again.got) == 3)
        assert seen(again) == [(b"1", True, 1), (b"2", True, 2), (b"3", True, 3)]

    play(story)
