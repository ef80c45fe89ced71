"""The shortest way for frames that carry a large message piece by piece: what is cut is a view of its frame.

Copying a piece costs more than all else that a frame costs, and it is copied once more when the message is whole.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final, cast

from outproc.frames.decode import decode_frame
from outproc.frames.layout import (
    ACK_NOW,
    BATCH,
    BATCH_LAYOUT,
    FRAME_HEADER_SIZE,
    FRAME_LAYOUT,
    FRAME_MARK,
    LENGTH_SIZE,
    WIDE,
    WIDE_LENGTH_SIZE,
)
from outproc.frames.records import MAX_ENTRY_SIZE, MAX_NUMBER, Batch, Record

LARGE: Final = 16 * 1024
"""Bytes of a frame from which it is worth a look."""

MOST: Final = 4
"""Messages in such a frame."""


def decode(frame: bytes) -> tuple[int, int, list[Record]]:
    """As `decode_frame`, but a piece of a large message may be a view of the frame, which it keeps alive. It must not
    leave the session: what becomes whole is joined. Whole messages are bytes, as ever."""
    return _pieces(frame) or decode_frame(frame)


def _pieces(frame: bytes) -> tuple[int, int, list[Record]] | None:
    """What is in a frame of exactly one BATCH of a few large messages, the first or the last of which is cut. None: it
    is another frame, or something is wrong with it."""
    if len(frame) < LARGE or frame[FRAME_HEADER_SIZE] != BATCH:
        return None
    mark, flags, reserved, tag = FRAME_LAYOUT.unpack_from(frame)
    _, columns, count, lane, epoch, number, offset, remaining = BATCH_LAYOUT.unpack_from(frame, FRAME_HEADER_SIZE)
    if mark != FRAME_MARK or flags & ~ACK_NOW or reserved or columns & ~WIDE:
        return None
    if not 1 <= count <= MOST or number + count > MAX_NUMBER or not (offset or remaining):
        return None
    at = FRAME_HEADER_SIZE + BATCH_LAYOUT.size
    width, code = (WIDE_LENGTH_SIZE, "I") if columns else (LENGTH_SIZE, "H")
    lengths: tuple[int, ...] = unpack_from(f"<{count}{code}", frame, at)
    at += count * width
    size = sum(lengths)
    if at + size != len(frame) or not min(lengths) or offset + size + remaining > MAX_ENTRY_SIZE:
        return None
    last = count - 1
    view = memoryview(frame)
    bodies: list[bytes] = []
    for index, length in enumerate(lengths):
        cut = (index == 0 and offset) or (index == last and remaining)
        # The cast is the law above: a view goes no further than to what joins it.
        bodies.append(cast("bytes", view[at : at + length]) if cut else frame[at : at + length])
        at += length
    return flags, tag, [Batch(lane, epoch, number, offset, remaining, bodies, size=size)]
