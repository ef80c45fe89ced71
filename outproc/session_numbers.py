"""What number the next session with a dest gets, also after its transport was closed and forgotten."""

from __future__ import annotations


class SessionNumbers:
    """Keeps receipts of successive sessions apart. Pure.

    Remembers at most `limit` closed dests. For one that was pushed out, numbers go on above all that were pushed
    out, so that none is used twice.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._last: dict[str, int] = {}
        self._floor = 0

    def first(self, dest: str) -> int:
        """The number of the first session of a new transport of `dest`."""
        last = self._last.get(dest)
        return self._floor if last is None else last + 1

    def closed(self, dest: str, last: int) -> None:
        """The transport of `dest` is gone; `last` was the number of its last session."""
        self._last.pop(dest, None)
        self._last[dest] = last
        if len(self._last) > self._limit:
            oldest = next(iter(self._last))
            self._floor = max(self._floor, self._last.pop(oldest) + 1)
