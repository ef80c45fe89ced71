"""Packets in a bad link, on a clock of the test: `tests/prove/lab/impairment.py`."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tests.prove.lab.impairment import Direction, Weather


def passed(direction: Direction, count: int, gap: float = 0.001) -> list[int]:
    """Feed so many packets, `gap` seconds apart; their numbers in the order in which they come out."""
    found: list[int] = []
    for number in range(count):
        direction.feed(number.to_bytes(4, "big"), number * gap)
        found += [int.from_bytes(each, "big") for each in direction.take(number * gap)]
    return found + [int.from_bytes(each, "big") for each in direction.take(count * gap + 100)]


def link(seed: int = 1, **values: float) -> Direction:
    return Direction(Random(seed), Weather(**values))  # type: ignore[arg-type]  # all of these are numbers


def test_fair_weather_changes_nothing() -> None:
    direction = link()
    assert passed(direction, 100) == list(range(100))
    assert direction.counts["in"] == direction.counts["out"] == 100


def test_the_same_seed_is_the_same_fate() -> None:
    bad = {"delay": 0.01, "jitter": 0.01, "loss": 0.1, "reorder": 0.1, "duplicate": 0.1}
    assert passed(link(3, **bad), 500) == passed(link(3, **bad), 500)
    assert passed(link(3, **bad), 500) != passed(link(4, **bad), 500)


def test_a_packet_comes_after_its_delay_and_not_before() -> None:
    direction = link(delay=0.5)
    direction.feed(b"late", 10.0)
    assert direction.take(10.499) == []
    assert direction.next_due == pytest.approx(10.5)
    assert direction.take(10.5) == [b"late"]
    assert direction.next_due is None


def test_jitter_keeps_the_order() -> None:
    assert passed(link(delay=0.01, jitter=0.05), 500) == list(range(500))


def test_losses_are_about_as_many_as_told() -> None:
    direction = link(loss=0.1)
    assert 850 <= len(passed(direction, 1000)) <= 950
    assert direction.counts["lost"] == 1000 - direction.counts["out"]


def test_bad_spells_lose_packets_in_a_row() -> None:
    came = passed(link(burst=0.01, calm=0.1), 5000)
    gaps = [after - before - 1 for before, after in pairwise(came) if after - before > 1]
    assert sum(gaps) / len(gaps) > 4, "on average ten in a row"


def test_some_pass_those_under_way() -> None:
    came = passed(link(delay=0.05, reorder=0.05), 1000)
    assert sorted(came) == list(range(1000))
    early = sum(1 for place, number in enumerate(came) if number > place + 10)
    assert 20 <= early <= 90


def test_some_come_twice() -> None:
    direction = link(duplicate=0.1)
    came = passed(direction, 1000)
    assert set(came) == set(range(1000))
    assert direction.counts["duplicated"] == len(came) - 1000
    assert 50 <= direction.counts["duplicated"] <= 150


def test_a_slow_link_takes_its_time_and_a_full_queue_loses() -> None:
    direction = link(rate=1000.0, queue=10)
    for _ in range(20):
        direction.feed(bytes(100), 0.0)
    assert direction.counts["queue full"] == 10
    assert len(direction.take(0.5)) == 5
    assert len(direction.take(1.0)) == 5


def test_a_link_that_is_down_and_up_again() -> None:
    direction = link(down=True)
    assert passed(direction, 10) == []
    direction.weather = Weather()
    assert passed(direction, 10) == list(range(10))
