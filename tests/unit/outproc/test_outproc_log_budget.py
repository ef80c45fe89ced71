"""The limit on all logs of one process."""

from __future__ import annotations

from functools import partial

from outproc.log_budget import LogBudget
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.send_lane import SendLane


def lane() -> SendLane:
    return SendLane(0, SessionLimits(), Overflow.BLOCK, None)


def test_shares_are_taken_and_given_back() -> None:
    budget = LogBudget(1000)
    one, other = lane(), lane()
    one.append(bytes(300))
    other.append(bytes(500))
    budget.settle(one)
    budget.settle(one)
    budget.settle(other)
    assert (budget.used, budget.left) == (800, 200)
    assert budget.fits(200)
    assert not budget.fits(201)
    budget.forget(one)
    budget.forget(one)
    assert budget.used == 500


def test_what_is_reserved_is_held_back_from_others_until_it_is_released() -> None:
    budget = LogBudget(1000)
    one, other = lane(), lane()
    one.append(bytes(100))
    budget.reserve(one, 600, lambda: budget.release(one))
    other.append(bytes(250))
    budget.settle(other)
    assert budget.left == 50
    budget.settle(one)
    assert budget.left == 50, "an ack settles the lane while its quota is still open"
    budget.release(one)
    assert budget.left == 650


def test_what_is_reserved_can_be_taken_back() -> None:
    budget = LogBudget(1000)
    lanes = [lane() for _ in range(3)]
    for each in lanes:
        each.append(bytes(10))
        budget.reserve(each, 300, partial(budget.release, each))
    budget.make_room(70)
    assert budget.left == 70, "there is room for that"
    budget.make_room(71)
    assert budget.left == 970
    budget.reserve(lanes[0], 300, partial(budget.release, lanes[0]))
    budget.forget(lanes[0])
    budget.make_room(1000)
    assert budget.left == 980


def test_an_empty_budget_takes_one_message_of_any_size() -> None:
    budget = LogBudget(1000)
    assert budget.fits(5000)
    one = lane()
    one.append(bytes(5000))
    budget.settle(one)
    assert not budget.fits(1)


def test_who_waits_is_called_once_in_order_when_there_is_more_room() -> None:
    budget = LogBudget(1000)
    calls: list[str] = []
    one = lane()
    one.append(bytes(900))
    budget.settle(one)
    budget.on_room(lambda: calls.append("first"))
    budget.on_room(lambda: calls.append("second"))
    one.append(bytes(50))
    budget.settle(one)
    assert calls == [], "less room is no news"
    budget.forget(one)
    assert calls == ["first", "second"]
    budget.forget(one)
    assert calls == ["first", "second"]


def test_a_waiter_may_wait_again_at_once() -> None:
    budget = LogBudget(1000)
    calls: list[int] = []

    def again() -> None:
        calls.append(1)
        budget.on_room(again)

    one = lane()
    one.append(bytes(900))
    budget.settle(one)
    budget.on_room(again)
    budget.forget(one)
    assert calls == [1]
