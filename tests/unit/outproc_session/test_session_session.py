"""Two sessions and the frames between them: what each rule of the session looks like from outside."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz.errors import ProtocolError
from litz.events import DropReason, Outcome
from outproc.frames.records import (
    Ack,
    Batch,
    Closed,
    Credit,
    Fin,
    Goodbye,
    Leave,
    LeaveReason,
    Lossy,
    Ping,
    Pong,
    Position,
    Record,
    SessionCredit,
)
from outproc.session.exchange import Received, Statement
from outproc.session.limits import Overflow
from outproc.session.receive_lane import Finished, Skipped
from outproc.session.session import FIXED_LANES, LOSSY_LANE, SIGNAL_LANE, Session
from outproc.session.tombstones import Finals
from tests.unit.outproc_session.sessions import LIMITS, RPC, STREAM, A, B, frame_of, frames, pair, said, send, talk

# -- the pair and its wires -------------------------------------------------------------------------


def test_data_needs_a_complete_pair() -> None:
    session = Session(A, LIMITS)
    with pytest.raises(RuntimeError, match="paired"):
        session.join("w", 4_096, Statement())
    session.complete(B)
    with pytest.raises(RuntimeError, match="paired already"):
        session.complete(B)
    with pytest.raises(RuntimeError, match="only a joined wire"):
        session.bind(RPC, "w")


def test_both_ends_compute_one_tag_and_take_no_frame_of_another_pair() -> None:
    a, b = pair()
    assert a.tag == b.tag != 0
    send(a, RPC, b"x")
    (frame,) = frames(a)
    other, _ = pair()
    other.tag ^= 1
    assert other.receive("w", frame, 0.0) == Received()
    assert b.receive("not joined", frame, 0.0) == Received()
    assert b.receive("w", frame, 0.0).deliveries[0].bodies == [b"x"]
    b.end(None)
    assert b.receive("w", frame, 0.0) == Received()
    with pytest.raises(RuntimeError, match="has not ended"):
        b.join("v", 4_096, Statement())


def test_a_wire_that_loses_frames_carries_pings_and_what_is_latency_first_and_nothing_else() -> None:
    a, b = pair()
    for session, other in ((a, b), (b, a)):
        session.join("udp", 4_096, other.statement(), dependable=False)
        session.bind(LOSSY_LANE, "udp")
    with pytest.raises(RuntimeError, match="keeps order"):
        a.bind(RPC, "udp")
    send(a, RPC, b"x")
    talk(a, b)
    a.lossy_out.append(b"now")
    a.ping("udp", 7)
    assert [type(record) for frame in frames(a, "udp") for record in said(frame)] == [Ping, Lossy]
    a.lossy_out.append(b"again")
    assert talk(a, b, "udp")[0].deliveries[0].bodies == [b"again"]
    assert b.due is not None
    assert frames(b, "udp", b.due) == [], "the ack must not be told where it may be lost"
    assert [type(record) for frame in frames(b, "w", b.due) for record in said(frame)] == [Ack]


def test_acks_wait_while_there_is_only_a_wire_that_may_lose_them() -> None:
    a, b = pair()
    a.join("udp", 4_096, b.statement(), dependable=False)
    b.join("udp", 4_096, a.statement(), dependable=False)
    send(a, RPC, b"x")
    talk(a, b)
    b.leave("w", 0.0)
    before = b.due
    assert frames(b, "udp", 1.0) == []
    b.join("v", 4_096, None)
    assert (before is None, b.due is None) == (True, False)
    (frame,) = frames(b, "v", 1.0)
    assert Ack(RPC, Position(1, 0), 0, 0) in said(frame)


def test_a_joining_wire_states_positions_and_old_ones_are_no_gap() -> None:
    a, b = pair()
    old = b.statement()
    send(a, RPC, b"x", b"y")
    talk(a, b)
    assert a.join("v", 4_096, b.statement()) == [RPC]
    assert a.send_lanes[RPC].acked == Position(2, 0)
    assert a.join("u", 4_096, old) == []
    assert a.send_lanes[RPC].acked == Position(2, 0)
    bad = replace(old, positions=(Ack(RPC, Position(3, 0), 0, 0),))
    with pytest.raises(ProtocolError, match="only 2"):
        a.join("t", 4_096, bad)
    assert "t" not in a.wires


def test_a_lane_moves_with_what_was_not_acknowledged() -> None:
    a, b = pair(wires=("w", "v"))
    send(a, RPC, b"1", b"2")
    lost = frames(a)
    assert lost
    a.bind(RPC, "v")
    send(a, RPC, b"3")
    (received,) = talk(a, b, "v")
    assert received.deliveries[0].bodies == [b"1", b"2", b"3"]
    late = b.receive("w", lost[0], 0.0)
    assert not late.deliveries and b.stale_batches == 1 and not late.fault


def test_a_wire_that_leaves_unbinds_its_lanes_and_no_others() -> None:
    a, _ = pair(wires=("w", "v"))
    a.bind(STREAM, "v")
    a.leave("w", 0.0)
    a.leave("w", 0.0)
    assert {number for number, lane in a.send_lanes.items() if lane.wire is None} == set(FIXED_LANES) - {STREAM}
    assert a.lossy_out.wire is None
    a.bind(LOSSY_LANE, "v")
    a.leave("unknown", 0.0)
    a.leave("w", 0.0)
    assert a.lossy_out.wire == "v"


# -- frames -----------------------------------------------------------------------------------------


def test_signals_overtake_and_keep_frames_small_while_they_are_in_use() -> None:
    limits = replace(LIMITS, batch_size=2_000, bulk_frame=8_000)
    a, b = pair(limits, max_frame=65_536)
    send(a, RPC, b"x" * 20_000)
    assert 7_990 <= len(b"".join(a.next_frame("w", 100.0) or [])) <= 8_000
    send(a, SIGNAL_LANE, b"!")
    frame = b"".join(a.next_frame("w", 100.0) or [])
    assert next(record.lane for record in said(frame) if isinstance(record, Batch)) == SIGNAL_LANE
    assert 1_990 <= len(b"".join(a.next_frame("w", 100.5) or [])) <= 2_000
    b.receive("w", frame_of(b, Batch(SIGNAL_LANE, 1, 0, 0, 0, [b"?"])), 200.0)
    send(b, RPC, b"x" * 20_000)
    assert 1_990 <= len(b"".join(b.next_frame("w", 200.5) or [])) <= 2_000


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([RPC, STREAM, SIGNAL_LANE, LOSSY_LANE]),
            st.sampled_from([10, 3_000, 9_000, 15_000, 16_383, 16_384, 40_000]),
        ),
        min_size=10,
        max_size=60,
    ),
    st.integers(0, 3),
)
def test_a_frame_that_says_that_it_says_all_is_the_last(messages: list[tuple[int, int]], pings: int) -> None:
    a, b = pair(replace(LIMITS, early_size=1 << 30), max_frame=1 << 20)
    for lane, size in messages:
        if lane == LOSSY_LANE:
            a.lossy_out.append(bytes(size))
        else:
            send(a, lane, bytes(size))
    for token in range(pings):
        a.ping("w", token)
    said_all = False
    while (frame := a.next_frame("w", 0.0)) is not None:
        assert not said_all
        said_all = a.said_all
        b.receive("w", b"".join(frame), 0.0)
    assert all(b.receive_lanes[lane].expected.number == a.send_lanes[lane].log.next_number for lane in a.send_lanes)


def test_a_small_frame_says_all() -> None:
    a, _ = pair(max_frame=1 << 20)
    send(a, RPC, b"hello")
    assert a.next_frame("w", 0.0) is not None
    assert a.said_all


def test_bulk_lanes_take_turns() -> None:
    a, _ = pair(max_frame=460)
    send(a, RPC, *[b"x" * 400] * 4)
    send(a, STREAM, *[b"y" * 400] * 4)
    lanes = [record.lane for frame in frames(a)[:6] for record in said(frame) if isinstance(record, Batch)]
    assert {RPC, STREAM} == set(lanes[:2]) == set(lanes[2:4])


def test_bulk_lanes_take_turns_whatever_else_is_asked_for_between_their_frames() -> None:
    """A wire with nothing to send, or one call that brings nothing, must not turn the turn back."""
    a, _ = pair(wires=("w", "idle"), max_frame=460)
    send(a, RPC, *[b"x" * 400] * 20)
    send(a, STREAM, *[b"y" * 400] * 20)
    lanes = []
    for _ in range(20):
        frame = a.next_frame("w", 0.0)
        assert frame is not None
        assert a.next_frame("idle", 0.0) is None
        lanes += [record.lane for record in said(b"".join(frame)) if isinstance(record, Batch)]
    assert lanes == [RPC, STREAM] * 10


def test_latency_first_messages_have_their_turn_beside_bulk_and_are_not_dropped_for_it() -> None:
    a, b = pair(max_frame=460)
    send(a, RPC, *[b"x" * 300] * 50)
    for number in range(4):
        a.lossy_out.append(b"%d" % number * 300)
    arrived = [delivery.lane for received in talk(a, b) for delivery in received.deliveries]
    assert arrived.count(LOSSY_LANE) == 4
    assert (a.lossy_out.dropped, arrived.index(LOSSY_LANE)) == (0, 1)


def test_gaps_ends_and_lossy_messages_arrive() -> None:
    a, b = pair()
    send(a, RPC, b"x", b"y", b"z")
    a.send_lanes[RPC].discard(1, DropReason.SUPERSEDED)
    a.send_lanes[RPC].finish()
    a.lossy_out.append(b"now")
    (received,) = talk(a, b)
    assert [(d.lane, d.number, d.bodies) for d in received.deliveries] == [
        (RPC, 0, [b"x"]),
        (RPC, 2, [b"z"]),
        (LOSSY_LANE, 0, [b"now"]),
    ]
    assert received.notes == [Skipped(RPC, 1, 1, DropReason.SUPERSEDED), Finished(RPC, 3)]
    again = b.receive("w", frame_of(b, Lossy(LOSSY_LANE, 0, [b"now"]), Fin(RPC, b.receive_lanes[RPC].epoch, 3)), 0.0)
    assert again == Received()


def test_a_lossy_message_that_no_frame_of_the_wire_takes_makes_no_frame() -> None:
    a, _ = pair(max_frame=128)
    a.lossy_out.append(b"x" * 200)
    assert frames(a) == []
    assert a.lossy_out.dropped == 1


def test_a_jump_is_one_fault_of_the_frame_and_the_rest_of_it_counts() -> None:
    _, b = pair()
    jump = (Batch(RPC, 1, 5, 0, 0, [b"x"]), Batch(RPC, 1, 6, 0, 0, [b"y"]))
    received = b.receive("w", frame_of(b, *jump, Pong(7)), 0.0)
    assert "jumped" in received.fault
    assert (received.violation, received.pongs, received.deliveries) == (None, [7], [])


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (Batch(77, 1, 0, 0, 0, [b"x"]), "no lane 77"),
        (Lossy(RPC, 0, [b"x"]), "not a latency-first lane"),
        (Ack(77, Position(0, 0), 0, 0), "no lane 77"),
        (Credit(77, 1, 1), "no lane 77"),
        (Ack(RPC, Position(1, 0), 0, 0), "only 0 entries"),
    ],
)
def test_a_violation_leaves_what_came_before_it(bad: Record, text: str) -> None:
    _, b = pair()
    received = b.receive("w", frame_of(b, Batch(RPC, 1, 0, 0, 0, [b"good"]), bad, Pong(1)), 0.0)
    assert received.violation is not None and text in str(received.violation)
    assert [delivery.bodies for delivery in received.deliveries] == [[b"good"]]
    assert received.pongs == []


def test_what_is_no_frame_raises() -> None:
    _, b = pair()
    with pytest.raises(ProtocolError):
        b.receive("w", b"nonsense", 0.0)


def test_credit_of_the_peer_is_absolute() -> None:
    _, b = pair()
    limit = b.send_credit.limit
    b.receive("w", frame_of(b, SessionCredit(limit - 1), Credit(RPC, 1, 1)), 0.0)
    assert b.send_credit.limit == limit
    b.receive("w", frame_of(b, SessionCredit(limit + 1)), 0.0)
    assert b.send_credit.limit == limit + 1


# -- the end ----------------------------------------------------------------------------------------


def test_after_final_positions_only_acks_and_the_answer_count() -> None:
    a, b = pair()
    send(a, RPC, b"x", b"y")
    send(b, RPC, b"z")
    talk(a, b)
    in_flight = frames(b, now=1.0)
    goodbye = b"".join(a.farewell(3, "bye", 4_096))
    assert a.due is None and frames(a, now=9.0) == []
    late = a.receive("w", in_flight[0], 1.0)
    assert (late.deliveries, late.acked) == ([], [RPC])
    received = b.receive("w", goodbye, 1.0)
    assert isinstance(received.end, Goodbye) and received.end.detail == "bye"
    answer = b"".join(b.farewell(3, "", 4_096, answer=True))
    assert b.end(Finals.of(received.end.positions)) == [(RPC, 0, Outcome.NEVER_ACCEPTED)]
    closed = a.receive("w", answer, 1.0).end
    assert isinstance(closed, Closed)
    assert a.end(Finals.of(closed.positions)) == []


def test_a_lane_that_final_positions_do_not_name_is_confirmed_as_far_as_acknowledged() -> None:
    a, b = pair()
    send(a, RPC, b"x", b"y")
    talk(a, b)
    a.send_lanes[RPC].acknowledge(Ack(RPC, Position(1, 0), 0, 0))
    assert a.end(Finals({})) == [(RPC, 1, Outcome.NEVER_ACCEPTED)]


def test_of_a_lane_that_partial_final_positions_do_not_name_the_outcome_is_unknown() -> None:
    a, _ = pair()
    send(a, RPC, b"x")
    send(a, STREAM, b"y")
    frames(a)
    send(a, RPC, b"not transmitted")
    named = [Ack(STREAM, Position(0, 0), 0, 0)]
    assert a.end(Finals.of(named, partial=True)) == [
        (RPC, 0, Outcome.UNKNOWN),
        (RPC, 1, Outcome.NEVER_ACCEPTED),
        (STREAM, 0, Outcome.NEVER_ACCEPTED),
    ]


def test_without_final_positions_the_outcome_of_what_was_sent_is_unknown() -> None:
    a, _ = pair()
    send(a, RPC, b"x")
    frames(a)
    send(a, RPC, b"y")
    assert a.end(None) == [(RPC, 0, Outcome.UNKNOWN), (RPC, 1, Outcome.NEVER_ACCEPTED)]
    assert not a.wires and a.next_frame("w", 0.0) is None


def test_a_wire_is_taken_out_with_a_reason() -> None:
    a, b = pair()
    frame = b"".join(a.dismissal(LeaveReason.DUPLICATE))
    assert said(frame) == [Leave(LeaveReason.DUPLICATE)]
    assert b.receive("w", frame, 0.0).leave == LeaveReason.DUPLICATE


def test_overflow_policies_and_the_index_belong_to_the_session() -> None:
    session = Session(A, LIMITS, index=7, overflow={RPC: Overflow.REJECT})
    assert session.index == 7
    assert session.send_lanes[RPC].overflow is Overflow.REJECT
    assert session.send_lanes[STREAM].overflow is Overflow.BLOCK


def test_a_dialler_that_resumes_joins_before_the_answer_and_again_with_it() -> None:
    a, b = pair()
    assert a.join("v", 4_096, None) == []
    a.ping("v", 1)
    send(b, RPC, b"x")
    a.join("v", 4_096, b.statement())
    assert said(b"".join(a.next_frame("v", 0.0) or [])) == [Ping(1)]


def test_leaving_forgets_only_what_was_heard_on_that_wire() -> None:
    a, b = pair(wires=("w", "v"))
    send(a, RPC, b"x")
    talk(a, b)
    b.leave("v", 0.0)
    assert frames(b, "w", now=1.0)


def test_records_that_no_driver_reads_yet_change_nothing() -> None:
    _, b = pair()
    assert b.receive("w", frame_of(b, Fin(STREAM, 1, 0)), 0.0).notes == [Finished(STREAM, 0)]
