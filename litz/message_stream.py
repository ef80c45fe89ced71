"""The stream of messages that `messages()` returns."""

from __future__ import annotations

from types import TracebackType

from litz.manager import MessageStream
from litz.message import Message


class InboxStream(MessageStream):
    """Hands out messages of an inbox, one by one, at the price of one C call each."""

    async def __anext__(self) -> Message:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raise NotImplementedError
