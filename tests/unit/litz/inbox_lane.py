"""One lane into an inbox, and consumers of it that are ended, for tests of `serve`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from litz import Message, PayloadType
from litz.inbox import Inbox
from litz.message import Detail, Origin

BULK = PayloadType.RPC_RELIABLE
SIGNAL = PayloadType.RPC_SIGNAL


class Lane:
    """One lane of one sender, and what was answered."""

    verified = True

    def __init__(self, inbox: Inbox, sender: str = "a", payload_type: PayloadType = BULK) -> None:
        self.sender = sender
        self.payload_type = payload_type
        self.queue = inbox.queue(sender, payload_type)
        self.next = 0
        self.answers: list[tuple[int, str]] = []

    def put(self, keys: str, *, request: bool = False, size: int = 10) -> None:
        """One batch: a message for each key."""
        messages = []
        for key in keys:
            detail = Detail(key=key, request_id=self.next if request else None)
            messages.append(Message((b"x" * size, self.next, self, detail)))
            self.next += 1
        self.queue.put(messages, size * len(keys))

    def origin(self, number: int) -> Origin:
        raise AssertionError("nobody asked")

    async def reply(self, message: Message, data: Any) -> None:
        self.answers.append((message.number, "reply"))

    async def fail(self, message: Message, error: BaseException) -> None:
        self.answers.append((message.number, type(error).__name__))


Handler = Callable[[Message], Awaitable[None]]


async def served(inbox: Inbox, handler: Handler, seconds: float, **options: Any) -> None:
    """Serve for so long, then cancel it."""
    serving = asyncio.get_running_loop().create_task(inbox.serve(handler, **options))
    await asyncio.sleep(seconds)
    serving.cancel()
    await asyncio.wait([serving])
    assert len(asyncio.all_tasks()) == 1
    if not serving.cancelled():
        await serving


async def left(inbox: Inbox, count: int) -> list[tuple[int, bool]]:
    """What the next consumer gets."""
    async with inbox.messages() as stream:
        return [(message.number, message.redelivered) for message in [await stream.__anext__() for _ in range(count)]]
