"""Cutting messages to the frames of a wire, without copying them."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from outproc.session.log import Body, EntryDetail, Parts

FrameParts = list[bytes | bytearray | memoryview]
"""One frame, as buffers to write unjoined."""

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


def columns(
    details: dict[int, EntryDetail], number: int, count: int
) -> tuple[list[tuple[int, int]] | None, list[str | None] | None, int]:
    """The optional columns of `count` entries from `number` on: correlations, keys, and their size per entry at the
    most."""
    if not details:
        return None, None, 0
    chosen = [details.get(n) for n in range(number, number + count)]
    correlations: list[tuple[int, int]] | None = [
        detail.correlation if detail is not None and detail.correlation is not None else (0, 0) for detail in chosen
    ]
    keys: list[str | None] | None = [detail.key if detail is not None else None for detail in chosen]
    column = 0
    if not any(detail is not None and detail.correlation is not None for detail in chosen):
        correlations = None
    else:
        column += 9
    if keys is None or not any(keys):
        keys = None
    else:
        column += 1 + max(len(key.encode()) for key in keys if key)
    return correlations, keys, column


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
