"""WebSocket frames on the way out (RFC 6455, section 5.2): headers, masks, and what is joined. Pure.

Only whole binary messages are framed here; control frames and the closing handshake stay with `websockets`.

A client masks what it sends, with keys that nobody can foresee, so that who chooses a payload does not choose the bytes
on the wire: something in between might take them for HTTP (RFC 6455, section 10.3). Between two ends on one host
nothing is in between: there the key is zero, which every server understands and which costs neither a copy nor a look
at each byte. (Where TLS hides the bytes draft-damjanovic-websockets-nomasking would leave the mask out as well; litz
does not, because TLS may end at something in between.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final

from websockets.speedups import apply_mask

from litz.message import Buffer

LARGE: Final = 16 * 1024
"""Buffers of at least this many bytes are written as they are; smaller ones are joined, because a system
call or an iovec costs more than copying them."""

MANY: Final = 64
"""Frames of more buffers than this are joined whole: `max_frame` makes them small on average."""

MASK_AT_ONCE: Final = 256 * 1024
"""Bytes of a large buffer that are masked before what is masked is written: so the copy is still in the cache then."""

BINARY: Final = 0x82
"""First byte of a whole binary message: FIN and opcode 2."""

MASKED: Final = 0x80
"""Bit of the second byte that says that a mask key follows."""

NO_MASK: Final = bytes(4)
"""The key that changes nothing."""

_short = Struct("!BB").pack
_medium = Struct("!BBH").pack
_long = Struct("!BBQ").pack


def header(size: int, mask_bit: int) -> bytes:
    """The header of one whole binary message of `size` bytes, without the mask key."""
    if size < 126:
        return _short(BINARY, mask_bit | size)
    if size < 65536:
        return _medium(BINARY, mask_bit | 126, size)
    return _long(BINARY, mask_bit | 127, size)


def size_of(buffers: Sequence[Buffer]) -> int:
    """Bytes of all buffers together, whatever a memoryview counts in."""
    return sum([b.nbytes if type(b) is memoryview else len(b) for b in buffers])


def plain_frame(buffers: Sequence[Buffer], size: int) -> list[Buffer]:
    """One unmasked binary message, as the pieces to write in this order. Large buffers are not copied."""
    return _unchanged(header(size, 0), buffers, size)


def open_frame(buffers: Sequence[Buffer], size: int) -> list[Buffer]:
    """The same from a client, whose frames have a mask key: zero. Only where nothing is in between (see the module)."""
    return _unchanged(header(size, MASKED) + NO_MASK, buffers, size)


def _unchanged(head: bytes, buffers: Sequence[Buffer], size: int) -> list[Buffer]:
    if size < LARGE or len(buffers) > MANY:
        return [b"".join((head, *buffers))]
    pieces: list[Buffer] = []
    small: list[Buffer] = [head]
    for buffer in map(_in_bytes, buffers):
        if len(buffer) < LARGE:
            small.append(buffer)
            continue
        if small:
            pieces.append(b"".join(small))
            small = []
        pieces.append(buffer)
    if small:
        pieces.append(b"".join(small))
    return pieces


def masked_frame(buffers: Sequence[Buffer], size: int) -> Iterable[Buffer]:
    """One masked binary message, as the pieces to write in this order. Every byte is copied once, by the mask, when its
    piece is asked for.

    The key is fresh for each message and cannot be predicted (RFC 6455, section 5.3).
    """
    key = os.urandom(4)
    head = header(size, MASKED) + key
    if size < LARGE or len(buffers) > MANY:
        return (head + apply_mask(b"".join(buffers), key),)
    return _masked(head, _runs(buffers), key)


def _masked(head: bytes, runs: list[Buffer], key: bytes) -> Iterator[Buffer]:
    yield head
    for run in runs:
        view = memoryview(run)
        for start in range(0, len(view), MASK_AT_ONCE):
            part = view[start : start + MASK_AT_ONCE]
            yield apply_mask(part, key)
            turn = len(part) & 3
            key = key[turn:] + key[:turn]


def _runs(buffers: Sequence[Buffer]) -> list[Buffer]:
    """The same bytes, in fewer buffers: neighbours below `LARGE` joined."""
    runs: list[Buffer] = []
    small: list[Buffer] = []
    for buffer in map(_in_bytes, buffers):
        if len(buffer) < LARGE:
            small.append(buffer)
            continue
        if small:
            runs.append(b"".join(small))
            small = []
        runs.append(buffer)
    if small:
        runs.append(b"".join(small))
    return runs


def _in_bytes(buffer: Buffer) -> Buffer:
    """The same bytes, counted in bytes."""
    if type(buffer) is memoryview and buffer.itemsize != 1:
        return buffer.cast("B") if buffer.nbytes else b""
    return buffer
