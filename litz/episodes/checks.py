"""What a producer may say. Pure."""

from __future__ import annotations

from typing import Any

from litz.episodes.ends import PRODUCERS, Why
from litz.episodes.parts import MAX_ROLE


def check_part(data: Any, role: Any, size: int | None) -> tuple[Any, int]:
    """The data as it is kept, and its size. What could be changed behind our back is copied. Raises TypeError,
    ValueError."""
    if role != "" and (not isinstance(role, str) or len(role.encode("utf-8")) > MAX_ROLE):
        raise ValueError(f"a role is a str of at most {MAX_ROLE} bytes of UTF-8")
    if isinstance(data, bytes | bytearray | memoryview):
        if type(data) is not bytes:
            data = bytes(data)
        if size is not None and size != len(data):
            raise ValueError(f"a part of {len(data)} bytes cannot have the size {size}")
        return data, len(data)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise TypeError(f"a part that is no bytes ({type(data).__name__}) needs its size: size=<bytes, 0 or more>")
    return data, size


def check_producer_end(why: Why) -> None:
    """Raises ValueError for an end that a producer cannot have."""
    if why not in PRODUCERS:
        raise ValueError(f"an episode is closed as {', '.join(each.name for each in PRODUCERS)}, not {why!r}")
