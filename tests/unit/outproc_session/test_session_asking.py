"""When a frame asks for an ack at once."""

from __future__ import annotations

from outproc.session.asking import SHARE, Asking
from outproc.session.cutting import FrameParts
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.send_lane import SendLane
from tests.unit.outproc_session.lanes import sender

LIMITS = SessionLimits(log_messages=800, log_size=80_000, window_messages=800, window_size=80_000, max_message=80_000)


def asked(lane: SendLane, frames: int, budget: int) -> list[bool]:
    """Whether each of the next frames asks."""
    asking, answers = Asking(), []
    for _ in range(frames):
        out: FrameParts = []
        used = lane.fill(out, budget)
        assert used
        answers.append(asking.asks(lane, used))
    return answers


def filled(count: int, size: int) -> SendLane:
    lane = sender(LIMITS)
    for _ in range(count):
        lane.append(bytes(size))
    return lane


def test_a_log_that_fills_up_asks_once_for_each_part_of_it() -> None:
    answers = asked(filled(4, 20_000), 60, 1_100)
    assert answers.count(True) == 3  # of 66,000 bytes, for 20,000 each
    assert not answers[0]


def test_so_does_one_full_of_small_messages() -> None:
    answers = asked(filled(800, 1), 60, 28 + 10 * 5)
    assert answers.count(True) == 600 // (800 // SHARE)


def test_what_is_sent_last_asks() -> None:
    lane = filled(4, 20_000)
    out: FrameParts = []
    asking = Asking()
    assert asking.asks(lane, lane.fill(out, 1 << 20))
    assert not lane.has_unsent


def test_a_log_with_room_does_not_ask() -> None:
    assert asked(filled(1, 20_000), 10, 1_100) == [False] * 10


def test_who_waits_asks_with_each_frame() -> None:
    lane = filled(700, 1)
    lane.ack_wanted = 1
    assert asked(lane, 5, 28 + 10 * 5) == [True] * 5


def test_who_ran_out_of_credit_asks() -> None:
    lane = SendLane(0, LIMITS, Overflow.BLOCK, None)
    lane.allow(3, 80_000)
    lane.bind("w", 1)
    for _ in range(4):
        lane.append(bytes(2_000))
    assert asked(lane, 1, 10_000) == [True]
    assert lane.blocked
