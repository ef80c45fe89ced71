"""The half of a stream that sends: its room, when it asks for acks, its credit, and its turns beside others."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from random import Random

import pytest

from litz.stream_port import MAX_ENTRY
from outproc.frames.records import Ack, Batch, Credit, Position
from outproc.session.fixed_lanes import SHARING_LANES, SIGNAL_LANE, STREAMS
from outproc.session.limits import StreamLimits
from tests.unit.outproc_session.sessions import RPC, frame_of, frames, said, send, talk
from tests.unit.outproc_session.streams import append, came, converse, only, stream_pair

ROOMY = StreamLimits()


# -- room -----------------------------------------------------------------------------------------------


def test_who_is_refused_room_hears_when_there_is_some() -> None:
    a, b = stream_pair(16, 18)
    append(a.streams, 16, bytes(100), bytes(100))
    assert not a.streams.has_room(16, 1)
    assert a.streams.take_roomy() == []
    assert a.streams.has_room(18, 100)
    assert talk(a, b)  # the first of them goes
    assert a.streams.take_roomy() == [16]
    assert a.streams.take_roomy() == []
    append(a.streams, 16, b"x")


def test_one_entry_of_any_size_may_wait_and_no_more_entries_than_the_log_takes() -> None:
    a, _ = stream_pair(16, limits=StreamLimits(100, 4, 100, 800, 1_000, log_size=10, log_entries=3))
    append(a.streams, 16, bytes(100))
    assert not a.streams.has_room(16, 1)
    a, _ = stream_pair(16, limits=StreamLimits(100, 4, 100, 800, 1_000, log_size=500, log_entries=3))
    append(a.streams, 16, b"", b"", b"")
    assert not a.streams.has_room(16, 0)


def test_what_is_not_acknowledged_is_bounded_whatever_the_peer_grants() -> None:
    for size, most in ((100, 10), (1, 33)):
        a, _ = stream_pair(16)
        a.streams.allow(Credit(16, 1 << 40, 1 << 40))
        count = 0
        while a.streams.has_room(16, size):
            a.streams.append(16, bytes(size))
            count += 1
            frames(a)
        assert count <= most
        a.receive("w", frame_of(a, Ack(16, Position(count // 2, 0), 0, 0)), 0.0)
        assert a.streams.take_roomy() == [16]


def test_a_finished_half_takes_nothing_more() -> None:
    a, _ = stream_pair(16)
    a.streams.finish(16)
    with pytest.raises(RuntimeError, match="finished"):
        a.streams.append(16, b"x")


# -- acks -----------------------------------------------------------------------------------------------


def test_who_waits_for_confirmation_gets_it_at_once() -> None:
    a, b = stream_pair(16)
    assert a.streams.want_acks(16)
    append(a.streams, 16, b"x")
    assert not a.streams.want_acks(16)
    talk(a, b)
    assert b.due == 0.0
    assert talk(b, a)[0].acked == [16]
    assert a.streams.want_acks(16)


def test_else_acks_wait_for_company_until_much_is_unacknowledged() -> None:
    a, b = stream_pair(16, limits=ROOMY)
    append(a.streams, 16, bytes(1_000))
    talk(a, b)
    assert b.due == 0.025
    append(a.streams, 16, bytes(60_000))
    talk(a, b)
    assert b.due == 0.025
    append(a.streams, 16, bytes(4_536))
    talk(a, b)
    assert b.due == 0.0  # a first window


def test_a_log_that_fills_up_asks_now_and_then() -> None:
    a, _ = stream_pair(16, limits=replace(ROOMY, most_size=200_000))
    a.streams.allow(Credit(16, 1_000, 1 << 20))
    asked = []
    for count in range(1, 11):
        append(a.streams, 16, bytes(20_000))
        (frame,) = frames(a)
        if frame[1]:
            asked.append(count)
    assert asked == [5, 8]


def test_the_last_frame_that_credit_allows_asks() -> None:
    a, _ = stream_pair(16)
    append(a.streams, 16, bytes(60), bytes(60))
    (frame,) = frames(a)
    assert frame[1]
    assert len(only(said(frame), Batch)[0].bodies) == 1


# -- credit ---------------------------------------------------------------------------------------------


def test_a_stream_whose_reader_waits_stops_and_others_go_on() -> None:
    a, b = stream_pair(16, 18)
    append(a.streams, 16, bytes(100), bytes(100))
    append(a.streams, 18, b"x")
    assert came(talk(a, b)) == {16: [bytes(100)], 18: [b"x"]}
    talk(b, a, now=1.0)
    assert not a.streams.waits
    assert frames(a) == []
    append(a.streams, 18, b"y")
    assert came(talk(a, b)) == {18: [b"y"]}
    b.streams.consumed(16, 1, 100, 1.0)
    talk(b, a, now=1.0)
    assert came(talk(a, b)) == {16: [bytes(100)]}


def test_what_is_appended_while_credit_is_out_waits_and_the_end_too() -> None:
    a, b = stream_pair(16)
    append(a.streams, 16, bytes(100), b"x")
    talk(a, b)
    append(a.streams, 16, b"y")
    a.streams.finish(16)
    assert not a.streams.waits
    assert frames(a) == []
    assert converse(a, b) == {}
    b.streams.consumed(16, 1, 100, 0.0)
    talk(b, a)
    assert came(talk(a, b)) == {16: [b"x", b"y"]}


def test_the_rest_of_an_entry_goes_although_credit_for_the_next_one_is_out() -> None:
    a, b = stream_pair(16, limits=ROOMY, max_frame=4_096)
    append(a.streams, 16, bytes(MAX_ENTRY), b"next")
    assert came(talk(a, b)) == {16: [bytes(MAX_ENTRY)]}
    assert not a.streams.waits


@pytest.mark.parametrize("room", [46, 47, 48, 52, 60, 90, 120])
def test_what_credit_allows_goes_in_later_frames_if_this_one_has_little_room(room: int) -> None:
    a, b = stream_pair(16)
    append(a.streams, 16, bytes(50), bytes(50), b"over")
    got = []
    for turn in range(200):
        a.wires["w"].early.left = (50, room)[turn % 2]
        got += came(talk(a, b)).get(16, [])
    assert got == [bytes(50), bytes(50)]
    assert not a.streams.waits


def test_everything_gets_through_the_smallest_windows_in_both_directions() -> None:
    smallest = StreamLimits(1, 1, 1, 1, 1, log_size=1, log_entries=1)
    a, b = stream_pair(16, 17, limits=smallest)
    got = bytearray()
    for each in b"in both directions":
        append(a.streams, 16, bytes([each]))
        got += b"".join(converse(a, b)[16])
    assert got == b"in both directions"


# -- turns ----------------------------------------------------------------------------------------------


def test_streams_have_one_turn_together_beside_bulk() -> None:
    assert SHARING_LANES.count(STREAMS) == 1
    a, b = stream_pair(*range(16, 48), limits=ROOMY, max_frame=4_096)
    b.receive_credit.granted = 1 << 30
    a.bind(RPC, "w")
    send(a, RPC, *[bytes(1_000)] * 60)
    for number in range(16, 48):
        append(a.streams, number, *[bytes(1_000)] * 30)
    sizes = {"bulk": 0, "streams": 0}
    for _ in range(30):
        frame = a.next_frame("w", 0.0)
        assert frame is not None
        for record in only(said(b"".join(frame)), Batch):
            sizes["bulk" if record.lane == RPC else "streams"] += sum(map(len, record.bodies))
    assert sizes["bulk"] == pytest.approx(sizes["streams"], rel=0.2)


@pytest.mark.parametrize("max_frame", [4_096, 65_536, 1 << 20])
def test_large_entries_of_many_streams_do_not_starve_a_small_one(max_frame: int) -> None:
    a, _ = stream_pair(*range(16, 40), limits=ROOMY, max_frame=max_frame)
    for number in range(16, 40):
        a.streams.allow(Credit(number, 1_000, 1 << 20))
    for number in range(16, 39):
        append(a.streams, number, *[bytes(MAX_ENTRY)] * 4)
    a.next_frame("w", 0.0)
    append(a.streams, 39, b"small")
    size = 0
    while (frame := a.next_frame("w", 0.0)) is not None:
        records = only(said(b"".join(frame)), Batch)
        if any(record.lane == 39 for record in records):
            break
        size += sum(len(record.bodies[0]) for record in records)
    assert frame is not None
    assert size <= 23 * max(max_frame, 0) and size <= 23 * (MAX_ENTRY + 1)


def test_bytes_are_shared_fairly_whatever_the_size_of_entries() -> None:
    a, _ = stream_pair(16, 18, 20, limits=ROOMY, max_frame=65_536)
    rng = Random(3)
    sizes = {16: MAX_ENTRY, 18: 3_000, 20: 100}
    sent = dict.fromkeys(sizes, 0)
    for number in sizes:
        a.streams.allow(Credit(number, 1 << 20, 1 << 30))
    for _ in range(60):
        for number, size in sizes.items():
            while a.streams.has_room(number, size):
                a.streams.append(number, rng.randbytes(size))
        frame = a.next_frame("w", 0.0)
        assert frame is not None
        for record in only(said(b"".join(frame)), Batch):
            count = sum(map(len, record.bodies))
            sent[record.lane] += count
        for number, lane in a.streams.sending.items():
            lane.acknowledge(Ack(number, lane.cursor, 0, 0))
    assert max(sent.values()) < 2 * min(sent.values())


def test_an_entry_that_does_not_fit_beside_others_is_first_in_the_next_frame() -> None:
    a, _ = stream_pair(16, 18, limits=ROOMY, max_frame=4_096)
    append(a.streams, 16, bytes(3_000))
    append(a.streams, 18, bytes(3_000), b"x")
    first, second = [only(said(frame), Batch) for frame in frames(a)]
    assert [(batch.lane, len(batch.bodies)) for batch in first] == [(16, 1)]
    assert [(batch.lane, len(batch.bodies)) for batch in second] == [(18, 2)]


def test_signals_go_first_and_frames_stay_small_while_they_are_in_use() -> None:
    a, _ = stream_pair(16, limits=ROOMY)
    a.streams.allow(Credit(16, 1_000, 1 << 20))
    append(a.streams, 16, *[bytes(MAX_ENTRY)] * 4)
    a.bind(SIGNAL_LANE, "w")
    send(a, SIGNAL_LANE, b"now")
    first = a.next_frame("w", 5.0)
    assert first is not None
    assert [record.lane for record in only(said(b"".join(first)), Batch)] == [SIGNAL_LANE, 16]
    append(a.streams, 16, *[bytes(MAX_ENTRY)] * 3)
    assert max(map(len, frames(a, now=5.5))) <= 65_536
    append(a.streams, 16, *[bytes(MAX_ENTRY)] * 4)
    (frame, *_) = frames(a, now=7.0)
    assert len(frame) > 3 * MAX_ENTRY


def test_a_stream_without_news_costs_no_step_of_python() -> None:
    def calls(streams: int) -> int:
        a, b = stream_pair(*range(16, 16 + 2 * streams, 2), limits=ROOMY)
        count = 0

        def count_one(*_: object) -> None:
            nonlocal count
            count += 1

        gc.disable()  # what it finalizes is not ours
        sys.setprofile(count_one)
        try:
            for turn in range(10):
                append(a.streams, 16, b"x")
                talk(a, b, now=float(turn))
                b.streams.consumed(16, 1, 1, float(turn))
                talk(b, a, now=turn + 0.5)
        finally:
            sys.setprofile(None)
            gc.enable()
        return count

    assert calls(500) == calls(1)


def test_a_frame_too_small_for_anything_is_no_frame() -> None:
    a, b = stream_pair(16, limits=ROOMY, max_frame=64)
    append(a.streams, 16, bytes(100))
    for room in (30, 46):
        a.wires["w"].early.left = room
        assert frames(a) == []
    a.wires["w"].early.left = None
    assert came(talk(a, b)) == {16: [bytes(100)]}
