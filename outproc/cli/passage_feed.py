"""What a running node exposes and forwards for a command that asked it to over its control socket: as long as that
follows, and no longer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from litz.errors import LitzError
from outproc.cli.control_socket import Feed
from outproc.cli.forward_words import read_exposed, read_forwarded
from outproc.cli.outcome import CommandError, UsageError, text_of
from outproc.cli.passages import Passage, Passages
from outproc.manager import OutprocTransportManager

MOST_LINES: Final = 256
"""Lines that wait for a command which does not read; the oldest go first."""

AFTERWARDS: Final = 10.0
"""Seconds that connections have to come to their end when the command has gone."""


class PassageFeed(Feed):
    """Lines for people, until `close`; then what they are about ends."""

    end = "the node has ended"

    def __init__(self, passages: Passages) -> None:
        self._all = passages
        self._mine: list[Passage] = []
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._news = asyncio.Event()
        self._closed = False
        passages.until_end[self.finish] = None

    def say(self, line: str) -> None:
        """For whoever follows."""
        self._lines.append(line)
        self._news.set()

    def keep(self, passage: Passage) -> None:
        """It ends with this feed."""
        self._mine.append(passage)

    def finish(self) -> None:
        """Nothing more will be said."""
        self._closed = True
        self._news.set()

    async def __anext__(self) -> str:
        while not self._lines:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._lines.popleft()

    def close(self) -> None:
        """See `Feed`."""
        self.finish()
        mine, self._mine = self._mine, []
        self._all.until_end.pop(self.finish, None)
        if mine:
            self._all.end_soon(mine, AFTERWARDS)


class PassageQuestions:
    """The questions `expose` and `forward`: what is asked for has one line each, as on the command line."""

    def __init__(self, manager: OutprocTransportManager, passages: Passages) -> None:
        self._manager = manager
        self._passages = passages

    async def expose(self, wanted: str) -> Feed:
        """Raises ValueError with a text for people."""

        async def fill(feed: PassageFeed) -> None:
            for line in wanted.splitlines():
                feed.keep(await self._passages.expose(read_exposed(line), feed.say))

        return await self._filled(fill)

    async def forward(self, wanted: str, to: str = "") -> Feed:
        """`to`: addresses of the dest, one a line. Raises ValueError with a text for people."""

        async def fill(feed: PassageFeed) -> None:
            for line in wanted.splitlines():
                forwarded = read_forwarded(line)
                if to:
                    self._manager.add_endpoints(forwarded.dest, to.splitlines())
                feed.keep(await self._passages.forward(forwarded, feed.say))

        return await self._filled(fill)

    async def _filled(self, fill: Callable[[PassageFeed], Awaitable[None]]) -> Feed:
        feed = PassageFeed(self._passages)
        filled = False
        try:
            await fill(feed)
            filled = True
        except (LitzError, UsageError, CommandError) as error:
            raise ValueError(text_of(error)) from error
        finally:
            if not filled:  # also when it was cancelled
                feed.close()
        return feed
