"""When a dest is cold, and when its budget is used up."""

from __future__ import annotations

import pytest

from outproc.reachability import MAX_CAUSES, Reachability, Redial

REFUSED = "connection refused"


def failing(reach: Reachability, cause: str, *times: float) -> list[bool]:
    return [reach.failed(cause, now) for now in times]


def test_it_is_cold_after_so_many_failures_of_one_cause_over_so_long() -> None:
    reach = Reachability(4, 60.0)
    assert failing(reach, REFUSED, 0.0, 1.0, 2.0, 3.0, 59.9) == [False] * 5
    assert failing(reach, REFUSED, 60.0) == [True]
    assert reach.cold is not None
    assert (reach.cold.cause, reach.cold.failures, reach.cold.seconds) == (REFUSED, 6, 60.0)


def test_few_failures_are_no_pattern_however_long_they_take() -> None:
    reach = Reachability(4, 60.0)
    assert failing(reach, REFUSED, 0.0, 100.0, 200.0) == [False] * 3
    assert failing(reach, REFUSED, 300.0) == [True]


def test_it_becomes_cold_once() -> None:
    reach = Reachability(1, 1.0)
    assert failing(reach, REFUSED, 0.0, 1.0, 2.0, 1_000.0) == [False, True, False, False]


def test_other_causes_in_between_do_not_hide_a_pattern() -> None:
    reach = Reachability(3, 10.0)
    for now in range(0, 20, 2):
        assert not reach.failed(str(now), now)
        if reach.failed(REFUSED, now + 1.0):
            break
    assert reach.cold is not None
    assert reach.cold.cause == REFUSED


def test_causes_that_never_come_again_take_no_more_room() -> None:
    reach = Reachability(2, 0.0)
    for number in range(1_000):
        assert not reach.failed(f"cause {number}", number)
    assert len(reach._causes) == MAX_CAUSES


def test_success_forgets_all() -> None:
    reach = Reachability(2, 10.0)
    failing(reach, REFUSED, 0.0, 10.0)
    assert reach.fresh(None)
    assert reach.cold is None
    assert not reach.fresh(None)
    assert failing(reach, REFUSED, 20.0, 29.0, 30.0) == [False, False, True]


def test_a_peer_that_asks_for_time_is_there() -> None:
    reach = Reachability(1, 0.0, Redial(attempts=1))
    assert not reach.failed("busy", 100.0, answered=True)
    assert reach.cold is None
    assert reach.spent(100.0, None) == ""


def test_the_budget_of_attempts() -> None:
    reach = Reachability(100, 60.0, Redial(attempts=3))
    failing(reach, REFUSED, 0.0, 1.0)
    assert reach.spent(1.0, 2.0) == ""
    failing(reach, REFUSED, 2.0)
    assert reach.spent(2.0, 3.0) == "3 dials have failed"
    reach.fresh(5.0)
    assert reach.spent(5.0, None) == ""


def test_the_budget_of_seconds_begins_with_the_loss() -> None:
    reach = Reachability(100, 60.0, Redial(seconds=10.0))
    reach.down(100.0)
    failing(reach, REFUSED, 104.0)
    assert reach.spent(104.0, 109.9) == ""
    assert "may be dialled for 10 s" in reach.spent(104.0, 110.0)
    reach.down(109.0)  # still the same loss
    assert reach.spent(110.0, None) != ""
    reach.fresh(None)
    assert reach.spent(500.0, None) == ""


def test_without_a_budget_it_is_never_spent() -> None:
    reach = Reachability(1, 0.0)
    failing(reach, REFUSED, *range(1_000))
    assert reach.spent(1e9, None) == ""


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"seconds": -1.0}, {"base": 0.0}, {"seconds": float("inf")}, {"base": 2.0, "cap": 1.0}],
)
def test_a_budget_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="redial"):
        Redial(**wrong)  # type: ignore[arg-type]  # wrong on purpose
