"""Two ends of one conversation in memory, for pipelines without any manager; and what a test watches from outside."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from litz.errors import MessageTooLargeError, StreamAbortedError, StreamLostError

WINDOW = 4
"""Messages that are under way at once: few, so that both ends wait now and then."""


class MemoryLine:
    """One end. `pair` makes two."""

    def __init__(self, name: str, dest: str, service: str) -> None:
        self.name = name
        self.dest = dest
        self.service = service
        self.peer: MemoryLine = self
        self.came: deque[Any] = deque()
        self.finished = False
        self.error: Exception | None = None
        self.aborts: list[tuple[int, str]] = []
        self.watchers: list[Callable[[Exception], None]] = []
        self.eof_sent = False
        self.paused = 0
        self.news = asyncio.Event()
        self.writers = 0
        self.far = 0.0
        """Seconds until the peer has confirmed all."""
        self.limit: int | None = None
        """Bytes of one message that may be sent."""
        self.read = 0
        """Messages that were handed out."""

    def stir(self) -> None:
        self.news.set()
        self.peer.news.set()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            if self.came:
                self.read += 1
                found = self.came.popleft()
                self.stir()
                return found
            if self.error is not None:
                raise type(self.error)(*self.error.args)
            if self.finished:
                raise StopAsyncIteration
            await self.wait()

    async def wait(self) -> None:
        self.news.clear()
        await self.news.wait()

    async def send(self, data: Any) -> None:
        self.writers += 1
        assert self.writers == 1, "a stream takes one message at a time"
        try:
            await asyncio.sleep(0)
            if self.limit is not None and len(data) > self.limit:
                raise MessageTooLargeError("too large for this line")
            while self.error is None and len(self.peer.came) >= WINDOW:
                await self.wait()
            if self.error is not None:
                raise type(self.error)(*self.error.args)
            assert not self.eof_sent
            self.peer.came.append(data)
            self.stir()
        finally:
            self.writers -= 1

    async def send_eof(self) -> None:
        if self.error is not None:
            raise type(self.error)(*self.error.args)
        self.eof_sent = True
        self.peer.finished = True
        self.stir()

    async def arrived(self) -> None:
        await asyncio.sleep(self.far)
        if self.error is not None and not (self.eof_sent and self.finished):
            raise type(self.error)(*self.error.args)

    def abort(self, code: int, reason: str) -> None:
        if self.error is None and not (self.eof_sent and self.finished):
            self.aborts.append((code, reason))
            self.error = StreamAbortedError("aborted here")
            if self.peer.error is None:
                self.peer.fail(StreamAbortedError(f"aborted by the peer: {reason}"))
        self.stir()

    def lose(self) -> None:
        """The session is over, at both ends."""
        for end in (self, self.peer):
            if end.error is None and not (end.eof_sent and end.finished):
                end.fail(StreamLostError("the session is over"))
        self.stir()

    def fail(self, error: Exception) -> None:
        self.error = error
        for told in self.watchers:
            asyncio.get_running_loop().call_soon(told, error)

    def watch(self, told: Callable[[Exception], None]) -> None:
        if self.error is not None:
            asyncio.get_running_loop().call_soon(told, self.error)
        self.watchers.append(told)

    @property
    def unread(self) -> int:
        return len(self.came)

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.paused -= 1


def pair(service: str = "jobs") -> tuple[MemoryLine, MemoryLine]:
    """The client's end (dest: server) and the server's (dest: client)."""
    client = MemoryLine("client", "server", service)
    server = MemoryLine("server", "client", service)
    client.peer, server.peer = server, client
    return client, server
