"""What people are told of connections that could not be had: enough to know why, whatever peers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

QUIET: Final = 2.0
"""Seconds after a line about a peer in which there is no further one about it, whatever it would say: what a peer is
refused for, and how often, is the peer's own choice."""

MAX_LINES: Final = 8
"""Lines in that time about all peers together."""


class Complaints:
    """Those of one passage. `say` gets the lines; one says how many were left out before it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: dict[str, float] = {}  # about whom, oldest first
        self._left_out = 0

    def add(self, peer: str, line: str, now: float) -> None:
        """One about `peer`, at `now` of a clock that never goes back."""
        while self._told and now >= next(iter(self._told.values())) + QUIET:
            del self._told[next(iter(self._told))]
        if peer in self._told or len(self._told) >= MAX_LINES:
            self._left_out += 1
            return
        self._told[peer] = now
        more = f" ({self._left_out} more before this one)" if self._left_out else ""
        self._left_out = 0
        self._say(f"{line}{more}")
