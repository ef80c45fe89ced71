"""Messages of a stream as entries of its lane, for carriers of bytes. Pure: docs/protocol.md has the format.

A message is one buffer or a list of buffers, and the list's boundaries survive. A small one is one entry: a byte that
says which kind, then (of a list) the sizes, then the bytes. A large one is a head (how many buffers, how large), as
many tables of further sizes as it takes, and pieces of at most `MAX_ENTRY` without any byte in front. Integers are
little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import islice
from typing import Any, Final

from litz.errors import MessageTooLargeError, PayloadError, ProtocolError
from litz.stream_port import MAX_ENTRY

COPY_LIMIT: Final = 16 * 1024
"""Buffers up to this size are copied, so that they may be changed at once; of larger ones views go out."""

MAX_BUFFERS: Final = 65_536
"""Buffers of one message."""

_SIZES_IN_ENTRY: Final = 8_000
_COUNT: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<BBI")
_MANY_PARTS: Final = 64

Bytes = bytes | memoryview
Entry = bytes | tuple[Bytes, ...]


class Kind(IntEnum):
    """The first byte of an entry that is no piece."""

    BUFFER = 0
    """One buffer, whole."""
    LIST = 1
    """A list of buffers, whole: count (u32), sizes (u32 each), bytes."""
    HEAD = 2
    """A large message begins: whether it is a list (u8), count (u32), the first sizes (u64 each)."""
    SIZES = 3
    """Further sizes (u64 each)."""


class Nothing:
    """In place of a message: none yet."""

    __slots__ = ()


NOTHING: Final = Nothing()
"""The one there is."""

_PREFIX: Final = bytes([Kind.BUFFER])


def begin(data: Any, max_message: int) -> tuple[Entry, int, Iterator[tuple[Entry, int]] | None]:
    """The first entry of a message with its size, and the others if there are any.

    Raises `PayloadError` (not bytes-like, nor a list of such; too many buffers), `MessageTooLargeError`.
    """
    if type(data) is bytes and len(data) < COPY_LIMIT and len(data) <= max_message:
        return _PREFIX + data, len(data) + 1, None
    is_list = isinstance(data, list | tuple)
    if is_list and len(data) > MAX_BUFFERS:
        raise PayloadError(f"a list of {len(data)} buffers, at most {MAX_BUFFERS}: join some, or send several messages")
    buffers = [_buffer(part) for part in data] if is_list else [_buffer(data)]
    sizes = [len(buffer) for buffer in buffers]
    total = sum(sizes)
    if total > max_message:
        raise MessageTooLargeError(
            f"a message of {total} bytes is over max_message of this stream ({max_message}); "
            f"cut it into several, or raise StreamOptions.max_message on both sides"
        )
    overhead = 1 + _COUNT.size * (1 + len(sizes)) if is_list else 1
    if overhead + total > MAX_ENTRY:
        return _begin_large(buffers, sizes, is_list=is_list)
    front = struct.pack(f"<B{len(sizes) + 1}I", Kind.LIST, len(sizes), *sizes) if is_list else _PREFIX
    return _entry([front, *buffers]), overhead + total, None


def _begin_large(
    buffers: list[Bytes], sizes: list[int], *, is_list: bool
) -> tuple[Entry, int, Iterator[tuple[Entry, int]]]:
    first = sizes[:_SIZES_IN_ENTRY]
    head = _HEAD.pack(Kind.HEAD, is_list, len(sizes)) + struct.pack(f"<{len(first)}Q", *first)
    return head, len(head), _others(buffers, sizes[_SIZES_IN_ENTRY:])


def _others(buffers: list[Bytes], sizes: list[int]) -> Iterator[tuple[Entry, int]]:
    for start in range(0, len(sizes), _SIZES_IN_ENTRY):
        some = sizes[start : start + _SIZES_IN_ENTRY]
        table = struct.pack(f"<B{len(some)}Q", Kind.SIZES, *some)
        yield table, len(table)
    parts: list[Bytes] = []
    size = 0
    for buffer in buffers:
        view = memoryview(buffer)
        while view:
            part = view[: MAX_ENTRY - size]
            parts.append(part)
            size += len(part)
            view = view[len(part) :]
            if size == MAX_ENTRY:
                yield _entry(parts), size
                parts, size = [], 0
    if size:
        yield _entry(parts), size


def _entry(parts: list[Bytes]) -> Entry:
    """What is small, or in very many parts, is cheaper in one."""
    if len(parts) > _MANY_PARTS or sum(map(len, parts)) < COPY_LIMIT:
        return b"".join(parts)
    return tuple(part for part in parts if len(part))


def _buffer(data: Any) -> Bytes:
    if isinstance(data, bytes):
        return data
    try:
        view = memoryview(data)
    except TypeError:
        hint = "; encode it first" if isinstance(data, str) else "; encode it, or use a RoutingTransportManager"
        raise PayloadError(f"a message is bytes-like or a list of such, not {type(data).__name__}{hint}") from None
    if not view.c_contiguous or view.nbytes <= COPY_LIMIT:
        return view.tobytes()
    return view.cast("B")


class Assembler:
    """Entries back to messages, one entry at a time, for one stream. After an error it is not to be used any more.

    What came whole in one entry is `bytes`; the buffers of a large message are `bytearray`s of their own, which nobody
    else holds. They grow with what has come: a head that claims much costs nothing.
    """

    __slots__ = ("_buffers", "_count", "_is_list", "_left", "_max", "_sizes", "_total")

    def __init__(self, max_message: int) -> None:
        self._max = max_message
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._count = 0
        self._total = 0
        self._left = 0
        self._is_list = False
        self._sizes: list[int] | None = None
        self._buffers: list[bytearray] = []

    @property
    def incomplete(self) -> bool:
        """Whether a large message has begun and not come to its end."""
        return self._sizes is not None

    def take(self, entry: Bytes) -> Any:
        """The message that `entry` completes, else `NOTHING`. Raises `ProtocolError`, `MessageTooLargeError`."""
        sizes = self._sizes
        if sizes is not None:
            if len(sizes) < self._count:
                return self._more_sizes(entry)
            return self._piece(entry)
        if not len(entry):
            raise ProtocolError("an empty entry on a stream of messages")
        kind = entry[0]
        if kind == Kind.BUFFER:
            if len(entry) - 1 > self._max:
                raise self._too_large(len(entry) - 1)
            return bytes(entry[1:])
        if kind == Kind.LIST:
            return self._small_list(entry)
        if kind == Kind.HEAD:
            return self._head(entry)
        raise ProtocolError(f"an entry of unknown kind {kind} on a stream of messages")

    def _too_large(self, size: int) -> MessageTooLargeError:
        return MessageTooLargeError(
            f"the peer sends a message of {size} bytes, over max_message of this stream ({self._max}); "
            f"raise StreamOptions.max_message here, or cut it there"
        )

    def _small_list(self, entry: Bytes) -> list[bytes]:
        front = 1 + _COUNT.size
        if len(entry) < front:
            raise ProtocolError("a list on a stream ends before its count")
        (count,) = _COUNT.unpack_from(entry, 1)
        start = front + count * _COUNT.size
        if start > len(entry):
            raise ProtocolError(f"a list of {count} buffers on a stream ends before its sizes")
        sizes = struct.unpack_from(f"<{count}I", entry, front)
        if start + sum(sizes) != len(entry):
            raise ProtocolError("the sizes of a list on a stream are not those of what follows")
        if len(entry) - start > self._max:
            raise self._too_large(len(entry) - start)
        found = []
        for size in sizes:
            found.append(bytes(entry[start : start + size]))
            start += size
        return found

    def _head(self, entry: Bytes) -> Any:
        if len(entry) < _HEAD.size:
            raise ProtocolError("a head on a stream is cut short")
        _, is_list, count = _HEAD.unpack_from(entry)
        if is_list > 1 or (not is_list and count != 1):
            raise ProtocolError(f"a head on a stream says list={is_list} and {count} buffers")
        if count > MAX_BUFFERS:
            raise ProtocolError(f"a head on a stream announces {count} buffers, at most {MAX_BUFFERS}")
        self._is_list, self._count, self._sizes = bool(is_list), count, []
        return self._add_sizes(entry, _HEAD.size)

    def _more_sizes(self, entry: Bytes) -> Any:
        if len(entry) < 2 or entry[0] != Kind.SIZES:
            raise ProtocolError("sizes were due on a stream")
        return self._add_sizes(entry, 1)

    def _add_sizes(self, entry: Bytes, start: int) -> Any:
        number, rest = divmod(len(entry) - start, 8)
        known = self._sizes
        assert known is not None
        if rest or len(known) + number > self._count or (number == 0 and self._count):
            raise ProtocolError("the sizes of a message on a stream do not add up to its head")
        known += struct.unpack_from(f"<{number}Q", entry, start)
        self._total += sum(islice(known, len(known) - number, None))
        if self._total > self._max:
            raise self._too_large(self._total)
        if len(known) < self._count:
            return NOTHING
        self._left = self._total
        self._fill(b"")
        return NOTHING if self._left else self._whole()

    def _piece(self, entry: Bytes) -> Any:
        size = len(entry)
        if not size or size > self._left:
            raise ProtocolError(f"a piece of {size} bytes on a stream where {self._left} were due")
        self._left -= size
        self._fill(entry)
        return NOTHING if self._left else self._whole()

    def _fill(self, piece: Bytes) -> None:
        """Into the buffers, one after the other; those of no bytes are made on the way."""
        sizes, buffers = self._sizes, self._buffers
        assert sizes is not None
        view = memoryview(piece)
        while True:
            if buffers and (room := sizes[len(buffers) - 1] - len(buffers[-1])):
                if not view:
                    return
                buffers[-1] += view[:room]
                view = view[room:]
            elif len(buffers) < len(sizes):
                buffers.append(bytearray())
            else:
                return

    def _whole(self) -> bytearray | list[bytearray]:
        found: bytearray | list[bytearray] = self._buffers if self._is_list else self._buffers[0]
        self._begin_anew()
        return found


def size_of_entry(entry: Any) -> int:
    """Bytes of one entry as it goes out."""
    if type(entry) is tuple:
        parts: Sequence[Bytes] = entry
        return sum(map(len, parts))
    return len(entry)
