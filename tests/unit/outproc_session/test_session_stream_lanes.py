"""The streams of a session: their own lanes, bound together, in turn, and forgotten without a trace. Also what
`outproc.session.taking` does for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from litz.stream_port import FIRST_ENTRIES, FIRST_WINDOW, MAX_ENTRY
from outproc.frames.records import Ack, Batch, Credit, Fin, Position, Record, Skip
from outproc.session.fixed_lanes import STREAMS
from outproc.session.limits import StreamLimits
from outproc.session.log import Parts
from outproc.session.receive_lane import Finished
from outproc.session.session import Session
from tests.unit.outproc_session.sessions import RPC, frame_of, frames, pair, said, send, talk
from tests.unit.outproc_session.streams import TINY, append, came, only, stream_pair

ROOMY = StreamLimits()


# -- a stream -----------------------------------------------------------------------------------------


def test_entries_come_once_and_in_order_and_the_end_comes_behind_them() -> None:
    a, b = stream_pair(16, 17)
    append(a.streams, 16, b"one", b"two")
    append(b.streams, 16, b"back")
    append(a.streams, 17, b"other")
    assert a.streams.finish(16) == a.streams.finish(16) == 2
    (received,) = talk(a, b)
    assert came([received]) == {16: [b"one", b"two"], 17: [b"other"]}
    assert received.notes == [Finished(16, 2)]
    assert [(each.lane, each.number, each.size) for each in received.deliveries] == [(16, 0, 6), (17, 0, 5)]
    (back,) = talk(b, a)
    assert came([back]) == {16: [b"back"]}
    assert sorted(back.acked) == [16, 17]
    assert not a.streams.unconfirmed
    assert a.streams.sent_entries == a.streams.acked_entries == 4
    assert a.streams.sent_size == 0


def test_a_session_without_streams_says_nothing_of_them() -> None:
    a, b = pair()
    send(a, RPC, b"x")
    talk(a, b)
    assert not a.streams.sending
    assert not b.streams.receiving


def test_statements_and_final_positions_never_name_streams() -> None:
    a, b = stream_pair(16)
    append(a.streams, 16, b"x")
    talk(a, b)
    statement = b.statement()
    assert {ack.lane for ack in statement.positions} == {credit.lane for credit in statement.credits} == {0, 1, 2, 8}
    (goodbye,) = said(b"".join(b.farewell(0, "", 1 << 16)))
    assert {ack.lane for ack in goodbye.positions} == {0, 1, 2, 8}  # type: ignore[union-attr]  # it is a Goodbye
    assert not goodbye.partial  # type: ignore[union-attr]  # and names all that it can


def test_the_end_of_a_session_lists_no_entries_but_counts_them() -> None:
    a, _ = stream_pair(16, 18)
    append(a.streams, 16, b"x", b"y")
    a.streams.finish(16)
    assert a.end(None) == []
    assert a.streams.unconfirmed == {16: 3}
    assert a.streams.budget.used == 0
    assert not a.streams.waits
    assert a.streams.wire is None


@pytest.mark.parametrize("number", [15, 16, 18])
def test_a_number_is_opened_once(number: int) -> None:
    a, _ = stream_pair(16, 18)
    a.streams.drop_sending(18)
    with pytest.raises(RuntimeError, match="cannot be opened"):
        a.streams.open(number)


def test_an_entry_larger_than_any_window_is_refused_before_it_gets_a_number() -> None:
    a, _ = stream_pair(16)
    with pytest.raises(ValueError, match="an entry of 101 bytes is too large"):
        a.streams.append(16, bytes(101))
    assert a.streams.send_lane(16).log.next_number == 0


def test_large_entries_go_out_as_they_are() -> None:
    a, _ = stream_pair(16, limits=ROOMY)
    one, two = bytes(MAX_ENTRY), bytes(30_000)
    append(a.streams, 16, one)
    a.streams.allow(Credit(16, 1_000, 1 << 20))
    a.streams.append(16, Parts((two, b"tail")))
    frame = a.next_frame("w", 0.0)
    assert frame is not None
    assert any(part is one for part in frame)
    assert any(part is two for part in frame)


def test_larger_entries_are_taken_where_credit_for_them_is_there() -> None:
    a, b = stream_pair(16)
    assert a.streams.max_entry(16) == 100, "nothing is known of the frames"
    a.streams.allow(Credit(16, 1_000, 250))
    append(a.streams, 16, b"x")
    talk(a, b)
    assert a.streams.max_entry(16) == 249
    assert not a.streams.has_room(16, 250)
    assert a.streams.has_room(16, 249)
    with pytest.raises(ValueError, match="an entry of 250 bytes is too large"):
        a.streams.append(16, bytes(250))
    b.streams.receiving[16].granted_size = 250
    append(a.streams, 16, bytes(249))
    assert came(talk(a, b)) == {16: [bytes(249)]}
    a.streams.allow(Credit(16, 1_000, 100_000))
    assert a.streams.max_entry(16) == 300, "the limit"


def test_a_large_entry_waits_for_credit_while_as_much_is_on_its_way() -> None:
    a, b = stream_pair(16)
    a.streams.allow(Credit(16, 1_000, 400))
    append(a.streams, 16, b"x")
    talk(a, b)
    append(a.streams, 16, bytes(300))
    sent = frames(a)
    assert a.streams.max_entry(16) == 300
    assert not a.streams.has_room(16, 300)
    b.streams.receiving[16].granted_size = 400
    for frame in sent:
        b.receive("w", frame, 0.0)
    talk(b, a, now=1.0)
    assert a.streams.take_roomy() == [16]
    assert a.streams.max_entry(16) == 100, "all has come, and there is no more credit"


def test_where_frames_are_large_entries_are_not_cut() -> None:
    a, _ = stream_pair(16, 18, limits=ROOMY)
    for number in (16, 18):
        a.streams.allow(Credit(number, 1_000, 1 << 20))
        append(a.streams, number, *[bytes(MAX_ENTRY)] * 4)
    batches = [record for frame in frames(a) for record in only(said(frame), Batch)]
    assert sum(len(batch.bodies) for batch in batches) == 8
    assert not any(batch.offset or batch.remaining for batch in batches)


# -- gone, and never there ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        Batch(16, 1, 0, 0, 0, [b"late"]),
        Fin(16, 1, 0),
        Skip(1, 16, 1, 0, 0),
        Ack(16, Position(1, 0), 0, 0),
        Credit(16, 9, 900),
    ],
)
def test_what_comes_for_a_stream_that_is_gone_is_ignored_and_counted(record: Record) -> None:
    a, _ = stream_pair(16, 18)
    for number in (16, 18):
        a.streams.drop_sending(number)
        assert a.streams.drop_receiving(number) is not None
    received = a.receive("w", frame_of(a, record), 0.0)
    assert received.violation is None
    assert not (received.deliveries or received.notes or received.acked or received.fault)
    assert a.streams.late == 1
    assert a.due is None


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (Batch(18, 1, 0, 0, 0, [b"x"]), "no lane 18"),
        (Fin(17, 1, 0), "no lane 17"),
        (Ack(18, Position(0, 0), 0, 0), "no lane 18"),
        (Credit(17, 9, 900), "no lane 17"),
        (Skip(1, 16, 1, 0, 0), "a gap on stream 16"),
        (Batch(16, 1, 0, 0, 0, [b"x"], [(1, 1)]), "more than its payload"),
        (Batch(16, 1, 0, 0, 0, [b"x"], None, ["k"]), "more than its payload"),
        (Batch(16, 1, 0, 0, 0, [bytes(301)]), "over the limit"),
        (Batch(16, 1, 0, 0, 0, [bytes(60), bytes(60)]), "than it was granted"),
        (Batch(16, 1, 0, 0, 0, [b""] * 5), "than it was granted"),
        (Ack(16, Position(1, 0), 0, 0), "only 0 entries were sent"),
    ],
)
def test_violations(record: Record, text: str) -> None:
    _, b = stream_pair(16)
    received = b.receive("w", frame_of(b, record), 0.0)
    assert received.violation is not None
    assert text in str(received.violation)


def test_a_jump_costs_the_wire_and_an_old_epoch_is_counted() -> None:
    _, b = stream_pair(16)
    assert b.receive("w", frame_of(b, Batch(16, 5, 3, 0, 0, [b"x"])), 0.0).fault
    b.receive("w", frame_of(b, Batch(16, 5, 0, 0, 0, [b"x"])), 0.0)
    assert not b.receive("w", frame_of(b, Batch(16, 4, 1, 0, 0, [b"y"])), 0.0).deliveries
    assert b.stale_batches == 1


def test_dropped_halves_leave_nothing_behind() -> None:
    a, b = stream_pair(16, 18)
    append(a.streams, 16, b"x", b"y")
    append(a.streams, 18, b"z")
    talk(a, b)
    assert b.due is not None
    append(a.streams, 16, b"unsent")
    for session in (a, b):
        for number in (16, 18):
            lane = session.streams.drop_sending(number)
            assert lane is not None
            assert session.streams.drop_receiving(number) is not None
            assert session.streams.drop_sending(number) is None
            assert session.streams.drop_receiving(number) is None
            session.streams.consumed(number, 1, 1, 0.0)
            session.streams.pause(number)
            session.streams.resume(number, 0.0)
        assert session.streams.budget.used == 0
        assert not (session.streams.waits or session.streams.sent_size or session.unsent or session.due)
        assert session.streams.sent_entries == session.streams.acked_entries
        assert frames(session, now=9.0) == []


# -- the reader -----------------------------------------------------------------------------------------


def test_while_its_reader_wants_nothing_a_stream_gets_what_it_was_granted_and_no_more() -> None:
    a, b = stream_pair(16)
    b.streams.pause(16)
    append(a.streams, 16, bytes(100), b"more")
    talk(a, b)
    b.streams.consumed(16, 1, 100, 0.0)
    assert not b.unsent.credits
    b.streams.resume(16, 5.0)
    assert 16 in b.unsent.credits
    talk(b, a, now=5.0)
    assert came(talk(a, b)) == {16: [b"more"]}
    b.streams.resume(16, 6.0)
    assert not b.unsent.credits


def test_an_ack_that_is_no_news_wakes_nobody() -> None:
    a, b = stream_pair(16)
    append(a.streams, 16, b"x")
    talk(a, b)
    (frame,) = frames(b, now=1.0)
    assert a.receive("w", frame, 1.0).acked == [16]
    assert a.receive("w", frame, 1.0).acked == []


# -- wires ----------------------------------------------------------------------------------------------


def test_all_streams_move_together_and_each_goes_on_at_its_highest_ack() -> None:
    a, b = stream_pair(16, 18, 20, wires=("w", "v"))
    append(a.streams, 16, b"one")
    append(a.streams, 18, b"eins")
    talk(a, b)
    talk(b, a, now=1.0)
    append(a.streams, 16, b"two")
    append(a.streams, 18, b"zwei")
    a.streams.finish(18)
    frames(a)  # lost with its wire
    append(a.streams, 16, b"three")
    for session in (a, b):
        session.leave("w", 2.0)
        assert session.streams.wire is None
        assert frames(session, "v") == []
        session.bind(STREAMS, "v")
    received = talk(a, b, "v", 2.0)
    assert came(received) == {16: [b"two", b"three"], 18: [b"zwei"]}
    assert received[0].notes == [Finished(18, 2)]
    assert a.streams.send_lane(20).epoch == 0


def test_a_move_between_wires_that_live_doubles_nothing() -> None:
    a, b = stream_pair(16, wires=("w", "v"))
    append(a.streams, 16, b"one", b"two")
    (late,) = frames(a)
    a.bind(STREAMS, "v")
    append(a.streams, 16, b"three")
    assert came(talk(a, b, "v")) == {16: [b"one", b"two", b"three"]}
    assert came([b.receive("w", late, 0.0)]) == {}
    assert b.stale_batches == 1


def test_after_a_wire_died_acks_and_credits_of_streams_with_something_to_tell_are_told_again() -> None:
    a, b = stream_pair(16, 18, 20, 22, wires=("w", "v"))
    append(a.streams, 16, bytes(90))
    append(a.streams, 18, b"x")
    a.streams.finish(22)
    talk(a, b)
    b.streams.consumed(16, 1, 90, 0.0)
    frames(b, now=1.0)  # told on a wire that swallows it
    b.leave("w", 1.0)
    records = [record for frame in frames(b, "v", 2.0) for record in said(frame)]
    assert [record.lane for record in only(records, Ack) if record.lane >= STREAMS] == [16, 18, 22]
    # What is complete needs no credit.
    assert only(records, Credit)[-2:] == [Credit(16, 5, 190), Credit(18, 4, 100)]


def test_a_wire_that_has_joined_hears_of_streams_what_join_and_ok_say_of_the_others() -> None:
    a, b = stream_pair(16, wires=("w",))
    append(a.streams, 16, b"x")
    talk(a, b)
    frames(b, now=1.0)  # the wire is half open, and nobody knows
    for session, other in ((a, b), (b, a)):
        session.join("v", 4_096, other.statement())
        session.ping("v", 7)
    a.bind(STREAMS, "v")
    talk(b, a, "v", 1.0)
    talk(a, b, "v", 1.0)
    assert a.streams.unconfirmed == {16: 1}
    assert b.due == 1.0
    assert talk(b, a, "v", 1.0)[0].acked == [16]


def test_a_wire_that_loses_frames_is_no_wire_for_streams() -> None:
    a, _ = stream_pair(16)
    a.join("udp", 4_096, None, dependable=False)
    with pytest.raises(RuntimeError, match="reliable lane"):
        a.bind(STREAMS, "udp")


def test_control_of_thousands_goes_in_frames_of_bounded_size_and_neither_kind_waits_for_ever() -> None:
    a, b = stream_pair(*range(16, 2_016), limits=ROOMY, max_frame=4_096)
    for number in range(16, 2_016):
        append(a.streams, number, b"x")
    talk(a, b)
    for number in range(16, 2_016):
        b.streams.consumed(number, 1, 1, 0.0)
    some = said(b"".join(b.next_frame("w", 1.0) or []))
    assert only(some, Ack)
    assert only(some, Credit)
    rest = frames(b, now=1.0)
    assert all(len(frame) <= 4_096 for frame in rest)
    assert len(only([record for frame in rest for record in said(frame)], Ack)) + len(only(some, Ack)) == 2_000
    assert b.due is None


# -- a walk ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["drop", "leave", "goodbye"])
def test_streams_end_with_their_session_or_before(how: str) -> None:
    ends: dict[str, Callable[[Session], Any]] = {
        "drop": lambda session: (session.streams.drop_sending(16), session.streams.drop_receiving(16)),
        "leave": lambda session: session.leave("w", 0.0),
        "goodbye": lambda session: session.farewell(0, "", 4_096),
    }
    a, b = stream_pair(16)
    append(a.streams, 16, b"x")
    ends[how](a)
    assert came(talk(a, b)) == {}
    a.end(None)
    assert a.streams.unconfirmed == ({} if how == "drop" else {16: 1})


def test_the_protocol_says_how_a_stream_begins() -> None:
    a, b = stream_pair(16, limits=ROOMY)
    assert (a.streams.send_lane(16).credit_size, a.streams.send_lane(16).credit_messages) == (65_536, 256)
    assert (FIRST_WINDOW, FIRST_ENTRIES, MAX_ENTRY) == (65_536, 256, 65_536)
    assert b.streams.budget.used == FIRST_WINDOW


def test_tiny_is_tiny() -> None:
    assert TINY.max_entry <= TINY.first_size < TINY.most_size
