"""Tests of `litz.departures`."""

from __future__ import annotations

import pytest

from litz.departures import Departure, Departures, check_drain, check_returning
from litz.errors import PeerClosedError


def test_who_left_is_refused_until_it_is_back_or_forgotten() -> None:
    gone = Departures(keep=10.0, limit=3)
    gone.left("bob", Departure("moving", 100.0))
    with pytest.raises(PeerClosedError, match=r"bob said goodbye 4 s ago \(moving\).*reopen=True"):
        gone.check("bob", 104.0)
    gone.check("carol", 104.0)
    gone.check("bob", 110.0)
    assert len(gone) == 0
    gone.left("bob", Departure("moving", 200.0))
    gone.back("bob")
    gone.check("bob", 201.0)


def test_who_said_when_it_is_back_is_not_gone() -> None:
    gone = Departures(keep=100.0, limit=3)
    gone.left("bob", Departure("restart", 10.0, returning_in=8.0))
    gone.check("bob", 11.0)
    assert not gone.is_gone("bob", 11.0)
    (seen,) = gone.snapshot(12.0)
    assert (seen.dest, seen.reason, seen.age, seen.returning_in) == ("bob", "restart", 2.0, 6.0)
    assert [each.returning_in for each in gone.snapshot(30.0)] == [0.0]


def test_the_oldest_are_forgotten_above_the_limit_and_the_latest_word_counts() -> None:
    gone = Departures(keep=100.0, limit=2)
    for at, name in enumerate(("a", "b", "a", "c")):
        gone.left(name, Departure(f"word {at}", float(at)))
    assert [(each.dest, each.reason) for each in gone.snapshot(5.0)] == [("a", "word 2"), ("c", "word 3")]


def test_arguments_that_make_no_sense_are_refused() -> None:
    for wrong in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="returning_in"):
            check_returning(wrong)
    with pytest.raises(ValueError, match="every dest"):
        check_drain("bob", final=True, reason="", returning_in=None)
    with pytest.raises(ValueError, match="final=True"):
        check_drain(None, final=False, reason="why", returning_in=None)
