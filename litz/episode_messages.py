"""What a publisher of episodes and a subscriber at another node say to each other on a stream. Pure.

The open of the stream carries a *request* as its metadata; then only the publisher speaks. Each message is a list of
buffers, the first of which is a head: a byte that says which kind, then fields, integers little-endian.

  request  version (u8, 1), behind (u8: 0 fail, 1 skip), version of the key (u64), attempt (u64), after (u64), stream
           (UTF-8, the rest)
  PARTS    kind 1, number of the first part (u64), count of roles (u16), then for each of these its length (u8) and its
           UTF-8, then for each part the index of its role (u16), unless there is but one. The other buffers are the
           data of the parts, in order
  GAP      kind 2, first (u64), last (u64), why (u8)
  END      kind 3, why (u8), last (u64), first (u64), whether there is a newer key (u8), its version (u64) and attempt
           (u64), reason (UTF-8, the rest). The last message; without it the stream was cut off

A reader that is too slow to take an END any more has its stream aborted with the reason `end_in_words`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from litz.episodes.ends import MAX_REASON, End, Why
from litz.episodes.keys import MAX_NUMBER, MAX_STREAM, EpisodeKey
from litz.episodes.options import Behind
from litz.episodes.parts import MAX_ROLE, Gap, Item, Part
from litz.errors import ProtocolError

VERSION: Final = 1
SERVICE: Final = "litz.episodes"
"""What publishers listen for, unless they say otherwise."""

_REQUEST: Final = struct.Struct("<BBQQQ")
_PARTS: Final = struct.Struct("<BQH")
_GAP: Final = struct.Struct("<BQQB")
_END: Final = struct.Struct("<BBQQBQQ")
_MAX_PARTS: Final = 65_535
_WORDS: Final = "episode"
_SUDDEN: Final = (Why.SLOW, Why.CLOSED, Why.EVICTED, Why.EXPIRED, Why.TRIMMED)
"""What can end a subscription in the middle of a message."""


class Kind(IntEnum):
    """The first byte of a head."""

    PARTS = 1
    GAP = 2
    END = 3


@dataclass(frozen=True, slots=True)
class Request:
    """What a subscriber asks for."""

    key: EpisodeKey
    after: int
    behind: Behind


Message = tuple[list[Item], End | None]
"""What one message brings: parts or a gap, or the end."""


def encode_request(request: Request) -> bytes:
    """The metadata of the stream."""
    key = request.key
    skip = request.behind is Behind.SKIP
    return _REQUEST.pack(VERSION, skip, key.version, key.attempt, request.after) + key.stream.encode()


def decode_request(metadata: bytes) -> Request:
    """Raises ProtocolError."""
    if metadata[:1] != bytes([VERSION]):
        raise ProtocolError(f"a subscriber of episodes speaks version {metadata[:1].hex() or 'none'}, not {VERSION}")
    if not _REQUEST.size < len(metadata) <= _REQUEST.size + MAX_STREAM:
        raise ProtocolError("a request for an episode has the wrong size")
    _, skip, version, attempt, after = _REQUEST.unpack_from(metadata)
    if skip > 1 or after > MAX_NUMBER:
        raise ProtocolError(f"a request for an episode says skip={skip}, after={after}")
    key = _key(_text(metadata[_REQUEST.size :]), version, attempt)
    return Request(key, after, Behind.SKIP if skip else Behind.FAIL)


def encode_items(items: Sequence[Item]) -> list[Any]:
    """One message: parts, whose numbers are consecutive, or one gap."""
    first = items[0]
    if isinstance(first, Gap):
        return [_GAP.pack(Kind.GAP, first.first, first.last, first.why)]
    roles: dict[str, int] = {}
    indices = []
    message: list[Any] = [b""]
    for item in items:
        assert isinstance(item, Part)
        indices.append(roles.setdefault(item.role, len(roles)))
        message.append(item.data)
    head = [_PARTS.pack(Kind.PARTS, first.number, len(roles))]
    for role in roles:
        text = role.encode()
        head += (bytes([len(text)]), text)
    if len(roles) > 1:
        head.append(struct.pack(f"<{len(indices)}H", *indices))
    message[0] = b"".join(head)
    return message


def encode_end(end: End) -> list[Any]:
    """The last message."""
    newer = end.newer
    version, attempt = (newer.version, newer.attempt) if newer is not None else (0, 0)
    head = _END.pack(Kind.END, end.why, end.last, end.first, newer is not None, version, attempt)
    return [head + end.reason.encode("utf-8", "replace")]


def decode(key: EpisodeKey, message: Any) -> Message:
    """What a message about `key` brings. Raises ProtocolError."""
    if not isinstance(message, list) or not message or not isinstance(message[0], bytes | bytearray):
        raise ProtocolError("a message about an episode is no list with a head")
    head = bytes(message[0])
    try:
        if head[:1] == b"\1":
            return _decode_parts(head, message), None
        if head[:1] == b"\2" and len(message) == 1:
            _, first, last, why = _GAP.unpack(head)
            if not 1 <= first <= last <= MAX_NUMBER:
                raise ProtocolError(f"a gap in an episode from {first} to {last}")
            return [Gap(first, last, Why(why))], None
        if head[:1] == b"\3" and len(message) == 1:
            return [], _decode_end(key, head)
    except (struct.error, ValueError) as error:
        raise ProtocolError(f"a message about an episode cannot be read: {error}") from error
    raise ProtocolError(f"a message about an episode of unknown kind {head[:1].hex() or 'none'}")


def _decode_parts(head: bytes, message: list[Any]) -> list[Item]:
    _, first, count = _PARTS.unpack_from(head)
    parts = len(message) - 1
    if not parts or not 1 <= first <= MAX_NUMBER - parts or not 1 <= count <= parts <= _MAX_PARTS:
        raise ProtocolError(f"{parts} parts of an episode with {count} roles, from {first} on")
    roles = []
    at = _PARTS.size
    for _ in range(count):
        size = head[at] if at < len(head) else MAX_ROLE + 1
        at += 1 + size
        if size > MAX_ROLE or at > len(head):
            raise ProtocolError("the roles of parts of an episode are cut short, or too long")
        roles.append(_text(head[at - size : at]))
    if count == 1:
        if at != len(head):
            raise ProtocolError("the head of parts of an episode goes on behind its end")
        role = roles[0]
        return [Part(first + index, _plain(data), role) for index, data in enumerate(message[1:])]
    indices = struct.unpack(f"<{parts}H", head[at:])
    if max(indices) >= count:
        raise ProtocolError("a part of an episode has a role that was not named")
    return [
        Part(first + number, _plain(data), roles[index])
        for number, (data, index) in enumerate(zip(message[1:], indices, strict=True))
    ]


def _decode_end(key: EpisodeKey, head: bytes) -> End:
    _, why, last, first, has_newer, version, attempt = _END.unpack_from(head)
    newer = _key(key.stream, version, attempt) if has_newer else None
    if (newer is None) == (why == Why.SUPERSEDED) or (newer is not None and newer <= key):
        raise ProtocolError(f"an episode ended with {why} and the newer key {newer}")
    reason = head[_END.size :].decode("utf-8", "replace")[:MAX_REASON]
    return End(Why(why), last, reason, first, newer)


def end_in_words(end: End) -> str:
    """An end as the reason of an abort, for who cannot be sent a message any more. Of an end that is told in a message
    only: SLOW, for it did not take that message."""
    if end.why not in _SUDDEN:
        end = End(Why.SLOW, end.last)
    return f"{_WORDS} {end.why.value} {end.last} {end.first}"


def end_of_words(reason: str) -> End | None:
    """The end that such a reason says; None if it says something else."""
    words = reason.split(" ")
    if len(words) != 4 or words[0] != _WORDS or not all(word.isascii() and word.isdigit() for word in words[1:]):
        return None
    why, last, first = (int(word[:20]) for word in words[1:])
    return (
        End(Why(why), last, first=first)
        if why in (Why.SLOW, Why.CLOSED, Why.EVICTED, Why.EXPIRED, Why.TRIMMED)
        else None
    )


def _key(stream: str, version: int, attempt: int) -> EpisodeKey:
    try:
        return EpisodeKey(stream, version, attempt)
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def _text(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a text about an episode is no UTF-8") from error


def _plain(data: Any) -> Any:
    """The parts of a large message come as bytearrays of their own."""
    return bytes(data) if type(data) is bytearray else data
