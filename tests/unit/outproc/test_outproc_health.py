"""Signs of life, lateness of our own loop, and the heap of due times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outproc.health import DueHeap, LagMeter, Liveness, Verdict


def test_silence_asks_for_a_ping_and_then_kills() -> None:
    live = Liveness(100.0)
    assert live.next_check() == 105.0
    assert live.verdict(104.9) is Verdict.ALIVE
    assert live.verdict(105.0) is Verdict.PING
    assert live.ping_due(105.0)
    live.ping_sent(105.0, 1)
    assert not live.ping_due(105.0)
    assert live.next_check() == 110.0
    assert live.verdict(109.9) is Verdict.WAIT
    assert live.verdict(110.0) is Verdict.DEAD


def test_the_times_are_the_callers() -> None:
    live = Liveness(0.0, silent_after=1.0, dead_after=3.0)
    assert live.verdict(1.0) is Verdict.PING
    live.ping_sent(2.0, 1)
    assert live.verdict(4.9) is Verdict.WAIT
    assert live.verdict(5.0) is Verdict.DEAD
    for silent, dead in ((0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="more than 0"):
            Liveness(0.0, silent, dead)


def test_any_byte_is_life_before_and_after_a_ping() -> None:
    live = Liveness(0.0)
    live.received(4.0)
    assert live.verdict(8.9) is Verdict.ALIVE
    live.ping_sent(9.0, 1)
    live.received(9.0)  # in the same tick of a coarse clock
    assert live.verdict(13.9) is Verdict.ALIVE
    assert live.next_check() == 14.0
    assert live.verdict(14.0) is Verdict.PING


def test_who_says_nothing_looks_whether_the_peer_is_heard_before_it_gives_up() -> None:
    # The peer pings at 0.1, behind a large frame of its own; without a sign of life from here it gives up at 5.1.
    live = Liveness(0.0)
    assert live.next_look(0.0, wrote_at=0.0) == 2.5
    live.received(2.0)  # a part of that frame is here
    assert live.next_look(2.0, wrote_at=0.0) == 2.5
    # At 2.5 this side has spoken, or has heard nothing since: then silence alone counts.
    assert live.next_look(2.5, wrote_at=2.5) == 5.0
    assert live.next_look(2.5, wrote_at=0.0) == live.next_check() == 7.0


def test_a_busy_wire_is_never_pinged() -> None:
    live = Liveness(0.0)
    for second in range(1, 100):
        live.received(float(second))
        assert live.verdict(second + 0.5) is Verdict.ALIVE


def test_a_pong_tells_the_round_trip() -> None:
    live = Liveness(0.0)
    live.ping_sent(5.0, 1)
    assert live.pong(5.5, 1) == 0.5
    assert live.verdict(10.6) is Verdict.PING


def test_a_pong_nobody_waits_for_measures_nothing_but_is_life() -> None:
    live = Liveness(0.0)
    assert live.pong(1.0, 0) is None
    live.ping_sent(6.0, 7)
    assert live.pong(8.0, 6) is None
    assert live.next_check() == 13.0
    assert live.pong(9.0, 7) == 3.0
    assert live.pong(9.5, 7) is None


def test_a_pong_that_other_bytes_overtook_still_measures() -> None:
    live = Liveness(0.0)
    live.ping_sent(5.0, 1)
    live.received(5.5)
    assert live.pong(6.0, 1) == 1.0


def test_a_probe_pings_at_once_and_once() -> None:
    live = Liveness(0.0)
    live.probe()
    assert live.next_check() <= 1.0
    assert live.verdict(1.0) is Verdict.PING
    live.ping_sent(1.0, 1)
    live.probe()
    assert live.verdict(1.5) is Verdict.WAIT
    live.pong(2.0, 1)
    assert live.verdict(2.5) is Verdict.ALIVE


def test_after_a_sleep_the_answer_is_due_sooner_once() -> None:
    live = Liveness(0.0)
    live.woke(2.0)
    assert live.next_check() <= 1.0
    assert live.verdict(1.0) is Verdict.PING
    live.ping_sent(1.0, 1)
    assert live.verdict(2.9) is Verdict.WAIT
    assert live.verdict(3.0) is Verdict.DEAD
    live.pong(3.0, 1)
    live.ping_sent(8.0, 2)
    assert live.next_check() == 13.0


def test_after_a_sleep_a_ping_that_is_out_already_does_not_count() -> None:
    live = Liveness(0.0)
    live.ping_sent(5.0, 1)
    live.woke(2.0)
    assert live.verdict(6.0) is Verdict.PING
    live.ping_sent(6.0, 2)
    assert live.verdict(7.9) is Verdict.WAIT
    assert live.verdict(8.0) is Verdict.DEAD


def test_after_a_sleep_no_wire_is_given_longer_than_usual() -> None:
    live = Liveness(0.0, dead_after=0.5)
    live.woke(2.0)
    live.ping_sent(1.0, 1)
    assert live.verdict(1.5) is Verdict.DEAD


def test_after_a_sleep_a_late_loop_condemns_nobody_either() -> None:
    live = Liveness(0.0)
    live.woke(2.0)
    live.ping_sent(1.0, 1)
    assert live.verdict(3.5, lag=2.0) is Verdict.WAIT
    assert live.verdict(4.5) is Verdict.DEAD


def test_a_late_loop_condemns_nobody_until_it_kept_up() -> None:
    live = Liveness(0.0)
    live.ping_sent(5.0, 1)
    assert live.verdict(10.0, lag=0.6) is Verdict.WAIT
    assert live.next_check() == 11.0
    assert live.verdict(10.9) is Verdict.WAIT
    assert live.verdict(11.0, lag=3.0) is Verdict.WAIT
    assert live.verdict(12.0, lag=0.5) is Verdict.DEAD


def test_lateness_does_not_stop_pings() -> None:
    assert Liveness(0.0).verdict(5.0, lag=9.0) is Verdict.PING


def test_a_short_deadline_is_not_excused_for_longer_than_itself() -> None:
    live = Liveness(0.0, dead_after=0.25)
    live.ping_sent(5.0, 1)
    live.verdict(5.5, lag=1.0)
    assert live.next_check() == 5.75


def test_lag_is_what_a_timer_was_late() -> None:
    meter = LagMeter()
    assert meter.lag(0.0) == 0.0
    assert meter.fired(1.0) == 0.0
    meter.expect(5.0)
    assert meter.lag(4.0) == 0.0
    assert meter.lag(5.5) == 0.5
    assert meter.fired(5.75) == 0.75
    assert meter.lag(5.75) == 0.75
    assert meter.lag(6.75) == 0.75
    assert meter.lag(6.76) == 0.0


def test_a_sleeper_woken_early_is_not_late() -> None:
    meter = LagMeter()
    meter.expect(5.0)
    assert meter.fired(3.0) == 0.0
    assert meter.lag(6.0) == 0.0


def test_the_greatest_lateness_in_the_window_counts() -> None:
    meter = LagMeter(window=1.0)
    for expected, fired in ((1.0, 1.75), (1.75, 2.0), (2.25, 2.25), (2.25, 2.625)):
        meter.expect(expected)
        assert meter.fired(fired) == fired - expected
    assert [meter.lag(at) for at in (2.625, 2.75, 2.875, 3.0, 3.625, 3.75)] == [0.75, 0.75, 0.375, 0.375, 0.375, 0.0]
    meter.expect(9.0)
    assert meter.fired(9.0) == 0.0
    with pytest.raises(ValueError, match="above 0"):
        LagMeter(0.0)


def test_due_keys_come_in_order_and_once() -> None:
    heap: DueHeap[str] = DueHeap()
    assert heap.next_due() is None
    assert heap.pop_due(1e9) == []
    for key, at in (("c", 3.0), ("a", 1.0), ("b2", 2.0), ("b1", 2.0), ("z", 9.0)):
        heap.schedule(key, at)
    assert heap.next_due() == 1.0
    assert heap.pop_due(0.9) == []
    assert heap.pop_due(3.0) == ["a", "b2", "b1", "c"]
    assert heap.pop_due(3.0) == []
    assert (len(heap), "z" in heap, "a" in heap) == (1, True, False)
    assert heap.next_due() == 9.0


def test_rescheduling_replaces_and_cancelling_forgets() -> None:
    heap: DueHeap[str] = DueHeap()
    heap.schedule("a", 1.0)
    heap.schedule("b", 2.0)
    heap.schedule("a", 5.0)
    assert heap.next_due() == 2.0
    heap.schedule("b", 1.5)
    heap.cancel("nobody")
    assert heap.pop_due(4.0) == ["b"]
    heap.cancel("a")
    assert heap.next_due() is None
    assert heap.pop_due(9.0) == []
    heap.schedule("a", 7.0)
    assert heap.pop_due(9.0) == ["a"]


def test_keys_need_no_order() -> None:
    heap: DueHeap[object] = DueHeap()
    keys = [object() for _ in range(5)]
    for key in keys:
        heap.schedule(key, 1.0)
    assert heap.pop_due(1.0) == keys


def test_rescheduling_for_ever_takes_no_memory() -> None:
    heap: DueHeap[int] = DueHeap()
    for at in range(10_000):
        heap.schedule(at % 3, 1e6 + at)
        assert len(heap._heap) <= 2 * 3 + 65
    assert heap.pop_due(1e9) == [1, 2, 0]


moves = st.lists(
    st.one_of(
        st.tuples(st.just("schedule"), st.integers(0, 5), st.integers(0, 20)),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("pop"), st.just(0), st.integers(0, 20)),
    ),
    max_size=200,
)


@given(moves)
def test_the_heap_does_what_a_plain_dict_does(steps: list[tuple[str, int, int]]) -> None:
    heap: DueHeap[int] = DueHeap()
    model: dict[int, float] = {}
    for verb, key, at in steps:
        if verb == "schedule":
            heap.schedule(key, float(at))
            model.pop(key, None)  # so that keys of one time stay in the order of their scheduling
            model[key] = float(at)
        elif verb == "cancel":
            heap.cancel(key)
            model.pop(key, None)
        else:
            due = sorted((each for each in model if model[each] <= at), key=lambda each: model[each])
            assert heap.pop_due(float(at)) == due
            for each in due:
                del model[each]
        assert heap.next_due() == min(model.values(), default=None)
        assert len(heap) == len(model)


def test_on_a_wire_that_may_lose_them_several_pings_share_the_time() -> None:
    live = Liveness(0.0, silent_after=1.0, dead_after=4.0, pings=4)
    for number in range(4):
        at = 1.0 + number
        assert live.verdict(at - 0.1) is not Verdict.PING
        assert live.verdict(at) is Verdict.PING
        live.ping_sent(at, number)
    assert live.verdict(4.9) is Verdict.WAIT
    assert live.verdict(5.0) is Verdict.DEAD
    assert live.pong(5.0, 3) == 1.0
    assert live.verdict(5.9) is Verdict.ALIVE
    live.ping_sent(6.0, 9)
    assert live.verdict(7.0) is Verdict.PING, "they begin anew"


def test_after_a_sleep_several_pings_share_the_shorter_time() -> None:
    live = Liveness(0.0, silent_after=10.0, dead_after=4.0, pings=2)
    live.woke(1.0)
    live.ping_sent(5.0, 1)
    assert live.verdict(5.5) is Verdict.PING
    live.ping_sent(5.5, 2)
    assert live.verdict(5.9) is Verdict.WAIT
    assert live.verdict(6.0) is Verdict.DEAD
