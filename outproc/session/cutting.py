"""Cutting messages to the frames of a wire, without copying them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final, NamedTuple

from outproc.frames.layout import CORRELATION_LAYOUT, ORIGIN_LAYOUT
from outproc.frames.records import Correlation, FirstSent
from outproc.session.log import Body, EntryDetail, Parts

FrameParts = list[bytes | bytearray | memoryview]
"""One frame, as buffers to write unjoined."""

PLAIN: Final = EntryDetail()
SMALLEST_CHUNK = 16
CHUNKED_FROM = 16 << 10
"""Smaller messages are not cut to fill the rest of a frame; they go whole into the next one. A batch that begins inside
a message costs the peer a step of Python for each message in it."""


def cut(sizes: list[int], column: int, room: int, cut_from: int, *, alone: bool) -> tuple[int, int, int]:
    """How many entries of `sizes` (plus `column` each) fit into `room`; the bytes of the last that do not; and the
    bytes of all of these entries together, the last one whole. No Python code runs for each entry.

    Entries below `cut_from` bytes are not cut, but for the first one where the frame has nothing else of its lane
    (`alone`): a lane gets on with every frame that has room.
    """
    first = sizes[0]
    if sizes.count(first) == len(sizes):
        count = min(len(sizes), room // (first + column))
        total = count * first
    else:
        ends = list(accumulate(sizes))
        count = bisect_right(range(len(ends)), room, key=lambda index: ends[index] + column * (index + 1))
        total = ends[count - 1] if count else 0
    if count < len(sizes):
        size = sizes[count]
        part = room - total - column * (count + 1)
        if part >= SMALLEST_CHUNK and (size >= cut_from or (alone and count == 0)):
            return count + 1, size - part, total + size
    return count, 0, total


class Columns(NamedTuple):
    """The optional columns of some entries, each None or as long as there are entries, and their `size` in bytes per
    entry at the most."""

    correlations: list[Correlation] | None = None
    keys: list[str | None] | None = None
    origins: list[FirstSent] | None = None
    size: int = 0

    def upto(self, count: int) -> Columns:
        """Those of the first `count` entries."""
        if not self.size:
            return self
        return Columns(
            self.correlations and self.correlations[:count],
            self.keys and self.keys[:count],
            self.origins and self.origins[:count],
            self.size,
        )


NO_COLUMNS: Final = Columns()


def columns(details: dict[int, EntryDetail], number: int, count: int) -> Columns:
    """The optional columns of `count` entries from `number` on."""
    if not details:
        return NO_COLUMNS
    chosen = [details.get(n, PLAIN) for n in range(number, number + count)]
    correlations = keys = origins = None
    size = 0
    if any(detail.correlation is not None for detail in chosen):
        correlations = [detail.correlation or (0, 0) for detail in chosen]
        size += CORRELATION_LAYOUT.size
    if any(detail.key is not None for detail in chosen):
        keys = [detail.key for detail in chosen]
        size += 1 + max(len(key.encode()) for key in keys if key)
    if any(detail.origin is not None for detail in chosen):
        origins = [detail.origin or (0, 0) for detail in chosen]
        size += ORIGIN_LAYOUT.size
    return Columns(correlations, keys, origins, size)


def rest_of(body: Body, offset: int) -> Body:
    """The rest of a body from `offset` on, without a copy."""
    if not isinstance(body, Parts):
        return memoryview(body)[offset:]
    rest = []
    for buffer in body.buffers:
        if offset >= len(buffer):
            offset -= len(buffer)
        else:
            rest.append(memoryview(buffer)[offset:])
            offset = 0
    return Parts(tuple(rest))


def head_of(body: Body, size: int) -> Body:
    """The first `size` bytes of a body, without a copy."""
    if not isinstance(body, Parts):
        return memoryview(body)[:size]
    head = []
    for buffer in body.buffers:
        if size <= 0:
            break
        head.append(memoryview(buffer)[:size])
        size -= len(buffer)
    return Parts(tuple(head))
