"""How fast a channel sends, from what it was given and when that was gone. Pure.

What follows from it is counted in time and not in bytes: how much a library is given ahead, and how large a frame is,
which what is urgent may have to wait for.
"""

from __future__ import annotations

from typing import Final

SETTLES: Final = 0.02
"""Seconds after which the rate is mostly that of now, and hardly that of before."""

SHORTEST: Final = 1e-4
"""Seconds that sending takes at least: two events of one turn of the loop say nothing about the time between them."""


class Pace:
    """One channel. Tell it what is given to the library, and when the library has drained."""

    __slots__ = ("_at", "_given", "rate")

    def __init__(self, now: float) -> None:
        self._at = now
        self._given = 0
        self.rate = 0.0
        """Bytes a second, smoothed. While there is nothing to send it is what was sent, not what could be."""

    def gave(self, size: int) -> None:
        """The library was given `size` bytes."""
        self._given += size

    def drained(self, now: float) -> None:
        """What was given is sent, but for the little that is always left. If nothing was given that tells no rate."""
        if not self._given:
            return
        took = max(now - self._at, SHORTEST)
        self.rate += (self._given / took - self.rate) * (took / (took + SETTLES))
        self._given, self._at = 0, now

    def bytes_in(self, seconds: float, least: int, most: int) -> int:
        """What is sent in so many seconds, within these bounds."""
        return max(least, min(most, int(self.rate * seconds)))
