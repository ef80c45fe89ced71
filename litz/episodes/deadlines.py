"""Which of many things is due first. Pure."""

from __future__ import annotations

import heapq
from math import inf
from typing import Generic, Protocol, TypeVar


class Dated(Protocol):
    """What has a deadline. `due` belongs to `Deadlines`: `inf` while there is none."""

    due: float


T = TypeVar("T", bound=Dated)


class Deadlines(Generic[T]):
    """Things by their deadlines, each with one at most. Moving and clearing one leaves a dead entry in the heap; there
    are never more of these than live ones, but for a few."""

    __slots__ = ("_count", "_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0
        self._live = 0

    def put(self, item: T, due: float) -> None:
        """From now on `item` is due at `due`, and at no other time."""
        self._live += item.due == inf
        item.due = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, item))
        self._compact()

    def clear(self, item: T) -> None:
        """`item` is not due any more."""
        if item.due != inf:
            item.due = inf
            self._live -= 1
            self._compact()

    def next(self) -> float:
        """When the first one is due, `inf` for never."""
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].due:
            heapq.heappop(heap)
        return heap[0][0] if heap else inf

    def pop(self, now: float) -> T | None:
        """The first one that is due at `now`, which then is not due any more."""
        if self.next() > now:
            return None
        item = heapq.heappop(self._heap)[2]
        item.due = inf
        self._live -= 1
        return item

    def __len__(self) -> int:
        return len(self._heap)

    def _compact(self) -> None:
        if len(self._heap) > 2 * self._live + 64:
            latest = {id(item): (due, count, item) for due, count, item in self._heap if due == item.due}
            self._heap = list(latest.values())
            heapq.heapify(self._heap)
