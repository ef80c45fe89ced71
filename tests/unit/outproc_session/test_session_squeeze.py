"""A process whose handler queue is full grants each lane one message at a time (P5)."""

from __future__ import annotations

from outproc.frames.records import Batch
from outproc.session.limits import SessionLimits
from outproc.session.receive_lane import Delivery, ReceiveCredit, ReceiveLane

LIMITS = SessionLimits(window_messages=100, window_size=1_000, session_window_size=4_000, max_message=300)


def lane_of(credit: ReceiveCredit | None) -> ReceiveLane:
    lane = ReceiveLane(0, LIMITS, credit)
    if credit is not None:
        credit.grant()
    return lane


def feed(lane: ReceiveLane, number: int, *bodies: bytes) -> Delivery | None:
    lane.place("wire", 1, number, 0)
    return lane.take(Batch(0, 1, number, 0, 0, list(bodies)))


def test_a_lane_with_messages_waiting_is_granted_nothing_more_while_the_process_is_full() -> None:
    credit = ReceiveCredit(4_000)
    lane = lane_of(credit)
    assert lane.grant() == (100, 1_000)
    feed(lane, 0, b"a" * 200, b"b" * 200)
    credit.squeezed = True
    lane.consumed(1, 200, 1)
    assert lane.grant() == (100, 1_000), "a grant is never taken back, and never raised"


def test_an_empty_lane_is_granted_one_message_of_any_size_so_that_everybody_goes_on() -> None:
    credit = ReceiveCredit(4_000)
    lane = lane_of(credit)
    lane.grant()
    feed(lane, 0, *[b"x" * 100] * 10)
    lane.consumed(10, 1_000, 10)
    credit.squeezed = True
    assert lane.grant() == (110, 1_300)
    credit.squeezed = False
    assert lane.grant() == (110, 2_000)


def test_a_session_that_begins_while_the_process_is_full_begins_small() -> None:
    credit = ReceiveCredit(4_000)
    lane = lane_of(credit)
    credit.squeezed = True
    assert lane.grant() == (100, 300)


def test_signals_are_exempt() -> None:
    lane = lane_of(None)
    assert lane.grant() == (100, 1_000)
