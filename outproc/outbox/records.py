"""What outboxes and inboxes say to each other: internal messages with the topics `outbox` and `inbox`. Pure.

docs/outbox.md has the tables. Decoders raise `ProtocolError` for everything that breaks them, and check before they
allocate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise
from struct import Struct
from typing import Final

from litz.errors import ProtocolError

TO_INBOX: Final = "outbox"
"""The topic of what an outbox says."""

TO_OUTBOX: Final = "inbox"
"""The topic of what an inbox says."""

FEATURE: Final = "inbox"
"""What a node with an inbox announces in its handshakes."""

MAX_PAYLOAD: Final = 96 << 10
"""Bytes of payloads and keys in one DATA or PART. With the columns it stays below `litz.node_port.MAX_BULK`."""

MAX_COUNT: Final = 1_024
"""Messages in one DATA."""

MAX_SEQUENCE: Final = (1 << 63) - 1
ID_SIZE: Final = 16

_OPEN = Struct("<B7xQ16s16s")
_DATA = Struct("<BBH")
_PART = Struct("<BBHIIQ")
_ACCEPT = Struct("<BB2xIIIQQQ16s16s")
_REFUSE = Struct("<BB6xQ16s")
_ACK = Struct("<B3xII4xQ")

_KEYS = 1
REDELIVERED: Final = 1
"""The mark of a message that another process of the receiver may have handled."""


class Kind(IntEnum):
    """The first byte."""

    OPEN = 1
    DATA = 2
    PART = 3
    ACCEPT = 17
    REFUSE = 18
    ACK = 19


class RefuseCode(IntEnum):
    """Why an inbox takes nothing of an outbox."""

    FENCED = 1
    """It knows a later epoch of this producer."""
    NO_ROOM = 2
    """It knows as many producers as it may."""


@dataclass(frozen=True, slots=True)
class Open:
    """Outbox to inbox: who I am. What follows is mine."""

    epoch: int
    producer: bytes
    run: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """Whole messages, sequences ascending. `keys` is None or as long as the others; an empty key is none."""

    sequences: Sequence[int]
    marks: Sequence[int]
    keys: Sequence[str] | None
    bodies: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """`body` is the piece at `offset` of a message of `size` bytes."""

    sequence: int
    mark: int
    key: str
    size: int
    offset: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Accept:
    """Inbox to outbox: where I stand. `known`: `epoch` and `run` are of the last run of this producer known here, and
    `committed` and `received` of the producer; otherwise all four are nothing."""

    known: bool
    epoch: int
    run: bytes
    committed: int
    received: int
    window_messages: int
    window_bytes: int
    max_message: int
    boot: bytes


@dataclass(frozen=True, slots=True)
class Refuse:
    """I take nothing of you; `epoch` and `run` are what I know of the producer."""

    code: RefuseCode
    epoch: int
    run: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `committed` is done for good."""

    committed: int
    window_messages: int
    window_bytes: int


FromOutbox = Open | Data | Part
FromInbox = Accept | Refuse | Ack


# -- encoding ---------------------------------------------------------------------------------------------


def encode_open(said: Open) -> bytes:
    """See `Open`."""
    return _OPEN.pack(Kind.OPEN, said.epoch, said.producer, said.run)


def encode_data(said: Data) -> list[bytes]:
    """See `Data`: buffers to be posted together. At most `MAX_COUNT` messages, and `MAX_PAYLOAD` bytes in all."""
    count = len(said.sequences)
    keys = [key.encode() for key in said.keys] if said.keys is not None else []
    head = [
        _DATA.pack(Kind.DATA, _KEYS if keys else 0, count),
        Struct(f"<{count}Q{count}I").pack(*said.sequences, *map(len, said.bodies)),
        bytes(said.marks),
        bytes(map(len, keys)),
        *keys,
    ]
    return [b"".join(head), *said.bodies]


def encode_part(said: Part) -> list[bytes]:
    """See `Part`: buffers to be posted together."""
    key = said.key.encode()
    head = _PART.pack(Kind.PART, said.mark, len(key), said.size, said.offset, said.sequence)
    return [head + key, said.body]


def encode_accept(said: Accept) -> bytes:
    """See `Accept`."""
    return _ACCEPT.pack(
        Kind.ACCEPT,
        said.known,
        said.max_message,
        said.window_messages,
        said.window_bytes,
        said.committed,
        said.received,
        said.epoch,
        said.run,
        said.boot,
    )


def encode_refuse(said: Refuse) -> bytes:
    """See `Refuse`."""
    return _REFUSE.pack(Kind.REFUSE, said.code, said.epoch, said.run)


def encode_ack(said: Ack) -> bytes:
    """See `Ack`."""
    return _ACK.pack(Kind.ACK, said.window_messages, said.window_bytes, said.committed)


# -- decoding ---------------------------------------------------------------------------------------------


def decode_from_outbox(data: memoryview) -> FromOutbox:
    """What an outbox said. Raises ProtocolError."""
    kind = data[0] if len(data) else 0
    if kind == Kind.OPEN and len(data) == _OPEN.size:
        _, epoch, producer, run = _OPEN.unpack(data)
        return Open(_number(epoch), producer, run)
    if kind == Kind.DATA and len(data) > _DATA.size:
        return _data(data)
    if kind == Kind.PART and len(data) > _PART.size:
        return _part(data)
    raise ProtocolError("no word of an outbox")


def decode_from_inbox(data: memoryview) -> FromInbox:
    """What an inbox said. Raises ProtocolError."""
    kind = data[0] if len(data) else 0
    if kind == Kind.ACCEPT and len(data) == _ACCEPT.size:
        _, known, largest, messages, size, committed, received, epoch, run, boot = _ACCEPT.unpack(data)
        if known > 1 or committed > received or (received and not known):
            raise ProtocolError("an ACCEPT that contradicts itself")
        return Accept(bool(known), _number(epoch), run, committed, _number(received), messages, size, largest, boot)
    if kind == Kind.REFUSE and len(data) == _REFUSE.size:
        _, code, epoch, run = _REFUSE.unpack(data)
        if code not in RefuseCode._value2member_map_:
            raise ProtocolError(f"an inbox refuses for a reason {code} that there is not")
        return Refuse(RefuseCode(code), _number(epoch), run)
    if kind == Kind.ACK and len(data) == _ACK.size:
        _, messages, size, committed = _ACK.unpack(data)
        return Ack(_number(committed), messages, size)
    raise ProtocolError("no word of an inbox")


def _data(data: memoryview) -> Data:
    _, flags, count = _DATA.unpack_from(data)
    columns = Struct(f"<{count}Q{count}I{count}s")
    at = _DATA.size + columns.size
    if flags > _KEYS or not 1 <= count <= MAX_COUNT or len(data) < at:
        raise ProtocolError("a DATA whose columns do not fit")
    fields = columns.unpack_from(data, _DATA.size)
    sequences, lengths, marks = fields[:count], fields[count:-1], fields[-1]
    if max(marks) > REDELIVERED:
        raise ProtocolError("a mark that there is not")
    _ascending((0, *sequences))
    keys = None
    if flags & _KEYS:
        sizes = bytes(data[at : at + count])
        at += len(sizes)
        keys = []
        for size in sizes:
            keys.append(_text(data[at : at + size], size))
            at += size
    if at + sum(lengths) != len(data):
        raise ProtocolError("the lengths of a DATA do not fit its payloads")
    ends = list(accumulate(lengths, initial=at))
    return Data(sequences, marks, keys, [bytes(data[start:end]) for start, end in pairwise(ends)])


def _part(data: memoryview) -> Part:
    _, mark, key_size, size, offset, sequence = _PART.unpack_from(data)
    body = bytes(data[_PART.size + key_size :])
    if mark > REDELIVERED or key_size > 255 or not body or offset + len(body) > size:
        raise ProtocolError("a PART that does not fit")
    _ascending((0, sequence))
    return Part(sequence, mark, _text(data[_PART.size : _PART.size + key_size], key_size), size, offset, body)


def _text(data: memoryview, size: int) -> str:
    if len(data) != size:
        raise ProtocolError("a key is cut off")
    try:
        return str(data, "utf-8")
    except ValueError as error:
        raise ProtocolError("a key that is no UTF-8") from error


def _ascending(sequences: Sequence[int]) -> None:
    if not all(before < after for before, after in pairwise(sequences)):
        raise ProtocolError("sequences that do not ascend")
    _number(sequences[-1])


def _number(value: int) -> int:
    if value > MAX_SEQUENCE:
        raise ProtocolError(f"the number {value} is too large")
    return value
