"""What two nodes say to each other about streams, over the internal lane of their session (docs/protocol.md). Pure.

One internal message holds any number of words, so that a thousand opens are a few frames. The lanes of a stream carry
only what its users write.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from litz.dest import validate_dest
from litz.errors import InvalidDestError, ProtocolError
from litz.stream_port import MAX_METADATA, MAX_REASON, MAX_SERVICE, Refusal

TOPIC: Final = "streams"
FEATURE: Final = "streams"
"""Announced in the handshake by nodes that take these words."""

FIRST_STREAM: Final = 16
"""Streams have numbers, and so lanes, from here on."""
MAX_STREAM: Final = 2**32 - 1

MAX_WORDS_SIZE: Final = 16 * 1024
"""Bytes of words that are put into one internal message."""

_OPEN: Final = 1
_ACCEPT: Final = 2
_REFUSE: Final = 3
_ABORT: Final = 4
_DONE: Final = 5

_PIPE: Final = 0x01

_HEAD: Final = Struct("<BI")
_OPENS: Final = Struct("<BBH")
_REFUSES: Final = Struct("<BIB")
_ABORTS: Final = Struct("<HB")
_NEVER: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Open:
    """Its sender wants a stream. Numbers ascend in each direction."""

    number: int
    service: str
    metadata: bytes
    pipe: bool


@dataclass(frozen=True, slots=True)
class Accept:
    """The stream is open; data may come."""

    number: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """It is not, and its number is gone. `retry_after`: seconds, to the millisecond."""

    number: int
    why: Refusal
    retry_after: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Both halves end here and now. Says `Done` too, if its sender had not said so before."""

    number: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The half that its sender receives is over: its end was taken, or the stream was aborted. What is left of the
    other's sending lane is of no use any more."""

    number: int


Word = Open | Accept | Refuse | Abort | Done


def short(reason: str) -> bytes:
    """A reason as it travels: cut to `MAX_REASON` bytes, and printable, since it is shown to people."""
    text = "".join(each if each.isprintable() else " " for each in reason[:MAX_REASON])
    return text.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore").encode()


def encode(word: Word) -> bytes:
    """The bytes of one word. Raises ValueError for what the format does not hold: service and metadata are checked by
    whoever takes them from a user."""
    try:
        return _encode(word)
    except error as failure:
        raise ValueError(f"{word!r} does not fit into its word") from failure


def _encode(word: Word) -> bytes:
    match word:
        case Open(number, service, metadata, pipe):
            name = service.encode()
            if len(name) > MAX_SERVICE or len(metadata) > MAX_METADATA:
                raise ValueError(f"at most {MAX_SERVICE} bytes of service and {MAX_METADATA} of metadata")
            flags = _PIPE if pipe else 0
            return _HEAD.pack(_OPEN, number) + _OPENS.pack(flags, len(name), len(metadata)) + name + metadata
        case Accept(number):
            return _HEAD.pack(_ACCEPT, number)
        case Refuse(number, why, retry_after, reason):
            text = short(reason)
            # Of a service of the user: no number of seconds may cost the word.
            later = _NEVER if retry_after is None else round(min(max(0.0, retry_after) * 1000, _NEVER - 1))
            return _HEAD.pack(_REFUSE, number) + _REFUSES.pack(why, later, len(text)) + text
        case Abort(number, code, reason):
            text = short(reason)
            return _HEAD.pack(_ABORT, number) + _ABORTS.pack(code, len(text)) + text
        case Done(number):
            return _HEAD.pack(_DONE, number)


def messages(words: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Encoded words as internal messages, in order: how many are in each, and the message."""
    batch: list[bytes] = []
    size = 0
    for word in words:
        if batch and size + len(word) > MAX_WORDS_SIZE:
            yield len(batch), b"".join(batch)
            batch, size = [], 0
        batch.append(word)
        size += len(word)
    if batch:
        yield len(batch), b"".join(batch)


def decode(data: memoryview) -> list[Word]:
    """The words of one internal message. Raises `ProtocolError` if any of it is malformed."""
    said: list[Word] = []
    try:
        end = 0
        while end < len(data):
            word, end = _decode(data, end)
            said.append(word)
    except error as failure:
        raise ProtocolError("a word about a stream is cut off") from failure
    if not said:
        raise ProtocolError("a message about streams without a word")
    return said


def _decode(data: memoryview, start: int) -> tuple[Word, int]:
    kind, number = _HEAD.unpack_from(data, start)
    end = start + _HEAD.size
    if number < FIRST_STREAM:
        raise ProtocolError(f"a word about a stream with the number {number}")
    match kind:
        case 1:
            return _opens(data, number, end)
        case 2:
            return Accept(number), end
        case 3:
            why, later, size = _REFUSES.unpack_from(data, end)
            end += _REFUSES.size
            text = _text(data, end, size)
            if why not in tuple(Refusal):
                raise ProtocolError(f"stream {number} is refused for {why}, which is no reason")
            return Refuse(number, Refusal(why), None if later == _NEVER else later / 1000, text), end + size
        case 4:
            code, size = _ABORTS.unpack_from(data, end)
            end += _ABORTS.size
            return Abort(number, code, _text(data, end, size)), end + size
        case 5:
            return Done(number), end
    raise ProtocolError(f"a word of kind {kind} about a stream")


def _opens(data: memoryview, number: int, end: int) -> tuple[Open, int]:
    flags, named, more = _OPENS.unpack_from(data, end)
    end += _OPENS.size
    if flags & ~_PIPE or more > MAX_METADATA:
        raise ProtocolError(f"stream {number} is opened with flags {flags} and {more} bytes of metadata")
    try:
        service = validate_dest(str(_bytes(data, end, named), "utf-8"))
    except (UnicodeDecodeError, InvalidDestError) as failure:
        raise ProtocolError(f"stream {number} is opened for a service that is no name") from failure
    end += named
    return Open(number, service, bytes(_bytes(data, end, more)), bool(flags)), end + more


def _text(data: memoryview, start: int, size: int) -> str:
    if size > MAX_REASON:
        raise ProtocolError(f"a reason of {size} bytes")
    try:
        text = str(_bytes(data, start, size), "utf-8")
    except UnicodeDecodeError as failure:
        raise ProtocolError("a reason that is no UTF-8") from failure
    return "".join(each if each.isprintable() else " " for each in text)


def _bytes(data: memoryview, start: int, size: int) -> memoryview:
    if start + size > len(data):
        raise ProtocolError("a word about a stream is cut off")
    return data[start : start + size]
