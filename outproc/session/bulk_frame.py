"""How large a frame of bulk may be. Pure; times in seconds.

A frame that is being written is what a signal waits for at most, and what the kernel holds. A larger one costs less for
each byte, and on a fast path no signal waits longer for it: so it grows with what the path was seen to carry.
"""

from __future__ import annotations

from typing import Final

FRAME_TIME: Final = 0.005
"""Seconds that the path needs for one frame, about."""

GROWS: Final = 4
"""A frame is at most so many times as large as on a slow path."""

SIGNAL_IN_USE: Final = 1.0
"""Seconds after a signal during which frames stay below `batch_size`, on a wire that signals share."""

LOOK_EVERY: Final = 0.05
"""Seconds between two measurements, at least."""


class BulkFrame:
    """`least`: the size of a frame on a path of which nothing is known, in bytes."""

    __slots__ = ("_arrived", "_least", "_looked", "_size")

    def __init__(self, least: int) -> None:
        self._least = self._size = least
        self._looked = self._arrived = 0.0

    def size(self, now: float, arrived: int) -> int:
        """Bytes of a frame now. `arrived`: all bytes that the peer has ever acknowledged; they never go back."""
        passed = now - self._looked
        if passed >= LOOK_EVERY:
            # A rest counts as a slow path: what comes after it is measured anew.
            carries = int((arrived - self._arrived) / passed * FRAME_TIME)
            self._size = max(self._least, min(GROWS * self._least, carries))
            self._looked, self._arrived = now, arrived
        return self._size
