"""What streams that are over have left with their users, unread: it stays charged to the budget of all streams, and who
has too much of it gets no further stream. Pure.

A stream that has ended is no lane any more, so nothing else bounds what was received before: whoever opens, fills and
aborts streams that nobody reads would fill any memory (P5).
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from litz.stream_port import UNCHARGED, Kept
from outproc.session.stream_window import StreamBudget


class Rest(Kept):
    """Of one stream. Made by `Rests.keep`."""

    __slots__ = ("_budget", "_size")

    def __init__(self, budget: StreamBudget, size: int) -> None:
        self._budget = budget
        self._size = size
        budget.add(size)

    def took(self, size: int) -> None:
        """See `Kept`."""
        size = min(size, self._size)
        self._size -= size
        self._budget.add(-size)

    def __del__(self) -> None:
        if self._size:
            self._budget.add_later(-self._size)


class Rests:
    """See the module.

    budget  that of all streams of the process, with the live ones
    limit   bytes of all rests together from which on no dest that has any gets a further stream; the others do, or one
            peer could close the streams of all
    each    bytes of the rests of one dest from which on it gets none
    """

    def __init__(self, budget: StreamBudget, *, limit: int, each: int) -> None:
        self._all = StreamBudget(limit, budget)
        self._each = each
        self._of: WeakValueDictionary[str, StreamBudget] = WeakValueDictionary()
        """Of each dest, for as long as there is a rest of it."""

    def keep(self, dest: str, size: int) -> Kept:
        """A stream with `dest` is over, and its user goes on holding `size` bytes of it."""
        if size <= 0:
            return UNCHARGED
        budget = self._of.get(dest)
        if budget is None:
            budget = self._of[dest] = StreamBudget(self._each, self._all)
        return Rest(budget, size)

    def size(self, dest: str | None = None) -> int:
        """Bytes of all rests now, or of those of one dest."""
        self._all.settle()
        budget = self._all if dest is None else self._of.get(dest)
        return budget.used if budget is not None else 0

    def overrun(self, dest: str) -> str:
        """Why there may be no further stream with `dest` now: "" if there may."""
        size = self.size(dest)
        if size >= self._each:
            return f"{size} bytes of streams with {dest} that are over were not read"
        everybodys = self.size()
        if size and everybodys >= self._all.limit:
            return f"{everybodys} bytes of streams that are over were not read, {size} of them of {dest}"
        return ""
