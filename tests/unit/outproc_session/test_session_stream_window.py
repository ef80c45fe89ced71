"""The window of a stream: it grows while its reader keeps up, as far as the budget goes, and is never taken back."""

from __future__ import annotations

import pytest

from outproc.frames.records import Batch, Fin
from outproc.session.limits import SessionLimits, StreamLimits
from outproc.session.receive_lane import Finished
from outproc.session.stream_window import QUICK, SLOW, StreamBudget, StreamReceiveLane
from tests.unit.outproc_session.lanes import feed

LIMITS = SessionLimits(window_messages=10, window_size=100, session_window_size=100, max_message=100)


def lane_of(budget: int = 10_000, most: int = 800, shared: StreamBudget | None = None) -> StreamReceiveLane:
    return StreamReceiveLane(16, LIMITS, most, 300, StreamBudget(budget, shared))


def bring(lane: StreamReceiveLane, size: int, entries: int = 1) -> None:
    bodies = [bytes(size // entries)] * entries
    feed(lane, "w", Batch(16, 1, lane.expected.number, 0, 0, bodies))


def pass_through(lane: StreamReceiveLane, size: int, now: float, entries: int = 1) -> None:
    """It comes, is taken, and what that allows is announced."""
    bring(lane, size, entries)
    lane.took(entries, size // entries * entries, now)
    lane.grant()


def test_it_begins_as_the_protocol_says_and_is_always_that_large() -> None:
    lane = lane_of(budget=1)
    for count in range(1, 30):
        pass_through(lane, 100, 0.0)
        assert lane.granted_size == 100 * count + 100
        assert lane.granted_messages == count + 10


def test_it_doubles_while_whole_windows_are_taken_quickly() -> None:
    lane = lane_of()
    windows = []
    for turn in range(40):
        pass_through(lane, 100, turn * 0.01)
        windows.append(lane.granted_size - lane.consumed_size)
    assert sorted({*windows}) == [200, 400, 800]
    assert windows == sorted(windows)
    assert lane.granted_messages - lane.consumed_messages == 80


def test_many_small_entries_are_a_window_too() -> None:
    lane = lane_of()
    for turn in range(4):
        pass_through(lane, 10, turn * 0.01, entries=10)
    assert lane.window == 400


def test_a_reader_that_leaves_much_waiting_does_not_keep_up() -> None:
    lane = lane_of()
    bring(lane, 100, entries=10)
    for turn in range(40):
        lane.took(1, 10, turn * 0.01)
        lane.grant()
        bring(lane, 10)
    assert lane.window == 100


def test_a_slow_one_needs_no_large_window_and_keeps_what_it_was_granted() -> None:
    lane = lane_of()
    for turn in range(8):
        pass_through(lane, 100, turn * 0.01)
    assert lane.window == 800
    granted = lane.granted_size
    now = 1.0
    for _ in range(60):
        now += SLOW / 4
        pass_through(lane, 100, now)
        assert lane.granted_size >= granted
        granted = lane.granted_size
    assert lane.window == 400  # a window within less than SLOW, and in more than QUICK: it stays
    for _ in range(8):
        now += SLOW + QUICK
        pass_through(lane, 100, now)
    assert lane.window == 100


def test_growth_stops_at_the_budget_and_goes_on_when_others_need_less() -> None:
    budget = StreamBudget(500)
    one, two = (StreamReceiveLane(number, LIMITS, 800, 300, budget) for number in (16, 18))
    for turn in range(20):
        pass_through(one, 100, turn * 0.01)
    assert budget.used == 500
    assert (one.granted_size - one.consumed_size, two.granted_size) == (400, 100)
    assert one.news() is None
    two.release()
    assert budget.used == 400
    pass_through(one, 100, 0.3)
    assert budget.used == 500
    one.release()
    assert budget.used == 0


def test_the_first_windows_are_beyond_any_budget() -> None:
    budget = StreamBudget(250)
    lanes = [StreamReceiveLane(number, LIMITS, 800, 300, budget) for number in range(16, 26)]
    assert budget.used == 1_000
    assert budget.left == -750
    for turn in range(10):
        for lane in lanes:
            pass_through(lane, 100, turn * 0.01)
            assert lane.granted_size == lane.consumed_size + 100


def test_sessions_share_what_the_process_may_grant() -> None:
    process = StreamBudget(600)
    one, two = lane_of(shared=process), lane_of(shared=process)
    for turn in range(20):
        pass_through(one, 100, turn * 0.01)
        pass_through(two, 100, turn * 0.01)
    assert process.used == 600
    one.release()
    two.release()
    assert process.used == 0


def test_acks_are_urgent_when_a_quarter_of_the_window_is_unacknowledged_and_a_first_window() -> None:
    lane = lane_of()
    for window, quarter in ((100, 100), (400, 100), (800, 200)):
        lane.window = window
        lane.granted_size, lane.granted_messages = 10_000, 1_000
        lane.ack()
        for size in (99, quarter - 100):
            bring(lane, size)
        urgent = [lane.acks_at_once]
        bring(lane, 1)
        urgent.append(lane.acks_at_once)
        lane.ack()
        bring(lane, 0, entries=quarter // 10)
        urgent.append(lane.acks_at_once)
        assert urgent == [False, True, True]


def test_paused_it_grants_nothing_and_afterwards_all_at_once() -> None:
    lane = lane_of()
    bring(lane, 100)
    lane.paused = True
    lane.took(1, 100, 0.0)
    assert lane.news() is None
    assert lane.grant() == (10, 100)
    lane.paused = False
    assert lane.news() is True
    assert lane.grant() == (21, 300)


def test_news_is_urgent_when_half_of_what_could_be_is_unannounced() -> None:
    lane = lane_of()
    bring(lane, 100)
    assert lane.news() is None
    lane.took(0, 40, 0.0)
    assert lane.news() is False
    lane.took(0, 10, 0.0)
    assert lane.news() is True


@pytest.mark.parametrize(("entries", "size"), [(2, 50), (1, 51)])
def test_nobody_takes_more_than_has_come(entries: int, size: int) -> None:
    lane = lane_of()
    bring(lane, 50)
    with pytest.raises(RuntimeError, match="more than has come"):
        lane.took(entries, size, 0.0)


def test_after_the_end_nothing_is_owed_to_the_peer() -> None:
    lane = lane_of()
    bring(lane, 40)
    end = Fin(16, 1, 1)
    assert feed(lane, "w", end) == Finished(16, 1)
    assert feed(lane, "w", end) is None
    assert lane._budget.used == 40
    lane.took(1, 40, 0.0)
    assert lane.news() is None
    assert lane._budget.used == 0
    lane.release()
    assert lane._budget.used == 0


def test_it_has_nothing_to_tell_before_anything_came() -> None:
    lane = lane_of()
    assert not lane.has_told
    bring(lane, 0)
    assert lane.has_told


@pytest.mark.parametrize("bad", [{"first_size": 0}, {"log_entries": 0}, {"max_entry": 65_537}, {"most_size": 65_535}])
def test_limits_are_checked(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"stream|window"):
        StreamLimits(**bad)
