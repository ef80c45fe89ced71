"""Two streams read as one: messages and events of a routing manager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from litz.errors import ManagerStateError
from litz.events import Event
from litz.manager import EventStream, MessageStream
from litz.message import Message
from litz.message_stream import NotHandedOnError
from litz.payload import PayloadType


class Feed:
    """One message stream with at most one look ahead.

    Asking a stream for its next says that the last is processed. So a feed is asked again only when the
    consumer asks for more after what came from it; what was looked ahead and never handed out is left with an
    error, so that the next consumer gets it.
    """

    def __init__(self, stream: MessageStream, convert: Callable[[Message], Message]) -> None:
        self.stream = stream
        self.convert = convert
        self.task: asyncio.Task[Message | None] | None = None

    def ask(self) -> asyncio.Task[Message | None]:
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._next(), name="litz route")
        return self.task

    async def leave(self, *, again: bool) -> None:
        """Stop reading. `again`: what it gave last was not processed."""
        task, self.task = self.task, None
        error: LookupError | None = LookupError("not processed") if again else None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            ahead = not task.cancelled() and task.exception() is None and task.result() is not None
            error = NotHandedOnError("taken ahead") if ahead else None
        if error is not None:
            await self.stream.__aexit__(type(error), error, None)
        else:
            await self.stream.aclose()

    async def _next(self) -> Message | None:
        try:
            return await self.stream.__anext__()
        except StopAsyncIteration:
            return None


class RoutedStream(MessageStream):
    """Messages of several feeds: signals first, then in turn. The feeds outlive a stream that was dropped."""

    def __init__(self, feeds: list[Feed], left: Callable[[], None]) -> None:
        self._feeds = feeds
        self._on_left = left
        self._in_hand: Feed | None = None
        self._left = False
        self._asking = False

    async def __anext__(self) -> Message:
        if self._left:
            raise ManagerStateError("this message stream was left; ask the manager for a new one")
        if self._asking:
            raise ManagerStateError("two tasks ask one message stream for its next; one at a time")
        self._in_hand = None
        self._asking = True
        try:
            await asyncio.wait([feed.ask() for feed in self._feeds], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._asking = False
        ready = [(feed, feed.ask().result()) for feed in self._feeds if feed.ask().done()]
        if any(message is None for _, message in ready):
            raise StopAsyncIteration
        feed, message = next(
            (pair for pair in ready if pair[1] is not None and pair[1].payload_type is PayloadType.RPC_SIGNAL),
            ready[0],
        )
        if message is None:
            raise StopAsyncIteration
        feed.task = None
        self._in_hand = feed
        self._feeds.remove(feed)
        self._feeds.append(feed)
        return feed.convert(message)

    async def aclose(self) -> None:
        await self._leave(again=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave(again=error is not None)

    def __del__(self) -> None:
        # Left by `break`: the feeds stay with the manager; the last message counts as processed.
        if not self._left:
            self._left = True
            self._on_left()
            if self._in_hand is not None:
                self._in_hand.ask()

    async def _leave(self, *, again: bool) -> None:
        if self._left:
            return
        self._left = True
        self._on_left()
        feeds, in_hand = list(self._feeds), self._in_hand
        self._feeds.clear()
        for feed in feeds:
            await feed.leave(again=again and feed is in_hand)


class RoutedEvents(EventStream):
    """Events of several managers, numbered anew."""

    def __init__(self, readers: list[EventStream]) -> None:
        self._readers = readers
        self._tasks: dict[EventStream, asyncio.Task[Event | None]] = {}
        self._next = 0

    async def __anext__(self) -> tuple[int, Event]:
        while self._readers:
            for reader in self._readers:
                if reader not in self._tasks:
                    self._tasks[reader] = asyncio.get_running_loop().create_task(_next_event(reader))
            await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            for reader in list(self._readers):
                if self._tasks[reader].done():
                    event = self._tasks.pop(reader).result()
                    self._readers.remove(reader)
                    if event is None:
                        break
                    self._readers.append(reader)
                    self._next += 1
                    return self._next - 1, event
        raise StopAsyncIteration

    def close(self) -> None:
        for reader in self._readers:
            reader.close()

    def __del__(self) -> None:
        for task in self._tasks.values():
            task.cancel()


async def _next_event(reader: EventStream) -> Event | None:
    try:
        return (await reader.__anext__())[1]
    except StopAsyncIteration:
        return None
