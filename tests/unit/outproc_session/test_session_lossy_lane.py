"""The latency-first lane: the newest goes out, and nothing old comes in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litz.errors import MessageTooLargeError, ProtocolError
from outproc.frames.decode import decode_frame
from outproc.frames.encode import frame_header
from outproc.frames.layout import FRAME_HEADER_SIZE
from outproc.frames.records import Lossy
from outproc.session.log import Parts
from outproc.session.lossy_lane import LOSSY_OVERHEAD, LossyReceiveLane, LossySendLane
from tests.unit.outproc_session.lanes import SMALL

# -- the latency-first lane -------------------------------------------------------------------------

LOSSY = replace(SMALL, lossy_messages=3, lossy_size=100)


def sent(lane: LossySendLane, budget: int = 10_000, largest: int = 10_000) -> list[tuple[int, list[bytes]]]:
    out: list[bytes | bytearray | memoryview] = [frame_header(0)]
    used = lane.fill(out, budget, largest)
    assert used == sum(map(len, out[1:])) <= budget
    records = decode_frame(b"".join(out))[2] if used else []
    return [(record.number, record.bodies) for record in records if isinstance(record, Lossy)]


def test_the_oldest_unsent_goes_first() -> None:
    lane = LossySendLane(3, LOSSY)
    assert [lane.append(b"x" * 10) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert lane.dropped == 2
    lane.append(b"y" * 85)
    assert (lane.dropped, lane.size) == (4, 95)
    assert sent(lane) == [(4, [b"x" * 10]), (5, [b"y" * 85])]
    assert (lane.size, sent(lane)) == (0, [])


def test_a_message_of_several_buffers() -> None:
    lane = LossySendLane(3, LOSSY)
    lane.append(Parts((b"ab", b"c")))
    assert sent(lane) == [(0, [b"abc"])]


def test_what_never_fits_into_one_frame_is_refused_and_what_does_not_fit_this_wire_is_dropped() -> None:
    lane = LossySendLane(3, LOSSY)
    with pytest.raises(MessageTooLargeError, match="at most 100 bytes, this one has 101"):
        lane.append(b"x" * 101)
    lane.append(b"x" * 50)
    lane.append(b"y" * 10)
    assert sent(lane, LOSSY_OVERHEAD + 20, LOSSY_OVERHEAD + 20) == [(1, [b"y" * 10])]
    assert lane.dropped == 1


def test_the_largest_that_is_taken_fits_into_a_frame_of_a_batch() -> None:
    lane = LossySendLane(3, replace(SMALL, batch_size=1_000, lossy_messages=3, lossy_size=10_000))
    most = 1_000 - FRAME_HEADER_SIZE - LOSSY_OVERHEAD
    with pytest.raises(MessageTooLargeError, match=f"at most {most} bytes"):
        lane.append(b"x" * (most + 1))
    lane.append(b"x" * most)
    room = 1_000 - FRAME_HEADER_SIZE
    assert sent(lane, room, room) == [(0, [b"x" * most])]
    assert lane.dropped == 0


def test_what_does_not_fit_after_others_waits() -> None:
    lane = LossySendLane(3, LOSSY)
    lane.append(b"x" * 10)
    lane.append(b"y" * 80)
    assert sent(lane, 170) == [(0, [b"x" * 10])]
    assert sent(lane, 170) == [(1, [b"y" * 80])]


def test_only_what_is_newer_than_all_before_is_delivered() -> None:
    lane = LossyReceiveLane(3, 100)
    first = lane.take(Lossy(3, 2, [b"c", b"d"]))
    assert first is not None and (first.number, first.bodies, lane.lost) == (2, [b"c", b"d"], 2)
    assert lane.take(Lossy(3, 0, [b"a"])) is None
    later = lane.take(Lossy(3, 3, [b"d", b"e"]))
    assert later is not None and (later.number, later.bodies) == (4, [b"e"])
    assert (lane.stale, lane.lost, lane.expected) == (2, 2, 5)


def test_what_the_peer_does_not_take_is_dropped_before_it_is_sent() -> None:
    lane = LossySendLane(3, LOSSY)
    lane.append(b"x" * 11)
    lane.append(b"y" * 10)
    lane.append(b"z" * 30)
    lane.discard_above(10)
    assert (lane.dropped, lane.size) == (2, 10)
    assert sent(lane) == [(1, [b"y" * 10])]


def test_what_is_larger_than_was_allowed_is_a_violation_and_not_taken() -> None:
    """Manager seed 1001397: a peer's messages of 30,000 bytes filled an inbox of 2,000."""
    lane = LossyReceiveLane(3, 100)
    with pytest.raises(ProtocolError, match="larger than the 100 bytes"):
        lane.take(Lossy(3, 0, [b"a", b"x" * 101]))
    assert (lane.expected, lane.lost) == (0, 0)
    assert lane.take(Lossy(3, 0, [b"a", b"x" * 100])) is not None
