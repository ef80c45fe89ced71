"""Bytes that were written and are not confirmed, by their position: what a new connection is sent again. Pure."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

GATHER: Final = 16 * 1024
"""Bytes. Writes smaller than this are gathered into blocks of about this size, so that a million writes of one byte
cost a million bytes and not a million objects."""


class ReplayBuffer:
    """Bytes [`start`, `end`) of a stream whose first byte is 0.

    What is below `start` was confirmed, and is gone. It has no bound by itself: ask `room` of whoever writes.
    """

    __slots__ = ("_at", "_blocks", "_tail", "_tail_size", "end", "start")

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self._blocks: list[bytes] = []
        self._at: list[int] = []
        """The position of the first byte of each block."""
        self._tail: list[bytes] = []
        """Small writes behind the last block, to be one soon."""
        self._tail_size = 0

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, data: bytes) -> None:
        """Behind all others."""
        if len(data) >= GATHER:
            self._settle()
            self._at.append(self.end)
            self._blocks.append(data)
            self.end += len(data)
        elif data:
            self._tail.append(data)
            self._tail_size += len(data)
            self.end += len(data)
            if self._tail_size >= GATHER or len(self._tail) >= 64:
                self._settle()

    def confirm(self, position: int) -> int:
        """All below `position` has arrived: forget it. Returns how many bytes are gone; 0 for old news. Raises
        ValueError for a position that was never written."""
        if position > self.end:
            raise ValueError(f"{position} was confirmed and only {self.end} were written")
        if position <= self.start:
            return 0
        if position > self.end - self._tail_size:
            self._settle()
        gone = bisect_right(self._at, position) - 1
        if position == self.end:
            gone = len(self._blocks)
        del self._blocks[:gone], self._at[:gone]
        freed = position - self.start
        self.start = position
        return freed

    def read(self, position: int, most: int) -> bytes | memoryview:
        """At most `most` bytes from `position` on; empty only at the end. Raises ValueError if they are gone, or were
        never written."""
        if not self.start <= position <= self.end:
            raise ValueError(f"{position} is not between {self.start} and {self.end}")
        if position == self.end:
            return b""
        if position >= self.end - self._tail_size:
            self._settle()
        index = bisect_right(self._at, position) - 1
        block, begin = self._blocks[index], position - self._at[index]
        if not begin and len(block) <= most:
            return block
        return memoryview(block)[begin : begin + most]

    def _settle(self) -> None:
        """Make one block of the small writes, together with a last block that is small itself."""
        if self._tail:
            small = self._blocks and len(self._blocks[-1]) < GATHER
            parts = [self._blocks.pop(), *self._tail] if small else self._tail
            size = sum(map(len, parts))
            if small:
                self._at.pop()
            self._at.append(self.end - size)
            self._blocks.append(b"".join(parts))
            self._tail = []
            self._tail_size = 0
