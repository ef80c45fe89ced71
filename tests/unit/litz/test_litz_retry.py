"""What one caller sits through."""

from __future__ import annotations

import pytest

from litz.retry import Patience, Retry


def test_attempts() -> None:
    patience = Patience(Retry(attempts=3), 0.0)
    assert [patience.sits_through(0.0, pointless=False) for _ in range(3)] == [True, True, False]
    assert patience.lost


def test_seconds() -> None:
    patience = Patience(Retry(seconds=5.0), 100.0)
    assert patience.deadline == 105.0
    assert patience.sits_through(104.9, pointless=False)
    assert not patience.sits_through(105.0, pointless=False)


def test_without_end() -> None:
    patience = Patience(Retry(), 0.0)
    assert all(patience.sits_through(now, pointless=False) for now in range(0, 1_000_000, 1_000))
    assert patience.deadline is None


def test_what_is_pointless_is_not_waited_for() -> None:
    assert not Patience(Retry(), 0.0).sits_through(0.0, pointless=True)


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"seconds": 0.0}, {"seconds": -1.0}, {"seconds": float("inf")}])
def test_nothing_is_no_retry(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="None means any number"):
        Retry(**wrong)  # type: ignore[arg-type]  # wrong on purpose
