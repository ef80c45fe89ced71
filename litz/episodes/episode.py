"""One episode: a log of parts, and who follows it. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from math import inf
from typing import Any

from litz.episodes.ends import End
from litz.episodes.keys import EpisodeKey
from litz.episodes.parts import Part
from litz.episodes.reader import Reader


class Episode:
    """A log. Readers are cursors over it, so replay and live are one thing.

    base       number of the last part that was trimmed; the first one there is has `base + 1`
    head       number of the newest part, 0 before the first
    committed  parts up to there are stored elsewhere
    end        None while it is open
    readers    who follows it; `waiting`: whose last `take` came back empty
    """

    __slots__ = (
        "_dropped_size",
        "_ends",
        "_times",
        "base",
        "committed",
        "created_at",
        "due",
        "end",
        "ended_at",
        "key",
        "parts",
        "readers",
        "waiting",
    )

    def __init__(self, key: EpisodeKey, now: float) -> None:
        self.key = key
        self.created_at = now
        self.ended_at = inf
        self.due = inf
        self.base = 0
        self.committed = 0
        self.end: End | None = None
        self.parts: list[Part] = []
        # Beside the parts, in C: where each one ends, in bytes from the beginning, and when it was appended.
        self._ends = array("Q")
        self._times = array("d")
        self._dropped_size = 0
        self.readers: dict[Reader, None] = {}
        self.waiting: dict[Reader, None] = {}

    @property
    def head(self) -> int:
        return self.base + len(self.parts)

    @property
    def total(self) -> int:
        """Bytes of all parts there ever were."""
        return self._ends[-1] if self._ends else self._dropped_size

    @property
    def size(self) -> int:
        """Bytes of the parts there are."""
        return self.total - self._dropped_size

    def append(self, data: Any, role: str, size: int, now: float) -> int:
        """The next part; returns its number. Limits were asked before. Then `wake_waiting`."""
        number = self.head + 1
        self._ends.append(self.total + size)
        self._times.append(now)
        self.parts.append(Part(number, data, role))
        return number

    def wake_waiting(self) -> None:
        """There is news for whoever waits."""
        if self.waiting:
            waiting, self.waiting = self.waiting, {}
            for reader in waiting:
                reader.wake()

    def after(self, cursor: int, limit: int, size: int) -> list[Part]:
        """The parts behind `cursor`, at most `limit`, and `size` bytes unless that is less than one part."""
        start = cursor - self.base
        count = len(self.parts)
        if start >= count:
            return []
        stop = min(count, start + limit)
        allowed = (self._ends[start - 1] if start else self._dropped_size) + size
        if self._ends[stop - 1] > allowed:
            stop = max(start + 1, bisect_right(self._ends, allowed, start, stop))
        return self.parts[start:stop]

    def offset(self, cursor: int) -> int:
        """Bytes of all parts up to `cursor`. What was trimmed counts as a whole."""
        index = min(cursor, self.head) - self.base
        return self._ends[index - 1] if index > 0 else self._dropped_size

    def appended_at(self, number: int) -> float:
        """When the part `number` was appended, one that is there."""
        return self._times[number - self.base - 1]

    def trim(self, upto: int) -> tuple[int, int]:
        """Forget the parts up to `upto`. Returns how many, and how many bytes."""
        count = upto - self.base
        if count <= 0:
            return 0, 0
        size = self._ends[count - 1] - self._dropped_size
        self._dropped_size += size
        del self.parts[:count], self._ends[:count], self._times[:count]
        self.base = upto
        return count, size
