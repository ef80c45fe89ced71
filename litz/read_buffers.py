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


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.buffers: list[bytearray] = []
        self.turn = 0


_of_thread = _OfThread()


class ReadBuffers:
    """Of one connection; for the verbs of a `BufferedProtocol`."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer: memoryview | None = None

    def next(self) -> memoryview:
        """Where the next bytes belong, whatever became of the last."""
        if self._buffer is None:
            self._buffer = memoryview(_unused())
        return self._buffer

    def take(self, size: int) -> bytes | memoryview:
        """The `size` bytes that were read. They never change."""
        assert self._buffer is not None
        if size < PASSED_ON_FROM:
            data = bytes(self._buffer[:size])
            self._buffer = None
            return data
        whole, self._buffer = self._buffer, None
        return whole[:size].toreadonly()


def _unused() -> bytearray:
    """A buffer of which nobody has a view."""
    mine = _of_thread
    for _ in mine.buffers:
        mine.turn = (mine.turn + 1) % len(mine.buffers)
        buffer = mine.buffers[mine.turn]
        try:
            buffer.append(0)
        except BufferError:
            continue
        del buffer[-1:]
        return buffer
    buffer = bytearray(READ_SIZE)
    if len(mine.buffers) < KEPT:
        mine.buffers.append(buffer)
    return buffer
