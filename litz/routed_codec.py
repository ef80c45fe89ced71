"""The codec of a routing manager: what leaves the process is encoded, what comes from outside decoded."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from litz.message import Buffer, Message, Origin, Source


class Codec(Protocol):
    """Turns objects into bytes and back. Called in the event loop, so it should be quick."""

    def encode(self, data: Any) -> Buffer | list[Buffer]: ...

    def decode(self, data: bytes) -> Any: ...


def as_it_is(message: Message) -> Message:
    """The message: it came by reference."""
    return message


async def encoded(result: Awaitable[Any], codec: Codec) -> Any:
    """What a handler answers, once it has it."""
    data = await result
    return None if data is None else codec.encode(data)


class EncodingSource:
    """The source of a decoded message: replies are encoded."""

    __slots__ = ("_codec", "_source", "payload_type", "sender", "verified")

    def __init__(self, source: Source, codec: Codec) -> None:
        self._source = source
        self._codec = codec
        self.sender = source.sender
        self.payload_type = source.payload_type
        self.verified = source.verified

    def origin(self, number: int) -> Origin:
        return self._source.origin(number)

    def reply(self, message: Message, data: Any) -> Awaitable[None]:
        return self._source.reply(message, self._codec.encode(data))

    def fail(self, message: Message, error: BaseException) -> Awaitable[None]:
        return self._source.fail(message, error)
