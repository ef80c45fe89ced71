"""Checks of the manager contract: how messages and lives of peers are told apart, over sessions."""

from __future__ import annotations

from typing import Final

from litz.events import LaneReceived, SessionEnded, SessionStarted
from litz.message import Origin
from litz.payload import PayloadType
from litz.testing.manager_case import Case, Check, take
from litz.testing.manager_life import next_of


async def an_origin_names_one_message_however_often_it_is_handed_out(case: Case) -> None:
    origins: list[Origin] = []
    for _ in range(2):
        for kind in (PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE):
            for number in range(2):
                await case.a.send(case.to_b, b"%d" % number, payload_type=kind)
        got = await take(case.b, 4)
        assert not any(message.redelivered for message in got), f"nothing came before, but {got}"
        places = sorted((message.origin.lane, message.origin.number) for message in got)
        expected = sorted((int(message.payload_type), message.number) for message in got)
        assert places == expected, f"origins name {places} for {expected}"
        origins += [message.origin for message in got]
        await case.a.close_transport(case.to_b)
    assert len(set(origins)) == 8, f"of two sessions the origins are {origins}"
    assert len({origin.incarnation for origin in origins}) == 1, f"one life sent {origins}"
    await case.a.send(case.to_b, b"again")
    handed = []
    for _ in range(2):
        try:
            async with case.b.messages() as inbox:
                handed.append(await inbox.__anext__())
                raise LookupError
        except LookupError:
            pass
    first, second = handed
    assert (first.redelivered, second.redelivered) == (False, True), f"handed out twice: {handed}"
    assert first.origin == second.origin, f"one message has the origins {first.origin} and {second.origin}"
    assert first.origin not in origins, f"a new message has the old origin {first.origin}"


async def the_end_of_a_session_tells_how_far_the_peer_came_and_which_life_it_was(case: Case) -> None:
    events = case.b.events()
    for number in range(3):
        await case.a.send(case.to_b, b"%d" % number)
    await case.a.send(case.to_b, b"", payload_type=PayloadType.STREAM_RELIABLE, confirm="received")
    await case.a.drain(case.to_b)
    (message, *_) = await take(case.b, 4)
    started = await next_of(events, SessionStarted)
    await case.a.close_transport(case.to_b)
    ended = await next_of(events, SessionEnded)
    assert set(ended.received) == {LaneReceived(0, 3), LaneReceived(2, 1)}, f"it came so far: {ended.received}"
    lives = {started.incarnation, ended.incarnation, message.origin.incarnation}
    assert len(lives) == 1 and "" not in lives, f"one life of the peer is told as {lives}"
    assert (ended.lost, ended.resent) == ((), ()), f"nothing was left open, but {ended}"


RESTART_CHECKS: Final[tuple[Check, ...]] = (
    an_origin_names_one_message_however_often_it_is_handed_out,
    the_end_of_a_session_tells_how_far_the_peer_came_and_which_life_it_was,
)
