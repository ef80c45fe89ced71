"""Who came in while too many were in their handshake: each address gets its turn, whoever else pushes. Pure.

A thousand honest peers of a restarted server come together. Refused, each would dial again and again; a moment's wait
costs nobody anything but a connection that nothing is read from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from outproc.health import DueHeap

T = TypeVar("T", bound=Hashable)


class WaitingRoom(Generic[T]):
    """Items by address group, compared as they hash; at most `limit`. In a full room whoever comes takes the place of
    the newest of the address that has the most, unless its own has about as many."""

    __slots__ = ("_due", "_groups", "_limit", "_of")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._groups: dict[str, deque[T]] = {}  # in the order in which their turn comes
        self._of: dict[T, str] = {}
        self._due: DueHeap[T] = DueHeap()

    def __len__(self) -> int:
        return len(self._of)

    def enter(self, item: T, group: str, until: float) -> T | None:
        """Let `item` wait, not longer than `until`. Returns whom there is no room for, perhaps itself: the caller turns
        that one away."""
        turned_away = None
        if len(self._of) >= self._limit:
            largest = max(self._groups, key=lambda each: len(self._groups[each]))
            if len(self._groups[largest]) <= len(self._groups.get(group, ())) + 1:
                return item
            turned_away = self._groups[largest][-1]
            self._left(turned_away)
        self._groups.setdefault(group, deque()).append(item)
        self._of[item] = group
        self._due.schedule(item, until)
        return turned_away

    def waits(self, group: str) -> bool:
        """Whether somebody of that group is here: whoever comes now waits behind."""
        return group in self._groups

    def next(self, may: Callable[[str], bool]) -> T | None:
        """Who is to come in now, of the groups that `may`: they take turns, and within one the first comes first."""
        for group, waiting in self._groups.items():
            if may(group):
                item = waiting[0]
                self._left(item)
                if waiting:
                    self._groups[group] = self._groups.pop(group)  # behind the others
                return item
        return None

    def impatient(self, now: float) -> list[T]:
        """Those whose time is over: they are not here any more, and the caller turns them away."""
        over = self._due.pop_due(now)
        for item in over:
            self._left(item)
        return over

    @property
    def due(self) -> float | None:
        """When to ask `impatient` again."""
        return self._due.next_due()

    def empty(self) -> list[T]:
        """Everybody who waits; nobody does any more."""
        everybody = list(self._of)
        for item in everybody:
            self._left(item)
        return everybody

    def _left(self, item: T) -> None:
        group = self._of.pop(item)
        self._due.cancel(item)
        self._groups[group].remove(item)
        if not self._groups[group]:
            del self._groups[group]
