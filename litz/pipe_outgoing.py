"""What was written to a pipe and not taken by its side yet, cut into entries. Pure.

Large buffers go out as they are, cut by views; small ones that were written one after the other leave together, so
that a thousand little writes cost a few entries.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from litz.stream_port import MAX_ENTRY

JOIN_BELOW: Final = 16 * 1024
"""Bytes. What is smaller is copied next to its neighbours; what is larger leaves alone and is not copied."""

Piece = bytes | memoryview


class PipeOutgoing:
    """Bytes in order, and how many. An entry that was refused stays the same until it is taken."""

    __slots__ = ("_buffers", "_head", "size")

    def __init__(self) -> None:
        self._buffers: deque[Piece] = deque()
        self._head: Piece | None = None
        self.size = 0
        """Bytes that wait."""

    def add(self, data: bytes | memoryview) -> None:
        """Behind all that waits. `data` is not empty, and never changes."""
        self._buffers.append(data)
        self.size += len(data)

    def head(self, most: int) -> Piece | None:
        """The next entry, at most `most` bytes, which is at least `MAX_ENTRY`; the same one, or a part of it, until
        `taken`. None: nothing waits."""
        if self._head is not None and len(self._head) > most:
            self._buffers.appendleft(self._head)
            self._head = None
        if self._head is None and self._buffers:
            first = self._buffers.popleft()
            if len(first) > most:
                view = memoryview(first)
                self._buffers.appendleft(view[most:])
                first = view[:most]
            elif len(first) < JOIN_BELOW and self._buffers:
                first = self._join(first)
            self._head = first
        return self._head

    def taken(self) -> None:
        """`head` has gone."""
        assert self._head is not None
        self.size -= len(self._head)
        self._head = None

    def clear(self) -> None:
        """Drop all."""
        self._buffers.clear()
        self._head = None
        self.size = 0

    def _join(self, first: Piece) -> Piece:
        buffers = self._buffers
        together = [first]
        size = len(first)
        while buffers and len(buffers[0]) < JOIN_BELOW and size + len(buffers[0]) <= MAX_ENTRY:
            size += len(buffers[0])
            together.append(buffers.popleft())
        return b"".join(together) if len(together) > 1 else first
