"""Tests of `outproc.session.leaving`."""

from __future__ import annotations

from outproc.session.leaving import NO_REASON, reason_of, returning_in_of


def test_a_time_is_told_in_one_byte_and_never_sooner_than_meant() -> None:
    for tenths in range(10, 20_000, 7):
        seconds = tenths / 10
        told = returning_in_of(reason_of(seconds))
        assert told is not None
        assert seconds <= told * (1 + 1e-6) <= seconds * 1.1


def test_every_byte_says_again_what_it_was_read_as() -> None:
    for reason in range(0x80, 0x100):
        assert reason_of(returning_in_of(reason)) == reason


def test_the_ends_of_the_range() -> None:
    assert reason_of(None) == NO_REASON
    assert all(returning_in_of(reason) is None for reason in range(0x80))
    assert reason_of(0.0) == reason_of(1.0) == 0x80
    assert reason_of(1e9) == 0xFF
