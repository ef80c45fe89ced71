"""Two sessions and the frames between them: what each rule of the session looks like from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from litz.errors import ProtocolError
from litz.events import DropReason, Outcome
from litz.payload import REPLY_LANE, PayloadType
from outproc.frames.decode import decode_frame
from outproc.frames.encode import encode_record, frame_header
from outproc.frames.layout import ACK_NOW
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
from outproc.session.cutting import FrameParts
from outproc.session.exchange import Received, Statement
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.receive_lane import Finished, Skipped
from outproc.session.session import FIXED_LANES, LOSSY_LANE, SIGNAL_LANE, Session

RPC, STREAM = int(PayloadType.RPC_RELIABLE), int(PayloadType.STREAM_RELIABLE)
A, B = Half(Incarnation(1, 1), 1), Half(Incarnation(2, 2), 1)
LIMITS = SessionLimits()


def pair(
    limits: SessionLimits = LIMITS, wires: Sequence[str] = ("w",), max_frame: int = 4_096, *, bound: bool = True
) -> tuple[Session, Session]:
    """Two ends of one session, with all lanes on the first wire."""
    a, b = Session(A, limits), Session(B, limits)
    a.complete(B)
    b.complete(A)
    for wire in wires:
        a.join(wire, max_frame, b.statement())
        b.join(wire, max_frame, a.statement())
    if bound:
        for session in (a, b):
            for lane in (*FIXED_LANES, LOSSY_LANE):
                session.bind(lane, wires[0])
    return a, b


def frames(session: Session, wire: str = "w", now: float = 0.0) -> list[bytes]:
    whole = []
    while (frame := session.next_frame(wire, now)) is not None:
        whole.append(b"".join(frame))
    return whole


def said(frame: bytes) -> list[Record]:
    return decode_frame(frame)[2]


def talk(here: Session, there: Session, wire: str = "w", now: float = 0.0) -> list[Received]:
    """Everything `here` has to say on `wire` arrives."""
    return [there.receive(wire, frame, now) for frame in frames(here, wire, now)]


def send(session: Session, lane: int, *bodies: bytes) -> None:
    for body in bodies:
        session.send_lanes[lane].append(body)


def frame_of(session: Session, *records: Record, flags: bool = False) -> bytes:
    out: FrameParts = [frame_header(session.tag, flags)]
    for record in records:
        encode_record(out, record)
    return b"".join(out)


def _never_due(session: Session) -> None:
    assert session.due is None


# -- the pair and its wires -------------------------------------------------------------------------


def test_data_needs_a_complete_pair() -> None:
    session = Session(A, LIMITS)
    with pytest.raises(RuntimeError, match="paired"):
        session.join("w", 4_096, Statement())
    session.renew(Half(A.incarnation, 2))
    session.complete(B)
    with pytest.raises(RuntimeError, match="paired already"):
        session.complete(B)
    with pytest.raises(RuntimeError, match="cannot change its half"):
        session.renew(A)
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


def test_bulk_lanes_take_turns() -> None:
    a, _ = pair(max_frame=460)
    send(a, RPC, *[b"x" * 400] * 4)
    send(a, STREAM, *[b"y" * 400] * 4)
    lanes = [record.lane for frame in frames(a)[:6] for record in said(frame) if isinstance(record, Batch)]
    assert {RPC, STREAM} == set(lanes[:2]) == set(lanes[2:4])


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
    assert (b.faults, received.pongs, received.deliveries) == (1, [7], [])
    b.receive("w", frame_of(b, jump[0]), 0.0)
    assert b.faults == 2


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (Batch(77, 1, 0, 0, 0, [b"x"]), "no lane 77"),
        (Lossy(RPC, 0, [b"x"]), "not a latency-first lane"),
        (Ack(77, Position(0, 0), 0, 0), "ack for lane 77"),
        (Credit(77, 1, 1), "credit for lane 77"),
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
    goodbye = b"".join(a.farewell(3, "bye"))
    assert a.due is None and frames(a, now=9.0) == []
    late = a.receive("w", in_flight[0], 1.0)
    assert (late.deliveries, late.acked) == ([], [RPC])
    received = b.receive("w", goodbye, 1.0)
    assert isinstance(received.end, Goodbye) and received.end.detail == "bye"
    answer = b"".join(b.farewell(3, "", answer=True))
    finals = {ack.lane: ack for ack in received.end.positions}
    assert b.end(finals) == [(RPC, 0, Outcome.NEVER_ACCEPTED)]
    closed = a.receive("w", answer, 1.0).end
    assert isinstance(closed, Closed)
    assert a.end({ack.lane: ack for ack in closed.positions}) == []


def test_a_lane_that_final_positions_do_not_name_is_confirmed_as_far_as_acknowledged() -> None:
    a, b = pair()
    send(a, RPC, b"x", b"y")
    talk(a, b)
    a.send_lanes[RPC].acknowledge(Ack(RPC, Position(1, 0), 0, 0))
    assert a.end({}) == [(RPC, 1, Outcome.NEVER_ACCEPTED)]


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
