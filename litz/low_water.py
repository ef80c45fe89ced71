"""How far a run of numbers is done, all before them included, when they are done in any order. Pure."""

from __future__ import annotations

from collections import deque


class LowWater:
    """The low-water mark of numbers that begin in ascending order and are done in any.

    Each number is `begun` once and `done` once, both O(1) amortised; numbers may be left out. What it remembers is
    what lies above the mark: who bounds how many are begun and not done bounds its memory too.
    """

    __slots__ = ("_done", "_open", "mark")

    def __init__(self, mark: int = -1) -> None:
        self.mark = mark
        """Every number that was begun up to this one is done. Never goes back, never passes one that is not done."""
        self._open: deque[int] = deque()
        self._done: dict[int, bool] = {}

    def begun(self, number: int) -> None:
        """`number` is on its way. ValueError unless it is above all before."""
        if number <= (self._open[-1] if self._open else self.mark):
            raise ValueError(f"{number} does not ascend")
        self._open.append(number)
        self._done[number] = False

    def done(self, number: int) -> bool:
        """`number` is done; True if the mark moved. ValueError if it was done before, or never began."""
        if self._done.get(number, True):
            raise ValueError(f"{number} is not on its way")
        self._done[number] = True
        waiting = self._open
        moved = False
        while waiting and self._done[waiting[0]]:
            self.mark = waiting.popleft()
            del self._done[self.mark]
            moved = True
        return moved

    @property
    def open(self) -> int:
        """How many lie above the mark: those not done, and those done behind one that is not."""
        return len(self._open)
