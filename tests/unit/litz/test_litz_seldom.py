"""`litz.seldom`: what peers cause again and again is told once in a while, with a count."""

from __future__ import annotations

from litz.seldom import Seldom

ERROR = ValueError("no database")


def test_the_first_is_told_and_the_others_are_counted_until_it_is_time() -> None:
    seldom = Seldom(every=60.0)
    assert seldom.words(100.0, "alice", ERROR) == ""
    assert [seldom.words(100.0 + second, "alice", ERROR) for second in range(60)] == [None] * 60
    assert seldom.words(100.0, "bob", ERROR) == "", "what one peer does hides nothing of another"
    assert seldom.words(100.0, "alice", KeyError("x")) == "", "nor of another kind"
    assert seldom.words(160.0, "alice", ERROR) == " (60 more of these were not told)"
    assert seldom.words(219.0, "alice", ERROR) is None
    assert seldom.words(500.0, "alice", ERROR) == " (1 more of these were not told)"
    assert seldom.words(900.0, "alice", ERROR) == ""


def test_many_names_neither_fill_the_memory_nor_the_log() -> None:
    seldom = Seldom(every=60.0, most=8)
    told = [seldom.words(1.0, f"peer {number}", ERROR) for number in range(1_000)]
    assert told.count("") == 8 + 1, "those that are told apart, and all the others as one"
    assert len(seldom) <= 9
    assert seldom.words(2.0, "peer 3", ERROR) is None
    later = [seldom.words(62.0, f"new {number}", ERROR) for number in range(1_000)]
    assert sum(words is not None for words in later) == 9, "who is forgotten makes room"
    assert len(seldom) <= 9


def test_the_first_few_are_told_and_then_one_at_a_time_for_as_long_as_it_goes_on() -> None:
    seldom = Seldom(every=60.0, first=3)
    assert [seldom.words(100.0, "alice", ERROR) for _ in range(5)] == [
        "",
        "",
        " (more of these are only counted for 60 s)",
        None,
        None,
    ]
    assert seldom.words(160.0, "alice", ERROR) == " (2 more of these were not told)"
    assert seldom.words(161.0, "alice", ERROR) is None, "it goes on"
    assert seldom.words(220.0, "alice", ERROR) == " (1 more of these were not told)"
    assert [seldom.words(280.0, "alice", ERROR) for _ in range(2)] == ["", ""], "there was a pause"


def test_what_was_left_out_is_there_at_the_end_once_of_those_who_were_forgotten_too() -> None:
    seldom = Seldom(every=60.0, most=2)
    for peer in ("alice", "bob", "carol", "dora"):
        for _ in range(4):
            seldom.words(1.0, peer, ERROR)
    assert seldom.words(70.0, "erin", ERROR) == "", "somebody is forgotten for it"
    assert seldom.left_out() == 3 + 3 + 7, "of alice, bob, and those who were told as one"
    assert seldom.left_out() == 0
    assert seldom.words(71.0, "erin", ERROR) is None
    assert seldom.left_out() == 1
