"""One violation is an accident, several in a row are none, and a good while between two makes the second a first."""

from __future__ import annotations

from outproc.session.faults import Faults


def test_the_last_of_so_many_in_a_row_is_too_often() -> None:
    faults = Faults(3, 60.0)
    assert [faults.broke(now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert (faults.count, faults.total) == (3, 3)


def test_a_limit_of_one_ends_at_once() -> None:
    assert Faults(1, 60.0).broke(0.0)


def test_time_without_progress_forgives_nothing() -> None:
    faults = Faults(3, 60.0)
    assert [faults.broke(now) for now in (0.0, 1e6, 2e6)] == [False, False, True]


def test_progress_without_time_forgives_nothing() -> None:
    """Signals go on around a lane that is stuck."""
    faults = Faults(3, 60.0)
    ended = []
    for now in (0.0, 50.0, 100.0):
        ended.append(faults.broke(now))
        for tick in range(400):
            faults.progressed(now + tick * 0.1)
    assert ended == [False, False, True]


def test_after_a_good_while_all_is_forgiven() -> None:
    faults = Faults(3, 60.0)
    for number in range(1_000):
        faults.broke(number * 61.0)
        assert faults.count == 1
        faults.progressed(number * 61.0 + 1.0)
    assert faults.total == 1_000


def test_the_good_while_begins_with_progress_and_not_with_the_violation() -> None:
    """An hour without a wire mends nothing: what breaks the rule is sent again when there is one."""
    faults = Faults(3, 60.0)
    faults.broke(0.0)
    faults.progressed(3600.0)
    faults.broke(3600.1)
    assert faults.count == 2
