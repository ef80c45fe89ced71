"""`tests.prove.rounds`: what was missed is measured again, and all of it is judged."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.prove.percentiles import median
from tests.prove.rounds import all_of, judged_together, most_complain, over

BOUND = 10


class Bench:
    """Measures what it was told, and remembers which rounds there were."""

    def __init__(self, *values: int) -> None:
        self.values = values
        self.rounds: list[int] = []

    async def measure(self, number: int) -> int:
        self.rounds.append(number)
        return self.values[number]


def complaint(found: Sequence[int]) -> str:
    middle = median(found)
    return f"{middle} of {list(found)}" if middle > BOUND else ""


async def test_one_round_that_is_good_is_enough() -> None:
    bench = Bench(9)
    await judged_together(bench.measure, complaint)
    assert bench.rounds == [0]


async def test_rounds_follow_until_all_of_them_together_are_good() -> None:
    bench = Bench(11, 9, 12)
    await judged_together(bench.measure, complaint)
    assert bench.rounds == [0, 1]


async def test_what_most_measurements_miss_is_missed() -> None:
    bench = Bench(13, 12, 9)
    with pytest.raises(AssertionError) as failed:
        await judged_together(bench.measure, complaint)
    assert bench.rounds == [0, 1, 2]
    assert str(failed.value).splitlines() == [
        "round 1: 13 of [13]",
        "round 2: 12 of [13, 12]",
        "round 3: 12 of [13, 12, 9]",
    ]


async def test_what_must_always_hold_is_not_measured_again() -> None:
    bench = Bench()
    with pytest.raises(IndexError):
        await judged_together(bench.measure, complaint)
    assert bench.rounds == [0]


@pytest.mark.parametrize(
    ("complaints", "said"),
    [
        ([""], ""),
        (["late"], "late"),
        (["late", ""], ""),
        (["late", "", "later"], "late; later"),
        (["", "late", ""], ""),
    ],
)
def test_the_rounds_that_complain_must_be_the_most(complaints: list[str], said: str) -> None:
    assert most_complain(complaints) == said


def test_a_bound_that_is_just_kept_is_kept_and_one_that_is_not_is_told() -> None:
    assert over("p99", 2.0, 2.0) == ""
    assert over("p99", 2.5, 2.0) == "p99: 2.5000 s, more than 2.0000 s"


def test_of_several_complaints_those_that_say_something_are_said() -> None:
    assert all_of("", "") == ""
    assert all_of("one", "", "two") == "one; two"
