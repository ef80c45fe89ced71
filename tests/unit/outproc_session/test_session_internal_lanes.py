"""The internal lanes of a session: made when needed, credited by the protocol, in turn with bulk."""

from __future__ import annotations

import pytest

from outproc.frames.records import Ack, Batch, Credit, Position
from outproc.session.fixed_lanes import INTERNAL_BULK, INTERNAL_LANES, INTERNAL_SIGNAL
from outproc.session.internal_lanes import INTERNAL_LIMITS, MAX_UNSENT, InternalSendLane, lane_out
from outproc.session.limits import SessionLimits
from outproc.session.session import Session
from tests.unit.outproc_session.sessions import RPC, frame_of, frames, pair, said, send, talk

TINY = SessionLimits(log_messages=4, window_messages=2, window_size=100, session_window_size=100, max_message=100)


def post(session: Session, number: int, *bodies: bytes) -> InternalSendLane:
    lane = lane_out(session.send_lanes, number)
    assert isinstance(lane, InternalSendLane)
    for body in bodies:
        assert lane.has_room
        lane.post(body)
    if lane.wire is None:
        session.bind(number, "w")
    return lane


def test_a_session_that_never_uses_them_has_none_and_says_nothing_of_them() -> None:
    a, b = pair()
    send(a, RPC, b"x")
    talk(a, b)
    for session in (a, b):
        assert not set(INTERNAL_LANES) & {*session.send_lanes, *session.receive_lanes}
        assert not set(INTERNAL_LANES) & {ack.lane for ack in session.statement().positions}
        assert not set(INTERNAL_LANES) & {credit.lane for credit in session.statement().credits}


@pytest.mark.parametrize("number", INTERNAL_LANES)
def test_what_is_posted_arrives_whatever_the_limits_of_the_user_lanes_are(number: int) -> None:
    a, b = pair(TINY)
    lane = post(a, number, *(bytes([n]) * 300 for n in range(20)))
    bodies = [body for received in talk(a, b) for each in received.deliveries for body in each.bodies]
    assert bodies == [bytes([n]) * 300 for n in range(20)]
    b.consumed(number, 20, 6_000, 20, 0.0)
    talk(b, a, now=1.0)
    assert lane.acked == Position(20, 0)
    assert lane.credit_size == INTERNAL_LIMITS[number].window_size + 6_000
    assert a.send_credit.used == b.receive_credit.charged == 0


def test_they_are_resumed_like_the_others_once_they_are_there() -> None:
    a, b = pair(wires=("w", "v"))
    lane = post(a, INTERNAL_BULK, b"one")
    talk(a, b)
    post(a, INTERNAL_BULK, b"two")
    frames(a)  # lost with its wire
    for session in (a, b):
        session.leave("w", 0.0)
    assert lane.wire is None
    a.bind(INTERNAL_BULK, "v")
    (received,) = talk(a, b, "v")
    assert [each.bodies for each in received.deliveries] == [[b"two"]]
    stated = {ack.lane: ack.received for ack in b.statement().positions}
    assert stated[INTERNAL_BULK] == Position(2, 0)


def test_signals_come_first_and_bulk_takes_turns_with_the_users() -> None:
    a, b = pair(max_frame=1_000)
    send(a, RPC, *[b"u" * 400] * 8)
    post(a, INTERNAL_BULK, *[b"i" * 400] * 8)
    post(a, INTERNAL_SIGNAL, b"signal")
    order = [each.lane for received in talk(a, b) for each in received.deliveries]
    assert order[0] == INTERNAL_SIGNAL
    firsts = [order.index(RPC), order.index(INTERNAL_BULK)]
    assert max(firsts) <= 3, order
    assert order.count(RPC) == order.count(INTERNAL_BULK) == order[1:].count(RPC)


def test_the_credit_of_the_protocol_is_a_limit_for_both_ends() -> None:
    a, b = pair()
    limits = INTERNAL_LIMITS[INTERNAL_SIGNAL]
    lane = lane_out(a.send_lanes, INTERNAL_SIGNAL)
    for _ in range(limits.window_messages + 1):
        lane.log.append(b"x")
    a.bind(INTERNAL_SIGNAL, "w")
    assert sum(len(r.bodies) for f in frames(a) for r in said(f) if isinstance(r, Batch)) == limits.window_messages
    received = b.receive(
        "w", frame_of(b, Batch(INTERNAL_SIGNAL, 9, 0, 0, 0, [b""] * (limits.window_messages + 1))), 0.0
    )
    assert "than it was granted" in str(received.violation)
    received = b.receive("w", frame_of(b, Batch(INTERNAL_BULK, 9, 0, 0, 0, [bytes(131_073)])), 0.0)
    assert "over the limit" in str(received.violation)


def test_a_lane_that_waits_for_its_wire_takes_little_and_an_empty_one_takes_any() -> None:
    a, b = pair()
    a.leave("w", 0.0)
    lane = InternalSendLane(INTERNAL_BULK)
    while lane.has_room:
        lane.post(bytes(100_000))
    assert MAX_UNSENT <= lane.log.size < MAX_UNSENT + 100_000
    assert a.pair is not None
    assert b.end(None) == []


def test_what_they_held_is_none_of_the_users_losses() -> None:
    a, _ = pair()
    post(a, INTERNAL_BULK, b"internal")
    send(a, RPC, b"the user's")
    assert [(lane, number) for lane, number, _ in a.end(None)] == [(RPC, 0)]


def test_an_ack_of_what_was_never_sent_is_a_violation_and_a_credit_is_news() -> None:
    a, _ = pair()
    received = a.receive("w", frame_of(a, Ack(INTERNAL_BULK, Position(1, 0), 0, 0)), 0.0)
    assert "only 0 entries" in str(received.violation)
    a.receive("w", frame_of(a, Credit(INTERNAL_BULK, 9_000, 9 << 20)), 0.0)
    assert lane_out(a.send_lanes, INTERNAL_BULK).credit_messages == 9_000
