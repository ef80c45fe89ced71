"""What `send` may be told besides dest and data: checked in the same way by every manager."""

from __future__ import annotations

from litz.manager import WhenDown
from litz.retry import Retry

MAX_KEY = 255
"""Bytes of UTF-8."""


def checked_key(key: str) -> str:
    """The key, if it is one. Raises ValueError."""
    if not isinstance(key, str):
        raise ValueError(f"a key is a str, not {type(key).__name__}")  # noqa: TRY004 - illegal arguments are ValueErrors
    if not 1 <= len(key.encode()) <= MAX_KEY:
        raise ValueError(f"a key has 1 to {MAX_KEY} bytes of UTF-8; this one has {len(key.encode())}")
    return key


def check_when_down(when_down: WhenDown) -> None:
    """Raises ValueError: what is misspelt would wait, which may be just what was not wanted."""
    if not isinstance(when_down, Retry) and when_down not in ("wait", "queue", "fail"):
        raise ValueError(f"when_down is 'wait', 'queue', 'fail' or a Retry, not {when_down!r}")
