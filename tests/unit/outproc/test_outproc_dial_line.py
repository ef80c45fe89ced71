"""Who dials next: what is asked for first, the background spaced and in turns."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from outproc.dial_line import BURST, DialLine, Ticket


def joined(line: DialLine, *dests: str, asked: bool = False) -> list[Ticket]:
    tickets = [Ticket(dest, asked=asked) for dest in dests]
    for ticket in tickets:
        line.join(ticket)
    return tickets


def names(tickets: list[Ticket]) -> list[str]:
    return [ticket.dest for ticket in tickets]


def test_no_more_at_once_than_there_may_be() -> None:
    line = DialLine(Random(1), most=2, rate=1_000.0)
    joined(line, "a", "b", "c", asked=True)
    first = line.grant(0.0)
    assert names(first) == ["a", "b"]
    assert line.grant(0.0) == []
    line.leave(first[0])
    assert names(line.grant(0.0)) == ["c"]


def test_the_background_keeps_places_for_who_waits() -> None:
    line = DialLine(Random(1), most=8, rate=1_000.0)
    joined(line, *"abcdefgh")
    assert len(line.grant(0.0)) == 6
    joined(line, "x", asked=True)
    assert names(line.grant(0.0)) == ["x"]
    assert line.next_due() is None  # only the end of a dial changes anything


def test_what_is_asked_for_goes_first() -> None:
    line = DialLine(Random(1), most=1, rate=1_000.0)
    (running,) = joined(line, "z", asked=True)
    line.grant(0.0)
    joined(line, "a", "b")
    joined(line, "x", asked=True)
    line.leave(running)
    assert names(line.grant(0.0)) == ["x"]


def test_dests_take_turns() -> None:
    line = DialLine(Random(1), most=100, rate=1.0)
    joined(line, *["greedy"] * 5, "modest")
    (first,) = line.grant(0.0)
    assert first.dest == "greedy"
    order = []
    now = 0.0
    while len(line):
        due = line.next_due()
        assert due is not None
        now = max(now, due)
        order += names(line.grant(now))
    assert order == ["modest", *["greedy"] * 4]


def test_somebody_who_asks_does_not_wait_behind_the_background() -> None:
    line = DialLine(Random(1), most=100, rate=1.0)
    tickets = joined(line, "a", "b", "c", "c")
    assert names(line.grant(0.0)) == ["a"]
    line.hurry("c")
    assert names(line.grant(0.0)) == ["c", "c"]
    for ticket in tickets:
        line.leave(ticket)
    assert (line.running, line.redials, len(line)) == (0, 0, 0)


@pytest.mark.parametrize("rate", [1.0, 7.0, 200.0])
def test_never_more_redials_than_the_rate_allows(rate: float) -> None:
    rng = Random(rate)
    line = DialLine(rng, most=1_000_000, rate=rate)
    began: list[float] = []
    now = 0.0
    for number in range(3_000):
        now += rng.expovariate(5 * rate) if rng.random() < 0.999 else 3.0
        joined(line, f"dest {number % 400}")
        for ticket in line.grant(now):
            began.append(now)
            line.leave(ticket)
    for at, moment in enumerate(began):
        within = sum(moment <= later < moment + 2.0 for later in began[at:])
        assert within <= rate * (BURST + 2.0) + 1


def test_ten_thousand_lost_at_once_are_dialled_in_time_and_each_in_turn() -> None:
    line = DialLine(Random(1), most=64, rate=200.0)
    joined(line, *(f"dest {number}" for number in range(10_000)))
    now, done = 0.0, Counter[str]()
    while (due := line.next_due()) is not None:
        now = max(now, due)
        for ticket in line.grant(now):
            done[ticket.dest] += 1
            line.leave(ticket)
    assert len(done) == 10_000
    assert 10_000 / 200 - BURST <= now <= 1.5 * 10_000 / 200


def test_what_was_given_up_holds_no_place() -> None:
    line = DialLine(Random(1), most=1, rate=10.0)
    first, second = joined(line, "a", "b", asked=True)
    line.grant(0.0)
    line.leave(second)
    line.leave(first)
    background = joined(line, "a", "a", "b")
    for ticket in background:
        line.leave(ticket)
    assert (len(line), line.running) == (0, 0)
    assert line.grant(0.0) == []
    assert line.next_due() is None


def test_chance_is_drawn_only_when_dials_are_held_back() -> None:
    """So that a node with few dests dials as if there were no rate."""
    rng = Random(1)
    before = rng.getstate()
    line = DialLine(rng, most=64, rate=200.0)
    now = 0.0
    for number in range(100):
        joined(line, f"dest {number}")
        (ticket,) = line.grant(now)
        line.leave(ticket)
        now += 0.006
    assert rng.getstate() == before
