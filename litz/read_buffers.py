"""Memory that a connection is read into and that is passed on as it is, without a copy.

What was read lives as long as somebody has a view of it: in a log until the peer has it, in the buffer of a transport.
Then the memory is used again, because fresh memory comes from the kernel page by page. That nobody has a view any more
Python knows: only then a bytearray can change its size.
"""

from __future__ import annotations

import threading
from typing import Final

from litz.stream_port import LARGE_ENTRY

READ_SIZE: Final = LARGE_ENTRY
"""Bytes that are read at once, at most: what a pipe takes as one entry while its reader keeps up."""

PASSED_ON_FROM: Final = READ_SIZE // 2
"""Smaller reads are copied: a view of a few bytes would keep the memory of many."""

KEPT: Final = 16
"""Buffers that one thread keeps for all its connections. More are made where more are needed, and forgotten."""


class ReadBuffers:
    """Of all connections of one thread: an event loop fills the buffer of a `BufferedProtocol` and tells it so before
    it reads anything else. `next` and `take` are for the two verbs of such a protocol."""

    __slots__ = ("_buffers", "_next", "_turn")

    def __init__(self) -> None:
        self._buffers: list[bytearray] = []
        self._next: memoryview | None = None
        self._turn = 0

    def next(self) -> memoryview:
        """Where the next bytes belong."""
        if self._next is None:
            self._next = memoryview(self._unused())
        return self._next

    def take(self, size: int) -> bytes | memoryview:
        """The `size` bytes that were read there. They never change."""
        whole = self._next
        assert whole is not None
        if size < PASSED_ON_FROM:
            return bytes(whole[:size])
        self._next = None
        return whole[:size].toreadonly()

    def _unused(self) -> bytearray:
        """A buffer of which nobody has a view."""
        for _ in self._buffers:
            self._turn = (self._turn + 1) % len(self._buffers)
            buffer = self._buffers[self._turn]
            try:
                buffer.append(0)
            except BufferError:
                continue
            del buffer[-1:]
            return buffer
        buffer = bytearray(READ_SIZE)
        if len(self._buffers) < KEPT:
            self._buffers.append(buffer)
        return buffer


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.reads = ReadBuffers()


_of_thread = _OfThread()


def read_buffers() -> ReadBuffers:
    """Those of this thread."""
    return _of_thread.reads
