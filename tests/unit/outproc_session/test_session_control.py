"""Acks, credit and pings between two sessions: when they go, where, and what they say (R8, R9, R10)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litz.events import Outcome
from litz.payload import REPLY_LANE
from outproc.frames.decode import decode_frame
from outproc.frames.layout import ACK_NOW
from outproc.frames.records import (
    MAX_KEY,
    Ack,
    Batch,
    Goodbye,
    Ping,
    Pong,
    Position,
)
from outproc.handshake.models import MIN_MAX_FRAME
from outproc.security.sealing import OVERHEAD
from outproc.session.log import EntryDetail
from outproc.session.session import FIXED_LANES, MAX_PONGS, SIGNAL_LANE, Session
from outproc.session.tombstones import Finals
from tests.unit.outproc_session.sessions import LIMITS, RPC, STREAM, frame_of, frames, pair, said, send, talk


def _never_due(session: Session) -> None:
    assert session.due is None


# -- acks, credit, control --------------------------------------------------------------------------


def test_acks_ride_on_data_and_go_alone_when_due_and_not_before() -> None:
    a, b = pair()
    send(a, RPC, b"x")
    talk(a, b)
    assert b.due == LIMITS.ack_delay
    assert frames(b) == []
    (alone,) = frames(b, now=LIMITS.ack_delay)
    assert said(alone) == [Ack(RPC, Position(1, 0), 0, 0)]
    assert not decode_frame(alone)[0] & ACK_NOW
    _never_due(b)
    a.receive("w", alone, 0.0)
    assert a.due is None  # control alone makes no ack due
    send(a, RPC, b"y")
    talk(a, b, now=1.0)
    send(b, RPC, b"z")
    (riding,) = frames(b, now=1.0)
    assert [type(record) for record in said(riding)] == [Ack, Batch]


def test_the_deadline_is_no_debounce() -> None:
    a, b = pair()
    for tick in range(5):
        send(a, RPC, b"x")
        talk(a, b, now=tick * 0.006)
    assert b.due == LIMITS.ack_delay
    assert frames(b, now=LIMITS.ack_delay)


@pytest.mark.parametrize("by", ["messages", "size"])
def test_a_quarter_of_the_peers_log_is_acknowledged_at_once(by: str) -> None:
    limits = replace(LIMITS, log_messages=16) if by == "messages" else replace(LIMITS, log_size=400)
    a, b = pair(limits)
    bodies = [b""] * 3 if by == "messages" else [b"x" * 33] * 3
    send(a, RPC, *bodies)
    talk(a, b)
    assert b.due == LIMITS.ack_delay
    send(a, RPC, bodies[0])
    talk(a, b)
    assert b.due == 0.0


def test_whoever_waits_gets_its_ack_at_once_and_later_the_processed_level() -> None:
    a, b = pair()
    send(a, RPC, b"x")
    a.send_lanes[RPC].ack_wanted = 1
    talk(a, b)
    assert b.due == 0.0
    talk(b, a)
    assert not a.send_lanes[RPC].ack_now
    b.consumed(RPC, 1, 1, 1, 5.0)
    assert b.due == 5.0
    (received,) = talk(b, a, now=5.0)
    assert received.acked == [RPC]
    assert a.send_lanes[RPC].processed == 1
    (again,) = [a.receive("w", frame_of(a, Ack(RPC, Position(1, 0), 1, 0)), 5.0)]
    assert again.acked == []


def test_freed_credit_is_news_and_nothing_new_is_not() -> None:
    limits = replace(LIMITS, window_messages=8)
    a, b = pair(limits)
    send(a, RPC, *[b"x"] * 4)
    talk(a, b)
    talk(b, a, now=1.0)
    b.consumed(RPC, 1, 1, 1, 1.0)
    assert b.due == 1.0 + LIMITS.ack_delay
    b.consumed(RPC, 4, 4, 4, 1.001)
    assert b.due == 1.001
    (received,) = talk(b, a, now=1.001)
    assert a.send_lanes[RPC].credit_messages == 12
    assert a.send_credit.limit == limits.session_window_size + 4
    b.consumed(RPC, 4, 4, 4, 2.0)
    _never_due(b)
    assert received.acked == [RPC]


def test_signals_and_replies_cost_the_session_nothing() -> None:
    limits = replace(LIMITS, max_message=10, session_window_size=10)
    a, b = pair(limits)
    send(a, RPC, b"x" * 10, b"y")
    send(a, SIGNAL_LANE, b"s" * 10)
    send(a, REPLY_LANE, b"r" * 10)
    delivered = [delivery.lane for received in talk(a, b) for delivery in received.deliveries]
    assert delivered == [SIGNAL_LANE, REPLY_LANE, RPC]
    assert a.send_lanes[RPC].blocked
    b.consumed(SIGNAL_LANE, 1, 10, 1, 0.0)
    assert not b.unsent.session_credit


def test_control_that_a_dead_wire_carried_is_sent_again_on_another() -> None:
    a, b = pair(wires=("w", "v"))
    send(a, RPC, b"x")
    talk(a, b)
    assert frames(b, now=1.0)  # and they are lost
    b.leave("w", 2.0)
    assert b.due == 2.0 + LIMITS.ack_delay
    talk(b, a, "v", now=3.0)
    assert a.send_lanes[RPC].acked == Position(1, 0)
    b.leave("v", 4.0)
    _never_due(b)  # nowhere to send it; the next JOIN states it


def test_control_goes_where_the_peer_was_heard_last() -> None:
    a, b = pair(wires=("w", "v"))
    a.bind(RPC, "v")
    send(a, RPC, b"x")
    talk(a, b, "v")
    assert frames(b, "w", now=1.0) == []
    assert frames(b, "v", now=1.0)


def test_pings_are_answered_on_their_wire_and_bounded() -> None:
    a, b = pair(wires=("w", "v"))
    for token in range(6):
        a.ping("w", token)
    a.ping("gone", 9)
    (frame,) = frames(a)
    assert said(frame) == [Ping(token) for token in range(2, 6)]
    b.receive("w", frame, 0.0)
    b.receive("w", frame_of(b, *(Ping(token) for token in range(50, 53))), 0.0)
    assert frames(b, "v") == []
    (answer,) = frames(b)
    assert said(answer) == [Pong(5), Pong(50), Pong(51), Pong(52)]
    assert a.receive("w", answer, 0.0).pongs == [5, 50, 51, 52]


def test_frames_never_exceed_the_smallest_wire_and_everything_gets_through() -> None:
    a, b = pair(max_frame=128)
    for number in range(4):
        b.receive("w", frame_of(b, Ping(number)), 0.0)
        b.ping("w", number)
    b.unsent.everything(FIXED_LANES, 0.0)
    send(b, RPC, b"x" * 500)
    whole = frames(b)
    assert max(map(len, whole)) <= 128
    received = [a.receive("w", frame, 0.0) for frame in whole]
    assert [delivery.bodies for got in received for delivery in got.deliveries] == [[b"x" * 500]]
    assert not any(got.violation or got.fault for got in received)
    assert [token for got in received for token in got.pongs] == [0, 1, 2, 3]
    assert not b.unsent
    assert len(a.wires["w"].pongs) == 4


def smallest_frame() -> int:
    """Of a peer that takes as little as is allowed, over a sealed wire."""
    return MIN_MAX_FRAME - OVERHEAD


def test_the_largest_header_fits_the_smallest_frame_whatever_else_wants_to_go() -> None:
    """All columns, the longest key, and as many pings, pongs, acks and credits as there can be: in the first frame."""
    a, b = pair(max_frame=smallest_frame())
    detail = EntryDetail(correlation=(1, 2**64 - 1), key="k" * MAX_KEY)
    for number in range(2 * MAX_PONGS):
        b.receive("w", frame_of(b, Ping(number)), 0.0)
        b.ping("w", number)
    b.unsent.everything(FIXED_LANES, 0.0)
    b.send_lanes[RPC].append(b"x" * 5_000, detail)
    whole = frames(b)
    assert max(map(len, whole)) <= smallest_frame()
    assert any(isinstance(record, Batch) for record in said(whole[0]))
    received = [a.receive("w", frame, 0.0) for frame in whole]
    assert [delivery.bodies for got in received for delivery in got.deliveries] == [[b"x" * 5_000]]


def test_the_end_of_a_session_fits_the_smallest_frame() -> None:
    a, _ = pair(max_frame=smallest_frame())
    farewell = b"".join(a.farewell(1, "t" * 1_000, smallest_frame()))
    assert len(farewell) <= smallest_frame()
    (end,) = said(farewell)
    assert isinstance(end, Goodbye) and not end.partial and len(end.positions) == len(FIXED_LANES)


def test_final_positions_that_do_not_fit_are_left_out_and_that_is_said() -> None:
    a, b = pair()
    send(b, RPC, b"x", b"y")
    talk(b, a)
    send(b, RPC, b"z")
    send(b, STREAM, b"z")
    frames(b)
    # Room for all lanes but the last, which is STREAM.
    farewell = b"".join(a.farewell(1, "", 16 + 32 * len(FIXED_LANES) - 1))
    assert len(farewell) == 16 + 32 * (len(FIXED_LANES) - 1)
    (end,) = said(farewell)
    assert isinstance(end, Goodbye) and end.partial
    assert b.end(Finals.of(end.positions, partial=end.partial)) == [
        (RPC, 2, Outcome.NEVER_ACCEPTED),
        (STREAM, 0, Outcome.UNKNOWN),
    ]
