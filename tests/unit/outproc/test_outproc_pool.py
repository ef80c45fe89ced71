"""The pool of one dest: who is dialled when, and what a failure, a loss and a tie change."""

from __future__ import annotations

import pytest

from litz.errors import BusyError, InvalidEndpointError, UnauthenticatedError, WireClosedError
from outproc.pool import AT_ONCE, AT_ONCE_AGAIN
from outproc.slots import Building, Cooling, Dead, Idle, Ready, Yielded
from tests.unit.outproc.pool_kit import A, B, C, M, Wire, cooling, pool_of, ready, slot

# The race.


def test_the_first_is_dialled_at_once_and_the_next_one_stagger_later() -> None:
    pool = pool_of(A, B, C)
    assert pool.next_due() == 100.0
    assert pool.begin(100.0) == [A]
    assert slot(pool, A).state == Building(100.0, 0)
    assert pool.begin(100.0) == []
    assert pool.next_due() == 100.1
    assert pool.begin(100.0999) == []
    assert pool.begin(100.1) == [B]
    assert pool.begin(100.1) == []
    assert pool.begin(100.2) == [C]
    assert pool.next_due() is None


def test_a_failure_starts_the_next_at_once() -> None:
    pool = pool_of(A, B, C)
    pool.begin(100.0)
    pool.failed(A, OSError("no"), 100.01)
    assert pool.next_due() == 100.01
    assert pool.begin(100.01) == [B]
    assert pool.begin(100.02) == []


def test_once_one_is_up_the_others_follow_at_once_by_default() -> None:
    pool = pool_of(A, B, C)
    pool.begin(100.0)
    assert pool.built(A, Wire(), 100.02)
    assert pool.begin(100.02) == [B]


def test_no_endpoints() -> None:
    pool = pool_of()
    assert (pool.begin(100.0), pool.next_due(), pool.all_failed(), pool.ready) == ([], None, (), [])


# Backoff.


def test_failures_back_off_up_to_the_cap() -> None:
    pool = pool_of(A)
    now = 100.0
    waits = []
    for _ in range(6):
        assert pool.begin(now) == [A]
        pool.failed(A, OSError(), now)
        due = pool.next_due()
        assert due is not None
        waits.append(due - now)
        assert pool.begin(due - 0.001) == []
        now = due
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert (slot(pool, A).dials, slot(pool, A).failures) == (6, 6)


def test_the_attempt_is_told() -> None:
    pool = pool_of(A)
    pool.begin(100.0)
    pool.failed(A, OSError(), 100.0)
    pool.begin(101.0)
    assert slot(pool, A).state == Building(101.0, 1)


def test_each_endpoint_has_its_own_backoff() -> None:
    pool = pool_of(A, B)
    pool.begin(100.0)
    pool.failed(A, OSError(), 100.0)
    pool.begin(100.0)
    pool.begin(101.0)
    pool.failed(A, OSError(), 101.0)
    pool.failed(B, OSError(), 101.0)
    assert cooling(pool, A) == (103.0, 2)
    assert cooling(pool, B) == (102.0, 1)
    assert pool.next_due() == 102.0
    assert pool.begin(103.0) == [A, B]


def test_the_peer_may_ask_for_more_time() -> None:
    pool = pool_of(A, B)
    pool.begin(100.0)
    pool.failed(A, BusyError("later", retry_after=7.0), 100.0)
    pool.begin(100.0)
    pool.failed(B, UnauthenticatedError(), 100.0)
    assert cooling(pool, A) == (108.0, 1)
    assert cooling(pool, B) == (131.0, 1)


def test_what_is_pointless_is_dead_until_interrupted() -> None:
    pool = pool_of(A, B)
    error = InvalidEndpointError("no such scheme")
    pool.begin(100.0)
    pool.failed(A, error, 100.0)
    assert slot(pool, A).state == Dead(error)
    pool.begin(100.0)
    pool.failed(B, error, 100.0)
    assert (pool.begin(1e9), pool.next_due()) == ([], None)
    pool.interrupt(200.0)
    assert pool.begin(200.0) == [A]


# Loss.


def test_only_what_was_lost_is_redialled_and_at_once() -> None:
    pool = pool_of(A, B)
    first, second = ready(pool, A, B)
    pool.lost(first, 110.0)
    assert pool.ready == [second]
    assert pool.next_due() == 110.0
    assert pool.begin(110.0) == [A]
    assert [each.dials for each in pool.slots] == [2, 1]


def test_two_that_broke_together_are_both_redialled_at_once() -> None:
    pool = pool_of(A, B)
    for wire in ready(pool, A, B):
        pool.lost(wire, 200.0)
    assert pool.begin(200.0) == [A, B]


@pytest.mark.parametrize(("lived", "delay"), [(9.99, 1.0), (10.0, 0.0), (500.0, 0.0)])
def test_a_wire_is_proved_by_time(lived: float, delay: float) -> None:
    pool = pool_of(A)
    (wire,) = ready(pool, A)
    pool.lost(wire, 100.0 + lived)
    assert pool.next_due() == 100.0 + lived + delay


def test_a_wire_is_proved_by_traffic() -> None:
    pool = pool_of(A)
    (wire,) = ready(pool, A)
    pool.proved(wire)
    pool.proved(wire)
    assert slot(pool, A).state == Ready(wire, 100.0, proved=True)
    pool.lost(wire, 100.5)
    assert cooling(pool, A) == (100.5, 0)
    assert pool.begin(100.5) == [A]
    pool.failed(A, OSError(), 100.5)
    assert cooling(pool, A) == (101.5, 1)


def test_one_that_answers_and_breaks_again_and_again_is_no_storm_of_dials() -> None:
    pool = pool_of(A)
    now, waits = 100.0, []
    for _ in range(40):
        (wire,) = ready(pool, A, now=now)
        pool.proved(wire)
        now += 0.01
        pool.lost(wire, now)
        due = pool.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits[:AT_ONCE] == [0.0] * AT_ONCE
    assert sum(waits) >= 0.9 * AT_ONCE_AGAIN * (40 - AT_ONCE)
    assert max(waits) <= 2 * AT_ONCE_AGAIN, "nor does anybody wait for long"
    now += AT_ONCE * AT_ONCE_AGAIN + 1.0
    for _ in range(AT_ONCE):
        (wire,) = ready(pool, A, now=now)
        pool.proved(wire)
        pool.lost(wire, now)
        assert pool.next_due() == now, "after a quiet while all of them are there again"


def test_a_wire_that_opens_and_dies_goes_on_in_its_backoff() -> None:
    pool = pool_of(A)
    now = 100.0
    waits = []
    for _ in range(5):
        (wire,) = ready(pool, A, now=now)
        pool.lost(wire, now + 1.0, OSError("again"))
        due = pool.next_due()
        assert due is not None
        waits.append(due - now - 1.0)
        now = due
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert slot(pool, A).failures == 0  # no dial failed
    assert [str(attempt) for attempt in pool.all_failed()] == ["ws://a: OSError: again"]


def test_the_cause_of_a_loss_is_judged_too() -> None:
    pool = pool_of(A)
    (wire,) = ready(pool, A)
    error = InvalidEndpointError()
    pool.lost(wire, 101.0, error)
    assert slot(pool, A).state == Dead(error)


def test_a_wire_that_was_well_comes_back_when_the_peer_said() -> None:
    pool = pool_of(A, B)
    displaced, stopped = ready(pool, A, B)
    pool.lost(displaced, 500.0, BusyError("displaced", retry_after=5.0))
    assert cooling(pool, A) == (505.0, 0)
    error = InvalidEndpointError()
    pool.lost(stopped, 500.0, error)
    assert slot(pool, B).state == Dead(error)
    assert pool.all_failed() == ()
    assert pool.begin(505.0) == [A]
    pool.failed(A, OSError(), 505.0)
    assert [attempt.error for attempt in pool.all_failed()][1] is error


def test_a_loss_without_a_cause_says_so() -> None:
    pool = pool_of(A)
    (wire,) = ready(pool, A)
    pool.lost(wire, 101.0)
    (attempt,) = pool.all_failed()
    assert isinstance(attempt.error, WireClosedError)
    assert "ws://a" in str(attempt.error)


def test_late_news_of_a_wire_does_not_touch_its_successor() -> None:
    pool = pool_of(A)
    (old,) = ready(pool, A)
    pool.lost(old, 200.0)
    (new,) = ready(pool, A, now=200.0)
    pool.lost(old, 200.0)
    pool.yielded(old)
    pool.proved(old)
    assert slot(pool, A).state == Ready(new, 200.0)
    assert pool.ready[0] is new


def test_unknown_wires_and_dials_are_ignored() -> None:
    pool = pool_of(A, B)
    wire = Wire()
    pool.lost(wire, 100.0)
    pool.yielded(wire)
    pool.proved(wire)
    for endpoint in (A, C):
        assert not pool.built(endpoint, wire, 100.0)
        pool.failed(endpoint, OSError(), 100.0)
        pool.cancelled(endpoint, 100.0)
    assert [each.state for each in pool.slots] == [Idle(), Idle()]


def test_a_second_wire_for_one_dial_is_refused() -> None:
    pool = pool_of(A)
    (wire,) = ready(pool, A)
    assert not pool.built(A, Wire(), 100.0)
    assert pool.ready[0] is wire


# Ties.


def test_the_loser_of_a_tie_waits_for_the_end_of_the_winner() -> None:
    pool = pool_of(A, M)
    first, second = ready(pool, A, M)
    pool.yielded(first)
    pool.lost(first, 100.5)
    assert slot(pool, A).state == Yielded()
    pool.interrupt(100.5)
    assert (pool.begin(1e6), pool.next_due()) == ([], None)
    pool.yielded(second)
    pool.winner_lost(300.0, "memory")
    assert pool.begin(300.0) == [M]
    pool.winner_lost(301.0)
    assert cooling(pool, A) == (301.0, 0)
    assert pool.begin(301.0) == [A]


def test_to_yield_is_no_failure() -> None:
    pool = pool_of(A)
    pool.begin(100.0)
    pool.failed(A, OSError(), 100.0)
    (wire,) = ready(pool, A, now=101.0)
    pool.yielded(wire)
    assert pool.all_failed() == ()
    pool.winner_lost(102.0)
    assert pool.begin(102.0) == [A]
    assert slot(pool, A).state == Building(102.0, 0)
    assert pool.all_failed() == ()


def test_what_keeps_failing_cools_to_a_slow_pace_while_another_wire_is_up_and_not_when_it_is_lost() -> None:
    pool = pool_of(A, B)
    assert pool.begin(100.0) == [A]
    wire = Wire()
    assert pool.built(A, wire, 100.0)
    now, waits = 100.0, []
    for _ in range(10):
        assert pool.begin(now) == [B]
        pool.failed(B, ConnectionRefusedError(), now)
        due = pool.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]
    assert pool.begin(now) == [B]
    pool.failed(B, ConnectionRefusedError(), now)
    pool.lost(wire, now + 1)
    state = slot(pool, B).state
    assert isinstance(state, Cooling)
    assert state.until == now + 1 + 8.0, "nothing is up: it does not take its time any more"


def test_what_the_other_side_asked_for_is_waited_for_whatever_is_up() -> None:
    pool = pool_of(A, B)
    (wire,) = ready(pool, A)
    assert pool.begin(100.0) == [B]
    pool.failed(B, BusyError("later", retry_after=200.0), 100.0)
    pool.lost(wire, 101.0)
    state = slot(pool, B).state
    assert isinstance(state, Cooling)
    assert state.until == 301.0


def test_one_that_is_displaced_again_and_again_comes_back_ever_later() -> None:
    pool = pool_of(A, B)
    winner, _ = ready(pool, A, B)
    now, waits = 100.0, []
    for _ in range(5):
        displaced = slot(pool, B).state
        assert isinstance(displaced, Ready)
        pool.displaced(displaced.wire, now, ConnectionResetError())
        due = pool.next_due()
        assert due is not None
        waits.append(due - now)
        now = due
        assert pool.begin(now) == [B]
        assert pool.built(B, Wire(), now)
    assert waits == [16.0, 32.0, 60.0, 60.0, 60.0]
    assert slot(pool, B).failures == 0
    now += 60.0
    last = slot(pool, B).state
    assert isinstance(last, Ready)
    pool.displaced(last.wire, now, ConnectionResetError())
    assert pool.next_due() == now + 16.0, "after a good while it begins anew"
    pool.lost(winner, now + 1)
    pool.begin(now + 1)
    state = slot(pool, B).state
    assert isinstance(state, Cooling)
    assert state.until <= now + 1 + 8.0, "the wire for which it made room is gone"


def test_one_displaced_before_the_newer_one_is_known_here_waits_as_long() -> None:
    pool = pool_of(A, B)
    (displaced,) = ready(pool, A)
    pool.begin(200.0)
    pool.displaced(displaced, 200.0, ConnectionResetError())
    assert slot(pool, B).state == Building(200.0, 0)
    assert cooling(pool, A) == (216.0, 0), "the wire that is being built is what it made room for"
    pool.failed(B, OSError("no"), 201.0)
    assert cooling(pool, A) == (209.0, 0), "it is not, and nothing is up"


def test_beside_a_wire_that_loses_frames_nobody_takes_their_time() -> None:
    pool = pool_of(M, A)
    pool.weak = frozenset({M.kind})
    ready(pool, M)
    for failures in range(1, 9):
        (now,) = [each for each in [pool.next_due()] if each is not None]
        assert pool.begin(now) == [A]
        pool.failed(A, OSError("no"), now)
        until, _ = cooling(pool, A)
        assert until - now <= 8.0, f"after {failures} failures"
