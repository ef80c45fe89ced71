"""`tests.prove.percentiles`: values that happened, at the rank that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prove.percentiles import median, percentile, summary


def test_nearest_rank() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [percentile(values, percent) for percent in (0, 5, 30, 40, 50, 100)] == [15, 15, 20, 20, 35, 50]
    assert percentile(range(1, 101), 99) == 99
    assert median([3, 1, 2]) == 2
    assert median([1, 2, 3, 4]) == 2


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0, 100))
def test_enough_values_are_below_and_it_happened(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= len(values) * percent * (1 - 1e-12)


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], -1), ([1], 101)])
def test_nonsense_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"no values|no percentage"):
        percentile(values, percent)


def test_summary_is_one_line() -> None:
    assert summary([0.001] * 99 + [1.0], "s") == "n=100 p50 0.001 p90 0.001 p99 0.001 max 1 s"
