"""Receipts of successive sessions with a dest are told apart, however many dests were forgotten in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outproc.session_numbers import SessionNumbers


def test_numbers_go_on_where_the_last_transport_ended() -> None:
    numbers = SessionNumbers(10)
    assert numbers.first("b") == 0
    numbers.closed("b", 4)
    assert numbers.first("b") == 5
    assert numbers.first("c") == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3))), st.integers(1, 3))
def test_no_number_is_ever_used_twice(lives: list[tuple[int, int]], limit: int) -> None:
    """Each life of a dest has one session and so many more."""
    numbers = SessionNumbers(limit)
    used: set[tuple[int, int]] = set()
    for dest, more in lives:
        first = numbers.first(str(dest))
        for number in range(first, first + more + 1):
            assert (dest, number) not in used
            used.add((dest, number))
        numbers.closed(str(dest), first + more)
        assert len(numbers._last) <= limit
