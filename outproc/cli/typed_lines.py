"""Standard input as lines, without a loop's help: it may be a terminal, a pipe or a file, and stays as blocking as it
was for the programs that share it."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from types import TracebackType
from typing import Final, Self

AHEAD: Final = 64
"""Lines that are read ahead of who takes them."""

MAX_LINE: Final = 64 * 1024
"""Bytes of a line; a longer one is cut into several."""


class TypedLines:
    """The lines of a descriptor, while entered, as an async iterator. They end with the input. Read by one thread,
    which ends before this is left, also when nothing comes."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._stopped = threading.Event()
        self._wake_out, self._wake_in = os.pipe()
        self._thread = threading.Thread(target=self._read, name="litz typed lines")

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._room.release()
        os.close(self._wake_in)  # whoever waits for the other end sees its end
        self._thread.join()
        os.close(self._wake_out)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
            raise StopAsyncIteration
        self._room.release()
        return line

    def _read(self) -> None:
        rest = b""
        while not self._stopped.is_set():
            select.select([self._descriptor, self._wake_out], [], [])
            if self._stopped.is_set():
                return
            try:
                data = os.read(self._descriptor, MAX_LINE)
            except OSError:
                data = b""  # a terminal that is gone (EIO) has no more lines
            *whole, rest = (rest + data).split(b"\n")
            if len(rest) >= MAX_LINE or (not data and rest):
                end = len(rest) - (_begun(rest) if data else 0)
                whole.append(rest[:end])
                rest = rest[end:]
            for line in whole:
                self._room.acquire()
                if self._stopped.is_set():
                    return
                self._hand_over(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if not data:
                self._hand_over(None)
                return

    def _hand_over(self, line: str | None) -> None:
        if not self._stopped.is_set():
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)


def _begun(text: bytes) -> int:
    """How many bytes at the end are the beginning of a character in UTF-8 that is not whole."""
    for count in range(1, min(3, len(text)) + 1):
        byte = text[-count]
        if byte >= 0xC0:
            return count if count < 2 + (byte >= 0xE0) + (byte >= 0xF0) else 0
        if byte < 0x80:
            return 0
    return 0
