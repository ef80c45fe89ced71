"""Dead letters: listed, taken out, bounded in number and bytes."""

from __future__ import annotations

from litz.dead_letters import DeadLetter, DeadLetters
from litz.supervision import Failure, Why


def letter(number: int, size: int = 10) -> DeadLetter:
    return DeadLetter("bob", "jobs", number, None, b"x" * size, size, Failure.RAISED, 1, Why.ATTEMPTS, "ValueError")


def test_listed_and_taken_out_oldest_first() -> None:
    letters = DeadLetters(10, 1000)
    for number in range(4):
        assert letters.add(letter(number))
    assert [each.number for each in letters] == [0, 1, 2, 3]
    assert (len(letters), letters.size) == (4, 40)
    assert [each.number for each in letters.take(1)] == [0]
    assert [each.number for each in letters.take()] == [1, 2, 3]
    assert (len(letters), letters.size, letters.take()) == (0, 0, [])


def test_it_may_be_taken_from_while_it_is_listed() -> None:
    letters = DeadLetters(10, 1000)
    for number in range(3):
        letters.add(letter(number))
    assert [len(letters.take(1)) for _ in letters] == [1, 1, 1]


def test_bounds_are_exact_and_room_comes_back() -> None:
    letters = DeadLetters(2, 100)
    assert [letters.add(letter(number)) for number in range(3)] == [True, True, False]
    letters.take(1)
    assert not letters.add(letter(3, 91))
    assert letters.add(letter(4, 90))
    assert ([each.number for each in letters], letters.size, letters.refused) == ([1, 4], 100, 2)


def test_payloads_are_not_shown() -> None:
    assert "xxxx" not in repr(letter(1, 100))
    letters = DeadLetters(2, 100)
    letters.add(letter(0))
    assert repr(letters) == "<1 dead letters, 10 bytes>"
