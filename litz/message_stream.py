"""The stream of messages that `messages()` returns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final

from litz.errors import ManagerStateError
from litz.manager import MessageStream
from litz.message import Message
from litz.turns import Batch, Turns

if TYPE_CHECKING:
    from litz.inbox import Inbox

NOTHING: Final[Iterator[Message]] = iter(())
"""In place of a batch's iterator it makes the next `__anext__` look around: the stream is parked."""


class NotHandedOnError(LookupError):
    """Leave a stream with this error when the message that it gave last was taken ahead, and nobody saw it."""


class InboxStream(MessageStream):
    """Hands out messages of an inbox, one by one, at the price of one C call each.

    Made by `Inbox.messages`. What is handed out is not counted: the inbox asks the iterator.
    """

    def __init__(self, inbox: Inbox, turns: Turns, left: Callable[[], None]) -> None:
        self._iterator = NOTHING
        self._current: Batch | None = None
        self._inbox = inbox
        self._turns = turns
        self._on_left = left
        self._left = False

    async def __anext__(self) -> Message:
        try:
            return next(self._iterator)
        except StopIteration:
            pass
        return await self._advance()

    async def aclose(self) -> None:
        self._leave(again=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(again=error is not None, seen=not isinstance(error, NotHandedOnError))

    def __del__(self) -> None:
        self._leave(again=False)

    def __repr__(self) -> str:
        return f"<message stream, {'left' if self._left else 'open'}>"

    async def _advance(self) -> Message:
        turns = self._turns
        if turns.waiter is not None:
            raise ManagerStateError("two tasks ask one message stream for its next; one at a time")
        while True:
            if self._left:
                raise ManagerStateError("this message stream was left; ask the manager for a new one")
            self._settle()
            if self._inbox.closed:
                raise StopAsyncIteration
            message = self._pick()
            if message is not None:
                return message
            waiter = turns.waiter = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                if turns.waiter is waiter:
                    turns.waiter = None

    def _settle(self) -> None:
        """The next one is asked for, so all that was handed out is processed."""
        batch = self._current
        if batch is None:
            return
        batch.settle()
        queue = batch.queue
        sender = queue.lane.sender
        if batch.left:
            queue.tell()
            if queue.lane.signal or not (self._turns.signals or sender.signals.batches):
                return
            sender.give_back(batch)
        self._iterator = NOTHING
        self._current = None
        if self._inbox.let_go(batch):
            sender.release(first=bool(batch.left))
        if not batch.left:
            self._inbox.finish(batch)

    def _pick(self) -> Message | None:
        while True:
            batch = self._current
            if batch is None:
                batch = self._turns.take()
                if batch is None:
                    return None
                self._current = batch
            message = next(batch.iterator, None)
            if message is not None:
                self._iterator = NOTHING if batch.queue.watched else batch.iterator
                return message
            self._settle()  # everything in it was dropped

    def park(self) -> None:
        """Make the next `__anext__` look around before it hands out more."""
        self._iterator = NOTHING

    def _leave(self, *, again: bool, seen: bool = True) -> None:
        if self._left:
            return
        self._left = True
        self._iterator = NOTHING
        batch, self._current = self._current, None
        if batch is not None:
            self._inbox.put_back(batch, batch.progress if again else batch.handed, seen=seen)
        self._on_left()
        if self._turns.waiter is not None:
            self._turns.notify()
            self._turns.waiter = None
