"""Options are checked when they are made: what could never work is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from outproc import TransportOptions


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"log_messages": 0}, "greater than or equal to 1"),
        ({"ping_after": 0}, "greater than 0"),
        ({"dead_after": float("inf")}, "finite"),
        ({"session_kept": -1}, "greater than 0"),
        ({"max_message": 17 << 20}, "could never arrive"),
        ({"process_log_size": 1000, "max_message": 1001}, "could never be accepted"),
        ({"seal": "sometimes"}, "auto"),
        ({"spelling": 1}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TransportOptions(**wrong)


def test_the_session_gets_its_part() -> None:
    limits = TransportOptions(log_messages=5, window_size=20 << 20, max_wires=3).session_limits()
    assert (limits.log_messages, limits.window_size, limits.max_wires) == (5, 20 << 20, 3)


def test_options_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TransportOptions().log_messages = 3
