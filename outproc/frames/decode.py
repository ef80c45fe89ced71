"""Bytes from a peer to records. Nothing is believed: every field is checked, or the frame is refused whole.

Memory is proportional to the frame: counts and lengths are held against the bytes that are there before
anything is made of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from struct import Struct, unpack_from
from typing import Final

from litz.errors import ProtocolError
from litz.events import DropReason
from litz.requests import Correlation as RequestKind
from outproc.frames.layout import (
    ACK,
    ACK_LAYOUT,
    ACK_NOW,
    BATCH,
    BATCH_LAYOUT,
    CLOSED,
    COLUMNS,
    CORRELATION,
    CORRELATION_LAYOUT,
    CREDIT,
    CREDIT_LAYOUT,
    FIN,
    FIN_LAYOUT,
    FRAME_HEADER_SIZE,
    FRAME_LAYOUT,
    FRAME_MARK,
    GOODBYE,
    GOODBYE_LAYOUT,
    KEY,
    LEAVE,
    LEAVE_LAYOUT,
    LENGTH_SIZE,
    LOSSY,
    LOSSY_LAYOUT,
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
    WIDE_LENGTH_SIZE,
)
from outproc.frames.records import (
    CONTROL_CHARACTERS,
    MAX_ENTRY_SIZE,
    MAX_NUMBER,
    Ack,
    Batch,
    Closed,
    Correlation,
    Credit,
    Fin,
    FirstSent,
    Goodbye,
    Leave,
    LeaveReason,
    Lossy,
    Ping,
    Pong,
    Position,
    Record,
    SessionCredit,
    Skip,
)

LAST_SKIP_REASON: Final = max(reason.value for reason in DropReason)
LAST_KIND: Final = max(RequestKind)
LAST_LEAVE_REASON: Final = max(LeaveReason)

# One `struct` format per length, so that a whole batch of small messages is cut by one call in C.
_CUT: Final = [f"{length}s" for length in range(1_025)]


def decode_frame(frame: bytes) -> tuple[int, int, list[Record]]:
    """The flags of a binary frame, the tag of its pair, and its records in order (at least one).

    The caller next checks that the tag is that of the pair joined on the wire, and applies the records
    in order. Bodies are copies: they do not keep the frame alive.
    Raises `ProtocolError`, and nothing else; then the wire must be closed and nothing of the frame applied.
    """
    records: list[Record] = []
    try:
        mark, flags, reserved, tag = FRAME_LAYOUT.unpack_from(frame)
        if mark != FRAME_MARK:
            raise ProtocolError(f"a binary frame starts with {FRAME_MARK:#04x}, not {mark:#04x}")
        if flags & ~ACK_NOW or reserved:
            raise ProtocolError(f"unknown frame flags {flags:#04x}, reserved {reserved:#06x}")
        at = FRAME_HEADER_SIZE
        end = len(frame)
        while at < end:
            decode = _DECODERS.get(frame[at])
            if decode is None:
                raise ProtocolError(f"unknown record type {frame[at]:#04x} at byte {at}")
            record, at = decode(frame, at)
            records.append(record)
    except struct.error:
        raise ProtocolError(f"the frame of {len(frame)} bytes ends inside a record") from None
    if not records:
        raise ProtocolError("a frame without a record")
    return flags, tag, records


def _decode_batch(frame: bytes, at: int) -> tuple[Record, int]:
    _, flags, count, lane, epoch, number, offset, remaining = BATCH_LAYOUT.unpack_from(frame, at)
    _check_numbers("BATCH", number, count)
    lengths, at = _lengths(frame, at + BATCH_LAYOUT.size, flags & ~ORIGIN, count)
    if offset or remaining:
        _check_cut(lengths, offset, remaining)
    correlations, keys, at = _columns(frame, at, flags, count)
    origins = None
    if flags & ORIGIN:
        origins, at = _origins(frame, at, count)
    bodies, end = _bodies(frame, at, lengths)
    return Batch(lane, epoch, number, offset, remaining, bodies, correlations, keys, origins, end - at), end


def _decode_lossy(frame: bytes, at: int) -> tuple[Record, int]:
    _, flags, count, lane, number = LOSSY_LAYOUT.unpack_from(frame, at)
    _check_numbers("LOSSY", number, count)
    lengths, at = _lengths(frame, at + LOSSY_LAYOUT.size, flags, count)
    correlations, keys, at = _columns(frame, at, flags, count)
    bodies, at = _bodies(frame, at, lengths)
    return Lossy(lane, number, bodies, correlations, keys), at


def _check_numbers(name: str, number: int, count: int) -> None:
    if not count:
        raise ProtocolError(f"{name} without a message")
    if number + count > MAX_NUMBER:
        raise ProtocolError(f"{name} numbers overflow: {number} + {count}")


def _check_cut(lengths: tuple[int, ...], offset: int, remaining: int) -> None:
    """A message that is not whole brings at least one byte, and never grows beyond what can be said."""
    first = offset + lengths[0]
    last = lengths[-1] + remaining
    if len(lengths) == 1:
        first = last = first + remaining
    if max(first, last) > MAX_ENTRY_SIZE:
        raise ProtocolError(f"BATCH has a message of {max(first, last)} bytes")
    if (offset and not lengths[0]) or (remaining and not lengths[-1]):
        raise ProtocolError("BATCH has an empty piece of a message")


def _lengths(frame: bytes, at: int, flags: int, count: int) -> tuple[tuple[int, ...], int]:
    if flags & ~COLUMNS:
        raise ProtocolError(f"unknown flags {flags:#04x} of a batch")
    width, code = (WIDE_LENGTH_SIZE, "I") if flags & WIDE else (LENGTH_SIZE, "H")
    end = at + count * width
    column = frame[at:end]
    first = column[:width]
    if len(column) == count * width and column == first * count:
        # All alike, as they often are: seen at once, and no number is made for each.
        return (int.from_bytes(first, "little"),) * count, end
    return unpack_from(f"<{count}{code}", column), end


def _columns(
    frame: bytes, at: int, flags: int, count: int
) -> tuple[list[Correlation] | None, list[str | None] | None, int]:
    correlations = keys = None
    if flags & CORRELATION:
        correlations, at = _correlations(frame, at, count)
    if flags & KEY:
        keys, at = _keys(frame, at, count)
    return correlations, keys, at


def _correlations(frame: bytes, at: int, count: int) -> tuple[list[Correlation], int]:
    column = _take(frame, at, count * CORRELATION_LAYOUT.size)
    kinds = column[:: CORRELATION_LAYOUT.size]
    if max(kinds) > LAST_KIND:
        raise ProtocolError(f"unknown correlation kind {max(kinds)}")
    correlations: list[Correlation] = list(CORRELATION_LAYOUT.iter_unpack(column))
    if 0 in kinds and any(ident for kind, ident in correlations if not kind):
        raise ProtocolError("a correlation id without a kind")
    return correlations, at + len(column)


def _keys(frame: bytes, at: int, count: int) -> tuple[list[str | None], int]:
    sizes = _take(frame, at, count)
    at += count
    _take(frame, at, sum(sizes))
    try:
        return [frame[at : (at := at + size)].decode() if size else None for size in sizes], at
    except UnicodeDecodeError:
        raise ProtocolError("a key is not UTF-8") from None


def _origins(frame: bytes, at: int, count: int) -> tuple[list[FirstSent], int]:
    column = _take(frame, at, count * ORIGIN_LAYOUT.size)
    origins: list[FirstSent] = list(ORIGIN_LAYOUT.iter_unpack(column))
    for session, number in origins:
        if max(session, number) > MAX_NUMBER or (number and not session):
            raise ProtocolError(f"a message first sent as {number} of session {session}")
    return origins, at + len(column)


def _bodies(frame: bytes, at: int, lengths: tuple[int, ...]) -> tuple[list[bytes], int]:
    end = at + sum(lengths)
    if end > len(frame):
        raise ProtocolError(f"the lengths add up to {end - at} bytes and {len(frame) - at} are there")
    count, first = len(lengths), lengths[0]
    if count == 1:
        return [frame[at:end]], end
    if lengths.count(first) == count and first < len(_CUT):
        return list(_even_cut(first, count).unpack_from(frame, at)), end
    try:
        cut = "".join(map(_CUT.__getitem__, lengths))
    except IndexError:  # a large one among them: then the copying costs more than the cutting
        return [frame[at : (at := at + length)] for length in lengths], end
    return list(Struct(cut).unpack_from(frame, at)), end


@lru_cache(maxsize=64)
def _even_cut(length: int, count: int) -> Struct:
    """Cuts `count` pieces of one `length`, as batches of alike messages are."""
    return Struct(_CUT[length] * count)


def _take(frame: bytes, at: int, size: int) -> bytes:
    piece = frame[at : at + size]
    if len(piece) != size:
        raise ProtocolError(f"a column needs {size} bytes and {len(piece)} are there")
    return piece


def _decode_skip(frame: bytes, at: int) -> tuple[Record, int]:
    _, reason, reserved, lane, epoch, first, last = SKIP_LAYOUT.unpack_from(frame, at)
    if not 1 <= reason <= LAST_SKIP_REASON:
        raise ProtocolError(f"unknown SKIP reason {reason}")
    _check_reserved("SKIP", reserved)
    if not first <= last < MAX_NUMBER:
        raise ProtocolError(f"SKIP from {first} to {last}")
    return Skip(reason, lane, epoch, first, last), at + SKIP_LAYOUT.size


def _decode_fin(frame: bytes, at: int) -> tuple[Record, int]:
    _, none, reserved, lane, epoch, number = FIN_LAYOUT.unpack_from(frame, at)
    _check_reserved("FIN", none, reserved)
    if number >= MAX_NUMBER:
        raise ProtocolError(f"FIN number {number} overflows")
    return Fin(lane, epoch, number), at + FIN_LAYOUT.size


def _decode_ack(frame: bytes, at: int) -> tuple[Record, int]:
    _, none, reserved, lane, number, offset, processed, durable = ACK_LAYOUT.unpack_from(frame, at)
    _check_reserved("ACK", none, reserved)
    return _ack(lane, number, offset, processed, durable), at + ACK_LAYOUT.size


def _ack(lane: int, number: int, offset: int, processed: int, durable: int) -> Ack:
    if number > MAX_NUMBER:
        raise ProtocolError(f"position {number} overflows")
    if processed > number or durable > number:
        raise ProtocolError(f"lane {lane}: processed {processed}, durable {durable} above received {number}")
    return Ack(lane, Position(number, offset), processed, durable)


def _decode_credit(frame: bytes, at: int) -> tuple[Record, int]:
    _, none, reserved, lane, messages, size = CREDIT_LAYOUT.unpack_from(frame, at)
    _check_reserved("CREDIT", none, reserved)
    if max(messages, size) > MAX_NUMBER:
        raise ProtocolError(f"credit {max(messages, size)} overflows")
    return Credit(lane, messages, size), at + CREDIT_LAYOUT.size


def _decode_session_credit(frame: bytes, at: int) -> tuple[Record, int]:
    size = _single_number("SESSION_CREDIT", frame, at)
    if size > MAX_NUMBER:
        raise ProtocolError(f"credit {size} overflows")
    return SessionCredit(size), at + NUMBER_LAYOUT.size


def _decode_ping(frame: bytes, at: int) -> tuple[Record, int]:
    return Ping(_single_number("PING", frame, at)), at + NUMBER_LAYOUT.size


def _decode_pong(frame: bytes, at: int) -> tuple[Record, int]:
    return Pong(_single_number("PONG", frame, at)), at + NUMBER_LAYOUT.size


def _single_number(name: str, frame: bytes, at: int) -> int:
    number: int
    _, none, reserved, wide, number = NUMBER_LAYOUT.unpack_from(frame, at)
    _check_reserved(name, none, reserved, wide)
    return number


def _decode_goodbye(frame: bytes, at: int) -> tuple[Record, int]:
    reason, detail, positions, partial, at = _ending("GOODBYE", frame, at)
    return Goodbye(reason, detail, positions, partial), at


def _decode_closed(frame: bytes, at: int) -> tuple[Record, int]:
    reason, detail, positions, partial, at = _ending("CLOSED", frame, at)
    return Closed(reason, detail, positions, partial), at


def _ending(name: str, frame: bytes, at: int) -> tuple[int, str, list[Ack], bool, int]:
    _, reason, count, size, flags, reserved = GOODBYE_LAYOUT.unpack_from(frame, at)
    at += GOODBYE_LAYOUT.size
    if flags & ~PARTIAL:
        raise ProtocolError(f"unknown flags {flags:#04x} of {name}")
    _check_reserved(name, reserved)
    try:
        detail = _take(frame, at, size).decode()
    except UnicodeDecodeError:
        raise ProtocolError(f"{name} detail is not UTF-8") from None
    if CONTROL_CHARACTERS.search(detail):
        raise ProtocolError(f"{name} detail has a control character")
    table = _take(frame, at + size, count * POSITION_LAYOUT.size)
    positions = [_ack(*fields) for fields in POSITION_LAYOUT.iter_unpack(table)]
    if len({ack.lane for ack in positions}) != count:
        raise ProtocolError(f"{name} names a lane twice")
    return reason, detail, positions, bool(flags & PARTIAL), at + size + len(table)


def _decode_leave(frame: bytes, at: int) -> tuple[Record, int]:
    _, reason, reserved, wide = LEAVE_LAYOUT.unpack_from(frame, at)
    _check_reserved("LEAVE", reserved, wide)
    if not 1 <= reason <= LAST_LEAVE_REASON:
        raise ProtocolError(f"unknown LEAVE reason {reason}")
    return Leave(reason), at + LEAVE_LAYOUT.size


def _check_reserved(name: str, *fields: int) -> None:
    if any(fields):
        raise ProtocolError(f"{name} has a reserved field that is not zero")


_Decoder = Callable[[bytes, int], tuple[Record, int]]

_DECODERS: Final[dict[int, _Decoder]] = {
    BATCH: _decode_batch,
    SKIP: _decode_skip,
    FIN: _decode_fin,
    LOSSY: _decode_lossy,
    ACK: _decode_ack,
    CREDIT: _decode_credit,
    SESSION_CREDIT: _decode_session_credit,
    PING: _decode_ping,
    PONG: _decode_pong,
    GOODBYE: _decode_goodbye,
    CLOSED: _decode_closed,
    LEAVE: _decode_leave,
}
