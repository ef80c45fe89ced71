"""Frames of bulk grow with what the path carries, and shrink again."""

from __future__ import annotations

import pytest

from outproc.session.bulk_frame import FRAME_TIME, GROWS, LOOK_EVERY, BulkFrame

LEAST = 1_000
PASSED = 2 * LOOK_EVERY


@pytest.mark.parametrize(
    ("in_frame_time", "size"),
    [(0, LEAST), (LEAST - 1, LEAST), (2 * LEAST, 2 * LEAST), (GROWS * LEAST, GROWS * LEAST), (10**9, GROWS * LEAST)],
)
def test_a_frame_is_what_the_path_carries_in_its_time(in_frame_time: int, size: int) -> None:
    bulk = BulkFrame(LEAST)
    bulk.size(100.0, 0)
    arrived = round(in_frame_time * PASSED / FRAME_TIME)
    assert bulk.size(100.0 + PASSED, arrived) == pytest.approx(size, abs=1)


def test_nothing_is_known_of_a_path_at_first_nor_after_a_rest() -> None:
    bulk = BulkFrame(LEAST)
    assert bulk.size(0.0, 0) == LEAST
    bulk.size(50.0, 0)
    assert bulk.size(50.0 + PASSED, 10**9) == GROWS * LEAST
    assert bulk.size(90.0, 10**9 + 10) == LEAST


def test_what_is_seen_in_a_moment_says_nothing() -> None:
    bulk = BulkFrame(LEAST)
    bulk.size(50.0, 0)
    assert bulk.size(50.0 + LOOK_EVERY / 2, 10**9) == LEAST
