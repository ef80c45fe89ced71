"""The memory that all wires of one thread receive into.

An event loop fills the buffer of a `BufferedProtocol` and tells it so before it reads anything else, and what has come
is cut out within that call. So one buffer is enough for all connections of a thread, and no read allocates: fresh
memory of this size comes from the kernel, page by page, and went back to it after each read.
"""

from __future__ import annotations

import threading
from typing import Final

SCRATCH_SIZE: Final = 256 * 1024
"""Bytes that are read at once, at most."""


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(SCRATCH_SIZE))


_of_thread = _OfThread()


def scratch() -> memoryview:
    """The buffer of this thread. What is in it is overwritten as soon as the loop goes on."""
    return _of_thread.view
