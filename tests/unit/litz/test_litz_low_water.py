"""How far numbers are done that are done in any order."""

from __future__ import annotations

from itertools import permutations

import pytest

from litz.low_water import LowWater


def test_every_order_of_finishing_moves_the_mark_as_far_as_it_may() -> None:
    for order in permutations(range(6)):
        mark = LowWater()
        for number in range(6):
            mark.begun(number)
        done: list[int] = []
        for number in order:
            before = mark.mark
            moved = mark.done(number)
            done.append(number)
            assert mark.mark == next((n for n in range(6) if n not in done), 6) - 1
            assert moved is (mark.mark > before)
        assert mark.open == 0


def test_the_mark_refuses_what_never_began_and_what_is_done_already() -> None:
    mark = LowWater(4)
    mark.begun(5)
    mark.begun(9)
    for wrong in (4, 5, 9):
        with pytest.raises(ValueError):
            mark.begun(wrong)
    mark.done(9)
    for wrong in (4, 7, 9, 10):
        with pytest.raises(ValueError):
            mark.done(wrong)
    assert (mark.mark, mark.open) == (4, 2)
    assert mark.done(5)
    assert (mark.mark, mark.open) == (9, 0), "numbers may be left out"
