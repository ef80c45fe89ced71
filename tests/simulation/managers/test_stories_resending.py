"""More stories of restarts: where resending ends, and with whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from litz.errors import MessageDroppedError, OutcomeUnknownError, PeerRestartedError, SessionEndedError
from litz.events import DropReason, EndReason, MessagesDropped, Outcome, SessionStarted
from litz.message import Message
from litz.payload import PayloadType
from outproc.session.resending import MAX_RESENDS
from tests.simulation.managers.stage import Actor, Stage, play
from tests.simulation.managers.test_stories_restarts import PATIENT, ends, seen, send_into_the_void

RPC = PayloadType.RPC_RELIABLE


def test_what_was_received_and_not_processed_is_not_sent_again_and_who_waits_is_told() -> None:
    """It was confirmed, so it is no longer here: for that there are durable messages."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend")
        b = await stage.actor("b")
        await b.stop_listening()
        waiting = asyncio.ensure_future(a.manager.send("b", b"1", confirm="processed"))
        await asyncio.sleep(1)
        await stage.crash(b)
        await stage.actor("b", clock=10.0)
        with pytest.raises(PeerRestartedError):
            await waiting
        assert [(ended.lost, ended.resent) for ended in ends(a)] == [((), ())]

    play(story)


def test_requests_are_never_sent_again_by_themselves() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", **PATIENT)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await stage.crash(b, tell_peers=False)
        request = asyncio.ensure_future(a.manager.request("b", b"?"))
        await asyncio.sleep(0.1)
        await a.manager.send("b", b"behind it")
        drain = asyncio.ensure_future(a.manager.drain("b"))
        again = await stage.actor("b", reach=["a"], clock=10.0)
        await again.manager.send("a", b"here I am")
        with pytest.raises(OutcomeUnknownError):
            await request
        with pytest.raises(SessionEndedError):
            await drain  # something up to there is lost
        await a.manager.drain("b")
        assert again.got == [b"behind it"]
        (ended,) = ends(a)
        assert [lost.number for lost in ended.lost] == [1]
        assert [each.receipt[1] for each in ended.resent] == [2]

    play(story)


def test_a_session_that_expired_is_resent_and_one_that_was_closed_is_not() -> None:
    """Expired: the peer lives, and may have it; so it comes marked, and its origin tells that it came before."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", session_kept=3.0, ping_after=0.5, dead_after=0.5)
        b = await stage.actor("b", session_kept=3.0, ping_after=0.5, dead_after=0.5)
        await a.manager.send("b", b"old", confirm="processed")
        stage.network.partition(["b"], ["a"], one_way=True)  # what a sends arrives, and no ack comes back
        await a.manager.send("b", b"1")
        await b.until(lambda: b.got == [b"old", b"1"])
        stage.network.partition(["a"], ["b"])
        await a.manager.send("b", b"2")
        await a.until(lambda: [ended.reason for ended in ends(a)] == [EndReason.EXPIRED])
        # What is resent counts in the process's logs, from the first moment on: a snapshot would count it anew.
        assert a.manager._entered is not None
        assert a.manager._entered.node.log_budget.used == len(b"12")
        stage.network.heal()
        await a.manager.send("b", b"3", confirm="processed")
        assert [(each.data, each.redelivered) for each in b.messages[2:]] == [(b"1", True), (b"2", True), (b"3", False)]
        assert b.messages[1].origin == b.messages[2].origin
        await b.manager.close_transport("a")
        await a.until(lambda: len(ends(a)) == 2)
        assert (ends(a)[1].reason, ends(a)[1].resent) == (EndReason.CLOSED_BY_PEER, ())

    play(story)


@pytest.mark.parametrize("knows", ["at the end", "when it is back"])
def test_a_peer_that_does_not_know_origins_is_sent_nothing_that_may_have_come(knows: str) -> None:
    """An older version, before or after the restart: what may have come is told, the rest is sent."""

    def older(actor: Actor) -> Actor:
        assert actor.manager._entered is not None
        node = actor.manager._entered.node
        node.handshake_node = replace(node.handshake_node, features=())
        return actor

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", ping_after=0.5, dead_after=0.5)
        b = await stage.actor("b")
        if knows == "at the end":
            older(b)
        await a.manager.send("b", b"old", confirm="processed")
        await stage.crash(b, tell_peers=False)
        waiting = asyncio.ensure_future(a.manager.send("b", b"1", confirm="received"))
        await asyncio.sleep(0.1)
        await a.until(lambda: not a.manager.is_connected("b"))
        await a.manager.send("b", b"2")
        again = older(await stage.actor("b", clock=10.0))
        error = PeerRestartedError if knows == "at the end" else MessageDroppedError
        with pytest.raises(error):
            await waiting
        await a.manager.drain("b")
        await again.until(lambda: again.got == [b"2"])
        assert [message.redelivered for message in again.messages] == [False]
        (ended,) = ends(a)
        dropped = [(each.first, each.reason) for each in a.events if isinstance(each, MessagesDropped)]
        if knows == "at the end":
            assert ([lost.number for lost in ended.lost], dropped) == ([1], [])
        else:
            assert (ended.lost, dropped) == ((), [(0, DropReason.STALE)])

    play(story)


def test_a_message_at_which_every_life_dies_is_given_up() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", ping_after=0.3, dead_after=0.3)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await stage.crash(b, tell_peers=False)
        await a.manager.send("b", b"poison")
        for life in range(MAX_RESENDS + 1):
            # It dies in the moment in which the message is on its way to it.
            await a.until(lambda: not a.manager.is_connected("b"))
            b = await stage.actor("b", clock=10.0 * (life + 1))
            await a.until(lambda: a.count(SessionStarted) > life + 1)  # noqa: B023 - awaited in this round
            await stage.crash(b, tell_peers=False)
        lost = [entry for ended in ends(a) for entry in ended.lost]
        resent = [entry for ended in ends(a) for entry in ended.resent]
        assert [entry.outcome for entry in lost] == [Outcome.UNKNOWN]
        assert len(resent) == MAX_RESENDS

    play(story)


def test_resent_messages_stay_within_the_limits_and_newer_ones_wait_behind_them() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", log_messages=4, **PATIENT)
        b = await stage.actor("b", window_messages=4)
        await a.manager.send("b", b"old", confirm="processed")
        await stage.crash(b, tell_peers=False)
        sends = [asyncio.ensure_future(a.manager.send("b", b"%d" % number)) for number in range(10)]
        await asyncio.sleep(0.1)
        assert sum(send.done() for send in sends) == 4
        again = await stage.actor("b", reach=["a"], clock=10.0, window_messages=4)
        await again.manager.send("a", b"here I am")
        await asyncio.gather(*sends)
        await a.manager.drain("b")
        await again.until(lambda: len(again.got) == 10)
        assert again.got == [b"%d" % number for number in range(10)]
        assert [message.redelivered for message in again.messages] == [True] * 4 + [False] * 6

    play(story)


def test_large_messages_cut_to_pieces_keep_their_origin() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", **PATIENT)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        large = [bytes([number]) * 300_000 for number in range(4)]
        await send_into_the_void(stage, a, b, *large)
        again = await stage.actor("b", reach=["a"], clock=10.0)
        await again.manager.send("a", b"here I am")
        await again.until(lambda: len(again.got) == 4)
        assert again.got == large
        first, *_, last = again.messages
        assert (first.redelivered, first.origin.number) == (True, 1)
        # The wire did not take all: what it surely did not carry is new, and begins with a number of this session.
        assert (last.redelivered, last.origin.number, last.number) == (False, 3, 3)

    play(story)


def test_a_handler_that_raises_keeps_the_origin_of_what_comes_again() -> None:
    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", **PATIENT)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await send_into_the_void(stage, a, b, b"1")
        again = await stage.actor("b", reach=["a"], clock=10.0)
        await again.stop_listening()
        await again.manager.send("a", b"here I am")
        handed: list[Message] = []
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                async with again.manager.messages() as stream:
                    handed.append(await anext(stream))
                    raise ZeroDivisionError
        assert handed[0].origin == handed[1].origin
        assert handed[1].redelivered
        assert handed[0].origin.number == 1

    play(story)


def test_of_two_processes_of_one_id_one_is_replaced_and_sessions_do_not_change_hands_again() -> None:
    """Both live, both dial. Exactly one is told, and what is sent to the id goes to the other."""

    async def story(stage: Stage) -> None:
        b = await stage.actor("b", on_restart="resend")
        old = await stage.actor("a", reach=["b"], on_restart="resend")
        await old.manager.send("b", b"from the old one", confirm="processed")
        new = await stage.actor("a", host="a2", reach=["b"], on_restart="resend", clock=100.0)
        await new.manager.send("b", b"from the new one", confirm="processed")
        for number in range(20):
            await b.manager.send("a", b"%d" % number, confirm="received")
            await asyncio.sleep(1)
        await asyncio.sleep(120)
        assert [EndReason.REPLACED in [ended.reason for ended in ends(each)] for each in (old, new)] == [True, False]
        assert (ends(new), [ended.reason for ended in ends(b)]) == ([], [EndReason.PEER_RESTARTED])
        assert (old.got, new.got) == ([], [b"%d" % number for number in range(20)])
        assert max(old.dials, new.dials) < 10

    for seed in range(5):
        play(story, seed=seed)


def test_a_peer_restarts_while_we_leave() -> None:
    """A final drain goes on with the new life, and lists exactly what did not come through."""

    async def story(stage: Stage) -> None:
        a = await stage.actor("a", reach=["b"], on_restart="resend", ping_after=0.5, dead_after=0.5)
        b = await stage.actor("b")
        await a.manager.send("b", b"old", confirm="processed")
        await send_into_the_void(stage, a, b, b"1", b"2")
        leaving = asyncio.ensure_future(a.manager.drain(final=True, timeout=60))
        await asyncio.sleep(0.1)
        again = await stage.actor("b", clock=10.0)
        assert await leaving == ()
        await again.until(lambda: seen(again) == [(b"1", True, 1), (b"2", True, 2)])
        assert [ended.lost for ended in ends(a)][:1] == [()]

    play(story)
