"""Backoff: the first redial at once, then full jitter under a growing ceiling."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outproc.retry.backoff import Backoff, RetryState, backoff_delay


class Highest(Random):
    """Chance that always gives its (excluded) upper end."""

    def random(self) -> float:
        return 1.0


def test_ceilings_double_up_to_the_cap() -> None:
    ceilings = [Backoff().ceiling(attempt) for attempt in range(10)]
    assert ceilings == [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_the_shape_is_the_callers() -> None:
    backoff = Backoff(base=1.0, cap=10.0, factor=3.0)
    assert [backoff.ceiling(attempt) for attempt in range(5)] == [0.0, 1.0, 3.0, 9.0, 10.0]
    assert backoff_delay(2, Highest(), backoff) == 3.0


def test_the_first_is_at_once_and_the_default_is_the_designs() -> None:
    assert backoff_delay(0, Highest()) == 0.0
    assert backoff_delay(1, Highest()) == 0.05
    assert backoff_delay(100, Highest()) == 5.0


@given(st.integers(0, 10**9), st.integers())
def test_a_delay_is_within_its_ceiling_however_many_failed(attempt: int, seed: int) -> None:
    assert 0.0 <= backoff_delay(attempt, Random(seed)) <= Backoff().ceiling(attempt) <= 5.0


def test_jitter_is_full() -> None:
    rng = Random(1)
    delays = [backoff_delay(20, rng) for _ in range(1_000)]
    assert min(delays) < 0.1
    assert max(delays) > 4.9
    assert 2.3 < sum(delays) / 1_000 < 2.7


@pytest.mark.parametrize(
    "shape",
    [
        {"base": 0.0},
        {"base": -1.0},
        {"base": 2.0, "cap": 1.0},
        {"cap": float("inf")},
        {"factor": 0.5},
        {"factor": float("inf")},
        {"base": float("nan")},
    ],
)
def test_shapes_that_make_no_sense(shape: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a backoff needs"):
        Backoff(**shape)


def test_attempts_count_from_zero() -> None:
    with pytest.raises(ValueError, match="not -1"):
        Backoff().ceiling(-1)


def test_state_grows_until_proved() -> None:
    state = RetryState()
    assert [state.failed(Highest()) for _ in range(3)] == [0.05, 0.1, 0.2]
    assert state.attempt == 3
    state.proved()
    assert state.failed(Highest()) == 0.05
