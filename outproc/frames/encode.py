"""Records to bytes. Everything here is synchronous and keeps no state.

A frame is `frame_header(...)` followed by at least one encoded record: `wire.write([header, *records])`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from itertools import starmap
from struct import pack
from typing import Final, cast

from litz.message import Buffer
from outproc.frames.layout import (
    ACK,
    ACK_LAYOUT,
    ACK_NOW,
    BATCH,
    BATCH_LAYOUT,
    CLOSED,
    CORRELATION,
    CORRELATION_LAYOUT,
    CREDIT,
    CREDIT_LAYOUT,
    FIN,
    FIN_LAYOUT,
    FRAME_LAYOUT,
    FRAME_MARK,
    GOODBYE,
    GOODBYE_LAYOUT,
    KEY,
    LEAVE,
    LEAVE_LAYOUT,
    LOSSY,
    LOSSY_LAYOUT,
    NARROW_LIMIT,
    NUMBER_LAYOUT,
    ORIGIN,
    ORIGIN_LAYOUT,
    PARTIAL,
    PING,
    PONG,
    POSITION_LAYOUT,
    SESSION_CREDIT,
    SKIP,
    SKIP_LAYOUT,
    WIDE,
)
from outproc.frames.records import (
    CONTROL_CHARACTERS,
    MAX_DETAIL,
    MAX_ENTRIES,
    MAX_KEY,
    Ack,
    Batch,
    Closed,
    Correlation,
    Credit,
    Fin,
    FirstSent,
    Goodbye,
    Leave,
    Lossy,
    Ping,
    Pong,
    Position,
    Record,
    SessionCredit,
    Skip,
)

Body = Buffer | tuple[Buffer, ...]
"""One message: a buffer, or a tuple of buffers that follow each other."""

JOIN_LIMIT: Final = 16 * 1024
"""Buffers larger than this (bytes) are never joined nor copied."""


def frame_header(tag: int, ack_now: bool = False) -> bytes:
    """The first bytes of a frame of the pair `tag`; `ack_now` asks the peer for an ack at once."""
    return FRAME_LAYOUT.pack(FRAME_MARK, ACK_NOW if ack_now else 0, 0, tag)


def encode_batch(  # noqa: PLR0917 - hot path: positions cost less than names
    out: list[Buffer],
    lane: int,
    epoch: int,
    number: int,
    offset: int,
    remaining: int,
    bodies: Sequence[Body],
    correlations: Sequence[Correlation] | None = None,
    keys: Sequence[str | None] | None = None,
    origins: Sequence[FirstSent] | None = None,
    lengths: list[int] | None = None,
) -> int:
    """Append one BATCH record to `out` as buffers, and return its size in bytes.

    `bodies` are the bytes to send now: the caller has cut `offset` bytes off the front of the first and
    `remaining` off the end of the last. Buffers over `JOIN_LIMIT` are appended as they are and must not
    change until the wire has written them; smaller ones are copied into one. `lengths` are their sizes in
    bytes, for a caller that knows them; only where none is a tuple. Raises ValueError or
    `struct.error` for what the format cannot express, and then `out` is as before.
    """
    lengths, total, payloads = _payloads(bodies, lengths)
    flags, columns = _columns(lengths, correlations, keys)
    if origins is not None:
        flags |= ORIGIN
        columns += _origin_column(origins, len(lengths))
    head = BATCH_LAYOUT.pack(BATCH, flags, len(lengths), lane, epoch, number, offset, remaining) + columns
    out.append(head)
    out += payloads
    return len(head) + total


def encode_lossy(  # noqa: PLR0917 - hot path: positions cost less than names
    out: list[Buffer],
    lane: int,
    number: int,
    bodies: Sequence[Body],
    correlations: Sequence[Correlation] | None = None,
    keys: Sequence[str | None] | None = None,
) -> int:
    """Append one LOSSY record to `out`, as `encode_batch` does. All bodies are whole."""
    lengths, total, payloads = _payloads(bodies)
    flags, columns = _columns(lengths, correlations, keys)
    head = LOSSY_LAYOUT.pack(LOSSY, flags, len(lengths), lane, number) + columns
    out.append(head)
    out += payloads
    return len(head) + total


def body_size(body: Body) -> int:
    """The size of one message in bytes."""
    if type(body) is bytes:
        return len(body)
    if isinstance(body, tuple):
        return sum(memoryview(part).nbytes for part in body)
    return memoryview(body).nbytes


def encode_skip(reason: int, lane: int, epoch: int, first: int, last: int) -> bytes:
    """A SKIP record: messages `first` .. `last` were dropped, never transmitted."""
    return SKIP_LAYOUT.pack(SKIP, reason, 0, lane, epoch, first, last)


def encode_fin(lane: int, epoch: int, number: int) -> bytes:
    """A FIN record with its own number."""
    return FIN_LAYOUT.pack(FIN, 0, 0, lane, epoch, number)


def encode_ack(lane: int, received: Position, processed: int, durable: int) -> bytes:
    """An ACK record."""
    return ACK_LAYOUT.pack(ACK, 0, 0, lane, received[0], received[1], processed, durable)


def encode_credit(lane: int, messages: int, size: int) -> bytes:
    """A CREDIT record: absolute limits of one lane."""
    return CREDIT_LAYOUT.pack(CREDIT, 0, 0, lane, messages, size)


def encode_session_credit(size: int) -> bytes:
    """A SESSION_CREDIT record: the absolute limit of the session in bytes."""
    return NUMBER_LAYOUT.pack(SESSION_CREDIT, 0, 0, 0, size)


def encode_ping(token: int) -> bytes:
    """A PING record."""
    return NUMBER_LAYOUT.pack(PING, 0, 0, 0, token)


def encode_pong(token: int) -> bytes:
    """A PONG record with the token of the ping."""
    return NUMBER_LAYOUT.pack(PONG, 0, 0, 0, token)


def encode_goodbye(reason: int, detail: str, positions: Sequence[Ack], partial: bool = False) -> bytes:
    """A GOODBYE record. A `detail` that is too long is cut; control characters become spaces. `partial`: these are not
    the positions of all lanes."""
    return _end(GOODBYE, reason, detail, positions, partial)


def encode_closed(reason: int, detail: str, positions: Sequence[Ack], partial: bool = False) -> bytes:
    """A CLOSED record, like `encode_goodbye`."""
    return _end(CLOSED, reason, detail, positions, partial)


def encode_leave(reason: int) -> bytes:
    """A LEAVE record; `reason` is a `LeaveReason`."""
    return LEAVE_LAYOUT.pack(LEAVE, reason, 0, 0)


def encode_record(out: list[Buffer], record: Record) -> int:
    """Append any record to `out`, and return its size in bytes. For tools and tests: it is slow."""
    # The fields of each record are the parameters of its encoder, in the same order, but for what is no part of it.
    values = [getattr(record, field.name) for field in fields(record) if field.compare]
    if isinstance(record, Batch):
        return encode_batch(out, *values)
    if isinstance(record, Lossy):
        return encode_lossy(out, *values)
    encoded = _ENCODERS[type(record)](*values)
    out.append(encoded)
    return len(encoded)


_ENCODERS: Final[dict[type[Record], Callable[..., bytes]]] = {
    Skip: encode_skip,
    Fin: encode_fin,
    Ack: encode_ack,
    Credit: encode_credit,
    SessionCredit: encode_session_credit,
    Ping: encode_ping,
    Pong: encode_pong,
    Goodbye: encode_goodbye,
    Closed: encode_closed,
    Leave: encode_leave,
}


def _even(lengths: list[int]) -> bool:
    """Whether all are alike, as they often are; to count them costs less than to compare them."""
    return lengths.count(lengths[0]) == len(lengths)


def _payloads(bodies: Sequence[Body], known: list[int] | None = None) -> tuple[list[int], int, list[Buffer]]:
    """The length of each body, of all together, and all of them as few buffers. `known`: the lengths, if they
    are known to be those in bytes."""
    try:
        lengths = list(map(len, bodies)) if known is None else known
        if lengths and (lengths[0] if _even(lengths) else max(lengths)) <= JOIN_LIMIT:
            joined = b"".join(cast("Sequence[Buffer]", bodies))
            total = len(joined)
            # Views of items wider than a byte have more bytes than their `len` says: take the slow way.
            if known is not None or total == sum(lengths):
                return lengths, total, [joined] if joined else []
    except TypeError:  # there is a tuple among them: `join` looked at all types before it copied anything
        pass
    lengths, payloads = _payloads_part_by_part(bodies)
    return lengths, sum(lengths), payloads


def _payloads_part_by_part(bodies: Sequence[Body]) -> tuple[list[int], list[Buffer]]:
    lengths: list[int] = []
    payloads: list[Buffer] = []
    small: list[Buffer] = []
    for body in bodies:
        length = 0
        for part in body if isinstance(body, tuple) else (body,):
            flat = _flat(part)
            length += len(flat)
            if len(flat) <= JOIN_LIMIT:
                small.append(flat)
                continue
            if small:
                payloads.append(b"".join(small))
                small.clear()
            payloads.append(flat)
        lengths.append(length)
    if small:
        payloads.append(b"".join(small))
    return lengths, payloads


def _flat(part: Buffer) -> Buffer:
    """The same memory with `len` in bytes."""
    if type(part) is bytes:
        return part
    view = memoryview(part)
    return view.cast("B") if view.nbytes else b""


def _columns(
    lengths: list[int],
    correlations: Sequence[Correlation] | None,
    keys: Sequence[str | None] | None,
) -> tuple[int, bytes]:
    """The flags of the record, and its columns end to end."""
    count = len(lengths)
    if not 1 <= count <= MAX_ENTRIES:
        raise ValueError(f"a record holds 1 to {MAX_ENTRIES} messages, not {count}")
    if _even(lengths):
        # One of them, repeated.
        wide = lengths[0] > NARROW_LIMIT
        columns = pack("<I" if wide else "<H", lengths[0]) * count
    else:
        wide = max(lengths) > NARROW_LIMIT
        columns = pack(f"<{count}I" if wide else f"<{count}H", *lengths)
    flags = WIDE if wide else 0
    if correlations is not None:
        if len(correlations) != count:
            raise ValueError(f"{len(correlations)} correlations for {count} messages")
        flags |= CORRELATION
        columns += b"".join(starmap(CORRELATION_LAYOUT.pack, correlations))
    if keys is not None:
        if len(keys) != count:
            raise ValueError(f"{len(keys)} keys for {count} messages")
        flags |= KEY
        columns += _key_column(keys)
    return flags, columns


def _origin_column(origins: Sequence[FirstSent], count: int) -> bytes:
    if len(origins) != count:
        raise ValueError(f"{len(origins)} origins for {count} messages")
    return b"".join(starmap(ORIGIN_LAYOUT.pack, origins))


def _key_column(keys: Sequence[str | None]) -> bytes:
    if "" in keys:
        raise ValueError("a key has at least one character; None stands for no key")
    encoded = [b"" if key is None else key.encode() for key in keys]
    if max(map(len, encoded)) > MAX_KEY:
        raise ValueError(f"a key has at most {MAX_KEY} bytes of UTF-8")
    return b"".join([bytes(map(len, encoded)), *encoded])


def _end(mark: int, reason: int, detail: str, positions: Sequence[Ack], partial: bool) -> bytes:
    if len(positions) > MAX_ENTRIES:
        raise ValueError(f"a session ends with at most {MAX_ENTRIES} positions, not {len(positions)}")
    clean = CONTROL_CHARACTERS.sub(" ", detail)
    # Cutting bytes may split a character; "ignore" drops the half that is left.
    text = clean.encode("utf-8", "replace")[:MAX_DETAIL].decode("utf-8", "ignore").encode()
    return b"".join(
        [
            GOODBYE_LAYOUT.pack(mark, reason, len(positions), len(text), PARTIAL if partial else 0, 0),
            text,
            *(POSITION_LAYOUT.pack(ack.lane, *ack.received, ack.processed, ack.durable) for ack in positions),
        ]
    )
